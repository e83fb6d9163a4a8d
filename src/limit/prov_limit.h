/*
 * How much is too much: token buckets in shared memory, one for each caller,
 * partner or address.  Called by the module and src/request, who know what a
 * bucket is for; never looks at a request, and never waits for anything but a
 * zone's mutex.
 */

#ifndef _PROV_LIMIT_H_INCLUDED_
#define _PROV_LIMIT_H_INCLUDED_


#include "base/prov_base.h"


/*
 * Buckets count in parts of a request, so many to one: what any rate, be it a
 * second's, a minute's or an hour's, refills in a millisecond is an integer.
 */
#define PROV_LIMIT_UNIT   3600000

/* of rate and burst; more would be no limit, and less than 2^63 units */
#define PROV_LIMIT_MAX    1000000

/* bytes of a zone's name, and of what a bucket is found by */
#define PROV_LIMIT_NAME   64
#define PROV_LIMIT_KEY    32

/*
 * Milliseconds.  Workers read the time once in each turn of their loop, from
 * a clock that may advance in steps of that size (CLOCK_MONOTONIC_COARSE), so
 * a request may be stamped that much before it came.
 */
#define PROV_LIMIT_GRAIN  10


typedef struct {
    ngx_uint_t           number;     /* requests … */
    ngx_msec_t           period;     /* … in so many milliseconds */
    ngx_uint_t           burst;      /* requests that a whole bucket holds */
    uint64_t             fill;       /* units per millisecond */
    uint64_t             capacity;   /* units */
} prov_limit_rate_t;


typedef struct {
    uint64_t             spent;      /* units missing from the capacity … */
    ngx_msec_t           last;       /* … at that ngx_current_msec */
} prov_limit_bucket_t;


/* what a bucket still holds */

typedef struct {
    ngx_uint_t           remaining;  /* requests */
    ngx_uint_t           reset;      /* seconds until there is one, if there
                                        is none, or else until it is whole */
} prov_limit_room_t;


typedef struct prov_limit_shared_s  prov_limit_shared_t;  /* private */

/* provisioning_limit_zone: the memory, and the one rate that is kept in it */

typedef struct {
    ngx_str_t             name;
    ngx_shm_zone_t       *shm;
    ngx_slab_pool_t      *slab;
    prov_limit_shared_t  *shared;
    prov_limit_rate_t     rate;      /* fill 0: no limit uses the zone yet */
    ngx_str_t             key;       /* as the first limit has it */
    u_char               *file;      /* where that stands */
    ngx_uint_t            line;
} prov_limit_zone_t;


/*
 * prov_limit_conf.c.  The directive "provisioning_limit_zone name size";
 * zones is the array of prov_limit_zone_t * that the configuration keeps.
 */
char *prov_limit_zone_conf(ngx_conf_t *cf, ngx_array_t *zones);

/* The zone of that name among prov_limit_zone_t *, or NULL. */
prov_limit_zone_t *prov_limit_zone_find(ngx_array_t *zones, ngx_str_t *name);

/*
 * Reads "rate=…" or "burst=…" into a rate that began zeroed; NGX_DECLINED:
 * the parameter is another one.  finish says what is missing, and computes
 * the rest.
 */
ngx_int_t prov_limit_rate_parameter(ngx_conf_t *cf, prov_limit_rate_t *rate,
    ngx_str_t *value);
ngx_int_t prov_limit_rate_finish(ngx_conf_t *cf, prov_limit_rate_t *rate);
void prov_limit_rate_set(prov_limit_rate_t *rate, ngx_uint_t number,
    ngx_msec_t period, ngx_uint_t burst);

/*
 * prov_limit_bucket.c: the arithmetic.  Takes one request out of a bucket:
 * NGX_OK, or NGX_BUSY when there is none.  give puts it back.  Both refill
 * it first.
 */
ngx_int_t prov_limit_bucket_take(prov_limit_bucket_t *bucket,
    prov_limit_rate_t *rate, ngx_msec_t now);
void prov_limit_bucket_give(prov_limit_bucket_t *bucket,
    prov_limit_rate_t *rate, ngx_msec_t now);
void prov_limit_bucket_refill(prov_limit_bucket_t *bucket,
    prov_limit_rate_t *rate, ngx_msec_t now);
void prov_limit_bucket_room(prov_limit_bucket_t *bucket,
    prov_limit_rate_t *rate, prov_limit_room_t *room);
ngx_uint_t prov_limit_rate_window(prov_limit_rate_t *rate);

/*
 * prov_limit_key.c.  What a bucket is found by, made of what it is for; kind
 * keeps apart values that mean different things.  NGX_ERROR: no memory.
 */
ngx_int_t prov_limit_key(u_char *key, u_char kind, ngx_str_t *value,
    ngx_str_t *more);

/*
 * prov_limit_zone.c.  Takes one request out of the bucket of that key, which
 * is made whole when there is none yet; room is what it holds then.  NGX_OK;
 * NGX_BUSY: it is empty; NGX_DECLINED: there is no memory even after others
 * were forgotten, so nothing was counted, and room is not set.  give puts it
 * back, for a request that another limit has refused.
 */
ngx_int_t prov_limit_take(prov_limit_zone_t *zone, u_char *key,
    prov_limit_room_t *room);
void prov_limit_give(prov_limit_zone_t *zone, u_char *key,
    prov_limit_room_t *room);

/* ngx_shm_zone_t's init */
ngx_int_t prov_limit_zone_init(ngx_shm_zone_t *shm, void *data);


#endif /* _PROV_LIMIT_H_INCLUDED_ */
