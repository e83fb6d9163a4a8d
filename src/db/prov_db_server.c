/*
 * "server" of a provisioning_database: where PostgreSQL listens, as nginx
 * writes addresses, made into what libpq connects to without a look-up.
 */

#include "db/prov_db_pool.h"


static char *prov_db_set_socket(ngx_conf_t *cf, ngx_array_t *servers,
    ngx_str_t *value, ngx_uint_t backup);
static char *prov_db_set_address(ngx_conf_t *cf, ngx_array_t *servers,
    ngx_str_t *value, ngx_uint_t backup);


/* server address [backup]; */

char *
prov_db_set_server(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    prov_db_conf_t *conf = data;

    ngx_str_t   *value;
    ngx_uint_t   backup;

    value = cf->args->elts;
    backup = 0;

    if (cf->args->nelts == 3) {
        if (ngx_strcmp(value[2].data, "backup") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", the only one of "
                               "\"server\" is \"backup\"", &value[2]);
            return NGX_CONF_ERROR;
        }

        backup = 1;
    }

    if (ngx_strncasecmp(value[1].data, (u_char *) "unix:", 5) == 0) {
        return prov_db_set_socket(cf, &conf->servers, &value[1], backup);
    }

    return prov_db_set_address(cf, &conf->servers, &value[1], backup);
}


/*
 * "unix:/run/postgresql" is the directory, as libpq has it, and port 5432;
 * "unix:/run/postgresql/.s.PGSQL.5433" is the socket, as nginx has it.
 */

static char *
prov_db_set_socket(ngx_conf_t *cf, ngx_array_t *servers, ngx_str_t *value,
    ngx_uint_t backup)
{
    u_char            *p, *path, *last;
    ngx_int_t          port;
    prov_db_server_t  *server;

    path = value->data + 5;
    last = value->data + value->len;

    if (path == last || *path != '/') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid server \"%V\", expected the absolute "
                           "path of a socket or its directory, as in "
                           "\"unix:/run/postgresql\"", value);
        return NGX_CONF_ERROR;
    }

    server = ngx_array_push(servers);
    if (server == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(server, sizeof(prov_db_server_t));

    server->name = *value;
    server->backup = backup;
    server->port = "5432";

    for (p = last - 1; p > path && *p != '/'; p--) { /* void */ }

    if ((size_t) (last - p) > sizeof("/.s.PGSQL.") - 1
        && ngx_strncmp(p, "/.s.PGSQL.", sizeof("/.s.PGSQL.") - 1) == 0)
    {
        path = p + sizeof("/.s.PGSQL.") - 1;
        port = ngx_atoi(path, last - path);

        if (port < 1 || port > 65535) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid port in server \"%V\"", value);
            return NGX_CONF_ERROR;
        }

        server->port = prov_db_copy(cf->pool, path, last - path);

        path = value->data + 5;
        last = (p == path) ? p + 1 : p;
    }

    server->host = prov_db_copy(cf->pool, path, last - path);

    if (server->host == NULL || server->port == NULL) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/*
 * A name is looked up now, as proxy_pass and upstream do it, and each of its
 * addresses is a server; a worker never looks anything up.
 */

static char *
prov_db_set_address(ngx_conf_t *cf, ngx_array_t *servers, ngx_str_t *value,
    ngx_uint_t backup)
{
    char              *host, *port;
    u_char             text[NGX_SOCKADDR_STRLEN];
    size_t             len;
    ngx_url_t          u;
    ngx_uint_t         i;
    prov_db_server_t  *server;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *value;
    u.default_port = 5432;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in server \"%V\", expected "
                           "\"address[:port]\" or \"unix:/directory\"",
                           u.err ? u.err : "an error", value);
        return NGX_CONF_ERROR;
    }

    /* libpq wants an IPv6 address without brackets */

    if (u.host.len > 2 && u.host.data[0] == '[') {
        u.host.data++;
        u.host.len -= 2;
    }

    host = prov_db_copy(cf->pool, u.host.data, u.host.len);
    port = ngx_pnalloc(cf->pool, sizeof("65535"));

    if (host == NULL || port == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_sprintf((u_char *) port, "%ui%Z", (ngx_uint_t) u.port);

    for (i = 0; i < u.naddrs; i++) {

        server = ngx_array_push(servers);
        if (server == NULL) {
            return NGX_CONF_ERROR;
        }

        len = ngx_sock_ntop(u.addrs[i].sockaddr, u.addrs[i].socklen, text,
                            NGX_SOCKADDR_STRLEN, 0);

        if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
            server->hostaddr = prov_db_copy(cf->pool, text + 1, len - 2);

        } else {
            server->hostaddr = prov_db_copy(cf->pool, text, len);
        }

        if (server->hostaddr == NULL) {
            return NGX_CONF_ERROR;
        }

        server->name = u.addrs[i].name;
        server->host = host;
        server->port = port;
        server->backup = backup;
    }

    return NGX_CONF_OK;
}
