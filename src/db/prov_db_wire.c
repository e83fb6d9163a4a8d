/*
 * What goes over an open connection: statements out, each in an implicit
 * transaction of its own (one Sync), results in.  A query is answered when
 * its Sync is, never at its rows: only then is it committed.
 */

#include "db/prov_db_pool.h"

#include <openssl/ssl.h>


#define PROV_DB_NAME_LEN  (sizeof("prov__") + 2 * NGX_INT_T_LEN)


static ngx_int_t prov_db_wire_flush(prov_db_conn_t *conn);
static void prov_db_wire_results(prov_db_conn_t *conn);
static void prov_db_wire_result(prov_db_conn_t *conn, PGresult *result);
static void prov_db_wire_finish(prov_db_conn_t *conn);
static void prov_db_wire_error(prov_db_conn_t *conn, prov_db_query_t *q);
static ngx_uint_t prov_db_wire_failed(PGresult *result);
static ngx_uint_t prov_db_wire_fatal(PGresult *result);
static ngx_uint_t prov_db_wire_dropped(PGresult *result);
static ngx_uint_t prov_db_wire_pending(prov_db_conn_t *conn);


/*
 * Handlers of queries that were sent before may run before this returns.
 * NGX_ERROR: the connection is of no use any more.
 */

ngx_int_t
prov_db_wire_send(prov_db_conn_t *conn, prov_db_query_t *q)
{
    char              name[PROV_DB_NAME_LEN];
    const char      **statement;
    ngx_uint_t       *generation;
    prov_db_conf_t   *conf;

    conf = conn->pool->conf;
    statement = conf->statements.elts;
    generation = &conn->generation[q->statement];

    if (*generation == 0) {
        *generation = ++conn->prepared;
        q->preparing = 1;

        if (conn->prepared > conf->statements.nelts + PROV_DB_REPREPARED) {
            conn->retired = 1;
        }
    }

    q->generation = *generation;

    ngx_snprintf((u_char *) name, sizeof(name), "prov_%ui_%ui%Z",
                 q->statement, q->generation);

    if (q->preparing
        && PQsendPrepare(conn->pg, name, statement[q->statement], 0, NULL)
           != 1)
    {
        return NGX_ERROR;
    }

    if (PQsendQueryPrepared(conn->pg, name, PROV_DB_PARAMS, q->values, NULL,
                            NULL, 0) != 1
        || PQpipelineSync(conn->pg) != 1)
    {
        return NGX_ERROR;
    }

    if (!conn->timer.timer_set) {
        ngx_add_timer(&conn->timer, conf->query_timeout);
    }

    if (prov_db_wire_flush(conn) != NGX_OK) {
        return NGX_ERROR;
    }

    /*
     * Where libpq could not send all it has read what was there: no event
     * tells of that, and should it find the connection closed by the next
     * query, it would forget whose answers these are.
     */

    prov_db_wire_results(conn);

    if (conn->dead) {
        return NGX_ERROR;
    }

    if (conn->nsent == 0) {
        prov_db_conn_settle(conn);
    }

    return NGX_OK;
}


/*
 * While something is left to send both directions are watched: the server
 * may have to get rid of answers before it reads on.
 */

