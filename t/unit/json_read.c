/*
 * Reading small texts without a tree (base/prov_json_read.h): what it makes
 * of a text is what jansson makes of it, and it takes none that jansson does
 * not take; also of texts that others were changed into at random.  Prints
 * TAP.
 */

#include "base/prov_json_memory.h"
#include "base/prov_json_read.h"
#include "tap.h"

#include <stdlib.h>


#define DEPTH      32
#define SIZE       8192
#define MUTATIONS  200000


/* the text has to be made values of by: nobody else, jansson, or nobody */

typedef enum {
    ALONE = 0,
    TREE,
    REFUSED
} read_by_e;


static ngx_uint_t
same_text(ngx_str_t *text, const char *data, size_t len)
{
    return text->len == len && ngx_memcmp(text->data, data, len) == 0;
}


/* Compares a value with jansson's; returns what follows it, or NULL. */

static prov_json_value_t *
same_value(prov_json_value_t *value, json_t *json)
{
    size_t              i, len;
    json_t             *part;
    const char         *name;
    prov_json_value_t  *next;

    if (value->type != json_typeof(json)
        || (json_is_number(json) && value->number != json_number_value(json))
        || (json_is_string(json)
            && !same_text(&value->text, json_string_value(json),
                          json_string_length(json))))
    {
        return NULL;
    }

    next = value + 1;

    json_object_keylen_foreach(json, name, len, part) {

        /* in the order of the text, and found by its name */

        if (!same_text(&next->name, name, len)
            || prov_json_get(value, name) != next)
        {
            return NULL;
        }

        next = same_value(next, part);

        if (next == NULL) {
            return NULL;
        }
    }

    json_array_foreach(json, i, part) {
        next = same_value(next, part);

        if (next == NULL) {
            return NULL;
        }
    }

    return (next == value + 1 + value->parts) ? next : NULL;
}


/* Returns who read it, or -1 where the two do not agree. */

static int
read_both(const void *data, size_t len)
{
    int                 by;
    u_char             *copy;
    json_t             *json;
    prov_json_text_t    text;
    prov_json_error_t   err, other;

    /* of its own size, for a sanitizer to see what reads beyond */

    copy = malloc(len ? len : 1);
    memcpy(copy, data, len);

    json = prov_json_parse(copy, len, DEPTH, &other);

    if (prov_json_read(&text, copy, len, DEPTH, &err) != NGX_OK) {
        by = (json == NULL && err.code == other.code
              && err.column == other.column) ? REFUSED : -1;

    } else {
        by = text.json ? TREE : ALONE;

        if (json == NULL || same_value(text.root, json) == NULL) {
            by = -1;
        }

        prov_json_read_end(&text);
    }

    json_decref(json);
    free(copy);

    return by;
}


