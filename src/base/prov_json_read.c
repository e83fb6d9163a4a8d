/*
 * One pass over an ordinary text, for prov_json_read.h.  It never says that a
 * text is wrong, only that it is not sure: what is wrong, strings with
 * escapes, numbers with a fraction, long integers, and texts of very many
 * values are then read by jansson, and its tree is made values of.
 */

#include "base/prov_json_read.h"
#include "base/prov_json_scan.h"
#include "base/prov_json_write.h"


/* digits of an integer that has 64 bits, whatever they are */
#define PROV_JSON_SURE  18


typedef struct {
    u_char             *p;
    u_char             *last;
    prov_json_value_t  *next;      /* of text->values */
    prov_json_value_t  *end;
    ngx_uint_t          depth;     /* that may be nested in what is read */
} prov_json_reader_t;


static ngx_int_t prov_json_read_value(prov_json_reader_t *r,
    prov_json_value_t *value);
static ngx_int_t prov_json_read_object(prov_json_reader_t *r,
    prov_json_value_t *value);
static ngx_int_t prov_json_read_array(prov_json_reader_t *r,
    prov_json_value_t *value);
static prov_json_value_t *prov_json_read_part(prov_json_reader_t *r);
static ngx_int_t prov_json_read_string(prov_json_reader_t *r,
    ngx_str_t *text);
static ngx_int_t prov_json_read_integer(prov_json_reader_t *r,
    prov_json_value_t *value);
static ngx_int_t prov_json_read_word(prov_json_reader_t *r,
    prov_json_value_t *value, const char *word, size_t len, json_type type);
static ngx_uint_t prov_json_read_twice(prov_json_value_t *value,
    prov_json_value_t *member);
static u_char prov_json_read_next(prov_json_reader_t *r);
static ngx_int_t prov_json_read_tree(prov_json_text_t *text,
    prov_json_error_t *err);
static size_t prov_json_read_count(json_t *json);
static prov_json_value_t *prov_json_read_copy(prov_json_value_t *value,
    json_t *json);


ngx_int_t
prov_json_read(prov_json_text_t *text, u_char *data, size_t len,
    ngx_uint_t depth, prov_json_error_t *err)
{
    prov_json_reader_t  r;

    text->root = text->values;
    text->json = NULL;

    r.p = data;
    r.last = data + len;
    r.next = text->values;
    r.end = text->values + PROV_JSON_VALUES;
    r.depth = depth;

    if (prov_json_read_value(&r, prov_json_read_part(&r)) == NGX_OK
        && prov_json_read_next(&r) == '\0' && r.p == r.last)
    {
        return NGX_OK;
    }

    text->json = prov_json_parse(data, len, depth, err);

    return text->json ? prov_json_read_tree(text, err) : NGX_ERROR;
}


void
prov_json_read_end(prov_json_text_t *text)
{
    if (text->json) {
        json_decref(text->json);
        ngx_free(text->root);
        text->json = NULL;
    }
}


prov_json_value_t *
prov_json_get(prov_json_value_t *value, const char *name)
{
    size_t              len;
    prov_json_value_t  *member;

    if (!prov_json_is_object(value)) {
        return NULL;
    }

    len = ngx_strlen(name);

    prov_json_each(value, member) {
        if (member->name.len == len
            && ngx_memcmp(member->name.data, name, len) == 0)
        {
            return member;
        }
    }

    return NULL;
}


/* NGX_DECLINED, here and below: not sure. */

static ngx_int_t
prov_json_read_value(prov_json_reader_t *r, prov_json_value_t *value)
{
    value->parts = 0;

    switch (prov_json_read_next(r)) {

    case '"':
        value->type = JSON_STRING;
        return prov_json_read_string(r, &value->text);

    case '{':
        return prov_json_read_object(r, value);

    case '[':
        return prov_json_read_array(r, value);

    case 't':
        return prov_json_read_word(r, value, "true", 4, JSON_TRUE);

    case 'f':
        return prov_json_read_word(r, value, "false", 5, JSON_FALSE);

    case 'n':
        return prov_json_read_word(r, value, "null", 4, JSON_NULL);

    default:
        return prov_json_read_integer(r, value);
    }
}


static ngx_int_t
prov_json_read_object(prov_json_reader_t *r, prov_json_value_t *value)
{
    u_char              c;
    prov_json_value_t  *member;

    if (r->depth == 0) {
        return NGX_DECLINED;
    }

    value->type = JSON_OBJECT;
    r->depth--;
    r->p++;

    c = prov_json_read_next(r);

    while (c != '}') {

        member = prov_json_read_part(r);

        if (c != '"' || member == NULL
            || prov_json_read_string(r, &member->name) != NGX_OK
            || prov_json_read_twice(value, member)
            || prov_json_read_next(r) != ':')
        {
            return NGX_DECLINED;
        }

        r->p++;

        if (prov_json_read_value(r, member) != NGX_OK) {
            return NGX_DECLINED;
        }

        value->parts += 1 + member->parts;

        c = prov_json_read_next(r);

        if (c == ',') {
            r->p++;
            c = prov_json_read_next(r);

            if (c != '"') {
                return NGX_DECLINED;
            }

        } else if (c != '}') {
            return NGX_DECLINED;
        }
    }

    r->depth++;
    r->p++;

    return NGX_OK;
}


