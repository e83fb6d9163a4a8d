/*
 * x-event-stream "events": a partner's events as they happen, as Server-Sent
 * Events.  What the request says is looked at by the database, once, as for
 * any other (prov.events_begin()); from then on the worker asks for all its
 * listeners together.
 */

#include "handlers/prov_handler_events.h"


typedef struct {
    ngx_str_t    partner;
    ngx_str_t    cursor;
    ngx_str_t    filter;
    ngx_int_t    version;       /* of the key; 0: there is none */
} prov_events_begun_t;


static ngx_int_t prov_events_take(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, PGresult *result);
static ngx_int_t prov_events_begun(ngx_http_request_t *r, PGresult *result,
    prov_events_begun_t *begun);
static ngx_int_t prov_events_text(ngx_pool_t *pool, json_t *value,
    ngx_str_t *text);
static ngx_int_t prov_events_start(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, prov_events_begun_t *begun);
static ngx_int_t prov_events_header(ngx_http_request_t *r);
static ngx_int_t prov_events_greet(prov_events_listener_t *l);
static ngx_int_t prov_events_busy(ngx_http_request_t *r);
static void prov_events_left(void *data);
static void prov_events_cleanup(void *data);


ngx_int_t
prov_handler_events(ngx_http_request_t *r)
{
    prov_request_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_provisioning_module);

    if (prov_events_conf->db == NULL || prov_events_conf->max == 0) {
        return prov_problem(r, 406, "event_stream_unavailable",
                            "This gateway has no streams of events; ask "
                            "with Accept: application/json, again and "
                            "again.");
    }

    if (!ctx->operation->api->partnerless
        && ctx->identity->partner.len == 0)
    {
        return prov_problem(r, NGX_HTTP_FORBIDDEN, "partner_missing",
                            "The token names no partner, so there is nobody "
                            "to act for.");
    }

    if (prov_events_hub.n >= prov_events_conf->max) {
        return prov_events_busy(r);
    }

    if (prov_request_caller(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->take = prov_events_take;

    return prov_request_ask(r, ctx, ctx->conf->service->events,
                            PROV_DB_REPLAY);
}


static ngx_int_t
prov_events_take(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    PGresult *result)
{
    ngx_int_t            rc;
    prov_events_begun_t  begun;

    if (PQntuples(result) != 1 || PQnfields(result) != 3
        || ngx_strcmp(PQgetvalue(result, 0, 0), "200") != 0)
    {
        return prov_request_respond(r, ctx, result);
    }

    rc = prov_events_begun(r, result, &begun);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED)
               ? prov_request_broken(r, ctx, "where a stream begins") : rc;
    }

    if (prov_events_hub.n >= prov_events_conf->max) {
        return prov_events_busy(r);
    }

    if (prov_events_of_partner(&begun.partner)
        >= prov_events_conf->partner_max)
    {
        if (prov_problem(r, NGX_HTTP_TOO_MANY_REQUESTS, "too_many_streams",
                         "You have %ui streams of events open here, and may "
                         "not have more.", prov_events_conf->partner_max)
            == NGX_ERROR)
        {
            return NGX_ERROR;
        }

        return prov_problem_retry(r, 10);
    }

    /* it is all copied, and the stream may last for days */

    prov_db_release(ctx->query);
    ctx->query = NULL;

    return prov_events_start(r, ctx, &begun);
}


static ngx_int_t
prov_events_busy(ngx_http_request_t *r)
{
    if (prov_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE, "overloaded",
                     "Too many streams of events are open; nothing was "
                     "done.")
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    return prov_problem_retry(r, 10);
}


/* What prov.events_begin() has said; NGX_DECLINED: that is not it. */

static ngx_int_t
prov_events_begun(ngx_http_request_t *r, PGresult *result,
    prov_events_begun_t *begun)
{
    json_t             *body;
    ngx_int_t           rc;
    prov_json_error_t   err;

    body = prov_json_parse((u_char *) PQgetvalue(result, 0, 1),
                           PQgetlength(result, 0, 1), PROV_JSON_BODY_DEPTH,
                           &err);

    rc = NGX_DECLINED;

    if (json_is_string(json_object_get(body, "partner"))
        && json_is_string(json_object_get(body, "cursor"))
        && json_is_object(json_object_get(body, "filter")))
    {
        begun->version = json_integer_value(json_object_get(body, "version"));

        rc = prov_events_text(r->pool, json_object_get(body, "partner"),
                              &begun->partner);

        if (rc == NGX_OK) {
            rc = prov_events_text(r->pool, json_object_get(body, "cursor"),
                                  &begun->cursor);
        }

        if (rc == NGX_OK) {
            rc = prov_events_text(r->pool, json_object_get(body, "filter"),
                                  &begun->filter);
        }

        if (rc == NGX_OK && begun->cursor.len > PROV_EVENTS_CURSOR) {
            rc = NGX_DECLINED;
        }
    }

    json_decref(body);

    return rc;
}


