/*
 * x-handler "oauth_token": who has an API key buys a token with it, by client
 * credentials (RFC 6749, section 4.4).  The token is signed by the signer
 * whose tokens this location accepts.  What the client does wrong is told in
 * the form of section 5.2; what we cannot do is a problem, as always.
 */

#include "handlers/prov_handler_oauth.h"


static void prov_oauth_read(ngx_http_request_t *r);
static ngx_int_t prov_oauth_request(ngx_http_request_t *r);
static void prov_oauth_cleanup(void *data);
static void prov_oauth_found(ngx_http_request_t *r, ngx_int_t rc,
    prov_auth_apikey_t *key);
static ngx_int_t prov_oauth_decide(ngx_http_request_t *r, ngx_int_t rc,
    prov_auth_apikey_t *key);
static ngx_int_t prov_oauth_scopes(prov_oauth_t *oauth,
    prov_auth_identity_t *identity);
static ngx_uint_t prov_oauth_clean(ngx_str_t *scope);


ngx_int_t
prov_handler_oauth_token(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    prov_request_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_provisioning_module);

    if (prov_handler_signer(conf) == NULL || conf->keys == NULL) {
        return prov_problem_final(r,
                   prov_problem(r, NGX_HTTP_NOT_FOUND, "tokens_not_issued",
                                "This gateway issues no tokens here."));
    }

    if (r->headers_in.content_length_n > PROV_OAUTH_MAX_FORM) {
        return prov_oauth_error(r, NGX_HTTP_BAD_REQUEST, "invalid_request",
                                "The body is larger than a request for a "
                                "token can be.");
    }

    rc = ngx_http_read_client_request_body(r, prov_oauth_read);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


static void
prov_oauth_read(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    prov_request_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_provisioning_module);
    ctx->drained = !r->reading_body && !r->discard_body;

    rc = prov_oauth_request(r);

    if (rc != NGX_AGAIN) {
        ngx_http_finalize_request(r, prov_problem_final(r, rc));
    }
}


/* NGX_AGAIN: the answer comes later; else what to finalize with */

