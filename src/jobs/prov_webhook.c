/*
 * The driver of deliveries: an event becomes a signed request, and what the
 * receiver answers a verdict.  Secrets are unsealed for one request and wiped
 * when it is over.  Called by src/jobs; asks no database.
 */

#include "jobs/prov_jobs.h"
#include "jobs/prov_webhook.h"
#include "base/prov_seal.h"

#include <openssl/crypto.h>


/* our own headers, beside those of the partner (webhooks.json has as many) */
#define PROV_WEBHOOK_OWN      5
#define PROV_WEBHOOK_THEIRS   16

/* s: after which something is tried again that is not the receiver's fault */
#define PROV_WEBHOOK_AGAIN    5

/* s: between two complaints about keys */
#define PROV_WEBHOOK_QUIET    60


/* what is known of a job between request and answer; secrets among it */

typedef struct {
    const char   *lines[PROV_WEBHOOK_OWN + PROV_WEBHOOK_THEIRS];
    ngx_uint_t    nlines;
    ngx_str_t     guarded[PROV_WEBHOOK_THEIRS];   /* in theirs */
    ngx_uint_t    nguarded;
    ngx_str_t     theirs;        /* their lines, a NUL after each */
} prov_webhook_state_t;


static ngx_int_t prov_webhook_request(prov_job_t *job,
    prov_http_request_t *request);
static prov_job_verdict_e prov_webhook_answer(prov_job_t *job,
    prov_http_request_t *request);
static ngx_int_t prov_webhook_start(prov_job_t *job);
static ngx_int_t prov_webhook_signatures(prov_job_t *job, ngx_str_t *endpoint,
    ngx_str_t *event, ngx_str_t *payload);
static ngx_int_t prov_webhook_unseal(prov_job_t *job, const char *purpose,
    ngx_str_t *endpoint, ngx_str_t *sealed, ngx_str_t *text);
static ngx_uint_t prov_webhook_loud(void);
static ngx_int_t prov_webhook_theirs(prov_job_t *job, ngx_str_t *endpoint);
static ngx_int_t prov_webhook_lines(prov_job_t *job, json_t *headers);
static ngx_int_t prov_webhook_line(prov_job_t *job, const char *format,
    ngx_str_t *value);
static ngx_str_t prov_webhook_member(prov_job_t *job, const char *name);
static ngx_str_t prov_webhook_string(json_t *value);
static ngx_int_t prov_webhook_note(prov_job_t *job,
    prov_http_request_t *request);
static void prov_webhook_wipe(void *data);


prov_job_driver_t  prov_webhook_driver = {
    "webhook",
    prov_webhook_request,
    prov_webhook_answer
};


/* the worker's; NULL: there are none */
static ngx_array_t  *prov_webhook_keys;

/* s, of all workers: when one of them has */
static ngx_atomic_t  *prov_webhook_complained;


void
prov_webhook_init_worker(ngx_array_t *keys, ngx_atomic_t *complained)
{
    prov_webhook_keys = keys;
    prov_webhook_complained = complained;
}


static ngx_int_t
prov_webhook_request(prov_job_t *job, prov_http_request_t *request)
{
    ngx_int_t              rc;
    ngx_str_t              url, endpoint, event, payload;
    prov_webhook_state_t  *state;

    url = prov_webhook_member(job, "url");
    endpoint = prov_webhook_member(job, "endpoint");
    event = prov_webhook_member(job, "event");
    payload = prov_webhook_member(job, "payload");

    if (url.len == 0 || endpoint.len == 0) {
        job->error = "the webhook endpoint was deleted";
        return NGX_ERROR;
    }

    if (payload.len == 0 || event.len == 0) {
        job->error = "the event is not kept any more";
        return NGX_ERROR;
    }

    if (prov_webhook_start(job) != NGX_OK
        || prov_webhook_line(job, "Content-Type: application/json", NULL)
           != NGX_OK
        || prov_webhook_line(job, "User-Agent: nginx-provisioning", NULL)
           != NGX_OK
        || prov_webhook_line(job, "webhook-id: %V", &event) != NGX_OK)
    {
        return NGX_AGAIN;
    }

    rc = prov_webhook_signatures(job, &endpoint, &event, &payload);

    if (rc == NGX_OK) {
        rc = prov_webhook_theirs(job, &endpoint);
    }

    if (rc != NGX_OK) {
        prov_webhook_wipe(job->state);
        return (rc == NGX_DECLINED) ? NGX_DECLINED : NGX_AGAIN;
    }

    state = job->state;

    request->method = "POST";
    request->url = (char *) url.data;
    request->headers = state->lines;
    request->nheaders = state->nlines;
    request->body = payload;
    request->scope = (char *) endpoint.data;
    request->max_response = PROV_WEBHOOK_KEPT;
    request->cut = 1;

    return NGX_OK;
}


