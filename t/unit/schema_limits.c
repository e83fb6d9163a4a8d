/*
 * What validation may cost: hostile patterns, values and schemas end within
 * bounds, large honest values pass, and no lack of memory goes unnoticed.
 * Prints TAP.  The bounds of time are far above what is needed, so that they
 * fail for what is exponential or quadratic and not for a slow machine.
 */

#include "schema/prov_schema.h"
#include "ngx_shim.h"

#include <stdio.h>
#include <time.h>


#define LIMITS_LARGE  200000


static ngx_uint_t  limits_tests;
static ngx_uint_t  limits_failures;


static void
limits_result(ngx_uint_t ok, const char *name)
{
    limits_tests++;
    limits_failures += !ok;

    printf("%sok %u - %s\n", ok ? "" : "not ", (unsigned) limits_tests, name);
}


static double
limits_seconds(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return ts.tv_sec + ts.tv_nsec / 1e9;
}


static prov_schema_t *
limits_compile(ngx_pool_t *pool, json_t *document, prov_fault_t *fault)
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


/*
 * Validates and frees value.  expected begins the code of the first violation
 * ("pattern" is "pattern_limit", too, where PCRE2 has no JIT and is slower),
 * or is NULL for a value that is valid; within seconds of processor time.
 */

static void
limits_check(const char *name, const char *text, json_t *value,
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
    schema = limits_compile(pool, document, &fault);
    json_decref(document);

    if (schema == NULL) {
        limits_result(0, name);
        goto done;
    }

    prov_schema_report_init(&report, pool, 20);

    start = limits_seconds();
    rc = prov_schema_validate(schema, value, &report);
    start = limits_seconds() - start;

    v = report.violations.elts;

    if (expected == NULL) {
        ok = (rc == NGX_OK && report.total == 0);

    } else {
        ok = (rc == NGX_DECLINED && report.violations.nelts
              && v[0].code.len >= strlen(expected)
              && memcmp(v[0].code.data, expected, strlen(expected)) == 0);
    }

    limits_result(ok && start < seconds, name);

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


static json_t *
limits_text(u_char c, size_t n, const char *end)
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


static json_t *
limits_repeat(json_t *item, size_t n)
{
    json_t  *array;

    array = json_array();

    while (n--) {
        json_array_append(array, item);
    }

    json_decref(item);

    return array;
}


static json_t *
limits_count(size_t n, ngx_uint_t twin)
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


static json_t *
limits_nest(const char *key, size_t n)
{
    json_t  *value, *outer;

    value = json_object();

    while (n--) {
        outer = json_object();
        json_object_set_new(outer, key, value);
        value = outer;
    }

    return value;
}


static json_t *
limits_members(size_t n)
{
    char     key[32];
    size_t   i;
    json_t  *object;

    object = json_object();

    for (i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "propertY%u", (unsigned) i);
        json_object_set_new(object, key, json_integer(i));
    }

    return object;
}


