/*
 * From a method and a path to an operation.  Runs on every request, with
 * what a stranger sent: no recursion, two allocations (for the decoded
 * values), and work bounded by the number of routes.
 */

#include "openapi/prov_openapi_node.h"


#define PROV_OPENAPI_ONES   0x0101010101010101ull
#define PROV_OPENAPI_HIGH   0x8080808080808080ull

/* non-zero where a byte of x is zero, or is not less than 128 */
#define prov_openapi_zero(x)                                                  \
    ((((x) - PROV_OPENAPI_ONES) | (x)) & PROV_OPENAPI_HIGH)

/* none of its bytes is a slash, a percent sign, a NUL or beyond ASCII */
#define prov_openapi_plain(x)                                                 \
    (!(prov_openapi_zero(x)                                                   \
       | prov_openapi_zero((x) ^ (PROV_OPENAPI_ONES * '/'))                   \
       | prov_openapi_zero((x) ^ (PROV_OPENAPI_ONES * '%'))))


static ngx_int_t prov_openapi_route_split(ngx_str_t *path, u_char *buf,
    ngx_str_t *segments, ngx_uint_t *n);
static prov_openapi_node_t *prov_openapi_route_search(
    prov_openapi_node_t *node, ngx_str_t *segments, ngx_uint_t n);
static prov_openapi_operation_t *prov_openapi_route_method(
    prov_openapi_node_t *node, ngx_str_t *method);
static ngx_uint_t prov_openapi_route_utf8(u_char *p, u_char *last);


ngx_str_t  prov_openapi_methods[PROV_OPENAPI_METHODS] = {
    ngx_string("GET"),
    ngx_string("POST"),
    ngx_string("PUT"),
    ngx_string("PATCH"),
    ngx_string("DELETE")
};


ngx_int_t
prov_openapi_route(prov_openapi_api_t *api, ngx_str_t *method,
    ngx_str_t *path, ngx_pool_t *pool, prov_openapi_match_t *match)
{
    u_char               *buf;
    ngx_int_t             rc;
    ngx_str_t             segments[PROV_OPENAPI_MAX_SEGMENTS];
    ngx_uint_t            i, n;
    prov_openapi_node_t  *node;

    match->operation = NULL;
    match->values = NULL;
    ngx_str_null(&match->allow);

    buf = ngx_pnalloc(pool, path->len + 1);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    rc = prov_openapi_route_split(path, buf, segments, &n);
    if (rc != NGX_OK) {
        return rc;
    }

    node = prov_openapi_route_search(api->routes, segments, n);
    if (node == NULL) {
        return NGX_DECLINED;
    }

    match->allow = node->allow;

    match->operation = prov_openapi_route_method(node, method);
    if (match->operation == NULL) {
        return PROV_OPENAPI_NOT_ALLOWED;
    }

    if (node->nvalues == 0) {
        return NGX_OK;
    }

    match->values = ngx_palloc(pool, node->nvalues * sizeof(ngx_str_t));
    if (match->values == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < node->nvalues; i++) {
        match->values[i] = segments[node->values[i]];
    }

    return NGX_OK;
}


/*
 * Looks at the whole path even when it cannot match any more, so that a
 * malformed one is told apart from an unknown one in every case.
 */

static ngx_int_t
prov_openapi_route_split(ngx_str_t *path, u_char *buf, ngx_str_t *segments,
    ngx_uint_t *n)
{
    u_char      *p, *last, *d;
    ngx_str_t    segment;
    ngx_uint_t   matchable;

    *n = 0;

    p = path->data;
    last = p + path->len;

    matchable = (path->len > 0 && *p == '/');

    if (path->len == 1 && matchable) {
        return NGX_OK;
    }

    d = buf;

    while (p < last) {

        if (*p == '/') {
            p++;
        }

        segment.data = d;

        p = prov_openapi_segment(&d, p, last);
        if (p == NULL) {
            return PROV_OPENAPI_BAD_REQUEST;
        }

        segment.len = d - segment.data;

        if (*n == PROV_OPENAPI_MAX_SEGMENTS || prov_openapi_dots(&segment)) {
            matchable = 0;
            continue;
        }

        segments[(*n)++] = segment;
    }

    return matchable ? NGX_OK : NGX_DECLINED;
}


/*
 * A literal wins over a parameter; where it leads nowhere, the parameter of
 * the nearest node above that has one is tried.  As the routes are a tree,
 * no node is met twice.
 */

