/*
 * Who is calling: issuers as nginx.conf declares them, their keys, the strict
 * JWT parser (RFC 7519, RFC 8725), the verifier, and the worker's cache of
 * verified tokens.  Called by the module (configuration) and by src/request
 * (every request with a token).  Never decides what a caller may do.
 */

#ifndef _PROV_AUTH_H_INCLUDED_
#define _PROV_AUTH_H_INCLUDED_


#include "base/prov_json.h"


/* bytes of a token, and of its header segment as it is sent */
#define PROV_AUTH_MAX_TOKEN    16384
#define PROV_AUTH_MAX_HEADER   8192

/* bytes of a subject or partner; roles of a token; bytes of a role */
#define PROV_AUTH_MAX_SUBJECT  256
#define PROV_AUTH_MAX_ROLES    64
#define PROV_AUTH_MAX_ROLE     128

/* networks of a key */
#define PROV_AUTH_MAX_NETWORKS 64


struct prov_http_conf_s;                              /* http/prov_http.h */

typedef struct prov_auth_key_s    prov_auth_key_t;    /* private to src/auth */
typedef struct prov_auth_cache_s  prov_auth_cache_t;
typedef struct prov_auth_signer_s  prov_auth_signer_t;
typedef struct prov_auth_source_s  prov_auth_source_t;   /* private, too */


/* provisioning_issuer: read-only once the configuration is read */

typedef struct {
    ngx_str_t          name;            /* in nginx.conf */
    ngx_str_t          iss;
    ngx_array_t        audiences;       /* ngx_str_t: one must be in "aud" */
    ngx_uint_t         algorithms;      /* mask of PROV_AUTH_ALG() */
    ngx_array_t        keys;            /* prov_auth_key_t; of a source: none,
                                           each worker has its own */
    ngx_str_t          subject_claim;   /* default "sub" */
    ngx_str_t          partner_claim;   /* default "partner" */
    ngx_str_t          roles_claim;     /* default "roles"; "a.b" is a path */
    time_t             leeway;          /* seconds */
    prov_auth_signer_t  *signer;        /* NULL: its keys are elsewhere */
    prov_auth_source_t  *source;        /* NULL: its keys are not fetched */
    u_char            *conf_file;       /* where the block stands */
    ngx_uint_t         line;
} prov_auth_issuer_t;


/*
 * The issuers that one location trusts, as provisioning_auth names them.
 * The set has an identity of its own because a token that one location's
 * set accepts must never be served from the cache to another's.
 */

typedef struct {
    ngx_array_t        issuers;         /* prov_auth_issuer_t * */
    ngx_str_t          jwks;            /* its signers' keys, as published */
    uint64_t           id;              /* never used twice in a process */
} prov_auth_set_t;


/* bytes of what whoever uses an identity keeps with it */
#define PROV_AUTH_NOTE  32


/*
 * What a verified token says; in one piece, except for the issuer, which the
 * configuration keeps.  Several requests may have the same one, so nothing in
 * it is changed, but for the note.
 */

typedef struct {
    prov_auth_issuer_t  *issuer;
    ngx_str_t            subject;
    ngx_str_t            partner;       /* empty: the token names none */
    ngx_str_t            key;           /* id of the API key that was shown,
                                           or bought the token; or empty */
    ngx_str_t           *roles;         /* scopes, if scoped */
    ngx_uint_t           nroles;
    ngx_str_t           *networks;      /* CIDR: from where; none: any */
    ngx_uint_t           nnetworks;
    time_t               expires;       /* "exp": without the leeway; of a
                                           key: 0 is never */
    ngx_str_t            told;          /* prov_auth_identity_told(), where
                                           it was written already */
    u_char               note[PROV_AUTH_NOTE];  /* what src/request has made
                                                   of all this */
    unsigned             noted:1;       /* it is there */
    unsigned             scoped:1;      /* may do what roles say, literally */
} prov_auth_identity_t;


/* Why a token was refused: for the caller, and, in more words, for the log. */

typedef struct {
    ngx_str_t            code;          /* "token_expired", … (snake_case) */
    ngx_str_t            detail;        /* a sentence that reveals nothing */
    ngx_str_t            log;           /* for the error log; no secrets */
    prov_auth_issuer_t  *issuer;        /* NULL, or who may have a key by now
                                           that would do: prov_auth_await() */
    unsigned             unavailable:1; /* nobody can say: 503, not 401 */
} prov_auth_refusal_t;


