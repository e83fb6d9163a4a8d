/*
 * What the files of src/auth share with each other and with their unit
 * program: algorithms, keys, the parsed token, the claims and the cache.
 * Included by nothing outside this folder.
 */

#ifndef _PROV_AUTH_PRIVATE_H_INCLUDED_
#define _PROV_AUTH_PRIVATE_H_INCLUDED_


#include "auth/prov_auth.h"
#include "base/prov_json_read.h"

#include <openssl/evp.h>


/* files of operators */
#define PROV_AUTH_MAX_PEM        65536
#define PROV_AUTH_MAX_JWKS       1048576
#define PROV_AUTH_MAX_SECRET     1024
#define PROV_AUTH_MAX_KEYS       256     /* of one issuer */

/* RSA: bits of the modulus; the upper bound limits the cost of one token */
#define PROV_AUTH_RSA_MIN        2048
#define PROV_AUTH_RSA_MAX        8192
#define PROV_AUTH_RSA_EXPONENT   0x7fffffff

#define PROV_AUTH_MAX_KID        256
#define PROV_AUTH_MAX_CLAIM      255     /* bytes of a claim's name */
#define PROV_AUTH_MAX_SIGNATURE  (PROV_AUTH_RSA_MAX / 8)

/* seconds by which clocks may differ */
#define PROV_AUTH_MAX_LEEWAY     300

/* the year 10000 (RFC 3339 ends there, too), or what time_t has room for */
#define PROV_AUTH_END_OF_TIME                                                 \
    ngx_min(253402300800.0,                                                   \
            (double) (NGX_MAX_TIME_T_VALUE - PROV_AUTH_MAX_LEEWAY))

/* keys that one token may cost a try */
#define PROV_AUTH_MAX_TRIES      8

/* bytes of a cached identity with all that it points to */
#define PROV_AUTH_MAX_CACHED     4096


typedef enum {
    PROV_AUTH_RS256 = 0,
    PROV_AUTH_RS384,
    PROV_AUTH_RS512,
    PROV_AUTH_PS256,
    PROV_AUTH_PS384,
    PROV_AUTH_PS512,
    PROV_AUTH_ES256,
    PROV_AUTH_ES384,
    PROV_AUTH_ES512,
    PROV_AUTH_EDDSA,
    PROV_AUTH_HS256,
    PROV_AUTH_HS384,
    PROV_AUTH_HS512,
    PROV_AUTH_ALGS
} prov_auth_alg_e;


typedef enum {
    PROV_AUTH_RSA = 0,
    PROV_AUTH_RSA_PSS,
    PROV_AUTH_EC,
    PROV_AUTH_OKP,
    PROV_AUTH_HMAC
} prov_auth_family_e;


typedef struct {
    ngx_str_t            name;      /* as "alg" has it */
    prov_auth_family_e   family;
    const char          *digest;    /* NULL: the curve says which */
    size_t               hash;      /* bytes of the digest */
    const char          *curve;     /* OpenSSL's name; EC only */
    size_t               half;      /* bytes of r, and of s; EC only */
} prov_auth_alg_t;


#define PROV_AUTH_ALG(n)    ((ngx_uint_t) 1 << (n))

#define PROV_AUTH_SYMMETRIC                                                   \
    (PROV_AUTH_ALG(PROV_AUTH_HS256) | PROV_AUTH_ALG(PROV_AUTH_HS384)          \
     | PROV_AUTH_ALG(PROV_AUTH_HS512))


/*
 * What verifies one algorithm, made ready while the key is read.  Each text
 * begins anew in digest; a worker verifies in one thread only.
 */

typedef struct {
    EVP_MD_CTX    *digest;          /* EdDSA: to be copied, it takes the text
                                       itself, and once */
    EVP_PKEY_CTX  *pkey;            /* NULL: EdDSA */
} prov_auth_verifier_t;


struct prov_auth_key_s {
    ngx_str_t      kid;
    ngx_str_t      source;          /* where it stands, for messages */
    ngx_uint_t     algorithms;      /* mask of PROV_AUTH_ALG() */
    size_t         size;            /* bytes of a signature; 0: see HMAC */
    EVP_PKEY      *pkey;            /* NULL: symmetric */
    EVP_MAC_CTX   *mac;             /* symmetric keys do one algorithm */
    unsigned       named:1;         /* has a kid */
    unsigned       declared:1;      /* by key or secret, not in a JWKS */

