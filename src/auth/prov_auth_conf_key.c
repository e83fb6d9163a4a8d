/*
 * The directives of provisioning_issuer that name files of keys, and what the
 * block as a whole makes of those keys.  Called while nginx reads its
 * configuration; the files themselves are read in prov_auth_file.c and
 * prov_auth_jwks.c, which know nothing of nginx.conf.
 */

#include "auth/prov_auth_private.h"
#include "auth/prov_auth_signer.h"
#include "base/prov_conf.h"


static char *prov_auth_conf_hint(ngx_conf_t *cf, prov_auth_hint_t *hint);
static char *prov_auth_conf_loaded(ngx_conf_t *cf, prov_auth_block_t *block,
    ngx_str_t *file, ngx_int_t rc);


/* key file [kid=name] [alg=RS256]; */

char *
prov_auth_conf_key(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    prov_auth_block_t *block = data;

    ngx_int_t          rc;
    ngx_str_t         *value;
    prov_auth_hint_t   hint;

    value = cf->args->elts;

    if (prov_auth_conf_hint(cf, &hint) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (hint.algorithms == 0) {
        hint.algorithms = PROV_AUTH_ALG(PROV_AUTH_ALGS) - 1;
    }

    if (!(hint.algorithms & ~PROV_AUTH_SYMMETRIC)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "a public key cannot do a symmetric algorithm: "
                           "name the file of a shared secret with \"secret\"");
        return NGX_CONF_ERROR;
    }

    rc = prov_auth_file_pem(&block->loader, &value[1], &hint);

    return prov_auth_conf_loaded(cf, block, &value[1], rc);
}


/* jwks file; */

char *
prov_auth_conf_jwks(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    prov_auth_block_t *block = data;

    ngx_int_t   rc;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_conf_full_name(cf->cycle, &value[1], 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    rc = prov_auth_file_jwks(&block->loader, &value[1]);

    return prov_auth_conf_loaded(cf, block, &value[1], rc);
}


/* secret file [kid=name] alg=HS256; */

char *
prov_auth_conf_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    prov_auth_block_t *block = data;

    ngx_int_t          rc;
    ngx_str_t         *value;
    prov_auth_hint_t   hint;

    value = cf->args->elts;

    if (prov_auth_conf_hint(cf, &hint) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (!(hint.algorithms & PROV_AUTH_SYMMETRIC)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"secret\" must say what the secret is for: write "
                           "alg=HS256, alg=HS384 or alg=HS512");
        return NGX_CONF_ERROR;
    }

    rc = prov_auth_file_secret(&block->loader, &value[1], &hint);

    return prov_auth_conf_loaded(cf, block, &value[1], rc);
}


/* signer name; */

char *
prov_auth_conf_signer(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    prov_auth_block_t *block = data;

    ngx_str_t            *value, *audience;
    ngx_uint_t            i;
    prov_auth_hint_t      hint;
    prov_auth_issuer_t   *issuer;
    prov_auth_signer_t   *signer;

    value = cf->args->elts;
    issuer = block->issuer;

    signer = prov_auth_signer_find(block->signers, &value[1]);

    if (signer == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown signer \"%V\", there is no "
                           "\"provisioning_signer %V { … }\" above",
                           &value[1], &value[1]);
        return NGX_CONF_ERROR;
    }

    audience = ngx_array_push(&issuer->audiences);
    if (audience == NULL) {
        return NGX_CONF_ERROR;
    }

    *audience = signer->audience;

    issuer->signer = signer;
    issuer->iss = signer->iss;
    ngx_str_set(&issuer->roles_claim, "scope");

    ngx_memzero(&hint, sizeof(prov_auth_hint_t));
    hint.named = 1;
    hint.declared = 1;
    hint.source = signer->name;

    for (i = 0; i < signer->nkeys; i++) {
        hint.kid = signer->keys[i].kid;
        hint.algorithms = PROV_AUTH_ALG(signer->keys[i].rsa ? PROV_AUTH_RS256
                                                            : PROV_AUTH_ES256);

        if (EVP_PKEY_up_ref(signer->keys[i].public) != 1
            || prov_auth_key_add(&block->loader, &hint,
                                 signer->keys[i].public)
               != NGX_OK)
        {
            return prov_auth_conf_loaded(cf, block, &value[1], NGX_ERROR);
        }
    }

    return NGX_CONF_OK;
}


