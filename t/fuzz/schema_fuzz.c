/*
 * Fuzz target for src/schema.  The first line of the input is a schema, the
 * rest a value; both come in through the real parser.  Beyond what sanitizers
 * see, it aborts when a report contradicts its verdict, when a second look
 * comes to another one, or when a pointer points to nothing.
 *
 *     clang -fsanitize=fuzzer,address,undefined … && ./fuzz corpus/schema
 */

#include "schema/prov_schema.h"
#include "ngx_shim.h"

#include <stdio.h>


#define FUZZ_MAX  16384


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
fuzz_require(ngx_uint_t condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "schema_fuzz: %s\n", what);
        abort();
    }
}


static ngx_uint_t
fuzz_is(ngx_str_t *text, const char *expected)
{
    return text->len == strlen(expected)
           && memcmp(text->data, expected, text->len) == 0;
}


/* one step of a pointer; *p is behind its slash and moves to the next one */

static json_t *
fuzz_step(json_t *value, u_char **p, u_char *last)
{
    size_t   n;
    u_char  *q;
    char     token[FUZZ_MAX];

    n = 0;

    for (q = *p; q < last && *q != '/'; q++) {

        if (*q == '~') {
            q++;
            fuzz_require(q < last && (*q == '0' || *q == '1'),
                         "a tilde in a pointer is followed by 0 or 1");
            token[n++] = (*q == '0') ? '~' : '/';
            continue;
        }

        token[n++] = *q;
    }

    *p = q;

    if (json_is_array(value)) {
        token[n] = '\0';
        return json_array_get(value, strtoul(token, NULL, 10));
    }

    return json_object_getn(value, token, n);
}


static void
fuzz_pointer(json_t *value, prov_schema_violation_t *v)
{
    u_char      *p, *last;
    ngx_uint_t   missing;

    missing = fuzz_is(&v->code, "required")
              || fuzz_is(&v->code, "dependent_required");

    p = v->pointer.data;
    last = p + v->pointer.len;

    while (p < last) {
        fuzz_require(*p == '/', "a pointer begins with a slash");

        p++;
        value = fuzz_step(value, &p, last);

        if (value == NULL) {
            break;
        }
    }

    /* a long key is cut, and ends in three bytes of an ellipsis */

    fuzz_require(value != NULL || (missing && p == last)
                 || v->pointer.len > 128,
                 "a pointer points to what is there");
    fuzz_require(value == NULL || !missing,
                 "what is there is not missing");
}


static ngx_int_t
fuzz_validate(ngx_pool_t *pool, prov_schema_t *schema, json_t *value,
    ngx_uint_t max, ngx_uint_t *given_up)
{
    ngx_int_t                 rc;
    ngx_uint_t                i;
    prov_schema_report_t      report;
    prov_schema_violation_t  *v;

    prov_schema_report_init(&report, pool, max);
    rc = prov_schema_validate(schema, value, &report);

    fuzz_require(rc == NGX_OK || rc == NGX_DECLINED,
                 "the verdict is one of two");
    fuzz_require((rc == NGX_OK) == (report.total == 0),
                 "the total agrees with the verdict");
    fuzz_require((rc == NGX_OK) == (report.violations.nelts == 0),
                 "the report agrees with the verdict");
    fuzz_require(report.violations.nelts <= max,
                 "the report has a bound");

    v = report.violations.elts;

    for (i = 0; i < report.violations.nelts; i++) {
        fuzz_require(v[i].code.len && v[i].message.len,
                     "a violation has a code and a message");
        fuzz_require(v[i].message.len < 1024, "a message has a bound");
        fuzz_pointer(value, &v[i]);

        *given_up |= fuzz_is(&v[i].code, "pattern_limit")
                     || fuzz_is(&v[i].code, "too_complex");
    }

    return rc;
}


static void
fuzz_pair(ngx_pool_t *pool, json_t *document, json_t *value)
{
    ngx_int_t                first, second;
    ngx_str_t                root = ngx_string("");
    ngx_uint_t               given_up;
    prov_fault_t             fault;
    prov_schema_t           *schema;
    prov_schema_compiler_t  *compiler;

    compiler = prov_schema_compiler_create(pool, pool, document);
    fuzz_require(compiler != NULL, "there is a compiler");

    schema = prov_schema_compile(compiler, &root, &fault);

    if (schema == NULL) {
        fuzz_require(fault.message.len > 0, "a fault has a message");
        return;
    }

    (void) prov_schema_items(schema);
    fuzz_require((prov_schema_types(schema) & ~PROV_SCHEMA_ANY) == 0,
                 "types are types");

    given_up = 0;
    first = fuzz_validate(pool, schema, value, 100, &given_up);
    second = fuzz_validate(pool, schema, value, 1, &given_up);

    fuzz_require(first == second || given_up,
                 "a second look comes to the same verdict");
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t             *document, *value;
    u_char             *text, *line;
    ngx_pool_t         *pool;
    prov_json_error_t   err;

    if (size == 0 || size > FUZZ_MAX) {
        return 0;
    }

    /* of the input's own size, for the sanitizer to see what reads beyond */

    text = malloc(size);
    memcpy(text, data, size);

    line = memchr(text, '\n', size);

    if (line) {
        document = prov_json_parse(text, line - text,
                                   PROV_JSON_DOCUMENT_DEPTH, &err);
        value = prov_json_parse(line + 1, text + size - line - 1,
                                PROV_JSON_BODY_DEPTH, &err);

        if (document && value) {
            pool = ngx_create_pool(4096, ngx_shim_log());
            fuzz_pair(pool, document, value);
            ngx_destroy_pool(pool);
        }

        json_decref(document);
        json_decref(value);
    }

    free(text);

    return 0;
}
