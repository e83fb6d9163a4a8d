/*
 * "Prefer: wait=N" on a GET: a request is held, without a connection to the
 * database, until its answer is another one, or a final one, or the time is
 * over.  An answer that is not final has a Retry-After; one that has changed
 * has another ETag than the caller knows (If-None-Match), or than the first
 * look has found.  Called by prov_request_query.c after each look.
 */

#include "request/prov_request.h"


/* requests that one worker holds, and those of one partner among them; one
   more is answered at once */
#define PROV_WAIT_MOST     1024
#define PROV_WAIT_PARTNER  (PROV_WAIT_MOST / 8)

/*
 * Milliseconds from one look to the next: what happens in this worker is told
 * by prov_request_wake(), the rest is looked for.  With each request that is
 * held the looks of all are farther apart, so that a worker never makes more
 * than a hundred a second.
 */
#define PROV_WAIT_LOOK     1000
#define PROV_WAIT_EACH     10

/* between two looks of one request, however often it is woken */
#define PROV_WAIT_LEAST    50

/* after which it is noticed that the worker is to end */
#define PROV_WAIT_TICK     500


struct prov_request_wait_s {
    ngx_queue_t          queue;
    ngx_event_t          timer;
    ngx_msec_t           looked;     /* when the last look was begun */
    ngx_msec_t           due;        /* the next one */
    ngx_msec_t           end;
    ngx_str_t            etag;       /* that the first look has found */
    prov_request_ctx_t  *ctx;
    unsigned             held:1;     /* is on the queue */
    unsigned             over:1;
};


static ngx_int_t prov_wait_begin(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_str_t *etag);
static json_t *prov_wait_open(PGresult *result, ngx_str_t *etag);
static ngx_uint_t prov_wait_known(ngx_http_request_t *r,
    prov_request_wait_t *wait, ngx_str_t *etag);
static ngx_int_t prov_wait_answer(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);
static ngx_int_t prov_wait_hold(prov_request_wait_t *wait);
static ngx_uint_t prov_wait_room(prov_request_ctx_t *ctx);
static ngx_str_t *prov_wait_partner(prov_request_ctx_t *ctx);
static void prov_wait_timer(prov_request_wait_t *wait);
static void prov_wait_due(ngx_event_t *ev);
static ngx_uint_t prov_wait_concerns(prov_request_ctx_t *ctx, ngx_str_t *id);


/* of this worker */

static ngx_queue_t  prov_wait_queue;
static ngx_uint_t   prov_wait_held;


ngx_int_t
prov_request_wait(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    PGresult *result)
{
    json_t     *headers;
    ngx_str_t   etag;
    ngx_uint_t  known;

    if (ctx->operation->method != PROV_OPENAPI_GET || ctx->operation->stream) {
        return NGX_OK;
    }

    headers = prov_wait_open(result, &etag);

    if (headers && ctx->wait == NULL
        && prov_wait_begin(r, ctx, &etag) != NGX_OK)
    {
        json_decref(headers);
        return NGX_OK;
    }

    known = headers && prov_wait_known(r, ctx->wait, &etag);

    json_decref(headers);

    if (!known || ctx->wait->over || ngx_exiting || ngx_terminate) {
        return prov_wait_answer(r, ctx);
    }

    if (prov_wait_hold(ctx->wait) != NGX_OK) {
        /* not heeded: it is not said that it was */
        return NGX_OK;
    }

    return NGX_DONE;
}


static ngx_int_t
prov_wait_begin(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_str_t *etag)
{
    prov_request_wait_t  *wait;

    wait = ngx_pcalloc(r->pool, sizeof(prov_request_wait_t));
    if (wait == NULL) {
        return NGX_ERROR;
    }

    wait->etag.len = etag->len;
    wait->etag.data = ngx_pstrdup(r->pool, etag);
    if (wait->etag.data == NULL) {
        return NGX_ERROR;
    }

    wait->ctx = ctx;
    wait->looked = ngx_current_msec;
    wait->end = ngx_current_msec + ctx->prefer.wait * 1000;
    wait->timer.handler = prov_wait_due;
    wait->timer.data = wait;
    wait->timer.log = r->connection->log;

    ctx->wait = wait;

    return NGX_OK;
}


