/*
 * The directive provisioning_signer: whose name tokens are signed in, for
 * how long they are good, and with which private keys.  Called while nginx
 * reads its configuration.
 */

#include "auth/prov_auth_signer.h"
#include "auth/prov_auth_private.h"
#include "base/prov_conf.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>


/* seconds: a token outlives nothing but its key's revocation being noticed by
   those who do not ask */
#define PROV_AUTH_SIGNER_LIFETIME  900
#define PROV_AUTH_SIGNER_LONGEST   3600


static char *prov_auth_signer_text(ngx_conf_t *cf, ngx_command_t *cmd,
    void *data);
static char *prov_auth_signer_lifetime(ngx_conf_t *cf, ngx_command_t *cmd,
    void *data);
static char *prov_auth_signer_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *data);
static char *prov_auth_signer_load(ngx_conf_t *cf, ngx_str_t *file,
    prov_auth_signer_key_t *key);
static EVP_PKEY *prov_auth_signer_public(EVP_PKEY *private);
static int prov_auth_signer_no_password(char *buf, int size, int rwflag,
    void *data);
static char *prov_auth_signer_finish(ngx_conf_t *cf,
    prov_auth_signer_t *signer);
static void prov_auth_signer_cleanup(void *data);


static prov_conf_directive_t  prov_auth_signer_directives[] = {

    { ngx_string("iss"), 1, 1, 0, prov_auth_signer_text,
      offsetof(prov_auth_signer_t, iss), NULL },
    { ngx_string("audience"), 1, 1, 0, prov_auth_signer_text,
      offsetof(prov_auth_signer_t, audience), NULL },
    { ngx_string("key"), 2, 2, 1, prov_auth_signer_key, 0, NULL },
    { ngx_string("lifetime"), 1, 1, 0, prov_auth_signer_lifetime, 0, NULL },

    prov_conf_null_directive
};


char *
prov_auth_signer_block(ngx_conf_t *cf, ngx_array_t *signers)
{
    char                 *rv;
    ngx_str_t            *value;
    ngx_pool_cleanup_t   *cln;
    prov_auth_signer_t   *signer, **slot;

    value = cf->args->elts;

    signer = prov_auth_signer_find(signers, &value[1]);

    if (signer) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate provisioning_signer \"%V\": another "
                           "one stands at %s:%ui", &value[1],
                           signer->conf_file, signer->line);
        return NGX_CONF_ERROR;
    }

    signer = ngx_pcalloc(cf->pool, sizeof(prov_auth_signer_t));
    slot = ngx_array_push(signers);
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (signer == NULL || slot == NULL || cln == NULL) {
        return NGX_CONF_ERROR;
    }

    cln->handler = prov_auth_signer_cleanup;
    cln->data = signer;

    signer->name = value[1];
    signer->conf_file = cf->conf_file->file.name.data;
    signer->line = cf->conf_file->line;

    *slot = signer;

    rv = prov_conf_block(cf, prov_auth_signer_directives, signer, NULL);

    return (rv == NGX_CONF_OK) ? prov_auth_signer_finish(cf, signer) : rv;
}


prov_auth_signer_t *
prov_auth_signer_find(ngx_array_t *signers, ngx_str_t *name)
{
    return prov_conf_find(signers, name);
}


