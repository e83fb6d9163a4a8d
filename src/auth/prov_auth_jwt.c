/*
 * The strict parser of compact tokens (RFC 7515, RFC 7519, RFC 8725): form,
 * sizes and header, before any cryptography and before anything in the token
 * is believed.  Whatever is optional in the RFCs and not needed is refused,
 * so that one token has one reading.
 */

#include "auth/prov_auth_private.h"


static ngx_int_t prov_auth_jwt_split(ngx_str_t *token, ngx_str_t *segments);
static ngx_int_t prov_auth_jwt_segment(ngx_str_t *segment, ngx_str_t *room,
    prov_json_text_t *json, ngx_pool_t *pool, const char *name,
    prov_auth_refusal_t *refusal);
static ngx_int_t prov_auth_jwt_header(prov_auth_jwt_t *jwt, ngx_pool_t *pool,
    prov_auth_refusal_t *refusal);
static ngx_int_t prov_auth_jwt_alg(prov_auth_jwt_t *jwt, ngx_pool_t *pool,
    prov_auth_refusal_t *refusal);
static ngx_int_t prov_auth_jwt_kid(prov_auth_jwt_t *jwt, ngx_pool_t *pool,
    prov_auth_refusal_t *refusal);
static ngx_uint_t prov_auth_jwt_media(prov_json_value_t *value,
    const char *name);
static ngx_int_t prov_auth_jwt_malformed(ngx_pool_t *pool,
    prov_auth_refusal_t *refusal, const char *what);
static ngx_int_t prov_auth_jwt_unsupported(ngx_pool_t *pool,
    prov_auth_refusal_t *refusal, const char *member);


static const char  prov_auth_jwt_form[] =
    "The token is not a JSON Web Token in compact form.";


/*
 * NGX_OK: *jwt, to be freed.  NGX_DECLINED: *refusal.  NGX_ERROR: no memory.
 * Strings in jwt point into the token and into what jwt has of it.
 */

ngx_int_t
prov_auth_jwt_parse(ngx_str_t *token, ngx_pool_t *pool, prov_auth_jwt_t *jwt,
    prov_auth_refusal_t *refusal)
{
    ngx_int_t  rc;
    ngx_str_t  segments[3], room;

    if (token->len > PROV_AUTH_MAX_TOKEN) {
        return prov_auth_jwt_malformed(pool, refusal, "too long");
    }

    if (prov_auth_jwt_split(token, segments) != NGX_OK) {
        return prov_auth_jwt_malformed(pool, refusal,
                                       "not three non-empty segments");
    }

    if (segments[0].len > PROV_AUTH_MAX_HEADER) {
        return prov_auth_jwt_malformed(pool, refusal, "header too long");
    }

    rc = prov_auth_base64url(jwt->signature, sizeof(jwt->signature),
                             segments[2].data, segments[2].len);
    if (rc < 0) {
        return prov_auth_jwt_malformed(pool, refusal,
                                       "signature too long or not strict "
                                       "base64url");
    }

    jwt->len = rc;
    jwt->content.data = token->data;
    jwt->content.len = segments[2].data - 1 - token->data;

    room.data = jwt->text;
    room.len = sizeof(jwt->text);

    rc = prov_auth_jwt_segment(&segments[0], &room, &jwt->header, pool,
                               "header", refusal);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = prov_auth_jwt_header(jwt, pool, refusal);

    if (rc == NGX_OK) {
        rc = prov_auth_jwt_segment(&segments[1], &room, &jwt->payload, pool,
                                   "payload", refusal);
    }

    if (rc != NGX_OK) {
        prov_json_read_end(&jwt->header);
    }

    return rc;
}


void
prov_auth_jwt_free(prov_auth_jwt_t *jwt)
{
    prov_json_read_end(&jwt->header);
    prov_json_read_end(&jwt->payload);
}


static ngx_int_t
prov_auth_jwt_split(ngx_str_t *token, ngx_str_t *segments)
{
    u_char      *p, *start, *last;
    ngx_uint_t   n;

    start = token->data;
    last = token->data + token->len;

    for (n = 0; n < 3; n++) {

        p = memchr(start, '.', last - start);

        /* a point after the first and the second, and none after the third */

        if ((p == NULL) != (n == 2)) {
            return NGX_ERROR;
        }

        segments[n].data = start;
        segments[n].len = (p ? p : last) - start;

        if (segments[n].len == 0) {
            return NGX_ERROR;
        }

        start = p ? p + 1 : last;
    }

    return NGX_OK;
}


