/*
 * The parameters of one request while they are read, between the files that
 * do so.
 */

#ifndef _PROV_REQUEST_PARAMS_H_INCLUDED_
#define _PROV_REQUEST_PARAMS_H_INCLUDED_


#include "request/prov_request.h"


typedef struct {
    ngx_http_request_t   *request;
    prov_request_ctx_t   *ctx;
    json_t              **values;      /* read so far, by parameter */
    prov_violations_t     violations;
} prov_params_t;


/*
 * prov_request_params_read.c: from path, query string and headers into
 * p->values.  What is wrong is one more violation; NGX_ERROR: no memory.
 */
ngx_int_t prov_params_take(prov_params_t *p);

/* One more violation, of a parameter. */
ngx_int_t prov_params_wrong(prov_params_t *p, prov_openapi_in_e in,
    ngx_str_t *name, const char *code, const char *message);


#endif /* _PROV_REQUEST_PARAMS_H_INCLUDED_ */
