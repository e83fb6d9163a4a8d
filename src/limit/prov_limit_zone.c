/*
 * Buckets in shared memory: found in a tree by their key, forgotten in the
 * order in which they were last used when there is no room for another.  All
 * are of one size, so forgetting one always makes room for one.  The mutex is
 * held for a look-up and the arithmetic, never for anything that waits.
 */

#include "limit/prov_limit.h"
#include "base/prov_rbtree.h"


/* what the log has been told, once since the zone was made or reloaded */
#define PROV_LIMIT_TOLD_FULL    1
#define PROV_LIMIT_TOLD_MEMORY  2


typedef struct {
    ngx_rbtree_node_t      node;      /* first; its key is the start of ours */
    ngx_queue_t            queue;
    prov_limit_bucket_t    bucket;
    u_char                 key[PROV_LIMIT_KEY];
} prov_limit_node_t;


struct prov_limit_shared_s {
    ngx_rbtree_t           tree;
    ngx_rbtree_node_t      sentinel;
    ngx_queue_t            used;      /* the least recently used comes last */
    ngx_uint_t             told;      /* mask of PROV_LIMIT_TOLD_… */
};


static prov_limit_node_t *prov_limit_find(prov_limit_zone_t *zone,
    u_char *key);
static prov_limit_node_t *prov_limit_add(prov_limit_zone_t *zone, u_char *key,
    ngx_uint_t *news);
static ngx_uint_t prov_limit_forget(prov_limit_zone_t *zone);
static void prov_limit_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_int_t prov_limit_compare(ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *other);
static void prov_limit_tell(prov_limit_zone_t *zone, ngx_uint_t news);


ngx_int_t
prov_limit_take(prov_limit_zone_t *zone, u_char *key, prov_limit_room_t *room)
{
    ngx_int_t           rc;
    ngx_uint_t          news;
    prov_limit_node_t  *ln;

    rc = NGX_DECLINED;
    news = 0;

    ngx_shmtx_lock(&zone->slab->mutex);

    ln = prov_limit_find(zone, key);

    if (ln == NULL) {
        ln = prov_limit_add(zone, key, &news);
    }

    if (ln) {
        rc = prov_limit_bucket_take(&ln->bucket, &zone->rate,
                                    ngx_current_msec);
        prov_limit_bucket_room(&ln->bucket, &zone->rate, room);
    }

    ngx_shmtx_unlock(&zone->slab->mutex);

    prov_limit_tell(zone, news);

    return rc;
}


/* A bucket that was forgotten meanwhile has nothing to be given back. */

void
prov_limit_give(prov_limit_zone_t *zone, u_char *key, prov_limit_room_t *room)
{
    prov_limit_node_t  *ln;

    ngx_shmtx_lock(&zone->slab->mutex);

    ln = prov_limit_find(zone, key);

    if (ln) {
        prov_limit_bucket_give(&ln->bucket, &zone->rate, ngx_current_msec);
        prov_limit_bucket_room(&ln->bucket, &zone->rate, room);
    }

    ngx_shmtx_unlock(&zone->slab->mutex);
}


