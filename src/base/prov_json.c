/*
 * The strict JSON door: jansson does the parsing, prov_json_scan.c what it
 * does not do, and this file takes away what it does too much (quoting the
 * input in its messages).
 */

#include "base/prov_json_memory.h"
#include "base/prov_json_scan.h"


static json_t *prov_json_load(u_char *data, size_t len,
    prov_json_error_t *err);
static void prov_json_explain(json_error_t *je, prov_json_error_t *err);
static void prov_json_release(void *data);
static ngx_str_t prov_json_dump(ngx_pool_t *pool, json_t *json,
    size_t flags);


json_t *
prov_json_parse(u_char *data, size_t len, ngx_uint_t depth,
    prov_json_error_t *err)
{
    ngx_uint_t  large;

    if (prov_json_scan(data, len, depth, PROV_JSON_DIGITS, &large, err)
        != NGX_OK)
    {
        return NULL;
    }

    return prov_json_load(data, len, err);
}


json_t *
prov_json_parse_written(u_char *data, size_t len, ngx_uint_t depth,
    prov_json_error_t *err)
{
    u_char      *text;
    json_t      *json;
    ngx_uint_t   large;

    if (prov_json_scan(data, len, depth, PROV_JSON_WRITTEN, &large, err)
        != NGX_OK)
    {
        return NULL;
    }

    if (large == 0) {
        return prov_json_load(data, len, err);
    }

    text = ngx_alloc(len + 2 * large, ngx_cycle->log);
    if (text == NULL) {
        return prov_json_fail(err, PROV_JSON_MEMORY, "no memory");
    }

    json = prov_json_load(text, prov_json_exponents(text, data, len), err);

    ngx_free(text);

    return json;
}


static json_t *
prov_json_load(u_char *data, size_t len, prov_json_error_t *err)
{
    json_t        *json;
    ngx_uint_t     failed;
    json_error_t   je;

    json = prov_json_memory_load(data, len,
                                 JSON_REJECT_DUPLICATES|JSON_DECODE_ANY, &je,
                                 &failed);
    if (failed) {
        return prov_json_fail(err, PROV_JSON_MEMORY, "no memory");
    }

    if (json == NULL) {
        prov_json_explain(&je, err);
        return NULL;
    }

    return json;
}


static void
prov_json_explain(json_error_t *je, prov_json_error_t *err)
{
    char  *near;

    /* jansson says -1 where it cannot tell */
    err->line = (je->line > 0) ? (ngx_uint_t) je->line : 1;
    err->column = (je->column > 0) ? (ngx_uint_t) je->column : 1;

    switch (json_error_code(je)) {

    case json_error_duplicate_key:
        prov_json_fail(err, PROV_JSON_DUPLICATE_KEY,
                       "an object names the same key twice");
        break;

    case json_error_null_character:
    case json_error_null_byte_in_key:
        prov_json_fail(err, PROV_JSON_NUL,
                       "the character \\u0000 is not allowed");
        break;

    case json_error_invalid_utf8:
        prov_json_fail(err, PROV_JSON_UTF8, "not valid UTF-8");
        break;

    case json_error_numeric_overflow:
        prov_json_fail(err, PROV_JSON_NUMBER,
                       "a number is too large: integers have 64 bits, "
                       "others the range of a double");
        break;

    case json_error_stack_overflow:
        prov_json_fail(err, PROV_JSON_DEPTH, "nested too deep");
        break;

    case json_error_out_of_memory:
        prov_json_fail(err, PROV_JSON_MEMORY, "no memory");
        break;

    case json_error_premature_end_of_input:
        prov_json_fail(err, PROV_JSON_SYNTAX,
                       "the text ends in the middle of a value");
        break;

    case json_error_end_of_input_expected:
        prov_json_fail(err, PROV_JSON_SYNTAX,
                       "something follows the end of the value");
        break;

    default:

        if (je->text[0] == '\0') {
            /* jansson has no words for an allocation that failed */
            prov_json_fail(err, PROV_JSON_MEMORY, "no memory");
            return;
        }

        /* the input itself stays out of messages and logs */
        near = strstr(je->text, " near ");
        if (near) {
            *near = '\0';
        }

        prov_json_fail(err, PROV_JSON_SYNTAX, je->text);
    }
}


json_t *
prov_json_fail(prov_json_error_t *err, prov_json_code_e code,
    const char *text)
{
    err->code = code;
    ngx_cpystrn(err->text, (u_char *) text, sizeof(err->text));

    return NULL;
}


ngx_int_t
prov_json_give(ngx_pool_t *pool, json_t *json)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        json_decref(json);
        return NGX_ERROR;
    }

    cln->handler = prov_json_release;
    cln->data = json;

    return NGX_OK;
}


static void
prov_json_release(void *data)
{
    json_decref(data);
}


ngx_str_t
prov_json_text(ngx_pool_t *pool, json_t *json)
{
    return prov_json_dump(pool, json, JSON_COMPACT|JSON_ENCODE_ANY);
}


ngx_str_t
prov_json_sorted(ngx_pool_t *pool, json_t *json)
{
    return prov_json_dump(pool, json, JSON_COMPACT|JSON_ENCODE_ANY
                                      |JSON_SORT_KEYS);
}


static ngx_str_t
prov_json_dump(ngx_pool_t *pool, json_t *json, size_t flags)
{
    size_t      len;
    ngx_str_t   text;

    ngx_str_null(&text);

    /* once to measure, once to write: no buffer that grows by doubling */

    len = json_dumpb(json, NULL, 0, flags);
    if (len == 0) {
        return text;
    }

    text.data = ngx_pnalloc(pool, len + 1);
    if (text.data == NULL) {
        return text;
    }

    text.len = json_dumpb(json, (char *) text.data, len, flags);
    if (text.len != len) {
        ngx_str_null(&text);
        return text;
    }

    text.data[len] = '\0';

    return text;
}
