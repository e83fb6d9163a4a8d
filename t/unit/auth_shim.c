/*
 * See auth_shim.h.  What is here behaves like its model in nginx, for the
 * arguments that src/auth gives it.
 */

#include "auth_shim.h"

#include <stdio.h>


static int auth_shim_word(ngx_conf_t *cf, const char *start, size_t len);
static void auth_shim_write(ngx_log_t *log, ngx_uint_t level, u_char *buf,
    size_t len);
static void auth_shim_replace(ngx_rbtree_t *tree, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *by);


char                    auth_shim_log[16384];

static const char      *auth_shim_text;
static ngx_conf_file_t  auth_shim_file;

static ngx_log_t        auth_shim_logger = {
    .log_level = NGX_LOG_DEBUG,
    .writer = auth_shim_write
};


void
auth_shim_conf(ngx_conf_t *cf, ngx_cycle_t *cycle, ngx_pool_t *pool,
    const char *prefix)
{
    memset(cf, 0, sizeof(ngx_conf_t));
    memset(cycle, 0, sizeof(ngx_cycle_t));

    cycle->pool = pool;
    cycle->conf_prefix.data = (u_char *) prefix;
    cycle->conf_prefix.len = strlen(prefix);

    auth_shim_file.file.name.data = (u_char *) "nginx.conf";
    auth_shim_file.line = 1;

    cf->pool = pool;
    cf->temp_pool = pool;
    cf->cycle = cycle;
    cf->log = &auth_shim_logger;
    cf->conf_file = &auth_shim_file;
}


char *
auth_shim_block(ngx_conf_t *cf, const char *name, const char *argument,
    const char *text, char *(*set)(ngx_conf_t *cf, ngx_array_t *conf),
    ngx_array_t *conf)
{
    auth_shim_text = text;

    cf->args = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));

    if (cf->args == NULL
        || auth_shim_word(cf, name, strlen(name)) != 0
        || auth_shim_word(cf, argument, strlen(argument)) != 0)
    {
        return NGX_CONF_ERROR;
    }

    return set(cf, conf);
}


/* Reads words, 'quoted ones', and ";" after each directive. */

char *
ngx_conf_parse(ngx_conf_t *cf, ngx_str_t *filename)
{
    char         quote;
    size_t       len;
    const char  *p;

    cf->args->nelts = 0;

    for (p = auth_shim_text; *p; p += len) {

        len = 1;

        if (*p == ' ') {
            continue;
        }

        if (*p == ';') {
            if (cf->handler(cf, NULL, cf->handler_conf) != NGX_CONF_OK) {
                return NGX_CONF_ERROR;
            }

            cf->args->nelts = 0;
            continue;
        }

        quote = (*p == '\'') ? *p++ : 0;
        len = quote ? strcspn(p, "'") : strcspn(p, " ;");

        if (auth_shim_word(cf, p, len) != 0) {
            return NGX_CONF_ERROR;
        }

        len += (quote && p[len]);
    }

    return NGX_CONF_OK;
}


static int
auth_shim_word(ngx_conf_t *cf, const char *start, size_t len)
{
    u_char     *data;
    ngx_str_t  *word;

    word = ngx_array_push(cf->args);
    data = ngx_pnalloc(cf->pool, len + 1);

    if (word == NULL || data == NULL) {
        return -1;
    }

    memcpy(data, start, len);
    data[len] = '\0';

    word->data = data;
    word->len = len;

    return 0;
}


ngx_int_t
ngx_conf_full_name(ngx_cycle_t *cycle, ngx_str_t *name,
    ngx_uint_t conf_prefix)
{
    u_char  *full;
    size_t   len;

    if (name->len && name->data[0] == '/') {
        return NGX_OK;
    }

    len = cycle->conf_prefix.len + name->len;

    full = ngx_pnalloc(cycle->pool, len + 1);
    if (full == NULL) {
        return NGX_ERROR;
    }

    memcpy(full, cycle->conf_prefix.data, cycle->conf_prefix.len);
    memcpy(full + cycle->conf_prefix.len, name->data, name->len);
    full[len] = '\0';

    name->data = full;
    name->len = len;

    return NGX_OK;
}


void ngx_cdecl
ngx_conf_log_error(ngx_uint_t level, ngx_conf_t *cf, ngx_err_t err,
    const char *fmt, ...)
{
    u_char   *p, buf[2048];
    va_list   args;

    va_start(args, fmt);
    p = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args);
    va_end(args);

    auth_shim_write(cf->log, level, buf, p - buf);
}


static void
auth_shim_write(ngx_log_t *log, ngx_uint_t level, u_char *buf, size_t len)
{
    size_t  used;

    used = strlen(auth_shim_log);

    snprintf(auth_shim_log + used, sizeof(auth_shim_log) - used,
             "%s: %.*s\n", (level == NGX_LOG_WARN) ? "warn" : "emerg",
             (int) len, (char *) buf);
}


/* no directive of src/auth has a size */

ssize_t
ngx_parse_size(ngx_str_t *line)
{
    return NGX_ERROR;
}


ngx_int_t
ngx_parse_time(ngx_str_t *line, ngx_uint_t is_sec)
{
    long      value;
    char     *end, text[32];
    unsigned  i;

    static const struct {
        const char  *name;
        long         ms;
    } units[] = {
        { "", 0 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 },
        { "d", 86400000 }, { "ms", 1 }
    };

    if (line->len == 0 || line->len >= sizeof(text)) {
        return NGX_ERROR;
    }

    memcpy(text, line->data, line->len);
    text[line->len] = '\0';

    value = strtol(text, &end, 10);

    if (end == text || value < 0) {
        return NGX_ERROR;
    }

    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {

        if (strcmp(end, units[i].name) != 0) {
            continue;
        }

        if (is_sec) {
            return (units[i].ms == 1) ? NGX_ERROR
                   : value * (units[i].ms ? units[i].ms / 1000 : 1);
        }

        return value * (units[i].ms ? units[i].ms : 1);
    }

    return NGX_ERROR;
}


/* The tree is a plain search tree: nothing here needs it balanced. */

void
ngx_rbtree_insert(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    if (tree->root == tree->sentinel) {
        node->parent = NULL;
        node->left = tree->sentinel;
        node->right = tree->sentinel;
        tree->root = node;
        return;
    }

    tree->insert(tree->root, node, tree->sentinel);
}


void
ngx_rbtree_delete(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    ngx_rbtree_node_t  *next;

    if (node->left == tree->sentinel) {
        auth_shim_replace(tree, node, node->right);
        return;
    }

    if (node->right == tree->sentinel) {
        auth_shim_replace(tree, node, node->left);
        return;
    }

    next = ngx_rbtree_min(node->right, tree->sentinel);

    if (next->parent != node) {
        auth_shim_replace(tree, next, next->right);
        next->right = node->right;
        next->right->parent = next;
    }

    auth_shim_replace(tree, node, next);
    next->left = node->left;
    next->left->parent = next;
}


static void
auth_shim_replace(ngx_rbtree_t *tree, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *by)
{
    if (node->parent == NULL) {
        tree->root = by;

    } else if (node->parent->left == node) {
        node->parent->left = by;

    } else {
        node->parent->right = by;
    }

    if (by != tree->sentinel) {
        by->parent = node->parent;
    }
}
