/*
 * Which keywords there are, what their values must look like, and what to say
 * about those that are not claimed.  Called by the compiler for each schema
 * before anything is built of it, so that the builders may trust the forms.
 */

#include "schema/prov_schema_compiler.h"


typedef enum {
    PROV_SCHEMA_FORM_ANY = 0,
    PROV_SCHEMA_FORM_STRING,
    PROV_SCHEMA_FORM_BOOLEAN,
    PROV_SCHEMA_FORM_COUNT,       /* an integer from 0 */
    PROV_SCHEMA_FORM_NUMBER,
    PROV_SCHEMA_FORM_POSITIVE,
    PROV_SCHEMA_FORM_ARRAY,
    PROV_SCHEMA_FORM_VALUES,      /* an array with something in it */
    PROV_SCHEMA_FORM_STRINGS,
    PROV_SCHEMA_FORM_TYPE,
    PROV_SCHEMA_FORM_SCHEMA,
    PROV_SCHEMA_FORM_SCHEMAS,     /* an array of them, not empty */
    PROV_SCHEMA_FORM_SCHEMA_MAP,
    PROV_SCHEMA_FORM_STRINGS_MAP,
    PROV_SCHEMA_FORM_DIALECT,
    PROV_SCHEMA_FORM_OBJECT
} prov_schema_form_e;


typedef struct {
    const char           *name;
    prov_schema_form_e    form;
} prov_schema_keyword_t;


typedef struct {
    const char           *name;
    const char           *advice;
} prov_schema_advice_t;


static ngx_int_t prov_schema_unknown(prov_schema_compiler_t *compiler,
    const char *name, prov_schema_path_t *path);
static ngx_int_t prov_schema_form(prov_schema_compiler_t *compiler,
    prov_schema_keyword_t *keyword, json_t *value, prov_schema_path_t *path);
static const char *prov_schema_form_error(prov_schema_form_e form,
    json_t *value);
static ngx_uint_t prov_schema_form_count(json_t *value);
static ngx_uint_t prov_schema_form_strings(json_t *value);
static ngx_uint_t prov_schema_form_strings_map(json_t *value);
static ngx_uint_t prov_schema_form_dialect(json_t *value);


