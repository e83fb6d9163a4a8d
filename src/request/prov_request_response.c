/*
 * From the row (status, body, headers) to the response.  The body's bytes go
 * out as PostgreSQL built them; an expected miss becomes a problem.
 */

#include "request/prov_request.h"


static void prov_request_committed(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);
static ngx_int_t prov_request_headers(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, PGresult *result);
static ngx_int_t prov_request_headers_plain(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_str_t *text);
static u_char *prov_request_plain(ngx_pool_t *pool, u_char *p, u_char *last,
    ngx_str_t *text);
static ngx_int_t prov_request_header_value(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, const char *name, json_t *value);
static ngx_int_t prov_request_header(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_str_t *name, ngx_str_t *value);
static void prov_request_created(prov_request_ctx_t *ctx,
    ngx_str_t *location);
static ngx_int_t prov_request_miss(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *body);


/* what a function may set; Location comes first */

static ngx_str_t  prov_response_headers[] = {
    ngx_string("Location"),
    ngx_string("ETag"),
    ngx_string("Link"),
    ngx_string("Retry-After"),
    ngx_string("Idempotent-Replayed"),
    ngx_string("Dry-Run"),
    ngx_string("Preference-Applied"),
    ngx_null_string
};


ngx_int_t
prov_request_respond(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    PGresult *result)
{
    ngx_int_t   status;
    ngx_str_t   body;

    static ngx_str_t  json = ngx_string("application/json");

    if (PQntuples(result) == 0) {
        return prov_problem(r, NGX_HTTP_FORBIDDEN, "partner_unknown",
                            "The partner that the token names is not known "
                            "here, or not active.");
    }

    if (PQntuples(result) != 1 || PQnfields(result) < 3) {
        return prov_request_broken(r, ctx, "a row (status, body, headers)");
    }

    status = ngx_atoi((u_char *) PQgetvalue(result, 0, 0),
                      PQgetlength(result, 0, 0));

    if (status < NGX_HTTP_OK
        || (status >= NGX_HTTP_BAD_REQUEST && !prov_problem_status(status)))
    {
        return prov_request_broken(r, ctx, "an HTTP status it may answer");
    }

    body.data = (u_char *) PQgetvalue(result, 0, 1);
    body.len = PQgetlength(result, 0, 1);

    if (prov_request_headers(r, ctx, result) != NGX_OK) {
        return NGX_ERROR;
    }

    if (status >= NGX_HTTP_BAD_REQUEST) {
        return prov_request_miss(r, status, &body);
    }

    prov_request_committed(r, ctx);

    if (ctx->shown.len) {
        prov_request_secret_show(ctx, &body);
    }

    return prov_request_send(r, status, &json, &body);
}


/*
 * What follows from a change that was kept need not wait for a poll, nor need
 * those who wait for the same thing to change.
 */

static void
prov_request_committed(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    ngx_uint_t                 i;
    prov_request_main_conf_t  *pmcf;

    if (ctx->operation->method == PROV_OPENAPI_GET || ctx->dry_run) {
        return;
    }

    for (i = 0; i < ctx->operation->npath; i++) {
        prov_request_wake(&ctx->values[i]);
    }

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_provisioning_module);

    if (pmcf->committed) {
        pmcf->committed();
    }
}


static ngx_int_t
prov_request_headers(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    PGresult *result)
{
    json_t             *headers, *value;
    ngx_int_t           rc;
    ngx_str_t           text;
    const char         *name;
    prov_json_error_t   err;

    if (PQgetisnull(result, 0, 2)) {
        return NGX_OK;
    }

    text.data = (u_char *) PQgetvalue(result, 0, 2);
    text.len = PQgetlength(result, 0, 2);

    rc = prov_request_headers_plain(r, ctx, &text);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    headers = prov_json_parse(text.data, text.len, PROV_JSON_BODY_DEPTH,
                              &err);

    if (!json_is_object(headers)) {
        json_decref(headers);
        return prov_request_broken(r, ctx, "an object of headers");
    }

    rc = NGX_OK;

    json_object_foreach(headers, name, value) {
        rc = prov_request_header_value(r, ctx, name, value);
        if (rc != NGX_OK) {
            break;
        }
    }

    json_decref(headers);

    return rc;
}


/*
 * The same for what PostgreSQL writes when a function sets headers that it
 * may: {"ETag": "\"1\"", "Location": "/…"}.  Such values are used where they
 * are: the result stays as long as the request's pool.  NGX_DECLINED for
 * anything else, which is for the parser.
 */

static ngx_int_t
prov_request_headers_plain(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_str_t *text)
{
    u_char     *p, *last;
    ngx_str_t   name, value;

    p = text->data;
    last = p + text->len;

    if (text->len < 2 || *p != '{') {
        return NGX_DECLINED;
    }

    for (p++; /* void */ ; p += 2) {

        p = prov_request_plain(r->pool, p, last, &name);

        if (p == NULL || last - p < 2 || p[0] != ':' || p[1] != ' ') {
            return NGX_DECLINED;
        }

        p = prov_request_plain(r->pool, p + 2, last, &value);

        if (p == NULL || p == last) {
            return NGX_DECLINED;
        }

        if (prov_request_header(r, ctx, &name, &value) != NGX_OK) {
            return NGX_ERROR;
        }

        if (*p == '}') {
            return (p + 1 == last) ? NGX_OK : NGX_DECLINED;
        }

        if (*p != ',' || last - p < 2 || p[1] != ' ') {
            return NGX_DECLINED;
        }
    }
}


/*
 * A string without control characters, and the end of it; NULL where there is
 * no such string, or no memory.  Of two bytes that stand for a quote or a
 * backslash the first one goes.
 */