static ngx_int_t
prov_oauth_request(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    const char           *what;
    prov_oauth_t         *oauth;
    ngx_table_elt_t      *type;
    prov_request_ctx_t   *ctx;
    prov_auth_apikey_t   *key;
    ngx_pool_cleanup_t   *cln;

    static ngx_str_t  form = ngx_string("application/x-www-form-urlencoded");

    ctx = ngx_http_get_module_ctx(r, ngx_http_provisioning_module);
    type = r->headers_in.content_type;

    if (type == NULL || type->value.len < form.len
        || ngx_strncasecmp(type->value.data, form.data, form.len) != 0
        || (type->value.len > form.len
            && ngx_strchr("; \t", type->value.data[form.len]) == NULL))
    {
        return prov_oauth_error(r, NGX_HTTP_BAD_REQUEST, "invalid_request",
                                "The body must be "
                                "application/x-www-form-urlencoded.");
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(prov_oauth_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    oauth = cln->data;
    ngx_memzero(oauth, sizeof(prov_oauth_t));

    cln->handler = prov_oauth_cleanup;

    oauth->signer = prov_handler_signer(ctx->conf);
    ctx->handling = oauth;

    rc = prov_oauth_form(r, &oauth->form, &what);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED)
               ? prov_oauth_error(r, NGX_HTTP_BAD_REQUEST, "invalid_request",
                                  what)
               : rc;
    }

    if (oauth->form.grant_type.len == 0) {
        return prov_oauth_error(r, NGX_HTTP_BAD_REQUEST, "invalid_request",
                                "grant_type is missing.");
    }

    if (oauth->form.grant_type.len != sizeof("client_credentials") - 1
        || ngx_memcmp(oauth->form.grant_type.data, "client_credentials",
                      oauth->form.grant_type.len)
           != 0)
    {
        return prov_oauth_error(r, NGX_HTTP_BAD_REQUEST,
                                "unsupported_grant_type",
                                "grant_type must be client_credentials.");
    }

    key = NULL;

    if (ctx->lookup == NULL) {
        ctx->lookup = ngx_pcalloc(r->pool, sizeof(prov_request_lookup_t));
        if (ctx->lookup == NULL) {
            return NGX_ERROR;
        }
    }

    if (prov_auth_apikey_client(&oauth->form.client_id,
                                &oauth->form.client_secret,
                                &ctx->lookup->shown)
        != NGX_OK)
    {
        return prov_oauth_decide(r, NGX_DECLINED, NULL);
    }

    rc = prov_request_key_find(r, ctx->lookup, ctx->conf->keys,
                               prov_oauth_found, &key);

    if (rc != NGX_AGAIN) {
        return prov_oauth_decide(r, rc, key);
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_AGAIN;
}


static void
prov_oauth_cleanup(void *data)
{
    prov_oauth_t *oauth = data;

    prov_auth_sign_free(&oauth->signing);

    if (oauth->form.client_secret.len) {
        ngx_explicit_memzero(oauth->form.client_secret.data,
                             oauth->form.client_secret.len);
    }
}


static void
prov_oauth_found(ngx_http_request_t *r, ngx_int_t rc,
    prov_auth_apikey_t *key)
{
    ngx_connection_t  *c;

    c = r->connection;

    rc = prov_oauth_decide(r, rc, key);

    if (rc != NGX_AGAIN) {
        ngx_http_finalize_request(r, prov_problem_final(r, rc));
    }

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
prov_oauth_decide(ngx_http_request_t *r, ngx_int_t rc,
    prov_auth_apikey_t *key)
{
    prov_oauth_t          *oauth;
    prov_request_ctx_t    *ctx;
    prov_auth_refusal_t    refusal;
    prov_auth_identity_t  *identity;

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_provisioning_module);
    oauth = ctx->handling;

    rc = prov_auth_apikey_check(key, &ctx->lookup->shown, r->pool, &identity,
                                &refusal);

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "no token for an API key (%V): %V", &refusal.code,
                      &refusal.log);

        return prov_oauth_error(r, NGX_HTTP_UNAUTHORIZED, "invalid_client",
                                (char *) refusal.detail.data);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    prov_request_key_used(ctx->conf->keys, key);

    rc = prov_request_access_network(r, identity);

    if (rc != NGX_OK) {
        return (rc == NGX_HTTP_FORBIDDEN)
               ? prov_oauth_error(r, NGX_HTTP_BAD_REQUEST,
                                  "unauthorized_client",
                                  "The API key may not be used from this "
                                  "address.")
               : rc;
    }

    if (identity->partner.len == 0
        || prov_oauth_scopes(oauth, identity) != NGX_OK)
    {
        return prov_oauth_error(r, NGX_HTTP_BAD_REQUEST, "invalid_scope",
                                "The scope is not within that of the API "
                                "key.");
    }

    return prov_oauth_record(r, oauth, identity);
}


/* Those that are asked for, or all that the key has. */

static ngx_int_t
prov_oauth_scopes(prov_oauth_t *oauth, prov_auth_identity_t *identity)
{
    u_char     *p, *last, *end;
    ngx_str_t   scope;

    p = oauth->form.scope.data;
    last = p + oauth->form.scope.len;

    while (p < last) {
        end = ngx_strlchr(p, last, ' ');
        if (end == NULL) {
            end = last;
        }

        scope.data = p;
        scope.len = end - p;
        p = end + 1;

        if (scope.len == 0) {
            continue;
        }

        if (oauth->nscopes == PROV_AUTH_MAX_ROLES
            || scope.len > PROV_AUTH_MAX_ROLE
            || !prov_oauth_clean(&scope)
            || !prov_openapi_scoped(identity->roles, identity->nroles,
                                    &scope))
        {
            return NGX_DECLINED;
        }

        oauth->scopes[oauth->nscopes++] = scope;
    }

    if (oauth->nscopes == 0) {
        ngx_memcpy(oauth->scopes, identity->roles,
                   identity->nroles * sizeof(ngx_str_t));
        oauth->nscopes = identity->nroles;
    }

    return NGX_OK;
}


/* A key with "tenant:*" covers any text that begins so. */

static ngx_uint_t
prov_oauth_clean(ngx_str_t *scope)
{
    u_char      c;
    ngx_uint_t  i;

    for (i = 0; i < scope->len; i++) {
        c = scope->data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'
              || c == '-' || c == ':' || c == '*'))
        {
            return 0;
        }
    }

    return 1;
}
