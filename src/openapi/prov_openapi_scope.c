/*
 * Scopes: permissions that somebody holds by name rather than by a role, as a
 * key does.  A scope is written as a grant in x-roles is: "resource:action",
 * "resource:*" or "*".  Called for each request with a key, and by the loader
 * for the grants of roles.
 */

#include "openapi/prov_openapi.h"


/*
 * Whether a scope has all that is wanted, which is a permission or a scope
 * itself: "tenant:*" covers "tenant:read", and "tenant:*".
 */

ngx_uint_t
prov_openapi_scope_covers(ngx_str_t *scope, ngx_str_t *wanted)
{
    size_t  n;

    n = scope->len;

    if (n == 1 && scope->data[0] == '*') {
        return 1;
    }

    /* "tenant:*" matches what begins with "tenant:" */

    if (n > 2 && scope->data[n - 1] == '*' && scope->data[n - 2] == ':') {
        return wanted->len >= n
               && ngx_memcmp(scope->data, wanted->data, n - 1) == 0;
    }

    return n == wanted->len && n != 0
           && ngx_memcmp(scope->data, wanted->data, n) == 0;
}


ngx_uint_t
prov_openapi_scoped(ngx_str_t *scopes, ngx_uint_t n, ngx_str_t *wanted)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (prov_openapi_scope_covers(&scopes[i], wanted)) {
            return 1;
        }
    }

    return 0;
}
