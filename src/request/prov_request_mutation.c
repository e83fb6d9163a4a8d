/*
 * What a caller may ask of a change besides the change: that it be made once
 * however often it is asked for (Idempotency-Key), that it be tried and not
 * kept (dry_run), that it be made only of the version it was meant for
 * (If-Match), that it be answered sooner or later (Prefer).  The statements are
 * registered while the configuration is read; which of them serves a request
 * is decided here.
 */

#include "request/prov_request.h"


typedef struct {
    ngx_str_t           name;
    prov_openapi_in_e   in;
    ngx_uint_t          takes;     /* PROV_REQUEST_TAKES_… */
    ngx_uint_t          types;
    const char         *type;
    unsigned            own:1;     /* means nothing where the engine does
                                      not serve it */
} prov_mutation_parameter_t;


static ngx_int_t prov_mutation_declared(ngx_conf_t *cf,
    prov_openapi_operation_t *op, prov_openapi_parameter_t *param,
    prov_request_call_t *call);
static prov_mutation_parameter_t *prov_mutation_parameter(
    prov_openapi_parameter_t *param);
static ngx_int_t prov_mutation_call(ngx_pool_t *pool,
    prov_openapi_operation_t *op, const char *format, size_t len,
    ngx_str_t *call);
static ngx_uint_t prov_mutation_sent(ngx_http_request_t *r,
    const char *name, size_t len);


static prov_mutation_parameter_t  prov_mutation_parameters[] = {

    { ngx_string("Idempotency-Key"), PROV_OPENAPI_HEADER,
      PROV_REQUEST_TAKES_KEY, PROV_SCHEMA_STRING, "string", 1 },

    { ngx_string("dry_run"), PROV_OPENAPI_QUERY,
      PROV_REQUEST_TAKES_DRY_RUN, PROV_SCHEMA_BOOLEAN, "boolean", 1 },

    { ngx_string("If-Match"), PROV_OPENAPI_HEADER,
      PROV_REQUEST_TAKES_MATCH, PROV_SCHEMA_STRING, "string", 0 },

    { ngx_string("If-None-Match"), PROV_OPENAPI_HEADER,
      PROV_REQUEST_TAKES_NONE_MATCH, PROV_SCHEMA_STRING, "string", 0 },

    { ngx_string("Prefer"), PROV_OPENAPI_HEADER,
      PROV_REQUEST_TAKES_PREFER, PROV_SCHEMA_STRING, "string", 0 },

    { ngx_null_string, 0, 0, 0, NULL, 0 }
};


/*
 * The function is run when the key is new, and only then: PostgreSQL makes
 * the condition a filter that is looked at once, before the function is
 * called (sql/tests/idempotency.sql checks the plan).  What is answered is
 * kept in the same transaction.
 */

static const char  prov_mutation_keyed[] =
    "select f.status, f.body, f.headers from prov.%V($1) e "
    "left join lateral prov.idempotency_begin(e.ctx, $2, $3) b on true "
    "left join lateral (select o.status, o.body, o.headers "
    "from %V o where b.begun is not null offset 0) r "
    "on true "
    "left join lateral prov.idempotency_end(e.ctx, b.begun, "
    "coalesce(b.status, r.status), coalesce(b.body, r.body), "
    "coalesce(b.headers, r.headers)) f on true";

/* the operation's function, called by itself or by one of ours */

static const char  prov_mutation_plain[] = "%V.%V(e.ctx, $2, $3)";

static const char  prov_mutation_validated[] =
    "prov.validated(e.ctx, $2, $3, '%V', '%V')";

static const char  prov_mutation_dry_run[] =
    "prov.dry_run(e.ctx, $2, $3, '%V', '%V')";


/* Sets what call takes of these parameters, and the statements for them. */

