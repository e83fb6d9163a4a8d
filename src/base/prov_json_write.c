/*
 * The one writer of JSON strings: what callers send in headers and claims
 * passes through it on its way into SQL, so it never trusts its input.
 */

#include "base/prov_json_write.h"


#define PROV_JSON_ONES   0x0101010101010101ull
#define PROV_JSON_HIGH   0x8080808080808080ull

/* non-zero where a byte of x is less than n, which is at most 128, or is not
   less than 128 */
#define prov_json_less(x, n)                                                  \
    ((((x) - PROV_JSON_ONES * (n)) | (x)) & PROV_JSON_HIGH)

/* non-zero where a byte of x is n, or is not less than 128 */
#define prov_json_is(x, n)   prov_json_less((x) ^ (PROV_JSON_ONES * (n)), 1)

/* none of its bytes needs a second look */
#define prov_json_plain(x)                                                    \
    (!(prov_json_less(x, 0x20) | prov_json_is(x, '"') | prov_json_is(x, '\\')))


u_char *
prov_json_quote(u_char *dst, ngx_str_t *text)
{
    u_char    *p, *last;
    size_t     n, rest;
    uint64_t   word;

    p = text->data;
    last = p + text->len;

    *dst++ = '"';

    while (p < last) {

        /* eight bytes at once, of which none is any of what follows */

        if (last - p >= (ssize_t) sizeof(word)) {
            ngx_memcpy(&word, p, sizeof(word));

            if (prov_json_plain(word)) {
                dst = ngx_cpymem(dst, &word, sizeof(word));
                p += sizeof(word);
                continue;
            }

        } else if (text->len >= sizeof(word)) {

            /* the last eight: what was before them is written once more */

            rest = last - p;
            ngx_memcpy(&word, last - sizeof(word), sizeof(word));

            if (prov_json_plain(word)) {
                ngx_memcpy(dst + rest - sizeof(word), &word, sizeof(word));
                dst += rest;
                break;
            }
        }

        if (*p >= 0x80 || *p == '\0') {
            n = prov_json_utf8(p, last);

            if (n == 0) {
                dst = ngx_cpymem(dst, "\xef\xbf\xbd", 3);
                p++;

            } else {
                dst = ngx_cpymem(dst, p, n);
                p += n;
            }

            continue;
        }

        if (*p == '"' || *p == '\\') {
            *dst++ = '\\';
            *dst++ = *p++;
            continue;
        }

        if (*p < 0x20) {
            dst = ngx_sprintf(dst, "\\u%04xi", (ngx_uint_t) *p++);
            continue;
        }

        *dst++ = *p++;
    }

    *dst++ = '"';

    return dst;
}


size_t
prov_json_utf8(u_char *p, u_char *last)
{
    size_t      i, n;
    uint32_t    c, min;

    if (*p < 0xc2 || *p > 0xf4) {
        return 0;
    }

    if (*p < 0xe0) {
        n = 2;
        c = *p & 0x1f;
        min = 0x80;

    } else if (*p < 0xf0) {
        n = 3;
        c = *p & 0x0f;
        min = 0x800;

    } else {
        n = 4;
        c = *p & 0x07;
        min = 0x10000;
    }

    if ((size_t) (last - p) < n) {
        return 0;
    }

    for (i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }

        c = (c << 6) | (p[i] & 0x3f);
    }

    if (c < min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return 0;
    }

    return n;
}
