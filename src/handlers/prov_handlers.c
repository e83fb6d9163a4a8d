/*
 * The table of handlers, by the names that documents use.
 */

#include "handlers/prov_handlers.h"


prov_request_handler_t  prov_handlers[] = {

    { ngx_string("openapi"), prov_handler_openapi, 0, 0 },
    { ngx_string("health_live"), prov_handler_health_live, 0, 0 },
    { ngx_string("health_ready"), prov_handler_health_ready, 0, 0 },
    { ngx_string("jwks"), prov_handler_jwks, 0, 0 },
    { ngx_string("oauth_token"), prov_handler_oauth_token, 1, 0 },
    { ngx_string("events"), prov_handler_events, 0, 1 },

    { ngx_null_string, NULL, 0, 0 }
};
