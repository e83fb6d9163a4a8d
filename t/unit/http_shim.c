/*
 * See http_shim.h.  What is here behaves like its model, for the arguments
 * that src/auth gives it; a request that is released twice, answered after
 * its release or never released is noticed by the sanitizers.
 */

#include "http_shim.h"

#include <ngx_thread_pool.h>


#define ZONES  16


volatile ngx_msec_t            ngx_current_msec = 1000000;
ngx_rbtree_t                   ngx_event_timer_rbtree;
ngx_uint_t                     ngx_process = NGX_PROCESS_WORKER;
ngx_uint_t                     ngx_pagesize = 4096;
ngx_uint_t                     ngx_exiting;

ngx_uint_t                     http_shim_requests;
ngx_uint_t                     http_shim_busy;

static ngx_rbtree_node_t       http_shim_sentinel;
static ngx_queue_t             http_shim_sent;
static ngx_thread_task_t      *http_shim_tasks;
static ngx_shm_zone_t          http_shim_zone[ZONES];
static ngx_uint_t              http_shim_nzones;


static void
http_shim_init(void)
{
    if (http_shim_sent.next == NULL) {
        ngx_queue_init(&http_shim_sent);
        ngx_rbtree_init(&ngx_event_timer_rbtree, &http_shim_sentinel,
                        ngx_rbtree_insert_timer_value);
    }
}


/* the client */


prov_http_request_t *
prov_http_create(void)
{
    prov_http_request_t  *r;

    http_shim_init();

    r = ngx_calloc(sizeof(prov_http_request_t), NULL);

    if (r) {
        r->retry_after = -1;
        ngx_queue_init(&r->queue);
    }

    return r;
}


void
prov_http_submit(prov_http_request_t *r)
{
    http_shim_requests++;
    ngx_queue_insert_tail(&http_shim_sent, &r->queue);
}


void
prov_http_release(prov_http_request_t *r)
{
    ngx_queue_remove(&r->queue);
    free(r->response.data);
    free(r);
}


const char *
prov_http_error_text(prov_http_error_e error)
{
    return (error == PROV_HTTP_TIMEOUT) ? "It took too long." : "It failed.";
}


ngx_int_t
prov_http_url_check(prov_http_conf_t *conf, ngx_str_t *url, const char **why)
{
    if (url->len > 8 && memcmp(url->data, "https://", 8) == 0) {
        return NGX_OK;
    }

    *why = "it must begin with https://";

    return NGX_DECLINED;
}


ngx_int_t
prov_http_url_valid(ngx_str_t *url, const char **why)
{
    return prov_http_url_check(NULL, url, why);
}


ngx_str_t
prov_http_url_shown(ngx_str_t *url)
{
    return *url;
}


ngx_int_t
prov_http_require(ngx_conf_t *cf, prov_http_conf_t **conf, const char *what)
{
    return NGX_OK;
}


ngx_uint_t
http_shim_open(void)
{
    ngx_uint_t    n;
    ngx_queue_t  *q;

    http_shim_init();

    n = 0;

    for (q = ngx_queue_head(&http_shim_sent); q != &http_shim_sent;
         q = ngx_queue_next(q))
    {
        n++;
    }

    return n;
}


prov_http_request_t *
http_shim_request(void)
{
    if (http_shim_open() == 0) {
        return NULL;
    }

    return ngx_queue_data(ngx_queue_head(&http_shim_sent),
                          prov_http_request_t, queue);
}


void
http_shim_answer(prov_http_error_e error, ngx_uint_t status,
    const char *headers, const char *body)
{
    prov_http_request_t  *r;

    r = http_shim_request();

    ngx_queue_remove(&r->queue);
    ngx_queue_init(&r->queue);

    r->error = error;

    if (error == PROV_HTTP_ANSWERED) {
        r->status = status;
        r->response_headers.data = (u_char *) headers;
        r->response_headers.len = strlen(headers);
        r->response.len = strlen(body);
        r->response.data = malloc(r->response.len + 1);
        memcpy(r->response.data, body, r->response.len);
    }

    r->handler(r);
}


/* timers */


