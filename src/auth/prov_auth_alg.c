/*
 * The signature algorithms of RFC 7518 and RFC 8037 that the module knows, as
 * one table.  "none" is not in it, and nothing adds to it at run time.
 */

#include "auth/prov_auth_private.h"


/* in the order of prov_auth_alg_e */

const prov_auth_alg_t  prov_auth_algs[] = {

    { ngx_string("RS256"), PROV_AUTH_RSA, "SHA256", 32, NULL, 0 },
    { ngx_string("RS384"), PROV_AUTH_RSA, "SHA384", 48, NULL, 0 },
    { ngx_string("RS512"), PROV_AUTH_RSA, "SHA512", 64, NULL, 0 },

    { ngx_string("PS256"), PROV_AUTH_RSA_PSS, "SHA256", 32, NULL, 0 },
    { ngx_string("PS384"), PROV_AUTH_RSA_PSS, "SHA384", 48, NULL, 0 },
    { ngx_string("PS512"), PROV_AUTH_RSA_PSS, "SHA512", 64, NULL, 0 },

    { ngx_string("ES256"), PROV_AUTH_EC, "SHA256", 32, "prime256v1", 32 },
    { ngx_string("ES384"), PROV_AUTH_EC, "SHA384", 48, "secp384r1", 48 },
    { ngx_string("ES512"), PROV_AUTH_EC, "SHA512", 64, "secp521r1", 66 },

    { ngx_string("EdDSA"), PROV_AUTH_OKP, NULL, 0, NULL, 0 },

    { ngx_string("HS256"), PROV_AUTH_HMAC, "SHA256", 32, NULL, 0 },
    { ngx_string("HS384"), PROV_AUTH_HMAC, "SHA384", 48, NULL, 0 },
    { ngx_string("HS512"), PROV_AUTH_HMAC, "SHA512", 64, NULL, 0 },

    { ngx_null_string, 0, NULL, 0, NULL, 0 }
};


/* Case-sensitive (RFC 7515, section 4.1.1); PROV_AUTH_ALGS: not known. */

prov_auth_alg_e
prov_auth_alg_find(u_char *name, size_t len)
{
    ngx_uint_t  n;

    for (n = 0; n < PROV_AUTH_ALGS; n++) {
        if (prov_auth_algs[n].name.len == len
            && ngx_memcmp(prov_auth_algs[n].name.data, name, len) == 0)
        {
            break;
        }
    }

    return n;
}


/* "RS256 ES256", for messages; .data is NULL when there is no memory. */

ngx_str_t
prov_auth_alg_names(ngx_pool_t *pool, ngx_uint_t mask)
{
    u_char      *p;
    ngx_str_t    text;
    ngx_uint_t   n;

    text.len = 0;
    text.data = ngx_pnalloc(pool, PROV_AUTH_ALGS * sizeof("RS256 "));
    if (text.data == NULL) {
        return text;
    }

    p = text.data;

    for (n = 0; n < PROV_AUTH_ALGS; n++) {

        if (!(mask & PROV_AUTH_ALG(n))) {
            continue;
        }

        if (p != text.data) {
            *p++ = ' ';
        }

        p = ngx_cpymem(p, prov_auth_algs[n].name.data,
                       prov_auth_algs[n].name.len);
    }

    text.len = p - text.data;

    return text;
}
