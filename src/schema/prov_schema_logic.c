/*
 * Schemas that apply to the value another one applies to: "$ref", "allOf",
 * "anyOf", "oneOf", "not", "if".  What goes wrong inside an alternative stays
 * inside: the caller is told in one sentence what would have been right.
 */

#include "schema/prov_schema_node.h"


static ngx_int_t prov_schema_check_any(prov_schema_run_t *run,
    prov_schema_t *schema, json_t *value, prov_schema_path_t *path);
static ngx_int_t prov_schema_check_one(prov_schema_run_t *run,
    prov_schema_t *schema, json_t *value, prov_schema_path_t *path);
static ngx_int_t prov_schema_check_not(prov_schema_run_t *run,
    prov_schema_t *schema, json_t *value, prov_schema_path_t *path);
static ngx_int_t prov_schema_check_if(prov_schema_run_t *run,
    prov_schema_t *schema, json_t *value, prov_schema_path_t *path);
static ngx_int_t prov_schema_summarize(prov_schema_run_t *run,
    prov_schema_list_t *list, const char *code, json_t *value,
    prov_schema_path_t *path);
static ngx_int_t prov_schema_explain(prov_schema_run_t *run,
    prov_schema_list_t *list, prov_schema_t *only, const char *code,
    json_t *value, prov_schema_path_t *path);
static ngx_uint_t prov_schema_list_values(prov_schema_list_t *list,
    u_char *buf, u_char *last, u_char **end);
static prov_schema_values_t *prov_schema_only_values(prov_schema_t *schema);
static ngx_uint_t prov_schema_list_members(prov_schema_list_t *list,
    u_char *buf, u_char *last, u_char **end);
static ngx_uint_t prov_schema_only_required(prov_schema_t *schema);


ngx_int_t
prov_schema_check_logic(prov_schema_run_t *run, prov_schema_t *schema,
    json_t *value, prov_schema_path_t *path)
{
    ngx_int_t   result;
    ngx_uint_t  i;

    result = NGX_OK;

    if (schema->ref) {
        prov_schema_collect(run, result,
            prov_schema_check(run, schema->ref, value, path));
    }

    for (i = 0; i < schema->all_of.n; i++) {
        prov_schema_collect(run, result,
            prov_schema_check(run, schema->all_of.schemas[i], value, path));
    }

    if (schema->any_of.n) {
        prov_schema_collect(run, result,
            prov_schema_check_any(run, schema, value, path));
    }

    if (schema->one_of.n) {
        prov_schema_collect(run, result,
            prov_schema_check_one(run, schema, value, path));
    }

    if (schema->not) {
        prov_schema_collect(run, result,
            prov_schema_check_not(run, schema, value, path));
    }

    if (schema->condition) {
        prov_schema_collect(run, result,
            prov_schema_check_if(run, schema, value, path));
    }

    return result;
}


static ngx_int_t
prov_schema_check_any(prov_schema_run_t *run, prov_schema_t *schema,
    json_t *value, prov_schema_path_t *path)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    for (i = 0; i < schema->any_of.n; i++) {

        rc = prov_schema_check_quietly(run, schema->any_of.schemas[i], value,
                                       path);
        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    return prov_schema_summarize(run, &schema->any_of, "any_of", value, path);
}


static ngx_int_t
prov_schema_check_one(prov_schema_run_t *run, prov_schema_t *schema,
    json_t *value, prov_schema_path_t *path)
{
    ngx_int_t   rc;
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < schema->one_of.n; i++) {

        rc = prov_schema_check_quietly(run, schema->one_of.schemas[i], value,
                                       path);

        if (rc == NGX_OK) {
            n++;

            if (n == 2) {
                return prov_schema_violate(run, path, "one_of",
                                           "matches more than one of the %ui "
                                           "forms that exclude each other",
                                           schema->one_of.n);
            }

        } else if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    if (n == 1) {
        return NGX_OK;
    }

    return prov_schema_summarize(run, &schema->one_of, "one_of", value, path);
}


