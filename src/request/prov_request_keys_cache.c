/*
 * The entries of a worker's memory of API keys: found by a tree, kept on
 * three lists.  Those that are there and those that are not are bounded each
 * on its own, so that who makes up keys pushes out nothing but his own.
 */

#include "request/prov_request_keys_entry.h"
#include "base/prov_rbtree.h"


/* keys remembered, good ones (about 1 KiB each) and ones that are not there */
#define PROV_KEYS_KNOWN    4096
#define PROV_KEYS_ABSENT   1024


static ngx_int_t prov_keys_compare(prov_keys_entry_t *entry,
    prov_request_keys_t *keys, u_char *id);
static void prov_keys_insert(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel);
static ngx_int_t prov_keys_order(ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *other);


prov_keys_cache_t  prov_keys;


ngx_int_t
prov_request_keys_init_worker(ngx_cycle_t *cycle)
{
    ngx_memzero(&prov_keys, sizeof(prov_keys_cache_t));

    ngx_rbtree_init(&prov_keys.tree, &prov_keys.sentinel, prov_keys_insert);
    ngx_queue_init(&prov_keys.known);
    ngx_queue_init(&prov_keys.absent);
    ngx_queue_init(&prov_keys.asking);

    prov_keys.ration = PROV_KEYS_RATION;
    prov_keys.rationed = ngx_current_msec;

    return NGX_OK;
}


/* Before the pools leave: what is under way is theirs then. */

void
prov_request_keys_exit_worker(void)
{
    ngx_rbtree_node_t  *node;

    if (prov_keys.tree.root == NULL) {
        return;
    }

    while (prov_keys.tree.root != &prov_keys.sentinel) {
        node = ngx_rbtree_min(prov_keys.tree.root, &prov_keys.sentinel);

        prov_keys_leave((prov_keys_entry_t *) node);
        prov_keys_remove((prov_keys_entry_t *) node);
    }
}


prov_keys_entry_t *
prov_keys_lookup(prov_request_keys_t *keys, u_char *id)
{
    ngx_int_t           rc;
    ngx_rbtree_key_t    hash;
    ngx_rbtree_node_t  *node;

    hash = ngx_murmur_hash2(id, PROV_AUTH_APIKEY_ID);
    node = prov_keys.tree.root;

    while (node != &prov_keys.sentinel) {

        if (hash != node->key) {
            node = (hash < node->key) ? node->left : node->right;
            continue;
        }

        rc = prov_keys_compare((prov_keys_entry_t *) node, keys, id);

        if (rc == 0) {
            return (prov_keys_entry_t *) node;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


static ngx_int_t
prov_keys_compare(prov_keys_entry_t *entry, prov_request_keys_t *keys,
    u_char *id)
{
    if (keys != entry->keys) {
        return (keys < entry->keys) ? -1 : 1;
    }

    return ngx_memcmp(id, entry->id, PROV_AUTH_APIKEY_ID);
}


static void
prov_keys_insert(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    prov_rbtree_insert(temp, node, sentinel, prov_keys_order);
}


static ngx_int_t
prov_keys_order(ngx_rbtree_node_t *node, ngx_rbtree_node_t *other)
{
    prov_keys_entry_t  *entry;

    entry = (prov_keys_entry_t *) node;

    return prov_keys_compare((prov_keys_entry_t *) other, entry->keys,
                             entry->id);
}


prov_keys_entry_t *
prov_keys_create(prov_request_keys_t *keys, u_char *id)
{
    prov_keys_entry_t  *entry;

    entry = ngx_calloc(sizeof(prov_keys_entry_t), ngx_cycle->log);
    if (entry == NULL) {
        return NULL;
    }

    entry->keys = keys;
    entry->node.key = ngx_murmur_hash2(id, PROV_AUTH_APIKEY_ID);
    ngx_memcpy(entry->id, id, PROV_AUTH_APIKEY_ID);

    *ngx_sprintf(entry->find, "{\"key\":\"%*s\"}",
                 (size_t) PROV_AUTH_APIKEY_ID, id) = '\0';

    ngx_queue_init(&entry->waiting);
    ngx_queue_init(&entry->queue);

    ngx_rbtree_insert(&prov_keys.tree, &entry->node);

    return entry;
}


/* From the list of those that are asked for to one that is remembered. */

void
prov_keys_settle(prov_keys_entry_t *entry, ngx_int_t rc)
{
    ngx_queue_t        *list, *last;
    ngx_uint_t         *n, max;
    prov_keys_entry_t  *old;

    ngx_queue_remove(&entry->queue);
    ngx_queue_init(&entry->queue);

    if (rc == NGX_ERROR && entry->key == NULL) {
        return;
    }

    if (entry->key) {
        list = &prov_keys.known;
        n = &prov_keys.nknown;
        max = PROV_KEYS_KNOWN;

    } else {
        list = &prov_keys.absent;
        n = &prov_keys.nabsent;
        max = PROV_KEYS_ABSENT;
    }

    while (*n >= max) {
        last = ngx_queue_last(list);
        old = ngx_queue_data(last, prov_keys_entry_t, queue);

        prov_keys_leave(old);
        prov_keys_remove(old);
    }

    ngx_queue_insert_head(list, &entry->queue);
    (*n)++;
}


/* Takes an entry off its list. */

void
prov_keys_leave(prov_keys_entry_t *entry)
{
    if (ngx_queue_empty(&entry->queue)) {
        return;
    }

    ngx_queue_remove(&entry->queue);
    ngx_queue_init(&entry->queue);

    if (entry->query) {
        return;
    }

    if (entry->key) {
        prov_keys.nknown--;

    } else {
        prov_keys.nabsent--;
    }
}


/* Frees an entry that is on no list, and that nobody waits for. */

void
prov_keys_remove(prov_keys_entry_t *entry)
{
    ngx_rbtree_delete(&prov_keys.tree, &entry->node);

    if (entry->query) {
        prov_db_release(entry->query);
    }

    if (entry->use) {
        prov_db_release(entry->use);
    }

    if (entry->key) {
        ngx_free(entry->key);
    }

    ngx_free(entry);
}


/* 1 when one more question may be asked that anybody could have provoked. */

ngx_uint_t
prov_keys_ration(void)
{
    ngx_msec_t  passed;

    passed = ngx_current_msec - prov_keys.rationed;
    prov_keys.rationed = ngx_current_msec;

    prov_keys.ration = (passed >= PROV_KEYS_RATION)
                       ? PROV_KEYS_RATION
                       : ngx_min(prov_keys.ration + passed,
                                 PROV_KEYS_RATION);

    if (prov_keys.ration == 0) {
        return 0;
    }

    prov_keys.ration--;

    return 1;
}
