/*
 * The question that every request with a token asks: does one of these roles
 * grant that permission?  A binary search for each role and one bit.
 */

#include "openapi/prov_openapi_node.h"


static ngx_uint_t prov_openapi_permit(prov_openapi_api_t *api,
    ngx_uint_t permission, ngx_str_t *roles, ngx_uint_t n);
static void *prov_openapi_named(ngx_array_t *sorted, ngx_str_t *name);
static prov_openapi_role_t *prov_openapi_permit_role(prov_openapi_api_t *api,
    ngx_str_t *name);


ngx_uint_t
prov_openapi_permitted(prov_openapi_operation_t *op, ngx_str_t *roles,
    ngx_uint_t n)
{
    if (op->permission == PROV_OPENAPI_PUBLIC) {
        return 1;
    }

    return prov_openapi_permit(op->api, op->permission, roles, n);
}


ngx_uint_t
prov_openapi_grants(prov_openapi_api_t *api, ngx_str_t *permission,
    ngx_str_t *roles, ngx_uint_t n)
{
    ngx_uint_t  index;

    index = prov_openapi_permission(api, permission);

    if (index == PROV_OPENAPI_PUBLIC) {

        /* no operation has it: nobody has been granted it */

        return 0;
    }

    return prov_openapi_permit(api, index, roles, n);
}


static ngx_uint_t
prov_openapi_permit(prov_openapi_api_t *api, ngx_uint_t permission,
    ngx_str_t *roles, ngx_uint_t n)
{
    uint64_t              bit;
    ngx_uint_t            i;
    prov_openapi_role_t  *role;

    bit = (uint64_t) 1 << (permission % 64);

    for (i = 0; i < n; i++) {

        role = prov_openapi_permit_role(api, &roles[i]);

        if (role && (role->granted[permission / 64] & bit)) {
            return 1;
        }
    }

    return 0;
}


static prov_openapi_role_t *
prov_openapi_permit_role(prov_openapi_api_t *api, ngx_str_t *name)
{
    return prov_openapi_named(&api->roles, name);
}


/* The number of a permission; PROV_OPENAPI_PUBLIC when there is no such. */

ngx_uint_t
prov_openapi_permission(prov_openapi_api_t *api, ngx_str_t *name)
{
    ngx_str_t  *found;

    found = prov_openapi_named(&api->permissions, name);

    return found ? (ngx_uint_t) (found - (ngx_str_t *) api->permissions.elts)
                 : PROV_OPENAPI_PUBLIC;
}


/* Among structures that have their name first, in the order of the names. */

static void *
prov_openapi_named(ngx_array_t *sorted, ngx_str_t *name)
{
    u_char      *found;
    ngx_int_t    rc;
    ngx_uint_t   low, high, middle;

    low = 0;
    high = sorted->nelts;

    while (low < high) {

        middle = low + (high - low) / 2;
        found = (u_char *) sorted->elts + middle * sorted->size;

        rc = prov_openapi_compare(name, (ngx_str_t *) found);

        if (rc == 0) {
            return found;
        }

        if (rc < 0) {
            high = middle;

        } else {
            low = middle + 1;
        }
    }

    return NULL;
}


/* By bytes, and the shorter first. */

ngx_int_t
prov_openapi_compare(ngx_str_t *a, ngx_str_t *b)
{
    size_t     n;
    ngx_int_t  rc;

    n = ngx_min(a->len, b->len);

    /* an empty string may have no data at all */

    if (n) {
        rc = ngx_memcmp(a->data, b->data, n);

        if (rc != 0) {
            return rc;
        }
    }

    return (a->len > b->len) - (a->len < b->len);
}
