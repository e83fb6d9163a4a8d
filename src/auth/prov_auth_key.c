/*
 * Keys as the verifier uses them: what a public key or a secret may verify,
 * whether it is strong enough, and one prepared OpenSSL context for each of
 * its algorithms.  Called while files of keys are read; never sees a token.
 */

#include "auth/prov_auth_private.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rsa.h>


static prov_auth_key_t *prov_auth_key_push(prov_auth_loader_t *loader,
    prov_auth_hint_t *hint);
static ngx_int_t prov_auth_key_type(prov_auth_loader_t *loader,
    prov_auth_key_t *key);
static ngx_int_t prov_auth_key_rsa(prov_auth_loader_t *loader,
    prov_auth_key_t *key);
static ngx_int_t prov_auth_key_ec(prov_auth_loader_t *loader,
    prov_auth_key_t *key);
static ngx_int_t prov_auth_key_prepare(prov_auth_loader_t *loader,
    prov_auth_key_t *key);
static ngx_int_t prov_auth_key_whole(prov_auth_verifier_t *verifier,
    EVP_PKEY *pkey);
static ngx_int_t prov_auth_key_digest(prov_auth_verifier_t *verifier,
    const prov_auth_alg_t *alg, EVP_PKEY *pkey);
static void prov_auth_key_release(prov_auth_verifier_t *verifier);


/*
 * Takes over pkey.  NGX_DECLINED: the key is well formed, but too weak, too
 * strong, of another kind, or not for the algorithms hinted at, and the
 * loader's fault says so.
 */

ngx_int_t
prov_auth_key_add(prov_auth_loader_t *loader, prov_auth_hint_t *hint,
    EVP_PKEY *pkey)
{
    ngx_int_t         rc;
    prov_auth_key_t  *key;

    key = prov_auth_key_push(loader, hint);
    if (key == NULL) {
        EVP_PKEY_free(pkey);
        return NGX_ERROR;
    }

    key->pkey = pkey;

    rc = prov_auth_key_type(loader, key);

    if (rc == NGX_OK) {
        rc = prov_auth_key_prepare(loader, key);
    }

    ERR_clear_error();

    if (rc != NGX_OK) {
        prov_auth_key_free(key);
        loader->keys->nelts--;
    }

    return rc;
}


/* As prov_auth_key_add(); hint->algorithms is exactly one of HS*. */

ngx_int_t
prov_auth_key_add_secret(prov_auth_loader_t *loader, prov_auth_hint_t *hint,
    u_char *data, size_t len)
{
    EVP_MAC                *mac;
    ngx_int_t               rc;
    ngx_uint_t              n;
    OSSL_PARAM              params[2];
    prov_auth_key_t        *key;
    const prov_auth_alg_t  *alg;

    for (n = 0; !(hint->algorithms & PROV_AUTH_ALG(n)); n++) { /* void */ }

    alg = &prov_auth_algs[n];

    if (len < alg->hash || len > PROV_AUTH_MAX_SECRET) {
        (void) prov_auth_fault(loader,
                               "the secret has %uz bytes: %V needs at least "
                               "%uz (RFC 7518, section 3.2), and at most %d "
                               "are read", len, &alg->name, alg->hash,
                               PROV_AUTH_MAX_SECRET);
        return NGX_DECLINED;
    }

    key = prov_auth_key_push(loader, hint);
    if (key == NULL) {
        return NGX_ERROR;
    }

    key->algorithms = hint->algorithms;
    key->size = alg->hash;

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                                 (char *) alg->digest, 0);
    params[1] = OSSL_PARAM_construct_end();

    rc = NGX_DECLINED;

    mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (mac) {
        key->mac = EVP_MAC_CTX_new(mac);

        if (key->mac && EVP_MAC_init(key->mac, data, len, params) == 1) {
            rc = NGX_OK;
        }

        EVP_MAC_free(mac);
    }

    if (rc != NGX_OK) {
        (void) prov_auth_fault(loader, "OpenSSL cannot do %V here",
                               &alg->name);
        prov_auth_key_free(key);
        loader->keys->nelts--;
    }

    ERR_clear_error();

    return rc;
}


static prov_auth_key_t *
prov_auth_key_push(prov_auth_loader_t *loader, prov_auth_hint_t *hint)
{
    prov_auth_key_t  *key;

    if (loader->keys->nelts >= PROV_AUTH_MAX_KEYS) {
        (void) prov_auth_fault(loader, "an issuer has at most %d keys",
                               PROV_AUTH_MAX_KEYS);
        return NULL;
    }

    key = ngx_array_push(loader->keys);
    if (key == NULL) {
        return NULL;
    }

    ngx_memzero(key, sizeof(prov_auth_key_t));

    key->kid = hint->kid;
    key->named = hint->named;
    key->declared = hint->declared;
    key->source = hint->source;
    key->algorithms = hint->algorithms;

    return key;
}


