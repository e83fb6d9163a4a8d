/*
 * What validation costs, for the programs that measure it: within bounds of
 * processor time that are far above what is needed, so that they fail for what
 * is exponential or quadratic and not for a slow machine.
 */

#ifndef _SCHEMA_COST_H_INCLUDED_
#define _SCHEMA_COST_H_INCLUDED_


#include "schema_tap.h"


#define COST_LARGE  200000


/* The schema of the whole document; NULL: a fault, printed, or no memory. */
prov_schema_t *cost_compile(ngx_pool_t *pool, json_t *document,
    prov_fault_t *fault);

/*
 * Validates and frees value.  expected begins the code of the first violation
 * ("pattern" is "pattern_limit", too, where PCRE2 has no JIT and is slower),
 * or is NULL for a value that is valid; within seconds of processor time.
 */
void cost_check(const char *name, const char *text, json_t *value,
    const char *expected, double seconds);

/* n times c, and an end; n times the item, which it frees; 0 to n - 1, and
   with a twin one of them again, as a real */
json_t *cost_text(u_char c, size_t n, const char *end);
json_t *cost_repeat(json_t *item, size_t n);
json_t *cost_count(size_t n, ngx_uint_t twin);


#endif /* _SCHEMA_COST_H_INCLUDED_ */
