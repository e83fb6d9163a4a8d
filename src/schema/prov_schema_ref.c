/*
 * "$ref": a URI fragment with a JSON pointer, resolved in the document.
 * Called by the compiler.  Knows no other documents; they are bundled before.
 */

#include "schema/prov_schema_compiler.h"


static ngx_int_t prov_schema_unescape(prov_schema_compiler_t *compiler,
    ngx_str_t *fragment, ngx_str_t *pointer, prov_schema_path_t *path);
static ngx_int_t prov_schema_token_decode(u_char *src, size_t len,
    ngx_str_t *token);
static json_t *prov_schema_member(json_t *json, ngx_str_t *token,
    ngx_uint_t *index);


json_t *
prov_schema_resolve(prov_schema_compiler_t *compiler, ngx_str_t *reference,
    prov_schema_path_t **path)
{
    json_t              *json;
    ngx_str_t            fragment, pointer, missing, at;
    prov_schema_path_t  *here;

    here = *path;

    if (reference->len == 0 || reference->data[0] != '#') {
        (void) prov_schema_fault(compiler, here,
                                 "must point into this document: begin it "
                                 "with \"#/\"");
        return NULL;
    }

    fragment.data = reference->data + 1;
    fragment.len = reference->len - 1;

    if (prov_schema_unescape(compiler, &fragment, &pointer, here) != NGX_OK) {
        return NULL;
    }

    if (pointer.len && pointer.data[0] != '/') {
        (void) prov_schema_fault(compiler, here,
                                 "names an anchor, which is not supported: "
                                 "write a JSON pointer such as "
                                 "\"#/$defs/name\"");
        return NULL;
    }

    json = prov_schema_locate(compiler, &pointer, path, &missing);

    if (json == NULL) {

        if (compiler->fault->message.data == NULL) {

            at = prov_schema_pointer(compiler->temp, *path,
                                     PROV_SCHEMA_UNLIMITED);
            if (at.data == NULL) {
                (void) prov_schema_no_memory(compiler);
                return NULL;
            }

            (void) prov_schema_fault(compiler, here,
                                     "points to nothing: there is no \"%V\" "
                                     "in \"#%V\"", &missing, &at);
        }
    }

    return json;
}


/* percent-encoding (RFC 6901, section 6) */

static ngx_int_t
prov_schema_unescape(prov_schema_compiler_t *compiler, ngx_str_t *fragment,
    ngx_str_t *pointer, prov_schema_path_t *path)
{
    size_t     i;
    u_char    *p;
    ngx_int_t  c;

    ngx_str_null(pointer);

    p = ngx_pnalloc(compiler->temp, fragment->len + 1);
    if (p == NULL) {
        return prov_schema_no_memory(compiler);
    }

    pointer->data = p;

    for (i = 0; i < fragment->len; i++) {

        if (fragment->data[i] != '%') {
            *p++ = fragment->data[i];
            continue;
        }

        c = (fragment->len - i > 2) ? ngx_hextoi(&fragment->data[i + 1], 2)
                                    : NGX_ERROR;
        if (c == NGX_ERROR) {
            return prov_schema_fault(compiler, path,
                                     "has a \"%%\" without two hexadecimal "
                                     "digits");
        }

        *p++ = (u_char) c;
        i += 2;
    }

    pointer->len = p - pointer->data;

    return NGX_OK;
}


json_t *
prov_schema_locate(prov_schema_compiler_t *compiler, ngx_str_t *pointer,
    prov_schema_path_t **path, ngx_str_t *missing)
{
    u_char              *p, *start, *last;
    json_t              *json;
    ngx_uint_t           index;
    prov_schema_path_t  *step, *here;

    ngx_str_null(missing);

    here = *path;
    *path = NULL;
    json = compiler->document;
    last = pointer->data + pointer->len;

    if (pointer->len && pointer->data[0] != '/') {
        *missing = *pointer;
        return NULL;
    }

    for (p = pointer->data; p < last; /* void */ ) {

        start = ++p;

        while (p < last && *p != '/') {
            p++;
        }

        missing->data = ngx_pnalloc(compiler->temp, p - start + 1);
        if (missing->data == NULL) {
            (void) prov_schema_no_memory(compiler);
            return NULL;
        }

        if (prov_schema_token_decode(start, p - start, missing) != NGX_OK) {
            (void) prov_schema_fault(compiler, here,
                                     "has a \"~\" that is neither \"~0\" nor "
                                     "\"~1\"");
            return NULL;
        }

        json = prov_schema_member(json, missing, &index);
        if (json == NULL) {
            return NULL;
        }

        step = prov_schema_step(compiler, *path, (char *) missing->data,
                                missing->len, index);
        if (step == NULL) {
            return NULL;
        }

        *path = step;
    }

    return json;
}


/* token->data has room for len bytes */

static ngx_int_t
prov_schema_token_decode(u_char *src, size_t len, ngx_str_t *token)
{
    size_t   i;
    u_char  *p;

    p = token->data;

    for (i = 0; i < len; i++) {

        if (src[i] != '~') {
            *p++ = src[i];
            continue;
        }

        if (++i == len || (src[i] != '0' && src[i] != '1')) {
            return NGX_ERROR;
        }

        *p++ = (src[i] == '0') ? '~' : '/';
    }

    token->len = p - token->data;

    return NGX_OK;
}


static json_t *
prov_schema_member(json_t *json, ngx_str_t *token, ngx_uint_t *index)
{
    ngx_int_t  n;

    *index = 0;

    if (json_is_object(json)) {
        return json_object_getn(json, (char *) token->data, token->len);
    }

    if (!json_is_array(json)) {
        return NULL;
    }

    n = ngx_atoi(token->data, token->len);

    if (n == NGX_ERROR || (token->len > 1 && token->data[0] == '0')) {
        return NULL;
    }

    *index = n;

    return json_array_get(json, n);
}
