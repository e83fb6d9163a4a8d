/*
 * Who may: the access phase, before a body is read.  Route, authenticate,
 * authorise; works alone on any location (what stands behind it is nginx's
 * business), and is what the content handler insists on.
 */

#include "request/prov_request.h"


static ngx_int_t prov_request_access_final(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_int_t rc);
static ngx_uint_t prov_request_trusts(prov_request_conf_t *conf,
    prov_auth_issuer_t *issuer);
static ngx_int_t prov_request_authenticate(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);
static ngx_int_t prov_request_authorise(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);
static ngx_uint_t prov_request_fulfils(prov_request_conf_t *conf,
    prov_auth_identity_t *identity);
static ngx_uint_t prov_request_meets(prov_request_conf_t *conf,
    prov_auth_identity_t *identity, ngx_array_t *any);


ngx_int_t
prov_request_init_worker(ngx_cycle_t *cycle)
{
    return (prov_request_tokens_init_worker(cycle) == NGX_OK)
           ? prov_request_keys_init_worker(cycle) : NGX_ERROR;
}


void
prov_request_exit_worker(void)
{
    prov_request_keys_exit_worker();
}


ngx_int_t
prov_request_access(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_uint_t            public;
    prov_request_ctx_t   *ctx;
    prov_request_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_provisioning_module);

    if (conf->api == NULL && conf->auth == NULL) {
        return NGX_DECLINED;
    }

    ctx = prov_request_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* any event of the connection leads here while a key is looked up, or
       those of an issuer are fetched */

    if ((ctx->lookup && ctx->lookup->waiting)
        || (ctx->await && ctx->await->wait.waiting))
    {
        return NGX_AGAIN;
    }

    if (ctx->resumed && ctx->conf == conf) {
        ctx->resumed = 0;
        return prov_request_access_final(r, ctx, ctx->decided);
    }

    /* an internal redirect comes here again, for another location perhaps */

    ctx->resumed = 0;
    ctx->conf = conf;
    ctx->allowed = 0;
    ctx->operation = NULL;
    ctx->call = NULL;
    ctx->identity = NULL;
    ngx_str_null(&ctx->tenant);
    ctx->page = r->err_status;
    ctx->problem.status = 0;

    rc = prov_request_limit(r, ctx, 0);

    if (rc == NGX_OK && conf->api) {
        rc = prov_request_route(r, ctx);
    }

    public = ctx->operation
             && ctx->operation->permission == PROV_OPENAPI_PUBLIC;

    if (rc == NGX_OK && !public) {
        rc = prov_request_authenticate(r, ctx);

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }
    }

    return prov_request_access_final(r, ctx, rc);
}


/* When it is known, or cannot be known, who is calling. */

static ngx_int_t
prov_request_access_final(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_int_t rc)
{
    ngx_uint_t  public;

    public = ctx->operation
             && ctx->operation->permission == PROV_OPENAPI_PUBLIC;

    if (rc == NGX_OK && !public) {
        rc = ctx->identity ? prov_request_access_network(r, ctx->identity)
                           : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_OK) {
        rc = prov_request_limit(r, ctx, 1);
    }

    if (rc == NGX_OK && !public) {
        rc = prov_request_authorise(r, ctx);
    }

    if (rc == NGX_OK) {
        ctx->allowed = 1;
        return NGX_OK;
    }

    return prov_problem_final(r, rc);
}


/*
 * nginx leaves the access phase out for subrequests.  One to a location that
 * wants a token passes only when the main request has shown one that is good
 * there, too; else an "auth_request" that leads here would always succeed.
 * None passes to an API: a "mirror" must not repeat a change.
 */

ngx_int_t
prov_request_subrequest(ngx_http_request_t *r)
{
    prov_request_ctx_t   *ctx;
    prov_request_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_provisioning_module);

    if (r == r->main || (conf->api == NULL && conf->auth == NULL)) {
        return NGX_DECLINED;
    }

    ctx = prov_request_ctx_find(r->main);

    if (conf->api == NULL && ctx && ctx->allowed && ctx->identity
        && prov_request_trusts(conf, ctx->identity->issuer)
        && prov_request_fulfils(conf, ctx->identity))
    {
        return NGX_DECLINED;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "a subrequest to \"%V\" is refused: nothing has checked "
                  "who asks", &r->uri);

    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_uint_t
