/*
 * Responses of any length, for operations with "x-stream": the function makes
 * one chunk of text at a time and says where the next begins.  It is asked for
 * the next one when the client has taken the last, so that a stream holds one
 * chunk and, while a client reads slowly, no connection to the database.
 */

#include "request/prov_request.h"
#include "base/prov_json_write.h"


/* of a page's name, which the function makes up and the engine gives back */
#define PROV_STREAM_PAGE  512


struct prov_request_stream_s {
    ngx_str_t      ctx;        /* the statement's first argument, without a
                                  page and the bracket at its end */
    json_t        *text;       /* the chunk that is on its way, or NULL */
    ngx_chain_t   *free;
    ngx_chain_t   *busy;
    size_t         len;        /* of page; 0: there is no next one */
    u_char         page[PROV_STREAM_PAGE];
    unsigned       started:1;  /* the header has been sent */
};


static ngx_int_t prov_stream_create(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);
static void prov_stream_cleanup(void *data);
static ngx_int_t prov_stream_page(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, PGresult *result);
static ngx_int_t prov_stream_headers(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, PGresult *result);
static ngx_int_t prov_stream_header(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, const char *name, json_t *value);
static ngx_int_t prov_stream_start(ngx_http_request_t *r);
static ngx_int_t prov_stream_send(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);
static ngx_int_t prov_stream_flush(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_chain_t *out);
static ngx_int_t prov_stream_next(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);
static void prov_stream_write(ngx_http_request_t *r);
static ngx_int_t prov_stream_broken(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, const char *what);


/*
 * The answer to a page.  NGX_DONE: the request goes on; else what to finalize
 * it with.  Before the header is sent, a failure is a problem as any other.
 */

ngx_int_t
prov_request_stream(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    PGresult *result)
{
    ngx_int_t  status;

    if (ctx->stream == NULL && prov_stream_create(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    status = NGX_ERROR;

    if (PQntuples(result) == 1 && PQnfields(result) == 3) {
        status = ngx_atoi((u_char *) PQgetvalue(result, 0, 0),
                          PQgetlength(result, 0, 0));
    }

    if (status != NGX_HTTP_OK) {

        if (ctx->stream->started) {
            return prov_stream_broken(r, ctx, "another page, status 200");
        }

        if (status >= NGX_HTTP_OK && status < NGX_HTTP_BAD_REQUEST) {
            return prov_stream_broken(r, ctx, "the status 200 or an error");
        }

        return prov_request_respond(r, ctx, result);
    }

    return prov_stream_page(r, ctx, result);
}


/* 1 when a response has begun, so that it can only break off */

ngx_uint_t
prov_request_streaming(prov_request_ctx_t *ctx)
{
    return ctx->stream && ctx->stream->started;
}


/*
 * Ends a response that has begun and cannot be completed: the client must
 * see that it is not whole.  A last chunk (HTTP/1.1) or the stream's end
 * (HTTP/2) is what it then misses; HTTP/1.0 only knows the connection's end,
 * so that it is reset.
 */

ngx_int_t
prov_request_stream_abort(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    const char *why)
{
    struct linger  linger;

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "the response to \"%V\" is broken off: %s",
                  &ctx->operation->id, why);

    if (r->http_version < NGX_HTTP_VERSION_11) {
        linger.l_onoff = 1;
        linger.l_linger = 0;

        if (setsockopt(r->connection->fd, SOL_SOCKET, SO_LINGER,
                       (const void *) &linger, sizeof(struct linger))
            == -1)
        {
            ngx_log_error(NGX_LOG_ALERT, r->connection->log,
                          ngx_socket_errno, "setsockopt(SO_LINGER) failed");
        }
    }

    return NGX_ERROR;
}


static ngx_int_t
prov_stream_create(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    ngx_pool_cleanup_t     *cln;
    prov_request_stream_t  *stream;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(prov_request_stream_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    stream = cln->data;
    ngx_memzero(stream, sizeof(prov_request_stream_t));

    stream->ctx = ctx->args[0];
    stream->ctx.len--;

    /* one buffer for all pages to come */

    ctx->args[0].data = ngx_pnalloc(r->pool, stream->ctx.len
                                    + sizeof(",\"page\":}")
                                    + prov_json_quoted(PROV_STREAM_PAGE));
    if (ctx->args[0].data == NULL) {
        return NGX_ERROR;
    }

    cln->handler = prov_stream_cleanup;
    ctx->stream = stream;

    return NGX_OK;
}


/*
 * Of the pool, not of the request: HTTP/2 may hold bytes of the last chunk
 * until then.
 */

static void
prov_stream_cleanup(void *data)
{
    prov_request_stream_t *stream = data;

    json_decref(stream->text);
}


static ngx_int_t
prov_stream_page(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    PGresult *result)
{
    ngx_int_t               rc;
    prov_json_error_t       err;
    prov_request_stream_t  *stream;

    stream = ctx->stream;

    json_decref(stream->text);

    stream->text = prov_json_parse((u_char *) PQgetvalue(result, 0, 1),
                                   PQgetlength(result, 0, 1), 1, &err);

    if (!json_is_string(stream->text)) {
        return prov_stream_broken(r, ctx, "a string, the page's text");
    }

    rc = prov_stream_headers(r, ctx, result);
    if (rc != NGX_OK) {
        return rc;
    }

    /* the copy is what is sent */

    PQclear(ctx->query->result);
    ctx->query->result = NULL;

    if (!stream->started) {
        stream->started = 1;

        rc = prov_stream_start(r);

        if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
            return rc;
        }
    }

    return prov_stream_send(r, ctx);
}


static ngx_int_t
prov_stream_headers(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    PGresult *result)
{
    json_t             *headers, *value;
    ngx_int_t           rc;
    const char         *name;
    prov_json_error_t   err;

    headers = prov_json_parse((u_char *) PQgetvalue(result, 0, 2),
                              PQgetlength(result, 0, 2),
                              PROV_JSON_BODY_DEPTH, &err);

    if (!json_is_object(headers)) {
        json_decref(headers);
        return prov_stream_broken(r, ctx, "an object of headers");
    }

    ctx->stream->len = 0;
    rc = NGX_OK;

    json_object_foreach(headers, name, value) {
        rc = prov_stream_header(r, ctx, name, value);
        if (rc != NGX_OK) {
            break;
        }
    }

    json_decref(headers);

    return rc;
}


/* Later pages repeat the headers, of which only "Next-Page" counts then. */

static ngx_int_t
prov_stream_header(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    const char *name, json_t *value)
{
    size_t                  i, len;
    u_char                 *p;
    ngx_str_t               text;
    const char             *string;
    prov_request_stream_t  *stream;

    stream = ctx->stream;

    if (json_is_null(value)) {
        return NGX_OK;
    }

    if (!json_is_string(value)) {
        return prov_stream_broken(r, ctx, "headers that are strings");
    }

    string = json_string_value(value);
    len = json_string_length(value);

    if (ngx_strcmp(name, "Next-Page") == 0) {

        if (len == 0 || len > PROV_STREAM_PAGE) {
            return prov_stream_broken(r, ctx,
                                      "a \"Next-Page\" of 1 to 512 bytes");
        }

        ngx_memcpy(stream->page, string, len);
        stream->len = len;

        return NGX_OK;
    }

    if (stream->started) {
        return NGX_OK;
    }

    for (i = 0; i < len; i++) {
        if ((u_char) string[i] < 0x20) {
            return prov_stream_broken(r, ctx,
                                      "headers without control characters");
        }
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, string, len);
    text.data = p;
    text.len = len;

    if (ngx_strcmp(name, "Content-Type") == 0) {
        r->headers_out.content_type = text;
        r->headers_out.content_type_len = len;
        r->headers_out.content_type_lowcase = NULL;
        return NGX_OK;
    }

    if (ngx_strcmp(name, "Content-Disposition") == 0) {
        return prov_request_header_out(r, "Content-Disposition", &text);
    }

    return prov_stream_broken(r, ctx, "only headers that a stream may set");
}


static ngx_int_t
prov_stream_start(ngx_http_request_t *r)
{
    r->headers_out.status = NGX_HTTP_OK;
    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);

    return ngx_http_send_header(r);
}


