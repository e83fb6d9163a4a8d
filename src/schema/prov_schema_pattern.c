/*
 * Patterns: compiled once with PCRE2 and its JIT, matched under limits that
 * hold whatever the pattern and the text are.  Called by the compiler and by
 * the checks.  Never logs; a match that is given up is the caller's to tell.
 *
 * PCRE2 counts work per place where it tries to match, and does not count
 * what a single step costs, so its match limit alone bounds little.  A
 * pattern that is linear by its form runs freely.  Any other is anchored by
 * a prefix that does the searching (one counted attempt instead of one per
 * place), gets texts of bounded length, and a limit that grows in rounds
 * while the processor time of all such matches of a request stays small.
 */

#include "schema/prov_schema_regex.h"

#include <time.h>

#ifndef PCRE2_CODE_UNIT_WIDTH
#define PCRE2_CODE_UNIT_WIDTH  8
#endif

#include <pcre2.h>


/* of a pattern that is not linear: bytes of text, and counted steps */
#define PROV_SCHEMA_PATTERN_TEXT    16384
#define PROV_SCHEMA_PATTERN_FIRST   1000
#define PROV_SCHEMA_PATTERN_ROUNDS  5
#define PROV_SCHEMA_PATTERN_GROWTH  4

/*
 * Microseconds of processor time that all such matches of one validation may
 * take, and what each adds, which is more than an honest one needs.
 */
#define PROV_SCHEMA_PATTERN_CPU     50000
#define PROV_SCHEMA_PATTERN_EACH    3

/* short matches that are too quick for their time to be taken */
#define PROV_SCHEMA_PATTERN_QUICK   64
#define PROV_SCHEMA_PATTERN_SHORT   1024

/* of a linear one, where it is only a last resort */
#define PROV_SCHEMA_PATTERN_LIMIT   10000000

/* KiB of backtracking points, which match data keeps */
#define PROV_SCHEMA_PATTERN_HEAP    4096
#define PROV_SCHEMA_PATTERN_DEPTH   100000

/* bytes of a pattern that a caller sends ("format": "regex") */
#define PROV_SCHEMA_PATTERN_VALUE   1000

#define PROV_SCHEMA_PATTERN_PREFIX  "^[\\x{0}-\\x{10ffff}]*?(?:"
#define PROV_SCHEMA_PATTERN_SUFFIX  ")"


struct prov_schema_pattern_s {
    pcre2_code   *code;
    ngx_str_t     source;
    unsigned      linear:1;
};


static ngx_int_t prov_schema_pattern_build(prov_schema_regex_t *regex,
    pcre2_code **code, ngx_uint_t *linear, int *err);
static pcre2_code *prov_schema_pattern_pcre2(prov_schema_regex_t *regex,
    u_char *data, size_t len, int *err);
static pcre2_code *prov_schema_pattern_prefixed(prov_schema_regex_t *regex,
    int *err);
static void prov_schema_pattern_refuse(ngx_pool_t *pool, ngx_str_t *err,
    prov_schema_regex_t *regex, int code);
static ngx_int_t prov_schema_pattern_begin(prov_schema_run_t *run);
static ngx_int_t prov_schema_pattern_run(prov_schema_run_t *run,
    prov_schema_pattern_t *pattern, u_char *text, size_t len, uint32_t limit);
static ngx_int_t prov_schema_pattern_bounded(prov_schema_run_t *run,
    prov_schema_pattern_t *pattern, u_char *text, size_t len);
static uint64_t prov_schema_pattern_cpu(void);
static void prov_schema_pattern_free(void *data);


/*
 * What matching writes to belongs to one validation, since several threads may
 * validate at once.  Made at its first pattern.
 */

static ngx_int_t
prov_schema_pattern_begin(prov_schema_run_t *run)
{
    if (run->match_context) {
        return NGX_OK;
    }

    run->match_data = pcre2_match_data_create(1, NULL);
    if (run->match_data == NULL) {
        return NGX_ERROR;
    }

    run->match_context = pcre2_match_context_create(NULL);
    if (run->match_context == NULL) {
        return NGX_ERROR;
    }

    pcre2_set_heap_limit(run->match_context, PROV_SCHEMA_PATTERN_HEAP);
    pcre2_set_depth_limit(run->match_context, PROV_SCHEMA_PATTERN_DEPTH);

    return NGX_OK;
}


