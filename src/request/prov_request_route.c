/*
 * Which operation is meant.  The path is taken as the caller wrote it, so
 * that an encoded slash stays inside its segment; where nginx has rewritten
 * or resolved the URI, what nginx has made of it counts.
 */

#include "request/prov_request.h"


static ngx_int_t prov_request_path(ngx_http_request_t *r, ngx_str_t *prefix,
    ngx_str_t *path);
static ngx_int_t prov_request_written(ngx_http_request_t *r,
    ngx_str_t *path);
static ngx_int_t prov_request_strip(ngx_str_t *prefix, ngx_str_t *path);


ngx_int_t
prov_request_route(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    ngx_int_t              rc;
    ngx_str_t              path;
    prov_request_conf_t   *conf;
    prov_openapi_match_t   match;

    conf = ctx->conf;

    rc = prov_request_path(r, &conf->prefix, &path);

    if (rc == NGX_OK) {
        rc = prov_openapi_route(conf->api, &r->method_name, &path, r->pool,
                                &match);
    }

    switch (rc) {

    case NGX_OK:
        ctx->operation = match.operation;
        ctx->values = match.values;

        if (conf->service) {
            ctx->call = &conf->service->calls[ctx->operation->index];
        }

        return NGX_OK;

    case NGX_DECLINED:
        if (conf->published.len == 0) {
            return prov_problem(r, NGX_HTTP_NOT_FOUND, "path_not_found",
                                "There is nothing at this path.");
        }

        return prov_problem(r, NGX_HTTP_NOT_FOUND, "path_not_found",
                            "There is nothing at this path. The paths that "
                            "exist are described at %V.", &conf->published);

    case NGX_HTTP_NOT_ALLOWED:
        if (prov_request_header_out(r, "Allow", &match.allow) != NGX_OK) {
            return NGX_ERROR;
        }

        return prov_problem(r, NGX_HTTP_NOT_ALLOWED, "method_not_allowed",
                            "This path does not support the method; it "
                            "supports %V.", &match.allow);

    case NGX_HTTP_BAD_REQUEST:
        return prov_problem(r, NGX_HTTP_BAD_REQUEST, "invalid_path",
                            "The path has a bad percent-escape, a NUL, or "
                            "is not UTF-8.");

    default:
        return NGX_ERROR;
    }
}


/* NGX_DECLINED where the prefix is not the path's beginning. */

static ngx_int_t
prov_request_path(ngx_http_request_t *r, ngx_str_t *prefix, ngx_str_t *path)
{
    u_char     *p;
    ngx_int_t   rc;
    uintptr_t   escape;

    rc = prov_request_written(r, path);

    if (rc == NGX_OK) {
        rc = prov_request_strip(prefix, path);
    }

    if (rc != NGX_DECLINED) {
        return rc;
    }

    escape = 2 * ngx_escape_uri(NULL, r->uri.data, r->uri.len,
                                NGX_ESCAPE_URI);

    path->len = r->uri.len + escape;
    path->data = ngx_pnalloc(r->pool, path->len);
    if (path->data == NULL) {
        return NGX_ERROR;
    }

    p = path->data;

    if (escape) {
        ngx_escape_uri(p, r->uri.data, r->uri.len, NGX_ESCAPE_URI);

    } else {
        ngx_memcpy(p, r->uri.data, r->uri.len);
    }

    return prov_request_strip(prefix, path);
}


/*
 * The path as the caller wrote it; NGX_DECLINED where it does not say what
 * nginx has chosen the location for.  Escaped dots and slashes, which nginx
 * resolves, would else lead past the rules of one location to an operation
 * that they guard.
 */

static ngx_int_t
prov_request_written(ngx_http_request_t *r, ngx_str_t *path)
{
    u_char  *p, *start, *text, *end;
    size_t   len;

    if (!r->valid_unparsed_uri) {
        return NGX_DECLINED;
    }

    *path = r->unparsed_uri;

    text = path->data;

    end = memchr(text, '?', path->len);
    if (end) {
        path->len = end - text;
    }

    end = memchr(text, '#', path->len);
    if (end) {
        path->len = end - text;
    }

    len = path->len;

    if (memchr(text, '%', len)) {
        start = path->data;

        text = ngx_pnalloc(r->pool, len);
        if (text == NULL) {
            return NGX_ERROR;
        }

        p = text;
        ngx_unescape_uri(&p, &start, len, 0);
        len = p - text;
    }

    return (len == r->uri.len && ngx_memcmp(text, r->uri.data, len) == 0)
           ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
prov_request_strip(ngx_str_t *prefix, ngx_str_t *path)
{
    if (path->len <= prefix->len
        || ngx_strncmp(path->data, prefix->data, prefix->len) != 0
        || path->data[prefix->len] != '/')
    {
        return NGX_DECLINED;
    }

    path->data += prefix->len;
    path->len -= prefix->len;

    return NGX_OK;
}
