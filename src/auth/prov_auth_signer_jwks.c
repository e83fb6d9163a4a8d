/*
 * The public keys of a signer as a key set (RFC 7517, RFC 7518 section 6):
 * what a verifier anywhere needs, and nothing else.
 */

#include "auth/prov_auth_signer.h"
#include "auth/prov_auth_private.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>


static json_t *prov_auth_signer_jwk(prov_auth_signer_key_t *key);
static json_t *prov_auth_signer_number(EVP_PKEY *pkey, const char *name,
    size_t size);


ngx_str_t
prov_auth_signer_jwks(ngx_pool_t *pool, prov_auth_signer_key_t *keys,
    ngx_uint_t n)
{
    json_t      *list, *set;
    ngx_str_t    text;
    ngx_uint_t   i;

    ngx_str_null(&text);

    list = json_array();

    for (i = 0; i < n; i++) {
        if (json_array_append_new(list, prov_auth_signer_jwk(&keys[i])) != 0) {
            json_decref(list);
            return text;
        }
    }

    set = json_pack("{s:o}", "keys", list);

    if (set) {
        text = prov_json_text(pool, set);
        json_decref(set);
    }

    ERR_clear_error();

    return text;
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
