/*
 * What the compiler and the validator say: pointers, codes and sentences that
 * the JSON-Schema-Test-Suite does not look at.  Prints TAP.
 */

#include "schema/prov_schema.h"
#include "ngx_shim.h"

#include <stdio.h>


typedef struct {
    const char  *name;
    const char  *schema;
    const char  *value;
    const char  *report;     /* "pointer|code|message\n" …; "" is valid */
} unit_violation_t;


typedef struct {
    const char  *name;
    const char  *schema;
    const char  *fault;      /* "pointer|message" */
} unit_fault_t;


#define STRINGS "\"type\": \"string\""


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


static unit_fault_t  unit_faults[] = {

    { "a misspelt keyword is refused with the right one",
      "{\"properties\": {\"a~/b\": {\"minLenght\": 1}}}",
      "/properties/a~0~1b/minLenght|is not a known keyword: did you mean "
      "\"minLength\"?" },

    { "an unknown keyword is refused",
      "{\"frobnicate\": 1}",
      "/frobnicate|is not a known keyword: remove it; what is for people goes "
      "into \"description\" or \"$comment\"" },

    { "a mistake in $defs that nothing refers to is one",
      "{\"$defs\": {\"a\": {\"items\": [true]}}}",
      "/$defs/a/items|must be a schema; for one schema per position write "
      "\"prefixItems\"" },

    { "a mistake behind a $ref is told where it stands",
      "{\"allOf\": [{\"$ref\": \"#/x-schemas/a\"}],"
      " \"x-schemas\": {\"a\": {\"items\": {\"id\": \"x\"}}}}",
      "/x-schemas/a/items/id|\"id\" is not supported: remove it, and refer to "
      "this schema by \"$ref\" with a JSON pointer such as \"#/$defs/name\"" },

    { "unevaluatedProperties is refused with advice",
      "{\"anyOf\": [true, {\"unevaluatedProperties\": false}]}",
      "/anyOf/1/unevaluatedProperties|\"unevaluatedProperties\" is not "
      "supported: write \"additionalProperties\": false beside the "
      "\"properties\" that list them all" },

    { "$dynamicRef is refused with advice",
      "{\"$dynamicRef\": \"#a\"}",
      "/$dynamicRef|\"$dynamicRef\" is not supported: write \"$ref\" with a "
      "JSON pointer such as \"#/$defs/name\"" },

    { "$anchor is refused with advice",
      "{\"$anchor\": \"a\"}",
      "/$anchor|\"$anchor\" is not supported: remove it, and refer to this "
      "schema by \"$ref\" with a JSON pointer such as \"#/$defs/name\"" },

    { "nullable is refused with advice",
      "{" STRINGS ", \"nullable\": true}",
      "/nullable|\"nullable\" is not supported: add \"null\" to \"type\"" },

    { "definitions is refused with advice",
      "{\"definitions\": {}}",
      "/definitions|\"definitions\" is not supported: write \"$defs\"" },

    { "an unknown format is refused with those that are known",
      "{\"items\": {\"format\": \"emial\"}}",
      "/items/format|names a format that is not known: remove it, or write one "
      "of date, date-time, duration, email, hostname, int32, int64, ipv4, "
      "ipv6, regex, time, uri, uuid" },

    { "an unknown type is refused",
      "{\"type\": [\"string\", \"float\"]}",
      "/type|names a type that there is not: write \"string\", \"number\", "
      "\"integer\", \"boolean\", \"object\", \"array\" or \"null\"" },

    { "an empty type is refused",
      "{\"type\": []}",
      "/type|must be the name of a type, or an array of such names" },

    { "another draft is refused",
      "{\"$schema\": \"http://json-schema.org/draft-07/schema#\"}",
      "/$schema|must be \"https://json-schema.org/draft/2020-12/schema\", the "
      "only draft that is supported" },

    { "a length must be a count",
      "{\"minLength\": -1}", "/minLength|must be an integer from 0" },

    { "a length must be whole",
      "{\"maxItems\": 1.5}", "/maxItems|must be an integer from 0" },

    { "a length must fit",
      "{\"maxItems\": 1e30}", "/maxItems|must be an integer from 0" },

    { "multipleOf must be positive",
      "{\"multipleOf\": 0}", "/multipleOf|must be a number greater than 0" },

    { "exclusiveMinimum is no flag",
      "{\"minimum\": 1, \"exclusiveMinimum\": true}",
      "/exclusiveMinimum|must be a number: the bound itself" },

    { "required is a list of names",
      "{\"required\": true}", "/required|must be an array of strings" },

    { "required is a list of names only",
      "{\"required\": [1]}", "/required|must be an array of strings" },

    { "properties is a map",
      "{\"properties\": []}", "/properties|must be an object of schemas" },

    { "a property is a schema",
      "{\"properties\": {\"a\": \"string\"}}",
      "/properties/a|a schema must be an object, true or false" },

    { "dependentRequired is a map of lists",
      "{\"dependentRequired\": {\"a\": \"b\"}}",
      "/dependentRequired|must be an object of arrays of strings" },

    { "oneOf must not be empty",
      "{\"oneOf\": []}", "/oneOf|must be an array with at least one schema" },

    { "enum must not be empty",
      "{\"enum\": []}", "/enum|must be an array with at least one value" },

    { "an item of allOf is a schema",
      "{\"allOf\": [true, 1]}",
      "/allOf/1|a schema must be an object, true or false" },

    { "a title is a string",
      "{\"title\": 1}", "/title|must be a string" },

    { "readOnly is a boolean",
      "{\"readOnly\": 1}", "/readOnly|must be true or false" },

    { "a $ref to another document is refused",
      "{\"$ref\": \"other.json#/a\"}",
      "/$ref|must point into this document: begin it with \"#/\"" },

    { "a $ref to an anchor is refused",
      "{\"$ref\": \"#name\"}",
      "/$ref|names an anchor, which is not supported: write a JSON pointer "
      "such as \"#/$defs/name\"" },

    { "a $ref to nothing is refused, and where the way ended is told",
      "{\"items\": {\"$ref\": \"#/$defs/a/items/0\"},"
      " \"$defs\": {\"a\": {\"items\": {}}}}",
      "/items/$ref|points to nothing: there is no \"0\" in "
      "\"#/$defs/a/items\"" },

    { "a $ref's array index has no leading zero",
      "{\"allOf\": [true, {\"$ref\": \"#/allOf/00\"}]}",
      "/allOf/1/$ref|points to nothing: there is no \"00\" in \"#/allOf\"" },

    { "a $ref to what is no schema is refused there",
      "{\"$ref\": \"#/$defs\", \"$defs\": {\"a\": true}}",
      "/$defs/a|is not a known keyword: remove it; what is for people goes "
      "into \"description\" or \"$comment\"" },

    { "a bad percent escape is refused",
      "{\"$ref\": \"#/%4\"}",
      "/$ref|has a \"%\" without two hexadecimal digits" },

    { "a bad tilde escape is refused",
      "{\"$ref\": \"#/~2\"}",
      "/$ref|has a \"~\" that is neither \"~0\" nor \"~1\"" },

    { "a schema that is itself is refused",
      "{\"$ref\": \"#\"}",
      "|applies to itself without end: remove the \"$ref\" that leads back "
      "here, or move it into \"properties\" or \"items\"" },

    { "a cycle that never goes down is refused",
      "{\"properties\": {\"a\": {\"$ref\": \"#/$defs/a\"}}, \"$defs\": {"
      "\"a\": {\"anyOf\": [{\"not\": {\"$ref\": \"#/$defs/b\"}}]},"
      "\"b\": {\"if\": true, \"then\":"
      " {\"dependentSchemas\": {\"x\": {\"$ref\": \"#/$defs/a\"}}}}}}",
      "/$defs/a|applies to itself without end: remove the \"$ref\" that leads "
      "back here, or move it into \"properties\" or \"items\"" },

    { "a pattern that is no ECMA-262 is refused",
      "{\"pattern\": \"^\\\\Aab\"}",
      "/pattern|is no ECMA-262 pattern: it has an escape that ECMA-262 does "
      "not know, at byte 1" },

    { "a pattern that PCRE2 cannot do is refused",
      "{\"pattern\": \"(?<=a+)b\"}",
      "/pattern|is refused by PCRE2: lookbehind assertion is not fixed "
      "length" },

    { "a pattern of a property is refused at the property",
      "{\"patternProperties\": {\"(\": true}}",
      "/patternProperties/(|is no ECMA-262 pattern: it has a \"(\" without its "
      "\")\", at byte 1" },

    { NULL, NULL, NULL }
};


