/*
 * A connection's life: opened without blocking, moved between the pool's
 * lists by one function, closed from any state.  What goes over it once it
 * is open is in prov_db_wire.c.
 */

#include "db/prov_db_pool.h"

#include <openssl/err.h>


/* what sql/migrate needs; it also reports in_hot_standby */
#define PROV_DB_MIN_VERSION  150000


static void prov_db_conn_poll(ngx_event_t *ev);
static void prov_db_conn_ready(prov_db_conn_t *conn);
static ngx_int_t prov_db_conn_usable(prov_db_conn_t *conn);
static void prov_db_conn_failed(prov_db_conn_t *conn);
static void prov_db_conn_timer(ngx_event_t *ev);
static void prov_db_conn_aged(ngx_event_t *ev);
static void prov_db_conn_overdue(prov_db_conn_t *conn);
static void prov_db_conn_share(prov_db_conn_t *conn);
static ngx_uint_t prov_db_conn_clean(prov_db_conn_t *conn);
static void prov_db_conn_notice(void *data, const PGresult *result);
static void prov_db_conn_ignore(ngx_event_t *ev);


/* The only place where a connection changes its state, and its list. */

void
prov_db_conn_move(prov_db_conn_t *conn, prov_db_conn_state_e state)
{
    prov_db_pool_t  *pool;

    pool = conn->pool;

    ngx_queue_remove(&conn->queue);

    if (conn->state == PROV_DB_CONNECTING) {
        pool->nconnecting--;
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
        break;
    }

    /* what a leaving worker may close, and what keeps it from leaving */

    if (conn->c) {
        conn->c->idle = (state == PROV_DB_IDLE);
    }

    conn->timer.cancelable = (state != PROV_DB_BUSY);
}


void
prov_db_conn_open(prov_db_conn_t *conn)
{
    const char         *keywords[PROV_DB_OPTIONS + 4];
    const char         *values[PROV_DB_OPTIONS + 4];
    ngx_uint_t          n;
    prov_db_conf_t     *conf;
    prov_db_pool_t     *pool;
    prov_db_server_t   *server;

    pool = conn->pool;
    conf = pool->conf;

    server = conf->servers.elts;
    conn->server = pool->server;
    server += conn->server;

    n = conf->noptions;

    ngx_memcpy(keywords, conf->keywords, n * sizeof(char *));
    ngx_memcpy(values, conf->values, n * sizeof(char *));

    keywords[n] = "host";
    values[n++] = server->host;
    keywords[n] = "hostaddr";
    values[n++] = server->hostaddr;
    keywords[n] = "port";
    values[n++] = server->port;
    keywords[n] = NULL;
    values[n] = NULL;

    prov_db_conn_move(conn, PROV_DB_CONNECTING);

    conn->timer.handler = prov_db_conn_timer;
    conn->timer.data = conn;
    conn->timer.log = pool->log;

    conn->age.handler = prov_db_conn_aged;
    conn->age.data = conn;
    conn->age.log = pool->log;
    conn->age.cancelable = 1;

    conn->pg = PQconnectStartParams(keywords, values, 0);

    if (conn->pg == NULL || PQstatus(conn->pg) == CONNECTION_BAD) {
        prov_db_conn_log(NGX_LOG_ERR, conn, "connecting");
        prov_db_conn_failed(conn);
        return;
    }

    (void) PQsetNoticeReceiver(conn->pg, prov_db_conn_notice, conn);

    ngx_add_timer(&conn->timer, conf->connect_timeout);

    if (prov_db_conn_watch(conn, NULL, prov_db_conn_poll) != NGX_OK) {
        prov_db_conn_failed(conn);
    }
}


/*
 * libpq may close its socket in a poll and open another one, perhaps with
 * the same number, so nothing stays registered over the call.
 */

static void
prov_db_conn_poll(ngx_event_t *ev)
{
    ngx_int_t          rc;
    prov_db_conn_t    *conn;
    ngx_connection_t  *c;

    c = ev->data;
    conn = c->data;

    prov_db_conn_unwatch(conn);

    switch (PQconnectPoll(conn->pg)) {

    case PGRES_POLLING_READING:
        rc = prov_db_conn_watch(conn, prov_db_conn_poll, NULL);
        break;

    case PGRES_POLLING_WRITING:
        rc = prov_db_conn_watch(conn, NULL, prov_db_conn_poll);
        break;

    case PGRES_POLLING_OK:
        prov_db_conn_ready(conn);
        return;

    default:
        prov_db_conn_log(NGX_LOG_ERR, conn, "connecting");
        rc = NGX_ERROR;
    }

    if (rc != NGX_OK) {
        prov_db_conn_failed(conn);
    }
}


