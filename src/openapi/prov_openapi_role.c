/*
 * The permissions that the operations demand, and the roles that grant them.
 * A permission nobody has and a grant of nothing are misspelt ones, so both
 * are errors.  Called by the loader when all operations are known.
 */

#include "openapi/prov_openapi_load.h"


static ngx_int_t prov_openapi_role_permissions(prov_openapi_load_t *load);
static ngx_int_t prov_openapi_role_wanted(prov_openapi_load_t *load,
    ngx_str_t *wanted);
static ngx_int_t prov_openapi_role_add(prov_openapi_load_t *load,
    prov_openapi_at_t *at, const char *name, uint64_t *all);
static ngx_int_t prov_openapi_role_grant(prov_openapi_load_t *load,
    prov_openapi_at_t *at, uint64_t *granted);
static ngx_int_t prov_openapi_role_held(prov_openapi_load_t *load,
    uint64_t *all);
static int ngx_libc_cdecl prov_openapi_role_by_text(const void *one,
    const void *two);
static int ngx_libc_cdecl prov_openapi_role_by_name(const void *one,
    const void *two);


ngx_int_t
prov_openapi_roles(prov_openapi_load_t *load)
{
    json_t              *json;
    uint64_t             all[PROV_OPENAPI_MAX_PERMISSIONS / 64];
    const char          *name;
    prov_openapi_at_t    roles, role;
    prov_openapi_api_t  *api;

    api = load->api;

    if (prov_openapi_role_permissions(load) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(all, sizeof(all));

    roles.json = json_object_get(load->root, "x-roles");
    ngx_str_set(&roles.pointer, "/x-roles");

    if (roles.json && !json_is_object(roles.json)) {
        return prov_openapi_fail(load, &roles.pointer,
                                 "x-roles must be an object: write "
                                 "{\"role\": [\"resource:action\"]}");
    }

    json_object_foreach(roles.json, name, json) {

        if (prov_openapi_child(load, &roles, name, json, &role) != NGX_OK
            || prov_openapi_role_add(load, &role, name, all) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ngx_qsort(api->roles.elts, api->roles.nelts, sizeof(prov_openapi_role_t),
              prov_openapi_role_by_name);

    return prov_openapi_role_held(load, all);
}


static ngx_int_t
prov_openapi_role_permissions(prov_openapi_load_t *load)
{
    ngx_str_t                 *wanted, *name, root;
    ngx_uint_t                 i, j, n;
    prov_openapi_api_t        *api;
    prov_openapi_operation_t  *op;
    prov_openapi_parameter_t  *parameter;

    api = load->api;
    op = api->operations.elts;
    wanted = load->wanted.elts;

    /* sorted with repetitions, which are then closed up */

    for (i = 0; i < api->operations.nelts; i++) {

        if (prov_openapi_role_wanted(load, &wanted[i]) != NGX_OK) {
            return NGX_ERROR;
        }

        parameter = op[i].parameters.elts;

        for (j = 0; j < op[i].parameters.nelts; j++) {
            if (prov_openapi_role_wanted(load, &parameter[j].permission)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    name = api->permissions.elts;

    ngx_qsort(name, api->permissions.nelts, sizeof(ngx_str_t),
              prov_openapi_role_by_text);

    for (i = 0, n = 0; i < api->permissions.nelts; i++) {
        if (n == 0 || prov_openapi_compare(&name[n - 1], &name[i]) != 0) {
            name[n++] = name[i];
        }
    }

    api->permissions.nelts = n;

    if (n > PROV_OPENAPI_MAX_PERMISSIONS) {
        ngx_str_set(&root, "");

        return prov_openapi_fail(load, &root,
                                 "the operations have %ui permissions, and "
                                 "there may be at most %d: let several "
                                 "operations share one",
                                 n, PROV_OPENAPI_MAX_PERMISSIONS);
    }

    for (i = 0; i < api->operations.nelts; i++) {
        if (op[i].permission != PROV_OPENAPI_PUBLIC) {
            op[i].permission = prov_openapi_permission(api, &wanted[i]);
        }
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_role_wanted(prov_openapi_load_t *load, ngx_str_t *wanted)
{
    ngx_str_t  *name;

    if (wanted->len == 0) {
        return NGX_OK;
    }

    name = ngx_array_push(&load->api->permissions);

    if (name == NULL
        || prov_openapi_copy(load->pool, name, wanted) != NGX_OK)
    {
        return prov_openapi_no_memory(load);
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_role_add(prov_openapi_load_t *load, prov_openapi_at_t *at,
    const char *name, uint64_t *all)
{
    size_t                i;
    ngx_str_t             text;
    const char           *p;
    prov_openapi_at_t     grant;
    prov_openapi_role_t  *role;

    text.data = (u_char *) name;
    text.len = ngx_strlen(name);

    /* a token's claim may separate them by spaces */

    for (p = name; (u_char) *p > ' ' && *p != 0x7f; p++) { /* void */ }

    if (*p != '\0' || text.len == 0 || text.len > PROV_OPENAPI_MAX_ROLE) {
        return prov_openapi_fail(load, &at->pointer,
                                 "\"%V\" cannot name a role: write 1 to %d "
                                 "bytes without spaces",
                                 &text, PROV_OPENAPI_MAX_ROLE);
    }

    if (!json_is_array(at->json)) {
        return prov_openapi_fail(load, &at->pointer,
                                 "the grants of a role must be an array: "
                                 "write [\"resource:action\"]");
    }

    role = ngx_array_push(&load->api->roles);
    if (role == NULL) {
        return prov_openapi_no_memory(load);
    }

    role->granted = ngx_pcalloc(load->pool, PROV_OPENAPI_MAX_PERMISSIONS / 8);

    if (role->granted == NULL
        || prov_openapi_copy(load->pool, &role->name, &text) != NGX_OK)
    {
        return prov_openapi_no_memory(load);
    }

    for (i = 0; i < json_array_size(at->json); i++) {

        if (prov_openapi_element(load, at, i, &grant) != NGX_OK
            || prov_openapi_role_grant(load, &grant, role->granted) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < PROV_OPENAPI_MAX_PERMISSIONS / 64; i++) {
        all[i] |= role->granted[i];
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_role_grant(prov_openapi_load_t *load, prov_openapi_at_t *at,
    uint64_t *granted)
{
    ngx_str_t    grant, *name;
    ngx_uint_t   i, n;

    if (!json_is_string(at->json)) {
        return prov_openapi_fail(load, &at->pointer,
                                 "a grant must be a string: write "
                                 "\"resource:action\"");
    }

    grant = prov_openapi_string(at->json);
    name = load->api->permissions.elts;

    n = 0;

    for (i = 0; i < load->api->permissions.nelts; i++) {

        if (prov_openapi_scope_covers(&grant, &name[i])) {
            granted[i / 64] |= (uint64_t) 1 << (i % 64);
            n++;
        }
    }

    if (n == 0) {
        return prov_openapi_fail(load, &at->pointer,
                                 "\"%V\" grants nothing, as no operation "
                                 "has such an x-permission: write "
                                 "\"resource:action\" as an operation does, "
                                 "\"resource:*\" or \"*\"", &grant);
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_role_held(prov_openapi_load_t *load, uint64_t *all)
{
    ngx_int_t             rc;
    ngx_str_t             name;
    ngx_uint_t            i, p;
    prov_openapi_at_t     at;
    prov_openapi_part_t  *part;

    part = load->parts.elts;

    for (i = 0; i < load->parts.nelts; i++) {

        if (part[i].kind != PROV_OPENAPI_K_OPERATION
            && part[i].kind != PROV_OPENAPI_K_PARAMETER)
        {
            continue;
        }

        rc = prov_openapi_member(load, &part[i].at, "x-permission", &at);

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        name = prov_openapi_string(at.json);
        p = prov_openapi_permission(load->api, &name);

        if (p == PROV_OPENAPI_PUBLIC) {
            return prov_openapi_fail(load, &at.pointer,
                                     "no operation that is served has this "
                                     "parameter: remove its x-permission");
        }

        if (all[p / 64] & ((uint64_t) 1 << (p % 64))) {
            continue;
        }

        return prov_openapi_fail(load, &at.pointer,
                                 "no role grants \"%V\", so nobody could "
                                 "call this: add it to a role in x-roles",
                                 &name);
    }

    return NGX_OK;
}


static int ngx_libc_cdecl
prov_openapi_role_by_text(const void *one, const void *two)
{
    return (int) prov_openapi_compare((ngx_str_t *) one, (ngx_str_t *) two);
}


static int ngx_libc_cdecl
prov_openapi_role_by_name(const void *one, const void *two)
{
    return (int) prov_openapi_compare(&((prov_openapi_role_t *) one)->name,
                                      &((prov_openapi_role_t *) two)->name);
}
