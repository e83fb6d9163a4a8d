/*
 * The parameters of an operation: its own and its path's, in one array, the
 * path's own first.  Refuses every way of writing values that the engine
 * would not read as OpenAPI means it.  Called by the loader.
 */

#include "openapi/prov_openapi_load.h"


typedef struct {
    prov_openapi_at_t         at;         /* where it is declared */
    prov_openapi_parameter_t  parameter;
    unsigned                  taken:1;    /* is in the operation's array */
} prov_openapi_declared_t;


static ngx_int_t prov_openapi_parameter_list(prov_openapi_load_t *load,
    prov_openapi_at_t *owner, ngx_array_t *declared, ngx_uint_t own);
static ngx_int_t prov_openapi_parameter_declare(prov_openapi_load_t *load,
    prov_openapi_at_t *at, ngx_array_t *declared, ngx_uint_t first);
static ngx_uint_t prov_openapi_parameter_same(prov_openapi_parameter_t *a,
    prov_openapi_parameter_t *b);
static ngx_int_t prov_openapi_parameter_in(prov_openapi_load_t *load,
    prov_openapi_at_t *at, prov_openapi_parameter_t *parameter);
static ngx_int_t prov_openapi_parameter_name(prov_openapi_load_t *load,
    prov_openapi_at_t *at, prov_openapi_parameter_t *parameter);
static ngx_int_t prov_openapi_parameter_style(prov_openapi_load_t *load,
    prov_openapi_at_t *at, prov_openapi_parameter_t *parameter);
static ngx_int_t prov_openapi_parameter_order(prov_openapi_load_t *load,
    prov_openapi_at_t *operation, prov_openapi_template_t *template,
    ngx_array_t *declared, prov_openapi_operation_t *op);
static ngx_int_t prov_openapi_parameter_take(prov_openapi_load_t *load,
    prov_openapi_declared_t *declared, prov_openapi_operation_t *op);


static ngx_str_t  prov_openapi_parameter_places[] = {
    ngx_string("path"),
    ngx_string("query"),
    ngx_string("header")
};


ngx_int_t
prov_openapi_parameters(prov_openapi_load_t *load, prov_openapi_at_t *item,
    prov_openapi_at_t *operation, prov_openapi_template_t *template,
    prov_openapi_operation_t *op)
{
    ngx_array_t  declared;

    if (ngx_array_init(&declared, load->temp, 8,
                       sizeof(prov_openapi_declared_t))
        != NGX_OK)
    {
        return prov_openapi_no_memory(load);
    }

    /* the operation's first: they replace those of the path */

    if (prov_openapi_parameter_list(load, operation, &declared, 1) != NGX_OK
        || prov_openapi_parameter_list(load, item, &declared, 0) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_array_init(&op->parameters, load->pool,
                       ngx_max(declared.nelts, 1),
                       sizeof(prov_openapi_parameter_t))
        != NGX_OK)
    {
        return prov_openapi_no_memory(load);
    }

    return prov_openapi_parameter_order(load, operation, template, &declared,
                                        op);
}


