/*
 * The worker's pools: what waits is given to connections here, once at the
 * end of each turn of the event loop, and here it is decided when another
 * connection is opened and when not to try.
 */

#include "db/prov_db_pool.h"


/*
 * Per-worker state, made in init_process: the pools, by the index of their
 * configuration.
 */
static prov_db_pool_t  *prov_db_pools;
static ngx_uint_t       prov_db_npools;


static ngx_int_t prov_db_pool_init(ngx_cycle_t *cycle, prov_db_pool_t *pool,
    prov_db_conf_t *conf);
static void prov_db_dispatch(ngx_event_t *ev);
static void prov_db_dispatch_lists(prov_db_pool_t *pool);
static ngx_uint_t prov_db_dispatch_rest(prov_db_pool_t *pool);
static void prov_db_give(prov_db_pool_t *pool, prov_db_conn_t *conn,
    ngx_queue_t *from);
static prov_db_conn_t *prov_db_idle(prov_db_pool_t *pool);
static prov_db_conn_t *prov_db_shared(prov_db_pool_t *pool);
static ngx_uint_t prov_db_slow(prov_db_conn_t *conn);
static ngx_uint_t prov_db_growing(prov_db_pool_t *pool);
static void prov_db_limit(prov_db_pool_t *pool);
static prov_db_query_t *prov_db_newest(prov_db_pool_t *pool);
static void prov_db_limit_time(prov_db_pool_t *pool, ngx_queue_t *list);
static void prov_db_grow(prov_db_pool_t *pool, ngx_uint_t wanted);
static void prov_db_retry(ngx_event_t *ev);


ngx_int_t
prov_db_init_worker(ngx_cycle_t *cycle, ngx_array_t *databases)
{
    ngx_uint_t        i;
    prov_db_conf_t  **conf;

    conf = databases->elts;

    prov_db_pools = ngx_pcalloc(cycle->pool,
                                databases->nelts * sizeof(prov_db_pool_t));
    if (prov_db_pools == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < databases->nelts; i++) {
        if (prov_db_pool_init(cycle, &prov_db_pools[i], conf[i]) != NGX_OK) {
            return NGX_ERROR;
        }

        prov_db_npools = i + 1;
    }

    return NGX_OK;
}


static ngx_int_t
prov_db_pool_init(ngx_cycle_t *cycle, prov_db_pool_t *pool,
    prov_db_conf_t *conf)
{
    ngx_uint_t       i;
    prov_db_conn_t  *conn;

    /*
     * set by ngx_pcalloc():
     *
     *     pool->nconnecting, nexclusive, nreserved, nwaiting, nlists,
     *           nfirst, backoff, failures, server = 0
     *     conn->state = PROV_DB_CLOSED, and all that a closed one has not
     */

    pool->conf = conf;
    pool->log = cycle->log;

    ngx_queue_init(&pool->closed);
    ngx_queue_init(&pool->connecting);
    ngx_queue_init(&pool->idle);
    ngx_queue_init(&pool->busy);
    ngx_queue_init(&pool->waiting);
    ngx_queue_init(&pool->lists);

    pool->dispatch.handler = prov_db_dispatch;
    pool->dispatch.data = pool;
    pool->dispatch.log = cycle->log;

    pool->retry.handler = prov_db_retry;
    pool->retry.data = pool;
    pool->retry.log = cycle->log;
    pool->retry.cancelable = 1;

    pool->conns = ngx_pcalloc(cycle->pool,
                              conf->connections * sizeof(prov_db_conn_t));
    if (pool->conns == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < conf->connections; i++) {
        conn = &pool->conns[i];

        conn->generation = ngx_pcalloc(cycle->pool, sizeof(ngx_uint_t)
                                              * (conf->statements.nelts + 1));
        if (conn->generation == NULL) {
            return NGX_ERROR;
        }

        conn->pool = pool;
        ngx_queue_init(&conn->sent);
        ngx_queue_insert_tail(&pool->closed, &conn->queue);
    }

    return NGX_OK;
}


/*
 * A worker that is told to leave at once abandons its requests, and with them
 * their queries: nobody is called any more.
 */

void
prov_db_exit_worker(void)
{
    ngx_uint_t       i, j;
    prov_db_pool_t  *pool;
    prov_db_conn_t  *conn;

    for (i = 0; i < prov_db_npools; i++) {
        pool = &prov_db_pools[i];

        for (j = 0; j < pool->conf->connections; j++) {
            conn = &pool->conns[j];

            if (conn->state != PROV_DB_CLOSED) {
                ngx_queue_init(&conn->sent);
                conn->nsent = 0;

                prov_db_conn_close(conn);
            }
        }

        if (pool->retry.timer_set) {
            ngx_del_timer(&pool->retry);
        }

        if (pool->dispatch.posted) {
            ngx_delete_posted_event(&pool->dispatch);
        }
    }

    prov_db_npools = 0;
}