static ngx_int_t
prov_stream_send(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    ngx_buf_t              *b;
    ngx_chain_t            *cl;
    prov_request_stream_t  *stream;

    stream = ctx->stream;

    if (json_string_length(stream->text) == 0) {
        return prov_stream_next(r, ctx);
    }

    cl = ngx_chain_get_free_buf(r->pool, &stream->free);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    b = cl->buf;
    ngx_memzero(b, sizeof(ngx_buf_t));

    b->start = (u_char *) json_string_value(stream->text);
    b->pos = b->start;
    b->last = b->pos + json_string_length(stream->text);
    b->end = b->last;
    b->tag = (ngx_buf_tag_t) &ngx_http_provisioning_module;
    b->memory = 1;
    b->flush = 1;

    cl->next = NULL;

    return prov_stream_flush(r, ctx, cl);
}


/* Sends what can be sent now; all of it taken, the next page is asked for. */

static ngx_int_t
prov_stream_flush(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_chain_t *out)
{
    ngx_event_t               *wev;
    prov_request_stream_t     *stream;
    ngx_http_core_loc_conf_t  *clcf;

    stream = ctx->stream;
    wev = r->connection->write;

    if (ngx_http_output_filter(r, out) == NGX_ERROR) {
        return NGX_ERROR;
    }

    ngx_chain_update_chains(r->pool, &stream->free, &stream->busy, &out,
                            (ngx_buf_tag_t) &ngx_http_provisioning_module);

    if (stream->busy == NULL && !r->buffered && !r->connection->buffered) {

        if (wev->timer_set && !wev->delayed) {
            ngx_del_timer(wev);
        }

        return prov_stream_next(r, ctx);
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    r->write_event_handler = prov_stream_write;

    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_DONE;
}


static ngx_int_t
prov_stream_next(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    u_char                 *p;
    ngx_str_t               page;
    prov_request_stream_t  *stream;

    stream = ctx->stream;

    if (stream->len == 0) {
        return ngx_http_send_special(r, NGX_HTTP_LAST);
    }

    page.data = stream->page;
    page.len = stream->len;

    p = ngx_cpymem(ctx->args[0].data, stream->ctx.data, stream->ctx.len);
    p = ngx_sprintf(p, ",\"page\":");
    p = prov_json_quote(p, &page);
    *p++ = '}';
    *p = '\0';

    return prov_request_ask(r, ctx, ctx->call->statement, ctx->call->class);
}


/* The client has taken something, or nothing for too long. */

static void
prov_stream_write(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_event_t         *wev;
    prov_request_ctx_t  *ctx;

    ctx = prov_request_ctx_find(r);
    wev = r->connection->write;

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, NGX_ETIMEDOUT,
                      "client timed out");
        r->connection->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    rc = prov_stream_flush(r, ctx, NULL);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, prov_problem_final(r, rc));
    }
}


/* A function that breaks its contract: a 500, or a response that breaks off. */

static ngx_int_t
prov_stream_broken(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    const char *what)
{
    if (ctx->stream->started) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "the function of operation \"%V\" did not return %s",
                      &ctx->operation->id, what);

        return prov_request_stream_abort(r, ctx, "it cannot be continued");
    }

    return prov_request_broken(r, ctx, what);
}
