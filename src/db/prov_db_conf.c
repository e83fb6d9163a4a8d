/*
 * provisioning_database: reads the block while nginx reads its configuration.
 * All that can be known to be wrong is said here; nothing connects.
 */

#include "db/prov_db_pool.h"


typedef struct {
    prov_db_conf_t  *conf;
    ngx_array_t      backups;      /* prov_db_server_t */
    ngx_str_t        conninfo;
    ngx_uint_t       tcp;          /* servers reached over a network */
    ngx_uint_t       seen;         /* mask of the directives met */
} prov_db_block_t;


typedef struct {
    ngx_str_t        name;
    ngx_uint_t       min;          /* arguments */
    ngx_uint_t       max;
    ngx_uint_t       repeat;       /* may stand more than once */
    char          *(*set)(ngx_conf_t *cf, prov_db_block_t *block);
} prov_db_directive_t;


static char *prov_db_directive(ngx_conf_t *cf, ngx_command_t *dummy,
    void *data);
static char *prov_db_set_server(ngx_conf_t *cf, prov_db_block_t *block);
static char *prov_db_set_socket(ngx_conf_t *cf, ngx_array_t *servers,
    ngx_str_t *value, ngx_uint_t backup);
static char *prov_db_set_address(ngx_conf_t *cf, ngx_array_t *servers,
    ngx_str_t *value, ngx_uint_t backup);
static char *prov_db_set_conninfo(ngx_conf_t *cf, prov_db_block_t *block);
static char *prov_db_set_connections(ngx_conf_t *cf, prov_db_block_t *block);
static char *prov_db_set_queue(ngx_conf_t *cf, prov_db_block_t *block);
static char *prov_db_set_connect_timeout(ngx_conf_t *cf,
    prov_db_block_t *block);
static char *prov_db_set_query_timeout(ngx_conf_t *cf,
    prov_db_block_t *block);
static char *prov_db_set_keepalive_time(ngx_conf_t *cf,
    prov_db_block_t *block);
static char *prov_db_set_time(ngx_conf_t *cf, ngx_str_t *value,
    ngx_msec_t *time);
static char *prov_db_set_number(ngx_conf_t *cf, ngx_str_t *value,
    ngx_uint_t min, ngx_uint_t max, ngx_uint_t *number);
static char *prov_db_finish(ngx_conf_t *cf, prov_db_block_t *block);
static char *prov_db_options(ngx_conf_t *cf, prov_db_block_t *block);
static const char *prov_db_option_refused(PQconninfoOption *option);
static ngx_int_t prov_db_option_add(ngx_conf_t *cf, prov_db_conf_t *conf,
    const char *keyword, const char *value);
static const char *prov_db_option(prov_db_conf_t *conf, const char *keyword);
static char *prov_db_copy(ngx_pool_t *pool, u_char *data, size_t len);


static prov_db_directive_t  prov_db_directives[] = {

    { ngx_string("server"), 1, 2, 1, prov_db_set_server },
    { ngx_string("conninfo"), 1, 1, 0, prov_db_set_conninfo },
    { ngx_string("connections"), 1, 2, 0, prov_db_set_connections },
    { ngx_string("queue"), 1, 2, 0, prov_db_set_queue },
    { ngx_string("connect_timeout"), 1, 1, 0, prov_db_set_connect_timeout },
    { ngx_string("query_timeout"), 1, 1, 0, prov_db_set_query_timeout },
    { ngx_string("keepalive_time"), 1, 1, 0, prov_db_set_keepalive_time },

    { ngx_null_string, 0, 0, 0, NULL }
};


