/*
 * Escapes of ECMA-262 in PCRE2's terms.  Where the two differ (\s, \v, \u,
 * \x, \0, \p{Letter}) the meaning is ECMA-262's; what only PCRE2 knows (\A,
 * \h, \K, \Q …) is refused.
 */

#include "schema/prov_schema_escape.h"


/* ECMA-262, WhiteSpace and LineTerminator; and all that is neither */
#define PROV_SCHEMA_SPACE                                                     \
    "\\x{9}-\\x{d}\\x{20}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}"        \
    "\\x{2029}\\x{202f}\\x{205f}\\x{3000}\\x{feff}"
#define PROV_SCHEMA_NO_SPACE                                                  \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{9f}\\x{a1}-\\x{167f}"             \
    "\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}"               \
    "\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{fefe}"               \
    "\\x{ff00}-\\x{10ffff}"


static ngx_int_t prov_schema_regex_common(prov_schema_parser_t *ps);
static ngx_int_t prov_schema_regex_byte(prov_schema_parser_t *ps, u_char c);
static ngx_int_t prov_schema_regex_reference(prov_schema_parser_t *ps);
static ngx_int_t prov_schema_regex_property(prov_schema_parser_t *ps);
static ngx_int_t prov_schema_regex_unicode(prov_schema_parser_t *ps);
static ngx_int_t prov_schema_regex_hex(prov_schema_parser_t *ps, u_char *p,
    size_t n, ngx_uint_t *code);
static void prov_schema_regex_code(prov_schema_parser_t *ps, ngx_uint_t code);


/* long names of general categories; PCRE2 knows the short ones */

static struct {
    const char  *name;
    const char  *category;
} prov_schema_categories[] = {
    { "Letter", "L" },
    { "Cased_Letter", "L&" },
    { "Uppercase_Letter", "Lu" },
    { "Lowercase_Letter", "Ll" },
    { "Titlecase_Letter", "Lt" },
    { "Modifier_Letter", "Lm" },
    { "Other_Letter", "Lo" },
    { "Mark", "M" },
    { "Combining_Mark", "M" },
    { "Nonspacing_Mark", "Mn" },
    { "Spacing_Mark", "Mc" },
    { "Enclosing_Mark", "Me" },
    { "Number", "N" },
    { "Decimal_Number", "Nd" },
    { "digit", "Nd" },
    { "Letter_Number", "Nl" },
    { "Other_Number", "No" },
    { "Punctuation", "P" },
    { "punct", "P" },
    { "Connector_Punctuation", "Pc" },
    { "Dash_Punctuation", "Pd" },
    { "Open_Punctuation", "Ps" },
    { "Close_Punctuation", "Pe" },
    { "Initial_Punctuation", "Pi" },
    { "Final_Punctuation", "Pf" },
    { "Other_Punctuation", "Po" },
    { "Symbol", "S" },
    { "Math_Symbol", "Sm" },
    { "Currency_Symbol", "Sc" },
    { "Modifier_Symbol", "Sk" },
    { "Other_Symbol", "So" },
    { "Separator", "Z" },
    { "Space_Separator", "Zs" },
    { "Line_Separator", "Zl" },
    { "Paragraph_Separator", "Zp" },
    { "Other", "C" },
    { "Control", "Cc" },
    { "cntrl", "Cc" },
    { "Format", "Cf" },
    { "Private_Use", "Co" },
    { "Unassigned", "Cn" },
    { NULL, NULL }
};


ngx_int_t
prov_schema_regex_escape(prov_schema_parser_t *ps)
{
    u_char  c;

    c = (ps->last - ps->p > 1) ? ps->p[1] : '\0';

    switch (c) {

    case 'b':
    case 'B':
        ps->atom = PROV_SCHEMA_ATOM_ASSERTION;
        prov_schema_regex_copy(ps, ps->p, 2);
        ps->p += 2;
        return NGX_OK;

    case 's':
    case 'S':
        ps->atom = PROV_SCHEMA_ATOM_CHARACTER;
        prov_schema_regex_emit(ps, (c == 's') ? "[" PROV_SCHEMA_SPACE "]"
                                              : "[^" PROV_SCHEMA_SPACE "]");
        ps->p += 2;
        return NGX_OK;

    case 'k':
        return prov_schema_regex_reference(ps);

    default:
        if (c >= '1' && c <= '9') {
            return prov_schema_regex_reference(ps);
        }

        ps->atom = PROV_SCHEMA_ATOM_CHARACTER;
        return prov_schema_regex_common(ps);
    }
}


