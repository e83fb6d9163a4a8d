/*
 * nginx's strings, for ngx_shim.h: its formats, its numbers, its copies.  As
 * in ngx_shim.c, what they promise is nginx's, and how they do it is short.
 */

#include "ngx_shim.h"


static ngx_int_t ngx_shim_base64(ngx_str_t *dst, ngx_str_t *src,
    const char *last);
static u_char *ngx_shim_number(u_char *buf, u_char *last, uint64_t value,
    ngx_uint_t negative, u_char zero, ngx_uint_t hex, ngx_uint_t width);
static u_char *ngx_shim_copy(u_char *buf, u_char *last, u_char *src,
    size_t len);
static ngx_uint_t ngx_shim_hex_digit(u_char c);


/* formatting */


u_char *
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    va_start(args, fmt);
    p = ngx_vslprintf(buf, (void *) -1, fmt, args);
    va_end(args);

    return p;
}


u_char *
ngx_snprintf(u_char *buf, size_t max, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    va_start(args, fmt);
    p = ngx_vslprintf(buf, buf + max, fmt, args);
    va_end(args);

    return p;
}


u_char *
ngx_slprintf(u_char *buf, u_char *last, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    va_start(args, fmt);
    p = ngx_vslprintf(buf, last, fmt, args);
    va_end(args);

    return p;
}


/* all of nginx's conversions but %f, %r and %A; an unknown one aborts */

u_char *
ngx_vslprintf(u_char *buf, u_char *last, const char *fmt, va_list args)
{
    u_char       zero, c, *s;
    size_t       len;
    int64_t      n;
    uint64_t     u;
    ngx_str_t   *v;
    ngx_uint_t   width, sign, hex, bounded;

    ngx_variable_value_t  *vv;

    for ( /* void */ ; *fmt && buf < last; fmt++) {

        if (*fmt != '%') {
            *buf++ = *fmt;
            continue;
        }

        fmt++;
        zero = (*fmt == '0') ? '0' : ' ';
        width = 0;
        sign = 1;
        hex = 0;
        bounded = 0;
        len = 0;
        n = 0;
        u = 0;

        while (*fmt >= '0' && *fmt <= '9') {
            width = width * 10 + (*fmt++ - '0');
        }

        for ( /* void */ ;
             *fmt == 'u' || *fmt == 'm' || *fmt == 'x' || *fmt == 'X'
             || *fmt == '*';
             fmt++)
        {
            switch (*fmt) {
            case 'u':
                sign = 0;
                break;
            case 'x':
                hex = 1;
                sign = 0;
                break;
            case 'X':
                hex = 2;
                sign = 0;
                break;
            case 'm':
                width = NGX_INT_T_LEN;
                break;
            case '*':
                bounded = 1;
                len = va_arg(args, size_t);
                break;
            }
        }

        switch (*fmt) {

        case 'V':
            v = va_arg(args, ngx_str_t *);
            buf = ngx_shim_copy(buf, last, v->data, v->len);
            continue;

        case 'v':
            vv = va_arg(args, ngx_variable_value_t *);
            buf = ngx_shim_copy(buf, last, vv->data, vv->len);
            continue;

        case 's':
            s = va_arg(args, u_char *);
            buf = ngx_shim_copy(buf, last, s,
                                bounded ? len : strlen((char *) s));
            continue;

        case 'c':
            c = (u_char) va_arg(args, int);
            *buf++ = c;
            continue;

        case 'Z':
            *buf++ = '\0';
            continue;

        case 'N':
            *buf++ = '\n';
            continue;

        case '%':
            *buf++ = '%';
            continue;

        case 'O':
            n = va_arg(args, off_t);
            sign = 1;
            break;

        case 'P':
            n = va_arg(args, ngx_pid_t);
            sign = 1;
            break;

        case 'T':
            n = va_arg(args, time_t);
            sign = 1;
            break;

        case 'M':
            u = va_arg(args, ngx_msec_t);
            sign = 0;
            break;

        case 'p':
            u = (uintptr_t) va_arg(args, void *);
            sign = 0;
            hex = 2;
            zero = '0';
            width = 2 * sizeof(void *);
            break;

        case 'z':
        case 'i':
        case 'l':
        case 'L':
        case 't':
            if (sign) {
                n = va_arg(args, int64_t);
            } else {
                u = va_arg(args, uint64_t);
            }
            break;

        case 'd':
        case 'D':
            if (sign) {
                n = va_arg(args, int);
            } else {
                u = va_arg(args, u_int);
            }
            break;

        default:
            fprintf(stderr, "ngx_vslprintf: unknown conversion %%%c\n", *fmt);
            abort();
        }

        if (sign) {
            u = (n < 0) ? 0 - (uint64_t) n : (uint64_t) n;
        }

        buf = ngx_shim_number(buf, last, u, sign && n < 0, zero, hex, width);
    }

    return buf;
}


static u_char *
ngx_shim_number(u_char *buf, u_char *last, uint64_t value,
    ngx_uint_t negative, u_char zero, ngx_uint_t hex, ngx_uint_t width)
{
    int   n;
    char  text[NGX_INT64_LEN + 1];

    n = snprintf(text, sizeof(text),
                 (hex == 0) ? "%llu" : (hex == 1) ? "%llx" : "%llX",
                 (unsigned long long) value);

    if (negative && buf < last) {
        *buf++ = '-';
    }

    for ( /* void */ ; (int) width > n && buf < last; width--) {
        *buf++ = zero;
    }

    return ngx_shim_copy(buf, last, (u_char *) text, n);
}