static void
limits_patterns(void)
{
    limits_check("an exponential pattern is given up",
                 "{\"pattern\": \"^(a+)+$\"}", limits_text('a', 1000, "!"),
                 "pattern_limit", 2);

    limits_check("many texts for an exponential pattern are given up",
                 "{\"items\": {\"pattern\": \"^(a|a)*$\"}}",
                 limits_repeat(limits_text('a', 30, "!"), LIMITS_LARGE),
                 "pattern_limit", 5);

    limits_check("a text too long for a pattern that is not linear is "
                 "refused",
                 "{\"pattern\": \"\\\\s+$\"}",
                 limits_text(' ', LIMITS_LARGE, "x"), "pattern_limit", 2);

    limits_check("a search with a quadratic pattern ends",
                 "{\"pattern\": \"(?=.*x)(?=.*y).*\"}",
                 limits_text('a', 16000, ""), "pattern", 2);

    limits_check("a search with a cubic pattern ends",
                 "{\"pattern\": \"(a*)\\\\1[xz]\"}",
                 limits_text('a', 16000, ""), "pattern_limit", 5);

    limits_check("a pattern that is linear has no bound",
                 "{\"pattern\": \"^[a-z]+[0-9]?$\"}",
                 limits_text('a', LIMITS_LARGE, "1"), NULL, 2);

    limits_check("a pattern without repetition searches a long text",
                 "{\"pattern\": \"\\\\S\"}",
                 limits_text(' ', LIMITS_LARGE, "x"), NULL, 2);

    limits_check("a slug's pattern has room",
                 "{\"pattern\": \"^[a-z0-9]+(-[a-z0-9]+)*$\"}",
                 limits_text('a', 16000, "-b"), NULL, 2);

    limits_check("a pattern that needs more stack than the JIT has matches",
                 "{\"pattern\": \"^(?:[a-z]|-)*$\"}",
                 limits_text('a', 16000, ""), NULL, 2);

    limits_check("many honest texts for a pattern with repetition pass",
                 "{\"items\": {\"pattern\": \"^[a-z]+(-[a-z]+)*$\"}}",
                 limits_repeat(json_string("one-two-three"), LIMITS_LARGE / 4),
                 NULL, 5);

    limits_check("a pattern that is given up does not satisfy \"not\"",
                 "{\"not\": {\"pattern\": \"^(a+)+$\"}}",
                 limits_text('a', 1000, "!"), "pattern_limit", 2);

    limits_check("a pattern that is given up does not decide \"if\"",
                 "{\"if\": {\"pattern\": \"^(a+)+$\"}, \"then\": false}",
                 limits_text('a', 1000, "!"), "pattern_limit", 2);

    limits_check("a pattern that is given up does not count as not contained",
                 "{\"contains\": {\"pattern\": \"^(a+)+$\"},"
                 " \"minContains\": 0, \"maxContains\": 1}",
                 limits_repeat(limits_text('a', 1000, "!"), 1),
                 "pattern_limit", 2);

    limits_check("a pattern that is given up decides no alternative",
                 "{\"anyOf\": [{\"pattern\": \"^(a+)+$\"}, true]}",
                 limits_text('a', 1000, "!"), "pattern_limit", 2);

    limits_check("a pattern that is given up decides none of one",
                 "{\"oneOf\": [{\"pattern\": \"^(a+)+$\"}, true]}",
                 limits_text('a', 1000, "!"), "pattern_limit", 2);

    limits_check("a name that a pattern gives up on is refused",
                 "{\"patternProperties\": {\"^(a+)+$\": false}}",
                 json_pack("{so}",
                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!",
                           json_true()),
                 "pattern_limit", 2);

    limits_check("a caller's pattern is compiled within bounds",
                 "{\"items\": {\"format\": \"regex\"}}",
                 limits_repeat(json_string("((((((a{200}){200}){200}){200})"
                                           "{200}){200}|[\\S\\s\\S])"), 100),
                 "format", 5);

    limits_check("a caller's pattern has groups in groups up to a number",
                 "{\"format\": \"regex\"}", limits_text('(', 500, ""),
                 "format", 1);

    limits_check("a caller's pattern has a length",
                 "{\"format\": \"regex\"}", limits_text('a', 1001, ""),
                 "format", 1);
}


/* whether a pattern is taken for linear shows in whether length matters */

static void
limits_linear(void)
{
    char         name[128], schema[256];
    ngx_uint_t   i;

    static struct {
        const char  *pattern;
        ngx_uint_t   linear;
    } patterns[] = {
        { "a", 1 },
        { "^a*$", 1 },
        { "^a{1,}?$", 1 },
        { "^a+b?$", 1 },
        { "^b*$|^a*$", 1 },
        { "^(?:a|b|c)a*$", 1 },
        { "^a?a?a?a?a?a?a*$", 1 },
        { "^a?a?a?a?a?a?a?a*$", 0 },
        { "^(?:a|b|c|d)(?:a|b|c|d)(?:a|b)a*$", 0 },
        { "^a*b*$", 0 },
        { "^a{0,9}a*$", 0 },
        { "a+", 0 },
        { "^(?:a)*$", 0 },
        { "^(?:a)?a*$", 0 },
        { "^(?=a)a*$", 0 },
        { "^(?!b)a*$", 0 },
        { "^(?<!b)a*$", 0 },
        { "^(a)\\\\1a*$", 0 },
        { "^(?<n>a)\\\\k<n>a*$", 0 },
        { NULL, 0 }
    };

    for (i = 0; patterns[i].pattern; i++) {

        snprintf(name, sizeof(name), "the pattern %s is %slinear",
                 patterns[i].pattern, patterns[i].linear ? "" : "not ");
        snprintf(schema, sizeof(schema), "{\"pattern\": \"%s\"}",
                 patterns[i].pattern);

        limits_check(name, schema, limits_text('a', 17000, ""),
                     patterns[i].linear ? NULL : "pattern_limit", 2);
    }
}


