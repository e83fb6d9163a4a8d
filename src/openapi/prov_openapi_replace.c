/*
 * Schemas of the operator's in the places of the document's: a component that
 * was moved in from another file is taken from the operator's file instead.
 * Examples of the author's, which know nothing of it, are not published then.
 * Called while references are resolved, checked and served.
 */

#include "openapi/prov_openapi_load.h"


/* NGX_OK: *json is what the moved piece is made of, if need be another one. */

ngx_int_t
prov_openapi_replace(prov_openapi_load_t *load, prov_openapi_moved_t *moved,
    prov_openapi_at_t *ref, json_t **json)
{
    ngx_uint_t              i, file;
    prov_openapi_file_t    *files;
    prov_openapi_schema_t  *schema;

    if (load->api->schemas == NULL || moved->kind != PROV_OPENAPI_K_SCHEMA) {
        return NGX_OK;
    }

    schema = load->api->schemas->elts;

    for (i = 0; i < load->api->schemas->nelts; i++) {

        if (prov_openapi_compare(&schema[i].name, &moved->name) != 0) {
            continue;
        }

        if (prov_openapi_file(load, &schema[i].file, &ref->pointer, &file)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        files = load->files.elts;
        *json = files[file].json;

        moved->file = file;
        ngx_str_set(&moved->origin, "");
        moved->replaced = 1;

        return NGX_OK;
    }

    return NGX_OK;
}


/* A name that is nowhere is a typing mistake, and would allow anything. */

ngx_int_t
prov_openapi_replace_check(prov_openapi_load_t *load)
{
    ngx_str_t               root;
    ngx_uint_t              i, n;
    prov_openapi_moved_t   *moved;
    prov_openapi_schema_t  *schema;

    if (load->api->schemas == NULL) {
        return NGX_OK;
    }

    moved = load->moved.elts;
    schema = load->api->schemas->elts;

    for (i = 0; i < load->api->schemas->nelts; i++) {

        for (n = 0; n < load->moved.nelts; n++) {
            if (moved[n].replaced
                && prov_openapi_compare(&moved[n].name, &schema[i].name) == 0)
            {
                break;
            }
        }

        if (n == load->moved.nelts) {
            ngx_str_set(&root, "");

            return prov_openapi_fail(load, &root,
                                     "the document takes no schema \"%V\" "
                                     "from another file, so \"%V\" has no "
                                     "place in it", &schema[i].name,
                                     &schema[i].file);
        }
    }

    return NGX_OK;
}


/* Whether what a media type (or a parameter) has as its schema is replaced. */

ngx_uint_t
prov_openapi_replaced(prov_openapi_load_t *load, prov_openapi_at_t *media)
{
    ngx_uint_t             i;
    prov_openapi_at_t      schema;
    prov_openapi_moved_t  *moved;

    if (load->api->schemas == NULL
        || prov_openapi_member(load, media, "schema", &schema) != NGX_OK
        || prov_openapi_follow(load, &schema) != NGX_OK)
    {
        return 0;
    }

    moved = load->moved.elts;

    for (i = 0; i < load->moved.nelts; i++) {
        if (moved[i].replaced
            && prov_openapi_compare(&moved[i].pointer, &schema.pointer) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* The last use of the tree: the parts below are gone afterwards. */

void
prov_openapi_replace_examples(prov_openapi_load_t *load)
{
    ngx_uint_t            i;
    prov_openapi_part_t  *part;

    if (load->api->schemas == NULL) {
        return;
    }

    part = load->parts.elts;

    for (i = 0; i < load->parts.nelts; i++) {
        if (part[i].kind == PROV_OPENAPI_K_MEDIA_TYPE
            && prov_openapi_replaced(load, &part[i].at))
        {
            json_object_del(part[i].at.json, "example");
            json_object_del(part[i].at.json, "examples");
        }
    }
}
