/*
 * The directives of provisioning_issuer that say from where its keys are
 * fetched.  Nothing is fetched here: nginx starts, and its configuration is
 * tested, whether or not the issuer is there.
 */

#include "auth/prov_auth_remote.h"
#include "base/prov_conf.h"

#if (NGX_THREADS)
#include <ngx_thread_pool.h>
#endif


typedef struct {
    const char         *name;      /* with the '=' */
    size_t              offset;    /* of an ngx_msec_t in the source */
    ngx_msec_t          def;
    prov_conf_range_t   range;
    const char         *expected;
} prov_auth_parameter_t;


static prov_auth_source_t *prov_auth_conf_source(ngx_conf_t *cf,
    prov_auth_block_t *block);
static char *prov_auth_conf_parameter(ngx_conf_t *cf,
    prov_auth_source_t *source, ngx_str_t *value, ngx_uint_t *seen);
static char *prov_auth_conf_well_known(ngx_conf_t *cf,
    prov_auth_issuer_t *issuer);


static prov_auth_parameter_t  prov_auth_parameters[] = {

    { "refresh=", offsetof(prov_auth_source_t, refresh),
      600000, { 1000, 86400000 }, "\"refresh=10m\", from 1s to 1d" },
    { "timeout=", offsetof(prov_auth_source_t, timeout),
      5000, { 100, 60000 }, "\"timeout=5s\", from 100ms to 1m" },
    { "cooldown=", offsetof(prov_auth_source_t, cooldown),
      10000, { 100, 3600000 }, "\"cooldown=10s\", from 100ms to 1h" },
    { "keep=", offsetof(prov_auth_source_t, keep),
      86400000, { 1000, 604800000 }, "\"keep=1d\", from 1s to 7d" },

    { NULL, 0, 0, { 0, 0 }, NULL }
};


/* jwks_uri url [refresh=time] [timeout=time] [cooldown=time] [keep=time]; */

char *
prov_auth_conf_jwks_uri(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    prov_auth_block_t *block = data;

    ngx_str_t           *value;
    prov_auth_source_t  *source;

    value = cf->args->elts;

    source = prov_auth_conf_source(cf, block);
    if (source == NULL) {
        return NGX_CONF_ERROR;
    }

    source->url = value[1];

    return NGX_CONF_OK;
}


/* discovery on | url [the same]; "iss" may still be to come */

char *
prov_auth_conf_discovery(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    prov_auth_block_t *block = data;

    ngx_str_t           *value;
    prov_auth_source_t  *source;

    value = cf->args->elts;

    source = prov_auth_conf_source(cf, block);
    if (source == NULL) {
        return NGX_CONF_ERROR;
    }

    source->discovery = 1;

    if (ngx_strcmp(value[1].data, "on") != 0) {
        source->url = value[1];
    }

    return NGX_CONF_OK;
}


static prov_auth_source_t *
prov_auth_conf_source(ngx_conf_t *cf, prov_auth_block_t *block)
{
    ngx_str_t              *value;
    ngx_uint_t              i, seen;
    prov_auth_source_t     *source;
    prov_auth_parameter_t  *p;

    if (block->issuer->source) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"jwks_uri\" and \"discovery\" both say where the "
                           "keys are: remove one");
        return NULL;
    }

    source = ngx_pcalloc(cf->pool, sizeof(prov_auth_source_t));
    if (source == NULL) {
        return NULL;
    }

    for (p = prov_auth_parameters; p->name; p++) {
        *(ngx_msec_t *) ((u_char *) source + p->offset) = p->def;
    }

    value = cf->args->elts;
    seen = 0;

    for (i = 2; i < cf->args->nelts; i++) {
        if (prov_auth_conf_parameter(cf, source, &value[i], &seen)
            != NGX_CONF_OK)
        {
            return NULL;
        }
    }

    if (source->keep < source->refresh) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "keys would be given up before they are fetched "
                           "again: \"keep\" must not be less than "
                           "\"refresh\"");
        return NULL;
    }

    block->issuer->source = source;

    return source;
}