static void
prov_db_conn_ready(prov_db_conn_t *conn)
{
    ngx_msec_t       time;
    prov_db_pool_t  *pool;

    pool = conn->pool;

    if (prov_db_conn_usable(conn) != NGX_OK) {
        prov_db_conn_failed(conn);
        return;
    }

    if (PQsetnonblocking(conn->pg, 1) != 0
        || PQenterPipelineMode(conn->pg) != 1
        || prov_db_conn_watch(conn, prov_db_wire_read, NULL) != NGX_OK)
    {
        prov_db_conn_log(NGX_LOG_ERR, conn, "preparing a connection");
        prov_db_conn_failed(conn);
        return;
    }

    conn->c->write->handler = prov_db_wire_write;

    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    /* an eighth of the time as jitter: not all are renewed at once */

    time = pool->conf->keepalive_time;

    ngx_add_timer(&conn->age, time - (ngx_msec_t) ngx_random()
                                     % (time / 8 + 1));

    prov_db_conn_move(conn, PROV_DB_IDLE);

    prov_db_reached(pool);
    prov_db_conn_settle(conn);
}


/* Only a server that takes writes is used, so a failover is followed. */

static ngx_int_t
prov_db_conn_usable(prov_db_conn_t *conn)
{
    const char      *standby;
    prov_db_conf_t  *conf;

    conf = conn->pool->conf;

    if (PQserverVersion(conn->pg) < PROV_DB_MIN_VERSION) {
        ngx_log_error(NGX_LOG_ERR, conn->pool->log, 0,
                      "provisioning_database \"%V\": the server has version "
                      "%d, but PostgreSQL 15 or later is needed",
                      &conf->name, PQserverVersion(conn->pg) / 10000);
        return NGX_ERROR;
    }

    standby = PQparameterStatus(conn->pg, "in_hot_standby");

    if (standby && ngx_strcmp(standby, "on") == 0) {
        ngx_log_error(NGX_LOG_WARN, conn->pool->log, 0,
                      "provisioning_database \"%V\": server \"%V\" is a "
                      "standby and takes no writes", &conf->name,
                      &((prov_db_server_t *) conf->servers.elts)
                          [conn->server].name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
prov_db_conn_failed(prov_db_conn_t *conn)
{
    prov_db_missed(conn);
    prov_db_conn_close(conn);
    prov_db_wake(conn->pool);
}


/*
 * One timer for all that is in flight: queries are answered in the order in
 * which they were sent, so the oldest is always the first to be overdue.
 * The timer is not moved with each query, it looks when it has run down.
 */

static void
prov_db_conn_timer(ngx_event_t *ev)
{
    ngx_msec_t        passed, limit;
    prov_db_conn_t   *conn;
    prov_db_query_t  *q;

    conn = ev->data;

    switch (conn->state) {

    case PROV_DB_CONNECTING:
        ngx_log_error(NGX_LOG_ERR, conn->pool->log, NGX_ETIMEDOUT,
                      "provisioning_database \"%V\": connecting to \"%V\" "
                      "took longer than connect_timeout",
                      &conn->pool->conf->name,
                      &((prov_db_server_t *) conn->pool->conf->servers.elts)
                          [conn->server].name);
        prov_db_conn_failed(conn);
        return;

    case PROV_DB_BUSY:
        q = ngx_queue_data(ngx_queue_head(&conn->sent), prov_db_query_t,
                           queue);

        passed = ngx_current_msec - q->sent;
        limit = conn->pool->conf->query_timeout;

        if (passed >= limit) {
            prov_db_conn_overdue(conn);
            return;
        }

        ngx_add_timer(&conn->timer, limit - passed);
        return;

    default:
        return;
    }
}


/* keepalive_time is over */

static void
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

    q = ngx_queue_data(ngx_queue_head(&conn->sent), prov_db_query_t, queue);

    ngx_log_error(NGX_LOG_ERR, pool->log, NGX_ETIMEDOUT,
                  "provisioning_database \"%V\": a query took longer than "
                  "query_timeout, closing its connection with %ui in flight",
                  &pool->conf->name, conn->nsent);

    if (q->class == PROV_DB_WRITE) {
        prov_db_conn_close(conn);

    } else {
        ngx_queue_remove(&q->queue);
        conn->nsent--;

        prov_db_conn_close(conn);
        prov_db_query_done(q, PROV_DB_TIMEOUT);
    }

    prov_db_wake(pool);
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

        prov_db_conn_share(conn);

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


/* no list has it, or waits for it, any more */

static void
prov_db_conn_share(prov_db_conn_t *conn)
{
    if (conn->exclusive) {
        conn->exclusive = 0;
        conn->pool->nexclusive--;
    }

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
    prov_db_pool_t   *pool;
    prov_db_query_t  *q;

    pool = conn->pool;

    prov_db_conn_unwatch(conn);
    prov_db_conn_share(conn);

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

    conn->retired = 0;
    conn->dead = 0;
    conn->prepared = 0;

    ngx_memzero(conn->generation,
                pool->conf->statements.nelts * sizeof(ngx_uint_t));

    prov_db_conn_move(conn, PROV_DB_CLOSED);

    while (!ngx_queue_empty(&conn->sent)) {
        q = ngx_queue_data(ngx_queue_last(&conn->sent), prov_db_query_t,
                           queue);

        ngx_queue_remove(&q->queue);
        conn->nsent--;

        prov_db_query_lost(q);
    }
}


/*
 * Registers libpq's socket with the event loop, level-triggered: libpq reads
 * only part of what is there, and an edge would not come again.  Only the
 * directions with a handler are watched.
 */

ngx_int_t
prov_db_conn_watch(prov_db_conn_t *conn, ngx_event_handler_pt read,
    ngx_event_handler_pt write)
{
    ngx_log_t         *log;
    ngx_connection_t  *c;

    log = conn->pool->log;

    if (PQsocket(conn->pg) < 0) {
        return NGX_ERROR;
    }

    c = ngx_get_connection(PQsocket(conn->pg), log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    /* the descriptor is libpq's to close */
    c->shared = 1;

    c->data = conn;
    c->log = log;
    c->read->log = log;
    c->write->log = log;
    c->read->handler = read ? read : prov_db_conn_ignore;
    c->write->handler = write ? write : prov_db_conn_ignore;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);

    conn->c = c;

    if (read
        && ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (write
        && ngx_add_event(c->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
prov_db_conn_unwatch(prov_db_conn_t *conn)
{
    ngx_uint_t         flags;
    ngx_connection_t  *c;

    c = conn->c;

    if (c == NULL) {
        return;
    }

    /* libpq closes the descriptor by itself when the server goes away */

    flags = (conn->pg && PQsocket(conn->pg) == c->fd) ? 0 : NGX_CLOSE_EVENT;

    if (c->read->active) {
        ngx_del_event(c->read, NGX_READ_EVENT, flags);
    }

    if (c->write->active) {
        ngx_del_event(c->write, NGX_WRITE_EVENT, flags);
    }

    conn->c = NULL;

    ngx_close_connection(c);
}


static void
prov_db_conn_ignore(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    /* a worker that leaves calls the read handler of what it calls idle */

    if (c->close) {
        prov_db_conn_close(c->data);
    }
}


void
prov_db_conn_log(ngx_uint_t level, prov_db_conn_t *conn, const char *doing)
{
    u_char            *p, text[512];
    prov_db_conf_t    *conf;
    prov_db_server_t  *server;

    conf = conn->pool->conf;
    server = conf->servers.elts;

    /* libpq's messages have several lines, nginx's log has one */

    ngx_cpystrn(text, (u_char *) (conn->pg ? PQerrorMessage(conn->pg)
                                           : "no memory"), sizeof(text));

    for (p = text; *p; p++) {
        if (*p < ' ') {
            *p = ' ';
        }
    }

    while (p > text && p[-1] == ' ') {
        *--p = '\0';
    }

    ngx_log_error(level, conn->pool->log, 0,
                  "provisioning_database \"%V\", server \"%V\": %s failed: "
                  "%s", &conf->name, &server[conn->server].name, doing, text);
}


static void
prov_db_conn_notice(void *data, const PGresult *result)
{
    const char      *message;
    prov_db_conn_t  *conn;

    conn = data;
    message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    ngx_log_error(NGX_LOG_INFO, conn->pool->log, 0,
                  "provisioning_database \"%V\": the server says: %s",
                  &conn->pool->conf->name, message ? message : "(nothing)");
}
