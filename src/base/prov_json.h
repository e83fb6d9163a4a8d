/*
 * Strict JSON (RFC 8259), the one door through which text becomes a json_t:
 * request bodies, OpenAPI documents, key sets and token segments.  Duplicate
 * keys, NUL (also as \u0000), bad UTF-8, trailing bytes and over-deep nesting
 * are refused.  Never prints, never logs: it reports to its caller.
 */

#ifndef _PROV_JSON_H_INCLUDED_
#define _PROV_JSON_H_INCLUDED_


#include "base/prov_base.h"

#include <jansson.h>


/* nesting allowed in what strangers send, and in the operator's files */
#define PROV_JSON_BODY_DEPTH      32
#define PROV_JSON_DOCUMENT_DEPTH  128


typedef enum {
    PROV_JSON_EMPTY = 1,       /* nothing but white space */
    PROV_JSON_SYNTAX,          /* not JSON */
    PROV_JSON_DUPLICATE_KEY,
    PROV_JSON_NUL,
    PROV_JSON_UTF8,
    PROV_JSON_DEPTH,
    PROV_JSON_NUMBER,          /* beyond 64-bit integers or a double's range */
    PROV_JSON_MEMORY
} prov_json_code_e;


typedef struct {
    prov_json_code_e   code;
    ngx_uint_t         line;     /* from 1 */
    ngx_uint_t         column;   /* from 1, in characters */
    u_char             text[192]; /* a sentence, NUL-terminated */
} prov_json_error_t;


/*
 * Parses len bytes into a new reference that the caller owns; any JSON value
 * may stand at the top.  depth is the number of nested arrays and objects
 * that is still accepted.  Returns NULL with *err filled in.
 */
json_t *prov_json_parse(u_char *data, size_t len, ngx_uint_t depth,
    prov_json_error_t *err);

/*
 * The same for what PostgreSQL has written, which may be numbers that came
 * with an exponent and have none any more: 1e20 is a number and has a fraction
 * of none, 100000000000000000000 would be an integer beyond 64 bits.
 */
json_t *prov_json_parse_written(u_char *data, size_t len, ngx_uint_t depth,
    prov_json_error_t *err);

/*
 * Hands the caller's reference to the pool, which releases it when it is
 * destroyed.  On NGX_ERROR (no memory) the reference has been released.
 */
ngx_int_t prov_json_give(ngx_pool_t *pool, json_t *json);

/*
 * Serialises compactly into the pool, NUL-terminated beyond .len.  Returns a
 * string with .data == NULL when there is no memory.
 */
ngx_str_t prov_json_text(ngx_pool_t *pool, json_t *json);

/* The same with the names of objects in order, so that equals are alike. */
ngx_str_t prov_json_sorted(ngx_pool_t *pool, json_t *json);

/*
 * Where in data, an object that prov_json_parse() has accepted, the value of
 * the member of this name stands.  NGX_DECLINED: there is none.
 */
ngx_int_t prov_json_member(u_char *data, size_t len, ngx_str_t *name,
    ngx_str_t *value);


#endif /* _PROV_JSON_H_INCLUDED_ */