static void
read_texts(void)
{
    ngx_uint_t  i;
    char        name[256];

    static struct {
        read_by_e    by;
        const char  *text;
    } texts[] = {
        { ALONE, "{}" },
        { ALONE, "[]" },
        { ALONE, " \t\r\n{ \"a\" : [ ] , \"b\" : { } } \t\r\n" },
        { ALONE, "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"JWT\"}" },
        { ALONE, "{\"aud\":[\"a\",\"b\"],\"exp\":1900000000,\"x\":{\"y\":"
                 "{\"z\":[true,false,null,{}]}},\"sub\":\"J\xc3\xb6rg\"}" },
        { ALONE, "{\"a\":{\"a\":1},\"b\":{\"a\":2}}" },
        { ALONE, "{\"\":1,\"a\":2,\"aa\":3,\"A\":4}" },
        { ALONE, "\"\"" },
        { ALONE, "\"\x7f \xc2\x80 \xe2\x82\xac \xf0\x9f\x98\x80\"" },
        { ALONE, "true" },
        { ALONE, "0" },
        { ALONE, "-0" },
        { ALONE, "[0,-1,10,999999999999999999,-999999999999999999]" },

        { TREE, "{\"iss\":\"https:\\/\\/issuer\",\"a\":[1,{\"b\":2}]}" },
        { TREE, "{\"\\u0061\":1,\"b\":\"\\ud83d\\ude00\"}" },
        { TREE, "[1.5,1e3,-2E-3,0.0]" },
        { TREE, "1000000000000000000" },
        { TREE, "[9223372036854775807,-9223372036854775808]" },

        { REFUSED, "" },
        { REFUSED, " " },
        { REFUSED, "{" },
        { REFUSED, "}" },
        { REFUSED, "{\"a\"" },
        { REFUSED, "{\"a\":" },
        { REFUSED, "{\"a\":1" },
        { REFUSED, "{\"a\":1," },
        { REFUSED, "{\"a\":1,}" },
        { REFUSED, "{\"a\":1]" },
        { REFUSED, "{,}" },
        { REFUSED, "{\"a\" 1}" },
        { REFUSED, "{\"a\",1}" },
        { REFUSED, "{a:1}" },
        { REFUSED, "{1:1}" },
        { REFUSED, "{'a':1}" },
        { REFUSED, "{\"a\":1 \"b\":2}" },
        { REFUSED, "[" },
        { REFUSED, "[1" },
        { REFUSED, "[1,]" },
        { REFUSED, "[,1]" },
        { REFUSED, "[1 2]" },
        { REFUSED, "[1}" },
        { REFUSED, "{}{}" },
        { REFUSED, "{},"},
        { REFUSED, "1 1" },
        { REFUSED, "\"" },
        { REFUSED, "\"a" },
        { REFUSED, "\"a\"b" },
        { REFUSED, "\"a\nb\"" },
        { REFUSED, "\"\\u0000\"" },
        { REFUSED, "\"\\ud83d\"" },
        { REFUSED, "\"\\x\"" },
        { REFUSED, "\"\xff\"" },
        { REFUSED, "\"\xc3\"" },
        { REFUSED, "\"\xc0\x80\"" },
        { REFUSED, "\"\xed\xa0\x80\"" },
        { REFUSED, "{\"\xe2\x82\":1}" },
        { REFUSED, "00" },
        { REFUSED, "01" },
        { REFUSED, "-" },
        { REFUSED, "-a" },
        { REFUSED, "-01" },
        { REFUSED, "+1" },
        { REFUSED, ".1" },
        { REFUSED, "1." },
        { REFUSED, "1e" },
        { REFUSED, "0x1" },
        { REFUSED, "1e999" },
        { REFUSED, "18446744073709551616" },
        { REFUSED, "tru" },
        { REFUSED, "truee" },
        { REFUSED, "nul" },
        { REFUSED, "False" },
        { REFUSED, "NaN" },
        { REFUSED, "{\"a\":1,\"a\":1}" },
        { REFUSED, "{\"a\":1,\"b\":{},\"a\":1}" },
        { REFUSED, "{\"a\":1,\"\\u0061\":1}" },
        { REFUSED, "{\"\":1,\"\":1}" },
        { REFUSED, "[{\"a\":{\"b\":1,\"c\":[],\"b\":2}}]" },
        { REFUSED, "\xef\xbb\xbf{}" },
        { REFUSED, "// {}" }
    };

    static const char  *by[] = { "without a tree", "by jansson", "by nobody" };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        snprintf(name, sizeof(name), "%s is read: %s", by[texts[i].by],
                 texts[i].text);
        unit_result(read_both(texts[i].text, strlen(texts[i].text))
                    == (int) texts[i].by,
                    strpbrk(name, "\r\n") ? "one with white space" : name);
    }

    unit_result(read_both("{}", 3) == REFUSED, "a NUL behind a text");
    unit_result(read_both("{\"a\0b\":1}", 9) == REFUSED, "a NUL in a name");
}


/* "[[[1]]]", or "[1,1,1]" */

static int
read_nested(size_t n)
{
    char    text[SIZE];
    size_t  i;

    for (i = 0; i < n; i++) {
        text[i] = '[';
        text[2 * n - i] = ']';
    }

    text[n] = '1';

    return read_both(text, 2 * n + 1);
}


static int
read_many(size_t n)
{
    char    text[SIZE];
    size_t  i;

    for (i = 0; i < n; i++) {
        text[2 * i] = i ? ',' : '[';
        text[2 * i + 1] = '1';
    }

    text[2 * n] = ']';

    return read_both(text, 2 * n + 1);
}


static void
read_bounds(void)
{
    unit_result(read_nested(DEPTH) == ALONE, "as deep as may be");
    unit_result(read_nested(DEPTH + 1) == REFUSED, "deeper");

    unit_result(read_many(PROV_JSON_VALUES - 1) == ALONE,
                "as many values as need no memory");
    unit_result(read_many(PROV_JSON_VALUES) == TREE, "one more");
    unit_result(read_many(SIZE / 2 - 1) == TREE, "many more");
}


