/*
 * provisioning_outbound: reads the block while nginx reads its configuration.
 * All that can be known to be wrong is said here; nothing is resolved or
 * connected to.
 */

#include "http/prov_http_private.h"


#define PROV_HTTP_MISSING                                                     \
    "needs libcurl 7.87 or later, without which this module was built: "     \
    "install it (on Debian: apt-get install libcurl4-openssl-dev) and build "\
    "the module again"


typedef struct {
    prov_http_conf_t      *conf;
    ngx_uint_t             seen;       /* bits, by directive */
} prov_http_block_t;


typedef struct {
    ngx_str_t        name;
    ngx_uint_t       min;          /* arguments */
    ngx_uint_t       max;
    ngx_uint_t       repeat;       /* may stand more than once */
    char          *(*set)(ngx_conf_t *cf, prov_http_conf_t *conf);
} prov_http_directive_t;


static prov_http_conf_t *prov_http_defaults(ngx_conf_t *cf);
static ngx_int_t prov_http_complete(ngx_conf_t *cf, prov_http_conf_t *conf,
    const char *what);
static char *prov_http_directive(ngx_conf_t *cf, ngx_command_t *dummy,
    void *data);
static char *prov_http_set_timeout(ngx_conf_t *cf, prov_http_conf_t *conf);
static char *prov_http_set_connect_timeout(ngx_conf_t *cf,
    prov_http_conf_t *conf);
static char *prov_http_set_max_response(ngx_conf_t *cf,
    prov_http_conf_t *conf);
static char *prov_http_set_connections(ngx_conf_t *cf,
    prov_http_conf_t *conf);
static char *prov_http_set_destination_connections(ngx_conf_t *cf,
    prov_http_conf_t *conf);
static char *prov_http_set_plain_http(ngx_conf_t *cf,
    prov_http_conf_t *conf);
static char *prov_http_set_allow_network(ngx_conf_t *cf,
    prov_http_conf_t *conf);
static char *prov_http_set_deny_network(ngx_conf_t *cf,
    prov_http_conf_t *conf);
static char *prov_http_set_trusted_certificate(ngx_conf_t *cf,
    prov_http_conf_t *conf);
static char *prov_http_set_breaker(ngx_conf_t *cf, prov_http_conf_t *conf);
static char *prov_http_set_networks(ngx_conf_t *cf, ngx_array_t *networks);
static char *prov_http_set_pair(ngx_conf_t *cf, ngx_uint_t *number,
    ngx_uint_t *queue);
static char *prov_http_set_time(ngx_conf_t *cf, ngx_str_t *text,
    ngx_msec_t *time);
static char *prov_http_set_number(ngx_conf_t *cf, ngx_str_t *text,
    ngx_uint_t min, ngx_uint_t max, ngx_uint_t *number);


static prov_http_directive_t  prov_http_directives[] = {

    { ngx_string("timeout"), 1, 1, 0, prov_http_set_timeout },
    { ngx_string("connect_timeout"), 1, 1, 0, prov_http_set_connect_timeout },
    { ngx_string("max_response"), 1, 1, 0, prov_http_set_max_response },
    { ngx_string("connections"), 1, 2, 0, prov_http_set_connections },
    { ngx_string("destination_connections"), 1, 2, 0,
      prov_http_set_destination_connections },
    { ngx_string("plain_http"), 1, 1, 0, prov_http_set_plain_http },
    { ngx_string("allow_network"), 1, 64, 1, prov_http_set_allow_network },
    { ngx_string("deny_network"), 1, 64, 1, prov_http_set_deny_network },
    { ngx_string("trusted_certificate"), 1, 1, 0,
      prov_http_set_trusted_certificate },
    { ngx_string("breaker"), 1, 2, 0, prov_http_set_breaker },

    { ngx_null_string, 0, 0, 0, NULL }
};


char *
prov_http_block(ngx_conf_t *cf, prov_http_conf_t **conf)
{
    char               *rv;
    ngx_conf_t          save;
    prov_http_block_t   block;

    if (*conf) {
        return "is duplicate";
    }

    block.conf = prov_http_defaults(cf);
    if (block.conf == NULL) {
        return NGX_CONF_ERROR;
    }

    block.seen = 0;

    save = *cf;
    cf->handler = prov_http_directive;
    cf->handler_conf = &block;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (prov_http_complete(cf, block.conf, "provisioning_outbound") != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    *conf = block.conf;

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
     *     conf->plain_http = 0
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

    if (conf->connect_timeout > conf->timeout) {
        conf->connect_timeout = conf->timeout;
    }

    return prov_http_trust(cf, conf);

#else

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s " PROV_HTTP_MISSING, what);

    return NGX_ERROR;

#endif
}


static char *
prov_http_directive(ngx_conf_t *cf, ngx_command_t *dummy, void *data)
{
    prov_http_block_t *block = data;

    ngx_str_t              *value;
    ngx_uint_t              n;
    prov_http_directive_t  *d;

    value = cf->args->elts;

    for (d = prov_http_directives; d->name.len; d++) {

        if (d->name.len != value[0].len
            || ngx_strncmp(d->name.data, value[0].data, value[0].len) != 0)
        {
            continue;
        }

        n = d - prov_http_directives;

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

        return d->set(cf, block->conf);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown directive \"%V\" in provisioning_outbound, "
                       "expected timeout, connect_timeout, max_response, "
                       "connections, destination_connections, plain_http, "
                       "allow_network, deny_network, trusted_certificate or "
                       "breaker", &value[0]);

    return NGX_CONF_ERROR;
}


static char *
prov_http_set_timeout(ngx_conf_t *cf, prov_http_conf_t *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    return prov_http_set_time(cf, &value[1], &conf->timeout);
}


static char *
prov_http_set_connect_timeout(ngx_conf_t *cf, prov_http_conf_t *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    return prov_http_set_time(cf, &value[1], &conf->connect_timeout);
}


static char *
prov_http_set_max_response(ngx_conf_t *cf, prov_http_conf_t *conf)
{
    ssize_t     size;
    ngx_str_t  *value;

    value = cf->args->elts;
    size = ngx_parse_size(&value[1]);

    if (size < 1024 || size > 64 * 1024 * 1024) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" in \"max_response\", "
                           "expected 1k to 64m", &value[1]);
        return NGX_CONF_ERROR;
    }

    conf->max_response = size;

    return NGX_CONF_OK;
}