static u_char *
prov_request_plain(ngx_pool_t *pool, u_char *p, u_char *last, ngx_str_t *text)
{
    u_char      *d, *start;
    ngx_uint_t   escaped;

    if (p == last || *p != '"') {
        return NULL;
    }

    escaped = 0;

    for (start = ++p; p < last && *p != '"'; p++) {

        if (*p < 0x20) {
            return NULL;
        }

        if (*p == '\\') {

            if (++p == last || (*p != '"' && *p != '\\')) {
                return NULL;
            }

            escaped++;
        }
    }

    if (p == last) {
        return NULL;
    }

    text->data = start;
    text->len = p - start - escaped;

    if (escaped == 0) {
        return p + 1;
    }

    d = ngx_pnalloc(pool, text->len);
    if (d == NULL) {
        return NULL;
    }

    text->data = d;

    while (start < p) {
        start += (*start == '\\');
        *d++ = *start++;
    }

    return p + 1;
}


/* of a header as the parser has found it */

static ngx_int_t
prov_request_header_value(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    const char *name, json_t *value)
{
    ngx_str_t  key, text;

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);

    if (json_is_null(value)) {
        ngx_str_null(&text);
        return prov_request_header(r, ctx, &key, &text);
    }

    if (!json_is_string(value)) {
        return prov_request_broken(r, ctx, "headers that are strings");
    }

    text.len = json_string_length(value);
    text.data = ngx_pnalloc(r->pool, text.len + 1);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(text.data, json_string_value(value), text.len);

    return prov_request_header(r, ctx, &key, &text);
}


/* The value is borrowed for the request's life; one without data is null. */

static ngx_int_t
prov_request_header(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_str_t *name, ngx_str_t *value)
{
    size_t      i;
    ngx_str_t  *h;

    for (h = prov_response_headers; h->len; h++) {
        if (h->len == name->len
            && ngx_memcmp(h->data, name->data, name->len) == 0)
        {
            break;
        }
    }

    if (h->len == 0) {
        return prov_request_broken(r, ctx, "only headers it may set");
    }

    if (value->data == NULL) {
        return NGX_OK;
    }

    for (i = 0; i < value->len; i++) {
        if (value->data[i] < 0x20) {
            return prov_request_broken(r, ctx,
                                       "headers without control characters");
        }
    }

    if (h == prov_response_headers) {
        prov_request_created(ctx, value);
    }

    return prov_request_header_out(r, (char *) h->data, value);
}


/* $provisioning_tenant of a request that has made the tenant */

static void
prov_request_created(prov_request_ctx_t *ctx, ngx_str_t *location)
{
    u_char  *p, *last;
    size_t   len;

    static ngx_str_t  tenants = ngx_string("/tenants/");

    len = ctx->conf->prefix.len;

    if (ctx->tenant.len || location->len <= len + tenants.len
        || ngx_strncmp(location->data, ctx->conf->prefix.data, len) != 0
        || ngx_strncmp(location->data + len, tenants.data, tenants.len) != 0)
    {
        return;
    }

    p = location->data + len + tenants.len;
    last = location->data + location->len;

    ctx->tenant.data = p;

    while (p < last && *p != '/') {
        p++;
    }

    ctx->tenant.len = p - ctx->tenant.data;
}


/* {"code": …, "detail": …} and extension members */

static ngx_int_t
prov_request_miss(ngx_http_request_t *r, ngx_uint_t status, ngx_str_t *body)
{
    json_t              *miss, *code, *detail;
    ngx_str_t            c, d;
    prov_json_error_t    err;
    prov_request_ctx_t  *ctx;

    ctx = prov_request_ctx(r);

    miss = prov_json_parse(body->data, body->len, PROV_JSON_BODY_DEPTH, &err);

    code = json_object_get(miss, "code");
    detail = json_object_get(miss, "detail");

    if (!json_is_string(code) || !json_is_string(detail)) {
        json_decref(miss);
        return prov_request_broken(r, ctx, "a code and a detail");
    }

    c.len = json_string_length(code);
    d.len = json_string_length(detail);
    c.data = ngx_pnalloc(r->pool, c.len + d.len + 1);
    if (c.data == NULL) {
        json_decref(miss);
        return NGX_ERROR;
    }

    d.data = ngx_cpymem(c.data, json_string_value(code), c.len);
    ngx_memcpy(d.data, json_string_value(detail), d.len);

    /* what is left are extension members (RFC 9457, section 3.2) */

    json_object_del(miss, "code");
    json_object_del(miss, "detail");

    return prov_problem_members(r, status, &c, &d, miss);
}


/* A function that breaks its contract is a 500, and a line in the log. */

ngx_int_t
prov_request_broken(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    const char *what)
{
    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "the function of operation \"%V\" did not return %s",
                  &ctx->operation->id, what);

    /* without the headers that were right */
    ngx_http_clean_header(r);

    return NGX_ERROR;
}


/*
 * Sends a whole response; type and body are borrowed for the request's life.
 * Returns what to finalize the request with.
 */

ngx_int_t
prov_request_send(ngx_http_request_t *r, ngx_uint_t status, ngx_str_t *type,
    ngx_str_t *body)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    r->headers_out.status = status;
    r->headers_out.content_length_n = body->len;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;

    /* preconditions of a change are the database's business */

    if (r->method != NGX_HTTP_GET && r->method != NGX_HTTP_HEAD) {
        r->disable_not_modified = 1;
    }

    if (status == NGX_HTTP_NOT_MODIFIED) {
        /* they would describe what is not sent (RFC 9110, section 8.6) */
        r->headers_out.content_length_n = -1;
        r->headers_out.content_type.len = 0;
    }

    if (body->len == 0) {
        r->header_only = 1;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
