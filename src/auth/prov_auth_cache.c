/*
 * A worker's memory of tokens it has verified, so that a caller who sends the
 * same token again costs one SHA-256.  Belongs to one worker; keeps successes
 * only, each until its token ends, its issuer's keys change, or others push it
 * out.  Requests share what is kept; an entry that leaves while some live to
 * which it was handed out goes with the last of them.
 */

#include "auth/prov_auth_private.h"
#include "base/prov_rbtree.h"

#include <openssl/err.h>


typedef struct {
    ngx_rbtree_node_t      node;        /* .key: the first bytes of key */
    ngx_queue_t            queue;       /* in cache->recent */
    u_char                 key[PROV_AUTH_CACHE_KEY];
    time_t                 end;         /* "exp" and the issuer's leeway */
    ngx_uint_t             generation;  /* of the issuer's keys */
    prov_auth_identity_t  *identity;    /* behind this struct */
    ngx_uint_t             pools;       /* that it was handed out to */
    unsigned               left:1;      /* the cache; goes with the last */
} prov_auth_cached_t;


struct prov_auth_cache_s {
    ngx_rbtree_t           tree;
    ngx_rbtree_node_t      sentinel;
    ngx_queue_t            recent;      /* the latest used comes first */
    ngx_uint_t             count;
    ngx_uint_t             size;
    ngx_log_t             *log;
    EVP_MD                *sha256;      /* fetched once */
    EVP_MD_CTX            *ctx;
};


static void prov_auth_cache_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_int_t prov_auth_cache_compare(ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *other);
static prov_auth_cached_t *prov_auth_cache_lookup(prov_auth_cache_t *cache,
    u_char *key);
static ngx_rbtree_key_t prov_auth_cache_prefix(u_char *key);
static void prov_auth_cache_remove(prov_auth_cache_t *cache,
    prov_auth_cached_t *entry);
static void prov_auth_cache_release(void *data);
static void prov_auth_cache_cleanup(void *data);


