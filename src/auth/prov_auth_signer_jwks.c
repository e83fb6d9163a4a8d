/*
 * The public keys of the signers that a location trusts, as a key set
 * (RFC 7517, RFC 7518 section 6): what a verifier anywhere needs, and nothing
 * else.  Made while nginx reads its configuration.
 */

#include "auth/prov_auth_signer.h"
#include "auth/prov_auth_private.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>


static ngx_int_t prov_auth_signer_publish(json_t *list,
    prov_auth_signer_key_t *key, prov_auth_signer_key_t **published,
    ngx_uint_t *n);
static json_t *prov_auth_signer_jwk(prov_auth_signer_key_t *key);
static json_t *prov_auth_signer_number(EVP_PKEY *pkey, const char *name,
    size_t size);


ngx_int_t
prov_auth_set_publish(prov_auth_set_t *set, ngx_pool_t *pool, ngx_str_t *kid)
{
    json_t                   *list, *json;
    ngx_int_t                 rc;
    ngx_uint_t                i, j, n;
    prov_auth_signer_t       *signer;
    prov_auth_issuer_t      **issuer;
    prov_auth_signer_key_t  **published;

    issuer = set->issuers.elts;

    published = ngx_palloc(pool, (set->issuers.nelts * PROV_AUTH_SIGNER_KEYS
                                  + 1) * sizeof(prov_auth_signer_key_t *));
    if (published == NULL) {
        return NGX_ERROR;
    }

    list = json_array();
    rc = NGX_OK;
    n = 0;

    for (i = 0; i < set->issuers.nelts && rc == NGX_OK; i++) {

        signer = issuer[i]->signer;

        for (j = 0; signer && j < signer->nkeys && rc == NGX_OK; j++) {
            rc = prov_auth_signer_publish(list, &signer->keys[j], published,
                                          &n);
            *kid = signer->keys[j].kid;
        }
    }

    ERR_clear_error();

    if (rc != NGX_OK) {
        json_decref(list);
        return rc;
    }

    json = json_pack("{s:o}", "keys", list);

    if (json) {
        set->jwks = prov_json_text(pool, json);
        json_decref(json);
    }

    return set->jwks.data ? NGX_OK : NGX_ERROR;
}


/* Once, also when two signers have it: a set's kids are distinct. */

static ngx_int_t
prov_auth_signer_publish(json_t *list, prov_auth_signer_key_t *key,
    prov_auth_signer_key_t **published, ngx_uint_t *n)
{
    ngx_str_t   *kid;
    ngx_uint_t   i;

    for (i = 0; i < *n; i++) {
        kid = &published[i]->kid;

        if (kid->len == key->kid.len
            && ngx_memcmp(kid->data, key->kid.data, kid->len) == 0)
        {
            return EVP_PKEY_eq(published[i]->public, key->public) == 1
                   ? NGX_OK : NGX_DECLINED;
        }
    }

    published[(*n)++] = key;

    return json_array_append_new(list, prov_auth_signer_jwk(key)) == 0
           ? NGX_OK : NGX_ERROR;
}


static json_t *
prov_auth_signer_jwk(prov_auth_signer_key_t *key)
{
    if (key->rsa) {
        return json_pack("{s:s, s:s%, s:s, s:s, s:o, s:o}",
                         "kty", "RSA", "kid", key->kid.data, key->kid.len,
                         "use", "sig", "alg", "RS256",
                         "n", prov_auth_signer_number(key->public,
                                                      OSSL_PKEY_PARAM_RSA_N,
                                                      0),
                         "e", prov_auth_signer_number(key->public,
                                                      OSSL_PKEY_PARAM_RSA_E,
                                                      0));
    }

    return json_pack("{s:s, s:s%, s:s, s:s, s:s, s:o, s:o}",
                     "kty", "EC", "kid", key->kid.data, key->kid.len,
                     "use", "sig", "alg", "ES256", "crv", "P-256",
                     "x", prov_auth_signer_number(key->public,
                                                  OSSL_PKEY_PARAM_EC_PUB_X,
                                                  32),
                     "y", prov_auth_signer_number(key->public,
                                                  OSSL_PKEY_PARAM_EC_PUB_Y,
                                                  32));
}


/* Base64urlUInt (RFC 7518, section 2); size 0: as many octets as it has */

static json_t *
prov_auth_signer_number(EVP_PKEY *pkey, const char *name, size_t size)
{
    u_char     bytes[PROV_AUTH_RSA_MAX / 8];
    u_char     text[ngx_base64_encoded_length(PROV_AUTH_RSA_MAX / 8)];
    json_t    *json;
    BIGNUM    *number;
    ngx_str_t  src, dst;

    number = NULL;
    json = NULL;

    if (EVP_PKEY_get_bn_param(pkey, name, &number) == 1) {

        src.len = size ? size : (size_t) BN_num_bytes(number);
        src.data = bytes;
        dst.data = text;

        if (src.len <= sizeof(bytes)
            && BN_bn2binpad(number, bytes, src.len) == (int) src.len)
        {
            ngx_encode_base64url(&dst, &src);
            json = json_stringn((char *) dst.data, dst.len);
        }
    }

    BN_free(number);

    return json;
}
