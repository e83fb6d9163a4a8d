/*
 * A fetched document and the keys in it.  Reading it costs some twenty
 * microseconds a key, which a thread of nginx's pool "default" has and the
 * worker has not; until it is done nobody else touches the keyset.  Called by
 * prov_auth_remote.c.
 */

#include "auth/prov_auth_remote.h"

#if (NGX_THREADS)
#include <ngx_thread_pool.h>
#endif


static ngx_int_t prov_auth_keyset_narrow(prov_auth_keyset_t *keyset);

#if (NGX_THREADS)
static void prov_auth_keyset_thread(void *data, ngx_log_t *log);
static void prov_auth_keyset_done(ngx_event_t *ev);
#else
static void prov_auth_keyset_turn(ngx_event_t *ev);
#endif


prov_auth_keyset_t *
prov_auth_keyset_create(prov_auth_issuer_t *issuer, u_char *text, size_t len)
{
    ngx_pool_t          *pool;
    prov_auth_keyset_t  *keyset;

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    keyset = ngx_pcalloc(pool, sizeof(prov_auth_keyset_t));
    if (keyset == NULL) {
        goto failed;
    }

    keyset->pool = pool;
    keyset->url = issuer->source->url;
    keyset->algorithms = issuer->algorithms;
    keyset->rc = NGX_ERROR;

    keyset->text.len = len;
    keyset->text.data = ngx_pnalloc(pool, len + 1);

    keyset->loader.pool = pool;
    keyset->loader.keys = &keyset->keys;
    keyset->loader.remarks = ngx_array_create(pool, 4, sizeof(ngx_str_t));
    keyset->loader.fetched = 1;

    if (keyset->text.data == NULL || keyset->loader.remarks == NULL
        || ngx_array_init(&keyset->keys, pool, 4, sizeof(prov_auth_key_t))
           != NGX_OK)
    {
        goto failed;
    }

    if (text) {
        ngx_memcpy(keyset->text.data, text, len);
    }

    return keyset;

failed:

    ngx_destroy_pool(pool);

    return NULL;
}


void
prov_auth_keyset_free(prov_auth_keyset_t *keyset)
{
    ngx_uint_t        i;
    prov_auth_key_t  *key;

    if (keyset->event.posted) {
        ngx_delete_posted_event(&keyset->event);
    }

    key = keyset->keys.elts;

    for (i = 0; i < keyset->keys.nelts; i++) {
        prov_auth_key_free(&key[i]);
    }

    ngx_destroy_pool(keyset->pool);
}


/* in any thread */

ngx_int_t
prov_auth_keyset_read(prov_auth_keyset_t *keyset)
{
    keyset->rc = prov_auth_jwks_read(&keyset->loader, &keyset->url,
                                     &keyset->text);

    if (keyset->rc == NGX_OK) {
        keyset->rc = prov_auth_keyset_narrow(keyset);
    }

    return keyset->rc;
}


/* Leaves each key only what the issuer's "algorithms" have. */

static ngx_int_t
prov_auth_keyset_narrow(prov_auth_keyset_t *keyset)
{
    u_char           *text;
    ngx_str_t         can, *remark;
    ngx_uint_t        i, used;
    prov_auth_key_t  *key;

    used = 0;
    key = keyset->keys.elts;

    for (i = 0; i < keyset->keys.nelts; i++) {

        if (key[i].algorithms & keyset->algorithms) {
            key[i].algorithms &= keyset->algorithms;
            used |= key[i].algorithms;
            continue;
        }

        can = prov_auth_alg_names(keyset->pool, key[i].algorithms);
        text = ngx_pnalloc(keyset->pool,
                           sizeof(": key not used: it does , which is not "
                                  "among the issuer's algorithms")
                           + key[i].source.len + can.len);
        remark = ngx_array_push(keyset->loader.remarks);

        if (can.data == NULL || text == NULL || remark == NULL) {
            return NGX_ERROR;
        }

        remark->data = text;
        remark->len = ngx_sprintf(text, "%V: key not used: it does %V, which "
                                  "is not among the issuer's algorithms",
                                  &key[i].source, &can)
                      - text;

        key[i].algorithms = 0;
    }

    return used ? NGX_OK
                : prov_auth_fault(&keyset->loader, "none of the keys in this "
                                  "set does any of the issuer's algorithms");
}


#if (NGX_THREADS)

ngx_int_t
prov_auth_keyset_load(prov_auth_keyset_t *keyset, void *threads)
{
    ngx_thread_task_t  *task;

    task = ngx_thread_task_alloc(keyset->pool, 0);
    if (task == NULL) {
        return NGX_ERROR;
    }

    task->ctx = keyset;
    task->handler = prov_auth_keyset_thread;
    task->event.data = keyset;
    task->event.handler = prov_auth_keyset_done;
    task->event.log = ngx_cycle->log;

    return ngx_thread_task_post(threads, task);
}


static void
prov_auth_keyset_thread(void *data, ngx_log_t *log)
{
    (void) prov_auth_keyset_read(data);
}


static void
prov_auth_keyset_done(ngx_event_t *ev)
{
    prov_auth_keyset_t *keyset = ev->data;

    keyset->handler(keyset);
}

#else

/* The handler is never called from within: the worker reads a turn later. */

ngx_int_t
prov_auth_keyset_load(prov_auth_keyset_t *keyset, void *threads)
{
    keyset->event.data = keyset;
    keyset->event.handler = prov_auth_keyset_turn;
    keyset->event.log = ngx_cycle->log;

    ngx_post_event(&keyset->event, &ngx_posted_events);

    return NGX_OK;
}


static void
prov_auth_keyset_turn(ngx_event_t *ev)
{
    prov_auth_keyset_t *keyset = ev->data;

    (void) prov_auth_keyset_read(keyset);

    keyset->handler(keyset);
}

#endif
