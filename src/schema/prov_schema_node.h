/*
 * What a schema looks like once it is compiled, and what one validation
 * carries along.  Private to src/schema: written by the compiler, read by the
 * checks.  Nodes are shared by all requests of a worker and never change.
 */

#ifndef _PROV_SCHEMA_NODE_H_INCLUDED_
#define _PROV_SCHEMA_NODE_H_INCLUDED_


#include "schema/prov_schema.h"


/* schemas that apply to the very same value: "$ref" to "allOf" to "$ref" … */
#define PROV_SCHEMA_MAX_IN_PLACE      32

/* recursion of the checks, in schemas, not in levels of the value */
#define PROV_SCHEMA_MAX_DEPTH         1024

/*
 * Work one validation may do, in visits of a value by a schema: a floor, and
 * an average per value once a document is larger.  Only a schema whose
 * branches multiply along a cycle of "$ref"s comes near it.
 */
#define PROV_SCHEMA_MIN_STEPS         65536
#define PROV_SCHEMA_STEPS_PER_VALUE   128

/* bytes: what of a caller's key is repeated in a pointer or a message */
#define PROV_SCHEMA_MAX_TOKEN         128
#define PROV_SCHEMA_MAX_MESSAGE       512

#define PROV_SCHEMA_UNLIMITED         ((size_t) -1)

/* bytes: a double's shortest text that reads back as the same */
#define PROV_SCHEMA_NUMBER_LEN        32


typedef struct prov_schema_path_s     prov_schema_path_t;
typedef struct prov_schema_shared_s   prov_schema_shared_t;
typedef struct prov_schema_pattern_s  prov_schema_pattern_t;
typedef struct prov_schema_format_s   prov_schema_format_t;
typedef struct prov_schema_run_s      prov_schema_run_t;


/* Where we are, from the inside out; the root is NULL. */

struct prov_schema_path_s {
    prov_schema_path_t       *parent;
    const char               *key;       /* NULL: an index */
    size_t                    len;
    ngx_uint_t                index;
};


/* A number as JSON knows it: either kind exactly, never rounded. */

typedef struct {
    json_int_t                integer;
    double                    real;
    unsigned                  is_real:1; /* no integer of 64 bits */
} prov_schema_number_t;


typedef struct {
    prov_schema_number_t      minimum;
    prov_schema_number_t      maximum;
    prov_schema_number_t      exclusive_minimum;
    prov_schema_number_t      exclusive_maximum;
    prov_schema_number_t      multiple_of;

    unsigned                  has_minimum:1;
    unsigned                  has_maximum:1;
    unsigned                  has_exclusive_minimum:1;
    unsigned                  has_exclusive_maximum:1;
    unsigned                  has_multiple_of:1;
} prov_schema_numeric_t;


typedef struct {
    size_t                    min;       /* characters, not bytes */
    size_t                    max;
    prov_schema_pattern_t    *pattern;
    ngx_str_t                 message;   /* in place of its source; or empty */
} prov_schema_text_t;


/* "enum", or "const" as an enum of one */

typedef struct {
    json_t                  **values;
    uint64_t                 *hashes;
    ngx_uint_t                n;
    uint32_t                 *slots;     /* 1 + index; 0 is free */
    uint32_t                  mask;
    ngx_str_t                 text;      /* "\"a\", \"b\" or \"c\"" */
} prov_schema_values_t;


typedef struct {
    prov_schema_t           **schemas;
    ngx_uint_t                n;
} prov_schema_list_t;


typedef struct {
    prov_schema_list_t        prefix;
    prov_schema_t            *items;     /* of what follows the prefix */
    prov_schema_t            *contains;
    size_t                    min_contains;
    size_t                    max_contains;
    size_t                    min;
    size_t                    max;
    unsigned                  unique:1;
} prov_schema_array_t;


typedef struct {
    ngx_str_t                 name;
    prov_schema_t            *schema;    /* NULL when only "required" */
    unsigned                  required:1;
} prov_schema_property_t;


typedef struct {
    prov_schema_pattern_t    *pattern;
    prov_schema_t            *schema;
} prov_schema_pattern_property_t;


typedef struct {
    ngx_str_t                 name;
    ngx_array_t               required;  /* ngx_str_t */
    prov_schema_t            *schema;    /* of "dependentSchemas", or NULL */
} prov_schema_dependent_t;


