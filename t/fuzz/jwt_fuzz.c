/*
 * Fuzz target for tokens: the strict parser, the search for issuer and key,
 * a real HMAC, and the claims of whatever the parser lets through, with a
 * signature or without.
 *
 *     clang -fsanitize=fuzzer,address,undefined … && ./fuzz corpus/jwt
 */

#include "auth/prov_auth_private.h"
#include "ngx_shim.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static prov_auth_set_t     *set;
static prov_auth_issuer_t   issuer;


static void
setup(void)
{
    ngx_str_t           *audience;
    ngx_pool_t          *pool;
    prov_auth_hint_t     hint;
    prov_auth_loader_t   loader;

    static u_char  secret[] = "0123456789abcdef0123456789abcdef";

    ngx_shim_set_time(1900000000, 0);

    /* lives as long as the program */
    pool = ngx_create_pool(4096, ngx_shim_log());

    ngx_str_set(&issuer.name, "fuzz");
    ngx_str_set(&issuer.iss, "i");
    ngx_str_set(&issuer.subject_claim, "sub");
    ngx_str_set(&issuer.partner_claim, "a.b.c");
    ngx_str_set(&issuer.roles_claim, "roles");
    issuer.algorithms = PROV_AUTH_ALG(PROV_AUTH_HS256);
    ngx_array_init(&issuer.audiences, pool, 1, sizeof(ngx_str_t));
    ngx_array_init(&issuer.keys, pool, 1, sizeof(prov_auth_key_t));

    audience = ngx_array_push(&issuer.audiences);
    ngx_str_set(audience, "a");

    memset(&loader, 0, sizeof(loader));
    loader.pool = pool;
    loader.keys = &issuer.keys;

    memset(&hint, 0, sizeof(hint));
    hint.algorithms = issuer.algorithms;

    set = prov_auth_set_create(pool);

    if (prov_auth_key_add_secret(&loader, &hint, secret, 32) != NGX_OK
        || prov_auth_set_add(set, &issuer) != NGX_OK)
    {
        abort();
    }
}


/* What is handed out keeps the promises of prov_auth.h. */

static void
inspect(ngx_int_t rc, prov_auth_identity_t *identity,
    prov_auth_refusal_t *refusal)
{
    ngx_uint_t  i;

    if (rc == NGX_DECLINED) {
        if (refusal->code.len == 0 || refusal->detail.len == 0
            || refusal->log.len == 0)
        {
            abort();
        }

        return;
    }

    if (rc != NGX_OK
        || identity->subject.len == 0
        || identity->subject.len > PROV_AUTH_MAX_SUBJECT
        || identity->partner.len > PROV_AUTH_MAX_SUBJECT
        || identity->nroles > PROV_AUTH_MAX_ROLES)
    {
        abort();
    }

    for (i = 0; i < identity->nroles; i++) {
        if (identity->roles[i].len == 0
            || identity->roles[i].len > PROV_AUTH_MAX_ROLE)
        {
            abort();
        }
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char                *copy;
    ngx_int_t              rc;
    ngx_str_t              token;
    ngx_pool_t            *pool;
    prov_auth_jwt_t        jwt;
    prov_auth_refusal_t    refusal;
    prov_auth_identity_t  *identity;

    if (set == NULL) {
        setup();
    }

    /* no byte more than there is, so that the sanitizer sees the end */

    copy = malloc(size ? size : 1);
    if (copy == NULL) {
        return 0;
    }

    memcpy(copy, data, size);
    token.data = copy;
    token.len = size;

    pool = ngx_create_pool(4096, ngx_shim_log());

    memset(&refusal, 0, sizeof(refusal));
    rc = prov_auth_verify(set, NULL, &token, pool, &identity, &refusal);
    inspect(rc, identity, &refusal);

    memset(&refusal, 0, sizeof(refusal));
    rc = prov_auth_jwt_parse(&token, pool, &jwt, &refusal);

    if (rc == NGX_OK) {
        rc = prov_auth_claims(&issuer, jwt.payload.root, pool, &identity,
                              &refusal);
        inspect(rc, identity, &refusal);
        prov_auth_jwt_free(&jwt);
    }

    ngx_destroy_pool(pool);
    free(copy);

    return 0;
}