static char *
prov_auth_conf_parameter(ngx_conf_t *cf, prov_auth_source_t *source,
    ngx_str_t *value, ngx_uint_t *seen)
{
    ngx_str_t               text;
    ngx_uint_t              bit;
    prov_auth_parameter_t  *p;

    for (p = prov_auth_parameters; p->name; p++) {

        if (!prov_conf_named(value, p->name, &text)) {
            continue;
        }

        bit = (ngx_uint_t) 1 << (p - prov_auth_parameters);

        if ((*seen & bit)
            || prov_conf_time_read(&text, &p->range,
                                   (ngx_msec_t *) ((u_char *) source
                                                   + p->offset))
               != NGX_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", expected one as in "
                               "%s", value, p->expected);
            return NGX_CONF_ERROR;
        }

        *seen |= bit;

        return NGX_CONF_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\", expected refresh=<time>, "
                       "timeout=<time>, cooldown=<time> or keep=<time>",
                       value);

    return NGX_CONF_ERROR;
}


/*
 * What the whole block says.  Keys of files beside fetched ones are refused:
 * an issuer that has taken one of them back could not end it.
 */

char *
prov_auth_conf_remote(ngx_conf_t *cf, prov_auth_issuer_t *issuer)
{
    if (issuer->keys.nelts) {
        return prov_auth_conf_refuse(cf, issuer,
                                     "has keys of its own beside those that "
                                     "are fetched: remove \"key\", \"jwks\" "
                                     "and \"secret\", or \"jwks_uri\" and "
                                     "\"discovery\"");
    }

    if (issuer->algorithms & PROV_AUTH_SYMMETRIC) {
        return prov_auth_conf_refuse(cf, issuer,
                                     "fetches its keys, which can do no HS256, "
                                     "HS384 or HS512: remove these from its "
                                     "\"algorithms\"");
    }

    if (issuer->algorithms == 0) {
        issuer->algorithms = (PROV_AUTH_ALG(PROV_AUTH_ALGS) - 1)
                             & ~PROV_AUTH_SYMMETRIC;
    }

    if (issuer->source->url.len == 0
        && prov_auth_conf_well_known(cf, issuer) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (issuer->source->url.len > PROV_AUTH_MAX_URL) {
        return prov_auth_conf_refuse(cf, issuer,
                                     "fetches its keys from a URL that is too "
                                     "long");
    }

#if (NGX_THREADS)

    issuer->source->threads = ngx_thread_pool_add(cf, NULL);
    if (issuer->source->threads == NULL) {
        return NGX_CONF_ERROR;
    }

#endif

    issuer->source->zone = prov_auth_shared_add(cf, issuer);

    return issuer->source->zone ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* OpenID Connect Discovery 1.0, section 4.1: without the slash at the end */

static char *
prov_auth_conf_well_known(ngx_conf_t *cf, prov_auth_issuer_t *issuer)
{
    size_t      len;
    u_char     *p;
    ngx_str_t  *url;

    static u_char  path[] = "/.well-known/openid-configuration";

    len = issuer->iss.len;

    if (issuer->iss.data[len - 1] == '/') {
        len--;
    }

    p = ngx_pnalloc(cf->pool, len + sizeof(path));
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    url = &issuer->source->url;
    url->data = p;
    url->len = len + sizeof(path) - 1;

    p = ngx_cpymem(p, issuer->iss.data, len);
    ngx_memcpy(p, path, sizeof(path));

    return NGX_CONF_OK;
}


/*
 * Numbers the sources, and looks at their URLs, which is not possible before
 * provisioning_outbound has said what is allowed.
 */

ngx_int_t
prov_auth_sources_check(ngx_conf_t *cf, ngx_array_t *issuers,
    struct prov_http_conf_s **http)
{
    ngx_str_t             url;
    ngx_uint_t            i, n;
    const char           *why;
    prov_auth_source_t   *source;
    prov_auth_issuer_t  **issuer;

    n = 0;
    issuer = issuers->elts;

    for (i = 0; i < issuers->nelts; i++) {

        source = issuer[i]->source;

        if (source == NULL) {
            continue;
        }

        source->index = n++;

        if (n == 1
            && prov_http_require(cf, http, source->discovery ? "discovery"
                                                             : "jwks_uri")
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (prov_http_url_check(*http, &source->url, &why) != NGX_OK) {
            url = prov_http_url_shown(&source->url);

            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "provisioning_issuer \"%V\" cannot fetch its keys "
                          "with \"%V\": %s in %s:%ui",
                          &issuer[i]->name, &url, why,
                          issuer[i]->conf_file, issuer[i]->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