/* what is only PCRE2's, and what nobody's; all at its place */

static unit_fault_t  unit_patterns[] = {
    { "a possessive quantifier", "a++", "repeats nothing (a character that is "
      "meant itself needs a backslash), at byte 2" },
    { "a quantifier of nothing", "a|*", "repeats nothing (a character that is "
      "meant itself needs a backslash), at byte 2" },
    { "a quantifier of an assertion", "\\b+", "repeats nothing (a character "
      "that is meant itself needs a backslash), at byte 2" },
    { "a verb", "(*UCP)a", "repeats nothing (a character that is meant itself "
      "needs a backslash), at byte 1" },
    { "an option", "(?i)a", "has a kind of group that ECMA-262 does not know, "
      "at byte 0" },
    { "an atomic group", "(?>a)", "has a kind of group that ECMA-262 does not "
      "know, at byte 0" },
    { "a group's lost end", "a)", "has a \")\" without its \"(\", at byte 1" },
    { "a class' lost end", "[a\\]", "has a \"[\" without its \"]\", at byte "
      "0" },
    { "a name's lost end", "(?<a", "has a group's name without its \">\", at "
      "byte 0" },
    { "a brace", "a{,5}", "has a \"{\" that begins no quantifier (meant "
      "itself, it needs a backslash), at byte 1" },
    { "a set in a range", "[\\w-.]", "has a range with a set as an end (a "
      "hyphen that is meant itself stands last), at byte 5" },
    { "a lone backslash", "a\\", "ends with a lone backslash, at byte 1" },
    { "\\Q", "\\Qa\\E", "has an escape that ECMA-262 does not know, at byte "
      "0" },
    { "\\K in a class", "[\\K]", "has an escape that ECMA-262 does not know, "
      "at byte 1" },
    { "an octal", "\\01", "has an escape that ECMA-262 does not know, at byte "
      "0" },
    { "half a surrogate pair", "\\ud800a", "has half a surrogate pair, which "
      "no text contains, at byte 0" },
    { "too large a code point", "\\u{110000}", "has a \"\\u{\" without a code "
      "point in hexadecimal and \"}\", at byte 0" },
    { "an unfinished \\u", "\\u12", "has a \"\\u\" without four hexadecimal "
      "digits, at byte 0" },
    { "an unfinished \\x", "\\x1", "has a \"\\x\" without two hexadecimal "
      "digits, at byte 0" },
    { "an unfinished \\c", "\\c1", "has a \"\\c\" without a letter, at byte "
      "0" },
    { "an unfinished \\p", "\\pL", "has a \"\\p\" without a property in "
      "\"{}\", at byte 0" },
    { "an odd property", "\\p{^L}", "has a \"\\p{\" without a property and "
      "\"}\", at byte 0" },
    { "a name that is not given", "\\k", "has a \"\\k\" without the name of a "
      "group in \"<>\", at byte 0" },
    { NULL, NULL, NULL }
};


