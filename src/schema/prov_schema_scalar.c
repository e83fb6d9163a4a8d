/*
 * Checks of one value that has no parts: "enum", "const", numbers, strings.
 * Called by prov_schema_check() once the value's type is known to be right.
 */

#include "schema/prov_schema_node.h"


static ngx_uint_t prov_schema_values_have(prov_schema_run_t *run,
    prov_schema_values_t *values, json_t *value, size_t *visited);
static ngx_int_t prov_schema_check_bound(prov_schema_run_t *run,
    prov_schema_path_t *path, const char *code, const char *what,
    prov_schema_number_t *bound);
static ngx_int_t prov_schema_check_length(prov_schema_run_t *run,
    prov_schema_text_t *text, ngx_str_t *value, prov_schema_path_t *path);
static size_t prov_schema_characters(u_char *text, size_t len);
static ngx_int_t prov_schema_check_pattern(prov_schema_run_t *run,
    prov_schema_text_t *text, ngx_str_t *value, prov_schema_path_t *path);


ngx_int_t
prov_schema_check_values(prov_schema_run_t *run, prov_schema_t *schema,
    json_t *value, prov_schema_path_t *path)
{
    size_t      visited;
    ngx_int_t   rc;
    ngx_uint_t  found;

    visited = 0;

    if (schema->constant) {
        found = prov_schema_values_have(run, schema->constant, value,
                                        &visited);

        if (!found) {
            return prov_schema_violate(run, path, "const", "must be %V",
                                       &schema->constant->text);
        }
    }

    if (schema->values) {
        found = prov_schema_values_have(run, schema->values, value, &visited);

        if (!found) {
            return prov_schema_violate(run, path, "enum",
                                       (schema->values->n > 1)
                                       ? "must be one of %V" : "must be %V",
                                       &schema->values->text);
        }
    }

    rc = NGX_OK;

    if (visited > 1) {
        rc = prov_schema_charge(run, visited, path);
    }

    return rc;
}


