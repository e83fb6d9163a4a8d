/*
 * What waits is given to connections here, once at the end of each turn of the
 * event loop: to whom, and who shares one.  Who waits for too long, or finds
 * no room to wait, is in prov_db_limit.c.
 */

#include "db/prov_db_pool.h"


static ngx_uint_t prov_db_dispatch_all(prov_db_pool_t *pool,
    ngx_uint_t first);
static ngx_uint_t prov_db_dispatch_one(prov_db_pool_t *pool,
    prov_db_kind_e kind, ngx_uint_t first, ngx_uint_t *joined);
static void prov_db_dispatch_lists(prov_db_pool_t *pool);
static void prov_db_dispatch_pages(prov_db_pool_t *pool,
    prov_db_conn_t *conn, ngx_uint_t free);
static ngx_uint_t prov_db_dispatch_turn(prov_db_pool_t *pool,
    prov_db_query_t *list);
static void prov_db_dispatch_push(prov_db_pool_t *pool);
static void prov_db_give(prov_db_pool_t *pool, prov_db_conn_t *conn,
    prov_db_query_t *q);
static prov_db_conn_t *prov_db_pick(prov_db_pool_t *pool,
    prov_db_kind_e kind, prov_db_query_t *q, ngx_uint_t *joined);
static ngx_uint_t prov_db_all_slow(prov_db_pool_t *pool,
    prov_db_kind_e kind);
static prov_db_conn_t *prov_db_idle(prov_db_pool_t *pool);
static prov_db_conn_t *prov_db_least(prov_db_pool_t *pool,
    prov_db_kind_e kind, prov_db_query_t *q);
static ngx_uint_t prov_db_worse(prov_db_conn_t *conn, prov_db_query_t *q);
static ngx_uint_t prov_db_slow(prov_db_conn_t *conn);
static ngx_uint_t prov_db_growing(prov_db_pool_t *pool);


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
    ngx_uint_t       joined;
    prov_db_pool_t  *pool;

    pool = ev->data;

    /* those that have been sent before do not wait for a list to end */

    joined = prov_db_dispatch_all(pool, 1);

    prov_db_dispatch_lists(pool);

    joined += prov_db_dispatch_all(pool, 0);

    prov_db_dispatch_push(pool);

    prov_db_grow(pool, joined + pool->nwaiting);

    prov_db_limit(pool);

    /* a connection that is not slow now may be so soon */

    if (pool->nwaiting && !pool->again.timer_set) {
        ngx_add_timer(&pool->again, PROV_DB_SLOW);
    }
}


void
prov_db_look_again(ngx_event_t *ev)
{
    prov_db_wake(ev->data);
}


/*
 * Reads and writes in turn, since they may have to share one connection.
 * first: only those that have come back, or ask about what was sent.  Returns
 * how many have joined others although they might have a connection more.
 */

static ngx_uint_t
prov_db_dispatch_all(prov_db_pool_t *pool, ngx_uint_t first)
{
    ngx_uint_t  given, joined;

    joined = 0;

    do {
        given = prov_db_dispatch_one(pool, PROV_DB_FOR_READS, first, &joined)
                + prov_db_dispatch_one(pool, PROV_DB_FOR_WRITES, first,
                                       &joined);
    } while (given);

    return joined;
}


static ngx_uint_t
prov_db_dispatch_one(prov_db_pool_t *pool, prov_db_kind_e kind,
    ngx_uint_t first, ngx_uint_t *joined)
{
    prov_db_conn_t   *conn;
    prov_db_query_t  *q;

    if (pool->nwait[kind] == 0) {
        return 0;
    }

    q = ngx_queue_data(ngx_queue_head(&pool->waiting[kind]), prov_db_query_t,
                       queue);

    if (first && !q->first) {
        return 0;
    }

    conn = prov_db_pick(pool, kind, q, joined);

    if (conn == NULL
        || (prov_db_group_waits(conn, q) && !prov_db_slow(conn)))
    {
        return 0;
    }

    prov_db_give(pool, conn, q);

    return 1;
}


