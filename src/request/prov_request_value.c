/*
 * One value of a path, a query string or a header: decoded strictly, and read
 * as what its schema's types say it is.
 */

#include "request/prov_request_value.h"


static ngx_uint_t prov_value_integer(ngx_str_t *value, json_int_t *n);
static ngx_uint_t prov_value_number(ngx_str_t *value, double *d);
static ngx_int_t prov_value_hex(u_char c);


/*
 * Text as the schema's types have it.  What does not fit stays a string: the
 * validator then says what was expected.
 */

json_t *
prov_value_read(ngx_uint_t types, ngx_str_t *value)
{
    double      d;
    json_int_t  n;

    if ((types & PROV_SCHEMA_STRING) == 0) {

        if ((types & (PROV_SCHEMA_INTEGER|PROV_SCHEMA_NUMBER))
            && prov_value_integer(value, &n))
        {
            return json_integer(n);
        }

        if ((types & PROV_SCHEMA_NUMBER) && prov_value_number(value, &d)) {
            return json_real(d);
        }

        if (types & PROV_SCHEMA_BOOLEAN) {

            if (value->len == 4 && ngx_strncmp(value->data, "true", 4) == 0) {
                return json_true();
            }

            if (value->len == 5 && ngx_strncmp(value->data, "false", 5) == 0)
            {
                return json_false();
            }
        }
    }

    return json_stringn((char *) value->data, value->len);
}


/* decimal, no sign but "-", no leading zeros, within 64 bits */

static ngx_uint_t
prov_value_integer(ngx_str_t *value, json_int_t *n)
{
    size_t    i, start;
    uint64_t  number, most;

    start = (value->len && value->data[0] == '-') ? 1 : 0;
    most = (uint64_t) INT64_MAX + start;

    /* 19 digits do not go beyond twice that */

    if (value->len - start == 0 || value->len - start > 19
        || (value->data[start] == '0' && value->len - start > 1))
    {
        return 0;
    }

    number = 0;

    for (i = start; i < value->len; i++) {
        if (value->data[i] < '0' || value->data[i] > '9') {
            return 0;
        }

        number = number * 10 + (value->data[i] - '0');
    }

    if (number > most) {
        return 0;
    }

    *n = start ? (json_int_t) (0 - number) : (json_int_t) number;

    return 1;
}


/* A JSON number is one here too: jansson reads it. */

static ngx_uint_t
prov_value_number(ngx_str_t *value, double *d)
{
    u_char              c;
    json_t             *number;
    ngx_uint_t          ok;
    prov_json_error_t   err;

    if (value->len == 0 || value->len > 32) {
        return 0;
    }

    /* white space around it is JSON's, not a number's */

    c = value->data[value->len - 1];

    if (value->data[0] <= ' ' || c < '0' || c > '9') {
        return 0;
    }

    number = prov_json_parse(value->data, value->len, 0, &err);
    if (number == NULL) {
        return 0;
    }

    ok = json_is_real(number);
    *d = json_real_value(number);

    json_decref(number);

    return ok;
}


ngx_int_t
prov_value_decode(ngx_pool_t *pool, u_char *start, u_char *last,
    ngx_str_t *text)
{
    u_char     *d, *s;
    ngx_int_t   hi, lo;

    text->data = ngx_pnalloc(pool, last - start + 1);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    d = text->data;

    for (s = start; s < last; s++) {

        if (*s == '+') {
            *d++ = ' ';
            continue;
        }

        if (*s != '%') {

            if (*s == '\0') {
                return NGX_DECLINED;
            }

            *d++ = *s;
            continue;
        }

        if (last - s < 3) {
            return NGX_DECLINED;
        }

        hi = prov_value_hex(s[1]);
        lo = prov_value_hex(s[2]);

        if (hi < 0 || lo < 0 || (hi | lo) == 0) {
            return NGX_DECLINED;
        }

        *d++ = (u_char) (hi << 4 | lo);
        s += 2;
    }

    text->len = d - text->data;

    return prov_value_utf8(text) ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
prov_value_hex(u_char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}


/* jansson takes nothing else */

ngx_uint_t
prov_value_utf8(ngx_str_t *text)
{
    json_t  *check;

    check = json_stringn((char *) text->data, text->len);

    json_decref(check);

    return check != NULL;
}
