/*
 * How many: counts a request in the buckets of its location's limits, before
 * its body is read, and tells what they have left on every answer.  Called by
 * the access phase and the header filter.
 */

#include "request/prov_request.h"


#if (PROV_AUTH_NOTE != PROV_LIMIT_KEY)
#error an identity has no room for what it is counted by
#endif


/* of the two calls; also a bit of ctx->counted */
#define PROV_REQUEST_COUNTED_BEFORE  1
#define PROV_REQUEST_COUNTED_AFTER   2


static ngx_int_t prov_request_limit_memory(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_uint_t n);
static ngx_int_t prov_request_limit_count(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, prov_request_limit_t *limit, u_char *key);
static ngx_int_t prov_request_limit_key(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, prov_request_limit_t *limit, u_char *key);
static ngx_int_t prov_request_limit_caller(prov_auth_identity_t *identity,
    u_char *key);
static ngx_int_t prov_request_limit_partner(ngx_http_request_t *r,
    ngx_str_t *partner, u_char *key);
static ngx_int_t prov_request_limit_address(struct sockaddr *sockaddr,
    u_char *key);
static void prov_request_limit_give(prov_request_ctx_t *ctx,
    ngx_uint_t first, u_char (*keys)[PROV_LIMIT_KEY]);
static ngx_int_t prov_request_limit_refuse(ngx_http_request_t *r,
    prov_request_room_t *room);
static ngx_int_t prov_request_limit_rooms(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);


/*
 * Limits by address count before authentication, so that they also bound
 * guesses; all others after it.  Each must have room: what the others have
 * taken is given back when one has none.  Internal redirects count no more.
 */

