/*
 * The module: directives, configuration, the phases it takes part in, and
 * the start and end of a worker.  What happens to a request is in src/.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "handlers/prov_handlers.h"


static ngx_int_t ngx_http_provisioning_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_provisioning_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_provisioning_filter_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_provisioning_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_provisioning_init_process(ngx_cycle_t *cycle);
static void ngx_http_provisioning_exit_process(ngx_cycle_t *cycle);
static void *ngx_http_provisioning_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_provisioning_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_provisioning_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);

static char *ngx_http_provisioning_database(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_provisioning_signer(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_provisioning_issuer(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_provisioning_auth(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_provisioning_require(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_provisioning_roles(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_provisioning_limit_zone(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_provisioning_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_provisioning_api(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_provisioning_audit_attempts(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_provisioning_pass(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

static ngx_int_t ngx_http_provisioning_schema(ngx_conf_t *cf,
    ngx_str_t *value, ngx_array_t **schemas);
static ngx_uint_t ngx_http_provisioning_same(prov_openapi_api_t *api,
    ngx_str_t *file, ngx_array_t *schemas);
static prov_openapi_api_t *ngx_http_provisioning_document(ngx_conf_t *cf,
    ngx_str_t *name, ngx_array_t *schemas);
static ngx_int_t ngx_http_provisioning_prefix(ngx_conf_t *cf,
    ngx_str_t *value, ngx_str_t *prefix);
static void ngx_http_provisioning_here(ngx_conf_t *cf,
    prov_request_conf_t *conf);


static ngx_command_t  ngx_http_provisioning_commands[] = {

    { ngx_string("provisioning_database"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_provisioning_database,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_signer"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_provisioning_signer,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_issuer"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_provisioning_issuer,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_audit_attempts"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_provisioning_audit_attempts,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_auth"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_provisioning_auth,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_require"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_provisioning_require,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_roles"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_provisioning_roles,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_limit_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_provisioning_limit_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_limit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_provisioning_limit,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_require_if_match"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(prov_request_conf_t, require_if_match),
      NULL },

    { ngx_string("provisioning_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_provisioning_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_pass"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_provisioning_pass,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_provisioning_module_ctx = {
    ngx_http_provisioning_preconfiguration,  /* preconfiguration */
    ngx_http_provisioning_postconfiguration, /* postconfiguration */

    ngx_http_provisioning_create_main_conf,  /* create main configuration */
    NULL,                                    /* init main configuration */

    NULL,                                    /* create server configuration */
    NULL,                                    /* merge server configuration */

    ngx_http_provisioning_create_loc_conf,   /* create location configuration */
    ngx_http_provisioning_merge_loc_conf     /* merge location configuration */
};


ngx_module_t  ngx_http_provisioning_module = {
    NGX_MODULE_V1,
    &ngx_http_provisioning_module_ctx,       /* module context */
    ngx_http_provisioning_commands,          /* module directives */
    NGX_HTTP_MODULE,                         /* module type */
    NULL,                                    /* init master */
    ngx_http_provisioning_init_module,       /* init module */
    ngx_http_provisioning_init_process,      /* init process */
    NULL,                                    /* init thread */
    NULL,                                    /* exit thread */
    ngx_http_provisioning_exit_process,      /* exit process */
    NULL,                                    /* exit master */
    NGX_MODULE_V1_PADDING
};


/* a module of its own: only its place in nginx's list makes it a filter */

static ngx_http_module_t  ngx_http_provisioning_filter_module_ctx = {
    NULL,                                    /* preconfiguration */
    ngx_http_provisioning_filter_init,       /* postconfiguration */

    NULL,                                    /* create main configuration */
    NULL,                                    /* init main configuration */

    NULL,                                    /* create server configuration */
    NULL,                                    /* merge server configuration */

    NULL,                                    /* create location configuration */
    NULL                                     /* merge location configuration */
};


ngx_module_t  ngx_http_provisioning_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_provisioning_filter_module_ctx, /* module context */
    NULL,                                    /* module directives */
    NGX_HTTP_MODULE,                         /* module type */
    NULL,                                    /* init master */
    NULL,                                    /* init module */
    NULL,                                    /* init process */
    NULL,                                    /* init thread */
    NULL,                                    /* exit thread */
    NULL,                                    /* exit process */
    NULL,                                    /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_provisioning_preconfiguration(ngx_conf_t *cf)
{
    return prov_request_variables(cf);
}


