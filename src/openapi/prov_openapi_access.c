/*
 * What an operation demands of its caller: an x-permission, or an explicit
 * "security": [] that lets everybody in; and that the published document
 * says the same.  A parameter may demand something more of whoever uses it.
 * Called by the loader for each operation.
 */

#include "openapi/prov_openapi_load.h"


static ngx_int_t prov_openapi_access_public(prov_openapi_load_t *load,
    prov_openapi_at_t *at, prov_openapi_operation_t *op);
static ngx_int_t prov_openapi_access_secured(prov_openapi_load_t *load,
    prov_openapi_at_t *at);
static ngx_int_t prov_openapi_access_name(prov_openapi_load_t *load,
    prov_openapi_at_t *at, ngx_str_t *name);


/* What one operation demands; its permission is numbered later. */

ngx_int_t
prov_openapi_access(prov_openapi_load_t *load, prov_openapi_at_t *at,
    prov_openapi_operation_t *op)
{
    json_t             *security;
    ngx_int_t           rc;
    ngx_str_t          *name;
    prov_openapi_at_t   permission;

    security = json_object_get(at->json, "security");

    name = ngx_array_push(&load->wanted);
    if (name == NULL) {
        return prov_openapi_no_memory(load);
    }

    ngx_str_null(name);

    rc = prov_openapi_member(load, at, "x-permission", &permission);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    /* public only when the operation itself says so */

    if (security && json_array_size(security) == 0) {

        if (rc == NGX_OK) {
            return prov_openapi_fail(load, &permission.pointer,
                                     "\"security\": [] lets everybody call "
                                     "this operation: remove that, or the "
                                     "x-permission");
        }

        op->permission = PROV_OPENAPI_PUBLIC;
        return prov_openapi_access_public(load, at, op);
    }

    if (rc == NGX_DECLINED) {
        return prov_openapi_fail(load, &at->pointer,
                                 "\"x-permission\" is missing: write "
                                 "\"x-permission\": \"resource:action\", or "
                                 "\"security\": [] and an x-handler if "
                                 "everybody may call this operation");
    }

    if (prov_openapi_access_name(load, &permission, name) != NGX_OK) {
        return NGX_ERROR;
    }

    return prov_openapi_access_secured(load, at);
}


/* prov.enter() knows no partner for who has shown no token: always a 403. */

static ngx_int_t
prov_openapi_access_public(prov_openapi_load_t *load, prov_openapi_at_t *at,
    prov_openapi_operation_t *op)
{
    prov_openapi_at_t  security;

    if (op->handler.len) {
        return NGX_OK;
    }

    if (prov_openapi_member(load, at, "security", &security) != NGX_OK) {
        return NGX_ERROR;
    }

    return prov_openapi_fail(load, &security.pointer,
                             "[] lets everybody call this operation, but an "
                             "SQL function serves only a partner, whom a "
                             "token names: name an x-handler, or remove this "
                             "and write an x-permission");
}


/* What a parameter of the operation demands, when it is given. */

ngx_int_t
prov_openapi_access_parameter(prov_openapi_load_t *load,
    prov_openapi_at_t *at, prov_openapi_operation_t *op,
    prov_openapi_parameter_t *parameter)
{
    ngx_int_t          rc;
    ngx_str_t          name;
    prov_openapi_at_t  permission;

    rc = prov_openapi_member(load, at, "x-permission", &permission);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    if (op->permission == PROV_OPENAPI_PUBLIC) {
        return prov_openapi_fail(load, &permission.pointer,
                                 "\"%V\" lets everybody call it, and nobody "
                                 "is known to have a permission there: "
                                 "remove this x-permission, or the "
                                 "operation's \"security\": []", &op->id);
    }

    if (prov_openapi_access_name(load, &permission, &name) != NGX_OK) {
        return NGX_ERROR;
    }

    if (prov_openapi_copy(load->pool, &parameter->permission, &name)
        != NGX_OK)
    {
        return prov_openapi_no_memory(load);
    }

    return NGX_OK;
}


/* The document must not call public what is not. */

static ngx_int_t
prov_openapi_access_secured(prov_openapi_load_t *load, prov_openapi_at_t *at)
{
    size_t             i;
    ngx_int_t          rc;
    prov_openapi_at_t  security, requirement, root;

    rc = prov_openapi_member(load, at, "security", &security);

    if (rc == NGX_DECLINED) {
        root.json = load->root;
        ngx_str_set(&root.pointer, "");

        rc = prov_openapi_member(load, &root, "security", &security);
    }

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED || json_array_size(security.json) == 0) {
        return prov_openapi_fail(load, &at->pointer,
                                 "the operation has an x-permission, but "
                                 "neither it nor the document says how to "
                                 "authenticate: write \"security\": [{...}] "
                                 "at the top of the document");
    }

    for (i = 0; i < json_array_size(security.json); i++) {

        if (prov_openapi_element(load, &security, i, &requirement) != NGX_OK) {
            return NGX_ERROR;
        }

        if (json_object_size(requirement.json) == 0) {
            return prov_openapi_fail(load, &requirement.pointer,
                                     "{} calls authentication optional, "
                                     "which it is not where there is an "
                                     "x-permission: name a security scheme");
        }
    }

    return NGX_OK;
}


/* "resource:action", both of a-z, 0-9, "_" and "-", a letter first. */

static ngx_int_t
prov_openapi_access_name(prov_openapi_load_t *load, prov_openapi_at_t *at,
    ngx_str_t *name)
{
    u_char      *p;
    ngx_uint_t   colons, first;

    *name = prov_openapi_string(at->json);

    colons = 0;
    first = 1;

    for (p = name->data; p < name->data + name->len; p++) {

        if (*p == ':' && !first) {
            colons++;
            first = 1;
            continue;
        }

        if ((*p < 'a' || *p > 'z')
            && (first || ((*p < '0' || *p > '9') && *p != '_' && *p != '-')))
        {
            break;
        }

        first = 0;
    }

    if (colons != 1 || first || p != name->data + name->len
        || name->len > PROV_OPENAPI_MAX_PERMISSION)
    {
        return prov_openapi_fail(load, &at->pointer,
                                 "\"%V\" is not a permission: write "
                                 "\"resource:action\" of at most %d bytes "
                                 "in lower case, like \"tenant:create\"",
                                 name, PROV_OPENAPI_MAX_PERMISSION);
    }

    return NGX_OK;
}
