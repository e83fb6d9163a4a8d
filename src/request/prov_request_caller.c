/*
 * What the database is told of the caller and the request: the statement's
 * first argument, which prov.enter() takes.  Written by hand, once for each
 * request; what is the same for all of an operation, a location or a token is
 * there already.  docs/database.md lists its members.
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


static size_t prov_request_caller_len(prov_request_ctx_t *ctx, ngx_str_t *ip,
    ngx_str_t *agent);
static ngx_int_t prov_request_caller_ids(prov_request_ctx_t *ctx,
    u_char **p);
static u_char *prov_request_caller_prefer(u_char *p,
    prov_request_prefer_t *prefer);


/* What of it is an operation's own; while the configuration is read. */

ngx_int_t
prov_request_caller_call(ngx_conf_t *cf, prov_request_call_t *call)
{
    u_char                    *p;
    size_t                     len;
    ngx_str_t                 *permission;
    prov_openapi_operation_t  *op;

    op = call->operation;
    permission = NULL;
    len = sizeof(",\"operation\":,\"permission\":")
          + prov_json_quoted(op->id.len);

    if (op->permission != PROV_OPENAPI_PUBLIC) {
        permission = op->api->permissions.elts;
        permission += op->permission;
        len += prov_json_quoted(permission->len);
    }

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    call->told.data = p;

    p = prov_caller_member(p, ",\"operation\":", &op->id);

    if (permission) {
        p = prov_caller_member(p, ",\"permission\":", permission);
    }

    call->told.len = p - call->told.data;

    return NGX_OK;
}


/* And a location's. */

ngx_int_t
prov_request_caller_conf(ngx_conf_t *cf, prov_request_conf_t *conf)
{
    u_char  *p;

    p = ngx_pnalloc(cf->pool, sizeof(",\"base\":")
                              + prov_json_quoted(conf->prefix.len));
    if (p == NULL) {
        return NGX_ERROR;
    }

    conf->told.data = p;
    conf->told.len = prov_caller_member(p, ",\"base\":", &conf->prefix) - p;

    return NGX_OK;
}


/* Sets ctx->args[0]. */

ngx_int_t
prov_request_caller(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    u_char                    *p, *start, buffer[PROV_CALLER_BUFFER];
    size_t                     len;
    ngx_str_t                 *ip, agent;
    prov_openapi_operation_t  *op;

    op = ctx->operation;
    ip = &r->connection->addr_text;
    ngx_str_null(&agent);

    if (r->headers_in.user_agent) {
        agent = r->headers_in.user_agent->value;
        agent.len = ngx_min(agent.len, PROV_REQUEST_AGENT_LEN);
    }

    /* the bound is several times what is written, so only that stays; but
       what is told of a result is pointed to */

    start = buffer;
    len = prov_request_caller_len(ctx, ip, &agent);

    if (len > sizeof(buffer) || op->result) {
        start = ngx_pnalloc(r->pool, len);
        if (start == NULL) {
            return NGX_ERROR;
        }
    }

    p = prov_caller_member(start, "{\"request_id\":", &ctx->id);
    p = ngx_cpymem(p, ctx->call->told.data, ctx->call->told.len);
    p = ngx_cpymem(p, ctx->conf->told.data, ctx->conf->told.len);
    p = prov_caller_member(p, ",\"ip\":", ip);
    p = prov_caller_member(p, ",\"user_agent\":", &agent);

    if (op->method != PROV_OPENAPI_GET
        && prov_request_caller_ids(ctx, &p) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->identity) {
        p = prov_auth_identity_told(p, ctx->identity);

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
prov_request_caller_len(prov_request_ctx_t *ctx, ngx_str_t *ip,
    ngx_str_t *agent)
{
    size_t  len;

    len = 512 + 2 * PROV_ID_LEN + prov_json_quoted(ctx->id.len)
          + ctx->call->told.len + ctx->conf->told.len
          + prov_json_quoted(ip->len) + prov_json_quoted(agent->len)
          + ctx->secret.len;

    if (ctx->operation->result) {
        len += prov_request_result_len(ctx->operation);
    }

    if (ctx->identity) {
        len += prov_auth_identity_told_len(ctx->identity);

        if (prov_request_grants_told(ctx->operation)) {
            len += prov_request_granted_len(ctx->operation->api);
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
prov_request_caller_prefer(u_char *p, prov_request_prefer_t *prefer)
{
    p = prefer->respond_async
        ? prov_caller_put(p, ",\"prefer\":{\"respond_async\":true")
        : prov_caller_put(p, ",\"prefer\":{\"respond_async\":false");

    return ngx_sprintf(p, ",\"wait\":%ui}", prefer->wait);
}
