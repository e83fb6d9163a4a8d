/*
 * The request for a token as it is sent: a form (RFC 6749, section 4.4.2),
 * and the client's credentials in it or in HTTP Basic (section 2.3.1).
 */

#include "handlers/prov_handler_oauth.h"


static ngx_int_t prov_oauth_text(ngx_http_request_t *r, ngx_str_t *text);
static ngx_int_t prov_oauth_member(ngx_pool_t *pool, prov_oauth_form_t *form,
    u_char *p, u_char *last, const char **what);
static ngx_int_t prov_oauth_basic(ngx_http_request_t *r,
    prov_oauth_form_t *form, const char **what);


ngx_int_t
prov_oauth_form(ngx_http_request_t *r, prov_oauth_form_t *form,
    const char **what)
{
    u_char     *p, *last, *end;
    ngx_int_t   rc;
    ngx_str_t   text;

    ngx_memzero(form, sizeof(prov_oauth_form_t));

    rc = prov_oauth_text(r, &text);

    if (rc == NGX_DECLINED) {
        *what = "The body is larger than a request for a token can be.";
    }

    if (rc != NGX_OK) {
        return rc;
    }

    p = text.data;
    last = p + text.len;

    while (p < last) {
        end = ngx_strlchr(p, last, '&');
        if (end == NULL) {
            end = last;
        }

        rc = prov_oauth_member(r->pool, form, p, end, what);
        if (rc != NGX_OK) {
            return rc;
        }

        p = end + 1;
    }

    return r->headers_in.authorization ? prov_oauth_basic(r, form, what)
                                       : NGX_OK;
}


/* The body, wherever nginx has put it; NGX_DECLINED: too long. */

static ngx_int_t
prov_oauth_text(ngx_http_request_t *r, ngx_str_t *text)
{
    size_t        size;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    text->len = 0;
    text->data = ngx_pnalloc(r->pool, PROV_OAUTH_MAX_FORM);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    for (cl = r->request_body ? r->request_body->bufs : NULL; cl;
         cl = cl->next)
    {
        b = cl->buf;
        size = (size_t) ngx_buf_size(b);

        if (size > PROV_OAUTH_MAX_FORM - text->len) {
            return NGX_DECLINED;
        }

        if (size == 0) {
            continue;
        }

        if (!b->in_file) {
            ngx_memcpy(text->data + text->len, b->pos, size);

        } else if (ngx_read_file(b->file, text->data + text->len, size,
                                 b->file_pos)
                   != (ssize_t) size)
        {
            return NGX_ERROR;
        }

        text->len += size;
    }

    return NGX_OK;
}


/* What is not known is ignored, what is empty is absent (section 3.2). */

static ngx_int_t
prov_oauth_member(ngx_pool_t *pool, prov_oauth_form_t *form, u_char *p,
    u_char *last, const char **what)
{
    u_char      *equals;
    ngx_int_t    rc;
    ngx_str_t    name, value, *known;

    equals = ngx_strlchr(p, last, '=');
    if (equals == NULL) {
        return NGX_OK;
    }

    rc = prov_value_decode(pool, p, equals, &name);

    if (rc == NGX_OK) {
        rc = prov_value_decode(pool, equals + 1, last, &value);
    }

    if (rc != NGX_OK) {
        *what = "The body is not application/x-www-form-urlencoded UTF-8.";
        return rc;
    }

#define prov_oauth_is(s)                                                      \
    (name.len == sizeof(s) - 1 && ngx_memcmp(name.data, s, name.len) == 0)

    known = prov_oauth_is("grant_type") ? &form->grant_type
            : prov_oauth_is("client_id") ? &form->client_id
            : prov_oauth_is("client_secret") ? &form->client_secret
            : prov_oauth_is("scope") ? &form->scope
            : NULL;

    if (known == NULL || value.len == 0) {
        return NGX_OK;
    }

    if (known->len) {
        *what = "A parameter is there more than once.";
        return NGX_DECLINED;
    }

    *known = value;

    return NGX_OK;
}


/* Both halves are encoded as the values of a form are (section 2.3.1). */

static ngx_int_t
prov_oauth_basic(ngx_http_request_t *r, prov_oauth_form_t *form,
    const char **what)
{
    u_char     *colon, *last;
    ngx_str_t   encoded, plain, id;

    encoded = r->headers_in.authorization->value;

    *what = "The Authorization header must have Basic credentials.";

    if (encoded.len <= sizeof("Basic ") - 1
        || ngx_strncasecmp(encoded.data, (u_char *) "Basic ",
                           sizeof("Basic ") - 1)
           != 0)
    {
        return NGX_DECLINED;
    }

    encoded.data += sizeof("Basic ") - 1;
    encoded.len -= sizeof("Basic ") - 1;

    while (encoded.len && *encoded.data == ' ') {
        encoded.data++;
        encoded.len--;
    }

    plain.data = ngx_pnalloc(r->pool,
                             ngx_base64_decoded_length(encoded.len) + 1);
    if (plain.data == NULL) {
        return NGX_ERROR;
    }

    if (ngx_decode_base64(&plain, &encoded) != NGX_OK) {
        return NGX_DECLINED;
    }

    last = plain.data + plain.len;
    colon = ngx_strlchr(plain.data, last, ':');

    if (colon == NULL) {
        return NGX_DECLINED;
    }

    if (form->client_secret.len) {
        *what = "The client has authenticated in two ways at once.";
        return NGX_DECLINED;
    }

    if (prov_value_decode(r->pool, plain.data, colon, &id) != NGX_OK
        || prov_value_decode(r->pool, colon + 1, last, &form->client_secret)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (form->client_id.len
        && (form->client_id.len != id.len
            || ngx_memcmp(form->client_id.data, id.data, id.len) != 0))
    {
        *what = "The client_id is not that of the Authorization header.";
        return NGX_DECLINED;
    }

    form->client_id = id;

    return NGX_OK;
}
