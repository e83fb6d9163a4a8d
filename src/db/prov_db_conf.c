/*
 * provisioning_database: reads the block while nginx reads its configuration.
 * All that can be known to be wrong is said here; nothing connects.
 */

#include "db/prov_db_pool.h"
#include "base/prov_conf.h"


static prov_db_conf_t *prov_db_defaults(ngx_conf_t *cf, ngx_array_t *databases);
static char *prov_db_set_connections(ngx_conf_t *cf, ngx_command_t *cmd,
    void *data);
static char *prov_db_set_share(ngx_conf_t *cf, prov_db_conf_t *conf,
    ngx_str_t *value);
static char *prov_db_set_queue(ngx_conf_t *cf, ngx_command_t *cmd,
    void *data);
static char *prov_db_finish(ngx_conf_t *cf, prov_db_conf_t *conf);
static ngx_uint_t prov_db_backups_last(prov_db_conf_t *conf);


static prov_conf_range_t  prov_db_times = { 1, 30 * 24 * 3600U * 1000 };
static prov_conf_range_t  prov_db_connections = { 1, 1000 };
static prov_conf_range_t  prov_db_changes = { 1, 64 };
static prov_conf_range_t  prov_db_queues = { 1, 1000000 };


static prov_conf_directive_t  prov_db_directives[] = {

    { ngx_string("server"), 1, 2, 1, prov_db_set_server, 0, NULL },
    { ngx_string("conninfo"), 1, 1, 0, ngx_conf_set_str_slot,
      offsetof(prov_db_conf_t, conninfo), NULL },
    { ngx_string("connections"), 1, 5, 0, prov_db_set_connections, 0, NULL },
    { ngx_string("share_commits"), 1, 1, 0, ngx_conf_set_flag_slot,
      offsetof(prov_db_conf_t, share_commits), NULL },
    { ngx_string("share_transactions"), 1, 1, 0, prov_conf_set_number,
      offsetof(prov_db_conf_t, share_transactions), &prov_db_changes },
    { ngx_string("queue"), 1, 2, 0, prov_db_set_queue, 0, NULL },
    { ngx_string("connect_timeout"), 1, 1, 0, prov_conf_set_time,
      offsetof(prov_db_conf_t, connect_timeout), &prov_db_times },
    { ngx_string("query_timeout"), 1, 1, 0, prov_conf_set_time,
      offsetof(prov_db_conf_t, query_timeout), &prov_db_times },
    { ngx_string("keepalive_time"), 1, 1, 0, prov_conf_set_time,
      offsetof(prov_db_conf_t, keepalive_time), &prov_db_times },

    prov_conf_null_directive
};


/* a parameter of "connections" */

typedef struct {
    const char      *name;
    size_t           offset;       /* of an ngx_uint_t; 0 until it is set */
} prov_db_share_name_t;


static prov_db_share_name_t  prov_db_share_names[] = {

    { "reads=", offsetof(prov_db_conf_t, share[PROV_DB_FOR_READS]) },
    { "writes=", offsetof(prov_db_conf_t, share[PROV_DB_FOR_WRITES]) },
    { "lists=", offsetof(prov_db_conf_t, share[PROV_DB_FOR_LISTS]) },
    { "pipeline=", offsetof(prov_db_conf_t, pipeline) },

    { NULL, 0 }
};


