/*
 * Identifiers made at the edge: UUID version 7 (RFC 9562), so that a retried
 * mutation keeps its id and creation order is id order.  Called for every
 * request that may change something, and for request ids.
 */

#ifndef _PROV_ID_H_INCLUDED_
#define _PROV_ID_H_INCLUDED_


#include "base/prov_base.h"


#define PROV_ID_LEN  36


/*
 * Writes PROV_ID_LEN lower-case characters, no NUL.  Ids made by one worker
 * ascend strictly, also within a millisecond.  NGX_ERROR: no randomness.
 */
ngx_int_t prov_id_make(u_char *text);


#endif /* _PROV_ID_H_INCLUDED_ */
