/*
 * "format", which this implementation asserts: the table of what is known,
 * and the small ones.  Called by the compiler and the checks.
 */

#include "schema/prov_schema_format.h"


struct prov_schema_format_s {
    const char             *name;
    prov_schema_format_pt   text;      /* NULL: says nothing of strings */
    int64_t                 min;       /* of integers, when text is NULL */
    int64_t                 max;
    const char             *message;
};


static ngx_uint_t prov_schema_format_uuid(u_char *text, size_t len);
static ngx_uint_t prov_schema_format_regex(u_char *text, size_t len);


static prov_schema_format_t  prov_schema_formats[] = {

    { "date", prov_schema_format_date, 0, 0,
      "must be a date such as 2025-01-31" },

    { "date-time", prov_schema_format_date_time, 0, 0,
      "must be a date and time such as 2025-01-31T12:30:00Z (RFC 3339)" },

    { "duration", prov_schema_format_duration, 0, 0,
      "must be a duration such as P3D or PT12H30M" },

    { "email", prov_schema_format_email, 0, 0,
      "must be an e-mail address" },

    { "hostname", prov_schema_format_hostname, 0, 0,
      "must be a host name" },

    { "int32", NULL, INT32_MIN, INT32_MAX,
      "must be an integer of 32 bits" },

    { "int64", NULL, INT64_MIN, INT64_MAX,
      "must be an integer of 64 bits" },

    { "ipv4", prov_schema_format_ipv4, 0, 0,
      "must be an IPv4 address" },

    { "ipv6", prov_schema_format_ipv6, 0, 0,
      "must be an IPv6 address" },

    { "regex", prov_schema_format_regex, 0, 0,
      "must be a regular expression (ECMA-262)" },

    { "time", prov_schema_format_time, 0, 0,
      "must be a time with an offset such as 12:30:00Z (RFC 3339)" },

    { "uri", prov_schema_format_uri, 0, 0,
      "must be a URI with a scheme, such as https://example.com/" },

    { "uuid", prov_schema_format_uuid, 0, 0,
      "must be a UUID" },

    { NULL, NULL, 0, 0, NULL }
};


prov_schema_format_t *
prov_schema_format_find(ngx_str_t *name)
{
    prov_schema_format_t  *format;

    for (format = prov_schema_formats; format->name; format++) {

        if (ngx_strlen(format->name) == name->len
            && ngx_memcmp(format->name, name->data, name->len) == 0)
        {
            return format;
        }
    }

    return NULL;
}


u_char *
prov_schema_format_names(u_char *buf, u_char *last)
{
    prov_schema_format_t  *format;

    for (format = prov_schema_formats; format->name; format++) {
        buf = ngx_slprintf(buf, last, "%s%s",
                           (format == prov_schema_formats) ? "" : ", ",
                           format->name);
    }

    return buf;
}


ngx_uint_t
prov_schema_format_text(prov_schema_format_t *format, u_char *text,
    size_t len)
{
    return format->text == NULL || format->text(text, len);
}


ngx_uint_t
prov_schema_format_number(prov_schema_format_t *format,
    prov_schema_number_t *number)
{
    if (format->text) {
        return 1;
    }

    /* is_real: a fraction, or more than 64 bits */

    return !number->is_real
           && number->integer >= format->min
           && number->integer <= format->max;
}


const char *
prov_schema_format_message(prov_schema_format_t *format)
{
    return format->message;
}


/* RFC 9562, section 4; any version and variant */

static ngx_uint_t
prov_schema_format_uuid(u_char *text, size_t len)
{
    size_t  i;

    if (len != 36) {
        return 0;
    }

    for (i = 0; i < 36; i++) {

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text[i] != '-') {
                return 0;
            }

        } else if (!prov_schema_is_hex(text[i])) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
prov_schema_format_regex(u_char *text, size_t len)
{
    return prov_schema_pattern_valid(text, len);
}
