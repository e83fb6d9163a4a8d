/*
 * A connection's life once it is open: moved between the pool's lists by one
 * function, given up when it is overdue or old, closed from any state.  How it
 * is opened is in prov_db_connect.c, what goes over it in prov_db_wire.c.
 */

#include "db/prov_db_pool.h"

#include <openssl/err.h>


static void prov_db_conn_overdue(prov_db_conn_t *conn);
static void prov_db_conn_part(ngx_queue_t *list);
static void prov_db_conn_unreserve(prov_db_conn_t *conn);
static ngx_uint_t prov_db_conn_clean(prov_db_conn_t *conn);
static void prov_db_conn_lose(prov_db_conn_t *conn, ngx_queue_t *list);


/* The only place where a connection changes its state, and its list. */

void
prov_db_conn_move(prov_db_conn_t *conn, prov_db_conn_state_e state)
{
    prov_db_pool_t  *pool;

    pool = conn->pool;

    ngx_queue_remove(&conn->queue);

    if (conn->state == PROV_DB_CONNECTING) {
        pool->nconnecting--;

    } else if (conn->state == PROV_DB_BUSY) {
        pool->nbusy[conn->kind]--;
    }

    conn->state = state;

    switch (state) {

    case PROV_DB_CLOSED:
        ngx_queue_insert_tail(&pool->closed, &conn->queue);
        break;

    case PROV_DB_CONNECTING:
        ngx_queue_insert_tail(&pool->connecting, &conn->queue);
        pool->nconnecting++;
        break;

    case PROV_DB_IDLE:
        /* last in, first out: what is not needed may grow old */
        ngx_queue_insert_head(&pool->idle, &conn->queue);
        break;

    case PROV_DB_BUSY:
        ngx_queue_insert_tail(&pool->busy, &conn->queue);
        pool->nbusy[conn->kind]++;
        break;
    }

    /* what a leaving worker may close, and what keeps it from leaving */

    if (conn->c) {
        conn->c->idle = (state == PROV_DB_IDLE);
    }

    conn->timer.cancelable = (state != PROV_DB_BUSY);
}


/*
 * One timer for all that is in flight: queries are answered in the order in
 * which they were sent, so the oldest is always the first to be overdue.
 * The timer is not moved with each query, it looks when it has run down.
 */

void
prov_db_conn_timer(ngx_event_t *ev)
{
    ngx_msec_t        passed, limit;
    prov_db_conn_t   *conn;
    prov_db_query_t  *q;

    conn = ev->data;

    if (conn->state != PROV_DB_BUSY) {
        return;
    }

    q = prov_db_conn_oldest(conn);

    passed = ngx_current_msec - q->sent;
    limit = conn->pool->conf->query_timeout;

    if (passed >= limit) {
        prov_db_conn_overdue(conn);
        return;
    }

    ngx_add_timer(&conn->timer, limit - passed);
}


/* of a connection that has something in flight */

prov_db_query_t *
prov_db_conn_oldest(prov_db_conn_t *conn)
{
    ngx_queue_t  *list;

    list = !ngx_queue_empty(&conn->held) ? &conn->held
           : !ngx_queue_empty(&conn->answered) ? &conn->answered
           : &conn->sent;

    return ngx_queue_data(ngx_queue_head(list), prov_db_query_t, queue);
}


/* keepalive_time is over */

void
prov_db_conn_aged(ngx_event_t *ev)
{
    prov_db_conn_t  *conn;

    conn = ev->data;

    if (conn->state == PROV_DB_IDLE) {
        prov_db_conn_close(conn);

    } else {
        conn->retired = 1;
    }
}


/* nginx has set c->close: the worker leaves, and needs this one no more */

void
prov_db_conn_leave(prov_db_conn_t *conn)
{
    prov_db_conn_close(conn);
    prov_db_wake(conn->pool);
}


/*
 * A query cannot be cancelled without blocking before libpq 17, so its
 * connection is given up.  The others on it are repeated where they may be.
 */

static void
prov_db_conn_overdue(prov_db_conn_t *conn)
{
    prov_db_pool_t   *pool;
    prov_db_query_t  *q;

    pool = conn->pool;

    q = prov_db_conn_oldest(conn);

    ngx_log_error(NGX_LOG_ERR, pool->log, NGX_ETIMEDOUT,
                  "provisioning_database \"%V\": a query took longer than "
                  "query_timeout, closing its connection with %ui in flight",
                  &pool->conf->name, conn->nsent);

    if (q->class == PROV_DB_WRITE || q->class == PROV_DB_BARRIER) {
        prov_db_conn_close(conn);

    } else if (!q->last) {

        /* reads that share a transaction, whose rows stay with the server
           until the last of them has its own: which one is slow is not known */

        prov_db_conn_part(&conn->answered);
        prov_db_conn_part(&conn->sent);

        prov_db_conn_close(conn);

    } else {
        ngx_queue_remove(&q->queue);
        conn->nsent--;

        prov_db_conn_close(conn);
        prov_db_query_done(q, PROV_DB_TIMEOUT);
    }

    prov_db_wake(pool);
}


