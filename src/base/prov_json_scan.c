/*
 * One pass over a text before jansson's: what jansson does not look at (a
 * depth that is ours, NUL bytes, numbers that PostgreSQL refuses), and what
 * it could not take back without memory.  Called by prov_json.c.
 */

#include "base/prov_json_scan.h"


/* digits of a number's exponent */
#define PROV_JSON_EXPONENT  3

/* digits of the largest integer */
#define PROV_JSON_INTEGER   (sizeof("9223372036854775807") - 1)

/* what all exponents of a text come to: digits when PostgreSQL writes it */
#define PROV_JSON_EXPANDED  1048576


static u_char *prov_json_word(u_char *p, u_char *last);
static u_char *prov_json_number(u_char *p, u_char *last, size_t digits,
    ngx_uint_t *expanded);
static ngx_uint_t prov_json_large(u_char *p, u_char *end);
static void prov_json_position(u_char *data, u_char *at,
    prov_json_error_t *err);


/*
 * One pass before the parser's: emptiness, NUL bytes, nesting, which has to
 * be known before anything recurses over the input, numbers that jansson
 * takes for zero while PostgreSQL refuses them, and what jansson cannot take
 * back without memory (prov_json_memory.c): long words, control characters.
 * Counts the integers that are too large to be one.
 */

ngx_int_t
prov_json_scan(u_char *data, size_t len, ngx_uint_t depth, size_t digits,
    ngx_uint_t *large, prov_json_error_t *err)
{
    u_char      *p, *last, *end;
    ngx_uint_t   level, string, seen, expanded;

    err->line = 1;
    err->column = 1;

    *large = 0;

    level = 0;
    expanded = 0;
    string = 0;
    seen = 0;
    last = data + len;

    for (p = data; p < last; p++) {

        if (*p == '\0') {
            prov_json_position(data, p, err);
            prov_json_fail(err, PROV_JSON_NUL, "a NUL byte is not allowed");
            return NGX_ERROR;
        }

        if (string) {
            if (*p < ' ') {
                prov_json_position(data, p - 1, err);
                prov_json_fail(err, PROV_JSON_SYNTAX,
                               "a control character in a string is not "
                               "escaped");
                return NGX_ERROR;
            }

            if (*p == '\\') {
                /* a NUL hidden behind a backslash must still be seen */
                if (p + 1 < last && p[1] != '\0') {
                    p++;
                }

            } else if (*p == '"') {
                string = 0;
            }

            continue;
        }

        switch (*p) {

        case '"':
            string = 1;
            seen = 1;
            break;

        case '[':
        case '{':
            seen = 1;

            if (++level > depth) {
                prov_json_position(data, p, err);
                err->code = PROV_JSON_DEPTH;
                ngx_snprintf(err->text, sizeof(err->text),
                             "arrays and objects may be nested at most %ui "
                             "deep%Z", depth);
                return NGX_ERROR;
            }

            break;

        case ']':
        case '}':
            if (level) {
                level--;
            }

            break;

        case ' ':
        case '\t':
        case '\r':
        case '\n':
            break;

        default:
            seen = 1;

            if (*p != '-' && (*p < '0' || *p > '9')) {
                end = prov_json_word(p, last);

                if (end - p > PROV_JSON_DIGITS) {
                    prov_json_position(data, end - 1, err);
                    prov_json_fail(err, PROV_JSON_SYNTAX, "invalid token");
                    return NGX_ERROR;
                }

                p = end - 1;
                break;
            }

            end = prov_json_number(p, last, digits, &expanded);

            if (end == NULL) {
                prov_json_position(data, p, err);
                prov_json_fail(err, PROV_JSON_NUMBER,
                               "a number has more than 256 characters, or an "
                               "exponent of more than three digits");
                return NGX_ERROR;
            }

            if (expanded > PROV_JSON_EXPANDED) {
                prov_json_position(data, p, err);
                prov_json_fail(err, PROV_JSON_NUMBER,
                               "the numbers up to here would have more than "
                               "1,048,576 digits without their exponents");
                return NGX_ERROR;
            }

            *large += prov_json_large(p, end);

            p = end - 1;
        }
    }

    if (!seen) {
        prov_json_fail(err, PROV_JSON_EMPTY, "nothing but white space");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* the end of the letters that follow p */

static u_char *
prov_json_word(u_char *p, u_char *last)
{
    do {
        p++;
    } while (p < last && ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z'));

    return p;
}


/*
 * The end of what may be a number, or NULL when that is out of bounds.  Its
 * exponent, of either sign, is added to expanded: PostgreSQL keeps a number
 * exactly, and has no exponents when it writes one.
 */

static u_char *
prov_json_number(u_char *p, u_char *last, size_t digits,
    ngx_uint_t *expanded)
{
    u_char     *start, *exponent;
    ngx_int_t   n;

    start = p;
    exponent = NULL;

    for ( /* void */ ; p < last; p++) {

        if (*p == 'e' || *p == 'E') {
            exponent = p + 1;

        } else if (p == exponent && (*p == '+' || *p == '-' || *p == '0')) {
            /* neither a sign nor leading zeros count */
            exponent++;

        } else if ((*p < '0' || *p > '9') && *p != '.' && *p != '-') {
            break;
        }
    }

    if ((size_t) (p - start) > digits
        || (exponent && p - exponent > PROV_JSON_EXPONENT))
    {
        return NULL;
    }

    if (exponent && p > exponent) {
        n = ngx_atoi(exponent, p - exponent);

        if (n > 0) {
            *expanded += n;
        }
    }

    return p;
}


/* Whether this number is an integer, and beyond 64 bits. */

static ngx_uint_t
prov_json_large(u_char *p, u_char *end)
{
    u_char  *digit;

    p += (*p == '-');

    if (end - p < (ssize_t) PROV_JSON_INTEGER) {
        return 0;
    }

    for (digit = p; digit < end; digit++) {
        if (*digit < '0' || *digit > '9') {
            return 0;
        }
    }

    /* the smallest one counts, too, and is exact as a double */

    return end - p > (ssize_t) PROV_JSON_INTEGER
           || ngx_memcmp(p, "9223372036854775807", PROV_JSON_INTEGER) > 0;
}


size_t
prov_json_exponents(u_char *p, u_char *data, size_t len)
{
    u_char      *last, *end, *text;
    ngx_uint_t   string, expanded;

    text = p;
    last = data + len;
    string = 0;
    expanded = 0;

    while (data < last) {

        if (string || (*data != '-' && (*data < '0' || *data > '9'))) {

            if (string && *data == '\\' && data + 1 < last) {
                *p++ = *data++;

            } else if (*data == '"') {
                string = !string;
            }

            *p++ = *data++;
            continue;
        }

        end = prov_json_number(data, last, PROV_JSON_WRITTEN, &expanded);

        p = ngx_cpymem(p, data, end - data);

        if (prov_json_large(data, end)) {
            *p++ = 'e';
            *p++ = '0';
        }

        data = end;
    }

    return p - text;
}


static void
prov_json_position(u_char *data, u_char *at, prov_json_error_t *err)
{
    u_char  *p;

    err->line = 1;
    err->column = 1;

    for (p = data; p < at; p++) {
        if (*p == '\n') {
            err->line++;
            err->column = 1;

        } else if ((*p & 0xc0) != 0x80) {
            err->column++;
        }
    }
}
