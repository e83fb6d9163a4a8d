/*
 * provisioning_limit: reads the directive, and once all zones are known finds
 * the one it names.  A zone keeps the buckets of one rate and one key only,
 * so that a bucket means the same wherever it is used.
 */

#include "request/prov_request.h"


static ngx_int_t prov_limit_conf_parameter(ngx_conf_t *cf,
    prov_request_limit_t *limit, ngx_str_t *value);
static ngx_int_t prov_limit_conf_key(ngx_conf_t *cf,
    prov_request_limit_t *limit, ngx_str_t *value);
static ngx_int_t prov_limit_conf_bind(ngx_conf_t *cf,
    prov_request_limit_t *limit);
static ngx_int_t prov_limit_conf_policy(ngx_conf_t *cf,
    prov_request_conf_t *conf);


/* provisioning_limit zone rate=… [burst=…] [key=…] [dry_run]; */

char *
prov_request_set_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    prov_request_conf_t *plcf = conf;

    ngx_str_t             *value;
    ngx_uint_t             i;
    prov_request_limit_t  *limit, *other;

    value = cf->args->elts;

    if (plcf->limits == NULL) {
        plcf->limits = ngx_array_create(cf->pool, 2,
                                        sizeof(prov_request_limit_t));
        if (plcf->limits == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (plcf->limits->nelts == PROV_REQUEST_LIMITS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "more than %d \"provisioning_limit\" here",
                           PROV_REQUEST_LIMITS);
        return NGX_CONF_ERROR;
    }

    other = plcf->limits->elts;

    for (i = 0; i < plcf->limits->nelts; i++) {
        if (other[i].name.len == value[1].len
            && ngx_memcmp(other[i].name.data, value[1].data, value[1].len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate provisioning_limit \"%V\" here, "
                               "each needs a zone of its own", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    limit = ngx_array_push(plcf->limits);
    if (limit == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(limit, sizeof(prov_request_limit_t));

    limit->name = value[1];

    limit->told.data = ngx_pnalloc(cf->pool, sizeof("\"\";r=")
                                             + limit->name.len);
    if (limit->told.data == NULL) {
        return NGX_CONF_ERROR;
    }

    limit->told.len = ngx_sprintf(limit->told.data, "\"%V\";r=", &limit->name)
                      - limit->told.data;

    limit->file = cf->conf_file->file.name.data;
    limit->line = cf->conf_file->line;
    limit->location = (cf->cmd_type == NGX_HTTP_LOC_CONF);

    for (i = 2; i < cf->args->nelts; i++) {
        if (prov_limit_conf_parameter(cf, limit, &value[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (limit->key.len == 0) {
        ngx_str_set(&limit->key, "caller");
    }

    return prov_limit_rate_finish(cf, &limit->rate) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
prov_limit_conf_parameter(ngx_conf_t *cf, prov_request_limit_t *limit,
    ngx_str_t *value)
{
    ngx_int_t  rc;

    rc = prov_limit_rate_parameter(cf, &limit->rate, value);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (ngx_strncmp(value->data, "key=", 4) == 0) {
        return prov_limit_conf_key(cf, limit, value);
    }

    if (ngx_strcmp(value->data, "dry_run") == 0) {
        limit->dry_run = 1;
        return NGX_OK;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\", expected \"rate=\", "
                       "\"burst=\", \"key=\" or \"dry_run\"", value);
    return NGX_ERROR;
}


static ngx_int_t
prov_limit_conf_key(ngx_conf_t *cf, prov_request_limit_t *limit,
    ngx_str_t *value)
{
    ngx_uint_t                        i;
    ngx_http_compile_complex_value_t  ccv;

    static ngx_str_t  names[] = {
        ngx_string("caller"), ngx_string("partner"), ngx_string("address")
    };

    if (limit->key.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate parameter \"%V\"", value);
        return NGX_ERROR;
    }

    limit->key.data = value->data + 4;
    limit->key.len = value->len - 4;

    for (i = 0; i < PROV_REQUEST_VALUE; i++) {
        if (limit->key.len == names[i].len
            && ngx_strcmp(limit->key.data, names[i].data) == 0)
        {
            limit->whose = i;
            return NGX_OK;
        }
    }

    if (ngx_http_script_variables_count(&limit->key) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected "
                           "\"key=caller\", \"key=partner\", \"key=address\" "
                           "or a value with variables", value);
        return NGX_ERROR;
    }

    limit->whose = PROV_REQUEST_VALUE;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &limit->key;
    ccv.complex_value = &limit->value;

    return ngx_http_compile_complex_value(&ccv);
}


ngx_int_t
prov_request_limit_merge(ngx_conf_t *cf, prov_request_conf_t *prev,
    prov_request_conf_t *conf)
{
    ngx_uint_t             i;
    prov_request_limit_t  *limit;

    if (conf->limits == NULL) {
        conf->limits = prev->limits;
        conf->policy = prev->policy;
    }

    if (conf->limits == NULL || conf->policy.data) {
        return NGX_OK;
    }

    limit = conf->limits->elts;

    if (conf->limits != prev->limits && limit[0].location
        && conf->api == NULL && conf->auth == NULL)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"provisioning_limit\" in a location needs "
                      "\"provisioning_auth\" or \"provisioning_api\" there, "
                      "use \"limit_req\" elsewhere, in %s:%ui",
                      limit[0].file, limit[0].line);
        return NGX_ERROR;
    }

    for (i = 0; i < conf->limits->nelts; i++) {
        if (prov_limit_conf_bind(cf, &limit[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return prov_limit_conf_policy(cf, conf);
}


static ngx_int_t
prov_limit_conf_bind(ngx_conf_t *cf, prov_request_limit_t *limit)
{
    prov_limit_zone_t         *zone;
    prov_request_main_conf_t  *pmcf;

    if (limit->zone) {
        return NGX_OK;
    }

    pmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_provisioning_module);

    zone = prov_limit_zone_find(&pmcf->zones, &limit->name);

    if (zone == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown zone \"%V\" in \"provisioning_limit\", there "
                      "is no \"provisioning_limit_zone %V size\" in the http "
                      "block, in %s:%ui", &limit->name, &limit->name,
                      limit->file, limit->line);
        return NGX_ERROR;
    }

    limit->zone = zone;

    if (zone->rate.fill == 0) {
        zone->rate = limit->rate;
        zone->key = limit->key;
        zone->file = limit->file;
        zone->line = limit->line;
        return NGX_OK;
    }

    if (zone->rate.fill == limit->rate.fill
        && zone->rate.capacity == limit->rate.capacity
        && zone->key.len == limit->key.len
        && ngx_memcmp(zone->key.data, limit->key.data, zone->key.len) == 0)
    {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "provisioning_limit \"%V\" has another rate, burst or key "
                  "in %s:%ui; a zone holds one kind of bucket, give this one "
                  "a \"provisioning_limit_zone\" of its own, in %s:%ui",
                  &limit->name, zone->file, zone->line, limit->file,
                  limit->line);

    return NGX_ERROR;
}


/* What RateLimit-Policy says; limits that only try are not promised. */

static ngx_int_t
prov_limit_conf_policy(ngx_conf_t *cf, prov_request_conf_t *conf)
{
    u_char                *p;
    size_t                 len;
    ngx_uint_t             i;
    prov_request_limit_t  *limit;

    limit = conf->limits->elts;
    len = 0;

    for (i = 0; i < conf->limits->nelts; i++) {
        len += sizeof(", \"\";q=;w=") + 2 * NGX_INT_T_LEN + limit[i].name.len;
    }

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    conf->policy.data = p;

    for (i = 0; i < conf->limits->nelts; i++) {
        if (limit[i].dry_run) {
            continue;
        }

        p = ngx_sprintf(p, "%s\"%V\";q=%ui;w=%ui",
                        p > conf->policy.data ? ", " : "", &limit[i].name,
                        limit[i].rate.burst,
                        prov_limit_rate_window(&limit[i].rate));
    }

    conf->policy.len = p - conf->policy.data;

    return NGX_OK;
}
