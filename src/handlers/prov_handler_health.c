/*
 * x-handler "health_live" and "health_ready": what an orchestrator asks.
 * Liveness never touches the database, or a database that is down would get
 * healthy workers restarted.
 */

#include "handlers/prov_handlers.h"


ngx_int_t
prov_handler_health_live(ngx_http_request_t *r)
{
    static ngx_str_t  json = ngx_string("application/json");
    static ngx_str_t  body = ngx_string("{\"status\":\"live\"}");

    return prov_request_send(r, NGX_HTTP_OK, &json, &body);
}


ngx_int_t
prov_handler_health_ready(ngx_http_request_t *r)
{
    prov_auth_issuer_t      *issuer;
    prov_request_ctx_t      *ctx;
    prov_request_service_t  *service;

    ctx = ngx_http_get_module_ctx(r, ngx_http_provisioning_module);
    service = ctx->conf->service;

    /* later, an outage of the issuer's is no reason to send others away */

    issuer = ctx->conf->auth ? prov_auth_set_keyless(ctx->conf->auth) : NULL;

    if (issuer) {
        if (prov_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE, "not_ready",
                         "The keys of the issuer \"%V\" could not be fetched "
                         "yet; the gateway's error log says why.",
                         &issuer->name)
            == NGX_ERROR)
        {
            return NGX_ERROR;
        }

        return prov_problem_retry(r, prov_auth_retry(issuer));
    }

    ctx->args[0] = service->inventory;
    ngx_str_null(&ctx->args[1]);
    ngx_str_null(&ctx->args[2]);

    return prov_request_ask(r, ctx, service->ready, PROV_DB_READ);
}