/*
 * The headers of an answer that is not final, to be released, and the etag in
 * them; NULL for any other answer.
 */

static json_t *
prov_wait_open(PGresult *result, ngx_str_t *etag)
{
    json_t             *headers, *value;
    prov_json_error_t   err;

    if (PQntuples(result) != 1 || PQnfields(result) < 3
        || ngx_strcmp(PQgetvalue(result, 0, 0), "200") != 0
        || PQgetisnull(result, 0, 2))
    {
        return NULL;
    }

    headers = prov_json_parse((u_char *) PQgetvalue(result, 0, 2),
                              PQgetlength(result, 0, 2),
                              PROV_JSON_BODY_DEPTH, &err);

    value = json_object_get(headers, "ETag");

    if (!json_is_string(value)
        || !json_is_string(json_object_get(headers, "Retry-After")))
    {
        json_decref(headers);
        return NULL;
    }

    etag->data = (u_char *) json_string_value(value);
    etag->len = json_string_length(value);

    return headers;
}


/*
 * A tag is compared with its quotation marks, and weakly: it may stand
 * anywhere in a list.  It ends with a null character; an empty one is none.
 */

static ngx_uint_t
prov_wait_known(ngx_http_request_t *r, prov_request_wait_t *wait,
    ngx_str_t *etag)
{
    ngx_str_t        *tags;
    ngx_table_elt_t  *h;

    h = r->headers_in.if_none_match;

    if (h == NULL) {
        return etag->len == wait->etag.len
               && ngx_strncmp(etag->data, wait->etag.data, etag->len) == 0;
    }

    if (etag->len == 0) {
        return 0;
    }

    tags = &h->value;

    return (tags->len == 1 && tags->data[0] == '*')
           || ngx_strnstr(tags->data, (char *) etag->data, tags->len) != NULL;
}


/* Says that the preference was heeded. */

static ngx_int_t
prov_wait_answer(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    u_char     *p;
    ngx_str_t   applied;

    prov_request_wait_end(ctx);

    p = ngx_pnalloc(r->pool, sizeof("wait=") + NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_OK;
    }

    applied.data = p;
    applied.len = ngx_sprintf(p, "wait=%ui", ctx->prefer.wait) - p;

    (void) prov_request_header_out(r, "Preference-Applied", &applied);

    return NGX_OK;
}


/* NGX_DECLINED: others are too many. */

static ngx_int_t
prov_wait_hold(prov_request_wait_t *wait)
{
    ngx_msec_t  each;

    if (!wait->held) {

        if (prov_wait_held == 0) {
            ngx_queue_init(&prov_wait_queue);
        }

        if (!prov_wait_room(wait->ctx)) {
            return NGX_DECLINED;
        }

        ngx_queue_insert_tail(&prov_wait_queue, &wait->queue);
        prov_wait_held++;
        wait->held = 1;
    }

    each = ngx_max(PROV_WAIT_LOOK, prov_wait_held * PROV_WAIT_EACH);

    wait->due = wait->looked + each;

    if ((ngx_msec_int_t) (wait->due - wait->end) > 0) {
        wait->due = wait->end;
    }

    prov_wait_timer(wait);

    return NGX_OK;
}


/*
 * A partner is what the token or key says, in any case.  Those who have none
 * share as if they were one.
 */

