/*
 * The compiler's outside: one node per subschema, made in the order they are
 * met (a queue, not recursion, so that no document is too deep), then a look
 * at what applies in place, where a cycle would never end.  Called while the
 * configuration is read.
 */

#include "schema/prov_schema_compiler.h"

#include <openssl/rand.h>


static prov_schema_t *prov_schema_node_create(
    prov_schema_compiler_t *compiler, prov_schema_verdict_e verdict);
static prov_schema_entry_t **prov_schema_slot(
    prov_schema_compiler_t *compiler, json_t *json);
static ngx_int_t prov_schema_grow(prov_schema_compiler_t *compiler);
static ngx_int_t prov_schema_compile_queue(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry);


prov_schema_compiler_t *
prov_schema_compiler_create(ngx_pool_t *pool, ngx_pool_t *temp,
    json_t *document)
{
    prov_schema_compiler_t  *compiler;

    compiler = ngx_pcalloc(temp, sizeof(prov_schema_compiler_t));
    if (compiler == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     compiler->first = NULL;
     *     compiler->slots = NULL;
     *     compiler->nslots = 0;
     *     compiler->nentries = 0;
     *     compiler->dead = 0;
     */

    compiler->pool = pool;
    compiler->temp = temp;
    compiler->document = document;
    compiler->last = &compiler->first;

    compiler->shared = ngx_pcalloc(pool, sizeof(prov_schema_shared_t));
    if (compiler->shared == NULL) {
        return NULL;
    }

    if (RAND_bytes((u_char *) compiler->shared->seed,
                   sizeof(compiler->shared->seed))
        != 1)
    {
        return NULL;
    }

    compiler->always = prov_schema_node_create(compiler, PROV_SCHEMA_ALWAYS);
    compiler->never = prov_schema_node_create(compiler, PROV_SCHEMA_NEVER);

    if (compiler->always == NULL || compiler->never == NULL) {
        return NULL;
    }

    return compiler;
}


static prov_schema_t *
prov_schema_node_create(prov_schema_compiler_t *compiler,
    prov_schema_verdict_e verdict)
{
    prov_schema_t  *node;

    node = ngx_pcalloc(compiler->pool, sizeof(prov_schema_t));
    if (node == NULL) {
        return NULL;
    }

    node->shared = compiler->shared;
    node->verdict = verdict;
    node->types = PROV_SCHEMA_ANY;
    node->admits = PROV_SCHEMA_ANY;

    if (verdict != PROV_SCHEMA_DEPENDS) {
        node->height = 1;
    }

    return node;
}


prov_schema_t *
prov_schema_compile(prov_schema_compiler_t *compiler, ngx_str_t *pointer,
    prov_fault_t *fault)
{
    json_t               *json;
    ngx_str_t             missing;
    prov_schema_t        *node;
    prov_schema_path_t   *path;
    prov_schema_entry_t  *entry, **queue;

    if (compiler->dead) {
        fault->pointer = compiler->failed.pointer;
        fault->message = compiler->failed.message;
        return NULL;
    }

    ngx_str_null(&fault->pointer);
    ngx_str_null(&fault->message);

    compiler->fault = fault;
    queue = compiler->last;
    path = NULL;

    json = prov_schema_locate(compiler, pointer, &path, &missing);

    if (json == NULL) {
        if (fault->message.data == NULL) {
            (void) prov_schema_fault(compiler, path,
                                     "there is no \"%V\" here", &missing);
        }

        goto failed;
    }

    node = prov_schema_node(compiler, json, path);
    if (node == NULL) {
        goto failed;
    }

    if (prov_schema_compile_queue(compiler, *queue) != NGX_OK) {
        goto failed;
    }

    for (entry = *queue; entry; entry = entry->next) {
        if (prov_schema_settle(compiler, entry->node, 1) != NGX_OK) {
            goto failed;
        }
    }

    return node;

failed:

    compiler->dead = 1;
    compiler->failed = *fault;

    return NULL;
}


/* what compiling one subschema appends is compiled by the same loop */

static ngx_int_t
prov_schema_compile_queue(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry)
{
    for ( /* void */ ; entry; entry = entry->next) {

        if (prov_schema_keywords(compiler, entry->json, entry->path)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (prov_schema_build(compiler, entry) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


prov_schema_t *
prov_schema_node(prov_schema_compiler_t *compiler, json_t *json,
    prov_schema_path_t *path)
{
    prov_schema_entry_t  *entry, **slot;

    if (json_is_boolean(json)) {
        return json_is_true(json) ? compiler->always : compiler->never;
    }

    if (!json_is_object(json)) {
        (void) prov_schema_fault(compiler, path,
                                 "a schema must be an object, true or false");
        return NULL;
    }

    if (compiler->nslots) {
        slot = prov_schema_slot(compiler, json);

        if (*slot) {
            return (*slot)->node;
        }
    }

    if (prov_schema_grow(compiler) != NGX_OK) {
        goto no_memory;
    }

    entry = ngx_pcalloc(compiler->temp, sizeof(prov_schema_entry_t));
    if (entry == NULL) {
        goto no_memory;
    }

    entry->node = prov_schema_node_create(compiler, PROV_SCHEMA_DEPENDS);
    if (entry->node == NULL) {
        goto no_memory;
    }

    entry->json = json;
    entry->path = path;

    *prov_schema_slot(compiler, json) = entry;
    compiler->nentries++;

    *compiler->last = entry;
    compiler->last = &entry->next;

    return entry->node;

no_memory:

    (void) prov_schema_no_memory(compiler);

    return NULL;
}


static prov_schema_entry_t **
prov_schema_slot(prov_schema_compiler_t *compiler, json_t *json)
{
    uint64_t    hash;
    ngx_uint_t  i;

    hash = (uint64_t) (uintptr_t) json * 0x9e3779b97f4a7c15ULL;

    for (i = (hash >> 32) & (compiler->nslots - 1);
         compiler->slots[i] && compiler->slots[i]->json != json;
         i = (i + 1) & (compiler->nslots - 1))
    {
        /* void */
    }

    return &compiler->slots[i];
}


static ngx_int_t
prov_schema_grow(prov_schema_compiler_t *compiler)
{
    prov_schema_entry_t  *entry;

    if ((compiler->nentries + 1) * 2 <= compiler->nslots) {
        return NGX_OK;
    }

    compiler->nslots = compiler->nslots ? compiler->nslots * 2 : 64;

    compiler->slots = ngx_pcalloc(compiler->temp, compiler->nslots
                                               * sizeof(prov_schema_entry_t *));
    if (compiler->slots == NULL) {
        compiler->nslots = 0;
        return NGX_ERROR;
    }

    for (entry = compiler->first; entry; entry = entry->next) {
        *prov_schema_slot(compiler, entry->json) = entry;
    }

    return NGX_OK;
}


prov_schema_path_t *
prov_schema_step(prov_schema_compiler_t *compiler, prov_schema_path_t *parent,
    const char *key, size_t len, ngx_uint_t index)
{
    prov_schema_path_t  *path;

    path = ngx_palloc(compiler->temp, sizeof(prov_schema_path_t));
    if (path == NULL) {
        (void) prov_schema_no_memory(compiler);
        return NULL;
    }

    path->parent = parent;
    path->key = key;
    path->len = len;
    path->index = index;

    return path;
}


ngx_int_t
prov_schema_fault(prov_schema_compiler_t *compiler, prov_schema_path_t *path,
    const char *fmt, ...)
{
    u_char        *p, text[2 * PROV_SCHEMA_MAX_MESSAGE];
    va_list        args;
    prov_fault_t  *fault;

    va_start(args, fmt);
    p = ngx_vslprintf(text, text + sizeof(text), fmt, args);
    va_end(args);

    fault = compiler->fault;

    fault->pointer = prov_schema_pointer(compiler->pool, path,
                                         PROV_SCHEMA_UNLIMITED);
    fault->message.data = ngx_pnalloc(compiler->pool, p - text);

    if (fault->pointer.data == NULL || fault->message.data == NULL) {
        return prov_schema_no_memory(compiler);
    }

    ngx_memcpy(fault->message.data, text, p - text);
    fault->message.len = p - text;

    return NGX_ERROR;
}


ngx_int_t
prov_schema_no_memory(prov_schema_compiler_t *compiler)
{
    ngx_str_set(&compiler->fault->pointer, "");
    ngx_str_set(&compiler->fault->message, "no memory");

    return NGX_ERROR;
}