static ngx_uint_t  unit_tests;
static ngx_uint_t  unit_failures;


static void
unit_result(ngx_uint_t ok, const char *name)
{
    unit_tests++;
    unit_failures += !ok;

    printf("%sok %u - %s\n", ok ? "" : "not ", (unsigned) unit_tests, name);
}


static void
unit_is(const char *got, const char *expected, const char *name)
{
    unit_result(strcmp(got, expected) == 0, name);

    if (strcmp(got, expected) != 0) {
        printf("# got:\n%s\n# expected:\n%s\n", got, expected);
    }
}


static json_t *
unit_parse(const char *text)
{
    json_t             *json;
    prov_json_error_t   err;

    json = prov_json_parse((u_char *) text, strlen(text),
                           PROV_JSON_DOCUMENT_DEPTH, &err);
    if (json == NULL) {
        printf("Bail out! %s in %s\n", err.text, text);
        exit(2);
    }

    return json;
}


static prov_schema_t *
unit_compile(ngx_pool_t *pool, const char *text, const char *at,
    prov_fault_t *fault)
{
    json_t                  *json;
    ngx_str_t                pointer;
    ngx_pool_t              *temp;
    prov_schema_t           *schema;
    prov_schema_compiler_t  *compiler;

    json = unit_parse(text);
    temp = ngx_create_pool(4096, ngx_shim_log());

    pointer.data = (u_char *) at;
    pointer.len = strlen(at);

    compiler = prov_schema_compiler_create(pool, temp, json);
    schema = prov_schema_compile(compiler, &pointer, fault);

    /* what is compiled needs neither any more */

    ngx_destroy_pool(temp);
    json_decref(json);

    return schema;
}


