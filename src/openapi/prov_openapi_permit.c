/*
 * The question that every request with a token asks: does one of these roles
 * grant that permission?  A binary search for each role and one bit.
 */

#include "openapi/prov_openapi_node.h"


static ngx_uint_t prov_openapi_permit(prov_openapi_api_t *api,
    ngx_uint_t permission, ngx_str_t *roles, ngx_uint_t n);
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
    ngx_int_t             rc;
    ngx_uint_t            low, high, middle;
    prov_openapi_role_t  *role;

    role = api->roles.elts;

    low = 0;
    high = api->roles.nelts;

    while (low < high) {

        middle = low + (high - low) / 2;

        rc = prov_openapi_compare(name, &role[middle].name);

        if (rc == 0) {
            return &role[middle];
        }

        if (rc < 0) {
            high = middle;

        } else {
            low = middle + 1;
        }
    }

    return NULL;
}


/* The number of a permission; PROV_OPENAPI_PUBLIC when there is no such. */

ngx_uint_t
prov_openapi_permission(prov_openapi_api_t *api, ngx_str_t *name)
{
    ngx_int_t    rc;
    ngx_str_t   *names;
    ngx_uint_t   low, high, middle;

    names = api->permissions.elts;

    low = 0;
    high = api->permissions.nelts;

    while (low < high) {

        middle = low + (high - low) / 2;

        rc = prov_openapi_compare(name, &names[middle]);

        if (rc == 0) {
            return middle;
        }

        if (rc < 0) {
            high = middle;

        } else {
            low = middle + 1;
        }
    }

    return PROV_OPENAPI_PUBLIC;
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