/*
 * Lists have their connection alone, since those behind one would wait for all
 * of it.  Where none is idle, the least busy one is reserved: else short
 * queries could keep joining it for ever.
 */

static void
prov_db_dispatch_lists(prov_db_pool_t *pool)
{
    ngx_uint_t        most;
    prov_db_conn_t   *conn;
    prov_db_query_t  *q;

    most = pool->share[PROV_DB_FOR_LISTS];

    if (pool->nbusy[PROV_DB_FOR_LISTS] >= most
        && prov_db_all_slow(pool, PROV_DB_FOR_LISTS))
    {
        most = pool->lists;
    }

    while (pool->nwait[PROV_DB_FOR_LISTS]
           && pool->nbusy[PROV_DB_FOR_LISTS] < most)
    {
        q = ngx_queue_data(ngx_queue_head(&pool->waiting[PROV_DB_FOR_LISTS]),
                           prov_db_query_t, queue);
        conn = prov_db_idle(pool);

        if (conn == NULL || !prov_db_dispatch_turn(pool, q)) {
            break;
        }

        prov_db_dispatch_pages(pool, conn,
                               most - pool->nbusy[PROV_DB_FOR_LISTS]);
    }

    while (pool->nreserved < pool->nwait[PROV_DB_FOR_LISTS]
           && pool->nbusy[PROV_DB_FOR_LISTS] + pool->nreserved < most
           && !prov_db_growing(pool))
    {
        conn = prov_db_least(pool, PROV_DB_KINDS, NULL);
        if (conn == NULL) {
            return;
        }

        conn->reserved = 1;
        pool->nreserved++;
    }
}


/*
 * A list, and of those behind it what one statement can serve with it: no more
 * than come to each of the connections that lists may have still.  Nothing is
 * sent yet, so none of this can fail.
 */

static void
prov_db_dispatch_pages(prov_db_pool_t *pool, prov_db_conn_t *conn,
    ngx_uint_t free)
{
    ngx_uint_t        n;
    ngx_queue_t      *lists;
    prov_db_query_t  *q;

    lists = &pool->waiting[PROV_DB_FOR_LISTS];
    n = (pool->nwait[PROV_DB_FOR_LISTS] + free - 1) / free;
    n = ngx_min(n, pool->conf->pipeline);

    do {
        q = ngx_queue_data(ngx_queue_head(lists), prov_db_query_t, queue);

        if (conn->nbatch && !prov_db_batch_takes(conn, q)) {
            return;
        }

        prov_db_give(pool, conn, q);

    } while (--n && !ngx_queue_empty(lists));
}


/*
 * 0 when this list would have the last connection, and others have waited for
 * longer: else lists could keep it from them for ever.
 */

static ngx_uint_t
prov_db_dispatch_turn(prov_db_pool_t *pool, prov_db_query_t *list)
{
    ngx_uint_t        kind;
    prov_db_query_t  *q;

    if (pool->nbusy[PROV_DB_FOR_LISTS] + 1 < pool->conf->connections) {
        return 1;
    }

    for (kind = 0; kind < PROV_DB_KINDS; kind++) {

        if (kind == PROV_DB_FOR_LISTS || pool->nwait[kind] == 0) {
            continue;
        }

        q = ngx_queue_data(ngx_queue_head(&pool->waiting[kind]),
                           prov_db_query_t, queue);

        if ((ngx_msec_int_t) (q->submitted - list->submitted) < 0) {
            return 0;
        }
    }

    return 1;
}


/* Handlers may run here: what they submit waits for the next turn. */

static void
prov_db_dispatch_push(prov_db_pool_t *pool)
{
    ngx_uint_t       i;
    prov_db_conn_t  *conn;

    for (i = 0; i < pool->conf->connections; i++) {
        conn = &pool->conns[i];

        if (conn->pushing && prov_db_wire_push(conn) != NGX_OK) {
            prov_db_wire_lost(conn, "sending a query");
        }
    }
}


