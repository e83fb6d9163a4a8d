/*
 * The rewriting pass: everything that the two dialects read differently is
 * either spelled out in PCRE2's terms or refused.  Two rounds over the same
 * code, one to measure and one to write.
 */

#include "schema/prov_schema_regex.h"
#include "schema/prov_schema_escape.h"


/* alternatives and options that multiply, in what is still called linear */
#define PROV_SCHEMA_REGEX_CHOICES  6


static ngx_int_t prov_schema_regex_pass(prov_schema_parser_t *ps);
static ngx_int_t prov_schema_regex_next(prov_schema_parser_t *ps);
static ngx_int_t prov_schema_regex_open(prov_schema_parser_t *ps);
static ngx_int_t prov_schema_regex_close(prov_schema_parser_t *ps);
static ngx_int_t prov_schema_regex_quantifier(prov_schema_parser_t *ps);
static ngx_int_t prov_schema_regex_braces(prov_schema_parser_t *ps,
    ngx_uint_t *variable);
static size_t prov_schema_regex_digits(prov_schema_parser_t *ps);
static ngx_int_t prov_schema_regex_class(prov_schema_parser_t *ps);
static ngx_int_t prov_schema_regex_class_atom(prov_schema_parser_t *ps,
    ngx_uint_t *set);


ngx_int_t
prov_schema_regex(prov_schema_regex_t *regex, u_char *source, size_t len)
{
    ngx_int_t             rc;
    prov_schema_parser_t  ps;

    ngx_memzero(regex, sizeof(prov_schema_regex_t));
    ngx_memzero(&ps, sizeof(prov_schema_parser_t));

    ps.regex = regex;
    ps.source = source;
    ps.last = source + len;

    if (len > PROV_SCHEMA_REGEX_MAX) {
        ps.p = ps.last;
        return prov_schema_regex_refuse(&ps, "is longer than 4096 bytes");
    }

    rc = prov_schema_regex_pass(&ps);
    if (rc != NGX_OK) {
        return rc;
    }

    regex->data = ngx_alloc(ps.len + 1, ngx_cycle->log);
    if (regex->data == NULL) {
        return NGX_ERROR;
    }

    ps.out = regex->data;

    (void) prov_schema_regex_pass(&ps);

    regex->len = ps.len;
    regex->data[ps.len] = '\0';

    return NGX_OK;
}


