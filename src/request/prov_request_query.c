/*
 * The round trip: one statement, one answer, and the cases in which there is
 * none.  A change whose connection was lost is never repeated blindly: its
 * fate is asked for, under an id of the gateway's own, and only a certain
 * answer is given as one.
 */

#include "request/prov_request.h"


/* a longer body may take long, and others would wait for its end */
#define PROV_REQUEST_TOGETHER  8192


static void prov_request_together(prov_request_ctx_t *ctx,
    prov_db_query_t *q, ngx_uint_t statement, prov_db_class_e class);
static void prov_request_answered(prov_db_query_t *q);
static ngx_int_t prov_request_answer(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, prov_db_query_t *q);
static ngx_int_t prov_request_continue(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, prov_db_query_t *q);
static ngx_int_t prov_request_outcome(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, prov_db_query_t *q);
static void prov_request_release(void *data);


/* NGX_DONE: the answer comes later; else what to finalize with */

ngx_int_t
prov_request_query(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    ngx_int_t        rc;
    ngx_uint_t       statement;
    prov_db_class_e  class;

    if (ctx->operation->permission != PROV_OPENAPI_PUBLIC
        && !ctx->operation->api->partnerless
        && ctx->identity->partner.len == 0)
    {
        return prov_problem(r, NGX_HTTP_FORBIDDEN, "partner_missing",
                            "The token names no partner, so there is nobody "
                            "to act for.");
    }

    if (ctx->operation->outbound.len) {
        rc = prov_request_outbound(r, ctx);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (ctx->operation->secret) {
        rc = prov_request_secret(r, ctx);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (prov_request_caller(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    statement = prov_request_statement(ctx, &class);

    return prov_request_ask(r, ctx, statement, class);
}


/* Runs a statement with ctx->args; used by handlers, too. */

ngx_int_t
prov_request_ask(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_uint_t statement, prov_db_class_e class)
{
    ngx_uint_t           i;
    prov_db_query_t     *q;
    ngx_http_cleanup_t  *cln;

    if (ctx->query == NULL) {
        cln = ngx_http_cleanup_add(r, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        cln->handler = prov_request_release;
        cln->data = ctx;

    } else {
        prov_db_release(ctx->query);
        ctx->query = NULL;
    }

    q = prov_db_query(ctx->conf->service->db, statement, class);
    if (q == NULL) {
        return NGX_ERROR;
    }

    ctx->query = q;

    for (i = 0; i < PROV_DB_PARAMS; i++) {
        q->values[i] = (const char *) ctx->args[i].data;
    }

    q->handler = prov_request_answered;
    q->data = ctx;
    q->log = r->connection->log;

    prov_request_together(ctx, q, statement, class);

    ctx->waiting = 1;

    if (!r->discard_body) {
        /* a client that goes away ends its request */
        r->read_event_handler = ngx_http_test_reading;
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    prov_db_submit(q);

    return NGX_DONE;
}


/*
 * A change may share a transaction with others as long as its path names
 * nothing: so no two of them change the same thing, whose order would then be
 * told by nothing but their ids, and they hardly ever wait for each other.
 * Lists may share a statement, but for those that are streamed.
 * What is blamed for a transaction's failure is the partner, also for one of
 * reads.
 */

static void
prov_request_together(prov_request_ctx_t *ctx, prov_db_query_t *q,
    ngx_uint_t statement, prov_db_class_e class)
{
    prov_auth_identity_t  *identity;

    identity = ctx->identity;

    if (identity == NULL || ctx->operation->handler.len
        || (statement != ctx->call->statement
            && statement != ctx->call->keyed))
    {
        return;
    }

    if (class != PROV_DB_READ
        && (class != PROV_DB_LIST || ctx->operation->stream)
        && (class != PROV_DB_WRITE || ctx->outcome || ctx->operation->npath
            || ctx->operation->apart
            || ctx->args[2].len > PROV_REQUEST_TOGETHER))
    {
        return;
    }

    q->together = 1;
    q->source = identity->partner.len
                ? ngx_murmur_hash2(identity->partner.data,
                                   identity->partner.len)
                : ngx_murmur_hash2(identity->subject.data,
                                   identity->subject.len);
}


/*
 * The client may have gone when this is called by nobody: its cleanup has
 * released the query, whose handler is not called then.
 */

static void
prov_request_answered(prov_db_query_t *q)
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;
    prov_request_ctx_t  *ctx;

    ctx = q->data;
    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ctx->waiting = 0;
    ctx->queue_time += q->queue_time;
    ctx->db_time += q->db_time;
    ctx->queried = 1;

    rc = ctx->outcome ? prov_request_outcome(r, ctx, q)
                      : prov_request_answer(r, ctx, q);

    if (rc == NGX_DONE) {
        return;
    }

    ngx_http_finalize_request(r, prov_problem_final(r, rc));
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
prov_request_answer(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    prov_db_query_t *q)
{
    ngx_int_t  rc;

    if (prov_request_streaming(ctx)) {
        return prov_request_continue(r, ctx, q);
    }

    switch (q->status) {

    case PROV_DB_COMMITTED:

        if (ctx->then) {
            return ctx->then(r, ctx, PQntuples(q->result) == 1);
        }

        if (PQntuples(q->result) == 0 && ctx->identity
            && ctx->identity->key.len && !ctx->refusal)
        {
            /* its partner, or the key itself: prov.enter() does not say */

            ctx->refusal = 1;

            return prov_request_ask(r, ctx, ctx->conf->service->refusal,
                                    PROV_DB_READ);
        }

        if (prov_request_result_open(ctx, q->result)) {
            return prov_request_result(r, ctx, q->result);
        }

        if (ctx->prefer.wait && !ctx->refusal
            && prov_request_wait(r, ctx, q->result) == NGX_DONE)
        {
            return NGX_DONE;
        }

        if (ctx->take && !ctx->refusal) {
            rc = ctx->take(r, ctx, q->result);

        } else {
            rc = (ctx->operation->stream && !ctx->refusal)
                 ? prov_request_stream(r, ctx, q->result)
                 : prov_request_respond(r, ctx, q->result);
        }

        if (rc == NGX_HTTP_UNAUTHORIZED
            && prov_request_challenge(r, &ctx->problem.code) != NGX_OK)
        {
            return NGX_ERROR;
        }

        return rc;

    case PROV_DB_REFUSED:
        return prov_request_refused(r, q->result);

    case PROV_DB_UNKNOWN:
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "a connection was lost under \"%V\", asking for the "
                      "outcome", &ctx->operation->id);

        ctx->outcome = 1;
        ctx->fenced = !ctx->keyed;

        /* with a key the request itself is the question: it is answered as
           it was, or served now, and never twice */

        return prov_request_ask(r, ctx, ctx->keyed
                                        ? ctx->call->keyed
                                        : ctx->conf->service->outcome,
                                PROV_DB_OUTCOME);

    default:
        rc = prov_request_no_answer(r, q->status);

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "the database did not answer \"%V\": %V",
                      &ctx->operation->id, &ctx->problem.code);

        return rc;
    }
}


/* A response that has begun goes on or breaks off: it cannot become another. */

static ngx_int_t
prov_request_continue(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    prov_db_query_t *q)
{
    switch (q->status) {

    case PROV_DB_COMMITTED:
        return prov_request_stream(r, ctx, q->result);

    case PROV_DB_REFUSED:
        prov_request_sql_log(r, q->result);
        return prov_request_stream_abort(r, ctx, "the database refused a "
                                                 "page");

    default:
        return prov_request_stream_abort(r, ctx, "the database did not "
                                                 "answer");
    }
}


/*
 * prov.outcome() has either found the change (and what was answered), or has
 * made sure that it can never be committed any more: status 0.
 */

static ngx_int_t
prov_request_outcome(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    prov_db_query_t *q)
{
    if (!ctx->fenced && q->status == PROV_DB_COMMITTED
        && PQntuples(q->result) == 1)
    {
        if (prov_request_result_open(ctx, q->result)) {
            /* not made now, as something else has changed meanwhile; the
               original, should it come yet, must not be made either */

            ctx->fenced = 1;

            return prov_request_ask(r, ctx, ctx->conf->service->outcome,
                                    PROV_DB_OUTCOME);
        }

        return prov_request_respond(r, ctx, q->result);
    }

    if (!ctx->fenced && q->status == PROV_DB_REFUSED) {
        return prov_request_refused(r, q->result);
    }

    if (q->status == PROV_DB_COMMITTED && PQntuples(q->result) == 1) {

        if (ngx_strcmp(PQgetvalue(q->result, 0, 0), "0") != 0) {
            return ctx->then ? ctx->then(r, ctx, 1)
                             : prov_request_respond(r, ctx, q->result);
        }

        if (prov_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE, "not_committed",
                         "The database went away before the change was "
                         "made; nothing was changed. Repeat the request.")
            == NGX_ERROR)
        {
            return NGX_ERROR;
        }

        return prov_problem_retry(r, 1);
    }

    if (q->status == PROV_DB_REFUSED) {
        prov_request_sql_log(r, q->result);
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "the outcome of \"%V\" could not be found out",
                  &ctx->operation->id);

    return prov_problem(r, NGX_HTTP_BAD_GATEWAY, "outcome_unknown",
                        "The database went away while the change was made, "
                        "and it could not be found out whether it was. %s",
                        ctx->keyed ? "Repeat the request with the same "
                                     "Idempotency-Key."
                                   : "Read the resource before you repeat "
                                     "the request.");
}


/* The problem of a statement that was not run, or not answered in time. */

ngx_int_t
prov_request_no_answer(ngx_http_request_t *r, prov_db_status_e status)
{
    ngx_int_t  rc;

    switch (status) {

    case PROV_DB_QUEUE_FULL:
        rc = prov_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE, "overloaded",
                          "Too many requests are waiting for the database; "
                          "nothing was done.");
        break;

    case PROV_DB_AWAY:
        rc = prov_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                          "database_unavailable",
                          "The database cannot be reached; nothing was "
                          "done.");
        break;

    case PROV_DB_QUEUE_TIMEOUT:
        return prov_problem(r, NGX_HTTP_GATEWAY_TIME_OUT, "queue_timeout",
                            "The request has waited for the database for "
                            "too long; nothing was done.");

    default:
        return prov_problem(r, NGX_HTTP_GATEWAY_TIME_OUT, "query_timeout",
                            "The database took too long to answer.");
    }

    return (rc == NGX_ERROR) ? NGX_ERROR : prov_problem_retry(r, 1);
}


/*
 * The request ends while its query runs.  One that has been answered stays
 * until the pool goes: HTTP/2 may have bytes of its result in the connection's
 * queue, and sends them although the request has been terminated.
 */

static void
prov_request_release(void *data)
{
    prov_request_ctx_t *ctx = data;

    prov_request_wait_end(ctx);

    if (ctx->waiting) {
        ctx->waiting = 0;
        prov_db_release(ctx->query);
        ctx->query = NULL;
    }
}
