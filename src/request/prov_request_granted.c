/*
 * What the caller may do: by the roles of a token, or by the scopes of a key.
 * Asked by the access phase for one permission; and written out in full for
 * the functions that hand on rights, which must not hand on more.
 */

#include "request/prov_request.h"
#include "base/prov_json_write.h"


static u_char *prov_request_granted_name(u_char *p, u_char *start,
    u_char *name, size_t len, const char *end);


/* Whether the caller may do what the operation demands. */

ngx_uint_t
prov_request_permitted(prov_openapi_operation_t *op,
    prov_auth_identity_t *identity)
{
    ngx_str_t  *permission;

    if (!identity->scoped || op->permission == PROV_OPENAPI_PUBLIC) {
        return prov_openapi_permitted(op, identity->roles, identity->nroles);
    }

    permission = op->api->permissions.elts;

    return prov_openapi_scoped(identity->roles, identity->nroles,
                               &permission[op->permission]);
}


/* The same for a permission of an API by its name. */

ngx_uint_t
prov_request_grants(prov_openapi_api_t *api, ngx_str_t *permission,
    prov_auth_identity_t *identity)
{
    if (identity->scoped) {
        return prov_openapi_scoped(identity->roles, identity->nroles,
                                   permission);
    }

    return prov_openapi_grants(api, permission, identity->roles,
                               identity->nroles);
}


/*
 * Whether he may use the parameters that he has given: values, in the order
 * of the operation's parameters, NULL where there is none.  false is as good
 * as absent.  NGX_OK, a problem's status, or NGX_ERROR.
 */

ngx_int_t
prov_request_permits(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    json_t **values)
{
    ngx_uint_t                 i;
    prov_openapi_operation_t  *op;
    prov_openapi_parameter_t  *param;

    op = ctx->operation;
    param = op->parameters.elts;

    for (i = 0; i < op->parameters.nelts; i++) {

        if (param[i].permission.len == 0) {
            continue;
        }

        if (values[i] && !json_is_false(values[i])
            && !prov_request_grants(op->api, &param[i].permission,
                                    ctx->identity))
        {
            return prov_request_forbidden(r, &param[i].permission);
        }
    }

    return NGX_OK;
}


/* Operations on keys, which are told all that their caller may do. */

ngx_uint_t
prov_request_grants_told(prov_openapi_operation_t *op)
{
    ngx_str_t  *permission;

    static ngx_str_t  keys = ngx_string("api_key:");

    if (op->permission == PROV_OPENAPI_PUBLIC) {
        return 0;
    }

    permission = op->api->permissions.elts;
    permission += op->permission;

    return permission->len > keys.len
           && ngx_memcmp(permission->data, keys.data, keys.len) == 0;
}


/* An upper bound of what prov_request_granted() writes. */

size_t
prov_request_granted_len(prov_openapi_api_t *api)
{
    size_t       len;
    ngx_str_t   *permission;
    ngx_uint_t   i;

    permission = api->permissions.elts;
    len = sizeof("[\"*\"]");

    /* each perhaps the only one of its resource */

    for (i = 0; i < api->permissions.nelts; i++) {
        len += 2 * (permission[i].len + sizeof("\"*\","));
    }

    return len;
}


/*
 * A JSON array: each permission that the caller has, "resource:*" where he
 * has all of a resource, "*" where he has all there are.  The loader has seen
 * to it that nothing in a permission needs to be escaped, and has sorted
 * them, so those of one resource stand together.
 */

u_char *
prov_request_granted(u_char *p, prov_openapi_api_t *api,
    prov_auth_identity_t *identity)
{
    u_char      *start;
    size_t       len;
    ngx_str_t   *permission;
    ngx_uint_t   i, n, whole, all;

    permission = api->permissions.elts;
    n = api->permissions.nelts;

    start = p;
    *p++ = '[';

    all = (n > 0);
    whole = 1;

    for (i = 0; i < n; i++) {

        len = ngx_strlchr(permission[i].data,
                          permission[i].data + permission[i].len, ':')
              - permission[i].data + 1;

        if (prov_request_grants(api, &permission[i], identity)) {
            p = prov_request_granted_name(p, start, permission[i].data,
                                          permission[i].len, "");

        } else {
            whole = 0;
            all = 0;
        }

        if (i + 1 < n && permission[i + 1].len > len
            && ngx_memcmp(permission[i].data, permission[i + 1].data, len)
               == 0)
        {
            continue;
        }

        if (whole) {
            p = prov_request_granted_name(p, start, permission[i].data, len,
                                          "*");
        }

        whole = 1;
    }

    if (all) {
        p = prov_request_granted_name(p, start, NULL, 0, "*");
    }

    *p++ = ']';

    return p;
}


static u_char *
prov_request_granted_name(u_char *p, u_char *start, u_char *name, size_t len,
    const char *end)
{
    if (p != start + 1) {
        *p++ = ',';
    }

    *p++ = '"';

    if (len) {
        p = ngx_cpymem(p, name, len);
    }

    return ngx_sprintf(p, "%s\"", end);
}
