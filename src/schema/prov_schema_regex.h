/*
 * ECMA-262 regular expressions (the grammar with the "u" flag, which JSON
 * Schema recommends) rewritten for PCRE2.  Called by prov_schema_pattern.c
 * only.  Compiles and matches nothing itself.
 */

#ifndef _PROV_SCHEMA_REGEX_H_INCLUDED_
#define _PROV_SCHEMA_REGEX_H_INCLUDED_


#include "schema/prov_schema_node.h"


/* bytes of a pattern's source */
#define PROV_SCHEMA_REGEX_MAX     4096

/* open parentheses; PCRE2's own default is 250 */
#define PROV_SCHEMA_REGEX_GROUPS  100


typedef struct {
    u_char       *data;       /* ngx_alloc()ed; the caller's to ngx_free() */
    size_t        len;

    const char   *err;        /* a sentence without its end, when refused */
    size_t        at;         /* … byte of the source it is about */

    unsigned      backrefs:1; /* groups must capture */

    /*
     * Whatever the subject, an attempt at one place takes time linear in its
     * length: at most one quantifier of variable width, on one character, and
     * few choices besides.  Sufficient, not necessary.
     */
    unsigned      linear:1;

    unsigned      search:1;   /* has a quantifier of variable width */
} prov_schema_regex_t;


/*
 * NGX_OK: data and len are the pattern for PCRE2.  NGX_DECLINED: not an
 * ECMA-262 pattern, err and at say why.  NGX_ERROR: no memory.
 */
ngx_int_t prov_schema_regex(prov_schema_regex_t *regex, u_char *source,
    size_t len);


#endif /* _PROV_SCHEMA_REGEX_H_INCLUDED_ */