/* connections number [queue=number]; */

static char *
prov_http_set_connections(ngx_conf_t *cf, prov_http_conf_t *conf)
{
    return prov_http_set_pair(cf, &conf->connections, &conf->queue);
}


/* destination_connections number [queue=number]; */

static char *
prov_http_set_destination_connections(ngx_conf_t *cf, prov_http_conf_t *conf)
{
    return prov_http_set_pair(cf, &conf->destination_connections,
                              &conf->destination_queue);
}


static char *
prov_http_set_plain_http(ngx_conf_t *cf, prov_http_conf_t *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "on") == 0) {
        conf->plain_http = 1;

    } else if (ngx_strcmp(value[1].data, "off") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"plain_http\", "
                           "expected \"on\" or \"off\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
prov_http_set_allow_network(ngx_conf_t *cf, prov_http_conf_t *conf)
{
    return prov_http_set_networks(cf, &conf->allow);
}


static char *
prov_http_set_deny_network(ngx_conf_t *cf, prov_http_conf_t *conf)
{
    return prov_http_set_networks(cf, &conf->deny);
}


static char *
prov_http_set_networks(ngx_conf_t *cf, ngx_array_t *networks)
{
    ngx_str_t            *value;
    ngx_uint_t            i;
    const char           *why;
    prov_http_network_t  *network;

    value = cf->args->elts;

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


static char *
prov_http_set_trusted_certificate(ngx_conf_t *cf, prov_http_conf_t *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_conf_full_name(cf->cycle, &value[1], 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    conf->trusted_certificate = value[1];

    return NGX_CONF_OK;
}


/* breaker off | failures=number [open=time]; in any order */

static char *
prov_http_set_breaker(ngx_conf_t *cf, prov_http_conf_t *conf)
{
    ngx_str_t   *value, text;
    ngx_uint_t   i;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        conf->failures = 0;
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        text = value[i];

        if (ngx_strncmp(text.data, "failures=", 9) == 0) {
            text.data += 9;
            text.len -= 9;

            if (prov_http_set_number(cf, &text, 1, 1000, &conf->failures)
                != NGX_CONF_OK)
            {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strncmp(text.data, "open=", 5) == 0) {
            text.data += 5;
            text.len -= 5;

            if (prov_http_set_time(cf, &text, &conf->open) != NGX_CONF_OK) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"breaker\", expected "
                           "\"failures=number\" and \"open=time\", or "
                           "\"off\"", &value[i]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
prov_http_set_pair(ngx_conf_t *cf, ngx_uint_t *number, ngx_uint_t *queue)
{
    ngx_str_t  *value, text;

    value = cf->args->elts;

    if (prov_http_set_number(cf, &value[1], 1, 10000, number)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[2].data, "queue=", 6) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" in \"%V\", expected "
                           "\"queue=number\"", &value[2], &value[0]);
        return NGX_CONF_ERROR;
    }

    text.data = value[2].data + 6;
    text.len = value[2].len - 6;

    return prov_http_set_number(cf, &text, 0, 100000, queue);
}


static char *
prov_http_set_time(ngx_conf_t *cf, ngx_str_t *text, ngx_msec_t *time)
{
    ngx_int_t   n;
    ngx_str_t  *name;

    name = cf->args->elts;
    n = ngx_parse_time(text, 0);

    if (n == NGX_ERROR || n < 1 || n > 3600000) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time \"%V\" in \"%V\", expected 1ms to "
                           "1h, as in \"500ms\" or \"15s\"", text, name);
        return NGX_CONF_ERROR;
    }

    *time = (ngx_msec_t) n;

    return NGX_CONF_OK;
}


static char *
prov_http_set_number(ngx_conf_t *cf, ngx_str_t *text, ngx_uint_t min,
    ngx_uint_t max, ngx_uint_t *number)
{
    ngx_int_t   n;
    ngx_str_t  *name;

    name = cf->args->elts;
    n = ngx_atoi(text->data, text->len);

    if (n == NGX_ERROR || (ngx_uint_t) n < min || (ngx_uint_t) n > max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number \"%V\" in \"%V\", expected %ui "
                           "to %ui", text, name, min, max);
        return NGX_CONF_ERROR;
    }

    *number = (ngx_uint_t) n;

    return NGX_CONF_OK;
}