/*
 * The file's full name, which replaces the argument, and what kid= and alg=
 * say of the key in it; algorithms is 0 without alg=.
 */

static char *
prov_auth_conf_hint(ngx_conf_t *cf, prov_auth_hint_t *hint)
{
    ngx_str_t        *value, text;
    ngx_uint_t        i;
    prov_auth_alg_e   alg;

    ngx_memzero(hint, sizeof(prov_auth_hint_t));

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        if (!hint->named && prov_conf_named(&value[i], "kid=", &text)
            && text.len >= 1 && text.len <= PROV_AUTH_MAX_KID)
        {
            hint->named = 1;
            hint->kid = text;
            continue;
        }

        if (hint->algorithms == 0
            && prov_conf_named(&value[i], "alg=", &text))
        {
            alg = prov_auth_alg_find(text.data, text.len);

            if (alg != PROV_AUTH_ALGS) {
                hint->algorithms = PROV_AUTH_ALG(alg);
                continue;
            }
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected kid=<name> of "
                           "1 to %d bytes or alg=<algorithm>, each once",
                           &value[i], PROV_AUTH_MAX_KID);
        return NGX_CONF_ERROR;
    }

    if (ngx_conf_full_name(cf->cycle, &value[1], 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    hint->source = value[1];
    hint->declared = 1;

    return NGX_CONF_OK;
}


/* Says what became of a file. */

static char *
prov_auth_conf_loaded(ngx_conf_t *cf, prov_auth_block_t *block,
    ngx_str_t *file, ngx_int_t rc)
{
    ngx_str_t     *remark;
    ngx_uint_t     i;
    prov_fault_t  *fault;

    remark = block->loader.remarks->elts;

    for (i = 0; i < block->loader.remarks->nelts; i++) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0, "%V", &remark[i]);
    }

    block->loader.remarks->nelts = 0;

    if (rc == NGX_OK) {
        return NGX_CONF_OK;
    }

    fault = &block->loader.fault;

    if (fault->message.len == 0) {
        ngx_str_set(&fault->message, "no memory");
    }

    if (fault->line) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V:%ui:%ui: %V", file,
                           fault->line, fault->column, &fault->message);

    } else if (fault->pointer.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V#%V: %V", file,
                           &fault->pointer, &fault->message);

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V: %V", file,
                           &fault->message);
    }

    return NGX_CONF_ERROR;
}


/*
 * Leaves each key only what "algorithms" has.  A key that then does nothing
 * is a mistake when the block names it; a set of keys may have others' in it.
 */

char *
prov_auth_conf_bind(ngx_conf_t *cf, prov_auth_issuer_t *issuer)
{
    ngx_str_t         can, idle;
    ngx_uint_t        i, used;
    prov_auth_key_t  *key;

    used = 0;
    key = issuer->keys.elts;

    for (i = 0; i < issuer->keys.nelts; i++) {

        if (key[i].algorithms & issuer->algorithms) {
            key[i].algorithms &= issuer->algorithms;
            used |= key[i].algorithms;
            continue;
        }

        can = prov_auth_alg_names(cf->pool, key[i].algorithms);
        if (can.data == NULL) {
            return NGX_CONF_ERROR;
        }

        if (key[i].declared) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "the key %V does %V, which is not in the "
                          "\"algorithms\" of provisioning_issuer \"%V\": add "
                          "it there or remove the key in %s:%ui",
                          &key[i].source, &can, &issuer->name,
                          issuer->conf_file, issuer->line);
            return NGX_CONF_ERROR;
        }

        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "%V: key not used: it does %V, which is not in the "
                      "\"algorithms\" of provisioning_issuer \"%V\" in %s:%ui",
                      &key[i].source, &can, &issuer->name, issuer->conf_file,
                      issuer->line);

        key[i].algorithms = 0;
    }

    if (used == 0) {
        return prov_auth_conf_refuse(cf, issuer,
                                     "has no key for its \"algorithms\": name "
                                     "those that its keys do; HS256, HS384 "
                                     "and HS512 must always be named");
    }

    if (used != issuer->algorithms) {
        idle = prov_auth_alg_names(cf->pool, issuer->algorithms & ~used);
        if (idle.data == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "provisioning_issuer \"%V\" has no key for %V in %s:%ui",
                      &issuer->name, &idle, issuer->conf_file, issuer->line);
    }

    return NGX_CONF_OK;
}