char *
prov_db_block(ngx_conf_t *cf, ngx_array_t *databases)
{
    char              *rv;
    ngx_str_t         *value;
    ngx_conf_t         save;
    prov_db_conf_t    *conf, **slot;
    prov_db_block_t    block;

    value = cf->args->elts;

    if (prov_db_find(databases, &value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate provisioning_database \"%V\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&block, sizeof(prov_db_block_t));

    conf = ngx_pcalloc(cf->pool, sizeof(prov_db_conf_t));
    if (conf == NULL) {
        return NGX_CONF_ERROR;
    }

    conf->name = value[1];
    conf->index = databases->nelts;
    conf->connections = 4;
    conf->pipeline = 16;
    conf->queue = 1024;
    conf->queue_timeout = 2000;
    conf->connect_timeout = 2000;
    conf->query_timeout = 5000;
    conf->keepalive_time = 3600000;
    conf->file = cf->conf_file->file.name.data;
    conf->line = cf->conf_file->line;

    if (ngx_array_init(&conf->servers, cf->pool, 2, sizeof(prov_db_server_t))
        != NGX_OK
        || ngx_array_init(&conf->statements, cf->pool, 16, sizeof(char *))
           != NGX_OK
        || ngx_array_init(&block.backups, cf->temp_pool, 2,
                          sizeof(prov_db_server_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    block.conf = conf;

    save = *cf;
    cf->handler = prov_db_directive;
    cf->handler_conf = &block;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (prov_db_finish(cf, &block) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    slot = ngx_array_push(databases);
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = conf;

    return NGX_CONF_OK;
}


prov_db_conf_t *
prov_db_find(ngx_array_t *databases, ngx_str_t *name)
{
    ngx_uint_t        i;
    prov_db_conf_t  **conf;

    conf = databases->elts;

    for (i = 0; i < databases->nelts; i++) {
        if (conf[i]->name.len == name->len
            && ngx_strncmp(conf[i]->name.data, name->data, name->len) == 0)
        {
            return conf[i];
        }
    }

    return NULL;
}


ngx_int_t
prov_db_statement(prov_db_conf_t *conf, ngx_str_t *text)
{
    ngx_uint_t    i;
    const char  **statement;

    statement = conf->statements.elts;

    for (i = 0; i < conf->statements.nelts; i++) {
        if (ngx_strlen(statement[i]) == text->len
            && ngx_memcmp(statement[i], text->data, text->len) == 0)
        {
            return i;
        }
    }

    statement = ngx_array_push(&conf->statements);
    if (statement == NULL) {
        return NGX_ERROR;
    }

    *statement = prov_db_copy(conf->statements.pool, text->data, text->len);
    if (*statement == NULL) {
        return NGX_ERROR;
    }

    return conf->statements.nelts - 1;
}


static char *
prov_db_directive(ngx_conf_t *cf, ngx_command_t *dummy, void *data)
{
    prov_db_block_t *block = data;

    ngx_str_t            *value;
    ngx_uint_t            n;
    prov_db_directive_t  *d;

    value = cf->args->elts;

    for (d = prov_db_directives; d->name.len; d++) {

        if (d->name.len != value[0].len
            || ngx_strncmp(d->name.data, value[0].data, value[0].len) != 0)
        {
            continue;
        }

        n = d - prov_db_directives;

        if (cf->args->nelts - 1 < d->min || cf->args->nelts - 1 > d->max) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid number of arguments in \"%V\" "
                               "directive", &value[0]);
            return NGX_CONF_ERROR;
        }

        if (!d->repeat && (block->seen & ((ngx_uint_t) 1 << n))) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" directive is duplicate", &value[0]);
            return NGX_CONF_ERROR;
        }

        block->seen |= (ngx_uint_t) 1 << n;

        return d->set(cf, block);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown directive \"%V\" in provisioning_database, "
                       "expected server, conninfo, connections, queue, "
                       "connect_timeout, query_timeout or keepalive_time",
                       &value[0]);

    return NGX_CONF_ERROR;
}


/* server address [backup]; */

static char *
prov_db_set_server(ngx_conf_t *cf, prov_db_block_t *block)
{
    ngx_str_t    *value;
    ngx_uint_t    backup;
    ngx_array_t  *servers;

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

    servers = backup ? &block->backups : &block->conf->servers;

    if (ngx_strncasecmp(value[1].data, (u_char *) "unix:", 5) == 0) {
        return prov_db_set_socket(cf, servers, &value[1], backup);
    }

    block->tcp++;

    return prov_db_set_address(cf, servers, &value[1], backup);
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

        /* libpq wants an IPv6 address without brackets */

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


static char *
prov_db_set_conninfo(ngx_conf_t *cf, prov_db_block_t *block)
{
    ngx_str_t  *value;

    value = cf->args->elts;
    block->conninfo = value[1];

    return NGX_CONF_OK;
}


/* connections number [pipeline=number]; */

static char *
prov_db_set_connections(ngx_conf_t *cf, prov_db_block_t *block)
{
    ngx_str_t  *value, number;

    value = cf->args->elts;

    if (prov_db_set_number(cf, &value[1], 1, 1000, &block->conf->connections)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[2].data, "pipeline=", 9) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected "
                           "\"pipeline=number\"", &value[2]);
        return NGX_CONF_ERROR;
    }

    number.data = value[2].data + 9;
    number.len = value[2].len - 9;

    return prov_db_set_number(cf, &number, 1, 1000, &block->conf->pipeline);
}


/* queue number [timeout=time]; */

static char *
prov_db_set_queue(ngx_conf_t *cf, prov_db_block_t *block)
{
    ngx_str_t  *value, time;

    value = cf->args->elts;

    if (prov_db_set_number(cf, &value[1], 1, 1000000, &block->conf->queue)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[2].data, "timeout=", 8) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected "
                           "\"timeout=time\"", &value[2]);
        return NGX_CONF_ERROR;
    }

    time.data = value[2].data + 8;
    time.len = value[2].len - 8;

    return prov_db_set_time(cf, &time, &block->conf->queue_timeout);
}