static ngx_int_t
prov_schema_regex_pass(prov_schema_parser_t *ps)
{
    ngx_int_t  rc;

    ps->p = ps->source;
    ps->len = 0;
    ps->depth = 0;
    ps->atom = PROV_SCHEMA_ATOM_NONE;
    ps->variable = 0;
    ps->choices = 0;
    ps->wild = 0;

    while (ps->p < ps->last) {
        rc = prov_schema_regex_next(ps);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (ps->depth) {
        return prov_schema_regex_refuse(ps, "has a \"(\" without its \")\"");
    }

    ps->regex->linear = !ps->wild && !ps->regex->backrefs
                        && ps->choices <= PROV_SCHEMA_REGEX_CHOICES;

    return NGX_OK;
}


static ngx_int_t
prov_schema_regex_next(prov_schema_parser_t *ps)
{
    switch (*ps->p) {

    case '\\':
        return prov_schema_regex_escape(ps);

    case '[':
        return prov_schema_regex_class(ps);

    case '(':
        return prov_schema_regex_open(ps);

    case ')':
        return prov_schema_regex_close(ps);

    case '*':
    case '+':
    case '?':
    case '{':
        return prov_schema_regex_quantifier(ps);

    case '|':
        if (ps->depth) {
            ps->choices++;

        } else {
            ps->variable = 0;
        }

        ps->atom = PROV_SCHEMA_ATOM_NONE;
        break;

    case '^':
    case '$':
        ps->atom = PROV_SCHEMA_ATOM_ASSERTION;
        break;

    case '.':
        ps->p++;
        ps->atom = PROV_SCHEMA_ATOM_CHARACTER;

        /* ECMA-262 has four line terminators */
        prov_schema_regex_emit(ps, "[^\\n\\r\\x{2028}\\x{2029}]");
        return NGX_OK;

    case ']':
    case '}':
        prov_schema_regex_emit(ps, "\\");
        ps->atom = PROV_SCHEMA_ATOM_CHARACTER;
        break;

    default:
        ps->atom = PROV_SCHEMA_ATOM_CHARACTER;
        break;
    }

    prov_schema_regex_copy(ps, ps->p, 1);
    ps->p++;

    return NGX_OK;
}


static ngx_int_t
prov_schema_regex_open(prov_schema_parser_t *ps)
{
    size_t       left;
    u_char      *p;
    ngx_uint_t   assertion;

    if (ps->depth == PROV_SCHEMA_REGEX_GROUPS) {
        return prov_schema_regex_refuse(ps, "nests more than 100 groups");
    }

    p = ps->p + 1;
    left = ps->last - p;
    assertion = 0;

    if (left && *p == '?') {

        p++;
        left--;

        if (left && *p == ':') {
            p++;

        } else if (left && (*p == '=' || *p == '!')) {
            p++;
            assertion = 1;

        } else if (left > 1 && *p == '<' && (p[1] == '=' || p[1] == '!')) {
            p += 2;
            assertion = 1;

        } else if (left > 1 && *p == '<') {

            for (p++; p < ps->last && *p != '>'; p++) { /* void */ }

            if (p == ps->last) {
                return prov_schema_regex_refuse(ps, "has a group's name "
                                                "without its \">\"");
            }

            p++;

        } else {
            return prov_schema_regex_refuse(ps, "has a kind of group that "
                                            "ECMA-262 does not know");
        }
    }

    prov_schema_regex_copy(ps, ps->p, p - ps->p);
    ps->p = p;

    ps->wild |= assertion;
    ps->assertions[ps->depth++] = (u_char) assertion;
    ps->atom = PROV_SCHEMA_ATOM_NONE;

    return NGX_OK;
}


static ngx_int_t
prov_schema_regex_close(prov_schema_parser_t *ps)
{
    if (ps->depth == 0) {
        return prov_schema_regex_refuse(ps, "has a \")\" without its \"(\"");
    }

    ps->depth--;
    ps->atom = ps->assertions[ps->depth] ? PROV_SCHEMA_ATOM_ASSERTION
                                         : PROV_SCHEMA_ATOM_GROUP;

    prov_schema_regex_copy(ps, ps->p, 1);
    ps->p++;

    return NGX_OK;
}


static ngx_int_t
prov_schema_regex_quantifier(prov_schema_parser_t *ps)
{
    u_char      *start;
    ngx_int_t    rc;
    ngx_uint_t   variable;

    if (ps->atom == PROV_SCHEMA_ATOM_NONE
        || ps->atom == PROV_SCHEMA_ATOM_ASSERTION)
    {
        return prov_schema_regex_refuse(ps, "repeats nothing (a character "
                                        "that is meant itself needs a "
                                        "backslash)");
    }

    start = ps->p;
    variable = 1;

    if (*ps->p == '{') {
        rc = prov_schema_regex_braces(ps, &variable);
        if (rc != NGX_OK) {
            return rc;
        }

    } else {
        ps->p++;

        if (*start == '?') {
            variable = 0;
            ps->choices++;
        }
    }

    if (ps->p < ps->last && *ps->p == '?') {
        ps->p++;
    }

    prov_schema_regex_copy(ps, start, ps->p - start);

    if (variable) {
        ps->variable++;
        ps->regex->search = 1;
    }

    if (ps->variable > 1 || ps->atom == PROV_SCHEMA_ATOM_GROUP) {
        ps->wild = 1;
    }

    /* a second one would be PCRE2's possessive or atomic quantifier */
    ps->atom = PROV_SCHEMA_ATOM_NONE;

    return NGX_OK;
}


static ngx_int_t
prov_schema_regex_braces(prov_schema_parser_t *ps, ngx_uint_t *variable)
{
    size_t   low, high;
    u_char  *start;

    start = ps->p++;
    low = prov_schema_regex_digits(ps);

    if (ps->p > start + 1 && ps->p < ps->last && *ps->p == '}') {
        ps->p++;
        *variable = 0;
        return NGX_OK;
    }

    if (ps->p > start + 1 && ps->p < ps->last && *ps->p == ',') {

        ps->p++;
        high = low + 1;

        if (ps->p < ps->last && *ps->p != '}') {
            high = prov_schema_regex_digits(ps);
        }

        if (ps->p < ps->last && *ps->p == '}') {
            ps->p++;
            *variable = (high != low);
            return NGX_OK;
        }
    }

    ps->p = start;

    return prov_schema_regex_refuse(ps, "has a \"{\" that begins no "
                                    "quantifier (meant itself, it needs a "
                                    "backslash)");
}


static size_t
prov_schema_regex_digits(prov_schema_parser_t *ps)
{
    size_t  n;

    n = 0;

    /* PCRE2 refuses what is above 65535; more digits only must not wrap */

    for ( /* void */ ;
         ps->p < ps->last && *ps->p >= '0' && *ps->p <= '9';
         ps->p++)
    {
        n = ngx_min(n * 10 + (*ps->p - '0'), 100000);
    }

    return n;
}


static ngx_int_t
prov_schema_regex_class(prov_schema_parser_t *ps)
{
    u_char      *start;
    ngx_int_t    rc;
    ngx_uint_t   negated, set, other;

    start = ps->p++;
    negated = (ps->p < ps->last && *ps->p == '^');
    ps->p += negated;

    ps->atom = PROV_SCHEMA_ATOM_CHARACTER;

    if (ps->p < ps->last && *ps->p == ']') {
        ps->p++;
        prov_schema_regex_emit(ps, negated ? "[\\x{0}-\\x{10ffff}]"
                                           : "[^\\x{0}-\\x{10ffff}]");
        return NGX_OK;
    }

    prov_schema_regex_emit(ps, negated ? "[^" : "[");

    while (ps->p < ps->last && *ps->p != ']') {

        rc = prov_schema_regex_class_atom(ps, &set);
        if (rc != NGX_OK) {
            return rc;
        }

        if (ps->last - ps->p < 2 || ps->p[0] != '-' || ps->p[1] == ']') {
            continue;
        }

        prov_schema_regex_copy(ps, ps->p, 1);
        ps->p++;

        rc = prov_schema_regex_class_atom(ps, &other);
        if (rc != NGX_OK) {
            return rc;
        }

        if (set || other) {
            return prov_schema_regex_refuse(ps, "has a range with a set as "
                                            "an end (a hyphen that is meant "
                                            "itself stands last)");
        }
    }

    if (ps->p == ps->last) {
        ps->p = start;
        return prov_schema_regex_refuse(ps, "has a \"[\" without its \"]\"");
    }

    prov_schema_regex_emit(ps, "]");
    ps->p++;

    return NGX_OK;
}


/* one character, or a set such as \d, which cannot end a range */

static ngx_int_t
prov_schema_regex_class_atom(prov_schema_parser_t *ps, ngx_uint_t *set)
{
    *set = 0;

    if (*ps->p == '\\') {
        return prov_schema_regex_class_escape(ps, set);
    }

    /* "[:alpha:]" is seven characters, not a class of PCRE2's */

    if (*ps->p == '[') {
        prov_schema_regex_emit(ps, "\\");
    }

    do {
        prov_schema_regex_copy(ps, ps->p, 1);
        ps->p++;

    } while (ps->p < ps->last && (*ps->p & 0xc0) == 0x80);

    return NGX_OK;
}