static ngx_int_t
prov_openapi_parameter_list(prov_openapi_load_t *load,
    prov_openapi_at_t *owner, ngx_array_t *declared, ngx_uint_t own)
{
    size_t             i;
    ngx_int_t          rc;
    ngx_uint_t         first;
    prov_openapi_at_t  list, at;

    rc = prov_openapi_member(load, owner, "parameters", &list);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    first = own ? 0 : declared->nelts;

    for (i = 0; i < json_array_size(list.json); i++) {

        if (prov_openapi_element(load, &list, i, &at) != NGX_OK
            || prov_openapi_parameter_declare(load, &at, declared, first)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * Those of declared before first are the operation's own, which replace one
 * of the path with the same name and place.
 */

static ngx_int_t
prov_openapi_parameter_declare(prov_openapi_load_t *load,
    prov_openapi_at_t *at, ngx_array_t *declared, ngx_uint_t first)
{
    ngx_uint_t                i;
    prov_openapi_at_t         target;
    prov_openapi_declared_t  *other, *new;
    prov_openapi_parameter_t  parameter;

    ngx_memzero(&parameter, sizeof(prov_openapi_parameter_t));

    target = *at;
    prov_openapi_follow(load, &target);

    if (prov_openapi_parameter_in(load, &target, &parameter) != NGX_OK
        || prov_openapi_parameter_name(load, &target, &parameter) != NGX_OK
        || prov_openapi_parameter_style(load, &target, &parameter) != NGX_OK
        || prov_openapi_text(load, &target, &parameter) != NGX_OK)
    {
        return NGX_ERROR;
    }

    other = declared->elts;

    for (i = 0; i < declared->nelts; i++) {

        if (!prov_openapi_parameter_same(&other[i].parameter, &parameter)) {
            continue;
        }

        if (i < first && other[i].parameter.in == parameter.in) {
            return NGX_OK;
        }

        return prov_openapi_fail(load, &at->pointer,
                                 "the operation has two parameters \"%V\", "
                                 "and the function is given all of them in "
                                 "one object: rename or remove one",
                                 &parameter.name);
    }

    new = ngx_array_push(declared);
    if (new == NULL) {
        return prov_openapi_no_memory(load);
    }

    new->at = target;
    new->parameter = parameter;
    new->taken = 0;

    return NGX_OK;
}


/* Two names for one value, or one name for two. */

static ngx_uint_t
prov_openapi_parameter_same(prov_openapi_parameter_t *a,
    prov_openapi_parameter_t *b)
{
    if (a->in == PROV_OPENAPI_HEADER && b->in == PROV_OPENAPI_HEADER) {
        return a->name.len == b->name.len
               && ngx_strncasecmp(a->name.data, b->name.data, a->name.len)
                  == 0;
    }

    return prov_openapi_compare(&a->name, &b->name) == 0;
}


static ngx_int_t
prov_openapi_parameter_in(prov_openapi_load_t *load, prov_openapi_at_t *at,
    prov_openapi_parameter_t *parameter)
{
    ngx_str_t          text;
    ngx_uint_t         i;
    prov_openapi_at_t  in;

    if (prov_openapi_member(load, at, "in", &in) != NGX_OK) {
        return NGX_ERROR;
    }

    text = prov_openapi_string(in.json);

    for (i = 0; i <= PROV_OPENAPI_HEADER; i++) {

        if (prov_openapi_compare(&text, &prov_openapi_parameter_places[i])
            == 0)
        {
            parameter->in = i;
            parameter->required
                       = json_is_true(json_object_get(at->json, "required"));

            if (i != PROV_OPENAPI_PATH || parameter->required) {
                return NGX_OK;
            }

            return prov_openapi_fail(load, &at->pointer,
                                     "a parameter of the path is never "
                                     "absent: write \"required\": true");
        }
    }

    return prov_openapi_fail(load, &in.pointer,
                             "a parameter in \"%V\" is not supported: write "
                             "\"path\", \"query\" or \"header\"", &text);
}


static ngx_int_t
prov_openapi_parameter_name(prov_openapi_load_t *load, prov_openapi_at_t *at,
    prov_openapi_parameter_t *parameter)
{
    char               *name;
    ngx_str_t           text;
    prov_openapi_at_t   in;

    if (prov_openapi_member(load, at, "name", &in) != NGX_OK) {
        return NGX_ERROR;
    }

    text = prov_openapi_string(in.json);
    name = (char *) text.data;

    if (parameter->in == PROV_OPENAPI_HEADER
        && (ngx_strcasecmp(text.data, (u_char *) "accept") == 0
            || ngx_strcasecmp(text.data, (u_char *) "content-type") == 0
            || ngx_strcasecmp(text.data, (u_char *) "authorization") == 0))
    {
        return prov_openapi_fail(load, &in.pointer,
                                 "OpenAPI describes \"%V\" elsewhere and "
                                 "ignores it here: remove this parameter",
                                 &text);
    }

    if (strspn(name, PROV_OPENAPI_NAME_CHARS) != text.len) {
        return prov_openapi_fail(load, &in.pointer,
                                 "\"%V\" cannot name a parameter: use "
                                 "letters, digits, \".\", \"-\" and \"_\"",
                                 &text);
    }

    if (prov_openapi_copy(load->pool, &parameter->name, &text) != NGX_OK) {
        return prov_openapi_no_memory(load);
    }

    parameter->lowcase = ngx_pnalloc(load->pool, text.len);
    if (parameter->lowcase == NULL) {
        return prov_openapi_no_memory(load);
    }

    ngx_strlow(parameter->lowcase, text.data, text.len);

    return NGX_OK;
}


/*
 * OpenAPI 3.1.1, section 4.8.12.2.  "explode" is true by default for "form"
 * only; for values that are neither arrays nor objects it says nothing.
 */

static ngx_int_t
prov_openapi_parameter_style(prov_openapi_load_t *load,
    prov_openapi_at_t *at, prov_openapi_parameter_t *parameter)
{
    json_t      *json, *explode;
    ngx_str_t    style, normal;
    ngx_uint_t   deep;

    static ngx_str_t  form = ngx_string("form");
    static ngx_str_t  simple = ngx_string("simple");
    static ngx_str_t  object = ngx_string("deepObject");

    normal = (parameter->in == PROV_OPENAPI_QUERY) ? form : simple;

    json = json_object_get(at->json, "style");
    style = json ? prov_openapi_string(json) : normal;

    explode = json_object_get(at->json, "explode");

    deep = (parameter->in == PROV_OPENAPI_QUERY
            && prov_openapi_compare(&style, &object) == 0);

    if (!deep && prov_openapi_compare(&style, &normal) != 0) {
        return prov_openapi_fail(load, &at->pointer,
                                 "the style \"%V\" is not supported in "
                                 "\"%V\": write \"%V\"%s", &style,
                                 &prov_openapi_parameter_places[parameter->in],
                                 &normal,
                                 parameter->in == PROV_OPENAPI_QUERY
                                 ? " or \"deepObject\"" : "");
    }

    if (deep && json_is_false(explode)) {
        return prov_openapi_fail(load, &at->pointer,
                                 "the style \"deepObject\" writes each "
                                 "member by itself: write \"explode\": true");
    }

    parameter->deep = deep;
    parameter->explode = explode ? json_is_true(explode)
                                 : parameter->in == PROV_OPENAPI_QUERY;

    return NGX_OK;
}


/* The path's parameters by their place in it, then the others. */

static ngx_int_t
prov_openapi_parameter_order(prov_openapi_load_t *load,
    prov_openapi_at_t *operation, prov_openapi_template_t *template,
    ngx_array_t *declared, prov_openapi_operation_t *op)
{
    ngx_uint_t                i, n;
    prov_openapi_segment_t   *segment;
    prov_openapi_declared_t  *d;

    d = declared->elts;

    for (i = 0; i < template->n; i++) {

        segment = &template->segments[i];

        if (!segment->parameter) {
            continue;
        }

        for (n = 0; n < declared->nelts; n++) {
            if (d[n].parameter.in == PROV_OPENAPI_PATH
                && prov_openapi_compare(&d[n].parameter.name, &segment->text)
                   == 0)
            {
                break;
            }
        }

        if (n == declared->nelts) {
            return prov_openapi_fail(load, &operation->pointer,
                                     "the path has \"{%V}\", but no "
                                     "parameter of that name is in "
                                     "\"path\": declare one",
                                     &segment->text);
        }

        if (prov_openapi_parameter_take(load, &d[n], op) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    for (n = 0; n < declared->nelts; n++) {

        if (d[n].taken) {
            continue;
        }

        if (d[n].parameter.in == PROV_OPENAPI_PATH) {
            return prov_openapi_fail(load, &d[n].at.pointer,
                                     "the path \"%V\" has no \"{%V}\": "
                                     "remove this parameter or correct its "
                                     "name", &op->path, &d[n].parameter.name);
        }

        if (prov_openapi_parameter_take(load, &d[n], op) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_parameter_take(prov_openapi_load_t *load,
    prov_openapi_declared_t *declared, prov_openapi_operation_t *op)
{
    prov_openapi_parameter_t  *parameter;

    parameter = ngx_array_push(&op->parameters);
    if (parameter == NULL) {
        return prov_openapi_no_memory(load);
    }

    *parameter = declared->parameter;
    declared->taken = 1;

    return prov_openapi_access_parameter(load, &declared->at, op, parameter);
}
