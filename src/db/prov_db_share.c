/*
 * One flush to disk for many commits.  The changes on a connection are
 * committed one by one under synchronous_commit=off, which waits for nothing;
 * a barrier behind them commits with what the server is configured to wait
 * for, and so waits for all that was written before it.  Only then are they
 * answered.  A change that is alone has the barrier in its own transaction.
 *
 * At most one barrier is in flight on a connection: what comes while the disk
 * is busy goes out at once, and is covered by the next.
 */

#include "db/prov_db_pool.h"


/*
 * What a connection is told when it is opened.  For the barrier the server's
 * own setting (on, remote_apply, …) is taken back, as it is by then.
 *
 * The barrier writes a record by itself: a transaction without one waits for
 * nothing, and a change may have found that another, not on disk yet, has done
 * the same before (Idempotency-Key).
 */

#define PROV_DB_SHARE_SETUP                                                   \
    "select pg_catalog.set_config('synchronous_commit', 'off', false); "      \
    "prepare " PROV_DB_BARRIER_NAME " as "                                    \
    "select pg_catalog.set_config('synchronous_commit', null, true), "        \
    "pg_catalog.pg_logical_emit_message(true, 'prov', '')"


static ngx_int_t prov_db_share_barrier(prov_db_conn_t *conn);


/* NULL: nothing */

const char *
prov_db_share_setup(prov_db_conf_t *conf)
{
    if (conf->share_transactions == 1) {
        return conf->share_commits ? PROV_DB_SHARE_SETUP : NULL;
    }

    return conf->share_commits ? PROV_DB_SHARE_SETUP "; " PROV_DB_GUARD_SETUP
                               : PROV_DB_GUARD_SETUP;
}


/* 1 for a query whose commit has to be flushed by a barrier */

ngx_uint_t
prov_db_shares(prov_db_query_t *q)
{
    return q->conf->share_commits
           && (q->class == PROV_DB_WRITE || q->class == PROV_DB_OUTCOME
               || q->class == PROV_DB_REPLAY);
}


/*
 * Before the Sync of what is open: a change with which nobody shares takes the
 * barrier into its own transaction.  Where several share one it comes behind
 * them: nobody waits for their locks while they wait for the disk.
 */

ngx_int_t
prov_db_share_close(prov_db_conn_t *conn)
{
    prov_db_query_t  *q;

    q = conn->newest;

    if (!prov_db_shares(q) || conn->unflushed || conn->flushing
        || conn->open > 1 || q->commands == 0)
    {
        return NGX_OK;
    }

    q->flushing = 1;
    q->commands++;
    conn->flushing = 1;

    return prov_db_share_barrier(conn);
}


/* A barrier for all that was committed, or will be, before it. */

ngx_int_t
prov_db_share_flush(prov_db_conn_t *conn)
{
    prov_db_query_t  *q;

    if (conn->unflushed == 0 || conn->flushing) {
        return NGX_OK;
    }

    q = &conn->barrier;

    ngx_memzero(q, sizeof(prov_db_query_t));

    q->conf = conn->pool->conf;
    q->class = PROV_DB_BARRIER;
    q->state = PROV_DB_SENT;
    q->sent = ngx_current_msec;
    q->commands = 1;
    q->batch = 1;

    ngx_queue_insert_tail(&conn->sent, &q->queue);
    conn->nsent++;
    conn->newest = q;

    conn->flushing = 1;
    conn->unflushed = 0;

    if (prov_db_share_barrier(conn) != NGX_OK) {
        return NGX_ERROR;
    }

    return prov_db_wire_sync(conn);
}


static ngx_int_t
prov_db_share_barrier(prov_db_conn_t *conn)
{
    return (PQsendQueryPrepared(conn->pg, PROV_DB_BARRIER_NAME, 0, NULL, NULL,
                                NULL, 0) == 1)
           ? NGX_OK : NGX_ERROR;
}


/*
 * The barrier has been answered.  All that is held was sent before it, since
 * what was sent after has not been answered yet.
 */

void
prov_db_share_flushed(prov_db_conn_t *conn, prov_db_query_t *barrier)
{
    ngx_uint_t        failed;
    prov_db_query_t  *q;

    failed = barrier->result == NULL || prov_db_failed(barrier->result);

    PQclear(barrier->result);
    barrier->result = NULL;

    conn->flushing = 0;

    if (failed) {
        /* whether they are on disk is not known */

        ngx_log_error(NGX_LOG_ERR, conn->pool->log, 0,
                      "provisioning_database \"%V\": the server could not "
                      "say that commits are on disk, closing the connection "
                      "with %ui queries in flight",
                      &conn->pool->conf->name, conn->nsent);
        conn->dead = 1;
        return;
    }

    while (!ngx_queue_empty(&conn->held)) {
        q = ngx_queue_data(ngx_queue_head(&conn->held), prov_db_query_t,
                           queue);

        ngx_queue_remove(&q->queue);
        conn->nsent--;

        prov_db_query_done(q, PROV_DB_COMMITTED);
    }
}