static void
unit_print(char *buf, size_t size, prov_schema_report_t *report)
{
    u_char                   *p;
    ngx_uint_t                i;
    prov_schema_violation_t  *v;

    p = (u_char *) buf;
    v = report->violations.elts;

    for (i = 0; i < report->violations.nelts; i++) {
        p = ngx_slprintf(p, (u_char *) buf + size - 1, "%V|%V|%V\n",
                         &v[i].pointer, &v[i].code, &v[i].message);
    }

    *p = '\0';
}


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


static void
unit_fault(const char *name, const char *schema, const char *at,
    const char *expected)
{
    char           text[2048];
    ngx_pool_t    *pool;
    prov_fault_t   fault;

    pool = ngx_create_pool(4096, ngx_shim_log());

    if (unit_compile(pool, schema, at, &fault)) {
        unit_is("compiled", expected, name);

    } else {
        snprintf(text, sizeof(text), "%.*s|%.*s",
                 (int) fault.pointer.len, (char *) fault.pointer.data,
                 (int) fault.message.len, (char *) fault.message.data);
        unit_is(text, expected, name);
    }

    ngx_destroy_pool(pool);
}


static void
unit_pattern(unit_fault_t *test)
{
    char    name[128], expected[512], *schema;
    json_t *json;

    snprintf(name, sizeof(name), "a pattern with %s is refused", test->name);
    snprintf(expected, sizeof(expected),
             "/pattern|is no ECMA-262 pattern: it %s", test->fault);

    json = json_pack("{ss}", "pattern", test->schema);
    schema = json_dumps(json, 0);

    unit_fault(name, schema, "", expected);

    free(schema);
    json_decref(json);
}


static void
unit_types(const char *name, const char *text, ngx_uint_t types)
{
    ngx_pool_t     *pool;
    prov_fault_t    fault;
    prov_schema_t  *schema;

    pool = ngx_create_pool(4096, ngx_shim_log());
    schema = unit_compile(pool, text, "", &fault);

    unit_result(schema && prov_schema_types(schema) == types, name);

    ngx_destroy_pool(pool);
}


static void
unit_items(void)
{
    ngx_pool_t     *pool;
    prov_fault_t    fault;
    prov_schema_t  *schema, *items;

    pool = ngx_create_pool(4096, ngx_shim_log());
    schema = unit_compile(pool, "{\"$ref\": \"#/$defs/a\", \"$defs\": {"
                          "\"a\": {\"allOf\": [true, {\"items\":"
                          " {\"type\": \"integer\"}}]}}}", "", &fault);

    items = schema ? prov_schema_items(schema) : NULL;

    unit_result(items && prov_schema_types(items) == PROV_SCHEMA_INTEGER,
                "items are found through $ref and allOf");

    schema = unit_compile(pool, "{\"prefixItems\": [true]}", "", &fault);

    unit_result(schema && prov_schema_items(schema) == NULL,
                "a tuple has no items");

    ngx_destroy_pool(pool);
}