static void
prov_db_give(prov_db_pool_t *pool, prov_db_conn_t *conn, prov_db_query_t *q)
{
    prov_db_query_taken(q);

    if (prov_db_wire_add(conn, q) != NGX_OK) {
        prov_db_wire_lost(conn, "sending a query");
    }
}


/*
 * An idle connection first, as long as its kind has not got its share; then
 * one of its own kind.  When all of these are slow an idle or a new one after
 * all.  With others only where nothing else can be had.
 */

static prov_db_conn_t *
prov_db_pick(prov_db_pool_t *pool, prov_db_kind_e kind, prov_db_query_t *q,
    ngx_uint_t *joined)
{
    ngx_uint_t       more, slow;
    prov_db_conn_t  *idle, *own;

    idle = prov_db_idle(pool);
    own = prov_db_least(pool, kind, q);

    more = pool->nbusy[kind] < pool->share[kind];
    slow = prov_db_all_slow(pool, kind);

    if (idle && (more || slow)) {
        return idle;
    }

    if (slow && prov_db_growing(pool)) {
        return NULL;
    }

    if (own) {
        *joined += more;
        return own;
    }

    return pool->nbusy[kind] ? NULL : prov_db_least(pool, PROV_DB_KINDS, q);
}


/* Also when there is none: there is none to wait for. */

static ngx_uint_t
prov_db_all_slow(prov_db_pool_t *pool, prov_db_kind_e kind)
{
    ngx_queue_t     *item;
    prov_db_conn_t  *conn;

    for (item = ngx_queue_head(&pool->busy);
         item != ngx_queue_sentinel(&pool->busy);
         item = ngx_queue_next(item))
    {
        conn = ngx_queue_data(item, prov_db_conn_t, queue);

        if (conn->kind == kind && !conn->reserved && !conn->retired
            && !prov_db_slow(conn))
        {
            return 0;
        }
    }

    return 1;
}


static prov_db_conn_t *
prov_db_idle(prov_db_pool_t *pool)
{
    if (ngx_queue_empty(&pool->idle)) {
        return NULL;
    }

    return ngx_queue_data(ngx_queue_head(&pool->idle), prov_db_conn_t, queue);
}


/*
 * The best one of a kind, or of any, for a query to join, or for a list to
 * reserve.
 */

static prov_db_conn_t *
prov_db_least(prov_db_pool_t *pool, prov_db_kind_e kind, prov_db_query_t *q)
{
    ngx_uint_t       worse, least;
    ngx_queue_t     *item;
    prov_db_conn_t  *conn, *best;

    best = NULL;
    least = 0;

    for (item = ngx_queue_head(&pool->busy);
         item != ngx_queue_sentinel(&pool->busy);
         item = ngx_queue_next(item))
    {
        conn = ngx_queue_data(item, prov_db_conn_t, queue);

        if ((kind != PROV_DB_KINDS && conn->kind != kind)
            || conn->kind == PROV_DB_FOR_LISTS
            || conn->reserved || conn->retired
            || conn->nsent >= pool->conf->pipeline)
        {
            continue;
        }

        worse = prov_db_worse(conn, q);

        if (best == NULL || worse < least
            || (worse == least && conn->nsent < best->nsent))
        {
            best = conn;
            least = worse;
        }
    }

    return best;
}


static ngx_uint_t
prov_db_worse(prov_db_conn_t *conn, prov_db_query_t *q)
{
    return prov_db_slow(conn) ? 2 : q && prov_db_group_waits(conn, q);
}


static ngx_uint_t
prov_db_slow(prov_db_conn_t *conn)
{
    /* nothing is in flight where all was forgotten before it was sent */

    return conn->nsent
           && ngx_current_msec - prov_db_conn_oldest(conn)->sent > PROV_DB_SLOW;
}


static ngx_uint_t
prov_db_growing(prov_db_pool_t *pool)
{
    return pool->backoff == 0
           && (pool->nconnecting || !ngx_queue_empty(&pool->closed));
}
