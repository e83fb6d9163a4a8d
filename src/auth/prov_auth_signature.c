/*
 * The one question to OpenSSL: did this key sign this token?  Called for each
 * key that a token may belong to.  Works in the contexts that were prepared
 * with the key, and leaves no error in OpenSSL's queue, where nginx's next TLS
 * call would find and log it.
 */

#include "auth/prov_auth_private.h"

#include <openssl/crypto.h>
#include <openssl/err.h>


/* SEQUENCE and two INTEGERs of at most 66 bytes and a sign */
#define PROV_AUTH_MAX_DER  (3 + 2 * (2 + 1 + 66))


static ngx_int_t prov_auth_signature_digest(prov_auth_key_t *key,
    prov_auth_jwt_t *jwt);
static ngx_int_t prov_auth_signature_whole(prov_auth_key_t *key,
    prov_auth_jwt_t *jwt);
static ngx_int_t prov_auth_signature_hmac(prov_auth_key_t *key,
    prov_auth_jwt_t *jwt);
static size_t prov_auth_signature_der(u_char *dst, u_char *raw, size_t half);
static u_char *prov_auth_signature_integer(u_char *dst, u_char *src,
    size_t len);


/*
 * The caller has seen to it that the key may do jwt->alg.  NGX_OK: it did
 * sign.  NGX_DECLINED: it did not.  NGX_ERROR: no memory.
 */

ngx_int_t
prov_auth_signature(prov_auth_key_t *key, prov_auth_jwt_t *jwt)
{
    ngx_int_t  rc;

    if (jwt->len != key->size) {
        return NGX_DECLINED;
    }

    if (key->mac) {
        rc = prov_auth_signature_hmac(key, jwt);

    } else if (key->verify[jwt->alg].pkey) {
        rc = prov_auth_signature_digest(key, jwt);

    } else {
        rc = prov_auth_signature_whole(key, jwt);
    }

    ERR_clear_error();

    return rc;
}


static ngx_int_t
prov_auth_signature_digest(prov_auth_key_t *key, prov_auth_jwt_t *jwt)
{
    u_char                 *signature;
    u_char                  der[PROV_AUTH_MAX_DER], md[EVP_MAX_MD_SIZE];
    size_t                  len;
    const prov_auth_alg_t  *alg;
    prov_auth_verifier_t   *verifier;

    alg = &prov_auth_algs[jwt->alg];
    verifier = &key->verify[jwt->alg];

    if (alg->family == PROV_AUTH_EC) {
        signature = der;
        len = prov_auth_signature_der(der, jwt->signature, alg->half);

    } else {
        signature = jwt->signature;
        len = jwt->len;
    }

    /* the digest that it was prepared with */

    if (EVP_DigestInit_ex2(verifier->digest, NULL, NULL) != 1
        || EVP_DigestUpdate(verifier->digest, jwt->content.data,
                            jwt->content.len)
           != 1
        || EVP_DigestFinal_ex(verifier->digest, md, NULL) != 1)
    {
        return NGX_ERROR;
    }

    /* 0 is "no", and so is every negative complaint */

    return (EVP_PKEY_verify(verifier->pkey, signature, len, md, alg->hash)
            == 1)
           ? NGX_OK : NGX_DECLINED;
}


/* EdDSA, whose context is good for one text */

static ngx_int_t
prov_auth_signature_whole(prov_auth_key_t *key, prov_auth_jwt_t *jwt)
{
    int          rc;
    EVP_MD_CTX  *ctx;

    ctx = EVP_MD_CTX_new();
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    if (EVP_MD_CTX_copy_ex(ctx, key->verify[jwt->alg].digest) != 1) {
        EVP_MD_CTX_free(ctx);
        return NGX_ERROR;
    }

    rc = EVP_DigestVerify(ctx, jwt->signature, jwt->len, jwt->content.data,
                          jwt->content.len);

    EVP_MD_CTX_free(ctx);

    return (rc == 1) ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
prov_auth_signature_hmac(prov_auth_key_t *key, prov_auth_jwt_t *jwt)
{
    size_t        len;
    u_char        mac[EVP_MAX_MD_SIZE];
    ngx_int_t     rc;
    EVP_MAC_CTX  *ctx;

    ctx = EVP_MAC_CTX_dup(key->mac);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (EVP_MAC_update(ctx, jwt->content.data, jwt->content.len) == 1
        && EVP_MAC_final(ctx, mac, &len, sizeof(mac)) == 1)
    {
        rc = (len == jwt->len && CRYPTO_memcmp(mac, jwt->signature, len) == 0)
             ? NGX_OK : NGX_DECLINED;
    }

    EVP_MAC_CTX_free(ctx);
    ngx_explicit_memzero(mac, sizeof(mac));

    return rc;
}


/*
 * JWS has r and s side by side (RFC 7518, section 3.4), OpenSSL wants them as
 * ECDSA-Sig-Value (RFC 3279, section 2.2.3).  That they are neither zero nor
 * beyond the order is checked there.
 */

static size_t
prov_auth_signature_der(u_char *dst, u_char *raw, size_t half)
{
    u_char  *p, body[PROV_AUTH_MAX_DER];
    size_t   len;

    p = prov_auth_signature_integer(body, raw, half);
    p = prov_auth_signature_integer(p, raw + half, half);

    len = p - body;
    p = dst;

    *p++ = 0x30;

    if (len > 127) {
        *p++ = 0x81;
    }

    *p++ = (u_char) len;

    p = ngx_cpymem(p, body, len);

    return p - dst;
}


static u_char *
prov_auth_signature_integer(u_char *dst, u_char *src, size_t len)
{
    while (len > 1 && *src == 0) {
        src++;
        len--;
    }

    *dst++ = 0x02;

    if (*src & 0x80) {
        *dst++ = (u_char) (len + 1);
        *dst++ = 0;

    } else {
        *dst++ = (u_char) len;
    }

    return ngx_cpymem(dst, src, len);
}