static ngx_uint_t
prov_schema_values_have(prov_schema_run_t *run, prov_schema_values_t *values,
    json_t *value, size_t *visited)
{
    uint64_t    hash;
    uint32_t    slot;
    ngx_uint_t  i;

    if (values->n == 1) {
        return prov_schema_value_equal(values->values[0], value);
    }

    hash = prov_schema_value_hash(run->shared, value, visited);

    for (slot = hash & values->mask;
         values->slots[slot];
         slot = (slot + 1) & values->mask)
    {
        i = values->slots[slot] - 1;

        if (values->hashes[i] == hash
            && prov_schema_value_equal(values->values[i], value))
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
prov_schema_check_number(prov_schema_run_t *run, prov_schema_t *schema,
    json_t *value, prov_schema_path_t *path)
{
    ngx_int_t               rc;
    prov_schema_number_t    number;
    prov_schema_numeric_t  *n;

    rc = NGX_OK;
    prov_schema_number(&number, value);

    if (schema->format && !prov_schema_format_number(schema->format, &number))
    {
        rc = prov_schema_violate(run, path, "format", "%s",
                                 prov_schema_format_message(schema->format));
    }

    n = schema->numeric;

    if (n == NULL) {
        return rc;
    }

    if (rc != NGX_ERROR && n->has_minimum
        && prov_schema_number_compare(&number, &n->minimum) < 0)
    {
        rc = prov_schema_check_bound(run, path, "minimum",
                                     "must be at least", &n->minimum);
    }

    if (rc != NGX_ERROR && n->has_maximum
        && prov_schema_number_compare(&number, &n->maximum) > 0)
    {
        rc = prov_schema_check_bound(run, path, "maximum",
                                     "must be at most", &n->maximum);
    }

    if (rc != NGX_ERROR && n->has_exclusive_minimum
        && prov_schema_number_compare(&number, &n->exclusive_minimum) <= 0)
    {
        rc = prov_schema_check_bound(run, path, "exclusive_minimum",
                                     "must be greater than",
                                     &n->exclusive_minimum);
    }

    if (rc != NGX_ERROR && n->has_exclusive_maximum
        && prov_schema_number_compare(&number, &n->exclusive_maximum) >= 0)
    {
        rc = prov_schema_check_bound(run, path, "exclusive_maximum",
                                     "must be less than",
                                     &n->exclusive_maximum);
    }

    if (rc != NGX_ERROR && n->has_multiple_of
        && !prov_schema_number_is_multiple(&number, &n->multiple_of))
    {
        rc = prov_schema_check_bound(run, path, "multiple_of",
                                     "must be a multiple of",
                                     &n->multiple_of);
    }

    return rc;
}


static ngx_int_t
prov_schema_check_bound(prov_schema_run_t *run, prov_schema_path_t *path,
    const char *code, const char *what, prov_schema_number_t *bound)
{
    u_char  *p, text[PROV_SCHEMA_NUMBER_LEN];

    p = text;

    if (prov_schema_reporting(run)) {
        p = prov_schema_number_text(text, bound);
    }

    return prov_schema_violate(run, path, code, "%s %*s", what,
                               (size_t) (p - text), text);
}


/* text is a value, or, under "propertyNames", a key */

ngx_int_t
prov_schema_check_string(prov_schema_run_t *run, prov_schema_t *schema,
    ngx_str_t *text, prov_schema_path_t *path)
{
    ngx_int_t            rc;
    prov_schema_text_t  *t;

    rc = prov_schema_charge(run, text->len / 256, path);
    if (rc != NGX_OK) {
        return rc;
    }

    t = schema->text;

    if (t) {
        rc = prov_schema_check_length(run, t, text, path);
        if (rc == NGX_ERROR) {
            return rc;
        }

        /* an overlong string is not worth a pattern's work */

        if (t->pattern && rc == NGX_OK) {
            rc = prov_schema_check_pattern(run, t, text, path);
            if (rc == NGX_ERROR || rc == NGX_ABORT) {
                return rc;
            }
        }
    }

    if (schema->format
        && !prov_schema_format_text(schema->format, text->data, text->len))
    {
        /* "" under minLength 1 and an address's format is wrong only once */

        if (rc == NGX_OK || text->len) {
            rc = prov_schema_violate(run, path, "format", "%s",
                                  prov_schema_format_message(schema->format));
        }
    }

    return rc;
}


static ngx_int_t
prov_schema_check_length(prov_schema_run_t *run, prov_schema_text_t *text,
    ngx_str_t *value, prov_schema_path_t *path)
{
    size_t  n;

    /* a character has one to four bytes: most values need no counting */

    if (value->len <= text->max && value->len / 4 >= text->min) {
        return NGX_OK;
    }

    n = prov_schema_characters(value->data, value->len);

    if (n < text->min) {
        return prov_schema_violate(run, path, "min_length",
                                   "must be at least %uz character%s long",
                                   text->min, (text->min == 1) ? "" : "s");
    }

    if (n > text->max) {
        return prov_schema_violate(run, path, "max_length",
                                   "must be at most %uz character%s long",
                                   text->max, (text->max == 1) ? "" : "s");
    }

    return NGX_OK;
}


static size_t
prov_schema_characters(u_char *text, size_t len)
{
    size_t   n;
    u_char  *last;

    n = 0;

    for (last = text + len; text < last; text++) {
        n += ((*text & 0xc0) != 0x80);
    }

    return n;
}


static ngx_int_t
prov_schema_check_pattern(prov_schema_run_t *run,
    prov_schema_text_t *text, ngx_str_t *value, prov_schema_path_t *path)
{
    size_t      len;
    ngx_str_t  *source;

    switch (prov_schema_pattern_match(run, text->pattern, value->data,
                                      value->len))
    {

    case NGX_OK:
        return NGX_OK;

    case NGX_DECLINED:
        if (text->message.len) {
            return prov_schema_violate(run, path, "pattern", "%V",
                                       &text->message);
        }

        source = prov_schema_pattern_source(text->pattern);
        len = prov_schema_cut(source->data, source->len, 200);

        return prov_schema_violate(run, path, "pattern",
                                   "must match the pattern \"%*s%s\"",
                                   len, source->data,
                                   (len < source->len) ? "…" : "");

    case NGX_BUSY:

        /* unknown must not become true under "not", nor false under "if" */

        if (run->quiet) {
            return prov_schema_abort(run, path, "pattern_limit",
                                     "takes too much work to match with "
                                     "its pattern");
        }

        return prov_schema_violate(run, path, "pattern_limit",
                                   "takes too much work to match with its "
                                   "pattern");

    default:
        return NGX_ERROR;
    }
}
