/*
 * A query's life: made and released by a caller that may vanish at any time,
 * held meanwhile by the pool (waiting) or a connection (sent).  Whatever ends
 * it goes through prov_db_query_done(), so the handler runs at most once.
 */

#include "db/prov_db_pool.h"


static prov_db_kind_e prov_db_query_kind(prov_db_query_t *q);
static void prov_db_query_first(prov_db_query_t *q, prov_db_pool_t *pool);
static void prov_db_query_wait(prov_db_query_t *q, prov_db_pool_t *pool);
static void prov_db_query_timeout(ngx_event_t *ev);
static void prov_db_query_free(prov_db_query_t *q);
static ngx_uint_t prov_db_query_spent(prov_db_query_t *q);
static ngx_uint_t prov_db_away(prov_db_pool_t *pool);


/*
 * Not from the request's pool: a sent query must outlive the request, since
 * its answer still comes over the connection.
 */

prov_db_query_t *
prov_db_query(prov_db_conf_t *conf, ngx_uint_t statement,
    prov_db_class_e class)
{
    prov_db_query_t  *q;

    q = ngx_calloc(sizeof(prov_db_query_t), ngx_cycle->log);
    if (q == NULL) {
        return NULL;
    }

    /* set by ngx_calloc(): q->state = PROV_DB_NEW, no result, no timer */

    q->conf = conf;
    q->statement = statement;
    q->class = class;
    q->alone = (class != PROV_DB_READ);
    q->log = ngx_cycle->log;

    q->timer.handler = prov_db_query_timeout;
    q->timer.data = q;
    q->timer.log = ngx_cycle->log;

    return q;
}


void
prov_db_submit(prov_db_query_t *q)
{
    prov_db_pool_t  *pool;

    pool = prov_db_pool(q->conf);

    q->submitted = ngx_current_msec;

    prov_db_group_ask(pool, q);

    if (q->class == PROV_DB_OUTCOME) {
        prov_db_query_first(q, pool);
        return;
    }

    ngx_queue_insert_tail(&pool->waiting[prov_db_query_kind(q)], &q->queue);

    prov_db_query_wait(q, pool);
}


static prov_db_kind_e
prov_db_query_kind(prov_db_query_t *q)
{
    switch (q->class) {

    case PROV_DB_LIST:
        return PROV_DB_FOR_LISTS;

    case PROV_DB_READ:
        return PROV_DB_FOR_READS;

    default:
        return PROV_DB_FOR_WRITES;
    }
}


/* What has been sent, or asks about what has, goes before what is new. */

static void
prov_db_query_first(prov_db_query_t *q, prov_db_pool_t *pool)
{
    ngx_queue_insert_head(&pool->waiting[prov_db_query_kind(q)], &q->queue);
    q->first = 1;
    pool->nfirst++;

    prov_db_query_wait(q, pool);

    ngx_add_timer(&q->timer, q->conf->queue_timeout);
}


static void
prov_db_query_wait(prov_db_query_t *q, prov_db_pool_t *pool)
{
    q->state = PROV_DB_WAITING;
    q->conn = NULL;

    pool->nwaiting++;
    pool->nwait[prov_db_query_kind(q)]++;

    prov_db_wake(pool);
}


/* It waits no more: it is sent, done or released next. */

void
prov_db_query_taken(prov_db_query_t *q)
{
    prov_db_pool_t  *pool;

    pool = prov_db_pool(q->conf);

    ngx_queue_remove(&q->queue);

    pool->nwaiting--;
    pool->nwait[prov_db_query_kind(q)]--;
    pool->nfirst -= q->first;

    q->first = 0;
}


void
prov_db_query_sent(prov_db_query_t *q, prov_db_conn_t *conn)
{
    if (q->timer.timer_set) {
        ngx_del_timer(&q->timer);
    }

    if (q->tries == 0) {
        q->queue_time = ngx_current_msec - q->submitted;
    }

    q->state = PROV_DB_SENT;
    q->gathered = 1;
    q->sent = ngx_current_msec;
    q->conn = conn;
    q->tries++;
    q->commands = 0;
    q->batch = 0;
    q->reading = 0;
    q->guarding = 0;
    q->guarded = 0;
    q->preparing = 0;
    q->prepared = 0;
    q->flushing = 0;
    q->last = 0;
    q->aborted = 0;

    ngx_queue_insert_tail(&conn->sent, &q->queue);
    conn->nsent++;

    if (conn->state != PROV_DB_BUSY) {
        conn->kind = prov_db_query_kind(q);
        prov_db_conn_move(conn, PROV_DB_BUSY);
    }
}


