/*
 * Builds what a schema says of values without parts: "type", "enum", "const",
 * "format", numbers and strings.  Called by prov_schema_build() only.
 */

#include "schema/prov_schema_compiler.h"


/* bytes of an x-pattern-message */
#define PROV_SCHEMA_MESSAGE  200


static ngx_int_t prov_schema_build_types(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry);
static ngx_uint_t prov_schema_type_mask(const char *name);
static ngx_int_t prov_schema_build_format(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry);
static ngx_int_t prov_schema_build_numeric(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry);
static ngx_uint_t prov_schema_build_bound(json_t *json, const char *keyword,
    prov_schema_number_t *bound);
static ngx_int_t prov_schema_build_text(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry);
static ngx_int_t prov_schema_build_message(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry, json_t *message, ngx_uint_t pattern);


ngx_int_t
prov_schema_build_scalar(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry)
{
    json_t         *value;
    prov_schema_t  *node;

    node = entry->node;

    if (prov_schema_build_types(compiler, entry) != NGX_OK
        || prov_schema_build_format(compiler, entry) != NGX_OK
        || prov_schema_build_numeric(compiler, entry) != NGX_OK
        || prov_schema_build_text(compiler, entry) != NGX_OK)
    {
        return NGX_ERROR;
    }

    value = json_object_get(entry->json, "const");

    if (value) {
        node->constant = prov_schema_build_values(compiler, value, 0);
        if (node->constant == NULL) {
            return prov_schema_no_memory(compiler);
        }
    }

    value = json_object_get(entry->json, "enum");

    if (value) {
        node->values = prov_schema_build_values(compiler, value, 1);
        if (node->values == NULL) {
            return prov_schema_no_memory(compiler);
        }
    }

    return NGX_OK;
}


static ngx_int_t
prov_schema_build_types(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry)
{
    json_t              *value, *item;
    ngx_uint_t           i, n, mask, types;
    prov_schema_path_t  *path;

    value = json_object_get(entry->json, "type");
    if (value == NULL) {
        return NGX_OK;
    }

    types = 0;
    n = json_is_array(value) ? json_array_size(value) : 1;

    for (i = 0; i < n; i++) {

        item = json_is_array(value) ? json_array_get(value, i) : value;
        mask = prov_schema_type_mask(json_string_value(item));

        if (mask == 0) {
            path = prov_schema_step(compiler, entry->path, "type", 4, 0);
            if (path == NULL) {
                return NGX_ERROR;
            }

            return prov_schema_fault(compiler, path,
                                     "names a type that there is not: write "
                                     "\"string\", \"number\", \"integer\", "
                                     "\"boolean\", \"object\", \"array\" or "
                                     "\"null\"");
        }

        types |= mask;
    }

    entry->node->types = types;

    return NGX_OK;
}


static ngx_uint_t
prov_schema_type_mask(const char *name)
{
    ngx_uint_t  i;

    static struct {
        const char  *name;
        ngx_uint_t   mask;
    } types[] = {
        { "null", PROV_SCHEMA_NULL },
        { "boolean", PROV_SCHEMA_BOOLEAN },
        { "integer", PROV_SCHEMA_INTEGER },
        { "number", PROV_SCHEMA_NUMBER|PROV_SCHEMA_INTEGER },
        { "string", PROV_SCHEMA_STRING },
        { "array", PROV_SCHEMA_ARRAY },
        { "object", PROV_SCHEMA_OBJECT },
        { NULL, 0 }
    };

    for (i = 0; types[i].name; i++) {
        if (ngx_strcmp(types[i].name, name) == 0) {
            break;
        }
    }

    return types[i].mask;
}


static ngx_int_t
prov_schema_build_format(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry)
{
    u_char              *p, known[256];
    json_t              *value;
    ngx_str_t            name;
    prov_schema_path_t  *path;

    value = json_object_get(entry->json, "format");
    if (value == NULL) {
        return NGX_OK;
    }

    name.data = (u_char *) json_string_value(value);
    name.len = json_string_length(value);

    entry->node->format = prov_schema_format_find(&name);

    if (entry->node->format) {
        return NGX_OK;
    }

    path = prov_schema_step(compiler, entry->path, "format", 6, 0);
    if (path == NULL) {
        return NGX_ERROR;
    }

    p = prov_schema_format_names(known, known + sizeof(known));

    return prov_schema_fault(compiler, path,
                             "names a format that is not known: remove it, or "
                             "write one of %*s", (size_t) (p - known), known);
}


