/*
 * provisioning_issuer: reads the block while nginx reads its configuration.
 * All that can be known to be wrong is said here, with what to write instead;
 * what it leaves behind never changes.  prov_auth_conf_token.c has the
 * directives that say what tokens have, prov_auth_conf_key.c those that name
 * files of keys, prov_auth_remote_conf.c those that name URLs.
 */

#include "auth/prov_auth_private.h"
#include "auth/prov_auth_remote.h"
#include "base/prov_conf.h"


static prov_auth_issuer_t *prov_auth_conf_create(ngx_conf_t *cf,
    ngx_str_t *name);
static char *prov_auth_conf_finish(ngx_conf_t *cf, prov_auth_issuer_t *issuer,
    ngx_uint_t seen);
static char *prov_auth_conf_signed(ngx_conf_t *cf, prov_auth_issuer_t *issuer,
    ngx_uint_t seen);
static void prov_auth_conf_cleanup(void *data);


static prov_conf_directive_t  prov_auth_directives[] = {

    { ngx_string("iss"), 1, 1, 0, prov_auth_conf_iss, 0, NULL },
    { ngx_string("audience"), 1, 16, 0, prov_auth_conf_audience, 0, NULL },
    { ngx_string("algorithms"), 1, PROV_AUTH_ALGS, 0,
      prov_auth_conf_algorithms, 0, NULL },
    { ngx_string("key"), 1, 3, 1, prov_auth_conf_key, 0, NULL },
    { ngx_string("jwks"), 1, 1, 1, prov_auth_conf_jwks, 0, NULL },
    { ngx_string("jwks_uri"), 1, 5, 0, prov_auth_conf_jwks_uri, 0, NULL },
    { ngx_string("discovery"), 1, 5, 0, prov_auth_conf_discovery, 0, NULL },
    { ngx_string("secret"), 2, 3, 1, prov_auth_conf_secret, 0, NULL },
    { ngx_string("signer"), 1, 1, 0, prov_auth_conf_signer, 0, NULL },
    { ngx_string("subject_claim"), 1, 1, 0, prov_auth_conf_claim,
      offsetof(prov_auth_issuer_t, subject_claim), NULL },
    { ngx_string("partner_claim"), 1, 1, 0, prov_auth_conf_claim,
      offsetof(prov_auth_issuer_t, partner_claim), NULL },
    { ngx_string("roles_claim"), 1, 1, 0, prov_auth_conf_claim,
      offsetof(prov_auth_issuer_t, roles_claim), NULL },
    { ngx_string("leeway"), 1, 1, 0, prov_auth_conf_leeway, 0, NULL },

    prov_conf_null_directive
};


char *
prov_auth_issuer_block(ngx_conf_t *cf, ngx_array_t *issuers,
    ngx_array_t *signers)
{
    char                 *rv;
    ngx_str_t            *value;
    ngx_uint_t            seen;
    prov_auth_block_t     block;
    prov_auth_issuer_t   *issuer, **slot;

    value = cf->args->elts;

    issuer = prov_auth_issuer_find(issuers, &value[1]);

    if (issuer) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate provisioning_issuer \"%V\": another "
                           "one stands at %s:%ui", &value[1], issuer->conf_file,
                           issuer->line);
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&block, sizeof(prov_auth_block_t));

    issuer = prov_auth_conf_create(cf, &value[1]);
    if (issuer == NULL) {
        return NGX_CONF_ERROR;
    }

    block.issuer = issuer;
    block.signers = signers;
    block.loader.pool = cf->pool;
    block.loader.keys = &issuer->keys;
    block.loader.remarks = ngx_array_create(cf->temp_pool, 4,
                                            sizeof(ngx_str_t));
    if (block.loader.remarks == NULL) {
        return NGX_CONF_ERROR;
    }

    rv = prov_conf_block(cf, prov_auth_directives, &block, &seen);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (prov_auth_conf_finish(cf, issuer, seen) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    slot = ngx_array_push(issuers);
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = issuer;

    return NGX_CONF_OK;
}


prov_auth_issuer_t *
prov_auth_issuer_find(ngx_array_t *issuers, ngx_str_t *name)
{
    return prov_conf_find(issuers, name);
}


