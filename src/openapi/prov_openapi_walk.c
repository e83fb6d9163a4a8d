/*
 * The first pass over a document: down every object by the grammar, so that
 * each member is known to be one, of the right type, and every "$ref" is
 * found where references are allowed (and not in somebody's example).
 * Called by the bundler; notes what it met for the passes after it.
 */

#include "openapi/prov_openapi_load.h"


static ngx_int_t prov_openapi_walk_scalar(prov_openapi_load_t *load,
    prov_openapi_kind_e kind, prov_openapi_at_t *at);
static ngx_int_t prov_openapi_walk_object(prov_openapi_load_t *load,
    prov_openapi_kind_e kind, prov_openapi_at_t *at);
static ngx_int_t prov_openapi_walk_required(prov_openapi_load_t *load,
    prov_openapi_grammar_t *grammar, prov_openapi_at_t *at);
static prov_openapi_member_t *prov_openapi_walk_lookup(
    prov_openapi_kind_e kind, const char *key);
static ngx_int_t prov_openapi_walk_unknown(prov_openapi_load_t *load,
    prov_openapi_grammar_t *grammar, const char *key, prov_openapi_at_t *at);
static ngx_int_t prov_openapi_walk_member(prov_openapi_load_t *load,
    prov_openapi_kind_e parent, prov_openapi_member_t *member,
    prov_openapi_at_t *at);
static ngx_int_t prov_openapi_walk_list(prov_openapi_load_t *load,
    prov_openapi_member_t *member, prov_openapi_at_t *at);
static ngx_int_t prov_openapi_walk_map(prov_openapi_load_t *load,
    prov_openapi_member_t *member, prov_openapi_at_t *at);
static ngx_int_t prov_openapi_walk_name(prov_openapi_load_t *load,
    prov_openapi_names_e names, const char *key, prov_openapi_at_t *at);
static ngx_int_t prov_openapi_walk_note(prov_openapi_load_t *load,
    prov_openapi_kind_e kind, prov_openapi_at_t *at);


/* Recursion is bounded by the depth that the JSON parser lets through. */

ngx_int_t
prov_openapi_walk(prov_openapi_load_t *load, prov_openapi_kind_e kind,
    prov_openapi_at_t *at)
{
    if (prov_openapi_grammar[kind].members == NULL) {
        return prov_openapi_walk_scalar(load, kind, at);
    }

    if (kind == PROV_OPENAPI_K_SCHEMA && json_is_boolean(at->json)) {
        return prov_openapi_walk_note(load, kind, at);
    }

    if (!json_is_object(at->json)) {
        return prov_openapi_fail(load, &at->pointer,
                                 "%s must be an object: write {...}",
                                 prov_openapi_grammar[kind].name);
    }

    if (prov_openapi_walk_note(load, kind, at) != NGX_OK) {
        return NGX_ERROR;
    }

    if (prov_openapi_grammar[kind].section
        && json_object_get(at->json, "$ref") != NULL)
    {
        if (prov_openapi_ref(load, kind, at) != NGX_OK) {
            return NGX_ERROR;
        }

        if (kind != PROV_OPENAPI_K_SCHEMA) {
            return NGX_OK;
        }
    }

    return prov_openapi_walk_object(load, kind, at);
}