prov_request_trusts(prov_request_conf_t *conf, prov_auth_issuer_t *issuer)
{
    ngx_uint_t            i;
    prov_auth_issuer_t  **trusted;

    if (conf->keys && issuer == &conf->keys->issuer) {
        return 1;
    }

    trusted = conf->auth->issuers.elts;

    for (i = 0; i < conf->auth->issuers.nelts; i++) {
        if (trusted[i] == issuer) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
prov_request_authenticate(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_str_t            token;
    ngx_uint_t           key;
    prov_auth_refusal_t  refusal;

    rc = prov_request_credentials(r, ctx, &token, &key);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->conf->auth == NULL) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "an operation that needs a token is reached through a "
                      "location without \"provisioning_auth\"");

        ngx_str_set(&refusal.code, "token_unknown_issuer");
        ngx_str_set(&refusal.detail,
                    "No issuer of tokens is trusted at this path.");

        return prov_request_unauthorized(r, &refusal.code, &refusal.detail);
    }

    if (key) {
        return prov_request_access_key(r, ctx, &token);
    }

    if (ctx->await) {
        ctx->await->wait.waits = 0;
    }

    return prov_request_access_token(r, ctx, &token);
}


static ngx_int_t
prov_request_authorise(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    ngx_str_t                 *permission;
    prov_openapi_operation_t  *op;

    op = ctx->operation;

    if (op
        && !prov_request_permitted(op, ctx->identity))
    {
        permission = op->api->permissions.elts;
        permission += op->permission;

        return prov_request_forbidden(r, permission);
    }

    return prov_request_fulfils(ctx->conf, ctx->identity)
           ? NGX_OK : prov_request_forbidden(r, NULL);
}


/* provisioning_require: of each directive one parameter must be met */

static ngx_uint_t
prov_request_fulfils(prov_request_conf_t *conf,
    prov_auth_identity_t *identity)
{
    ngx_uint_t    i;
    ngx_array_t  *any;

    if (conf->require == NULL) {
        return 1;
    }

    any = conf->require->elts;

    for (i = 0; i < conf->require->nelts; i++) {
        if (!prov_request_meets(conf, identity, &any[i])) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
prov_request_meets(prov_request_conf_t *conf, prov_auth_identity_t *identity,
    ngx_array_t *any)
{
    ngx_uint_t                   i, j;
    prov_openapi_api_t          *api;
    prov_request_requirement_t  *req;

    api = conf->api ? conf->api : conf->roles;
    req = any->elts;

    for (i = 0; i < any->nelts; i++) {

        if (req[i].permission) {
            if (prov_request_grants(api, &req[i].name, identity)) {
                return 1;
            }

            continue;
        }

        if (identity->scoped) {
            /* it has no roles, whatever its scopes are called */
            continue;
        }

        for (j = 0; j < identity->nroles; j++) {
            if (identity->roles[j].len == req[i].name.len
                && ngx_strncmp(identity->roles[j].data, req[i].name.data,
                               req[i].name.len)
                   == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}


/* 403 (RFC 6750, section 3.1: insufficient_scope) */

ngx_int_t
prov_request_forbidden(ngx_http_request_t *r, ngx_str_t *permission)
{
    u_char     *p;
    ngx_str_t   challenge;

    static ngx_str_t  bare = ngx_string("Bearer realm=\"provisioning\", "
                                        "error=\"insufficient_scope\"");

    if (permission == NULL) {
        if (prov_request_header_out(r, "WWW-Authenticate", &bare) != NGX_OK) {
            return NGX_ERROR;
        }

        return prov_problem(r, NGX_HTTP_FORBIDDEN, "permission_denied",
                            "None of the caller's roles gives access to "
                            "this path.");
    }

    p = ngx_pnalloc(r->pool, bare.len + sizeof(", scope=\"\"") - 1
                             + permission->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    challenge.data = p;
    challenge.len = ngx_sprintf(p, "%V, scope=\"%V\"", &bare, permission) - p;

    if (prov_request_header_out(r, "WWW-Authenticate", &challenge)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return prov_problem(r, NGX_HTTP_FORBIDDEN, "permission_denied",
                        "The operation requires the permission \"%V\", which "
                        "none of the caller's roles grants.", permission);
}
