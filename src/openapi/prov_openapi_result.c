/*
 * x-validate-result: what a change would lead to is validated before it is
 * made.  Called by the loader for each operation; the engine does the rest
 * (src/request/prov_request_result.c).
 */

#include "openapi/prov_openapi_load.h"


ngx_int_t
prov_openapi_result(prov_openapi_load_t *load, prov_openapi_at_t *operation,
    prov_openapi_operation_t *op)
{
    ngx_int_t          rc;
    ngx_str_t          name;
    prov_openapi_at_t  result, member, schema;

    rc = prov_openapi_member(load, operation, "x-validate-result", &result);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    if (op->method == PROV_OPENAPI_GET || op->handler.len) {
        return prov_openapi_fail(load, &result.pointer,
                                 "only a change that a function makes has a "
                                 "result that can be refused: remove this "
                                 "x-validate-result");
    }

    if (prov_openapi_member(load, &result, "member", &member) != NGX_OK
        || prov_openapi_member(load, &result, "schema", &schema) != NGX_OK)
    {
        return NGX_ERROR;
    }

    name = prov_openapi_string(member.json);

    /* the database is told of it in JSON, as it is written here */

    if (!prov_openapi_identifier(&name)) {
        return prov_openapi_fail(load, &member.pointer,
                                 "\"%V\" cannot name a member here: write "
                                 "snake_case of at most %d bytes, like "
                                 "\"configuration\"",
                                 &name, PROV_OPENAPI_MAX_NAME);
    }

    if (prov_openapi_copy(load->pool, &op->member, &name) != NGX_OK) {
        return prov_openapi_no_memory(load);
    }

    return prov_openapi_compile(load, load->keep, &schema.pointer,
                                &op->result);
}
