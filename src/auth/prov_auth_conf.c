/*
 * provisioning_issuer: reads the block while nginx reads its configuration.
 * All that can be known to be wrong is said here, with what to write instead;
 * what it leaves behind never changes.  prov_auth_conf_key.c has the
 * directives that name files of keys, prov_auth_remote_conf.c those that name
 * URLs.
 */

#include "auth/prov_auth_private.h"
#include "auth/prov_auth_remote.h"


typedef struct {
    ngx_str_t            name;
    ngx_uint_t           min;          /* arguments */
    ngx_uint_t           max;
    ngx_uint_t           repeat;       /* may stand more than once */
    char              *(*set)(ngx_conf_t *cf, prov_auth_block_t *block);
} prov_auth_directive_t;


static prov_auth_issuer_t *prov_auth_conf_create(ngx_conf_t *cf,
    ngx_str_t *name);
static char *prov_auth_conf_directive(ngx_conf_t *cf, ngx_command_t *dummy,
    void *data);
static char *prov_auth_conf_iss(ngx_conf_t *cf, prov_auth_block_t *block);
static char *prov_auth_conf_audience(ngx_conf_t *cf,
    prov_auth_block_t *block);
static char *prov_auth_conf_algorithms(ngx_conf_t *cf,
    prov_auth_block_t *block);
static char *prov_auth_conf_subject(ngx_conf_t *cf, prov_auth_block_t *block);
static char *prov_auth_conf_partner(ngx_conf_t *cf, prov_auth_block_t *block);
static char *prov_auth_conf_roles_claim(ngx_conf_t *cf,
    prov_auth_block_t *block);
static char *prov_auth_conf_claim(ngx_conf_t *cf, ngx_str_t *claim);
static char *prov_auth_conf_leeway(ngx_conf_t *cf, prov_auth_block_t *block);
static char *prov_auth_conf_signed(ngx_conf_t *cf, prov_auth_block_t *block);
static char *prov_auth_conf_finish(ngx_conf_t *cf, prov_auth_block_t *block);
static void prov_auth_conf_cleanup(void *data);


static prov_auth_directive_t  prov_auth_directives[] = {

    { ngx_string("iss"), 1, 1, 0, prov_auth_conf_iss },
    { ngx_string("audience"), 1, 16, 0, prov_auth_conf_audience },
    { ngx_string("algorithms"), 1, PROV_AUTH_ALGS, 0,
      prov_auth_conf_algorithms },
    { ngx_string("key"), 1, 3, 1, prov_auth_conf_key },
    { ngx_string("jwks"), 1, 1, 1, prov_auth_conf_jwks },
    { ngx_string("jwks_uri"), 1, 5, 0, prov_auth_conf_jwks_uri },
    { ngx_string("discovery"), 1, 5, 0, prov_auth_conf_discovery },
    { ngx_string("secret"), 2, 3, 1, prov_auth_conf_secret },
    { ngx_string("signer"), 1, 1, 0, prov_auth_conf_signer },
    { ngx_string("subject_claim"), 1, 1, 0, prov_auth_conf_subject },
    { ngx_string("partner_claim"), 1, 1, 0, prov_auth_conf_partner },
    { ngx_string("roles_claim"), 1, 1, 0, prov_auth_conf_roles_claim },
    { ngx_string("leeway"), 1, 1, 0, prov_auth_conf_leeway },

    { ngx_null_string, 0, 0, 0, NULL }
};


char *
prov_auth_issuer_block(ngx_conf_t *cf, ngx_array_t *issuers,
    ngx_array_t *signers)
{
    char                 *rv;
    ngx_str_t            *value;
    ngx_conf_t            save;
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

    save = *cf;
    cf->handler = prov_auth_conf_directive;
    cf->handler_conf = &block;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (prov_auth_conf_finish(cf, &block) != NGX_CONF_OK) {
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
    ngx_uint_t            i;
    prov_auth_issuer_t  **issuer;

    issuer = issuers->elts;

    for (i = 0; i < issuers->nelts; i++) {
        if (issuer[i]->name.len == name->len
            && ngx_memcmp(issuer[i]->name.data, name->data, name->len) == 0)
        {
            return issuer[i];
        }
    }

    return NULL;
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


static char *
prov_auth_conf_directive(ngx_conf_t *cf, ngx_command_t *dummy, void *data)
{
    prov_auth_block_t *block = data;

    ngx_str_t              *value;
    ngx_uint_t              n;
    prov_auth_directive_t  *d;

    value = cf->args->elts;

    for (d = prov_auth_directives; d->name.len; d++) {

        if (d->name.len != value[0].len
            || ngx_memcmp(d->name.data, value[0].data, value[0].len) != 0)
        {
            continue;
        }

        n = d - prov_auth_directives;

        if (cf->args->nelts - 1 < d->min || cf->args->nelts - 1 > d->max) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid number of arguments in \"%V\" "
                               "directive", &value[0]);
            return NGX_CONF_ERROR;
        }

        if (!d->repeat && (block->seen & ((ngx_uint_t) 1 << n))) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" directive is duplicate", &value[0]);
            return NGX_CONF_ERROR;
        }

        block->seen |= (ngx_uint_t) 1 << n;

        return d->set(cf, block);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown directive \"%V\" in provisioning_issuer, "
                       "expected iss, audience, algorithms, key, jwks, "
                       "jwks_uri, discovery, secret, signer, subject_claim, "
                       "partner_claim, roles_claim or leeway", &value[0]);

    return NGX_CONF_ERROR;
}


