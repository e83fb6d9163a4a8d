/*
 * x-outbound-url: the member of the body that is a URL which the gateway
 * itself is going to ask.  Called by the loader for each operation; the engine
 * does the rest (src/request/prov_request_outbound.c).
 */

#include "openapi/prov_openapi_load.h"


ngx_int_t
prov_openapi_outbound(prov_openapi_load_t *load, prov_openapi_at_t *operation,
    prov_openapi_operation_t *op)
{
    ngx_int_t          rc;
    ngx_str_t          name;
    prov_openapi_at_t  member;

    rc = prov_openapi_member(load, operation, "x-outbound-url", &member);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    if (op->handler.len || op->media.nelts == 0) {
        return prov_openapi_fail(load, &member.pointer,
                                 "only a body that a function is called with "
                                 "is looked at: remove this x-outbound-url");
    }

    name = prov_openapi_string(member.json);

    if (!prov_openapi_identifier(&name)) {
        return prov_openapi_fail(load, &member.pointer,
                                 "\"%V\" cannot name a member here: write "
                                 "snake_case of at most %d bytes, like "
                                 "\"url\"", &name, PROV_OPENAPI_MAX_NAME);
    }

    if (prov_openapi_copy(load->pool, &op->outbound, &name) != NGX_OK) {
        return prov_openapi_no_memory(load);
    }

    return NGX_OK;
}