typedef struct {
    ngx_array_t               properties;  /* prov_schema_property_t */
    uint32_t                 *slots;       /* 1 + index by hash of the name */
    uint32_t                  mask;
    size_t                    longest;     /* of the names, in bytes */
    size_t                    nrequired;
    ngx_array_t               patterns;    /* prov_schema_pattern_property_t */
    prov_schema_t            *additional;  /* NULL: anything */
    prov_schema_t            *names;       /* "propertyNames" */
    ngx_array_t               dependents;  /* prov_schema_dependent_t */
    size_t                    min;
    size_t                    max;
} prov_schema_object_t;


typedef enum {
    PROV_SCHEMA_DEPENDS = 0,
    PROV_SCHEMA_ALWAYS,                    /* true, {} */
    PROV_SCHEMA_NEVER                      /* false */
} prov_schema_verdict_e;


/* Groups of keywords are NULL when the schema has none of the group. */

struct prov_schema_s {
    prov_schema_shared_t     *shared;
    prov_schema_verdict_e     verdict;

    ngx_uint_t                types;       /* "type", a mask */
    ngx_uint_t                admits;      /* … through "$ref" and "allOf" */

    prov_schema_values_t     *constant;
    prov_schema_values_t     *values;      /* "enum" */
    prov_schema_format_t     *format;
    prov_schema_numeric_t    *numeric;
    prov_schema_text_t       *text;
    prov_schema_array_t      *array;
    prov_schema_object_t     *object;

    prov_schema_t            *ref;
    prov_schema_list_t        all_of;
    prov_schema_list_t        any_of;
    prov_schema_list_t        one_of;
    prov_schema_t            *not;
    prov_schema_t            *condition;   /* "if" */
    prov_schema_t            *consequent;  /* "then" */
    prov_schema_t            *alternative; /* "else" */

    unsigned                  applies:1;   /* one of "$ref" … "else" is set */
    unsigned                  in_progress:1;   /* the compiler's: */
    ngx_uint_t                height;      /* of what applies in place */
};


/* What all schemas of one compiler have in common. */

struct prov_schema_shared_s {
    uint64_t                  seed[2];     /* no caller can aim at a hash */
};


struct prov_schema_run_s {
    prov_schema_shared_t     *shared;
    prov_schema_report_t     *report;      /* where violations go now */
    prov_schema_report_t     *outermost;   /* where an abort goes */
    ngx_uint_t                first;       /* of our violations in there */
    json_t                   *root;
    ngx_uint_t                quiet;       /* > 0: only the verdict counts */
    ngx_uint_t                depth;
    size_t                    steps;       /* still to be had */
    ngx_uint_t                matches;     /* of patterns that can run away */
    uint64_t                  cpu;         /* they took, microseconds */
    void                     *match_data;  /* PCRE2's; made when needed */
    void                     *match_context;
    unsigned                  measured:1;  /* the root's size is in steps */
    unsigned                  naming:1;    /* the value is a property's name */
};


/* whether a message would be kept, and is worth its building */
#define prov_schema_reporting(run)                                            \
    ((run)->quiet == 0                                                        \
     && (run)->report->violations.nelts < (run)->report->max)

/* remembers a refusal and returns at once unless more is to be collected */

#define prov_schema_collect(run, result, call)                                \
    {                                                                         \
        ngx_int_t  collect_rc = call;                                         \
                                                                              \
        if (collect_rc != NGX_OK) {                                           \
            result = collect_rc;                                              \
                                                                              \
            if (collect_rc != NGX_DECLINED || (run)->quiet) {                 \
                return collect_rc;                                            \
            }                                                                 \
        }                                                                     \
    }


/* prov_schema_validate.c */

/*
 * NGX_OK, NGX_DECLINED, NGX_ERROR (no memory), or NGX_ABORT: the work ends
 * here and the value is refused, whatever a "not" around it would make of it.
 */
ngx_int_t prov_schema_check(prov_schema_run_t *run, prov_schema_t *schema,
    json_t *value, prov_schema_path_t *path);
ngx_int_t prov_schema_check_quietly(prov_schema_run_t *run,
    prov_schema_t *schema, json_t *value, prov_schema_path_t *path);
ngx_int_t prov_schema_charge(prov_schema_run_t *run, size_t steps,
    prov_schema_path_t *path);

/* prov_schema_logic.c */

ngx_int_t prov_schema_check_logic(prov_schema_run_t *run,
    prov_schema_t *schema, json_t *value, prov_schema_path_t *path);

/* prov_schema_scalar.c */

ngx_int_t prov_schema_check_values(prov_schema_run_t *run,
    prov_schema_t *schema, json_t *value, prov_schema_path_t *path);
ngx_int_t prov_schema_check_number(prov_schema_run_t *run,
    prov_schema_t *schema, json_t *value, prov_schema_path_t *path);
