/*
 * New secrets: what webhooks are signed with, which is kept sealed, and API
 * keys, of which a hash is kept.  Called by prov_request_secret.c.  The text
 * that is shown once stays here; the database gets a stand-in for it.
 */

#include "request/prov_request.h"
#include "auth/prov_auth_apikey.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>


/* bytes of an HMAC's secret, and of the seed of an Ed25519 key (RFC 8032) */
#define PROV_SECRET_BYTES  32

/* with what Standard Webhooks puts in front of base64, and a NUL */
#define PROV_SECRET_TEXT                                                      \
    (sizeof("whsec_") + ngx_base64_encoded_length(PROV_SECRET_BYTES))

/* random bytes of a stand-in, which must be in nothing that a caller sends */
#define PROV_SECRET_STAND_IN  16


static ngx_int_t prov_secret_webhook(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_str_t *owner, ngx_str_t *members);
static ngx_int_t prov_secret_api_key(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_str_t *owner, ngx_str_t *members);
static ngx_int_t prov_secret_stand_in(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, size_t len);
static ngx_int_t prov_secret_public(u_char *seed, u_char *public);
static void prov_secret_text(u_char *text, const char *prefix,
    u_char *bytes);


ngx_int_t
prov_request_secret_make(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_str_t *owner, ngx_str_t *members)
{
    return (ctx->operation->secret->make == PROV_OPENAPI_MAKE_API_KEY)
           ? prov_secret_api_key(r, ctx, owner, members)
           : prov_secret_webhook(r, ctx, owner, members);
}


/*
 * Both that an owner may choose between: a shared secret, and a pair of keys
 * of which only the public one is shown.  The function takes one.
 */

static ngx_int_t
prov_secret_webhook(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_str_t *owner, ngx_str_t *members)
{
    u_char     *p, bytes[PROV_SECRET_BYTES], seed[PROV_SECRET_BYTES],
                public[PROV_SECRET_BYTES], public_text[PROV_SECRET_TEXT];
    ngx_int_t   rc;
    ngx_str_t   shared, private, sealed, sealed_private;

    rc = NGX_ERROR;

    shared.data = bytes;
    shared.len = PROV_SECRET_BYTES;
    private.data = seed;
    private.len = PROV_SECRET_BYTES;

    if (prov_secret_stand_in(r, ctx, PROV_SECRET_TEXT - 1) == NGX_OK
        && RAND_priv_bytes(bytes, PROV_SECRET_BYTES) == 1
        && RAND_priv_bytes(seed, PROV_SECRET_BYTES) == 1
        && prov_secret_public(seed, public) == NGX_OK
        && prov_request_secret_seal(r, ctx, owner, "secret", &shared,
                                    &sealed)
           == NGX_OK
        && prov_request_secret_seal(r, ctx, owner, "private", &private,
                                    &sealed_private)
           == NGX_OK)
    {
        rc = NGX_OK;
    }

    p = ngx_pnalloc(r->pool, 128 + 2 * PROV_SECRET_TEXT
                             + (rc == NGX_OK
                                ? sealed.len + sealed_private.len : 0));
    if (p == NULL) {
        rc = NGX_ERROR;
    }

    if (rc == NGX_OK) {
        prov_secret_text(ctx->shown.data, "whsec_", bytes);
        prov_secret_text(public_text, "whpk_", public);

        /* nothing in these needs to be escaped */

        members->data = p;
        members->len = ngx_sprintf(p, ",\"secret\":{\"text\":\"%V\","
                                   "\"sealed\":\"%V\",\"public_key\":\"%s\","
                                   "\"private\":\"%V\"}", &ctx->stand_in,
                                   &sealed, public_text, &sealed_private)
                       - p;
    }

    OPENSSL_cleanse(bytes, sizeof(bytes));
    OPENSSL_cleanse(seed, sizeof(seed));

    return rc;
}


static ngx_int_t
prov_secret_api_key(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_str_t *owner, ngx_str_t *members)
{
    u_char  *p, hash[PROV_AUTH_APIKEY_HASH];

    if (prov_secret_stand_in(r, ctx, PROV_AUTH_APIKEY_LEN) != NGX_OK
        || prov_auth_apikey_new(owner, ctx->shown.data, hash) != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, sizeof(",\"secret\":{\"text\":\"\","
                                    "\"hash\":\"\"}")
                             + PROV_AUTH_APIKEY_LEN + 2 * sizeof(hash));
    if (p == NULL) {
        return NGX_ERROR;
    }

    members->data = p;

    p = ngx_sprintf(p, ",\"secret\":{\"text\":\"%V\",\"hash\":\"",
                    &ctx->stand_in);
    p = ngx_hex_dump(p, hash, sizeof(hash));
    p = ngx_sprintf(p, "\"}");

    members->len = p - members->data;

    return NGX_OK;
}


/* Makes room for a secret of so many characters, and one for it. */

static ngx_int_t
prov_secret_stand_in(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    size_t len)
{
    u_char  *p, bytes[PROV_SECRET_STAND_IN];

    p = ngx_pnalloc(r->pool, 2 * (len + 1));

    if (p == NULL || RAND_bytes(bytes, sizeof(bytes)) != 1) {
        return NGX_ERROR;
    }

    ctx->shown.data = p;
    ctx->shown.len = len;

    p += len + 1;

    ctx->stand_in.data = p;
    ctx->stand_in.len = len;

    ngx_memset(p, '-', len);
    p[len] = '\0';

    ngx_memcpy(p, "not-shown-", sizeof("not-shown-") - 1);
    ngx_hex_dump(p + sizeof("not-shown-") - 1, bytes, sizeof(bytes));

    return NGX_OK;
}


/* A seal's purpose is the document's, a dot, and what is sealed. */

ngx_int_t
prov_request_secret_seal(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_str_t *owner, const char *what, ngx_str_t *text, ngx_str_t *sealed)
{
    u_char                 *purpose;
    prov_openapi_secret_t  *secret;

    secret = ctx->operation->secret;

    purpose = ngx_pnalloc(r->pool, secret->purpose.len + sizeof(".")
                                   + ngx_strlen(what));
    if (purpose == NULL) {
        return NGX_ERROR;
    }

    *ngx_sprintf(purpose, "%V.%s", &secret->purpose, what) = '\0';

    return prov_seal(r->pool, ctx->conf->service->seals, (char *) purpose,
                     owner, text, sealed);
}


/* RFC 8032, 5.1.5 */

static ngx_int_t
prov_secret_public(u_char *seed, u_char *public)
{
    size_t      len;
    EVP_PKEY   *pkey;
    ngx_int_t   rc;

    pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed,
                                        PROV_SECRET_BYTES);
    if (pkey == NULL) {
        return NGX_ERROR;
    }

    len = PROV_SECRET_BYTES;

    rc = EVP_PKEY_get_raw_public_key(pkey, public, &len) == 1 ? NGX_OK
                                                              : NGX_ERROR;

    EVP_PKEY_free(pkey);

    return rc;
}


static void
prov_secret_text(u_char *text, const char *prefix, u_char *bytes)
{
    u_char     *p;
    ngx_str_t   src, dst;

    p = ngx_cpymem(text, prefix, ngx_strlen(prefix));

    src.data = bytes;
    src.len = PROV_SECRET_BYTES;
    dst.data = p;

    ngx_encode_base64(&dst, &src);

    dst.data[dst.len] = '\0';
}
