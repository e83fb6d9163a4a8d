/*
 * Runs the JSON-Schema-Test-Suite (draft 2020-12) through the real parser,
 * compiler and validator and prints TAP.  The argument is the suite's
 * directory with the files of that draft.  Every file of it is either run or
 * named below with the reason why not; so is every group that is not run,
 * and such a group has to be refused, not merely left out.
 */

#include "schema/prov_schema.h"
#include "ngx_shim.h"

#include <dirent.h>
#include <stdio.h>


typedef struct {
    const char  *name;
    const char  *reason;     /* NULL: run */
    ngx_uint_t   seen;
} suite_file_t;


typedef struct {
    const char  *file;
    const char  *group;      /* as described in the suite */
    const char  *reason;
    ngx_uint_t   seen;
} suite_skip_t;


#define SUITE_ID      "uses $id"
#define SUITE_REMOTE  "refers to another document"
#define SUITE_UNEVAL  "uses unevaluatedProperties"
#define SUITE_NUL     "has a NUL, which the parser refuses"


/* of the suite as Debian 12 packages it */

static suite_file_t  suite_files[] = {
    { "additionalProperties", NULL, 0 },
    { "allOf", NULL, 0 },
    { "anyOf", NULL, 0 },
    { "boolean_schema", NULL, 0 },
    { "const", NULL, 0 },
    { "contains", NULL, 0 },
    { "content", NULL, 0 },
    { "default", NULL, 0 },
    { "defs", NULL, 0 },
    { "dependentRequired", NULL, 0 },
    { "dependentSchemas", NULL, 0 },
    { "enum", NULL, 0 },
    { "exclusiveMaximum", NULL, 0 },
    { "exclusiveMinimum", NULL, 0 },
    { "if-then-else", NULL, 0 },
    { "infinite-loop-detection", NULL, 0 },
    { "items", NULL, 0 },
    { "maxContains", NULL, 0 },
    { "maxItems", NULL, 0 },
    { "maxLength", NULL, 0 },
    { "maxProperties", NULL, 0 },
    { "maximum", NULL, 0 },
    { "minContains", NULL, 0 },
    { "minItems", NULL, 0 },
    { "minLength", NULL, 0 },
    { "minProperties", NULL, 0 },
    { "minimum", NULL, 0 },
    { "multipleOf", NULL, 0 },
    { "not", NULL, 0 },
    { "oneOf", NULL, 0 },
    { "pattern", NULL, 0 },
    { "patternProperties", NULL, 0 },
    { "prefixItems", NULL, 0 },
    { "properties", NULL, 0 },
    { "propertyNames", NULL, 0 },
    { "ref", NULL, 0 },
    { "required", NULL, 0 },
    { "type", NULL, 0 },
    { "uniqueItems", NULL, 0 },

    { "optional/ecmascript-regex", NULL, 0 },
    { "optional/float-overflow", NULL, 0 },
    { "optional/no-schema", NULL, 0 },
    { "optional/non-bmp-regex", NULL, 0 },
    { "optional/unicode", NULL, 0 },

    { "optional/format/date", NULL, 0 },
    { "optional/format/date-time", NULL, 0 },
    { "optional/format/duration", NULL, 0 },
    { "optional/format/email", NULL, 0 },
    { "optional/format/hostname", NULL, 0 },
    { "optional/format/ipv4", NULL, 0 },
    { "optional/format/ipv6", NULL, 0 },
    { "optional/format/regex", NULL, 0 },
    { "optional/format/time", NULL, 0 },
    { "optional/format/uri", NULL, 0 },
    { "optional/format/uuid", NULL, 0 },

    { "anchor", "$anchor is not claimed", 0 },
    { "dynamicRef", "$dynamicRef is not claimed", 0 },
    { "format", "format is an assertion here, these say it is not", 0 },
    { "id", "$id is not claimed", 0 },
    { "refRemote", "$ref to other documents is not claimed", 0 },
    { "unevaluatedItems", "unevaluatedItems is not claimed", 0 },
    { "unevaluatedProperties", "unevaluatedProperties is not claimed", 0 },
    { "unknownKeyword", "unknown keywords are refused", 0 },
    { "vocabulary", "$vocabulary is not claimed", 0 },

    { "optional/bignum", "the parser refuses integers beyond 64 bits", 0 },
    { "optional/cross-draft", "other drafts are refused", 0 },
    { "optional/dependencies-compatibility", "dependencies is not claimed", 0 },
    { "optional/format-assertion", "$vocabulary is not claimed", 0 },
    { "optional/refOfUnknownKeyword", "unknown keywords are refused", 0 },

    { "optional/format/idn-email", "not claimed", 0 },
    { "optional/format/idn-hostname", "not claimed", 0 },
    { "optional/format/iri", "not claimed", 0 },
    { "optional/format/iri-reference", "not claimed", 0 },
    { "optional/format/json-pointer", "not claimed", 0 },
    { "optional/format/relative-json-pointer", "not claimed", 0 },
    { "optional/format/unknown", "unknown formats are refused", 0 },
    { "optional/format/uri-reference", "not claimed", 0 },
    { "optional/format/uri-template", "not claimed", 0 },

    { NULL, NULL, 0 }
};