static u_char *
ngx_shim_copy(u_char *buf, u_char *last, u_char *src, size_t len)
{
    while (len-- && buf < last) {
        *buf++ = *src++;
    }

    return buf;
}


/* strings */


u_char *
ngx_pstrdup(ngx_pool_t *pool, ngx_str_t *src)
{
    u_char  *dst;

    dst = ngx_pnalloc(pool, src->len);

    return dst ? memcpy(dst, src->data, src->len) : NULL;
}


u_char *
ngx_cpystrn(u_char *dst, u_char *src, size_t n)
{
    if (n == 0) {
        return dst;
    }

    while (--n && *src) {
        *dst++ = *src++;
    }

    *dst = '\0';

    return dst;
}


void
ngx_strlow(u_char *dst, u_char *src, size_t n)
{
    while (n--) {
        *dst++ = ngx_tolower(*src);
        src++;
    }
}


ngx_int_t
ngx_strcasecmp(u_char *s1, u_char *s2)
{
    return strcasecmp((char *) s1, (char *) s2);
}


ngx_int_t
ngx_strncasecmp(u_char *s1, u_char *s2, size_t n)
{
    return strncasecmp((char *) s1, (char *) s2, n);
}


u_char *
ngx_strnstr(u_char *s1, char *s2, size_t n)
{
    size_t  len;

    len = strlen(s2);

    for ( /* void */ ; n >= len && *s1; s1++, n--) {
        if (memcmp(s1, s2, len) == 0) {
            return s1;
        }
    }

    return NULL;
}


void
ngx_explicit_memzero(void *buf, size_t n)
{
    memset(buf, 0, n);
    ngx_memory_barrier();
}


ngx_int_t
ngx_atoi(u_char *line, size_t n)
{
    ngx_int_t  value;

    if (n == 0) {
        return NGX_ERROR;
    }

    for (value = 0; n--; line++) {

        if (*line < '0' || *line > '9'
            || value > (NGX_MAX_INT_T_VALUE - (*line - '0')) / 10)
        {
            return NGX_ERROR;
        }

        value = value * 10 + (*line - '0');
    }

    return value;
}


ngx_int_t
ngx_hextoi(u_char *line, size_t n)
{
    ngx_int_t  value;

    if (n == 0 || n > 2 * sizeof(ngx_int_t) - 1) {
        return NGX_ERROR;
    }

    for (value = 0; n--; line++) {

        if (ngx_shim_hex_digit(*line) > 15) {
            return NGX_ERROR;
        }

        value = value * 16 + ngx_shim_hex_digit(*line);
    }

    return value;
}


static ngx_uint_t
ngx_shim_hex_digit(u_char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return (c >= 'a' && c <= 'f') ? (ngx_uint_t) (c - 'a' + 10) : 16;
}


u_char *
ngx_hex_dump(u_char *dst, u_char *src, size_t len)
{
    static const u_char  hex[] = "0123456789abcdef";

    while (len--) {
        *dst++ = hex[*src >> 4];
        *dst++ = hex[*src++ & 0xf];
    }

    return dst;
}


void
ngx_encode_base64(ngx_str_t *dst, ngx_str_t *src)
{
    u_char  *p;

    ngx_encode_base64url(dst, src);

    for (p = dst->data; p < dst->data + dst->len; p++) {
        *p = (*p == '-') ? '+' : (*p == '_') ? '/' : *p;
    }

    while (dst->len % 4) {
        dst->data[dst->len++] = '=';
    }
}


void
ngx_encode_base64url(ngx_str_t *dst, ngx_str_t *src)
{
    size_t      i, bits;
    u_char     *p;
    ngx_uint_t  value;

    static const u_char  basis[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    p = dst->data;
    value = 0;
    bits = 0;

    for (i = 0; i < src->len; i++) {
        value = (value << 8) | src->data[i];

        for (bits += 8; bits >= 6; bits -= 6) {
            *p++ = basis[(value >> (bits - 6)) & 0x3f];
        }
    }

    if (bits) {
        *p++ = basis[(value << (6 - bits)) & 0x3f];
    }

    dst->len = p - dst->data;
}


ngx_int_t
ngx_decode_base64(ngx_str_t *dst, ngx_str_t *src)
{
    return ngx_shim_base64(dst, src, "+/");
}


ngx_int_t
ngx_decode_base64url(ngx_str_t *dst, ngx_str_t *src)
{
    return ngx_shim_base64(dst, src, "-_");
}


/* as nginx: "=" ends it, and bits that are left over are not looked at */

static ngx_int_t
ngx_shim_base64(ngx_str_t *dst, ngx_str_t *src, const char *last)
{
    u_char       ch;
    size_t       i, n;
    uint32_t     bits;
    const char  *digit;
    char         digits[65];

    (void) sprintf(digits, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvw"
                           "xyz0123456789%s", last);

    dst->len = 0;
    bits = 0;

    for (i = 0; i < src->len && src->data[i] != '='; i++) {
        ch = src->data[i];
        digit = ch ? strchr(digits, ch) : NULL;

        if (digit == NULL) {
            return NGX_ERROR;
        }

        bits = bits << 6 | (uint32_t) (digit - digits);
        n = i % 4;

        if (n) {
            dst->data[dst->len++] = (u_char) (bits >> (6 - 2 * n));
        }
    }

    return i % 4 == 1 ? NGX_ERROR : NGX_OK;
}
