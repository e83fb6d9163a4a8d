/*
 * What the files of the loader share while one document is read: the files,
 * the bundled tree, and where each piece of it came from.  Private to
 * src/openapi, alive only inside prov_openapi_load().
 *
 * All of it speaks of places by one coordinate, a JSON pointer into the
 * bundled document.  Only prov_openapi_fail() turns that back into the file
 * and the pointer that the author knows.
 */

#ifndef _PROV_OPENAPI_LOAD_H_INCLUDED_
#define _PROV_OPENAPI_LOAD_H_INCLUDED_


#include "openapi/prov_openapi_node.h"


#define PROV_OPENAPI_MAX_FILE        (4 * 1024 * 1024)    /* bytes */
#define PROV_OPENAPI_MAX_FILES       256
#define PROV_OPENAPI_MAX_COMPONENTS  4096    /* moved in from other files */
#define PROV_OPENAPI_MAX_NAME        63      /* bytes in an identifier */
#define PROV_OPENAPI_MAX_PERMISSION  127     /* bytes in a permission */
#define PROV_OPENAPI_MAX_ROLE        255     /* bytes in a role's name */

/* what the names of components consist of */
#define PROV_OPENAPI_NAME_CHARS                                               \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"


/* what stands at a place of the document (OpenAPI 3.1.1, section 4.8) */

typedef enum {
    PROV_OPENAPI_K_ANY = 0,           /* a value nobody looks into */
    PROV_OPENAPI_K_STRING,
    PROV_OPENAPI_K_BOOLEAN,
    PROV_OPENAPI_K_DOCUMENT,
    PROV_OPENAPI_K_INFO,
    PROV_OPENAPI_K_CONTACT,
    PROV_OPENAPI_K_LICENSE,
    PROV_OPENAPI_K_SERVER,
    PROV_OPENAPI_K_SERVER_VARIABLE,
    PROV_OPENAPI_K_TAG,
    PROV_OPENAPI_K_EXTERNAL_DOCS,
    PROV_OPENAPI_K_COMPONENTS,
    PROV_OPENAPI_K_PATH_ITEM,
    PROV_OPENAPI_K_OPERATION,
    PROV_OPENAPI_K_RESULT,
    PROV_OPENAPI_K_SECRET,
    PROV_OPENAPI_K_PARAMETER,
    PROV_OPENAPI_K_REQUEST_BODY,
    PROV_OPENAPI_K_MEDIA_TYPE,
    PROV_OPENAPI_K_RESPONSE,
    PROV_OPENAPI_K_HEADER,
    PROV_OPENAPI_K_EXAMPLE,
    PROV_OPENAPI_K_LINK,
    PROV_OPENAPI_K_CALLBACK,
    PROV_OPENAPI_K_SECURITY_SCHEME,
    PROV_OPENAPI_K_OAUTH_FLOWS,
    PROV_OPENAPI_K_OAUTH_FLOW,
    PROV_OPENAPI_K_REQUIREMENT,
    PROV_OPENAPI_K_SCHEMA,
    PROV_OPENAPI_KINDS
} prov_openapi_kind_e;


typedef enum {
    PROV_OPENAPI_ONE = 0,
    PROV_OPENAPI_LIST,                /* an array of them */
    PROV_OPENAPI_MAP                  /* an object of them, by name */
} prov_openapi_shape_e;


/* which names the members of a map may have */

typedef enum {
    PROV_OPENAPI_ANY_NAME = 0,
    PROV_OPENAPI_PATH_NAME,           /* "/…" */
    PROV_OPENAPI_STATUS_NAME,         /* "200", "4XX", "default" */
    PROV_OPENAPI_MEDIA_NAME,          /* "type/subtype" */
    PROV_OPENAPI_COMPONENT_NAME       /* letters, digits, ".", "-", "_" */
} prov_openapi_names_e;


typedef struct {
    const char            *name;      /* NULL ends the table, "*" is any */
    prov_openapi_kind_e    kind;
    prov_openapi_shape_e   shape;
    prov_openapi_names_e   names;
    const char            *required;  /* what to write when it is missing */
    const char            *refused;   /* why it cannot be used here */
} prov_openapi_member_t;


typedef struct {
    const char             *name;     /* "a parameter" */
    const char             *section;  /* of "components"; NULL: no "$ref" */
    const char             *extensions;  /* for a sentence; NULL: none */
    prov_openapi_member_t  *members;
} prov_openapi_grammar_t;


typedef struct {
    json_t                 *json;
    ngx_str_t               pointer;
} prov_openapi_at_t;