static ngx_int_t
prov_db_wire_flush(prov_db_conn_t *conn)
{
    ngx_event_t  *wev;

    wev = conn->c->write;

    switch (PQflush(conn->pg)) {

    case 0:
        if (wev->active) {
            (void) ngx_del_event(wev, NGX_WRITE_EVENT, 0);
        }

        return NGX_OK;

    case 1:
        if (!wev->active) {
            return ngx_add_event(wev, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
        }

        return NGX_OK;

    default:
        return NGX_ERROR;
    }
}


/*
 * For both directions: libpq sends before it reads, and reads what is there
 * where it cannot send.
 */

void
prov_db_wire_event(ngx_event_t *ev)
{
    prov_db_conn_t    *conn;
    ngx_connection_t  *c;

    c = ev->data;
    conn = c->data;

    if (c->close) {
        prov_db_conn_leave(conn);
        return;
    }

    do {
        /* what was read while sending, before the end can be found */

        prov_db_wire_results(conn);

        if (conn->dead || PQconsumeInput(conn->pg) != 1) {
            prov_db_wire_lost(conn, "reading");
            return;
        }

    } while (prov_db_wire_pending(conn));

    prov_db_wire_results(conn);

    if (conn->dead) {
        prov_db_wire_lost(conn, "reading");
        return;
    }

    if (prov_db_wire_flush(conn) != NGX_OK) {
        prov_db_wire_lost(conn, "sending");
        return;
    }

    prov_db_conn_settle(conn);
}


void
prov_db_wire_lost(prov_db_conn_t *conn, const char *doing)
{
    prov_db_pool_t  *pool;

    pool = conn->pool;

    prov_db_conn_log(conn->nsent ? NGX_LOG_ERR : NGX_LOG_INFO, conn, doing);
    prov_db_conn_close(conn);
    prov_db_wake(pool);
}


/*
 * Takes all results that have arrived whole.  PQisBusy() is what parses, so
 * it is called on an idle connection too, for notices and reports.
 */

static void
prov_db_wire_results(prov_db_conn_t *conn)
{
    PGresult    *result;
    ngx_uint_t   nothing;

    nothing = 0;

    while (!PQisBusy(conn->pg) && conn->nsent && !conn->dead) {

        result = PQgetResult(conn->pg);

        if (result) {
            nothing = 0;
            prov_db_wire_result(conn, result);
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
        }
    }
}


static void
prov_db_wire_result(prov_db_conn_t *conn, PGresult *result)
{
    prov_db_query_t  *q;

    q = ngx_queue_data(ngx_queue_head(&conn->sent), prov_db_query_t, queue);

    switch (PQresultStatus(result)) {

    case PGRES_PIPELINE_SYNC:
        PQclear(result);
        prov_db_wire_finish(conn);
        return;

    case PGRES_PIPELINE_ABORTED:
        PQclear(result);
        return;

    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:

        if (q->preparing && !q->prepared) {
            q->prepared = 1;
            PQclear(result);
            return;
        }

        break;

    default:

        if (prov_db_wire_fatal(result)) {
            /* the session is over; whether this query is, is not known */
            PQclear(result);
            conn->dead = 1;
            return;
        }
    }

    /* an error that the commit brings comes after the rows, and counts */

    if (q->result && prov_db_wire_failed(q->result)) {
        PQclear(result);
        return;
    }

    PQclear(q->result);
    q->result = result;
}


/* The Sync of the oldest query has been answered. */

static void
prov_db_wire_finish(prov_db_conn_t *conn)
{
    prov_db_query_t  *q;

    q = ngx_queue_data(ngx_queue_head(&conn->sent), prov_db_query_t, queue);

    if (q->result == NULL) {
        conn->dead = 1;
        return;
    }

    ngx_queue_remove(&q->queue);
    conn->nsent--;

    if (prov_db_wire_failed(q->result)) {
        prov_db_wire_error(conn, q);
        return;
    }

    prov_db_query_done(q, PROV_DB_COMMITTED);
}


/*
 * Everything of this query has been rolled back.  Some errors say that it
 * would succeed if it were sent again (PostgreSQL manual, appendix A).
 */

static void
prov_db_wire_error(prov_db_conn_t *conn, prov_db_query_t *q)
{
    const char  *state;
    ngx_uint_t   stale;

    state = PQresultErrorField(q->result, PG_DIAG_SQLSTATE);

    /*
     * not prepared (any more), or its result has changed since, or a function
     * that a migration has just replaced was dropped under the statement
     */

    stale = ngx_strcmp(state, "26000") == 0
            || (ngx_strcmp(state, "0A000") == 0 && !q->preparing)
            || (ngx_strcmp(state, "XX000") == 0
                && prov_db_wire_dropped(q->result));

    if ((stale || (q->preparing && !q->prepared))
        && conn->generation[q->statement] == q->generation)
    {
        conn->generation[q->statement] = 0;
    }

    if (stale) {
        prov_db_query_again(q);
        return;
    }

    if (ngx_strcmp(state, "25006") == 0) {
        prov_db_demoted(conn);
        prov_db_query_again(q);
        return;
    }

    if (ngx_strcmp(state, "40001") == 0 || ngx_strcmp(state, "40P01") == 0) {
        prov_db_query_again(q);
        return;
    }

    prov_db_query_done(q, PROV_DB_REFUSED);
}


static ngx_uint_t
prov_db_wire_failed(PGresult *result)
{
    return PQresultStatus(result) != PGRES_TUPLES_OK
           && PQresultStatus(result) != PGRES_COMMAND_OK;
}


/* 1 when the server ends the session, or libpq itself made the error */

static ngx_uint_t
prov_db_wire_fatal(PGresult *result)
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
prov_db_wire_dropped(PGresult *result)
{
    const char  *message;

    static const char  dropped[] = "cache lookup failed for function ";

    message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    return message
           && ngx_strncmp(message, dropped, sizeof(dropped) - 1) == 0;
}


/* bytes that OpenSSL has taken from the socket: no event comes for them */

static ngx_uint_t
prov_db_wire_pending(prov_db_conn_t *conn)
{
    SSL  *ssl;

    ssl = PQsslStruct(conn->pg, "OpenSSL");

    return ssl && SSL_pending(ssl) > 0;
}
