/*
 * What comes back over an open connection.  A query is answered when its Sync
 * is, never at its rows: only then is it committed.  Where commits are shared
 * it is then held until they are on disk (prov_db_share.c); what becomes of
 * changes whose transaction has failed is decided in prov_db_group.c.
 */

#include "db/prov_db_pool.h"


static void prov_db_answer_result(prov_db_conn_t *conn, PGresult *result);
static void prov_db_answer_rows(prov_db_conn_t *conn, prov_db_query_t *q,
    PGresult *result);
static void prov_db_answer_end(prov_db_conn_t *conn);
static void prov_db_answer_sync(prov_db_conn_t *conn);
static void prov_db_answer_finish(prov_db_conn_t *conn, prov_db_query_t *q);
static prov_db_query_t *prov_db_answer_group(prov_db_conn_t *conn);
static void prov_db_answer_apart(prov_db_conn_t *conn);
static ngx_uint_t prov_db_fatal(PGresult *result);
static ngx_uint_t prov_db_dropped(PGresult *result);


/*
 * Takes all results that have arrived whole; handlers run.  PQisBusy() is what
 * parses, so it is called on an idle connection too, for notices and reports.
 * Sets conn->dead when the connection is of no use any more.
 */

void
prov_db_answer(prov_db_conn_t *conn)
{
    PGresult    *result;
    ngx_uint_t   nothing;

    nothing = 0;

    for ( ;; ) {

        prov_db_batch_expect(conn);

        if (PQisBusy(conn->pg) || prov_db_answer_current(conn) == NULL
            || conn->dead)
        {
            return;
        }

        result = PQgetResult(conn->pg);

        if (result) {
            nothing = 0;
            prov_db_answer_result(conn, result);
            continue;
        }

        /* one NULL ends a command's results; two say that libpq expects
           nothing more, while somebody here does */

        if (++nothing > 1) {
            ngx_log_error(NGX_LOG_ERR, conn->pool->log, 0,
                          "provisioning_database \"%V\": a connection has "
                          "lost step with %ui queries in flight",
                          &conn->pool->conf->name, conn->nsent);
            conn->dead = 1;
            return;
        }

        prov_db_answer_end(conn);
    }
}


/*
 * Whose result comes next, or NULL.  What is held has been answered: it waits
 * for a barrier, sent or not.  So has what is open still, if the server was
 * quick: nothing more comes of it before its Sync has been sent, and libpq
 * would be asked in vain.  So it would for what is only gathered.
 *
 * Before a Sync itself is answered the commit may bring an error: of the last
 * one of its transaction.
 */

prov_db_query_t *
prov_db_answer_current(prov_db_conn_t *conn)
{
    prov_db_query_t  *q;

    q = prov_db_answer_group(conn);

    if (q || ngx_queue_empty(&conn->sent)) {
        return q;
    }

    q = ngx_queue_data(ngx_queue_head(&conn->sent), prov_db_query_t, queue);

    return q->gathered ? NULL : q;
}


static void
prov_db_answer_result(prov_db_conn_t *conn, PGresult *result)
{
    prov_db_query_t  *q;

    if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
        PQclear(result);
        prov_db_answer_sync(conn);
        return;
    }

    q = prov_db_answer_current(conn);

    if (q == NULL) {
        PQclear(result);
        conn->dead = 1;
        return;
    }

    if (q->reading && !prov_db_failed(result)) {
        prov_db_batch_rows(conn, q, result);
        return;
    }

    switch (PQresultStatus(result)) {

    case PGRES_PIPELINE_ABORTED:
        PQclear(result);
        q->aborted = (q->result == NULL);
        prov_db_batch_fail(q, 0);
        return;

    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        prov_db_answer_rows(conn, q, result);
        return;

    default:
        break;
    }

    if (prov_db_fatal(result)) {
        /* the session is over; whether this query is, is not known */
        PQclear(result);
        conn->dead = 1;
        return;
    }

    /* an error after the rows, of the commit or the barrier, counts; one after
       an error does not */

    if (q->result && prov_db_failed(q->result)) {
        PQclear(result);
        return;
    }

    if (q->result && q->flushing && q->commands) {
        /* of the barrier, which is prepared once: not here any more */
        conn->retired = 1;
    }

    PQclear(q->result);
    q->result = result;

    prov_db_batch_fail(q, 1);
}


static void
prov_db_answer_rows(prov_db_conn_t *conn, prov_db_query_t *q,
    PGresult *result)
{
    if (q->guarding && !q->guarded) {
        q->guarded = 1;
        PQclear(result);
        return;
    }

    if (q->preparing && !q->prepared) {
        q->prepared = 1;
        PQclear(result);
        return;
    }

    if (q->result) {
        /* of the barrier in its transaction */
        PQclear(result);
        return;
    }

    if (q->batch > 1) {
        /* the rows of several queries at once, which libpq was told not to
           give: nobody gets one that is another's */
        PQclear(result);
        conn->dead = 1;
        return;
    }

    q->result = result;
}


/* All results of one command have come. */

static void
prov_db_answer_end(prov_db_conn_t *conn)
{
    prov_db_query_t  *q;

    if (prov_db_answer_group(conn) || ngx_queue_empty(&conn->sent)) {
        return;
    }

    q = ngx_queue_data(ngx_queue_head(&conn->sent), prov_db_query_t, queue);

    if (--q->commands == 0) {
        q->reading = 0;
        prov_db_batch_answered(conn, q);
    }
}


/* The last query of those whose Sync comes next, when it has all its results */