static prov_schema_keyword_t  prov_schema_known[] = {

    { "$ref", PROV_SCHEMA_FORM_STRING },
    { "$defs", PROV_SCHEMA_FORM_SCHEMA_MAP },

    { "type", PROV_SCHEMA_FORM_TYPE },
    { "enum", PROV_SCHEMA_FORM_VALUES },
    { "const", PROV_SCHEMA_FORM_ANY },
    { "format", PROV_SCHEMA_FORM_STRING },

    { "multipleOf", PROV_SCHEMA_FORM_POSITIVE },
    { "minimum", PROV_SCHEMA_FORM_NUMBER },
    { "maximum", PROV_SCHEMA_FORM_NUMBER },
    { "exclusiveMinimum", PROV_SCHEMA_FORM_NUMBER },
    { "exclusiveMaximum", PROV_SCHEMA_FORM_NUMBER },

    { "minLength", PROV_SCHEMA_FORM_COUNT },
    { "maxLength", PROV_SCHEMA_FORM_COUNT },
    { "pattern", PROV_SCHEMA_FORM_STRING },
    { "x-pattern-message", PROV_SCHEMA_FORM_STRING },

    { "items", PROV_SCHEMA_FORM_SCHEMA },
    { "prefixItems", PROV_SCHEMA_FORM_SCHEMAS },
    { "contains", PROV_SCHEMA_FORM_SCHEMA },
    { "minContains", PROV_SCHEMA_FORM_COUNT },
    { "maxContains", PROV_SCHEMA_FORM_COUNT },
    { "minItems", PROV_SCHEMA_FORM_COUNT },
    { "maxItems", PROV_SCHEMA_FORM_COUNT },
    { "uniqueItems", PROV_SCHEMA_FORM_BOOLEAN },

    { "properties", PROV_SCHEMA_FORM_SCHEMA_MAP },
    { "patternProperties", PROV_SCHEMA_FORM_SCHEMA_MAP },
    { "additionalProperties", PROV_SCHEMA_FORM_SCHEMA },
    { "propertyNames", PROV_SCHEMA_FORM_SCHEMA },
    { "required", PROV_SCHEMA_FORM_STRINGS },
    { "dependentRequired", PROV_SCHEMA_FORM_STRINGS_MAP },
    { "dependentSchemas", PROV_SCHEMA_FORM_SCHEMA_MAP },
    { "minProperties", PROV_SCHEMA_FORM_COUNT },
    { "maxProperties", PROV_SCHEMA_FORM_COUNT },

    { "allOf", PROV_SCHEMA_FORM_SCHEMAS },
    { "anyOf", PROV_SCHEMA_FORM_SCHEMAS },
    { "oneOf", PROV_SCHEMA_FORM_SCHEMAS },
    { "not", PROV_SCHEMA_FORM_SCHEMA },
    { "if", PROV_SCHEMA_FORM_SCHEMA },
    { "then", PROV_SCHEMA_FORM_SCHEMA },
    { "else", PROV_SCHEMA_FORM_SCHEMA },

    /* annotations */

    { "$schema", PROV_SCHEMA_FORM_DIALECT },
    { "$comment", PROV_SCHEMA_FORM_STRING },
    { "title", PROV_SCHEMA_FORM_STRING },
    { "description", PROV_SCHEMA_FORM_STRING },
    { "default", PROV_SCHEMA_FORM_ANY },
    { "example", PROV_SCHEMA_FORM_ANY },
    { "examples", PROV_SCHEMA_FORM_ARRAY },
    { "deprecated", PROV_SCHEMA_FORM_BOOLEAN },
    { "readOnly", PROV_SCHEMA_FORM_BOOLEAN },
    { "writeOnly", PROV_SCHEMA_FORM_BOOLEAN },
    { "contentMediaType", PROV_SCHEMA_FORM_STRING },
    { "contentEncoding", PROV_SCHEMA_FORM_STRING },
    { "externalDocs", PROV_SCHEMA_FORM_OBJECT },

    { NULL, PROV_SCHEMA_FORM_ANY }
};


/* of other drafts, of OpenAPI 3.0, or not claimed */

static prov_schema_advice_t  prov_schema_advice[] = {

    { "unevaluatedProperties",
      "write \"additionalProperties\": false beside the \"properties\" that "
      "list them all" },
    { "unevaluatedItems",
      "write \"items\": false beside \"prefixItems\"" },
    { "$id",
      "remove it, and refer to this schema by \"$ref\" with a JSON pointer "
      "such as \"#/$defs/name\"" },
    { "id",
      "remove it, and refer to this schema by \"$ref\" with a JSON pointer "
      "such as \"#/$defs/name\"" },
    { "$anchor",
      "remove it, and refer to this schema by \"$ref\" with a JSON pointer "
      "such as \"#/$defs/name\"" },
    { "$dynamicAnchor",
      "remove it, and refer to this schema by \"$ref\" with a JSON pointer "
      "such as \"#/$defs/name\"" },
    { "$dynamicRef",
      "write \"$ref\" with a JSON pointer such as \"#/$defs/name\"" },
    { "$recursiveRef",
      "write \"$ref\" with a JSON pointer such as \"#/$defs/name\"" },
    { "$recursiveAnchor",
      "remove it, and write \"$ref\": \"#\" where the schema repeats" },
    { "$vocabulary",
      "remove it; all keywords of the documentation are always known" },
    { "definitions", "write \"$defs\"" },
    { "dependencies",
      "write \"dependentRequired\" for names and \"dependentSchemas\" for "
      "schemas" },
    { "additionalItems",
      "write \"prefixItems\" for the first items and \"items\" for the "
      "others" },
    { "contentSchema",
      "remove it; the content of strings is not looked at" },
    { "nullable", "add \"null\" to \"type\"" },
    { "discriminator",
      "remove it, and write the property's value as \"const\" in each "
      "schema of \"oneOf\"" },
    { "xml", "remove it; only JSON is read" },
    { "divisibleBy", "write \"multipleOf\"" },
    { "extends", "write \"allOf\"" },
    { "disallow", "write \"not\"" },

    { NULL, NULL }
};


