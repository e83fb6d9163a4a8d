/*
 * What the unit programs that print TAP share: a test, and the plan at the
 * end.
 */

#ifndef _TAP_H_INCLUDED_
#define _TAP_H_INCLUDED_


#include "ngx_shim.h"

#include <stdio.h>


void unit_result(ngx_uint_t ok, const char *name);
void unit_is(const char *got, const char *expected, const char *name);

/* Random numbers that a seed, in digits, repeats; it is printed. */
void unit_seed(const char *seed);
uint64_t unit_below(uint64_t n);

/* Prints the plan; what main() returns. */
int unit_end(void);


#endif /* _TAP_H_INCLUDED_ */
