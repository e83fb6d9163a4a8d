/*
 * Builds the values of "enum" and "const": copies that outlive the document,
 * a hash table over them, and the words that name them.  Called by
 * prov_schema_build_scalar() only.
 */

#include "schema/prov_schema_compiler.h"


/* bytes of the values' text before the rest is only counted */
#define PROV_SCHEMA_VALUES_TEXT  300


static ngx_int_t prov_schema_build_slots(prov_schema_compiler_t *compiler,
    prov_schema_values_t *values);
static ngx_int_t prov_schema_values_text(prov_schema_compiler_t *compiler,
    prov_schema_values_t *values);


prov_schema_values_t *
prov_schema_build_values(prov_schema_compiler_t *compiler, json_t *json,
    ngx_uint_t is_enum)
{
    json_t                *copy;
    ngx_uint_t             i;
    prov_schema_values_t  *values;

    values = ngx_pcalloc(compiler->pool, sizeof(prov_schema_values_t));
    if (values == NULL) {
        return NULL;
    }

    copy = json_deep_copy(json);
    if (copy == NULL) {
        return NULL;
    }

    if (prov_json_give(compiler->pool, copy) != NGX_OK) {
        return NULL;
    }

    values->n = is_enum ? json_array_size(copy) : 1;

    values->values = ngx_palloc(compiler->pool, values->n * sizeof(json_t *));
    if (values->values == NULL) {
        return NULL;
    }

    for (i = 0; i < values->n; i++) {
        values->values[i] = is_enum ? json_array_get(copy, i) : copy;
    }

    if (prov_schema_build_slots(compiler, values) != NGX_OK
        || prov_schema_values_text(compiler, values) != NGX_OK)
    {
        return NULL;
    }

    return values;
}


static ngx_int_t
prov_schema_build_slots(prov_schema_compiler_t *compiler,
    prov_schema_values_t *values)
{
    size_t      visited;
    uint32_t    slot, n;
    ngx_uint_t  i;

    for (n = 4; n < values->n * 2; n *= 2) { /* void */ }

    values->mask = n - 1;
    values->slots = ngx_pcalloc(compiler->pool, n * sizeof(uint32_t));
    values->hashes = ngx_palloc(compiler->pool,
                                values->n * sizeof(uint64_t));

    if (values->slots == NULL || values->hashes == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < values->n; i++) {

        visited = 0;
        values->hashes[i] = prov_schema_value_hash(compiler->shared,
                                                   values->values[i],
                                                   &visited);

        for (slot = values->hashes[i] & values->mask;
             values->slots[slot];
             slot = (slot + 1) & values->mask)
        {
            /* void */
        }

        values->slots[slot] = (uint32_t) i + 1;
    }

    return NGX_OK;
}


static ngx_int_t
prov_schema_values_text(prov_schema_compiler_t *compiler,
    prov_schema_values_t *values)
{
    u_char      *p, *last;
    size_t       len;
    ngx_str_t    text;
    ngx_uint_t   i;

    /* room for the note about the rest, too */

    p = ngx_pnalloc(compiler->pool, PROV_SCHEMA_VALUES_TEXT + 64);
    if (p == NULL) {
        return NGX_ERROR;
    }

    values->text.data = p;
    last = p + PROV_SCHEMA_VALUES_TEXT;

    for (i = 0; i < values->n; i++) {

        text = prov_json_text(compiler->temp, values->values[i]);
        if (text.data == NULL) {
            return NGX_ERROR;
        }

        len = text.len + (i ? 2 : 0);

        if (len > (size_t) (last - p)) {

            if (i == 0) {
                len = prov_schema_cut(text.data, text.len,
                                      PROV_SCHEMA_VALUES_TEXT - 3);
                p = ngx_sprintf(p, "%*s…", len, text.data);
                i++;
            }

            if (i < values->n) {
                p = ngx_sprintf(p, " and %ui more", values->n - i);
            }

            break;
        }

        p = ngx_sprintf(p, "%s%V", i ? ", " : "", &text);
    }

    values->text.len = p - values->text.data;

    return NGX_OK;
}