ngx_int_t
prov_schema_keywords(prov_schema_compiler_t *compiler, json_t *json,
    prov_schema_path_t *path)
{
    void                   *it;
    size_t                  len;
    const char             *name;
    prov_schema_path_t     *step;
    prov_schema_keyword_t  *keyword;

    for (it = json_object_iter(json);
         it;
         it = json_object_iter_next(json, it))
    {
        name = json_object_iter_key(it);
        len = json_object_iter_key_len(it);

        step = prov_schema_step(compiler, path, name, len, 0);
        if (step == NULL) {
            return NGX_ERROR;
        }

        for (keyword = prov_schema_known; keyword->name; keyword++) {
            if (ngx_strcmp(keyword->name, name) == 0) {
                break;
            }
        }

        if (keyword->name == NULL && name[0] == 'x' && name[1] == '-') {
            /* others' extensions are the loader's to refuse */
            continue;
        }

        if (keyword->name == NULL) {
            return prov_schema_unknown(compiler, name, step);
        }

        if (prov_schema_form(compiler, keyword, json_object_iter_value(it),
                             step)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
prov_schema_unknown(prov_schema_compiler_t *compiler, const char *name,
    prov_schema_path_t *path)
{
    ngx_uint_t              d, nearest;
    const char             *best;
    prov_schema_advice_t   *advice;
    prov_schema_keyword_t  *keyword;

    for (advice = prov_schema_advice; advice->name; advice++) {

        if (ngx_strcmp(advice->name, name) == 0) {
            return prov_schema_fault(compiler, path,
                                     "\"%s\" is not supported: %s", name,
                                     advice->advice);
        }
    }

    best = NULL;
    nearest = 3;

    for (keyword = prov_schema_known; keyword->name; keyword++) {

        d = prov_schema_distance((u_char *) name, ngx_strlen(name),
                                 (u_char *) keyword->name,
                                 ngx_strlen(keyword->name));
        if (d < nearest) {
            nearest = d;
            best = keyword->name;
        }
    }

    if (best) {
        return prov_schema_fault(compiler, path,
                                 "is not a known keyword: did you mean "
                                 "\"%s\"?", best);
    }

    return prov_schema_fault(compiler, path,
                             "is not a known keyword: remove it; what is for "
                             "people goes into \"description\" or "
                             "\"$comment\"");
}


static ngx_int_t
prov_schema_form(prov_schema_compiler_t *compiler,
    prov_schema_keyword_t *keyword, json_t *value, prov_schema_path_t *path)
{
    const char  *err;

    err = prov_schema_form_error(keyword->form, value);

    if (err == NULL) {
        return NGX_OK;
    }

    if (keyword->form == PROV_SCHEMA_FORM_SCHEMA && json_is_array(value)) {
        /* "items" was one before 2020-12 */
        err = "a schema; for one schema per position write \"prefixItems\"";
    }

    if (keyword->form == PROV_SCHEMA_FORM_NUMBER && json_is_boolean(value)) {
        /* "exclusiveMinimum" was one before draft 6 */
        err = "a number: the bound itself";
    }

    return prov_schema_fault(compiler, path, "must be %s", err);
}


/* NULL when the value has the form */

static const char *
prov_schema_form_error(prov_schema_form_e form, json_t *value)
{
    prov_schema_number_t  number, zero;

    switch (form) {

    case PROV_SCHEMA_FORM_STRING:
        return json_is_string(value) ? NULL : "a string";

    case PROV_SCHEMA_FORM_BOOLEAN:
        return json_is_boolean(value) ? NULL : "true or false";

    case PROV_SCHEMA_FORM_COUNT:
        return prov_schema_form_count(value) ? NULL : "an integer from 0";

    case PROV_SCHEMA_FORM_NUMBER:
        return json_is_number(value) ? NULL : "a number";

    case PROV_SCHEMA_FORM_POSITIVE:
        if (json_is_number(value)) {
            ngx_memzero(&zero, sizeof(prov_schema_number_t));
            prov_schema_number(&number, value);

            if (prov_schema_number_compare(&number, &zero) > 0) {
                return NULL;
            }
        }

        return "a number greater than 0";

    case PROV_SCHEMA_FORM_ARRAY:
        return json_is_array(value) ? NULL : "an array";

    case PROV_SCHEMA_FORM_VALUES:
        return json_array_size(value) ? NULL
                                      : "an array with at least one value";

    case PROV_SCHEMA_FORM_STRINGS:
        return prov_schema_form_strings(value) ? NULL : "an array of strings";

    case PROV_SCHEMA_FORM_TYPE:
        return (json_is_string(value)
                || (json_array_size(value)
                    && prov_schema_form_strings(value)))
               ? NULL : "the name of a type, or an array of such names";

    case PROV_SCHEMA_FORM_SCHEMA:
        return (json_is_object(value) || json_is_boolean(value))
               ? NULL : "a schema";

    case PROV_SCHEMA_FORM_SCHEMAS:
        return json_array_size(value) ? NULL
                                      : "an array with at least one schema";

    case PROV_SCHEMA_FORM_SCHEMA_MAP:
        return json_is_object(value) ? NULL : "an object of schemas";

    case PROV_SCHEMA_FORM_STRINGS_MAP:
        return prov_schema_form_strings_map(value)
               ? NULL : "an object of arrays of strings";

    case PROV_SCHEMA_FORM_DIALECT:
        return prov_schema_form_dialect(value)
               ? NULL : "\"https://json-schema.org/draft/2020-12/schema\", "
                        "the only draft that is supported";

    case PROV_SCHEMA_FORM_OBJECT:
        return json_is_object(value) ? NULL : "an object";

    default: /* PROV_SCHEMA_FORM_ANY */
        return NULL;
    }
}


static ngx_uint_t
prov_schema_form_count(json_t *value)
{
    prov_schema_number_t  number;

    if (!json_is_number(value)) {
        return 0;
    }

    prov_schema_number(&number, value);

    return !number.is_real && number.integer >= 0;
}


static ngx_uint_t
prov_schema_form_strings(json_t *value)
{
    size_t  i;

    if (!json_is_array(value)) {
        return 0;
    }

    for (i = 0; i < json_array_size(value); i++) {
        if (!json_is_string(json_array_get(value, i))) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
prov_schema_form_strings_map(json_t *value)
{
    void  *it;

    if (!json_is_object(value)) {
        return 0;
    }

    for (it = json_object_iter(value);
         it;
         it = json_object_iter_next(value, it))
    {
        if (!prov_schema_form_strings(json_object_iter_value(it))) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
prov_schema_form_dialect(json_t *value)
{
    size_t       len;
    ngx_uint_t   i;
    const char  *text;

    static const char  *dialects[] = {
        "https://json-schema.org/draft/2020-12/schema",
        "https://spec.openapis.org/oas/3.1/dialect/base",
        NULL
    };

    if (!json_is_string(value)) {
        return 0;
    }

    text = json_string_value(value);
    len = json_string_length(value);

    /* an empty fragment changes nothing */

    if (len && text[len - 1] == '#') {
        len--;
    }

    for (i = 0; dialects[i]; i++) {
        if (ngx_strlen(dialects[i]) == len
            && ngx_strncmp(dialects[i], text, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}
