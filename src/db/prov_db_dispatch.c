/*
 * What waits is given to connections here, once at the end of each turn of the
 * event loop: to whom, who shares one, who goes first, and who is turned away.
 */

#include "db/prov_db_pool.h"


static void prov_db_dispatch_lists(prov_db_pool_t *pool);
static ngx_uint_t prov_db_dispatch_rest(prov_db_pool_t *pool,
    ngx_uint_t first);
static void prov_db_give(prov_db_pool_t *pool, prov_db_conn_t *conn,
    ngx_queue_t *from);
static prov_db_conn_t *prov_db_idle(prov_db_pool_t *pool);
static prov_db_conn_t *prov_db_shared(prov_db_pool_t *pool);
static ngx_uint_t prov_db_slow(prov_db_conn_t *conn);
static ngx_uint_t prov_db_growing(prov_db_pool_t *pool);
static void prov_db_limit(prov_db_pool_t *pool);
static prov_db_query_t *prov_db_newest(prov_db_pool_t *pool);
static void prov_db_limit_time(prov_db_pool_t *pool, ngx_queue_t *list);


/*
 * Sending waits for the end of the loop's turn, so that all requests which
 * this turn has read go out together.
 */

void
prov_db_wake(prov_db_pool_t *pool)
{
    if (pool->nwaiting) {
        ngx_post_event(&pool->dispatch, &ngx_posted_events);
    }
}


void
prov_db_dispatch(ngx_event_t *ev)
{
    ngx_uint_t       wanted;
    prov_db_pool_t  *pool;

    pool = ev->data;

    /* those that have been sent before do not wait for a list to end */

    wanted = prov_db_dispatch_rest(pool, 1);

    prov_db_dispatch_lists(pool);

    wanted += prov_db_dispatch_rest(pool, 0);

    prov_db_grow(pool, wanted + pool->nwaiting);

    prov_db_limit(pool);
}


/*
 * A list has its connection alone, since those behind it would wait for all
 * of it; and lists never hold more than half of the connections (but one,
 * when there is but one), since those beside it would.  Where none is idle,
 * the least busy one is reserved: else short queries could keep joining it for
 * ever.
 */

static void
prov_db_dispatch_lists(prov_db_pool_t *pool)
{
    ngx_uint_t       most;
    prov_db_conn_t  *conn;

    most = ngx_max(pool->conf->connections / 2, 1);

    while (pool->nlists && pool->nexclusive < most) {

        conn = prov_db_idle(pool);
        if (conn == NULL) {
            break;
        }

        conn->exclusive = 1;
        pool->nexclusive++;

        prov_db_give(pool, conn, &pool->lists);
    }

    while (pool->nreserved < pool->nlists
           && pool->nexclusive + pool->nreserved < most)
    {
        conn = prov_db_shared(pool);
        if (conn == NULL) {
            return;
        }

        conn->reserved = 1;
        pool->nreserved++;
    }
}


/*
 * first: only those that have come back, or ask about what was sent.  Returns
 * how many had to join a connection that was busy already.  Who could only
 * join a slow one waits for a new one, as long as one can be had.
 */

static ngx_uint_t
prov_db_dispatch_rest(prov_db_pool_t *pool, ngx_uint_t first)
{
    ngx_uint_t        joined;
    prov_db_conn_t   *conn;
    prov_db_query_t  *q;

    joined = 0;

    while (!ngx_queue_empty(&pool->waiting)) {

        q = ngx_queue_data(ngx_queue_head(&pool->waiting), prov_db_query_t,
                           queue);

        if (first && !q->first) {
            break;
        }

        conn = prov_db_idle(pool);

        if (conn == NULL) {
            conn = prov_db_shared(pool);
            if (conn == NULL
                || (prov_db_slow(conn) && prov_db_growing(pool)))
            {
                break;
            }

            joined++;
        }

        prov_db_give(pool, conn, &pool->waiting);
    }

    return joined;
}