static ngx_int_t
prov_schema_check_not(prov_schema_run_t *run, prov_schema_t *schema,
    json_t *value, prov_schema_path_t *path)
{
    ngx_int_t              rc;
    prov_schema_values_t  *values;

    rc = prov_schema_check_quietly(run, schema->not, value, path);

    if (rc == NGX_DECLINED) {
        return NGX_OK;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    values = prov_schema_only_values(schema->not);

    if (values) {
        return prov_schema_violate(run, path, "not",
                                   (values->n > 1) ? "must not be one of %V"
                                                   : "must not be %V",
                                   &values->text);
    }

    return prov_schema_violate(run, path, "not",
                               "has a form that is not allowed");
}


static ngx_int_t
prov_schema_check_if(prov_schema_run_t *run, prov_schema_t *schema,
    json_t *value, prov_schema_path_t *path)
{
    ngx_int_t       rc;
    prov_schema_t  *next;

    rc = prov_schema_check_quietly(run, schema->condition, value, path);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    next = (rc == NGX_OK) ? schema->consequent : schema->alternative;

    return next ? prov_schema_check(run, next, value, path) : NGX_OK;
}


/*
 * None of the alternatives matched.  In this order: the values would have been
 * these; members are missing, and these would do; the types would have been
 * others; the one alternative for values of this type says why not; or just
 * that there are so many of them.
 */

static ngx_int_t
prov_schema_summarize(prov_schema_run_t *run, prov_schema_list_t *list,
    const char *code, json_t *value, prov_schema_path_t *path)
{
    u_char         *p, text[PROV_SCHEMA_MAX_MESSAGE];
    ngx_uint_t      i, n, type, types;
    prov_schema_t  *only;

    if (!prov_schema_reporting(run)) {
        return prov_schema_violate(run, path, code, "");
    }

    n = 0;
    types = 0;
    only = NULL;
    type = prov_schema_value_type(value);

    for (i = 0; i < list->n; i++) {

        if (list->schemas[i]->verdict == PROV_SCHEMA_NEVER) {
            continue;
        }

        types |= list->schemas[i]->admits;

        if (list->schemas[i]->admits & type) {
            only = list->schemas[i];
            n++;
        }
    }

    if (prov_schema_list_values(list, text, text + sizeof(text), &p)) {
        return prov_schema_violate(run, path, code, "must be one of %*s",
                                   (size_t) (p - text), text);
    }

    if (type == PROV_SCHEMA_OBJECT
        && prov_schema_list_members(list, text, text + sizeof(text), &p))
    {
        return prov_schema_violate(run, path, code, "must have %*s",
                                   (size_t) (p - text), text);
    }

    if (n == 0 && types) {
        p = prov_schema_type_names(text, text + 128, types);

        return prov_schema_violate(run, path, code, "must be %*s",
                                   (size_t) (p - text), text);
    }

    if (n == 1) {
        return prov_schema_explain(run, list, only, code, value, path);
    }

    return prov_schema_violate(run, path, code,
                               "matches none of the %ui forms that are "
                               "allowed", list->n);
}


static ngx_int_t
prov_schema_explain(prov_schema_run_t *run, prov_schema_list_t *list,
    prov_schema_t *only, const char *code, json_t *value,
    prov_schema_path_t *path)
{
    size_t                    len;
    ngx_int_t                 rc;
    ngx_str_t                 outer;
    ngx_uint_t                naming;
    prov_schema_report_t      inner, *report;
    prov_schema_violation_t  *v;

    report = run->report;
    naming = run->naming;

    prov_schema_report_init(&inner, report->pool, 1);
    run->report = &inner;
    run->naming = 0;

    rc = prov_schema_check(run, only, value, path);

    run->report = report;
    run->naming = naming;

    if (rc == NGX_ERROR || rc == NGX_ABORT) {
        return rc;
    }

    if (inner.violations.nelts == 0) {
        /* whatever a second look may say, the first one counts */
        return prov_schema_violate(run, path, code, "is not allowed here");
    }

    outer = prov_schema_pointer(report->pool, path, PROV_SCHEMA_MAX_TOKEN);
    if (outer.data == NULL) {
        return NGX_ERROR;
    }

    v = inner.violations.elts;

    /* the inner pointer begins with ours; the rest is where to look */

    len = v->pointer.len - outer.len;

    if (len == 0) {
        return prov_schema_violate(run, path, code,
                                   "%V (in the only one of %ui forms that "
                                   "is for such a value)",
                                   &v->message, list->n);
    }

    return prov_schema_violate(run, path, code,
                               "\"%*s\" %V (in the only one of %ui forms "
                               "that is for such a value)",
                               len, v->pointer.data + outer.len,
                               &v->message, list->n);
}


/* 1 when all alternatives are lists of values, which are then in buf */

static ngx_uint_t
prov_schema_list_values(prov_schema_list_t *list, u_char *buf, u_char *last,
    u_char **end)
{
    u_char                *p;
    ngx_uint_t             i;
    prov_schema_values_t  *values;

    p = buf;

    for (i = 0; i < list->n; i++) {

        values = prov_schema_only_values(list->schemas[i]);
        if (values == NULL) {
            return 0;
        }

        p = ngx_slprintf(p, last, "%s%V", i ? ", " : "", &values->text);
    }

    *end = p;

    return 1;
}


static prov_schema_values_t *
prov_schema_only_values(prov_schema_t *schema)
{
    if (schema->applies || schema->numeric || schema->text || schema->format
        || schema->array || schema->object
        || (schema->values && schema->constant))
    {
        return NULL;
    }

    return schema->values ? schema->values : schema->constant;
}


/*
 * 1 when all alternatives only say which members they require: "\"a\", or
 * \"b\" and \"c\"" is in buf then.
 */

static ngx_uint_t
prov_schema_list_members(prov_schema_list_t *list, u_char *buf, u_char *last,
    u_char **end)
{
    u_char                  *p;
    ngx_uint_t               i, j, n;
    const char              *comma;
    prov_schema_object_t    *object;
    prov_schema_property_t  *property;

    comma = "";

    for (i = 0; i < list->n; i++) {

        if (!prov_schema_only_required(list->schemas[i])) {
            return 0;
        }

        if (list->schemas[i]->object->nrequired > 1) {
            comma = ",";
        }
    }

    p = buf;

    for (i = 0; i < list->n; i++) {

        object = list->schemas[i]->object;
        property = object->properties.elts;
        n = 0;

        for (j = 0; j < object->properties.nelts; j++) {

            if (!property[j].required) {
                continue;
            }

            if (n++) {
                p = ngx_slprintf(p, last, " and ");

            } else if (i) {
                p = ngx_slprintf(p, last, "%s or ", comma);
            }

            p = ngx_slprintf(p, last, "\"%V\"", &property[j].name);
        }
    }

    *end = p;

    return 1;
}


static ngx_uint_t
prov_schema_only_required(prov_schema_t *schema)
{
    ngx_uint_t               i;
    prov_schema_object_t    *object;
    prov_schema_property_t  *property;

    object = schema->object;

    if (schema->applies || schema->values || schema->constant
        || !(schema->types & PROV_SCHEMA_OBJECT)
        || object == NULL || object->nrequired == 0
        || object->patterns.nelts || object->additional || object->names
        || object->dependents.nelts || object->min
        || object->max != PROV_SCHEMA_UNLIMITED)
    {
        return 0;
    }

    property = object->properties.elts;

    for (i = 0; i < object->properties.nelts; i++) {
        if (property[i].schema) {
            return 0;
        }
    }

    return 1;
}
