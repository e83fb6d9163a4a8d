/*
 * Content negotiation (RFC 9110, section 12.5.1): what we send is JSON, and
 * where an operation has x-event-stream, a stream of events for whoever would
 * rather have that.
 */

#include "request/prov_request.h"


/* of one of the types that we may send */

typedef struct {
    ngx_str_t     type;
    ngx_int_t     best;        /* rank of the range that decides */
    ngx_uint_t    weight;      /* what it says, in thousandths */
} prov_request_accept_t;


static void prov_request_accept_ranges(prov_request_accept_t *json,
    prov_request_accept_t *live, ngx_uint_t *named, u_char *p, u_char *last);
static void prov_request_accept_range(prov_request_accept_t *accept,
    u_char *type, size_t len, ngx_uint_t weight);
static ngx_int_t prov_request_accept_rank(ngx_str_t *type, u_char *p,
    size_t len);
static ngx_uint_t prov_request_accept_weight(u_char *p, u_char *last);


/* NGX_OK, with ctx->live set or not; or a 406 problem */

ngx_int_t
prov_request_acceptable(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    ngx_uint_t              i, named;
    ngx_list_part_t        *part;
    ngx_table_elt_t        *h;
    prov_request_accept_t   json, live;

    ngx_memzero(&json, sizeof(prov_request_accept_t));
    ngx_memzero(&live, sizeof(prov_request_accept_t));

    ngx_str_set(&json.type, "application/json");
    ngx_str_set(&live.type, "text/event-stream");
    named = 0;

    /* several lines are one list (RFC 9110, section 5.3) */

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == sizeof("accept") - 1
                && ngx_strncmp(h[i].lowcase_key, "accept",
                               sizeof("accept") - 1)
                   == 0)
            {
                prov_request_accept_ranges(&json, &live, &named,
                                           h[i].value.data,
                                           h[i].value.data + h[i].value.len);
            }
        }
    }

    /* who would take either gets JSON, unless only the other is named */

    ctx->live = (ctx->call->live != NULL && live.weight
                 && (live.weight > json.weight
                     || (live.weight == json.weight
                         && live.best > json.best)));

    if (ctx->live || json.weight || !named) {
        return NGX_OK;
    }

    return prov_problem(r, 406, "not_acceptable",
                        "The response is application/json%s, which the "
                        "Accept header does not allow.",
                        ctx->call->live ? " or text/event-stream" : "");
}


/*
 * The most specific range that matches decides: "application/json;q=0,
 * application/" "*" is a no.
 */

static void
prov_request_accept_ranges(prov_request_accept_t *json,
    prov_request_accept_t *live, ngx_uint_t *named, u_char *p, u_char *last)
{
    u_char      *end, *type;
    size_t       len;
    ngx_uint_t   weight;

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
            *named = 1;
            weight = prov_request_accept_weight(p, end);

            prov_request_accept_range(json, type, len, weight);
            prov_request_accept_range(live, type, len, weight);
        }

        p = end + 1;
    }
}


static void
prov_request_accept_range(prov_request_accept_t *accept, u_char *type,
    size_t len, ngx_uint_t weight)
{
    ngx_int_t  rank;

    rank = prov_request_accept_rank(&accept->type, type, len);

    if (rank > accept->best) {
        accept->best = rank;
        accept->weight = weight;
    }
}


/* 3: named, 2: its kind, 1: anything, 0: something else */

static ngx_int_t
prov_request_accept_rank(ngx_str_t *type, u_char *p, size_t len)
{
    size_t  kind;

    if (len == type->len && ngx_strncasecmp(p, type->data, len) == 0) {
        return 3;
    }

    kind = ngx_strlchr(type->data, type->data + type->len, '/') + 1
           - type->data;

    if (len == kind + 1 && p[kind] == '*'
        && ngx_strncasecmp(p, type->data, kind) == 0)
    {
        return 2;
    }

    return (len == 3 && ngx_strncmp(p, "*/*", 3) == 0) ? 1 : 0;
}


/* "q=0.5" among the parameters: 500; 1000 without one */

static ngx_uint_t
prov_request_accept_weight(u_char *p, u_char *last)
{
    ngx_uint_t  weight, unit;

    for ( /* void */ ; last - p > 2; p++) {

        if (p[-1] != ';' && p[-1] != ' ' && p[-1] != '\t') {
            continue;
        }

        if ((*p != 'q' && *p != 'Q') || p[1] != '=') {
            continue;
        }

        p += 2;
        weight = (*p >= '1' && *p <= '9') ? 1000 : 0;

        if (weight == 0 && ++p < last && *p == '.') {

            unit = 100;

            for (p++; p < last && *p >= '0' && *p <= '9'; p++) {
                weight += (*p - '0') * unit;
                unit /= 10;
            }
        }

        return weight;
    }

    return 1000;
}
