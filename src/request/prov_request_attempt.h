/*
 * One attempt, as it is noted: what prov_request_attempt.c makes of a request,
 * and prov_request_attempts.c keeps and sends.  Nobody else includes this.
 */

#ifndef _PROV_REQUEST_ATTEMPT_H_INCLUDED_
#define _PROV_REQUEST_ATTEMPT_H_INCLUDED_


#include "request/prov_request.h"
#include "base/prov_json_write.h"


/* of a text that is noted; what is longer is cut */
#define PROV_ATTEMPT_TEXT    128
#define PROV_ATTEMPT_TEXTS   11

/* punctuation and names of one attempt in a batch, and its numbers */
#define PROV_ATTEMPT_FRAME   256

#define PROV_ATTEMPT_SIZE    (PROV_ATTEMPT_FRAME + PROV_ATTEMPT_TEXTS         \
                              * prov_json_quoted(PROV_ATTEMPT_TEXT))


typedef enum {
    PROV_ATTEMPT_OPERATION = 0,
    PROV_ATTEMPT_CODE,
    PROV_ATTEMPT_PARTNER,
    PROV_ATTEMPT_TENANT,
    PROV_ATTEMPT_NAMED,        /* the partner in an operator's path */
    PROV_ATTEMPT_SUBJECT,
    PROV_ATTEMPT_ISSUER,
    PROV_ATTEMPT_KEY,
    PROV_ATTEMPT_IP,
    PROV_ATTEMPT_AGENT,
    PROV_ATTEMPT_REQUEST       /* not compared: the first one's is kept */
} prov_attempt_text_e;


typedef struct {
    ngx_uint_t               status;
    ngx_uint_t               times;
    uint64_t                 at;           /* ms since the epoch */
    u_char                   len[PROV_ATTEMPT_TEXTS];
    u_char                   text[PROV_ATTEMPT_TEXTS][PROV_ATTEMPT_TEXT];
} prov_attempt_t;


/* Whether there is anything to note of a request that is over. */
ngx_uint_t prov_attempt_wanted(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_uint_t status);

void prov_attempt_fill(prov_attempt_t *attempt, ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_uint_t status);

/* Whether they differ in nothing but the time and the request. */
ngx_uint_t prov_attempt_same(prov_attempt_t *one, prov_attempt_t *other);

/* As JSON, of at most PROV_ATTEMPT_SIZE bytes. */
u_char *prov_attempt_write(u_char *p, prov_attempt_t *attempt);


#endif /* _PROV_REQUEST_ATTEMPT_H_INCLUDED_ */
