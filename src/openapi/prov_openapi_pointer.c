/*
 * JSON pointers (RFC 6901): going down the bundled document by them, and
 * turning one back into the file and pointer of the author when something is
 * wrong there.  Called by all files of the loader; never reads a file.
 */

#include "openapi/prov_openapi_load.h"


#define PROV_OPENAPI_MAX_MESSAGE  2048


static prov_openapi_moved_t *prov_openapi_origin(prov_openapi_load_t *load,
    ngx_str_t *pointer);
static u_char *prov_openapi_token(u_char *p, u_char *last, u_char *dst);
static json_t *prov_openapi_step(json_t *json, u_char *token);


/*
 * Fills in the fault for a place of the bundled document.  What the walk
 * moved in from another file is reported where it was written.
 */

ngx_int_t
prov_openapi_fail(prov_openapi_load_t *load, ngx_str_t *pointer,
    const char *fmt, ...)
{
    u_char                *p, buf[PROV_OPENAPI_MAX_MESSAGE];
    va_list                args;
    ngx_str_t              message, file, rest;
    prov_fault_t          *fault;
    prov_openapi_file_t   *files;
    prov_openapi_moved_t  *moved;

    va_start(args, fmt);
    p = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args);
    va_end(args);

    message.data = buf;
    message.len = p - buf;

    file = load->api->file;
    rest = *pointer;

    moved = prov_openapi_origin(load, &rest);
    if (moved) {
        files = load->files.elts;
        file = files[moved->file].name;
    }

    fault = load->fault;
    ngx_memzero(fault, sizeof(prov_fault_t));

    fault->pointer.len = (moved ? moved->origin.len : 0) + rest.len;
    fault->pointer.data = ngx_pnalloc(load->pool, fault->pointer.len + 1);

    if (fault->pointer.data == NULL
        || prov_openapi_copy(load->pool, &fault->message, &message) != NGX_OK
        || prov_openapi_copy(load->pool, &fault->file, &file) != NGX_OK)
    {
        return prov_openapi_no_memory(load);
    }

    p = fault->pointer.data;

    if (moved) {
        p = ngx_cpymem(p, moved->origin.data, moved->origin.len);
    }

    p = ngx_cpymem(p, rest.data, rest.len);
    *p = '\0';

    return NGX_ERROR;
}


/* The piece of another file that a pointer is in, and what is left of it. */

static prov_openapi_moved_t *
prov_openapi_origin(prov_openapi_load_t *load, ngx_str_t *pointer)
{
    size_t                 len;
    ngx_uint_t             i;
    prov_openapi_moved_t  *moved;

    moved = load->moved.elts;

    for (i = 0; i < load->moved.nelts; i++) {

        len = moved[i].pointer.len;

        if (pointer->len < len
            || ngx_memcmp(pointer->data, moved[i].pointer.data, len) != 0
            || (pointer->len > len && pointer->data[len] != '/'))
        {
            continue;
        }

        pointer->len -= len;
        pointer->data += len;

        return &moved[i];
    }

    return NULL;
}


/* A file that is no JSON has lines instead of pointers. */

ngx_int_t
prov_openapi_fail_text(prov_openapi_load_t *load, ngx_str_t *file,
    prov_json_error_t *err)
{
    u_char        *p, buf[sizeof(err->text) + 64];
    ngx_str_t      message;
    prov_fault_t  *fault;

    p = ngx_slprintf(buf, buf + sizeof(buf), "this is not JSON: %s",
                     err->text);

    message.data = buf;
    message.len = p - buf;

    fault = load->fault;
    ngx_memzero(fault, sizeof(prov_fault_t));

    if (prov_openapi_copy(load->pool, &fault->message, &message) != NGX_OK
        || prov_openapi_copy(load->pool, &fault->file, file) != NGX_OK)
    {
        return prov_openapi_no_memory(load);
    }

    fault->line = err->line;
    fault->column = err->column;

    return NGX_ERROR;
}


ngx_int_t
prov_openapi_no_memory(prov_openapi_load_t *load)
{
    ngx_memzero(load->fault, sizeof(prov_fault_t));

    load->fault->file = load->api->file;
    ngx_str_set(&load->fault->message,
                "there is no memory left to read the document");

    return NGX_ERROR;
}


/* One step down, to a member or element that the caller already holds. */

