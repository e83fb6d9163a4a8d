/*
 * Reading a small text for a few of its members, after which it is forgotten:
 * a token's header and claims.  What is ordinary needs no memory and no tree;
 * the rest is prov_json_parse()'s, which alone says what is refused, and why.
 */

#ifndef _PROV_JSON_READ_H_INCLUDED_
#define _PROV_JSON_READ_H_INCLUDED_


#include "base/prov_json.h"


/* values of a text that needs no memory */
#define PROV_JSON_VALUES  128


/* What is in an object or array follows it, with all that is in that. */

typedef struct {
    ngx_str_t           name;      /* of a member */
    ngx_str_t           text;      /* of a string */
    double              number;    /* of a number */
    json_type           type;
    uint32_t            parts;     /* values in it, at all depths */
} prov_json_value_t;


typedef struct {
    prov_json_value_t  *root;
    json_t             *json;      /* what strings point into, or NULL */
    prov_json_value_t   values[PROV_JSON_VALUES];
} prov_json_text_t;


#define prov_json_is_string(value)  ((value) && (value)->type == JSON_STRING)
#define prov_json_is_array(value)   ((value) && (value)->type == JSON_ARRAY)
#define prov_json_is_object(value)  ((value) && (value)->type == JSON_OBJECT)

#define prov_json_is_number(value)                                            \
    ((value) && ((value)->type == JSON_INTEGER || (value)->type == JSON_REAL))

/* part goes through what an array or object itself has; others have nothing */
#define prov_json_each(value, part)                                           \
    for (part = (value) + 1;                                                  \
         part < (value) + 1 + (value)->parts;                                 \
         part += 1 + part->parts)


/*
 * Accepts and refuses what prov_json_parse() does.  NGX_OK: text->root, until
 * prov_json_read_end(), and as long as data is there.  NGX_ERROR: *err, and
 * nothing to end.
 */
ngx_int_t prov_json_read(prov_json_text_t *text, u_char *data, size_t len,
    ngx_uint_t depth, prov_json_error_t *err);
void prov_json_read_end(prov_json_text_t *text);

/* The member of this name; NULL: there is none, or value is no object. */
prov_json_value_t *prov_json_get(prov_json_value_t *value, const char *name);


#endif /* _PROV_JSON_READ_H_INCLUDED_ */
