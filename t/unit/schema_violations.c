/*
 * What the validator says of values: pointers, codes and sentences that the
 * JSON-Schema-Test-Suite does not look at.  Prints TAP.
 */

#include "schema_tap.h"


typedef struct {
    const char  *name;
    const char  *schema;
    const char  *value;
    const char  *report;     /* "pointer|code|message\n" …; "" is valid */
} unit_violation_t;


static unit_violation_t  unit_violations[] = {

    { "a missing property is told at its own pointer",
      "{\"required\": [\"b\", \"a/b~c\"]}", "{}",
      "/b|required|is required\n"
      "/a~1b~0c|required|is required\n" },

    { "an unknown property is told at its own pointer, with the nearest name",
      "{\"properties\": {\"client_name\": true, \"email\": true},"
      " \"additionalProperties\": false}",
      "{\"clientName\": 1, \"emial\": 1, \"zzz\": 1}",
      "/clientName|additional_properties|is not a known property; did you "
      "mean \"client_name\"?\n"
      "/emial|additional_properties|is not a known property; did you mean "
      "\"email\"?\n"
      "/zzz|additional_properties|is not a known property\n" },

    { "a name that is already there is not suggested",
      "{\"properties\": {\"email\": true}, \"additionalProperties\": false}",
      "{\"email\": 1, \"emial\": 1}",
      "/emial|additional_properties|is not a known property\n" },

    { "a name that is only required, or false, is not suggested",
      "{\"properties\": {\"emall\": false}, \"required\": [\"email\"],"
      " \"additionalProperties\": false}",
      "{\"emial\": 1}",
      "/emial|additional_properties|is not a known property\n"
      "/email|required|is required\n" },

    { "all violations are told at once, in the order of the value",
      "{\"properties\": {\"a\": {\"minLength\": 1}, \"b\": {\"maximum\": 2.5},"
      " \"c\": {\"items\": {\"type\": [\"string\", \"null\"]}}}}",
      "{\"c\": [1, null, true, 1.5], \"a\": \"\", \"b\": 3}",
      "/c/0|type|must be a string or null, not a number\n"
      "/c/2|type|must be a string or null, not a boolean\n"
      "/c/3|type|must be a string or null, not a number with a fraction\n"
      "/a|min_length|must be at least 1 character long\n"
      "/b|maximum|must be at most 2.5\n" },

    { "types are listed in words",
      "{\"type\": [\"string\", \"number\", \"integer\", \"boolean\","
      " \"object\", \"null\"]}", "[]",
      "|type|must be a string, a number, true or false, an object or null, "
      "not an array\n" },

    { "an integer is asked for as one, and 1.0 is one",
      "{\"items\": {\"type\": \"integer\"}}", "[1.0, 1.5, \"1\", {}]",
      "/1|type|must be an integer, not a number with a fraction\n"
      "/2|type|must be an integer, not a string\n"
      "/3|type|must be an integer, not an object\n" },

    { "lengths count characters, and have a plural",
      "{\"items\": {\"minLength\": 2, \"maxLength\": 3}}",
      "[\"é\", \"éé\", \"😀😀😀\", \"ééé€\"]",
      "/0|min_length|must be at least 2 characters long\n"
      "/3|max_length|must be at most 3 characters long\n" },

    { "numbers are compared exactly across integers and doubles",
      "{\"items\": {\"minimum\": 9007199254740993}}",
      "[9007199254740992.0, 9007199254740993, 9007199254740994.0,"
      " -1e300, 1e300]",
      "/0|minimum|must be at least 9007199254740993\n"
      "/3|minimum|must be at least 9007199254740993\n" },

    { "negative fractions are compared exactly",
      "{\"items\": {\"minimum\": -1, \"exclusiveMaximum\": 2}}",
      "[-1.5, -1, -0.5, 1.5, 2, 2.5]",
      "/0|minimum|must be at least -1\n"
      "/4|exclusive_maximum|must be less than 2\n"
      "/5|exclusive_maximum|must be less than 2\n" },

    { "the largest integers are not the doubles beside them",
      "{\"items\": {\"exclusiveMinimum\": 9223372036854775806,"
      " \"exclusiveMaximum\": 9223372036854775808.0}}",
      "[9223372036854775807, 9223372036854775806, 9223372036854775808.0,"
      " -9223372036854775808]",
      "/1|exclusive_minimum|must be greater than 9223372036854775806\n"
      "/2|exclusive_maximum|must be less than 9.223372036854776e+18\n"
      "/3|exclusive_minimum|must be greater than 9223372036854775806\n" },

    { "bounds have codes of their own",
      "{\"items\": {\"exclusiveMinimum\": 0, \"exclusiveMaximum\": 10,"
      " \"maximum\": 9, \"multipleOf\": 0.5}}",
      "[0, 10, 9.25, 0.5]",
      "/0|exclusive_minimum|must be greater than 0\n"
      "/1|maximum|must be at most 9\n"
      "/1|exclusive_maximum|must be less than 10\n"
      "/2|maximum|must be at most 9\n"
      "/2|multiple_of|must be a multiple of 0.5\n" },

    { "a multiple is one of what was written, not of its binary",
      "{\"items\": {\"multipleOf\": 0.01}}",
      "[0.07, 19.99, 1.1, 4.35, 1e22, 0.075, 9223372036854775807, 1e-30]",
      "/5|multiple_of|must be a multiple of 0.01\n"
      "/7|multiple_of|must be a multiple of 0.01\n" },

    { "a multiple of an integer is one for large doubles, too",
      "{\"items\": {\"multipleOf\": 3}}",
      "[3e200, 1e200, -9223372036854775806, -9223372036854775808]",
      "/1|multiple_of|must be a multiple of 3\n"
      "/3|multiple_of|must be a multiple of 3\n" },

    { "the pattern is repeated",
      "{\"pattern\": \"^[a-z]+$\"}", "\"A\"",
      "|pattern|must match the pattern \"^[a-z]+$\"\n" },

    { "a pattern with a sentence",
      "{\"pattern\": \"^[a-z]+$\","
      " \"x-pattern-message\": \"must be of a to z\"}",
      "\"A\"",
      "|pattern|must be of a to z\n" },

    { "a pattern with a sentence, of names",
      "{\"propertyNames\": {\"pattern\": \"^a\","
      " \"x-pattern-message\": \"must begin with a\"}}",
      "{\"b\": 1}",
      "/b|property_names|the property's name must begin with a\n" },

    { "an overlong string is not matched as well",
      "{\"maxLength\": 1, \"pattern\": \"^[a-z]+$\"}", "\"AA\"",
      "|max_length|must be at most 1 character long\n" },

    { "an empty string is wrong once, not for its format as well",
      "{\"minLength\": 1, \"format\": \"email\"}", "\"\"",
      "|min_length|must be at least 1 character long\n" },

    { "a format says what it wants",
      "{\"items\": {\"format\": \"date-time\"}}", "[\"yesterday\", 1]",
      "/0|format|must be a date and time such as 2025-01-31T12:30:00Z "
      "(RFC 3339)\n" },

    { "int32 and int64 are about numbers",
      "{\"prefixItems\": [{\"format\": \"int32\"}, {\"format\": \"int32\"},"
      " {\"format\": \"int32\"}, {\"format\": \"int64\"},"
      " {\"format\": \"int64\"}, {\"format\": \"int32\"},"
      " {\"format\": \"int32\"}, {\"format\": \"int32\"}]}",
      "[2147483647, 2147483648, 1.5, 9223372036854775807, 1e19, \"x\","
      " -2147483648, -2147483649]",
      "/1|format|must be an integer of 32 bits\n"
      "/2|format|must be an integer of 32 bits\n"
      "/4|format|must be an integer of 64 bits\n"
      "/7|format|must be an integer of 32 bits\n" },

    { "enum lists its values",
      "{\"enum\": [\"a\", 1, null, {\"b\": [1.0]}]}", "\"b\"",
      "|enum|must be one of \"a\", 1, null, {\"b\":[1.0]}\n" },

    { "a long list of values is cut, and the rest counted",
      "{\"enum\": [\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\","
      " \"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\","
      " \"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\","
      " \"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd\","
      " \"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\","
      " \"f\"]}", "0",
      "|enum|must be one of "
      "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\", "
      "\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\", "
      "\"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\", "
      "\"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd\" "
      "and 2 more\n" },

    { "enum of one and const read alike",
      "{\"prefixItems\": [{\"enum\": [\"a\"]}, {\"const\": 5}]}", "[1, 1]",
      "/0|enum|must be \"a\"\n"
      "/1|const|must be 5\n" },

    { "a wrong type is all that is said of a value",
      "{\"type\": \"string\", \"enum\": [\"a\"], \"minimum\": 5}", "1",
      "|type|must be a string, not a number\n" },

    { "items have their number",
      "{\"items\": {\"minItems\": 2, \"maxItems\": 3}}",
      "[[1], [1, 2, 3, 4]]",
      "/0|min_items|must have at least 2 items\n"
      "/1|max_items|must have at most 3 items\n" },

    { "what follows a tuple is told once",
      "{\"prefixItems\": [true, true], \"items\": false}", "[1, 2, 3, 4]",
      "/2|items|is one too many: the array has at most 2 items\n" },

    { "the false of a tuple is not that of what follows it",
      "{\"prefixItems\": [false], \"items\": false}", "[1]",
      "/0|not_allowed|is not allowed here\n" },

    { "equal items are named",
      "{\"uniqueItems\": true}", "[{\"a\": 1, \"b\": [2]}, 0,"
      " {\"b\": [2.0], \"a\": 1.0}]",
      "|unique_items|must not have an item twice: items 0 and 2, counted from "
      "0, are equal\n" },

    { "contains counts",
      "{\"prefixItems\": [{\"contains\": {\"const\": 1}},"
      " {\"contains\": {\"const\": 1}, \"minContains\": 2},"
      " {\"contains\": {\"const\": 1}, \"maxContains\": 1}]}",
      "[[2], [1], [1, 1]]",
      "/0|contains|must contain at least 1 item of the form that is asked "
      "for\n"
      "/1|min_contains|must contain at least 2 items of the form that is asked "
      "for\n"
      "/2|max_contains|must contain at most 1 item of the form that is "
      "limited\n" },

    { "properties have their number",
      "{\"items\": {\"minProperties\": 1, \"maxProperties\": 2}}",
      "[{}, {\"a\": 1, \"b\": 1, \"c\": 1}]",
      "/0|min_properties|must have at least 1 property\n"
      "/1|max_properties|must have at most 2 properties\n" },

    { "a property's name is told as such",
      "{\"propertyNames\": {\"maxLength\": 2, \"pattern\": \"^a\"}}",
      "{\"abc\": 1, \"ab\": 1, \"b\": 1}",
      "/abc|property_names|the property's name must be at most 2 characters "
      "long\n"
      "/b|property_names|the property's name must match the pattern \"^a\"\n" },

    { "a property's name is checked by any schema",
      "{\"propertyNames\": {\"not\": {\"enum\": [\"a\", \"b\"]}}}",
      "{\"a\": 1, \"c\": 1}",
      "/a|property_names|the property's name must not be one of \"a\", "
      "\"b\"\n" },

    { "a property's name is explained once",
      "{\"propertyNames\": {\"anyOf\": [{\"minLength\": 2,"
      " \"type\": \"string\"}, {\"type\": \"null\"}]}}", "{\"a\": 1}",
      "/a|property_names|the property's name must be at least 2 characters "
      "long (in the only one of 2 forms that is for such a value)\n" },

    { "dependents are told at their own pointer",
      "{\"dependentRequired\": {\"a\": [\"b\", \"c\"]},"
      " \"dependentSchemas\": {\"a\": {\"maxProperties\": 1}}}",
      "{\"a\": 1, \"c\": 1}",
      "/b|dependent_required|is required when \"a\" is there\n"
      "|max_properties|must have at most 1 property\n" },

    { "a property that is false is not allowed",
      "{\"properties\": {\"a\": false}}", "{\"a\": 1}",
      "/a|not_allowed|is not allowed here\n" },

    { "patterns of properties make them known",
      "{\"patternProperties\": {\"^x-\": {\"type\": \"string\"}},"
      " \"additionalProperties\": {\"type\": \"integer\"}}",
      "{\"x-a\": 1, \"y\": \"\", \"x-b\": \"\", \"z\": 1}",
      "/x-a|type|must be a string, not a number\n"
      "/y|type|must be an integer, not a string\n" },

    { "alternatives of types are told as types",
      "{\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"null\"}]}", "1",
      "|any_of|must be a string or null\n" },

    { "alternatives of types are told as types through $ref",
      "{\"oneOf\": [{\"$ref\": \"#/$defs/s\"}, {\"type\": \"null\"}],"
      " \"$defs\": {\"s\": {\"type\": \"string\", \"minLength\": 1}}}", "1",
      "|one_of|must be a string or null\n" },

    { "alternatives of values are told as values",
      "{\"oneOf\": [{\"const\": \"a\", \"title\": \"A\"}, {\"const\": 2},"
      " {\"enum\": [3, 4]}]}", "5",
      "|one_of|must be one of \"a\", 2, 3, 4\n" },

    { "the only alternative for a value says what is wrong with it",
      "{\"anyOf\": [{\"type\": \"null\"}, {\"type\": \"object\","
      " \"properties\": {\"a\": {\"minimum\": 1}}}]}", "{\"a\": 0}",
      "|any_of|\"/a\" must be at least 1 (in the only one of 2 forms that is "
      "for such a value)\n" },

    { "several alternatives for a value leak nothing",
      "{\"properties\": {\"p\": {\"anyOf\": [{\"required\": [\"a\"]},"
      " {\"required\": [\"b\"], \"maxProperties\": 1}]}}}", "{\"p\": {}}",
      "/p|any_of|matches none of the 2 forms that are allowed\n" },

    { "alternatives of members are told as members",
      "{\"items\": {\"anyOf\": [{\"required\": [\"a\"]},"
      " {\"type\": \"object\", \"required\": [\"b\"]}]}}",
      "[{}, {\"b\": 1}, 1]",
      "/0|any_of|must have \"a\" or \"b\"\n" },

    { "alternatives of several members are told apart",
      "{\"oneOf\": [{\"required\": [\"a\", \"b\"]},"
      " {\"required\": [\"c\"]}, {\"required\": [\"d\", \"e\"]}]}",
      "{\"a\": 1, \"d\": 1}",
      "|one_of|must have \"a\" and \"b\", or \"c\", or \"d\" and \"e\"\n" },

    { "alternatives of members of an object are told as its type",
      "{\"anyOf\": [{\"type\": \"object\", \"required\": [\"a\"]},"
      " {\"type\": \"object\", \"required\": [\"b\"]}]}", "1",
      "|any_of|must be an object\n" },

    { "alternatives that all match are told as well",
      "{\"oneOf\": [{\"minimum\": 1}, {\"minimum\": 2}, false]}", "3",
      "|one_of|matches more than one of the 3 forms that exclude each "
      "other\n" },

    { "not says what must not be",
      "{\"items\": {\"allOf\": [{\"not\": {\"const\": \"a\"}},"
      " {\"not\": {\"enum\": [1, 2]}}, {\"not\": {\"type\": \"null\"}}]}}",
      "[\"a\", 2, null]",
      "/0|not|must not be \"a\"\n"
      "/1|not|must not be one of 1, 2\n"
      "/2|not|has a form that is not allowed\n" },

    { "if leaks nothing, then and else are told",
      "{\"items\": {\"if\": {\"required\": [\"a\"]},"
      " \"then\": {\"required\": [\"b\"]},"
      " \"else\": {\"required\": [\"c\"]}}}",
      "[{\"a\": 1}, {}]",
      "/0/b|required|is required\n"
      "/1/c|required|is required\n" },

    { "the same words from two branches are told once",
      "{\"allOf\": [{\"required\": [\"a\"]}, {\"$ref\": \"#/allOf/0\"},"
      " {\"required\": [\"a\", \"b\"]}]}", "{}",
      "/a|required|is required\n"
      "/b|required|is required\n" },

    { "siblings of $ref count",
      "{\"$ref\": \"#/$defs/s\", \"maxLength\": 2,"
      " \"$defs\": {\"s\": {\"minLength\": 2, \"pattern\": \"^b\"}}}",
      "\"aaa\"",
      "|max_length|must be at most 2 characters long\n"
      "|pattern|must match the pattern \"^b\"\n" },

    { "a cycle of references goes as deep as the value",
      "{\"properties\": {\"next\": {\"$ref\": \"#\"}},"
      " \"additionalProperties\": false}",
      "{\"next\": {\"next\": {\"next\": {\"nxt\": {}}}}}",
      "/next/next/next/nxt|additional_properties|is not a known property; did "
      "you mean \"next\"?\n" },

    { "references are percent-decoded, then tilde-decoded",
      "{\"items\": {\"$ref\": \"#/$defs/a~1b%7E0c%25%20d/allOf/0\"},"
      " \"$defs\": {\"a/b~c% d\": {\"allOf\": [{\"type\": \"null\"}]}}}",
      "[1]",
      "/0|type|must be null, not a number\n" },

    { "annotations and extensions mean nothing",
      "{\"$schema\": \"https://json-schema.org/draft/2020-12/schema#\","
      " \"$comment\": \"c\", \"title\": \"t\", \"description\": \"d\","
      " \"default\": 1, \"example\": 1, \"examples\": [1],"
      " \"deprecated\": true, \"readOnly\": true, \"writeOnly\": false,"
      " \"contentMediaType\": \"image/png\", \"contentEncoding\": \"base64\","
      " \"externalDocs\": {\"url\": \"https://example.com\"},"
      " \"x-anything\": {\"minimum\": 1}, \"then\": false,"
      " \"minContains\": 3}", "[]",
      "" },

    { "a key is repeated in a pointer only up to a length",
      "{\"additionalProperties\": false}",
      "{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaé"
      "bbb\": 1}",
      "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…"
      "|additional_properties|is not a known property\n" },

    { "\\s, the dot and the dollar are ECMA-262's",
      "{\"prefixItems\": [{\"pattern\": \"^\\\\s$\"}, {\"pattern\": \"^.$\"},"
      " {\"pattern\": \"^a$\"}, {\"pattern\": \"^[^\\\\S]$\"},"
      " {\"pattern\": \"^\\\\v[\\\\b]$\"}, {\"pattern\": \"^[[:alpha:]]$\"},"
      " {\"pattern\": \"^(a)?\\\\1b$\"},"
      " {\"pattern\": \"^\\\\uD83D\\\\uDE00$\"},"
      " {\"pattern\": \"^\\\\p{Letter}\\\\p{gc=Nd}\\\\p{Script=Greek}$\"}]}",
      "[\"\\u00a0\", \"\\u2028\", \"a\\n\", \"\\ufeff\", \"\\u000b\\b\","
      " \"a]\", \"b\", \"😀\", \"é1α\"]",
      "/1|pattern|must match the pattern \"^.$\"\n"
      "/2|pattern|must match the pattern \"^a$\"\n" },

    { "a pattern finds its text anywhere, whatever its form",
      "{\"items\": {\"allOf\": [{\"pattern\": \"b\"},"
      " {\"pattern\": \"(?:b)+c*\"}, {\"pattern\": \"b+|^x\"},"
      " {\"pattern\": \"(?<=a)b\"}, {\"pattern\": \"b(?!x)\"},"
      " {\"pattern\": \"^.*b\"}]}}",
      "[\"aab\", \"\\nab\"]",
      "/1|pattern|must match the pattern \"^.*b\"\n" },

    { NULL, NULL, NULL, NULL }
};


