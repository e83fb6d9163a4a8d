/*
 * API keys: what one looks like, what the database says of it, and whether
 * the two belong together.  Called by src/request, which asks the database.
 * A secret is compared as a hash, in constant time, and never kept.
 */

#ifndef _PROV_AUTH_APIKEY_H_INCLUDED_
#define _PROV_AUTH_APIKEY_H_INCLUDED_


#include "auth/prov_auth.h"


/* an id as a UUID's text; a hash as SHA-256 has it */
#define PROV_AUTH_APIKEY_ID      36
#define PROV_AUTH_APIKEY_HASH    32

/* "pk_", client id, "_", secret, checksum */
#define PROV_AUTH_APIKEY_CLIENT  32
#define PROV_AUTH_APIKEY_SECRET  43
#define PROV_AUTH_APIKEY_SUM     8
#define PROV_AUTH_APIKEY_LEN                                                  \
    (3 + PROV_AUTH_APIKEY_CLIENT + 1 + PROV_AUTH_APIKEY_SECRET                \
     + PROV_AUTH_APIKEY_SUM)


/* What a caller has shown. */

typedef struct {
    u_char                 id[PROV_AUTH_APIKEY_ID];
    u_char                 hash[PROV_AUTH_APIKEY_HASH];
} prov_auth_shown_t;


/* What the database says of a key; one piece of memory, for ngx_free(). */

typedef struct {
    u_char                 hash[PROV_AUTH_APIKEY_HASH];
    u_char                 previous[PROV_AUTH_APIKEY_HASH];
    time_t                 previous_until;   /* 0: there is none */
    time_t                 expires;          /* 0: never */
    time_t                 used;             /* 0: never */
    prov_auth_identity_t  *identity;
    unsigned               revoked:1;
    unsigned               active:1;         /* its partner is */
} prov_auth_apikey_t;


/* 1 when a bearer token is meant to be an API key: it begins with "pk_" */
ngx_uint_t prov_auth_apikey_meant(ngx_str_t *text);

/*
 * Takes a key apart.  NGX_DECLINED: it is none, by its form or checksum.
 * The second form is that of a client id and a secret, which is either the
 * whole key or what stands behind its client id.
 */
ngx_int_t prov_auth_apikey_parse(ngx_str_t *text, prov_auth_shown_t *shown);
ngx_int_t prov_auth_apikey_client(ngx_str_t *client, ngx_str_t *secret,
    prov_auth_shown_t *shown);

/*
 * Makes the text of the key with this id (a UUID in small letters), with a new
 * secret, PROV_AUTH_APIKEY_LEN characters that are the caller's to wipe, and
 * the hash of the secret, which may be kept.  NGX_ERROR: no randomness, or no
 * such id.
 */
ngx_int_t prov_auth_apikey_new(ngx_str_t *id, u_char *text, u_char *hash);

/*
 * Reads what prov.api_key_find() has answered.  The identity's issuer is the
 * one given, which must outlive the key.  NULL: it is not what it should be,
 * or there is no memory.
 */
prov_auth_apikey_t *prov_auth_apikey_read(u_char *data, size_t len,
    prov_auth_issuer_t *issuer, ngx_log_t *log);

/* Whether the secret that was shown is the key's, or its one before. */
ngx_uint_t prov_auth_apikey_same(prov_auth_apikey_t *key,
    prov_auth_shown_t *shown);

/*
 * Whether what was shown is the key, and the key is good.  key is NULL where
 * there is no such.  NGX_OK: *identity, in pool.  NGX_DECLINED: *refusal,
 * whose code is "partner_unknown" where it is not the key's fault.
 * NGX_ERROR: no memory.
 */
ngx_int_t prov_auth_apikey_check(prov_auth_apikey_t *key,
    prov_auth_shown_t *shown, ngx_pool_t *pool,
    prov_auth_identity_t **identity, prov_auth_refusal_t *refusal);


#endif /* _PROV_AUTH_APIKEY_H_INCLUDED_ */
