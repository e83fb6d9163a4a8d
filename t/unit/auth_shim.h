/*
 * What src/auth needs besides ngx_shim.h: a configuration whose one block is
 * read from a text, a log that is kept, and a tree.
 */

#ifndef _AUTH_SHIM_H_INCLUDED_
#define _AUTH_SHIM_H_INCLUDED_


#include "ngx_shim.h"


/* what was logged since it was last emptied; lines end with '\n' */
extern char  auth_shim_log[16384];


/* A configuration whose relative file names begin at prefix. */
void auth_shim_conf(ngx_conf_t *cf, ngx_cycle_t *cycle, ngx_pool_t *pool,
    const char *prefix);

/* Calls set() as for the directive "name argument { text }". */
char *auth_shim_block(ngx_conf_t *cf, const char *name, const char *argument,
    const char *text, char *(*set)(ngx_conf_t *cf, ngx_array_t *conf),
    ngx_array_t *conf);


#endif /* _AUTH_SHIM_H_INCLUDED_ */
