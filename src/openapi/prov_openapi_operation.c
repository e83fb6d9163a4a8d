/*
 * From path items to operations: each is named, has a route, and answers
 * something.  Called by prov_openapi_load() on the bundled document; the
 * parts of an operation are compiled by the files beside this one.
 */

#include "openapi/prov_openapi_load.h"


static ngx_int_t prov_openapi_operation_names(prov_openapi_load_t *load,
    ngx_uint_t *n);
static ngx_int_t prov_openapi_operation_name(prov_openapi_load_t *load,
    prov_openapi_at_t *at, json_t *names);
static ngx_int_t prov_openapi_operation_path(prov_openapi_load_t *load,
    prov_openapi_at_t *at, const char *path);
static ngx_int_t prov_openapi_operation_add(prov_openapi_load_t *load,
    prov_openapi_at_t *item, prov_openapi_at_t *at, ngx_uint_t method,
    prov_openapi_template_t *template, prov_openapi_node_t *node);
static ngx_int_t prov_openapi_operation_responses(prov_openapi_load_t *load,
    prov_openapi_at_t *at);
static ngx_int_t prov_openapi_operation_handler(prov_openapi_load_t *load,
    prov_openapi_at_t *at, const char *member, ngx_str_t *handler);
static ngx_int_t prov_openapi_operation_stream(prov_openapi_load_t *load,
    prov_openapi_at_t *at, prov_openapi_operation_t *op);
static ngx_int_t prov_openapi_operation_several(prov_openapi_load_t *load,
    prov_openapi_at_t *at, prov_openapi_operation_t *op);
static ngx_int_t prov_openapi_operation_live(prov_openapi_load_t *load,
    prov_openapi_at_t *at, prov_openapi_operation_t *op);
static ngx_int_t prov_openapi_operation_refuse(prov_openapi_load_t *load,
    prov_openapi_at_t *at, const char *member, const char *why);
static ngx_int_t prov_openapi_operation_others(prov_openapi_load_t *load);
static ngx_int_t prov_openapi_operation_link(prov_openapi_load_t *load,
    prov_openapi_at_t *at);


/* the members of a path item, in the order of prov_openapi_method_e */

static const char  *prov_openapi_operation_keys[PROV_OPENAPI_METHODS] = {
    "get", "post", "put", "patch", "delete"
};