static prov_limit_node_t *
prov_limit_find(prov_limit_zone_t *zone, u_char *key)
{
    ngx_int_t             rc;
    ngx_rbtree_key_t      hash;
    ngx_rbtree_node_t    *node, *sentinel;
    prov_limit_node_t    *ln;
    prov_limit_shared_t  *shared;

    shared = zone->shared;
    ngx_memcpy(&hash, key, sizeof(hash));

    node = shared->tree.root;
    sentinel = shared->tree.sentinel;

    while (node != sentinel) {

        if (hash != node->key) {
            node = (hash < node->key) ? node->left : node->right;
            continue;
        }

        ln = (prov_limit_node_t *) node;
        rc = ngx_memcmp(key, ln->key, PROV_LIMIT_KEY);

        if (rc == 0) {
            ngx_queue_remove(&ln->queue);
            ngx_queue_insert_head(&shared->used, &ln->queue);

            return ln;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


static prov_limit_node_t *
prov_limit_add(prov_limit_zone_t *zone, u_char *key, ngx_uint_t *news)
{
    prov_limit_node_t    *ln;
    prov_limit_shared_t  *shared;

    shared = zone->shared;

    ln = ngx_slab_alloc_locked(zone->slab, sizeof(prov_limit_node_t));

    if (ln == NULL) {
        *news = prov_limit_forget(zone);

        ln = ngx_slab_alloc_locked(zone->slab, sizeof(prov_limit_node_t));
    }

    if (ln == NULL) {
        *news = PROV_LIMIT_TOLD_MEMORY;
    }

    /* what was told already is no news */

    *news &= ~shared->told;
    shared->told |= *news;

    if (ln == NULL) {
        return NULL;
    }

    ngx_memcpy(&ln->node.key, key, sizeof(ln->node.key));
    ngx_memcpy(ln->key, key, PROV_LIMIT_KEY);
    ln->bucket.spent = 0;
    ln->bucket.last = ngx_current_msec;

    ngx_rbtree_insert(&shared->tree, &ln->node);
    ngx_queue_insert_head(&shared->used, &ln->queue);

    return ln;
}


/*
 * Forgets the bucket that nobody has used for longest.  Worth telling when it
 * was not whole again, since its owner then gets more than is due.
 */

static ngx_uint_t
prov_limit_forget(prov_limit_zone_t *zone)
{
    ngx_uint_t            news;
    ngx_queue_t          *q;
    prov_limit_node_t    *ln;
    prov_limit_shared_t  *shared;

    shared = zone->shared;

    if (ngx_queue_empty(&shared->used)) {
        return 0;
    }

    q = ngx_queue_last(&shared->used);
    ln = ngx_queue_data(q, prov_limit_node_t, queue);

    prov_limit_bucket_refill(&ln->bucket, &zone->rate, ngx_current_msec);
    news = ln->bucket.spent ? PROV_LIMIT_TOLD_FULL : 0;

    ngx_queue_remove(&ln->queue);
    ngx_rbtree_delete(&shared->tree, &ln->node);
    ngx_slab_free_locked(zone->slab, ln);

    return news;
}


static void
prov_limit_insert(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    prov_rbtree_insert(temp, node, sentinel, prov_limit_compare);
}


static ngx_int_t
prov_limit_compare(ngx_rbtree_node_t *node, ngx_rbtree_node_t *other)
{
    return ngx_memcmp(((prov_limit_node_t *) node)->key,
                      ((prov_limit_node_t *) other)->key, PROV_LIMIT_KEY);
}


static void
prov_limit_tell(prov_limit_zone_t *zone, ngx_uint_t news)
{
    if (news & PROV_LIMIT_TOLD_FULL) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "provisioning_limit_zone \"%V\" is full: who was not "
                      "seen for longest is forgotten, and begins with a whole "
                      "burst again; give the zone more than %uz bytes",
                      &zone->name, zone->shm->shm.size);
    }

    if (news & PROV_LIMIT_TOLD_MEMORY) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "provisioning_limit_zone \"%V\" has no memory for a "
                      "single bucket: requests are let through uncounted",
                      &zone->name);
    }
}


/* A reload with the same name and size goes on with what is there. */

ngx_int_t
prov_limit_zone_init(ngx_shm_zone_t *shm, void *data)
{
    prov_limit_zone_t *old = data;

    size_t              len;
    prov_limit_zone_t  *zone;

    zone = shm->data;

    if (old) {
        zone->slab = old->slab;
        zone->shared = old->shared;
        zone->shared->told = 0;
        return NGX_OK;
    }

    zone->slab = (ngx_slab_pool_t *) shm->shm.addr;

    if (shm->shm.exists) {
        zone->shared = zone->slab->data;
        return NGX_OK;
    }

    zone->shared = ngx_slab_calloc(zone->slab, sizeof(prov_limit_shared_t));
    if (zone->shared == NULL) {
        return NGX_ERROR;
    }

    zone->slab->data = zone->shared;

    ngx_rbtree_init(&zone->shared->tree, &zone->shared->sentinel,
                    prov_limit_insert);
    ngx_queue_init(&zone->shared->used);

    len = sizeof(" in provisioning_limit_zone \"\"") + zone->name.len;

    zone->slab->log_ctx = ngx_slab_alloc(zone->slab, len);
    if (zone->slab->log_ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(zone->slab->log_ctx, " in provisioning_limit_zone \"%V\"%Z",
                &zone->name);

    /* that it is full is told in our own words */

    zone->slab->log_nomem = 0;

    return NGX_OK;
}
