/*
 * A token that is given is recorded first: who, with which key, from where,
 * for which scope, and never the token.  One statement, which the answer waits
 * for; it goes through prov.enter(), so a key that was revoked a moment ago
 * buys nothing any more.
 */

#include "handlers/prov_handler_oauth.h"


static ngx_int_t prov_oauth_told(ngx_http_request_t *r, prov_oauth_t *oauth,
    ngx_str_t *params);
static ngx_int_t prov_oauth_recorded(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_uint_t known);


ngx_int_t
prov_oauth_record(ngx_http_request_t *r, prov_oauth_t *oauth,
    prov_auth_identity_t *identity)
{
    ngx_int_t            rc;
    prov_request_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_provisioning_module);

    if (prov_auth_sign_prepare(oauth->signer, identity, oauth->scopes,
                               oauth->nscopes, &oauth->signing)
        != NGX_OK
        || prov_oauth_told(r, oauth, &ctx->args[1]) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->identity = identity;
    ctx->then = prov_oauth_recorded;

    if (prov_request_caller(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = prov_request_ask(r, ctx, ctx->conf->service->token, PROV_DB_WRITE);

    return (rc == NGX_DONE) ? NGX_AGAIN : rc;
}


/* {"scope", "expires_in"}, of characters that need no escape */

static ngx_int_t
prov_oauth_told(ngx_http_request_t *r, prov_oauth_t *oauth,
    ngx_str_t *params)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, prov_oauth_scope_len(oauth)
                             + sizeof("{\"scope\":\"\",\"expires_in\":}")
                             + NGX_TIME_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    params->data = p;

    p = ngx_sprintf(p, "{\"scope\":\"");
    p = prov_oauth_scope(p, oauth);
    p = ngx_sprintf(p, "\",\"expires_in\":%T}%Z", oauth->signing.lifetime);

    params->len = p - params->data - 1;

    return NGX_OK;
}


static ngx_int_t
prov_oauth_recorded(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_uint_t known)
{
    ngx_int_t  rc;

    if (!known) {
        return prov_oauth_error(r, NGX_HTTP_UNAUTHORIZED, "invalid_client",
                                "The API key is good no longer, or its "
                                "partner is not active.");
    }

    rc = prov_oauth_sign(r, ctx->handling);

    return (rc == NGX_AGAIN) ? NGX_DONE : rc;
}
