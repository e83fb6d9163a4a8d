/*
 * What a request for a token says, between the file that reads it and the one
 * that answers it.
 */

#ifndef _PROV_HANDLER_OAUTH_H_INCLUDED_
#define _PROV_HANDLER_OAUTH_H_INCLUDED_


#include "handlers/prov_handlers.h"


/* bytes of the form */
#define PROV_OAUTH_MAX_FORM  8192


typedef struct {
    ngx_str_t    grant_type;
    ngx_str_t    client_id;
    ngx_str_t    client_secret;
    ngx_str_t    scope;
} prov_oauth_form_t;


/*
 * Reads the body, and the Authorization header.  NGX_OK; NGX_DECLINED: *what
 * says what is wrong; NGX_ERROR: no memory.
 */
ngx_int_t prov_oauth_form(ngx_http_request_t *r, prov_oauth_form_t *form,
    const char **what);


#endif /* _PROV_HANDLER_OAUTH_H_INCLUDED_ */
