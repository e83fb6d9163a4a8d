/*
 * Reading JSON without memory (base/prov_json_memory.h): each allocation that
 * fails is told as what it is, good text is never taken for bad, and what
 * others do with jansson is left alone.  Prints TAP.
 */

#include "base/prov_json.h"
#include "base/prov_json_memory.h"
#include "tap.h"

#include <pthread.h>


#define A10   "aaaaaaaaaa"
#define A50   A10 A10 A10 A10 A10
#define A250  A50 A50 A50 A50 A50
#define D10   "1234567890"
#define D50   D10 D10 D10 D10 D10


typedef json_t *(*memory_parse_pt)(u_char *data, size_t len,
    ngx_uint_t depth, prov_json_error_t *err);


/* the n-th allocation of this thread fails, or it and all that follow */

static __thread ngx_uint_t  memory_fail_at;
static __thread ngx_uint_t  memory_for_good;
static __thread ngx_uint_t  memory_failed;


static void *
memory_malloc(size_t size)
{
    if (memory_fail_at && (memory_fail_at == 1 || --memory_fail_at == 0)) {
        memory_fail_at = memory_for_good ? 1 : 0;
        memory_failed = 1;
        return NULL;
    }

    return malloc(size);
}


static void
memory_fail(ngx_uint_t n, ngx_uint_t for_good)
{
    memory_fail_at = n;
    memory_for_good = for_good;
    memory_failed = 0;
}


/*
 * Reads the text with the first allocation failing, the second, and so on
 * until it is read with all of them.  Returns how many failed, or 0 when one
 * of them led to anything but "no memory".  Where the text is bad, what is
 * wrong with it may be found before memory lacks.
 */

static ngx_uint_t
memory_read(memory_parse_pt parse, const char *text, ngx_uint_t for_good)
{
    json_t             *json, *expected;
    ngx_uint_t          n, wrong;
    prov_json_error_t   err, bad;

    bad.code = 0;
    expected = parse((u_char *) text, strlen(text), 32, &bad);

    for (n = 1; n < 10000; n++) {

        memory_fail(n, for_good);
        err.code = 0;
        json = parse((u_char *) text, strlen(text), 32, &err);
        memory_fail(0, 0);

        if (json) {
            wrong = !json_equal(json, expected);
            json_decref(json);

            if (wrong) {
                printf("# allocation %u: read as something else\n",
                       (unsigned) n);
                n = 1;
            }

            break;
        }

        if (expected == NULL && err.code == bad.code) {
            break;
        }

        if (err.code != PROV_JSON_MEMORY) {
            printf("# allocation %u: %s\n", (unsigned) n, err.text);
            n = 1;
            break;
        }
    }

    json_decref(expected);

    return n - 1;
}


static void
memory_texts(void)
{
    ngx_uint_t  i;
    char        name[128];

    static struct {
        const char  *name;
        const char  *text;
    } texts[] = {
        { "a word", "true" },
        { "a number", "1" },
        { "a number as long as the parser's first buffer",
          "[123456789012345]" },
        { "long numbers",
          "[0." D50 "," D50 "e-10,-0." D50 D50 D50 D50 D50 "]" },
        { "a string", "\"a\"" },
        { "a string as long as the parser's first buffer",
          "\"aaaaaaaaaaaaaa\"" },
        { "long strings", "[\"" A50 "\",\"" A250 A250 "\",\"" A250 A250 A250
          A250 A250 "\"]" },
        { "escapes", "\"\\\"\\\\\\u00e9\\ud83d\\ude00" A250 A250 "\\\"\"" },
        { "an object with many members",
          "{\"a\":1,\"b\":[2,3,4,5,6,7,8,9,10],\"c\":{},\"d\":null,"
          "\"e\":\"" A50 "\",\"f\":false,\"g\":1.5,\"h\":[[]],\"i\":0,"
          "\"j\":0,\"k\":0}" },
        { "a long name", "{\"" A250 A250 A250 "\":{\"" A50 "\":[]}}" },
        { "bad: a name twice", "{\"" A50 "\":1,\"" A50 "\":2}" },
        { "bad: a long word", "[\"" A50 "\"," A50 A50 A50 A50 "]" },
        { "bad: a word too long to be read", "[" A250 A250 A250 "]" },
        { "bad: a control character", "[\"" A250 A250 A250 "\n\"]" },
        { "bad: no end", "[\"" A250 A250 A250 "" },
        { "bad: something after a number", "[" D50 "aaa]" },
        { NULL, NULL }
    };

    for (i = 0; texts[i].name; i++) {
        snprintf(name, sizeof(name), "%s, one allocation failing",
                 texts[i].name);
        unit_result(memory_read(prov_json_parse, texts[i].text, 0) > 0
                    || strncmp(texts[i].name, "bad", 3) == 0, name);

        snprintf(name, sizeof(name), "%s, all that follow failing, too",
                 texts[i].name);
        unit_result(memory_read(prov_json_parse, texts[i].text, 1) > 0
                    || strncmp(texts[i].name, "bad", 3) == 0, name);
    }
}


