/*
 * What a change would lead to, validated before it is made (x-validate-result
 * in the document).  The database keeps a change only when its result is the
 * very one that ctx has the hash of, and else hands the result out: that is
 * validated here, as bodies are, and the change asked for once more.  So what
 * is kept has been validated, whatever else has changed meanwhile.  Called
 * by prov_request_query.c with the answer, prov_request_caller.c for ctx.
 */

#include "request/prov_request.h"

#include <openssl/sha.h>


/*
 * Each is lost to a change of somebody else's that was made between two
 * statements, so this many must come at once for one to be turned away.
 */
#define PROV_REQUEST_ROUNDS  16

/* hexadecimal digits */
#define PROV_RESULT_HASH     (2 * SHA256_DIGEST_LENGTH)


static const char  prov_result_format[] =
    ",\"result\":{\"member\":\"%V\",\"sha256\":\"";


static void prov_request_result_checked(ngx_http_request_t *r);
static ngx_int_t prov_request_result_next(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);


size_t
prov_request_result_len(prov_openapi_operation_t *op)
{
    return sizeof(prov_result_format) + op->member.len + PROV_RESULT_HASH + 2;
}


/* The member of ctx; a hash of zeros is nobody's. */

u_char *
prov_request_result_told(u_char *p, prov_request_ctx_t *ctx)
{
    p = ngx_sprintf(p, prov_result_format, &ctx->operation->member);

    ctx->validated = p;

    ngx_memset(p, '0', PROV_RESULT_HASH);
    p += PROV_RESULT_HASH;

    *p++ = '"';
    *p++ = '}';

    return p;
}


/* Status 100, which no operation answers: nothing was kept, here is why. */

ngx_uint_t
prov_request_result_open(prov_request_ctx_t *ctx, PGresult *result)
{
    return ctx->validated && !ctx->refusal && PQntuples(result) == 1
           && PQnfields(result) >= 3
           && ngx_strcmp(PQgetvalue(result, 0, 0), "100") == 0;
}


/* NGX_DONE: the answer comes later; else what to finalize with */

ngx_int_t
prov_request_result(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    PGresult *result)
{
    ngx_int_t              rc;
    prov_request_check_t  *check;

    if (PQgetisnull(result, 0, 1)) {
        return prov_request_broken(r, ctx, "the member that its "
                                           "x-validate-result names");
    }

    if (ctx->rounds == PROV_REQUEST_ROUNDS) {
        rc = prov_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE, "conflict_retry",
                          "The change has collided with others repeatedly; "
                          "nothing was changed. Repeat the request.");

        return (rc == NGX_ERROR) ? NGX_ERROR : prov_problem_retry(r, 1);
    }

    check = ngx_pcalloc(r->pool, sizeof(prov_request_check_t));
    if (check == NULL) {
        return NGX_ERROR;
    }

    /* the query keeps the result until the change is asked for again, and
       has ended the text with the NUL that is set once more */

    check->text.data = (u_char *) PQgetvalue(result, 0, 1);
    check->text.len = PQgetlength(result, 0, 1);
    check->len = check->text.len;
    check->schema = ctx->operation->result;
    check->threads = ctx->conf->service->threads;
    check->resume = prov_request_result_checked;
    check->required = 1;
    check->written = 1;

    ctx->check = check;

    rc = prov_request_check(r, check);

    switch (rc) {

    case NGX_OK:
        return prov_request_result_next(r, ctx);

    case NGX_AGAIN:
        return NGX_DONE;

    default:
        return rc;
    }
}


static void
prov_request_result_checked(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    prov_request_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_provisioning_module);

    rc = prov_request_result_next(r, ctx);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, prov_problem_final(r, rc));
    }
}


static ngx_int_t
prov_request_result_next(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    u_char                 hash[SHA256_DIGEST_LENGTH];
    ngx_uint_t             statement;
    prov_db_class_e        class;
    prov_request_check_t  *check;

    check = ctx->check;

    switch (check->rc) {

    case NGX_OK:
        break;

    case NGX_DECLINED:

        if (check->err.code) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "the result of operation \"%V\" is not acceptable "
                          "JSON, at column %ui: %s", &ctx->operation->id,
                          check->err.column, check->err.text);
            return NGX_ERROR;
        }

        return prov_request_body_violations(r,
                                            "What the change would lead to "
                                            "is not as described; see "
                                            "\"errors\", which point into "
                                            "that.", &check->report);

    case NGX_BUSY:
        return prov_request_body_busy(r);

    default:
        return NGX_ERROR;
    }

    SHA256(check->text.data, check->text.len, hash);

    ngx_hex_dump(ctx->validated, hash, SHA256_DIGEST_LENGTH);

    ctx->rounds++;

    statement = prov_request_statement(ctx, &class);

    return prov_request_ask(r, ctx, statement, class);
}
