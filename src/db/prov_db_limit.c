/*
 * What still waits after all connections have been given their share starts
 * its queue time; beyond the queue's length the newest are turned away.  Those
 * that have come back do not count: they are no more than were in flight.
 */

#include "db/prov_db_pool.h"


static prov_db_query_t *prov_db_newest(prov_db_pool_t *pool);
static void prov_db_limit_time(prov_db_pool_t *pool, ngx_queue_t *list);


void
prov_db_limit(prov_db_pool_t *pool)
{
    ngx_uint_t        kind;
    prov_db_query_t  *q;

    while (pool->nwaiting - pool->nfirst > pool->conf->queue) {
        q = prov_db_newest(pool);

        prov_db_query_taken(q);
        prov_db_query_done(q, PROV_DB_QUEUE_FULL);
    }

    for (kind = 0; kind < PROV_DB_KINDS; kind++) {
        prov_db_limit_time(pool, &pool->waiting[kind]);
    }
}


/*
 * Of the kind that has most, so that a flood of one leaves room for the
 * others.  One that has come back is at the head and stays.
 */

static prov_db_query_t *
prov_db_newest(prov_db_pool_t *pool)
{
    ngx_uint_t        kind;
    prov_db_kind_e    most;
    prov_db_query_t  *q, *newest;

    newest = NULL;
    most = 0;

    for (kind = 0; kind < PROV_DB_KINDS; kind++) {

        if (pool->nwait[kind] == 0) {
            continue;
        }

        q = ngx_queue_data(ngx_queue_last(&pool->waiting[kind]),
                           prov_db_query_t, queue);

        if (!q->first
            && (newest == NULL || pool->nwait[kind] > pool->nwait[most]))
        {
            newest = q;
            most = kind;
        }
    }

    return newest;
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