static char *
prov_auth_conf_iss(ngx_conf_t *cf, prov_auth_block_t *block)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (value[1].len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "empty \"iss\": write what the issuer's tokens "
                           "have in their \"iss\"");
        return NGX_CONF_ERROR;
    }

    block->issuer->iss = value[1];

    return NGX_CONF_OK;
}


static char *
prov_auth_conf_audience(ngx_conf_t *cf, prov_auth_block_t *block)
{
    ngx_str_t   *value, *audience;
    ngx_uint_t   i;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (value[i].len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "empty \"audience\": write one that the "
                               "issuer's tokens have in their \"aud\"");
            return NGX_CONF_ERROR;
        }

        audience = ngx_array_push(&block->issuer->audiences);
        if (audience == NULL) {
            return NGX_CONF_ERROR;
        }

        *audience = value[i];
    }

    return NGX_CONF_OK;
}


static char *
prov_auth_conf_algorithms(ngx_conf_t *cf, prov_auth_block_t *block)
{
    ngx_str_t        *value, known;
    ngx_uint_t        i;
    prov_auth_alg_e   alg;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        alg = prov_auth_alg_find(value[i].data, value[i].len);

        if (alg == PROV_AUTH_ALGS) {
            known = prov_auth_alg_names(cf->pool,
                                        PROV_AUTH_ALG(PROV_AUTH_ALGS) - 1);

            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown algorithm \"%V\", expected some of "
                               "%V", &value[i], &known);
            return NGX_CONF_ERROR;
        }

        if (block->issuer->algorithms & PROV_AUTH_ALG(alg)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate algorithm \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        block->issuer->algorithms |= PROV_AUTH_ALG(alg);
    }

    return NGX_CONF_OK;
}


static char *
prov_auth_conf_subject(ngx_conf_t *cf, prov_auth_block_t *block)
{
    return prov_auth_conf_claim(cf, &block->issuer->subject_claim);
}


static char *
prov_auth_conf_partner(ngx_conf_t *cf, prov_auth_block_t *block)
{
    return prov_auth_conf_claim(cf, &block->issuer->partner_claim);
}


static char *
prov_auth_conf_roles_claim(ngx_conf_t *cf, prov_auth_block_t *block)
{
    return prov_auth_conf_claim(cf, &block->issuer->roles_claim);
}


static char *
prov_auth_conf_claim(ngx_conf_t *cf, ngx_str_t *claim)
{
    ngx_str_t   *value;
    ngx_uint_t   i, bad;

    value = cf->args->elts;

    bad = (value[1].len == 0 || value[1].len > PROV_AUTH_MAX_CLAIM);

    for (i = 0; i < value[1].len; i++) {
        bad |= (value[1].data[i] < 0x20 || value[1].data[i] == 0x7f
                || value[1].data[i] == '"');
    }

    if (bad) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid claim name \"%V\": it has 1 to %d bytes, "
                           "without control characters and quotes",
                           &value[1], PROV_AUTH_MAX_CLAIM);
        return NGX_CONF_ERROR;
    }

    *claim = value[1];

    return NGX_CONF_OK;
}


static char *
prov_auth_conf_leeway(ngx_conf_t *cf, prov_auth_block_t *block)
{
    time_t      leeway;
    ngx_str_t  *value;

    value = cf->args->elts;

    leeway = ngx_parse_time(&value[1], 1);

    if (leeway == (time_t) NGX_ERROR || leeway > PROV_AUTH_MAX_LEEWAY) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid leeway \"%V\": write seconds, at most %d, "
                           "such as \"30s\"", &value[1],
                           PROV_AUTH_MAX_LEEWAY);
        return NGX_CONF_ERROR;
    }

    block->issuer->leeway = leeway;

    return NGX_CONF_OK;
}


/*
 * Tokens of a signer say things that are believed of nobody else, so it does
 * not share its issuer with other keys, nor its claims with other names.
 */

static char *
prov_auth_conf_signed(ngx_conf_t *cf, prov_auth_block_t *block)
{
    ngx_uint_t              n;
    prov_auth_directive_t  *d;

    for (d = prov_auth_directives; d->name.len; d++) {
        n = d - prov_auth_directives;

        if ((block->seen & ((ngx_uint_t) 1 << n))
            && d->set != prov_auth_conf_signer
            && d->set != prov_auth_conf_leeway)
        {
            return prov_auth_conf_refuse(cf, block->issuer,
                                         "has a \"signer\", which says all "
                                         "there is to say: remove everything "
                                         "but that and \"leeway\"");
        }
    }

    return NGX_CONF_OK;
}


/* What must be there, and what only the whole block can tell. */

static char *
prov_auth_conf_finish(ngx_conf_t *cf, prov_auth_block_t *block)
{
    ngx_uint_t           i;
    prov_auth_key_t     *key;
    prov_auth_issuer_t  *issuer;

    issuer = block->issuer;

    if (issuer->signer
        && prov_auth_conf_signed(cf, block) != NGX_CONF_OK)
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
