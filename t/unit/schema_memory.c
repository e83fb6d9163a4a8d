/*
 * Compiling and validating without memory: no lack of it goes unnoticed, and
 * what is valid needs none.  Prints TAP.
 */

#include "schema_cost.h"


/*
 * Each allocation fails once, in compiling and in validating.  A sanitizer
 * says whether anything is lost or used that is not there.
 */

static void
memory_fails(void)
{
    json_t                *document, *value;
    ngx_int_t              rc;
    ngx_uint_t             n, faults, errors, wrong;
    ngx_pool_t            *pool;
    prov_fault_t           fault;
    prov_schema_t         *schema;
    prov_schema_report_t   report;

    document = json_loads(
        "{\"properties\": {\"a\": {\"$ref\": \"#/$defs/s\"}, \"b\": {\"enum\":"
        " [1, {\"c\": []}]}}, \"required\": [\"a\", \"z\"],"
        " \"patternProperties\": {\"(x+)+$\": {\"const\": null}},"
        " \"additionalProperties\": false, \"propertyNames\": {\"not\":"
        " {\"const\": \"y\"}}, \"dependentRequired\": {\"a\": [\"q\"]},"
        " \"dependentSchemas\": {\"a\": {\"anyOf\": [{\"type\": \"null\"},"
        " {\"required\": [\"w\"]}]}}, \"allOf\": [{\"properties\":"
        " {\"u\": {\"uniqueItems\": true, \"prefixItems\": [true]}}}],"
        " \"$defs\": {\"s\": {\"minLength\": 3, \"pattern\": \"^[a-z]\","
        " \"format\": \"regex\", \"minimum\": 0.5}}}", 0, NULL);

    value = json_pack("{ss so so so}", "a", "(", "b", json_real(2.5), "yy",
                      json_true(), "u", cost_count(100, 1));

    /* keys make jansson allocate, too ("propertyNames") */
    json_set_alloc_funcs(ngx_shim_malloc, free);

    faults = 0;
    errors = 0;
    wrong = 0;

    for (n = 1; n < 100000; n++) {

        pool = ngx_create_pool(4096, ngx_shim_log());
        ngx_memzero(&fault, sizeof(prov_fault_t));

        ngx_shim_fail_at(n);

        schema = cost_compile(pool, document, &fault);

        if (schema == NULL) {
            faults++;
            wrong += !ngx_shim_failed();

        } else {
            wrong += ngx_shim_failed();

            prov_schema_report_init(&report, pool, 20);
            rc = prov_schema_validate(schema, value, &report);

            if (rc == NGX_ERROR) {
                errors++;
                wrong += !ngx_shim_failed();

            } else {
                wrong += (rc != NGX_DECLINED || ngx_shim_failed());
            }
        }

        rc = !ngx_shim_failed();

        ngx_shim_fail_at(0);
        ngx_destroy_pool(pool);

        if (rc) {
            break;
        }
    }

    json_set_alloc_funcs(malloc, free);

    unit_result(wrong == 0 && faults > 50,
                  "each lack of memory in compiling is told");
    unit_result(wrong == 0 && errors > 10,
                  "each lack of memory in validating is told");

    printf("# %u in compiling, %u in validating\n", (unsigned) faults,
           (unsigned) errors);

    json_decref(document);
    json_decref(value);
}


/* a valid value costs no allocation */

static void
memory_none(void)
{
    json_t                *document, *value;
    ngx_int_t              rc;
    ngx_pool_t            *pool;
    prov_fault_t           fault;
    prov_schema_t         *schema;
    prov_schema_report_t   report;

    pool = ngx_create_pool(4096, ngx_shim_log());

    document = json_loads(
        "{\"type\": \"object\", \"properties\": {\"name\": {\"type\":"
        " \"string\", \"maxLength\": 200, \"pattern\": \"\\\\S\"},"
        " \"email\": {\"format\": \"email\"}, \"tags\": {\"uniqueItems\":"
        " true}, \"kind\": {\"enum\": [\"a\", \"b\"]}, \"n\": {\"anyOf\":"
        " [{\"type\": \"null\"}, {\"multipleOf\": 0.1}]}},"
        " \"additionalProperties\": false, \"required\": [\"name\"],"
        " \"propertyNames\": {\"pattern\": \"^[a-z_]+$\"}}", 0, NULL);

    value = json_pack("{ss ss s[ss] ss sf}", "name", "Example", "email",
                      "a@example.com", "tags", "x", "y", "kind", "b", "n",
                      0.3);

    schema = cost_compile(pool, document, &fault);
    json_decref(document);

    prov_schema_report_init(&report, pool, 20);

    json_set_alloc_funcs(ngx_shim_malloc, free);
    ngx_shim_fail_at(1);

    rc = schema ? prov_schema_validate(schema, value, &report) : NGX_ERROR;

    unit_result(rc == NGX_OK && !ngx_shim_failed(),
                  "a valid value costs no allocation");

    ngx_shim_fail_at(0);
    json_set_alloc_funcs(malloc, free);

    json_decref(value);
    ngx_destroy_pool(pool);
}


int
main(void)
{
    memory_fails();
    memory_none();

    return unit_end();
}