static ngx_int_t
prov_json_read_array(prov_json_reader_t *r, prov_json_value_t *value)
{
    u_char              c;
    prov_json_value_t  *part;

    if (r->depth == 0) {
        return NGX_DECLINED;
    }

    value->type = JSON_ARRAY;
    r->depth--;
    r->p++;

    c = prov_json_read_next(r);

    while (c != ']') {

        part = prov_json_read_part(r);

        if (part == NULL || prov_json_read_value(r, part) != NGX_OK) {
            return NGX_DECLINED;
        }

        value->parts += 1 + part->parts;

        c = prov_json_read_next(r);

        if (c == ',') {
            r->p++;
            c = prov_json_read_next(r);

            if (c == ']') {
                return NGX_DECLINED;
            }

        } else if (c != ']') {
            return NGX_DECLINED;
        }
    }

    r->depth++;
    r->p++;

    return NGX_OK;
}


static prov_json_value_t *
prov_json_read_part(prov_json_reader_t *r)
{
    return (r->next < r->end) ? r->next++ : NULL;
}


static ngx_int_t
prov_json_read_string(prov_json_reader_t *r, ngx_str_t *text)
{
    size_t   n;
    u_char  *p;

    p = r->p + 1;
    text->data = p;

    while (p < r->last) {

        if (*p == '"') {
            text->len = p - text->data;
            r->p = p + 1;
            return NGX_OK;
        }

        if (*p < ' ' || *p == '\\') {
            return NGX_DECLINED;
        }

        if (*p < 0x80) {
            p++;
            continue;
        }

        n = prov_json_utf8(p, r->last);

        if (n == 0) {
            return NGX_DECLINED;
        }

        p += n;
    }

    return NGX_DECLINED;
}


static ngx_int_t
prov_json_read_integer(prov_json_reader_t *r, prov_json_value_t *value)
{
    u_char     *p, *digits;
    int64_t     n;
    ngx_uint_t  minus;

    p = r->p;
    minus = (p < r->last && *p == '-');
    p += minus;
    digits = p;

    for (n = 0; p < r->last && *p >= '0' && *p <= '9'; p++) {

        if (p - digits == PROV_JSON_SURE) {
            return NGX_DECLINED;
        }

        n = n * 10 + (*p - '0');
    }

    if (p == digits || (*digits == '0' && p - digits > 1)
        || (p < r->last && (*p == '.' || (*p | 0x20) == 'e')))
    {
        return NGX_DECLINED;
    }

    value->type = JSON_INTEGER;
    value->number = (double) (minus ? -n : n);
    r->p = p;

    return NGX_OK;
}


static ngx_int_t
prov_json_read_word(prov_json_reader_t *r, prov_json_value_t *value,
    const char *word, size_t len, json_type type)
{
    if ((size_t) (r->last - r->p) < len || ngx_memcmp(r->p, word, len) != 0) {
        return NGX_DECLINED;
    }

    value->type = type;
    r->p += len;

    return NGX_OK;
}


/* Whether one of the members before has the name.  There are few. */

static ngx_uint_t
prov_json_read_twice(prov_json_value_t *value, prov_json_value_t *member)
{
    prov_json_value_t  *other;

    prov_json_each(value, other) {
        if (other->name.len == member->name.len
            && ngx_memcmp(other->name.data, member->name.data,
                          member->name.len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* What comes after white space; '\0': the end, or a NUL. */

static u_char
prov_json_read_next(prov_json_reader_t *r)
{
    while (r->p < r->last
           && (*r->p == ' ' || *r->p == '\t' || *r->p == '\r'
               || *r->p == '\n'))
    {
        r->p++;
    }

    return (r->p < r->last) ? *r->p : '\0';
}


static ngx_int_t
prov_json_read_tree(prov_json_text_t *text, prov_json_error_t *err)
{
    size_t  n;

    n = prov_json_read_count(text->json);

    text->root = ngx_alloc(n * sizeof(prov_json_value_t), ngx_cycle->log);

    if (text->root == NULL) {
        json_decref(text->json);
        text->json = prov_json_fail(err, PROV_JSON_MEMORY, "no memory");
        return NGX_ERROR;
    }

    (void) prov_json_read_copy(text->root, text->json);

    return NGX_OK;
}


/* the values of a tree, which is as deep as prov_json_parse() has allowed */

static size_t
prov_json_read_count(json_t *json)
{
    size_t       i, n;
    json_t      *part;
    const char  *name;

    n = 1;

    json_object_foreach(json, name, part) {
        n += prov_json_read_count(part);
    }

    json_array_foreach(json, i, part) {
        n += prov_json_read_count(part);
    }

    return n;
}


/* Returns what comes after value and its parts. */

static prov_json_value_t *
prov_json_read_copy(prov_json_value_t *value, json_t *json)
{
    size_t              i, len;
    json_t             *part;
    const char         *name;
    prov_json_value_t  *next;

    value->type = json_typeof(json);
    value->number = json_number_value(json);
    value->text.data = (u_char *) json_string_value(json);
    value->text.len = json_string_length(json);

    next = value + 1;

    json_object_keylen_foreach(json, name, len, part) {
        next->name.data = (u_char *) name;
        next->name.len = len;
        next = prov_json_read_copy(next, part);
    }

    json_array_foreach(json, i, part) {
        next = prov_json_read_copy(next, part);
    }

    value->parts = next - value - 1;

    return next;
}
