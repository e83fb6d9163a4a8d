/*
 * Names and addresses of hosts, and mailboxes.
 */

#include "schema/prov_schema_format.h"


/* RFC 1123, section 2.1 and RFC 1035, section 2.3.4: without a root dot */
#define PROV_SCHEMA_HOST_LEN   253
#define PROV_SCHEMA_LABEL_LEN  63

/* RFC 5321, section 4.5.3.1; 254 is what a path of 256 leaves */
#define PROV_SCHEMA_LOCAL_LEN  64
#define PROV_SCHEMA_EMAIL_LEN  254


static ngx_uint_t prov_schema_local_part(u_char *text, size_t len);
static ngx_uint_t prov_schema_quoted_string(u_char *text, size_t len);
static ngx_uint_t prov_schema_address_literal(u_char *text, size_t len);


ngx_uint_t
prov_schema_format_hostname(u_char *text, size_t len)
{
    size_t  i, start;

    if (len == 0 || len > PROV_SCHEMA_HOST_LEN) {
        return 0;
    }

    start = 0;

    for (i = 0; i <= len; i++) {

        if (i == len || text[i] == '.') {

            if (i == start || i - start > PROV_SCHEMA_LABEL_LEN
                || text[start] == '-' || text[i - 1] == '-')
            {
                return 0;
            }

            start = i + 1;

        } else if (!prov_schema_is_digit(text[i])
                   && !prov_schema_is_alpha(text[i])
                   && text[i] != '-')
        {
            return 0;
        }
    }

    return 1;
}


/* four decimal numbers without leading zeros, which some read as octal */

ngx_uint_t
prov_schema_format_ipv4(u_char *text, size_t len)
{
    u_char      *p, *start, *last;
    ngx_uint_t   n, value;

    p = text;
    last = text + len;

    for (n = 0; n < 4; n++) {

        if (n && (p == last || *p++ != '.')) {
            return 0;
        }

        value = 0;

        for (start = p; p < last && prov_schema_is_digit(*p); p++) {
            value = value * 10 + (*p - '0');

            if (value > 255 || p - start > 2) {
                return 0;
            }
        }

        if (p == start || (*start == '0' && p - start > 1)) {
            return 0;
        }
    }

    return p == last;
}


/* RFC 4291, section 2.2; no zone and no prefix length */

ngx_uint_t
prov_schema_format_ipv6(u_char *text, size_t len)
{
    u_char      *p, *start, *last;
    ngx_uint_t   groups, gap;

    p = text;
    last = text + len;
    groups = 0;
    gap = 0;

    if (len < 2) {
        return 0;
    }

    if (p[0] == ':') {
        if (p[1] != ':') {
            return 0;
        }

        gap = 1;
        p += 2;
    }

    while (p < last) {

        for (start = p; p < last && prov_schema_is_hex(*p); p++) {
            /* void */
        }

        if (p < last && *p == '.') {

            if (!prov_schema_format_ipv4(start, last - start)) {
                return 0;
            }

            groups += 2;
            p = last;
            break;
        }

        if (p == start || p - start > 4 || ++groups > 8) {
            return 0;
        }

        if (p == last) {
            break;
        }

        if (*p++ != ':' || p == last) {
            return 0;
        }

        if (*p == ':') {
            if (gap) {
                return 0;
            }

            gap = 1;
            p++;
        }
    }

    return gap ? groups < 8 : groups == 8;
}


/* a mailbox of RFC 5321, section 4.1.2: no display name, no comments */

ngx_uint_t
prov_schema_format_email(u_char *text, size_t len)
{
    u_char  *at, *last;

    last = text + len;

    if (len > PROV_SCHEMA_EMAIL_LEN) {
        return 0;
    }

    /* the last one: a quoted local part may have others */

    for (at = last; at > text && at[-1] != '@'; at--) { /* void */ }

    if (at == text) {
        return 0;
    }

    if (!prov_schema_local_part(text, at - 1 - text)) {
        return 0;
    }

    if (at < last && *at == '[') {
        return prov_schema_address_literal(at, last - at);
    }

    return prov_schema_format_hostname(at, last - at);
}


static ngx_uint_t
prov_schema_local_part(u_char *text, size_t len)
{
    size_t  i;
    u_char  c;

    if (len == 0 || len > PROV_SCHEMA_LOCAL_LEN) {
        return 0;
    }

    if (text[0] == '"') {
        return prov_schema_quoted_string(text, len);
    }

    for (i = 0; i < len; i++) {
        c = text[i];

        if (c == '.') {
            if (i == 0 || i == len - 1 || text[i - 1] == '.') {
                return 0;
            }

            continue;
        }

        /* atext of RFC 5322, section 3.2.3 */

        if (!prov_schema_is_alpha(c) && !prov_schema_is_digit(c)
            && (c == '\0' || ngx_strchr("!#$%&'*+-/=?^_`{|}~", c) == NULL))
        {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
prov_schema_quoted_string(u_char *text, size_t len)
{
    size_t  i;

    if (len < 2 || text[len - 1] != '"') {
        return 0;
    }

    for (i = 1; i < len - 1; i++) {

        if (text[i] == '\\') {
            i++;

            if (i == len - 1) {
                /* it escapes the closing quote */
                return 0;
            }

        } else if (text[i] == '"') {
            return 0;
        }

        if (text[i] < 0x20 || text[i] > 0x7e) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
prov_schema_address_literal(u_char *text, size_t len)
{
    if (len < 2 || text[len - 1] != ']') {
        return 0;
    }

    text++;
    len -= 2;

    if (len > 5 && ngx_strncasecmp(text, (u_char *) "IPv6:", 5) == 0) {
        return prov_schema_format_ipv6(text + 5, len - 5);
    }

    return prov_schema_format_ipv4(text, len);
}
