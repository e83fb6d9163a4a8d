/*
 * Problem details (RFC 9457).  A step that fails says what is wrong here and
 * returns the status; nginx then does what it does for any error, and the
 * filter sends the document that is built here.
 */

#include "request/prov_request.h"
#include "base/prov_json_write.h"


typedef struct {
    ngx_uint_t    status;
    ngx_str_t     title;       /* RFC 9110's phrase */
    ngx_str_t     code;        /* where no step has given one */
    ngx_str_t     detail;
} prov_problem_default_t;


static prov_problem_default_t *prov_problem_default(ngx_uint_t status);
static u_char *prov_problem_write(u_char *p, prov_request_ctx_t *ctx,
    prov_problem_default_t *def, ngx_str_t *members);
static ngx_int_t prov_problem_extra(ngx_pool_t *pool, json_t *members,
    ngx_str_t *text);


/* what extension members cannot replace */

static const char  *prov_problem_reserved[] = {
    "type", "title", "status", "detail", "code", "request_id", NULL
};


static prov_problem_default_t  prov_problem_defaults[] = {

    { 400, ngx_string("Bad Request"), ngx_string("bad_request"),
      ngx_string("The request is malformed.") },
    { 401, ngx_string("Unauthorized"), ngx_string("unauthorized"),
      ngx_string("The request needs credentials.") },
    { 402, ngx_string("Payment Required"), ngx_string("payment_required"),
      ngx_string("The request needs a payment.") },
    { 403, ngx_string("Forbidden"), ngx_string("forbidden"),
      ngx_string("Access to this path is not allowed.") },
    { 404, ngx_string("Not Found"), ngx_string("not_found"),
      ngx_string("There is nothing at this path.") },
    { 405, ngx_string("Method Not Allowed"),
      ngx_string("method_not_allowed"),
      ngx_string("This path does not support the method.") },
    { 406, ngx_string("Not Acceptable"), ngx_string("not_acceptable"),
      ngx_string("The response cannot have the form that was asked for.") },
    { 408, ngx_string("Request Timeout"), ngx_string("request_timeout"),
      ngx_string("The request did not arrive in time.") },
    { 409, ngx_string("Conflict"), ngx_string("conflict"),
      ngx_string("The request conflicts with what is there.") },
    { 410, ngx_string("Gone"), ngx_string("gone"),
      ngx_string("What was at this path is no longer there.") },
    { 411, ngx_string("Length Required"), ngx_string("length_required"),
      ngx_string("The request must say how long its body is.") },
    { 412, ngx_string("Precondition Failed"),
      ngx_string("precondition_failed"),
      ngx_string("A precondition in the headers does not hold.") },
    { 413, ngx_string("Content Too Large"), ngx_string("body_too_large"),
      ngx_string("The request body is larger than is accepted here.") },
    { 414, ngx_string("URI Too Long"), ngx_string("uri_too_long"),
      ngx_string("The URI is longer than is accepted here.") },
    { 415, ngx_string("Unsupported Media Type"),
      ngx_string("unsupported_media_type"),
      ngx_string("The body's media type is not supported.") },
    { 416, ngx_string("Range Not Satisfiable"),
      ngx_string("range_not_satisfiable"),
      ngx_string("The range that was asked for does not exist.") },
    { 421, ngx_string("Misdirected Request"),
      ngx_string("misdirected_request"),
      ngx_string("The connection is not one for this host.") },
    { 422, ngx_string("Unprocessable Content"),
      ngx_string("unprocessable_content"),
      ngx_string("The request is well-formed but cannot be followed.") },
    { 423, ngx_string("Locked"), ngx_string("locked"),
      ngx_string("What the request is about is locked.") },
    { 424, ngx_string("Failed Dependency"), ngx_string("failed_dependency"),
      ngx_string("Something that the request depends on has failed.") },
    { 428, ngx_string("Precondition Required"),
      ngx_string("precondition_required"),
      ngx_string("The request must be conditional.") },
    { 429, ngx_string("Too Many Requests"),
      ngx_string("too_many_requests"),
      ngx_string("Too many requests; slow down.") },
    { 451, ngx_string("Unavailable For Legal Reasons"),
      ngx_string("unavailable_for_legal_reasons"),
      ngx_string("Access is denied for legal reasons.") },
    { 500, ngx_string("Internal Server Error"),
      ngx_string("internal_error"),
      ngx_string("The gateway failed. Report the request_id to its "
                 "operator.") },
    { 501, ngx_string("Not Implemented"), ngx_string("not_implemented"),
      ngx_string("The gateway does not implement this.") },
    { 502, ngx_string("Bad Gateway"), ngx_string("bad_gateway"),
      ngx_string("What stands behind the gateway gave no valid answer.") },
    { 503, ngx_string("Service Unavailable"),
      ngx_string("service_unavailable"),
      ngx_string("The service cannot answer now; try again later.") },
    { 504, ngx_string("Gateway Timeout"), ngx_string("gateway_timeout"),
      ngx_string("What stands behind the gateway did not answer in time.") },

    { 0, ngx_string("Error"), ngx_string("error"),
      ngx_string("The request failed.") }
};


