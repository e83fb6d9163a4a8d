/*
 * What a bucket is found by: what it is for, where that is short, and else a
 * digest of it, so that whatever callers send takes up the same room in a
 * zone, and nobody can make a key that is another's.
 */

#include "limit/prov_limit.h"

#include <openssl/err.h>
#include <openssl/evp.h>


/* what stands before a short value: zero, its kind, its length */
#define PROV_LIMIT_HEAD  3


/*
 * of this process, made by the first request: a fetch for each costs more than
 * the digest
 */
static EVP_MD      *prov_limit_sha256;
static EVP_MD_CTX  *prov_limit_digest;


ngx_int_t
prov_limit_key(u_char *key, u_char kind, ngx_str_t *value, ngx_str_t *more)
{
    uint64_t  head[2];

    /* an address, the name of a partner */

    if (more == NULL && value->len <= PROV_LIMIT_KEY - PROV_LIMIT_HEAD) {
        ngx_memzero(key, PROV_LIMIT_KEY);

        key[1] = kind;
        key[2] = (u_char) value->len;
        ngx_memcpy(key + PROV_LIMIT_HEAD, value->data, value->len);

        return NGX_OK;
    }

    if (prov_limit_sha256 == NULL) {
        prov_limit_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    }

    if (prov_limit_digest == NULL) {
        prov_limit_digest = EVP_MD_CTX_new();
    }

    /* the length says where value ends and more begins */

    head[0] = kind;
    head[1] = value->len;

    if (prov_limit_sha256 == NULL || prov_limit_digest == NULL
        || EVP_DigestInit_ex2(prov_limit_digest, prov_limit_sha256, NULL) != 1
        || EVP_DigestUpdate(prov_limit_digest, head, sizeof(head)) != 1
        || EVP_DigestUpdate(prov_limit_digest, value->data, value->len) != 1
        || (more && EVP_DigestUpdate(prov_limit_digest, more->data, more->len)
                    != 1)
        || EVP_DigestFinal_ex(prov_limit_digest, key, NULL) != 1)
    {
        ERR_clear_error();
        return NGX_ERROR;
    }

    /* no digest is what stands above for another value */
    key[0] |= 1;

    return NGX_OK;
}