static char *
prov_db_set_connect_timeout(ngx_conf_t *cf, prov_db_block_t *block)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    return prov_db_set_time(cf, &value[1], &block->conf->connect_timeout);
}


static char *
prov_db_set_query_timeout(ngx_conf_t *cf, prov_db_block_t *block)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    return prov_db_set_time(cf, &value[1], &block->conf->query_timeout);
}


static char *
prov_db_set_keepalive_time(ngx_conf_t *cf, prov_db_block_t *block)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    return prov_db_set_time(cf, &value[1], &block->conf->keepalive_time);
}


static char *
prov_db_set_time(ngx_conf_t *cf, ngx_str_t *value, ngx_msec_t *time)
{
    ngx_int_t   n;
    ngx_str_t  *name;

    name = cf->args->elts;
    n = ngx_parse_time(value, 0);

    if (n == NGX_ERROR || n < 1 || n > 30 * 24 * 3600 * (ngx_int_t) 1000) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time \"%V\" in \"%V\", expected 1ms to "
                           "30d, as in \"500ms\" or \"2s\"", value, name);
        return NGX_CONF_ERROR;
    }

    *time = (ngx_msec_t) n;

    return NGX_CONF_OK;
}


static char *
prov_db_set_number(ngx_conf_t *cf, ngx_str_t *value, ngx_uint_t min,
    ngx_uint_t max, ngx_uint_t *number)
{
    ngx_int_t   n;
    ngx_str_t  *name;

    name = cf->args->elts;
    n = ngx_atoi(value->data, value->len);

    if (n == NGX_ERROR || (ngx_uint_t) n < min || (ngx_uint_t) n > max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number \"%V\" in \"%V\", expected %ui "
                           "to %ui", value, name, min, max);
        return NGX_CONF_ERROR;
    }

    *number = (ngx_uint_t) n;

    return NGX_CONF_OK;
}


static char *
prov_db_finish(ngx_conf_t *cf, prov_db_block_t *block)
{
    ngx_uint_t         i;
    prov_db_conf_t    *conf;
    prov_db_server_t  *server, *backup;

    conf = block->conf;

    if (conf->servers.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"server\"%s in provisioning_database \"%V\"",
                           block->backups.nelts ? " that is no backup" : "",
                           &conf->name);
        return NGX_CONF_ERROR;
    }

    backup = block->backups.elts;

    for (i = 0; i < block->backups.nelts; i++) {
        server = ngx_array_push(&conf->servers);
        if (server == NULL) {
            return NGX_CONF_ERROR;
        }

        *server = backup[i];
    }

    if (block->conninfo.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"conninfo\" in provisioning_database "
                           "\"%V\", it names at least the database and the "
                           "user, as in "
                           "\"dbname=provisioning user=prov_partner\"",
                           &conf->name);
        return NGX_CONF_ERROR;
    }

    return prov_db_options(cf, block);
}


/*
 * conninfo is taken apart here, so that what libpq would do by itself in a
 * worker (look up names, read the home directory, fall back from TLS) is
 * either said in so many words or does not happen.
 */