ngx_int_t
prov_problem(ngx_http_request_t *r, ngx_uint_t status, const char *code,
    const char *format, ...)
{
    u_char     *p, text[NGX_MAX_ERROR_STR];
    va_list     args;
    ngx_str_t   name, detail;

    va_start(args, format);
    p = ngx_vslprintf(text, text + sizeof(text), format, args);
    va_end(args);

    name.data = (u_char *) code;
    name.len = ngx_strlen(code);

    detail.len = p - text;
    detail.data = ngx_pnalloc(r->pool, detail.len);
    if (detail.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(detail.data, text, detail.len);

    return prov_problem_members(r, status, &name, &detail, NULL);
}


/* 400 with an array of violations, which is borrowed for the request's life */

ngx_int_t
prov_problem_errors(ngx_http_request_t *r, const char *code,
    const char *detail, ngx_str_t *errors)
{
    ngx_int_t            rc;
    prov_request_ctx_t  *ctx;

    rc = prov_problem(r, NGX_HTTP_BAD_REQUEST, code, "%s", detail);

    ctx = prov_request_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->problem.errors = *errors;

    return rc;
}


/*
 * code and detail are borrowed for the request's life; the reference to
 * members, an object or NULL, is taken over.
 */

ngx_int_t
prov_problem_members(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *code, ngx_str_t *detail, json_t *members)
{
    prov_request_ctx_t  *ctx;

    ctx = prov_request_ctx(r);
    if (ctx == NULL) {
        json_decref(members);
        return NGX_ERROR;
    }

    if (ctx->problem.members) {
        json_decref(ctx->problem.members);
    }

    ctx->problem.status = status;
    ctx->problem.code = *code;
    ctx->problem.detail = *detail;
    ctx->problem.members = members;
    ngx_str_null(&ctx->problem.errors);

    return status;
}


/* 1 for an error that nginx sends as it is; some it keeps for itself. */

ngx_uint_t
prov_problem_status(ngx_int_t status)
{
    return status >= NGX_HTTP_BAD_REQUEST && status <= 599
           && status != NGX_HTTP_REQUEST_TIME_OUT && status != NGX_HTTP_CLOSE
           && (status < NGX_HTTP_NGINX_CODES
               || status >= NGX_HTTP_INTERNAL_SERVER_ERROR);
}


/*
 * What to finalize the request with when a step has returned rc.  After the
 * header an error can only end the request; and nginx's answer to a failed
 * precondition, which is sent then, looks like one.
 */

ngx_int_t
prov_problem_final(ngx_http_request_t *r, ngx_int_t rc)
{
    return (rc == NGX_ERROR && !r->header_sent)
           ? NGX_HTTP_INTERNAL_SERVER_ERROR : rc;
}


/* Adds Retry-After to the problem that has been set; returns its status. */

ngx_int_t
prov_problem_retry(ngx_http_request_t *r, ngx_uint_t seconds)
{
    ngx_str_t            value;
    prov_request_ctx_t  *ctx;

    ctx = prov_request_ctx(r);
    if (ctx == NULL || ctx->problem.status == 0) {
        return NGX_ERROR;
    }

    value.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%ui", seconds) - value.data;

    if (prov_request_header_out(r, "Retry-After", &value) != NGX_OK) {
        return NGX_ERROR;
    }

    return ctx->problem.status;
}


/*
 * Builds ctx->document for the response's status.  An error that no step has
 * explained (nginx itself raised it) gets its status' words.
 */

ngx_int_t
prov_problem_document(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    u_char                  *p;
    ngx_str_t                members;
    prov_problem_default_t  *def;

    def = prov_problem_default(r->headers_out.status);

    if (ctx->problem.status != r->headers_out.status) {
        ctx->problem.status = r->headers_out.status;
        ctx->problem.code = def->code;
        ctx->problem.detail = def->detail;
        ngx_str_null(&ctx->problem.errors);

        if (ctx->problem.members) {
            json_decref(ctx->problem.members);
            ctx->problem.members = NULL;
        }
    }

    ngx_str_null(&members);

    if (ctx->problem.members
        && prov_problem_extra(r->pool, ctx->problem.members, &members)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool,
                    sizeof("{\"type\":\"about:blank\",\"title\":,\"status\":,"
                           "\"detail\":,\"code\":,\"request_id\":,"
                           "\"errors\":,}")
                    + NGX_INT_T_LEN
                    + prov_json_quoted(def->title.len)
                    + prov_json_quoted(ctx->problem.detail.len)
                    + prov_json_quoted(ctx->problem.code.len)
                    + prov_json_quoted(ctx->id.len)
                    + ctx->problem.errors.len + members.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->document.data = p;
    ctx->document.len = prov_problem_write(p, ctx, def, &members) - p;

    return NGX_OK;
}


static prov_problem_default_t *
prov_problem_default(ngx_uint_t status)
{
    prov_problem_default_t  *def;

    for (def = prov_problem_defaults; def->status; def++) {
        if (def->status == status) {
            break;
        }
    }

    return def;
}


static u_char *
prov_problem_write(u_char *p, prov_request_ctx_t *ctx,
    prov_problem_default_t *def, ngx_str_t *members)
{
    p = ngx_sprintf(p, "{\"type\":\"about:blank\",\"title\":");
    p = prov_json_quote(p, &def->title);

    p = ngx_sprintf(p, ",\"status\":%ui,\"detail\":", ctx->problem.status);
    p = prov_json_quote(p, &ctx->problem.detail);

    p = ngx_sprintf(p, ",\"code\":");
    p = prov_json_quote(p, &ctx->problem.code);

    p = ngx_sprintf(p, ",\"request_id\":");
    p = prov_json_quote(p, &ctx->id);

    if (ctx->problem.errors.len) {
        p = ngx_sprintf(p, ",\"errors\":%V", &ctx->problem.errors);
    }

    p = ngx_sprintf(p, "%V}", members);

    return p;
}


/* The members of an object, each with a comma before it. */

static ngx_int_t
prov_problem_extra(ngx_pool_t *pool, json_t *members, ngx_str_t *text)
{
    const char  **name;

    for (name = prov_problem_reserved; *name; name++) {
        json_object_del(members, *name);
    }

    if (json_object_size(members) == 0) {
        return NGX_OK;
    }

    *text = prov_json_text(pool, members);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    text->data[0] = ',';
    text->len--;

    return NGX_OK;
}
