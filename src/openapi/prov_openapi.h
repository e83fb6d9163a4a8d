/*
 * An OpenAPI 3.1 document, read while the configuration is read and compiled
 * into what a request needs: routes, permissions, parameter and body schemas.
 * Called by the module (load) and by src/request (route, permit).  Everything
 * here is read-only once loaded and lives in the configuration's pool.
 */

#ifndef _PROV_OPENAPI_H_INCLUDED_
#define _PROV_OPENAPI_H_INCLUDED_


#include "base/prov_json.h"
#include "schema/prov_schema.h"


/* x-permission of an operation with "security: []" */
#define PROV_OPENAPI_PUBLIC           ((ngx_uint_t) -1)

/* of prov_openapi_route(); the statuses that HTTP has for them */
#define PROV_OPENAPI_BAD_REQUEST      400
#define PROV_OPENAPI_NOT_ALLOWED      405

#define PROV_OPENAPI_MAX_PARAMETERS   32    /* in one operation's path */
#define PROV_OPENAPI_MAX_OPERATIONS   1024
#define PROV_OPENAPI_MAX_PERMISSIONS  512


typedef enum {
    PROV_OPENAPI_PATH = 0,
    PROV_OPENAPI_QUERY,
    PROV_OPENAPI_HEADER
} prov_openapi_in_e;


typedef enum {
    PROV_OPENAPI_GET = 0,      /* serves HEAD too */
    PROV_OPENAPI_POST,
    PROV_OPENAPI_PUT,
    PROV_OPENAPI_PATCH,
    PROV_OPENAPI_DELETE,
    PROV_OPENAPI_METHODS
} prov_openapi_method_e;


typedef struct {
    ngx_str_t               name;       /* as documented */
    u_char                 *lowcase;    /* of the same length */
    prov_openapi_in_e       in;
    prov_schema_t          *schema;
    ngx_uint_t              types;      /* prov_schema_types(schema) */
    ngx_str_t               permission; /* which its use needs besides the
                                           operation's; empty: none */
    unsigned                required:1;
    unsigned                explode:1;  /* array: name=a&name=b */
    unsigned                deep:1;     /* style deepObject: name[key]=value */
} prov_openapi_parameter_t;


typedef struct {
    ngx_str_t               type;       /* "application/json", lower case */
    prov_schema_t          *schema;
} prov_openapi_media_t;


/* x-secret: what the gateway makes and seals for a function */

#define PROV_OPENAPI_OWNER_NEW  ((ngx_uint_t) -1)

typedef enum {
    PROV_OPENAPI_MAKE_NOTHING = 0,
    PROV_OPENAPI_MAKE_WEBHOOK,          /* what webhooks are signed with */
    PROV_OPENAPI_MAKE_API_KEY           /* of which the hash is kept */
} prov_openapi_make_e;

typedef struct {
    ngx_str_t               purpose;    /* the beginning of each seal's own */
    ngx_str_t               member;     /* of the body, to be sealed; empty:
                                           none */
    ngx_uint_t              owner;      /* index of a parameter of the path,
                                           or PROV_OPENAPI_OWNER_NEW */
    prov_openapi_make_e     make;       /* a new secret */
} prov_openapi_secret_t;


typedef struct prov_openapi_api_s  prov_openapi_api_t;


typedef struct {
    ngx_str_t               id;         /* operationId */
    ngx_uint_t              index;      /* in api->operations */
    prov_openapi_method_e   method;
    ngx_str_t               path;       /* template: "/tenants/{tenant}" */
    ngx_uint_t              permission; /* index in api->permissions */
    ngx_str_t               handler;    /* x-handler; empty: the function */
    ngx_str_t               live;       /* x-event-stream: the handler that
                                           serves text/event-stream */
    ngx_array_t             parameters; /* prov_openapi_parameter_t; the path's
                                           first, in the path's order */
    ngx_uint_t              npath;      /* how many of them are the path's */
    ngx_array_t             media;      /* prov_openapi_media_t; empty: the
                                           operation takes no body */
    prov_schema_t          *result;     /* x-validate-result: of the member
                                           below; NULL: nothing is looked at */
    ngx_str_t               member;     /* of what the function answers */
    prov_openapi_secret_t  *secret;     /* x-secret, or NULL */
    ngx_str_t               outbound;   /* x-outbound-url: member of the body;
                                           empty: none */
    unsigned                body_required:1;
    unsigned                stream:1;   /* x-stream: answered page by page */
    unsigned                several:1;  /* x-several: there is a function for
                                           several requests at once */
    unsigned                apart:1;    /* x-several is false: each request
                                           has a transaction of its own */
    prov_openapi_api_t     *api;
} prov_openapi_operation_t;


