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

/* of x-event-stream: the caller's events as they happen */
ngx_int_t prov_handler_events(ngx_http_request_t *r);

/*
 * provisioning_event_streams; once the configuration has been read, the
 * database that is asked: the one it names, or jobs, that of provisioning_jobs
 * (NULL: nobody can listen).  wake: something was committed.
 */
typedef struct prov_events_conf_s  prov_events_conf_t;

prov_events_conf_t *prov_events_create(ngx_conf_t *cf);
char *prov_events_directive(ngx_conf_t *cf, prov_events_conf_t *conf);
ngx_int_t prov_events_database(ngx_conf_t *cf, prov_events_conf_t *conf,
    ngx_array_t *databases, prov_db_conf_t *jobs);
void prov_events_init_worker(prov_events_conf_t *conf);
void prov_events_exit_worker(void);
void prov_events_wake(void);

/* the signer of the tokens that this location accepts, or NULL */
prov_auth_signer_t *prov_handler_signer(prov_request_conf_t *conf);


#endif /* _PROV_HANDLERS_H_INCLUDED_ */
