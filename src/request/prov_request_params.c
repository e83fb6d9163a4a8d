/*
 * Path, query and header parameters: read (prov_request_params_read.c),
 * validated, and made into the one JSON object that the statement's second
 * argument is.
 */

#include "request/prov_request_params.h"
#include "base/prov_json_write.h"


/* how a number, an array or an object is written */
#define PROV_PARAMS_DUMP    (JSON_COMPACT|JSON_ENCODE_ANY)

/* as many as most operations have, and what their values fit into */
#define PROV_PARAMS_FEW     32
#define PROV_PARAMS_BUFFER  1024


static ngx_int_t prov_params_read(prov_params_t *p);
static ngx_int_t prov_params_validate(prov_params_t *p);
static ngx_int_t prov_params_violated(prov_params_t *p,
    prov_openapi_parameter_t *param, prov_schema_violation_t *violation);
static ngx_int_t prov_params_text(prov_params_t *p, ngx_str_t *text);
static void prov_params_tenant(prov_request_ctx_t *ctx);


/* NGX_OK: ctx->args[1] is set; else a problem's status, or NGX_ERROR */

ngx_int_t
prov_request_params(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    ngx_int_t      rc;
    ngx_str_t      errors;
    json_t        *values[PROV_PARAMS_FEW];
    ngx_uint_t     i;
    prov_params_t  p;

    ngx_memzero(&p, sizeof(prov_params_t));

    p.request = r;
    p.ctx = ctx;
    p.values = values;

    if (ctx->operation->parameters.nelts > PROV_PARAMS_FEW) {
        p.values = ngx_palloc(r->pool, ctx->operation->parameters.nelts
                                       * sizeof(json_t *));
        if (p.values == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_memzero(p.values, ctx->operation->parameters.nelts
                          * sizeof(json_t *));

    rc = prov_params_read(&p);

    if (rc == NGX_OK) {
        rc = prov_request_permits(r, ctx, p.values);
    }

    if (rc == NGX_OK) {
        prov_request_mutation_asked(ctx, p.values);
        prov_params_tenant(ctx);

        rc = prov_params_text(&p, &ctx->args[1]);
    }

    for (i = 0; i < ctx->operation->parameters.nelts; i++) {
        json_decref(p.values[i]);
    }

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (prov_violations_array(r->pool, &p.violations, &errors) != NGX_OK) {
        return NGX_ERROR;
    }

    return prov_problem_errors(r, "invalid_parameters",
                               "A parameter of the path, the query or the "
                               "headers is not as described; see \"errors\".",
                               &errors);
}


/* NGX_DECLINED: there are violations */

static ngx_int_t
prov_params_read(prov_params_t *p)
{
    if (prov_params_take(p) != NGX_OK || prov_params_validate(p) != NGX_OK) {
        return NGX_ERROR;
    }

    return p->violations.n ? NGX_DECLINED : NGX_OK;
}


static ngx_int_t
prov_params_validate(prov_params_t *p)
{
    json_t                    *value;
    ngx_int_t                  rc;
    ngx_uint_t                 i, j;
    prov_schema_report_t       report;
    prov_schema_violation_t   *violation;
    prov_openapi_parameter_t  *param;

    param = p->ctx->operation->parameters.elts;

    for (i = 0; i < p->ctx->operation->parameters.nelts; i++) {

        value = p->values[i];

        if (value == NULL) {
            if (param[i].required
                && prov_params_wrong(p, param[i].in, &param[i].name,
                                     "required", "is required")
                   != NGX_OK)
            {
                return NGX_ERROR;
            }

            continue;
        }

        if (prov_schema_report_init(&report, p->request->pool,
                                    PROV_REQUEST_VIOLATIONS)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        rc = prov_schema_validate(param[i].schema, value, &report);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        violation = report.violations.elts;

        for (j = 0; j < report.violations.nelts; j++) {
            if (prov_params_violated(p, &param[i], &violation[j]) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


/* All that a parameter can be given is text: nobody is told that it was. */

static ngx_int_t
prov_params_violated(prov_params_t *p, prov_openapi_parameter_t *param,
    prov_schema_violation_t *violation)
{
    ngx_str_t  message;

    static ngx_str_t  given = ngx_string(", not a string");

    message = violation->message;

    if (message.len > given.len
        && ngx_strncmp(message.data + message.len - given.len, given.data,
                       given.len)
           == 0)
    {
        message.len -= given.len;
    }

    return prov_violations_parameter(p->request->pool, &p->violations,
                                     param->in, &param->name,
                                     &violation->code, &message);
}


/* All of them as one JSON object.  No two have the same name. */

static ngx_int_t
prov_params_text(prov_params_t *p, ngx_str_t *text)
{
    u_char                    *d, buffer[PROV_PARAMS_BUFFER];
    size_t                     len, *sizes, few[PROV_PARAMS_FEW];
    json_t                    *value;
    ngx_str_t                  string;
    ngx_uint_t                 i, n;
    prov_openapi_parameter_t  *param;

    n = p->ctx->operation->parameters.nelts;
    param = p->ctx->operation->parameters.elts;

    sizes = few;

    if (n > PROV_PARAMS_FEW) {
        sizes = ngx_palloc(p->request->pool, n * sizeof(size_t));
        if (sizes == NULL) {
            return NGX_ERROR;
        }
    }

    len = sizeof("{}");

    for (i = 0; i < n; i++) {

        value = p->values[i];

        if (value == NULL) {
            continue;
        }

        sizes[i] = json_is_string(value)
                   ? prov_json_quoted(json_string_length(value))
                   : json_dumpb(value, NULL, 0, PROV_PARAMS_DUMP);

        if (sizes[i] == 0) {
            return NGX_ERROR;
        }

        len += prov_json_quoted(param[i].name.len) + 2 + sizes[i];
    }

    if (len == sizeof("{}")) {
        ngx_str_set(text, "{}");
        return NGX_OK;
    }

    /* the bound is several times what is written, so only that stays */

    d = buffer;

    if (len > sizeof(buffer)) {
        d = ngx_pnalloc(p->request->pool, len);
        if (d == NULL) {
            return NGX_ERROR;
        }
    }

    text->data = d;
    *d++ = '{';

    for (i = 0; i < n; i++) {

        value = p->values[i];

        if (value == NULL) {
            continue;
        }

        if (d - text->data > 1) {
            *d++ = ',';
        }

        d = prov_json_quote(d, &param[i].name);
        *d++ = ':';

        if (json_is_string(value)) {
            string.data = (u_char *) json_string_value(value);
            string.len = json_string_length(value);
            d = prov_json_quote(d, &string);
            continue;
        }

        if (json_dumpb(value, (char *) d, sizes[i], PROV_PARAMS_DUMP)
            != sizes[i])
        {
            return NGX_ERROR;
        }

        d += sizes[i];
    }

    *d++ = '}';
    *d = '\0';

    text->len = d - text->data;

    if (text->data == buffer) {
        text->data = ngx_pnalloc(p->request->pool, text->len + 1);
        if (text->data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(text->data, buffer, text->len + 1);
    }

    return NGX_OK;
}


/*
 * $provisioning_tenant: only what is valid, since a configuration may put it
 * into a header.
 */

static void
prov_params_tenant(prov_request_ctx_t *ctx)
{
    size_t                     j;
    ngx_str_t                 *value;
    ngx_uint_t                 i;
    prov_openapi_parameter_t  *param;

    static ngx_str_t  tenant = ngx_string("tenant");

    param = ctx->operation->parameters.elts;

    for (i = 0; i < ctx->operation->npath; i++) {

        if (param[i].name.len != tenant.len
            || ngx_strncmp(param[i].name.data, tenant.data, tenant.len) != 0)
        {
            continue;
        }

        value = &ctx->values[i];

        for (j = 0; j < value->len; j++) {
            if (value->data[j] < 0x20 || value->data[j] == 0x7f) {
                return;
            }
        }

        ctx->tenant = *value;
        return;
    }
}