static char *
prov_auth_signer_text(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (value[1].len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "empty \"%V\": write what the tokens are to have",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    *(ngx_str_t *) ((char *) data + cmd->offset) = value[1];

    return NGX_CONF_OK;
}


static char *
prov_auth_signer_lifetime(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    prov_auth_signer_t *signer = data;

    ngx_str_t  *value;

    value = cf->args->elts;

    signer->lifetime = ngx_parse_time(&value[1], 1);

    if (signer->lifetime < 1 || signer->lifetime > PROV_AUTH_SIGNER_LONGEST) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid lifetime \"%V\": write 1s to 1h, such as "
                           "\"15m\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* key file kid=name; */

static char *
prov_auth_signer_key(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    prov_auth_signer_t *signer = data;

    ngx_str_t               *value, *file, kid;
    prov_auth_signer_key_t  *key;

    value = cf->args->elts;
    file = &value[1];

    if (signer->nkeys == PROV_AUTH_SIGNER_KEYS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "a provisioning_signer has at most %d keys: the "
                           "first one signs, the other one is published",
                           PROV_AUTH_SIGNER_KEYS);
        return NGX_CONF_ERROR;
    }

    if (!prov_conf_named(&value[2], "kid=", &kid) || kid.len == 0
        || kid.len > PROV_AUTH_MAX_KID)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected kid=<name> of "
                           "1 to %d bytes", &value[2], PROV_AUTH_MAX_KID);
        return NGX_CONF_ERROR;
    }

    key = &signer->keys[signer->nkeys];

    if (signer->nkeys && kid.len == key[-1].kid.len
        && ngx_memcmp(kid.data, key[-1].kid.data, kid.len) == 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "both keys have the kid \"%V\": a new key needs a "
                           "new one", &kid);
        return NGX_CONF_ERROR;
    }

    if (ngx_conf_full_name(cf->cycle, file, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    key->kid = kid;
    signer->nkeys++;

    return prov_auth_signer_load(cf, file, key);
}


static char *
prov_auth_signer_load(ngx_conf_t *cf, ngx_str_t *file,
    prov_auth_signer_key_t *key)
{
    BIO                 *bio;
    EVP_PKEY            *pkey;
    prov_auth_loader_t   loader;

    ngx_memzero(&loader, sizeof(prov_auth_loader_t));
    loader.pool = cf->pool;

    if (prov_auth_file_read(&loader, file, PROV_AUTH_MAX_PEM, &key->pem)
        != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V: %V", file,
                           &loader.fault.message);
        return NGX_CONF_ERROR;
    }

    bio = BIO_new_mem_buf(key->pem.data, key->pem.len);
    pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL,
                                         prov_auth_signer_no_password, NULL)
               : NULL;
    BIO_free(bio);
    ERR_clear_error();

    if (pkey == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V: this is not a private key in PEM without a "
                           "password", file);
        return NGX_CONF_ERROR;
    }

    key->rsa = EVP_PKEY_is_a(pkey, "RSA");

    if (key->rsa ? (EVP_PKEY_get_bits(pkey) < PROV_AUTH_RSA_MIN
                    || EVP_PKEY_get_bits(pkey) > PROV_AUTH_RSA_MAX)
                 : (!EVP_PKEY_is_a(pkey, "EC")
                    || EVP_PKEY_get_bits(pkey) != 256))
    {
        EVP_PKEY_free(pkey);

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V: tokens are signed with an EC key on P-256 "
                           "(ES256) or an RSA key of %d to %d bits (RS256)",
                           file, PROV_AUTH_RSA_MIN, PROV_AUTH_RSA_MAX);
        return NGX_CONF_ERROR;
    }

    key->public = prov_auth_signer_public(pkey);

    EVP_PKEY_free(pkey);
    ERR_clear_error();

    if (key->public == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V: OpenSSL cannot tell its public key", file);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static EVP_PKEY *
prov_auth_signer_public(EVP_PKEY *private)
{
    BIO       *bio;
    EVP_PKEY  *public;

    bio = BIO_new(BIO_s_mem());
    if (bio == NULL) {
        return NULL;
    }

    public = NULL;

    if (PEM_write_bio_PUBKEY(bio, private) == 1) {
        public = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    }

    BIO_free(bio);

    return public;
}


/* nobody is there to type one */

static int
prov_auth_signer_no_password(char *buf, int size, int rwflag, void *data)
{
    return -1;
}


static char *
prov_auth_signer_finish(ngx_conf_t *cf, prov_auth_signer_t *signer)
{
    const char  *what;

    what = signer->iss.len == 0
               ? "has no \"iss\": write the URL that its tokens are to name"
           : signer->audience.len == 0
               ? "has no \"audience\": write what its tokens are to be for"
           : signer->nkeys == 0
               ? "has no \"key\": name the file of a private key"
           : NULL;

    if (what) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "provisioning_signer \"%V\" %s in %s:%ui",
                      &signer->name, what, signer->conf_file, signer->line);
        return NGX_CONF_ERROR;
    }

    if (signer->lifetime == 0) {
        signer->lifetime = PROV_AUTH_SIGNER_LIFETIME;
    }

    return NGX_CONF_OK;
}


static void
prov_auth_signer_cleanup(void *data)
{
    prov_auth_signer_t *signer = data;

    ngx_uint_t               i;
    prov_auth_signer_key_t  *key;

    for (i = 0; i < signer->nkeys; i++) {
        key = &signer->keys[i];

        EVP_PKEY_free(key->public);

        if (key->pem.data) {
            OPENSSL_cleanse(key->pem.data, key->pem.len);
        }
    }
}
