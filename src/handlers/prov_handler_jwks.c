/*
 * x-handler "jwks": the public keys of the gateway's own tokens, for whoever
 * wants to verify one.  From memory; a reload with other keys changes it.
 */

#include "handlers/prov_handlers.h"


ngx_int_t
prov_handler_jwks(ngx_http_request_t *r)
{
    prov_request_conf_t  *conf;

    static ngx_str_t  type = ngx_string("application/json");
    static ngx_str_t  none = ngx_string("{\"keys\":[]}");
    static ngx_str_t  age = ngx_string("public, max-age=300");

    conf = ngx_http_get_module_loc_conf(r, ngx_http_provisioning_module);

    /* a verifier must learn of a new key before it signs */

    if (prov_request_header_out(r, "Cache-Control", &age) != NGX_OK) {
        return NGX_ERROR;
    }

    return prov_request_send(r, NGX_HTTP_OK, &type,
                             conf->auth ? &conf->auth->jwks : &none);
}


prov_auth_signer_t *
prov_handler_signer(prov_request_conf_t *conf)
{
    ngx_uint_t            i;
    prov_auth_issuer_t  **issuer;

    if (conf->auth == NULL) {
        return NULL;
    }

    issuer = conf->auth->issuers.elts;

    for (i = 0; i < conf->auth->issuers.nelts; i++) {
        if (issuer[i]->signer) {
            return issuer[i]->signer;
        }
    }

    return NULL;
}
