/*
 * Formats and patterns, value by value: what the JSON-Schema-Test-Suite does
 * not try, where we are narrower than the RFCs on purpose, and how ECMA-262
 * comes out of the rewriting.  Prints TAP.
 */

#include "schema/prov_schema.h"
#include "ngx_shim.h"

#include <stdio.h>


typedef struct {
    const char  *keyword;    /* "format" or "pattern" */
    const char  *argument;
    const char  *value;
    ngx_uint_t   valid;
} formats_test_t;


#define X10    "xxxxxxxxxx"
#define X50    X10 X10 X10 X10 X10
#define X63    X50 X10 "xxx"


static formats_test_t  formats_tests[] = {

    { "format", "date", "0000-01-01", 0 },
    { "format", "date", "0001-01-01", 1 },
    { "format", "date", "9999-12-31", 1 },
    { "format", "date", "2025-00-10", 0 },
    { "format", "date", "1900-02-29", 0 },
    { "format", "date", "2000-02-29", 1 },
    { "format", "date", "2025/01/10", 0 },

    { "format", "date-time", "2025-01-10T00:00:00+15:59", 1 },
    { "format", "date-time", "2025-01-10T00:00:00+16:00", 0 },
    { "format", "date-time", "2025-01-10 00:00:00Z", 0 },
    { "format", "date-time", "2025-01-10T00:00:00.Z", 0 },
    { "format", "date-time", "2025-01-10T00:00:00", 0 },
    { "format", "date-time", "2025-01-10T", 0 },
    { "format", "date-time", "2025-01-10T00:00:00.000", 0 },
    { "format", "date-time",
      "2025-01-10T00:00:00.123456789012345678901234567890Z", 1 },
    { "format", "date-time",
      "2025-01-10T00:00:00.1234567890123456789012345678901Z", 0 },
    { "format", "date-time", "2016-12-31T18:59:60-05:00", 1 },
    { "format", "date-time", "2016-12-31T23:59:60-05:00", 0 },

    { "format", "time", "00:00:00+23:59", 1 },
    { "format", "time", "00:00:00+24:00", 0 },
    { "format", "time", "00:00:00", 0 },
    { "format", "time", "00:00:00+0100", 0 },

    { "format", "duration", "P99999999D", 1 },
    { "format", "duration", "P100000000D", 0 },
    { "format", "duration", "P1DT", 0 },
    { "format", "duration", "PT1H2M3", 0 },
    { "format", "duration", "P1W", 1 },
    { "format", "duration", "P1WT1H", 0 },
    { "format", "duration", "p1d", 0 },

    { "format", "hostname", "", 0 },
    { "format", "hostname", "a", 1 },
    { "format", "hostname", "example.com.", 0 },
    { "format", "hostname", "a..b", 0 },
    { "format", "hostname", ".a", 0 },
    { "format", "hostname", X63, 1 },
    { "format", "hostname", X63 "x", 0 },
    { "format", "hostname", X63 "." X63 "." X63 "." X50 X10 "x", 1 },
    { "format", "hostname", X63 "." X63 "." X63 "." X50 X10 "xx", 0 },
    { "format", "hostname", "b\xc3\xbc" "cher.example", 0 },

    { "format", "email", "a@b", 1 },
    { "format", "email", "@b", 0 },
    { "format", "email", "a@", 0 },
    { "format", "email", "a b@c", 0 },
    { "format", "email", "a@b@c", 0 },
    { "format", "email", "\"a@b\"@c", 1 },
    { "format", "email", "\"a\\\"b\"@c", 1 },
    { "format", "email", "\"a\"b\"@c", 0 },
    { "format", "email", "\"a\\\"@c", 0 },
    { "format", "email", "\"@c", 0 },
    { "format", "email", "\"~ \"@c", 1 },
    { "format", "email", "\"\x7f\"@c", 0 },
    { "format", "email", "\"a\tb\"@c", 0 },
    { "format", "email", "\"\xc3\xa9\"@c", 0 },
    { "format", "email", "\xc3\xa9@c", 0 },
    { "format", "email", "a\r\nBcc: b@c", 0 },
    { "format", "email", "Name <a@b.c>", 0 },
    { "format", "email", "a@[127.0.0.1]", 1 },
    { "format", "email", "a@[ipv6:::1]", 1 },
    { "format", "email", "a@[IPv6:127.0.0.1]", 0 },
    { "format", "email", "a@[127.0.0.1", 0 },
    { "format", "email", "a@[]", 0 },
    { "format", "email", "a@[", 0 },
    { "format", "email", X50 X10 "xxxx@b", 1 },
    { "format", "email", X50 X10 "xxxxx@b", 0 },
    { "format", "email", X63 "@" X63 "." X63 "." X50 X10 "xx", 1 },
    { "format", "email", X63 "@" X63 "." X63 "." X50 X10 "xxx", 0 },

    { "format", "ipv4", "255.255.255.255", 1 },
    { "format", "ipv4", "01.2.3.4", 0 },
    { "format", "ipv4", "1.2.3.4.", 0 },
    { "format", "ipv4", "1.2.3", 0 },
    { "format", "ipv4", "", 0 },
    { "format", "ipv6", "::", 1 },
    { "format", "ipv6", "1:2:3:4:5:6:7::", 1 },
    { "format", "ipv6", "1:2:3:4:5:6:7:8::", 0 },
    { "format", "ipv6", "1:2:3:4:5:6:1.2.3.4", 1 },
    { "format", "ipv6", "1:2:3:4:5:6:7:1.2.3.4", 0 },
    { "format", "ipv6", "1.2.3.4", 0 },
    { "format", "ipv6", "::1%eth0", 0 },
    { "format", "ipv6", ":", 0 },
    { "format", "ipv6", "1:", 0 },

    { "format", "uri", "a:", 1 },
    { "format", "uri", ":a", 0 },
    { "format", "uri", "http", 0 },
    { "format", "uri", "", 0 },
    { "format", "uri", "urn:uuid:1", 1 },
    { "format", "uri", "file:///etc/hosts", 1 },
    { "format", "uri", "http://u:p@h:80/a?b/?#c/?", 1 },
    { "format", "uri", "http://h:8a/", 0 },
    { "format", "uri", "http://h:/", 1 },
    { "format", "uri", "http://a@b@c/", 0 },
    { "format", "uri", "http://[::1]:80/", 1 },
    { "format", "uri", "http://[v1f.a:b]/", 1 },
    { "format", "uri", "http://[v.a]/", 0 },
    { "format", "uri", "http://[vf.]/", 0 },
    { "format", "uri", "http://[v1.%20]/", 0 },
    { "format", "uri", "http://[::1/", 0 },
    { "format", "uri", "http://[/", 0 },
    { "format", "uri", "http://h/%4", 0 },
    { "format", "uri", "http://h/%zz", 0 },
    { "format", "uri", "http://h/?%zz", 0 },
    { "format", "uri", "http://h/#a#b", 0 },
    { "format", "uri", "http://h/\xc3\xa9", 0 },
    { "format", "uri", "http://h/\n", 0 },

    { "format", "regex", "^[a-z]+$", 1 },
    { "format", "regex", "a{2,1}", 0 },
    { "format", "regex", "(?<n>a)\\k<n>", 1 },
    { "format", "regex", "\\k<n", 0 },
    { "format", "regex", "\\1", 0 },
    { "format", "regex", "()()()()()()()()()\\9", 1 },
    { "format", "regex", "\\9", 0 },
    { "format", "regex", "\\xg0", 0 },
    { "format", "regex", "\\x0g", 0 },
    { "format", "regex", "\\xf", 0 },
    { "format", "regex", "\\u{}", 0 },
    { "format", "regex", "\\u{0000041}", 0 },
    { "format", "regex", "\\ud83d\\u0041", 0 },
    { "format", "regex", "\\ud83d\\udbff", 0 },
    { "format", "regex", "\\ud83d\\ue000", 0 },
    { "format", "regex", "\\udc00", 0 },
    { "format", "regex", "\\c`", 0 },
    { "format", "regex", "\\c{", 0 },
    { "format", "regex", "\\p{L", 0 },
    { "format", "regex", "\\p{}", 0 },
    { "format", "regex", "\\p{Nonsense}", 0 },
    { "format", "regex", "[a-\\d]", 0 },
    { "format", "regex", "[b-a]", 0 },
    { "format", "regex", "a{1,2", 0 },
    { "format", "regex", "a{", 0 },
    { "format", "regex", "a{,}", 0 },
    { "format", "regex", "a**", 0 },
    { "format", "regex", "a???", 0 },
    { "format", "regex", "(?", 0 },
    { "format", "regex", "(?<", 0 },
    { "format", "regex", "(?:", 0 },
    { "format", "regex", "(?#a)", 0 },
    { "format", "regex", "(?P<n>a)", 0 },

    { "pattern", "^\\x41\\u0042\\u{43}$", "ABC", 1 },
    { "pattern", "^[\\x41-\\u{43}]+$", "ABC", 1 },
    { "pattern", "^\\xc9\\xC9$", "\xc3\x89\xc3\x89", 1 },
    { "pattern", "^\\cA\\cz\\ca\\cZ$", "\x01\x1a\x01\x1a", 1 },
    { "pattern", "^\\uD800\\uDC00\\uDBFF\\uDFFF$",
      "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 1 },
    { "pattern", "^\\uE000$", "\xee\x80\x80", 1 },
    { "pattern", "^\\t\\n\\v\\f\\r$", "\t\n\v\f\r", 1 },
    { "pattern", "^[]$", "", 0 },
    { "pattern", "^[]?$", "", 1 },
    { "pattern", "^[^]$", "\n", 1 },
    { "pattern", "^[^a]$", "\n", 1 },
    { "pattern", "^a{2,3}$", "aaaa", 0 },
    { "pattern", "^a{2,}$", "aaaa", 1 },
    { "pattern", "^a{2}?$", "aa", 1 },
    { "pattern", "^a{2,3}?b$", "aaab", 1 },
    { "pattern", "^(?<first>a|b)-\\k<first>$", "b-b", 1 },
    { "pattern", "^(?<first>a|b)-\\k<first>$", "b-a", 0 },
    { "pattern", "^(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)\\10$", "abcdefghijj", 1 },
    { "pattern", "^\\0?a$", "a", 1 },
    { "pattern", "^[\\0]?a$", "a", 1 },
    { "pattern", "^\\-\\_\\/\\@\\\"$", "-_/@\"", 1 },
    { "pattern", "^]}$", "]}", 1 },
    { "pattern", "^\\{\\}$", "{}", 1 },
    { "pattern", "^[[a]$", "[", 1 },
    { "pattern", "^[a^]+$", "^a", 1 },
    { "pattern", "^[\\s\\d]+$", "1 \xc2\xa0\t", 1 },
    { "pattern", "^[\\S\\t]+$", "1\t", 1 },
    { "pattern", "^[\\S\\t]+$", "1 ", 0 },
    { "pattern", "^[\\b]$", "\b", 1 },
    { "pattern", "\\bab\\b", "x ab", 1 },
    { "pattern", "\\Bb", "ab", 1 },
    { "pattern", "^[a-]+$", "-a", 1 },
    { "pattern", "^[\\w-]+$", "-a", 1 },
    { "pattern", "^\\w$", "\xc3\xa9", 0 },
    { "pattern", "^\\W$", "\xc3\xa9", 1 },
    { "pattern", "^\\d$", "\xd9\xa1", 0 },
    { "pattern", "^\\p{Nd}$", "\xd9\xa1", 1 },
    { "pattern", "^[^\\p{L}]$", "\xc3\xa9", 0 },
    { "pattern", "^\\P{L}$", "\xc3\xa9", 0 },
    { "pattern", "^\\p{General_Category=Uppercase_Letter}$", "A", 1 },
    { "pattern", "^.$", "\r", 0 },
    { "pattern", "^\xc3\xa9+$", "\xc3\xa9\xc3\xa9", 1 },
    { "pattern", "^[\xc3\xa9-\xc3\xab]$", "\xc3\xaa", 1 },
    { "pattern", "^a|b$", "xb", 1 },
    { "pattern", "^a|b$", "bx", 0 },
    { "pattern", "b*c", "ab", 0 },
    { "pattern", "b*c", "abc", 1 },
    { "pattern", "(^|,)b+(,|$)", "a,bb", 1 },
    { "pattern", "", "", 1 },

    { NULL, NULL, NULL, 0 }
};


static ngx_uint_t  formats_count;
static ngx_uint_t  formats_failures;


static void
formats_result(ngx_uint_t ok, const char *what, formats_test_t *test)
{
    const char  *p;

    formats_count++;
    formats_failures += !ok;

    printf("%sok %u - %s %s %s ", ok ? "" : "not ", (unsigned) formats_count,
           test->keyword, test->argument, what);

    for (p = test->value; *p; p++) {
        if (*p < ' ' || *p == '#') {
            printf("\\x%02x", (unsigned char) *p);

        } else {
            putchar(*p);
        }
    }

    putchar('\n');
}


static void
formats_run(formats_test_t *test)
{
    json_t                  *document, *value;
    ngx_int_t                rc;
    ngx_str_t                root = ngx_string("");
    ngx_pool_t              *pool;
    prov_fault_t             fault;
    prov_schema_t           *schema;
    prov_schema_report_t     report;
    prov_schema_compiler_t  *compiler;

    pool = ngx_create_pool(4096, ngx_shim_log());
    document = json_pack("{ss}", test->keyword, test->argument);
    value = json_string(test->value);

    compiler = prov_schema_compiler_create(pool, pool, document);
    schema = prov_schema_compile(compiler, &root, &fault);

    if (schema == NULL) {
        formats_result(0, "compiles for", test);
        printf("# %.*s\n", (int) fault.message.len,
               (char *) fault.message.data);
        goto done;
    }

    prov_schema_report_init(&report, pool, 1);
    rc = prov_schema_validate(schema, value, &report);

    formats_result(rc == (test->valid ? NGX_OK : NGX_DECLINED),
                   test->valid ? "accepts" : "refuses", test);

done:

    json_decref(document);
    json_decref(value);
    ngx_destroy_pool(pool);
}


int
main(void)
{
    formats_test_t  *test;

    for (test = formats_tests; test->keyword; test++) {
        formats_run(test);
    }

    printf("1..%u\n", (unsigned) formats_count);

    return formats_failures != 0;
}