/* Decodes a segment to where there is room, which becomes less. */

static ngx_int_t
prov_auth_jwt_segment(ngx_str_t *segment, ngx_str_t *room,
    prov_json_text_t *json, ngx_pool_t *pool, const char *name,
    prov_auth_refusal_t *refusal)
{
    u_char             *text;
    ngx_int_t           len;
    prov_json_error_t   err;

    text = room->data;

    len = prov_auth_base64url(text, room->len, segment->data, segment->len);
    if (len < 0) {
        return prov_auth_refuse(refusal, pool, "token_malformed",
                                prov_auth_jwt_form,
                                "%s is not strict base64url", name);
    }

    room->data += len;
    room->len -= len;

    if (prov_json_read(json, text, len, PROV_JSON_BODY_DEPTH, &err)
        != NGX_OK)
    {
        if (err.code == PROV_JSON_MEMORY) {
            return NGX_ERROR;
        }

        return prov_auth_refuse(refusal, pool, "token_malformed",
                                prov_auth_jwt_form, "%s, column %ui: %s",
                                name, err.column, err.text);
    }

    if (!prov_json_is_object(json->root)) {
        prov_json_read_end(json);

        return prov_auth_refuse(refusal, pool, "token_malformed",
                                prov_auth_jwt_form,
                                "%s is not a JSON object", name);
    }

    return NGX_OK;
}


static ngx_int_t
prov_auth_jwt_header(prov_auth_jwt_t *jwt, ngx_pool_t *pool,
    prov_auth_refusal_t *refusal)
{
    ngx_int_t           rc;
    prov_json_value_t  *header, *typ, *cty;

    header = jwt->header.root;

    /*
     * No extension is known here, so whatever "crit" names is unknown (RFC
     * 7515, section 4.1.11); "b64" (RFC 7797) and "zip" change what the
     * payload means, even where "crit" does not say so.
     */

    if (prov_json_get(header, "crit")) {
        return prov_auth_jwt_unsupported(pool, refusal, "crit");
    }

    if (prov_json_get(header, "b64")) {
        return prov_auth_jwt_unsupported(pool, refusal, "b64");
    }

    if (prov_json_get(header, "zip")) {
        return prov_auth_jwt_unsupported(pool, refusal, "zip");
    }

    /* RFC 8725, section 3.11: other kinds of tokens must not pass for ours */

    typ = prov_json_get(header, "typ");

    if (typ && !prov_auth_jwt_media(typ, "jwt")
        && !prov_auth_jwt_media(typ, "at+jwt"))
    {
        return prov_auth_jwt_unsupported(pool, refusal, "typ");
    }

    /* RFC 7519, section 5.2: a token inside the token */

    cty = prov_json_get(header, "cty");

    if (cty && (!prov_json_is_string(cty) || prov_auth_jwt_media(cty, "jwt"))) {
        return prov_auth_jwt_unsupported(pool, refusal, "cty");
    }

    rc = prov_auth_jwt_alg(jwt, pool, refusal);

    return (rc == NGX_OK) ? prov_auth_jwt_kid(jwt, pool, refusal) : rc;
}


static ngx_int_t
prov_auth_jwt_alg(prov_auth_jwt_t *jwt, ngx_pool_t *pool,
    prov_auth_refusal_t *refusal)
{
    u_char             *shown;
    prov_json_value_t  *alg;

    alg = prov_json_get(jwt->header.root, "alg");

    if (!prov_json_is_string(alg)) {
        return prov_auth_jwt_malformed(pool, refusal,
                                       "\"alg\" is missing or not a string");
    }

    jwt->alg = prov_auth_alg_find(alg->text.data, alg->text.len);

    if (jwt->alg != PROV_AUTH_ALGS) {
        return NGX_OK;
    }

    shown = prov_auth_printable(pool, (char *) alg->text.data, alg->text.len);
    if (shown == NULL) {
        return NGX_ERROR;
    }

    return prov_auth_refuse(refusal, pool, "token_unsupported_algorithm",
                            "The token is signed with an algorithm that is "
                            "not accepted here.",
                            "unknown algorithm \"%s\"", shown);
}


