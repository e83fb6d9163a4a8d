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

/* Prints the plan; what main() returns. */
int unit_end(void);


#endif /* _TAP_H_INCLUDED_ */