static void
limits_values(void)
{
    limits_check("many items that differ are found to differ",
                 "{\"uniqueItems\": true}", limits_count(LIMITS_LARGE, 0),
                 NULL, 5);

    limits_check("two equal ones among many items are found",
                 "{\"uniqueItems\": true}", limits_count(LIMITS_LARGE, 1),
                 "unique_items", 5);

    limits_check("as many items as fit on the stack",
                 "{\"uniqueItems\": true}", limits_count(64, 0), NULL, 1);

    limits_check("one more than that",
                 "{\"uniqueItems\": true}", limits_count(65, 0), NULL, 1);

    limits_check("one more than that, and equal",
                 "{\"uniqueItems\": true}", limits_count(64, 1),
                 "unique_items", 1);

    limits_check("many values of an enum",
                 "{\"items\": {\"enum\": [\"a\", \"b\", 1, 2, [1], {}]}}",
                 limits_repeat(json_string("b"), LIMITS_LARGE), NULL, 5);

    limits_check("many violations are counted",
                 "{\"items\": {\"type\": \"string\"}}",
                 limits_count(LIMITS_LARGE, 0), "type", 5);

    limits_check("many unknown names",
                 "{\"properties\": {\"property_0000\": true, \"prop\": true},"
                 " \"additionalProperties\": false}",
                 limits_members(LIMITS_LARGE / 4), "additional_properties",
                 5);

    limits_check("a large object of known form",
                 "{\"propertyNames\": {\"pattern\": \"^[a-zA-Z0-9]+$\"},"
                 " \"additionalProperties\": {\"type\": \"integer\"}}",
                 limits_members(LIMITS_LARGE / 4), NULL, 5);
}


static void
limits_depth(void)
{
    limits_check("a cycle follows a value down",
                 "{\"properties\": {\"a\": {\"$ref\": \"#\"}},"
                 " \"additionalProperties\": false}",
                 limits_nest("a", 200), NULL, 1);

    limits_check("a value that is too deep is refused",
                 "{\"properties\": {\"a\": {\"$ref\": \"#\"}}}",
                 limits_nest("a", 1500), "too_complex", 1);

    limits_check("branches that multiply down a value are ended",
                 "{\"anyOf\": [{\"properties\": {\"a\": {\"$ref\": \"#\"}},"
                 " \"required\": [\"b\"]}, {\"properties\": {\"a\":"
                 " {\"$ref\": \"#\"}}, \"required\": [\"c\"]}]}",
                 limits_nest("a", 32), "too_complex", 2);

    limits_check("branches that multiply are ended in a large value, too",
                 "{\"prefixItems\": [true, {\"$ref\": \"#/$defs/t\"}],"
                 " \"$defs\": {\"t\": {\"anyOf\": [{\"properties\":"
                 " {\"a\": {\"$ref\": \"#/$defs/t\"}},"
                 " \"required\": [\"b\"]}, {\"properties\":"
                 " {\"a\": {\"$ref\": \"#/$defs/t\"}},"
                 " \"required\": [\"c\"]}]}}}",
                 json_pack("[o,o]", limits_count(2000, 0),
                           limits_nest("a", 32)),
                 "too_complex", 5);

    limits_check("what is ended does not satisfy \"not\"",
                 "{\"not\": {\"$ref\": \"#/$defs/t\"}, \"$defs\": {\"t\":"
                 " {\"anyOf\": [{\"properties\": {\"a\": {\"$ref\":"
                 " \"#/$defs/t\"}}, \"required\": [\"b\"]}, {\"properties\":"
                 " {\"a\": {\"$ref\": \"#/$defs/t\"}},"
                 " \"required\": [\"c\"]}]}}}",
                 limits_nest("a", 32), "too_complex", 2);
}