static prov_auth_issuer_t *
prov_auth_conf_create(ngx_conf_t *cf, ngx_str_t *name)
{
    prov_auth_issuer_t  *issuer;
    ngx_pool_cleanup_t  *cln;

    issuer = ngx_pcalloc(cf->pool, sizeof(prov_auth_issuer_t));
    if (issuer == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     issuer->iss = { 0, NULL };
     *     issuer->algorithms = 0;
     *     issuer->leeway = 0;
     *     issuer->signer = NULL;
     *     issuer->source = NULL;
     */

    issuer->name = *name;
    issuer->conf_file = cf->conf_file->file.name.data;
    issuer->line = cf->conf_file->line;

    ngx_str_set(&issuer->subject_claim, "sub");
    ngx_str_set(&issuer->partner_claim, "partner");
    ngx_str_set(&issuer->roles_claim, "roles");

    if (ngx_array_init(&issuer->audiences, cf->pool, 2, sizeof(ngx_str_t))
        != NGX_OK
        || ngx_array_init(&issuer->keys, cf->pool, 4, sizeof(prov_auth_key_t))
           != NGX_OK)
    {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = prov_auth_conf_cleanup;
    cln->data = issuer;

    return issuer;
}


/* What must be there, and what only the whole block can tell. */

static char *
prov_auth_conf_finish(ngx_conf_t *cf, prov_auth_issuer_t *issuer,
    ngx_uint_t seen)
{
    ngx_uint_t        i;
    prov_auth_key_t  *key;

    if (issuer->signer
        && prov_auth_conf_signed(cf, issuer, seen) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (issuer->iss.len == 0) {
        return prov_auth_conf_refuse(cf, issuer,
                                     "has no \"iss\": write what its tokens "
                                     "have in their \"iss\"");
    }

    if (issuer->audiences.nelts == 0) {
        return prov_auth_conf_refuse(cf, issuer,
                                     "has no \"audience\": write what its "
                                     "tokens for this server have in their "
                                     "\"aud\"");
    }

    if (issuer->source) {
        return prov_auth_conf_remote(cf, issuer);
    }

    if (issuer->keys.nelts == 0) {
        return prov_auth_conf_refuse(cf, issuer,
                                     "has no keys: name files of them with "
                                     "\"key\", \"jwks\" or \"secret\", where "
                                     "to fetch them with \"jwks_uri\" or "
                                     "\"discovery\", or a \"signer\"");
    }

    /* symmetric algorithms are never accepted unasked (RFC 8725, 3.1) */

    if (issuer->algorithms == 0) {
        key = issuer->keys.elts;

        for (i = 0; i < issuer->keys.nelts; i++) {
            issuer->algorithms |= key[i].algorithms & ~PROV_AUTH_SYMMETRIC;
        }
    }

    return prov_auth_conf_bind(cf, issuer);
}


/*
 * Tokens of a signer say things that are believed of nobody else, so it does
 * not share its issuer with other keys, nor its claims with other names.
 */

static char *
prov_auth_conf_signed(ngx_conf_t *cf, prov_auth_issuer_t *issuer,
    ngx_uint_t seen)
{
    ngx_uint_t              bit;
    prov_conf_directive_t  *d;

    for (d = prov_auth_directives; d->name.len; d++) {
        bit = (ngx_uint_t) 1 << (d - prov_auth_directives);

        if ((seen & bit) && d->set != prov_auth_conf_signer
            && d->set != prov_auth_conf_leeway)
        {
            return prov_auth_conf_refuse(cf, issuer,
                                         "has a \"signer\", which says all "
                                         "there is to say: remove everything "
                                         "but that and \"leeway\"");
        }
    }

    return NGX_CONF_OK;
}


/* In the words of ngx_conf_log_error(), but at the block's first line. */

char *
prov_auth_conf_refuse(ngx_conf_t *cf, prov_auth_issuer_t *issuer,
    const char *what)
{
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "provisioning_issuer \"%V\" %s in %s:%ui", &issuer->name,
                  what, issuer->conf_file, issuer->line);

    return NGX_CONF_ERROR;
}


static void
prov_auth_conf_cleanup(void *data)
{
    prov_auth_issuer_t *issuer = data;

    ngx_uint_t        i;
    prov_auth_key_t  *key;

    key = issuer->keys.elts;

    for (i = 0; i < issuer->keys.nelts; i++) {
        prov_auth_key_free(&key[i]);
    }
}
