/*
 * JSON Schema 2020-12, compiled once while the configuration is read, run on
 * every request.  Called by src/openapi (compile) and src/request (validate).
 * A compiled schema keeps nothing of the JSON it was made from, lives in one
 * pool, and is read-only from then on.
 *
 * Knows nothing of HTTP and nothing of files: a "$ref" is resolved inside the
 * document given to the compiler ("#", "#/a/b"), which is bundled before.
 */

#ifndef _PROV_SCHEMA_H_INCLUDED_
#define _PROV_SCHEMA_H_INCLUDED_


#include "base/prov_json.h"


typedef struct prov_schema_s           prov_schema_t;
typedef struct prov_schema_compiler_s  prov_schema_compiler_t;


/*
 * One thing that is wrong with a value.  The codes that are no keyword are
 * "not_allowed" (the schema false), "pattern_limit" (a match that was given
 * up) and "too_complex" (all work was ended).
 */

typedef struct {
    ngx_str_t    pointer;    /* of the value, RFC 6901; "" is the whole.  Of
                                the member itself when it is missing, or one
                                too many; keys are cut after 128 bytes */
    ngx_str_t    code;       /* the keyword in snake_case: "min_length" */
    ngx_str_t    message;    /* the rest of a sentence about the value, for
                                the caller: "must be at least 1" */
} prov_schema_violation_t;


typedef struct {
    ngx_pool_t  *pool;         /* where violations are built */
    ngx_array_t  violations;   /* prov_schema_violation_t */
    ngx_uint_t   max;          /* later ones are counted, not kept */
    ngx_uint_t   total;
} prov_schema_report_t;


/*
 * A compiler for one document.  pool keeps what is compiled, temp only what
 * compiling needs; document is borrowed until the last prov_schema_compile().
 * The same subschema, reached by any number of "$ref"s, compiles once, so
 * cycles are allowed.  NULL: no memory.
 */
prov_schema_compiler_t *prov_schema_compiler_create(ngx_pool_t *pool,
    ngx_pool_t *temp, json_t *document);

/*
 * Compiles the schema at pointer (RFC 6901, no '#') of the document, and all
 * it refers to.  NULL with fault->pointer and fault->message (in pool; the
 * other fields are the caller's) for a keyword, format or "$ref" that is not
 * understood, a keyword's value of the wrong type, a pattern PCRE2 refuses,
 * or a schema that applies to itself without end.  Later calls repeat it.
 */
prov_schema_t *prov_schema_compile(prov_schema_compiler_t *compiler,
    ngx_str_t *pointer, prov_fault_t *fault);

/*
 * NGX_OK: valid.  NGX_DECLINED: not, and the report says why, all at once.
 * NGX_ERROR: no memory.  The report's pool and max are set by
 * prov_schema_report_init(), which allocates nothing; one report may collect
 * several values.  Several threads may validate at once, each with a report
 * and a pool of its own.
 */
ngx_int_t prov_schema_report_init(prov_schema_report_t *report,
    ngx_pool_t *pool, ngx_uint_t max);
ngx_int_t prov_schema_validate(prov_schema_t *schema, json_t *value,
    prov_schema_report_t *report);

/*
 * The JSON types a schema's "type" admits (through "$ref" and "allOf"), as a
 * mask: how a query string's text is to be read before it is validated.  No
 * "type" at all admits every one.
 */
#define PROV_SCHEMA_NULL     0x01
#define PROV_SCHEMA_BOOLEAN  0x02
#define PROV_SCHEMA_INTEGER  0x04
#define PROV_SCHEMA_NUMBER   0x08
#define PROV_SCHEMA_STRING   0x10
#define PROV_SCHEMA_ARRAY    0x20
#define PROV_SCHEMA_OBJECT   0x40
#define PROV_SCHEMA_ANY      0x7f

ngx_uint_t prov_schema_types(prov_schema_t *schema);

/* The schema of an array's elements ("items"), or NULL. */
prov_schema_t *prov_schema_items(prov_schema_t *schema);


#endif /* _PROV_SCHEMA_H_INCLUDED_ */
