/*
 * The arithmetic of a token bucket: integers only, exact, whatever the clock
 * and the configuration do.  Called by prov_limit_zone.c with the zone locked;
 * knows nothing of keys, memory or requests.
 */

#include "limit/prov_limit.h"


/*
 * How far behind another's a worker's idea of the time can be.  A bucket that
 * is further in the future was last used so long ago that ngx_msec_t, where it
 * has 32 bits, has come round.
 */
#define PROV_LIMIT_LAG  60000


ngx_int_t
prov_limit_bucket_take(prov_limit_bucket_t *bucket, prov_limit_rate_t *rate,
    ngx_msec_t now)
{
    prov_limit_bucket_refill(bucket, rate, now);

    if (rate->capacity - bucket->spent < PROV_LIMIT_UNIT) {
        return NGX_BUSY;
    }

    bucket->spent += PROV_LIMIT_UNIT;

    return NGX_OK;
}


void
prov_limit_bucket_give(prov_limit_bucket_t *bucket, prov_limit_rate_t *rate,
    ngx_msec_t now)
{
    prov_limit_bucket_refill(bucket, rate, now);

    bucket->spent -= ngx_min(bucket->spent, PROV_LIMIT_UNIT);
}


/* Leaves a bucket in which at most the capacity is missing. */

void
prov_limit_bucket_refill(prov_limit_bucket_t *bucket, prov_limit_rate_t *rate,
    ngx_msec_t now)
{
    ngx_msec_int_t  elapsed;

    /* a reload may have made the bucket smaller */

    bucket->spent = ngx_min(bucket->spent, rate->capacity);

    /* signed, because ngx_current_msec comes round */

    elapsed = (ngx_msec_int_t) (now - bucket->last);

    if (elapsed < -PROV_LIMIT_LAG) {
        bucket->spent = 0;
        bucket->last = now;
        return;
    }

    if (elapsed <= 0) {
        /* another worker is ahead; its milliseconds are refilled already */
        return;
    }

    /* the product is less than what is spent, so it cannot overflow */

    if ((uint64_t) elapsed > bucket->spent / rate->fill) {
        bucket->spent = 0;

    } else {
        bucket->spent -= elapsed * rate->fill;
    }

    bucket->last = now;
}


/*
 * What a bucket holds that was just taken from.  The reset of an empty one is
 * what Retry-After says: rounded up, and more by the clock's grain, so that
 * after so long there is one for sure.
 */

void
prov_limit_bucket_room(prov_limit_bucket_t *bucket, prov_limit_rate_t *rate,
    prov_limit_room_t *room)
{
    uint64_t  left, missing, msec;

    left = rate->capacity - bucket->spent;

    room->remaining = left / PROV_LIMIT_UNIT;

    missing = room->remaining ? bucket->spent : PROV_LIMIT_UNIT - left;

    if (missing == 0) {
        room->reset = 0;
        return;
    }

    msec = (missing + rate->fill - 1) / rate->fill + PROV_LIMIT_GRAIN;

    room->reset = (msec + 999) / 1000;
}


/* Seconds in which an empty bucket becomes whole. */

ngx_uint_t
prov_limit_rate_window(prov_limit_rate_t *rate)
{
    uint64_t  second;

    second = rate->fill * 1000;

    return (rate->capacity + second - 1) / second;
}


void
prov_limit_rate_set(prov_limit_rate_t *rate, ngx_uint_t number,
    ngx_msec_t period, ngx_uint_t burst)
{
    rate->number = number;
    rate->period = period;
    rate->burst = burst;
    rate->fill = (uint64_t) number * (PROV_LIMIT_UNIT / period);
    rate->capacity = (uint64_t) burst * PROV_LIMIT_UNIT;
}