typedef struct {
    ngx_str_t               name;
    uint64_t               *granted;    /* bitmap over api->permissions */
} prov_openapi_role_t;


typedef struct prov_openapi_node_s  prov_openapi_node_t;


/* A schema of the operator's, in the place of one of the document's. */

typedef struct {
    ngx_str_t               name;       /* of the component */
    ngx_str_t               file;       /* full name */
} prov_openapi_schema_t;


struct prov_openapi_api_s {
    ngx_str_t               file;       /* full name of the root document */
    ngx_str_t               base;       /* path of servers[0].url, without a
                                           trailing slash; may be empty */
    ngx_str_t               schema;     /* x-database-schema */
    ngx_str_t               enter;      /* x-database-enter, or "enter" */
    ngx_str_t               version;    /* info.version */
    ngx_array_t             operations; /* prov_openapi_operation_t */
    ngx_array_t             permissions;/* ngx_str_t, sorted */
    ngx_array_t             roles;      /* prov_openapi_role_t, sorted */
    ngx_array_t             files;      /* ngx_str_t: all that was read */
    ngx_array_t            *schemas;    /* as they were given; may be NULL */
    ngx_str_t               document;   /* bundled, without x-*, as served */
    prov_openapi_node_t    *routes;
    unsigned                partnerless:1;  /* callers act for no partner */
};


typedef struct {
    prov_openapi_operation_t  *operation;
    ngx_str_t                 *values;  /* of the path's parameters, decoded */
    ngx_str_t                  allow;   /* "GET, HEAD, POST", for a 405 */
} prov_openapi_match_t;


/*
 * Reads, bundles, checks and compiles the document in file (a full path),
 * with schemas (prov_openapi_schema_t; may be NULL) in the places of the
 * components that they name and that are of other files.  pool keeps the
 * result; temp is used while loading and may be destroyed afterwards.  NULL
 * with *fault filled in (its strings are in pool).
 */
prov_openapi_api_t *prov_openapi_load(ngx_pool_t *pool, ngx_pool_t *temp,
    ngx_log_t *log, ngx_str_t *file, ngx_array_t *schemas,
    prov_fault_t *fault);

/*
 * Finds the operation for a method ("GET", "HEAD", …) and a raw, still
 * percent-encoded path that begins after the base ("/tenants/a%2Fb").  A
 * literal segment wins over a parameter.  Values are decoded into pool.
 *
 * NGX_OK; NGX_DECLINED: no such path; PROV_OPENAPI_NOT_ALLOWED: the path is
 * there and match->allow says which methods it has; PROV_OPENAPI_BAD_REQUEST:
 * a bad percent-escape, a NUL or bad UTF-8; NGX_ERROR: no memory.
 */
ngx_int_t prov_openapi_route(prov_openapi_api_t *api, ngx_str_t *method,
    ngx_str_t *path, ngx_pool_t *pool, prov_openapi_match_t *match);

/* 1 when one of the roles grants the operation's permission, or it is public */
ngx_uint_t prov_openapi_permitted(prov_openapi_operation_t *op,
    ngx_str_t *roles, ngx_uint_t n);

/* 1 when one of the roles grants the named permission of this API */
ngx_uint_t prov_openapi_grants(prov_openapi_api_t *api, ngx_str_t *permission,
    ngx_str_t *roles, ngx_uint_t n);

/*
 * Scopes, written as grants are: whether one covers a permission or another
 * scope; whether one of several does.
 */
ngx_uint_t prov_openapi_scope_covers(ngx_str_t *scope, ngx_str_t *wanted);
ngx_uint_t prov_openapi_scoped(ngx_str_t *scopes, ngx_uint_t n,
    ngx_str_t *wanted);


#endif /* _PROV_OPENAPI_H_INCLUDED_ */