void
prov_schema_pattern_end(prov_schema_run_t *run)
{
    pcre2_match_data_free(run->match_data);
    pcre2_match_context_free(run->match_context);
}


prov_schema_pattern_t *
prov_schema_pattern_compile(ngx_pool_t *pool, ngx_str_t *source,
    ngx_str_t *err)
{
    int                     code;
    ngx_int_t               rc;
    ngx_uint_t              linear;
    ngx_pool_cleanup_t     *cln;
    prov_schema_regex_t     regex;
    prov_schema_pattern_t  *pattern;

    ngx_str_null(err);

    pattern = ngx_pcalloc(pool, sizeof(prov_schema_pattern_t));
    if (pattern == NULL) {
        return NULL;
    }

    pattern->source.len = source->len;
    pattern->source.data = ngx_pstrdup(pool, source);
    if (pattern->source.data == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    code = 0;
    linear = 0;
    rc = prov_schema_regex(&regex, source->data, source->len);

    if (rc == NGX_OK) {
        rc = prov_schema_pattern_build(&regex, &pattern->code, &linear, &code);
        ngx_free(regex.data);
    }

    if (rc == NGX_DECLINED) {
        prov_schema_pattern_refuse(pool, err, &regex, code);
        return NULL;
    }

    if (rc == NGX_ERROR) {
        return NULL;
    }

    cln->handler = prov_schema_pattern_free;
    cln->data = pattern->code;

    pattern->linear = linear;

    /* where JIT cannot be had, the interpreter does the work */
    (void) pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE);

    return pattern;
}


/* NGX_DECLINED with *err, a code of PCRE2's */

static ngx_int_t
prov_schema_pattern_build(prov_schema_regex_t *regex, pcre2_code **code,
    ngx_uint_t *linear, int *err)
{
    uint32_t    options;
    ngx_uint_t  anchored;

    *code = prov_schema_pattern_pcre2(regex, regex->data, regex->len, err);

    if (*code == NULL) {
        return (*err == PCRE2_ERROR_HEAP_FAILED) ? NGX_ERROR : NGX_DECLINED;
    }

    (void) pcre2_pattern_info(*code, PCRE2_INFO_ALLOPTIONS, &options);

    anchored = (options & PCRE2_ANCHORED) ? 1 : 0;
    *linear = regex->linear && (anchored || !regex->search);

    if (*linear || anchored) {
        return NGX_OK;
    }

    pcre2_code_free(*code);

    *code = prov_schema_pattern_prefixed(regex, err);

    return *code ? NGX_OK : NGX_ERROR;
}


static pcre2_code *
prov_schema_pattern_pcre2(prov_schema_regex_t *regex, u_char *data,
    size_t len, int *err)
{
    size_t    offset;
    uint32_t  options;

    /* a group that took no part matches the empty text, as in ECMA-262 */

    options = PCRE2_UTF|PCRE2_DOLLAR_ENDONLY|PCRE2_MATCH_UNSET_BACKREF
              |PCRE2_NEVER_UCP|PCRE2_NEVER_BACKSLASH_C;

    if (!regex->backrefs) {
        options |= PCRE2_NO_AUTO_CAPTURE;
    }

    return pcre2_compile(data, len, options, err, &offset, NULL);
}


static pcre2_code *
prov_schema_pattern_prefixed(prov_schema_regex_t *regex, int *err)
{
    u_char      *p, *data;
    pcre2_code  *code;

    data = ngx_alloc(sizeof(PROV_SCHEMA_PATTERN_PREFIX) + regex->len
                     + sizeof(PROV_SCHEMA_PATTERN_SUFFIX), ngx_cycle->log);
    if (data == NULL) {
        return NULL;
    }

    p = ngx_cpymem(data, PROV_SCHEMA_PATTERN_PREFIX,
                   sizeof(PROV_SCHEMA_PATTERN_PREFIX) - 1);
    p = ngx_cpymem(p, regex->data, regex->len);
    p = ngx_cpymem(p, PROV_SCHEMA_PATTERN_SUFFIX,
                   sizeof(PROV_SCHEMA_PATTERN_SUFFIX) - 1);

    code = prov_schema_pattern_pcre2(regex, data, p - data, err);

    ngx_free(data);

    return code;
}


