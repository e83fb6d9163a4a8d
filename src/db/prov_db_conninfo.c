/*
 * conninfo of a provisioning_database: which of libpq's parameters an
 * operator may set, which the module sets, and which are refused because
 * they would make a worker block, or fall back to less than was asked for.
 */

#include "db/prov_db_pool.h"


static ngx_uint_t prov_db_networked(prov_db_conf_t *conf);
static const char *prov_db_option_refused(PQconninfoOption *option);
static char *prov_db_option_tls(ngx_conf_t *cf, prov_db_conf_t *conf);
static ngx_int_t prov_db_option_add(ngx_conf_t *cf, prov_db_conf_t *conf,
    const char *keyword, const char *value);
static const char *prov_db_option(prov_db_conf_t *conf, const char *keyword);


/*
 * conninfo is taken apart here, so that what libpq would do by itself in a
 * worker (look up names, read the home directory, fall back from TLS) is
 * either said in so many words or does not happen.
 */

char *
prov_db_conninfo(ngx_conf_t *cf, prov_db_conf_t *conf)
{
    char              *error, timeout[NGX_INT_T_LEN + 32];
    const char        *refused, *reason;
    ngx_int_t          rc;
    PQconninfoOption  *options, *o;

    error = NULL;

    options = PQconninfoParse((char *) conf->conninfo.data, &error);

    if (options == NULL) {

        reason = "no memory";

        if (error) {
            /* libpq ends its sentences with a newline */
            error[strcspn(error, "\n")] = '\0';
            reason = error;

            /* and quotes what it does not understand */

            if (ngx_strstr(conf->conninfo.data, "password")
                || ngx_strstr(conf->conninfo.data, "://"))
            {
                reason = "it cannot be taken apart; where is not shown, "
                         "because there may be a password in it";
            }
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid conninfo in provisioning_database "
                           "\"%V\": %s", &conf->name, reason);
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

    if (prov_db_networked(conf) && prov_db_option(conf, "sslmode") == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "provisioning_database \"%V\" has a server that "
                           "is reached over a network: say in conninfo "
                           "\"sslmode=verify-full\", or \"sslmode=disable\" "
                           "where the network is trusted", &conf->name);
        return NGX_CONF_ERROR;
    }

    if (prov_db_option_add(cf, conf, "sslmode", "disable") != NGX_OK
        || prov_db_option_tls(cf, conf) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    /* the server's own limit, which is an int of milliseconds, ends a statement
       cleanly before ours gives its connection up */

    ngx_sprintf((u_char *) timeout, "-c statement_timeout=%M%Z",
                ngx_min(conf->query_timeout - conf->query_timeout / 8,
                        NGX_MAX_INT32_VALUE));

    if (prov_db_option_add(cf, conf, "passfile", "/nonexistent") != NGX_OK
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


static ngx_uint_t
prov_db_networked(prov_db_conf_t *conf)
{
    ngx_uint_t         i;
    prov_db_server_t  *server;

    server = conf->servers.elts;

    for (i = 0; i < conf->servers.nelts; i++) {
        if (server[i].hostaddr) {
            return 1;
        }
    }

    return 0;
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


/*
 * What libpq would look for in the worker's home directory is said here, or
 * is not there.
 */

static char *
prov_db_option_tls(ngx_conf_t *cf, prov_db_conf_t *conf)
{
    const char  *mode;

    mode = prov_db_option(conf, "sslmode");

    if (ngx_strcmp(mode, "disable") == 0) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(mode, "verify-", 7) == 0
        && prov_db_option(conf, "sslrootcert") == NULL)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"sslmode=%s\" in conninfo of "
                           "provisioning_database \"%V\" needs the "
                           "certificate of the authority that is trusted, as "
                           "in \"sslrootcert=/etc/ssl/pg.pem\"", mode,
                           &conf->name);
        return NGX_CONF_ERROR;
    }

    if (prov_db_option_add(cf, conf, "sslrootcert", "/nonexistent") != NGX_OK
        || prov_db_option_add(cf, conf, "sslcert", "/nonexistent") != NGX_OK
        || prov_db_option_add(cf, conf, "sslkey", "/nonexistent") != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (prov_db_option(conf, "sslcrldir") == NULL
        && prov_db_option_add(cf, conf, "sslcrl", "/nonexistent") != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
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
