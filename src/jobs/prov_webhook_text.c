/*
 * What a receiver has answered, made fit to be kept and shown: it is a
 * stranger's, and may be anything.  It may also be what was sent to it, so the
 * headers that a partner has given, which nobody is to see again, are masked
 * wherever they stand.
 */

#include "jobs/prov_webhook.h"


static ngx_str_t  prov_webhook_mask = ngx_string("[redacted]");
static ngx_str_t  prov_webhook_wrong = ngx_string("\xef\xbf\xbd");  /* U+FFFD */


static size_t prov_webhook_secret(u_char *p, u_char *last, ngx_str_t *values,
    ngx_uint_t nvalues);
static size_t prov_webhook_character(u_char *p, u_char *last);


ngx_str_t
prov_webhook_text(ngx_pool_t *pool, ngx_str_t *bytes, size_t max,
    ngx_str_t *values, ngx_uint_t nvalues)
{
    u_char     *p, *last, *dst;
    size_t      n;
    ngx_str_t   text, piece;

    text.len = 0;
    text.data = ngx_pnalloc(pool, max + 1);
    if (text.data == NULL) {
        return text;
    }

    dst = text.data;
    p = bytes->data;
    last = p + bytes->len;

    while (p < last) {

        n = prov_webhook_secret(p, last, values, nvalues);

        if (n) {
            piece = prov_webhook_mask;

        } else {
            n = prov_webhook_character(p, last);
            piece.data = p;
            piece.len = n;

            if (n == 0) {
                n = 1;
                piece = prov_webhook_wrong;
            }
        }

        if ((size_t) (dst - text.data) + piece.len > max) {
            break;
        }

        dst = ngx_cpymem(dst, piece.data, piece.len);
        p += n;
    }

    text.len = dst - text.data;
    *dst = '\0';

    return text;
}


/*
 * The length of a secret that stands here; of the longest, should one be the
 * beginning of another.  One that is cut off by the end is one, too.
 */

static size_t
prov_webhook_secret(u_char *p, u_char *last, ngx_str_t *values,
    ngx_uint_t nvalues)
{
    size_t      n, longest;
    ngx_uint_t  i;

    longest = 0;

    for (i = 0; i < nvalues; i++) {

        if (values[i].len < PROV_WEBHOOK_GUARDED || *p != *values[i].data) {
            continue;
        }

        n = ngx_min(values[i].len, (size_t) (last - p));

        if (n >= PROV_WEBHOOK_GUARDED && n > longest
            && ngx_memcmp(p, values[i].data, n) == 0)
        {
            longest = n;
        }
    }

    return longest;
}


/*
 * The length of a character that may stay; 0: this byte is none.  nginx's own
 * decoder takes more than UTF-8 has (RFC 3629, section 4).
 */

static size_t
prov_webhook_character(u_char *p, u_char *last)
{
    size_t  i, n;
    u_char  low, high;

    if (*p < 0x80) {
        return *p == '\t' || *p == '\n' || *p == '\r'
               || (*p >= 0x20 && *p != 0x7f);
    }

    if (*p < 0xc2 || *p > 0xf4) {
        return 0;
    }

    n = (*p < 0xe0) ? 2 : (*p < 0xf0) ? 3 : 4;

    /* of the second byte: no overlong forms, no surrogates, nothing beyond
       U+10FFFF, no control characters of U+0080 to U+009F */

    low = (*p == 0xe0 || *p == 0xc2) ? 0xa0 : (*p == 0xf0) ? 0x90 : 0x80;
    high = (*p == 0xed) ? 0x9f : (*p == 0xf4) ? 0x8f : 0xbf;

    if ((size_t) (last - p) < n || p[1] < low || p[1] > high) {
        return 0;
    }

    for (i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return n;
}
