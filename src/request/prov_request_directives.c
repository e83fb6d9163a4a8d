/*
 * The directives that tell a location what to do: who may come, which
 * document it serves, which database stands behind it.  Called while nginx
 * reads its configuration; what they say is worked out when it is merged.
 */

#include "request/prov_request.h"


static ngx_int_t prov_directive_schema(ngx_conf_t *cf, ngx_str_t *value,
    ngx_array_t **schemas);
static ngx_uint_t prov_directive_same(prov_openapi_api_t *api,
    ngx_str_t *file, ngx_array_t *schemas);
static prov_openapi_api_t *prov_directive_document(ngx_conf_t *cf,
    ngx_str_t *name, ngx_array_t *schemas);
static ngx_int_t prov_directive_prefix(ngx_conf_t *cf, ngx_str_t *value,
    ngx_str_t *prefix);
static void prov_directive_here(ngx_conf_t *cf, prov_request_conf_t *conf);


/* provisioning_auth issuer ... [keys=database] | off; */

char *
prov_request_set_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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

    prov_directive_here(cf, plcf);

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

char *
prov_request_set_require(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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

    prov_directive_here(cf, plcf);

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

char *
prov_request_set_roles(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    prov_request_conf_t *plcf = conf;

    ngx_str_t  *value;

    if (plcf->roles) {
        return "is duplicate";
    }

    value = cf->args->elts;

    prov_directive_here(cf, plcf);

    plcf->roles = prov_directive_document(cf, &value[1], NULL);

    return plcf->roles ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* provisioning_api document [prefix=path] [schema=name:file ...]; */

char *
prov_request_set_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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

    prov_directive_here(cf, plcf);

    schemas = NULL;
    ngx_str_null(&prefix);

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "schema=", 7) == 0) {
            rc = prov_directive_schema(cf, &value[i], &schemas);

        } else if (prefix.data
                   && ngx_strncmp(value[i].data, "prefix=", 7) == 0)
        {
            return "has more than one prefix";

        } else {
            rc = prov_directive_prefix(cf, &value[i], &prefix);
        }

        if (rc != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    plcf->api = prov_directive_document(cf, &value[1], schemas);
    if (plcf->api == NULL) {
        return NGX_CONF_ERROR;
    }

    plcf->prefix = prefix.data ? prefix : plcf->api->base;

    return (prov_request_caller_conf(cf, plcf) == NGX_OK) ? NGX_CONF_OK
                                                          : NGX_CONF_ERROR;
}


/* provisioning_pass database; */

char *
prov_request_set_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    prov_request_conf_t *plcf = conf;

    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;

    if (plcf->database.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    plcf->database = value[1];

    prov_directive_here(cf, plcf);

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = prov_request_content;

    return NGX_CONF_OK;
}


/* Adds schema=name:file to those that were given before it. */

static ngx_int_t
prov_directive_schema(ngx_conf_t *cf, ngx_str_t *value,
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
prov_directive_same(prov_openapi_api_t *api, ngx_str_t *file,
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
prov_directive_document(ngx_conf_t *cf, ngx_str_t *name,
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
        if (prov_directive_same(api[i], &file, schemas)) {
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
prov_directive_prefix(ngx_conf_t *cf, ngx_str_t *value,
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
prov_directive_here(ngx_conf_t *cf, prov_request_conf_t *conf)
{
    conf->file = cf->conf_file->file.name.data;
    conf->line = cf->conf_file->line;
}