static ngx_int_t
prov_auth_jwt_kid(prov_auth_jwt_t *jwt, ngx_pool_t *pool,
    prov_auth_refusal_t *refusal)
{
    prov_json_value_t  *kid;

    kid = prov_json_get(jwt->header.root, "kid");

    jwt->named = (kid != NULL);
    ngx_str_null(&jwt->kid);

    if (kid == NULL) {
        return NGX_OK;
    }

    if (!prov_json_is_string(kid)) {
        return prov_auth_jwt_malformed(pool, refusal,
                                       "\"kid\" is not a string");
    }

    jwt->kid = kid->text;

    return NGX_OK;
}


/*
 * 1 when value is that media type; "application/" may be left out (RFC 7515,
 * sections 4.1.9 and 4.1.10), and case does not count (RFC 2045, section
 * 5.1).  name is in lower case.
 */

static ngx_uint_t
prov_auth_jwt_media(prov_json_value_t *value, const char *name)
{
    u_char  *p;
    size_t   len, prefix;

    if (!prov_json_is_string(value)) {
        return 0;
    }

    p = value->text.data;
    len = value->text.len;
    prefix = sizeof("application/") - 1;

    if (len > prefix
        && ngx_strncasecmp(p, (u_char *) "application/", prefix) == 0)
    {
        p += prefix;
        len -= prefix;
    }

    return len == ngx_strlen(name)
           && ngx_strncasecmp(p, (u_char *) name, len) == 0;
}


/* the values of ASCII characters */

#define NO  0x80

static const u_char  prov_auth_base64url_digits[128] = {
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, 62, NO, NO,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, NO, NO, NO, NO, NO, NO,
    NO,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, NO, NO, NO, NO, 63,
    NO, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, NO, NO, NO, NO, NO
};

#undef NO


/*
 * Base64url as RFC 7515, section 2 has it: no padding, nothing else between,
 * and no bits left over, so that no two texts mean the same bytes.  Returns
 * the number of bytes, or NGX_ERROR also when they do not fit.
 */

ngx_int_t
prov_auth_base64url(u_char *dst, size_t size, u_char *src, size_t len)
{
    u_char        *start, *last;
    size_t         i, rest;
    uint32_t       d, e, f, g, bad, value;
    const u_char  *digits;

    rest = len % 4;

    if (rest == 1 || len / 4 * 3 + (rest ? rest - 1 : 0) > size) {
        return NGX_ERROR;
    }

    start = dst;
    last = src + len - rest;
    digits = prov_auth_base64url_digits;
    bad = 0;

    for ( /* void */ ; src < last; src += 4) {

        d = digits[src[0] & 0x7f];
        e = digits[src[1] & 0x7f];
        f = digits[src[2] & 0x7f];
        g = digits[src[3] & 0x7f];

        bad |= src[0] | src[1] | src[2] | src[3] | d | e | f | g;
        value = d << 18 | e << 12 | f << 6 | g;

        *dst++ = (u_char) (value >> 16);
        *dst++ = (u_char) (value >> 8);
        *dst++ = (u_char) value;
    }

    if (rest) {
        value = 0;

        for (i = 0; i < rest; i++) {
            d = digits[src[i] & 0x7f];
            bad |= src[i] | d;
            value |= d << (18 - 6 * i);
        }

        *dst++ = (u_char) (value >> 16);

        if (rest == 3) {
            *dst++ = (u_char) (value >> 8);
        }

        /* bits that no byte has */

        if (value & (rest == 3 ? 0xff : 0xffff)) {
            return NGX_ERROR;
        }
    }

    return (bad & 0x80) ? NGX_ERROR : dst - start;
}


static ngx_int_t
prov_auth_jwt_malformed(ngx_pool_t *pool, prov_auth_refusal_t *refusal,
    const char *what)
{
    return prov_auth_refuse(refusal, pool, "token_malformed",
                            prov_auth_jwt_form, "%s", what);
}


static ngx_int_t
prov_auth_jwt_unsupported(ngx_pool_t *pool, prov_auth_refusal_t *refusal,
    const char *member)
{
    return prov_auth_refuse(refusal, pool, "token_unsupported_header",
                            "The token's header asks for something that is "
                            "not supported.",
                            "header member \"%s\" is not accepted", member);
}