/* What is sent again shares no transaction any more. */

static void
prov_db_conn_part(ngx_queue_t *list)
{
    ngx_queue_t      *item;
    prov_db_query_t  *q;

    for (item = ngx_queue_head(list);
         item != ngx_queue_sentinel(list);
         item = ngx_queue_next(item))
    {
        q = ngx_queue_data(item, prov_db_query_t, queue);
        q->alone = 1;
    }
}


/*
 * After something has been read: an unoccupied connection is proven clean
 * and becomes idle, or is closed; there is no third way.
 */

void
prov_db_conn_settle(prov_db_conn_t *conn)
{
    prov_db_pool_t  *pool;

    pool = conn->pool;

    if (conn->nsent == 0) {

        prov_db_conn_unreserve(conn);

        if (conn->retired || !prov_db_conn_clean(conn)
            || (ngx_exiting && pool->nwaiting == 0))
        {
            prov_db_conn_close(conn);

        } else if (conn->state != PROV_DB_IDLE) {
            prov_db_conn_move(conn, PROV_DB_IDLE);
        }
    }

    prov_db_wake(pool);
}


/* no list waits for it any more */

static void
prov_db_conn_unreserve(prov_db_conn_t *conn)
{
    if (conn->reserved) {
        conn->reserved = 0;
        conn->pool->nreserved--;
    }
}


static ngx_uint_t
prov_db_conn_clean(prov_db_conn_t *conn)
{
    if (PQstatus(conn->pg) == CONNECTION_OK
        && PQpipelineStatus(conn->pg) == PQ_PIPELINE_ON
        && PQtransactionStatus(conn->pg) == PQTRANS_IDLE
        && PQflush(conn->pg) == 0)
    {
        return 1;
    }

    ngx_log_error(NGX_LOG_ERR, conn->pool->log, 0,
                  "provisioning_database \"%V\": a connection was not clean "
                  "after its last query (transaction status %d), closing it",
                  &conn->pool->conf->name,
                  (int) PQtransactionStatus(conn->pg));

    return 0;
}


/*
 * Closes from any state.  Queries in flight go to prov_db_query_lost(), that
 * is, their handlers may run before this returns.
 */

void
prov_db_conn_close(prov_db_conn_t *conn)
{
    prov_db_pool_t  *pool;

    pool = conn->pool;

    prov_db_conn_unwatch(conn);
    prov_db_conn_unreserve(conn);

    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    if (conn->age.timer_set) {
        ngx_del_timer(&conn->age);
    }

    if (conn->pg) {
        PQfinish(conn->pg);
        conn->pg = NULL;

        /* else the next TLS connection of nginx would complain of them */
        ERR_clear_error();
    }

    PQclear(conn->barrier.result);
    conn->barrier.result = NULL;

    conn->retired = 0;
    conn->dead = 0;
    conn->prepared = 0;
    conn->open = 0;
    conn->newest = NULL;
    conn->unflushed = 0;
    conn->flushing = 0;
    conn->commits = 0;
    conn->pushing = 0;
    conn->guarded = 0;
    conn->batch = NULL;
    conn->nbatch = 0;
    conn->reader = NULL;
    conn->nread = 0;

    ngx_memzero(conn->generation,
                pool->conf->statements.nelts * sizeof(ngx_uint_t));

    prov_db_conn_move(conn, PROV_DB_CLOSED);

    /* the newest first: what is sent again goes to the head of the queue */

    prov_db_conn_lose(conn, &conn->sent);
    prov_db_conn_lose(conn, &conn->answered);
    prov_db_conn_lose(conn, &conn->held);
}


static void
prov_db_conn_lose(prov_db_conn_t *conn, ngx_queue_t *list)
{
    prov_db_query_t  *q;

    while (!ngx_queue_empty(list)) {
        q = ngx_queue_data(ngx_queue_last(list), prov_db_query_t, queue);

        ngx_queue_remove(&q->queue);
        conn->nsent--;

        if (q->class != PROV_DB_BARRIER) {
            prov_db_query_lost(q);
        }
    }
}