char *
prov_db_block(ngx_conf_t *cf, ngx_array_t *databases)
{
    char            *rv;
    ngx_str_t       *value;
    prov_db_conf_t  *conf, **slot;

    value = cf->args->elts;

    conf = prov_db_find(databases, &value[1]);

    if (conf) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate provisioning_database \"%V\": another "
                           "one stands at %s:%ui", &value[1], conf->file,
                           conf->line);
        return NGX_CONF_ERROR;
    }

    conf = prov_db_defaults(cf, databases);
    if (conf == NULL) {
        return NGX_CONF_ERROR;
    }

    rv = prov_conf_block(cf, prov_db_directives, conf, NULL);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (prov_db_finish(cf, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    slot = ngx_array_push(databases);
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = conf;

    return NGX_CONF_OK;
}


static prov_db_conf_t *
prov_db_defaults(ngx_conf_t *cf, ngx_array_t *databases)
{
    ngx_str_t       *value;
    prov_db_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(prov_db_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->conninfo = { 0, NULL };
     *     conf->noptions = 0;
     *     conf->share[] = 0;
     *     conf->pipeline = 0;
     */

    value = cf->args->elts;

    conf->name = value[1];
    conf->index = databases->nelts;
    conf->connections = 5;
    conf->share_commits = NGX_CONF_UNSET;
    conf->share_transactions = PROV_DB_TOGETHER;
    conf->queue = 1024;
    conf->queue_timeout = 2000;
    conf->connect_timeout = 2000;
    conf->query_timeout = 5000;
    conf->keepalive_time = 3600000;
    conf->file = cf->conf_file->file.name.data;
    conf->line = cf->conf_file->line;

    if (ngx_array_init(&conf->servers, cf->pool, 2, sizeof(prov_db_server_t))
        != NGX_OK
        || ngx_array_init(&conf->statements, cf->pool, 16,
                          sizeof(prov_db_statement_t))
           != NGX_OK)
    {
        return NULL;
    }

    return conf;
}


prov_db_conf_t *
prov_db_find(ngx_array_t *databases, ngx_str_t *name)
{
    return prov_conf_find(databases, name);
}


ngx_int_t
prov_db_statement(prov_db_conf_t *conf, ngx_str_t *text)
{
    ngx_uint_t            i;
    prov_db_statement_t  *statement;

    statement = conf->statements.elts;

    for (i = 0; i < conf->statements.nelts; i++) {
        if (ngx_strlen(statement[i].text) == text->len
            && ngx_memcmp(statement[i].text, text->data, text->len) == 0)
        {
            return i;
        }
    }

    statement = ngx_array_push(&conf->statements);
    if (statement == NULL) {
        return NGX_ERROR;
    }

    statement->several = NGX_ERROR;
    statement->text = prov_db_copy(conf->statements.pool, text->data,
                                   text->len);
    if (statement->text == NULL) {
        return NGX_ERROR;
    }

    return conf->statements.nelts - 1;
}


ngx_int_t
prov_db_several(prov_db_conf_t *conf, ngx_uint_t statement, ngx_str_t *text)
{
    ngx_int_t             n;
    prov_db_statement_t  *single;

    n = prov_db_statement(conf, text);
    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    single = conf->statements.elts;
    single[statement].several = n;

    return NGX_OK;
}


/* connections number [reads=n] [writes=n] [lists=n] [pipeline=n]; */

static char *
prov_db_set_connections(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    prov_db_conf_t *conf = data;

    ngx_str_t   *value;
    ngx_uint_t   i;

    value = cf->args->elts;

    if (prov_conf_number(cf, &value[1], &prov_db_connections,
                         &conf->connections)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        if (prov_db_set_share(cf, conf, &value[i]) != NGX_CONF_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
prov_db_set_share(ngx_conf_t *cf, prov_db_conf_t *conf, ngx_str_t *value)
{
    ngx_str_t              text;
    ngx_uint_t            *slot;
    prov_conf_range_t      range;
    prov_db_share_name_t  *share;

    for (share = prov_db_share_names; share->name; share++) {
        if (prov_conf_named(value, share->name, &text)) {
            break;
        }
    }

    if (share->name == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected "
                           "\"reads=number\", \"writes=number\", "
                           "\"lists=number\" or \"pipeline=number\"", value);
        return NGX_CONF_ERROR;
    }

    slot = (ngx_uint_t *) ((char *) conf + share->offset);

    if (*slot) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%s\" is duplicate",
                           share->name);
        return NGX_CONF_ERROR;
    }

    range = prov_db_connections;

    if (slot != &conf->pipeline) {
        range.max = conf->connections;
    }

    return prov_conf_number(cf, &text, &range, slot);
}


/* queue number [timeout=time]; */

static char *
prov_db_set_queue(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    prov_db_conf_t *conf = data;

    ngx_str_t  *value, time;

    value = cf->args->elts;

    if (prov_conf_number(cf, &value[1], &prov_db_queues, &conf->queue)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (!prov_conf_named(&value[2], "timeout=", &time)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected "
                           "\"timeout=time\"", &value[2]);
        return NGX_CONF_ERROR;
    }

    return prov_conf_time(cf, &time, &prov_db_times, &conf->queue_timeout);
}


static char *
prov_db_finish(ngx_conf_t *cf, prov_db_conf_t *conf)
{
    ngx_conf_init_value(conf->share_commits, 1);

    if (conf->pipeline == 0) {
        conf->pipeline = PROV_DB_PIPELINE;
    }

    if (prov_db_backups_last(conf) == conf->servers.nelts) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"server\"%s in provisioning_database \"%V\"",
                           conf->servers.nelts ? " that is no backup" : "",
                           &conf->name);
        return NGX_CONF_ERROR;
    }

    if (conf->conninfo.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"conninfo\" in provisioning_database "
                           "\"%V\", it names at least the database and the "
                           "user, as in "
                           "\"dbname=provisioning user=prov_partner\"",
                           &conf->name);
        return NGX_CONF_ERROR;
    }

    return prov_db_conninfo(cf, conf);
}


/* In the order in which they stand in the block; returns how many they are. */

static ngx_uint_t
prov_db_backups_last(prov_db_conf_t *conf)
{
    ngx_uint_t         i, first;
    prov_db_server_t  *server, moved;

    server = conf->servers.elts;
    first = 0;

    for (i = 0; i < conf->servers.nelts; i++) {

        if (server[i].backup) {
            continue;
        }

        moved = server[i];
        ngx_memmove(&server[first + 1], &server[first],
                    (i - first) * sizeof(prov_db_server_t));
        server[first++] = moved;
    }

    return conf->servers.nelts - first;
}


char *
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