static ngx_int_t
ngx_http_provisioning_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = prov_request_access;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = prov_request_attempt;

    /* a phase that subrequests do go through */

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = prov_request_subrequest;

    return NGX_OK;
}


static ngx_int_t
ngx_http_provisioning_filter_init(ngx_conf_t *cf)
{
    prov_request_filter_init();

    return NGX_OK;
}


static ngx_int_t
ngx_http_provisioning_init_module(ngx_cycle_t *cycle)
{
    /* nginx has initialised OpenSSL, libpq must not do it again */

    PQinitOpenSSL(0, 0);

    return NGX_OK;
}


static ngx_int_t
ngx_http_provisioning_init_process(ngx_cycle_t *cycle)
{
    prov_request_main_conf_t  *pmcf;

    pmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_provisioning_module);

    if (pmcf == NULL) {
        /* no http block */
        return NGX_OK;
    }

    if (prov_request_init_worker(cycle) != NGX_OK
        || prov_request_attempts_init_worker(cycle) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return prov_db_init_worker(cycle, &pmcf->databases);
}


static void
ngx_http_provisioning_exit_process(ngx_cycle_t *cycle)
{
    prov_request_attempts_exit_worker();
    prov_request_exit_worker();
    prov_db_exit_worker();
}


static void *
ngx_http_provisioning_create_main_conf(ngx_conf_t *cf)
{
    prov_request_main_conf_t  *pmcf;

    pmcf = ngx_pcalloc(cf->pool, sizeof(prov_request_main_conf_t));
    if (pmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&pmcf->databases, cf->pool, 2, sizeof(void *))
        != NGX_OK
        || ngx_array_init(&pmcf->issuers, cf->pool, 2, sizeof(void *))
           != NGX_OK
        || ngx_array_init(&pmcf->signers, cf->pool, 2, sizeof(void *))
           != NGX_OK
        || ngx_array_init(&pmcf->keys, cf->pool, 2, sizeof(void *)) != NGX_OK
        || ngx_array_init(&pmcf->apis, cf->pool, 2, sizeof(void *)) != NGX_OK
        || ngx_array_init(&pmcf->services, cf->pool, 2, sizeof(void *))
           != NGX_OK
        || ngx_array_init(&pmcf->zones, cf->pool, 2, sizeof(void *))
           != NGX_OK)
    {
        return NULL;
    }

    pmcf->handlers = prov_handlers;

    return pmcf;
}


static void *
ngx_http_provisioning_create_loc_conf(ngx_conf_t *cf)
{
    prov_request_conf_t  *plcf;

    plcf = ngx_pcalloc(cf->pool, sizeof(prov_request_conf_t));
    if (plcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc(): nothing is configured, all pointers NULL, which
     * is also what says that a value is to be inherited
     */

    plcf->require_if_match = NGX_CONF_UNSET;

    return plcf;
}


static char *
ngx_http_provisioning_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    prov_request_conf_t *prev = parent;
    prov_request_conf_t *conf = child;

    return prov_request_merge(cf, prev, conf);
}


static char *
ngx_http_provisioning_database(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    prov_request_main_conf_t *pmcf = conf;

    return prov_db_block(cf, &pmcf->databases);
}


static char *
ngx_http_provisioning_signer(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    prov_request_main_conf_t *pmcf = conf;

    return prov_auth_signer_block(cf, &pmcf->signers);
}


static char *
ngx_http_provisioning_issuer(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    prov_request_main_conf_t *pmcf = conf;

    return prov_auth_issuer_block(cf, &pmcf->issuers, &pmcf->signers);
}


static char *
ngx_http_provisioning_audit_attempts(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    return prov_request_attempts_set(cf, conf);
}


/* provisioning_auth issuer ... [keys=database] | off; */

