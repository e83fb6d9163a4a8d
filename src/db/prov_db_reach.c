/*
 * Which server is connected to, and when: another connection where one could
 * be used, a pause where none answers, the next server where one has failed or
 * takes no writes.
 */

#include "db/prov_db_pool.h"


static void prov_db_next(prov_db_conn_t *conn);


/*
 * Opens as many connections as could be used now.  While the database is
 * away only one attempt is made at a time, and not before its time.
 */

void
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

        prov_db_connect(conn);

        if (pool->backoff) {
            /* refused at once */
            prov_db_wake(pool);
            return;
        }
    }
}


void
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
 * An attempt to connect has failed, or ended at a standby.  Those that were
 * made together and fail together count as one: a pool of many connections
 * must not stay away for longer than a pool of one.
 */

void
prov_db_missed(prov_db_conn_t *conn)
{
    if (conn->failures == conn->pool->failures) {
        prov_db_next(conn);
    }
}


/*
 * The next attempt goes to the next server, at once until all have been tried,
 * then after a pause with jitter, so that many workers do not come back in
 * step.
 */

static void
prov_db_next(prov_db_conn_t *conn)
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

    prov_db_next(conn);
}
