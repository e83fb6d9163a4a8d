/*
 * What the compiler refuses of a schema, where, and with which advice.
 * Prints TAP.
 */

#include "schema_tap.h"


typedef struct {
    const char  *name;
    const char  *schema;
    const char  *fault;      /* "pointer|message" */
} unit_fault_t;


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
      "{\"type\": \"string\", \"nullable\": true}",
      "/nullable|\"nullable\" is not supported: add \"null\" to \"type\"" },

    { "definitions is refused with advice",
      "{\"definitions\": {}}",
      "/definitions|\"definitions\" is not supported: write \"$defs\"" },

    { "an unknown format is refused with those that are known",
      "{\"items\": {\"format\": \"emial\"}}",
      "/items/format|names a format that is not known: remove it, or write one "
      "of date, date-time, duration, email, hostname, int32, int64, ipv4, "
      "ipv6, regex, time, uri, uuid" },

    { "a sentence for a pattern needs one",
      "{\"items\": {\"x-pattern-message\": \"must be so\"}}",
      "/items/x-pattern-message|says nothing without a \"pattern\" beside "
      "it" },

    { "a sentence for a pattern goes on as all messages do",
      "{\"pattern\": \"a\", \"x-pattern-message\": \"Please, an a!\"}",
      "/x-pattern-message|must say what is right in at most 200 bytes, begin "
      "with \"must \" and not end with a full stop, like \"must be of a to "
      "z\"" },

    { "and has no full stop",
      "{\"pattern\": \"a\", \"x-pattern-message\": \"must be an a.\"}",
      "/x-pattern-message|must say what is right in at most 200 bytes, begin "
      "with \"must \" and not end with a full stop, like \"must be of a to "
      "z\"" },

    { "nor a line's end",
      "{\"pattern\": \"a\", \"x-pattern-message\": \"must be\\nan a\"}",
      "/x-pattern-message|must say what is right in at most 200 bytes, begin "
      "with \"must \" and not end with a full stop, like \"must be of a to "
      "z\"" },

    { "a sentence for a pattern is a string",
      "{\"pattern\": \"a\", \"x-pattern-message\": 1}",
      "/x-pattern-message|must be a string" },

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


int
main(void)
{
    unit_fault_t  *fault;

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

    return unit_end();
}