/* A string's text; what else it may be, as JSON. */

static ngx_int_t
prov_events_text(ngx_pool_t *pool, json_t *value, ngx_str_t *text)
{
    if (json_is_string(value)) {
        text->len = json_string_length(value);
        text->data = ngx_pnalloc(pool, text->len + 1);

        if (text->data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(text->data, json_string_value(value), text->len);

        return NGX_OK;
    }

    text->len = json_dumpb(value, NULL, 0, JSON_COMPACT|JSON_SORT_KEYS);
    text->data = ngx_pnalloc(pool, text->len);

    if (text->len == 0 || text->data == NULL
        || json_dumpb(value, (char *) text->data, text->len,
                      JSON_COMPACT|JSON_SORT_KEYS)
           != text->len)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* NGX_DONE: the stream goes on by itself; else what to finalize with */

static ngx_int_t
prov_events_start(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    prov_events_begun_t *begun)
{
    ngx_int_t                rc;
    ngx_pool_cleanup_t      *pcln;
    ngx_http_cleanup_t      *cln;
    prov_events_listener_t  *l;

    rc = prov_events_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    pcln = ngx_pool_cleanup_add(r->pool, sizeof(prov_events_listener_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (pcln == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    l = pcln->data;
    ngx_memzero(l, sizeof(prov_events_listener_t));

    l->request = r;
    l->beaten = ngx_current_msec;
    l->key = ctx->identity->key;
    l->version = begun->version;
    l->expires = ctx->identity->expires;

    if (l->expires) {
        l->expires += ctx->identity->issuer->leeway;
    }

    ctx->handling = l;

    /* HTTP/2 may hold bytes of a chunk until the pool goes */

    pcln->handler = prov_events_cleanup;

    cln->handler = prov_events_left;
    cln->data = l;

    if (prov_events_begin(l, &begun->partner, &begun->filter, &begun->cursor)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (prov_events_greet(l) == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (ngx_exiting) {
        prov_events_close(l, "reconnect");
    }

    return NGX_DONE;
}


/*
 * Nobody on the way may keep, change or collect what is sent: not caches, not
 * a proxy in front of us, and not our own gzip, which would hold a window of
 * its own for each stream.
 */

static ngx_int_t
prov_events_header(ngx_http_request_t *r)
{
    ngx_http_core_loc_conf_t  *clcf;

    static ngx_str_t  cache = ngx_string("no-store, no-transform");
    static ngx_str_t  no = ngx_string("no");

    if (prov_request_header_out(r, "Cache-Control", &cache) != NGX_OK
        || prov_request_header_out(r, "X-Accel-Buffering", &no) != NGX_OK)
    {
        return NGX_ERROR;
    }

#if (NGX_HTTP_GZIP)
    r->gzip_tested = 1;
    r->gzip_ok = 0;
#endif

    r->headers_out.status = NGX_HTTP_OK;
    ngx_str_set(&r->headers_out.content_type, "text/event-stream");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->tcp_nodelay && ngx_tcp_nodelay(r->connection) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_send_header(r);
}


/* How long to wait before coming again, and from where: no event yet. */

static ngx_int_t
prov_events_greet(prov_events_listener_t *l)
{
    ngx_int_t             rc;
    prov_events_chunk_t  *chunk;

    chunk = prov_events_chunk(sizeof("retry: \nid: \n\n") + NGX_TIME_T_LEN
                              + PROV_EVENTS_CURSOR);
    if (chunk == NULL) {
        return NGX_ERROR;
    }

    chunk->len = ngx_sprintf(chunk->text, "retry: %M\nid: %V\n\n",
                             prov_events_conf->retry, &l->cursor)
                 - chunk->text;

    rc = prov_events_send(l, chunk);

    prov_events_release(chunk);

    return (rc == NGX_OK) ? prov_events_join(l) : rc;
}


static void
prov_events_left(void *data)
{
    prov_events_listener_t *l = data;

    prov_events_leave(l);
}


static void
prov_events_cleanup(void *data)
{
    prov_events_listener_t *l = data;

    prov_events_release(l->chunk);
    l->chunk = NULL;
}
