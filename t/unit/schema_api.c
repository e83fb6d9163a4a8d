/*
 * What others ask of the compiler and of a report: which types a schema
 * admits, its items, one node for each schema, and bounds that hold.  Prints
 * TAP.
 */

#include "schema_tap.h"


static void
unit_types(const char *name, const char *text, ngx_uint_t types)
{
    ngx_pool_t     *pool;
    prov_fault_t    fault;
    prov_schema_t  *schema;

    pool = ngx_create_pool(4096, ngx_shim_log());
    schema = unit_compile(pool, text, "", &fault);

    unit_result(schema && prov_schema_types(schema) == types, name);

    ngx_destroy_pool(pool);
}


static void
unit_items(void)
{
    ngx_pool_t     *pool;
    prov_fault_t    fault;
    prov_schema_t  *schema, *items;

    pool = ngx_create_pool(4096, ngx_shim_log());
    schema = unit_compile(pool, "{\"$ref\": \"#/$defs/a\", \"$defs\": {"
                          "\"a\": {\"allOf\": [true, {\"items\":"
                          " {\"type\": \"integer\"}}]}}}", "", &fault);

    items = schema ? prov_schema_items(schema) : NULL;

    unit_result(items && prov_schema_types(items) == PROV_SCHEMA_INTEGER,
                "items are found through $ref and allOf");

    schema = unit_compile(pool, "{\"prefixItems\": [true]}", "", &fault);

    unit_result(schema && prov_schema_items(schema) == NULL,
                "a tuple has no items");

    ngx_destroy_pool(pool);
}


static ngx_uint_t
unit_utf8(ngx_str_t *text)
{
    json_t  *json;

    /* jansson's check is as good as another */

    json = json_stringn((char *) text->data, text->len);
    json_decref(json);

    return json != NULL && memchr(text->data, '\0', text->len) == NULL;
}


/* what a schema repeats of itself has a bound, too, and ends a character */

static void
unit_long(void)
{
    char                     *text, long_text[2000];
    json_t                   *json, *value;
    ngx_uint_t                i;
    ngx_pool_t               *pool;
    prov_fault_t              fault;
    prov_schema_t            *schema;
    prov_schema_report_t      report;
    prov_schema_violation_t  *v;

    for (i = 0; i + 2 < sizeof(long_text); i += 2) {
        memcpy(long_text + i, "é", 2);
    }

    long_text[i] = '\0';

    json = json_pack("{s{ss} s[ss] s[{s[ss]},{s[ss]}]}",
                     "propertyNames", "const", long_text,
                     "required", long_text, "a",
                     "anyOf", "enum", long_text, "x", "enum", long_text, "y");

    text = json_dumps(json, 0);
    pool = ngx_create_pool(4096, ngx_shim_log());
    schema = unit_compile(pool, text, "", &fault);
    value = unit_parse("{\"a\": 1}");

    prov_schema_report_init(&report, pool, 20);

    unit_result(schema && prov_schema_validate(schema, value, &report)
                          == NGX_DECLINED
                && report.violations.nelts == 3, "long names are told");

    v = report.violations.elts;

    for (i = 0; i < report.violations.nelts; i++) {
        unit_result(v[i].message.len < 520 && v[i].pointer.len < 140
                    && unit_utf8(&v[i].message) && unit_utf8(&v[i].pointer),
                    "a long name is cut between two characters");
    }

    free(text);
    json_decref(json);
    json_decref(value);
    ngx_destroy_pool(pool);
}


/* one compiler, several schemas of one document, and its end after a fault */