static prov_db_query_t *
prov_db_answer_group(prov_db_conn_t *conn)
{
    prov_db_query_t  *q;

    if (ngx_queue_empty(&conn->answered)) {
        return NULL;
    }

    q = ngx_queue_data(ngx_queue_last(&conn->answered), prov_db_query_t,
                       queue);

    return q->last ? q : NULL;
}


static void
prov_db_answer_sync(prov_db_conn_t *conn)
{
    prov_db_query_t  *q;

    q = prov_db_answer_group(conn);

    if (q == NULL) {
        conn->dead = 1;
        return;
    }

    if (q->class == PROV_DB_WRITE) {
        conn->commits--;

        if (ngx_queue_head(&conn->answered) != &q->queue
            && !prov_db_group_committed(conn))
        {
            return;
        }
    }

    prov_db_answer_apart(conn);

    while (!ngx_queue_empty(&conn->answered) && !conn->dead) {
        q = ngx_queue_data(ngx_queue_head(&conn->answered), prov_db_query_t,
                           queue);

        ngx_queue_remove(&q->queue);

        prov_db_answer_finish(conn, q);
    }
}


static void
prov_db_answer_finish(prov_db_conn_t *conn, prov_db_query_t *q)
{
    if (q->class == PROV_DB_BARRIER) {
        conn->nsent--;
        prov_db_share_flushed(conn, q);
        return;
    }

    if (q->result == NULL) {
        conn->nsent--;
        conn->dead = 1;
        prov_db_query_lost(q);
        return;
    }

    if (q->flushing) {
        conn->flushing = 0;
    }

    if (prov_db_failed(q->result)) {
        conn->nsent--;
        prov_db_answer_error(conn, q);
        return;
    }

    if (prov_db_shares(q) && !q->flushing) {
        ngx_queue_insert_tail(&conn->held, &q->queue);
        return;
    }

    conn->nsent--;
    prov_db_query_done(q, PROV_DB_COMMITTED);
}


/*
 * Those that have come to nothing because of others: one before them in their
 * transaction has failed, or one of those that their statement served.  Each
 * has a transaction of its own from now on.  The newest first: what is sent
 * again goes to the head of the queue.
 */

static void
prov_db_answer_apart(prov_db_conn_t *conn)
{
    ngx_queue_t      *item, *prev;
    prov_db_query_t  *q;

    for (item = ngx_queue_last(&conn->answered);
         item != ngx_queue_sentinel(&conn->answered);
         item = prev)
    {
        prev = ngx_queue_prev(item);
        q = ngx_queue_data(item, prov_db_query_t, queue);

        if (q->result == NULL && q->aborted) {
            prov_db_answer_unprepared(conn, q);

        } else if (q->batch > 1 && q->result && prov_db_failed(q->result)) {
            (void) prov_db_answer_transient(conn, q);

        } else {
            continue;
        }

        ngx_queue_remove(&q->queue);
        conn->nsent--;

        prov_db_query_apart(q);
    }
}


/*
 * Everything of this query has been rolled back.  Some errors say that it
 * would succeed if it were sent again (PostgreSQL manual, appendix A).
 */

void
prov_db_answer_error(prov_db_conn_t *conn, prov_db_query_t *q)
{
    if (prov_db_answer_transient(conn, q)) {
        prov_db_query_again(q);
        return;
    }

    prov_db_group_blame(conn->pool, q);
    prov_db_query_done(q, PROV_DB_REFUSED);
}


/* 1 for such an error; the connection is told what it says of itself */

ngx_uint_t
prov_db_answer_transient(prov_db_conn_t *conn, prov_db_query_t *q)
{
    const char  *state;

    state = PQresultErrorField(q->result, PG_DIAG_SQLSTATE);

    /*
     * not prepared (any more), or its result has changed since, or a function
     * that a migration has just replaced was dropped under the statement
     */

    if (ngx_strcmp(state, "26000") == 0
        || (ngx_strcmp(state, "0A000") == 0 && !q->preparing)
        || (ngx_strcmp(state, "XX000") == 0 && prov_db_dropped(q->result)))
    {
        if (conn->generation[q->number] == q->generation) {
            conn->generation[q->number] = 0;
        }

        return 1;
    }

    prov_db_answer_unprepared(conn, q);

    if (ngx_strcmp(state, "25006") == 0) {
        prov_db_demoted(conn);
        return 1;
    }

    return ngx_strcmp(state, "40001") == 0 || ngx_strcmp(state, "40P01") == 0;
}


/* Its Parse has failed, or was not looked at. */

void
prov_db_answer_unprepared(prov_db_conn_t *conn, prov_db_query_t *q)
{
    if (q->preparing && !q->prepared
        && conn->generation[q->number] == q->generation)
    {
        conn->generation[q->number] = 0;
    }
}


ngx_uint_t
prov_db_failed(PGresult *result)
{
    switch (PQresultStatus(result)) {

    case PGRES_TUPLES_OK:
    case PGRES_SINGLE_TUPLE:
    case PGRES_COMMAND_OK:
        return 0;

    default:
        return 1;
    }
}


/* 1 when the server ends the session, or libpq itself made the error */

static ngx_uint_t
prov_db_fatal(PGresult *result)
{
    const char  *severity;

    if (PQresultErrorField(result, PG_DIAG_SQLSTATE) == NULL) {
        return 1;
    }

    severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

    return severity && ngx_strcmp(severity, "ERROR") != 0;
}


/* PostgreSQL has no SQLSTATE for this, and translates no such message */

static ngx_uint_t
prov_db_dropped(PGresult *result)
{
    const char  *message;

    static const char  dropped[] = "cache lookup failed for function ";

    message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    return message
           && ngx_strncmp(message, dropped, sizeof(dropped) - 1) == 0;
}
