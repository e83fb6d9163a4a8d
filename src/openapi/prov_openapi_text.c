/*
 * A parameter's value is text, and its schema must say how to read it: one
 * scalar, an array of them, or an object of strings, and never a choice of
 * those.  Called by the loader for each parameter.
 */

#include "openapi/prov_openapi_load.h"


#define PROV_OPENAPI_SCALARS  (PROV_SCHEMA_NULL|PROV_SCHEMA_BOOLEAN           \
                               |PROV_SCHEMA_INTEGER|PROV_SCHEMA_NUMBER        \
                               |PROV_SCHEMA_STRING)


static ngx_int_t prov_openapi_text_items(prov_openapi_load_t *load,
    prov_openapi_at_t *schema, prov_openapi_parameter_t *parameter);
static ngx_int_t prov_openapi_text_object(prov_openapi_load_t *load,
    prov_openapi_at_t *schema);
static ngx_int_t prov_openapi_text_member(prov_openapi_load_t *load,
    prov_openapi_at_t *schema);


/* Compiles the schema of the parameter that is declared at. */

ngx_int_t
prov_openapi_text(prov_openapi_load_t *load,
    prov_openapi_at_t *at, prov_openapi_parameter_t *parameter)
{
    prov_openapi_at_t  schema;

    if (prov_openapi_member(load, at, "schema", &schema) != NGX_OK
        || prov_openapi_compile(load, load->keep, &schema.pointer,
                                &parameter->schema)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    parameter->types = prov_schema_types(parameter->schema);

    if (parameter->deep) {

        if (parameter->types == PROV_SCHEMA_OBJECT) {
            return prov_openapi_text_object(load, &schema);
        }

        return prov_openapi_fail(load, &schema.pointer,
                                 "the style \"deepObject\" is for objects: "
                                 "write \"type\": \"object\"");
    }

    if (parameter->types == PROV_SCHEMA_ARRAY
        && parameter->in == PROV_OPENAPI_QUERY)
    {
        return prov_openapi_text_items(load, &schema, parameter);
    }

    if ((parameter->types & ~PROV_OPENAPI_SCALARS) == 0) {
        return NGX_OK;
    }

    if (parameter->in == PROV_OPENAPI_QUERY) {
        return prov_openapi_fail(load, &schema.pointer,
                                 "the schema does not say how to read the "
                                 "text of a query: write a \"type\" that is "
                                 "either \"array\" or one or several of "
                                 "\"string\", \"integer\", \"number\", "
                                 "\"boolean\"; an object has the style "
                                 "\"deepObject\"");
    }

    return prov_openapi_fail(load, &schema.pointer,
                             "the schema does not say how to read the text "
                             "of a %s: write a \"type\" that is one or "
                             "several of \"string\", \"integer\", "
                             "\"number\", \"boolean\"",
                             parameter->in == PROV_OPENAPI_PATH
                             ? "path" : "header");
}


static ngx_int_t
prov_openapi_text_items(prov_openapi_load_t *load,
    prov_openapi_at_t *schema, prov_openapi_parameter_t *parameter)
{
    prov_schema_t  *items;

    items = prov_schema_items(parameter->schema);

    if (items && (prov_schema_types(items) & ~PROV_OPENAPI_SCALARS) == 0) {
        return NGX_OK;
    }

    return prov_openapi_fail(load, &schema->pointer,
                             "the schema does not say how to read the "
                             "elements of a query's array: write \"items\" "
                             "with a \"type\" that is one or several of "
                             "\"string\", \"integer\", \"number\", "
                             "\"boolean\"");
}


/* name[key]=value: nothing says how to read a value but as a string. */

static ngx_int_t
prov_openapi_text_object(prov_openapi_load_t *load, prov_openapi_at_t *schema)
{
    json_t             *json;
    ngx_int_t           rc;
    const char         *key;
    prov_openapi_at_t   at, child, properties;

    at = *schema;
    prov_openapi_follow(load, &at);

    rc = prov_openapi_member(load, &at, "additionalProperties", &child);

    if (rc == NGX_ERROR
        || (rc == NGX_OK && json_is_object(child.json)
            && prov_openapi_text_member(load, &child) != NGX_OK))
    {
        return NGX_ERROR;
    }

    rc = prov_openapi_member(load, &at, "properties", &properties);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    json_object_foreach(properties.json, key, json) {

        if (prov_openapi_child(load, &properties, key, json, &child) != NGX_OK
            || prov_openapi_text_member(load, &child) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_text_member(prov_openapi_load_t *load, prov_openapi_at_t *schema)
{
    prov_schema_t  *member;

    if (prov_openapi_compile(load, load->check, &schema->pointer, &member)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (prov_schema_types(member) & PROV_SCHEMA_STRING) {
        return NGX_OK;
    }

    return prov_openapi_fail(load, &schema->pointer,
                             "the members of a \"deepObject\" are read as "
                             "strings: write \"type\": \"string\"");
}
