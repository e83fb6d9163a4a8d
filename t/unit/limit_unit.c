/*
 * The arithmetic of token buckets: exact refills, clocks that come round or
 * lag, reloads with another rate, and random requests held against a model
 * that counts milliseconds one by one and against the law of a bucket.
 * Prints TAP; the argument is the seed of what is random.
 */

#include "limit/prov_limit.h"
#include "tap.h"

#include <stdlib.h>


#define SECOND  1000
#define MINUTE  60000
#define HOUR    3600000

#define ROUNDS    400
#define REQUESTS  200


/* how many of n requests at that time are let through */

static ngx_uint_t
taken(prov_limit_bucket_t *bucket, prov_limit_rate_t *rate, ngx_msec_t now,
    ngx_uint_t n)
{
    ngx_uint_t  passed;

    for (passed = 0; n; n--) {
        passed += prov_limit_bucket_take(bucket, rate, now) == NGX_OK;
    }

    return passed;
}


static void
test_burst(void)
{
    prov_limit_room_t    room;
    prov_limit_rate_t    rate;
    prov_limit_bucket_t  bucket = { 0, 5000 };

    prov_limit_rate_set(&rate, 100, SECOND, 200);

    unit_result(prov_limit_rate_window(&rate) == 2,
                "a burst of two seconds' worth is a window of two seconds");

    unit_result(taken(&bucket, &rate, 5000, 50) == 50,
                "a whole bucket is taken from");
    prov_limit_bucket_room(&bucket, &rate, &room);
    unit_result(room.remaining == 150 && room.reset == 1,
                "it says what is left, and when it will be whole");

    unit_result(taken(&bucket, &rate, 5000, 500) == 150, "it holds its burst");
    prov_limit_bucket_room(&bucket, &rate, &room);
    unit_result(room.remaining == 0 && room.reset == 1,
                "an empty one says when there will be one");

    unit_result(taken(&bucket, &rate, 5009, 9) == 0,
                "9 ms refill nothing at 100r/s");
    unit_result(taken(&bucket, &rate, 5010, 9) == 1, "10 ms refill one");
    unit_result(taken(&bucket, &rate, 6010, 500) == 100,
                "a second refills 100");
    unit_result(taken(&bucket, &rate, 8010, 500) == 200,
                "two seconds make it whole");
    unit_result(taken(&bucket, &rate, 9000000, 500) == 200,
                "hours make no more of it");

    prov_limit_bucket_give(&bucket, &rate, 9000000);
    unit_result(taken(&bucket, &rate, 9000000, 5) == 1,
                "what is given back is there");

    bucket.spent = 1;
    prov_limit_bucket_give(&bucket, &rate, 9000000);
    unit_result(bucket.spent == 0,
                "what is given to a whole bucket is not kept");
    prov_limit_bucket_room(&bucket, &rate, &room);
    unit_result(room.remaining == 200 && room.reset == 0,
                "a whole one needs no time");
}


static void
test_slow(void)
{
    ngx_uint_t           i, n;
    prov_limit_room_t    room;
    prov_limit_rate_t    rate;
    prov_limit_bucket_t  bucket = { 0, 0 };

    prov_limit_rate_set(&rate, 7, HOUR, 2);

    unit_result(taken(&bucket, &rate, 0, 3) == 2,
                "7r/h with a burst of 2 lets in two");
    prov_limit_bucket_room(&bucket, &rate, &room);
    unit_result(room.reset == 515, "then tells to wait for 514.3 s");

    /* a caller that asks every millisecond loses nothing by it */

    for (i = 1, n = 0; i <= HOUR; i++) {
        n += prov_limit_bucket_take(&bucket, &rate, i) == NGX_OK;
    }

    unit_result(n == 7,
                "3600000 attempts in an hour let in 7, no fraction is lost");

    prov_limit_rate_set(&rate, 1, HOUR, PROV_LIMIT_MAX);
    unit_result(rate.capacity / PROV_LIMIT_UNIT == PROV_LIMIT_MAX,
                "the largest burst fits");
    bucket.spent = rate.capacity;
    bucket.last = 0;
    prov_limit_bucket_room(&bucket, &rate, &room);
    unit_result(room.remaining == 0 && room.reset == 3601,
                "an empty bucket at 1r/h has to be waited for for an hour");
    unit_result(prov_limit_rate_window(&rate)
                == (ngx_uint_t) PROV_LIMIT_MAX * 3600,
                "its window is a century");

    prov_limit_rate_set(&rate, PROV_LIMIT_MAX, SECOND, PROV_LIMIT_MAX);
    bucket.spent = rate.capacity;
    bucket.last = 0;
    unit_result(taken(&bucket, &rate, 1, 2000) == 1000,
                "the largest rate refills a thousand in a millisecond");
    unit_result(taken(&bucket, &rate, (ngx_msec_t) -1 / 2, 1) == 1
                && bucket.spent == PROV_LIMIT_UNIT,
                "the longest time at the largest rate does not overflow");
}


