/*
 * The table of handlers, by the names that documents use.
 */

#include "handlers/prov_handlers.h"


prov_request_handler_t  prov_handlers[] = {

    { ngx_string("openapi"), prov_handler_openapi },
    { ngx_string("health_live"), prov_handler_health_live },
    { ngx_string("health_ready"), prov_handler_health_ready },

    { ngx_null_string, NULL }
};
