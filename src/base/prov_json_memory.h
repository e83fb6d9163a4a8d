/*
 * Reading JSON without memory.  jansson 2.14 has no error for an allocation
 * that fails while it reads: it takes good text for bad, leaves a byte out, or
 * ends the process by an assertion.  So it allocates through here, where a
 * failure is seen, and what it was reading is given up.
 */

#ifndef _PROV_JSON_MEMORY_H_INCLUDED_
#define _PROV_JSON_MEMORY_H_INCLUDED_


#include "base/prov_base.h"

#include <jansson.h>


/*
 * Puts us in front of jansson's allocators until the pool is destroyed.  For
 * the one thread of a starting process, before anything is read; it may be
 * called again for each configuration.  What others allocate with jansson,
 * before, meanwhile or after, is theirs to free as ever.
 */
ngx_int_t prov_json_memory_init(ngx_pool_t *pool);

/*
 * json_loadb(); NULL with *failed set when an allocation failed, whatever je
 * says then.  In any thread.
 */
json_t *prov_json_memory_load(u_char *data, size_t len, size_t flags,
    json_error_t *je, ngx_uint_t *failed);


#endif /* _PROV_JSON_MEMORY_H_INCLUDED_ */
