/*
 * JSON numbers without rounding: comparison across integers and doubles, and
 * "multipleOf" on the decimal digits that were written (0.3 is a multiple of
 * 0.1, whatever binary makes of it).  Called by the compiler and the checks.
 */

#include "schema/prov_schema_node.h"

#include <math.h>


/* digits * 10^exponent, without the sign */

typedef struct {
    uint64_t    digits;
    ngx_int_t   exponent;
} prov_schema_decimal_t;


static ngx_int_t prov_schema_compare_mixed(json_int_t integer, double real);
static void prov_schema_decimal(prov_schema_decimal_t *decimal,
    prov_schema_number_t *number);
static void prov_schema_shortest(char *buf, size_t size, double real);
static uint64_t prov_schema_multiply(uint64_t a, uint64_t b, uint64_t modulus);


void
prov_schema_number(prov_schema_number_t *number, json_t *value)
{
    if (json_is_integer(value)) {
        number->integer = json_integer_value(value);
        number->real = 0;
        number->is_real = 0;
        return;
    }

    number->integer = 0;
    number->real = json_real_value(value);
    number->is_real = 1;

    /* the bounds of 64 bits are powers of two, so the comparison is exact */

    if (number->real >= -9223372036854775808.0
        && number->real < 9223372036854775808.0
        && number->real == (double) (json_int_t) number->real)
    {
        number->integer = (json_int_t) number->real;
        number->is_real = 0;
    }
}


ngx_uint_t
prov_schema_number_is_integer(prov_schema_number_t *number)
{
    return !number->is_real || floor(number->real) == number->real;
}


ngx_int_t
prov_schema_number_compare(prov_schema_number_t *a, prov_schema_number_t *b)
{
    if (a->is_real && b->is_real) {
        return (a->real > b->real) - (a->real < b->real);
    }

    if (a->is_real) {
        return -prov_schema_compare_mixed(b->integer, a->real);
    }

    if (b->is_real) {
        return prov_schema_compare_mixed(a->integer, b->real);
    }

    return (a->integer > b->integer) - (a->integer < b->integer);
}


static ngx_int_t
prov_schema_compare_mixed(json_int_t integer, double real)
{
    json_int_t  whole;

    if (real >= 9223372036854775808.0) {
        return -1;
    }

    if (real < -9223372036854775808.0) {
        return 1;
    }

    whole = (json_int_t) real;

    if (integer != whole) {
        return (integer < whole) ? -1 : 1;
    }

    /* a double with a fraction is small enough for this to be exact */
    real -= (double) whole;

    return (real < 0) - (real > 0);
}


/*
 * The divisor is greater than 0; the compiler saw to it.
 *
 * With n = N * 10^e and d = D * 10^f, n is a multiple of d when
 * N * 10^(e - f) is a multiple of D (e >= f), or N of D * 10^(f - e).
 */

ngx_uint_t
prov_schema_number_is_multiple(prov_schema_number_t *number,
    prov_schema_number_t *divisor)
{
    ngx_int_t              shift;
    uint64_t               rest, power;
    prov_schema_decimal_t  n, d;

    if (!number->is_real && !divisor->is_real) {
        return number->integer % divisor->integer == 0;
    }

    prov_schema_decimal(&n, number);
    prov_schema_decimal(&d, divisor);

    if (n.digits == 0) {
        return 1;
    }

    shift = n.exponent - d.exponent;

    if (shift < 0) {
        for ( /* void */ ; shift < 0; shift++) {
            if (d.digits > UINT64_MAX / 10) {
                /* larger than any N */
                return 0;
            }

            d.digits *= 10;
        }

        return n.digits % d.digits == 0;
    }

    rest = n.digits % d.digits;
    power = 10 % d.digits;

    for ( /* void */ ; shift > 0; shift >>= 1) {
        if (shift & 1) {
            rest = prov_schema_multiply(rest, power, d.digits);
        }

        power = prov_schema_multiply(power, power, d.digits);
    }

    return rest == 0;
}


static uint64_t
prov_schema_multiply(uint64_t a, uint64_t b, uint64_t modulus)
{
    return (uint64_t) ((unsigned __int128) a * b % modulus);
}


/* of the magnitude: a sign makes no difference to being a multiple */

static void
prov_schema_decimal(prov_schema_decimal_t *decimal,
    prov_schema_number_t *number)
{
    char        *p, text[PROV_SCHEMA_NUMBER_LEN];
    ngx_int_t    exponent, negative;
    ngx_uint_t   fraction;

    decimal->digits = 0;
    decimal->exponent = 0;

    if (!number->is_real) {
        decimal->digits = (number->integer < 0)
                          ? 0 - (uint64_t) number->integer
                          : (uint64_t) number->integer;
        return;
    }

    prov_schema_shortest(text, sizeof(text), number->real);

    fraction = 0;

    for (p = text; *p && *p != 'e'; p++) {

        if (*p >= '0' && *p <= '9') {
            decimal->digits = decimal->digits * 10 + (*p - '0');
            decimal->exponent -= fraction;

        } else if (*p != '-') {
            /* the radix character, which a locale may have changed */
            fraction = 1;
        }
    }

    if (*p == 'e') {
        p++;
        negative = (*p == '-');
        exponent = 0;

        for (p++; *p; p++) {
            exponent = exponent * 10 + (*p - '0');
        }

        decimal->exponent += negative ? -exponent : exponent;
    }
}


/*
 * The shortest digits that read back as the same double are what the sender
 * wrote, unless it wrote more than a double can hold.
 */

static void
prov_schema_shortest(char *buf, size_t size, double real)
{
    ngx_uint_t  digits;

    for (digits = 15; digits <= 17; digits++) {
        (void) snprintf(buf, size, "%.*e", (int) digits - 1, real);

        if (strtod(buf, NULL) == real) {
            return;
        }
    }
}


u_char *
prov_schema_number_text(u_char *buf, prov_schema_number_t *number)
{
    char        *p, text[PROV_SCHEMA_NUMBER_LEN];
    ngx_uint_t   digits;

    if (!number->is_real) {
        return ngx_snprintf(buf, PROV_SCHEMA_NUMBER_LEN, "%L",
                            (int64_t) number->integer);
    }

    for (digits = 15; digits <= 17; digits++) {
        (void) snprintf(text, sizeof(text), "%.*g", (int) digits,
                        number->real);

        if (strtod(text, NULL) == number->real) {
            break;
        }
    }

    for (p = text; *p; p++) {
        if (*p == ',') {
            *p = '.';
        }
    }

    return ngx_cpymem(buf, text, p - text);
}
