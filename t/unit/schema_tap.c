/*
 * The functions behind schema_tap.h.
 */

#include "schema_tap.h"


json_t *
unit_parse(const char *text)
{
    json_t             *json;
    prov_json_error_t   err;

    json = prov_json_parse((u_char *) text, strlen(text),
                           PROV_JSON_DOCUMENT_DEPTH, &err);
    if (json == NULL) {
        printf("Bail out! %s in %s\n", err.text, text);
        exit(2);
    }

    return json;
}


prov_schema_t *
unit_compile(ngx_pool_t *pool, const char *text, const char *at,
    prov_fault_t *fault)
{
    json_t                  *json;
    ngx_str_t                pointer;
    ngx_pool_t              *temp;
    prov_schema_t           *schema;
    prov_schema_compiler_t  *compiler;

    json = unit_parse(text);
    temp = ngx_create_pool(4096, ngx_shim_log());

    pointer.data = (u_char *) at;
    pointer.len = strlen(at);

    compiler = prov_schema_compiler_create(pool, temp, json);
    schema = prov_schema_compile(compiler, &pointer, fault);

    /* what is compiled needs neither any more */

    ngx_destroy_pool(temp);
    json_decref(json);

    return schema;
}


void
unit_print(char *buf, size_t size, prov_schema_report_t *report)
{
    u_char                   *p;
    ngx_uint_t                i;
    prov_schema_violation_t  *v;

    p = (u_char *) buf;
    v = report->violations.elts;

    for (i = 0; i < report->violations.nelts; i++) {
        p = ngx_slprintf(p, (u_char *) buf + size - 1, "%V|%V|%V\n",
                         &v[i].pointer, &v[i].code, &v[i].message);
    }

    *p = '\0';
}


void
unit_fault(const char *name, const char *schema, const char *at,
    const char *expected)
{
    char           text[2048];
    ngx_pool_t    *pool;
    prov_fault_t   fault;

    pool = ngx_create_pool(4096, ngx_shim_log());

    if (unit_compile(pool, schema, at, &fault)) {
        unit_is("compiled", expected, name);

    } else {
        snprintf(text, sizeof(text), "%.*s|%.*s",
                 (int) fault.pointer.len, (char *) fault.pointer.data,
                 (int) fault.message.len, (char *) fault.message.data);
        unit_is(text, expected, name);
    }

    ngx_destroy_pool(pool);
}
