/*
 * What the gateway makes and seals for a function (x-secret in the document),
 * because the database is to have nothing of it that could be read without
 * the operator's key.  Called by prov_request_query.c, before the database
 * is asked; what a function is told is in docs/database.md.
 */

#include "request/prov_request.h"
#include "base/prov_id.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>


/* bytes of an HMAC's secret, and of the seed of an Ed25519 key (RFC 8032) */
#define PROV_SECRET_BYTES  32

/* with what Standard Webhooks puts in front of base64, and a NUL */
#define PROV_SECRET_TEXT                                                      \
    (sizeof("whsec_") + ngx_base64_encoded_length(PROV_SECRET_BYTES))


static ngx_int_t prov_secret_owner(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_str_t *owner);
static ngx_int_t prov_secret_make(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_str_t *owner, ngx_str_t *members);
static ngx_int_t prov_secret_sealed(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_str_t *owner, json_t *value,
    ngx_str_t *members);
static ngx_int_t prov_secret_seal(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_str_t *owner, const char *what,
    ngx_str_t *text, ngx_str_t *sealed);
static ngx_int_t prov_secret_public(u_char *seed, u_char *public);
static void prov_secret_text(u_char *text, const char *prefix,
    u_char *bytes);
static ngx_int_t prov_secret_missing(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);


/* Sets ctx->secret.  NGX_OK, or what to finalize with. */

ngx_int_t
prov_request_secret(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    u_char                 *p;
    json_t                 *body, *value;
    ngx_int_t               rc;
    ngx_str_t               owner, made, sealed;
    prov_openapi_secret_t  *secret;

    secret = ctx->operation->secret;

    body = NULL;
    value = NULL;

    if (secret->member.len) {
        if (prov_request_body_json(ctx, &body) != NGX_OK) {
            return NGX_ERROR;
        }

        value = json_object_getn(body, (char *) secret->member.data,
                                 secret->member.len);

        if (value == NULL || json_is_null(value)) {
            value = NULL;
        }
    }

    if (!secret->make && value == NULL) {
        json_decref(body);
        return NGX_OK;
    }

    if (ctx->conf->service->seals->nelts == 0) {
        json_decref(body);
        return prov_secret_missing(r, ctx);
    }

    ngx_str_set(&made, "");
    ngx_str_set(&sealed, "");

    rc = prov_secret_owner(r, ctx, &owner);

    if (rc == NGX_OK && secret->make) {
        rc = prov_secret_make(r, ctx, &owner, &made);
    }

    if (rc == NGX_OK && value) {
        rc = prov_secret_sealed(r, ctx, &owner, value, &sealed);
    }

    json_decref(body);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, made.len + sealed.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->secret.data = p;
    ctx->secret.len = made.len + sealed.len;

    p = ngx_cpymem(p, made.data, made.len);
    ngx_memcpy(p, sealed.data, sealed.len);

    return NGX_OK;
}


/* A uuid of the path, as the database writes it; or one that is made here. */

static ngx_int_t
prov_secret_owner(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_str_t *owner)
{
    ngx_uint_t  i;

    i = ctx->operation->secret->owner;

    if (i == PROV_OPENAPI_OWNER_NEW) {
        ctx->resource.data = ngx_pnalloc(r->pool, PROV_ID_LEN);

        if (ctx->resource.data == NULL
            || prov_id_make(ctx->resource.data) != NGX_OK)
        {
            return NGX_ERROR;
        }

        ctx->resource.len = PROV_ID_LEN;
        *owner = ctx->resource;

        return NGX_OK;
    }

    owner->len = ctx->match->values[i].len;
    owner->data = ngx_pnalloc(r->pool, owner->len);
    if (owner->data == NULL) {
        return NGX_ERROR;
    }

    ngx_strlow(owner->data, ctx->match->values[i].data, owner->len);

    return NGX_OK;
}


/*
 * Both that an owner may choose between: a shared secret, and a pair of keys
 * of which only the public one is shown.  The function takes one.
 */

