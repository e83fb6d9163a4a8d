/*
 * Changes that share a transaction.  Those that go out together over one
 * connection, and that the caller says are independent of each other, have one
 * Sync: one commit, one snapshot, one preparation of what their functions
 * evaluate.  They are committed together or not at all: when one of them fails
 * nothing is kept, and each is sent again, by itself.
 *
 * Whose query has made a transaction fail has transactions of its own for a
 * while, so that nobody can make others pay for his errors again and again.
 */

#include "db/prov_db_pool.h"


/* how long somebody is left alone who made a transaction fail */
#define PROV_DB_BLAME      10000      /* ms */

static ngx_msec_t *prov_db_group_blamed(prov_db_pool_t *pool,
    prov_db_query_t *q);
static prov_db_query_t *prov_db_group_failed(prov_db_conn_t *conn);
static void prov_db_group_lost(prov_db_conn_t *conn);


/* When it is submitted: whether it may share. */

void
prov_db_group_ask(prov_db_pool_t *pool, prov_db_query_t *q)
{
    ngx_msec_t  *blamed;

    if (!q->together
        || (q->class == PROV_DB_WRITE && pool->conf->share_transactions < 2))
    {
        return;
    }

    blamed = prov_db_group_blamed(pool, q);

    if (*blamed && (ngx_msec_int_t) (*blamed - ngx_current_msec) <= 0) {
        *blamed = 0;
    }

    q->alone = (*blamed != 0);
}


/*
 * It has failed.  One that fails at commit is told of with the last of its
 * transaction, and found out when it is sent by itself.
 */

void
prov_db_group_blame(prov_db_pool_t *pool, prov_db_query_t *q)
{
    if (q->together) {
        /* 0 would be nobody */
        *prov_db_group_blamed(pool, q) = (ngx_current_msec + PROV_DB_BLAME)
                                         | 1;
    }
}


/* Whose lists take long may make changes that do not. */

static ngx_msec_t *
prov_db_group_blamed(prov_db_pool_t *pool, prov_db_query_t *q)
{
    return (q->class == PROV_DB_LIST)
           ? &pool->slow[q->source % PROV_DB_BLAMED]
           : &pool->blamed[q->source % PROV_DB_BLAMED];
}


/* Whether it may be part of the transaction that is open. */

ngx_uint_t
prov_db_group_joins(prov_db_conn_t *conn, prov_db_query_t *q)
{
    if (q->alone || conn->newest->alone) {
        return 0;
    }

    if (q->class != PROV_DB_WRITE || conn->newest->class != PROV_DB_WRITE) {
        return q->class != PROV_DB_WRITE
               && conn->newest->class != PROV_DB_WRITE;
    }

    return conn->open < conn->pool->conf->share_transactions;
}


/*
 * Whether it rather waits for others than begin a transaction of its own on
 * this connection: where one is under way, it could not begin sooner anyway.
 */

ngx_uint_t
prov_db_group_waits(prov_db_conn_t *conn, prov_db_query_t *q)
{
    return !q->alone && q->class == PROV_DB_WRITE && conn->commits
           && !(conn->open && prov_db_group_joins(conn, q));
}


/* Before the second one of a transaction, or those that it is sent with. */

ngx_int_t
prov_db_group_guard(prov_db_conn_t *conn, prov_db_query_t *q)
{
    if (q->class != PROV_DB_WRITE || conn->guarded || conn->open < 2) {
        return NGX_OK;
    }

    conn->guarded = 1;
    q->guarding = 1;
    q->commands++;

    return (PQsendQueryPrepared(conn->pg, PROV_DB_GUARD_NAME, 0, NULL, NULL,
                                NULL, 0) == 1)
           ? NGX_OK : NGX_ERROR;
}


/*
 * The Sync of several has been answered.  1 when they are committed; else they
 * are on no list of the connection any more.
 */

ngx_uint_t
prov_db_group_committed(prov_db_conn_t *conn)
{
    prov_db_query_t  *q, *failed, *first;

    failed = prov_db_group_failed(conn);

    if (failed == NULL) {
        return 1;
    }

    if (failed->result == NULL) {
        prov_db_group_lost(conn);
        return 0;
    }

    first = ngx_queue_data(ngx_queue_head(&conn->answered), prov_db_query_t,
                           queue);

    if (failed->guarding && !failed->guarded) {
        /* of the guard, which is prepared once: not here any more */
        conn->retired = 1;

    } else if (failed->batch < 2) {
        prov_db_group_blame(conn->pool, failed);
    }

    /* the newest first: what is sent again goes to the head of the queue */

    while (!ngx_queue_empty(&conn->answered)) {
        q = ngx_queue_data(ngx_queue_last(&conn->answered), prov_db_query_t,
                           queue);

        ngx_queue_remove(&q->queue);
        conn->nsent--;

        if (q == first && q == failed && q->batch < 2) {
            /* nobody was before it: it would fail alone, too */
            prov_db_answer_error(conn, q);
            continue;
        }

        if (q == failed) {
            (void) prov_db_answer_transient(conn, q);
        }

        prov_db_answer_unprepared(conn, q);
        prov_db_query_apart(q);
    }

    return 0;
}


/* The first that has failed, or NULL; those behind it were not looked at. */

static prov_db_query_t *
prov_db_group_failed(prov_db_conn_t *conn)
{
    ngx_queue_t      *item;
    prov_db_query_t  *q;

    for (item = ngx_queue_head(&conn->answered);
         item != ngx_queue_sentinel(&conn->answered);
         item = ngx_queue_next(item))
    {
        q = ngx_queue_data(item, prov_db_query_t, queue);

        if (q->result == NULL || prov_db_failed(q->result)) {
            return q;
        }
    }

    return NULL;
}


/* Nobody has said what has become of them. */

static void
prov_db_group_lost(prov_db_conn_t *conn)
{
    prov_db_query_t  *q;

    conn->dead = 1;

    while (!ngx_queue_empty(&conn->answered)) {
        q = ngx_queue_data(ngx_queue_last(&conn->answered), prov_db_query_t,
                           queue);

        ngx_queue_remove(&q->queue);
        conn->nsent--;

        prov_db_query_lost(q);
    }
}
