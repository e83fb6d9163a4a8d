/*
 * The header lines of a request: the caller's, none of which may end the line
 * or the request, or say how its body is sent; and without those that libcurl
 * would add of its own accord.
 */

#include "http/prov_http_private.h"


#if (PROV_HAVE_CURL)

static ngx_int_t prov_http_header(prov_http_request_t *r, const char *line);
static ngx_uint_t prov_http_header_name(const char *line, const char *name);
static ngx_int_t prov_http_header_line(prov_http_request_t *r,
    const char *line);


/* how a body is sent, and over which connection, is not the caller's */

static const char  *prov_http_reserved[] = {
    "Host:", "Content-Length:", "Transfer-Encoding:", "Connection:",
    "Expect:", "TE:", "Trailer:", "Upgrade:", "Keep-Alive:",
    "Proxy-Connection:", "Proxy-Authorization:", NULL
};


ngx_int_t
prov_http_headers(prov_http_request_t *r)
{
    ngx_uint_t  i, typed;

    typed = 0;

    for (i = 0; i < r->nheaders; i++) {

        if (prov_http_header(r, r->headers[i]) != NGX_OK) {
            return NGX_ERROR;
        }

        if (prov_http_header_name(r->headers[i], "Content-Type:")) {
            typed = 1;
        }
    }

    /* what libcurl would say of its own accord */

    if (prov_http_header_line(r, "Expect:") != NGX_OK
        || (!typed && prov_http_header_line(r, "Content-Type:") != NGX_OK))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Who takes headers from strangers has looked at them, and told what is wrong;
 * here it is only made sure that none of them ends the line or the request.
 */

static ngx_int_t
prov_http_header(prov_http_request_t *r, const char *line)
{
    char         empty[256];
    size_t       name;
    const char  *p, **reserved;

    name = strspn(line, "!#$%&'*+-.^_`|~0123456789"
                        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

    if (name == 0 || name > sizeof(empty) - 2 || line[name] != ':') {
        goto wrong;
    }

    for (reserved = prov_http_reserved; *reserved; reserved++) {
        if (prov_http_header_name(line, *reserved)) {
            goto wrong;
        }
    }

    for (p = line + name; *p; p++) {
        if (((u_char) *p < 0x20 && *p != '\t') || *p == 0x7f) {
            goto wrong;
        }
    }

    /* to libcurl a line without a value takes a header away */

    if (line[name + 1 + strspn(line + name + 1, " \t")] == '\0') {
        ngx_memcpy(empty, line, name);
        empty[name] = ';';
        empty[name + 1] = '\0';
        line = empty;
    }

    return prov_http_header_line(r, line);

wrong:

    ngx_snprintf((u_char *) r->message, sizeof(r->message),
                 "a header of the request cannot be sent: \"%*s\"%Z",
                 ngx_min(name, 64), line);

    return NGX_ERROR;
}


static ngx_uint_t
prov_http_header_name(const char *line, const char *name)
{
    return ngx_strncasecmp((u_char *) line, (u_char *) name,
                           ngx_strlen(name)) == 0;
}


static ngx_int_t
prov_http_header_line(prov_http_request_t *r, const char *line)
{
    struct curl_slist  *lines;

    lines = curl_slist_append(r->lines, line);

    if (lines == NULL) {
        r->exhausted = 1;
        return NGX_ERROR;
    }

    r->lines = lines;

    return NGX_OK;
}

#endif
