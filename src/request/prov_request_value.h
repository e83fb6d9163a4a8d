/*
 * One value of a path, a query string or a header, without the request around
 * it.
 */

#ifndef _PROV_REQUEST_VALUE_H_INCLUDED_
#define _PROV_REQUEST_VALUE_H_INCLUDED_


#include "base/prov_json.h"
#include "schema/prov_schema.h"


/* Text as JSON; a new reference, NULL: no memory, or no UTF-8. */
json_t *prov_value_read(ngx_uint_t types, ngx_str_t *value);

/*
 * Percent-decoding of application/x-www-form-urlencoded, into the pool.
 * NGX_DECLINED for a bad escape, a NUL, or what is not UTF-8.
 */
ngx_int_t prov_value_decode(ngx_pool_t *pool, u_char *start, u_char *last,
    ngx_str_t *text);

ngx_uint_t prov_value_utf8(ngx_str_t *text);


#endif /* _PROV_REQUEST_VALUE_H_INCLUDED_ */
