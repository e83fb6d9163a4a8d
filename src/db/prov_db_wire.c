/*
 * What goes over an open connection: statements out, each in an implicit
 * transaction of its own (one Sync), results in.  A query is answered when
 * its Sync is, never at its rows: only then is it committed.
 */

#include "db/prov_db_pool.h"

#include <openssl/ssl.h>


#define PROV_DB_NAME_LEN  (sizeof("prov__") + 2 * NGX_INT_T_LEN)


static void prov_db_wire_flush(prov_db_conn_t *conn);
static void prov_db_wire_results(prov_db_conn_t *conn);
static void prov_db_wire_result(prov_db_conn_t *conn, PGresult *result);
static void prov_db_wire_finish(prov_db_conn_t *conn);
static void prov_db_wire_error(prov_db_conn_t *conn, prov_db_query_t *q);
static ngx_uint_t prov_db_wire_failed(PGresult *result);
static ngx_uint_t prov_db_wire_fatal(PGresult *result);
static ngx_uint_t prov_db_wire_dropped(PGresult *result);
static ngx_uint_t prov_db_wire_pending(prov_db_conn_t *conn);


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

    prov_db_wire_flush(conn);

    return conn->dead ? NGX_ERROR : NGX_OK;
}


/*
 * While something is left to send both directions are watched: the server
 * may have to get rid of answers before it reads on.
 */

static void
prov_db_wire_flush(prov_db_conn_t *conn)
{
    ngx_event_t  *wev;

    wev = conn->c->write;

    switch (PQflush(conn->pg)) {

    case 0:
        if (wev->active) {
            (void) ngx_del_event(wev, NGX_WRITE_EVENT, 0);
        }

        return;

    case 1:
        if (!wev->active
            && ngx_add_event(wev, NGX_WRITE_EVENT, NGX_LEVEL_EVENT) != NGX_OK)
        {
            conn->dead = 1;
        }

        return;

    default:
        conn->dead = 1;
    }
}


void
prov_db_wire_write(ngx_event_t *ev)
{
    prov_db_conn_t    *conn;
    ngx_connection_t  *c;

    c = ev->data;
    conn = c->data;

    prov_db_wire_flush(conn);

    if (conn->dead) {
        prov_db_conn_log(NGX_LOG_ERR, conn, "sending");
        prov_db_conn_close(conn);
        prov_db_wake(conn->pool);
    }
}


void
prov_db_wire_read(ngx_event_t *ev)
{
    ngx_uint_t         gone;
    prov_db_conn_t    *conn;
    prov_db_pool_t    *pool;
    ngx_connection_t  *c;

    c = ev->data;
    conn = c->data;
    pool = conn->pool;

    if (c->close) {
        /* the worker leaves, and this connection is idle */
        prov_db_conn_close(conn);
        return;
    }

    do {
        gone = (PQconsumeInput(conn->pg) != 1);

        /* what had arrived before the end still counts */

        prov_db_wire_results(conn);

        if (gone || conn->dead) {
            prov_db_conn_log(conn->nsent ? NGX_LOG_ERR : NGX_LOG_INFO, conn,
                             "reading");
            prov_db_conn_close(conn);
            prov_db_wake(pool);
            return;
        }

    } while (prov_db_wire_pending(conn));

    prov_db_wire_flush(conn);

    if (conn->dead) {
        prov_db_conn_log(NGX_LOG_ERR, conn, "sending");
        prov_db_conn_close(conn);
        prov_db_wake(pool);
        return;
    }

    prov_db_conn_settle(conn);
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