static ngx_int_t
prov_webhook_start(prov_job_t *job)
{
    ngx_pool_cleanup_t    *cln;
    prov_webhook_state_t  *state;

    state = ngx_pcalloc(job->pool, sizeof(prov_webhook_state_t));
    cln = ngx_pool_cleanup_add(job->pool, 0);

    if (state == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    /* a job may end without an answer */

    cln->handler = prov_webhook_wipe;
    cln->data = state;

    job->state = state;

    return NGX_OK;
}


/*
 * With this secret, and with those before as long as the database hands them
 * out.  These are no reason not to send: one may be sealed with a key that is
 * gone.
 */

static ngx_int_t
prov_webhook_signatures(prov_job_t *job, ngx_str_t *endpoint,
    ngx_str_t *event, ngx_str_t *payload)
{
    u_char                    *p, *line;
    time_t                     now;
    json_t                    *previous;
    ngx_int_t                  rc;
    ngx_str_t                  sealed, secret, content, value;
    ngx_uint_t                 i, n;
    prov_webhook_state_t      *state;
    prov_webhook_algorithm_e   algorithm;

    state = job->state;
    now = ngx_time();

    value = prov_webhook_member(job, "algorithm");
    algorithm = (value.len == 3) ? PROV_WEBHOOK_V1A : PROV_WEBHOOK_V1;

    content = prov_webhook_content(job->pool, event, now, payload);
    line = ngx_pnalloc(job->pool, sizeof("webhook-signature: ")
                                  + PROV_WEBHOOK_SECRETS
                                    * PROV_WEBHOOK_SIGNATURE);
    if (content.data == NULL || line == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(line, "webhook-signature:", sizeof("webhook-signature:"));
    p--;
    n = 0;

    previous = json_object_get(job->data, "previous_secrets");

    for (i = 0; i < PROV_WEBHOOK_SECRETS; i++) {

        sealed = prov_webhook_string(i == 0
                                     ? json_object_get(job->data, "secret")
                                     : json_array_get(previous, i - 1));

        if (sealed.len == 0) {
            continue;
        }

        rc = prov_webhook_unseal(job, algorithm == PROV_WEBHOOK_V1A
                                      ? "webhook_endpoint.private"
                                      : "webhook_endpoint.secret",
                                 endpoint, &sealed, &secret);

        if (rc == NGX_DECLINED && i > 0) {
            job->error = NULL;
            continue;
        }

        if (rc != NGX_OK) {
            return rc;
        }

        *p++ = ' ';

        rc = prov_webhook_sign(algorithm, &secret, &content, p);

        prov_seal_wipe(&secret);

        if (rc != NGX_OK) {
            n = 0;
            break;
        }

        p += ngx_strlen(p);
        n++;
    }

    if (n == 0) {
        /* never unsigned */
        job->error = "the gateway could not sign the event";
        return NGX_DECLINED;
    }

    state->lines[state->nlines++] = (char *) line;

    value.data = ngx_pnalloc(job->pool, NGX_TIME_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%T", now) - value.data;

    return prov_webhook_line(job, "webhook-timestamp: %V", &value);
}


/*
 * NGX_DECLINED: the seal is not one of ours.  The log knows, once a minute and
 * not for each job: the ids of keys are the operator's, those of endpoints are
 * found by whoever looks for them.
 */

static ngx_int_t
prov_webhook_unseal(prov_job_t *job, const char *purpose,
    ngx_str_t *endpoint, ngx_str_t *sealed, ngx_str_t *text)
{
    ngx_int_t    rc;
    ngx_str_t    id;
    const char  *why;

    why = "there is no provisioning_secrets_key";
    rc = NGX_DECLINED;

    if (prov_webhook_keys && prov_webhook_keys->nelts) {
        rc = prov_unseal(job->pool, prov_webhook_keys, purpose, endpoint,
                         sealed, text, &why);
    }

    if (rc != NGX_DECLINED) {
        return rc;
    }

    job->error = "the gateway could not read what it keeps of the endpoint: "
                 "its operator has to look at its keys";

    if (prov_webhook_loud()) {
        prov_seal_key_id(sealed, &id);

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "the %s of %V cannot be unsealed with the key \"%V\": "
                      "%s; there may be more like it", purpose, endpoint, &id,
                      why);
    }

    return NGX_DECLINED;
}


/* Whether none of the workers has complained for long enough. */

static ngx_uint_t
prov_webhook_loud(void)
{
    ngx_atomic_uint_t  now, last;

    now = (ngx_atomic_uint_t) ngx_time();
    last = *prov_webhook_complained;

    return now - last >= PROV_WEBHOOK_QUIET
           && ngx_atomic_cmp_set(prov_webhook_complained, last, now);
}


static ngx_int_t
prov_webhook_theirs(prov_job_t *job, ngx_str_t *endpoint)
{
    json_t             *headers;
    ngx_int_t           rc;
    ngx_str_t           sealed, text;
    prov_json_error_t   err;

    sealed = prov_webhook_member(job, "headers");

    if (sealed.len == 0) {
        return NGX_OK;
    }

    rc = prov_webhook_unseal(job, "webhook_endpoint.headers", endpoint,
                             &sealed, &text);
    if (rc != NGX_OK) {
        return rc;
    }

    headers = prov_json_parse(text.data, text.len, PROV_JSON_BODY_DEPTH, &err);

    prov_seal_wipe(&text);

    if (headers == NULL) {
        job->error = "the endpoint's headers cannot be read";
        return (err.code == PROV_JSON_MEMORY) ? NGX_ERROR : NGX_DECLINED;
    }

    rc = prov_webhook_lines(job, headers);

    json_decref(headers);

    return rc;
}


/* All in one buffer, which is wiped at the end. */

static ngx_int_t
prov_webhook_lines(prov_job_t *job, json_t *headers)
{
    u_char                *p;
    size_t                 len;
    json_t                *value;
    ngx_str_t             *guarded;
    const char            *name;
    prov_webhook_state_t  *state;

    state = job->state;

    if (json_object_size(headers) > PROV_WEBHOOK_THEIRS) {
        job->error = "the endpoint has too many headers";
        return NGX_DECLINED;
    }

    len = 0;

    json_object_foreach(headers, name, value) {
        len += ngx_strlen(name) + json_string_length(value) + sizeof(": ");
    }

    p = ngx_pnalloc(job->pool, len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    state->theirs.data = p;
    state->theirs.len = len;

    json_object_foreach(headers, name, value) {

        state->lines[state->nlines++] = (char *) p;

        p = ngx_cpymem(p, name, ngx_strlen(name));
        *p++ = ':';
        *p++ = ' ';

        guarded = &state->guarded[state->nguarded++];

        guarded->data = p;
        guarded->len = json_string_length(value);

        p = ngx_cpymem(p, json_string_value(value), guarded->len);
        *p++ = '\0';
    }

    return NGX_OK;
}


static ngx_int_t
prov_webhook_line(prov_job_t *job, const char *format, ngx_str_t *value)
{
    u_char                *p;
    prov_webhook_state_t  *state;

    state = job->state;

    p = ngx_pnalloc(job->pool, ngx_strlen(format) + 1
                               + (value ? value->len : 0));
    if (p == NULL) {
        return NGX_ERROR;
    }

    state->lines[state->nlines++] = (char *) p;

    *ngx_sprintf(p, format, value) = '\0';

    return NGX_OK;
}


static ngx_str_t
prov_webhook_member(prov_job_t *job, const char *name)
{
    return prov_webhook_string(json_object_get(job->data, name));
}


/* Which ends with a NUL; empty for null, and for what is not there. */

static ngx_str_t
prov_webhook_string(json_t *value)
{
    ngx_str_t  text;

    text.data = (u_char *) json_string_value(value);
    text.len = json_string_length(value);

    return text;
}


static prov_job_verdict_e
prov_webhook_answer(prov_job_t *job, prov_http_request_t *request)
{
    u_char      *p;
    ngx_uint_t   status;

    status = request->status;

    if (prov_webhook_note(job, request) != NGX_OK) {
        job->retry_after = PROV_WEBHOOK_AGAIN;
        return PROV_JOB_RETURN;
    }

    prov_webhook_wipe(job->state);

    switch (request->error) {

    case PROV_HTTP_ANSWERED:
        break;

    case PROV_HTTP_BREAKER_OPEN:
    case PROV_HTTP_BUSY:
    case PROV_HTTP_NO_MEMORY:
        /* nothing was sent */
        job->retry_after = ngx_max(request->retry_after, PROV_WEBHOOK_AGAIN);
        return PROV_JOB_RETURN;

    case PROV_HTTP_BAD_REQUEST:
        /* nor will it be: no receiver has seen it */
        job->ours = 1;
        return PROV_JOB_FAILED;

    default:
        job->retry_after = request->retry_after;
        return PROV_JOB_RETRY;
    }

    if (status >= 200 && status < 300) {
        return PROV_JOB_DONE;
    }

    p = ngx_pnalloc(job->pool, 128);

    if (p) {
        *ngx_sprintf(p, "the receiver has answered %ui%s", status,
                     (status == 410) ? ": it wants no more events"
                     : (status >= 300 && status < 400)
                       ? "; redirects are not followed" : "") = '\0';
        job->error = (char *) p;
    }

    if (status == 410) {
        return PROV_JOB_FAILED;
    }

    job->retry_after = request->retry_after;

    return PROV_JOB_RETRY;
}


/* A stranger's bytes, and perhaps our own: see prov_webhook_text.c. */

static ngx_int_t
prov_webhook_note(prov_job_t *job, prov_http_request_t *request)
{
    prov_webhook_state_t  *state;

    state = job->state;

    job->headers = prov_webhook_text(job->pool, &request->response_headers,
                                     PROV_WEBHOOK_KEPT, state->guarded,
                                     state->nguarded);
    job->body = prov_webhook_text(job->pool, &request->response,
                                  PROV_WEBHOOK_KEPT, state->guarded,
                                  state->nguarded);

    return job->headers.data && job->body.data ? NGX_OK : NGX_ERROR;
}


static void
prov_webhook_wipe(void *data)
{
    prov_webhook_state_t *state = data;

    if (state == NULL || state->theirs.len == 0) {
        return;
    }

    OPENSSL_cleanse(state->theirs.data, state->theirs.len);

    state->theirs.len = 0;
    state->nguarded = 0;
}
