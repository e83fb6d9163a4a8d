/*
 * What a location is told to do, worked out once while the configuration is
 * read: which statement or handler serves each operation, and the document
 * as it is published under the location's prefix.
 */

#include "request/prov_request.h"

#include <openssl/sha.h>

#if (NGX_THREADS)
#include <ngx_thread_pool.h>
#endif


/* the newest of sql/migrations that this release needs */
#define PROV_REQUEST_SCHEMA  15


static ngx_int_t prov_service_call(ngx_conf_t *cf,
    prov_request_service_t *service, prov_openapi_operation_t *op,
    prov_request_handler_t *handlers);
static prov_request_handler_t *prov_service_handler(ngx_conf_t *cf,
    prov_request_service_t *service, prov_openapi_operation_t *op,
    prov_request_handler_t *handlers, ngx_str_t *name);
static prov_db_class_e prov_service_class(prov_openapi_operation_t *op);
static ngx_int_t prov_service_apart(ngx_conf_t *cf,
    prov_request_service_t *service, const char *name,
    ngx_uint_t *statement);
static ngx_int_t prov_service_ready(ngx_conf_t *cf,
    prov_request_service_t *service);
static ngx_int_t prov_publish_servers(ngx_conf_t *cf,
    prov_request_conf_t *conf);
static ngx_int_t prov_publish_path(ngx_conf_t *cf, prov_request_conf_t *conf);


/* The document's operations as the database serves them; NULL after logging. */

prov_request_service_t *
prov_request_service(ngx_conf_t *cf, prov_openapi_api_t *api,
    prov_db_conf_t *db, prov_request_handler_t *handlers)
{
    ngx_uint_t                 i;
    prov_request_service_t    *service;
    prov_openapi_operation_t  *op;

    static ngx_str_t  outcome = ngx_string("prov.outcome(e.ctx, $2, $3)");
    static ngx_str_t  token = ngx_string("prov.token_bought(e.ctx, $2, $3)");

    service = ngx_pcalloc(cf->pool, sizeof(prov_request_service_t));
    if (service == NULL) {
        return NULL;
    }

#if (NGX_THREADS)
    /* nginx's "default", unless the operator has declared it */
    service->threads = ngx_thread_pool_add(cf, NULL);
    if (service->threads == NULL) {
        return NULL;
    }
#endif

    service->api = api;
    service->db = db;
    service->calls = ngx_pcalloc(cf->pool, api->operations.nelts
                                           * sizeof(prov_request_call_t));
    if (service->calls == NULL) {
        return NULL;
    }

    prov_request_secret_conf(cf, service);

    op = api->operations.elts;

    for (i = 0; i < api->operations.nelts; i++) {
        if (prov_service_call(cf, service, &op[i], handlers) != NGX_OK) {
            return NULL;
        }
    }

    if (prov_service_statement(cf, service, NULL, &outcome, &service->outcome)
        != NGX_OK
        || prov_service_statement(cf, service, NULL, &token, &service->token)
           != NGX_OK
        || prov_service_apart(cf, service, "refusal", &service->refusal)
           != NGX_OK
        || prov_service_apart(cf, service, "attempts", &service->attempts)
           != NGX_OK
        || prov_service_ready(cf, service) != NGX_OK)
    {
        return NULL;
    }

    return service;
}


