/*
 * What goes out over an open connection.  An implicit transaction ends with a
 * Sync; reads that are sent together share one, and so may changes
 * (prov_db_group.c).  What comes back is read in prov_db_answer.c.
 */

#include "db/prov_db_pool.h"

#include <openssl/ssl.h>


#define PROV_DB_NAME_LEN  (sizeof("prov__") + 2 * NGX_INT_T_LEN)


static ngx_int_t prov_db_wire_exchange(prov_db_conn_t *conn);
static ngx_int_t prov_db_wire_flush(prov_db_conn_t *conn);


/*
 * Nothing need have left this process before prov_db_wire_push(), but handlers
 * of queries that were sent before may run.  NGX_ERROR: the connection is of no
 * use any more; the query is on it all the same.
 */

ngx_int_t
prov_db_wire_add(prov_db_conn_t *conn, prov_db_query_t *q)
{
    ngx_int_t   rc;
    ngx_uint_t  sending;

    rc = NGX_OK;
    sending = 1;

    if (conn->open && !prov_db_group_joins(conn, q)) {
        rc = prov_db_wire_sync(conn);

    } else if (conn->nbatch && !prov_db_batch_takes(conn, q)) {
        rc = prov_db_batch_send(conn);

    } else {
        sending = 0;
    }

    prov_db_query_sent(q, conn);
    prov_db_batch_add(conn, q);

    conn->newest = q;
    conn->open++;
    conn->pushing = 1;

    if (rc != NGX_OK || !sending) {
        return rc;
    }

    /*
     * Where libpq could not send all it has read what was there: no event
     * tells of that, and should it find the connection closed by the next
     * query, it would forget whose answers these are.
     */

    prov_db_answer(conn);

    return conn->dead ? NGX_ERROR : NGX_OK;
}


/*
 * A query, or those that its statement serves with it: prepared, if it is not
 * yet, and run.
 */

ngx_int_t
prov_db_wire_statement(prov_db_conn_t *conn, prov_db_query_t *q)
{
    char                  name[PROV_DB_NAME_LEN];
    ngx_uint_t           *generation;
    prov_db_conf_t       *conf;
    prov_db_statement_t  *statement;

    conf = conn->pool->conf;
    statement = conf->statements.elts;
    generation = &conn->generation[q->number];

    q->commands = 1;

    if (prov_db_group_guard(conn, q) != NGX_OK) {
        return NGX_ERROR;
    }

    if (*generation == 0) {
        *generation = ++conn->prepared;
        q->preparing = 1;
        q->commands++;

        if (conn->prepared > conf->statements.nelts + PROV_DB_REPREPARED) {
            conn->retired = 1;
        }
    }

    q->generation = *generation;

    ngx_snprintf((u_char *) name, sizeof(name), "prov_%ui_%ui%Z",
                 q->number, q->generation);

    if (q->preparing
        && PQsendPrepare(conn->pg, name, statement[q->number].text, 0, NULL)
           != 1)
    {
        return NGX_ERROR;
    }

    if (q->batch > 1) {
        return prov_db_batch_query(conn, name, q);
    }

    if (PQsendQueryPrepared(conn->pg, name, PROV_DB_PARAMS, q->values, NULL,
                            NULL, 0) != 1)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Ends the transaction of what is open. */

ngx_int_t
prov_db_wire_sync(prov_db_conn_t *conn)
{
    prov_db_query_t  *q;

    if (prov_db_batch_send(conn) != NGX_OK) {
        return NGX_ERROR;
    }

    /* it may have been answered, but not finished */

    q = conn->newest;
    q->last = 1;

    if (prov_db_shares(q) && !q->flushing) {
        conn->unflushed++;
    }

    if (q->class == PROV_DB_WRITE) {
        conn->commits++;
    }

    conn->open = 0;
    conn->guarded = 0;

    /* before libpq 17 each Sync is a send(2) of its own */

#ifdef LIBPQ_HAS_SEND_PIPELINE_SYNC
    return (PQsendPipelineSync(conn->pg) == 1) ? NGX_OK : NGX_ERROR;
#else
    return (PQpipelineSync(conn->pg) == 1) ? NGX_OK : NGX_ERROR;
#endif
}


/*
 * Sends what was added.  Handlers of queries that were sent before may run
 * before this returns.  NGX_ERROR: the connection is of no use any more.
 */

ngx_int_t
prov_db_wire_push(prov_db_conn_t *conn)
{
    conn->pushing = 0;

    if (conn->open
        && (prov_db_batch_send(conn) != NGX_OK
            || prov_db_share_close(conn) != NGX_OK
            || prov_db_wire_sync(conn) != NGX_OK))
    {
        return NGX_ERROR;
    }

    if (!conn->timer.timer_set) {
        ngx_add_timer(&conn->timer, conn->pool->conf->query_timeout);
    }

    if (prov_db_wire_exchange(conn) != NGX_OK) {
        return NGX_ERROR;
    }

    if (conn->nsent == 0) {
        prov_db_conn_settle(conn);
    }

    return NGX_OK;
}


/* Sends what is to be sent and takes what has come. */

static ngx_int_t
prov_db_wire_exchange(prov_db_conn_t *conn)
{
    do {
        if (prov_db_share_flush(conn) != NGX_OK
            || prov_db_wire_flush(conn) != NGX_OK)
        {
            return NGX_ERROR;
        }

        prov_db_answer(conn);

        if (conn->dead) {
            return NGX_ERROR;
        }

    } while (conn->unflushed && !conn->flushing);

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

        prov_db_answer(conn);

        if (conn->dead || PQconsumeInput(conn->pg) != 1) {
            prov_db_wire_lost(conn, "reading");
            return;
        }

    } while (prov_db_wire_pending(conn));

    prov_db_answer(conn);

    if (conn->dead) {
        prov_db_wire_lost(conn, "reading");
        return;
    }

    if (prov_db_wire_exchange(conn) != NGX_OK) {
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


/* bytes that OpenSSL has taken from the socket: no event comes for them */

ngx_uint_t
prov_db_wire_pending(prov_db_conn_t *conn)
{
    SSL  *ssl;

    ssl = PQsslStruct(conn->pg, "OpenSSL");

    return ssl && SSL_pending(ssl) > 0;
}