static ngx_int_t
prov_secret_make(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_str_t *owner, ngx_str_t *members)
{
    u_char     *p, bytes[PROV_SECRET_BYTES], seed[PROV_SECRET_BYTES],
                public[PROV_SECRET_BYTES], text[PROV_SECRET_TEXT],
                public_text[PROV_SECRET_TEXT];
    ngx_int_t   rc;
    ngx_str_t   shared, private, sealed, sealed_private;

    rc = NGX_ERROR;

    shared.data = bytes;
    shared.len = PROV_SECRET_BYTES;
    private.data = seed;
    private.len = PROV_SECRET_BYTES;

    if (RAND_priv_bytes(bytes, PROV_SECRET_BYTES) == 1
        && RAND_priv_bytes(seed, PROV_SECRET_BYTES) == 1
        && prov_secret_public(seed, public) == NGX_OK
        && prov_secret_seal(r, ctx, owner, "secret", &shared, &sealed)
           == NGX_OK
        && prov_secret_seal(r, ctx, owner, "private", &private,
                            &sealed_private)
           == NGX_OK)
    {
        rc = NGX_OK;
    }

    p = ngx_pnalloc(r->pool, 128 + 2 * PROV_SECRET_TEXT
                             + (rc == NGX_OK
                                ? sealed.len + sealed_private.len : 0));
    if (p == NULL) {
        rc = NGX_ERROR;
    }

    if (rc == NGX_OK) {
        prov_secret_text(text, "whsec_", bytes);
        prov_secret_text(public_text, "whpk_", public);

        /* nothing in these needs to be escaped */

        members->data = p;
        members->len = ngx_sprintf(p, ",\"secret\":{\"text\":\"%s\","
                                   "\"sealed\":\"%V\",\"public_key\":\"%s\","
                                   "\"private\":\"%V\"}", text, &sealed,
                                   public_text, &sealed_private)
                       - p;

        OPENSSL_cleanse(text, sizeof(text));
    }

    OPENSSL_cleanse(bytes, sizeof(bytes));
    OPENSSL_cleanse(seed, sizeof(seed));

    return rc;
}


/* The member of the body, as JSON, under its own name. */

static ngx_int_t
prov_secret_sealed(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_str_t *owner, json_t *value, ngx_str_t *members)
{
    u_char     *p;
    ngx_int_t   rc;
    ngx_str_t   text, sealed, *member;

    member = &ctx->operation->secret->member;

    text = prov_json_text(r->pool, value);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    rc = prov_secret_seal(r, ctx, owner, (char *) member->data, &text,
                          &sealed);

    prov_seal_wipe(&text);

    if (rc != NGX_OK) {
        return rc;
    }

    p = ngx_pnalloc(r->pool, sizeof(",\"sealed\":\"\"") + sealed.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    members->data = p;
    members->len = ngx_sprintf(p, ",\"sealed\":\"%V\"", &sealed) - p;

    return NGX_OK;
}


/* A seal's purpose is the document's, a dot, and what is sealed. */

static ngx_int_t
prov_secret_seal(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_str_t *owner, const char *what, ngx_str_t *text, ngx_str_t *sealed)
{
    u_char                 *purpose;
    prov_openapi_secret_t  *secret;

    secret = ctx->operation->secret;

    purpose = ngx_pnalloc(r->pool, secret->purpose.len + sizeof(".")
                                   + ngx_strlen(what));
    if (purpose == NULL) {
        return NGX_ERROR;
    }

    *ngx_sprintf(purpose, "%V.%s", &secret->purpose, what) = '\0';

    return prov_seal(r->pool, ctx->conf->service->seals, (char *) purpose,
                     owner, text, sealed);
}


/* RFC 8032, 5.1.5 */

static ngx_int_t
prov_secret_public(u_char *seed, u_char *public)
{
    size_t      len;
    EVP_PKEY   *pkey;
    ngx_int_t   rc;

    pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed,
                                        PROV_SECRET_BYTES);
    if (pkey == NULL) {
        return NGX_ERROR;
    }

    len = PROV_SECRET_BYTES;

    rc = EVP_PKEY_get_raw_public_key(pkey, public, &len) == 1 ? NGX_OK
                                                              : NGX_ERROR;

    EVP_PKEY_free(pkey);

    return rc;
}


static void
prov_secret_text(u_char *text, const char *prefix, u_char *bytes)
{
    u_char     *p;
    ngx_str_t   src, dst;

    p = ngx_cpymem(text, prefix, ngx_strlen(prefix));

    src.data = bytes;
    src.len = PROV_SECRET_BYTES;
    dst.data = p;

    ngx_encode_base64(&dst, &src);

    dst.data[dst.len] = '\0';
}


static ngx_int_t
prov_secret_missing(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "\"%V\" was refused, as there is no "
                  "\"provisioning_secrets_key\"", &ctx->operation->id);

    return prov_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                        "secrets_unavailable",
                        "This gateway has no key to keep secrets with, which "
                        "its operator must give it; nothing was done.");
}


/* Said while the configuration is read, so that nobody need find out. */

void
prov_request_secret_conf(ngx_conf_t *cf, prov_request_service_t *service)
{
    ngx_uint_t                 i;
    prov_openapi_operation_t  *op;
    prov_request_main_conf_t  *pmcf;

    pmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_provisioning_module);

    service->seals = &pmcf->seals;

    if (pmcf->seals.nelts) {
        return;
    }

    op = service->api->operations.elts;

    for (i = 0; i < service->api->operations.nelts; i++) {

        if (op[i].secret) {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "there is no \"provisioning_secrets_key\" in the "
                          "http block, so operations that keep secrets, such "
                          "as \"%V\" in %V, will answer 503", &op[i].id,
                          &service->api->file);
            return;
        }
    }
}
