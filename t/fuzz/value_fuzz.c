/*
 * Fuzz target for the values of paths, query strings and headers: the first
 * byte says which types the schema has, the rest is the text.  What comes out
 * is held against what went in.
 *
 *     clang -fsanitize=fuzzer,address,undefined … && ./fuzz corpus/value
 */

#include "request/prov_request_value.h"
#include "ngx_shim.h"

#include <math.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static const ngx_uint_t  types[] = {
    PROV_SCHEMA_STRING,
    PROV_SCHEMA_INTEGER,
    PROV_SCHEMA_NUMBER,
    PROV_SCHEMA_BOOLEAN,
    PROV_SCHEMA_INTEGER|PROV_SCHEMA_NUMBER|PROV_SCHEMA_BOOLEAN,
    PROV_SCHEMA_INTEGER|PROV_SCHEMA_STRING,
    PROV_SCHEMA_ARRAY,
    0
};


static void
must(int true)
{
    if (!true) {
        abort();
    }
}


static int
is_text(ngx_str_t *text, const char *value, size_t len)
{
    return text->len == len && memcmp(text->data, value, len) == 0;
}


static void
inspect(ngx_uint_t mask, ngx_str_t *text, json_t *value)
{
    char  *end, copy[64];

    switch (json_typeof(value)) {

    case JSON_STRING:
        must(is_text(text, json_string_value(value),
                     json_string_length(value)));
        return;

    case JSON_TRUE:
        must((mask & PROV_SCHEMA_BOOLEAN) && is_text(text, "true", 4));
        return;

    case JSON_FALSE:
        must((mask & PROV_SCHEMA_BOOLEAN) && is_text(text, "false", 5));
        return;

    default:
        break;
    }

    must(text->len < sizeof(copy) && (mask & PROV_SCHEMA_STRING) == 0);
    memcpy(copy, text->data, text->len);
    copy[text->len] = '\0';

    if (json_is_integer(value)) {
        must((mask & (PROV_SCHEMA_INTEGER|PROV_SCHEMA_NUMBER))
             && json_integer_value(value) == strtoll(copy, &end, 10)
             && *end == '\0' && strpbrk(copy, " +") == NULL);
        return;
    }

    /* no blank around it, no hexadecimal digits, no "inf" */

    must(json_is_real(value) && (mask & PROV_SCHEMA_NUMBER)
         && isfinite(json_real_value(value))
         && json_real_value(value) == strtod(copy, &end)
         && *end == '\0' && strspn(copy, "0123456789.eE+-") == text->len);
}


/* every byte escaped, it is decoded to the same */

static void
again(ngx_pool_t *pool, ngx_str_t *text)
{
    size_t      i;
    u_char     *escaped;
    ngx_str_t   same;

    escaped = ngx_pnalloc(pool, 3 * text->len + 1);

    for (i = 0; i < text->len; i++) {
        (void) sprintf((char *) escaped + 3 * i, (i & 1) ? "%%%02x" : "%%%02X",
                       text->data[i]);
    }

    must(prov_value_decode(pool, escaped, escaped + 3 * text->len, &same)
         == NGX_OK);
    must(is_text(text, (char *) same.data, same.len));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char      *copy;
    json_t      *value;
    ngx_str_t    raw, text;
    ngx_uint_t   mask;
    ngx_pool_t  *pool;

    if (size == 0) {
        return 0;
    }

    mask = types[data[0] % (sizeof(types) / sizeof(types[0]))];
    pool = ngx_create_pool(4096, ngx_shim_log());

    /* no byte more than there is, so that the sanitizer sees the end */

    raw.len = size - 1;
    raw.data = copy = malloc(size);
    memcpy(copy, data + 1, raw.len);

    /* as a header has it */

    value = prov_value_read(mask, &raw);

    if (value) {
        inspect(mask, &raw, value);
        must(prov_value_utf8(&raw) || !json_is_string(value));

    } else {
        must(!prov_value_utf8(&raw));
    }

    json_decref(value);

    /* as a query string has it */

    if (prov_value_decode(pool, copy, copy + raw.len, &text) == NGX_OK) {

        must(text.len <= raw.len && prov_value_utf8(&text)
             && memchr(text.data, '\0', text.len) == NULL);
        again(pool, &text);

        value = prov_value_read(mask, &text);
        must(value != NULL);
        inspect(mask, &text, value);
        json_decref(value);
    }

    ngx_destroy_pool(pool);
    free(copy);

    return 0;
}