typedef struct {
    ngx_str_t               name;     /* relative ones as seen from the root */
    dev_t                   dev;      /* two names, one file: read once */
    ino_t                   ino;
    json_t                 *json;
} prov_openapi_file_t;


/* A piece of another file that became one of the root's components. */

typedef struct {
    ngx_str_t               pointer;  /* where it is now */
    ngx_str_t               origin;   /* where it was, in that file */
    ngx_uint_t              file;     /* index in load->files */
    ngx_str_t               target;   /* where the "$ref" leads, */
    ngx_uint_t              asked;    /* and in which file: the same as
                                         above unless it was replaced */
    prov_openapi_kind_e     kind;
    ngx_str_t               name;     /* in its section of "components" */
    json_t                 *json;
    unsigned                replaced:1;  /* by a schema of the operator's */
} prov_openapi_moved_t;


/* A "$ref", as it is in the bundled document. */

typedef struct {
    ngx_str_t               from;     /* the object that has it */
    ngx_str_t               to;
    prov_openapi_kind_e     kind;     /* that must be found there */
    unsigned                ends:1;   /* known not to go in a circle */
} prov_openapi_ref_t;


/* Each object (and boolean schema) that the walk has met. */

typedef struct {
    prov_openapi_at_t       at;
    prov_openapi_kind_e     kind;
    unsigned                served:1; /* an operation that has a route */
} prov_openapi_part_t;


/* A path as documented, "/tenants/{tenant}/users", taken apart. */

typedef struct {
    ngx_str_t               text;     /* decoded literal, or the name */
    unsigned                parameter:1;
} prov_openapi_segment_t;


typedef struct {
    ngx_str_t               path;
    ngx_uint_t              n;
    ngx_uint_t              nparameters;
    prov_openapi_segment_t  segments[PROV_OPENAPI_MAX_SEGMENTS];
} prov_openapi_template_t;


typedef struct {
    ngx_pool_t             *pool;
    ngx_pool_t             *temp;
    ngx_log_t              *log;
    prov_fault_t           *fault;
    prov_openapi_api_t     *api;

    json_t                 *root;     /* files[0]; in the end the bundle */
    ngx_uint_t              file;     /* whose "$ref"s the walk resolves */

    ngx_array_t             files;    /* prov_openapi_file_t */
    ngx_array_t             moved;    /* prov_openapi_moved_t */
    json_t                 *names;    /* the set of their pointers */
    ngx_array_t             refs;     /* prov_openapi_ref_t, later by .from */
    ngx_array_t             parts;    /* prov_openapi_part_t, later sorted */

    prov_schema_compiler_t *keep;     /* for requests, into pool */
    prov_schema_compiler_t *check;    /* for everything else, into temp */

    ngx_array_t             wanted;   /* ngx_str_t: x-permission by operation,
                                         empty for a public one */
} prov_openapi_load_t;


/*
 * prov_openapi_pointer.c.  Functions returning ngx_int_t answer NGX_OK, or
 * NGX_ERROR with the fault filled in; some also NGX_DECLINED: not there.
 */

ngx_int_t prov_openapi_fail(prov_openapi_load_t *load, ngx_str_t *pointer,
    const char *fmt, ...);
ngx_int_t prov_openapi_fail_text(prov_openapi_load_t *load, ngx_str_t *file,
    prov_json_error_t *err);
ngx_int_t prov_openapi_no_memory(prov_openapi_load_t *load);

ngx_int_t prov_openapi_child(prov_openapi_load_t *load,
    prov_openapi_at_t *at, const char *key, json_t *json,
    prov_openapi_at_t *child);
ngx_int_t prov_openapi_member(prov_openapi_load_t *load,
    prov_openapi_at_t *at, const char *key, prov_openapi_at_t *child);
ngx_int_t prov_openapi_element(prov_openapi_load_t *load,
    prov_openapi_at_t *at, size_t index, prov_openapi_at_t *child);
ngx_int_t prov_openapi_find(prov_openapi_load_t *load, json_t *json,
    ngx_str_t *pointer, prov_openapi_at_t *found);
ngx_str_t prov_openapi_string(json_t *json);
ngx_int_t prov_openapi_copy(ngx_pool_t *pool, ngx_str_t *dst,
    ngx_str_t *src);
ngx_uint_t prov_openapi_identifier(ngx_str_t *name);

/* prov_openapi_file.c */
ngx_int_t prov_openapi_file(prov_openapi_load_t *load, ngx_str_t *name,
    ngx_str_t *pointer, ngx_uint_t *index);

