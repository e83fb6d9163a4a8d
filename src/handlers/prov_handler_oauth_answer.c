/*
 * The answer to a request for a token: the token, signed in a thread where
 * that is RSA, because RSA takes longer than a worker should be held up for;
 * or what is wrong.  Nobody may keep either.
 */

#include "handlers/prov_handler_oauth.h"


static ngx_int_t prov_oauth_answer(ngx_http_request_t *r,
    prov_oauth_t *oauth);
static ngx_int_t prov_oauth_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *body);

#if (NGX_THREADS)
static ngx_int_t prov_oauth_post(ngx_http_request_t *r, prov_oauth_t *oauth);
static void prov_oauth_work(void *data);
static void prov_oauth_signed(ngx_http_request_t *r);
#endif


ngx_int_t
prov_oauth_sign(ngx_http_request_t *r, prov_oauth_t *oauth)
{
#if (NGX_THREADS)

    if (oauth->signer->keys[0].rsa) {
        return prov_oauth_post(r, oauth);
    }

#endif

    prov_auth_sign(&oauth->signing);

    return prov_oauth_answer(r, oauth);
}


/* {access_token, token_type, expires_in, scope} (RFC 6749, section 5.1) */

static ngx_int_t
prov_oauth_answer(ngx_http_request_t *r, prov_oauth_t *oauth)
{
    u_char     *p;
    size_t      len;
    ngx_str_t   body;

    if (oauth->signing.token == NULL) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "libjwt could not sign a token with the key \"%V\" of "
                      "provisioning_signer \"%V\"",
                      &oauth->signer->keys[0].kid, &oauth->signer->name);
        return NGX_ERROR;
    }

    len = ngx_strlen(oauth->signing.token)
          + sizeof("{\"access_token\":\"\",\"token_type\":\"Bearer\","
                   "\"expires_in\":,\"scope\":\"\"}")
          + NGX_TIME_T_LEN + prov_oauth_scope_len(oauth);

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body.data = p;

    p = ngx_sprintf(p, "{\"access_token\":\"%s\",\"token_type\":\"Bearer\","
                    "\"expires_in\":%T,\"scope\":\"",
                    oauth->signing.token, oauth->signing.lifetime);
    p = prov_oauth_scope(p, oauth);
    p = ngx_sprintf(p, "\"}");

    body.len = p - body.data;

    return prov_oauth_send(r, NGX_HTTP_OK, &body);
}


/* of characters that need no escape */

u_char *
prov_oauth_scope(u_char *p, prov_oauth_t *oauth)
{
    ngx_uint_t  i;

    for (i = 0; i < oauth->nscopes; i++) {
        if (i) {
            *p++ = ' ';
        }

        p = ngx_cpymem(p, oauth->scopes[i].data, oauth->scopes[i].len);
    }

    return p;
}


size_t
prov_oauth_scope_len(prov_oauth_t *oauth)
{
    size_t      len;
    ngx_uint_t  i;

    len = 0;

    for (i = 0; i < oauth->nscopes; i++) {
        len += oauth->scopes[i].len + 1;
    }

    return len;
}


ngx_int_t
prov_oauth_error(ngx_http_request_t *r, ngx_uint_t status, const char *error,
    const char *description)
{
    u_char     *p;
    ngx_str_t   body;

    static ngx_str_t  basic = ngx_string("Basic realm=\"provisioning\"");

    if (status == NGX_HTTP_UNAUTHORIZED
        && prov_request_header_out(r, "WWW-Authenticate", &basic) != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, sizeof("{\"error\":\"\","
                                    "\"error_description\":\"\"}")
                             + ngx_strlen(error) + ngx_strlen(description));
    if (p == NULL) {
        return NGX_ERROR;
    }

    body.data = p;
    body.len = ngx_sprintf(p, "{\"error\":\"%s\",\"error_description\":"
                           "\"%s\"}", error, description)
               - p;

    return prov_oauth_send(r, status, &body);
}


static ngx_int_t
prov_oauth_send(ngx_http_request_t *r, ngx_uint_t status, ngx_str_t *body)
{
    ngx_int_t  rc;

    static ngx_str_t  json = ngx_string("application/json");
    static ngx_str_t  no_store = ngx_string("no-store");
    static ngx_str_t  no_cache = ngx_string("no-cache");

    if (prov_request_header_out(r, "Cache-Control", &no_store) != NGX_OK
        || prov_request_header_out(r, "Pragma", &no_cache) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (r->request_body == NULL) {
        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return prov_request_send(r, status, &json, body);
}


#if (NGX_THREADS)

static ngx_int_t
prov_oauth_post(ngx_http_request_t *r, prov_oauth_t *oauth)
{
    ngx_int_t            rc;
    prov_request_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_provisioning_module);

    rc = prov_request_task(r, ctx->conf->service->threads, prov_oauth_work,
                           oauth, prov_oauth_signed);

    if (rc != NGX_BUSY) {
        return rc;
    }

    if (prov_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE, "overloaded",
                     "Too many requests are waiting for a thread; nothing "
                     "was done.")
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    return prov_problem_retry(r, 1);
}


static void
prov_oauth_work(void *data)
{
    prov_oauth_t *oauth = data;

    prov_auth_sign(&oauth->signing);
}


static void
prov_oauth_signed(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    prov_request_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_provisioning_module);

    rc = prov_oauth_answer(r, ctx->handling);

    ngx_http_finalize_request(r, prov_problem_final(r, rc));
}

#endif
