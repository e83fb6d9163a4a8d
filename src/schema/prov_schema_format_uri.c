/*
 * URIs of RFC 3986: absolute or with an authority, always with a scheme.
 */

#include "schema/prov_schema_format.h"


#define PROV_SCHEMA_SUB_DELIMS  "!$&'()*+,;="


static ngx_uint_t prov_schema_uri_authority(u_char *p, u_char *last);
static ngx_uint_t prov_schema_uri_host(u_char *p, u_char *last);
static ngx_uint_t prov_schema_uri_future(u_char *p, u_char *last);
static ngx_uint_t prov_schema_uri_chars(u_char *p, u_char *last,
    const char *more);
static u_char *prov_schema_uri_find(u_char *p, u_char *last,
    const char *stops);


/* scheme ":" hier-part [ "?" query ] [ "#" fragment ] */

ngx_uint_t
prov_schema_format_uri(u_char *text, size_t len)
{
    u_char  *p, *end, *last;

    last = text + len;

    if (len == 0 || !prov_schema_is_alpha(*text)) {
        return 0;
    }

    for (p = text; p < last && *p != ':'; p++) {

        if (!prov_schema_is_alpha(*p) && !prov_schema_is_digit(*p)
            && *p != '+' && *p != '-' && *p != '.')
        {
            return 0;
        }
    }

    if (p == last) {
        return 0;
    }

    p++;

    if (last - p >= 2 && p[0] == '/' && p[1] == '/') {
        p += 2;
        end = prov_schema_uri_find(p, last, "/?#");

        if (!prov_schema_uri_authority(p, end)) {
            return 0;
        }

        p = end;
    }

    end = prov_schema_uri_find(p, last, "?#");

    if (!prov_schema_uri_chars(p, end, PROV_SCHEMA_SUB_DELIMS ":@/")) {
        return 0;
    }

    p = end;

    if (p < last && *p == '?') {
        p++;
        end = prov_schema_uri_find(p, last, "#");

        if (!prov_schema_uri_chars(p, end, PROV_SCHEMA_SUB_DELIMS ":@/?")) {
            return 0;
        }

        p = end;
    }

    return p == last
           || prov_schema_uri_chars(p + 1, last,
                                    PROV_SCHEMA_SUB_DELIMS ":@/?");
}


/* [ userinfo "@" ] host [ ":" port ] */

static ngx_uint_t
prov_schema_uri_authority(u_char *p, u_char *last)
{
    u_char  *at, *colon;

    at = prov_schema_uri_find(p, last, "@");

    if (at < last) {
        if (!prov_schema_uri_chars(p, at, PROV_SCHEMA_SUB_DELIMS ":")) {
            return 0;
        }

        p = at + 1;
    }

    for (colon = last;
         colon > p && prov_schema_is_digit(colon[-1]);
         colon--)
    {
        /* void */
    }

    if (colon > p && colon[-1] == ':') {
        last = colon - 1;
    }

    return prov_schema_uri_host(p, last);
}


static ngx_uint_t
prov_schema_uri_host(u_char *p, u_char *last)
{
    if (p == last || *p != '[') {
        return prov_schema_uri_chars(p, last, PROV_SCHEMA_SUB_DELIMS);
    }

    if (last - p < 2 || last[-1] != ']') {
        return 0;
    }

    p++;
    last--;

    return prov_schema_format_ipv6(p, last - p)
           || prov_schema_uri_future(p, last);
}


/* "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" ) */

static ngx_uint_t
prov_schema_uri_future(u_char *p, u_char *last)
{
    u_char  *start;

    if (p == last || (*p | 0x20) != 'v') {
        return 0;
    }

    for (start = ++p; p < last && prov_schema_is_hex(*p); p++) { /* void */ }

    if (p == start || last - p < 2 || *p != '.') {
        return 0;
    }

    /* no percent-encoding here */

    return prov_schema_uri_find(p, last, "%") == last
           && prov_schema_uri_chars(p + 1, last, PROV_SCHEMA_SUB_DELIMS ":");
}


/* unreserved, percent-encoded, and what else the part allows */

static ngx_uint_t
prov_schema_uri_chars(u_char *p, u_char *last, const char *more)
{
    for ( /* void */ ; p < last; p++) {

        if (prov_schema_is_alpha(*p) || prov_schema_is_digit(*p)) {
            continue;
        }

        if (*p == '%') {
            if (last - p < 3
                || !prov_schema_is_hex(p[1]) || !prov_schema_is_hex(p[2]))
            {
                return 0;
            }

            p += 2;
            continue;
        }

        if (*p == '\0'
            || (ngx_strchr("-._~", *p) == NULL
                && ngx_strchr(more, *p) == NULL))
        {
            return 0;
        }
    }

    return 1;
}


static u_char *
prov_schema_uri_find(u_char *p, u_char *last, const char *stops)
{
    while (p < last && (*p == '\0' || ngx_strchr(stops, *p) == NULL)) {
        p++;
    }

    return p;
}
