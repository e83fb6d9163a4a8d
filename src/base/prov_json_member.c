/*
 * Where a member's value stands in the text of an object, for who replaces it
 * and leaves everything else as it was sent: what jansson writes has other
 * digits in its numbers.  The text was parsed before, so it is well-formed.
 */

#include "base/prov_json.h"


static u_char *prov_json_blank(u_char *p, u_char *last);
static u_char *prov_json_string_end(u_char *p, u_char *last);
static u_char *prov_json_value_end(u_char *p, u_char *last);
static ngx_int_t prov_json_named(u_char *p, u_char *end, ngx_str_t *name);


ngx_int_t
prov_json_member(u_char *data, size_t len, ngx_str_t *name, ngx_str_t *value)
{
    u_char     *p, *last, *key, *end;
    ngx_int_t   rc;

    last = data + len;
    p = prov_json_blank(data, last);

    if (p == last || *p != '{') {
        return NGX_DECLINED;
    }

    for (p++; /* void */ ; p++) {

        key = prov_json_blank(p, last);

        if (key == last || *key != '"') {
            return NGX_DECLINED;
        }

        end = prov_json_string_end(key, last);
        rc = prov_json_named(key, end, name);

        /* the colon is between them */

        p = prov_json_blank(end, last);
        p = prov_json_blank(p + (p < last), last);

        value->data = p;

        p = prov_json_value_end(p, last);

        if (rc != NGX_DECLINED) {
            value->len = p - value->data;
            return rc;
        }

        p = prov_json_blank(p, last);

        if (p == last || *p != ',') {
            return NGX_DECLINED;
        }
    }
}


static u_char *
prov_json_blank(u_char *p, u_char *last)
{
    while (p < last
           && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
    {
        p++;
    }

    return p;
}


/* behind the quote that ends the string which begins at p */

static u_char *
prov_json_string_end(u_char *p, u_char *last)
{
    for (p++; p < last && *p != '"'; p++) {

        if (*p == '\\' && p + 1 < last) {
            p++;
        }
    }

    return (p < last) ? p + 1 : last;
}


static u_char *
prov_json_value_end(u_char *p, u_char *last)
{
    ngx_uint_t  level;

    level = 0;

    while (p < last) {

        switch (*p) {

        case '"':
            p = prov_json_string_end(p, last);

            if (level == 0) {
                return p;
            }

            break;

        case '{':
        case '[':
            level++;
            p++;
            break;

        case '}':
        case ']':

            if (level == 0) {
                /* of the object that a number or a word is the last of */
                return p;
            }

            p++;

            if (--level == 0) {
                return p;
            }

            break;

        case ',':
        case ' ':
        case '\t':
        case '\r':
        case '\n':

            if (level == 0) {
                return p;
            }

            /* fall through */

        default:
            p++;
        }
    }

    return last;
}


/* A name may be written with escapes.  NGX_OK: it is this one. */

static ngx_int_t
prov_json_named(u_char *p, u_char *end, ngx_str_t *name)
{
    json_t             *key;
    ngx_int_t           rc;
    prov_json_error_t   err;

    if (ngx_strlchr(p, end, '\\') == NULL) {
        return ((size_t) (end - p) == name->len + 2
                && ngx_memcmp(p + 1, name->data, name->len) == 0)
               ? NGX_OK : NGX_DECLINED;
    }

    key = prov_json_parse(p, end - p, PROV_JSON_BODY_DEPTH, &err);

    if (key == NULL) {
        return NGX_ERROR;
    }

    rc = (json_string_length(key) == name->len
          && ngx_memcmp(json_string_value(key), name->data, name->len) == 0)
         ? NGX_OK : NGX_DECLINED;

    json_decref(key);

    return rc;
}
