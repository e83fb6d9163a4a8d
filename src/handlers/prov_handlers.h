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

/* the keys of issuers are there; the database answers, and has all that the
   document needs */
ngx_int_t prov_handler_health_ready(ngx_http_request_t *r);

/* the public keys of the signers that this location trusts */
ngx_int_t prov_handler_jwks(ngx_http_request_t *r);

/* a token for a key (RFC 6749, section 4.4) */
ngx_int_t prov_handler_oauth_token(ngx_http_request_t *r);

/* the signer of the tokens that this location accepts, or NULL */
prov_auth_signer_t *prov_handler_signer(prov_request_conf_t *conf);


#endif /* _PROV_HANDLERS_H_INCLUDED_ */
