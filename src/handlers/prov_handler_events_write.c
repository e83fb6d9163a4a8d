/*
 * Streams of events, to the client: one chunk at a time, which many may share;
 * who has not taken it gets no other.  Also what is sent when there is
 * nothing to tell, and when there is no more.
 */

#include "handlers/prov_handler_events.h"


static ngx_int_t prov_events_flush(prov_events_listener_t *l,
    ngx_chain_t *out);
static void prov_events_write(ngx_http_request_t *r);


/* why a stream ends, for its client; nothing here needs an escape */

typedef struct {
    const char  *code;
    const char  *detail;
} prov_events_end_t;


static prov_events_end_t  prov_events_ends[] = {

    { "reconnect", "Come again, with Last-Event-ID: nothing is lost." },
    { "token_expired", "The token has expired: come again with another." },
    { "key_expired", "The API key has expired." },
    { "key_revoked", "The API key was revoked." },
    { "partner_unknown", "The partner is not active." },
    { "invalid_cursor", "The database does not know this place: begin anew, "
                        "with since." },

    { NULL, NULL }
};


/* With one reference, the caller's; NULL: no memory. */

prov_events_chunk_t *
prov_events_chunk(size_t len)
{
    prov_events_chunk_t  *chunk;

    chunk = ngx_alloc(sizeof(prov_events_chunk_t) + len, ngx_cycle->log);
    if (chunk == NULL) {
        return NULL;
    }

    chunk->refs = 1;
    chunk->len = len;

    return chunk;
}


void
prov_events_release(prov_events_chunk_t *chunk)
{
    if (chunk && --chunk->refs == 0) {
        ngx_free(chunk);
    }
}


/* To a listener that has nothing on its way. */

ngx_int_t
prov_events_send(prov_events_listener_t *l, prov_events_chunk_t *chunk)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = ngx_chain_get_free_buf(l->request->pool, &l->free);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    b = cl->buf;
    ngx_memzero(b, sizeof(ngx_buf_t));

    b->start = chunk->text;
    b->pos = b->start;
    b->last = b->pos + chunk->len;
    b->end = b->last;
    b->tag = (ngx_buf_tag_t) &ngx_http_provisioning_module;
    b->memory = 1;
    b->flush = 1;

    cl->next = NULL;

    chunk->refs++;

    l->chunk = chunk;
    l->beaten = ngx_current_msec;
    l->moved = 0;

    return prov_events_flush(l, cl);
}


static ngx_int_t
prov_events_flush(prov_events_listener_t *l, ngx_chain_t *out)
{
    ngx_event_t               *wev;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = l->request;
    wev = r->connection->write;

    if (ngx_http_output_filter(r, out) == NGX_ERROR) {
        return NGX_ERROR;
    }

    ngx_chain_update_chains(r->pool, &l->free, &l->busy, &out,
                            (ngx_buf_tag_t) &ngx_http_provisioning_module);

    if (l->busy == NULL && !r->buffered && !r->connection->buffered) {

        if (wev->timer_set && !wev->delayed) {
            ngx_del_timer(wev);
        }

        prov_events_release(l->chunk);
        l->chunk = NULL;

        r->write_event_handler = ngx_http_request_empty_handler;

        return NGX_OK;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    r->write_event_handler = prov_events_write;

    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_AGAIN;
}


/* The client has taken something, or nothing for too long. */

static void
prov_events_write(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_event_t             *wev;
    prov_request_ctx_t      *ctx;
    prov_events_listener_t  *l;

    ctx = ngx_http_get_module_ctx(r, ngx_http_provisioning_module);
    l = ctx->handling;
    wev = r->connection->write;

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, NGX_ETIMEDOUT,
                      "client timed out");
        r->connection->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    rc = prov_events_flush(l, NULL);

    if (rc == NGX_OK) {
        rc = prov_events_join(l);
    }

    if (rc == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_ERROR);
    }
}


/* From outside of the request's own events. */

void
prov_events_tell(prov_events_listener_t *l, prov_events_chunk_t *chunk)
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = l->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = prov_events_send(l, chunk);

    if (rc == NGX_AGAIN) {
        prov_events_hold(l);
        return;
    }

    if (rc == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_ERROR);
        ngx_http_run_posted_requests(c);
    }
}


/*
 * A comment; and where the feed has gone on without an event for this one,
 * the new place, which is no event without data.
 */

void
prov_events_beat(prov_events_listener_t *l)
{
    u_char               *p;
    prov_events_chunk_t  *chunk;

    chunk = prov_events_chunk(sizeof(":\nid: \n\n") + PROV_EVENTS_CURSOR);
    if (chunk == NULL) {
        return;
    }

    p = ngx_cpymem(chunk->text, ":\n", 2);

    if (l->moved) {
        p = ngx_sprintf(p, "id: %V\n", &l->place->cursor);
    }

    *p++ = '\n';
    chunk->len = p - chunk->text;

    prov_events_tell(l, chunk);
    prov_events_release(chunk);
}


/*
 * Says why and ends the stream.  Clients come again by themselves: when they
 * are told to, each after another time.  A worker that leaves does not wait
 * for who has not taken what he was sent.
 */

void
prov_events_close(prov_events_listener_t *l, const char *code)
{
    ngx_int_t            rc;
    ngx_buf_t           *b;
    ngx_chain_t          out;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;
    prov_events_end_t   *end;

    r = l->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    for (end = prov_events_ends; end->code; end++) {
        if (ngx_strcmp(end->code, code) == 0) {
            break;
        }
    }

    if (end->code == NULL) {
        end = prov_events_ends;
    }

    ngx_log_error(NGX_LOG_INFO, c->log, 0, "stream of events closed: %s",
                  end->code);

    prov_events_leave(l);

    rc = NGX_ERROR;
    b = ngx_create_temp_buf(r->pool, 256);

    if (b) {
        b->last = ngx_sprintf(b->last, "retry: %M\nevent: stream.closed\n"
                              "data: {\"code\": \"%s\", \"detail\": "
                              "\"%s\"}\n\n",
                              prov_events_conf->retry / 2
                              + ngx_random() % (prov_events_conf->retry + 1),
                              end->code, end->detail);
        b->flush = 1;
        b->last_buf = 1;
        b->last_in_chain = 1;

        out.buf = b;
        out.next = NULL;

        rc = ngx_http_output_filter(r, &out);
    }

    if (ngx_exiting && (r->buffered || c->buffered)) {
        rc = NGX_ERROR;
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}
