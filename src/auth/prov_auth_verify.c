/*
 * The verifier: which issuer a token claims to be from, which of that
 * issuer's keys may have signed it, whether one did, and what it then says.
 * Called for every request with a token.  The one way to an identity leads
 * through a valid signature, or through the cache that remembers one.
 */

#include "auth/prov_auth_private.h"


static ngx_int_t prov_auth_verify_jwt(prov_auth_set_t *set,
    prov_auth_jwt_t *jwt, ngx_pool_t *pool, prov_auth_identity_t **identity,
    prov_auth_refusal_t *refusal);
static prov_auth_issuer_t *prov_auth_verify_issuer(prov_auth_set_t *set,
    prov_json_value_t *iss);
static ngx_int_t prov_auth_verify_no_issuer(prov_json_value_t *iss,
    ngx_pool_t *pool, prov_auth_refusal_t *refusal);
static ngx_int_t prov_auth_verify_keys(prov_auth_issuer_t *issuer,
    prov_auth_jwt_t *jwt, ngx_pool_t *pool, prov_auth_refusal_t *refusal);
static ngx_int_t prov_auth_verify_no_keys(prov_auth_issuer_t *issuer,
    ngx_pool_t *pool, prov_auth_refusal_t *refusal);
static ngx_uint_t prov_auth_verify_candidates(ngx_array_t *keys,
    prov_auth_jwt_t *jwt, prov_auth_key_t **candidates);
static ngx_int_t prov_auth_verify_unknown_key(prov_auth_issuer_t *issuer,
    prov_auth_jwt_t *jwt, ngx_pool_t *pool, prov_auth_refusal_t *refusal,
    const char *why);


/* Only ever counts up, so that a reload within one process reuses no id. */
static uint64_t  prov_auth_sets;


prov_auth_set_t *
prov_auth_set_create(ngx_pool_t *pool)
{
    prov_auth_set_t  *set;

    set = ngx_palloc(pool, sizeof(prov_auth_set_t));
    if (set == NULL) {
        return NULL;
    }

    if (ngx_array_init(&set->issuers, pool, 2, sizeof(prov_auth_issuer_t *))
        != NGX_OK)
    {
        return NULL;
    }

    ngx_str_null(&set->jwks);

    set->id = ++prov_auth_sets;

    return set;
}


ngx_int_t
prov_auth_set_add(prov_auth_set_t *set, prov_auth_issuer_t *issuer)
{
    ngx_uint_t            i;
    prov_auth_issuer_t  **known;

    known = set->issuers.elts;

    for (i = 0; i < set->issuers.nelts; i++) {
        if (known[i]->iss.len == issuer->iss.len
            && ngx_memcmp(known[i]->iss.data, issuer->iss.data,
                          issuer->iss.len)
               == 0)
        {
            return NGX_DECLINED;
        }
    }

    known = ngx_array_push(&set->issuers);
    if (known == NULL) {
        return NGX_ERROR;
    }

    *known = issuer;

    return NGX_OK;
}