ngx_int_t
prov_schema_regex_class_escape(prov_schema_parser_t *ps, ngx_uint_t *set)
{
    u_char  c;

    c = (ps->last - ps->p > 1) ? ps->p[1] : '\0';

    switch (c) {

    case 'b':
        prov_schema_regex_emit(ps, "\\x{8}");
        ps->p += 2;
        return NGX_OK;

    case 's':
        prov_schema_regex_emit(ps, PROV_SCHEMA_SPACE);
        ps->p += 2;
        *set = 1;
        return NGX_OK;

    case 'S':
        prov_schema_regex_emit(ps, PROV_SCHEMA_NO_SPACE);
        ps->p += 2;
        *set = 1;
        return NGX_OK;

    case 'd':
    case 'D':
    case 'w':
    case 'W':
    case 'p':
    case 'P':
        *set = 1;
        return prov_schema_regex_common(ps);

    default:
        return prov_schema_regex_common(ps);
    }
}


/* what means the same inside and outside of a class */

static ngx_int_t
prov_schema_regex_common(prov_schema_parser_t *ps)
{
    u_char  c;

    if (ps->last - ps->p < 2) {
        return prov_schema_regex_refuse(ps, "ends with a lone backslash");
    }

    c = ps->p[1];

    switch (c) {

    case 'd':
    case 'D':
    case 'w':
    case 'W':
    case 't':
    case 'n':
    case 'r':
    case 'f':
        prov_schema_regex_copy(ps, ps->p, 2);
        ps->p += 2;
        return NGX_OK;

    case 'p':
    case 'P':
        return prov_schema_regex_property(ps);

    case 'u':
        return prov_schema_regex_unicode(ps);

    case 'v':
    case 'x':
    case 'c':
    case '0':
        return prov_schema_regex_byte(ps, c);

    default:
        break;
    }

    /* a character that only might have been special stands for itself */

    if (c > 0x20 && c < 0x7f
        && !(c >= '0' && c <= '9')
        && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
    {
        prov_schema_regex_copy(ps, ps->p, 2);
        ps->p += 2;
        return NGX_OK;
    }

    return prov_schema_regex_refuse(ps, "has an escape that ECMA-262 does "
                                    "not know");
}


/* \v, \xHH, \cX and \0, which PCRE2 takes for more, or for less */

static ngx_int_t
prov_schema_regex_byte(prov_schema_parser_t *ps, u_char c)
{
    u_char      n;
    size_t      left;
    ngx_uint_t  code;

    left = ps->last - ps->p - 2;
    code = 0;
    n = 0;

    switch (c) {

    case 'v':
        code = 0x0b;
        break;

    case 'x':
        n = 2;

        if (left < 2
            || prov_schema_regex_hex(ps, ps->p + 2, 2, &code) != NGX_OK)
        {
            return prov_schema_regex_refuse(ps, "has a \"\\x\" without two "
                                            "hexadecimal digits");
        }

        break;

    case 'c':
        n = 1;
        code = left ? (ps->p[2] | 0x20) : 0;

        if (code < 'a' || code > 'z') {
            return prov_schema_regex_refuse(ps, "has a \"\\c\" without a "
                                            "letter");
        }

        code &= 0x1f;
        break;

    default: /* '0' */
        if (left && ps->p[2] >= '0' && ps->p[2] <= '9') {
            return prov_schema_regex_refuse(ps, "has an escape that ECMA-262 "
                                            "does not know");
        }

        break;
    }

    prov_schema_regex_code(ps, code);
    ps->p += 2 + n;

    return NGX_OK;
}


static ngx_int_t
prov_schema_regex_reference(prov_schema_parser_t *ps)
{
    u_char  *p, *start;

    start = ps->p;
    p = ps->p + 2;

    if (ps->p[1] == 'k') {

        if (p == ps->last || *p != '<') {
            return prov_schema_regex_refuse(ps, "has a \"\\k\" without the "
                                            "name of a group in \"<>\"");
        }

        while (p < ps->last && *p != '>') {
            p++;
        }

        if (p == ps->last) {
            return prov_schema_regex_refuse(ps, "has a \"\\k<\" without its "
                                            "\">\"");
        }

        p++;
        prov_schema_regex_copy(ps, start, p - start);

    } else {

        while (p < ps->last && *p >= '0' && *p <= '9') {
            p++;
        }

        /* never octal */
        prov_schema_regex_emit(ps, "\\g{");
        prov_schema_regex_copy(ps, start + 1, p - start - 1);
        prov_schema_regex_emit(ps, "}");
    }

    ps->p = p;
    ps->regex->backrefs = 1;
    ps->atom = PROV_SCHEMA_ATOM_GROUP;

    return NGX_OK;
}


static ngx_int_t
prov_schema_regex_property(prov_schema_parser_t *ps)
{
    size_t       len;
    u_char      *p, *name;
    ngx_uint_t   i;

    p = ps->p + 2;

    if (p == ps->last || *p != '{') {
        return prov_schema_regex_refuse(ps, "has a \"\\p\" without a property "
                                        "in \"{}\"");
    }

    for (name = ++p; p < ps->last && *p != '}'; p++) {

        if (*p != '_' && *p != '=' && !(*p >= '0' && *p <= '9')
            && !((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z'))
        {
            break;
        }

        if (*p == '=' && (ngx_strncmp(name, "gc=", 3) == 0
                          || ngx_strncmp(name, "General_Category=", 17) == 0))
        {
            name = p + 1;
        }
    }

    if (p == ps->last || *p != '}' || p == name) {
        return prov_schema_regex_refuse(ps, "has a \"\\p{\" without a property "
                                        "and \"}\"");
    }

    len = p - name;

    prov_schema_regex_copy(ps, ps->p, 2);
    prov_schema_regex_emit(ps, "{");

    for (i = 0; prov_schema_categories[i].name; i++) {

        if (ngx_strlen(prov_schema_categories[i].name) == len
            && ngx_strncmp(prov_schema_categories[i].name, name, len) == 0)
        {
            name = (u_char *) prov_schema_categories[i].category;
            len = ngx_strlen(name);
            break;
        }
    }

    prov_schema_regex_copy(ps, name, len);
    prov_schema_regex_emit(ps, "}");

    ps->p = p + 1;

    return NGX_OK;
}


/* \uXXXX, a surrogate pair of them, \u{X…} */

static ngx_int_t
prov_schema_regex_unicode(prov_schema_parser_t *ps)
{
    size_t       left;
    u_char      *p;
    ngx_uint_t   code, low;

    p = ps->p + 2;
    left = ps->last - p;

    if (left && *p == '{') {

        for (p++; p < ps->last && *p != '}'; p++) { /* void */ }

        left = p - (ps->p + 3);

        if (p == ps->last || left == 0 || left > 6
            || prov_schema_regex_hex(ps, ps->p + 3, left, &code) != NGX_OK
            || code > 0x10ffff)
        {
            return prov_schema_regex_refuse(ps, "has a \"\\u{\" without a "
                                            "code point in hexadecimal and "
                                            "\"}\"");
        }

        p++;

    } else if (left >= 4
               && prov_schema_regex_hex(ps, p, 4, &code) == NGX_OK)
    {
        p += 4;

        if (code >= 0xd800 && code < 0xdc00
            && left >= 10 && p[0] == '\\' && p[1] == 'u'
            && prov_schema_regex_hex(ps, p + 2, 4, &low) == NGX_OK
            && low >= 0xdc00 && low < 0xe000)
        {
            code = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
            p += 6;
        }

    } else {
        return prov_schema_regex_refuse(ps, "has a \"\\u\" without four "
                                        "hexadecimal digits");
    }

    if (code >= 0xd800 && code < 0xe000) {
        return prov_schema_regex_refuse(ps, "has half a surrogate pair, which "
                                        "no text contains");
    }

    prov_schema_regex_code(ps, code);
    ps->p = p;

    return NGX_OK;
}


static ngx_int_t
prov_schema_regex_hex(prov_schema_parser_t *ps, u_char *p, size_t n,
    ngx_uint_t *code)
{
    u_char  c;

    *code = 0;

    while (n--) {
        c = *p++;

        if (c >= '0' && c <= '9') {
            *code = *code * 16 + (c - '0');
            continue;
        }

        c |= 0x20;

        if (c < 'a' || c > 'f') {
            return NGX_DECLINED;
        }

        *code = *code * 16 + (c - 'a' + 10);
    }

    return NGX_OK;
}


static void
prov_schema_regex_code(prov_schema_parser_t *ps, ngx_uint_t code)
{
    u_char  *p, text[sizeof("\\x{10ffff}")];

    p = ngx_sprintf(text, "\\x{%xi}", code);

    prov_schema_regex_copy(ps, text, p - text);
}


void
prov_schema_regex_emit(prov_schema_parser_t *ps, const char *text)
{
    prov_schema_regex_copy(ps, (u_char *) text, ngx_strlen(text));
}


void
prov_schema_regex_copy(prov_schema_parser_t *ps, u_char *data, size_t len)
{
    if (ps->out) {
        ngx_memcpy(ps->out + ps->len, data, len);
    }

    ps->len += len;
}


ngx_int_t
prov_schema_regex_refuse(prov_schema_parser_t *ps, const char *err)
{
    ps->regex->err = err;
    ps->regex->at = ps->p - ps->source;

    return NGX_DECLINED;
}
