/*
 * Drives src/http in a real nginx, for t/outbound*.t: "outbound_test;" in a
 * location has a POST's body say what to send, and answers what has become of
 * it, both as JSON.  It is loaded after the module under test, whose functions
 * it calls, and is no part of it.
 *
 * {"requests": [{"url": …}, …]} sends several at once; "release_after" (ms)
 * in one releases it so much later, and it is answered as {"released": true};
 * with "detached" nobody waits for it, and the log says what has become of it.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <jansson.h>

#include "http/prov_http.h"


#define OUTBOUND_HEADERS   100


typedef struct {
    ngx_http_request_t    *r;
    json_t                *body;
    json_t                *answers;
    prov_http_request_t  **sent;
    ngx_event_t           *timers;
    ngx_uint_t             n;
    ngx_uint_t             left;
} outbound_ctx_t;


typedef struct {
    outbound_ctx_t        *ctx;
    ngx_uint_t             i;
    const char            *headers[OUTBOUND_HEADERS];
} outbound_one_t;


/* one that outlives the request that has asked for it */

typedef struct {
    ngx_queue_t            queue;
    json_t                *body;
    prov_http_request_t   *h;
} outbound_detached_t;


static ngx_queue_t  outbound_detached;


static char *ngx_http_outbound_test(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_outbound_test_handler(ngx_http_request_t *r);
static void ngx_http_outbound_test_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_outbound_test_send(outbound_ctx_t *ctx,
    ngx_uint_t i, json_t *spec);
static void ngx_http_outbound_test_fill(prov_http_request_t *h, json_t *spec);
static ngx_int_t ngx_http_outbound_test_detach(json_t *body, json_t *spec);
static void ngx_http_outbound_test_over(prov_http_request_t *h);
static void ngx_http_outbound_test_done(prov_http_request_t *h);
static void ngx_http_outbound_test_release(ngx_event_t *ev);
static void ngx_http_outbound_test_answer(outbound_ctx_t *ctx);
static void ngx_http_outbound_test_cleanup(void *data);
static ngx_int_t ngx_http_outbound_test_init(ngx_cycle_t *cycle);
static void ngx_http_outbound_test_exit(ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_outbound_test_commands[] = {

    { ngx_string("outbound_test"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_outbound_test,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_outbound_test_module_ctx = {
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};


ngx_module_t  ngx_http_outbound_test_module = {
    NGX_MODULE_V1,
    &ngx_http_outbound_test_module_ctx,
    ngx_http_outbound_test_commands,
    NGX_HTTP_MODULE,
    NULL, NULL, ngx_http_outbound_test_init, NULL, NULL,
    ngx_http_outbound_test_exit, NULL,
    NGX_MODULE_V1_PADDING
};


/* what nginx's configure writes for a dynamic module */

ngx_module_t  *ngx_modules[] = { &ngx_http_outbound_test_module, NULL };
char          *ngx_module_names[] = { "ngx_http_outbound_test_module", NULL };
char          *ngx_module_order[] = { NULL };


static char *
ngx_http_outbound_test(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_outbound_test_handler;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_outbound_test_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_read_client_request_body(r, ngx_http_outbound_test_body);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


static void
ngx_http_outbound_test_body(ngx_http_request_t *r)
{
    size_t               len;
    u_char              *p, *text;
    json_t              *list;
    ngx_uint_t           i;
    ngx_chain_t         *cl;
    outbound_ctx_t      *ctx;
    ngx_pool_cleanup_t  *cln;

    ctx = ngx_pcalloc(r->pool, sizeof(outbound_ctx_t));
    cln = ngx_pool_cleanup_add(r->pool, 0);

    /* client_body_buffer_size has room for all of it */

    for (cl = r->request_body->bufs, len = 0; cl; cl = cl->next) {
        len += cl->buf->last - cl->buf->pos;
    }

    text = ngx_pnalloc(r->pool, len);

    for (cl = r->request_body->bufs, p = text; cl; cl = cl->next) {
        p = ngx_cpymem(p, cl->buf->pos, cl->buf->last - cl->buf->pos);
    }

    ctx->r = r;
    ctx->body = json_loadb((char *) text, len, 0, NULL);
    ctx->answers = json_array();

    cln->handler = ngx_http_outbound_test_cleanup;
    cln->data = ctx;

    /* a client that goes away is noticed */
    r->read_event_handler = ngx_http_test_reading;

    list = json_object_get(ctx->body, "requests");
    ctx->n = json_array_size(list);
    ctx->left = ctx->n;
    ctx->sent = ngx_pcalloc(r->pool, ctx->n * sizeof(void *));
    ctx->timers = ngx_pcalloc(r->pool, ctx->n * sizeof(ngx_event_t));

    for (i = 0; i < ctx->n; i++) {
        json_array_append_new(ctx->answers, json_object());

        if (ngx_http_outbound_test_send(ctx, i, json_array_get(list, i))
            != NGX_OK)
        {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }
    }

    if (ctx->n == 0) {
        ngx_http_finalize_request(r, NGX_HTTP_BAD_REQUEST);
    }
}


static ngx_int_t
ngx_http_outbound_test_send(outbound_ctx_t *ctx, ngx_uint_t i, json_t *spec)
{
    size_t                k;
    json_t               *v, *headers;
    outbound_one_t       *one;
    prov_http_request_t  *h;

    if (json_is_true(json_object_get(spec, "detached"))) {

        if (ngx_http_outbound_test_detach(ctx->body, spec) != NGX_OK) {
            return NGX_ERROR;
        }

        if (--ctx->left == 0) {
            ngx_http_outbound_test_answer(ctx);
        }

        return NGX_OK;
    }

    one = ngx_pcalloc(ctx->r->pool, sizeof(outbound_one_t));
    h = prov_http_create();

    if (one == NULL || h == NULL) {
        return NGX_ERROR;
    }

    ctx->sent[i] = h;
    one->ctx = ctx;
    one->i = i;

    headers = json_object_get(spec, "headers");

    json_array_foreach(headers, k, v) {
        if (h->nheaders < OUTBOUND_HEADERS) {
            one->headers[h->nheaders++] = json_string_value(v);
        }
    }

    ngx_http_outbound_test_fill(h, spec);

    h->headers = one->headers;
    h->handler = ngx_http_outbound_test_done;
    h->data = one;
    h->log = ctx->r->connection->log;

    prov_http_submit(h);

    v = json_object_get(spec, "release_after");

    if (v) {
        ctx->timers[i].handler = ngx_http_outbound_test_release;
        ctx->timers[i].data = one;
        ctx->timers[i].log = ctx->r->connection->log;

        if (json_integer_value(v) == 0) {
            ngx_http_outbound_test_release(&ctx->timers[i]);

        } else {
            ngx_add_timer(&ctx->timers[i], json_integer_value(v));
        }
    }

    return NGX_OK;
}


static void
ngx_http_outbound_test_fill(prov_http_request_t *h, json_t *spec)
{
    json_t  *v;

    v = json_object_get(spec, "method");
    h->method = v ? json_string_value(v) : "POST";
    h->url = json_string_value(json_object_get(spec, "url"));

    v = json_object_get(spec, "body");

    if (v) {
        h->body.data = (u_char *) json_string_value(v);
        h->body.len = json_string_length(v);
    }

    h->scope = json_string_value(json_object_get(spec, "scope"));
    h->timeout = json_integer_value(json_object_get(spec, "timeout"));
    h->max_response = json_integer_value(json_object_get(spec,
                                                         "max_response"));
    h->cut = json_is_true(json_object_get(spec, "cut"));
    h->background = json_is_true(json_object_get(spec, "background"));
}


static ngx_int_t
ngx_http_outbound_test_detach(json_t *body, json_t *spec)
{
    outbound_detached_t  *d;

    d = ngx_calloc(sizeof(outbound_detached_t), ngx_cycle->log);
    if (d == NULL) {
        return NGX_ERROR;
    }

    d->h = prov_http_create();
    if (d->h == NULL) {
        ngx_free(d);
        return NGX_ERROR;
    }

    d->body = json_incref(body);

    ngx_http_outbound_test_fill(d->h, spec);

    d->h->handler = ngx_http_outbound_test_over;
    d->h->data = d;
    d->h->log = ngx_cycle->log;

    ngx_queue_insert_tail(&outbound_detached, &d->queue);
    prov_http_submit(d->h);

    return NGX_OK;
}


static void
ngx_http_outbound_test_over(prov_http_request_t *h)
{
    outbound_detached_t  *d;

    d = h->data;

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "detached: %s %d %ui %s", h->url, (int) h->error, h->status,
                  h->message);

    ngx_queue_remove(&d->queue);
    prov_http_release(h);
    json_decref(d->body);
    ngx_free(d);
}


static ngx_int_t
ngx_http_outbound_test_init(ngx_cycle_t *cycle)
{
    ngx_queue_init(&outbound_detached);

    return NGX_OK;
}


/* the client has ended before: nobody was called */

static void
ngx_http_outbound_test_exit(ngx_cycle_t *cycle)
{
    ngx_queue_t          *queue;
    outbound_detached_t  *d;

    while (!ngx_queue_empty(&outbound_detached)) {
        queue = ngx_queue_head(&outbound_detached);
        d = ngx_queue_data(queue, outbound_detached_t, queue);

        ngx_queue_remove(queue);
        prov_http_release(d->h);
        json_decref(d->body);
        ngx_free(d);
    }
}


static void
ngx_http_outbound_test_done(prov_http_request_t *h)
{
    json_t          *answer;
    outbound_ctx_t  *ctx;
    outbound_one_t  *one;

    one = h->data;
    ctx = one->ctx;
    answer = json_array_get(ctx->answers, one->i);

    if (ctx->timers[one->i].timer_set) {
        ngx_del_timer(&ctx->timers[one->i]);
    }

#define outbound_set(name, value)                                             \
    json_object_set_new(answer, name, value)

    outbound_set("error", json_integer(h->error));
    outbound_set("text", json_string(prov_http_error_text(h->error)));
    outbound_set("message", json_string(h->message));
    outbound_set("status", json_integer(h->status));
    outbound_set("duration", json_integer(h->duration));
    outbound_set("retry_after", json_integer(h->retry_after));
    outbound_set("headers", json_stringn((char *) h->response_headers.data,
                                         h->response_headers.len));
    outbound_set("length", json_integer(h->response.len));
    outbound_set("body", json_stringn((char *) h->response.data,
                                      ngx_min(h->response.len, 1024)));

    prov_http_release(h);
    ctx->sent[one->i] = NULL;

    if (--ctx->left == 0) {
        ngx_http_outbound_test_answer(ctx);
    }
}


static void
ngx_http_outbound_test_release(ngx_event_t *ev)
{
    outbound_ctx_t  *ctx;
    outbound_one_t  *one;

    one = ev->data;
    ctx = one->ctx;

    prov_http_release(ctx->sent[one->i]);
    ctx->sent[one->i] = NULL;

    json_object_set_new(json_array_get(ctx->answers, one->i), "released",
                        json_true());

    if (--ctx->left == 0) {
        ngx_http_outbound_test_answer(ctx);
    }
}


static void
ngx_http_outbound_test_answer(outbound_ctx_t *ctx)
{
    char                *text;
    ngx_buf_t           *b;
    ngx_int_t            rc;
    ngx_chain_t          out;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->r;
    c = r->connection;

    text = json_dumps(ctx->answers, JSON_COMPACT);
    b = ngx_create_temp_buf(r->pool, ngx_strlen(text));
    b->last = ngx_cpymem(b->last, text, ngx_strlen(text));
    b->last_buf = 1;
    free(text);

    out.buf = b;
    out.next = NULL;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = b->last - b->pos;
    ngx_str_set(&r->headers_out.content_type, "application/json");

    rc = ngx_http_send_header(r);

    if (rc == NGX_OK) {
        rc = ngx_http_output_filter(r, &out);
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


/* also of a client that has gone */

static void
ngx_http_outbound_test_cleanup(void *data)
{
    ngx_uint_t       i;
    outbound_ctx_t  *ctx;

    ctx = data;

    for (i = 0; i < ctx->n; i++) {
        if (ctx->timers[i].timer_set) {
            ngx_del_timer(&ctx->timers[i]);
        }

        if (ctx->sent[i]) {
            prov_http_release(ctx->sent[i]);
        }
    }

    json_decref(ctx->body);
    json_decref(ctx->answers);
}
