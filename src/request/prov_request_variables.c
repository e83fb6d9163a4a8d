/*
 * $provisioning_…: what the log, a header to a proxied server, or a map wants
 * to know of a request.  All are empty ("-" in a log) until known.
 */

#include "request/prov_request.h"


#define PROV_VARIABLE(field)  offsetof(prov_request_ctx_t, field)


static ngx_int_t prov_variable_string(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t prov_variable_operation(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t prov_variable_identity(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t prov_variable_roles(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t prov_variable_time(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t prov_variable_set(ngx_http_variable_value_t *v,
    ngx_str_t *value);


static ngx_http_variable_t  prov_variables[] = {

    { ngx_string("provisioning_operation"), NULL, prov_variable_operation,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("provisioning_subject"), NULL, prov_variable_identity,
      offsetof(prov_auth_identity_t, subject), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("provisioning_partner"), NULL, prov_variable_identity,
      offsetof(prov_auth_identity_t, partner), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("provisioning_key"), NULL, prov_variable_identity,
      offsetof(prov_auth_identity_t, key), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("provisioning_roles"), NULL, prov_variable_roles,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("provisioning_tenant"), NULL, prov_variable_string,
      PROV_VARIABLE(tenant), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("provisioning_code"), NULL, prov_variable_string,
      PROV_VARIABLE(problem.code), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("provisioning_limited"), NULL, prov_variable_string,
      PROV_VARIABLE(limited), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("provisioning_request_id"), NULL, prov_variable_string,
      PROV_VARIABLE(id), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("provisioning_queue_time"), NULL, prov_variable_time,
      PROV_VARIABLE(queue_time), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("provisioning_db_time"), NULL, prov_variable_time,
      PROV_VARIABLE(db_time), NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
prov_request_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = prov_variables; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
prov_variable_string(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    prov_request_ctx_t  *ctx;

    ctx = prov_request_ctx_find(r->main);

    return prov_variable_set(v, ctx ? (ngx_str_t *) ((u_char *) ctx + data)
                                    : NULL);
}


static ngx_int_t
prov_variable_operation(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    prov_request_ctx_t  *ctx;

    ctx = prov_request_ctx_find(r->main);

    return prov_variable_set(v, (ctx && ctx->operation) ? &ctx->operation->id
                                                        : NULL);
}


static ngx_int_t
prov_variable_identity(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    prov_request_ctx_t  *ctx;

    ctx = prov_request_ctx_find(r->main);

    return prov_variable_set(v, (ctx && ctx->identity)
                                ? (ngx_str_t *) ((u_char *) ctx->identity
                                                 + data)
                                : NULL);
}


/*
 * Separated by commas, as a header would have them; without those that hold a
 * comma, which would look like two.
 */

static ngx_int_t
prov_variable_roles(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char                *p;
    size_t                 len;
    ngx_str_t              text, *role;
    ngx_uint_t             i;
    prov_request_ctx_t    *ctx;
    prov_auth_identity_t  *identity;

    ctx = prov_request_ctx_find(r->main);

    if (ctx == NULL || ctx->identity == NULL) {
        return prov_variable_set(v, NULL);
    }

    identity = ctx->identity;
    len = 0;

    for (i = 0; i < identity->nroles; i++) {
        len += identity->roles[i].len + 1;
    }

    p = ngx_pnalloc(r->pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text.data = p;

    for (i = 0; i < identity->nroles; i++) {
        role = &identity->roles[i];

        if (ngx_strlchr(role->data, role->data + role->len, ',') == NULL) {
            p = ngx_sprintf(p, "%s%V", p > text.data ? "," : "", role);
        }
    }

    text.len = p - text.data;

    return prov_variable_set(v, &text);
}


/* in seconds with milliseconds, as $upstream_response_time */

static ngx_int_t
prov_variable_time(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char              *p;
    ngx_str_t            text;
    ngx_uint_t           rest;
    ngx_msec_t           ms;
    prov_request_ctx_t  *ctx;

    ctx = prov_request_ctx_find(r->main);

    if (ctx == NULL || !ctx->queried) {
        return prov_variable_set(v, NULL);
    }

    ms = *(ngx_msec_t *) ((u_char *) ctx + data);

    p = ngx_pnalloc(r->pool, NGX_INT_T_LEN + 4);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text.data = p;

    p = prov_request_decimal(p, ms / 1000);
    rest = ms % 1000;

    *p++ = '.';
    *p++ = (u_char) ('0' + rest / 100);
    *p++ = (u_char) ('0' + rest / 10 % 10);
    *p++ = (u_char) ('0' + rest % 10);

    text.len = p - text.data;

    return prov_variable_set(v, &text);
}


/* As ngx_sprintf() writes "%ui", for what every request has several of. */

u_char *
prov_request_decimal(u_char *p, ngx_uint_t n)
{
    u_char  *d, digits[NGX_INT_T_LEN];

    d = digits + NGX_INT_T_LEN;

    do {
        *--d = (u_char) ('0' + n % 10);
        n /= 10;
    } while (n);

    return ngx_cpymem(p, d, digits + NGX_INT_T_LEN - d);
}


static ngx_int_t
prov_variable_set(ngx_http_variable_value_t *v, ngx_str_t *value)
{
    if (value == NULL || value->len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = value->data;
    v->len = value->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
