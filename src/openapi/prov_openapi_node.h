/*
 * What the loader builds and requests search: the tree of routes, one node
 * for each segment that paths have in common, and the sorted names of
 * permissions and roles.  Private to src/openapi.
 */

#ifndef _PROV_OPENAPI_NODE_H_INCLUDED_
#define _PROV_OPENAPI_NODE_H_INCLUDED_


#include "openapi/prov_openapi.h"


#define PROV_OPENAPI_MAX_SEGMENTS  64     /* in a path */
#define PROV_OPENAPI_MAX_LITERAL   255    /* bytes in one of a template */


struct prov_openapi_node_s {
    ngx_str_t                  literal;      /* decoded; that leads here */
    prov_openapi_node_t      **literals;     /* children, sorted */
    ngx_uint_t                 nliterals;
    prov_openapi_node_t       *parameter;    /* the child for anything else */

    /* set when a template ends here */

    ngx_str_t                  path;         /* .data is NULL: none does */
    ngx_uint_t                 nvalues;
    u_char                     values[PROV_OPENAPI_MAX_PARAMETERS];
                                             /* which segments they are */
    prov_openapi_operation_t  *methods[PROV_OPENAPI_METHODS];
    ngx_str_t                  allow;
};


extern ngx_str_t  prov_openapi_methods[PROV_OPENAPI_METHODS];


/* prov_openapi_route.c */

/*
 * Decodes one segment of a path, up to a slash or last, which it returns.
 * *dst advances over what was written, at most as much as was read.  NULL:
 * a bad percent-escape, a NUL, or not UTF-8.
 */
u_char *prov_openapi_segment(u_char **dst, u_char *p, u_char *last);

/* "." and ".." name no resource, neither does nothing at all. */
ngx_uint_t prov_openapi_dots(ngx_str_t *segment);

/* The child of node that a decoded literal leads to, or NULL. */
prov_openapi_node_t *prov_openapi_literal(prov_openapi_node_t *node,
    ngx_str_t *segment, ngx_uint_t *index);

/* prov_openapi_permit.c */
ngx_uint_t prov_openapi_permission(prov_openapi_api_t *api, ngx_str_t *name);
ngx_int_t prov_openapi_compare(ngx_str_t *a, ngx_str_t *b);


#endif /* _PROV_OPENAPI_NODE_H_INCLUDED_ */
