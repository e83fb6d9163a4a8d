/*
 * Where libpq meets nginx: its socket in the event loop, its messages in the
 * log.  Called with a connection in any state; decides nothing.
 */

#include "db/prov_db_pool.h"


static void prov_db_conn_ignore(ngx_event_t *ev);
static void prov_db_conn_line(u_char *line, size_t size, const char *text);


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
        prov_db_conn_leave(c->data);
    }
}


void
prov_db_conn_log(ngx_uint_t level, prov_db_conn_t *conn, const char *doing)
{
    u_char             line[512];
    prov_db_conf_t    *conf;
    prov_db_server_t  *server;

    conf = conn->pool->conf;
    server = conf->servers.elts;

    prov_db_conn_line(line, sizeof(line),
                      conn->pg ? PQerrorMessage(conn->pg) : "no memory");

    ngx_log_error(level, conn->pool->log, 0,
                  "provisioning_database \"%V\", server \"%V\": %s failed: "
                  "%s", &conf->name, &server[conn->server].name, doing, line);
}


void
prov_db_conn_notice(void *data, const PGresult *result)
{
    u_char           line[512];
    const char      *message;
    prov_db_conn_t  *conn;

    conn = data;
    message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    prov_db_conn_line(line, sizeof(line), message ? message : "(nothing)");

    ngx_log_error(NGX_LOG_INFO, conn->pool->log, 0,
                  "provisioning_database \"%V\": the server says: %s",
                  &conn->pool->conf->name, line);
}


/* For a log; what a refused statement was told besides is not. */

const char *
prov_db_refusal(PGresult *result, u_char *line, size_t size)
{
    const char  *message;

    message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    /* what libpq says itself has no fields */

    prov_db_conn_line(line, size, message ? message
                                          : PQresultErrorMessage(result));

    return (char *) line;
}


/*
 * Messages of libpq and of the server may have several lines, and quote what a
 * caller has sent; nginx's log has one line for each.
 */

static void
prov_db_conn_line(u_char *line, size_t size, const char *text)
{
    u_char  *p;

    ngx_cpystrn(line, (u_char *) text, size);

    for (p = line; *p; p++) {
        if (*p < 0x20 || *p == 0x7f) {
            *p = ' ';
        }
    }

    while (p > line && p[-1] == ' ') {
        *--p = '\0';
    }
}