static char *
ngx_http_provisioning_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    prov_request_conf_t *plcf = conf;

    ngx_str_t   *value, *name;
    ngx_uint_t   i;

    if (plcf->issuers) {
        return "is duplicate";
    }

    value = cf->args->elts;

    plcf->issuers = ngx_array_create(cf->pool, cf->args->nelts,
                                     sizeof(ngx_str_t));
    if (plcf->issuers == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_http_provisioning_here(cf, plcf);

    if (ngx_strcmp(value[1].data, "off") == 0) {

        if (cf->args->nelts > 2) {
            return "has parameters after \"off\"";
        }

        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "keys=", 5) == 0) {

            if (plcf->keys_of.len || value[i].len == 5) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid parameter \"%V\", expected "
                                   "\"keys=database\" once", &value[i]);
                return NGX_CONF_ERROR;
            }

            plcf->keys_of.data = value[i].data + 5;
            plcf->keys_of.len = value[i].len - 5;
            continue;
        }

        name = ngx_array_push(plcf->issuers);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        *name = value[i];
    }

    return NGX_CONF_OK;
}


/* provisioning_require role=name | permission=name ...; */

static char *
ngx_http_provisioning_require(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    prov_request_conf_t *plcf = conf;

    ngx_str_t                   *value;
    ngx_uint_t                   i;
    ngx_array_t                 *any;
    prov_request_requirement_t  *req;

    value = cf->args->elts;

    if (plcf->require == NULL) {
        plcf->require = ngx_array_create(cf->pool, 1, sizeof(ngx_array_t));
        if (plcf->require == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    any = ngx_array_push(plcf->require);
    if (any == NULL
        || ngx_array_init(any, cf->pool, cf->args->nelts,
                          sizeof(prov_request_requirement_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_http_provisioning_here(cf, plcf);

    for (i = 1; i < cf->args->nelts; i++) {

        req = ngx_array_push(any);
        if (req == NULL) {
            return NGX_CONF_ERROR;
        }

        req->name = value[i];

        if (ngx_strncmp(value[i].data, "role=", 5) == 0) {
            req->permission = 0;
            req->name.data += 5;
            req->name.len -= 5;

        } else if (ngx_strncmp(value[i].data, "permission=", 11) == 0) {
            req->permission = 1;
            req->name.data += 11;
            req->name.len -= 11;

        } else {
            req->name.len = 0;
        }

        if (req->name.len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", expected "
                               "\"role=name\" or \"permission=name\"",
                               &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* provisioning_roles document; */

static char *
ngx_http_provisioning_roles(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    prov_request_conf_t *plcf = conf;

    ngx_str_t  *value;

    if (plcf->roles) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ngx_http_provisioning_here(cf, plcf);

    plcf->roles = ngx_http_provisioning_document(cf, &value[1], NULL);

    return plcf->roles ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_provisioning_limit_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    prov_request_main_conf_t *pmcf = conf;

    return prov_limit_zone_conf(cf, &pmcf->zones);
}


static char *
ngx_http_provisioning_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return prov_request_limit_conf(cf, conf);
}


/* provisioning_api document [prefix=path] [schema=name:file ...]; */

static char *
ngx_http_provisioning_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    prov_request_conf_t *plcf = conf;

    ngx_int_t     rc;
    ngx_str_t    *value, prefix;
    ngx_uint_t    i;
    ngx_array_t  *schemas;

    if (plcf->api) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ngx_http_provisioning_here(cf, plcf);

    schemas = NULL;
    ngx_str_null(&prefix);

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "schema=", 7) == 0) {
            rc = ngx_http_provisioning_schema(cf, &value[i], &schemas);

        } else if (prefix.data
                   && ngx_strncmp(value[i].data, "prefix=", 7) == 0)
        {
            return "has more than one prefix";

        } else {
            rc = ngx_http_provisioning_prefix(cf, &value[i], &prefix);
        }

        if (rc != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    plcf->api = ngx_http_provisioning_document(cf, &value[1], schemas);
    if (plcf->api == NULL) {
        return NGX_CONF_ERROR;
    }

    plcf->prefix = prefix.data ? prefix : plcf->api->base;

    return NGX_CONF_OK;
}


/* provisioning_pass database; */

static char *
ngx_http_provisioning_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    prov_request_conf_t *plcf = conf;

    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;

    if (plcf->database.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    plcf->database = value[1];

    ngx_http_provisioning_here(cf, plcf);

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = prov_request_content;

    return NGX_CONF_OK;
}


/* Adds schema=name:file to those that were given before it. */

static ngx_int_t
ngx_http_provisioning_schema(ngx_conf_t *cf, ngx_str_t *value,
    ngx_array_t **schemas)
{
    u_char                 *p, *last;
    ngx_uint_t              i;
    prov_openapi_schema_t  *schema, one;

    last = value->data + value->len;

    one.name.data = value->data + 7;
    p = ngx_strlchr(one.name.data, last, ':');

    if (p == NULL || p == one.name.data || p + 1 == last) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected "
                           "\"schema=component:file\"", value);
        return NGX_ERROR;
    }

    one.name.len = p - one.name.data;
    one.file.data = p + 1;
    one.file.len = last - (p + 1);

    if (ngx_conf_full_name(cf->cycle, &one.file, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    if (*schemas == NULL) {
        *schemas = ngx_array_create(cf->pool, 2,
                                    sizeof(prov_openapi_schema_t));
        if (*schemas == NULL) {
            return NGX_ERROR;
        }
    }

    schema = (*schemas)->elts;

    for (i = 0; i < (*schemas)->nelts; i++) {
        if (schema[i].name.len == one.name.len
            && ngx_strncmp(schema[i].name.data, one.name.data, one.name.len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "the schema \"%V\" is given more than once",
                               &one.name);
            return NGX_ERROR;
        }
    }

    schema = ngx_array_push(*schemas);
    if (schema == NULL) {
        return NGX_ERROR;
    }

    *schema = one;

    return NGX_OK;
}


/* Whether it was loaded from that file, with those schemas. */

static ngx_uint_t
ngx_http_provisioning_same(prov_openapi_api_t *api, ngx_str_t *file,
    ngx_array_t *schemas)
{
    ngx_uint_t              i;
    prov_openapi_schema_t  *one, *two;

    if (api->file.len != file->len
        || ngx_strncmp(api->file.data, file->data, file->len) != 0)
    {
        return 0;
    }

    if (api->schemas == NULL || schemas == NULL) {
        return api->schemas == schemas;
    }

    if (api->schemas->nelts != schemas->nelts) {
        return 0;
    }

    one = api->schemas->elts;
    two = schemas->elts;

    for (i = 0; i < schemas->nelts; i++) {
        if (one[i].name.len != two[i].name.len
            || one[i].file.len != two[i].file.len
            || ngx_strncmp(one[i].name.data, two[i].name.data,
                           one[i].name.len) != 0
            || ngx_strncmp(one[i].file.data, two[i].file.data,
                           one[i].file.len) != 0)
        {
            return 0;
        }
    }

    return 1;
}


/* The document of that file name, loaded once however often it is named. */

static prov_openapi_api_t *
ngx_http_provisioning_document(ngx_conf_t *cf, ngx_str_t *name,
    ngx_array_t *schemas)
{
    ngx_str_t                           file;
    ngx_uint_t                          i;
    prov_fault_t                        fault;
    prov_openapi_api_t                **api;
    prov_request_main_conf_t  *pmcf;

    pmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_provisioning_module);
    file = *name;

    if (ngx_conf_full_name(cf->cycle, &file, 1) != NGX_OK) {
        return NULL;
    }

    api = pmcf->apis.elts;

    for (i = 0; i < pmcf->apis.nelts; i++) {
        if (ngx_http_provisioning_same(api[i], &file, schemas)) {
            return api[i];
        }
    }

    api = ngx_array_push(&pmcf->apis);
    if (api == NULL) {
        return NULL;
    }

    ngx_memzero(&fault, sizeof(prov_fault_t));

    *api = prov_openapi_load(cf->pool, cf->temp_pool, cf->log, &file, schemas,
                             &fault);

    if (*api) {
        return *api;
    }

    pmcf->apis.nelts--;

    if (fault.line) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V:%ui:%ui: %V",
                           &fault.file, fault.line, fault.column,
                           &fault.message);

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V#%V: %V", &fault.file,
                           &fault.pointer, &fault.message);
    }

    return NULL;
}


static ngx_int_t
ngx_http_provisioning_prefix(ngx_conf_t *cf, ngx_str_t *value,
    ngx_str_t *prefix)
{
    if (ngx_strncmp(value->data, "prefix=/", 8) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected "
                           "\"prefix=/path\"", value);
        return NGX_ERROR;
    }

    prefix->data = value->data + 7;
    prefix->len = value->len - 7;

    while (prefix->len && prefix->data[prefix->len - 1] == '/') {
        prefix->len--;
    }

    return NGX_OK;
}


static void
ngx_http_provisioning_here(ngx_conf_t *cf, prov_request_conf_t *conf)
{
    conf->file = cf->conf_file->file.name.data;
    conf->line = cf->conf_file->line;
}