/* n schemas, each a "$ref" to the next, and what starts at the one of them */

static ngx_uint_t
limits_chain_compiles(ngx_uint_t n, ngx_uint_t first)
{
    char                     key[32], ref[64];
    json_t                  *document;
    ngx_str_t                pointer;
    ngx_uint_t               i, ok;
    ngx_pool_t              *pool;
    prov_fault_t             fault;
    prov_schema_compiler_t  *compiler;

    document = json_object();

    for (i = 1; i <= n; i++) {
        snprintf(key, sizeof(key), "d%u", (unsigned) i);
        snprintf(ref, sizeof(ref), "#/d%u", (unsigned) i + 1);

        json_object_set_new(document, key,
                            (i < n) ? json_pack("{ss}", "$ref", ref)
                                    : json_pack("{si}", "minimum", 1));
    }

    pool = ngx_create_pool(4096, ngx_shim_log());
    compiler = prov_schema_compiler_create(pool, pool, document);
    ok = 1;

    for (i = first; i > 0 && ok; i -= ngx_min(i, 10)) {
        pointer.len = snprintf(key, sizeof(key), "/d%u", (unsigned) i);
        pointer.data = (u_char *) key;

        ok = (prov_schema_compile(compiler, &pointer, &fault) != NULL);
    }

    ngx_destroy_pool(pool);
    json_decref(document);

    return ok;
}


static void
limits_chain(void)
{
    limits_result(limits_chain_compiles(32, 1),
                  "a chain of 32 schemas compiles");
    limits_result(!limits_chain_compiles(33, 1),
                  "one of 33 is refused");
    limits_result(!limits_chain_compiles(20000, 1),
                  "one of 20000 is refused");
    limits_result(!limits_chain_compiles(41, 31),
                  "one of 41 is refused when its end is there before");
}


/*
 * Each allocation fails once, in compiling and in validating.  A sanitizer
 * says whether anything is lost or used that is not there.
 */

static void
limits_memory(void)
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
                      json_true(), "u", limits_count(100, 1));

    /* keys make jansson allocate, too ("propertyNames") */
    json_set_alloc_funcs(ngx_shim_malloc, free);

    faults = 0;
    errors = 0;
    wrong = 0;

    for (n = 1; n < 100000; n++) {

        pool = ngx_create_pool(4096, ngx_shim_log());
        ngx_memzero(&fault, sizeof(prov_fault_t));

        ngx_shim_fail_at(n);

        schema = limits_compile(pool, document, &fault);

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

    limits_result(wrong == 0 && faults > 50,
                  "each lack of memory in compiling is told");
    limits_result(wrong == 0 && errors > 10,
                  "each lack of memory in validating is told");

    printf("# %u in compiling, %u in validating\n", (unsigned) faults,
           (unsigned) errors);

    json_decref(document);
    json_decref(value);
}


/* a valid value costs no allocation */

static void
limits_nothing(void)
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

    schema = limits_compile(pool, document, &fault);
    json_decref(document);

    prov_schema_report_init(&report, pool, 20);

    json_set_alloc_funcs(ngx_shim_malloc, free);
    ngx_shim_fail_at(1);

    rc = schema ? prov_schema_validate(schema, value, &report) : NGX_ERROR;

    limits_result(rc == NGX_OK && !ngx_shim_failed(),
                  "a valid value costs no allocation");

    ngx_shim_fail_at(0);
    json_set_alloc_funcs(malloc, free);

    json_decref(value);
    ngx_destroy_pool(pool);
}


int
main(void)
{
    limits_patterns();
    limits_linear();
    limits_values();
    limits_depth();
    limits_chain();
    limits_memory();
    limits_nothing();

    printf("1..%u\n", (unsigned) limits_tests);

    return limits_failures != 0;
}