static void
prov_schema_pattern_refuse(ngx_pool_t *pool, ngx_str_t *err,
    prov_schema_regex_t *regex, int code)
{
    u_char  *p, text[256];

    err->data = ngx_pnalloc(pool, PROV_SCHEMA_MAX_MESSAGE);
    if (err->data == NULL) {
        return;
    }

    if (code == 0) {
        p = ngx_snprintf(err->data, PROV_SCHEMA_MAX_MESSAGE,
                         "is no ECMA-262 pattern: it %s, at byte %uz",
                         regex->err, regex->at);

    } else {
        text[0] = '\0';
        (void) pcre2_get_error_message(code, text, sizeof(text));

        p = ngx_snprintf(err->data, PROV_SCHEMA_MAX_MESSAGE,
                         "is refused by PCRE2: %s", text);
    }

    err->len = p - err->data;
}


ngx_str_t *
prov_schema_pattern_source(prov_schema_pattern_t *pattern)
{
    return &pattern->source;
}


ngx_uint_t
prov_schema_pattern_valid(u_char *text, size_t len)
{
    int                   err;
    pcre2_code           *code;
    prov_schema_regex_t   regex;

    if (len > PROV_SCHEMA_PATTERN_VALUE
        || prov_schema_regex(&regex, text, len) != NGX_OK)
    {
        return 0;
    }

    code = prov_schema_pattern_pcre2(&regex, regex.data, regex.len, &err);

    ngx_free(regex.data);

    if (code == NULL) {
        return 0;
    }

    pcre2_code_free(code);

    return 1;
}


ngx_int_t
prov_schema_pattern_match(prov_schema_run_t *run,
    prov_schema_pattern_t *pattern, u_char *text, size_t len)
{
    if (prov_schema_pattern_begin(run) != NGX_OK) {
        return NGX_ERROR;
    }

    if (pattern->linear) {
        return prov_schema_pattern_run(run, pattern, text, len,
                                       PROV_SCHEMA_PATTERN_LIMIT);
    }

    if (len > PROV_SCHEMA_PATTERN_TEXT) {
        return NGX_BUSY;
    }

    return prov_schema_pattern_bounded(run, pattern, text, len);
}


static ngx_int_t
prov_schema_pattern_bounded(prov_schema_run_t *run,
    prov_schema_pattern_t *pattern, u_char *text, size_t len)
{
    uint32_t    limit;
    uint64_t    start, allowed;
    ngx_int_t   rc;
    ngx_uint_t  round, timed;

    run->matches++;

    limit = PROV_SCHEMA_PATTERN_FIRST + 4 * len;
    allowed = PROV_SCHEMA_PATTERN_CPU
              + PROV_SCHEMA_PATTERN_EACH * run->matches;
    timed = len > PROV_SCHEMA_PATTERN_SHORT
            || run->matches > PROV_SCHEMA_PATTERN_QUICK;

    for (round = 0; round < PROV_SCHEMA_PATTERN_ROUNDS; round++) {

        if (run->cpu > allowed) {
            return NGX_BUSY;
        }

        start = timed ? prov_schema_pattern_cpu() : 0;

        rc = prov_schema_pattern_run(run, pattern, text, len, limit);

        if (timed) {
            run->cpu += prov_schema_pattern_cpu() - start;
        }

        if (rc != NGX_BUSY) {
            return rc;
        }

        timed = 1;
        limit *= PROV_SCHEMA_PATTERN_GROWTH;
    }

    return NGX_BUSY;
}


static ngx_int_t
prov_schema_pattern_run(prov_schema_run_t *run,
    prov_schema_pattern_t *pattern, u_char *text, size_t len, uint32_t limit)
{
    int  rc;

    pcre2_set_match_limit(run->match_context, limit);

    rc = pcre2_match(pattern->code, text, len, 0, 0, run->match_data,
                     run->match_context);

    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
        /* 32K of stack; the interpreter's points are on the heap */
        rc = pcre2_match(pattern->code, text, len, 0, PCRE2_NO_JIT,
                         run->match_data, run->match_context);
    }

    if (rc >= 0) {
        return NGX_OK;
    }

    switch (rc) {

    case PCRE2_ERROR_NOMATCH:
        return NGX_DECLINED;

    case PCRE2_ERROR_NOMEMORY:
        return NGX_ERROR;

    default:
        /* match, depth or heap limit */
        return NGX_BUSY;
    }
}


/* microseconds; time that others had the processor does not count */

static uint64_t
prov_schema_pattern_cpu(void)
{
    struct timespec  ts;

    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) != 0) {
        return 0;
    }

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


static void
prov_schema_pattern_free(void *data)
{
    pcre2_code_free(data);
}
