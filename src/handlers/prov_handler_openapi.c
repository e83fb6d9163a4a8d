/*
 * x-handler "openapi": the document itself, from memory.  Conditional
 * requests are answered by nginx, which sees the ETag.
 */

#include "handlers/prov_handlers.h"


ngx_int_t
prov_handler_openapi(ngx_http_request_t *r)
{
    prov_request_conf_t  *conf;

    static ngx_str_t  json = ngx_string("application/json");

    conf = ngx_http_get_module_loc_conf(r, ngx_http_provisioning_module);

    if (prov_request_header_out(r, "ETag", &conf->etag) != NGX_OK) {
        return NGX_ERROR;
    }

    return prov_request_send(r, NGX_HTTP_OK, &json, &conf->document);
}
