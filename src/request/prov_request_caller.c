/*
 * What the database is told of the caller and the request: the statement's
 * first argument, which prov.enter() takes.  Written by hand, once for each
 * request; docs/database.md lists its members.
 */

#include "request/prov_request.h"
#include "base/prov_id.h"
#include "base/prov_json_write.h"


/* what most of them fit into */
#define PROV_CALLER_BUFFER  2048

#define prov_caller_put(p, text)  ngx_cpymem(p, text, sizeof(text) - 1)

/* name is a literal, with all that stands before the value */
#define prov_caller_member(p, name, value)                                    \
    prov_json_quote(prov_caller_put(p, name), value)


static size_t prov_request_caller_len(prov_request_ctx_t *ctx,
    ngx_str_t *permission, ngx_str_t *ip, ngx_str_t *agent);
static ngx_int_t prov_request_caller_ids(prov_request_ctx_t *ctx,
    u_char **p);
static u_char *prov_request_caller_who(u_char *p,
    prov_auth_identity_t *identity);
static u_char *prov_request_caller_prefer(u_char *p,
    prov_request_prefer_t *prefer);


/* Sets ctx->args[0]. */

ngx_int_t
prov_request_caller(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    u_char                    *p, *start, buffer[PROV_CALLER_BUFFER];
    size_t                     len;
    ngx_str_t                 *permission, *ip, agent;
    prov_openapi_operation_t  *op;

    op = ctx->operation;
    permission = NULL;

    if (op->permission != PROV_OPENAPI_PUBLIC) {
        permission = op->api->permissions.elts;
        permission += op->permission;
    }

    ip = &r->connection->addr_text;
    ngx_str_null(&agent);

    if (r->headers_in.user_agent) {
        agent = r->headers_in.user_agent->value;
        agent.len = ngx_min(agent.len, PROV_REQUEST_AGENT_LEN);
    }

    /* the bound is several times what is written, so only that stays; but
       what is told of a result is pointed to */

    start = buffer;
    len = prov_request_caller_len(ctx, permission, ip, &agent);

    if (len > sizeof(buffer) || op->result) {
        start = ngx_pnalloc(r->pool, len);
        if (start == NULL) {
            return NGX_ERROR;
        }
    }

    p = prov_caller_member(start, "{\"request_id\":", &ctx->id);
    p = prov_caller_member(p, ",\"operation\":", &op->id);
    p = prov_caller_member(p, ",\"base\":", &ctx->conf->prefix);
    p = prov_caller_member(p, ",\"ip\":", ip);
    p = prov_caller_member(p, ",\"user_agent\":", &agent);

    if (permission) {
        p = prov_caller_member(p, ",\"permission\":", permission);
    }

    if (op->method != PROV_OPENAPI_GET
        && prov_request_caller_ids(ctx, &p) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->identity) {
        p = prov_request_caller_who(p, ctx->identity);

        if (prov_request_grants_told(op)) {
            p = prov_caller_put(p, ",\"granted\":");
            p = prov_request_granted(p, op->api, ctx->identity);
        }
    }

    if (ctx->secret.len) {
        p = ngx_cpymem(p, ctx->secret.data, ctx->secret.len);
    }

    if (op->result) {
        p = prov_request_result_told(p, ctx);
    }

    if (ctx->prefer.respond_async || ctx->prefer.wait) {
        p = prov_request_caller_prefer(p, &ctx->prefer);
    }

    *p++ = '}';
    *p = '\0';

    ctx->args[0].data = start;
    ctx->args[0].len = p - start;

    if (start == buffer) {
        ctx->args[0].data = ngx_pnalloc(r->pool, p - start + 1);
        if (ctx->args[0].data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(ctx->args[0].data, start, p - start + 1);
    }

    return NGX_OK;
}


/* an upper bound: names and punctuation with room, values fully escaped */

static size_t
prov_request_caller_len(prov_request_ctx_t *ctx, ngx_str_t *permission,
    ngx_str_t *ip, ngx_str_t *agent)
{
    size_t                 len;
    ngx_uint_t             i;
    prov_auth_identity_t  *identity;

    len = 512 + 2 * PROV_ID_LEN + prov_json_quoted(ctx->id.len)
          + prov_json_quoted(ctx->operation->id.len)
          + prov_json_quoted(ctx->conf->prefix.len)
          + prov_json_quoted(ip->len) + prov_json_quoted(agent->len);

    if (permission) {
        len += prov_json_quoted(permission->len);
    }

    len += ctx->secret.len;

    if (ctx->operation->result) {
        len += prov_request_result_len(ctx->operation);
    }

    identity = ctx->identity;

    if (identity) {
        len += prov_json_quoted(identity->subject.len)
               + prov_json_quoted(identity->issuer->iss.len)
               + prov_json_quoted(identity->partner.len)
               + prov_json_quoted(identity->key.len);

        if (prov_request_grants_told(ctx->operation)) {
            len += prov_request_granted_len(ctx->operation->api);
        }

        for (i = 0; i < identity->nroles; i++) {
            len += prov_json_quoted(identity->roles[i].len) + 1;
        }
    }

    return len;
}


/*
 * The mutation's own id, never the caller's request id, which may repeat; and
 * one for what the mutation may create, so that a repetition keeps it.
 */

static ngx_int_t
prov_request_caller_ids(prov_request_ctx_t *ctx, u_char **p)
{
    u_char     text[PROV_ID_LEN];
    ngx_str_t  id;

    id.data = text;
    id.len = PROV_ID_LEN;

    if (prov_id_make(text) != NGX_OK) {
        return NGX_ERROR;
    }

    *p = prov_caller_member(*p, ",\"mutation\":", &id);

    if (ctx->resource.len) {
        id = ctx->resource;

    } else if (prov_id_make(text) != NGX_OK) {
        return NGX_ERROR;
    }

    *p = prov_caller_member(*p, ",\"id\":", &id);

    return NGX_OK;
}


static u_char *
prov_request_caller_who(u_char *p, prov_auth_identity_t *identity)
{
    ngx_uint_t  i;

    if (identity->partner.len) {
        p = prov_caller_member(p, ",\"partner\":", &identity->partner);
    }

    p = identity->key.len
        ? prov_caller_put(p, ",\"principal\":{\"kind\":\"key\"")
        : prov_caller_put(p, ",\"principal\":{\"kind\":\"user\"");
    p = prov_caller_member(p, ",\"subject\":", &identity->subject);
    p = prov_caller_member(p, ",\"issuer\":", &identity->issuer->iss);

    if (identity->key.len) {
        p = prov_caller_member(p, ",\"key\":", &identity->key);
    }

    p = identity->scoped ? prov_caller_put(p, ",\"scopes\":[")
                         : prov_caller_put(p, ",\"roles\":[");

    for (i = 0; i < identity->nroles; i++) {
        if (i) {
            *p++ = ',';
        }

        p = prov_json_quote(p, &identity->roles[i]);
    }

    *p++ = ']';
    *p++ = '}';

    return p;
}


static u_char *
prov_request_caller_prefer(u_char *p, prov_request_prefer_t *prefer)
{
    p = prefer->respond_async
        ? prov_caller_put(p, ",\"prefer\":{\"respond_async\":true")
        : prov_caller_put(p, ",\"prefer\":{\"respond_async\":false");

    return ngx_sprintf(p, ",\"wait\":%ui}", prefer->wait);
}
