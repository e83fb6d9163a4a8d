/*
 * Operations that SQL alone cannot serve: what a document's x-handler may
 * name.  Called in the content phase, in the place of the database function,
 * when the request has been allowed and its parameters are valid.
 */

#ifndef _PROV_HANDLERS_H_INCLUDED_
#define _PROV_HANDLERS_H_INCLUDED_


#include "request/prov_request.h"


/* ends with an empty name */
extern prov_request_handler_t  prov_handlers[];

/* the document, as this location serves it */
ngx_int_t prov_handler_openapi(ngx_http_request_t *r);

/* the worker answers */
ngx_int_t prov_handler_health_live(ngx_http_request_t *r);

/* the database answers, and has all that the document needs */
ngx_int_t prov_handler_health_ready(ngx_http_request_t *r);


#endif /* _PROV_HANDLERS_H_INCLUDED_ */
