/*
 * Many files become one document: walks the root and then each piece that a
 * "$ref" moved into it, makes sure that all references lead to what they
 * must, and in the end writes what is served.  Called by prov_openapi_load().
 */

#include "openapi/prov_openapi_load.h"


static ngx_int_t prov_openapi_bundle_attach(prov_openapi_load_t *load,
    prov_openapi_moved_t *moved);
static json_t *prov_openapi_bundle_object(json_t *parent, const char *key);
static ngx_int_t prov_openapi_bundle_check(prov_openapi_load_t *load);
static ngx_int_t prov_openapi_bundle_circle(prov_openapi_load_t *load,
    prov_openapi_ref_t *ref);
static prov_openapi_ref_t *prov_openapi_bundle_ref(prov_openapi_load_t *load,
    ngx_str_t *from);
static ngx_int_t prov_openapi_bundle_fail(prov_openapi_load_t *load,
    prov_openapi_ref_t *ref, const char *fmt, const char *arg);
static int ngx_libc_cdecl prov_openapi_bundle_refs(const void *one,
    const void *two);
static int ngx_libc_cdecl prov_openapi_bundle_parts(const void *one,
    const void *two);


ngx_int_t
prov_openapi_bundle(prov_openapi_load_t *load)
{
    ngx_uint_t             i;
    prov_openapi_at_t      at;
    prov_openapi_moved_t  *moved;

    at.json = load->root;
    ngx_str_set(&at.pointer, "");

    load->file = 0;

    if (prov_openapi_walk(load, PROV_OPENAPI_K_DOCUMENT, &at) != NGX_OK) {
        return NGX_ERROR;
    }

    /* what is moved in may move in more: the array grows behind us */

    for (i = 0; i < load->moved.nelts; i++) {

        moved = load->moved.elts;

        at.json = moved[i].json;
        at.pointer = moved[i].pointer;

        load->file = moved[i].file;

        if (prov_openapi_walk(load, moved[i].kind, &at) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    moved = load->moved.elts;

    for (i = 0; i < load->moved.nelts; i++) {
        if (prov_openapi_bundle_attach(load, &moved[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_qsort(load->refs.elts, load->refs.nelts, sizeof(prov_openapi_ref_t),
              prov_openapi_bundle_refs);
    ngx_qsort(load->parts.elts, load->parts.nelts,
              sizeof(prov_openapi_part_t), prov_openapi_bundle_parts);

    return prov_openapi_bundle_check(load);
}


static ngx_int_t
prov_openapi_bundle_attach(prov_openapi_load_t *load,
    prov_openapi_moved_t *moved)
{
    json_t  *section;

    section = prov_openapi_bundle_object(load->root, "components");

    if (section) {
        section = prov_openapi_bundle_object(section,
                                 prov_openapi_grammar[moved->kind].section);
    }

    if (section == NULL
        || json_object_set(section, (char *) moved->name.data, moved->json)
           != 0)
    {
        return prov_openapi_no_memory(load);
    }

    return NGX_OK;
}


static json_t *
prov_openapi_bundle_object(json_t *parent, const char *key)
{
    json_t  *json;

    json = json_object_get(parent, key);

    if (json == NULL && json_object_set_new(parent, key, json_object()) == 0) {
        json = json_object_get(parent, key);
    }

    return json;
}


static ngx_int_t
prov_openapi_bundle_check(prov_openapi_load_t *load)
{
    ngx_uint_t            i;
    prov_openapi_ref_t   *ref;
    prov_openapi_part_t  *part;

    ref = load->refs.elts;

    for (i = 0; i < load->refs.nelts; i++) {

        part = prov_openapi_part(load, &ref[i].to);

        if (part == NULL || part->kind != ref[i].kind) {
            return prov_openapi_bundle_fail(load, &ref[i],
                                            "this must lead to %s, and what "
                                            "is there is something else",
                                     prov_openapi_grammar[ref[i].kind].name);
        }
    }

    for (i = 0; i < load->refs.nelts; i++) {
        if (prov_openapi_bundle_circle(load, &ref[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * A schema may contain itself further down; a reference that leads only to
 * references, and back, is nothing at all.
 */

static ngx_int_t
prov_openapi_bundle_circle(prov_openapi_load_t *load, prov_openapi_ref_t *ref)
{
    ngx_uint_t           n;
    prov_openapi_ref_t  *next;

    next = ref;

    for (n = 0; next && !next->ends; n++) {

        if (n == load->refs.nelts) {
            return prov_openapi_bundle_fail(load, ref,
                                            "this leads round in a circle "
                                            "and never to %s",
                                     prov_openapi_grammar[ref->kind].name);
        }

        next = prov_openapi_bundle_ref(load, &next->to);
    }

    for (next = ref; next && !next->ends; /* void */ ) {
        next->ends = 1;
        next = prov_openapi_bundle_ref(load, &next->to);
    }

    return NGX_OK;
}


static prov_openapi_ref_t *
prov_openapi_bundle_ref(prov_openapi_load_t *load, ngx_str_t *from)
{
    prov_openapi_ref_t  key;

    key.from = *from;

    return bsearch(&key, load->refs.elts, load->refs.nelts,
                   sizeof(prov_openapi_ref_t), prov_openapi_bundle_refs);
}


static ngx_int_t
prov_openapi_bundle_fail(prov_openapi_load_t *load, prov_openapi_ref_t *ref,
    const char *fmt, const char *arg)
{
    prov_openapi_at_t  at, child;

    at.json = NULL;
    at.pointer = ref->from;

    if (prov_openapi_child(load, &at, "$ref", NULL, &child) != NGX_OK) {
        return NGX_ERROR;
    }

    return prov_openapi_fail(load, &child.pointer, fmt, arg);
}


static int ngx_libc_cdecl
prov_openapi_bundle_refs(const void *one, const void *two)
{
    return (int) prov_openapi_compare(&((prov_openapi_ref_t *) one)->from,
                                      &((prov_openapi_ref_t *) two)->from);
}


static int ngx_libc_cdecl
prov_openapi_bundle_parts(const void *one, const void *two)
{
    prov_openapi_part_t  *a, *b;

    a = (prov_openapi_part_t *) one;
    b = (prov_openapi_part_t *) two;

    return (int) prov_openapi_compare(&a->at.pointer, &b->at.pointer);
}


/* What the walk met at a place; NULL when nothing of OpenAPI is there. */

prov_openapi_part_t *
prov_openapi_part(prov_openapi_load_t *load, ngx_str_t *pointer)
{
    prov_openapi_part_t  key;

    key.at.pointer = *pointer;

    return bsearch(&key, load->parts.elts, load->parts.nelts,
                   sizeof(prov_openapi_part_t), prov_openapi_bundle_parts);
}


/* Goes to what the object at means, when it is a reference. */

ngx_int_t
prov_openapi_follow(prov_openapi_load_t *load, prov_openapi_at_t *at)
{
    prov_openapi_ref_t   *ref;
    prov_openapi_part_t  *part;

    for ( ;; ) {

        ref = prov_openapi_bundle_ref(load, &at->pointer);
        if (ref == NULL) {
            return NGX_OK;
        }

        part = prov_openapi_part(load, &ref->to);
        *at = part->at;
    }
}


/* Takes our extensions away, which ends all use of them, and writes. */

ngx_int_t
prov_openapi_serve(prov_openapi_load_t *load)
{
    void                 *next;
    json_t               *value;
    const char           *key;
    ngx_uint_t            i;
    prov_openapi_part_t  *part;

    part = load->parts.elts;

    for (i = 0; i < load->parts.nelts; i++) {

        if (prov_openapi_grammar[part[i].kind].extensions == NULL) {
            continue;
        }

        json_object_foreach_safe(part[i].at.json, next, key, value) {
            if (ngx_strncmp(key, "x-", 2) == 0) {
                json_object_del(part[i].at.json, key);
            }
        }
    }

    prov_openapi_replace_examples(load);

    load->api->document = prov_json_text(load->pool, load->root);

    if (load->api->document.data == NULL) {
        return prov_openapi_no_memory(load);
    }

    return NGX_OK;
}
