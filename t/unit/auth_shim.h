/*
 * The little of nginx's core that src/auth calls, for programs without a
 * server: a pool in which every piece is its own allocation (so that a
 * sanitizer sees each overrun), a clock that is set, a log that is kept, an
 * allocator that fails on demand, and a reader of one configuration block.
 */

#ifndef _AUTH_SHIM_H_INCLUDED_
#define _AUTH_SHIM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* sets what ngx_time() reads */
void auth_shim_clock(time_t now);

/* allocations that still succeed; -1: all of them */
extern long    auth_shim_allocations;

/* what was logged since it was last emptied; lines end with '\n' */
extern char    auth_shim_log[16384];


/* A configuration whose relative file names begin at prefix. */
void auth_shim_conf(ngx_conf_t *cf, ngx_cycle_t *cycle, ngx_pool_t *pool,
    const char *prefix);

/* Calls set() as for the directive 'name argument { text }'. */
char *auth_shim_block(ngx_conf_t *cf, const char *name, const char *argument,
    const char *text, char *(*set)(ngx_conf_t *cf, ngx_array_t *conf),
    ngx_array_t *conf);


#endif /* _AUTH_SHIM_H_INCLUDED_ */