/* The query is on no list when this is called, and is the caller's after. */

void
prov_db_query_done(prov_db_query_t *q, prov_db_status_e status)
{
    if (q->timer.timer_set) {
        ngx_del_timer(&q->timer);
    }

    if ((q->parted || q->class == PROV_DB_LIST) && q->state == PROV_DB_SENT
        && ngx_current_msec - q->sent >= PROV_DB_LONG)
    {
        prov_db_group_blame(prov_db_pool(q->conf), q);
    }

    if (q->orphan) {
        prov_db_query_free(q);
        return;
    }

    if (q->state == PROV_DB_SENT) {
        q->db_time = ngx_current_msec - q->sent;

    } else {
        q->queue_time = ngx_current_msec - q->submitted;
    }

    q->state = PROV_DB_DONE;
    q->conn = NULL;
    q->status = status;

    q->handler(q);
}


/*
 * What was rolled back for a reason that lies outside of it (a conflict with
 * others, a statement the server has forgotten) is sent once more, before
 * those that have not been sent at all.
 */

void
prov_db_query_again(prov_db_query_t *q)
{
    if (q->orphan) {
        prov_db_query_free(q);
        return;
    }

    if (prov_db_query_spent(q)) {
        prov_db_query_done(q, PROV_DB_REFUSED);
        return;
    }

    PQclear(q->result);
    q->result = NULL;

    prov_db_query_first(q, prov_db_pool(q->conf));
}


/*
 * What was rolled back with others is sent again by itself; that it was sent
 * does not count.
 */

void
prov_db_query_apart(prov_db_query_t *q)
{
    PQclear(q->result);
    q->result = NULL;

    q->alone = 1;
    q->tries--;

    if (q->parted && q->orphan) {
        /* it will not be known whose fault it was: who leaves has had it */
        prov_db_group_blame(prov_db_pool(q->conf), q);
    }

    if (!q->orphan && prov_db_query_spent(q)) {
        prov_db_query_done(q, PROV_DB_QUEUE_TIMEOUT);
        return;
    }

    prov_db_query_again(q);
}


/* The connection went away with the query in flight. */

void
prov_db_query_lost(prov_db_query_t *q)
{
    PQclear(q->result);
    q->result = NULL;

    if (q->class == PROV_DB_WRITE && !q->gathered) {
        prov_db_query_done(q, PROV_DB_UNKNOWN);
        return;
    }

    if (prov_db_query_spent(q)) {
        prov_db_query_done(q, PROV_DB_AWAY);
        return;
    }

    prov_db_query_again(q);
}


/* Nobody is kept waiting by repetitions for longer than by a slow answer. */

static ngx_uint_t
prov_db_query_spent(prov_db_query_t *q)
{
    return q->tries >= PROV_DB_TRIES
           || ngx_current_msec - q->submitted
              >= q->conf->queue_timeout + q->conf->query_timeout;
}


static void
prov_db_query_timeout(ngx_event_t *ev)
{
    prov_db_pool_t   *pool;
    prov_db_query_t  *q;

    q = ev->data;
    pool = prov_db_pool(q->conf);

    prov_db_query_taken(q);
    prov_db_query_done(q, prov_db_away(pool) ? PROV_DB_AWAY
                                             : PROV_DB_QUEUE_TIMEOUT);
}


static ngx_uint_t
prov_db_away(prov_db_pool_t *pool)
{
    return ngx_queue_empty(&pool->idle) && ngx_queue_empty(&pool->busy);
}


void
prov_db_release(prov_db_query_t *q)
{
    q->handler = NULL;

    switch (q->state) {

    case PROV_DB_SENT:
        if (!q->gathered) {
            q->orphan = 1;
            return;
        }

        prov_db_batch_forget(q);
        break;

    case PROV_DB_WAITING:
        prov_db_query_taken(q);
        break;

    default:
        break;
    }

    prov_db_query_free(q);
}


static void
prov_db_query_free(prov_db_query_t *q)
{
    if (q->timer.timer_set) {
        ngx_del_timer(&q->timer);
    }

    PQclear(q->result);
    ngx_free(q);
}
