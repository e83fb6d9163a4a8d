/*
 * The one place that writes problem documents: whatever raises an error in a
 * location of ours, nginx included, its page is replaced by the document on
 * its way out.  Every response also gets the request's id.
 */

#include "request/prov_request.h"


static ngx_http_output_header_filter_pt  prov_request_next_header_filter;
static ngx_http_output_body_filter_pt    prov_request_next_body_filter;


static ngx_int_t prov_request_header_filter(ngx_http_request_t *r);
static ngx_int_t prov_request_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_uint_t prov_request_is_error(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, prov_request_conf_t *conf);
static ngx_int_t prov_request_replace(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);


void
prov_request_filter_init(void)
{
    prov_request_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = prov_request_header_filter;

    prov_request_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = prov_request_body_filter;
}


static ngx_int_t
prov_request_header_filter(ngx_http_request_t *r)
{
    prov_request_ctx_t   *ctx;
    prov_request_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_provisioning_module);

    if (r == r->main && prov_request_limit_headers(r) != NGX_OK) {
        return NGX_ERROR;
    }

    if (r != r->main || (conf->api == NULL && conf->auth == NULL)) {
        return prov_request_next_header_filter(r);
    }

    ctx = prov_request_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    if (prov_request_header_out(r, "X-Request-Id", &ctx->id) != NGX_OK) {
        return NGX_ERROR;
    }

    if (prov_request_is_error(r, ctx, conf)
        && prov_request_replace(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return prov_request_next_header_filter(r);
}


/*
 * err_status tells an error of nginx or ours from a response that a proxied
 * server gave, which is none of our business; nor is a site's own page for
 * the error with which the request came to its location.
 */

static ngx_uint_t
prov_request_is_error(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    prov_request_conf_t *conf)
{
    if (r->err_status < NGX_HTTP_BAD_REQUEST
        || r->err_status != r->headers_out.status)
    {
        return 0;
    }

    return conf->api || r->err_status != ctx->page
           || r->err_status == ctx->problem.status;
}


static ngx_int_t
prov_request_replace(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    static ngx_str_t  second = ngx_string("1");

    if (prov_problem_document(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->replace = 1;

    ngx_str_set(&r->headers_out.content_type, "application/problem+json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    ngx_str_null(&r->headers_out.charset);

    ngx_http_clear_content_length(r);
    r->headers_out.content_length_n = ctx->document.len;

    /* a 503 says when to come again: soon, unless somebody knew better */

    if (r->headers_out.status == NGX_HTTP_SERVICE_UNAVAILABLE
        && prov_request_header_set(r, "Retry-After") == NULL
        && prov_request_header_out(r, "Retry-After", &second) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* nginx closes after some errors because it does not know what of the
       request is still to come; here nothing is */

    if (ctx->keepalive && ctx->drained && !ngx_exiting
        && !ngx_terminate)
    {
        r->keepalive = 1;
    }

    return NGX_OK;
}


static ngx_int_t
prov_request_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t           *b;
    ngx_chain_t          out, *cl;
    prov_request_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_provisioning_module);

    if (ctx == NULL || !ctx->replace || in == NULL || r != r->main) {
        return prov_request_next_body_filter(r, in);
    }

    for (cl = in; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
        cl->buf->file_pos = cl->buf->file_last;
    }

    if (ctx->replaced) {
        return NGX_OK;
    }

    ctx->replaced = 1;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = ctx->document.data;
    b->last = b->pos + ctx->document.len;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return prov_request_next_body_filter(r, &out);
}