/* Narrows key->algorithms to what the key's type can do. */

static ngx_int_t
prov_auth_key_type(prov_auth_loader_t *loader, prov_auth_key_t *key)
{
    ngx_int_t   rc;
    ngx_str_t   can, wanted;
    ngx_uint_t  hinted;

    hinted = key->algorithms;

    switch (EVP_PKEY_get_base_id(key->pkey)) {

    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
        rc = prov_auth_key_rsa(loader, key);
        break;

    case EVP_PKEY_EC:
        rc = prov_auth_key_ec(loader, key);
        break;

    case EVP_PKEY_ED25519:
    case EVP_PKEY_ED448:
        key->algorithms = PROV_AUTH_ALG(PROV_AUTH_EDDSA);
        key->size = EVP_PKEY_get_size(key->pkey);
        rc = NGX_OK;
        break;

    default:
        (void) prov_auth_fault(loader,
                               "a key of a kind that signs no tokens: use "
                               "RSA, EC (P-256, P-384, P-521), Ed25519 or "
                               "Ed448");
        rc = NGX_DECLINED;
    }

    if (rc != NGX_OK || (key->algorithms & hinted)) {
        key->algorithms &= hinted;
        return rc;
    }

    can = prov_auth_alg_names(loader->pool, key->algorithms);
    wanted = prov_auth_alg_names(loader->pool, hinted);
    if (can.data == NULL || wanted.data == NULL) {
        return NGX_ERROR;
    }

    (void) prov_auth_fault(loader, "this key cannot do %V, it does %V",
                           &wanted, &can);

    return NGX_DECLINED;
}


static ngx_int_t
prov_auth_key_rsa(prov_auth_loader_t *loader, prov_auth_key_t *key)
{
    int         bits;
    BIGNUM     *n, *e;
    ngx_uint_t  sane;

    bits = EVP_PKEY_get_bits(key->pkey);

    if (bits < PROV_AUTH_RSA_MIN || bits > PROV_AUTH_RSA_MAX) {
        (void) prov_auth_fault(loader,
                               "an RSA key of %d bits: it must have %d to %d",
                               bits, PROV_AUTH_RSA_MIN, PROV_AUTH_RSA_MAX);
        return NGX_DECLINED;
    }

    n = NULL;
    e = NULL;

    sane = EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1
           && EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1
           && BN_is_odd(n)
           && BN_is_odd(e)
           && !BN_is_one(e)
           && BN_num_bits(e) <= 31;

    BN_free(n);
    BN_free(e);

    if (!sane) {
        (void) prov_auth_fault(loader,
                               "an RSA key whose modulus is even or whose "
                               "exponent is not an odd number from 3 to %d",
                               PROV_AUTH_RSA_EXPONENT);
        return NGX_DECLINED;
    }

    key->size = EVP_PKEY_get_size(key->pkey);

    key->algorithms = PROV_AUTH_ALG(PROV_AUTH_PS256)
                      | PROV_AUTH_ALG(PROV_AUTH_PS384)
                      | PROV_AUTH_ALG(PROV_AUTH_PS512);

    if (EVP_PKEY_get_base_id(key->pkey) == EVP_PKEY_RSA) {
        key->algorithms |= PROV_AUTH_ALG(PROV_AUTH_RS256)
                           | PROV_AUTH_ALG(PROV_AUTH_RS384)
                           | PROV_AUTH_ALG(PROV_AUTH_RS512);
    }

    return NGX_OK;
}


/*
 * RFC 7518, section 3.4: each of ES* belongs to one curve.  That the key is a
 * point of it OpenSSL has seen to when it read the key.
 */

static ngx_int_t
prov_auth_key_ec(prov_auth_loader_t *loader, prov_auth_key_t *key)
{
    char        curve[64];
    size_t      len;
    ngx_uint_t  n;

    if (EVP_PKEY_get_group_name(key->pkey, curve, sizeof(curve), &len) != 1) {
        ngx_memcpy(curve, "unnamed", sizeof("unnamed"));
    }

    for (n = PROV_AUTH_ES256; n <= PROV_AUTH_ES512; n++) {
        if (ngx_strcmp(curve, prov_auth_algs[n].curve) == 0) {
            break;
        }
    }

    if (n > PROV_AUTH_ES512) {
        (void) prov_auth_fault(loader,
                               "an EC key on the curve \"%s\": use P-256, "
                               "P-384 or P-521", curve);
        return NGX_DECLINED;
    }

    key->algorithms = PROV_AUTH_ALG(n);
    key->size = 2 * prov_auth_algs[n].half;

    return NGX_OK;
}


