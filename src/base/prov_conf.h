/*
 * The blocks that the module has in nginx.conf, all read by one function, so
 * that what is wrong in any of them is said in the same words, and where.
 * Called by the folder whose block it is, only while nginx reads its
 * configuration.
 */

#ifndef _PROV_CONF_H_INCLUDED_
#define _PROV_CONF_H_INCLUDED_


#include "base/prov_base.h"


/* What may stand in a block: at most 32 of them, then one without a name. */

typedef struct {
    ngx_str_t      name;
    ngx_uint_t     min;        /* arguments */
    ngx_uint_t     max;
    ngx_uint_t     repeat;     /* may stand more than once */
    char        *(*set)(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
    ngx_uint_t     offset;     /* both are for set(), in its cmd */
    void          *post;
} prov_conf_directive_t;


#define prov_conf_null_directive  { ngx_null_string, 0, 0, 0, NULL, 0, NULL }


/* of a number, of milliseconds or of bytes; both ends are allowed */

typedef struct {
    ngx_uint_t     min;
    ngx_uint_t     max;
} prov_conf_range_t;


/*
 * Reads a block up to its end.  set() is called as nginx calls it, with conf:
 * so nginx's own ngx_conf_set_*_slot() do, where their sentences say what is
 * expected.  seen, unless it is NULL, gets a bit for each directive of the
 * block, by its place in the table.  NGX_CONF_OK, or NGX_CONF_ERROR after
 * logging file, line and what to write instead.
 */
char *prov_conf_block(ngx_conf_t *cf, prov_conf_directive_t *directives,
    void *conf, ngx_uint_t *seen);

/*
 * Among pointers to structures that have their name, an ngx_str_t, first; or
 * NULL.
 */
void *prov_conf_find(ngx_array_t *named, ngx_str_t *name);


/*
 * For directives of one argument: an ngx_uint_t, an ngx_msec_t or a size_t at
 * cmd->offset; cmd->post is its prov_conf_range_t.
 */
char *prov_conf_set_number(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *prov_conf_set_time(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *prov_conf_set_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* for "cmd->post" of ngx_conf_set_str_slot(): the name of a file */
extern ngx_conf_post_t  prov_conf_file;


/*
 * The same for a part of the arguments.  NGX_CONF_ERROR after logging it with
 * the name of the directive that is being read.
 */
char *prov_conf_number(ngx_conf_t *cf, ngx_str_t *text,
    prov_conf_range_t *range, ngx_uint_t *number);
char *prov_conf_time(ngx_conf_t *cf, ngx_str_t *text,
    prov_conf_range_t *range, ngx_msec_t *time);

/* And without a word: NGX_DECLINED. */
ngx_int_t prov_conf_number_read(ngx_str_t *text, prov_conf_range_t *range,
    ngx_uint_t *number);
ngx_int_t prov_conf_time_read(ngx_str_t *text, prov_conf_range_t *range,
    ngx_msec_t *time);

/* Whether an argument is "name=…"; name has the "=".  text: what follows. */
ngx_uint_t prov_conf_named(ngx_str_t *value, const char *name,
    ngx_str_t *text);


#endif /* _PROV_CONF_H_INCLUDED_ */
