/*
 * What a location is told to do, once all of the configuration is known: what
 * it inherits, what its names stand for, and what cannot be meant.  Called by
 * the module for every location, server and the http block.
 */

#include "request/prov_request.h"


/* bytes that a jsonb has at most, which is well below what libpq can count */
#define PROV_MERGE_BODY  (256 * 1024 * 1024)


static ngx_int_t prov_merge_auth(ngx_conf_t *cf, prov_request_conf_t *conf);
static ngx_int_t prov_merge_keys(ngx_conf_t *cf, prov_request_conf_t *conf,
    prov_request_main_conf_t *pmcf);
static ngx_int_t prov_merge_api(ngx_conf_t *cf, prov_request_conf_t *conf,
    ngx_http_core_loc_conf_t *clcf);
static ngx_int_t prov_merge_service(ngx_conf_t *cf,
    prov_request_conf_t *conf);
static ngx_int_t prov_merge_require(ngx_conf_t *cf, prov_request_conf_t *prev,
    prov_request_conf_t *conf);
static ngx_uint_t prov_merge_granted(prov_openapi_api_t *api,
    ngx_str_t *permission);
static ngx_uint_t prov_merge_reachable(ngx_http_core_loc_conf_t *clcf,
    ngx_str_t *prefix);


char *
prov_request_merge(ngx_conf_t *cf, prov_request_conf_t *prev,
    prov_request_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->line == 0) {
        conf->file = prev->file;
        conf->line = prev->line;
    }

    if (conf->issuers == NULL) {
        conf->issuers = prev->issuers;
        conf->keys_of = prev->keys_of;
    }

    if (conf->require == NULL) {
        conf->require = prev->require;
    }

    if (conf->roles == NULL) {
        conf->roles = prev->roles;
    }

    if (conf->api == NULL) {
        conf->api = prev->api;
        conf->prefix = prev->prefix;
        conf->told = prev->told;
    }

    if (conf->database.data == NULL) {
        conf->database = prev->database;
    }

    ngx_conf_merge_value(conf->require_if_match, prev->require_if_match, 0);

    /* one set for one list of issuers, so that locations share what the
       worker remembers of tokens */

    if (conf->issuers == prev->issuers) {
        conf->auth = prev->auth;
        conf->keys = prev->keys;
    }

    if (prov_merge_auth(cf, conf) != NGX_OK
        || prov_merge_api(cf, conf, clcf) != NGX_OK
        || prov_merge_require(cf, prev, conf) != NGX_OK
        || prov_request_limit_merge(cf, prev, conf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if ((conf->auth || conf->api) && clcf->satisfy == NGX_HTTP_SATISFY_ANY) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"satisfy any\" would let other checks replace that "
                      "of the token, use \"satisfy all\" in the location "
                      "with the directive in %s:%ui", conf->file,
                      conf->line);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
prov_merge_auth(ngx_conf_t *cf, prov_request_conf_t *conf)
{
    ngx_str_t                 *name, kid;
    ngx_uint_t                 i;
    prov_auth_set_t           *set;
    prov_auth_issuer_t        *issuer;
    prov_request_main_conf_t  *pmcf;

    if (conf->auth || conf->issuers == NULL
        || (conf->issuers->nelts == 0 && conf->keys_of.len == 0))
    {
        return NGX_OK;
    }

    pmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_provisioning_module);

    set = prov_auth_set_create(cf->pool);
    if (set == NULL) {
        return NGX_ERROR;
    }

    name = conf->issuers->elts;

    for (i = 0; i < conf->issuers->nelts; i++) {

        issuer = prov_auth_issuer_find(&pmcf->issuers, &name[i]);

        if (issuer == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "unknown issuer \"%V\" in \"provisioning_auth\", "
                          "there is no \"provisioning_issuer %V { … }\" in "
                          "the http block, in %s:%ui", &name[i], &name[i],
                          conf->file, conf->line);
            return NGX_ERROR;
        }

        switch (prov_auth_set_add(set, issuer)) {

        case NGX_OK:
            break;

        case NGX_DECLINED:
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"provisioning_auth\" names two issuers with the "
                          "same iss \"%V\", put their keys into one "
                          "\"provisioning_issuer\", in %s:%ui",
                          &issuer->iss, conf->file, conf->line);
            return NGX_ERROR;

        default:
            return NGX_ERROR;
        }
    }

    switch (prov_auth_set_publish(set, cf->pool, &kid)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "two signers of the issuers that \"provisioning_auth\" "
                      "names have different keys with the kid \"%V\": give "
                      "one of them another, in %s:%ui", &kid, conf->file,
                      conf->line);
        return NGX_ERROR;

    default:
        return NGX_ERROR;
    }

    conf->auth = set;

    return conf->keys_of.len ? prov_merge_keys(cf, conf, pmcf) : NGX_OK;
}


static ngx_int_t
prov_merge_keys(ngx_conf_t *cf, prov_request_conf_t *conf,
    prov_request_main_conf_t *pmcf)
{
    prov_db_conf_t  *db;

    db = prov_db_find(&pmcf->databases, &conf->keys_of);

    if (db == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown database \"%V\" in \"provisioning_auth "
                      "keys=%V\", there is no \"provisioning_database %V "
                      "{ … }\" in the http block, in %s:%ui",
                      &conf->keys_of, &conf->keys_of, &conf->keys_of,
                      conf->file, conf->line);
        return NGX_ERROR;
    }

    conf->keys = prov_request_keys(cf, &pmcf->keys, db);

    return conf->keys ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
