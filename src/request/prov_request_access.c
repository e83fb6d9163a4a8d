/*
 * Who may: the access phase, before a body is read.  Route, authenticate,
 * authorise; works alone on any location (what stands behind it is nginx's
 * business), and is what the content handler insists on.
 */

#include "request/prov_request.h"


/* a worker's cache of verified tokens; about 1 KiB each */
#define PROV_REQUEST_TOKENS  4096


static prov_auth_cache_t  *prov_request_tokens;


static ngx_uint_t prov_request_trusts(prov_auth_set_t *set,
    prov_auth_issuer_t *issuer);
static ngx_int_t prov_request_authenticate(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);
static ngx_int_t prov_request_bearer(ngx_http_request_t *r,
    ngx_str_t *token);
static ngx_uint_t prov_request_repeated(ngx_http_request_t *r,
    ngx_table_elt_t *authorization);
static ngx_int_t prov_request_authorise(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);
static ngx_uint_t prov_request_fulfils(prov_request_conf_t *conf,
    prov_auth_identity_t *identity);
static ngx_uint_t prov_request_meets(prov_request_conf_t *conf,
    prov_auth_identity_t *identity, ngx_array_t *any);
static ngx_int_t prov_request_missing(ngx_http_request_t *r,
    const char *detail);
static ngx_int_t prov_request_unauthorized(ngx_http_request_t *r,
    ngx_str_t *code, ngx_str_t *detail);


ngx_int_t
prov_request_init_worker(ngx_cycle_t *cycle)
{
    prov_request_tokens = prov_auth_cache_create(cycle->pool,
                                                 PROV_REQUEST_TOKENS);

    return prov_request_tokens ? NGX_OK : NGX_ERROR;
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

    /* an internal redirect comes here again, for another location perhaps */

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
        && prov_request_trusts(conf->auth, ctx->identity->issuer)
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
prov_request_trusts(prov_auth_set_t *set, prov_auth_issuer_t *issuer)
{
    ngx_uint_t            i;
    prov_auth_issuer_t  **trusted;

    trusted = set->issuers.elts;

    for (i = 0; i < set->issuers.nelts; i++) {
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
    prov_auth_refusal_t  refusal;

    rc = prov_request_bearer(r, &token);
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

    ngx_memzero(&refusal, sizeof(prov_auth_refusal_t));

    rc = prov_auth_verify(ctx->conf->auth, prov_request_tokens, &token,
                          r->pool, &ctx->identity, &refusal);

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "token refused (%V): %V", &refusal.code, &refusal.log);

        return prov_request_unauthorized(r, &refusal.code, &refusal.detail);
    }

    return rc;
}


/* Authorization: Bearer <token> (RFC 6750, section 2.1) */

static ngx_int_t
prov_request_bearer(ngx_http_request_t *r, ngx_str_t *token)
{
    u_char           *p, *last;
    ngx_table_elt_t  *h;

    h = r->headers_in.authorization;

    if (h == NULL) {
        return prov_request_missing(r, "Send a token in the header "
                                       "\"Authorization: Bearer <token>\".");
    }

    if (prov_request_repeated(r, h)) {
        return prov_problem(r, NGX_HTTP_BAD_REQUEST,
                            "authorization_repeated",
                            "The request has more than one Authorization "
                            "header; send exactly one.");
    }

    p = h->value.data;
    last = p + h->value.len;

    if (h->value.len > sizeof("Bearer ") - 1
        && ngx_strncasecmp(p, (u_char *) "Bearer ", sizeof("Bearer ") - 1)
           == 0)
    {
        p += sizeof("Bearer ") - 1;

        while (p < last && *p == ' ') {
            p++;
        }

        if (p < last) {
            token->data = p;
            token->len = last - p;
            return NGX_OK;
        }
    }

    return prov_request_missing(r, "The Authorization header must have the "
                                   "form \"Bearer <token>\".");
}


/*
 * With two of them we would check one, and what stands behind us might look
 * at the other.
 */

static ngx_uint_t
prov_request_repeated(ngx_http_request_t *r, ngx_table_elt_t *authorization)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (&h[i] != authorization
                && h[i].key.len == sizeof("authorization") - 1
                && ngx_strncmp(h[i].lowcase_key, "authorization",
                               sizeof("authorization") - 1)
                   == 0)
            {
                return 1;
            }
        }
    }

    return 0;
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


/*
 * 401 with a challenge; without an error in it where nothing was presented
 * (RFC 6750, section 3.1).
 */

static ngx_int_t
prov_request_missing(ngx_http_request_t *r, const char *detail)
{
    static ngx_str_t  bare = ngx_string("Bearer realm=\"provisioning\"");

    if (prov_request_header_out(r, "WWW-Authenticate", &bare) != NGX_OK) {
        return NGX_ERROR;
    }

    return prov_problem(r, NGX_HTTP_UNAUTHORIZED, "token_missing", "%s",
                        detail);
}


static ngx_int_t
prov_request_unauthorized(ngx_http_request_t *r, ngx_str_t *code,
    ngx_str_t *detail)
{
    u_char     *p;
    ngx_str_t   challenge;

    static ngx_str_t  bare = ngx_string("Bearer realm=\"provisioning\", "
                                        "error=\"invalid_token\"");

    p = ngx_pnalloc(r->pool, bare.len + sizeof(", error_description=\"\"") - 1
                             + code->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    challenge.data = p;
    challenge.len = ngx_sprintf(p, "%V, error_description=\"%V\"", &bare,
                                code)
                    - p;

    if (prov_request_header_out(r, "WWW-Authenticate", &challenge)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return prov_problem_members(r, NGX_HTTP_UNAUTHORIZED, code, detail, NULL);
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
