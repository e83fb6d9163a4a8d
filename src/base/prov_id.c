/*
 * UUID version 7: 48 bits of milliseconds, a 12-bit counter where the RFC has
 * rand_a (RFC 9562, section 6.2, method 1), 62 random bits.  The bits are
 * taken from OpenSSL for many ids at a time: a call of it costs a system call
 * and as much as the rest of a request's ids.
 */

#include "base/prov_id.h"

#include <openssl/rand.h>


/* random bytes of an id, and of how many ids they are had at once */
#define PROV_ID_RANDOM  10
#define PROV_ID_IDS     64


/* the worker's: the last millisecond an id was made in, and its counter */
static uint64_t    prov_id_last;
static ngx_uint_t  prov_id_counter;

/* random bytes that are in no id yet, at the end of the block; nobody but the
   process that has got them may use them */
static u_char      prov_id_block[PROV_ID_IDS * PROV_ID_RANDOM];
static ngx_uint_t  prov_id_left;
static ngx_pid_t   prov_id_owner;


static ngx_int_t prov_id_random(u_char *bytes);
static void prov_id_put(u_char *bytes, uint64_t value, ngx_uint_t n);


ngx_int_t
prov_id_make(u_char *text)
{
    u_char      *p, b[16];
    uint64_t     now;
    ngx_uint_t   i;
    ngx_time_t  *tp;

    if (prov_id_random(b + 6) != NGX_OK) {
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


static ngx_int_t
prov_id_random(u_char *bytes)
{
    u_char  *p;

    if (prov_id_left == 0 || prov_id_owner != ngx_pid) {

        prov_id_left = 0;

        if (RAND_bytes(prov_id_block, sizeof(prov_id_block)) != 1) {
            return NGX_ERROR;
        }

        prov_id_left = PROV_ID_IDS;
        prov_id_owner = ngx_pid;
    }

    p = prov_id_block + --prov_id_left * PROV_ID_RANDOM;

    /* what an id has is not to be found here any more */

    ngx_memcpy(bytes, p, PROV_ID_RANDOM);
    ngx_explicit_memzero(p, PROV_ID_RANDOM);

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