static prov_openapi_node_t *
prov_openapi_route_search(prov_openapi_node_t *node, ngx_str_t *segments,
    ngx_uint_t n)
{
    ngx_uint_t            depth;
    prov_openapi_node_t  *next, *other[PROV_OPENAPI_MAX_SEGMENTS];

    depth = 0;

    for ( ;; ) {

        if (depth == n) {

            if (node->path.data) {
                return node;
            }

            next = NULL;

        } else {
            next = prov_openapi_literal(node, &segments[depth], NULL);
            other[depth] = node->parameter;

            if (next == NULL) {
                next = other[depth];
                other[depth] = NULL;
            }

            depth++;
        }

        while (next == NULL) {

            if (depth == 0) {
                return NULL;
            }

            next = other[--depth];
            other[depth] = NULL;

            if (next) {
                depth++;
            }
        }

        node = next;
    }
}


static prov_openapi_operation_t *
prov_openapi_route_method(prov_openapi_node_t *node, ngx_str_t *method)
{
    ngx_uint_t  i;

    if (method->len == 4 && ngx_memcmp(method->data, "HEAD", 4) == 0) {
        return node->methods[PROV_OPENAPI_GET];
    }

    for (i = 0; i < PROV_OPENAPI_METHODS; i++) {

        if (method->len == prov_openapi_methods[i].len
            && ngx_memcmp(method->data, prov_openapi_methods[i].data,
                          method->len)
               == 0)
        {
            return node->methods[i];
        }
    }

    return NULL;
}


u_char *
prov_openapi_segment(u_char **dst, u_char *p, u_char *last)
{
    u_char     *d, *end;
    uint64_t    word;
    ngx_int_t   c, all;

    all = 0;
    d = *dst;

    while (p < last) {

        end = last;

        if (last - p >= (ssize_t) sizeof(word)) {

            /* eight bytes at once, of which none is any of what follows */

            ngx_memcpy(&word, p, sizeof(word));

            if (prov_openapi_plain(word)) {
                d = ngx_cpymem(d, &word, sizeof(word));
                p += sizeof(word);
                continue;
            }

            end = p + sizeof(word);
        }

        for ( /* void */ ; p < end && *p != '/'; p++) {

            c = *p;

            if (c == '%') {

                c = (last - p > 2) ? ngx_hextoi(p + 1, 2) : NGX_ERROR;
                if (c == NGX_ERROR) {
                    return NULL;
                }

                p += 2;
            }

            if (c == '\0') {
                return NULL;
            }

            *d++ = (u_char) c;
            all |= c;
        }

        if (p < end) {
            break;
        }
    }

    if (all > 0x7f && !prov_openapi_route_utf8(*dst, d)) {
        return NULL;
    }

    *dst = d;

    return p;
}


/*
 * RFC 3629, section 4: no overlong forms, no surrogates, nothing beyond
 * U+10FFFF.  What passes here must not fail as PostgreSQL's text.
 */

static ngx_uint_t
prov_openapi_route_utf8(u_char *p, u_char *last)
{
    u_char      c, low, high;
    ngx_uint_t  n;

    while (p < last) {

        c = *p++;
        low = 0x80;
        high = 0xbf;

        if (c < 0x80) {
            continue;
        }

        if (c >= 0xc2 && c <= 0xdf) {
            n = 1;

        } else if (c >= 0xe0 && c <= 0xef) {
            n = 2;
            low = (c == 0xe0) ? 0xa0 : 0x80;
            high = (c == 0xed) ? 0x9f : 0xbf;

        } else if (c >= 0xf0 && c <= 0xf4) {
            n = 3;
            low = (c == 0xf0) ? 0x90 : 0x80;
            high = (c == 0xf4) ? 0x8f : 0xbf;

        } else {
            return 0;
        }

        if ((ngx_uint_t) (last - p) < n) {
            return 0;
        }

        for ( /* void */ ; n; n--) {

            if (*p < low || *p > high) {
                return 0;
            }

            p++;
            low = 0x80;
            high = 0xbf;
        }
    }

    return 1;
}


ngx_uint_t
prov_openapi_dots(ngx_str_t *segment)
{
    if (segment->len > 2) {
        return 0;
    }

    return segment->len == 0
           || (segment->data[0] == '.'
               && (segment->len == 1 || segment->data[1] == '.'));
}


/* *index, when asked for, is where it is or where it would have to be. */

prov_openapi_node_t *
prov_openapi_literal(prov_openapi_node_t *node, ngx_str_t *segment,
    ngx_uint_t *index)
{
    ngx_int_t    rc;
    ngx_str_t   *literal;
    ngx_uint_t   low, high, middle;

    low = 0;
    high = node->nliterals;

    while (low < high) {

        middle = low + (high - low) / 2;
        literal = &node->literals[middle]->literal;

        rc = (segment->len > literal->len) - (segment->len < literal->len);

        if (rc == 0) {
            rc = ngx_memcmp(segment->data, literal->data, segment->len);
        }

        if (rc == 0) {

            if (index) {
                *index = middle;
            }

            return node->literals[middle];
        }

        if (rc < 0) {
            high = middle;

        } else {
            low = middle + 1;
        }
    }

    if (index) {
        *index = low;
    }

    return NULL;
}
