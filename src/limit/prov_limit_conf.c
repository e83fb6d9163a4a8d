/*
 * provisioning_limit_zone, and the parameters of a rate: reads them while
 * nginx reads its configuration, and says of what is wrong what to write
 * instead.  src/request reads the rest of provisioning_limit.
 */

#include "limit/prov_limit.h"
#include "base/prov_conf.h"


/* a zone belongs to us only, whatever else the module shares memory for */
static ngx_uint_t  prov_limit_tag;


static ngx_uint_t prov_limit_name_sane(ngx_str_t *name);
static ngx_int_t prov_limit_number(ngx_conf_t *cf, ngx_str_t *value,
    u_char *start, u_char *last, ngx_uint_t *number);
static ngx_int_t prov_limit_rate_number(ngx_conf_t *cf,
    prov_limit_rate_t *rate, ngx_str_t *value);


/* provisioning_limit_zone name size; */

char *
prov_limit_zone_conf(ngx_conf_t *cf, ngx_array_t *zones)
{
    ssize_t             size;
    ngx_str_t          *value;
    prov_limit_zone_t  *zone, **slot;

    value = cf->args->elts;

    if (!prov_limit_name_sane(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid name \"%V\" in "
                           "\"provisioning_limit_zone\", expected 1 to %d "
                           "letters, digits and \"-_.\", since callers read "
                           "it in headers", &value[1], PROV_LIMIT_NAME);
        return NGX_CONF_ERROR;
    }

    if (prov_limit_zone_find(zones, &value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate provisioning_limit_zone \"%V\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    size = ngx_parse_size(&value[2]);

    if (size == NGX_ERROR || size < (ssize_t) (8 * ngx_pagesize)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" in "
                           "\"provisioning_limit_zone\", expected at least "
                           "%uzk, as in \"1m\"", &value[2],
                           8 * ngx_pagesize / 1024);
        return NGX_CONF_ERROR;
    }

    zone = ngx_pcalloc(cf->pool, sizeof(prov_limit_zone_t));
    slot = ngx_array_push(zones);

    if (zone == NULL || slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = zone;
    zone->name = value[1];

    zone->shm = ngx_shared_memory_add(cf, &value[1], size, &prov_limit_tag);
    if (zone->shm == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->shm->init = prov_limit_zone_init;
    zone->shm->data = zone;

    return NGX_CONF_OK;
}


prov_limit_zone_t *
prov_limit_zone_find(ngx_array_t *zones, ngx_str_t *name)
{
    return prov_conf_find(zones, name);
}


/* what needs no escaping in a header (RFC 8941, section 3.3.3) or a log */

static ngx_uint_t
prov_limit_name_sane(ngx_str_t *name)
{
    u_char  c;
    size_t  i;

    if (name->len == 0 || name->len > PROV_LIMIT_NAME) {
        return 0;
    }

    for (i = 0; i < name->len; i++) {
        c = name->data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
              || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.'))
        {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
prov_limit_rate_parameter(ngx_conf_t *cf, prov_limit_rate_t *rate,
    ngx_str_t *value)
{
    if (ngx_strncmp(value->data, "rate=", 5) == 0) {
        return prov_limit_rate_number(cf, rate, value);
    }

    if (ngx_strncmp(value->data, "burst=", 6) == 0) {
        return prov_limit_number(cf, value, value->data + 6,
                                 value->data + value->len, &rate->burst);
    }

    return NGX_DECLINED;
}


/* rate=number r/s | r/m | r/h, without blanks */

static ngx_int_t
prov_limit_rate_number(ngx_conf_t *cf, prov_limit_rate_t *rate,
    ngx_str_t *value)
{
    u_char  *last;

    last = value->data + value->len;

    if (value->len > 8 && ngx_strncmp(last - 3, "r/", 2) == 0) {

        switch (last[-1]) {
        case 's':
            rate->period = 1000;
            break;

        case 'm':
            rate->period = 60 * 1000;
            break;

        case 'h':
            rate->period = 3600 * 1000;
            break;
        }
    }

    if (rate->period == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected "
                           "\"rate=number\" with \"r/s\", \"r/m\" or "
                           "\"r/h\", as in \"rate=100r/s\"", value);
        return NGX_ERROR;
    }

    return prov_limit_number(cf, value, value->data + 5, last - 3,
                             &rate->number);
}


static ngx_int_t
prov_limit_number(ngx_conf_t *cf, ngx_str_t *value, u_char *start,
    u_char *last, ngx_uint_t *number)
{
    ngx_int_t  n;

    if (*number) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate parameter \"%V\"", value);
        return NGX_ERROR;
    }

    n = ngx_atoi(start, last - start);

    if (n < 1 || n > PROV_LIMIT_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number in \"%V\", expected 1 to %d",
                           value, PROV_LIMIT_MAX);
        return NGX_ERROR;
    }

    *number = n;

    return NGX_OK;
}


ngx_int_t
prov_limit_rate_finish(ngx_conf_t *cf, prov_limit_rate_t *rate)
{
    if (rate->number == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"rate=\" in \"provisioning_limit\", expected "
                           "one as in \"rate=100r/s\"");
        return NGX_ERROR;
    }

    /* what comes in within one period may come in at once */

    prov_limit_rate_set(rate, rate->number, rate->period,
                        rate->burst ? rate->burst : rate->number);

    return NGX_OK;
}
