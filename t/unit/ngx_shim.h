/*
 * A small stand-in for nginx's core, for unit programs and fuzz targets: the
 * types are nginx's own (its headers are on the include path), the functions
 * are here, so that nothing of nginx need be linked.  Each allocation is a
 * malloc() of its own, of the size that was asked for and not rounded up, so
 * that sanitizers see what an arena hides.
 */

#ifndef _NGX_SHIM_H_INCLUDED_
#define _NGX_SHIM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * The n-th allocation from now on (from 1) fails, and only that one; 0 ends
 * it.  ngx_shim_failed() says whether it has come to that.
 */
void ngx_shim_fail_at(ngx_uint_t n);
ngx_uint_t ngx_shim_failed(void);

/* what counts as an allocation above; for json_set_alloc_funcs(), too */
void *ngx_shim_malloc(size_t size);

/* a log at NGX_LOG_ERR, to stderr */
ngx_log_t *ngx_shim_log(void);

/* ngx_timeofday() and ngx_time() stand still until this is called again */
void ngx_shim_set_time(time_t sec, ngx_uint_t msec);


#endif /* _NGX_SHIM_H_INCLUDED_ */
