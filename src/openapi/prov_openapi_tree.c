/*
 * Path templates: checked, taken apart, and grown into the tree of routes.
 * Called by the loader for each path and operation; the tree is read-only
 * from then on.
 */

#include "openapi/prov_openapi_load.h"


static ngx_int_t prov_openapi_path_segment(prov_openapi_load_t *load,
    prov_openapi_at_t *at, ngx_str_t *raw, prov_openapi_template_t *template);
static ngx_int_t prov_openapi_path_parameter(prov_openapi_load_t *load,
    prov_openapi_at_t *at, ngx_str_t *name,
    prov_openapi_template_t *template);
static ngx_int_t prov_openapi_path_literal(prov_openapi_load_t *load,
    prov_openapi_at_t *at, ngx_str_t *raw, prov_openapi_template_t *template);
static prov_openapi_node_t *prov_openapi_tree_step(prov_openapi_load_t *load,
    prov_openapi_node_t *node, prov_openapi_segment_t *segment);
static ngx_int_t prov_openapi_tree_insert(prov_openapi_load_t *load,
    prov_openapi_node_t *node, prov_openapi_node_t *child, ngx_uint_t index);


/* Takes apart the path, whose path item is at. */

ngx_int_t
prov_openapi_path(prov_openapi_load_t *load, prov_openapi_at_t *at,
    ngx_str_t *path, prov_openapi_template_t *template)
{
    u_char     *p, *last;
    ngx_str_t   raw;

    template->path = *path;
    template->n = 0;
    template->nparameters = 0;

    /* the walk has seen that it begins with a slash */

    if (path->len == 1) {
        return NGX_OK;
    }

    last = path->data + path->len;

    for (p = path->data; p < last; p = raw.data + raw.len) {

        raw.data = p + 1;

        p = ngx_strlchr(raw.data, last, '/');
        raw.len = (p ? p : last) - raw.data;

        if (template->n == PROV_OPENAPI_MAX_SEGMENTS) {
            return prov_openapi_fail(load, &at->pointer,
                                     "a path has at most %d segments",
                                     PROV_OPENAPI_MAX_SEGMENTS);
        }

        if (prov_openapi_path_segment(load, at, &raw, template) != NGX_OK) {
            return NGX_ERROR;
        }

        template->n++;
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_path_segment(prov_openapi_load_t *load, prov_openapi_at_t *at,
    ngx_str_t *raw, prov_openapi_template_t *template)
{
    u_char     *last;
    ngx_str_t   name;

    last = raw->data + raw->len;

    if (raw->len == 0) {
        return prov_openapi_fail(load, &at->pointer,
                                 "the path has an empty segment: write it "
                                 "without \"//\" and without a \"/\" at the "
                                 "end");
    }

    if (ngx_strlchr(raw->data, last, '{') == NULL
        && ngx_strlchr(raw->data, last, '}') == NULL)
    {
        return prov_openapi_path_literal(load, at, raw, template);
    }

    if (raw->len > 2 && raw->data[0] == '{' && last[-1] == '}') {

        name.data = raw->data + 1;
        name.len = raw->len - 2;

        if (strspn((char *) name.data, PROV_OPENAPI_NAME_CHARS) == name.len) {
            return prov_openapi_path_parameter(load, at, &name, template);
        }
    }

    return prov_openapi_fail(load, &at->pointer,
                             "in the segment \"%V\" a parameter must be the "
                             "whole segment, and its name of letters, "
                             "digits, \".\", \"-\" and \"_\": write "
                             "\"{name}\"", raw);
}


static ngx_int_t
prov_openapi_path_parameter(prov_openapi_load_t *load, prov_openapi_at_t *at,
    ngx_str_t *name, prov_openapi_template_t *template)
{
    ngx_uint_t               i;
    prov_openapi_segment_t  *segment;

    for (i = 0; i < template->n; i++) {

        segment = &template->segments[i];

        if (segment->parameter
            && prov_openapi_compare(&segment->text, name) == 0)
        {
            return prov_openapi_fail(load, &at->pointer,
                                     "the path has \"{%V}\" twice: rename "
                                     "one of them", name);
        }
    }

    if (template->nparameters == PROV_OPENAPI_MAX_PARAMETERS) {
        return prov_openapi_fail(load, &at->pointer,
                                 "a path has at most %d parameters",
                                 PROV_OPENAPI_MAX_PARAMETERS);
    }

    template->nparameters++;

    segment = &template->segments[template->n];
    segment->text = *name;
    segment->parameter = 1;

    return NGX_OK;
}


static ngx_int_t
prov_openapi_path_literal(prov_openapi_load_t *load, prov_openapi_at_t *at,
    ngx_str_t *raw, prov_openapi_template_t *template)
{
    u_char                  *d;
    prov_openapi_segment_t  *segment;

    segment = &template->segments[template->n];
    segment->parameter = 0;

    d = ngx_pnalloc(load->pool, raw->len);
    if (d == NULL) {
        return prov_openapi_no_memory(load);
    }

    segment->text.data = d;

    if (prov_openapi_segment(&d, raw->data, raw->data + raw->len) == NULL) {
        return prov_openapi_fail(load, &at->pointer,
                                 "the segment \"%V\" is not well encoded: "
                                 "write \"%%\" as \"%%25\", and UTF-8", raw);
    }

    segment->text.len = d - segment->text.data;

    if (segment->text.len > PROV_OPENAPI_MAX_LITERAL
        || ngx_strlchr(segment->text.data, d, '/')
        || prov_openapi_dots(&segment->text))
    {
        return prov_openapi_fail(load, &at->pointer,
                                 "the segment \"%V\" can never be asked for: "
                                 "write a name of at most %d bytes that is "
                                 "not \".\" or \"..\" and has no \"/\" in it",
                                 raw, PROV_OPENAPI_MAX_LITERAL);
    }

    return NGX_OK;
}


/* Grows the tree by a template; *node is where it ends. */

ngx_int_t
prov_openapi_tree_add(prov_openapi_load_t *load, prov_openapi_at_t *at,
    prov_openapi_template_t *template, prov_openapi_node_t **node)
{
    ngx_uint_t            i;
    prov_openapi_node_t  *end;

    end = load->api->routes;

    for (i = 0; i < template->n; i++) {

        end = prov_openapi_tree_step(load, end, &template->segments[i]);
        if (end == NULL) {
            return prov_openapi_no_memory(load);
        }
    }

    if (end->path.data) {
        return prov_openapi_fail(load, &at->pointer,
                                 "the paths \"%V\" and \"%V\" match the same "
                                 "requests: make one of them",
                                 &end->path, &template->path);
    }

    if (prov_openapi_copy(load->pool, &end->path, &template->path) != NGX_OK) {
        return prov_openapi_no_memory(load);
    }

    for (i = 0; i < template->n; i++) {
        if (template->segments[i].parameter) {
            end->values[end->nvalues++] = (u_char) i;
        }
    }

    *node = end;

    return NGX_OK;
}


static prov_openapi_node_t *
prov_openapi_tree_step(prov_openapi_load_t *load, prov_openapi_node_t *node,
    prov_openapi_segment_t *segment)
{
    ngx_uint_t            index;
    prov_openapi_node_t  *child;

    child = segment->parameter
            ? node->parameter
            : prov_openapi_literal(node, &segment->text, &index);

    if (child) {
        return child;
    }

    child = ngx_pcalloc(load->pool, sizeof(prov_openapi_node_t));
    if (child == NULL) {
        return NULL;
    }

    if (segment->parameter) {
        node->parameter = child;
        return child;
    }

    child->literal = segment->text;

    if (prov_openapi_tree_insert(load, node, child, index) != NGX_OK) {
        return NULL;
    }

    return child;
}


static ngx_int_t
prov_openapi_tree_insert(prov_openapi_load_t *load, prov_openapi_node_t *node,
    prov_openapi_node_t *child, ngx_uint_t index)
{
    ngx_uint_t             n;
    prov_openapi_node_t  **literals;

    n = node->nliterals;

    /* room for 4, 8, 16 …: full when the number is such a power */

    if (n == 0 || (n >= 4 && (n & (n - 1)) == 0)) {

        literals = ngx_palloc(load->pool,
                              (n ? n * 2 : 4) * sizeof(prov_openapi_node_t *));
        if (literals == NULL) {
            return NGX_ERROR;
        }

        if (n) {
            ngx_memcpy(literals, node->literals,
                       n * sizeof(prov_openapi_node_t *));
        }

        node->literals = literals;
    }

    literals = node->literals + index;

    ngx_memmove(literals + 1, literals,
                (n - index) * sizeof(prov_openapi_node_t *));

    *literals = child;
    node->nliterals++;

    return NGX_OK;
}


/* Adds the operation to its node, and to what a 405 says it allows. */

ngx_int_t
prov_openapi_tree_method(prov_openapi_load_t *load, prov_openapi_node_t *node,
    prov_openapi_operation_t *op)
{
    u_char      *p;
    ngx_uint_t   i;

    node->methods[op->method] = op;

    if (node->allow.data == NULL) {

        node->allow.data = ngx_pnalloc(load->pool,
                                sizeof("GET, HEAD, POST, PUT, PATCH, DELETE"));
        if (node->allow.data == NULL) {
            return prov_openapi_no_memory(load);
        }
    }

    p = node->allow.data;

    for (i = 0; i < PROV_OPENAPI_METHODS; i++) {

        if (node->methods[i] == NULL) {
            continue;
        }

        if (p != node->allow.data) {
            *p++ = ',';
            *p++ = ' ';
        }

        p = ngx_cpymem(p, prov_openapi_methods[i].data,
                       prov_openapi_methods[i].len);

        if (i == PROV_OPENAPI_GET) {
            p = ngx_cpymem(p, ", HEAD", sizeof(", HEAD") - 1);
        }
    }

    node->allow.len = p - node->allow.data;

    return NGX_OK;
}
