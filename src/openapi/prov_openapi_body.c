/*
 * What an operation accepts as its body, by media type.  Called by the
 * loader; an operation without a requestBody takes none.
 */

#include "openapi/prov_openapi_load.h"


static ngx_int_t prov_openapi_body_media(prov_openapi_load_t *load,
    prov_openapi_at_t *at, const char *name, prov_openapi_operation_t *op);
static ngx_int_t prov_openapi_body_type(prov_openapi_load_t *load,
    prov_openapi_at_t *at, ngx_str_t *type, prov_openapi_operation_t *op);
static ngx_uint_t prov_openapi_body_json(ngx_str_t *type);


ngx_int_t
prov_openapi_body(prov_openapi_load_t *load, prov_openapi_at_t *operation,
    prov_openapi_operation_t *op)
{
    json_t             *json;
    ngx_int_t           rc;
    const char         *name;
    prov_openapi_at_t   body, content, media;

    rc = prov_openapi_member(load, operation, "requestBody", &body);

    if (rc == NGX_ERROR
        || ngx_array_init(&op->media, load->pool, 1,
                          sizeof(prov_openapi_media_t))
           != NGX_OK)
    {
        return prov_openapi_no_memory(load);
    }

    if (rc == NGX_DECLINED) {
        return NGX_OK;
    }

    if (op->method == PROV_OPENAPI_GET || op->method == PROV_OPENAPI_DELETE) {
        return prov_openapi_fail(load, &body.pointer,
                                 "a body has no meaning with GET and DELETE "
                                 "(RFC 9110, 9.3): use parameters");
    }

    prov_openapi_follow(load, &body);

    op->body_required = json_is_true(json_object_get(body.json, "required"));

    if (prov_openapi_member(load, &body, "content", &content) != NGX_OK) {
        return NGX_ERROR;
    }

    json_object_foreach(content.json, name, json) {

        if (prov_openapi_child(load, &content, name, json, &media) != NGX_OK
            || prov_openapi_body_media(load, &media, name, op) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (op->media.nelts == 0) {
        return prov_openapi_fail(load, &content.pointer,
                                 "a body has a media type: write "
                                 "\"application/json\": {\"schema\": {...}}");
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_body_media(prov_openapi_load_t *load, prov_openapi_at_t *at,
    const char *name, prov_openapi_operation_t *op)
{
    ngx_int_t              rc;
    ngx_str_t              type;
    prov_schema_t         *compiled;
    prov_openapi_at_t      schema;
    prov_openapi_media_t  *media;

    type.data = (u_char *) name;
    type.len = ngx_strlen(name);

    if (prov_openapi_copy(load->pool, &type, &type) != NGX_OK) {
        return prov_openapi_no_memory(load);
    }

    ngx_strlow(type.data, type.data, type.len);

    if (prov_openapi_body_type(load, at, &type, op) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = prov_openapi_member(load, at, "schema", &schema);

    if (rc == NGX_DECLINED) {
        return prov_openapi_fail(load, &at->pointer,
                                 "the body must be described: write "
                                 "\"schema\": {...}");
    }

    if (rc != NGX_OK
        || prov_openapi_compile(load, load->keep, &schema.pointer, &compiled)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    media = ngx_array_push(&op->media);
    if (media == NULL) {
        return prov_openapi_no_memory(load);
    }

    media->type = type;
    media->schema = compiled;

    return NGX_OK;
}


static ngx_int_t
prov_openapi_body_type(prov_openapi_load_t *load, prov_openapi_at_t *at,
    ngx_str_t *type, prov_openapi_operation_t *op)
{
    u_char                *slash;
    ngx_uint_t             i;
    prov_openapi_media_t  *media;

    slash = ngx_strlchr(type->data, type->data + type->len, '/');

    /* RFC 6838, section 4.2 */

    if (slash == NULL
        || strspn((char *) slash + 1, PROV_OPENAPI_NAME_CHARS "!#$&^+")
           != (size_t) (type->data + type->len - (slash + 1))
        || strspn((char *) type->data, PROV_OPENAPI_NAME_CHARS "!#$&^+")
           != (size_t) (slash - type->data))
    {
        return prov_openapi_fail(load, &at->pointer,
                                 "\"%V\" is not one media type: write it "
                                 "without \"*\" and without parameters, "
                                 "like \"application/json\"", type);
    }

    /* a handler may read what it likes */

    if (op->handler.len == 0 && !prov_openapi_body_json(type)) {
        return prov_openapi_fail(load, &at->pointer,
                                 "a function is given JSON: write "
                                 "\"application/json\" or \"...+json\", or "
                                 "name an x-handler that reads \"%V\"",
                                 type);
    }

    media = op->media.elts;

    for (i = 0; i < op->media.nelts; i++) {
        if (prov_openapi_compare(&media[i].type, type) == 0) {
            return prov_openapi_fail(load, &at->pointer,
                                     "\"%V\" is there twice, as upper and "
                                     "lower case mean the same: remove one",
                                     type);
        }
    }

    return NGX_OK;
}


static ngx_uint_t
prov_openapi_body_json(ngx_str_t *type)
{
    return (type->len > 5
            && ngx_strncmp(type->data + type->len - 5, "+json", 5) == 0)
           || (type->len == sizeof("application/json") - 1
               && ngx_strncmp(type->data, "application/json", type->len)
                  == 0);
}
