/*
 * What was sent: its media type before it is read, then whether it is what the
 * operation takes.
 */

#include "request/prov_request.h"


static ngx_int_t prov_request_body_match(ngx_str_t *type,
    prov_openapi_operation_t *op, prov_schema_t **schema);
static ngx_uint_t prov_request_body_charset(u_char *p, u_char *last);
static ngx_int_t prov_request_body_types(ngx_http_request_t *r,
    prov_openapi_operation_t *op);
static ngx_uint_t prov_request_body_encoded(ngx_http_request_t *r);


/*
 * Finds the schema for the request's media type.  NGX_OK with *schema NULL
 * means that there is no body, and none is needed.
 */

ngx_int_t
prov_request_body_type(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    prov_schema_t **schema)
{
    ngx_str_t                 *value;
    prov_openapi_operation_t  *op;

    static ngx_str_t  identity = ngx_string("identity");

    op = ctx->operation;
    *schema = NULL;

    /* HTTP/2 sets "chunked" for a body of unknown length, too */

    if (r->headers_in.content_length_n <= 0 && !r->headers_in.chunked) {

        if (!op->body_required) {
            return NGX_OK;
        }

        return prov_problem(r, NGX_HTTP_BAD_REQUEST, "body_required",
                            "The operation needs a request body.");
    }

    if (r->headers_in.content_type == NULL) {
        return prov_request_body_types(r, op);
    }

    value = &r->headers_in.content_type->value;

    if (prov_request_body_match(value, op, schema) != NGX_OK) {
        return prov_request_body_types(r, op);
    }

    if (prov_request_body_encoded(r)) {

        if (prov_request_header_out(r, "Accept-Encoding", &identity)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        return prov_problem(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                            "unsupported_content_encoding",
                            "The body must not be compressed; send it "
                            "without Content-Encoding.");
    }

    return NGX_OK;
}


/* RFC 9110, section 15.5.16; "identity" is no encoding */

static ngx_uint_t
prov_request_body_encoded(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;

    h = prov_request_header_in(r, "content-encoding",
                               sizeof("content-encoding") - 1);

    return h && h->value.len
           && !(h->value.len == sizeof("identity") - 1
                && ngx_strncasecmp(h->value.data, (u_char *) "identity",
                                   sizeof("identity") - 1)
                   == 0);
}


static ngx_int_t
prov_request_body_match(ngx_str_t *type, prov_openapi_operation_t *op,
    prov_schema_t **schema)
{
    u_char                *p, *last;
    size_t                 len;
    ngx_uint_t             i;
    prov_openapi_media_t  *media;

    p = type->data;
    last = p + type->len;

    while (p < last && *p != ';' && *p != ' ' && *p != '\t') {
        p++;
    }

    len = p - type->data;

    if (!prov_request_body_charset(p, last)) {
        return NGX_DECLINED;
    }

    media = op->media.elts;

    for (i = 0; i < op->media.nelts; i++) {
        if (media[i].type.len == len
            && ngx_strncasecmp(media[i].type.data, type->data, len) == 0)
        {
            *schema = media[i].schema;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* JSON is UTF-8 (RFC 8259, section 8.1); saying so is harmless */

static ngx_uint_t
prov_request_body_charset(u_char *p, u_char *last)
{
    p = ngx_strlcasestrn(p, last, (u_char *) "charset=",
                         sizeof("charset=") - 2);
    if (p == NULL) {
        return 1;
    }

    p += sizeof("charset=") - 1;

    if (p < last && *p == '"') {
        p++;
    }

    if (last - p < 5 || ngx_strncasecmp(p, (u_char *) "utf-8", 5) != 0) {
        return 0;
    }

    p += 5;

    return p == last || *p == '"' || *p == ';' || *p == ' ' || *p == '\t';
}


/* 415, with what would do (RFC 9110, section 12.5.1, for a response) */

static ngx_int_t
prov_request_body_types(ngx_http_request_t *r, prov_openapi_operation_t *op)
{
    u_char                *p;
    size_t                 len;
    ngx_str_t              types;
    ngx_uint_t             i;
    prov_openapi_media_t  *media;

    media = op->media.elts;
    len = 0;

    for (i = 0; i < op->media.nelts; i++) {
        len += media[i].type.len + 2;
    }

    types.data = ngx_pnalloc(r->pool, len + 1);
    if (types.data == NULL) {
        return NGX_ERROR;
    }

    p = types.data;

    for (i = 0; i < op->media.nelts; i++) {
        p = ngx_sprintf(p, "%s%V", i ? ", " : "", &media[i].type);
    }

    types.len = p - types.data;

    if (prov_request_header_out(r, "Accept", &types) != NGX_OK) {
        return NGX_ERROR;
    }

    return prov_problem(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                        "unsupported_media_type",
                        "The body must be UTF-8 JSON with the Content-Type "
                        "%V.", &types);
}


/*
 * After nginx has read the body.  NGX_OK: it is good, and ctx->args[2] is set.
 * NGX_AGAIN: a thread looks at it; prov_request_body_result() tells when
 * resume is called.
 */

ngx_int_t
prov_request_body(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    void (*resume)(ngx_http_request_t *r))
{
    ngx_int_t              rc;
    ngx_chain_t           *cl;
    prov_request_check_t  *check, now;

    ngx_memzero(&now, sizeof(prov_request_check_t));

    check = &now;

    check->schema = ctx->schema;
    check->required = ctx->operation->body_required;
    check->keep = (ctx->operation->secret || ctx->operation->outbound.len);
    check->threads = ctx->conf->service->threads;
    check->resume = resume;

    if (r->request_body) {
        check->body = r->request_body->bufs;
    }

    for (cl = check->body; cl; cl = cl->next) {
        check->len += (size_t) ngx_buf_size(cl->buf);
        check->in_file |= cl->buf->in_file;
    }

    check->text.data = ngx_pnalloc(r->pool, check->len + 1);
    if (check->text.data == NULL) {
        return NGX_ERROR;
    }

    /* what a thread looks at stays until it has, and nothing else does */

    if (prov_request_check_later(check)) {
        check = ngx_palloc(r->pool, sizeof(prov_request_check_t));
        if (check == NULL) {
            return NGX_ERROR;
        }

        *check = now;
    }

    ctx->check = check;

    rc = prov_request_check(r, check);

    if (rc == NGX_OK) {
        rc = prov_request_body_result(r, ctx);
    }

    if (check == &now) {
        ctx->check = NULL;
    }

    return rc;
}


ngx_int_t
prov_request_body_result(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    prov_json_error_t     *err;
    prov_request_check_t  *check;

    check = ctx->check;
    err = &check->err;

    switch (check->rc) {

    case NGX_OK:
        if (check->text.len) {
            /* the caller's own bytes, which are valid now */
            ctx->args[2] = check->text;
            ctx->body = check->json;
        }

        return NGX_OK;

    case NGX_DECLINED:
        break;

    case NGX_BUSY:
        return prov_request_body_busy(r);

    default:
        return NGX_ERROR;
    }

    if (err->code == 0) {
        return prov_request_body_violations(r,
                                            "The body is not as described; "
                                            "see \"errors\".",
                                            &check->report);
    }

    switch (err->code) {

    case PROV_JSON_EMPTY:
        return prov_problem(r, NGX_HTTP_BAD_REQUEST, "body_required",
                            "The operation needs a request body.");

    default:
        return prov_problem(r, NGX_HTTP_BAD_REQUEST, "invalid_json",
                            "The body is not acceptable JSON, at line %ui, "
                            "column %ui: %s.", err->line, err->column,
                            err->text);
    }
}


/* No thread had time to look at it. */

ngx_int_t
prov_request_body_busy(ngx_http_request_t *r)
{
    if (prov_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE, "overloaded",
                     "Too many requests are waiting to be read; nothing was "
                     "done.")
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    return prov_problem_retry(r, 1);
}


ngx_int_t
prov_request_body_violations(ngx_http_request_t *r, const char *detail,
    prov_schema_report_t *report)
{
    ngx_str_t          errors;
    prov_violations_t  list;

    ngx_memzero(&list, sizeof(prov_violations_t));

    if (prov_violations_body(r->pool, &list, report) != NGX_OK
        || prov_violations_array(r->pool, &list, &errors) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return prov_problem_errors(r, "invalid_body", detail, &errors);
}