/* NULL before init_process, and when the worker has left */

prov_db_pool_t *
prov_db_pool(prov_db_conf_t *conf)
{
    if (conf->index >= prov_db_npools) {
        return NULL;
    }

    return &prov_db_pools[conf->index];
}


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


static void
prov_db_dispatch(ngx_event_t *ev)
{
    ngx_uint_t       wanted;
    prov_db_pool_t  *pool;

    pool = ev->data;

    prov_db_dispatch_lists(pool);

    wanted = prov_db_dispatch_rest(pool);

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
 * Returns how many had to join a connection that was busy already.  Who could
 * only join a slow one waits for a new one, as long as one can be had.
 */

static ngx_uint_t
prov_db_dispatch_rest(prov_db_pool_t *pool)
{
    ngx_uint_t       joined;
    prov_db_conn_t  *conn;

    joined = 0;

    while (!ngx_queue_empty(&pool->waiting)) {

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
        prov_db_conn_log(NGX_LOG_ERR, conn, "sending a query");
        prov_db_conn_close(conn);
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

        if (conn->exclusive || conn->reserved || conn->retired || conn->dead
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


/*
 * Opens as many connections as could be used now.  While the database is
 * away only one attempt is made at a time, and not before its time.
 */

static void
prov_db_grow(prov_db_pool_t *pool, ngx_uint_t wanted)
{
    ngx_msec_int_t   wait;
    prov_db_conn_t  *conn;

    if (pool->backoff) {

        if (wanted == 0 || pool->nconnecting || pool->retry.timer_set) {
            return;
        }

        wait = (ngx_msec_int_t) (pool->next - ngx_current_msec);

        if (wait > 0) {
            ngx_add_timer(&pool->retry, (ngx_msec_t) wait);
            return;
        }

        wanted = 1;
    }

    while (pool->nconnecting < wanted && !ngx_queue_empty(&pool->closed)) {
        conn = ngx_queue_data(ngx_queue_head(&pool->closed), prov_db_conn_t,
                              queue);

        prov_db_conn_open(conn);

        if (pool->backoff) {
            /* refused at once */
            prov_db_wake(pool);
            return;
        }
    }
}


static void
prov_db_retry(ngx_event_t *ev)
{
    prov_db_wake(ev->data);
}


void
prov_db_reached(prov_db_pool_t *pool)
{
    if (pool->failures) {
        ngx_log_error(NGX_LOG_NOTICE, pool->log, 0,
                      "provisioning_database \"%V\" answers again after "
                      "%ui failed attempts", &pool->conf->name,
                      pool->failures);
    }

    pool->backoff = 0;
    pool->failures = 0;
}


/*
 * An attempt to connect has failed, or ended at a standby.  The next one goes
 * to the next server, at once until all have been tried, then after a pause
 * with jitter, so that many workers do not come back in step.
 */

void
prov_db_missed(prov_db_conn_t *conn)
{
    prov_db_pool_t  *pool;

    pool = conn->pool;

    pool->server = (conn->server + 1) % pool->conf->servers.nelts;
    pool->failures++;

    if (pool->backoff == 0) {
        pool->backoff = PROV_DB_BACKOFF_MIN;

    } else if (pool->failures % pool->conf->servers.nelts == 0) {
        pool->backoff = ngx_min(pool->backoff * 2, PROV_DB_BACKOFF_MAX);
    }

    pool->next = ngx_current_msec;

    if (pool->failures % pool->conf->servers.nelts == 0) {
        pool->next += pool->backoff / 2
                      + (ngx_msec_t) ngx_random() % (pool->backoff / 2 + 1);
    }
}


/*
 * The connection's server has become a standby: all connections to it are
 * closed, those in use as soon as they are idle.
 */

void
prov_db_demoted(prov_db_conn_t *conn)
{
    ngx_uint_t       i;
    prov_db_conn_t  *other;
    prov_db_pool_t  *pool;

    if (conn->retired) {
        return;
    }

    pool = conn->pool;

    ngx_log_error(NGX_LOG_WARN, pool->log, 0,
                  "provisioning_database \"%V\": server \"%V\" takes no "
                  "writes any more, looking for the one that does",
                  &pool->conf->name,
                  &((prov_db_server_t *) pool->conf->servers.elts)
                      [conn->server].name);

    for (i = 0; i < pool->conf->connections; i++) {
        other = &pool->conns[i];

        if (other->server != conn->server) {
            continue;
        }

        if (other->state == PROV_DB_IDLE) {
            prov_db_conn_close(other);

        } else if (other->state == PROV_DB_BUSY) {
            other->retired = 1;
        }
    }

    prov_db_missed(conn);
}
