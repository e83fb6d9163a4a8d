/*
 * What the parts of the compiler share: prov_schema_compile.c is its outside,
 * the files named below its inside.  Nothing of this outlives the compiling.
 */

#ifndef _PROV_SCHEMA_COMPILER_H_INCLUDED_
#define _PROV_SCHEMA_COMPILER_H_INCLUDED_


#include "schema/prov_schema_node.h"


typedef struct prov_schema_entry_s  prov_schema_entry_t;


/* One subschema of the document that is, or is about to be, compiled. */

struct prov_schema_entry_s {
    json_t               *json;
    prov_schema_t        *node;
    prov_schema_path_t   *path;      /* in the document */
    prov_schema_entry_t  *next;      /* in the order they were met */
};


struct prov_schema_compiler_s {
    ngx_pool_t            *pool;
    ngx_pool_t            *temp;
    json_t                *document;
    prov_schema_shared_t  *shared;

    prov_schema_t         *always;   /* "true" */
    prov_schema_t         *never;    /* "false" */

    prov_schema_entry_t   *first;
    prov_schema_entry_t  **last;     /* where the next one is appended */

    prov_schema_entry_t  **slots;    /* by address of the json_t */
    ngx_uint_t             nslots;
    ngx_uint_t             nentries;

    prov_fault_t          *fault;    /* of the call in progress */
    prov_fault_t           failed;   /* the first one, for later calls */
    unsigned               dead:1;
};


/* prov_schema_compile.c */

/* the node of a subschema at path, compiled sooner or later; NULL: fault */
prov_schema_t *prov_schema_node(prov_schema_compiler_t *compiler,
    json_t *json, prov_schema_path_t *path);

/* a step down, in temp; key NULL: an index.  NULL: no memory */
prov_schema_path_t *prov_schema_step(prov_schema_compiler_t *compiler,
    prov_schema_path_t *parent, const char *key, size_t len,
    ngx_uint_t index);

/* fills in the fault; always NGX_ERROR */
ngx_int_t prov_schema_fault(prov_schema_compiler_t *compiler,
    prov_schema_path_t *path, const char *fmt, ...);
ngx_int_t prov_schema_no_memory(prov_schema_compiler_t *compiler);

/* prov_schema_settle.c */

/* finishes a node that is built; depth is 1 */
ngx_int_t prov_schema_settle(prov_schema_compiler_t *compiler,
    prov_schema_t *node, ngx_uint_t depth);

/* prov_schema_keywords.c */

/* NGX_OK when every keyword is known and its value of the right form */
ngx_int_t prov_schema_keywords(prov_schema_compiler_t *compiler, json_t *json,
    prov_schema_path_t *path);

/* prov_schema_build.c: builds a node of a schema with known keywords */

ngx_int_t prov_schema_build(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry);

/* *child stays NULL when the keyword is not there */
ngx_int_t prov_schema_build_child(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry, const char *keyword, prov_schema_t **child);
size_t prov_schema_build_count(json_t *json, const char *keyword,
    size_t absent);

/* prov_schema_build_scalar.c */

ngx_int_t prov_schema_build_scalar(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry);

/* source is at path: the value of "pattern", a key of "patternProperties" */
prov_schema_pattern_t *prov_schema_build_pattern(
    prov_schema_compiler_t *compiler, const char *source, size_t len,
    prov_schema_path_t *path);

/* prov_schema_build_values.c */

/* n values of "enum", or the one of "const"; NULL: no memory */
prov_schema_values_t *prov_schema_build_values(
    prov_schema_compiler_t *compiler, json_t *json, ngx_uint_t is_enum);

/* prov_schema_build_object.c */

ngx_int_t prov_schema_build_object(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry);

/* prov_schema_ref.c */

/* what a "$ref" at path points to; path becomes where that is */
json_t *prov_schema_resolve(prov_schema_compiler_t *compiler,
    ngx_str_t *reference, prov_schema_path_t **path);

/* the same for a plain pointer; without a fault when nothing is there */
json_t *prov_schema_locate(prov_schema_compiler_t *compiler,
    ngx_str_t *pointer, prov_schema_path_t **path, ngx_str_t *missing);


#endif /* _PROV_SCHEMA_COMPILER_H_INCLUDED_ */