prov_auth_cache_t *
prov_auth_cache_create(ngx_pool_t *pool, ngx_uint_t size)
{
    prov_auth_cache_t   *cache;
    ngx_pool_cleanup_t  *cln;

    cache = ngx_pcalloc(pool, sizeof(prov_auth_cache_t));
    if (cache == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    ngx_rbtree_init(&cache->tree, &cache->sentinel, prov_auth_cache_insert);
    ngx_queue_init(&cache->recent);

    cache->size = size;
    cache->log = pool->log;

    cln->handler = prov_auth_cache_cleanup;
    cln->data = cache;

    cache->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    cache->ctx = EVP_MD_CTX_new();

    if (cache->sha256 == NULL || cache->ctx == NULL) {
        ERR_clear_error();
        return NULL;
    }

    return cache;
}


ngx_uint_t
prov_auth_cache_count(prov_auth_cache_t *cache)
{
    return cache->count;
}


/*
 * The set is part of the key: what one location's issuers vouch for means
 * nothing to another's.  NGX_ERROR: OpenSSL failed, go on without a cache.
 */

ngx_int_t
prov_auth_cache_key(prov_auth_cache_t *cache, prov_auth_set_t *set,
    ngx_str_t *token, u_char *key)
{
    if (EVP_DigestInit_ex2(cache->ctx, cache->sha256, NULL) != 1
        || EVP_DigestUpdate(cache->ctx, &set->id, sizeof(set->id)) != 1
        || EVP_DigestUpdate(cache->ctx, token->data, token->len) != 1
        || EVP_DigestFinal_ex(cache->ctx, key, NULL) != 1)
    {
        ERR_clear_error();
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * NGX_OK: *identity, which stays as long as pool does.  NGX_DECLINED: not
 * known.  NGX_ERROR: memory.
 */

ngx_int_t
prov_auth_cache_find(prov_auth_cache_t *cache, u_char *key, ngx_pool_t *pool,
    prov_auth_identity_t **identity)
{
    ngx_pool_cleanup_t  *cln;
    prov_auth_cached_t  *entry;

    entry = prov_auth_cache_lookup(cache, key);

    if (entry == NULL) {
        return NGX_DECLINED;
    }

    /*
     * The verifier is asked again: it says how the token has ended, or whether
     * the issuer's keys are still the ones that it was verified with.
     */

    if (ngx_time() >= entry->end
        || (entry->identity->issuer->source
            && entry->generation
               != prov_auth_remote_generation(entry->identity->issuer)))
    {
        prov_auth_cache_remove(cache, entry);
        return NGX_DECLINED;
    }

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = prov_auth_cache_release;
    cln->data = entry;
    entry->pools++;

    *identity = entry->identity;

    ngx_queue_remove(&entry->queue);
    ngx_queue_insert_head(&cache->recent, &entry->queue);

    return NGX_OK;
}


/* Without memory, or with too much to remember, the token is not kept. */

void
prov_auth_cache_store(prov_auth_cache_t *cache, u_char *key,
    prov_auth_identity_t *identity)
{
    u_char                told[PROV_AUTH_MAX_CACHED];
    size_t                size;
    ngx_queue_t          *q;
    prov_auth_cached_t   *entry;
    prov_auth_identity_t  kept;

    if (cache->size == 0
        || prov_auth_identity_size(identity) > PROV_AUTH_MAX_CACHED)
    {
        return;
    }

    kept = *identity;

    if (prov_auth_identity_told_len(identity) <= sizeof(told)) {
        kept.told.len = prov_auth_identity_told(told, identity) - told;
        kept.told.data = told;
    }

    size = prov_auth_identity_size(&kept);

    while (cache->count >= cache->size) {
        q = ngx_queue_last(&cache->recent);
        entry = ngx_queue_data(q, prov_auth_cached_t, queue);
        prov_auth_cache_remove(cache, entry);
    }

    entry = ngx_alloc(sizeof(prov_auth_cached_t) + size, cache->log);
    if (entry == NULL) {
        return;
    }

    ngx_memcpy(entry->key, key, PROV_AUTH_CACHE_KEY);

    entry->node.key = prov_auth_cache_prefix(key);
    entry->end = identity->expires + identity->issuer->leeway;
    entry->generation = prov_auth_remote_generation(identity->issuer);
    entry->identity = prov_auth_identity_copy(entry + 1, &kept);
    entry->pools = 0;
    entry->left = 0;

    ngx_rbtree_insert(&cache->tree, &entry->node);
    ngx_queue_insert_head(&cache->recent, &entry->queue);
    cache->count++;
}


static prov_auth_cached_t *
prov_auth_cache_lookup(prov_auth_cache_t *cache, u_char *key)
{
    ngx_int_t            rc;
    ngx_rbtree_key_t     prefix;
    ngx_rbtree_node_t   *node, *sentinel;
    prov_auth_cached_t  *entry;

    prefix = prov_auth_cache_prefix(key);

    node = cache->tree.root;
    sentinel = cache->tree.sentinel;

    while (node != sentinel) {

        if (prefix != node->key) {
            node = (prefix < node->key) ? node->left : node->right;
            continue;
        }

        entry = (prov_auth_cached_t *) node;

        rc = ngx_memcmp(key, entry->key, PROV_AUTH_CACHE_KEY);

        if (rc == 0) {
            return entry;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


static void
prov_auth_cache_insert(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    prov_rbtree_insert(temp, node, sentinel, prov_auth_cache_compare);
}


static ngx_int_t
prov_auth_cache_compare(ngx_rbtree_node_t *node, ngx_rbtree_node_t *other)
{
    return ngx_memcmp(((prov_auth_cached_t *) node)->key,
                      ((prov_auth_cached_t *) other)->key,
                      PROV_AUTH_CACHE_KEY);
}


static ngx_rbtree_key_t
prov_auth_cache_prefix(u_char *key)
{
    ngx_rbtree_key_t  prefix;

    ngx_memcpy(&prefix, key, sizeof(ngx_rbtree_key_t));

    return prefix;
}


static void
prov_auth_cache_remove(prov_auth_cache_t *cache, prov_auth_cached_t *entry)
{
    ngx_queue_remove(&entry->queue);
    ngx_rbtree_delete(&cache->tree, &entry->node);
    cache->count--;

    entry->left = 1;

    if (entry->pools == 0) {
        ngx_free(entry);
    }
}


static void
prov_auth_cache_release(void *data)
{
    prov_auth_cached_t *entry = data;

    entry->pools--;

    if (entry->left && entry->pools == 0) {
        ngx_free(entry);
    }
}


static void
prov_auth_cache_cleanup(void *data)
{
    prov_auth_cache_t *cache = data;

    ngx_queue_t  *q;

    while (!ngx_queue_empty(&cache->recent)) {
        q = ngx_queue_head(&cache->recent);
        prov_auth_cache_remove(cache, ngx_queue_data(q, prov_auth_cached_t,
                                                     queue));
    }

    EVP_MD_CTX_free(cache->ctx);
    EVP_MD_free(cache->sha256);
}