static suite_skip_t  suite_skips[] = {
    { "content",
      "validation of binary-encoded media type documents with schema",
      "uses contentSchema", 0 },
    { "enum",
      "nul characters in strings",
      SUITE_NUL, 0 },
    { "const",
      "nul characters in strings",
      SUITE_NUL, 0 },
    { "not",
      "collect annotations inside a 'not', even if collection is "
      "disabled",
      SUITE_UNEVAL, 0 },
    { "ref",
      "remote ref, containing refs itself",
      SUITE_REMOTE, 0 },
    { "ref",
      "Recursive references between schemas",
      SUITE_ID, 0 },
    { "ref",
      "ref creates new scope when adjacent to keywords",
      SUITE_UNEVAL, 0 },
    { "ref",
      "refs with relative uris and defs",
      SUITE_ID, 0 },
    { "ref",
      "relative refs with absolute uris and defs",
      SUITE_ID, 0 },
    { "ref",
      "$id must be resolved against nearest parent, not just "
      "immediate parent",
      SUITE_ID, 0 },
    { "ref",
      "order of evaluation: $id and $ref",
      SUITE_ID, 0 },
    { "ref",
      "order of evaluation: $id and $anchor and $ref",
      SUITE_ID, 0 },
    { "ref",
      "simple URN base URI with $ref via the URN",
      SUITE_ID, 0 },
    { "ref",
      "simple URN base URI with JSON pointer",
      SUITE_ID, 0 },
    { "ref",
      "URN base URI with NSS",
      SUITE_ID, 0 },
    { "ref",
      "URN base URI with r-component",
      SUITE_ID, 0 },
    { "ref",
      "URN base URI with q-component",
      SUITE_ID, 0 },
    { "ref",
      "URN base URI with f-component",
      SUITE_REMOTE, 0 },
    { "ref",
      "URN base URI with URN and JSON pointer ref",
      SUITE_ID, 0 },
    { "ref",
      "URN base URI with URN and anchor ref",
      SUITE_ID, 0 },
    { "ref",
      "URN ref with nested pointer ref",
      SUITE_REMOTE, 0 },
    { "ref",
      "ref to if",
      SUITE_REMOTE, 0 },
    { "ref",
      "ref to then",
      SUITE_REMOTE, 0 },
    { "ref",
      "ref to else",
      SUITE_REMOTE, 0 },
    { "ref",
      "ref with absolute-path-reference",
      SUITE_ID, 0 },
    { "defs",
      "validate definition against metaschema",
      SUITE_REMOTE, 0 },
    { "optional/ecmascript-regex",
      "\\a is not an ECMA 262 control escape",
      SUITE_REMOTE, 0 },

    { NULL, NULL, NULL, 0 }
};


static const char   *suite_directory;
static ngx_uint_t    suite_tests;
static ngx_uint_t    suite_failures;
static ngx_uint_t    suite_instances;


static void
suite_result(ngx_uint_t ok, const char *file, const char *group,
    const char *test, const char *note)
{
    const char  *p;

    suite_tests++;
    suite_failures += !ok;

    printf("%sok %u - %s", ok ? "" : "not ", (unsigned) suite_tests, file);

    for (p = group; p && *p; p++) {
        printf("%s%c", (p == group) ? ": " : "", (*p == '#') ? '%' : *p);
    }

    for (p = test; p && *p; p++) {
        printf("%s%c", (p == test) ? ": " : "", (*p == '#') ? '%' : *p);
    }

    printf("%s%s\n", note ? ": " : "", note ? note : "");
}


/* what requests and documents come in through */

static json_t *
suite_parse(json_t *json)
{
    char               *text;
    json_t             *parsed;
    prov_json_error_t   err;

    text = json_dumps(json, JSON_ENCODE_ANY|JSON_COMPACT);
    parsed = prov_json_parse((u_char *) text, strlen(text),
                             PROV_JSON_DOCUMENT_DEPTH, &err);
    free(text);

    return parsed;
}


static suite_skip_t *
suite_skip(const char *file, const char *group)
{
    suite_skip_t  *skip;

    for (skip = suite_skips; skip->file; skip++) {
        if (strcmp(skip->file, file) == 0 && strcmp(skip->group, group) == 0) {
            skip->seen = 1;
            return skip;
        }
    }

    return NULL;
}