static ngx_int_t
prov_schema_build_numeric(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry)
{
    json_t                 *json;
    prov_schema_numeric_t   n, *numeric;

    json = entry->json;
    ngx_memzero(&n, sizeof(prov_schema_numeric_t));

    n.has_minimum = prov_schema_build_bound(json, "minimum", &n.minimum);
    n.has_maximum = prov_schema_build_bound(json, "maximum", &n.maximum);
    n.has_exclusive_minimum = prov_schema_build_bound(json,
                                   "exclusiveMinimum", &n.exclusive_minimum);
    n.has_exclusive_maximum = prov_schema_build_bound(json,
                                   "exclusiveMaximum", &n.exclusive_maximum);
    n.has_multiple_of = prov_schema_build_bound(json, "multipleOf",
                                                &n.multiple_of);

    if (!n.has_minimum && !n.has_maximum && !n.has_exclusive_minimum
        && !n.has_exclusive_maximum && !n.has_multiple_of)
    {
        return NGX_OK;
    }

    numeric = ngx_palloc(compiler->pool, sizeof(prov_schema_numeric_t));
    if (numeric == NULL) {
        return prov_schema_no_memory(compiler);
    }

    *numeric = n;
    entry->node->numeric = numeric;

    return NGX_OK;
}


static ngx_uint_t
prov_schema_build_bound(json_t *json, const char *keyword,
    prov_schema_number_t *bound)
{
    json_t  *value;

    value = json_object_get(json, keyword);
    if (value == NULL) {
        return 0;
    }

    prov_schema_number(bound, value);

    return 1;
}


static ngx_int_t
prov_schema_build_text(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry)
{
    json_t              *json, *pattern, *message;
    prov_schema_text_t  *text;
    ngx_str_t            source;
    prov_schema_path_t  *path;

    json = entry->json;
    pattern = json_object_get(json, "pattern");
    message = json_object_get(json, "x-pattern-message");

    if (message && prov_schema_build_message(compiler, entry, message,
                                             pattern != NULL)
                   != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (pattern == NULL
        && json_object_get(json, "minLength") == NULL
        && json_object_get(json, "maxLength") == NULL)
    {
        return NGX_OK;
    }

    text = ngx_pcalloc(compiler->pool, sizeof(prov_schema_text_t));
    if (text == NULL) {
        return prov_schema_no_memory(compiler);
    }

    text->min = prov_schema_build_count(json, "minLength", 0);
    text->max = prov_schema_build_count(json, "maxLength",
                                        PROV_SCHEMA_UNLIMITED);

    if (pattern) {
        path = prov_schema_step(compiler, entry->path, "pattern", 7, 0);
        if (path == NULL) {
            return NGX_ERROR;
        }

        text->pattern = prov_schema_build_pattern(compiler,
                                                  json_string_value(pattern),
                                                  json_string_length(pattern),
                                                  path);
        if (text->pattern == NULL) {
            return NGX_ERROR;
        }
    }

    if (message) {
        source.data = (u_char *) json_string_value(message);
        source.len = json_string_length(message);

        text->message.len = source.len;
        text->message.data = ngx_pstrdup(compiler->pool, &source);
        if (text->message.data == NULL) {
            return prov_schema_no_memory(compiler);
        }
    }

    entry->node->text = text;

    return NGX_OK;
}


/* An extension of ours: what a caller is told in place of the pattern. */

static ngx_int_t
prov_schema_build_message(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry, json_t *message, ngx_uint_t pattern)
{
    size_t               i, len;
    const char          *text;
    prov_schema_path_t  *path;

    path = prov_schema_step(compiler, entry->path, "x-pattern-message", 17, 0);
    if (path == NULL) {
        return NGX_ERROR;
    }

    if (!pattern) {
        return prov_schema_fault(compiler, path,
                                 "says nothing without a \"pattern\" beside "
                                 "it");
    }

    text = json_string_value(message);
    len = json_string_length(message);

    for (i = 0; i < len && (u_char) text[i] >= 0x20 && text[i] != 0x7f; i++) {
        /* void */
    }

    /* it follows the name of what is wrong, as all messages do */

    if (len > PROV_SCHEMA_MESSAGE || i < len
        || ngx_strncmp(text, "must ", 5) != 0 || text[len - 1] == '.')
    {
        return prov_schema_fault(compiler, path,
                                 "must say what is right in at most %d bytes, "
                                 "begin with \"must \" and not end with a "
                                 "full stop, like \"must be of a to z\"",
                                 PROV_SCHEMA_MESSAGE);
    }

    return NGX_OK;
}


prov_schema_pattern_t *
prov_schema_build_pattern(prov_schema_compiler_t *compiler,
    const char *source, size_t len, prov_schema_path_t *path)
{
    ngx_str_t               text, err;
    prov_schema_pattern_t  *pattern;

    text.data = (u_char *) source;
    text.len = len;

    pattern = prov_schema_pattern_compile(compiler->pool, &text, &err);
    if (pattern) {
        return pattern;
    }

    if (err.data == NULL) {
        (void) prov_schema_no_memory(compiler);

    } else {
        (void) prov_schema_fault(compiler, path, "%V", &err);
    }

    return NULL;
}
