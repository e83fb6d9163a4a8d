/*
 * Parameters as a request has them, in its path, its query string and its
 * headers: decoded strictly, and read as what their schemas say they are.
 * What is not declared is an error.  Called by prov_request_params.c.
 */

#include "request/prov_request_params.h"


/* name=value pairs in a query string */
#define PROV_REQUEST_MAX_ARGS  128


static ngx_int_t prov_params_path(prov_params_t *p);
static ngx_int_t prov_params_query(prov_params_t *p);
static ngx_int_t prov_params_pair(prov_params_t *p, u_char *start,
    u_char *last);
static ngx_int_t prov_params_list(prov_params_t *p,
    prov_openapi_parameter_t *param, u_char *start, u_char *last);
static ngx_int_t prov_params_headers(prov_params_t *p);
static prov_openapi_parameter_t *prov_params_find(prov_params_t *p,
    ngx_str_t *name, ngx_str_t *key);
static ngx_int_t prov_params_set(prov_params_t *p,
    prov_openapi_parameter_t *param, ngx_str_t *key, ngx_str_t *value);
static ngx_int_t prov_params_append(prov_params_t *p,
    prov_openapi_parameter_t *param, ngx_str_t *value);
static prov_openapi_parameter_t *prov_params_next(prov_params_t *p,
    prov_openapi_parameter_t *param, prov_openapi_in_e in);
static json_t **prov_params_value(prov_params_t *p,
    prov_openapi_parameter_t *param);
static ngx_int_t prov_params_repeated(prov_params_t *p,
    prov_openapi_parameter_t *param);


