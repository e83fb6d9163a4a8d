/*
 * When keys are fetched again: arithmetic only, no clock and no timer.
 * Called when a fetch has ended.  What an issuer says (Cache-Control,
 * Retry-After) is followed within the operator's bounds, never beyond them.
 */

#include "auth/prov_auth_remote.h"


static u_char *prov_auth_schedule_header(ngx_str_t *headers,
    const char *name, u_char *p, ngx_str_t *value);
static ngx_msec_t prov_auth_schedule_directive(ngx_str_t *value);
static ngx_uint_t prov_auth_schedule_is(u_char *p, u_char *last,
    const char *name);
static ngx_msec_t prov_auth_schedule_seconds(u_char *p, u_char *last);
static ngx_msec_t prov_auth_schedule_less(ngx_msec_t time,
    ngx_uint_t random);


/*
 * For how long the answer calls itself good (RFC 9111, section 4.2): max-age
 * less its Age; 0 where it is not to be kept.  headers have a LF after each.
 */

ngx_msec_t
prov_auth_schedule_age(ngx_str_t *headers)
{
    u_char      *p;
    ngx_str_t    value;
    ngx_msec_t   age, max, found;

    max = PROV_AUTH_NO_AGE;
    p = headers->data;

    while ((p = prov_auth_schedule_header(headers, "cache-control", p,
                                          &value)))
    {
        found = prov_auth_schedule_directive(&value);
        max = ngx_min(max, found);
    }

    if (max == PROV_AUTH_NO_AGE) {
        return max;
    }

    if (prov_auth_schedule_header(headers, "age", headers->data, &value)) {
        age = prov_auth_schedule_seconds(value.data, value.data + value.len);

        if (age != PROV_AUTH_NO_AGE) {
            max = (age < max) ? max - age : 0;
        }
    }

    return max;
}


/* The first such header from p on; where to go on, or NULL. */

static u_char *
prov_auth_schedule_header(ngx_str_t *headers, const char *name, u_char *p,
    ngx_str_t *value)
{
    size_t   len;
    u_char  *end, *last;

    len = ngx_strlen(name);
    last = headers->data + headers->len;

    for ( /* void */ ; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '\n');
        if (end == NULL) {
            end = last;
        }

        if ((size_t) (end - p) > len && p[len] == ':'
            && ngx_strncasecmp(p, (u_char *) name, len) == 0)
        {
            value->data = p + len + 1;
            value->len = end - value->data;

            return ngx_min(end + 1, last);
        }
    }

    return NULL;
}


/* One Cache-Control: directives with commas between (RFC 9111, 5.2). */

static ngx_msec_t
prov_auth_schedule_directive(ngx_str_t *value)
{
    u_char      *p, *end, *last;
    ngx_msec_t   max, found;

    max = PROV_AUTH_NO_AGE;
    last = value->data + value->len;

    for (p = value->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        while (p < end && (*p == ' ' || *p == '\t')) {
            p++;
        }

        if (prov_auth_schedule_is(p, end, "no-store")
            || prov_auth_schedule_is(p, end, "no-cache"))
        {
            return 0;
        }

        if (end - p > 8
            && ngx_strncasecmp(p, (u_char *) "max-age=", 8) == 0)
        {
            found = prov_auth_schedule_seconds(p + 8, end);
            max = ngx_min(max, found);
        }
    }

    return max;
}


/* "no-cache" may go on with a '=' */

static ngx_uint_t
prov_auth_schedule_is(u_char *p, u_char *last, const char *name)
{
    size_t  len;

    len = ngx_strlen(name);

    return (size_t) (last - p) >= len
           && ngx_strncasecmp(p, (u_char *) name, len) == 0
           && ((size_t) (last - p) == len || p[len] == ' ' || p[len] == '='
               || p[len] == '\t');
}


/* delta-seconds in ms, at most a day, which no refresh exceeds */

static ngx_msec_t
prov_auth_schedule_seconds(u_char *p, u_char *last)
{
    ngx_msec_t  n;
    ngx_uint_t  digits;

    while (p < last && (*p == ' ' || *p == '\t' || *p == '"')) {
        p++;
    }

    n = 0;

    for (digits = 0; p < last && *p >= '0' && *p <= '9'; p++, digits++) {
        n = ngx_min(n * 10 + (*p - '0'), 86400);
    }

    return digits ? n * 1000 : PROV_AUTH_NO_AGE;
}


/*
 * "refresh" at the latest, since it bounds for how long a key is believed that
 * has left the set.  random spreads workers and servers.
 */

ngx_msec_t
prov_auth_schedule_refresh(prov_auth_source_t *source, ngx_msec_t max_age,
    ngx_uint_t random)
{
    ngx_msec_t  time;

    time = source->refresh;

    if (max_age < time) {
        time = ngx_min(time, ngx_max(max_age, PROV_AUTH_REFRESH_FLOOR));
    }

    return prov_auth_schedule_less(time, random);
}


/* failures is 1 after the first; retry_after is in seconds, -1: not said */

ngx_msec_t
prov_auth_schedule_retry(prov_auth_source_t *source, ngx_uint_t failures,
    ngx_int_t retry_after, ngx_uint_t random)
{
    ngx_msec_t  time;

    time = PROV_AUTH_RETRY_FIRST;

    while (--failures && time < PROV_AUTH_RETRY_LAST) {
        time *= 2;
    }

    time = ngx_min(time, PROV_AUTH_RETRY_LAST);

    if (retry_after > 0) {
        time = ngx_max(time, (ngx_msec_t) ngx_min(retry_after, 86400) * 1000);
    }

    time = ngx_min(time, source->refresh);

    return prov_auth_schedule_less(time, random);
}


/* up to a tenth less */

static ngx_msec_t
prov_auth_schedule_less(ngx_msec_t time, ngx_uint_t random)
{
    return time - random % (time / 10 + 1);
}
