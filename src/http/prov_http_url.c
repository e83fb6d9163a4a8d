/*
 * The form of a URL that requests are sent to: a strict subset of RFC 3986
 * that every parser reads alike.  Called where a partner registers one, and
 * again before each request.  Where it leads to is not decided here but by
 * prov_http_address.c, for an address that stands in it as for any other.
 */

#include "http/prov_http_private.h"


static ngx_int_t prov_http_url_characters(ngx_str_t *url, const char **why);
static ngx_int_t prov_http_url_host(prov_http_url_t *parts,
    const char **why);
static ngx_int_t prov_http_url_name(ngx_str_t *host, ngx_uint_t *number,
    const char **why);
static ngx_int_t prov_http_url_port(u_char *p, u_char *last,
    prov_http_url_t *parts, const char **why);


ngx_int_t
prov_http_url_check(prov_http_conf_t *conf, ngx_str_t *url, const char **why)
{
    prov_http_url_t  parts;

    if (prov_http_url_parse(url, &parts, why) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (!parts.secure && (conf == NULL || !conf->plain_http)) {
        *why = "it must begin with \"https://\"";
        return NGX_DECLINED;
    }

    if (parts.literal
        && prov_http_address_refused((struct sockaddr *) &parts.address,
                                     parts.address_len,
                                     conf ? &conf->allow : NULL,
                                     conf ? &conf->deny : NULL))
    {
        *why = "it names an address that is not public";
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
prov_http_url_parse(ngx_str_t *url, prov_http_url_t *parts, const char **why)
{
    u_char  *p, *last, *end;

    ngx_memzero(parts, sizeof(prov_http_url_t));

    if (prov_http_url_characters(url, why) != NGX_OK) {
        return NGX_DECLINED;
    }

    p = url->data;
    last = url->data + url->len;

    if (url->len > 8 && ngx_strncasecmp(p, (u_char *) "https://", 8) == 0) {
        p += 8;
        parts->secure = 1;
        parts->port = 443;

    } else if (url->len > 7
               && ngx_strncasecmp(p, (u_char *) "http://", 7) == 0)
    {
        p += 7;
        parts->port = 80;

    } else {
        *why = "it must begin with \"https://\" and a host";
        return NGX_DECLINED;
    }

    for (end = p; end < last && *end != '/' && *end != '?'; end++) {

        if (*end == '@') {
            *why = "it must not have a user's name or password";
            return NGX_DECLINED;
        }
    }

    parts->host.data = p;

    if (p < end && *p == '[') {

        parts->host.data = ++p;

        while (p < end && *p != ']') {
            p++;
        }

        if (p == end) {
            *why = "it has a \"[\" without its \"]\"";
            return NGX_DECLINED;
        }

        parts->host.len = p++ - parts->host.data;
        parts->literal = 1;

    } else {
        while (p < end && *p != ':') {
            p++;
        }

        parts->host.len = p - parts->host.data;
    }

    if (p < end && prov_http_url_port(p, end, parts, why) != NGX_OK) {
        return NGX_DECLINED;
    }

    return prov_http_url_host(parts, why);
}


ngx_str_t
prov_http_url_shown(ngx_str_t *url)
{
    u_char     *p, *last;
    ngx_str_t   shown;

    shown = *url;
    last = url->data + url->len;

    /* by the look of it, which may be that of no URL */

    for (p = url->data; p < last && *p != '?' && *p != '#'; p++) {

        if (*p == '@') {
            shown.data = p + 1;
        }
    }

    shown.len = p - shown.data;

    return shown;
}


/* RFC 3986: what is neither reserved nor unreserved has no place in a URL */

static ngx_int_t
prov_http_url_characters(ngx_str_t *url, const char **why)
{
    u_char  *p, *last;

    if (url->len > PROV_HTTP_URL) {
        *why = "it must not be longer than 2048 bytes";
        return NGX_DECLINED;
    }

    last = url->data + url->len;

    for (p = url->data; p < last; p++) {

        if (*p == '#') {
            *why = "it must not have a fragment (\"#\")";
            return NGX_DECLINED;
        }

        if (*p <= 0x20 || *p >= 0x7f || ngx_strchr("\"<>\\^`{|}", *p)) {
            *why = "it must be written in ASCII, without blanks and "
                   "\"<>\\^`{|}: a host in its ASCII form (xn--), anything "
                   "else percent-encoded";
            return NGX_DECLINED;
        }

        if (*p == '%'
            && (last - p < 3 || !isxdigit(p[1]) || !isxdigit(p[2])))
        {
            *why = "it has a \"%\" without two hexadecimal digits";
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/*
 * A host that ends in a number is an IPv4 address to some parsers, in any
 * number of parts and in three bases; here it is one only in its usual form.
 */

static ngx_int_t
prov_http_url_host(prov_http_url_t *parts, const char **why)
{
    char                  host[INET6_ADDRSTRLEN];
    ngx_uint_t            number;
    struct sockaddr_in   *sin;
    struct sockaddr_in6  *sin6;

    number = 0;

    if (!parts->literal
        && prov_http_url_name(&parts->host, &number, why) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (!parts->literal && !number) {
        return NGX_OK;
    }

    host[0] = '\0';

    if (parts->host.len < sizeof(host)) {
        ngx_memcpy(host, parts->host.data, parts->host.len);
        host[parts->host.len] = '\0';
    }

    if (number) {
        sin = (struct sockaddr_in *) &parts->address;
        sin->sin_family = AF_INET;
        sin->sin_port = htons(parts->port);

        if (inet_pton(AF_INET, host, &sin->sin_addr) != 1) {
            *why = "its host ends in a number and is no IPv4 address in "
                   "four decimal parts";
            return NGX_DECLINED;
        }

        parts->literal = 1;
        parts->address_len = sizeof(struct sockaddr_in);

        return NGX_OK;
    }

    sin6 = &parts->address;
    sin6->sin6_family = AF_INET6;
    sin6->sin6_port = htons(parts->port);

    if (inet_pton(AF_INET6, host, &sin6->sin6_addr) != 1) {
        *why = "it has no IPv6 address between \"[\" and \"]\"";
        return NGX_DECLINED;
    }

    parts->address_len = sizeof(struct sockaddr_in6);

    return NGX_OK;
}


/* RFC 1123, section 2.1, and "_", which names of hosts do have */

static ngx_int_t
prov_http_url_name(ngx_str_t *host, ngx_uint_t *number, const char **why)
{
    u_char      *p, *label, *last;
    ngx_uint_t   digits;

    *why = "its host is no name: letters, digits and \"-\" in parts "
           "of 1 to 63, with a \".\" between them, 253 in all";

    if (host->len == 0 || host->len > 253) {
        return NGX_DECLINED;
    }

    last = host->data + host->len;
    label = host->data;
    digits = 1;

    for (p = host->data; /* void */ ; p++) {

        if (p == last || *p == '.') {

            if (p == label || p - label > 63 || *label == '-'
                || p[-1] == '-')
            {
                return NGX_DECLINED;
            }

            *number = digits
                      || (p - label >= 2 && label[0] == '0'
                          && (label[1] | 0x20) == 'x');

            if (p == last) {
                return NGX_OK;
            }

            label = p + 1;
            digits = 1;
            continue;
        }

        if (!isalnum(*p) && *p != '-' && *p != '_') {
            return NGX_DECLINED;
        }

        if (!isdigit(*p)) {
            digits = 0;
        }
    }
}


static ngx_int_t
prov_http_url_port(u_char *p, u_char *last, prov_http_url_t *parts,
    const char **why)
{
    ngx_int_t  n;

    n = (*p == ':' && last - p > 1 && p[1] != '0')
        ? ngx_atoi(p + 1, last - p - 1) : NGX_ERROR;

    if (n < 1 || n > 65535) {
        *why = "its port is no number from 1 to 65535";
        return NGX_DECLINED;
    }

    parts->port = (in_port_t) n;

    return NGX_OK;
}