static void
prov_db_give(prov_db_pool_t *pool, prov_db_conn_t *conn, ngx_queue_t *from)
{
    prov_db_query_t  *q;

    q = ngx_queue_data(ngx_queue_head(from), prov_db_query_t, queue);

    prov_db_query_taken(q);
    prov_db_query_sent(q, conn);

    if (prov_db_wire_send(conn, q) != NGX_OK) {
        prov_db_wire_lost(conn, "sending a query");
    }
}


static prov_db_conn_t *
prov_db_idle(prov_db_pool_t *pool)
{
    if (ngx_queue_empty(&pool->idle)) {
        return NULL;
    }

    return ngx_queue_data(ngx_queue_head(&pool->idle), prov_db_conn_t, queue);
}


static prov_db_conn_t *
prov_db_shared(prov_db_pool_t *pool)
{
    ngx_queue_t     *item;
    prov_db_conn_t  *conn, *best;

    best = NULL;

    for (item = ngx_queue_head(&pool->busy);
         item != ngx_queue_sentinel(&pool->busy);
         item = ngx_queue_next(item))
    {
        conn = ngx_queue_data(item, prov_db_conn_t, queue);

        if (conn->exclusive || conn->reserved || conn->retired
            || conn->nsent >= pool->conf->pipeline)
        {
            continue;
        }

        if (best == NULL || prov_db_slow(conn) < prov_db_slow(best)
            || (prov_db_slow(conn) == prov_db_slow(best)
                && conn->nsent < best->nsent))
        {
            best = conn;
        }
    }

    return best;
}


static ngx_uint_t
prov_db_slow(prov_db_conn_t *conn)
{
    prov_db_query_t  *q;

    q = ngx_queue_data(ngx_queue_head(&conn->sent), prov_db_query_t, queue);

    return ngx_current_msec - q->sent > PROV_DB_SLOW;
}


static ngx_uint_t
prov_db_growing(prov_db_pool_t *pool)
{
    return pool->backoff == 0
           && (pool->nconnecting || !ngx_queue_empty(&pool->closed));
}


/*
 * What still waits after all connections have been given their share starts
 * its queue time; beyond the queue's length the newest are turned away.  Those
 * that have come back do not count: they are no more than were in flight.
 */

static void
prov_db_limit(prov_db_pool_t *pool)
{
    prov_db_query_t  *q;

    while (pool->nwaiting - pool->nfirst > pool->conf->queue) {
        q = prov_db_newest(pool);

        prov_db_query_taken(q);
        prov_db_query_done(q, PROV_DB_QUEUE_FULL);
    }

    prov_db_limit_time(pool, &pool->waiting);
    prov_db_limit_time(pool, &pool->lists);
}


/*
 * Of the longer list, so that a flood of lists leaves room for the rest, and
 * the other way round.  One that has come back is at the head and stays.
 */

static prov_db_query_t *
prov_db_newest(prov_db_pool_t *pool)
{
    ngx_queue_t      *longer, *other;
    prov_db_query_t  *q;

    longer = &pool->waiting;
    other = &pool->lists;

    if (pool->nlists > pool->nwaiting - pool->nlists) {
        longer = &pool->lists;
        other = &pool->waiting;
    }

    q = ngx_queue_data(ngx_queue_last(longer), prov_db_query_t, queue);

    if (q->first) {
        q = ngx_queue_data(ngx_queue_last(other), prov_db_query_t, queue);
    }

    return q;
}


static void
prov_db_limit_time(prov_db_pool_t *pool, ngx_queue_t *list)
{
    ngx_queue_t      *item;
    prov_db_query_t  *q;

    for (item = ngx_queue_last(list);
         item != ngx_queue_sentinel(list);
         item = ngx_queue_prev(item))
    {
        q = ngx_queue_data(item, prov_db_query_t, queue);

        if (q->timer.timer_set) {
            /* those before it are older, or have come back with theirs */
            break;
        }

        ngx_add_timer(&q->timer, pool->conf->queue_timeout);
    }
}
