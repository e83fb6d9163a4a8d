/*
 * What stands between jansson and malloc().  It notices that an allocation
 * failed while prov_json_memory_load() was reading, in which thread, and has
 * jansson stop; for everything else in the process that uses jansson it only
 * passes on.
 *
 * jansson collects the bytes of a token in a buffer that it doubles from 16
 * bytes on, and does not look whether that succeeded: the bytes are lost.
 * After that it would copy a string up to a quote that is not there, or find
 * at the end of a number or word that the byte it takes back is another one,
 * which it asserts.  So from the first failure on every allocation fails (no
 * value can be made, and jansson returns), but for what such a buffer may ask
 * for next: that comes out of a small reserve, up to the length that a number
 * or word can have (prov_json_scan.c sees to that), until one has been refused.
 */

#include "base/prov_json_memory.h"


/* for the longest number or word, the byte after it, and a NUL */
#define PROV_JSON_BUFFER_MAX  2048

/* all of its doublings, and as many texts that happen to have such a size */
#define PROV_JSON_RESERVE     8192


typedef struct {
    ngx_uint_t    failed;
    size_t        used;      /* of the reserve */

    union {
        u_char        bytes[PROV_JSON_RESERVE];
        long double   aligned;
    } reserve;
} prov_json_reading_t;


static void prov_json_memory_done(void *data);
static void *prov_json_malloc(size_t size);
static void prov_json_free(void *p);
static ngx_uint_t prov_json_reserved(u_char *p);


/* set before there are threads: in whose front we are, and for how many */

static json_malloc_t                   prov_json_next_malloc;
static json_free_t                     prov_json_next_free;
static ngx_uint_t                      prov_json_configurations;

/* what this thread reads, on its stack; NULL while it does not */

static __thread prov_json_reading_t   *prov_json_reading;


ngx_int_t
prov_json_memory_init(ngx_pool_t *pool)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = prov_json_memory_done;

    if (prov_json_configurations++ == 0) {
        json_get_alloc_funcs(&prov_json_next_malloc, &prov_json_next_free);
        json_set_alloc_funcs(prov_json_malloc, prov_json_free);
    }

    return NGX_OK;
}


/* a reload may have left us out, and will then unload this code */

static void
prov_json_memory_done(void *data)
{
    json_free_t    free_fn;
    json_malloc_t  malloc_fn;

    if (--prov_json_configurations) {
        return;
    }

    json_get_alloc_funcs(&malloc_fn, &free_fn);

    if (malloc_fn == prov_json_malloc) {
        json_set_alloc_funcs(prov_json_next_malloc, prov_json_next_free);
    }
}


json_t *
prov_json_memory_load(u_char *data, size_t len, size_t flags, json_error_t *je,
    ngx_uint_t *failed)
{
    json_t               *json;
    prov_json_reading_t   reading;

    reading.failed = 0;
    reading.used = 0;

    prov_json_reading = &reading;

    json = json_loadb((char *) data, len, flags, je);

    if (reading.failed) {
        /* parts of it may be in the reserve */
        json_decref(json);
        json = NULL;
    }

    prov_json_reading = NULL;

    *failed = reading.failed;

    return json;
}


static void *
prov_json_malloc(size_t size)
{
    void                 *p;
    prov_json_reading_t  *reading;

    reading = prov_json_reading;

    if (reading == NULL || !reading->failed) {

        p = prov_json_next_malloc(size);

        if (p || reading == NULL) {
            return p;
        }

        reading->failed = 1;
    }

    if (size >= 16 && size <= PROV_JSON_BUFFER_MAX
        && (size & (size - 1)) == 0
        && size <= PROV_JSON_RESERVE - reading->used)
    {
        p = reading->reserve.bytes + reading->used;
        reading->used += size;
        return p;
    }

    /* bytes may be lost from here on: nothing may hold what is left */

    reading->used = PROV_JSON_RESERVE;

    return NULL;
}


static void
prov_json_free(void *p)
{
    if (!prov_json_reserved(p)) {
        prov_json_next_free(p);
    }
}


static ngx_uint_t
prov_json_reserved(u_char *p)
{
    prov_json_reading_t  *reading;

    reading = prov_json_reading;

    return reading && p >= reading->reserve.bytes
           && p < reading->reserve.bytes + PROV_JSON_RESERVE;
}
