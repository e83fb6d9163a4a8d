/*
 * The reader of the module's blocks in nginx.conf: finds each directive in the
 * block's table, checks how often it stands there and with how many arguments,
 * and has its function called.  prov_conf_value.c reads the arguments.
 */

#include "base/prov_conf.h"


/* a list of names, in a sentence; nginx cuts the whole one at 1024 */
#define PROV_CONF_NAMES  768


/* a block that is being read */

typedef struct {
    ngx_str_t               name;
    prov_conf_directive_t  *directives;
    void                   *conf;
    ngx_uint_t              seen;
} prov_conf_block_t;


static char *prov_conf_directive(ngx_conf_t *cf, ngx_command_t *dummy,
    void *data);
static char *prov_conf_set(ngx_conf_t *cf, prov_conf_directive_t *directive,
    void *conf);
static char *prov_conf_unknown(ngx_conf_t *cf, prov_conf_block_t *block);


char *
prov_conf_block(ngx_conf_t *cf, prov_conf_directive_t *directives, void *conf,
    ngx_uint_t *seen)
{
    char               *rv;
    ngx_str_t          *value;
    ngx_conf_t          save;
    prov_conf_block_t   block;

    value = cf->args->elts;

    block.name = value[0];
    block.directives = directives;
    block.conf = conf;
    block.seen = 0;

    save = *cf;
    cf->handler = prov_conf_directive;
    cf->handler_conf = (char *) &block;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (seen) {
        *seen = block.seen;
    }

    return rv;
}


static char *
prov_conf_directive(ngx_conf_t *cf, ngx_command_t *dummy, void *data)
{
    prov_conf_block_t *block = data;

    ngx_str_t              *value;
    ngx_uint_t              bit;
    prov_conf_directive_t  *d;

    value = cf->args->elts;

    for (d = block->directives; d->name.len; d++) {
        if (d->name.len == value[0].len
            && ngx_memcmp(d->name.data, value[0].data, value[0].len) == 0)
        {
            break;
        }
    }

    if (d->name.len == 0) {
        return prov_conf_unknown(cf, block);
    }

    if (cf->args->nelts - 1 < d->min || cf->args->nelts - 1 > d->max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number of arguments in \"%V\" directive",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    bit = (ngx_uint_t) 1 << (d - block->directives);

    if (!d->repeat && (block->seen & bit)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" directive is duplicate", &value[0]);
        return NGX_CONF_ERROR;
    }

    block->seen |= bit;

    return prov_conf_set(cf, d, block->conf);
}


/* As ngx_conf_handler() does it: a sentence that has come back is finished. */

static char *
prov_conf_set(ngx_conf_t *cf, prov_conf_directive_t *directive, void *conf)
{
    char           *rv;
    ngx_command_t   cmd;

    ngx_memzero(&cmd, sizeof(ngx_command_t));

    cmd.name = directive->name;
    cmd.set = directive->set;
    cmd.offset = directive->offset;
    cmd.post = directive->post;

    rv = cmd.set(cf, &cmd, conf);

    if (rv == NGX_CONF_OK || rv == NGX_CONF_ERROR) {
        return rv;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" directive %s",
                       &directive->name, rv);

    return NGX_CONF_ERROR;
}


static char *
prov_conf_unknown(ngx_conf_t *cf, prov_conf_block_t *block)
{
    u_char                 *p, *last, names[PROV_CONF_NAMES];
    ngx_str_t              *value;
    prov_conf_directive_t  *d;

    value = cf->args->elts;
    p = names;
    last = names + PROV_CONF_NAMES;

    for (d = block->directives; d->name.len; d++) {
        p = ngx_slprintf(p, last, "%s%V",
                         d == block->directives ? ""
                         : d[1].name.len ? ", " : " or ", &d->name);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown directive \"%V\" in %V, expected %*s",
                       &value[0], &block->name, (size_t) (p - names), names);

    return NGX_CONF_ERROR;
}


void *
prov_conf_find(ngx_array_t *named, ngx_str_t *name)
{
    ngx_str_t   **one;
    ngx_uint_t    i;

    one = named->elts;

    for (i = 0; i < named->nelts; i++) {
        if (one[i]->len == name->len
            && ngx_memcmp(one[i]->data, name->data, name->len) == 0)
        {
            return one[i];
        }
    }

    return NULL;
}