/* the longest numbers, and integers that are none for jansson */

static void
memory_written(void)
{
    char        text[1513];
    ngx_uint_t  digits, wrong;

    wrong = 0;

    for (digits = 1; digits < sizeof(text); digits += (digits < 99) ? 1 : 53) {
        memset(text, '7', digits);
        text[digits] = '\0';

        wrong += (memory_read(prov_json_parse_written, text, 0) == 0);
        wrong += (memory_read(prov_json_parse_written, text, 1) == 0);
    }

    unit_result(wrong == 0, "numbers of any length that PostgreSQL writes");
}


/* the sentences that are ours, where jansson has its own */

static void
memory_bad_texts(void)
{
    char                text[512];
    prov_json_error_t   err;

    strcpy(text, "{\"a\":\n \"b\tc\"}");
    (void) prov_json_parse((u_char *) text, strlen(text), 32, &err);

    snprintf(text, sizeof(text), "%u:%u:%u %s", (unsigned) err.code,
             (unsigned) err.line, (unsigned) err.column, (char *) err.text);
    unit_is(text, "2:2:3 a control character in a string is not escaped",
            "a control character is told where it is");

    memset(text, 'n', sizeof(text));
    (void) prov_json_parse((u_char *) text, 257, 32, &err);

    snprintf(text, sizeof(text), "%u:%u:%u %s", (unsigned) err.code,
             (unsigned) err.line, (unsigned) err.column, (char *) err.text);
    unit_is(text, "2:1:257 invalid token", "a long word is no token");
}


/* a thread that always has memory, beside one that sometimes has not */

static void *
memory_thread(void *data)
{
    json_t             *json;
    ngx_uint_t          i, *wrong = data;
    prov_json_error_t   err;

    static const char  text[] = "{\"a\":[\"" A250 "\",1,2,3]}";

    for (i = 0; i < 2000; i++) {
        json = prov_json_parse((u_char *) text, sizeof(text) - 1, 32, &err);

        *wrong += (json == NULL);
        json_decref(json);
    }

    return NULL;
}


static void
memory_threads(void)
{
    pthread_t   thread;
    ngx_uint_t  i, told, wrong;

    wrong = 0;
    told = 1;

    if (pthread_create(&thread, NULL, memory_thread, &wrong) != 0) {
        unit_result(0, "a thread");
        return;
    }

    for (i = 0; i < 100; i++) {
        told = told && memory_read(prov_json_parse,
                                   "{\"a\":[\"" A250 "\",1,2,3]}", 0) > 5;
    }

    pthread_join(thread, NULL);

    unit_result(told, "a lack of memory is told in the thread that has it");
    unit_result(wrong == 0, "and in no other");
}


static ngx_uint_t
memory_is_hooked(void)
{
    json_free_t    free_fn;
    json_malloc_t  malloc_fn;

    json_get_alloc_funcs(&malloc_fn, &free_fn);

    return malloc_fn != memory_malloc || free_fn != free;
}


int
main(void)
{
    json_t      *before, *meanwhile;
    ngx_pool_t  *first, *second;

    json_set_alloc_funcs(memory_malloc, free);

    before = json_pack("{s[i,s]}", "a", 1, "b");

    first = ngx_create_pool(4096, ngx_shim_log());

    ngx_shim_fail_at(1);
    unit_result(prov_json_memory_init(first) == NGX_ERROR
                && !memory_is_hooked(),
                "without memory for it nothing is begun");
    ngx_shim_fail_at(0);

    unit_result(prov_json_memory_init(first) == NGX_OK && memory_is_hooked(),
                "jansson allocates through us");

    memory_texts();
    memory_written();
    memory_bad_texts();
    memory_threads();

    /* what others do */

    memory_fail(1, 0);
    unit_result(json_string("a") == NULL && memory_failed,
                "who allocates beside us is told of a lack as ever");

    meanwhile = json_pack("{s[i,s]}", "a", 1, "b");
    unit_result(meanwhile && json_equal(before, meanwhile),
                "and has all the memory there is then");

    json_decref(before);

    /* a reload: the new configuration is read before the old one goes */

    second = ngx_create_pool(4096, ngx_shim_log());
    (void) prov_json_memory_init(second);
    ngx_destroy_pool(first);
    unit_result(memory_is_hooked()
                && memory_read(prov_json_parse, "[\"" A250 "\"]", 0) > 3,
                "a reload leaves it as it is");

    ngx_destroy_pool(second);
    unit_result(!memory_is_hooked(), "the last configuration takes it back");

    json_decref(meanwhile);

    return unit_end();
}
