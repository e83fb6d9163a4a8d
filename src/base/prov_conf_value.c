/*
 * Arguments of directives: numbers, times and sizes within a range, and what
 * is said when they are not.  Called while nginx reads its configuration.
 */

#include "base/prov_conf.h"


/* a unit that nginx.conf knows, and what it is of */

typedef struct {
    ngx_uint_t     count;
    const char    *name;
} prov_conf_unit_t;


static char *prov_conf_full_name(ngx_conf_t *cf, void *post, void *data);
static u_char *prov_conf_unit(u_char *p, prov_conf_unit_t *unit,
    ngx_uint_t count);
static char *prov_conf_outside(ngx_conf_t *cf, const char *what,
    ngx_str_t *text, prov_conf_range_t *range, prov_conf_unit_t *units);


ngx_conf_post_t  prov_conf_file = { prov_conf_full_name };


static prov_conf_unit_t  prov_conf_numbers[] = {
    { 1, "" }
};


static prov_conf_unit_t  prov_conf_times[] = {
    { 24 * 3600 * 1000, "d" },
    { 3600 * 1000, "h" },
    { 60 * 1000, "m" },
    { 1000, "s" },
    { 1, "ms" }
};


static prov_conf_unit_t  prov_conf_sizes[] = {
    { 1024 * 1024, "m" },
    { 1024, "k" },
    { 1, "" }
};


char *
prov_conf_set_number(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    return prov_conf_number(cf, &value[1], cmd->post,
                            (ngx_uint_t *) ((char *) conf + cmd->offset));
}


char *
prov_conf_set_time(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    return prov_conf_time(cf, &value[1], cmd->post,
                          (ngx_msec_t *) ((char *) conf + cmd->offset));
}


char *
prov_conf_set_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    prov_conf_range_t *range = cmd->post;

    ssize_t     size;
    ngx_str_t  *value;

    value = cf->args->elts;
    size = ngx_parse_size(&value[1]);

    if (size == NGX_ERROR || (size_t) size < range->min
        || (size_t) size > range->max)
    {
        return prov_conf_outside(cf, "size", &value[1], range,
                                 prov_conf_sizes);
    }

    *(size_t *) ((char *) conf + cmd->offset) = size;

    return NGX_CONF_OK;
}


static char *
prov_conf_full_name(ngx_conf_t *cf, void *post, void *data)
{
    return ngx_conf_full_name(cf->cycle, data, 1) == NGX_OK ? NGX_CONF_OK
                                                            : NGX_CONF_ERROR;
}


char *
prov_conf_number(ngx_conf_t *cf, ngx_str_t *text, prov_conf_range_t *range,
    ngx_uint_t *number)
{
    if (prov_conf_number_read(text, range, number) != NGX_OK) {
        return prov_conf_outside(cf, "number", text, range,
                                 prov_conf_numbers);
    }

    return NGX_CONF_OK;
}


char *
prov_conf_time(ngx_conf_t *cf, ngx_str_t *text, prov_conf_range_t *range,
    ngx_msec_t *time)
{
    if (prov_conf_time_read(text, range, time) != NGX_OK) {
        return prov_conf_outside(cf, "time", text, range, prov_conf_times);
    }

    return NGX_CONF_OK;
}


ngx_int_t
prov_conf_number_read(ngx_str_t *text, prov_conf_range_t *range,
    ngx_uint_t *number)
{
    ngx_int_t  n;

    n = ngx_atoi(text->data, text->len);

    if (n == NGX_ERROR || (ngx_uint_t) n < range->min
        || (ngx_uint_t) n > range->max)
    {
        return NGX_DECLINED;
    }

    *number = (ngx_uint_t) n;

    return NGX_OK;
}


ngx_int_t
prov_conf_time_read(ngx_str_t *text, prov_conf_range_t *range,
    ngx_msec_t *time)
{
    ngx_int_t  n;

    n = ngx_parse_time(text, 0);

    if (n == NGX_ERROR || (ngx_uint_t) n < range->min
        || (ngx_uint_t) n > range->max)
    {
        return NGX_DECLINED;
    }

    *time = (ngx_msec_t) n;

    return NGX_OK;
}


ngx_uint_t
prov_conf_named(ngx_str_t *value, const char *name, ngx_str_t *text)
{
    size_t  len;

    len = ngx_strlen(name);

    if (value->len < len || ngx_memcmp(value->data, name, len) != 0) {
        return 0;
    }

    text->data = value->data + len;
    text->len = value->len - len;

    return 1;
}


/* The largest unit of which it is a whole number. */

static u_char *
prov_conf_unit(u_char *p, prov_conf_unit_t *unit, ngx_uint_t count)
{
    while (count % unit->count || (count == 0 && unit->count > 1)) {
        unit++;
    }

    return ngx_sprintf(p, "%ui%s", count / unit->count, unit->name);
}


static char *
prov_conf_outside(ngx_conf_t *cf, const char *what, ngx_str_t *text,
    prov_conf_range_t *range, prov_conf_unit_t *units)
{
    u_char     *p, expected[2 * NGX_INT_T_LEN + sizeof("ms to ms")];
    ngx_str_t  *value;

    value = cf->args->elts;

    p = prov_conf_unit(expected, units, range->min);
    p = ngx_cpymem(p, " to ", 4);
    p = prov_conf_unit(p, units, range->max);

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid %s \"%V\" in \"%V\", expected %*s", what, text,
                       &value[0], (size_t) (p - expected), expected);

    return NGX_CONF_ERROR;
}