/*
 * OpenSSL looks algorithms up by name, which costs a few microseconds; so it
 * does that here, once, and the verifier uses the result again and again.
 */

static ngx_int_t
prov_auth_key_prepare(prov_auth_loader_t *loader, prov_auth_key_t *key)
{
    ngx_int_t               rc;
    ngx_uint_t              n;
    const prov_auth_alg_t  *alg;

    for (n = 0; n < PROV_AUTH_ALGS; n++) {

        if (!(key->algorithms & PROV_AUTH_ALG(n))) {
            continue;
        }

        alg = &prov_auth_algs[n];

        rc = alg->digest
             ? prov_auth_key_digest(&key->verify[n], alg, key->pkey)
             : prov_auth_key_whole(&key->verify[n], key->pkey);

        /* an RSA-PSS key may be restricted to other digests */

        if (rc != NGX_OK) {
            prov_auth_key_release(&key->verify[n]);
            key->algorithms &= ~PROV_AUTH_ALG(n);
        }
    }

    if (key->algorithms == 0) {
        (void) prov_auth_fault(loader,
                               "OpenSSL does not verify with this key: it may "
                               "be restricted to another digest");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
prov_auth_key_whole(prov_auth_verifier_t *verifier, EVP_PKEY *pkey)
{
    verifier->digest = EVP_MD_CTX_new();

    return (verifier->digest
            && EVP_DigestVerifyInit_ex(verifier->digest, NULL, NULL, NULL,
                                       NULL, pkey, NULL)
               == 1)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
prov_auth_key_digest(prov_auth_verifier_t *verifier,
    const prov_auth_alg_t *alg, EVP_PKEY *pkey)
{
    int            ready;
    EVP_MD        *md;
    EVP_PKEY_CTX  *ctx;

    ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);

    verifier->pkey = ctx;
    verifier->digest = EVP_MD_CTX_new();

    md = EVP_MD_fetch(NULL, alg->digest, NULL);

    /* the context of the digest, and that of the key, keep what they need */

    ready = ctx && verifier->digest && md
            && EVP_DigestInit_ex2(verifier->digest, md, NULL) == 1
            && EVP_PKEY_verify_init(ctx) == 1;

    if (ready && alg->family != PROV_AUTH_EC) {
        ready = EVP_PKEY_CTX_set_rsa_padding(ctx,
                                             alg->family == PROV_AUTH_RSA_PSS
                                             ? RSA_PKCS1_PSS_PADDING
                                             : RSA_PKCS1_PADDING)
                == 1;
    }

    /* without it, a digest would be compared as it is, whichever it is */

    ready = ready && EVP_PKEY_CTX_set_signature_md(ctx, md) == 1;

    /* RFC 7518, section 3.5: MGF1 with, and a salt as long as, the digest */

    if (ready && alg->family == PROV_AUTH_RSA_PSS) {
        ready = EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, alg->digest, NULL) == 1
                && EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx,
                                                    RSA_PSS_SALTLEN_DIGEST)
                   == 1;
    }

    EVP_MD_free(md);

    return ready ? NGX_OK : NGX_ERROR;
}


static void
prov_auth_key_release(prov_auth_verifier_t *verifier)
{
    EVP_MD_CTX_free(verifier->digest);
    EVP_PKEY_CTX_free(verifier->pkey);

    verifier->digest = NULL;
    verifier->pkey = NULL;
}


void
prov_auth_key_free(prov_auth_key_t *key)
{
    ngx_uint_t  n;

    for (n = 0; n < PROV_AUTH_ALGS; n++) {
        prov_auth_key_release(&key->verify[n]);
    }

    EVP_MAC_CTX_free(key->mac);
    EVP_PKEY_free(key->pkey);

    ngx_memzero(key, sizeof(prov_auth_key_t));
}


/*
 * Puts a sentence into the loader's fault.  Always NGX_ERROR, so that a
 * caller returns it; without memory the message is empty.
 */

ngx_int_t
prov_auth_fault(prov_auth_loader_t *loader, const char *fmt, ...)
{
    u_char   *p, buf[512];
    va_list   args;

    va_start(args, fmt);
    p = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args);
    va_end(args);

    ngx_str_null(&loader->fault.message);

    loader->fault.message.data = ngx_pnalloc(loader->pool, p - buf);

    if (loader->fault.message.data) {
        loader->fault.message.len = p - buf;
        ngx_memcpy(loader->fault.message.data, buf, p - buf);
    }

    return NGX_ERROR;
}
