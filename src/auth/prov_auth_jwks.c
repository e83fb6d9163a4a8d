/*
 * JSON Web Key Sets (RFC 7517, section 5): as files, while nginx.conf is read,
 * and as what an issuer publishes, in any thread.  A sound key that is of no
 * use here (for encryption, of an unknown kind, too weak) is left out and
 * remarked on.  One that is broken, private or symmetric is an error in a
 * file, which the operator can mend, and left out of what was fetched.
 */

#include "auth/prov_auth_private.h"

#include <openssl/err.h>


static ngx_int_t prov_auth_jwks_keys(prov_auth_loader_t *loader,
    ngx_str_t *file, json_t *document);
static ngx_int_t prov_auth_jwks_key(prov_auth_loader_t *loader, json_t *jwk,
    ngx_str_t *source);
static ngx_int_t prov_auth_jwks_hint(prov_auth_loader_t *loader, json_t *jwk,
    prov_auth_hint_t *hint);
static ngx_int_t prov_auth_jwks_purpose(prov_auth_loader_t *loader,
    json_t *jwk);
static ngx_int_t prov_auth_jwks_remark(prov_auth_loader_t *loader,
    ngx_str_t *source);
static void prov_auth_jwks_wipe(json_t *keys);


/* what a private key has and a public one has not (RFC 7518, section 6) */

static const char  *prov_auth_jwks_private[] = {
    "d", "p", "q", "dp", "dq", "qi", "oth", NULL
};