static ngx_uint_t
prov_wait_room(prov_request_ctx_t *ctx)
{
    ngx_str_t            *partner, *other;
    ngx_uint_t            n;
    ngx_queue_t          *q;
    prov_request_wait_t  *wait;

    if (prov_wait_held >= PROV_WAIT_MOST) {
        return 0;
    }

    n = 0;
    partner = prov_wait_partner(ctx);

    for (q = ngx_queue_head(&prov_wait_queue);
         q != ngx_queue_sentinel(&prov_wait_queue);
         q = ngx_queue_next(q))
    {
        wait = ngx_queue_data(q, prov_request_wait_t, queue);
        other = prov_wait_partner(wait->ctx);

        n += (other->len == partner->len
              && ngx_strncasecmp(other->data, partner->data, partner->len)
                 == 0);
    }

    return n < PROV_WAIT_PARTNER;
}


static ngx_str_t *
prov_wait_partner(prov_request_ctx_t *ctx)
{
    static ngx_str_t  nobody = ngx_string("");

    return ctx->identity ? &ctx->identity->partner : &nobody;
}


static void
prov_wait_timer(prov_request_wait_t *wait)
{
    ngx_msec_int_t  rest;

    rest = wait->due - ngx_current_msec;

    if (wait->timer.timer_set) {
        ngx_del_timer(&wait->timer);
    }

    ngx_add_timer(&wait->timer, (ngx_msec_t) ngx_min(ngx_max(rest, 1),
                                                     PROV_WAIT_TICK));
}


static void
prov_wait_due(ngx_event_t *ev)
{
    ngx_int_t             rc;
    ngx_uint_t            statement;
    prov_db_class_e       class;
    ngx_connection_t     *c;
    ngx_http_request_t   *r;
    prov_request_ctx_t   *ctx;
    prov_request_wait_t  *wait;

    wait = ev->data;
    ctx = wait->ctx;
    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (ngx_exiting || ngx_terminate) {
        /* with what was found last: this worker asks for nothing more */

        (void) prov_wait_answer(r, ctx);

        rc = prov_request_respond(r, ctx, ctx->query->result);

    } else if ((ngx_msec_int_t) (wait->due - ngx_current_msec) > 0) {
        prov_wait_timer(wait);
        return;

    } else {
        wait->looked = ngx_current_msec;
        wait->over = (ngx_msec_int_t) (wait->end - ngx_current_msec) <= 0;

        statement = prov_request_statement(ctx, &class);

        rc = prov_request_ask(r, ctx, statement, class);
    }

    if (rc == NGX_DONE) {
        return;
    }

    ngx_http_finalize_request(r, prov_problem_final(r, rc));
    ngx_http_run_posted_requests(c);
}


/* What is held for this id, a value of its path, is looked for soon. */

void
prov_request_wake(ngx_str_t *id)
{
    ngx_msec_t            soon;
    ngx_queue_t          *q;
    prov_request_wait_t  *wait;

    if (prov_wait_held == 0) {
        return;
    }

    for (q = ngx_queue_head(&prov_wait_queue);
         q != ngx_queue_sentinel(&prov_wait_queue);
         q = ngx_queue_next(q))
    {
        wait = ngx_queue_data(q, prov_request_wait_t, queue);

        if (!prov_wait_concerns(wait->ctx, id)) {
            continue;
        }

        soon = wait->looked + PROV_WAIT_LEAST;

        if (wait->timer.timer_set
            && (ngx_msec_int_t) (wait->due - soon) > 0)
        {
            wait->due = soon;
            prov_wait_timer(wait);
        }
    }
}


static ngx_uint_t
prov_wait_concerns(prov_request_ctx_t *ctx, ngx_str_t *id)
{
    ngx_str_t   *value;
    ngx_uint_t   i;

    value = ctx->values;

    for (i = 0; i < ctx->operation->npath; i++) {
        if (value[i].len == id->len
            && ngx_strncasecmp(value[i].data, id->data, id->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* It is answered, or its client has gone. */

void
prov_request_wait_end(prov_request_ctx_t *ctx)
{
    prov_request_wait_t  *wait;

    wait = ctx->wait;

    if (wait == NULL || !wait->held) {
        return;
    }

    if (wait->timer.timer_set) {
        ngx_del_timer(&wait->timer);
    }

    ngx_queue_remove(&wait->queue);
    prov_wait_held--;
    wait->held = 0;
}
