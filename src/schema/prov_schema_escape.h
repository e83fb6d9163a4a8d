/*
 * What the two halves of the ECMA-262 rewriting share: the parser's state and
 * the escapes.  Private to prov_schema_regex.c and prov_schema_escape.c.
 */

#ifndef _PROV_SCHEMA_ESCAPE_H_INCLUDED_
#define _PROV_SCHEMA_ESCAPE_H_INCLUDED_


#include "schema/prov_schema_regex.h"


/* what a quantifier would repeat */

typedef enum {
    PROV_SCHEMA_ATOM_NONE = 0,
    PROV_SCHEMA_ATOM_ASSERTION,
    PROV_SCHEMA_ATOM_CHARACTER,
    PROV_SCHEMA_ATOM_GROUP
} prov_schema_atom_e;


typedef struct {
    prov_schema_regex_t  *regex;
    u_char               *source;
    u_char               *p;
    u_char               *last;
    u_char               *out;        /* NULL while measuring */
    size_t                len;        /* of what is written */
    prov_schema_atom_e    atom;
    ngx_uint_t            variable;   /* quantifiers on the way through */
    ngx_uint_t            choices;
    ngx_uint_t            wild;       /* backtracking may multiply */
    ngx_uint_t            depth;
    u_char                assertions[PROV_SCHEMA_REGEX_GROUPS];
} prov_schema_parser_t;


/* at a backslash, outside and inside of a class; set: not one character */
ngx_int_t prov_schema_regex_escape(prov_schema_parser_t *ps);
ngx_int_t prov_schema_regex_class_escape(prov_schema_parser_t *ps,
    ngx_uint_t *set);

void prov_schema_regex_emit(prov_schema_parser_t *ps, const char *text);
void prov_schema_regex_copy(prov_schema_parser_t *ps, u_char *data,
    size_t len);
ngx_int_t prov_schema_regex_refuse(prov_schema_parser_t *ps, const char *err);


#endif /* _PROV_SCHEMA_ESCAPE_H_INCLUDED_ */