ngx_int_t
prov_auth_file_jwks(prov_auth_loader_t *loader, ngx_str_t *file)
{
    ngx_str_t  text;

    if (prov_auth_file_read(loader, file, PROV_AUTH_MAX_JWKS, &text)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return prov_auth_jwks_read(loader, file, &text);
}


/* A text of that name, which is wiped when it is a file's. */

ngx_int_t
prov_auth_jwks_read(prov_auth_loader_t *loader, ngx_str_t *name,
    ngx_str_t *text)
{
    json_t             *json;
    ngx_int_t           rc;
    prov_json_error_t   err;

    json = prov_json_parse(text->data, text->len, PROV_JSON_DOCUMENT_DEPTH,
                           &err);

    if (!loader->fetched) {
        ngx_explicit_memzero(text->data, text->len);
    }

    if (json == NULL) {
        loader->fault.line = err.line;
        loader->fault.column = err.column;

        return prov_auth_fault(loader, "%s", err.text);
    }

    rc = prov_auth_jwks_keys(loader, name, json);

    prov_auth_jwks_wipe(json_object_get(json, "keys"));
    json_decref(json);

    return rc;
}


static ngx_int_t
prov_auth_jwks_keys(prov_auth_loader_t *loader, ngx_str_t *file,
    json_t *document)
{
    size_t      i;
    u_char     *p;
    json_t     *keys, *jwk;
    ngx_int_t   rc;
    ngx_str_t   source;
    ngx_uint_t  before;

    before = loader->keys->nelts;

    keys = json_object_get(document, "keys");

    if (!json_is_array(keys)) {
        return prov_auth_fault(loader, "this is not a key set: it must be an "
                               "object with an array \"keys\" (RFC 7517, "
                               "section 5)");
    }

    json_array_foreach(keys, i, jwk) {

        source.len = file->len + sizeof("#/keys/") - 1 + NGX_SIZE_T_LEN;
        source.data = ngx_pnalloc(loader->pool, source.len);
        if (source.data == NULL) {
            return NGX_ERROR;
        }

        p = ngx_snprintf(source.data, source.len, "%V#/keys/%uz", file, i);

        source.len = p - source.data;
        loader->fault.pointer = source;
        loader->fault.pointer.data += file->len + 1;
        loader->fault.pointer.len -= file->len + 1;

        rc = prov_auth_jwks_key(loader, jwk, &source);

        ERR_clear_error();

        if (rc == NGX_DECLINED || (rc == NGX_ERROR && loader->fetched)) {
            rc = prov_auth_jwks_remark(loader, &source);
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_str_null(&loader->fault.pointer);

    if (loader->keys->nelts == before) {
        return prov_auth_fault(loader, "none of the keys in this set can "
                               "verify a token");
    }

    return NGX_OK;
}


/* NGX_DECLINED: a sound key that is of no use, and the fault says why. */

static ngx_int_t
prov_auth_jwks_key(prov_auth_loader_t *loader, json_t *jwk, ngx_str_t *source)
{
    ngx_int_t          rc;
    ngx_str_t          kty;
    const char       **name;
    prov_auth_hint_t   hint;

    if (!json_is_object(jwk)) {
        return prov_auth_fault(loader, "a key must be an object");
    }

    rc = prov_auth_jwk_string(loader, jwk, "kty", &kty);
    if (rc != NGX_OK) {
        return (rc == NGX_ERROR) ? rc
                   : prov_auth_fault(loader, "\"kty\" is missing: it says "
                                     "whether the key is RSA, EC, OKP or oct");
    }

    /* whatever the kind: somebody has put a private key here by mistake */

    for (name = prov_auth_jwks_private; *name; name++) {
        if (json_object_get(jwk, *name)) {
            return prov_auth_fault(loader, "this is a private key (it has "
                                   "\"%s\"), which nginx must not hold: "
                                   "publish the public members only", *name);
        }
    }

    ngx_memzero(&hint, sizeof(prov_auth_hint_t));
    hint.source = *source;

    rc = prov_auth_jwks_hint(loader, jwk, &hint);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_strcmp(kty.data, "oct") == 0) {

        if (loader->fetched) {
            return prov_auth_fault(loader, "a symmetric key (\"oct\") that "
                                   "is published is no secret");
        }

        return prov_auth_jwk_oct(loader, jwk, &hint);
    }

    return prov_auth_jwk_public(loader, jwk, &hint, (const char *) kty.data);
}


/* kid, use, key_ops and alg (RFC 7517, sections 4.2 to 4.5) */

static ngx_int_t
prov_auth_jwks_hint(prov_auth_loader_t *loader, json_t *jwk,
    prov_auth_hint_t *hint)
{
    ngx_int_t        rc;
    ngx_str_t        value;
    prov_auth_alg_e  alg;

    rc = prov_auth_jwk_string(loader, jwk, "kid", &value);
    if (rc == NGX_ERROR) {
        return rc;
    }

    if (rc == NGX_OK) {
        if (value.len == 0 || value.len > PROV_AUTH_MAX_KID) {
            return prov_auth_fault(loader, "\"kid\" must have 1 to %d bytes",
                                   PROV_AUTH_MAX_KID);
        }

        hint->named = 1;
        hint->kid.len = value.len;
        hint->kid.data = ngx_pstrdup(loader->pool, &value);
        if (hint->kid.data == NULL) {
            return NGX_ERROR;
        }
    }

    rc = prov_auth_jwks_purpose(loader, jwk);
    if (rc != NGX_OK) {
        return rc;
    }

    hint->algorithms = PROV_AUTH_ALG(PROV_AUTH_ALGS) - 1;

    rc = prov_auth_jwk_string(loader, jwk, "alg", &value);

    if (rc == NGX_OK) {
        alg = prov_auth_alg_find(value.data, value.len);

        if (alg == PROV_AUTH_ALGS) {
            (void) prov_auth_fault(loader, "its \"alg\" is not a signature "
                                   "algorithm that is known here");
            return NGX_DECLINED;
        }

        hint->algorithms = PROV_AUTH_ALG(alg);
    }

    return (rc == NGX_ERROR) ? rc : NGX_OK;
}


static ngx_int_t
prov_auth_jwks_purpose(prov_auth_loader_t *loader, json_t *jwk)
{
    size_t      i;
    json_t     *ops, *op;
    ngx_int_t   rc;
    ngx_str_t   use;

    rc = prov_auth_jwk_string(loader, jwk, "use", &use);
    if (rc == NGX_ERROR) {
        return rc;
    }

    if (rc == NGX_OK && ngx_strcmp(use.data, "sig") != 0) {
        (void) prov_auth_fault(loader, "its \"use\" is not \"sig\"");
        return NGX_DECLINED;
    }

    ops = json_object_get(jwk, "key_ops");
    if (ops == NULL) {
        return NGX_OK;
    }

    if (!json_is_array(ops)) {
        return prov_auth_fault(loader, "\"key_ops\" must be an array of "
                               "strings");
    }

    rc = NGX_DECLINED;

    json_array_foreach(ops, i, op) {

        if (!json_is_string(op)) {
            return prov_auth_fault(loader, "\"key_ops\" must be an array of "
                                   "strings");
        }

        if (ngx_strcmp(json_string_value(op), "verify") == 0) {
            rc = NGX_OK;
        }
    }

    if (rc == NGX_DECLINED) {
        (void) prov_auth_fault(loader, "its \"key_ops\" do not have "
                               "\"verify\"");
    }

    return rc;
}


/* The fault becomes a remark: the key is left out, the others serve. */

static ngx_int_t
prov_auth_jwks_remark(prov_auth_loader_t *loader, ngx_str_t *source)
{
    size_t      size;
    u_char     *text;
    ngx_str_t  *remark;

    if (loader->fault.message.len == 0) {
        return NGX_ERROR;
    }

    size = source->len + loader->fault.message.len
           + sizeof(": key left out: ") - 1;

    text = ngx_pnalloc(loader->pool, size);
    if (text == NULL) {
        return NGX_ERROR;
    }

    remark = ngx_array_push(loader->remarks);
    if (remark == NULL) {
        return NGX_ERROR;
    }

    remark->data = text;
    remark->len = ngx_snprintf(text, size, "%V: key left out: %V", source,
                               &loader->fault.message)
                  - text;

    ngx_str_null(&loader->fault.message);

    return NGX_OK;
}


/* Secrets should not outlive their use in freed memory. */

static void
prov_auth_jwks_wipe(json_t *keys)
{
    size_t   i;
    json_t  *jwk, *k;

    json_array_foreach(keys, i, jwk) {
        k = json_object_get(jwk, "k");

        if (json_is_string(k)) {
            ngx_explicit_memzero((void *) json_string_value(k),
                                 json_string_length(k));
        }
    }
}