    prov_auth_verifier_t  verify[PROV_AUTH_ALGS];
};


/* What a key is meant for, as nginx.conf or a JWK says. */

typedef struct {
    ngx_str_t      kid;
    ngx_str_t      source;
    ngx_uint_t     algorithms;      /* mask; all when nothing was said */
    unsigned       named:1;         /* there is a kid */
    unsigned       declared:1;      /* by key or secret, not in a JWKS */
} prov_auth_hint_t;


/*
 * Where files of keys go: keys and remarks of one issuer.  Functions that
 * read them return NGX_OK, or NGX_ERROR with fault->message (and pointer)
 * filled in; an empty message means that there is no memory.
 */

typedef struct {
    ngx_pool_t    *pool;
    ngx_array_t   *keys;            /* prov_auth_key_t */
    ngx_array_t   *remarks;         /* ngx_str_t: what was left out, and why */
    prov_fault_t   fault;
    unsigned       fetched:1;       /* no file that the operator could mend:
                                       a broken key is left out, too */
} prov_auth_loader_t;


/* One block of nginx.conf while it is read. */

typedef struct {
    prov_auth_issuer_t  *issuer;
    prov_auth_loader_t   loader;
    ngx_array_t         *signers;   /* prov_auth_signer_t * */
} prov_auth_block_t;


/* A token that has the right form, and whose signature proves nothing yet. */

typedef struct {
    ngx_str_t         content;      /* "header.payload", what was signed */
    prov_json_text_t  header;
    prov_json_text_t  payload;
    prov_auth_alg_e   alg;
    ngx_str_t         kid;
    ngx_uint_t        named;        /* there is a kid */
    size_t            len;          /* of the signature */
    u_char            signature[PROV_AUTH_MAX_SIGNATURE];
    u_char            text[PROV_AUTH_MAX_TOKEN / 4 * 3];  /* both, decoded */
} prov_auth_jwt_t;


/* algorithms */
extern const prov_auth_alg_t  prov_auth_algs[];

prov_auth_alg_e prov_auth_alg_find(u_char *name, size_t len);
ngx_str_t prov_auth_alg_names(ngx_pool_t *pool, ngx_uint_t mask);


/* keys */
ngx_int_t prov_auth_key_add(prov_auth_loader_t *loader,
    prov_auth_hint_t *hint, EVP_PKEY *pkey);
ngx_int_t prov_auth_key_add_secret(prov_auth_loader_t *loader,
    prov_auth_hint_t *hint, u_char *data, size_t len);
void prov_auth_key_free(prov_auth_key_t *key);
ngx_int_t prov_auth_fault(prov_auth_loader_t *loader, const char *fmt, ...);

/* files */
ngx_int_t prov_auth_file_pem(prov_auth_loader_t *loader, ngx_str_t *file,
    prov_auth_hint_t *hint);
ngx_int_t prov_auth_file_secret(prov_auth_loader_t *loader, ngx_str_t *file,
    prov_auth_hint_t *hint);
ngx_int_t prov_auth_file_jwks(prov_auth_loader_t *loader, ngx_str_t *file);
ngx_int_t prov_auth_jwks_read(prov_auth_loader_t *loader, ngx_str_t *name,
    ngx_str_t *text);
ngx_int_t prov_auth_file_read(prov_auth_loader_t *loader, ngx_str_t *file,
    size_t max, ngx_str_t *text);

/* members of a JWK; NGX_DECLINED: sound, but of no use (or not there) */
ngx_int_t prov_auth_jwk_public(prov_auth_loader_t *loader, json_t *jwk,
    prov_auth_hint_t *hint, const char *kty);
ngx_int_t prov_auth_jwk_oct(prov_auth_loader_t *loader, json_t *jwk,
    prov_auth_hint_t *hint);
ngx_int_t prov_auth_jwk_string(prov_auth_loader_t *loader, json_t *jwk,
    const char *name, ngx_str_t *value);


