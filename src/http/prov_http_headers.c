/*
 * The header lines of a request: the caller's, none of which may end the line
 * or the request, or say how its body is sent; and without those that libcurl
 * would add of its own accord.
 */

#include "http/prov_http_private.h"


#if (PROV_HAVE_CURL)

/* of a header's name: its characters (RFC 9110, 5.6.2), and how many */
#define PROV_HTTP_TOKEN  "!#$%&'*+-.^_`|~0123456789"                          \
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define PROV_HTTP_NAME   254


static ngx_uint_t prov_http_header_valid(const char *line);
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


/*
 * Who takes headers from strangers has looked at them, and told what is wrong;
 * here it is only made sure that nothing ends a line or the request.
 */

ngx_int_t
prov_http_head_check(prov_http_request_t *r)
{
    size_t       name;
    ngx_uint_t   i;
    const char  *p;

    for (p = r->method; *p >= 'A' && *p <= 'Z'; p++) { /* void */ }

    if (*p || p == r->method) {
        ngx_cpystrn((u_char *) r->message,
                    (u_char *) "the method is no word in capital letters",
                    sizeof(r->message));
        return NGX_DECLINED;
    }

    for (i = 0; i < r->nheaders; i++) {

        if (prov_http_header_valid(r->headers[i])) {
            continue;
        }

        /* not its value */

        name = strspn(r->headers[i], PROV_HTTP_TOKEN);

        ngx_snprintf((u_char *) r->message, sizeof(r->message),
                     "a header of the request cannot be sent: \"%*s\"%Z",
                     ngx_min(name, 64), r->headers[i]);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_uint_t
prov_http_header_valid(const char *line)
{
    size_t       name;
    const char  *p, **reserved;

    name = strspn(line, PROV_HTTP_TOKEN);

    if (name == 0 || name > PROV_HTTP_NAME || line[name] != ':') {
        return 0;
    }

    for (reserved = prov_http_reserved; *reserved; reserved++) {
        if (prov_http_header_name(line, *reserved)) {
            return 0;
        }
    }

    for (p = line + name; *p; p++) {
        if (((u_char) *p < 0x20 && *p != '\t') || *p == 0x7f) {
            return 0;
        }
    }

    return 1;
}


/* What prov_http_head_check() has let pass; NGX_ERROR: there is no memory. */

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


static ngx_int_t
prov_http_header(prov_http_request_t *r, const char *line)
{
    char    empty[PROV_HTTP_NAME + 2];
    size_t  name;

    name = strspn(line, PROV_HTTP_TOKEN);

    /* to libcurl a line without a value takes a header away */

    if (line[name + 1 + strspn(line + name + 1, " \t")] == '\0') {
        ngx_memcpy(empty, line, name);
        empty[name] = ';';
        empty[name + 1] = '\0';
        line = empty;
    }

    return prov_http_header_line(r, line);
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
        return NGX_ERROR;
    }

    r->lines = lines;

    return NGX_OK;
}

#endif
