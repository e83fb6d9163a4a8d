/*
 * Memory, arrays, log and time, for ngx_shim.h.  Where nginx's own functions
 * are long because they are fast, these are short because they are not; what
 * they promise is the same.
 */

#include "ngx_shim.h"


static void ngx_shim_log_write(ngx_log_t *log, ngx_uint_t level, char *buf,
    u_char *p, u_char *last);


static ngx_log_t            ngx_shim_stderr = { .log_level = NGX_LOG_ERR };
static ngx_cycle_t          ngx_shim_cycle = { .log = &ngx_shim_stderr };
static volatile ngx_time_t  ngx_shim_time;
static ngx_uint_t           ngx_shim_countdown;
static ngx_uint_t           ngx_shim_has_failed;


volatile ngx_cycle_t       *ngx_cycle = &ngx_shim_cycle;
volatile ngx_time_t        *ngx_cached_time = &ngx_shim_time;


/* allocation */


void
ngx_shim_fail_at(ngx_uint_t n)
{
    ngx_shim_countdown = n;
    ngx_shim_has_failed = 0;
}


ngx_uint_t
ngx_shim_failed(void)
{
    return ngx_shim_has_failed;
}


void *
ngx_shim_malloc(size_t size)
{
    if (ngx_shim_countdown && --ngx_shim_countdown == 0) {
        ngx_shim_has_failed = 1;
        return NULL;
    }

    /* malloc(0) may be NULL, which would be taken for a failure */
    return malloc(size ? size : 1);
}


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    return ngx_shim_malloc(size);
}


void *
ngx_calloc(size_t size, ngx_log_t *log)
{
    void  *p;

    p = ngx_shim_malloc(size);

    return p ? memset(p, 0, size) : NULL;
}


ngx_pool_t *
ngx_create_pool(size_t size, ngx_log_t *log)
{
    ngx_pool_t  *pool;

    pool = ngx_calloc(sizeof(ngx_pool_t), log);

    if (pool) {
        pool->log = log;
    }

    return pool;
}


void
ngx_destroy_pool(ngx_pool_t *pool)
{
    ngx_reset_pool(pool);
    free(pool);
}


/* unlike nginx's, runs the cleanups: they are in the same list of blocks */

void
ngx_reset_pool(ngx_pool_t *pool)
{
    ngx_pool_large_t    *l, *next;
    ngx_pool_cleanup_t  *c;

    for (c = pool->cleanup; c; c = c->next) {
        if (c->handler) {
            c->handler(c->data);
        }
    }

    for (l = pool->large; l; l = next) {
        next = l->next;
        free(l->alloc);
        free(l);
    }

    pool->cleanup = NULL;
    pool->large = NULL;
}


void *
ngx_palloc(ngx_pool_t *pool, size_t size)
{
    void              *p;
    ngx_pool_large_t  *l;

    p = ngx_shim_malloc(size);
    if (p == NULL) {
        return NULL;
    }

    l = malloc(sizeof(ngx_pool_large_t));
    if (l == NULL) {
        free(p);
        return NULL;
    }

    l->alloc = p;
    l->next = pool->large;
    pool->large = l;

    return p;
}


void *
ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    return ngx_palloc(pool, size);
}


void *
ngx_pcalloc(ngx_pool_t *pool, size_t size)
{
    void  *p;

    p = ngx_palloc(pool, size);

    return p ? memset(p, 0, size) : NULL;
}


ngx_int_t
ngx_pfree(ngx_pool_t *pool, void *p)
{
    ngx_pool_large_t  *l;

    for (l = pool->large; l; l = l->next) {
        if (l->alloc == p) {
            free(p);
            l->alloc = NULL;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


ngx_pool_cleanup_t *
ngx_pool_cleanup_add(ngx_pool_t *pool, size_t size)
{
    ngx_pool_cleanup_t  *c;

    c = ngx_palloc(pool, sizeof(ngx_pool_cleanup_t));
    if (c == NULL) {
        return NULL;
    }

    c->data = NULL;

    if (size) {
        c->data = ngx_palloc(pool, size);
        if (c->data == NULL) {
            return NULL;
        }
    }

    c->handler = NULL;
    c->next = pool->cleanup;
    pool->cleanup = c;

    return c;
}


/* arrays */


ngx_array_t *
ngx_array_create(ngx_pool_t *pool, ngx_uint_t n, size_t size)
{
    ngx_array_t  *a;

    a = ngx_palloc(pool, sizeof(ngx_array_t));

    if (a == NULL || ngx_array_init(a, pool, n, size) != NGX_OK) {
        return NULL;
    }

    return a;
}


void
ngx_array_destroy(ngx_array_t *a)
{
    (void) ngx_pfree(a->pool, a->elts);
}


void *
ngx_array_push(ngx_array_t *a)
{
    return ngx_array_push_n(a, 1);
}


void *
ngx_array_push_n(ngx_array_t *a, ngx_uint_t n)
{
    void        *elts;
    ngx_uint_t   nalloc;

    if (a->nelts + n > a->nalloc) {

        nalloc = 2 * ngx_max(n, a->nalloc);

        elts = ngx_palloc(a->pool, nalloc * a->size);
        if (elts == NULL) {
            return NULL;
        }

        memcpy(elts, a->elts, a->nelts * a->size);

        a->elts = elts;
        a->nalloc = nalloc;
    }

    a->nelts += n;

    return (u_char *) a->elts + (a->nelts - n) * a->size;
}


/* log and time */


ngx_log_t *
ngx_shim_log(void)
{
    return &ngx_shim_stderr;
}


#if (NGX_HAVE_VARIADIC_MACROS)

void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    u_char   *p, buf[NGX_MAX_ERROR_STR];
    va_list   args;

    va_start(args, fmt);
    p = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args);
    va_end(args);

    ngx_shim_log_write(log, level, (char *) buf, p, buf + sizeof(buf));
}

#endif


static void
ngx_shim_log_write(ngx_log_t *log, ngx_uint_t level, char *buf, u_char *p,
    u_char *last)
{
    if (log->writer) {
        log->writer(log, level, (u_char *) buf, p - (u_char *) buf);
        return;
    }

    fprintf(stderr, "# [%d] %.*s\n", (int) level,
            (int) (p - (u_char *) buf), buf);
}


void
ngx_shim_set_time(time_t sec, ngx_uint_t msec)
{
    ngx_shim_time.sec = sec;
    ngx_shim_time.msec = msec;
}