/* prov_openapi_grammar.c: by prov_openapi_kind_e */
extern prov_openapi_grammar_t  prov_openapi_grammar[];

/* prov_openapi_walk.c */
ngx_int_t prov_openapi_walk(prov_openapi_load_t *load,
    prov_openapi_kind_e kind, prov_openapi_at_t *at);

/* prov_openapi_ref.c */
ngx_int_t prov_openapi_ref(prov_openapi_load_t *load,
    prov_openapi_kind_e kind, prov_openapi_at_t *at);

/* prov_openapi_bundle.c */
ngx_int_t prov_openapi_bundle(prov_openapi_load_t *load);
prov_openapi_part_t *prov_openapi_part(prov_openapi_load_t *load,
    ngx_str_t *pointer);
ngx_int_t prov_openapi_follow(prov_openapi_load_t *load,
    prov_openapi_at_t *at);
ngx_int_t prov_openapi_serve(prov_openapi_load_t *load);

/* prov_openapi_replace.c */
ngx_int_t prov_openapi_replace(prov_openapi_load_t *load,
    prov_openapi_moved_t *moved, prov_openapi_at_t *ref, json_t **json);
ngx_int_t prov_openapi_replace_check(prov_openapi_load_t *load);
ngx_uint_t prov_openapi_replaced(prov_openapi_load_t *load,
    prov_openapi_at_t *media);
void prov_openapi_replace_examples(prov_openapi_load_t *load);

/* prov_openapi_compile.c */
ngx_int_t prov_openapi_compile(prov_openapi_load_t *load,
    prov_schema_compiler_t *compiler, ngx_str_t *pointer,
    prov_schema_t **schema);
ngx_int_t prov_openapi_check_schemas(prov_openapi_load_t *load);
ngx_int_t prov_openapi_check_examples(prov_openapi_load_t *load);

/* prov_openapi_name.c */
ngx_int_t prov_openapi_names(prov_openapi_load_t *load);

/* prov_openapi_tree.c */
ngx_int_t prov_openapi_path(prov_openapi_load_t *load, prov_openapi_at_t *at,
    ngx_str_t *path, prov_openapi_template_t *template);
ngx_int_t prov_openapi_tree_add(prov_openapi_load_t *load,
    prov_openapi_at_t *at, prov_openapi_template_t *template,
    prov_openapi_node_t **node);
ngx_int_t prov_openapi_tree_method(prov_openapi_load_t *load,
    prov_openapi_node_t *node, prov_openapi_operation_t *op);

/* prov_openapi_operation.c */
ngx_int_t prov_openapi_operations(prov_openapi_load_t *load);

/* prov_openapi_parameter.c */
ngx_int_t prov_openapi_parameters(prov_openapi_load_t *load,
    prov_openapi_at_t *item, prov_openapi_at_t *operation,
    prov_openapi_template_t *template, prov_openapi_operation_t *op);

/* prov_openapi_text.c */
ngx_int_t prov_openapi_text(prov_openapi_load_t *load, prov_openapi_at_t *at,
    prov_openapi_parameter_t *parameter);

/* prov_openapi_body.c */
ngx_int_t prov_openapi_body(prov_openapi_load_t *load,
    prov_openapi_at_t *operation, prov_openapi_operation_t *op);

/* prov_openapi_outbound.c */
ngx_int_t prov_openapi_outbound(prov_openapi_load_t *load,
    prov_openapi_at_t *operation, prov_openapi_operation_t *op);

/* prov_openapi_secret.c */
ngx_int_t prov_openapi_secret(prov_openapi_load_t *load,
    prov_openapi_at_t *operation, prov_openapi_operation_t *op);

/* prov_openapi_result.c */
ngx_int_t prov_openapi_result(prov_openapi_load_t *load,
    prov_openapi_at_t *operation, prov_openapi_operation_t *op);

/* prov_openapi_access.c */
ngx_int_t prov_openapi_access(prov_openapi_load_t *load,
    prov_openapi_at_t *at, prov_openapi_operation_t *op);
ngx_int_t prov_openapi_access_parameter(prov_openapi_load_t *load,
    prov_openapi_at_t *at, prov_openapi_operation_t *op,
    prov_openapi_parameter_t *parameter);

/* prov_openapi_role.c */
ngx_int_t prov_openapi_roles(prov_openapi_load_t *load);


#endif /* _PROV_OPENAPI_LOAD_H_INCLUDED_ */
