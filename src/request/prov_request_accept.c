/*
 * Content negotiation (RFC 9110, section 12.5.1): everything we send is JSON,
 * so all there is to know is whether the caller takes it.
 */

#include "request/prov_request.h"


typedef struct {
    ngx_int_t     best;        /* rank of the range that decides */
    unsigned      accepted:1;  /* what it says */
    unsigned      named:1;     /* there is a range at all */
} prov_request_accept_t;


static void prov_request_accept_ranges(prov_request_accept_t *accept,
    u_char *p, u_char *last);
static ngx_uint_t prov_request_accept_zero(u_char *p, u_char *last);
static ngx_int_t prov_request_accept_rank(u_char *p, size_t len);


/* NGX_OK, or a 406 problem */

ngx_int_t
prov_request_acceptable(ngx_http_request_t *r)
{
    ngx_uint_t              i;
    ngx_list_part_t        *part;
    ngx_table_elt_t        *h;
    prov_request_accept_t   accept;

    ngx_memzero(&accept, sizeof(prov_request_accept_t));

    /* several lines are one list (RFC 9110, section 5.3) */

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == sizeof("accept") - 1
                && ngx_strncmp(h[i].lowcase_key, "accept",
                               sizeof("accept") - 1)
                   == 0)
            {
                prov_request_accept_ranges(&accept, h[i].value.data,
                                           h[i].value.data + h[i].value.len);
            }
        }
    }

    if (accept.accepted || !accept.named) {
        return NGX_OK;
    }

    return prov_problem(r, 406, "not_acceptable",
                        "The response is application/json, which the Accept "
                        "header does not allow.");
}


/*
 * The most specific range that matches decides: "application/json;q=0,
 * application/" "*" is a no.
 */

static void
prov_request_accept_ranges(prov_request_accept_t *accept, u_char *p,
    u_char *last)
{
    u_char     *end, *type;
    size_t      len;
    ngx_int_t   rank;

    while (p < last) {

        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        while (p < end && (*p == ' ' || *p == '\t')) {
            p++;
        }

        type = p;

        while (p < end && *p != ';' && *p != ' ' && *p != '\t') {
            p++;
        }

        len = p - type;

        if (len) {
            accept->named = 1;
            rank = prov_request_accept_rank(type, len);

            if (rank > accept->best) {
                accept->best = rank;
                accept->accepted = !prov_request_accept_zero(p, end);
            }
        }

        p = end + 1;
    }
}


/* 3: named, 2: its type, 1: anything, 0: something else */

static ngx_int_t
prov_request_accept_rank(u_char *p, size_t len)
{
    if (len == sizeof("application/json") - 1
        && ngx_strncasecmp(p, (u_char *) "application/json", len) == 0)
    {
        return 3;
    }

    if (len == sizeof("application/*") - 1
        && ngx_strncasecmp(p, (u_char *) "application/*", len) == 0)
    {
        return 2;
    }

    return (len == 3 && ngx_strncmp(p, "*/*", 3) == 0) ? 1 : 0;
}


/* "q=0", "q=0.0" … among the parameters */

static ngx_uint_t
prov_request_accept_zero(u_char *p, u_char *last)
{
    for ( /* void */ ; last - p > 2; p++) {

        if (p[-1] != ';' && p[-1] != ' ' && p[-1] != '\t') {
            continue;
        }

        if ((*p == 'q' || *p == 'Q') && p[1] == '=') {

            for (p += 2; p < last; p++) {
                if (*p >= '1' && *p <= '9') {
                    return 0;
                }

                if (*p == ';') {
                    break;
                }
            }

            return 1;
        }
    }

    return 0;
}
