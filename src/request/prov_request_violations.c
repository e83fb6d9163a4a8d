/*
 * The member "errors" of a problem: one object for each thing that is wrong,
 * {"pointer" or "parameter" and "in", "code", "message"}.  Bounded, so that a
 * hostile body cannot make a large response.
 */

#include "request/prov_request.h"
#include "base/prov_json_write.h"


/* of one name, pointer or message */
#define PROV_VIOLATION_TEXT  512


static ngx_int_t prov_violations_add(ngx_pool_t *pool,
    prov_violations_t *list, const char *where, ngx_str_t *place,
    const char *in, ngx_str_t *code, ngx_str_t *message);
static void prov_violations_cut(ngx_str_t *text, ngx_str_t *cut);
static ngx_int_t prov_violations_room(ngx_pool_t *pool,
    prov_violations_t *list, size_t len);


ngx_int_t
prov_violations_body(ngx_pool_t *pool, prov_violations_t *list,
    prov_schema_report_t *report)
{
    ngx_uint_t                i;
    prov_schema_violation_t  *v;

    v = report->violations.elts;

    for (i = 0; i < report->violations.nelts; i++) {
        if (prov_violations_add(pool, list, "pointer", &v[i].pointer, NULL,
                                &v[i].code, &v[i].message)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
prov_violations_parameter(ngx_pool_t *pool, prov_violations_t *list,
    prov_openapi_in_e in, ngx_str_t *name, ngx_str_t *code,
    ngx_str_t *message)
{
    static const char  *places[] = { "path", "query", "header" };

    return prov_violations_add(pool, list, "parameter", name, places[in],
                               code, message);
}


static ngx_int_t
prov_violations_add(ngx_pool_t *pool, prov_violations_t *list,
    const char *where, ngx_str_t *place, const char *in, ngx_str_t *code,
    ngx_str_t *message)
{
    u_char     *p;
    ngx_str_t   at, text;

    if (list->n >= PROV_REQUEST_VIOLATIONS) {
        return NGX_OK;
    }

    prov_violations_cut(place, &at);
    prov_violations_cut(message, &text);

    if (prov_violations_room(pool, list,
                             sizeof(",{\"parameter\":,\"in\":\"header\","
                                    "\"code\":,\"message\":}")
                             + prov_json_quoted(at.len)
                             + prov_json_quoted(code->len)
                             + prov_json_quoted(text.len))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = list->items.data + list->items.len;

    p = ngx_sprintf(p, "%s{\"%s\":", list->n ? "," : "", where);
    p = prov_json_quote(p, &at);

    if (in) {
        p = ngx_sprintf(p, ",\"in\":\"%s\"", in);
    }

    p = ngx_cpymem(p, ",\"code\":", 8);
    p = prov_json_quote(p, code);
    p = ngx_cpymem(p, ",\"message\":", 11);
    p = prov_json_quote(p, &text);
    *p++ = '}';

    list->items.len = p - list->items.data;
    list->n++;

    return NGX_OK;
}


/* not in the middle of a character */

static void
prov_violations_cut(ngx_str_t *text, ngx_str_t *cut)
{
    *cut = *text;

    if (cut->len > PROV_VIOLATION_TEXT) {
        cut->len = PROV_VIOLATION_TEXT;

        while (cut->len && (cut->data[cut->len] & 0xc0) == 0x80) {
            cut->len--;
        }
    }
}


static ngx_int_t
prov_violations_room(ngx_pool_t *pool, prov_violations_t *list, size_t len)
{
    u_char  *data;
    size_t   size;

    if (list->size - list->items.len >= len) {
        return NGX_OK;
    }

    size = ngx_max(list->size * 2, list->items.len + len);

    data = ngx_pnalloc(pool, size);
    if (data == NULL) {
        return NGX_ERROR;
    }

    if (list->items.len) {
        ngx_memcpy(data, list->items.data, list->items.len);
    }

    list->items.data = data;
    list->size = size;

    return NGX_OK;
}


ngx_int_t
prov_violations_array(ngx_pool_t *pool, prov_violations_t *list,
    ngx_str_t *array)
{
    array->data = ngx_pnalloc(pool, list->items.len + 2);
    if (array->data == NULL) {
        return NGX_ERROR;
    }

    array->len = ngx_sprintf(array->data, "[%V]", &list->items)
                 - array->data;

    return NGX_OK;
}