static void
test_clocks(void)
{
    prov_limit_rate_t    rate;
    prov_limit_bucket_t  bucket;

    prov_limit_rate_set(&rate, 10, SECOND, 10);

    bucket.spent = 0;
    bucket.last = (ngx_msec_t) -50;
    unit_result(taken(&bucket, &rate, (ngx_msec_t) -50, 20) == 10,
                "just before the clock comes round there is a burst");
    unit_result(taken(&bucket, &rate, 49, 20) == 0,
                "99 ms later, after it, nothing");
    unit_result(taken(&bucket, &rate, 50, 20) == 1,
                "100 ms later there is one");
    unit_result(taken(&bucket, &rate, 5000, 20) == 10,
                "and then a burst again");

    unit_result(taken(&bucket, &rate, 4000, 20) == 0 && bucket.last == 5000,
                "a worker that lags refills nothing and turns no clock back");
    unit_result(taken(&bucket, &rate, 5099, 20) == 0,
                "so that no millisecond counts twice");
    unit_result(taken(&bucket, &rate, 5100, 20) == 1, "nor is one lost");

    bucket.last = 65000;
    bucket.spent = rate.capacity;
    unit_result(taken(&bucket, &rate, 5000, 20) == 0 && bucket.last == 65000,
                "a worker may lag by a minute");

    bucket.last = 5000 + (ngx_msec_t) -1 / 2;
    unit_result(taken(&bucket, &rate, 5000, 20) == 10 && bucket.last == 5000,
                "a bucket from half a round ago is whole");
}


static void
test_reload(void)
{
    prov_limit_rate_t    rate;
    prov_limit_room_t    room;
    prov_limit_bucket_t  bucket = { 0, 0 };

    prov_limit_rate_set(&rate, 10, SECOND, 100);
    unit_result(taken(&bucket, &rate, 0, 90) == 90, "90 of 100 are taken");

    prov_limit_rate_set(&rate, 10, MINUTE, 200);
    unit_result(taken(&bucket, &rate, 0, 500) == 110,
                "with twice the burst 110 are left, whatever the rate");

    prov_limit_rate_set(&rate, 10, SECOND, 5);
    unit_result(taken(&bucket, &rate, 0, 9) == 0,
                "with a smaller one it is empty");
    prov_limit_bucket_room(&bucket, &rate, &room);
    unit_result(room.remaining == 0 && room.reset == 1,
                "but not more than empty");
    unit_result(taken(&bucket, &rate, 100, 9) == 1, "and refills from there");
}


/*
 * One random rate and a random history.  The model is a plain count of what is
 * there; the law: within any time t at most burst + rate * t pass.
 */

static ngx_uint_t
history(void)
{
    uint64_t              model, elapsed, need;
    ngx_int_t             rc;
    ngx_msec_t            now, started, at[REQUESTS];
    ngx_uint_t            i, j, n, hurry;
    prov_limit_room_t     room;
    prov_limit_rate_t     rate;
    prov_limit_bucket_t   bucket, later;
    static ngx_msec_t     periods[] = { SECOND, MINUTE, HOUR };

    prov_limit_rate_set(&rate, 1 + unit_below(50),
                        periods[unit_below(3)], 1 + unit_below(20));
    hurry = 1 + unit_below(3) * unit_below(2000);

    /* one in two histories sees the clock come round */

    started = unit_below(2) ? (ngx_msec_t) - (ngx_msec_t)
                                (1 + unit_below(hurry * REQUESTS))
                              : (ngx_msec_t) unit_below(1000000);
    now = started;
    bucket.spent = 0;
    bucket.last = now;
    model = rate.capacity;
    n = 0;

    for (i = 0; i < REQUESTS; i++) {

        elapsed = unit_below(hurry);
        now += elapsed;

        while (elapsed && model < rate.capacity) {
            model = ngx_min(model + rate.fill, rate.capacity);
            elapsed--;
        }

        rc = prov_limit_bucket_take(&bucket, &rate, now);

        if ((rc == NGX_OK) != (model >= PROV_LIMIT_UNIT)) {
            printf("# request %u is not what the model says\n", (unsigned) i);
            return 0;
        }

        if (rc == NGX_OK) {
            model -= PROV_LIMIT_UNIT;
            at[n++] = now;

            /* a burst may end at any request, and begin at any before it */

            for (j = 0; j < n; j++) {
                need = (uint64_t) (n - j) * PROV_LIMIT_UNIT;

                if (need > rate.capacity
                           + (uint64_t) (now - at[j]) * rate.fill)
                {
                    printf("# %u requests are too many\n",
                           (unsigned) (n - j));
                    return 0;
                }
            }
        }

        prov_limit_bucket_room(&bucket, &rate, &room);

        if (room.remaining != model / PROV_LIMIT_UNIT) {
            printf("# what remains is not what the model says\n");
            return 0;
        }

        if (rc == NGX_OK) {
            continue;
        }

        /* Retry-After is true, also by a coarse clock, and not too long */

        later = bucket;
        rc = prov_limit_bucket_take(&later, &rate,
                                    now + room.reset * 1000
                                    - PROV_LIMIT_GRAIN);

        if (room.reset == 0 || rc != NGX_OK) {
            printf("# after %u s there is none\n", (unsigned) room.reset);
            return 0;
        }

        later = bucket;

        if (room.reset > 1
            && prov_limit_bucket_take(&later, &rate,
                                      now + (room.reset - 1) * 1000
                                      - PROV_LIMIT_GRAIN)
               == NGX_OK)
        {
            printf("# %u s are too long\n", (unsigned) room.reset);
            return 0;
        }
    }

    return 1;
}


int
main(int argc, char **argv)
{
    ngx_uint_t  i;

    unit_seed((argc > 1) ? argv[1] : "0");

    test_burst();
    test_slow();
    test_clocks();
    test_reload();

    for (i = 0; i < ROUNDS && history(); i++) { /* void */ }

    unit_result(i == ROUNDS,
                "random histories agree with the model and with the law");

    return unit_end();
}
