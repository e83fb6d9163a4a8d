/*
 * What a function must not be told in clear (x-secret in the document): the
 * database is to have nothing of it that could be read without the operator's
 * key, nor is its log, whatever of a statement's arguments is written there.
 * A member of the body goes there sealed, a secret that is made sealed or as a
 * hash; what the function shows of that is a stand-in, and here the secret
 * takes its place in the answer.  Called by prov_request_query.c before the
 * database is asked, by prov_request_response.c afterwards; what a function
 * is told is in docs/database.md.
 */

#include "request/prov_request.h"
#include "base/prov_id.h"


/* in the place of what is sealed */
#define PROV_SECRET_HIDDEN  "[sealed]"


static ngx_int_t prov_secret_owner(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_str_t *owner);
static ngx_int_t prov_secret_sealed(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_str_t *owner, json_t *value,
    ngx_str_t *members);
static ngx_int_t prov_secret_marks(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, json_t *value, ngx_str_t *marks);
static ngx_int_t prov_secret_hide(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, json_t *value);
static json_t *prov_secret_hidden(json_t *value);
static ngx_int_t prov_secret_missing(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);


/* Sets ctx->secret.  NGX_OK, or what to finalize with. */

ngx_int_t
prov_request_secret(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    u_char                 *p;
    json_t                 *value;
    ngx_str_t               owner, made, sealed;
    prov_openapi_secret_t  *secret;

    secret = ctx->operation->secret;
    value = NULL;

    if (secret->member.len) {
        value = json_object_getn(ctx->body, (char *) secret->member.data,
                                 secret->member.len);

        if (json_is_null(value)) {
            value = NULL;
        }
    }

    if (secret->make == PROV_OPENAPI_MAKE_NOTHING && value == NULL) {
        return NGX_OK;
    }

    if ((secret->make == PROV_OPENAPI_MAKE_WEBHOOK || value)
        && ctx->conf->service->seals->nelts == 0)
    {
        return prov_secret_missing(r, ctx);
    }

    ngx_str_set(&made, "");
    ngx_str_set(&sealed, "");

    if (prov_secret_owner(r, ctx, &owner) != NGX_OK
        || (secret->make != PROV_OPENAPI_MAKE_NOTHING
            && prov_request_secret_make(r, ctx, &owner, &made) != NGX_OK)
        || (value
            && (prov_secret_sealed(r, ctx, &owner, value, &sealed) != NGX_OK
                || prov_secret_hide(r, ctx, value) != NGX_OK)))
    {
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

    owner->len = ctx->values[i].len;
    owner->data = ngx_pnalloc(r->pool, owner->len);
    if (owner->data == NULL) {
        return NGX_ERROR;
    }

    ngx_strlow(owner->data, ctx->values[i].data, owner->len);

    return NGX_OK;
}


/*
 * The member of the body, as JSON, under its own name; and marks of it, which
 * tell a repetition from another request.
 */

static ngx_int_t
prov_secret_sealed(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_str_t *owner, json_t *value, ngx_str_t *members)
{
    u_char     *p;
    ngx_int_t   rc;
    ngx_str_t   text, sealed, marks, *member;

    member = &ctx->operation->secret->member;

    text = prov_json_text(r->pool, value);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    rc = prov_request_secret_seal(r, ctx, owner, (char *) member->data,
                                  &text, &sealed);

    prov_seal_wipe(&text);

    ngx_str_set(&marks, "");

    if (rc != NGX_OK
        || (ctx->keyed
            && prov_secret_marks(r, ctx, value, &marks) != NGX_OK))
    {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, sizeof(",\"sealed\":\"\"") + sealed.len
                             + marks.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    members->data = p;
    members->len = ngx_sprintf(p, ",\"sealed\":\"%V\"%V", &sealed, &marks) - p;

    return NGX_OK;
}


/*
 * Under each of the keys, as the first request may have come before another
 * one was put above it; and for this Idempotency-Key only, so that nobody
 * learns from a log who else has the same secret.
 */

static ngx_int_t
prov_secret_marks(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    json_t *value, ngx_str_t *marks)
{
    u_char           *p;
    ngx_int_t         rc;
    ngx_str_t         text, salt;
    ngx_uint_t        i, n;
    ngx_table_elt_t  *h;
    prov_seal_key_t  *key;

    key = ctx->conf->service->seals->elts;
    n = ctx->conf->service->seals->nelts;

    ngx_str_set(&salt, "");

    h = prov_request_header_in(r, "idempotency-key",
                               sizeof("idempotency-key") - 1);
    if (h) {
        salt = h->value;
    }

    text = prov_json_sorted(r->pool, value);
    p = ngx_pnalloc(r->pool, sizeof(",\"marks\":[]")
                             + n * (PROV_SEAL_MARK + sizeof("\"\"")));

    if (text.data == NULL || p == NULL) {
        return NGX_ERROR;
    }

    marks->data = p;
    p = ngx_cpymem(p, ",\"marks\":[", sizeof(",\"marks\":[") - 1);

    rc = NGX_OK;

    for (i = 0; i < n && rc == NGX_OK; i++) {

        if (i) {
            *p++ = ',';
        }

        *p++ = '"';
        rc = prov_seal_mark(&key[i],
                            (char *) ctx->operation->secret->member.data,
                            &salt, &text, p);
        p += PROV_SEAL_MARK;
        *p++ = '"';
    }

    *p++ = ']';

    marks->len = p - marks->data;

    prov_seal_wipe(&text);

    return rc;
}


/* In the body that the function gets names are left of it, and no values. */

static ngx_int_t
prov_secret_hide(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    json_t *value)
{
    u_char     *p;
    json_t     *hidden;
    ngx_str_t   found, text, *body;

    body = &ctx->args[2];

    hidden = prov_secret_hidden(value);
    if (hidden == NULL) {
        return NGX_ERROR;
    }

    text = prov_json_text(r->pool, hidden);

    json_decref(hidden);

    if (text.data == NULL
        || prov_json_member(body->data, body->len,
                            &ctx->operation->secret->member, &found)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, body->len - found.len + text.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text.data = ngx_cpymem(ngx_cpymem(p, body->data, found.data - body->data),
                           text.data, text.len);

    found.data += found.len;
    found.len = body->data + body->len - found.data;

    *ngx_cpymem(text.data, found.data, found.len) = '\0';

    body->len = text.data + found.len - p;
    body->data = p;

    return NGX_OK;
}


/* NULL: no memory */

static json_t *
prov_secret_hidden(json_t *value)
{
    json_t      *hidden, *member;
    const char  *name;

    if (!json_is_object(value)) {
        return json_string(PROV_SECRET_HIDDEN);
    }

    hidden = json_object();

    json_object_foreach(value, name, member) {

        if (json_object_set_new_nocheck(hidden, name,
                                        json_string(PROV_SECRET_HIDDEN))
            != 0)
        {
            json_decref(hidden);
            return NULL;
        }
    }

    return hidden;
}


/*
 * What the function has answered is the database's; a stand-in in it has as
 * many bytes as what it stands for, none of which JSON escapes.
 */

void
prov_request_secret_show(prov_request_ctx_t *ctx, ngx_str_t *body)
{
    u_char  *p, *last;

    p = body->data;
    last = p + body->len;

    while ((size_t) (last - p) >= ctx->stand_in.len) {

        p = ngx_strnstr(p, (char *) ctx->stand_in.data, last - p);
        if (p == NULL) {
            /* tried only, or shown once before: nothing is to be shown */
            return;
        }

        p = ngx_cpymem(p, ctx->shown.data, ctx->shown.len);
    }
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

        if (op[i].secret
            && (op[i].secret->make == PROV_OPENAPI_MAKE_WEBHOOK
                || op[i].secret->member.len))
        {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "there is no \"provisioning_secrets_key\" in the "
                          "http block, so operations that keep secrets, such "
                          "as \"%V\" in %V, will answer 503", &op[i].id,
                          &service->api->file);
            return;
        }
    }
}