static ngx_int_t
prov_openapi_walk_scalar(prov_openapi_load_t *load, prov_openapi_kind_e kind,
    prov_openapi_at_t *at)
{
    if (kind == PROV_OPENAPI_K_STRING && !json_is_string(at->json)) {
        return prov_openapi_fail(load, &at->pointer,
                                 "this must be a string: write \"...\"");
    }

    if (kind == PROV_OPENAPI_K_BOOLEAN && !json_is_boolean(at->json)) {
        return prov_openapi_fail(load, &at->pointer,
                                 "this must be true or false");
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_walk_object(prov_openapi_load_t *load, prov_openapi_kind_e kind,
    prov_openapi_at_t *at)
{
    json_t                  *value;
    const char              *key;
    prov_openapi_at_t        child;
    prov_openapi_member_t   *member;
    prov_openapi_grammar_t  *grammar;

    grammar = &prov_openapi_grammar[kind];

    json_object_foreach(at->json, key, value) {

        if (prov_openapi_child(load, at, key, value, &child) != NGX_OK) {
            return NGX_ERROR;
        }

        member = prov_openapi_walk_lookup(kind, key);

        if (member == NULL) {
            return prov_openapi_walk_unknown(load, grammar, key, &child);
        }

        if (member->refused) {
            return prov_openapi_fail(load, &child.pointer,
                                     "\"%s\" is not supported in %s; %s",
                                     key, grammar->name, member->refused);
        }

        if (prov_openapi_walk_member(load, kind, member, &child) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return prov_openapi_walk_required(load, grammar, at);
}


static ngx_int_t
prov_openapi_walk_required(prov_openapi_load_t *load,
    prov_openapi_grammar_t *grammar, prov_openapi_at_t *at)
{
    prov_openapi_member_t  *member;

    for (member = grammar->members; member->name; member++) {

        if (member->required
            && json_object_get(at->json, member->name) == NULL)
        {
            return prov_openapi_fail(load, &at->pointer,
                                     "\"%s\" is missing in %s: write %s",
                                     member->name, grammar->name,
                                     member->required);
        }
    }

    return NGX_OK;
}


static prov_openapi_member_t *
prov_openapi_walk_lookup(prov_openapi_kind_e kind, const char *key)
{
    prov_openapi_member_t  *member;

    for (member = prov_openapi_grammar[kind].members; member->name; member++) {

        if (strcmp(member->name, key) == 0) {
            return member;
        }

        if (member->name[0] == '*') {

            /* an extension is unknown even where any name is a name */

            if (ngx_strncmp(key, "x-", 2) == 0
                && kind != PROV_OPENAPI_K_REQUIREMENT)
            {
                return NULL;
            }

            return member;
        }
    }

    return NULL;
}


static ngx_int_t
prov_openapi_walk_unknown(prov_openapi_load_t *load,
    prov_openapi_grammar_t *grammar, const char *key, prov_openapi_at_t *at)
{
    if (ngx_strncmp(key, "x-", 2) != 0) {
        return prov_openapi_fail(load, &at->pointer,
                                 "\"%s\" is not a member of %s in OpenAPI "
                                 "3.1: correct its spelling or remove it",
                                 key, grammar->name);
    }

    if (grammar->extensions == NULL) {
        return prov_openapi_fail(load, &at->pointer,
                                 "the extension \"%s\" is not known, and %s "
                                 "has none: remove it", key, grammar->name);
    }

    return prov_openapi_fail(load, &at->pointer,
                             "the extension \"%s\" is not known; those of "
                             "%s are %s", key, grammar->name,
                             grammar->extensions);
}


static ngx_int_t
prov_openapi_walk_member(prov_openapi_load_t *load,
    prov_openapi_kind_e parent, prov_openapi_member_t *member,
    prov_openapi_at_t *at)
{
    switch (member->shape) {

    case PROV_OPENAPI_LIST:

        if (json_is_array(at->json)) {
            return prov_openapi_walk_list(load, member, at);
        }

        break;

    case PROV_OPENAPI_MAP:

        if (json_is_object(at->json)) {
            return prov_openapi_walk_map(load, member, at);
        }

        break;

    default: /* PROV_OPENAPI_ONE */

        if (member->required && json_is_string(at->json)
            && json_string_length(at->json) == 0)
        {
            return prov_openapi_fail(load, &at->pointer,
                                     "this must not be empty: write %s",
                                     member->required);
        }

        return prov_openapi_walk(load, member->kind, at);
    }

    /* the schema compiler says it better */

    if (parent == PROV_OPENAPI_K_SCHEMA) {
        return NGX_OK;
    }

    return prov_openapi_fail(load, &at->pointer, "this must be %s",
                             member->shape == PROV_OPENAPI_LIST
                             ? "an array: write [...]"
                             : "an object: write {...}");
}


static ngx_int_t
prov_openapi_walk_list(prov_openapi_load_t *load,
    prov_openapi_member_t *member, prov_openapi_at_t *at)
{
    size_t             i;
    prov_openapi_at_t  child;

    for (i = 0; i < json_array_size(at->json); i++) {

        if (prov_openapi_element(load, at, i, &child) != NGX_OK
            || prov_openapi_walk(load, member->kind, &child) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_walk_map(prov_openapi_load_t *load,
    prov_openapi_member_t *member, prov_openapi_at_t *at)
{
    json_t             *value;
    const char         *key;
    prov_openapi_at_t   child;

    json_object_foreach(at->json, key, value) {

        if (prov_openapi_child(load, at, key, value, &child) != NGX_OK
            || prov_openapi_walk_name(load, member->names, key, &child)
               != NGX_OK
            || prov_openapi_walk(load, member->kind, &child) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_walk_name(prov_openapi_load_t *load, prov_openapi_names_e names,
    const char *key, prov_openapi_at_t *at)
{
    const char  *p;

    switch (names) {

    case PROV_OPENAPI_PATH_NAME:

        if (key[0] == '/') {
            return NGX_OK;
        }

        return prov_openapi_fail(load, &at->pointer,
                                 "a path begins with \"/\": write \"/%s\"",
                                 key);

    case PROV_OPENAPI_STATUS_NAME:

        if (strcmp(key, "default") == 0) {
            return NGX_OK;
        }

        if (key[0] >= '1' && key[0] <= '5' && strlen(key) == 3
            && ((key[1] >= '0' && key[1] <= '9'
                 && key[2] >= '0' && key[2] <= '9')
                || strcmp(key + 1, "XX") == 0))
        {
            return NGX_OK;
        }

        return prov_openapi_fail(load, &at->pointer,
                                 "\"%s\" is not a status: write one like "
                                 "\"200\" or \"4XX\", or \"default\"", key);

    case PROV_OPENAPI_MEDIA_NAME:

        p = strchr(key, '/');

        if (p && p != key && p[1] != '\0') {
            return NGX_OK;
        }

        return prov_openapi_fail(load, &at->pointer,
                                 "\"%s\" is not a media type: write one like "
                                 "\"application/json\"", key);

    case PROV_OPENAPI_COMPONENT_NAME:

        if (key[0] != '\0'
            && strspn(key, PROV_OPENAPI_NAME_CHARS) == strlen(key))
        {
            return NGX_OK;
        }

        return prov_openapi_fail(load, &at->pointer,
                                 "\"%s\" cannot name a component: use "
                                 "letters, digits, \".\", \"-\" and \"_\"",
                                 key);

    default: /* PROV_OPENAPI_ANY_NAME */
        return NGX_OK;
    }
}


static ngx_int_t
prov_openapi_walk_note(prov_openapi_load_t *load, prov_openapi_kind_e kind,
    prov_openapi_at_t *at)
{
    prov_openapi_part_t  *part;

    part = ngx_array_push(&load->parts);
    if (part == NULL) {
        return prov_openapi_no_memory(load);
    }

    part->at = *at;
    part->kind = kind;
    part->served = 0;

    return NGX_OK;
}
