/*
 * Signatures of webhooks (Standard Webhooks, "Signature scheme"), with
 * OpenSSL.  Called by the driver for each attempt; keeps no secret.
 */

#include "jobs/prov_webhook.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>


/* of Ed25519, in bytes (RFC 8032, 5.1.6) */
#define PROV_WEBHOOK_ED25519  64


static ngx_int_t prov_webhook_hmac(ngx_str_t *secret, ngx_str_t *content,
    u_char *mac, size_t *len);
static ngx_int_t prov_webhook_ed25519(ngx_str_t *secret, ngx_str_t *content,
    u_char *sig, size_t *len);


ngx_int_t
prov_webhook_sign(prov_webhook_algorithm_e algorithm, ngx_str_t *secret,
    ngx_str_t *content, u_char *signature)
{
    u_char     *p, bytes[EVP_MAX_MD_SIZE];
    size_t      len;
    ngx_int_t   rc;
    ngx_str_t   src, dst;

    if (secret->len != PROV_WEBHOOK_SECRET) {
        return NGX_ERROR;
    }

    if (algorithm == PROV_WEBHOOK_V1A) {
        p = ngx_cpymem(signature, "v1a,", sizeof("v1a,") - 1);
        rc = prov_webhook_ed25519(secret, content, bytes, &len);

    } else {
        p = ngx_cpymem(signature, "v1,", sizeof("v1,") - 1);
        rc = prov_webhook_hmac(secret, content, bytes, &len);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    src.data = bytes;
    src.len = len;
    dst.data = p;

    ngx_encode_base64(&dst, &src);

    dst.data[dst.len] = '\0';

    return NGX_OK;
}


ngx_str_t
prov_webhook_content(ngx_pool_t *pool, ngx_str_t *id, time_t timestamp,
    ngx_str_t *payload)
{
    ngx_str_t  content;

    content.len = 0;
    content.data = ngx_pnalloc(pool, id->len + NGX_TIME_T_LEN + payload->len
                                     + sizeof("..") - 1);
    if (content.data == NULL) {
        return content;
    }

    content.len = ngx_sprintf(content.data, "%V.%T.%V", id, timestamp, payload)
                  - content.data;

    return content;
}


static ngx_int_t
prov_webhook_hmac(ngx_str_t *secret, ngx_str_t *content, u_char *mac,
    size_t *len)
{
    unsigned  n;

    if (HMAC(EVP_sha256(), secret->data, (int) secret->len, content->data,
             content->len, mac, &n)
        == NULL)
    {
        return NGX_ERROR;
    }

    *len = n;

    return NGX_OK;
}


static ngx_int_t
prov_webhook_ed25519(ngx_str_t *secret, ngx_str_t *content, u_char *sig,
    size_t *len)
{
    EVP_PKEY    *pkey;
    ngx_int_t    rc;
    EVP_MD_CTX  *ctx;

    *len = PROV_WEBHOOK_ED25519;

    rc = NGX_ERROR;
    pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret->data,
                                        secret->len);
    ctx = EVP_MD_CTX_new();

    if (pkey && ctx
        && EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) == 1
        && EVP_DigestSign(ctx, sig, len, content->data, content->len) == 1)
    {
        rc = NGX_OK;
    }

    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);

    return rc;
}
