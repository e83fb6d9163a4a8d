/*
 * What was sent: its media type before it is read, then its bytes from
 * wherever nginx has put them, then JSON, then the schema.
 */

#include "request/prov_request.h"


static ngx_int_t prov_request_body_match(ngx_str_t *type,
    prov_openapi_operation_t *op, prov_schema_t **schema);
static ngx_uint_t prov_request_body_charset(u_char *p, u_char *last);
static ngx_int_t prov_request_body_types(ngx_http_request_t *r,
    prov_openapi_operation_t *op);
static ngx_int_t prov_request_body_text(ngx_http_request_t *r,
    ngx_str_t *text);
static ngx_int_t prov_request_body_copy(ngx_http_request_t *r,
    ngx_chain_t *cl, ngx_str_t *text);
static ngx_int_t prov_request_body_validate(ngx_http_request_t *r,
    prov_schema_t *schema, json_t *json);


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

    return NGX_OK;
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


/* After nginx has read the body: NGX_OK with ctx->args[2] set. */

ngx_int_t
prov_request_body(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    prov_schema_t *schema)
{
    json_t             *json;
    ngx_int_t           rc;
    ngx_str_t           text;
    prov_json_error_t   err;

    rc = prov_request_body_text(r, &text);
    if (rc != NGX_OK) {
        return rc;
    }

    if (text.len == 0 && !ctx->operation->body_required) {
        /* only its end tells that a body of unknown length is none */
        return NGX_OK;
    }

    json = prov_json_parse(text.data, text.len, PROV_JSON_BODY_DEPTH, &err);

    if (json == NULL) {

        switch (err.code) {

        case PROV_JSON_MEMORY:
            return NGX_ERROR;

        case PROV_JSON_EMPTY:
            return prov_problem(r, NGX_HTTP_BAD_REQUEST, "body_required",
                                "The operation needs a request body.");

        default:
            return prov_problem(r, NGX_HTTP_BAD_REQUEST, "invalid_json",
                                "The body is not acceptable JSON, at line "
                                "%ui, column %ui: %s.", err.line, err.column,
                                err.text);
        }
    }

    rc = prov_request_body_validate(r, schema, json);

    json_decref(json);

    if (rc == NGX_OK) {
        /* the caller's own bytes, which are valid now */
        ctx->args[2] = text;
    }

    return rc;
}


static ngx_int_t
prov_request_body_validate(ngx_http_request_t *r, prov_schema_t *schema,
    json_t *json)
{
    ngx_int_t             rc;
    ngx_str_t             errors;
    prov_violations_t     list;
    prov_schema_report_t  report;

    if (prov_schema_report_init(&report, r->pool, PROV_REQUEST_VIOLATIONS)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = prov_schema_validate(schema, json, &report);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    ngx_memzero(&list, sizeof(prov_violations_t));

    if (prov_violations_body(r->pool, &list, &report) != NGX_OK
        || prov_violations_array(r->pool, &list, &errors) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return prov_problem_errors(r, "invalid_body",
                               "The body is not as described; see "
                               "\"errors\".", &errors);
}


/* The body as one NUL-terminated string, empty when there is none. */

static ngx_int_t
prov_request_body_text(ngx_http_request_t *r, ngx_str_t *text)
{
    off_t         len;
    ngx_chain_t  *cl;

    len = 0;

    if (r->request_body) {
        for (cl = r->request_body->bufs; cl; cl = cl->next) {
            len += ngx_buf_size(cl->buf);
        }
    }

    text->len = 0;
    text->data = ngx_pnalloc(r->pool, (size_t) len + 1);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    if (len && prov_request_body_copy(r, r->request_body->bufs, text)
               != NGX_OK)
    {
        return NGX_ERROR;
    }

    text->data[text->len] = '\0';

    return NGX_OK;
}


static ngx_int_t
prov_request_body_copy(ngx_http_request_t *r, ngx_chain_t *cl,
    ngx_str_t *text)
{
    size_t      size;
    ssize_t     n;
    ngx_buf_t  *b;

    for ( /* void */ ; cl; cl = cl->next) {
        b = cl->buf;
        size = (size_t) ngx_buf_size(b);

        if (size == 0) {
            continue;
        }

        if (!b->in_file) {
            ngx_memcpy(text->data + text->len, b->pos, size);

        } else {
            n = ngx_read_file(b->file, text->data + text->len, size,
                              b->file_pos);

            if (n != (ssize_t) size) {
                ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                              "reading the request body back from \"%V\" "
                              "gave %z of %uz bytes", &b->file->name, n,
                              size);
                return NGX_ERROR;
            }
        }

        text->len += size;
    }

    return NGX_OK;
}
