/*
 * The way of a value through a schema: type, then what belongs to the type,
 * then the schemas that apply to the same value.  Called for every request.
 * Allocates only for violations, and ends hostile work early.
 */

#include "schema/prov_schema_node.h"


static ngx_int_t prov_schema_check_type(prov_schema_run_t *run,
    prov_schema_t *schema, ngx_uint_t type, prov_schema_path_t *path);
static ngx_int_t prov_schema_check_depends(prov_schema_run_t *run,
    prov_schema_t *schema, json_t *value, prov_schema_path_t *path);
static size_t prov_schema_measure(json_t *value, ngx_uint_t depth);


ngx_int_t
prov_schema_validate(prov_schema_t *schema, json_t *value,
    prov_schema_report_t *report)
{
    ngx_int_t          rc;
    prov_schema_run_t  run;

    ngx_memzero(&run, sizeof(prov_schema_run_t));

    run.shared = schema->shared;
    run.report = report;
    run.outermost = report;
    run.first = report->violations.nelts;
    run.root = value;
    run.steps = PROV_SCHEMA_MIN_STEPS;

    rc = prov_schema_check(&run, schema, value, NULL);

    prov_schema_pattern_end(&run);

    return (rc == NGX_ABORT) ? NGX_DECLINED : rc;
}


ngx_int_t
prov_schema_check(prov_schema_run_t *run, prov_schema_t *schema,
    json_t *value, prov_schema_path_t *path)
{
    ngx_int_t  rc;

    switch (schema->verdict) {

    case PROV_SCHEMA_ALWAYS:
        return NGX_OK;

    case PROV_SCHEMA_NEVER:
        return prov_schema_violate(run, path, "not_allowed",
                                   "is not allowed here");

    default: /* PROV_SCHEMA_DEPENDS */
        break;
    }

    rc = prov_schema_charge(run, 1, path);
    if (rc != NGX_OK) {
        return rc;
    }

    if (run->depth == PROV_SCHEMA_MAX_DEPTH) {
        return prov_schema_abort(run, path, "too_complex",
                                 "is nested too deep to be checked");
    }

    run->depth++;
    rc = prov_schema_check_depends(run, schema, value, path);
    run->depth--;

    return rc;
}


