/*
 * Reading one document: the order of the steps, and what concerns the
 * document as a whole.  Called by the module while it reads nginx.conf, also
 * by "nginx -t"; opens files, and connects to nothing.
 */

#include "openapi/prov_openapi_load.h"


static ngx_int_t prov_openapi_load_init(prov_openapi_load_t *load,
    ngx_str_t *file);
static ngx_int_t prov_openapi_load_version(prov_openapi_load_t *load);
static ngx_int_t prov_openapi_load_steps(prov_openapi_load_t *load);
static ngx_int_t prov_openapi_load_dialect(prov_openapi_load_t *load);
static ngx_int_t prov_openapi_load_base(prov_openapi_load_t *load);
static ngx_int_t prov_openapi_load_schema(prov_openapi_load_t *load);
static ngx_int_t prov_openapi_load_enter(prov_openapi_load_t *load);


prov_openapi_api_t *
prov_openapi_load(ngx_pool_t *pool, ngx_pool_t *temp, ngx_log_t *log,
    ngx_str_t *file, ngx_array_t *schemas, prov_fault_t *fault)
{
    prov_openapi_api_t   api;
    prov_openapi_load_t  load;

    ngx_memzero(&load, sizeof(prov_openapi_load_t));
    ngx_memzero(&api, sizeof(prov_openapi_api_t));
    ngx_memzero(fault, sizeof(prov_fault_t));

    load.pool = pool;
    load.temp = temp;
    load.log = log;
    load.fault = fault;
    load.api = ngx_pcalloc(pool, sizeof(prov_openapi_api_t));

    if (load.api == NULL) {
        load.api = &api;
        api.file = *file;

        (void) prov_openapi_no_memory(&load);
        return NULL;
    }

    load.api->file = *file;
    load.api->schemas = schemas;

    if (prov_openapi_load_init(&load, file) != NGX_OK
        || prov_openapi_load_steps(&load) != NGX_OK)
    {
        return NULL;
    }

    return load.api;
}