static ngx_uint_t
unit_utf8(ngx_str_t *text)
{
    json_t  *json;

    /* jansson's check is as good as another */

    json = json_stringn((char *) text->data, text->len);
    json_decref(json);

    return json != NULL && memchr(text->data, '\0', text->len) == NULL;
}


/* what a schema repeats of itself has a bound, too, and ends a character */

static void
unit_long(void)
{
    char                     *text, long_text[2000];
    json_t                   *json, *value;
    ngx_uint_t                i;
    ngx_pool_t               *pool;
    prov_fault_t              fault;
    prov_schema_t            *schema;
    prov_schema_report_t      report;
    prov_schema_violation_t  *v;

    for (i = 0; i + 2 < sizeof(long_text); i += 2) {
        memcpy(long_text + i, "é", 2);
    }

    long_text[i] = '\0';

    json = json_pack("{s{ss} s[ss] s[{s[ss]},{s[ss]}]}",
                     "propertyNames", "const", long_text,
                     "required", long_text, "a",
                     "anyOf", "enum", long_text, "x", "enum", long_text, "y");

    text = json_dumps(json, 0);
    pool = ngx_create_pool(4096, ngx_shim_log());
    schema = unit_compile(pool, text, "", &fault);
    value = unit_parse("{\"a\": 1}");

    prov_schema_report_init(&report, pool, 20);

    unit_result(schema && prov_schema_validate(schema, value, &report)
                          == NGX_DECLINED
                && report.violations.nelts == 3, "long names are told");

    v = report.violations.elts;

    for (i = 0; i < report.violations.nelts; i++) {
        unit_result(v[i].message.len < 520 && v[i].pointer.len < 140
                    && unit_utf8(&v[i].message) && unit_utf8(&v[i].pointer),
                    "a long name is cut between two characters");
    }

    free(text);
    json_decref(json);
    json_decref(value);
    ngx_destroy_pool(pool);
}


/* one compiler, several schemas of one document, and its end after a fault */

static void
unit_compiler(void)
{
    json_t                  *json;
    ngx_str_t                a = ngx_string("/s/a"), b = ngx_string("/s/b");
    ngx_str_t                c = ngx_string("/s/c"), d = ngx_string("/s/d");
    ngx_str_t                e = ngx_string("/s/a/items");
    ngx_pool_t              *pool;
    prov_fault_t             fault, again;
    prov_schema_t           *first, *second;
    prov_schema_compiler_t  *compiler;

    pool = ngx_create_pool(4096, ngx_shim_log());
    json = unit_parse("{\"s\": {\"a\": {\"items\": {\"$ref\": \"#/s/b\"}},"
                      " \"b\": {\"items\": {\"$ref\": \"#/s/a\"}},"
                      " \"c\": true, \"d\": {\"bad\": 1}}}");

    compiler = prov_schema_compiler_create(pool, pool, json);

    first = prov_schema_compile(compiler, &a, &fault);
    second = prov_schema_compile(compiler, &b, &fault);

    unit_result(first && second && first != second
                && prov_schema_compile(compiler, &a, &fault) == first,
                "a schema compiles once, however often it is asked for");

    unit_result(prov_schema_compile(compiler, &e, &fault)
                == prov_schema_items(first),
                "a schema within a schema is the same node");

    unit_result(prov_schema_compile(compiler, &c, &fault) != NULL,
                "a boolean schema compiles");

    ngx_str_set(&again.file, "partner.json");

    unit_result(prov_schema_compile(compiler, &d, &fault) == NULL
                && prov_schema_compile(compiler, &c, &again) == NULL
                && again.file.len == sizeof("partner.json") - 1
                && again.message.len == fault.message.len
                && memcmp(again.message.data, fault.message.data,
                          fault.message.len)
                   == 0,
                "after a fault a compiler repeats it");

    json_decref(json);
    ngx_destroy_pool(pool);
}


