/*
 * provisioning_database: reads the block while nginx reads its configuration.
 * All that can be known to be wrong is said here; nothing connects.
 */

#include "db/prov_db_pool.h"


typedef struct {
    ngx_str_t        name;
    ngx_uint_t       min;          /* arguments */
    ngx_uint_t       max;
    ngx_uint_t       repeat;       /* may stand more than once */
    char          *(*set)(ngx_conf_t *cf, prov_db_block_t *block);
} prov_db_directive_t;


static char *prov_db_directive(ngx_conf_t *cf, ngx_command_t *dummy,
    void *data);
static char *prov_db_set_conninfo(ngx_conf_t *cf, prov_db_block_t *block);
static char *prov_db_set_connections(ngx_conf_t *cf, prov_db_block_t *block);
static char *prov_db_set_share(ngx_conf_t *cf, prov_db_conf_t *conf,
    ngx_str_t *value);
static char *prov_db_set_share_commits(ngx_conf_t *cf,
    prov_db_block_t *block);
static char *prov_db_set_share_transactions(ngx_conf_t *cf,
    prov_db_block_t *block);
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
static void prov_db_shares_default(prov_db_conf_t *conf);


static prov_db_directive_t  prov_db_directives[] = {

    { ngx_string("server"), 1, 2, 1, prov_db_set_server },
    { ngx_string("conninfo"), 1, 1, 0, prov_db_set_conninfo },
    { ngx_string("connections"), 1, 5, 0, prov_db_set_connections },
    { ngx_string("share_commits"), 1, 1, 0, prov_db_set_share_commits },
    { ngx_string("share_transactions"), 1, 1, 0,
      prov_db_set_share_transactions },
    { ngx_string("queue"), 1, 2, 0, prov_db_set_queue },
    { ngx_string("connect_timeout"), 1, 1, 0, prov_db_set_connect_timeout },
    { ngx_string("query_timeout"), 1, 1, 0, prov_db_set_query_timeout },
    { ngx_string("keepalive_time"), 1, 1, 0, prov_db_set_keepalive_time },

    { ngx_null_string, 0, 0, 0, NULL }
};


typedef struct {
    ngx_str_t        name;
    size_t           offset;       /* of an ngx_uint_t; 0 until it is set */
} prov_db_share_name_t;


static prov_db_share_name_t  prov_db_share_names[] = {

    { ngx_string("reads="),
      offsetof(prov_db_conf_t, share[PROV_DB_FOR_READS]) },
    { ngx_string("writes="),
      offsetof(prov_db_conf_t, share[PROV_DB_FOR_WRITES]) },
    { ngx_string("lists="),
      offsetof(prov_db_conf_t, share[PROV_DB_FOR_LISTS]) },
    { ngx_string("pipeline="), offsetof(prov_db_conf_t, pipeline) },

    { ngx_null_string, 0 }
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
    conf->connections = 5;
    conf->share_commits = 1;
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
                       "expected server, conninfo, connections, "
                       "share_commits, share_transactions, queue, "
                       "connect_timeout, query_timeout or keepalive_time",
                       &value[0]);

    return NGX_CONF_ERROR;
}


static char *
prov_db_set_conninfo(ngx_conf_t *cf, prov_db_block_t *block)
{
    ngx_str_t  *value;

    value = cf->args->elts;
    block->conninfo = value[1];

    return NGX_CONF_OK;
}


/* connections number [reads=n] [writes=n] [lists=n] [pipeline=n]; */

static char *
prov_db_set_connections(ngx_conf_t *cf, prov_db_block_t *block)
{
    ngx_str_t       *value;
    ngx_uint_t       i;
    prov_db_conf_t  *conf;

    conf = block->conf;
    value = cf->args->elts;

    if (prov_db_set_number(cf, &value[1], 1, 1000, &conf->connections)
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
    ngx_str_t               number;
    ngx_uint_t              max, *slot;
    prov_db_share_name_t   *name;

    for (name = prov_db_share_names; name->name.len; name++) {

        if (value->len >= name->name.len
            && ngx_strncmp(value->data, name->name.data, name->name.len) == 0)
        {
            break;
        }
    }

    if (name->name.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected "
                           "\"reads=number\", \"writes=number\", "
                           "\"lists=number\" or \"pipeline=number\"", value);
        return NGX_CONF_ERROR;
    }

    slot = (ngx_uint_t *) ((char *) conf + name->offset);
    max = (slot == &conf->pipeline) ? 1000 : conf->connections;

    if (*slot) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is duplicate", &name->name);
        return NGX_CONF_ERROR;
    }

    number.data = value->data + name->name.len;
    number.len = value->len - name->name.len;

    return prov_db_set_number(cf, &number, 1, max, slot);
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
prov_db_set_share_commits(ngx_conf_t *cf, prov_db_block_t *block)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "on") == 0) {
        block->conf->share_commits = 1;

    } else if (ngx_strcmp(value[1].data, "off") == 0) {
        block->conf->share_commits = 0;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"share_commits\", "
                           "expected \"on\" or \"off\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* share_transactions number; */

static char *
prov_db_set_share_transactions(ngx_conf_t *cf, prov_db_block_t *block)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    return prov_db_set_number(cf, &value[1], 1, 64,
                              &block->conf->share_transactions);
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

    prov_db_shares_default(conf);

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

    return prov_db_conninfo(cf, conf, &block->conninfo, block->tcp);
}


/*
 * Lists are slow, and half of the connections is what they may keep from the
 * others; reads and writes leave one to each other and to a list.
 */

static void
prov_db_shares_default(prov_db_conf_t *conf)
{
    ngx_uint_t  i, each[PROV_DB_KINDS];

    each[PROV_DB_FOR_READS] = (conf->connections - 1) / 2;
    each[PROV_DB_FOR_WRITES] = (conf->connections - 1) / 2;
    each[PROV_DB_FOR_LISTS] = conf->connections / 2;

    for (i = 0; i < PROV_DB_KINDS; i++) {
        if (conf->share[i] == 0) {
            conf->share[i] = ngx_max(each[i], 1);
        }
    }

    if (conf->pipeline == 0) {
        conf->pipeline = PROV_DB_PIPELINE;
    }
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
