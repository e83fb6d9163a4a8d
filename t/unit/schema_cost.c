/*
 * The functions behind schema_cost.h.
 */

#include "schema_cost.h"

#include <time.h>


static double
cost_seconds(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return ts.tv_sec + ts.tv_nsec / 1e9;
}


prov_schema_t *
cost_compile(ngx_pool_t *pool, json_t *document, prov_fault_t *fault)
{
    ngx_str_t                root = ngx_string("");
    prov_schema_t           *schema;
    prov_schema_compiler_t  *compiler;

    compiler = prov_schema_compiler_create(pool, pool, document);
    if (compiler == NULL) {
        return NULL;
    }

    schema = prov_schema_compile(compiler, &root, fault);

    if (schema == NULL && !ngx_shim_failed()) {
        printf("# %.*s: %.*s\n",
               (int) fault->pointer.len, (char *) fault->pointer.data,
               (int) fault->message.len, (char *) fault->message.data);
    }

    return schema;
}


void
cost_check(const char *name, const char *text, json_t *value,
    const char *expected, double seconds)
{
    double                    start;
    json_t                   *document;
    ngx_int_t                 rc;
    ngx_uint_t                ok;
    ngx_pool_t               *pool;
    prov_fault_t              fault;
    prov_schema_t            *schema;
    prov_schema_report_t      report;
    prov_schema_violation_t  *v;

    pool = ngx_create_pool(4096, ngx_shim_log());
    document = json_loads(text, 0, NULL);
    schema = cost_compile(pool, document, &fault);
    json_decref(document);

    if (schema == NULL) {
        unit_result(0, name);
        goto done;
    }

    prov_schema_report_init(&report, pool, 20);

    start = cost_seconds();
    rc = prov_schema_validate(schema, value, &report);
    start = cost_seconds() - start;

    v = report.violations.elts;

    if (expected == NULL) {
        ok = (rc == NGX_OK && report.total == 0);

    } else {
        ok = (rc == NGX_DECLINED && report.violations.nelts
              && v[0].code.len >= strlen(expected)
              && memcmp(v[0].code.data, expected, strlen(expected)) == 0);
    }

    unit_result(ok && start < seconds, name);

    if (!ok || start >= seconds) {
        printf("# rc %d, %u violations, the first \"%.*s\", %.3f s\n",
               (int) rc, (unsigned) report.total,
               report.violations.nelts ? (int) v[0].code.len : 0,
               report.violations.nelts ? (char *) v[0].code.data : "", start);
    }

done:

    json_decref(value);
    ngx_destroy_pool(pool);
}


json_t *
cost_text(u_char c, size_t n, const char *end)
{
    char    *text;
    json_t  *json;

    text = malloc(n + strlen(end) + 1);
    memset(text, c, n);
    strcpy(text + n, end);

    json = json_string(text);
    free(text);

    return json;
}


json_t *
cost_repeat(json_t *item, size_t n)
{
    json_t  *array;

    array = json_array();

    while (n--) {
        json_array_append(array, item);
    }

    json_decref(item);

    return array;
}


json_t *
cost_count(size_t n, ngx_uint_t twin)
{
    size_t   i;
    json_t  *array;

    array = json_array();

    for (i = 0; i < n; i++) {
        json_array_append_new(array, json_integer(i));
    }

    if (twin) {
        json_array_append_new(array, json_real(7.0));
    }

    return array;
}