ngx_int_t prov_schema_check_string(prov_schema_run_t *run,
    prov_schema_t *schema, ngx_str_t *text, prov_schema_path_t *path);

/* prov_schema_array.c, prov_schema_object.c */

ngx_int_t prov_schema_check_array(prov_schema_run_t *run,
    prov_schema_array_t *array, json_t *value, prov_schema_path_t *path);
ngx_int_t prov_schema_check_object(prov_schema_run_t *run,
    prov_schema_object_t *object, json_t *value, prov_schema_path_t *path);
uint32_t prov_schema_name_hash(u_char *name, size_t len);

/* prov_schema_report.c */

/*
 * Adds a violation, or counts it; in quiet mode does nothing.  Returns
 * NGX_DECLINED, or NGX_ERROR when there is no memory.
 */
ngx_int_t prov_schema_violate(prov_schema_run_t *run,
    prov_schema_path_t *path, const char *code, const char *fmt, ...);

/* Ends the validation with this violation: NGX_ABORT, or NGX_ERROR. */
ngx_int_t prov_schema_abort(prov_schema_run_t *run, prov_schema_path_t *path,
    const char *code, const char *text);

/* RFC 6901; tokens longer than max bytes are cut.  .data NULL: no memory. */
ngx_str_t prov_schema_pointer(ngx_pool_t *pool, prov_schema_path_t *path,
    size_t max);

/* "a string, an integer or null", written to buf; returns its end */
u_char *prov_schema_type_names(u_char *buf, u_char *last, ngx_uint_t types);

/* the longest prefix of text, of at most max bytes, that ends a character */
size_t prov_schema_cut(u_char *text, size_t len, size_t max);

/* prov_schema_suggest.c */

/* the nearest of the object's names that value lacks, or NULL */
ngx_str_t *prov_schema_suggest(prov_schema_object_t *object, json_t *value,
    u_char *name, size_t len);

/* 0: the same but for case, '_' and '-'; above a bound: a large number */
ngx_uint_t prov_schema_distance(u_char *a, size_t alen, u_char *b,
    size_t blen);

/* prov_schema_number.c */

void prov_schema_number(prov_schema_number_t *number, json_t *value);
ngx_int_t prov_schema_number_compare(prov_schema_number_t *a,
    prov_schema_number_t *b);
ngx_uint_t prov_schema_number_is_integer(prov_schema_number_t *number);
ngx_uint_t prov_schema_number_is_multiple(prov_schema_number_t *number,
    prov_schema_number_t *divisor);
u_char *prov_schema_number_text(u_char *buf, prov_schema_number_t *number);

/* prov_schema_value.c */

/* PROV_SCHEMA_* bit of a value; 1.0 is an integer */
ngx_uint_t prov_schema_value_type(json_t *value);
ngx_uint_t prov_schema_value_equal(json_t *a, json_t *b);

/* adds the values visited to *visited; equal values hash equally */
uint64_t prov_schema_value_hash(prov_schema_shared_t *shared, json_t *value,
    size_t *visited);

/* prov_schema_pattern.c */

/*
 * Compiles an ECMA-262 pattern; its code is freed with pool.  NULL
 * with a sentence in err (its .data NULL: no memory).
 */
prov_schema_pattern_t *prov_schema_pattern_compile(ngx_pool_t *pool,
    ngx_str_t *source, ngx_str_t *err);
ngx_str_t *prov_schema_pattern_source(prov_schema_pattern_t *pattern);

/* NGX_OK, NGX_DECLINED, NGX_ERROR; NGX_BUSY: given up, too much work */
ngx_int_t prov_schema_pattern_match(prov_schema_run_t *run,
    prov_schema_pattern_t *pattern, u_char *text, size_t len);

/* 1 when text is a pattern that we would compile */
ngx_uint_t prov_schema_pattern_valid(u_char *text, size_t len);

/* frees what matching has made in this run */
void prov_schema_pattern_end(prov_schema_run_t *run);

/* prov_schema_format.c */

prov_schema_format_t *prov_schema_format_find(ngx_str_t *name);
/* "date, date-time, …", for the operator who named another */
u_char *prov_schema_format_names(u_char *buf, u_char *last);
ngx_uint_t prov_schema_format_text(prov_schema_format_t *format, u_char *text,
    size_t len);
ngx_uint_t prov_schema_format_number(prov_schema_format_t *format,
    prov_schema_number_t *number);
const char *prov_schema_format_message(prov_schema_format_t *format);


#endif /* _PROV_SCHEMA_NODE_H_INCLUDED_ */
