/*
 * Writing JSON by hand, for the few small objects that are built for every
 * request: no tree, one allocation, always valid UTF-8.
 */

#ifndef _PROV_JSON_WRITE_H_INCLUDED_
#define _PROV_JSON_WRITE_H_INCLUDED_


#include "base/prov_base.h"


/* what prov_json_quote() needs at most for len bytes */
#define prov_json_quoted(len)  ((len) * 6 + 2)


/*
 * Writes text as a JSON string, quotes included, and returns the end.  Bytes
 * that are not UTF-8 become U+FFFD, NUL becomes U+FFFD too, since PostgreSQL
 * takes neither.
 */
u_char *prov_json_quote(u_char *dst, ngx_str_t *text);

/*
 * The length of the character at p, or 0 when it is none (RFC 3629: no
 * overlong forms, no surrogates, nothing beyond U+10FFFF) or ASCII.
 */
size_t prov_json_utf8(u_char *p, u_char *last);


#endif /* _PROV_JSON_WRITE_H_INCLUDED_ */