static void
unit_compiler(void)
{
    json_t                  *json;
    ngx_str_t                a = ngx_string("/s/a"), b = ngx_string("/s/b");
    ngx_str_t                c = ngx_string("/s/c"), d = ngx_string("/s/d");
    ngx_str_t                e = ngx_string("/s/a/items");
    ngx_pool_t              *pool;
    prov_fault_t             fault, again;
    prov_schema_t           *first, *second;
    prov_schema_compiler_t  *compiler;

    pool = ngx_create_pool(4096, ngx_shim_log());
    json = unit_parse("{\"s\": {\"a\": {\"items\": {\"$ref\": \"#/s/b\"}},"
                      " \"b\": {\"items\": {\"$ref\": \"#/s/a\"}},"
                      " \"c\": true, \"d\": {\"bad\": 1}}}");

    compiler = prov_schema_compiler_create(pool, pool, json);

    first = prov_schema_compile(compiler, &a, &fault);
    second = prov_schema_compile(compiler, &b, &fault);

    unit_result(first && second && first != second
                && prov_schema_compile(compiler, &a, &fault) == first,
                "a schema compiles once, however often it is asked for");

    unit_result(prov_schema_compile(compiler, &e, &fault)
                == prov_schema_items(first),
                "a schema within a schema is the same node");

    unit_result(prov_schema_compile(compiler, &c, &fault) != NULL,
                "a boolean schema compiles");

    ngx_str_set(&again.file, "partner.json");

    unit_result(prov_schema_compile(compiler, &d, &fault) == NULL
                && prov_schema_compile(compiler, &c, &again) == NULL
                && again.file.len == sizeof("partner.json") - 1
                && again.message.len == fault.message.len
                && memcmp(again.message.data, fault.message.data,
                          fault.message.len)
                   == 0,
                "after a fault a compiler repeats it");

    json_decref(json);
    ngx_destroy_pool(pool);
}


/* two values in one report, the second one beyond its bound */

static void
unit_report(void)
{
    char                   text[1024];
    json_t                *value;
    ngx_pool_t            *pool;
    prov_fault_t           fault;
    prov_schema_t         *schema;
    prov_schema_report_t   report;

    pool = ngx_create_pool(4096, ngx_shim_log());
    schema = unit_compile(pool, "{\"items\": {\"type\": \"string\"}}", "",
                          &fault);
    value = unit_parse("[1, 2]");

    prov_schema_report_init(&report, pool, 3);

    unit_result(report.violations.elts == NULL
                && report.violations.nelts == 0,
                "an empty report has no memory");

    (void) prov_schema_validate(schema, value, &report);
    (void) prov_schema_validate(schema, value, &report);

    unit_print(text, sizeof(text), &report);

    unit_is(text, "/0|type|must be a string, not a number\n"
                  "/1|type|must be a string, not a number\n"
                  "/0|type|must be a string, not a number\n",
            "a report collects several values, up to its bound");

    unit_result(report.total == 4, "what is not kept is counted");

    json_decref(value);
    value = unit_parse("[1, {\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\": 1},"
                       " 2]");
    schema = unit_compile(pool, "{\"items\": {\"type\": [\"string\","
                          " \"object\"], \"patternProperties\":"
                          " {\"^(a+)+$\": true}}}", "", &fault);

    prov_schema_report_init(&report, pool, 1);

    unit_result(prov_schema_validate(schema, value, &report) == NGX_DECLINED
                && report.total == 2 && report.violations.nelts == 1,
                "the end of all work is no exception to the bound");

    prov_schema_report_init(&report, pool, 0);

    unit_result(prov_schema_validate(schema, value, &report) == NGX_DECLINED
                && report.total == 2 && report.violations.nelts == 0,
                "a report of none keeps none");

    json_decref(value);
    ngx_destroy_pool(pool);
}


int
main(void)
{
    unit_types("no type admits all", "{\"minimum\": 1}", PROV_SCHEMA_ANY);
    unit_types("a number admits integers", "{\"type\": \"number\"}",
               PROV_SCHEMA_NUMBER|PROV_SCHEMA_INTEGER);
    unit_types("types meet through $ref and allOf",
               "{\"$ref\": \"#/$defs/n\", \"allOf\": [{\"type\": [\"integer\","
               " \"string\", \"null\"]}], \"$defs\": {\"n\":"
               " {\"type\": [\"number\", \"null\"]}}}",
               PROV_SCHEMA_INTEGER|PROV_SCHEMA_NULL);
    unit_types("types do not meet through anyOf",
               "{\"anyOf\": [{\"type\": \"string\"}]}", PROV_SCHEMA_ANY);

    unit_items();
    unit_long();
    unit_compiler();
    unit_report();

    return unit_end();
}
