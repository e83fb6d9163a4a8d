/*
 * provisioning_outbound: reads the block while nginx reads its configuration.
 * All that can be known to be wrong is said here; nothing is resolved or
 * connected to.
 */

#include "http/prov_http_private.h"
#include "base/prov_conf.h"


#define PROV_HTTP_MISSING                                                     \
    "needs libcurl 7.87 or later, without which this module was built: "     \
    "install it (on Debian: apt-get install libcurl4-openssl-dev) and build "\
    "the module again"


static prov_http_conf_t *prov_http_defaults(ngx_conf_t *cf);
static ngx_int_t prov_http_complete(ngx_conf_t *cf, prov_http_conf_t *conf,
    const char *what);
static char *prov_http_set_connections(ngx_conf_t *cf, ngx_command_t *cmd,
    void *data);
static char *prov_http_set_destination_connections(ngx_conf_t *cf,
    ngx_command_t *cmd, void *data);
static char *prov_http_set_pair(ngx_conf_t *cf, ngx_uint_t *number,
    ngx_uint_t *queue);
static char *prov_http_set_networks(ngx_conf_t *cf, ngx_command_t *cmd,
    void *data);
static char *prov_http_set_breaker(ngx_conf_t *cf, ngx_command_t *cmd,
    void *data);


static prov_conf_range_t  prov_http_times = { 1, 3600 * 1000 };
static prov_conf_range_t  prov_http_sizes = { 1024, 64 * 1024 * 1024 };
static prov_conf_range_t  prov_http_connections = { 1, 10000 };
static prov_conf_range_t  prov_http_queues = { 0, 100000 };
static prov_conf_range_t  prov_http_failures = { 1, 1000 };


static prov_conf_directive_t  prov_http_directives[] = {

    { ngx_string("timeout"), 1, 1, 0, prov_conf_set_time,
      offsetof(prov_http_conf_t, timeout), &prov_http_times },
    { ngx_string("connect_timeout"), 1, 1, 0, prov_conf_set_time,
      offsetof(prov_http_conf_t, connect_timeout), &prov_http_times },
    { ngx_string("max_response"), 1, 1, 0, prov_conf_set_size,
      offsetof(prov_http_conf_t, max_response), &prov_http_sizes },
    { ngx_string("connections"), 1, 2, 0, prov_http_set_connections, 0, NULL },
    { ngx_string("destination_connections"), 1, 2, 0,
      prov_http_set_destination_connections, 0, NULL },
    { ngx_string("plain_http"), 1, 1, 0, ngx_conf_set_flag_slot,
      offsetof(prov_http_conf_t, plain_http), NULL },
    { ngx_string("allow_network"), 1, 64, 1, prov_http_set_networks,
      offsetof(prov_http_conf_t, allow), NULL },
    { ngx_string("deny_network"), 1, 64, 1, prov_http_set_networks,
      offsetof(prov_http_conf_t, deny), NULL },
    { ngx_string("trusted_certificate"), 1, 1, 0, ngx_conf_set_str_slot,
      offsetof(prov_http_conf_t, trusted_certificate), &prov_conf_file },
    { ngx_string("breaker"), 1, 2, 0, prov_http_set_breaker, 0, NULL },

    prov_conf_null_directive
};


