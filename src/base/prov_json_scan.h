/*
 * What is looked at before jansson reads a text; between the files of
 * prov_json*.c.
 */

#ifndef _PROV_JSON_SCAN_H_INCLUDED_
#define _PROV_JSON_SCAN_H_INCLUDED_


#include "base/prov_json.h"


/* bytes of a number or word */
#define PROV_JSON_DIGITS    256

/* the same of a number that PostgreSQL writes, which has no exponent */
#define PROV_JSON_WRITTEN   (2 * PROV_JSON_DIGITS + 1000)


/*
 * Refuses what jansson would take, or could not take back, with *err filled
 * in.  digits is what a number may have; *large becomes the number of integers
 * that are too large to be one.
 */
ngx_int_t prov_json_scan(u_char *data, size_t len, ngx_uint_t depth,
    size_t digits, ngx_uint_t *large, prov_json_error_t *err);

/*
 * Copies a text that has been scanned, and gives each integer that is too
 * large an exponent, of zero.  Returns the length of the copy.
 */
size_t prov_json_exponents(u_char *p, u_char *data, size_t len);

/* prov_json.c: fills in *err, but for the place; returns NULL */
json_t *prov_json_fail(prov_json_error_t *err, prov_json_code_e code,
    const char *text);


#endif /* _PROV_JSON_SCAN_H_INCLUDED_ */
