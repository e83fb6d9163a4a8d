/*
 * The content phase: fails closed unless the access phase has said yes, then
 * reads what the operation takes and hands over to its handler, or to the
 * database.
 */

#include "request/prov_request.h"


static ngx_int_t prov_request_start(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);
static void prov_request_body_ready(ngx_http_request_t *r);
static void prov_request_body_checked(ngx_http_request_t *r);
static void prov_request_body_taken(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_int_t rc);
static ngx_int_t prov_request_run(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);


ngx_int_t
prov_request_content(ngx_http_request_t *r)
{
    prov_request_ctx_t   *ctx;
    prov_request_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_provisioning_module);
    ctx = ngx_http_get_module_ctx(r, ngx_http_provisioning_module);

    if (r != r->main) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "a subrequest to \"%V\" is refused: nothing has "
                      "checked who asks", &r->uri);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx == NULL || !ctx->allowed || ctx->conf != conf
        || ctx->call == NULL)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "\"%V\" has reached the content phase without the "
                      "access phase, refused", &r->uri);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->call->handler && ctx->call->handler->raw) {
        return ctx->call->handler->handler(r);
    }

    return prov_request_start(r, ctx);
}


static ngx_int_t
prov_request_start(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    ngx_int_t       rc;
    prov_schema_t  *schema;

    /* a stream has a form of its own, chosen by a parameter */

    rc = ctx->operation->stream ? NGX_OK : prov_request_acceptable(r, ctx);
    if (rc != NGX_OK) {
        return prov_problem_final(r, rc);
    }

    rc = prov_request_conditional(r, ctx);
    if (rc != NGX_OK) {
        return prov_problem_final(r, rc);
    }

    schema = NULL;

    if (ctx->operation->media.nelts) {
        rc = prov_request_body_type(r, ctx, &schema);

        if (rc != NGX_OK) {
            return prov_problem_final(r, rc);
        }
    }

    if (schema == NULL) {
        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }

        rc = prov_request_run(r, ctx);

        if (rc == NGX_DONE) {
            /* the answer comes later, and finalizes */
            r->main->count++;
        }

        return prov_problem_final(r, rc);
    }

    ctx->schema = schema;

    rc = ngx_http_read_client_request_body(r, prov_request_body_ready);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


static void
prov_request_body_ready(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    prov_request_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_provisioning_module);

    /* after an error_page another location may have left some of it */
    ctx->drained = !r->reading_body && !r->discard_body;

    rc = prov_request_body(r, ctx, prov_request_body_checked);

    if (rc != NGX_AGAIN) {
        prov_request_body_taken(r, ctx, rc);
    }
}


static void
prov_request_body_checked(ngx_http_request_t *r)
{
    prov_request_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_provisioning_module);

    prov_request_body_taken(r, ctx, prov_request_body_result(r, ctx));
}


static void
prov_request_body_taken(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_int_t rc)
{
    if (rc == NGX_OK) {
        rc = prov_request_run(r, ctx);
    }

    if (rc == NGX_DONE) {
        /* the count that reading the body took is the answer's now */
        return;
    }

    ngx_http_finalize_request(r, prov_problem_final(r, rc));
}


/* NGX_DONE: the answer comes later; else what to finalize with */

static ngx_int_t
prov_request_run(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = prov_request_params(r, ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->live) {
        return ctx->call->live->handler(r);
    }

    if (ctx->call->handler) {
        return ctx->call->handler->handler(r);
    }

    return prov_request_query(r, ctx);
}