ngx_int_t
prov_request_limit(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_uint_t authenticated)
{
    u_char                 keys[PROV_REQUEST_LIMITS][PROV_LIMIT_KEY];
    ngx_int_t              rc;
    ngx_uint_t             i, first, when;
    prov_request_conf_t   *conf;
    prov_request_limit_t  *limit;

    conf = ctx->conf;
    when = authenticated ? PROV_REQUEST_COUNTED_AFTER
                         : PROV_REQUEST_COUNTED_BEFORE;

    if (conf->limits == NULL || (ctx->counted & when)) {
        return NGX_OK;
    }

    ctx->counted |= when;
    ctx->policy = &conf->policy;

    first = ctx->nrooms;
    limit = conf->limits->elts;

    for (i = 0; i < conf->limits->nelts; i++) {

        if ((limit[i].whose == PROV_REQUEST_ADDRESS) == authenticated) {
            continue;
        }

        if (ctx->nrooms == ctx->mrooms
            && prov_request_limit_memory(r, ctx, conf->limits->nelts)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        rc = prov_request_limit_count(r, ctx, &limit[i],
                                      keys[ctx->nrooms - first]);

        if (rc == NGX_BUSY) {
            /* the last one is the one that was not taken from */
            prov_request_limit_give(ctx, first, keys);

            return prov_request_limit_refuse(r,
                                             &ctx->rooms[ctx->nrooms - 1]);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/*
 * For n more.  A location's own limits have memory at once; after an internal
 * redirect those of another one follow.
 */

static ngx_int_t
prov_request_limit_memory(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_uint_t n)
{
    prov_request_room_t  *rooms;

    n += ctx->nrooms;

    rooms = ngx_palloc(r->pool, n * sizeof(prov_request_room_t));
    if (rooms == NULL) {
        return NGX_ERROR;
    }

    if (ctx->nrooms) {
        ngx_memcpy(rooms, ctx->rooms,
                   ctx->nrooms * sizeof(prov_request_room_t));
    }

    ctx->rooms = rooms;
    ctx->mrooms = n;

    return NGX_OK;
}


/* NGX_BUSY: it has no room, and is the last of ctx->rooms */

static ngx_int_t
prov_request_limit_count(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    prov_request_limit_t *limit, u_char *key)
{
    ngx_int_t             rc;
    prov_request_room_t  *room;

    room = &ctx->rooms[ctx->nrooms];

    rc = prov_request_limit_key(r, ctx, limit, key);

    if (rc == NGX_OK) {
        rc = prov_limit_take(limit->zone, key, &room->room);
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "provisioning limit \"%V\": %i, %ui left", &limit->name,
                   rc, (rc == NGX_OK) ? room->room.remaining : 0);

    switch (rc) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        /* there is nobody to count, or nowhere */
        return NGX_OK;

    case NGX_BUSY:
        if (ctx->limited.len == 0) {
            ctx->limited = limit->name;
        }

        if (limit->dry_run) {
            return NGX_OK;
        }

        break;

    default:
        return NGX_ERROR;
    }

    room->limit = limit;
    ctx->nrooms++;

    return rc;
}


/* NGX_DECLINED: the request has none, so the limit does not count it */

static ngx_int_t
prov_request_limit_key(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    prov_request_limit_t *limit, u_char *key)
{
    ngx_str_t              value;
    prov_auth_identity_t  *identity;

    identity = ctx->identity;

    switch (limit->whose) {

    case PROV_REQUEST_ADDRESS:
        return prov_request_limit_address(r->connection->sockaddr, key);

    case PROV_REQUEST_CALLER:
        return identity ? prov_request_limit_caller(identity, key)
                        : NGX_DECLINED;

    case PROV_REQUEST_PARTNER:
        return (identity && identity->partner.len)
               ? prov_request_limit_partner(r, &identity->partner, key)
               : NGX_DECLINED;

    default: /* PROV_REQUEST_VALUE */

        if (ngx_http_complex_value(r, &limit->value, &value) != NGX_OK) {
            return NGX_ERROR;
        }

        return value.len ? prov_limit_key(key, 'v', &value, NULL)
                         : NGX_DECLINED;
    }
}


/* An API key, shown itself or behind a token, or a subject of an issuer. */

static ngx_int_t
prov_request_limit_caller(prov_auth_identity_t *identity, u_char *key)
{
    if (identity->key.len) {
        return prov_limit_key(key, 'k', &identity->key, NULL);
    }

    /* a digest for each token that the worker knows, not for each request */

    if (!identity->noted) {

        if (prov_limit_key(identity->note, 's', &identity->issuer->iss,
                           &identity->subject)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        identity->noted = 1;
    }

    ngx_memcpy(key, identity->note, PROV_LIMIT_KEY);

    return NGX_OK;
}


/* the database takes a partner's id in any case; it is still one partner */

static ngx_int_t
prov_request_limit_partner(ngx_http_request_t *r, ngx_str_t *partner,
    u_char *key)
{
    u_char     buffer[PROV_AUTH_MAX_SUBJECT];
    ngx_str_t  lower;

    lower.len = partner->len;
    lower.data = buffer;

    if (lower.len > sizeof(buffer)) {
        lower.data = ngx_pnalloc(r->pool, lower.len);
        if (lower.data == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_strlow(lower.data, partner->data, partner->len);

    return prov_limit_key(key, 'p', &lower, NULL);
}


/*
 * An IPv4 address, the first 64 bits of an IPv6 address, of which everybody
 * has all others, and one bucket for all who come through a unix socket.
 */

static ngx_int_t
prov_request_limit_address(struct sockaddr *sockaddr, u_char *key)
{
    ngx_str_t             value;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    switch (sockaddr->sa_family) {

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sockaddr;

        value.data = sin6->sin6_addr.s6_addr;
        value.len = 8;

        if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
            value.data += 12;
            value.len = 4;
        }

        break;
#endif

    case AF_INET:
        value.data = (u_char *) &((struct sockaddr_in *) sockaddr)->sin_addr;
        value.len = 4;
        break;

    default:
        ngx_str_set(&value, "unix:");
    }

    return prov_limit_key(key, 'a', &value, NULL);
}


/* Undoes what this call has taken: all from first on but the last. */

static void
prov_request_limit_give(prov_request_ctx_t *ctx, ngx_uint_t first,
    u_char (*keys)[PROV_LIMIT_KEY])
{
    ngx_uint_t            i;
    prov_request_room_t  *room;

    for (i = first; i < ctx->nrooms - 1; i++) {
        room = &ctx->rooms[i];

        prov_limit_give(room->limit->zone, keys[i - first], &room->room);
    }
}


static ngx_int_t
prov_request_limit_refuse(ngx_http_request_t *r, prov_request_room_t *room)
{
    static char  *whose[] = {
        "this caller", "this partner", "this address", "this kind"
    };

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "too many requests of %s, limited by "
                  "provisioning_limit_zone \"%V\"",
                  whose[room->limit->whose], &room->limit->name);

    if (prov_problem(r, NGX_HTTP_TOO_MANY_REQUESTS, "rate_limited",
                     "Too many requests of %s: the limit \"%V\" has no room. "
                     "Try again in %ui second%s.",
                     whose[room->limit->whose], &room->limit->name,
                     room->room.reset, room->room.reset == 1 ? "" : "s")
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    return prov_problem_retry(r, room->room.reset);
}


/*
 * RateLimit-Policy and RateLimit, two lists of RFC 8941
 * (draft-ietf-httpapi-ratelimit-headers-09): all that is promised here, and
 * what is left where this request was counted.
 */

ngx_int_t
prov_request_limit_headers(ngx_http_request_t *r)
{
    ngx_str_t                 *policy;
    prov_request_ctx_t        *ctx;
    prov_request_conf_t       *conf;
    prov_request_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_provisioning_module);

    if (pmcf->zones.nelts == 0) {
        return NGX_OK;
    }

    conf = ngx_http_get_module_loc_conf(r, ngx_http_provisioning_module);
    ctx = prov_request_ctx_find(r);

    /* what is not for us to let in is not for us to count */

    policy = (ctx && ctx->policy) ? ctx->policy
             : (conf->api || conf->auth) ? &conf->policy : NULL;

    if (policy && policy->len
        && prov_request_header_out(r, "RateLimit-Policy", policy) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ctx ? prov_request_limit_rooms(r, ctx) : NGX_OK;
}


static ngx_int_t
prov_request_limit_rooms(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    u_char               *p;
    size_t                len;
    ngx_str_t             value;
    ngx_uint_t            i;
    prov_request_room_t  *room;

    len = 1;
    room = ctx->rooms;

    for (i = 0; i < ctx->nrooms; i++) {
        len += sizeof(", ;t=") + 2 * NGX_INT_T_LEN + room[i].limit->told.len;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;

    for (i = 0; i < ctx->nrooms; i++) {
        if (room[i].limit->dry_run) {
            continue;
        }

        if (p > value.data) {
            *p++ = ',';
            *p++ = ' ';
        }

        p = ngx_cpymem(p, room[i].limit->told.data, room[i].limit->told.len);
        p = prov_request_decimal(p, room[i].room.remaining);
        p = ngx_cpymem(p, ";t=", sizeof(";t=") - 1);
        p = prov_request_decimal(p, room[i].room.reset);
    }

    value.len = p - value.data;

    return value.len ? prov_request_header_out(r, "RateLimit", &value)
                     : NGX_OK;
}
