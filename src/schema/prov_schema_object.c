/*
 * Checks of an object: its members against "properties" and their relatives,
 * "required" and the dependents.  Called by prov_schema_check() for values
 * that are objects.
 */

#include "schema/prov_schema_node.h"


static ngx_int_t prov_schema_check_count(prov_schema_run_t *run,
    prov_schema_object_t *object, size_t n, prov_schema_path_t *path);
static ngx_int_t prov_schema_check_members(prov_schema_run_t *run,
    prov_schema_object_t *object, json_t *value, prov_schema_path_t *path);
static prov_schema_property_t *prov_schema_find(prov_schema_object_t *object,
    u_char *name, size_t len);
static ngx_int_t prov_schema_check_member(prov_schema_run_t *run,
    prov_schema_object_t *object, prov_schema_property_t *property,
    json_t *value, void *it, prov_schema_path_t *step);
static ngx_int_t prov_schema_check_patterns(prov_schema_run_t *run,
    prov_schema_object_t *object, json_t *value, prov_schema_path_t *step,
    ngx_uint_t *known);
static ngx_int_t prov_schema_check_unknown(prov_schema_run_t *run,
    prov_schema_object_t *object, json_t *value, prov_schema_path_t *step);
static ngx_int_t prov_schema_check_name(prov_schema_run_t *run,
    prov_schema_t *schema, prov_schema_path_t *step);
static ngx_int_t prov_schema_check_required(prov_schema_run_t *run,
    prov_schema_object_t *object, json_t *value, prov_schema_path_t *path);
static ngx_int_t prov_schema_check_dependents(prov_schema_run_t *run,
    prov_schema_object_t *object, json_t *value, prov_schema_path_t *path);
static ngx_int_t prov_schema_check_dependent(prov_schema_run_t *run,
    prov_schema_dependent_t *dependent, json_t *value,
    prov_schema_path_t *path);


ngx_int_t
prov_schema_check_object(prov_schema_run_t *run, prov_schema_object_t *object,
    json_t *value, prov_schema_path_t *path)
{
    ngx_int_t  result;

    result = NGX_OK;

    prov_schema_collect(run, result,
        prov_schema_check_count(run, object, json_object_size(value), path));

    prov_schema_collect(run, result,
        prov_schema_check_members(run, object, value, path));

    if (object->dependents.nelts) {
        prov_schema_collect(run, result,
            prov_schema_check_dependents(run, object, value, path));
    }

    return result;
}


static ngx_int_t
prov_schema_check_count(prov_schema_run_t *run, prov_schema_object_t *object,
    size_t n, prov_schema_path_t *path)
{
    if (n < object->min) {
        return prov_schema_violate(run, path, "min_properties",
                                   "must have at least %uz propert%s",
                                   object->min,
                                   (object->min == 1) ? "y" : "ies");
    }

    if (n > object->max) {
        return prov_schema_violate(run, path, "max_properties",
                                   "must have at most %uz propert%s",
                                   object->max,
                                   (object->max == 1) ? "y" : "ies");
    }

    return NGX_OK;
}


/*
 * One pass over the members, each looked up among the schema's names.  Keys
 * are unique, so that counting the required ones finds out whether one of
 * them is missing; which one is only searched for then.
 */

static ngx_int_t
prov_schema_check_members(prov_schema_run_t *run,
    prov_schema_object_t *object, json_t *value, prov_schema_path_t *path)
{
    void                    *it;
    size_t                   required;
    ngx_int_t                result;
    prov_schema_path_t       step;
    prov_schema_property_t  *property;

    result = NGX_OK;
    required = 0;
    step.parent = path;
    step.index = 0;

    for (it = json_object_iter(value);
         it;
         it = json_object_iter_next(value, it))
    {
        step.key = json_object_iter_key(it);
        step.len = json_object_iter_key_len(it);

        property = prov_schema_find(object, (u_char *) step.key, step.len);

        if (property) {
            required += property->required;
        }

        prov_schema_collect(run, result,
            prov_schema_check_member(run, object, property, value, it,
                                     &step));
    }

    if (required < object->nrequired) {
        prov_schema_collect(run, result,
            prov_schema_check_required(run, object, value, path));
    }

    return result;
}


uint32_t
prov_schema_name_hash(u_char *name, size_t len)
{
    size_t    i;
    uint32_t  hash;

    /* the names are the operator's: no need for a keyed hash (FNV-1a) */

    hash = 2166136261u;

    for (i = 0; i < len; i++) {
        hash = (hash ^ name[i]) * 16777619u;
    }

    return hash ^ (hash >> 15);
}


static prov_schema_property_t *
prov_schema_find(prov_schema_object_t *object, u_char *name, size_t len)
{
    uint32_t                 slot;
    prov_schema_property_t  *properties, *property;

    if (len > object->longest || object->properties.nelts == 0) {
        return NULL;
    }

    properties = object->properties.elts;

    for (slot = prov_schema_name_hash(name, len) & object->mask;
         object->slots[slot];
         slot = (slot + 1) & object->mask)
    {
        property = &properties[object->slots[slot] - 1];

        if (property->name.len == len
            && ngx_memcmp(property->name.data, name, len) == 0)
        {
            return property;
        }
    }

    return NULL;
}


