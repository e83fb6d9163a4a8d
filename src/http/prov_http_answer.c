/*
 * What comes in: libcurl's callbacks for headers and body.  Both keep what
 * there is room for and end the transfer beyond that, so neither endless
 * headers nor an endless body cost more than their limits.
 */

#include "http/prov_http_private.h"


#if (PROV_HAVE_CURL)

static ngx_int_t prov_http_answer_append(prov_http_request_t *r,
    ngx_str_t *text, size_t *allocated, size_t max, const char *data,
    size_t len);
static ngx_int_t prov_http_answer_retry(u_char *value, u_char *last);


/* CURLOPT_HEADERFUNCTION: one line at a time, interim answers' included */

size_t
prov_http_answer_header(char *data, size_t size, size_t n, void *p)
{
    prov_http_request_t *r = p;

    size_t  len;

    n *= size;
    r->header_bytes += n;

    if (r->header_bytes > PROV_HTTP_HEADERS_IN) {
        r->overheaded = 1;
        return 0;
    }

    len = n;

    while (len && (data[len - 1] == LF || data[len - 1] == CR)) {
        len--;
    }

    /* whatever an interim answer said is not said of the last one */

    if (len >= 5 && ngx_strncmp(data, "HTTP/", 5) == 0) {
        r->response_headers.len = 0;
        r->retry_after = -1;
        r->headers_full = 0;
        return n;
    }

    /* RFC 9112, section 5.2: a folded line is not to be understood */

    if (len == 0 || data[0] == ' ' || data[0] == '\t') {
        return n;
    }

    if (len >= 12
        && ngx_strncasecmp((u_char *) data, (u_char *) "Retry-After:", 12)
           == 0)
    {
        r->retry_after = prov_http_answer_retry((u_char *) data + 12,
                                                (u_char *) data + len);
    }

    if (r->headers_full
        || r->response_headers.len + len + 1 > PROV_HTTP_HEADERS)
    {
        r->headers_full = 1;
        return n;
    }

    if (prov_http_answer_append(r, &r->response_headers,
                                &r->allocated_headers, PROV_HTTP_HEADERS,
                                data, len)
        != NGX_OK
        || prov_http_answer_append(r, &r->response_headers,
                                   &r->allocated_headers, PROV_HTTP_HEADERS,
                                   "\n", 1)
           != NGX_OK)
    {
        return 0;
    }

    return n;
}


/* CURLOPT_WRITEFUNCTION */

size_t
prov_http_answer_body(char *data, size_t size, size_t n, void *p)
{
    prov_http_request_t *r = p;

    size_t  max, len;

    n *= size;

    max = r->max_response ? r->max_response
                          : prov_http_client.conf->max_response;

    len = ngx_min(n, max - r->response.len);

    if (prov_http_answer_append(r, &r->response, &r->allocated, max, data,
                                len)
        != NGX_OK)
    {
        return 0;
    }

    if (len < n) {
        r->overlong = 1;
    }

    return len;
}


static ngx_int_t
prov_http_answer_append(prov_http_request_t *r, ngx_str_t *text,
    size_t *allocated, size_t max, const char *data, size_t len)
{
    size_t   size;
    u_char  *p;

    if (len == 0) {
        return NGX_OK;
    }

    if (text->len + len > *allocated) {

        size = ngx_max(2 * *allocated, text->len + len);
        size = ngx_min(ngx_max(size, 512), max);

        p = ngx_alloc(size, prov_http_client.log);
        if (p == NULL) {
            r->exhausted = 1;
            return NGX_ERROR;
        }

        if (text->len) {
            ngx_memcpy(p, text->data, text->len);
        }

        if (text->data) {
            ngx_free(text->data);
        }

        text->data = p;
        *allocated = size;
    }

    ngx_memcpy(text->data + text->len, data, len);
    text->len += len;

    return NGX_OK;
}


/* RFC 9110, section 10.2.3: seconds, or a date */

static ngx_int_t
prov_http_answer_retry(u_char *value, u_char *last)
{
    time_t      date;
    u_char     *p;
    ngx_int_t   n;

    while (value < last && (*value == ' ' || *value == '\t')) {
        value++;
    }

    while (last > value && (last[-1] == ' ' || last[-1] == '\t')) {
        last--;
    }

    if (value == last) {
        return -1;
    }

    for (p = value; p < last && isdigit(*p); p++) { /* void */ }

    if (p == last) {

        /* more digits than an integer has room for are a long time, too */

        n = ngx_atoi(value, last - value);

        return (n == NGX_ERROR || n > PROV_HTTP_RETRY_MAX)
               ? PROV_HTTP_RETRY_MAX : n;
    }

    date = ngx_parse_http_time(value, last - value);

    if (date == (time_t) NGX_ERROR) {
        return -1;
    }

    date -= ngx_time();

    return (date < 0) ? 0 : ngx_min(date, PROV_HTTP_RETRY_MAX);
}

#endif