ngx_int_t
prov_request_mutation(ngx_conf_t *cf, prov_request_service_t *service,
    prov_request_call_t *call)
{
    ngx_str_t                  function;
    ngx_uint_t                 i;
    prov_openapi_operation_t  *op;
    prov_openapi_parameter_t  *param;

    op = call->operation;
    param = op->parameters.elts;

    for (i = op->npath; i < op->parameters.nelts; i++) {
        if (prov_mutation_declared(cf, op, &param[i], call) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if ((call->takes & PROV_REQUEST_TAKES_KEY)
        && (prov_request_function(cf->pool, op, &function) != NGX_OK
            || prov_service_statement(cf, service, prov_mutation_keyed,
                                      &function, &call->keyed)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    if ((call->takes & PROV_REQUEST_TAKES_DRY_RUN)
        && (prov_mutation_call(cf->pool, op, prov_mutation_dry_run,
                               sizeof(prov_mutation_dry_run), &function)
            != NGX_OK
            || prov_service_statement(cf, service, NULL, &function,
                                      &call->dry_run)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * A key or a dry run that is promised and not given would be worse than none:
 * a declaration that does not mean what is done here is an error.
 */

static ngx_int_t
prov_mutation_declared(ngx_conf_t *cf, prov_openapi_operation_t *op,
    prov_openapi_parameter_t *param, prov_request_call_t *call)
{
    prov_mutation_parameter_t  *known;

    known = prov_mutation_parameter(param);

    if (known == NULL) {
        return NGX_OK;
    }

    if (known->own && (op->method == PROV_OPENAPI_GET || op->handler.len)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "operation \"%V\" in %V: \"%V\" has no effect on %s, "
                      "remove the parameter", &op->id, &op->api->file,
                      &param->name, op->handler.len
                                    ? "an operation with x-handler"
                                    : "a \"get\", which changes nothing");
        return NGX_ERROR;
    }

    if (param->types != known->types
        || ngx_strncmp(param->name.data, known->name.data, known->name.len)
           != 0)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "operation \"%V\" in %V: write the parameter \"%V\" "
                      "like this, and give its schema \"type\": \"%s\"",
                      &op->id, &op->api->file, &known->name, known->type);
        return NGX_ERROR;
    }

    call->takes |= known->takes;

    return NGX_OK;
}


static prov_mutation_parameter_t *
prov_mutation_parameter(prov_openapi_parameter_t *param)
{
    prov_mutation_parameter_t  *known;

    for (known = prov_mutation_parameters; known->name.len; known++) {

        if (param->in == known->in && param->name.len == known->name.len
            && (param->in == PROV_OPENAPI_HEADER
                ? ngx_strncasecmp(param->name.data, known->name.data,
                                  known->name.len)
                : ngx_strncmp(param->name.data, known->name.data,
                              known->name.len))
               == 0)
        {
            return known;
        }
    }

    return NULL;
}


/* How an operation's function is called in a statement that has entered. */

ngx_int_t
prov_request_function(ngx_pool_t *pool, prov_openapi_operation_t *op,
    ngx_str_t *call)
{
    return op->result
           ? prov_mutation_call(pool, op, prov_mutation_validated,
                                sizeof(prov_mutation_validated), call)
           : prov_mutation_call(pool, op, prov_mutation_plain,
                                sizeof(prov_mutation_plain), call);
}


/* The loader has checked these names. */

static ngx_int_t
prov_mutation_call(ngx_pool_t *pool, prov_openapi_operation_t *op,
    const char *format, size_t len, ngx_str_t *call)
{
    call->data = ngx_pnalloc(pool, len + op->api->schema.len + op->id.len);
    if (call->data == NULL) {
        return NGX_ERROR;
    }

    call->len = ngx_sprintf(call->data, format, &op->api->schema, &op->id)
                - call->data;

    return NGX_OK;
}


/*
 * 428 (RFC 6585, section 3), before the body is read.  Where a resource may
 * be made under a name of the caller's, "If-None-Match: *" is a condition as
 * well.
 */

ngx_int_t
prov_request_conditional(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    if (!ctx->conf->require_if_match
        || (ctx->call->takes & PROV_REQUEST_TAKES_MATCH) == 0
        || ctx->operation->method == PROV_OPENAPI_GET
        || prov_mutation_sent(r, "if-match", sizeof("if-match") - 1))
    {
        return NGX_OK;
    }

    if ((ctx->call->takes & PROV_REQUEST_TAKES_NONE_MATCH)
        && prov_mutation_sent(r, "if-none-match",
                              sizeof("if-none-match") - 1))
    {
        return NGX_OK;
    }

    return prov_problem(r, 428, "precondition_required",
                        "This operation requires the header If-Match with "
                        "the ETag of the resource as you last read it.");
}


static ngx_uint_t
prov_mutation_sent(ngx_http_request_t *r, const char *name, size_t len)
{
    ngx_table_elt_t  *h;

    h = prov_request_header_in(r, name, len);

    return h && h->value.len;
}


/*
 * Called with the values of the operation's parameters, which are valid; NULL
 * where there is none.  What is preferred is taken away: it is no part of what
 * is asked for, and a repetition with a key may prefer something else.
 */

void
prov_request_mutation_asked(prov_request_ctx_t *ctx, json_t **values)
{
    ngx_str_t                   text;
    ngx_uint_t                  i;
    prov_openapi_parameter_t   *param;
    prov_mutation_parameter_t  *known;

    ctx->dry_run = 0;
    ctx->keyed = 0;
    ngx_memzero(&ctx->prefer, sizeof(prov_request_prefer_t));

    param = ctx->operation->parameters.elts;

    for (i = 0; i < ctx->operation->parameters.nelts; i++) {

        if (values[i] == NULL) {
            continue;
        }

        known = prov_mutation_parameter(&param[i]);
        if (known == NULL || !(ctx->call->takes & known->takes)) {
            continue;
        }

        if (known->takes == PROV_REQUEST_TAKES_DRY_RUN) {
            ctx->dry_run = json_is_true(values[i]);

        } else if (known->takes == PROV_REQUEST_TAKES_KEY) {
            ctx->keyed = 1;

        } else if (known->takes == PROV_REQUEST_TAKES_PREFER) {
            text.data = (u_char *) json_string_value(values[i]);
            text.len = json_string_length(values[i]);

            prov_request_prefer(&text, &ctx->prefer);

            json_decref(values[i]);
            values[i] = NULL;
        }
    }

    /* what is not kept need not be kept from being repeated */

    if (ctx->dry_run) {
        ctx->keyed = 0;
    }
}


/*
 * What serves the request.  What keeps nothing may be repeated, as a read may:
 * a dry run, and a change whose result has not been validated yet.  With a key
 * the latter may be answered with what another request has done just now.
 */

ngx_uint_t
prov_request_statement(prov_request_ctx_t *ctx, prov_db_class_e *class)
{
    if (ctx->dry_run) {
        *class = PROV_DB_TRIAL;
        return ctx->call->dry_run;
    }

    if (ctx->validated && ctx->rounds == 0) {
        *class = ctx->keyed ? PROV_DB_REPLAY : PROV_DB_TRIAL;

    } else {
        *class = ctx->call->class;
    }

    return ctx->keyed ? ctx->call->keyed : ctx->call->statement;
}