char *
prov_http_block(ngx_conf_t *cf, prov_http_conf_t **conf)
{
    char              *rv;
    prov_http_conf_t  *outbound;

    if (*conf) {
        return "is duplicate";
    }

    outbound = prov_http_defaults(cf);
    if (outbound == NULL) {
        return NGX_CONF_ERROR;
    }

    rv = prov_conf_block(cf, prov_http_directives, outbound, NULL);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (prov_http_complete(cf, outbound, "provisioning_outbound") != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    *conf = outbound;

    return NGX_CONF_OK;
}


ngx_int_t
prov_http_require(ngx_conf_t *cf, prov_http_conf_t **conf, const char *what)
{
    prov_http_conf_t  *defaults;

    if (*conf) {
        return NGX_OK;
    }

    defaults = prov_http_defaults(cf);

    if (defaults == NULL || prov_http_complete(cf, defaults, what) != NGX_OK) {
        return NGX_ERROR;
    }

    *conf = defaults;

    return NGX_OK;
}


ngx_msec_t
prov_http_timeout(prov_http_conf_t *conf)
{
    return conf->timeout;
}


static prov_http_conf_t *
prov_http_defaults(ngx_conf_t *cf)
{
    prov_http_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(prov_http_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->trusted_certificate = { 0, NULL }
     *     conf->trust = NULL
     */

    conf->timeout = 15000;
    conf->connect_timeout = 5000;
    conf->max_response = 65536;
    conf->connections = 256;
    conf->queue = 1024;
    conf->destination_connections = 8;
    conf->destination_queue = 64;
    conf->plain_http = NGX_CONF_UNSET;
    conf->failures = 5;
    conf->open = 30000;

    if (ngx_array_init(&conf->allow, cf->pool, 4, sizeof(prov_http_network_t))
        != NGX_OK
        || ngx_array_init(&conf->deny, cf->pool, 4,
                          sizeof(prov_http_network_t))
           != NGX_OK)
    {
        return NULL;
    }

    return conf;
}


static ngx_int_t
prov_http_complete(ngx_conf_t *cf, prov_http_conf_t *conf, const char *what)
{
#if (PROV_HAVE_CURL)

    curl_version_info_data  *version;

    version = curl_version_info(CURLVERSION_NOW);

    /* the one that runs need not be the one that we were built with */

    if (version->version_num < 0x075700
        || !(version->features & CURL_VERSION_ASYNCHDNS)
        || version->ssl_version == NULL
        || ngx_strstr(version->ssl_version, "OpenSSL") == NULL)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s needs a libcurl 7.87 or later that uses "
                           "OpenSSL and looks up names without blocking, but "
                           "the one that is loaded is %s with %s (on Debian: "
                           "apt-get install libcurl4)", what,
                           version->version,
                           version->ssl_version ? version->ssl_version
                                                : "no TLS");
        return NGX_ERROR;
    }

    ngx_conf_init_value(conf->plain_http, 0);

    if (conf->connect_timeout > conf->timeout) {
        conf->connect_timeout = conf->timeout;
    }

    return prov_http_trust(cf, conf);

#else

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s " PROV_HTTP_MISSING, what);

    return NGX_ERROR;

#endif
}


/* connections number [queue=number]; */

static char *
prov_http_set_connections(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    prov_http_conf_t *conf = data;

    return prov_http_set_pair(cf, &conf->connections, &conf->queue);
}


/* destination_connections number [queue=number]; */

static char *
prov_http_set_destination_connections(ngx_conf_t *cf, ngx_command_t *cmd,
    void *data)
{
    prov_http_conf_t *conf = data;

    return prov_http_set_pair(cf, &conf->destination_connections,
                              &conf->destination_queue);
}


static char *
prov_http_set_pair(ngx_conf_t *cf, ngx_uint_t *number, ngx_uint_t *queue)
{
    ngx_str_t  *value, text;

    value = cf->args->elts;

    if (prov_conf_number(cf, &value[1], &prov_http_connections, number)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (!prov_conf_named(&value[2], "queue=", &text)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"%V\", expected "
                           "\"queue=number\"", &value[2], &value[0]);
        return NGX_CONF_ERROR;
    }

    return prov_conf_number(cf, &text, &prov_http_queues, queue);
}


/* allow_network and deny_network: address | network …; */

static char *
prov_http_set_networks(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    ngx_str_t            *value;
    ngx_uint_t            i;
    const char           *why;
    ngx_array_t          *networks;
    prov_http_network_t  *network;

    value = cf->args->elts;
    networks = (ngx_array_t *) ((char *) data + cmd->offset);

    for (i = 1; i < cf->args->nelts; i++) {

        network = ngx_array_push(networks);
        if (network == NULL) {
            return NGX_CONF_ERROR;
        }

        if (prov_http_network_parse(&value[i], network, &why) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" in \"%V\" %s", &value[i], &value[0],
                               why);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* breaker off | failures=number [open=time]; in any order */

static char *
prov_http_set_breaker(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    prov_http_conf_t *conf = data;

    char        *rv;
    ngx_str_t   *value, text;
    ngx_uint_t   i;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        conf->failures = 0;
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (prov_conf_named(&value[i], "failures=", &text)) {
            rv = prov_conf_number(cf, &text, &prov_http_failures,
                                  &conf->failures);

        } else if (prov_conf_named(&value[i], "open=", &text)) {
            rv = prov_conf_time(cf, &text, &prov_http_times, &conf->open);

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"breaker\", "
                               "expected \"failures=number\" and "
                               "\"open=time\", or \"off\"", &value[i]);
            rv = NGX_CONF_ERROR;
        }

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}
