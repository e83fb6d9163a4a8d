/*
 * Webhooks, as Standard Webhooks has them
 * (https://github.com/standard-webhooks/standard-webhooks): what is signed and
 * how, and what of a receiver's answer is kept.  The driver (prov_webhook.c)
 * is what src/jobs calls; the rest knows of no job.
 */

#ifndef _PROV_WEBHOOK_H_INCLUDED_
#define _PROV_WEBHOOK_H_INCLUDED_


#include "base/prov_base.h"


/* bytes of an HMAC's secret, and of the seed of an Ed25519 key (RFC 8032) */
#define PROV_WEBHOOK_SECRET      32

/* how many secrets sign at a time: this one, and those before that are still
   good (partner.webhook_rotate() keeps as many) */
#define PROV_WEBHOOK_SECRETS     4

/* "v1," or "v1a,", and the base64 of 64 bytes at most; a blank or a NUL */
#define PROV_WEBHOOK_SIGNATURE   (sizeof("v1a, ") + 88)

/* characters of what a receiver answers that are kept, of headers and body */
#define PROV_WEBHOOK_KEPT        8192

/* a shorter value of a header is no secret */
#define PROV_WEBHOOK_GUARDED     6


typedef enum {
    PROV_WEBHOOK_V1 = 0,         /* HMAC-SHA256 */
    PROV_WEBHOOK_V1A             /* Ed25519 */
} prov_webhook_algorithm_e;


/*
 * prov_webhook.c: the keys (prov_seal_key_t) that secrets are unsealed with,
 * and what all workers note their complaints about them in; once per worker,
 * borrowed from the cycle.
 */
void prov_webhook_init_worker(ngx_array_t *keys, ngx_atomic_t *complained);

/*
 * prov_webhook_sign.c: one signature of "<id>.<timestamp>.<payload>", with its
 * prefix, NUL-terminated, into signature, which has room for
 * PROV_WEBHOOK_SIGNATURE bytes.  secret has PROV_WEBHOOK_SECRET bytes.
 */
ngx_int_t prov_webhook_sign(prov_webhook_algorithm_e algorithm,
    ngx_str_t *secret, ngx_str_t *content, u_char *signature);

/* What is signed; in the pool, data == NULL when there is no memory. */
ngx_str_t prov_webhook_content(ngx_pool_t *pool, ngx_str_t *id,
    time_t timestamp, ngx_str_t *payload);

/*
 * prov_webhook_text.c: what a stranger has answered as text that may be kept:
 * UTF-8 without control characters but tab and line breaks, each thing that is
 * not becoming U+FFFD; values (of nvalues headers of the partner's) are masked;
 * at most max bytes.  In the pool, data == NULL when there is no memory.
 */
ngx_str_t prov_webhook_text(ngx_pool_t *pool, ngx_str_t *bytes, size_t max,
    ngx_str_t *values, ngx_uint_t nvalues);


#endif /* _PROV_WEBHOOK_H_INCLUDED_ */