static char *
prov_db_options(ngx_conf_t *cf, prov_db_block_t *block)
{
    char              *error, timeout[NGX_INT_T_LEN + 32];
    const char        *refused;
    ngx_int_t          rc;
    prov_db_conf_t    *conf;
    PQconninfoOption  *options, *o;

    conf = block->conf;
    error = NULL;

    options = PQconninfoParse((char *) block->conninfo.data, &error);

    if (options == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid conninfo in provisioning_database "
                           "\"%V\": %s", &conf->name,
                           error ? error : "no memory");
        PQfreemem(error);
        return NGX_CONF_ERROR;
    }

    rc = NGX_OK;

    for (o = options; o->keyword && rc == NGX_OK; o++) {

        if (o->val == NULL) {
            continue;
        }

        refused = prov_db_option_refused(o);

        if (refused) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%s\" in conninfo of provisioning_database "
                               "\"%V\": %s", o->keyword, &conf->name,
                               refused);
            rc = NGX_ERROR;
            break;
        }

        rc = prov_db_option_add(cf, conf, o->keyword, o->val);
    }

    PQconninfoFree(options);

    if (rc != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (prov_db_option(conf, "dbname") == NULL
        || prov_db_option(conf, "user") == NULL)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "conninfo of provisioning_database \"%V\" must "
                           "name the database and the user, as in "
                           "\"dbname=provisioning user=prov_partner\"",
                           &conf->name);
        return NGX_CONF_ERROR;
    }

    if (block->tcp && prov_db_option(conf, "sslmode") == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "provisioning_database \"%V\" has a server that "
                           "is reached over a network: say in conninfo "
                           "\"sslmode=verify-full\", or \"sslmode=disable\" "
                           "where the network is trusted", &conf->name);
        return NGX_CONF_ERROR;
    }

    /* the server's own limit ends a statement cleanly before ours gives its
       connection up */

    ngx_sprintf((u_char *) timeout, "-c statement_timeout=%M%Z",
                conf->query_timeout - conf->query_timeout / 8);

    if (prov_db_option_add(cf, conf, "sslmode", "disable") != NGX_OK
        || prov_db_option_add(cf, conf, "passfile", "/nonexistent") != NGX_OK
        || prov_db_option_add(cf, conf, "application_name",
                              "nginx-provisioning") != NGX_OK
        || prov_db_option_add(cf, conf, "client_encoding", "UTF8") != NGX_OK
        || prov_db_option_add(cf, conf, "gssencmode", "disable") != NGX_OK
        || prov_db_option_add(cf, conf, "options", timeout) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* Says why a parameter cannot stand in conninfo, or NULL when it can. */

static const char *
prov_db_option_refused(PQconninfoOption *option)
{
    const char  *k, *v;

    k = option->keyword;
    v = option->val;

    if (ngx_strcmp(k, "host") == 0 || ngx_strcmp(k, "hostaddr") == 0
        || ngx_strcmp(k, "port") == 0)
    {
        return "use the \"server\" directive instead";
    }

    if (ngx_strcmp(k, "connect_timeout") == 0) {
        return "use the \"connect_timeout\" directive instead";
    }

    if (ngx_strcmp(k, "service") == 0
        || ngx_strcmp(k, "target_session_attrs") == 0
        || ngx_strcmp(k, "replication") == 0
        || ngx_strcmp(k, "requiressl") == 0)
    {
        return "not supported, the server that takes writes is found by "
               "itself";
    }

    if (ngx_strcmp(k, "sslmode") == 0
        && (ngx_strcmp(v, "prefer") == 0 || ngx_strcmp(v, "allow") == 0))
    {
        return "must be \"disable\", \"require\", \"verify-ca\" or "
               "\"verify-full\": the others fall back silently";
    }

    if (ngx_strcmp(k, "gssencmode") == 0 && ngx_strcmp(v, "disable") != 0) {
        return "must be \"disable\": GSSAPI would block the worker";
    }

    if (ngx_strcmp(k, "client_encoding") == 0
        && ngx_strcasecmp((u_char *) v, (u_char *) "UTF8") != 0)
    {
        return "must be \"UTF8\", as JSON is";
    }

    return NULL;
}


/* Adds a parameter that is not there yet. */

static ngx_int_t
prov_db_option_add(ngx_conf_t *cf, prov_db_conf_t *conf, const char *keyword,
    const char *value)
{
    if (prov_db_option(conf, keyword)) {
        return NGX_OK;
    }

    if (conf->noptions == PROV_DB_OPTIONS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "too many parameters in conninfo");
        return NGX_ERROR;
    }

    conf->keywords[conf->noptions] = prov_db_copy(cf->pool,
                                                  (u_char *) keyword,
                                                  ngx_strlen(keyword));
    conf->values[conf->noptions] = prov_db_copy(cf->pool, (u_char *) value,
                                                ngx_strlen(value));

    if (conf->keywords[conf->noptions] == NULL
        || conf->values[conf->noptions] == NULL)
    {
        return NGX_ERROR;
    }

    conf->noptions++;

    return NGX_OK;
}


static const char *
prov_db_option(prov_db_conf_t *conf, const char *keyword)
{
    ngx_uint_t  i;

    for (i = 0; i < conf->noptions; i++) {
        if (ngx_strcmp(conf->keywords[i], keyword) == 0) {
            return conf->values[i];
        }
    }

    return NULL;
}


static char *
prov_db_copy(ngx_pool_t *pool, u_char *data, size_t len)
{
    char  *copy;

    copy = ngx_pnalloc(pool, len + 1);
    if (copy == NULL) {
        return NULL;
    }

    ngx_memcpy(copy, data, len);
    copy[len] = '\0';

    return copy;
}