ngx_int_t
prov_auth_verify(prov_auth_set_t *set, prov_auth_cache_t *cache,
    ngx_str_t *token, ngx_pool_t *pool, prov_auth_identity_t **identity,
    prov_auth_refusal_t *refusal)
{
    u_char           key[PROV_AUTH_CACHE_KEY];
    ngx_int_t        rc;
    prov_auth_jwt_t  jwt;

    /* nothing longer is in the cache, nor worth a hash */

    if (token->len > PROV_AUTH_MAX_TOKEN) {
        cache = NULL;
    }

    if (cache && prov_auth_cache_key(cache, set, token, key) != NGX_OK) {
        cache = NULL;
    }

    if (cache) {
        rc = prov_auth_cache_find(cache, key, pool, identity);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    refusal->issuer = NULL;
    refusal->unavailable = 0;

    rc = prov_auth_jwt_parse(token, pool, &jwt, refusal);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = prov_auth_verify_jwt(set, &jwt, pool, identity, refusal);

    prov_auth_jwt_free(&jwt);

    if (rc == NGX_OK && cache) {
        prov_auth_cache_store(cache, key, *identity);
    }

    return rc;
}


static ngx_int_t
prov_auth_verify_jwt(prov_auth_set_t *set, prov_auth_jwt_t *jwt,
    ngx_pool_t *pool, prov_auth_identity_t **identity,
    prov_auth_refusal_t *refusal)
{
    ngx_int_t            rc;
    prov_json_value_t   *iss;
    prov_auth_issuer_t  *issuer;

    /* not believed yet: it only chooses whose keys are tried */

    iss = prov_json_get(jwt->payload.root, "iss");

    issuer = prov_auth_verify_issuer(set, iss);
    if (issuer == NULL) {
        return prov_auth_verify_no_issuer(iss, pool, refusal);
    }

    if (!(issuer->algorithms & PROV_AUTH_ALG(jwt->alg))) {
        return prov_auth_refuse(refusal, pool, "token_unsupported_algorithm",
                                "The token is signed with an algorithm that "
                                "is not accepted here.",
                                "issuer \"%V\" does not accept %V",
                                &issuer->name,
                                &prov_auth_algs[jwt->alg].name);
    }

    rc = prov_auth_verify_keys(issuer, jwt, pool, refusal);
    if (rc != NGX_OK) {
        return rc;
    }

    return prov_auth_claims(issuer, jwt->payload.root, pool, identity,
                            refusal);
}


static prov_auth_issuer_t *
prov_auth_verify_issuer(prov_auth_set_t *set, prov_json_value_t *iss)
{
    ngx_uint_t            i;
    prov_auth_issuer_t  **issuer;

    if (!prov_json_is_string(iss)) {
        return NULL;
    }

    issuer = set->issuers.elts;

    for (i = 0; i < set->issuers.nelts; i++) {
        if (issuer[i]->iss.len == iss->text.len
            && ngx_memcmp(issuer[i]->iss.data, iss->text.data, iss->text.len)
               == 0)
        {
            return issuer[i];
        }
    }

    return NULL;
}


static ngx_int_t
prov_auth_verify_no_issuer(prov_json_value_t *iss, ngx_pool_t *pool,
    prov_auth_refusal_t *refusal)
{
    u_char  *shown;

    if (iss == NULL) {
        return prov_auth_refuse_claim(refusal, pool, "token_claim_missing",
                                      "iss", "is missing");
    }

    if (!prov_json_is_string(iss)) {
        return prov_auth_refuse_claim(refusal, pool, "token_claim_invalid",
                                      "iss", "is not a string");
    }

    shown = prov_auth_printable(pool, (char *) iss->text.data, iss->text.len);
    if (shown == NULL) {
        return NGX_ERROR;
    }

    return prov_auth_refuse(refusal, pool, "token_unknown_issuer",
                            "The token's issuer is not accepted here.",
                            "no such issuer here: \"%s\"", shown);
}


static ngx_int_t
prov_auth_verify_keys(prov_auth_issuer_t *issuer, prov_auth_jwt_t *jwt,
    ngx_pool_t *pool, prov_auth_refusal_t *refusal)
{
    ngx_int_t         rc;
    ngx_uint_t        i, n;
    ngx_array_t      *keys;
    prov_auth_key_t  *candidates[PROV_AUTH_MAX_TRIES];

    keys = issuer->source ? prov_auth_remote_keys(issuer) : &issuer->keys;

    if (keys == NULL) {
        return prov_auth_verify_no_keys(issuer, pool, refusal);
    }

    n = prov_auth_verify_candidates(keys, jwt, candidates);

    if (n == 0) {
        refusal->issuer = issuer->source ? issuer : NULL;

        return prov_auth_verify_unknown_key(issuer, jwt, pool, refusal,
                                            "no such key (one without a kid "
                                            "is for tokens without)");
    }

    /* which of many keys it is must not cost more than a few signatures */

    if (n > PROV_AUTH_MAX_TRIES) {
        return prov_auth_verify_unknown_key(issuer, jwt, pool, refusal,
                                            "too many keys to try");
    }

    for (i = 0; i < n; i++) {
        rc = prov_auth_signature(candidates[i], jwt);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    /* the one key of an issuer that does not name its keys may be another */

    refusal->issuer = (issuer->source && !jwt->named) ? issuer : NULL;

    return prov_auth_refuse(refusal, pool, "token_bad_signature",
                            "The token's signature is not valid.",
                            "bad %V signature, issuer \"%V\", keys tried: %ui",
                            &prov_auth_algs[jwt->alg].name, &issuer->name, n);
}


/* It may be a good token, so it is not refused, only not let in now. */

static ngx_int_t
prov_auth_verify_no_keys(prov_auth_issuer_t *issuer, ngx_pool_t *pool,
    prov_auth_refusal_t *refusal)
{
    refusal->issuer = issuer;
    refusal->unavailable = 1;

    return prov_auth_refuse(refusal, pool, "issuer_unavailable",
                            "The keys of the token's issuer could not be "
                            "fetched yet; nothing was done.",
                            "no keys of issuer \"%V\"", &issuer->name);
}


/*
 * The keys that fit the token's algorithm and, when it names one, its kid.
 * Returns how many there are, which may be more than there is room for.
 */

static ngx_uint_t
prov_auth_verify_candidates(ngx_array_t *keys, prov_auth_jwt_t *jwt,
    prov_auth_key_t **candidates)
{
    ngx_uint_t        i, n;
    prov_auth_key_t  *key;

    n = 0;
    key = keys->elts;

    for (i = 0; i < keys->nelts; i++) {

        if (!(key[i].algorithms & PROV_AUTH_ALG(jwt->alg))) {
            continue;
        }

        if (jwt->named
            && (!key[i].named
                || key[i].kid.len != jwt->kid.len
                || ngx_memcmp(key[i].kid.data, jwt->kid.data, jwt->kid.len)
                   != 0))
        {
            continue;
        }

        if (n < PROV_AUTH_MAX_TRIES) {
            candidates[n] = &key[i];
        }

        n++;
    }

    return n;
}


static ngx_int_t
prov_auth_verify_unknown_key(prov_auth_issuer_t *issuer, prov_auth_jwt_t *jwt,
    ngx_pool_t *pool, prov_auth_refusal_t *refusal, const char *why)
{
    u_char  *shown;

    shown = (u_char *) "none";

    if (jwt->named) {
        shown = prov_auth_printable(pool, (char *) jwt->kid.data,
                                    jwt->kid.len);
        if (shown == NULL) {
            return NGX_ERROR;
        }
    }

    return prov_auth_refuse(refusal, pool, "token_unknown_key",
                            "The token does not name a key that is accepted "
                            "here.",
                            "%s, issuer \"%V\", %V, kid \"%s\"", why,
                            &issuer->name, &prov_auth_algs[jwt->alg].name,
                            shown);
}