static ngx_int_t
prov_service_call(ngx_conf_t *cf, prov_request_service_t *service,
    prov_openapi_operation_t *op, prov_request_handler_t *handlers)
{
    ngx_str_t             function;
    prov_request_call_t  *call;

    static ngx_str_t  events = ngx_string("prov.events_begin(e.ctx, $2, $3)");

    call = &service->calls[op->index];
    call->operation = op;
    call->class = prov_service_class(op);

    if (prov_request_mutation(cf, service, call) != NGX_OK
        || prov_request_caller_call(cf, call) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (op->live.len) {
        call->live = prov_service_handler(cf, service, op, handlers, &op->live);

        if (call->live == NULL
            || prov_service_statement(cf, service, NULL, &events,
                                      &service->events)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (op->handler.len == 0) {
        if (prov_request_function(cf->pool, op, &function) != NGX_OK
            || prov_service_statement(cf, service, NULL, &function,
                                      &call->statement)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        return op->several ? prov_request_several(cf->pool, service, call)
                           : NGX_OK;
    }

    call->handler = prov_service_handler(cf, service, op, handlers,
                                         &op->handler);

    return call->handler ? NGX_OK : NGX_ERROR;
}


static prov_request_handler_t *
prov_service_handler(ngx_conf_t *cf, prov_request_service_t *service,
    prov_openapi_operation_t *op, prov_request_handler_t *handlers,
    ngx_str_t *name)
{
    prov_request_handler_t  *h;

    for (h = handlers; h->name.len; h++) {
        if (h->name.len == name->len
            && ngx_strncmp(h->name.data, name->data, name->len) == 0
            && h->live == (name == &op->live))
        {
            return h;
        }
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "operation \"%V\" in %V: there is no %s \"%V\" in "
                  "this version of the module", &op->id, &service->api->file,
                  (name == &op->live) ? "x-event-stream" : "x-handler", name);

    return NULL;
}


/*
 * What returns pages is known by its parameter "limit": it may take long, so
 * nothing else shares its connection.
 */

static prov_db_class_e
prov_service_class(prov_openapi_operation_t *op)
{
    ngx_uint_t                 i;
    prov_openapi_parameter_t  *param;

    if (op->method != PROV_OPENAPI_GET) {
        return PROV_DB_WRITE;
    }

    if (op->live.len) {
        /* a place in a feed is given away only when what is before it is on
           disk: else a crash could put something else there */

        return PROV_DB_REPLAY;
    }

    if (op->stream) {
        return PROV_DB_LIST;
    }

    param = op->parameters.elts;

    for (i = op->npath; i < op->parameters.nelts; i++) {
        if (param[i].in == PROV_OPENAPI_QUERY && param[i].name.len == 5
            && ngx_strncmp(param[i].name.data, "limit", 5) == 0)
        {
            return PROV_DB_LIST;
        }
    }

    return PROV_DB_READ;
}


/*
 * prov.enter(), or what the document has in its place, stands in the engine's
 * own statement, so that no author of a function can forget it.  No row is its
 * answer alone: a function without one gets a row of nulls.  All names have
 * been checked by the loader.
 */

ngx_int_t
prov_service_statement(ngx_conf_t *cf, prov_request_service_t *service,
    const char *format, ngx_str_t *function, ngx_uint_t *statement)
{
    ngx_int_t   n;
    ngx_str_t  *enter, text;

    static const char  plain[] =
        "select r.status, r.body, r.headers from prov.%V($1) e "
        "left join lateral %V r on true";

    enter = &service->api->enter;

    if (format == NULL) {
        format = plain;
    }

    text.data = ngx_pnalloc(cf->pool, ngx_strlen(format) + enter->len
                                      + function->len);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    text.len = ngx_sprintf(text.data, format, enter, function) - text.data;

    n = prov_db_statement(service->db, &text);
    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    *statement = n;

    return prov_request_each(cf->pool, service->db, n, &text);
}


/*
 * What is asked without prov.enter(): prov.refusal() when that has returned no
 * row, prov.attempts() and prov.ready() for nobody in particular.
 */

static ngx_int_t
prov_service_apart(ngx_conf_t *cf, prov_request_service_t *service,
    const char *name, ngx_uint_t *statement)
{
    u_char      text[128];
    ngx_int_t   n;
    ngx_str_t   whole;

    whole.data = text;
    whole.len = ngx_snprintf(text, sizeof(text),
                             "select r.status, r.body, r.headers "
                             "from prov.%s($1, $2, $3) r", name)
                - text;

    n = prov_db_statement(service->db, &whole);
    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    *statement = n;

    return NGX_OK;
}


/* prov.ready() is asked for every function that the document needs. */

static ngx_int_t
prov_service_ready(ngx_conf_t *cf, prov_request_service_t *service)
{
    json_t                    *list, *several, *inventory;
    ngx_uint_t                 i;
    prov_openapi_api_t        *api;
    prov_openapi_operation_t  *op;

    if (prov_service_apart(cf, service, "ready", &service->ready) != NGX_OK) {
        return NGX_ERROR;
    }

    api = service->api;
    op = api->operations.elts;
    list = json_array();
    several = json_array();

    for (i = 0; i < api->operations.nelts; i++) {
        if ((op[i].handler.len == 0
             && json_array_append_new(list,
                                      json_stringn((char *) op[i].id.data,
                                                   op[i].id.len))
                != 0)
            || (op[i].several
                && json_array_append_new(several,
                                         json_sprintf("%.*s_several",
                                                      (int) op[i].id.len,
                                                      op[i].id.data))
                   != 0))
        {
            json_decref(list);
            json_decref(several);
            return NGX_ERROR;
        }
    }

    inventory = json_pack("{s:s%, s:o, s:o, s:i}", "surface",
                          api->schema.data, api->schema.len, "operations",
                          list, "several", several, "schema_version",
                          PROV_REQUEST_SCHEMA);
    if (inventory == NULL) {
        return NGX_ERROR;
    }

    service->inventory = prov_json_text(cf->pool, inventory);

    json_decref(inventory);

    return service->inventory.data ? NGX_OK : NGX_ERROR;
}


/*
 * Sets conf->document, conf->etag and conf->published; the prefix has been
 * settled.
 */

ngx_int_t
prov_request_publish(ngx_conf_t *cf, prov_request_conf_t *conf)
{
    u_char  *p, hash[SHA256_DIGEST_LENGTH];

    conf->document = conf->api->document;

    if (conf->prefix.len != conf->api->base.len
        || ngx_strncmp(conf->prefix.data, conf->api->base.data,
                       conf->prefix.len)
           != 0)
    {
        if (prov_publish_servers(cf, conf) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    SHA256(conf->document.data, conf->document.len, hash);

    p = ngx_pnalloc(cf->pool, 34);
    if (p == NULL) {
        return NGX_ERROR;
    }

    conf->etag.data = p;
    conf->etag.len = 34;

    *p++ = '"';
    p = ngx_hex_dump(p, hash, 16);
    *p = '"';

    return prov_publish_path(cf, conf);
}


/*
 * Where a caller who is lost finds the document: nowhere, when it is beside
 * this location (one for "/health/" alone) or the API does not serve it.
 */

static ngx_int_t
prov_publish_path(ngx_conf_t *cf, prov_request_conf_t *conf)
{
    u_char                    *p;
    ngx_str_t                  path;
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;
    prov_openapi_operation_t  *op;

    ngx_str_null(&conf->published);

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    op = conf->api->operations.elts;

    for (i = 0; i < conf->api->operations.nelts; i++) {

        if (op[i].method != PROV_OPENAPI_GET || op[i].npath
            || op[i].handler.len != sizeof("openapi") - 1
            || ngx_strncmp(op[i].handler.data, "openapi",
                           sizeof("openapi") - 1)
               != 0)
        {
            continue;
        }

        path.len = conf->prefix.len + op[i].path.len;
        path.data = ngx_pnalloc(cf->pool, path.len);
        if (path.data == NULL) {
            return NGX_ERROR;
        }

        p = ngx_cpymem(path.data, conf->prefix.data, conf->prefix.len);
        ngx_memcpy(p, op[i].path.data, op[i].path.len);

        if (path.len >= clcf->name.len
            && ngx_strncmp(path.data, clcf->name.data, clcf->name.len) == 0
            && (!clcf->exact_match || path.len == clcf->name.len))
        {
            conf->published = path;
            return NGX_OK;
        }
    }

    return NGX_OK;
}


/* The published document says where it is really served. */

static ngx_int_t
prov_publish_servers(ngx_conf_t *cf, prov_request_conf_t *conf)
{
    json_t             *document, *servers;
    ngx_int_t           rc;
    prov_json_error_t   err;

    document = prov_json_parse(conf->document.data, conf->document.len,
                               PROV_JSON_DOCUMENT_DEPTH, &err);
    if (document == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "%V cannot be published under another prefix: %s",
                      &conf->api->file, err.text);
        return NGX_ERROR;
    }

    rc = NGX_ERROR;
    servers = json_pack("[{s:s%}]", "url", conf->prefix.len
                                           ? (char *) conf->prefix.data : "/",
                        conf->prefix.len ? conf->prefix.len : 1);

    if (servers && json_object_set_new(document, "servers", servers) == 0) {
        conf->document = prov_json_text(cf->pool, document);
        rc = conf->document.data ? NGX_OK : NGX_ERROR;
    }

    json_decref(document);

    return rc;
}