static void
unit_violation(unit_violation_t *test)
{
    char                   text[8192];
    json_t                *value;
    ngx_int_t              rc;
    ngx_pool_t            *pool;
    prov_fault_t           fault;
    prov_schema_t         *schema;
    prov_schema_report_t   report;

    pool = ngx_create_pool(4096, ngx_shim_log());
    schema = unit_compile(pool, test->schema, "", &fault);

    if (schema == NULL) {
        unit_result(0, test->name);
        printf("# %.*s: %.*s\n",
               (int) fault.pointer.len, (char *) fault.pointer.data,
               (int) fault.message.len, (char *) fault.message.data);
        ngx_destroy_pool(pool);
        return;
    }

    value = unit_parse(test->value);

    prov_schema_report_init(&report, pool, 100);
    rc = prov_schema_validate(schema, value, &report);

    json_decref(value);

    unit_print(text, sizeof(text), &report);
    unit_is(text, test->report, test->name);

    if ((rc == NGX_OK) != (text[0] == '\0')
        || report.total != report.violations.nelts)
    {
        unit_result(0, "the verdict, the total and the report agree");
    }

    ngx_destroy_pool(pool);
}


int
main(void)
{
    unit_violation_t  *violation;

    for (violation = unit_violations; violation->name; violation++) {
        unit_violation(violation);
    }

    return unit_end();
}