ngx_int_t
prov_openapi_child(prov_openapi_load_t *load, prov_openapi_at_t *at,
    const char *key, json_t *json, prov_openapi_at_t *child)
{
    u_char      *p;
    size_t       len;
    const char  *k;

    len = at->pointer.len + 1;

    for (k = key; *k; k++) {
        len += (*k == '~' || *k == '/') ? 2 : 1;
    }

    p = ngx_pnalloc(load->temp, len + 1);
    if (p == NULL) {
        return prov_openapi_no_memory(load);
    }

    child->json = json;
    child->pointer.len = len;
    child->pointer.data = p;

    if (at->pointer.len) {
        p = ngx_cpymem(p, at->pointer.data, at->pointer.len);
    }

    *p++ = '/';

    for (k = key; *k; k++) {

        if (*k == '~' || *k == '/') {
            *p++ = '~';
            *p++ = (*k == '~') ? '0' : '1';
            continue;
        }

        *p++ = *k;
    }

    *p = '\0';

    return NGX_OK;
}


ngx_int_t
prov_openapi_member(prov_openapi_load_t *load, prov_openapi_at_t *at,
    const char *key, prov_openapi_at_t *child)
{
    json_t  *json;

    json = json_object_get(at->json, key);
    if (json == NULL) {
        return NGX_DECLINED;
    }

    return prov_openapi_child(load, at, key, json, child);
}


ngx_int_t
prov_openapi_element(prov_openapi_load_t *load, prov_openapi_at_t *at,
    size_t index, prov_openapi_at_t *child)
{
    json_t  *json;
    u_char   key[NGX_INT_T_LEN + 1];

    json = json_array_get(at->json, index);
    if (json == NULL) {
        return NGX_DECLINED;
    }

    ngx_sprintf(key, "%uz%Z", index);

    return prov_openapi_child(load, at, (char *) key, json, child);
}


/* Goes down from json; NGX_DECLINED when the pointer leads nowhere. */

ngx_int_t
prov_openapi_find(prov_openapi_load_t *load, json_t *json,
    ngx_str_t *pointer, prov_openapi_at_t *found)
{
    u_char  *p, *last, *token;

    token = ngx_pnalloc(load->temp, pointer->len + 1);
    if (token == NULL) {
        return prov_openapi_no_memory(load);
    }

    p = pointer->data;
    last = p + pointer->len;

    while (p < last) {

        if (*p++ != '/') {
            return NGX_DECLINED;
        }

        p = prov_openapi_token(p, last, token);
        if (p == NULL) {
            return NGX_DECLINED;
        }

        json = prov_openapi_step(json, token);
        if (json == NULL) {
            return NGX_DECLINED;
        }
    }

    found->json = json;
    found->pointer = *pointer;

    return NGX_OK;
}


static u_char *
prov_openapi_token(u_char *p, u_char *last, u_char *dst)
{
    for ( /* void */ ; p < last && *p != '/'; p++) {

        if (*p != '~') {
            *dst++ = *p;
            continue;
        }

        p++;

        if (p == last || (*p != '0' && *p != '1')) {
            return NULL;
        }

        *dst++ = (*p == '0') ? '~' : '/';
    }

    *dst = '\0';

    return p;
}


static json_t *
prov_openapi_step(json_t *json, u_char *token)
{
    ngx_int_t  index;

    if (json_is_object(json)) {
        return json_object_get(json, (char *) token);
    }

    if (!json_is_array(json) || (token[0] == '0' && token[1] != '\0')) {
        return NULL;
    }

    index = ngx_atoi(token, ngx_strlen(token));

    return (index == NGX_ERROR) ? NULL : json_array_get(json, index);
}


/* Borrowed from json; empty when it is not a string. */

ngx_str_t
prov_openapi_string(json_t *json)
{
    ngx_str_t  text;

    ngx_str_null(&text);

    if (json_is_string(json)) {
        text.data = (u_char *) json_string_value(json);
        text.len = json_string_length(json);
    }

    return text;
}


/* NUL-terminated beyond .len; src and dst may be the same. */

ngx_int_t
prov_openapi_copy(ngx_pool_t *pool, ngx_str_t *dst, ngx_str_t *src)
{
    u_char  *p;

    p = ngx_pnalloc(pool, src->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (src->len) {
        ngx_memcpy(p, src->data, src->len);
    }

    p[src->len] = '\0';

    dst->len = src->len;
    dst->data = p;

    return NGX_OK;
}


/* What is a name for SQL too, without quoting: snake_case. */

ngx_uint_t
prov_openapi_identifier(ngx_str_t *name)
{
    u_char      *p, *last;
    ngx_uint_t   first;

    last = name->data + name->len;
    first = 1;

    for (p = name->data; p < last; p++) {

        if (*p == '_' && !first) {
            first = 1;
            continue;
        }

        if ((*p < 'a' || *p > 'z')
            && (p == name->data || *p < '0' || *p > '9'))
        {
            return 0;
        }

        first = 0;
    }

    return !first && name->len <= PROV_OPENAPI_MAX_NAME;
}
