/*
 * Writing JSON strings (base/prov_json_write.h), which looks at eight bytes at
 * once where it can: for each length and each place of what needs another
 * look, the same as a writer that looks at one after the other.  Prints TAP.
 */

#include "base/prov_json_write.h"
#include "tap.h"

#include <string.h>


#define LENGTH  40


static size_t
quote_slowly(u_char *dst, u_char *p, size_t len)
{
    size_t   i;
    u_char  *start;

    start = dst;
    *dst++ = '"';

    for (i = 0; i < len; i++) {

        if (p[i] == '"' || p[i] == '\\') {
            *dst++ = '\\';
            *dst++ = p[i];

        } else if (p[i] == '\0' || p[i] >= 0x80) {
            /* no character of more than one byte is among what is tried */
            dst += sprintf((char *) dst, "\xef\xbf\xbd");

        } else if (p[i] < 0x20) {
            dst += sprintf((char *) dst, "\\u%04x", p[i]);

        } else {
            *dst++ = p[i];
        }
    }

    *dst++ = '"';

    return dst - start;
}


/* Of its own size, for a sanitizer to see what reads beyond. */

static ngx_uint_t
quote_same(u_char *p, size_t len)
{
    u_char      slow[6 * LENGTH + 2], quick[6 * LENGTH + 2 + 8];
    size_t      n;
    ngx_str_t   text;
    ngx_uint_t  same;

    text.len = len;
    text.data = malloc(len ? len : 1);
    memcpy(text.data, p, len);

    memset(quick, '#', sizeof(quick));
    n = quote_slowly(slow, p, len);

    same = (prov_json_quote(quick, &text) == quick + n
            && memcmp(quick, slow, n) == 0 && quick[n] == '#');

    free(text.data);

    return same;
}


int
main(void)
{
    u_char       text[LENGTH];
    size_t       len, i, j, k;
    ngx_uint_t   wrong;

    static u_char  special[] = { '"', '\\', '\0', '\n', 0x1f, 0x80, 0xff };

    wrong = 0;

    for (len = 0; len <= LENGTH; len++) {
        for (i = 0; i < len; i++) {
            text[i] = (u_char) ('A' + i);
        }

        wrong += !quote_same(text, len);
    }

    unit_result(wrong == 0, "text of each length is written as it is");

    wrong = 0;

    for (len = 1; len <= LENGTH; len++) {
        for (i = 0; i < len; i++) {
            for (j = i; j < len; j++) {
                for (k = 0; k < sizeof(special); k++) {
                    memset(text, 'x', len);
                    text[i] = special[k];
                    text[j] = special[(k + j) % sizeof(special)];

                    wrong += !quote_same(text, len);
                }
            }
        }
    }

    unit_result(wrong == 0, "what needs an escape gets it wherever it stands");

    return unit_end();
}