/* A request that waits for an issuer's keys; in the request's memory. */

typedef struct {
    ngx_queue_t          queue;
    void                *remote;        /* whose queue that is */
    ngx_uint_t           waits;         /* so often it has waited */
    void               (*handler)(void *data);
    void                *data;
    unsigned             waiting:1;
} prov_auth_wait_t;


/*
 * The directive "provisioning_issuer name { … }".  issuers is the array of
 * prov_auth_issuer_t * that the configuration keeps, signers that of
 * prov_auth_signer_t * that it may name.  Returns NGX_CONF_OK, or
 * NGX_CONF_ERROR after logging file, line and what to write instead.
 */
char *prov_auth_issuer_block(ngx_conf_t *cf, ngx_array_t *issuers,
    ngx_array_t *signers);

/* The issuer of that name among prov_auth_issuer_t *, or NULL. */
prov_auth_issuer_t *prov_auth_issuer_find(ngx_array_t *issuers,
    ngx_str_t *name);

/*
 * An empty set with an identity of its own; NULL: no memory.  Adding returns
 * NGX_DECLINED for an issuer whose "iss" the set already has (a token must
 * belong to exactly one), NGX_ERROR when there is no memory.
 */
prov_auth_set_t *prov_auth_set_create(ngx_pool_t *pool);
ngx_int_t prov_auth_set_add(prov_auth_set_t *set, prov_auth_issuer_t *issuer);

/*
 * Sets set->jwks, {"keys": [ … ]} (RFC 7517), when all issuers are in it.
 * NGX_DECLINED: two of its signers have this kid for different keys.
 */
ngx_int_t prov_auth_set_publish(prov_auth_set_t *set, ngx_pool_t *pool,
    ngx_str_t *kid);

/*
 * Verifies a compact JWT against the issuers of a set.  Consults and feeds
 * cache, which may be NULL.  The identity is there for as long as pool is.
 *
 * NGX_OK: *identity.  NGX_DECLINED: *refusal.  NGX_ERROR: no memory.
 */
ngx_int_t prov_auth_verify(prov_auth_set_t *set, prov_auth_cache_t *cache,
    ngx_str_t *token, ngx_pool_t *pool, prov_auth_identity_t **identity,
    prov_auth_refusal_t *refusal);

/*
 * Writes the identity's members of the object that the database is told of a
 * caller in, with a comma before each; returns the end.  len is an upper
 * bound.
 */
size_t prov_auth_identity_told_len(prov_auth_identity_t *identity);
u_char *prov_auth_identity_told(u_char *p, prov_auth_identity_t *identity);

/*
 * What a refusal with an issuer leads to.  NGX_AGAIN: wait->handler, which the
 * caller has set, will be called, never from within, and the token should be
 * verified again then; prov_auth_await_end() calls that off.  NGX_DECLINED:
 * the refusal stands.  NGX_BUSY: the issuer's keys, or its latest keys, cannot
 * be had now; prov_auth_retry() says in how many seconds they might.
 */
ngx_int_t prov_auth_await(prov_auth_issuer_t *issuer, prov_auth_wait_t *wait);
void prov_auth_await_end(prov_auth_wait_t *wait);
ngx_uint_t prov_auth_retry(prov_auth_issuer_t *issuer);

/* An issuer of the set whose keys this worker has never had, or NULL. */
prov_auth_issuer_t *prov_auth_set_keyless(prov_auth_set_t *set);

/*
 * Issuers whose keys are fetched: checked once all of the configuration is
 * read, and fetched by each worker.
 */
ngx_int_t prov_auth_sources_check(ngx_conf_t *cf, ngx_array_t *issuers,
    struct prov_http_conf_s **http);
ngx_int_t prov_auth_init_worker(ngx_cycle_t *cycle, ngx_array_t *issuers);
void prov_auth_exit_worker(void);

/*
 * A worker's cache of verified tokens, bounded to size entries (the least
 * recently used one leaves).  Made in init_process, destroyed with pool.
 * NULL: no memory.
 */
prov_auth_cache_t *prov_auth_cache_create(ngx_pool_t *pool, ngx_uint_t size);


#endif /* _PROV_AUTH_H_INCLUDED_ */
