/*
 * A piece of a request's work that a thread of nginx's does, so that it does
 * not hold the worker up.  Touches the request from the worker's own thread
 * only; the request may be terminated meanwhile, but is not freed.
 */

#include "request/prov_request.h"


#if (NGX_THREADS)

#include <ngx_thread_pool.h>


/* A worker that is told to leave waits for timers, and for no thread; ms */
#define PROV_TASK_HOLD  60000


typedef struct {
    ngx_http_request_t     *request;
    void                  (*work)(void *data);
    void                   *data;
    void                  (*resume)(ngx_http_request_t *r);
} prov_request_task_t;


static void prov_request_task_thread(void *data, ngx_log_t *log);
static void prov_request_task_done(ngx_event_t *ev);
static void prov_request_task_wait(ngx_http_request_t *r);


ngx_int_t
prov_request_task(ngx_http_request_t *r, void *threads,
    void (*work)(void *data), void *data,
    void (*resume)(ngx_http_request_t *r))
{
    ngx_thread_task_t    *task;
    prov_request_task_t  *ctx;

    task = ngx_thread_task_alloc(r->pool, sizeof(prov_request_task_t));
    if (task == NULL) {
        return NGX_ERROR;
    }

    ctx = task->ctx;

    ctx->request = r;
    ctx->work = work;
    ctx->data = data;
    ctx->resume = resume;

    task->handler = prov_request_task_thread;
    task->event.data = ctx;
    task->event.handler = prov_request_task_done;
    task->event.log = ngx_cycle->log;

    if (ngx_thread_task_post(threads, task) != NGX_OK) {
        /* the thread pool's queue is full, and has said so in the log */
        return NGX_BUSY;
    }

    ngx_add_timer(&task->event, PROV_TASK_HOLD);

    r->main->blocked++;
    r->aio = 1;
    r->write_event_handler = prov_request_task_wait;

    return NGX_AGAIN;
}


static void
prov_request_task_thread(void *data, ngx_log_t *log)
{
    prov_request_task_t *ctx = data;

    ctx->work(ctx->data);
}


static void
prov_request_task_done(ngx_event_t *ev)
{
    ngx_connection_t     *c;
    ngx_http_request_t   *r;
    prov_request_task_t  *ctx;

    if (ev->timedout) {
        ev->timedout = 0;
        ngx_add_timer(ev, PROV_TASK_HOLD);
        return;
    }

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    ctx = ev->data;
    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    r->main->blocked--;
    r->aio = 0;

    if (r->write_event_handler != prov_request_task_wait) {
        /* terminated meanwhile; its handler goes on with that */
        c->write->handler(c->write);
        return;
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    ctx->resume(r);

    ngx_http_run_posted_requests(c);
}


/* its address says that nobody has terminated the request */

static void
prov_request_task_wait(ngx_http_request_t *r)
{
}

#endif
