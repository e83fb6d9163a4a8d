/*
 * What a request shows to prove who it is from, and what it is told when that
 * will not do.  Of two credentials none is taken: we would check one, and
 * what stands behind us might look at the other.
 */

#include "request/prov_request.h"


static ngx_int_t prov_request_bearer(ngx_http_request_t *r,
    ngx_str_t *token);
static ngx_uint_t prov_request_repeated(ngx_http_request_t *r,
    ngx_table_elt_t *header);
static ngx_int_t prov_request_missing(ngx_http_request_t *r,
    const char *detail);


/*
 * A token, or an API key where those are looked at: in X-API-Key, or in the
 * place of a token, which never begins like one.  NGX_OK, or the status of
 * the problem.
 */

ngx_int_t
prov_request_credentials(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_str_t *text, ngx_uint_t *key)
{
    ngx_int_t         rc;
    ngx_table_elt_t  *h;

    h = NULL;

    if (ctx->conf->keys) {
        h = prov_request_header_in(r, "x-api-key", sizeof("x-api-key") - 1);
    }

    if (h) {
        if (r->headers_in.authorization || prov_request_repeated(r, h)) {
            return prov_problem(r, NGX_HTTP_BAD_REQUEST,
                                "authorization_repeated",
                                "The request shows more than one credential; "
                                "send either one Authorization header or one "
                                "X-API-Key header.");
        }

        *text = h->value;
        *key = 1;

        return NGX_OK;
    }

    rc = prov_request_bearer(r, text);

    if (rc == NGX_OK) {
        *key = prov_auth_apikey_meant(text);
    }

    return rc;
}


/* Authorization: Bearer <token> (RFC 6750, section 2.1) */

static ngx_int_t
prov_request_bearer(ngx_http_request_t *r, ngx_str_t *token)
{
    u_char           *p, *last;
    ngx_table_elt_t  *h;

    h = r->headers_in.authorization;

    if (h == NULL) {
        return prov_request_missing(r, "Send a token in the header "
                                       "\"Authorization: Bearer <token>\".");
    }

    if (prov_request_repeated(r, h)) {
        return prov_problem(r, NGX_HTTP_BAD_REQUEST,
                            "authorization_repeated",
                            "The request has more than one Authorization "
                            "header; send exactly one.");
    }

    p = h->value.data;
    last = p + h->value.len;

    if (h->value.len > sizeof("Bearer ") - 1
        && ngx_strncasecmp(p, (u_char *) "Bearer ", sizeof("Bearer ") - 1)
           == 0)
    {
        p += sizeof("Bearer ") - 1;

        while (p < last && *p == ' ') {
            p++;
        }

        if (p < last) {
            token->data = p;
            token->len = last - p;
            return NGX_OK;
        }
    }

    return prov_request_missing(r, "The Authorization header must have the "
                                   "form \"Bearer <token>\".");
}


/* Whether another header has the same name. */

static ngx_uint_t
prov_request_repeated(ngx_http_request_t *r, ngx_table_elt_t *header)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (&h[i] != header
                && h[i].key.len == header->key.len
                && ngx_strncmp(h[i].lowcase_key, header->lowcase_key,
                               header->key.len)
                   == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}


/*
 * 401 with a challenge; without an error in it where nothing was presented
 * (RFC 6750, section 3.1).
 */

static ngx_int_t
prov_request_missing(ngx_http_request_t *r, const char *detail)
{
    static ngx_str_t  bare = ngx_string("Bearer realm=\"provisioning\"");

    if (prov_request_header_out(r, "WWW-Authenticate", &bare) != NGX_OK) {
        return NGX_ERROR;
    }

    return prov_problem(r, NGX_HTTP_UNAUTHORIZED, "token_missing", "%s",
                        detail);
}


/* The challenge of a 401 that says what is wrong. */

ngx_int_t
prov_request_challenge(ngx_http_request_t *r, ngx_str_t *code)
{
    u_char     *p;
    ngx_str_t   challenge;

    static ngx_str_t  bare = ngx_string("Bearer realm=\"provisioning\", "
                                        "error=\"invalid_token\"");

    p = ngx_pnalloc(r->pool, bare.len + sizeof(", error_description=\"\"") - 1
                             + code->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    challenge.data = p;
    challenge.len = ngx_sprintf(p, "%V, error_description=\"%V\"", &bare,
                                code)
                    - p;

    return prov_request_header_out(r, "WWW-Authenticate", &challenge);
}


ngx_int_t
prov_request_unauthorized(ngx_http_request_t *r, ngx_str_t *code,
    ngx_str_t *detail)
{
    if (prov_request_challenge(r, code) != NGX_OK) {
        return NGX_ERROR;
    }

    return prov_problem_members(r, NGX_HTTP_UNAUTHORIZED, code, detail, NULL);
}