/* two values in one report, the second one beyond its bound */

static void
unit_report(void)
{
    char                   text[1024];
    json_t                *value;
    ngx_pool_t            *pool;
    prov_fault_t           fault;
    prov_schema_t         *schema;
    prov_schema_report_t   report;

    pool = ngx_create_pool(4096, ngx_shim_log());
    schema = unit_compile(pool, "{\"items\": {\"type\": \"string\"}}", "",
                          &fault);
    value = unit_parse("[1, 2]");

    prov_schema_report_init(&report, pool, 3);

    unit_result(report.violations.elts == NULL
                && report.violations.nelts == 0,
                "an empty report has no memory");

    (void) prov_schema_validate(schema, value, &report);
    (void) prov_schema_validate(schema, value, &report);

    unit_print(text, sizeof(text), &report);

    unit_is(text, "/0|type|must be a string, not a number\n"
                  "/1|type|must be a string, not a number\n"
                  "/0|type|must be a string, not a number\n",
            "a report collects several values, up to its bound");

    unit_result(report.total == 4, "what is not kept is counted");

    json_decref(value);
    value = unit_parse("[1, {\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\": 1},"
                       " 2]");
    schema = unit_compile(pool, "{\"items\": {\"type\": [\"string\","
                          " \"object\"], \"patternProperties\":"
                          " {\"^(a+)+$\": true}}}", "", &fault);

    prov_schema_report_init(&report, pool, 1);

    unit_result(prov_schema_validate(schema, value, &report) == NGX_DECLINED
                && report.total == 2 && report.violations.nelts == 1,
                "the end of all work is no exception to the bound");

    prov_schema_report_init(&report, pool, 0);

    unit_result(prov_schema_validate(schema, value, &report) == NGX_DECLINED
                && report.total == 2 && report.violations.nelts == 0,
                "a report of none keeps none");

    json_decref(value);
    ngx_destroy_pool(pool);
}


int
main(void)
{
    unit_fault_t      *fault;
    unit_violation_t  *violation;

    for (violation = unit_violations; violation->name; violation++) {
        unit_violation(violation);
    }

    for (fault = unit_faults; fault->name; fault++) {
        unit_fault(fault->name, fault->schema, "", fault->fault);
    }

    for (fault = unit_patterns; fault->name; fault++) {
        unit_pattern(fault);
    }

    unit_fault("a pointer to nothing is told", "{\"a\": {\"b\": true}}",
               "/a/c/d", "/a|there is no \"c\" here");
    unit_fault("a pointer begins with a slash", "{\"a\": true}", "a",
               "|there is no \"a\" here");
    unit_fault("a pointer to no schema is told", "{\"a\": 1}", "/a",
               "/a|a schema must be an object, true or false");

    unit_types("no type admits all", "{\"minimum\": 1}", PROV_SCHEMA_ANY);
    unit_types("a number admits integers", "{\"type\": \"number\"}",
               PROV_SCHEMA_NUMBER|PROV_SCHEMA_INTEGER);
    unit_types("types meet through $ref and allOf",
               "{\"$ref\": \"#/$defs/n\", \"allOf\": [{\"type\": [\"integer\","
               " \"string\", \"null\"]}], \"$defs\": {\"n\":"
               " {\"type\": [\"number\", \"null\"]}}}",
               PROV_SCHEMA_INTEGER|PROV_SCHEMA_NULL);
    unit_types("types do not meet through anyOf",
               "{\"anyOf\": [{\"type\": \"string\"}]}", PROV_SCHEMA_ANY);

    unit_items();
    unit_long();
    unit_compiler();
    unit_report();

    printf("1..%u\n", (unsigned) unit_tests);

    return unit_failures != 0;
}
