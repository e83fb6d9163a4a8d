/*
 * What a bucket is found by: a digest, so that whatever callers send takes up
 * the same room in a zone, and nobody can make a key that is another's.
 */

#include "limit/prov_limit.h"

#include <openssl/err.h>
#include <openssl/evp.h>


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

    return NGX_OK;
}
