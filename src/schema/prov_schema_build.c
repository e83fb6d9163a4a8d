/*
 * Builds a node: the applicators and the array's keywords here, the others in
 * the prov_schema_build_*.c beside.  Called by the compiler once per schema,
 * after prov_schema_keywords() has found nothing wrong with its form.
 */

#include "schema/prov_schema_compiler.h"


static ngx_int_t prov_schema_build_ref(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry);
static ngx_int_t prov_schema_build_logic(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry);
static ngx_int_t prov_schema_build_defs(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry);
static ngx_int_t prov_schema_build_array(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry);
static ngx_int_t prov_schema_build_list(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry, const char *keyword,
    prov_schema_list_t *list);


ngx_int_t
prov_schema_build(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry)
{
    prov_schema_t  *node;

    node = entry->node;

    if (prov_schema_build_ref(compiler, entry) != NGX_OK
        || prov_schema_build_scalar(compiler, entry) != NGX_OK
        || prov_schema_build_object(compiler, entry) != NGX_OK
        || prov_schema_build_array(compiler, entry) != NGX_OK
        || prov_schema_build_logic(compiler, entry) != NGX_OK
        || prov_schema_build_defs(compiler, entry) != NGX_OK)
    {
        return NGX_ERROR;
    }

    node->applies = node->ref || node->all_of.n || node->any_of.n
                    || node->one_of.n || node->not || node->condition;

    if (!node->applies && node->types == PROV_SCHEMA_ANY
        && !node->constant && !node->values && !node->format
        && !node->numeric && !node->text && !node->array && !node->object)
    {
        node->verdict = PROV_SCHEMA_ALWAYS;
    }

    return NGX_OK;
}


static ngx_int_t
prov_schema_build_ref(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry)
{
    json_t              *value;
    ngx_str_t            reference;
    prov_schema_path_t  *path;

    value = json_object_get(entry->json, "$ref");
    if (value == NULL) {
        return NGX_OK;
    }

    path = prov_schema_step(compiler, entry->path, "$ref", 4, 0);
    if (path == NULL) {
        return NGX_ERROR;
    }

    reference.data = (u_char *) json_string_value(value);
    reference.len = json_string_length(value);

    value = prov_schema_resolve(compiler, &reference, &path);
    if (value == NULL) {
        return NGX_ERROR;
    }

    entry->node->ref = prov_schema_node(compiler, value, path);

    return entry->node->ref ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
prov_schema_build_logic(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry)
{
    prov_schema_t  *node;

    node = entry->node;

    if (prov_schema_build_list(compiler, entry, "allOf", &node->all_of)
        != NGX_OK
        || prov_schema_build_list(compiler, entry, "anyOf", &node->any_of)
           != NGX_OK
        || prov_schema_build_list(compiler, entry, "oneOf", &node->one_of)
           != NGX_OK
        || prov_schema_build_child(compiler, entry, "not", &node->not)
           != NGX_OK
        || prov_schema_build_child(compiler, entry, "if", &node->condition)
           != NGX_OK
        || prov_schema_build_child(compiler, entry, "then",
                                   &node->consequent)
           != NGX_OK
        || prov_schema_build_child(compiler, entry, "else",
                                   &node->alternative)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* without the other half they mean nothing */

    if (node->condition == NULL) {
        node->consequent = NULL;
        node->alternative = NULL;
    }

    if (node->consequent == NULL && node->alternative == NULL) {
        node->condition = NULL;
    }

    return NGX_OK;
}


/* perhaps nothing refers to them, but a mistake in there is one all the same */

static ngx_int_t
prov_schema_build_defs(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry)
{
    void                *it;
    json_t              *defs;
    prov_schema_path_t  *path;

    defs = json_object_get(entry->json, "$defs");
    if (defs == NULL) {
        return NGX_OK;
    }

    for (it = json_object_iter(defs);
         it;
         it = json_object_iter_next(defs, it))
    {
        path = prov_schema_step(compiler, entry->path, "$defs", 5, 0);
        if (path == NULL) {
            return NGX_ERROR;
        }

        path = prov_schema_step(compiler, path, json_object_iter_key(it),
                                json_object_iter_key_len(it), 0);
        if (path == NULL) {
            return NGX_ERROR;
        }

        if (prov_schema_node(compiler, json_object_iter_value(it), path)
            == NULL)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
prov_schema_build_array(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry)
{
    json_t               *json;
    prov_schema_array_t   a, *array;

    json = entry->json;
    ngx_memzero(&a, sizeof(prov_schema_array_t));

    if (prov_schema_build_list(compiler, entry, "prefixItems", &a.prefix)
        != NGX_OK
        || prov_schema_build_child(compiler, entry, "items", &a.items)
           != NGX_OK
        || prov_schema_build_child(compiler, entry, "contains", &a.contains)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    a.min = prov_schema_build_count(json, "minItems", 0);
    a.max = prov_schema_build_count(json, "maxItems", PROV_SCHEMA_UNLIMITED);
    a.min_contains = prov_schema_build_count(json, "minContains", 1);
    a.max_contains = prov_schema_build_count(json, "maxContains",
                                             PROV_SCHEMA_UNLIMITED);
    a.unique = json_is_true(json_object_get(json, "uniqueItems"));

    if (a.prefix.n == 0 && a.items == NULL && a.contains == NULL
        && a.min == 0 && a.max == PROV_SCHEMA_UNLIMITED && !a.unique)
    {
        return NGX_OK;
    }

    array = ngx_palloc(compiler->pool, sizeof(prov_schema_array_t));
    if (array == NULL) {
        return prov_schema_no_memory(compiler);
    }

    *array = a;
    entry->node->array = array;

    return NGX_OK;
}


ngx_int_t
prov_schema_build_child(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry, const char *keyword, prov_schema_t **child)
{
    json_t              *value;
    prov_schema_path_t  *path;

    value = json_object_get(entry->json, keyword);
    if (value == NULL) {
        return NGX_OK;
    }

    path = prov_schema_step(compiler, entry->path, keyword,
                            ngx_strlen(keyword), 0);
    if (path == NULL) {
        return NGX_ERROR;
    }

    *child = prov_schema_node(compiler, value, path);

    return *child ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
prov_schema_build_list(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry, const char *keyword, prov_schema_list_t *list)
{
    json_t              *value;
    ngx_uint_t           i, n;
    prov_schema_path_t  *path, *step;

    value = json_object_get(entry->json, keyword);
    if (value == NULL) {
        return NGX_OK;
    }

    n = json_array_size(value);

    list->schemas = ngx_palloc(compiler->pool, n * sizeof(prov_schema_t *));
    if (list->schemas == NULL) {
        return prov_schema_no_memory(compiler);
    }

    path = prov_schema_step(compiler, entry->path, keyword,
                            ngx_strlen(keyword), 0);
    if (path == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {

        step = prov_schema_step(compiler, path, NULL, 0, i);
        if (step == NULL) {
            return NGX_ERROR;
        }

        list->schemas[i] = prov_schema_node(compiler,
                                            json_array_get(value, i), step);
        if (list->schemas[i] == NULL) {
            return NGX_ERROR;
        }
    }

    list->n = n;

    return NGX_OK;
}


size_t
prov_schema_build_count(json_t *json, const char *keyword, size_t absent)
{
    json_t                *value;
    prov_schema_number_t   number;

    value = json_object_get(json, keyword);
    if (value == NULL) {
        return absent;
    }

    prov_schema_number(&number, value);

    return (size_t) number.integer;
}
