/*
 * What every part of the module includes first: nginx's core types, and
 * nothing of HTTP, so that src/base, src/schema and src/auth also build into
 * unit programs and fuzz targets that have no server around them.
 */

#ifndef _PROV_BASE_H_INCLUDED_
#define _PROV_BASE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A mistake in an operator's file (an OpenAPI document, a key set), told so
 * that it can be found: "<file>:<line>:<column>: <message>" while the file is
 * not JSON yet, "<file>#<pointer>: <message>" once it is.  All strings live
 * in the pool that was given to the function that reports.
 */

typedef struct {
    ngx_str_t    file;
    ngx_str_t    pointer;    /* RFC 6901, without the '#'; may be empty */
    ngx_uint_t   line;       /* from 1; 0 when the pointer says where */
    ngx_uint_t   column;
    ngx_str_t    message;    /* one sentence: what is wrong, what to write */
} prov_fault_t;


#endif /* _PROV_BASE_H_INCLUDED_ */
