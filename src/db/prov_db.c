/*
 * The worker's pools, from its start to its end.  What waits is given to
 * connections in prov_db_dispatch.c; when to open one is decided in
 * prov_db_reach.c.
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
static void prov_db_pool_shares(ngx_cycle_t *cycle, prov_db_pool_t *pool,
    prov_db_conf_t *conf);


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
     *     pool->nconnecting, nbusy, nreserved, nwait, nwaiting, nfirst,
     *           backoff, failures, server = 0
     *     conn->state = PROV_DB_CLOSED, and all that a closed one has not
     */

    pool->conf = conf;
    pool->log = cycle->log;

    prov_db_pool_shares(cycle, pool, conf);

    ngx_queue_init(&pool->closed);
    ngx_queue_init(&pool->connecting);
    ngx_queue_init(&pool->idle);
    ngx_queue_init(&pool->busy);

    for (i = 0; i < PROV_DB_KINDS; i++) {
        ngx_queue_init(&pool->waiting[i]);
    }

    pool->dispatch.handler = prov_db_dispatch;
    pool->dispatch.data = pool;
    pool->dispatch.log = cycle->log;

    pool->retry.handler = prov_db_retry;
    pool->retry.data = pool;
    pool->retry.log = cycle->log;
    pool->retry.cancelable = 1;

    pool->again.handler = prov_db_look_again;
    pool->again.data = pool;
    pool->again.log = cycle->log;
    pool->again.cancelable = 1;

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
        ngx_queue_init(&conn->answered);
        ngx_queue_init(&conn->held);
        ngx_queue_insert_tail(&pool->closed, &conn->queue);
    }

    return NGX_OK;
}


/*
 * Whatever is not configured.  Lists are slow, and half of the connections is
 * what they may keep from the others; reads and changes leave one to each
 * other and to a list.  Where there are several workers, each has one of a
 * kind as long as that is not slow: so more of them share a statement, and
 * PostgreSQL's processes do not outnumber its cores.
 */

static void
prov_db_pool_shares(ngx_cycle_t *cycle, prov_db_pool_t *pool,
    prov_db_conf_t *conf)
{
    ngx_uint_t        i, half, several, each[PROV_DB_KINDS];
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);
    several = (ccf->master && ccf->worker_processes > 1);

    pool->lists = conf->share[PROV_DB_FOR_LISTS]
                  ? conf->share[PROV_DB_FOR_LISTS]
                  : ngx_max(conf->connections / 2, 1);

    half = ngx_max((conf->connections - 1) / 2, 1);

    each[PROV_DB_FOR_READS] = several ? 1 : half;
    each[PROV_DB_FOR_WRITES] = several ? 1 : half;
    each[PROV_DB_FOR_LISTS] = several ? 1 : pool->lists;

    for (i = 0; i < PROV_DB_KINDS; i++) {
        pool->share[i] = conf->share[i] ? conf->share[i] : each[i];
    }
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
                ngx_queue_init(&conn->answered);
                ngx_queue_init(&conn->held);
                conn->nsent = 0;

                prov_db_conn_close(conn);
            }
        }

        if (pool->retry.timer_set) {
            ngx_del_timer(&pool->retry);
        }

        if (pool->again.timer_set) {
            ngx_del_timer(&pool->again);
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
