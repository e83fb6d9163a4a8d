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
    json_t                    *value;
    ngx_str_t                  url, *member;
    const char                *why;
    prov_request_main_conf_t  *pmcf;

    pmcf = ngx_http_get_module_main_conf(r, ngx_http_provisioning_module);

    if (pmcf->outbound_url == NULL) {
        return NGX_OK;
    }

    member = &ctx->operation->outbound;
    value = json_object_getn(ctx->body, (char *) member->data, member->len);

    if (!json_is_string(value)) {
        return NGX_OK;
    }

    url.data = (u_char *) json_string_value(value);
    url.len = json_string_length(value);

    if (pmcf->outbound_url(&url, &why) == NGX_OK) {
        return NGX_OK;
    }

    return prov_problem(r, 422, "url_invalid",
                        "The URL in \"%V\" cannot be used: %s.", member, why);
}
