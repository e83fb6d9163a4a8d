/*
 * What src/auth needs besides auth_shim.h where keys are fetched: the HTTP
 * client, which sends nothing and answers what a program tells it to; timers,
 * threads and shared memory that a program drives.
 */

#ifndef _HTTP_SHIM_H_INCLUDED_
#define _HTTP_SHIM_H_INCLUDED_


#include "http/prov_http.h"
#include "ngx_shim.h"


/* requests that were submitted, ever */
extern ngx_uint_t  http_shim_requests;

/* those that are neither answered nor released; the oldest one, or NULL */
ngx_uint_t http_shim_open(void);
prov_http_request_t *http_shim_request(void);

/* Answers the oldest one; without an error status and body count. */
void http_shim_answer(prov_http_error_e error, ngx_uint_t status,
    const char *headers, const char *body);

/* Time passes, and timers expire in their order; then threads have time. */
void http_shim_pass(ngx_msec_t time);

/* Threads do what they were given; how much that was. */
ngx_uint_t http_shim_threads(void);

/* They come to an end, and nobody is told what has become of their work. */
void http_shim_threads_end(void);

/* 1: there is no thread to be had */
extern ngx_uint_t  http_shim_busy;

/* The zones that the configuration has asked for are made, or their memory is
   given back. */
void http_shim_zones(void);
void http_shim_zones_free(void);


#endif /* _HTTP_SHIM_H_INCLUDED_ */
