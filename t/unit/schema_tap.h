/*
 * What the programs that test src/schema by tables share: they compile and
 * parse, and print TAP.  Linked into each of them by t/schema.t.
 */

#ifndef _SCHEMA_TAP_H_INCLUDED_
#define _SCHEMA_TAP_H_INCLUDED_


#include "schema/prov_schema.h"
#include "tap.h"


/* A text that is no JSON ends the program. */
json_t *unit_parse(const char *text);

/* The schema at a pointer of the text; NULL with *fault filled in. */
prov_schema_t *unit_compile(ngx_pool_t *pool, const char *text,
    const char *at, prov_fault_t *fault);

/* "pointer|code|message\n" for each violation of the report. */
void unit_print(char *buf, size_t size, prov_schema_report_t *report);

/* The fault of the schema at a pointer must be "pointer|message". */
void unit_fault(const char *name, const char *schema, const char *at,
    const char *expected);


#endif /* _SCHEMA_TAP_H_INCLUDED_ */
