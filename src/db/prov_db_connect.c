/*
 * From a closed connection to an idle one: libpq connects without blocking,
 * one step at a time, and only a server that can serve is kept.  Called by the
 * pool when it wants another connection; what goes over it is in
 * prov_db_wire.c.
 */

#include "db/prov_db_pool.h"

#include <openssl/err.h>


/* what sql/migrate needs; it also reports in_hot_standby */
#define PROV_DB_MIN_VERSION  150000


static void prov_db_connect_poll(ngx_event_t *ev);
static void prov_db_connect_ready(prov_db_conn_t *conn);
static ngx_int_t prov_db_connect_setup(prov_db_conn_t *conn);
static void prov_db_connect_answer(ngx_event_t *ev);
static ngx_int_t prov_db_connect_results(prov_db_conn_t *conn);
static void prov_db_connect_open(prov_db_conn_t *conn);
static ngx_int_t prov_db_connect_usable(prov_db_conn_t *conn);
static void prov_db_connect_timeout(ngx_event_t *ev);
static void prov_db_connect_failed(prov_db_conn_t *conn);


void
prov_db_connect(prov_db_conn_t *conn)
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

    conn->failures = pool->failures;

    conn->timer.handler = prov_db_connect_timeout;
    conn->timer.data = conn;
    conn->timer.log = pool->log;

    conn->age.handler = prov_db_conn_aged;
    conn->age.data = conn;
    conn->age.log = pool->log;
    conn->age.cancelable = 1;

    conn->pg = PQconnectStartParams(keywords, values, 0);

    if (conn->pg == NULL || PQstatus(conn->pg) == CONNECTION_BAD) {
        prov_db_conn_log(NGX_LOG_ERR, conn, "connecting");
        prov_db_connect_failed(conn);
        return;
    }

    (void) PQsetNoticeReceiver(conn->pg, prov_db_conn_notice, conn);

    /* DETAIL and CONTEXT quote rows and parameters: they are not for logs */
    (void) PQsetErrorVerbosity(conn->pg, PQERRORS_TERSE);

    ngx_add_timer(&conn->timer, conf->connect_timeout);

    if (prov_db_conn_watch(conn, NULL, prov_db_connect_poll) != NGX_OK) {
        prov_db_connect_failed(conn);
    }
}


/*
 * libpq may close its socket in a poll and open another one, perhaps with
 * the same number, so nothing stays registered over the call.
 */

static void
prov_db_connect_poll(ngx_event_t *ev)
{
    ngx_int_t                   rc;
    prov_db_conn_t             *conn;
    ngx_connection_t           *c;
    PostgresPollingStatusType   status;

    c = ev->data;
    conn = c->data;

    prov_db_conn_unwatch(conn);

    status = PQconnectPoll(conn->pg);

    /* else the next TLS connection of nginx would complain of what is left */
    ERR_clear_error();

    switch (status) {

    case PGRES_POLLING_READING:
        rc = prov_db_conn_watch(conn, prov_db_connect_poll, NULL);
        break;

    case PGRES_POLLING_WRITING:
        rc = prov_db_conn_watch(conn, NULL, prov_db_connect_poll);
        break;

    case PGRES_POLLING_OK:
        prov_db_connect_ready(conn);
        return;

    default:
        prov_db_conn_log(NGX_LOG_ERR, conn, "connecting");
        rc = NGX_ERROR;
    }

    if (rc != NGX_OK) {
        prov_db_connect_failed(conn);
    }
}


static void
prov_db_connect_ready(prov_db_conn_t *conn)
{
    if (prov_db_connect_usable(conn) != NGX_OK) {
        prov_db_connect_failed(conn);
        return;
    }

    if (PQsetnonblocking(conn->pg, 1) != 0) {
        prov_db_conn_log(NGX_LOG_ERR, conn, "preparing a connection");
        prov_db_connect_failed(conn);
        return;
    }

    if (prov_db_share_setup(conn->pool->conf) == NULL) {
        prov_db_connect_open(conn);
        return;
    }

    if (prov_db_connect_setup(conn) != NGX_OK) {
        prov_db_conn_log(NGX_LOG_ERR, conn, "preparing a connection");
        prov_db_connect_failed(conn);
    }
}


/* What a connection has to know before its first query. */

static ngx_int_t
prov_db_connect_setup(prov_db_conn_t *conn)
{
    ngx_event_handler_pt  write;

    if (PQsendQuery(conn->pg, prov_db_share_setup(conn->pool->conf)) != 1) {
        return NGX_ERROR;
    }

    write = NULL;

    switch (PQflush(conn->pg)) {

    case 0:
        break;

    case 1:
        write = prov_db_connect_answer;
        break;

    default:
        return NGX_ERROR;
    }

    return prov_db_conn_watch(conn, prov_db_connect_answer, write);
}


static void
prov_db_connect_answer(ngx_event_t *ev)
{
    ngx_int_t          rc;
    prov_db_conn_t    *conn;
    ngx_connection_t  *c;

    c = ev->data;
    conn = c->data;

    if (ev->write && PQflush(conn->pg) == 0) {
        (void) ngx_del_event(ev, NGX_WRITE_EVENT, 0);
    }

    do {
        rc = (PQconsumeInput(conn->pg) == 1) ? prov_db_connect_results(conn)
                                             : NGX_ERROR;
    } while (rc == NGX_AGAIN && prov_db_wire_pending(conn));

    if (rc == NGX_AGAIN) {
        return;
    }

    if (rc != NGX_OK) {
        prov_db_conn_log(NGX_LOG_ERR, conn, "preparing a connection");
        prov_db_connect_failed(conn);
        return;
    }

    prov_db_conn_unwatch(conn);
    prov_db_connect_open(conn);
}


static ngx_int_t
prov_db_connect_results(prov_db_conn_t *conn)
{
    ngx_uint_t   failed;
    PGresult    *result;

    while (!PQisBusy(conn->pg)) {

        result = PQgetResult(conn->pg);

        if (result == NULL) {
            return NGX_OK;
        }

        failed = prov_db_failed(result);
        PQclear(result);

        if (failed) {
            return NGX_ERROR;
        }
    }

    return NGX_AGAIN;
}


static void
prov_db_connect_open(prov_db_conn_t *conn)
{
    ngx_msec_t       time;
    prov_db_pool_t  *pool;

    pool = conn->pool;

    if (PQenterPipelineMode(conn->pg) != 1
        || prov_db_conn_watch(conn, prov_db_wire_event, NULL) != NGX_OK)
    {
        prov_db_conn_log(NGX_LOG_ERR, conn, "preparing a connection");
        prov_db_connect_failed(conn);
        return;
    }

    conn->c->write->handler = prov_db_wire_event;

    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    conn->timer.handler = prov_db_conn_timer;

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
prov_db_connect_usable(prov_db_conn_t *conn)
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
prov_db_connect_timeout(ngx_event_t *ev)
{
    prov_db_conn_t  *conn;
    prov_db_conf_t  *conf;

    conn = ev->data;
    conf = conn->pool->conf;

    ngx_log_error(NGX_LOG_ERR, conn->pool->log, NGX_ETIMEDOUT,
                  "provisioning_database \"%V\": connecting to \"%V\" took "
                  "longer than connect_timeout", &conf->name,
                  &((prov_db_server_t *) conf->servers.elts)
                      [conn->server].name);

    prov_db_connect_failed(conn);
}


static void
prov_db_connect_failed(prov_db_conn_t *conn)
{
    prov_db_missed(conn);
    prov_db_conn_close(conn);
    prov_db_wake(conn->pool);
}
