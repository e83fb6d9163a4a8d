/*
 * Who may, with an API key.  The access phase is left while the key is looked
 * up, as by auth_request, and entered again with the answer.  Also from where
 * a caller may come who has a key, or a token that a key bought.
 */

#include "request/prov_request.h"


static void prov_request_access_answered(ngx_http_request_t *r, ngx_int_t rc,
    prov_auth_apikey_t *key);
static ngx_int_t prov_request_access_decide(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_int_t rc, prov_auth_apikey_t *key);
static ngx_int_t prov_request_access_refuse(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, prov_auth_refusal_t *refusal);


/* NGX_OK with ctx->identity; NGX_AGAIN: the access phase will be resumed. */

ngx_int_t
prov_request_access_key(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_str_t *text)
{
    ngx_int_t            rc;
    prov_auth_apikey_t  *key;

    if (ctx->conf->keys == NULL) {
        static ngx_str_t  code = ngx_string("key_invalid");
        static ngx_str_t  detail = ngx_string("No API keys are accepted at "
                                              "this path.");

        return prov_request_unauthorized(r, &code, &detail);
    }

    key = NULL;

    if (ctx->lookup == NULL) {
        ctx->lookup = ngx_pcalloc(r->pool, sizeof(prov_request_lookup_t));
        if (ctx->lookup == NULL) {
            return NGX_ERROR;
        }
    }

    if (prov_auth_apikey_parse(text, &ctx->lookup->shown) != NGX_OK) {
        return prov_request_access_decide(r, ctx, NGX_DECLINED, NULL);
    }

    rc = prov_request_key_find(r, ctx->lookup, ctx->conf->keys,
                               prov_request_access_answered, &key);

    if (rc != NGX_AGAIN) {
        return prov_request_access_decide(r, ctx, rc, key);
    }

    /* a client that goes away ends its request */

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_AGAIN;
}


static void
prov_request_access_answered(ngx_http_request_t *r, ngx_int_t rc,
    prov_auth_apikey_t *key)
{
    ngx_connection_t    *c;
    prov_request_ctx_t  *ctx;

    c = r->connection;
    ctx = ngx_http_get_module_ctx(r, ngx_http_provisioning_module);

    ctx->decided = prov_request_access_decide(r, ctx, rc, key);
    ctx->resumed = 1;

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
prov_request_access_decide(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_int_t rc, prov_auth_apikey_t *key)
{
    prov_auth_refusal_t  refusal;

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    rc = prov_auth_apikey_check(key, &ctx->lookup->shown, r->pool,
                                &ctx->identity, &refusal);

    if (rc == NGX_DECLINED) {
        return prov_request_access_refuse(r, ctx, &refusal);
    }

    if (rc == NGX_OK) {
        prov_request_key_used(ctx->conf->keys, key);
    }

    return rc;
}


static ngx_int_t
prov_request_access_refuse(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    prov_auth_refusal_t *refusal)
{
    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "API key refused (%V): %V", &refusal->code, &refusal->log);

    if (ngx_strcmp(refusal->code.data, "partner_unknown") == 0) {
        return prov_problem_members(r, NGX_HTTP_FORBIDDEN, &refusal->code,
                                    &refusal->detail, NULL);
    }

    return prov_request_unauthorized(r, &refusal->code, &refusal->detail);
}


/*
 * The address is the connection's, which is what realip makes of it.  What is
 * no network is nobody's.
 */

ngx_int_t
prov_request_access_network(ngx_http_request_t *r,
    prov_auth_identity_t *identity)
{
    ngx_int_t    rc;
    ngx_cidr_t   cidr;
    ngx_uint_t   i;
    ngx_array_t  one;

    if (identity->nnetworks == 0) {
        return NGX_OK;
    }

    ngx_memzero(&one, sizeof(ngx_array_t));
    one.elts = &cidr;
    one.nelts = 1;

    for (i = 0; i < identity->nnetworks; i++) {

        rc = ngx_ptocidr(&identity->networks[i], &cidr);

        if (rc != NGX_ERROR
            && ngx_cidr_match(r->connection->sockaddr, &one) == NGX_OK)
        {
            return NGX_OK;
        }
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "API key %V may not be used from this address",
                  &identity->key);

    return prov_problem(r, NGX_HTTP_FORBIDDEN, "key_ip_not_allowed",
                        "The API key may not be used from this address.");
}
