/*
 * Violations: bounded, with RFC 6901 pointers and sentences for the caller of
 * an API.  Called by the checks.  Never repeats more of a caller's key than a
 * short piece, and nothing of a value.
 */

#include "schema/prov_schema_node.h"


static ngx_int_t prov_schema_report_add(prov_schema_run_t *run,
    prov_schema_report_t *report, prov_schema_path_t *path, const char *code,
    u_char *text, size_t len);
static ngx_uint_t prov_schema_report_has(prov_schema_report_t *report,
    ngx_uint_t first, prov_schema_violation_t *violation);
static size_t prov_schema_token(u_char *dst, prov_schema_path_t *path,
    size_t max);


ngx_int_t
prov_schema_report_init(prov_schema_report_t *report, ngx_pool_t *pool,
    ngx_uint_t max)
{
    ngx_memzero(report, sizeof(prov_schema_report_t));

    /* the array's memory waits for the first violation */

    report->pool = pool;
    report->max = max;
    report->violations.size = sizeof(prov_schema_violation_t);
    report->violations.pool = pool;

    return NGX_OK;
}


ngx_int_t
prov_schema_violate(prov_schema_run_t *run, prov_schema_path_t *path,
    const char *code, const char *fmt, ...)
{
    u_char   *p, *start, text[PROV_SCHEMA_MAX_MESSAGE + 4];
    va_list   args;

    if (run->quiet) {
        return NGX_DECLINED;
    }

    if (!prov_schema_reporting(run)) {
        run->report->total++;
        return NGX_DECLINED;
    }

    start = text;

    if (run->naming) {
        start = ngx_cpymem(start, "the property's name ",
                           sizeof("the property's name ") - 1);
        code = "property_names";
    }

    va_start(args, fmt);
    p = ngx_vslprintf(start, text + PROV_SCHEMA_MAX_MESSAGE, fmt, args);
    va_end(args);

    if (p == text + PROV_SCHEMA_MAX_MESSAGE) {
        p = text + prov_schema_cut(text, p - text,
                                   PROV_SCHEMA_MAX_MESSAGE - 1);
        p = ngx_cpymem(p, "…", sizeof("…") - 1);
    }

    if (prov_schema_report_add(run, run->report, path, code, text, p - text)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_DECLINED;
}


ngx_int_t
prov_schema_abort(prov_schema_run_t *run, prov_schema_path_t *path,
    const char *code, const char *text)
{
    if (prov_schema_report_add(run, run->outermost, path, code,
                               (u_char *) text, ngx_strlen(text))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_ABORT;
}


/*
 * The same words about the same value, from two branches of an "allOf", are
 * one violation.  What other values left in the report does not count.
 */

static ngx_int_t
prov_schema_report_add(prov_schema_run_t *run, prov_schema_report_t *report,
    prov_schema_path_t *path, const char *code, u_char *text, size_t len)
{
    ngx_uint_t                first;
    prov_schema_violation_t  *violation, v;

    if (report->violations.nelts >= report->max) {
        report->total++;
        return NGX_OK;
    }

    if (report->violations.elts == NULL
        && ngx_array_init(&report->violations, report->pool, 4,
                          sizeof(prov_schema_violation_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    v.code.data = (u_char *) code;
    v.code.len = ngx_strlen(code);

    v.message.data = text;
    v.message.len = len;

    v.pointer = prov_schema_pointer(report->pool, path,
                                    PROV_SCHEMA_MAX_TOKEN);
    if (v.pointer.data == NULL) {
        return NGX_ERROR;
    }

    first = (report == run->outermost) ? run->first : 0;

    if (prov_schema_report_has(report, first, &v)) {
        return NGX_OK;
    }

    v.message.data = ngx_pnalloc(report->pool, len);
    if (v.message.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(v.message.data, text, len);

    violation = ngx_array_push(&report->violations);
    if (violation == NULL) {
        return NGX_ERROR;
    }

    *violation = v;
    report->total++;

    return NGX_OK;
}


static ngx_uint_t
prov_schema_report_has(prov_schema_report_t *report, ngx_uint_t first,
    prov_schema_violation_t *violation)
{
    ngx_uint_t                i;
    prov_schema_violation_t  *v;

    v = report->violations.elts;

    for (i = first; i < report->violations.nelts; i++) {

        if (v[i].code.data == violation->code.data
            && v[i].pointer.len == violation->pointer.len
            && v[i].message.len == violation->message.len
            && ngx_memcmp(v[i].pointer.data, violation->pointer.data,
                          v[i].pointer.len)
               == 0
            && ngx_memcmp(v[i].message.data, violation->message.data,
                          v[i].message.len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


ngx_str_t
prov_schema_pointer(ngx_pool_t *pool, prov_schema_path_t *path, size_t max)
{
    size_t               len;
    u_char              *p;
    ngx_str_t            pointer;
    prov_schema_path_t  *step;

    pointer.len = 0;

    for (step = path; step; step = step->parent) {
        pointer.len += 1 + prov_schema_token(NULL, step, max);
    }

    /* one more, because an empty string must not look like no memory */

    pointer.data = ngx_pnalloc(pool, pointer.len + 1);
    if (pointer.data == NULL) {
        return pointer;
    }

    p = pointer.data + pointer.len;
    *p = '\0';

    for (step = path; step; step = step->parent) {
        len = prov_schema_token(NULL, step, max);
        p -= len;
        (void) prov_schema_token(p, step, max);
        *--p = '/';
    }

    return pointer;
}


/* returns the length; dst may be NULL */

static size_t
prov_schema_token(u_char *dst, prov_schema_path_t *path, size_t max)
{
    size_t   i, n, len;
    u_char  *p, c, number[NGX_INT_T_LEN];

    if (path->key == NULL) {
        p = ngx_sprintf(number, "%ui", path->index);

        if (dst) {
            ngx_memcpy(dst, number, p - number);
        }

        return p - number;
    }

    p = dst;
    n = 0;
    len = prov_schema_cut((u_char *) path->key, path->len, max);

    for (i = 0; i < len; i++) {
        c = (u_char) path->key[i];

        if (c == '~' || c == '/') {
            n += 2;

            if (p) {
                *p++ = '~';
                *p++ = (c == '~') ? '0' : '1';
            }

            continue;
        }

        n++;

        if (p) {
            *p++ = c;
        }
    }

    if (len < path->len) {
        n += sizeof("…") - 1;

        if (p) {
            ngx_memcpy(p, "…", sizeof("…") - 1);
        }
    }

    return n;
}


size_t
prov_schema_cut(u_char *text, size_t len, size_t max)
{
    if (len <= max) {
        return len;
    }

    while (max && (text[max] & 0xc0) == 0x80) {
        max--;
    }

    return max;
}


u_char *
prov_schema_type_names(u_char *buf, u_char *last, ngx_uint_t types)
{
    u_char      *p;
    ngx_uint_t   i, left;

    static struct {
        ngx_uint_t   type;
        const char  *name;
    } names[] = {
        { PROV_SCHEMA_STRING, "a string" },
        { PROV_SCHEMA_NUMBER, "a number" },
        { PROV_SCHEMA_INTEGER, "an integer" },
        { PROV_SCHEMA_BOOLEAN, "true or false" },
        { PROV_SCHEMA_OBJECT, "an object" },
        { PROV_SCHEMA_ARRAY, "an array" },
        { PROV_SCHEMA_NULL, "null" },
        { 0, NULL }
    };

    if (types & PROV_SCHEMA_NUMBER) {
        types &= ~PROV_SCHEMA_INTEGER;
    }

    p = buf;
    left = types;

    for (i = 0; names[i].name; i++) {

        if (!(types & names[i].type)) {
            continue;
        }

        if (left != types) {
            p = ngx_slprintf(p, last, "%s",
                             (left == names[i].type) ? " or " : ", ");
        }

        p = ngx_slprintf(p, last, "%s", names[i].name);
        left &= ~names[i].type;
    }

    return p;
}
