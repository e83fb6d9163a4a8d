/*
 * What is known of a request: made in the access phase, found again wherever
 * nginx has cleared the modules' contexts (internal redirects, errors raised
 * in filters).  Also the two things every step does with headers.
 */

#include "request/prov_request.h"
#include "base/prov_id.h"


static void prov_request_ctx_cleanup(void *data);
static ngx_int_t prov_request_id(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);
static ngx_uint_t prov_request_id_sane(ngx_str_t *id);
static ngx_uint_t prov_request_header_named(ngx_table_elt_t *h,
    const char *name, size_t len);


/*
 * The request's context, made when there is none.  It hangs on a cleanup of
 * the request's pool, which nobody clears.  NULL: no memory.
 */

prov_request_ctx_t *
prov_request_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;
    prov_request_ctx_t  *ctx;

    ctx = prov_request_ctx_find(r);
    if (ctx) {
        return ctx;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(prov_request_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(prov_request_ctx_t));

    ctx->request = r;
    ctx->keepalive = r->keepalive;
    ctx->drained = (r->headers_in.content_length_n <= 0
                    && !r->headers_in.chunked);

    if (prov_request_id(r, ctx) != NGX_OK) {
        return NULL;
    }

    cln->handler = prov_request_ctx_cleanup;

    ngx_http_set_ctx(r, ctx, ngx_http_provisioning_module);

    return ctx;
}


prov_request_ctx_t *
prov_request_ctx_find(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;
    prov_request_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_provisioning_module);

    /* subrequests share the pool, but not the context */

    if (ctx || r != r->main) {
        return ctx;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == prov_request_ctx_cleanup) {
            ctx = cln->data;

            ngx_http_set_ctx(r, ctx, ngx_http_provisioning_module);

            /* what was decided belongs to the phase that was left */
            ctx->allowed = 0;

            return ctx;
        }
    }

    return NULL;
}


static void
prov_request_ctx_cleanup(void *data)
{
    prov_request_ctx_t *ctx = data;

    if (ctx->shown.len) {
        prov_seal_wipe(&ctx->shown);
    }

    if (ctx->problem.members) {
        json_decref(ctx->problem.members);
        ctx->problem.members = NULL;
    }

    if (ctx->query) {
        prov_db_release(ctx->query);
        ctx->query = NULL;
    }
}


/*
 * A caller's X-Request-Id is taken over when it can do no harm in logs and
 * headers; else the request gets one of its own.
 */

static ngx_int_t
prov_request_id(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    ngx_table_elt_t  *h;

    h = prov_request_header_in(r, "x-request-id", sizeof("x-request-id") - 1);

    if (h && prov_request_id_sane(&h->value)) {
        ctx->id = h->value;
        return NGX_OK;
    }

    ctx->id.data = ngx_pnalloc(r->pool, PROV_ID_LEN);
    if (ctx->id.data == NULL) {
        return NGX_ERROR;
    }

    ctx->id.len = PROV_ID_LEN;

    return prov_id_make(ctx->id.data);
}


static ngx_uint_t
prov_request_id_sane(ngx_str_t *id)
{
    u_char  c;
    size_t  i;

    if (id->len == 0 || id->len > PROV_REQUEST_ID_LEN) {
        return 0;
    }

    for (i = 0; i < id->len; i++) {
        c = id->data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
              || (c >= 'A' && c <= 'Z')
              || c == '-' || c == '_' || c == '.' || c == ':' || c == '+'
              || c == '/' || c == '='))
        {
            return 0;
        }
    }

    return 1;
}


/* The first header of that (lower-case) name, or NULL. */

ngx_table_elt_t *
prov_request_header_in(ngx_http_request_t *r, const char *name, size_t len)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (prov_request_header_named(&h[i], name, len)) {
            return &h[i];
        }
    }
}


/*
 * The values of all headers of that (lower-case) name, commas between them:
 * what was sent in several lines means the same in one (RFC 9110, section
 * 5.3).  NGX_DECLINED: there is none.
 */

ngx_int_t
prov_request_header_whole(ngx_http_request_t *r, const char *name,
    size_t len, ngx_str_t *value)
{
    u_char           *p;
    size_t            size;
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    n = 0;
    size = 0;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (prov_request_header_named(&h[i], name, len)) {
                *value = h[i].value;
                size += h[i].value.len + 2;
                n++;
            }
        }
    }

    if (n < 2) {
        return n ? NGX_OK : NGX_DECLINED;
    }

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;
    value->len = size - 2;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (prov_request_header_named(&h[i], name, len)) {
                p = ngx_sprintf(p, "%V, ", &h[i].value);
            }
        }
    }

    return NGX_OK;
}


static ngx_uint_t
prov_request_header_named(ngx_table_elt_t *h, const char *name, size_t len)
{
    return h->hash && h->key.len == len
           && ngx_strncmp(h->lowcase_key, name, len) == 0;
}


/*
 * Sets a response header; name is a literal, the value is borrowed for the
 * request's life.  Replaces one of the same name, which the location before
 * an internal redirect or a proxied server has left.  Those nginx's own
 * filters look at are put where they look.
 */

ngx_int_t
prov_request_header_out(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = prov_request_header_set(r, name);

    if (h == NULL) {
        h = ngx_list_push(&r->headers_out.headers);
        if (h == NULL) {
            return NGX_ERROR;
        }
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    if (ngx_strcmp(name, "ETag") == 0) {
        r->headers_out.etag = h;

    } else if (ngx_strcmp(name, "WWW-Authenticate") == 0) {
        r->headers_out.www_authenticate = h;
    }

    return NGX_OK;
}


/* The response header of that name, or NULL. */

ngx_table_elt_t *
prov_request_header_set(ngx_http_request_t *r, const char *name)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].hash && h[i].key.len == len
                && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
            {
                return &h[i];
            }
        }
    }

    return NULL;
}
