/*
 * The single formats, each a predicate over text: 1 when it has the form.
 * Called through the table in prov_schema_format.c only.
 */

#ifndef _PROV_SCHEMA_FORMAT_H_INCLUDED_
#define _PROV_SCHEMA_FORMAT_H_INCLUDED_


#include "schema/prov_schema_node.h"


typedef ngx_uint_t (*prov_schema_format_pt)(u_char *text, size_t len);


/* prov_schema_format_time.c */

ngx_uint_t prov_schema_format_date(u_char *text, size_t len);
ngx_uint_t prov_schema_format_time(u_char *text, size_t len);
ngx_uint_t prov_schema_format_date_time(u_char *text, size_t len);
ngx_uint_t prov_schema_format_duration(u_char *text, size_t len);

/* prov_schema_format_net.c */

ngx_uint_t prov_schema_format_hostname(u_char *text, size_t len);
ngx_uint_t prov_schema_format_ipv4(u_char *text, size_t len);
ngx_uint_t prov_schema_format_ipv6(u_char *text, size_t len);
ngx_uint_t prov_schema_format_email(u_char *text, size_t len);

/* prov_schema_format_uri.c */

ngx_uint_t prov_schema_format_uri(u_char *text, size_t len);


#define prov_schema_is_digit(c)  ((c) >= '0' && (c) <= '9')
#define prov_schema_is_alpha(c)  (((c) | 0x20) >= 'a' && ((c) | 0x20) <= 'z')
#define prov_schema_is_hex(c)                                                 \
    (prov_schema_is_digit(c) || (((c) | 0x20) >= 'a' && ((c) | 0x20) <= 'f'))


#endif /* _PROV_SCHEMA_FORMAT_H_INCLUDED_ */
