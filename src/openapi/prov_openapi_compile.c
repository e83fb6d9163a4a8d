/*
 * Every schema of the bundled document is compiled, also those no request
 * meets, and every example is validated against its own: what is published
 * is true.  Called by the loader; what requests need is compiled once more,
 * into the pool that lasts.
 */

#include "openapi/prov_openapi_load.h"


static ngx_int_t prov_openapi_example_value(prov_openapi_load_t *load,
    ngx_str_t *schema, prov_openapi_at_t *value);
static ngx_int_t prov_openapi_example_named(prov_openapi_load_t *load,
    ngx_str_t *schema, prov_openapi_at_t *at);
static ngx_int_t prov_openapi_example_list(prov_openapi_load_t *load,
    ngx_str_t *schema, prov_openapi_at_t *at);
static ngx_int_t prov_openapi_example_one(prov_openapi_load_t *load,
    ngx_str_t *schema, prov_openapi_at_t *at, const char *key);


ngx_int_t
prov_openapi_compile(prov_openapi_load_t *load,
    prov_schema_compiler_t *compiler, ngx_str_t *pointer,
    prov_schema_t **schema)
{
    prov_fault_t  fault;

    ngx_memzero(&fault, sizeof(prov_fault_t));
    ngx_str_set(&fault.pointer, "");

    *schema = prov_schema_compile(compiler, pointer, &fault);

    if (*schema == NULL) {
        return prov_openapi_fail(load, &fault.pointer, "%V", &fault.message);
    }

    return NGX_OK;
}


ngx_int_t
prov_openapi_check_schemas(prov_openapi_load_t *load)
{
    ngx_uint_t            i;
    prov_schema_t        *schema;
    prov_openapi_part_t  *part;

    part = load->parts.elts;

    for (i = 0; i < load->parts.nelts; i++) {

        if (part[i].kind == PROV_OPENAPI_K_SCHEMA
            && prov_openapi_compile(load, load->check, &part[i].at.pointer,
                                    &schema)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
prov_openapi_check_examples(prov_openapi_load_t *load)
{
    ngx_int_t             rc;
    ngx_uint_t            i;
    prov_openapi_at_t    *at, schema;
    prov_openapi_part_t  *part;

    part = load->parts.elts;

    for (i = 0; i < load->parts.nelts; i++) {

        at = &part[i].at;

        switch (part[i].kind) {

        case PROV_OPENAPI_K_PARAMETER:
        case PROV_OPENAPI_K_HEADER:
        case PROV_OPENAPI_K_MEDIA_TYPE:

            rc = prov_openapi_member(load, at, "schema", &schema);

            if (rc == NGX_DECLINED || prov_openapi_replaced(load, at)) {
                continue;
            }

            if (rc != NGX_OK
                || prov_openapi_example_one(load, &schema.pointer, at,
                                            "example")
                   != NGX_OK
                || prov_openapi_example_named(load, &schema.pointer, at)
                   != NGX_OK)
            {
                return NGX_ERROR;
            }

            break;

        case PROV_OPENAPI_K_SCHEMA:

            if (prov_openapi_example_one(load, &at->pointer, at, "default")
                != NGX_OK
                || prov_openapi_example_one(load, &at->pointer, at,
                                            "example")
                   != NGX_OK
                || prov_openapi_example_list(load, &at->pointer, at)
                   != NGX_OK)
            {
                return NGX_ERROR;
            }

            break;

        default:
            break;
        }
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_example_one(prov_openapi_load_t *load, ngx_str_t *schema,
    prov_openapi_at_t *at, const char *key)
{
    ngx_int_t          rc;
    prov_openapi_at_t  value;

    rc = prov_openapi_member(load, at, key, &value);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    return prov_openapi_example_value(load, schema, &value);
}


/* "examples" of a schema: an array of values. */

static ngx_int_t
prov_openapi_example_list(prov_openapi_load_t *load, ngx_str_t *schema,
    prov_openapi_at_t *at)
{
    size_t             i;
    ngx_int_t          rc;
    prov_openapi_at_t  list, value;

    rc = prov_openapi_member(load, at, "examples", &list);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    for (i = 0; i < json_array_size(list.json); i++) {

        if (prov_openapi_element(load, &list, i, &value) != NGX_OK
            || prov_openapi_example_value(load, schema, &value) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* "examples" elsewhere: example objects, or references to them, by name. */

static ngx_int_t
prov_openapi_example_named(prov_openapi_load_t *load, ngx_str_t *schema,
    prov_openapi_at_t *at)
{
    json_t             *json;
    ngx_int_t           rc;
    const char         *key;
    prov_openapi_at_t   map, example;

    rc = prov_openapi_member(load, at, "examples", &map);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    json_object_foreach(map.json, key, json) {

        if (prov_openapi_child(load, &map, key, json, &example) != NGX_OK
            || prov_openapi_follow(load, &example) != NGX_OK
            || prov_openapi_example_one(load, schema, &example, "value")
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_example_value(prov_openapi_load_t *load, ngx_str_t *schema,
    prov_openapi_at_t *value)
{
    u_char                   *p;
    ngx_int_t                 rc;
    ngx_str_t                 where;
    prov_schema_t            *compiled;
    prov_schema_report_t      report;
    prov_schema_violation_t  *violation;

    if (prov_openapi_compile(load, load->check, schema, &compiled) != NGX_OK) {
        return NGX_ERROR;
    }

    if (prov_schema_report_init(&report, load->temp, 1) != NGX_OK) {
        return prov_openapi_no_memory(load);
    }

    rc = prov_schema_validate(compiled, value->json, &report);

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    if (rc == NGX_ERROR || report.violations.nelts == 0) {
        return prov_openapi_no_memory(load);
    }

    violation = report.violations.elts;

    where.len = value->pointer.len + violation->pointer.len;
    where.data = ngx_pnalloc(load->temp, where.len);
    if (where.data == NULL) {
        return prov_openapi_no_memory(load);
    }

    p = ngx_cpymem(where.data, value->pointer.data, value->pointer.len);
    ngx_memcpy(p, violation->pointer.data, violation->pointer.len);

    return prov_openapi_fail(load, &where,
                             "the example is not valid against its own "
                             "schema: %V", &violation->message);
}
