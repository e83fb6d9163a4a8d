/*
 * UUID version 7: 48 bits of milliseconds, a 12-bit counter where the RFC has
 * rand_a (RFC 9562, section 6.2, method 1), 62 random bits.
 */

#include "base/prov_id.h"

#include <openssl/rand.h>


/* the worker's: the last millisecond an id was made in, and its counter */
static uint64_t    prov_id_last;
static ngx_uint_t  prov_id_counter;


static void prov_id_put(u_char *bytes, uint64_t value, ngx_uint_t n);


ngx_int_t
prov_id_make(u_char *text)
{
    u_char      *p, b[16];
    uint64_t     now;
    ngx_uint_t   i;
    ngx_time_t  *tp;

    if (RAND_bytes(b + 6, 10) != 1) {
        return NGX_ERROR;
    }

    tp = ngx_timeofday();
    now = (uint64_t) tp->sec * 1000 + tp->msec;

    if (now > prov_id_last) {
        prov_id_last = now;

        /* the counter's upper half stays free for what this millisecond
           still brings */
        prov_id_counter = ((b[6] << 8) | b[7]) & 0x7ff;

    } else if (++prov_id_counter > 0xfff) {
        prov_id_last++;
        prov_id_counter = 0;
    }

    prov_id_put(b, prov_id_last, 6);

    b[6] = (u_char) (0x70 | (prov_id_counter >> 8));
    b[7] = (u_char) prov_id_counter;
    b[8] = (u_char) (0x80 | (b[8] & 0x3f));

    p = ngx_hex_dump(text, b, 4);

    for (i = 4; i < 10; i += 2) {
        *p++ = '-';
        p = ngx_hex_dump(p, b + i, 2);
    }

    *p++ = '-';
    (void) ngx_hex_dump(p, b + 10, 6);

    return NGX_OK;
}


static void
prov_id_put(u_char *bytes, uint64_t value, ngx_uint_t n)
{
    while (n--) {
        bytes[n] = (u_char) value;
        value >>= 8;
    }
}