static ngx_int_t
prov_schema_check_member(prov_schema_run_t *run, prov_schema_object_t *object,
    prov_schema_property_t *property, json_t *value, void *it,
    prov_schema_path_t *step)
{
    json_t      *member;
    ngx_int_t    result;
    ngx_uint_t   known;

    result = NGX_OK;
    member = json_object_iter_value(it);

    if (object->names) {
        prov_schema_collect(run, result,
            prov_schema_check_name(run, object->names, step));
    }

    known = (property && property->schema);

    if (known) {
        prov_schema_collect(run, result,
            prov_schema_check(run, property->schema, member, step));
    }

    if (object->patterns.nelts) {
        prov_schema_collect(run, result,
            prov_schema_check_patterns(run, object, member, step, &known));
    }

    if (known || object->additional == NULL) {
        return result;
    }

    if (object->additional->verdict == PROV_SCHEMA_NEVER) {
        prov_schema_collect(run, result,
            prov_schema_check_unknown(run, object, value, step));

    } else {
        prov_schema_collect(run, result,
            prov_schema_check(run, object->additional, member, step));
    }

    return result;
}


static ngx_int_t
prov_schema_check_patterns(prov_schema_run_t *run,
    prov_schema_object_t *object, json_t *member, prov_schema_path_t *step,
    ngx_uint_t *known)
{
    ngx_int_t                        rc, result;
    ngx_uint_t                       i;
    prov_schema_pattern_property_t  *pattern;

    result = NGX_OK;
    pattern = object->patterns.elts;

    for (i = 0; i < object->patterns.nelts; i++) {

        rc = prov_schema_pattern_match(run, pattern[i].pattern,
                                       (u_char *) step->key, step->len);

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (rc == NGX_BUSY) {
            return prov_schema_abort(run, step, "pattern_limit",
                                     "has a name that takes too much work to "
                                     "match with a pattern");
        }

        if (rc != NGX_OK) {
            return rc;
        }

        *known = 1;

        prov_schema_collect(run, result,
            prov_schema_check(run, pattern[i].schema, member, step));
    }

    return result;
}


static ngx_int_t
prov_schema_check_unknown(prov_schema_run_t *run,
    prov_schema_object_t *object, json_t *value, prov_schema_path_t *step)
{
    ngx_str_t  *name;

    name = NULL;

    if (prov_schema_reporting(run)) {
        name = prov_schema_suggest(object, value, (u_char *) step->key,
                                   step->len);
    }

    if (name) {
        return prov_schema_violate(run, step, "additional_properties",
                                   "is not a known property; did you mean "
                                   "\"%V\"?", name);
    }

    return prov_schema_violate(run, step, "additional_properties",
                               "is not a known property");
}


/*
 * Most "propertyNames" are about text only and read the key where it is;
 * others ("$ref", "not" …) get it as a JSON value.
 */

static ngx_int_t
prov_schema_check_name(prov_schema_run_t *run, prov_schema_t *schema,
    prov_schema_path_t *step)
{
    json_t      *name;
    ngx_int_t    rc;
    ngx_str_t    text;
    ngx_uint_t   naming;

    naming = run->naming;
    run->naming = 1;

    if (schema->verdict == PROV_SCHEMA_DEPENDS
        && !schema->applies && !schema->values && !schema->constant
        && (schema->types & PROV_SCHEMA_STRING))
    {
        text.data = (u_char *) step->key;
        text.len = step->len;

        rc = prov_schema_charge(run, 1, step);

        if (rc == NGX_OK) {
            rc = prov_schema_check_string(run, schema, &text, step);
        }

        run->naming = naming;
        return rc;
    }

    name = json_stringn_nocheck(step->key, step->len);
    if (name == NULL) {
        run->naming = naming;
        return NGX_ERROR;
    }

    rc = prov_schema_check(run, schema, name, step);

    json_decref(name);
    run->naming = naming;

    return rc;
}


static ngx_int_t
prov_schema_check_required(prov_schema_run_t *run,
    prov_schema_object_t *object, json_t *value, prov_schema_path_t *path)
{
    ngx_int_t                result;
    ngx_uint_t               i;
    prov_schema_path_t       step;
    prov_schema_property_t  *property;

    result = NGX_OK;
    property = object->properties.elts;
    step.parent = path;
    step.index = 0;

    for (i = 0; i < object->properties.nelts; i++) {

        step.key = (char *) property[i].name.data;
        step.len = property[i].name.len;

        if (property[i].required
            && json_object_getn(value, step.key, step.len) == NULL)
        {
            prov_schema_collect(run, result,
                prov_schema_violate(run, &step, "required", "is required"));
        }
    }

    return result;
}


static ngx_int_t
prov_schema_check_dependents(prov_schema_run_t *run,
    prov_schema_object_t *object, json_t *value, prov_schema_path_t *path)
{
    ngx_int_t                 result;
    ngx_uint_t                i;
    prov_schema_dependent_t  *dependent;

    result = NGX_OK;
    dependent = object->dependents.elts;

    for (i = 0; i < object->dependents.nelts; i++) {

        if (json_object_getn(value, (char *) dependent[i].name.data,
                             dependent[i].name.len)
            == NULL)
        {
            continue;
        }

        prov_schema_collect(run, result,
            prov_schema_check_dependent(run, &dependent[i], value, path));

        if (dependent[i].schema) {
            prov_schema_collect(run, result,
                prov_schema_check(run, dependent[i].schema, value, path));
        }
    }

    return result;
}


static ngx_int_t
prov_schema_check_dependent(prov_schema_run_t *run,
    prov_schema_dependent_t *dependent, json_t *value,
    prov_schema_path_t *path)
{
    ngx_int_t           result;
    ngx_str_t          *name;
    ngx_uint_t          i;
    prov_schema_path_t  step;

    result = NGX_OK;
    name = dependent->required.elts;
    step.parent = path;
    step.index = 0;

    for (i = 0; i < dependent->required.nelts; i++) {

        step.key = (char *) name[i].data;
        step.len = name[i].len;

        if (json_object_getn(value, step.key, step.len) == NULL) {
            prov_schema_collect(run, result,
                prov_schema_violate(run, &step, "dependent_required",
                                    "is required when \"%V\" is there",
                                    &dependent->name));
        }
    }

    return result;
}
