/*
 * Names that must mean something: security schemes that are declared, tags
 * that are there once, security schemes that are complete.  Called by the
 * loader on the bundled document.
 */

#include "openapi/prov_openapi_load.h"


static ngx_int_t prov_openapi_name_requirement(prov_openapi_load_t *load,
    prov_openapi_at_t *at);
static ngx_int_t prov_openapi_name_scheme(prov_openapi_load_t *load,
    prov_openapi_at_t *at);
static ngx_int_t prov_openapi_name_tags(prov_openapi_load_t *load);


/* what a security scheme of a type must have (OpenAPI 3.1.1, 4.8.27.1) */

static struct {
    const char  *type;
    const char  *members[2];
} prov_openapi_schemes[] = {
    { "http", { "scheme", NULL } },
    { "apiKey", { "name", "in" } },
    { "oauth2", { "flows", NULL } },
    { "openIdConnect", { "openIdConnectUrl", NULL } },
    { "mutualTLS", { NULL, NULL } },
    { NULL, { NULL, NULL } }
};


ngx_int_t
prov_openapi_names(prov_openapi_load_t *load)
{
    ngx_int_t             rc;
    ngx_uint_t            i;
    prov_openapi_part_t  *part;

    part = load->parts.elts;

    for (i = 0; i < load->parts.nelts; i++) {

        switch (part[i].kind) {

        case PROV_OPENAPI_K_REQUIREMENT:
            rc = prov_openapi_name_requirement(load, &part[i].at);
            break;

        case PROV_OPENAPI_K_SECURITY_SCHEME:
            rc = prov_openapi_name_scheme(load, &part[i].at);
            break;

        default:
            continue;
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return prov_openapi_name_tags(load);
}


static ngx_int_t
prov_openapi_name_requirement(prov_openapi_load_t *load,
    prov_openapi_at_t *at)
{
    json_t             *json, *schemes;
    const char         *key;
    prov_openapi_at_t   child;

    schemes = json_object_get(json_object_get(load->root, "components"),
                              "securitySchemes");

    json_object_foreach(at->json, key, json) {

        if (json_object_get(schemes, key)) {
            continue;
        }

        if (prov_openapi_child(load, at, key, json, &child) != NGX_OK) {
            return NGX_ERROR;
        }

        return prov_openapi_fail(load, &child.pointer,
                                 "there is no security scheme \"%s\": "
                                 "declare it in components/securitySchemes",
                                 key);
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_name_scheme(prov_openapi_load_t *load, prov_openapi_at_t *at)
{
    ngx_uint_t          i, n;
    const char         *type, *member;
    prov_openapi_at_t   child;

    /* a reference: what it leads to is a part of its own */

    type = json_string_value(json_object_get(at->json, "type"));
    if (type == NULL) {
        return NGX_OK;
    }

    for (i = 0; prov_openapi_schemes[i].type; i++) {

        if (strcmp(prov_openapi_schemes[i].type, type) != 0) {
            continue;
        }

        for (n = 0; n < 2; n++) {

            member = prov_openapi_schemes[i].members[n];

            if (member && json_object_get(at->json, member) == NULL) {
                return prov_openapi_fail(load, &at->pointer,
                                         "\"%s\" is missing in a security "
                                         "scheme of the type \"%s\": add it",
                                         member, type);
            }
        }

        return NGX_OK;
    }

    if (prov_openapi_member(load, at, "type", &child) != NGX_OK) {
        return NGX_ERROR;
    }

    return prov_openapi_fail(load, &child.pointer,
                             "\"%s\" is not a type of security scheme: write "
                             "\"http\", \"apiKey\", \"oauth2\", "
                             "\"openIdConnect\" or \"mutualTLS\"", type);
}


static ngx_int_t
prov_openapi_name_tags(prov_openapi_load_t *load)
{
    size_t              i, n;
    json_t             *tags;
    const char         *name, *other;
    prov_openapi_at_t   list, at;

    tags = json_object_get(load->root, "tags");

    list.json = tags;
    ngx_str_set(&list.pointer, "/tags");

    for (i = 1; i < json_array_size(tags); i++) {

        name = json_string_value(json_object_get(json_array_get(tags, i),
                                                 "name"));

        for (n = 0; n < i; n++) {

            other = json_string_value(json_object_get(json_array_get(tags, n),
                                                      "name"));

            if (strcmp(name, other) != 0) {
                continue;
            }

            if (prov_openapi_element(load, &list, i, &at) != NGX_OK) {
                return NGX_ERROR;
            }

            return prov_openapi_fail(load, &at.pointer,
                                     "the tag \"%s\" is there twice: remove "
                                     "one", name);
        }
    }

    return NGX_OK;
}