static void
read_members(void)
{
    u_char              *data;
    ngx_uint_t           n;
    prov_json_text_t     text;
    prov_json_error_t    err;
    prov_json_value_t   *part, *value;

    data = (u_char *) "{\"a\":{\"b\":[1,[2,3],{\"c\":4}],\"e\":5},\"b\":6}";

    (void) prov_json_read(&text, data, strlen((char *) data), DEPTH, &err);

    value = prov_json_get(text.root, "b");
    unit_result(value && value->number == 6, "a member is that of the object");

    value = prov_json_get(prov_json_get(text.root, "a"), "b");
    unit_result(prov_json_is_array(value), "not that of another one");

    n = 0;

    prov_json_each(value, part) {
        n++;
    }

    unit_result(n == 3 && value->parts == 6, "an array has its own parts");

    unit_result(prov_json_get(text.root, "c") == NULL
                && prov_json_get(text.root, "") == NULL
                && prov_json_get(value, "c") == NULL
                && prov_json_get(NULL, "c") == NULL,
                "what is not there, is not found");

    prov_json_read_end(&text);
}


/* jansson's own allocations are t/unit/json_memory.c's */

static void
read_memory(void)
{
    u_char             *data;
    ngx_int_t           rc;
    prov_json_text_t    text;
    prov_json_error_t   err;

    data = (u_char *) "[1.5]";

    ngx_shim_fail_at(1);
    rc = prov_json_read(&text, data, 5, DEPTH, &err);
    ngx_shim_fail_at(0);

    unit_result(rc == NGX_ERROR && err.code == PROV_JSON_MEMORY,
                "no memory for values is told as that");

    ngx_shim_fail_at(1);
    rc = prov_json_read(&text, (u_char *) "[1]", 3, DEPTH, &err);
    ngx_shim_fail_at(0);

    unit_result(rc == NGX_OK, "what is ordinary needs none");
}


static void
read_mutations(void)
{
    int         by;
    char        text[SIZE], name[128];
    size_t      i, n, at, len;
    ngx_uint_t  seen[REFUSED + 1];

    static const char  *seeds[] = {
        "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"JWT\"}",
        "{\"aud\":[\"a\",\"b\"],\"exp\":1900000000,\"x\":{\"y\":{\"z\":"
        "[true,false,null,{}]}},\"sub\":\"J\xc3\xb6rg\"}",
        "[1.5,-10,0,\"\\u0061\\/\",{\"a\":{},\"b\":[[]],\"ab\":\"\"}]",
        "{\"a\":1,\"b\":2,\"c\":{\"a\":3,\"b\":4},\"d\":9223372036854775807}"
    };

    static const char  *pieces[] = {
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "0", "1", "9", "-",
        ".", "e", "a", "b", " ", "\n", "true", "null", "{}", "[]", "\"a\":1,",
        "\"\"", "00", "\xc3", "\xb6", "\xf0\x9f\x98\x80", "\x7f", "\x1f",
        "\xed\xa0\x80", "d800", "99999999999999999999"
    };

    memset(seen, 0, sizeof(seen));

    for (i = 0; i < MUTATIONS; i++) {
        n = unit_below(sizeof(seeds) / sizeof(seeds[0]));
        len = strlen(seeds[n]);
        memcpy(text, seeds[n], len);

        for (n = 1 + unit_below(4); n; n--) {
            const char  *piece;
            size_t       gone, add;

            piece = pieces[unit_below(sizeof(pieces) / sizeof(pieces[0]))];
            at = unit_below(len + 1);
            gone = unit_below(3);
            gone = (gone < len - at) ? gone : len - at;
            add = unit_below(3) ? strlen(piece) : 0;

            memmove(text + at + add, text + at + gone, len - at - gone);
            memcpy(text + at, piece, add);
            len = len - gone + add;
        }

        by = read_both(text, len);

        if (by < 0) {
            printf("# they do not agree: %.*s\n", (int) len, text);
            break;
        }

        seen[by]++;
    }

    unit_result(i == MUTATIONS, "nor is any other text read otherwise");

    snprintf(name, sizeof(name), "by nobody else %u, by jansson %u, refused "
             "%u", (unsigned) seen[ALONE], (unsigned) seen[TREE],
             (unsigned) seen[REFUSED]);
    printf("# %s\n", name);

    unit_result(seen[ALONE] > MUTATIONS / 100 && seen[TREE] > MUTATIONS / 100
                && seen[REFUSED] > MUTATIONS / 100, "and all of it was tried");
}


int
main(int argc, char **argv)
{
    ngx_pool_t  *pool;

    unit_seed(argc > 1 ? argv[1] : "1");

    pool = ngx_create_pool(4096, ngx_shim_log());
    (void) prov_json_memory_init(pool);

    read_texts();
    read_bounds();
    read_members();
    read_memory();
    read_mutations();

    ngx_destroy_pool(pool);

    return unit_end();
}