ngx_int_t
prov_openapi_operations(prov_openapi_load_t *load)
{
    json_t             *json;
    ngx_uint_t          n;
    const char         *path;
    prov_openapi_at_t   paths, item;

    paths.json = json_object_get(load->root, "paths");
    ngx_str_set(&paths.pointer, "/paths");

    if (prov_openapi_operation_names(load, &n) != NGX_OK) {
        return NGX_ERROR;
    }

    /* never grows: routes keep pointers into it */

    if (ngx_array_init(&load->api->operations, load->pool, n ? n : 1,
                       sizeof(prov_openapi_operation_t))
        != NGX_OK)
    {
        return prov_openapi_no_memory(load);
    }

    json_object_foreach(paths.json, path, json) {

        if (prov_openapi_child(load, &paths, path, json, &item) != NGX_OK
            || prov_openapi_operation_path(load, &item, path) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (load->api->operations.nelts == 0) {
        return prov_openapi_fail(load, &paths.pointer,
                                 "there is no operation: write a path that "
                                 "has, for example, a \"get\"");
    }

    return prov_openapi_operation_others(load);
}


/* All operationIds, those of webhooks and callbacks too, name one each. */

static ngx_int_t
prov_openapi_operation_names(prov_openapi_load_t *load, ngx_uint_t *n)
{
    json_t               *names;
    ngx_uint_t            i;
    prov_openapi_part_t  *part;

    *n = 0;

    names = json_object();
    if (names == NULL || prov_json_give(load->temp, names) != NGX_OK) {
        return prov_openapi_no_memory(load);
    }

    part = load->parts.elts;

    for (i = 0; i < load->parts.nelts; i++) {

        if (part[i].kind != PROV_OPENAPI_K_OPERATION) {
            continue;
        }

        if (++*n > PROV_OPENAPI_MAX_OPERATIONS) {
            return prov_openapi_fail(load, &part[i].at.pointer,
                                     "there are more than %d operations: "
                                     "make two documents of them",
                                     PROV_OPENAPI_MAX_OPERATIONS);
        }

        if (prov_openapi_operation_name(load, &part[i].at, names) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_operation_name(prov_openapi_load_t *load, prov_openapi_at_t *at,
    json_t *names)
{
    ngx_str_t           name;
    const char         *other;
    prov_openapi_at_t   id;

    if (prov_openapi_member(load, at, "operationId", &id) != NGX_OK) {
        return NGX_ERROR;
    }

    name = prov_openapi_string(id.json);

    if (!prov_openapi_identifier(&name)) {
        return prov_openapi_fail(load, &id.pointer,
                                 "\"%V\" cannot name an SQL function here: "
                                 "write snake_case of at most %d bytes, like "
                                 "\"tenant_create\"",
                                 &name, PROV_OPENAPI_MAX_NAME);
    }

    other = json_string_value(json_object_get(names, (char *) name.data));

    if (other) {
        return prov_openapi_fail(load, &id.pointer,
                                 "\"%V\" is already the operationId of "
                                 "\"#%s\": rename one of them",
                                 &name, other);
    }

    if (json_object_set_new(names, (char *) name.data,
                            json_stringn((char *) at->pointer.data,
                                         at->pointer.len))
        != 0)
    {
        return prov_openapi_no_memory(load);
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_operation_path(prov_openapi_load_t *load, prov_openapi_at_t *at,
    const char *path)
{
    ngx_int_t                 rc;
    ngx_str_t                 text;
    ngx_uint_t                i, n;
    prov_openapi_at_t         item, operation;
    prov_openapi_node_t      *node;
    prov_openapi_template_t   template;

    text.data = (u_char *) path;
    text.len = ngx_strlen(path);

    if (prov_openapi_path(load, at, &text, &template) != NGX_OK
        || prov_openapi_tree_add(load, at, &template, &node) != NGX_OK)
    {
        return NGX_ERROR;
    }

    item = *at;
    prov_openapi_follow(load, &item);

    n = 0;

    for (i = 0; i < PROV_OPENAPI_METHODS; i++) {

        rc = prov_openapi_member(load, &item, prov_openapi_operation_keys[i],
                                 &operation);

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (rc != NGX_OK
            || prov_openapi_operation_add(load, &item, &operation, i,
                                          &template, node)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        n++;
    }

    if (n == 0) {
        return prov_openapi_fail(load, &item.pointer,
                                 "the path \"%V\" has no operation: write, "
                                 "for example, a \"get\"", &text);
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_operation_add(prov_openapi_load_t *load,
    prov_openapi_at_t *item, prov_openapi_at_t *at, ngx_uint_t method,
    prov_openapi_template_t *template, prov_openapi_node_t *node)
{
    ngx_str_t                  id;
    prov_openapi_part_t       *part;
    prov_openapi_operation_t  *op;

    part = prov_openapi_part(load, &at->pointer);

    if (part->served) {
        return prov_openapi_fail(load, &at->pointer,
                                 "two paths lead to this operation, the "
                                 "second is \"%V\": an operation has one",
                                 &template->path);
    }

    part->served = 1;

    op = ngx_array_push(&load->api->operations);
    if (op == NULL) {
        return prov_openapi_no_memory(load);
    }

    ngx_memzero(op, sizeof(prov_openapi_operation_t));

    op->index = load->api->operations.nelts - 1;
    op->method = method;
    op->path = node->path;
    op->npath = node->nvalues;
    op->api = load->api;

    id = prov_openapi_string(json_object_get(at->json, "operationId"));

    if (prov_openapi_copy(load->pool, &op->id, &id) != NGX_OK) {
        return prov_openapi_no_memory(load);
    }

    if (prov_openapi_operation_handler(load, at, "x-handler", &op->handler)
        != NGX_OK
        || prov_openapi_operation_stream(load, at, op) != NGX_OK
        || prov_openapi_operation_several(load, at, op) != NGX_OK
        || prov_openapi_operation_live(load, at, op) != NGX_OK
        || prov_openapi_access(load, at, op) != NGX_OK
        || prov_openapi_parameters(load, item, at, template, op) != NGX_OK
        || prov_openapi_body(load, at, op) != NGX_OK
        || prov_openapi_result(load, at, op) != NGX_OK
        || prov_openapi_secret(load, at, op) != NGX_OK
        || prov_openapi_outbound(load, at, op) != NGX_OK
        || prov_openapi_operation_responses(load, at) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return prov_openapi_tree_method(load, node, op);
}


/* x-handler, or x-event-stream; an empty name where there is none */

static ngx_int_t
prov_openapi_operation_handler(prov_openapi_load_t *load,
    prov_openapi_at_t *at, const char *member, ngx_str_t *handler)
{
    ngx_int_t          rc;
    ngx_str_t          name;
    prov_openapi_at_t  value;

    rc = prov_openapi_member(load, at, member, &value);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    name = prov_openapi_string(value.json);

    if (!prov_openapi_identifier(&name)) {
        return prov_openapi_fail(load, &value.pointer,
                                 "\"%V\" cannot name a handler: write "
                                 "snake_case of at most %d bytes, or remove "
                                 "it to have the SQL function called",
                                 &name, PROV_OPENAPI_MAX_NAME);
    }

    if (prov_openapi_copy(load->pool, handler, &name) != NGX_OK) {
        return prov_openapi_no_memory(load);
    }

    return NGX_OK;
}


/* A function is asked again for each page: it must not change anything. */

static ngx_int_t
prov_openapi_operation_stream(prov_openapi_load_t *load,
    prov_openapi_at_t *at, prov_openapi_operation_t *op)
{
    op->stream = json_is_true(json_object_get(at->json, "x-stream"));

    if (op->stream
        && (op->method != PROV_OPENAPI_GET || op->handler.len))
    {
        return prov_openapi_operation_refuse(load, at, "x-stream",
                                 "only a \"get\" that a function serves can "
                                 "be answered page by page");
    }

    return NGX_OK;
}


/* Only changes whose path names nothing are sent together, or need not be. */

static ngx_int_t
prov_openapi_operation_several(prov_openapi_load_t *load,
    prov_openapi_at_t *at, prov_openapi_operation_t *op)
{
    op->several = json_is_true(json_object_get(at->json, "x-several"));
    op->apart = json_is_false(json_object_get(at->json, "x-several"));

    if (op->several
        && (op->method == PROV_OPENAPI_GET || op->npath || op->handler.len
            || json_object_get(at->json, "x-validate-result")))
    {
        return prov_openapi_operation_refuse(load, at, "x-several",
                                 "only a change that a function serves, whose "
                                 "path has no parameters and whose result is "
                                 "not validated, shares a statement with "
                                 "others");
    }

    if (op->several
        && op->id.len + sizeof("_several") - 1 > PROV_OPENAPI_MAX_NAME)
    {
        return prov_openapi_operation_refuse(load, at, "x-several",
                                 "only an operationId of at most 55 bytes "
                                 "leaves room for \"_several\" in a name of "
                                 "PostgreSQL's");
    }

    return NGX_OK;
}


/* The function answers who wants JSON, the handler who wants to listen. */

static ngx_int_t
prov_openapi_operation_live(prov_openapi_load_t *load, prov_openapi_at_t *at,
    prov_openapi_operation_t *op)
{
    if (prov_openapi_operation_handler(load, at, "x-event-stream", &op->live)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (op->live.len
        && (op->method != PROV_OPENAPI_GET || op->handler.len || op->stream))
    {
        return prov_openapi_operation_refuse(load, at, "x-event-stream",
                                 "only a \"get\" that a function answers with "
                                 "JSON can be listened to as well");
    }

    return NGX_OK;
}


/* an extension that does not go with what else the operation says */

static ngx_int_t
prov_openapi_operation_refuse(prov_openapi_load_t *load,
    prov_openapi_at_t *at, const char *member, const char *why)
{
    prov_openapi_at_t  value;

    if (prov_openapi_member(load, at, member, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    return prov_openapi_fail(load, &value.pointer, "%s: remove this %s", why,
                             member);
}


static ngx_int_t
prov_openapi_operation_responses(prov_openapi_load_t *load,
    prov_openapi_at_t *at)
{
    prov_openapi_at_t  responses;

    if (prov_openapi_member(load, at, "responses", &responses) != NGX_OK) {
        return NGX_ERROR;
    }

    if (json_object_size(responses.json) == 0) {
        return prov_openapi_fail(load, &responses.pointer,
                                 "an operation answers something: write at "
                                 "least one response");
    }

    return NGX_OK;
}


/* What speaks of operations without being one that is served. */

static ngx_int_t
prov_openapi_operation_others(prov_openapi_load_t *load)
{
    json_t               *json;
    ngx_uint_t            i;
    const char           *key;
    prov_openapi_at_t     at;
    prov_openapi_part_t  *part;

    part = load->parts.elts;

    for (i = 0; i < load->parts.nelts; i++) {

        if (part[i].kind == PROV_OPENAPI_K_LINK
            && prov_openapi_operation_link(load, &part[i].at) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (part[i].kind != PROV_OPENAPI_K_OPERATION || part[i].served) {
            continue;
        }

        json_object_foreach(part[i].at.json, key, json) {

            if (ngx_strncmp(key, "x-", 2) != 0) {
                continue;
            }

            if (prov_openapi_child(load, &part[i].at, key, json, &at)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            return prov_openapi_fail(load, &at.pointer,
                                     "\"%s\" has no effect, as no member of "
                                     "\"paths\" leads to this operation: "
                                     "remove it", key);
        }
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_operation_link(prov_openapi_load_t *load, prov_openapi_at_t *at)
{
    ngx_int_t                  rc;
    ngx_str_t                  name;
    ngx_uint_t                 i;
    prov_openapi_at_t          id;
    prov_openapi_operation_t  *op;

    rc = prov_openapi_member(load, at, "operationId", &id);

    /* a reference to a link has none, and the link itself is a part too */

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    name = prov_openapi_string(id.json);
    op = load->api->operations.elts;

    for (i = 0; i < load->api->operations.nelts; i++) {
        if (prov_openapi_compare(&op[i].id, &name) == 0) {
            return NGX_OK;
        }
    }

    return prov_openapi_fail(load, &id.pointer,
                             "there is no operation \"%V\": write the "
                             "operationId of one", &name);
}