static void
suite_instance(const char *file, const char *group, json_t *test,
    prov_schema_t *schema)
{
    json_t                *value;
    ngx_int_t              rc;
    ngx_pool_t            *pool;
    ngx_uint_t             expected;
    const char            *description;
    prov_schema_report_t   report;

    description = json_string_value(json_object_get(test, "description"));
    expected = json_is_true(json_object_get(test, "valid"));
    value = suite_parse(json_object_get(test, "data"));

    if (value == NULL) {
        suite_result(!expected, file, group, description,
                     "refused by the parser");
        return;
    }

    pool = ngx_create_pool(4096, ngx_shim_log());

    prov_schema_report_init(&report, pool, 10);
    rc = prov_schema_validate(schema, value, &report);

    suite_instances++;

    /* the verdict, and a report that agrees with it */

    suite_result(rc == (expected ? NGX_OK : NGX_DECLINED)
                 && (report.total == 0) == expected
                 && (report.violations.nelts == 0) == expected,
                 file, group, description, NULL);

    ngx_destroy_pool(pool);
    json_decref(value);
}


static void
suite_group(const char *file, json_t *group)
{
    size_t                   i;
    json_t                  *document, *test;
    ngx_str_t                root = ngx_string("");
    ngx_pool_t              *pool;
    const char              *description;
    suite_skip_t            *skip;
    prov_fault_t             fault;
    prov_schema_t           *schema;
    prov_schema_compiler_t  *compiler;

    description = json_string_value(json_object_get(group, "description"));
    skip = suite_skip(file, description);

    pool = ngx_create_pool(4096, ngx_shim_log());
    document = suite_parse(json_object_get(group, "schema"));
    schema = NULL;

    if (document) {
        compiler = prov_schema_compiler_create(pool, pool, document);
        schema = prov_schema_compile(compiler, &root, &fault);

        /* a compiled schema keeps nothing of it */
        json_decref(document);
    }

    if (skip) {
        suite_result(schema == NULL, file, description, "is refused",
                     skip->reason);

    } else if (schema == NULL) {
        suite_result(0, file, description, "compiles", NULL);

        if (document) {
            printf("# %.*s: %.*s\n",
                   (int) fault.pointer.len, (char *) fault.pointer.data,
                   (int) fault.message.len, (char *) fault.message.data);
        }

    } else {
        json_array_foreach(json_object_get(group, "tests"), i, test) {
            suite_instance(file, description, test, schema);
        }
    }

    ngx_destroy_pool(pool);
}


static void
suite_run(const char *file)
{
    char           path[4096];
    size_t         i;
    json_t        *groups, *group;
    json_error_t   err;

    snprintf(path, sizeof(path), "%s/%s.json", suite_directory, file);

    groups = json_load_file(path, JSON_ALLOW_NUL, &err);

    if (groups == NULL) {
        suite_result(0, file, "can be read", err.text, NULL);
        return;
    }

    json_array_foreach(groups, i, group) {
        suite_group(file, group);
    }

    json_decref(groups);
}


/* each file that is there is known, and each one that is claimed is run */

static void
suite_walk(const char *folder)
{
    char            path[4096], name[512];
    DIR            *dir;
    suite_file_t   *file;
    struct dirent  *entry;

    snprintf(path, sizeof(path), "%s/%s", suite_directory, folder);

    dir = opendir(path);

    if (dir == NULL) {
        suite_result(0, folder, "is a directory of the suite", NULL, NULL);
        return;
    }

    while ((entry = readdir(dir)) != NULL) {

        snprintf(name, sizeof(name), "%s%s", folder, entry->d_name);

        if (strlen(name) < 6 || strcmp(name + strlen(name) - 5, ".json")) {
            continue;
        }

        name[strlen(name) - 5] = '\0';

        for (file = suite_files; file->name; file++) {
            if (strcmp(file->name, name) == 0) {
                file->seen = 1;
                break;
            }
        }

        if (file->name == NULL) {
            suite_result(0, name, "is run, or has a reason why not", NULL,
                         NULL);

        } else if (file->reason) {
            printf("# %s is not run: %s\n", name, file->reason);

        } else {
            suite_run(name);
        }
    }

    closedir(dir);
}


/* the tables name nothing that is not there */

static void
suite_tables(void)
{
    suite_file_t  *file;
    suite_skip_t  *skip;

    for (file = suite_files; file->name; file++) {
        if (!file->seen) {
            suite_result(0, file->name, "is in the suite", NULL, NULL);
        }
    }

    for (skip = suite_skips; skip->file; skip++) {
        if (!skip->seen) {
            suite_result(0, skip->file, skip->group, "is in the suite", NULL);
        }
    }
}


int
main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s directory\n", argv[0]);
        return 2;
    }

    suite_directory = argv[1];

    suite_walk("");
    suite_walk("optional/");
    suite_walk("optional/format/");

    suite_tables();

    /* an empty suite must not look like success */
    suite_result(suite_instances > 1000, "the suite", "has instances", NULL,
                 NULL);

    printf("1..%u\n", (unsigned) suite_tests);

    return suite_failures != 0;
}
