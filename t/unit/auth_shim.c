/*
 * See auth_shim.h.  What is here behaves like its model in nginx, for the
 * arguments that src/auth and src/base/prov_json.c give it.
 */

#include "auth_shim.h"


typedef struct auth_shim_piece_s  auth_shim_piece_t;

struct auth_shim_piece_s {
    auth_shim_piece_t  *next;
    void               *data;
};


typedef struct {
    ngx_pool_t          pool;
    auth_shim_piece_t  *pieces;
} auth_shim_pool_t;


long                        auth_shim_allocations = -1;
char                        auth_shim_log[16384];

static ngx_time_t           auth_shim_time;
volatile ngx_time_t        *ngx_cached_time = &auth_shim_time;

static ngx_log_t            auth_shim_logger = { .log_level = NGX_LOG_DEBUG };
static ngx_conf_file_t      auth_shim_file;
static const char          *auth_shim_text;


void
auth_shim_clock(time_t now)
{
    auth_shim_time.sec = now;
}


static int
auth_shim_spend(void)
{
    if (auth_shim_allocations < 0) {
        return 1;
    }

    if (auth_shim_allocations == 0) {
        return 0;
    }

    auth_shim_allocations--;

    return 1;
}


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    return auth_shim_spend() ? malloc(size ? size : 1) : NULL;
}


ngx_pool_t *
ngx_create_pool(size_t size, ngx_log_t *log)
{
    auth_shim_pool_t  *pool;

    pool = calloc(1, sizeof(auth_shim_pool_t));
    if (pool == NULL) {
        return NULL;
    }

    pool->pool.log = log ? log : &auth_shim_logger;

    return &pool->pool;
}


void
ngx_destroy_pool(ngx_pool_t *pool)
{
    auth_shim_pool_t    *shim = (auth_shim_pool_t *) pool;
    auth_shim_piece_t   *piece;
    ngx_pool_cleanup_t  *cln;

    for (cln = pool->cleanup; cln; cln = cln->next) {
        if (cln->handler) {
            cln->handler(cln->data);
        }
    }

    while (shim->pieces) {
        piece = shim->pieces;
        shim->pieces = piece->next;
        free(piece->data);
        free(piece);
    }

    free(shim);
}


void *
ngx_palloc(ngx_pool_t *pool, size_t size)
{
    auth_shim_pool_t   *shim = (auth_shim_pool_t *) pool;
    auth_shim_piece_t  *piece;

    if (!auth_shim_spend()) {
        return NULL;
    }

    piece = malloc(sizeof(auth_shim_piece_t));
    if (piece == NULL) {
        return NULL;
    }

    piece->data = malloc(size ? size : 1);
    if (piece->data == NULL) {
        free(piece);
        return NULL;
    }

    /* nobody may count on what fresh memory has in it */

    memset(piece->data, 0xa5, size ? size : 1);

    piece->next = shim->pieces;
    shim->pieces = piece;

    return piece->data;
}


void *
ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    return ngx_palloc(pool, size);
}


void *
ngx_pcalloc(ngx_pool_t *pool, size_t size)
{
    void  *p;

    p = ngx_palloc(pool, size);

    return p ? memset(p, 0, size) : NULL;
}


ngx_pool_cleanup_t *
ngx_pool_cleanup_add(ngx_pool_t *pool, size_t size)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pcalloc(pool, sizeof(ngx_pool_cleanup_t));
    if (cln == NULL) {
        return NULL;
    }

    if (size) {
        cln->data = ngx_palloc(pool, size);
        if (cln->data == NULL) {
            return NULL;
        }
    }

    cln->next = pool->cleanup;
    pool->cleanup = cln;

    return cln;
}


ngx_array_t *
ngx_array_create(ngx_pool_t *pool, ngx_uint_t n, size_t size)
{
    ngx_array_t  *array;

    array = ngx_palloc(pool, sizeof(ngx_array_t));

    if (array == NULL || ngx_array_init(array, pool, n, size) != NGX_OK) {
        return NULL;
    }

    return array;
}


void *
ngx_array_push(ngx_array_t *array)
{
    void  *elts;

    if (array->nelts == array->nalloc) {
        elts = ngx_palloc(array->pool, 2 * array->nalloc * array->size);
        if (elts == NULL) {
            return NULL;
        }

        memcpy(elts, array->elts, array->nelts * array->size);

        array->elts = elts;
        array->nalloc *= 2;
    }

    return (char *) array->elts + array->size * array->nelts++;
}


