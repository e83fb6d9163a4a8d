/*
 * Who may, with a token.  The access phase is left while the issuer's keys
 * are fetched for a token that names one that is not known, and entered again
 * with what came of it.
 */

#include "request/prov_request.h"


/* a worker's cache of verified tokens; about 1 KiB each */
#define PROV_REQUEST_TOKENS  4096


static ngx_int_t prov_request_token_wait(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_str_t *token, prov_auth_refusal_t *refusal);
static void prov_request_token_fetched(void *data);
static void prov_request_token_cleanup(void *data);
static ngx_int_t prov_request_token_unavailable(ngx_http_request_t *r,
    prov_auth_refusal_t *refusal);


static prov_auth_cache_t  *prov_request_tokens;


ngx_int_t
prov_request_tokens_init_worker(ngx_cycle_t *cycle)
{
    prov_request_tokens = prov_auth_cache_create(cycle->pool,
                                                 PROV_REQUEST_TOKENS);

    return prov_request_tokens ? NGX_OK : NGX_ERROR;
}


/* NGX_OK with ctx->identity; NGX_AGAIN: the access phase will be resumed. */

ngx_int_t
prov_request_access_token(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_str_t *token)
{
    ngx_int_t            rc;
    prov_auth_refusal_t  refusal;

    ngx_memzero(&refusal, sizeof(prov_auth_refusal_t));

    rc = prov_auth_verify(ctx->conf->auth, prov_request_tokens, token,
                          r->pool, &ctx->identity, &refusal);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (refusal.issuer) {
        rc = prov_request_token_wait(r, ctx, token, &refusal);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "token refused (%V): %V", &refusal.code, &refusal.log);

    return prov_request_unauthorized(r, &refusal.code, &refusal.detail);
}


/* NGX_DECLINED: the refusal stands. */

static ngx_int_t
prov_request_token_wait(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_str_t *token, prov_auth_refusal_t *refusal)
{
    ngx_int_t            rc;
    ngx_http_cleanup_t  *cln;

    if (ctx->await == NULL) {
        cln = ngx_http_cleanup_add(r, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        ctx->await = ngx_pcalloc(r->pool, sizeof(prov_request_await_t));
        if (ctx->await == NULL) {
            return NGX_ERROR;
        }

        cln->handler = prov_request_token_cleanup;
        cln->data = &ctx->await->wait;
    }

    ctx->await->token = *token;
    ctx->await->wait.handler = prov_request_token_fetched;
    ctx->await->wait.data = r;

    rc = prov_auth_await(refusal->issuer, &ctx->await->wait);

    if (rc == NGX_BUSY) {
        return prov_request_token_unavailable(r, refusal);
    }

    if (rc == NGX_AGAIN) {

        /* a client that goes away ends its request */

        r->read_event_handler = ngx_http_test_reading;
        r->write_event_handler = ngx_http_request_empty_handler;
    }

    return rc;
}


static void
prov_request_token_fetched(void *data)
{
    ngx_http_request_t *r = data;

    ngx_int_t            rc;
    ngx_connection_t    *c;
    prov_request_ctx_t  *ctx;

    c = r->connection;
    ctx = ngx_http_get_module_ctx(r, ngx_http_provisioning_module);

    ngx_http_set_log_request(c->log, r);

    rc = prov_request_access_token(r, ctx, &ctx->await->token);

    if (rc == NGX_AGAIN) {
        return;
    }

    ctx->decided = rc;
    ctx->resumed = 1;

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}


/* The request ends while it waits: the fetch goes on, for the others. */

static void
prov_request_token_cleanup(void *data)
{
    prov_auth_await_end(data);
}


static ngx_int_t
prov_request_token_unavailable(ngx_http_request_t *r,
    prov_auth_refusal_t *refusal)
{
    ngx_str_t  code, detail;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "token neither refused nor accepted, its issuer's keys "
                  "cannot be had: %V", &refusal->log);

    ngx_str_set(&code, "issuer_unavailable");
    ngx_str_set(&detail, "The token names a key that is not known, and its "
                         "issuer's keys could not be fetched anew; nothing "
                         "was done.");

    if (refusal->unavailable) {
        detail = refusal->detail;
    }

    if (prov_problem_members(r, NGX_HTTP_SERVICE_UNAVAILABLE, &code, &detail,
                             NULL)
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    return prov_problem_retry(r, prov_auth_retry(refusal->issuer));
}