ngx_int_t
prov_params_take(prov_params_t *p)
{
    if (prov_params_path(p) != NGX_OK
        || prov_params_query(p) != NGX_OK
        || prov_params_headers(p) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
prov_params_path(prov_params_t *p)
{
    ngx_uint_t                 i;
    prov_openapi_parameter_t  *param;

    param = p->ctx->operation->parameters.elts;

    for (i = 0; i < p->ctx->operation->npath; i++) {
        if (prov_params_set(p, &param[i], NULL, &p->ctx->values[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
prov_params_query(prov_params_t *p)
{
    u_char      *start, *end, *last;
    ngx_uint_t   n;
    ngx_str_t    whole;

    start = p->request->args.data;
    last = start + p->request->args.len;

    for (n = 0; start < last; start = end + 1) {

        end = ngx_strlchr(start, last, '&');
        if (end == NULL) {
            end = last;
        }

        if (end == start) {
            continue;
        }

        if (++n > PROV_REQUEST_MAX_ARGS) {
            ngx_str_set(&whole, "");
            return prov_params_wrong(p, PROV_OPENAPI_QUERY, &whole,
                                     "too_many_parameters",
                                     "the query string has too many "
                                     "parameters");
        }

        if (prov_params_pair(p, start, end) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
prov_params_pair(prov_params_t *p, u_char *start, u_char *last)
{
    u_char                    *equals;
    ngx_int_t                  rc;
    ngx_str_t                  name, value, key;
    prov_openapi_parameter_t  *param;

    equals = ngx_strlchr(start, last, '=');

    rc = prov_value_decode(p->request->pool, start, equals ? equals : last,
                            &name);
    if (rc == NGX_OK) {
        rc = prov_value_decode(p->request->pool, equals ? equals + 1 : last,
                                last, &value);
    }

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {
        ngx_str_set(&name, "");
        return prov_params_wrong(p, PROV_OPENAPI_QUERY, &name, "encoding",
                                 "the query string has a bad percent-escape, "
                                 "a NUL, or is not UTF-8");
    }

    param = prov_params_find(p, &name, &key);

    if (param == NULL) {
        return prov_params_wrong(p, PROV_OPENAPI_QUERY, &name,
                                 "unknown_parameter",
                                 "is not a parameter of this operation");
    }

    if (param->types == PROV_SCHEMA_ARRAY && !param->explode) {
        return prov_params_list(p, param, equals ? equals + 1 : last, last);
    }

    return prov_params_set(p, param, param->deep ? &key : NULL, &value);
}


/* name=a,b: split before it is decoded, so that an item may have a comma */

static ngx_int_t
prov_params_list(prov_params_t *p, prov_openapi_parameter_t *param,
    u_char *start, u_char *last)
{
    u_char     *end;
    ngx_str_t   item;

    if (*prov_params_value(p, param)) {
        return prov_params_repeated(p, param);
    }

    for ( /* void */ ; start <= last; start = end + 1) {

        end = ngx_strlchr(start, last, ',');
        if (end == NULL) {
            end = last;
        }

        if (prov_value_decode(p->request->pool, start, end, &item) != NGX_OK
            || prov_params_append(p, param, &item) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
prov_params_headers(prov_params_t *p)
{
    ngx_int_t                  rc;
    ngx_str_t                  value;
    prov_openapi_parameter_t  *param;

    param = NULL;

    while ((param = prov_params_next(p, param, PROV_OPENAPI_HEADER))) {

        rc = prov_request_header_whole(p->request, (char *) param->lowcase,
                                       param->name.len, &value);

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (!prov_value_utf8(&value)) {
            rc = prov_params_wrong(p, PROV_OPENAPI_HEADER, &param->name,
                                   "encoding", "is not UTF-8");

        } else {
            rc = prov_params_set(p, param, NULL, &value);
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* For a "deep" parameter, written name[key], key is what the brackets hold. */

static prov_openapi_parameter_t *
prov_params_find(prov_params_t *p, ngx_str_t *name, ngx_str_t *key)
{
    size_t                     len;
    prov_openapi_parameter_t  *param;

    param = NULL;

    while ((param = prov_params_next(p, param, PROV_OPENAPI_QUERY))) {

        len = param->name.len;

        if (name->len < len
            || ngx_strncmp(name->data, param->name.data, len) != 0)
        {
            continue;
        }

        if (!param->deep) {
            if (name->len == len) {
                return param;
            }

            continue;
        }

        if (name->len > len + 2 && name->data[len] == '['
            && name->data[name->len - 1] == ']')
        {
            key->data = name->data + len + 1;
            key->len = name->len - len - 2;
            return param;
        }
    }

    return NULL;
}


static ngx_int_t
prov_params_set(prov_params_t *p, prov_openapi_parameter_t *param,
    ngx_str_t *key, ngx_str_t *value)
{
    json_t  **object;

    if (param->types == PROV_SCHEMA_ARRAY) {
        return prov_params_append(p, param, value);
    }

    object = prov_params_value(p, param);

    if (key == NULL) {

        if (*object) {
            return prov_params_repeated(p, param);
        }

        *object = prov_value_read(param->types, value);

        return *object ? NGX_OK : NGX_ERROR;
    }

    if (*object == NULL) {
        *object = json_object();

        if (*object == NULL) {
            return NGX_ERROR;
        }
    }

    if (json_object_getn(*object, (char *) key->data, key->len)) {
        return prov_params_repeated(p, param);
    }

    return json_object_setn_new(*object, (char *) key->data, key->len,
                                prov_value_read(PROV_SCHEMA_STRING, value))
           ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
prov_params_append(prov_params_t *p, prov_openapi_parameter_t *param,
    ngx_str_t *value)
{
    json_t         **array;
    ngx_uint_t       types;
    prov_schema_t   *items;

    array = prov_params_value(p, param);

    if (*array == NULL) {
        *array = json_array();

        if (*array == NULL) {
            return NGX_ERROR;
        }
    }

    items = prov_schema_items(param->schema);
    types = items ? prov_schema_types(items) : PROV_SCHEMA_STRING;

    if (json_array_append_new(*array, prov_value_read(types, value)) != 0) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Of those that stand there, the one after this one; NULL: the first. */

static prov_openapi_parameter_t *
prov_params_next(prov_params_t *p, prov_openapi_parameter_t *param,
    prov_openapi_in_e in)
{
    prov_openapi_parameter_t  *first, *last;

    first = p->ctx->operation->parameters.elts;
    last = first + p->ctx->operation->parameters.nelts;

    param = param ? param + 1 : first + p->ctx->operation->npath;

    while (param < last && param->in != in) {
        param++;
    }

    return param < last ? param : NULL;
}


/* where the parameter's value is or will be */

static json_t **
prov_params_value(prov_params_t *p, prov_openapi_parameter_t *param)
{
    prov_openapi_parameter_t  *first;

    first = p->ctx->operation->parameters.elts;

    return &p->values[param - first];
}


static ngx_int_t
prov_params_repeated(prov_params_t *p, prov_openapi_parameter_t *param)
{
    return prov_params_wrong(p, param->in, &param->name, "repeated",
                             "is given more than once");
}


ngx_int_t
prov_params_wrong(prov_params_t *p, prov_openapi_in_e in, ngx_str_t *name,
    const char *code, const char *message)
{
    ngx_str_t  c, m;

    c.data = (u_char *) code;
    c.len = ngx_strlen(code);
    m.data = (u_char *) message;
    m.len = ngx_strlen(message);

    return prov_violations_parameter(p->request->pool, &p->violations, in,
                                     name, &c, &m);
}