static u_char *
auth_shim_copy(u_char *buf, u_char *last, const void *src, size_t len)
{
    len = ngx_min(len, (size_t) (last - buf));
    memcpy(buf, src, len);

    return buf + len;
}


u_char *
ngx_vslprintf(u_char *buf, u_char *last, const char *fmt, va_list args)
{
    int          is_unsigned;
    char         number[32];
    intmax_t     i;
    ngx_str_t   *v;
    const char  *s;

    for ( /* void */ ; *fmt && buf < last; fmt++) {

        if (*fmt != '%') {
            *buf++ = *fmt;
            continue;
        }

        is_unsigned = (fmt[1] == 'u');
        fmt += 1 + is_unsigned;

        switch (*fmt) {

        case 'V':
            v = va_arg(args, ngx_str_t *);
            buf = auth_shim_copy(buf, last, v->data, v->len);
            continue;

        case 's':
            s = va_arg(args, char *);
            buf = auth_shim_copy(buf, last, s, strlen(s));
            continue;

        case 'Z':
            *buf++ = '\0';
            continue;

        case 'd':
            i = va_arg(args, int);
            break;

        case 'i':
            i = va_arg(args, ngx_int_t);
            break;

        case 'z':
            i = va_arg(args, ssize_t);
            break;

        case 'T':
            i = va_arg(args, time_t);
            break;

        case 'O':
            i = va_arg(args, off_t);
            break;

        default:
            fprintf(stderr, "auth_shim: %%%c is not known\n", *fmt);
            abort();
        }

        if (is_unsigned) {
            snprintf(number, sizeof(number), "%ju", (uintmax_t) i);

        } else {
            snprintf(number, sizeof(number), "%jd", i);
        }

        buf = auth_shim_copy(buf, last, number, strlen(number));
    }

    return buf;
}


u_char *
ngx_snprintf(u_char *buf, size_t max, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    buf = ngx_vslprintf(buf, buf + max, fmt, args);
    va_end(args);

    return buf;
}


u_char *
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    buf = ngx_vslprintf(buf, buf + 4096, fmt, args);
    va_end(args);

    return buf;
}


u_char *
ngx_cpystrn(u_char *dst, u_char *src, size_t n)
{
    if (n == 0) {
        return dst;
    }

    while (--n && *src) {
        *dst++ = *src++;
    }

    *dst = '\0';

    return dst;
}


u_char *
ngx_pstrdup(ngx_pool_t *pool, ngx_str_t *src)
{
    u_char  *dst;

    dst = ngx_pnalloc(pool, src->len);

    return dst ? memcpy(dst, src->data, src->len) : NULL;
}


ngx_int_t
ngx_strncasecmp(u_char *s1, u_char *s2, size_t n)
{
    return strncasecmp((char *) s1, (char *) s2, n);
}


void
ngx_explicit_memzero(void *buf, size_t n)
{
    explicit_bzero(buf, n);
}


ngx_int_t
ngx_parse_time(ngx_str_t *line, ngx_uint_t is_sec)
{
    long   value;
    char  *end, text[32];

    if (line->len == 0 || line->len >= sizeof(text)) {
        return NGX_ERROR;
    }

    memcpy(text, line->data, line->len);
    text[line->len] = '\0';

    value = strtol(text, &end, 10);

    if (end == text || value < 0) {
        return NGX_ERROR;
    }

    if (strcmp(end, "m") == 0) {
        return value * 60;
    }

    return (*end == '\0' || strcmp(end, "s") == 0) ? value : NGX_ERROR;
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
auth_shim_logged(ngx_uint_t level, const char *fmt, va_list args)
{
    u_char  *p, *last;

    p = (u_char *) auth_shim_log + strlen(auth_shim_log);
    last = (u_char *) auth_shim_log + sizeof(auth_shim_log) - 2;

    p = auth_shim_copy(p, last, (level == NGX_LOG_WARN) ? "warn: "
                                                        : "emerg: ",
                       (level == NGX_LOG_WARN) ? 6 : 7);
    p = ngx_vslprintf(p, last, fmt, args);

    *p++ = '\n';
    *p = '\0';
}


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    auth_shim_logged(level, fmt, args);
    va_end(args);
}


void ngx_cdecl
ngx_conf_log_error(ngx_uint_t level, ngx_conf_t *cf, ngx_err_t err,
    const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    auth_shim_logged(level, fmt, args);
    va_end(args);
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


/* Words, 'quoted ones', and ";" after each directive. */

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