void
ngx_rbtree_insert_timer_value(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t  **p;

    for ( ;; ) {
        p = ((ngx_rbtree_key_int_t) (node->key - temp->key) < 0)
            ? &temp->left : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
}


void
http_shim_pass(ngx_msec_t time)
{
    ngx_msec_t          end;
    ngx_event_t        *ev;
    ngx_rbtree_node_t  *node;

    http_shim_init();

    end = ngx_current_msec + time;

    while (ngx_event_timer_rbtree.root != &http_shim_sentinel) {
        node = ngx_rbtree_min(ngx_event_timer_rbtree.root,
                              &http_shim_sentinel);

        if ((ngx_msec_int_t) (node->key - end) > 0) {
            break;
        }

        ev = ngx_rbtree_data(node, ngx_event_t, timer);

        if ((ngx_msec_int_t) (node->key - ngx_current_msec) > 0) {
            ngx_current_msec = node->key;
        }

        ngx_del_timer(ev);
        ev->handler(ev);
        http_shim_threads();
    }

    ngx_current_msec = end;
}


/* threads */


ngx_thread_task_t *
ngx_thread_task_alloc(ngx_pool_t *pool, size_t size)
{
    return ngx_pcalloc(pool, sizeof(ngx_thread_task_t));
}


ngx_int_t
ngx_thread_task_post(ngx_thread_pool_t *tp, ngx_thread_task_t *task)
{
    ngx_thread_task_t  **last;

    if (http_shim_busy) {
        return NGX_ERROR;
    }

    for (last = &http_shim_tasks; *last; last = &(*last)->next) { /* void */ }

    *last = task;

    return NGX_OK;
}


ngx_thread_pool_t *
ngx_thread_pool_add(ngx_conf_t *cf, ngx_str_t *name)
{
    return (ngx_thread_pool_t *) &http_shim_tasks;
}


ngx_uint_t
http_shim_threads(void)
{
    ngx_uint_t          n;
    ngx_thread_task_t  *task;

    for (n = 0; http_shim_tasks; n++) {
        task = http_shim_tasks;
        http_shim_tasks = task->next;

        task->handler(task->ctx, NULL);
        task->event.handler(&task->event);
    }

    return n;
}


void
http_shim_threads_end(void)
{
    for ( /* void */ ; http_shim_tasks;
         http_shim_tasks = http_shim_tasks->next)
    {
        http_shim_tasks->handler(http_shim_tasks->ctx, NULL);
    }
}


/* shared memory */


ngx_shm_zone_t *
ngx_shared_memory_add(ngx_conf_t *cf, ngx_str_t *name, size_t size, void *tag)
{
    ngx_shm_zone_t  *zone;

    if (http_shim_nzones == ZONES) {
        return NULL;
    }

    zone = &http_shim_zone[http_shim_nzones++];
    zone->shm.size = size;

    return zone;
}


void
http_shim_zones(void)
{
    ngx_uint_t        i;
    ngx_slab_pool_t  *slab;

    for (i = 0; i < http_shim_nzones; i++) {

        if (http_shim_zone[i].shm.addr) {
            continue;
        }

        slab = calloc(1, sizeof(ngx_slab_pool_t));
        http_shim_zone[i].shm.addr = (u_char *) slab;

        if (http_shim_zone[i].init(&http_shim_zone[i], NULL) != NGX_OK) {
            abort();
        }
    }
}


void
http_shim_zones_free(void)
{
    ngx_uint_t  i;

    for (i = 0; i < http_shim_nzones; i++) {
        free(http_shim_zone[i].data);
        free(http_shim_zone[i].shm.addr);
    }

    memset(http_shim_zone, 0, sizeof(http_shim_zone));
    http_shim_nzones = 0;
}


void *
ngx_slab_calloc(ngx_slab_pool_t *pool, size_t size)
{
    return calloc(1, size);
}


/* A lock that is taken twice, or left, would stop a worker. */

void
ngx_shmtx_lock(ngx_shmtx_t *mtx)
{
    if (mtx->spin++) {
        abort();
    }
}


void
ngx_shmtx_unlock(ngx_shmtx_t *mtx)
{
    if (--mtx->spin) {
        abort();
    }
}