static ngx_int_t
prov_schema_check_depends(prov_schema_run_t *run, prov_schema_t *schema,
    json_t *value, prov_schema_path_t *path)
{
    ngx_int_t   rc, result;
    ngx_str_t   text;
    ngx_uint_t  type;

    result = NGX_OK;
    type = prov_schema_value_type(value);

    /* whatever else is said of a value of the wrong type is noise */

    if (!(schema->types & type)) {
        return prov_schema_check_type(run, schema, type, path);
    }

    if (schema->values || schema->constant) {
        rc = prov_schema_check_values(run, schema, value, path);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    switch (type) {

    case PROV_SCHEMA_INTEGER:
    case PROV_SCHEMA_NUMBER:
        if (schema->numeric || schema->format) {
            prov_schema_collect(run, result,
                prov_schema_check_number(run, schema, value, path));
        }

        break;

    case PROV_SCHEMA_STRING:
        if (schema->text || schema->format) {
            text.data = (u_char *) json_string_value(value);
            text.len = json_string_length(value);

            prov_schema_collect(run, result,
                prov_schema_check_string(run, schema, &text, path));
        }

        break;

    case PROV_SCHEMA_ARRAY:
        if (schema->array) {
            prov_schema_collect(run, result,
                prov_schema_check_array(run, schema->array, value, path));
        }

        break;

    case PROV_SCHEMA_OBJECT:
        if (schema->object) {
            prov_schema_collect(run, result,
                prov_schema_check_object(run, schema->object, value, path));
        }

        break;
    }

    if (schema->applies) {
        prov_schema_collect(run, result,
            prov_schema_check_logic(run, schema, value, path));
    }

    return result;
}


static ngx_int_t
prov_schema_check_type(prov_schema_run_t *run, prov_schema_t *schema,
    ngx_uint_t type, prov_schema_path_t *path)
{
    u_char      *p, wanted[128];
    const char  *given;

    p = wanted;

    if (prov_schema_reporting(run)) {
        p = prov_schema_type_names(wanted, wanted + sizeof(wanted),
                                   schema->types);
    }

    switch (type) {
    case PROV_SCHEMA_STRING:
        given = "a string";
        break;
    case PROV_SCHEMA_NUMBER:
        given = "a number with a fraction";
        break;
    case PROV_SCHEMA_INTEGER:
        given = "a number";
        break;
    case PROV_SCHEMA_BOOLEAN:
        given = "a boolean";
        break;
    case PROV_SCHEMA_OBJECT:
        given = "an object";
        break;
    case PROV_SCHEMA_ARRAY:
        given = "an array";
        break;
    default: /* PROV_SCHEMA_NULL */
        given = "null";
        break;
    }

    return prov_schema_violate(run, path, "type", "must be %*s, not %s",
                               (size_t) (p - wanted), wanted, given);
}


ngx_int_t
prov_schema_check_quietly(prov_schema_run_t *run, prov_schema_t *schema,
    json_t *value, prov_schema_path_t *path)
{
    ngx_int_t  rc;

    run->quiet++;
    rc = prov_schema_check(run, schema, value, path);
    run->quiet--;

    return rc;
}


/*
 * The work that is allowed grows with the size of the document, which is
 * only measured for those few that need more than the floor.
 */

ngx_int_t
prov_schema_charge(prov_schema_run_t *run, size_t steps,
    prov_schema_path_t *path)
{
    size_t  size;

    if (steps <= run->steps) {
        run->steps -= steps;
        return NGX_OK;
    }

    if (!run->measured) {
        run->measured = 1;

        size = prov_schema_measure(run->root, 0);

        if (size > PROV_SCHEMA_MIN_STEPS / PROV_SCHEMA_STEPS_PER_VALUE) {
            run->steps += size * PROV_SCHEMA_STEPS_PER_VALUE
                          - PROV_SCHEMA_MIN_STEPS;
        }

        if (steps <= run->steps) {
            run->steps -= steps;
            return NGX_OK;
        }
    }

    return prov_schema_abort(run, path, "too_complex",
                             "takes too much work to be checked");
}


/* values in a value; long strings count by their length */

static size_t
prov_schema_measure(json_t *value, ngx_uint_t depth)
{
    void    *it;
    size_t   i, n;

    n = 1;

    if (depth > PROV_SCHEMA_MAX_DEPTH) {
        return n;
    }

    switch (json_typeof(value)) {

    case JSON_STRING:
        n += json_string_length(value) / 64;
        break;

    case JSON_ARRAY:
        for (i = 0; i < json_array_size(value); i++) {
            n += prov_schema_measure(json_array_get(value, i), depth + 1);
        }

        break;

    case JSON_OBJECT:
        for (it = json_object_iter(value);
             it;
             it = json_object_iter_next(value, it))
        {
            n += prov_schema_measure(json_object_iter_value(it), depth + 1);
        }

        break;

    default:
        break;
    }

    return n;
}


ngx_uint_t
prov_schema_types(prov_schema_t *schema)
{
    return schema->admits;
}


prov_schema_t *
prov_schema_items(prov_schema_t *schema)
{
    ngx_uint_t      i;
    prov_schema_t  *items;

    if (schema->array && schema->array->items) {
        return schema->array->items;
    }

    if (schema->ref) {
        items = prov_schema_items(schema->ref);
        if (items) {
            return items;
        }
    }

    for (i = 0; i < schema->all_of.n; i++) {
        items = prov_schema_items(schema->all_of.schemas[i]);
        if (items) {
            return items;
        }
    }

    return NULL;
}