/* directives of provisioning_issuer; data is its prov_auth_block_t */
char *prov_auth_conf_iss(ngx_conf_t *cf, ngx_command_t *cmd, void *data);
char *prov_auth_conf_audience(ngx_conf_t *cf, ngx_command_t *cmd, void *data);
char *prov_auth_conf_algorithms(ngx_conf_t *cf, ngx_command_t *cmd,
    void *data);
char *prov_auth_conf_claim(ngx_conf_t *cf, ngx_command_t *cmd, void *data);
char *prov_auth_conf_leeway(ngx_conf_t *cf, ngx_command_t *cmd, void *data);
char *prov_auth_conf_key(ngx_conf_t *cf, ngx_command_t *cmd, void *data);
char *prov_auth_conf_jwks(ngx_conf_t *cf, ngx_command_t *cmd, void *data);
char *prov_auth_conf_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *data);
char *prov_auth_conf_signer(ngx_conf_t *cf, ngx_command_t *cmd, void *data);
char *prov_auth_conf_bind(ngx_conf_t *cf, prov_auth_issuer_t *issuer);
char *prov_auth_conf_refuse(ngx_conf_t *cf, prov_auth_issuer_t *issuer,
    const char *what);


/* tokens */
ngx_int_t prov_auth_base64url(u_char *dst, size_t size, u_char *src,
    size_t len);
ngx_int_t prov_auth_jwt_parse(ngx_str_t *token, ngx_pool_t *pool,
    prov_auth_jwt_t *jwt, prov_auth_refusal_t *refusal);
void prov_auth_jwt_free(prov_auth_jwt_t *jwt);
ngx_int_t prov_auth_signature(prov_auth_key_t *key, prov_auth_jwt_t *jwt);
ngx_int_t prov_auth_claims(prov_auth_issuer_t *issuer,
    prov_json_value_t *payload, ngx_pool_t *pool,
    prov_auth_identity_t **identity, prov_auth_refusal_t *refusal);

/* Halves of that: NGX_OK, or NGX_DECLINED with *refusal. */
ngx_int_t prov_auth_claims_audience(prov_auth_issuer_t *issuer,
    prov_json_value_t *payload, ngx_pool_t *pool,
    prov_auth_refusal_t *refusal);
ngx_int_t prov_auth_claims_time(prov_auth_issuer_t *issuer,
    prov_json_value_t *payload, ngx_pool_t *pool, time_t *expires,
    prov_auth_refusal_t *refusal);


/*
 * Keys that are fetched (prov_auth_remote.c): those that count now, or NULL,
 * and which they are, so that what was verified with others can be told.
 */
ngx_array_t *prov_auth_remote_keys(prov_auth_issuer_t *issuer);
ngx_uint_t prov_auth_remote_generation(prov_auth_issuer_t *issuer);


/*
 * Refusals return NGX_DECLINED, or NGX_ERROR when there is no memory for the
 * log's words.  code and detail are literals.
 */
ngx_int_t prov_auth_refuse(prov_auth_refusal_t *refusal, ngx_pool_t *pool,
    const char *code, const char *detail, const char *fmt, ...);
ngx_int_t prov_auth_refuse_claim(prov_auth_refusal_t *refusal,
    ngx_pool_t *pool, const char *code, const char *claim, const char *what);
u_char *prov_auth_printable(ngx_pool_t *pool, const char *data, size_t len);


/* the identity as one piece of memory, and the cache that keeps such pieces */
size_t prov_auth_identity_size(prov_auth_identity_t *identity);
prov_auth_identity_t *prov_auth_identity_copy(void *dst,
    prov_auth_identity_t *identity);

#define PROV_AUTH_CACHE_KEY  32

ngx_int_t prov_auth_cache_key(prov_auth_cache_t *cache, prov_auth_set_t *set,
    ngx_str_t *token, u_char *key);
ngx_int_t prov_auth_cache_find(prov_auth_cache_t *cache, u_char *key,
    ngx_pool_t *pool, prov_auth_identity_t **identity);
void prov_auth_cache_store(prov_auth_cache_t *cache, u_char *key,
    prov_auth_identity_t *identity);
ngx_uint_t prov_auth_cache_count(prov_auth_cache_t *cache);


#endif /* _PROV_AUTH_PRIVATE_H_INCLUDED_ */
