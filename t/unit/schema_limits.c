/*
 * What values and schemas may cost: hostile ones end within bounds, large
 * honest ones pass.  Prints TAP.
 */

#include "schema_cost.h"


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
limits_values(void)
{
    cost_check("many items that differ are found to differ",
                 "{\"uniqueItems\": true}", cost_count(COST_LARGE, 0),
                 NULL, 5);

    cost_check("two equal ones among many items are found",
                 "{\"uniqueItems\": true}", cost_count(COST_LARGE, 1),
                 "unique_items", 5);

    cost_check("as many items as fit on the stack",
                 "{\"uniqueItems\": true}", cost_count(64, 0), NULL, 1);

    cost_check("one more than that",
                 "{\"uniqueItems\": true}", cost_count(65, 0), NULL, 1);

    cost_check("one more than that, and equal",
                 "{\"uniqueItems\": true}", cost_count(64, 1),
                 "unique_items", 1);

    cost_check("many values of an enum",
                 "{\"items\": {\"enum\": [\"a\", \"b\", 1, 2, [1], {}]}}",
                 cost_repeat(json_string("b"), COST_LARGE), NULL, 5);

    cost_check("many violations are counted",
                 "{\"items\": {\"type\": \"string\"}}",
                 cost_count(COST_LARGE, 0), "type", 5);

    cost_check("many unknown names",
                 "{\"properties\": {\"property_0000\": true, \"prop\": true},"
                 " \"additionalProperties\": false}",
                 limits_members(COST_LARGE / 4), "additional_properties",
                 5);

    cost_check("a large object of known form",
                 "{\"propertyNames\": {\"pattern\": \"^[a-zA-Z0-9]+$\"},"
                 " \"additionalProperties\": {\"type\": \"integer\"}}",
                 limits_members(COST_LARGE / 4), NULL, 5);
}


static void
limits_depth(void)
{
    cost_check("a cycle follows a value down",
                 "{\"properties\": {\"a\": {\"$ref\": \"#\"}},"
                 " \"additionalProperties\": false}",
                 limits_nest("a", 200), NULL, 1);

    cost_check("a value that is too deep is refused",
                 "{\"properties\": {\"a\": {\"$ref\": \"#\"}}}",
                 limits_nest("a", 1500), "too_complex", 1);

    cost_check("branches that multiply down a value are ended",
                 "{\"anyOf\": [{\"properties\": {\"a\": {\"$ref\": \"#\"}},"
                 " \"required\": [\"b\"]}, {\"properties\": {\"a\":"
                 " {\"$ref\": \"#\"}}, \"required\": [\"c\"]}]}",
                 limits_nest("a", 32), "too_complex", 2);

    cost_check("branches that multiply are ended in a large value, too",
                 "{\"prefixItems\": [true, {\"$ref\": \"#/$defs/t\"}],"
                 " \"$defs\": {\"t\": {\"anyOf\": [{\"properties\":"
                 " {\"a\": {\"$ref\": \"#/$defs/t\"}},"
                 " \"required\": [\"b\"]}, {\"properties\":"
                 " {\"a\": {\"$ref\": \"#/$defs/t\"}},"
                 " \"required\": [\"c\"]}]}}}",
                 json_pack("[o,o]", cost_count(2000, 0),
                           limits_nest("a", 32)),
                 "too_complex", 5);

    cost_check("what is ended does not satisfy \"not\"",
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
    unit_result(limits_chain_compiles(32, 1),
                  "a chain of 32 schemas compiles");
    unit_result(!limits_chain_compiles(33, 1),
                  "one of 33 is refused");
    unit_result(!limits_chain_compiles(20000, 1),
                  "one of 20000 is refused");
    unit_result(!limits_chain_compiles(41, 31),
                  "one of 41 is refused when its end is there before");
}


int
main(void)
{
    limits_values();
    limits_depth();
    limits_chain();

    return unit_end();
}
