/*
 * A URL that the gateway itself is going to ask (x-outbound-url in the
 * document) is refused by its form while somebody is there to be told.  Where
 * it leads to is looked at when a connection is made, each time.  Called by
 * prov_request_query.c, before the database is asked.
 */

#include "request/prov_request.h"


/* NGX_OK, or what to finalize with. */

ngx_int_t
prov_request_outbound(ngx_http_request_t *r, prov_request_ctx_t *ctx)
{
    json_t                    *body, *value;
    ngx_int_t                  rc;
    ngx_str_t                  url, *member;
    const char                *why;
    prov_request_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_provisioning_module);

    if (pmcf->outbound_url == NULL) {
        return NGX_OK;
    }

    if (prov_request_body_json(ctx, &body) != NGX_OK) {
        return NGX_ERROR;
    }

    member = &ctx->operation->outbound;
    value = json_object_getn(body, (char *) member->data, member->len);
    rc = NGX_OK;

    if (json_is_string(value)) {
        url.data = (u_char *) json_string_value(value);
        url.len = json_string_length(value);

        if (pmcf->outbound_url(&url, &why) != NGX_OK) {
            rc = prov_problem(r, 422, "url_invalid",
                              "The URL in \"%V\" cannot be used: %s.", member,
                              why);
        }
    }

    json_decref(body);

    return rc;
}


/* A body that has been validated; NULL when there is none. */

ngx_int_t
prov_request_body_json(prov_request_ctx_t *ctx, json_t **body)
{
    prov_json_error_t  err;

    *body = NULL;

    if (ctx->args[2].len == 0) {
        return NGX_OK;
    }

    /* whatever could be wrong with it was found before, but for memory */

    *body = prov_json_parse(ctx->args[2].data, ctx->args[2].len,
                            PROV_JSON_BODY_DEPTH, &err);

    return *body ? NGX_OK : NGX_ERROR;
}
