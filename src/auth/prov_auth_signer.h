/*
 * Tokens of the gateway's own: provisioning_signer as nginx.conf declares it,
 * the public halves of its keys, and signing through libjwt.  Called by the
 * module (configuration), by issuers that trust a signer, and by handlers.
 * Never decides who gets a token.
 */

#ifndef _PROV_AUTH_SIGNER_H_INCLUDED_
#define _PROV_AUTH_SIGNER_H_INCLUDED_


#include "auth/prov_auth.h"

#include <openssl/evp.h>


/* the one that signs, and the one before or after it */
#define PROV_AUTH_SIGNER_KEYS  2


typedef struct {
    ngx_str_t                kid;
    ngx_uint_t               rsa;         /* RS256, else ES256 */
    ngx_str_t                pem;         /* private; wiped with the pool */
    EVP_PKEY                *public;
} prov_auth_signer_key_t;


/* provisioning_signer: read-only once the configuration is read */

struct prov_auth_signer_s {
    ngx_str_t                name;
    ngx_str_t                iss;
    ngx_str_t                audience;
    time_t                   lifetime;    /* seconds */
    prov_auth_signer_key_t   keys[PROV_AUTH_SIGNER_KEYS];
    ngx_uint_t               nkeys;       /* the first one signs */
    u_char                  *conf_file;
    ngx_uint_t               line;
};


/* A token that is to be signed, perhaps by another thread. */

typedef struct {
    void                    *jwt;         /* jwt_t * */
    char                    *token;       /* malloc()ed; NULL: it failed */
    time_t                   lifetime;    /* seconds */
} prov_auth_signing_t;


/* The directive "provisioning_signer name { … }". */
char *prov_auth_signer_block(ngx_conf_t *cf, ngx_array_t *signers);

/* The signer of that name among prov_auth_signer_t *, or NULL. */
prov_auth_signer_t *prov_auth_signer_find(ngx_array_t *signers,
    ngx_str_t *name);

/*
 * Makes a token ready for a key's identity with these scopes, which ends no
 * later than the key; then signs it,
 * in any thread; then frees what is left.  NGX_ERROR: no memory.
 */
ngx_int_t prov_auth_sign_prepare(prov_auth_signer_t *signer,
    prov_auth_identity_t *identity, ngx_str_t *scopes, ngx_uint_t nscopes,
    prov_auth_signing_t *signing);
void prov_auth_sign(prov_auth_signing_t *signing);
void prov_auth_sign_free(prov_auth_signing_t *signing);


#endif /* _PROV_AUTH_SIGNER_H_INCLUDED_ */
