/*
 * One attempt that failed: which requests are noted, and what of them.  Called
 * by prov_request_attempts.c; nothing that a request carried is noted but what
 * is listed here.
 */

#include "request/prov_request_attempt.h"


static void prov_attempt_named(prov_attempt_t *attempt,
    prov_request_ctx_t *ctx);
static void prov_attempt_set(prov_attempt_t *attempt, prov_attempt_text_e n,
    ngx_str_t *text);


static const char  *prov_attempt_names[PROV_ATTEMPT_TEXTS] = {
    "operation", "code", "partner", "tenant", "named", "subject", "issuer",
    "key", "ip", "user_agent", "request_id"
};


/* Who was denied anything, and every change that failed. */

ngx_uint_t
prov_attempt_wanted(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_uint_t status)
{
    if (ctx->conf == NULL || ctx->conf->service == NULL
        || ctx->operation == NULL || !r->header_sent)
    {
        return 0;
    }

    if (status == NGX_HTTP_UNAUTHORIZED || status == NGX_HTTP_FORBIDDEN) {
        return 1;
    }

    return status >= NGX_HTTP_BAD_REQUEST
           && ctx->operation->method != PROV_OPENAPI_GET;
}


void
prov_attempt_fill(prov_attempt_t *attempt, ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_uint_t status)
{
    ngx_time_t            *tp;
    prov_auth_identity_t  *identity;

    ngx_memzero(attempt, sizeof(prov_attempt_t));

    tp = ngx_timeofday();

    attempt->status = status;
    attempt->times = 1;
    attempt->at = (uint64_t) tp->sec * 1000 + tp->msec;

    prov_attempt_set(attempt, PROV_ATTEMPT_OPERATION, &ctx->operation->id);
    prov_attempt_set(attempt, PROV_ATTEMPT_CODE, &ctx->problem.code);
    prov_attempt_set(attempt, PROV_ATTEMPT_TENANT, &ctx->tenant);
    prov_attempt_set(attempt, PROV_ATTEMPT_REQUEST, &ctx->id);
    prov_attempt_set(attempt, PROV_ATTEMPT_IP, &r->connection->addr_text);

    if (r->headers_in.user_agent) {
        prov_attempt_set(attempt, PROV_ATTEMPT_AGENT,
                         &r->headers_in.user_agent->value);
    }

    prov_attempt_named(attempt, ctx);

    identity = ctx->identity;

    if (identity) {
        prov_attempt_set(attempt, PROV_ATTEMPT_PARTNER, &identity->partner);
        prov_attempt_set(attempt, PROV_ATTEMPT_SUBJECT, &identity->subject);
        prov_attempt_set(attempt, PROV_ATTEMPT_KEY, &identity->key);

        if (identity->issuer) {
            prov_attempt_set(attempt, PROV_ATTEMPT_ISSUER,
                             &identity->issuer->iss);
        }
    }
}


/* As it is written there: who was denied did not get as far as a look. */

static void
prov_attempt_named(prov_attempt_t *attempt, prov_request_ctx_t *ctx)
{
    ngx_uint_t                 i;
    prov_openapi_parameter_t  *param;

    static ngx_str_t  partner = ngx_string("partner");

    if (!ctx->operation->api->partnerless || ctx->values == NULL) {
        return;
    }

    param = ctx->operation->parameters.elts;

    for (i = 0; i < ctx->operation->npath; i++) {
        if (param[i].name.len == partner.len
            && ngx_strncmp(param[i].name.data, partner.data, partner.len) == 0)
        {
            prov_attempt_set(attempt, PROV_ATTEMPT_NAMED,
                             &ctx->values[i]);
            return;
        }
    }
}


static void
prov_attempt_set(prov_attempt_t *attempt, prov_attempt_text_e n,
    ngx_str_t *text)
{
    if (text->len == 0) {
        return;
    }

    attempt->len[n] = ngx_min(text->len, PROV_ATTEMPT_TEXT);
    ngx_memcpy(attempt->text[n], text->data, attempt->len[n]);
}


ngx_uint_t
prov_attempt_same(prov_attempt_t *one, prov_attempt_t *other)
{
    ngx_uint_t  i;

    if (one->status != other->status) {
        return 0;
    }

    for (i = 0; i < PROV_ATTEMPT_REQUEST; i++) {
        if (one->len[i] != other->len[i]
            || ngx_memcmp(one->text[i], other->text[i], one->len[i]) != 0)
        {
            return 0;
        }
    }

    return 1;
}


u_char *
prov_attempt_write(u_char *p, prov_attempt_t *attempt)
{
    ngx_str_t   text;
    ngx_uint_t  i;

    p = ngx_sprintf(p, "{\"status\":%ui,\"count\":%ui,\"at\":%uL",
                    attempt->status, attempt->times, attempt->at);

    if (attempt->len[PROV_ATTEMPT_SUBJECT]) {
        p = ngx_sprintf(p, ",\"kind\":\"%s\"",
                        attempt->len[PROV_ATTEMPT_KEY] ? "key" : "user");
    }

    for (i = 0; i < PROV_ATTEMPT_TEXTS; i++) {

        if (attempt->len[i] == 0) {
            continue;
        }

        text.data = attempt->text[i];
        text.len = attempt->len[i];

        p = ngx_sprintf(p, ",\"%s\":", prov_attempt_names[i]);
        p = prov_json_quote(p, &text);
    }

    *p++ = '}';

    return p;
}