static ngx_int_t
prov_openapi_load_init(prov_openapi_load_t *load, ngx_str_t *file)
{
    prov_openapi_api_t  *api;

    api = load->api;

    api->routes = ngx_pcalloc(load->pool, sizeof(prov_openapi_node_t));
    load->names = json_object();

    if (load->names == NULL
        || prov_json_give(load->temp, load->names) != NGX_OK
        || api->routes == NULL
        || prov_openapi_copy(load->pool, &api->file, file) != NGX_OK
        || ngx_array_init(&api->permissions, load->pool, 16,
                          sizeof(ngx_str_t)) != NGX_OK
        || ngx_array_init(&api->roles, load->pool, 8,
                          sizeof(prov_openapi_role_t)) != NGX_OK
        || ngx_array_init(&api->files, load->pool, 4,
                          sizeof(ngx_str_t)) != NGX_OK
        || ngx_array_init(&load->files, load->temp, 4,
                          sizeof(prov_openapi_file_t)) != NGX_OK
        || ngx_array_init(&load->moved, load->temp, 32,
                          sizeof(prov_openapi_moved_t)) != NGX_OK
        || ngx_array_init(&load->refs, load->temp, 64,
                          sizeof(prov_openapi_ref_t)) != NGX_OK
        || ngx_array_init(&load->parts, load->temp, 256,
                          sizeof(prov_openapi_part_t)) != NGX_OK
        || ngx_array_init(&load->wanted, load->temp, 32,
                          sizeof(ngx_str_t)) != NGX_OK)
    {
        return prov_openapi_no_memory(load);
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_load_steps(prov_openapi_load_t *load)
{
    ngx_str_t             root;
    ngx_uint_t            index;
    prov_openapi_file_t  *files;

    ngx_str_set(&root, "");

    if (prov_openapi_file(load, &load->api->file, &root, &index) != NGX_OK) {
        return NGX_ERROR;
    }

    files = load->files.elts;
    load->root = files[0].json;

    if (prov_openapi_load_version(load) != NGX_OK
        || prov_openapi_bundle(load) != NGX_OK
        || prov_openapi_replace_check(load) != NGX_OK)
    {
        return NGX_ERROR;
    }

    load->keep = prov_schema_compiler_create(load->pool, load->temp,
                                             load->root);
    load->check = prov_schema_compiler_create(load->temp, load->temp,
                                              load->root);

    if (load->keep == NULL || load->check == NULL) {
        return prov_openapi_no_memory(load);
    }

    if (prov_openapi_load_dialect(load) != NGX_OK
        || prov_openapi_load_base(load) != NGX_OK
        || prov_openapi_load_schema(load) != NGX_OK
        || prov_openapi_load_enter(load) != NGX_OK
        || prov_openapi_names(load) != NGX_OK
        || prov_openapi_check_schemas(load) != NGX_OK
        || prov_openapi_operations(load) != NGX_OK
        || prov_openapi_roles(load) != NGX_OK
        || prov_openapi_check_examples(load) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return prov_openapi_serve(load);
}


/* Before anything else: of another version all the rest would be wrong. */

static ngx_int_t
prov_openapi_load_version(prov_openapi_load_t *load)
{
    size_t              n;
    ngx_str_t           version;
    prov_openapi_at_t   root, at;

    root.json = load->root;
    ngx_str_set(&root.pointer, "");

    if (!json_is_object(root.json)) {
        return prov_openapi_fail(load, &root.pointer,
                                 "an OpenAPI document must be an object: "
                                 "write {...}");
    }

    if (prov_openapi_child(load, &root, "openapi",
                           json_object_get(root.json, "openapi"), &at)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (at.json == NULL) {
        return prov_openapi_fail(load, &root.pointer,
                                 "this is not an OpenAPI document: write "
                                 "\"openapi\": \"3.1.0\"");
    }

    version = prov_openapi_string(at.json);

    if (version.len > 4 && ngx_strncmp(version.data, "3.1.", 4) == 0) {

        n = strspn((char *) version.data + 4, "0123456789");

        if (n == version.len - 4) {
            return NGX_OK;
        }
    }

    return prov_openapi_fail(load, &at.pointer,
                             "only version 3.1 of OpenAPI is supported: "
                             "write \"3.1.0\"");
}


/* OpenAPI's own dialect is JSON Schema 2020-12 plus annotations. */

static ngx_int_t
prov_openapi_load_dialect(prov_openapi_load_t *load)
{
    json_t             *json;
    ngx_str_t           text;
    prov_openapi_at_t   root, at;

    static ngx_str_t  base
                = ngx_string("https://spec.openapis.org/oas/3.1/dialect/base");
    static ngx_str_t  draft
                = ngx_string("https://json-schema.org/draft/2020-12/schema");

    json = json_object_get(load->root, "jsonSchemaDialect");
    if (json == NULL) {
        return NGX_OK;
    }

    text = prov_openapi_string(json);

    if (prov_openapi_compare(&text, &base) == 0
        || prov_openapi_compare(&text, &draft) == 0)
    {
        return NGX_OK;
    }

    ngx_str_set(&root.pointer, "");

    if (prov_openapi_child(load, &root, "jsonSchemaDialect", json, &at)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return prov_openapi_fail(load, &at.pointer,
                             "only JSON Schema 2020-12 is understood: write "
                             "\"%V\" or remove it", &draft);
}


/* The path below which operations are, from the first server's URL. */

static ngx_int_t
prov_openapi_load_base(prov_openapi_load_t *load)
{
    u_char      *p, *end;
    json_t      *server;
    ngx_str_t    url, base, pointer;
    ngx_uint_t   bad;

    ngx_str_set(&load->api->base, "");

    server = json_array_get(json_object_get(load->root, "servers"), 0);
    if (server == NULL) {
        return NGX_OK;
    }

    url = prov_openapi_string(json_object_get(server, "url"));
    base = url;

    if (ngx_strncmp(url.data, "https://", 8) == 0
        || ngx_strncmp(url.data, "http://", 7) == 0)
    {
        end = url.data + url.len;
        p = ngx_strlchr(url.data + (url.data[4] == 's' ? 8 : 7), end, '/');

        base.data = p ? p : end;
        base.len = end - base.data;
    }

    if (base.len && base.data[base.len - 1] == '/') {
        base.len--;
    }

    bad = (base.len && (base.data[0] != '/' || base.data[1] == '/'))
          || (url.data == base.data && url.data[0] != '/')
          || strspn((char *) base.data, PROV_OPENAPI_NAME_CHARS "~/")
             < base.len
          || ngx_strnstr(base.data, "//", base.len)
          || ngx_strnstr(base.data, "/./", base.len)
          || ngx_strnstr(base.data, "/../", base.len);

    if (bad) {
        ngx_str_set(&pointer, "/servers/0/url");

        return prov_openapi_fail(load, &pointer,
                                 "\"%V\" does not say below which path the "
                                 "operations are: write it without "
                                 "variables, query or percent-escapes, like "
                                 "\"/api/provisioning\"", &url);
    }

    if (prov_openapi_copy(load->pool, &load->api->base, &base) != NGX_OK) {
        return prov_openapi_no_memory(load);
    }

    return NGX_OK;
}


/* Where the functions are, and whose version this is. */

static ngx_int_t
prov_openapi_load_schema(prov_openapi_load_t *load)
{
    json_t     *info;
    ngx_str_t   name, version, pointer;

    name = prov_openapi_string(json_object_get(load->root,
                                               "x-database-schema"));

    if (!prov_openapi_identifier(&name)
        || ngx_strncmp(name.data, "pg_", 3) == 0)
    {
        ngx_str_set(&pointer, "/x-database-schema");

        return prov_openapi_fail(load, &pointer,
                                 "\"%V\" cannot name a schema of the "
                                 "database: write snake_case of at most %d "
                                 "bytes that does not begin with \"pg_\"",
                                 &name, PROV_OPENAPI_MAX_NAME);
    }

    info = json_object_get(load->root, "info");
    version = prov_openapi_string(json_object_get(info, "version"));

    if (prov_openapi_copy(load->pool, &load->api->schema, &name) != NGX_OK
        || prov_openapi_copy(load->pool, &load->api->version, &version)
           != NGX_OK)
    {
        return prov_openapi_no_memory(load);
    }

    return NGX_OK;
}


/* What lets callers in: with prov.enter() they act for a partner. */

static ngx_int_t
prov_openapi_load_enter(prov_openapi_load_t *load)
{
    json_t     *json;
    ngx_str_t   name, pointer;

    json = json_object_get(load->root, "x-database-enter");

    if (json == NULL) {
        ngx_str_set(&load->api->enter, "enter");
        return NGX_OK;
    }

    load->api->partnerless = 1;
    name = prov_openapi_string(json);

    if (!prov_openapi_identifier(&name)) {
        ngx_str_set(&pointer, "/x-database-enter");

        return prov_openapi_fail(load, &pointer,
                                 "\"%V\" cannot name a function of the "
                                 "database's schema \"prov\": write "
                                 "snake_case of at most %d bytes, like "
                                 "\"operator_enter\"", &name,
                                 PROV_OPENAPI_MAX_NAME);
    }

    if (prov_openapi_copy(load->pool, &load->api->enter, &name) != NGX_OK) {
        return prov_openapi_no_memory(load);
    }

    return NGX_OK;
}
