/*
 * A request for a token, between the file that reads it, the one that decides
 * and the one that signs and answers.
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


typedef struct {
    prov_auth_signer_t    *signer;
    prov_oauth_form_t      form;
    ngx_str_t              scopes[PROV_AUTH_MAX_ROLES];
    ngx_uint_t             nscopes;
    prov_auth_signing_t    signing;
} prov_oauth_t;


/*
 * Reads the body, and the Authorization header.  NGX_OK; NGX_DECLINED: *what
 * says what is wrong; NGX_ERROR: no memory.
 */
ngx_int_t prov_oauth_form(ngx_http_request_t *r, prov_oauth_form_t *form,
    const char **what);

/*
 * Records that a token with the scopes that have been found is given for this
 * key; then signs and answers it.  NGX_AGAIN: that comes later; else what to
 * finalize with.
 */
ngx_int_t prov_oauth_record(ngx_http_request_t *r, prov_oauth_t *oauth,
    prov_auth_identity_t *identity);
ngx_int_t prov_oauth_sign(ngx_http_request_t *r, prov_oauth_t *oauth);

/* the scopes with blanks between them, and at most how many bytes that is */
u_char *prov_oauth_scope(u_char *p, prov_oauth_t *oauth);
size_t prov_oauth_scope_len(prov_oauth_t *oauth);

/* RFC 6749, section 5.2; both texts are literals without quotation marks */
ngx_int_t prov_oauth_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *error, const char *description);


#endif /* _PROV_HANDLER_OAUTH_H_INCLUDED_ */