prov_merge_api(ngx_conf_t *cf, prov_request_conf_t *conf,
    ngx_http_core_loc_conf_t *clcf)
{
    if (conf->api == NULL && conf->database.data == NULL) {
        return NGX_OK;
    }

    if (conf->api == NULL || conf->database.data == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%s\" needs \"%s\" in the same location, in %s:%ui",
                      conf->api ? "provisioning_api" : "provisioning_pass",
                      conf->api ? "provisioning_pass database"
                                : "provisioning_api document",
                      conf->file, conf->line);
        return NGX_ERROR;
    }

    if (!prov_merge_reachable(clcf, &conf->prefix)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" never meets a path of \"%V\", which "
                      "begin with \"%V/\": change the location, or say "
                      "\"prefix=…\" in \"provisioning_api\", in %s:%ui",
                      &clcf->name, &conf->api->file, &conf->prefix,
                      conf->file, conf->line);
        return NGX_ERROR;
    }

    if (clcf->client_max_body_size == 0
        || clcf->client_max_body_size > PROV_MERGE_BODY)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"client_max_body_size\" must be from 1 to 256m where "
                      "\"provisioning_api\" is, since PostgreSQL takes no "
                      "longer document, in %s:%ui", conf->file, conf->line);
        return NGX_ERROR;
    }

    if (prov_merge_service(cf, conf) != NGX_OK
        || prov_request_publish(cf, conf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* "if", "limit_except" and nested locations keep the handler */

    if (clcf->handler == NULL) {
        clcf->handler = prov_request_content;
    }

    /* errors here have one form; a site's error pages are for its people */

    if (clcf->handler == prov_request_content) {
        clcf->error_pages = NULL;
    }

    return NGX_OK;
}


static ngx_int_t
prov_merge_service(ngx_conf_t *cf,
    prov_request_conf_t *conf)
{
    ngx_uint_t                          i;
    prov_request_service_t            **service;
    prov_request_main_conf_t  *pmcf;

    pmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_provisioning_module);

    conf->db = prov_db_find(&pmcf->databases, &conf->database);

    if (conf->db == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown database \"%V\" in \"provisioning_pass\", "
                      "there is no \"provisioning_database %V { … }\" in the "
                      "http block, in %s:%ui", &conf->database,
                      &conf->database, conf->file, conf->line);
        return NGX_ERROR;
    }

    service = pmcf->services.elts;

    for (i = 0; i < pmcf->services.nelts; i++) {
        if (service[i]->api == conf->api && service[i]->db == conf->db) {
            conf->service = service[i];
            return NGX_OK;
        }
    }

    service = ngx_array_push(&pmcf->services);
    if (service == NULL) {
        return NGX_ERROR;
    }

    *service = prov_request_service(cf, conf->api, conf->db,
                                    pmcf->handlers);
    conf->service = *service;

    return *service ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
prov_merge_require(ngx_conf_t *cf,
    prov_request_conf_t *prev, prov_request_conf_t *conf)
{
    ngx_uint_t                   i, j;
    ngx_array_t                 *any;
    prov_openapi_api_t          *api;
    prov_request_requirement_t  *req;

    if (conf->require == NULL) {
        return NGX_OK;
    }

    if (conf->auth == NULL) {
        if (conf->issuers && conf->require == prev->require) {
            /* "off": what is inherited has no meaning here */
            return NGX_OK;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"provisioning_require\" needs \"provisioning_auth "
                      "issuer\" or \"provisioning_auth keys=database\", in "
                      "%s:%ui", conf->file, conf->line);
        return NGX_ERROR;
    }

    api = conf->api ? conf->api : conf->roles;
    any = conf->require->elts;

    for (i = 0; i < conf->require->nelts; i++) {
        req = any[i].elts;

        for (j = 0; j < any[i].nelts; j++) {

            if (!req[j].permission) {
                continue;
            }

            if (api == NULL) {
                ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                              "\"provisioning_require permission=%V\" needs "
                              "\"provisioning_roles document\", which says "
                              "whom it is granted, in %s:%ui", &req[j].name,
                              conf->file, conf->line);
                return NGX_ERROR;
            }

            if (!prov_merge_granted(api, &req[j].name)) {
                ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                              "unknown permission \"%V\" in "
                              "\"provisioning_require\", no operation of "
                              "\"%V\" has it, in %s:%ui", &req[j].name,
                              &api->file, conf->file, conf->line);
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static ngx_uint_t
prov_merge_granted(prov_openapi_api_t *api, ngx_str_t *permission)
{
    ngx_str_t   *known;
    ngx_uint_t   i;

    known = api->permissions.elts;

    for (i = 0; i < api->permissions.nelts; i++) {
        if (known[i].len == permission->len
            && ngx_strncmp(known[i].data, permission->data, known[i].len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* A prefix location and the API's prefix must lie on one path. */

static ngx_uint_t
prov_merge_reachable(ngx_http_core_loc_conf_t *clcf,
    ngx_str_t *prefix)
{
    size_t  len;

#if (NGX_PCRE)
    if (clcf->regex) {
        return 1;
    }
#endif

    if (clcf->noname || clcf->lmt_excpt || clcf->named) {
        return 1;
    }

    len = ngx_min(clcf->name.len, prefix->len);

    return ngx_strncmp(clcf->name.data, prefix->data, len) == 0;
}
