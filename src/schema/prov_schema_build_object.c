/*
 * Builds what a schema says of objects: one table of all names it knows,
 * patterns, and the dependents.  Called by prov_schema_build() only.
 */

#include "schema/prov_schema_compiler.h"


static ngx_uint_t prov_schema_has_object(json_t *json);
static ngx_int_t prov_schema_build_properties(
    prov_schema_compiler_t *compiler, prov_schema_entry_t *entry,
    prov_schema_object_t *object);
static ngx_int_t prov_schema_build_schemas(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry, json_t *properties,
    prov_schema_object_t *object);
static ngx_int_t prov_schema_build_required(prov_schema_compiler_t *compiler,
    json_t *required, prov_schema_object_t *object);
static prov_schema_property_t *prov_schema_build_name(
    prov_schema_compiler_t *compiler, prov_schema_object_t *object,
    const char *name, size_t len);
static ngx_int_t prov_schema_build_patterns(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry, prov_schema_object_t *object);
static ngx_int_t prov_schema_build_dependents(
    prov_schema_compiler_t *compiler, prov_schema_entry_t *entry,
    prov_schema_object_t *object);
static ngx_int_t prov_schema_build_dependent_names(
    prov_schema_compiler_t *compiler, json_t *names,
    prov_schema_object_t *object);
static ngx_int_t prov_schema_build_dependent_schemas(
    prov_schema_compiler_t *compiler, prov_schema_entry_t *entry,
    json_t *schemas, prov_schema_object_t *object);
static prov_schema_dependent_t *prov_schema_build_dependent(
    prov_schema_compiler_t *compiler, prov_schema_object_t *object, void *it);
static ngx_int_t prov_schema_build_string(prov_schema_compiler_t *compiler,
    ngx_str_t *dst, const char *text, size_t len);


ngx_int_t
prov_schema_build_object(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry)
{
    json_t                *json;
    prov_schema_object_t  *object;

    json = entry->json;

    if (!prov_schema_has_object(json)) {
        return NGX_OK;
    }

    object = ngx_pcalloc(compiler->pool, sizeof(prov_schema_object_t));
    if (object == NULL) {
        return prov_schema_no_memory(compiler);
    }

    entry->node->object = object;

    object->min = prov_schema_build_count(json, "minProperties", 0);
    object->max = prov_schema_build_count(json, "maxProperties",
                                          PROV_SCHEMA_UNLIMITED);

    if (prov_schema_build_properties(compiler, entry, object) != NGX_OK
        || prov_schema_build_patterns(compiler, entry, object) != NGX_OK
        || prov_schema_build_dependents(compiler, entry, object) != NGX_OK
        || prov_schema_build_child(compiler, entry, "additionalProperties",
                                   &object->additional)
           != NGX_OK
        || prov_schema_build_child(compiler, entry, "propertyNames",
                                   &object->names)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_uint_t
prov_schema_has_object(json_t *json)
{
    ngx_uint_t  i;

    static const char  *keywords[] = {
        "properties", "patternProperties", "additionalProperties",
        "propertyNames", "required", "dependentRequired",
        "dependentSchemas", "minProperties", "maxProperties", NULL
    };

    for (i = 0; keywords[i]; i++) {
        if (json_object_get(json, keywords[i])) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
prov_schema_build_properties(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry, prov_schema_object_t *object)
{
    size_t   n;
    json_t  *properties, *required;

    properties = json_object_get(entry->json, "properties");
    required = json_object_get(entry->json, "required");

    n = json_object_size(properties) + json_array_size(required);

    if (n == 0) {
        return NGX_OK;
    }

    /* one table: it finds the names that are in both */

    for (object->mask = 3; object->mask < n * 2; /* void */ ) {
        object->mask = object->mask * 2 + 1;
    }

    object->slots = ngx_pcalloc(compiler->pool, ((size_t) object->mask + 1)
                                                * sizeof(uint32_t));
    if (object->slots == NULL
        || ngx_array_init(&object->properties, compiler->pool, n,
                          sizeof(prov_schema_property_t))
           != NGX_OK)
    {
        return prov_schema_no_memory(compiler);
    }

    if (prov_schema_build_schemas(compiler, entry, properties, object)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return prov_schema_build_required(compiler, required, object);
}


static ngx_int_t
prov_schema_build_schemas(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry, json_t *properties,
    prov_schema_object_t *object)
{
    void                    *it;
    prov_schema_path_t      *path, *step;
    prov_schema_property_t  *property;

    path = prov_schema_step(compiler, entry->path, "properties", 10, 0);
    if (path == NULL) {
        return NGX_ERROR;
    }

    for (it = json_object_iter(properties);
         it;
         it = json_object_iter_next(properties, it))
    {
        property = prov_schema_build_name(compiler, object,
                                          json_object_iter_key(it),
                                          json_object_iter_key_len(it));
        if (property == NULL) {
            return prov_schema_no_memory(compiler);
        }

        step = prov_schema_step(compiler, path, json_object_iter_key(it),
                                json_object_iter_key_len(it), 0);
        if (step == NULL) {
            return NGX_ERROR;
        }

        property->schema = prov_schema_node(compiler,
                                            json_object_iter_value(it), step);
        if (property->schema == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
prov_schema_build_required(prov_schema_compiler_t *compiler,
    json_t *required, prov_schema_object_t *object)
{
    size_t                   i;
    json_t                  *name;
    prov_schema_property_t  *property;

    json_array_foreach(required, i, name) {

        property = prov_schema_build_name(compiler, object,
                                          json_string_value(name),
                                          json_string_length(name));
        if (property == NULL) {
            return prov_schema_no_memory(compiler);
        }

        if (!property->required) {
            property->required = 1;
            object->nrequired++;
        }
    }

    return NGX_OK;
}


/* the property of that name, a new one if need be; NULL: no memory */

static prov_schema_property_t *
prov_schema_build_name(prov_schema_compiler_t *compiler,
    prov_schema_object_t *object, const char *name, size_t len)
{
    uint32_t                 slot;
    prov_schema_property_t  *property;

    for (slot = prov_schema_name_hash((u_char *) name, len) & object->mask;
         object->slots[slot];
         slot = (slot + 1) & object->mask)
    {
        property = object->properties.elts;
        property += object->slots[slot] - 1;

        if (property->name.len == len
            && ngx_memcmp(property->name.data, name, len) == 0)
        {
            return property;
        }
    }

    property = ngx_array_push(&object->properties);
    if (property == NULL) {
        return NULL;
    }

    ngx_memzero(property, sizeof(prov_schema_property_t));

    if (prov_schema_build_string(compiler, &property->name, name, len)
        != NGX_OK)
    {
        return NULL;
    }

    object->slots[slot] = (uint32_t) object->properties.nelts;
    object->longest = ngx_max(object->longest, len);

    return property;
}


static ngx_int_t
prov_schema_build_patterns(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry, prov_schema_object_t *object)
{
    void                            *it;
    json_t                          *patterns;
    prov_schema_path_t              *path, *step;
    prov_schema_pattern_property_t  *pattern;

    patterns = json_object_get(entry->json, "patternProperties");

    if (json_object_size(patterns) == 0) {
        return NGX_OK;
    }

    if (ngx_array_init(&object->patterns, compiler->pool,
                       json_object_size(patterns),
                       sizeof(prov_schema_pattern_property_t))
        != NGX_OK)
    {
        return prov_schema_no_memory(compiler);
    }

    path = prov_schema_step(compiler, entry->path, "patternProperties", 17,
                            0);
    if (path == NULL) {
        return NGX_ERROR;
    }

    for (it = json_object_iter(patterns);
         it;
         it = json_object_iter_next(patterns, it))
    {
        step = prov_schema_step(compiler, path, json_object_iter_key(it),
                                json_object_iter_key_len(it), 0);
        if (step == NULL) {
            return NGX_ERROR;
        }

        pattern = ngx_array_push(&object->patterns);
        if (pattern == NULL) {
            return prov_schema_no_memory(compiler);
        }

        pattern->pattern = prov_schema_build_pattern(compiler,
                                                json_object_iter_key(it),
                                                json_object_iter_key_len(it),
                                                step);
        if (pattern->pattern == NULL) {
            return NGX_ERROR;
        }

        pattern->schema = prov_schema_node(compiler,
                                           json_object_iter_value(it), step);
        if (pattern->schema == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
prov_schema_build_dependents(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry, prov_schema_object_t *object)
{
    size_t   n;
    json_t  *names, *schemas;

    names = json_object_get(entry->json, "dependentRequired");
    schemas = json_object_get(entry->json, "dependentSchemas");

    n = json_object_size(names) + json_object_size(schemas);

    if (n == 0) {
        return NGX_OK;
    }

    if (ngx_array_init(&object->dependents, compiler->pool, n,
                       sizeof(prov_schema_dependent_t))
        != NGX_OK)
    {
        return prov_schema_no_memory(compiler);
    }

    if (prov_schema_build_dependent_names(compiler, names, object) != NGX_OK) {
        return NGX_ERROR;
    }

    return prov_schema_build_dependent_schemas(compiler, entry, schemas,
                                               object);
}


static ngx_int_t
prov_schema_build_dependent_names(prov_schema_compiler_t *compiler,
    json_t *names, prov_schema_object_t *object)
{
    void                     *it;
    size_t                    i;
    json_t                   *name;
    ngx_str_t                *dst;
    prov_schema_dependent_t  *dependent;

    for (it = json_object_iter(names);
         it;
         it = json_object_iter_next(names, it))
    {
        dependent = prov_schema_build_dependent(compiler, object, it);
        if (dependent == NULL) {
            return prov_schema_no_memory(compiler);
        }

        json_array_foreach(json_object_iter_value(it), i, name) {

            dst = ngx_array_push(&dependent->required);

            if (dst == NULL
                || prov_schema_build_string(compiler, dst,
                                            json_string_value(name),
                                            json_string_length(name))
                   != NGX_OK)
            {
                return prov_schema_no_memory(compiler);
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
prov_schema_build_dependent_schemas(prov_schema_compiler_t *compiler,
    prov_schema_entry_t *entry, json_t *schemas, prov_schema_object_t *object)
{
    void                     *it;
    prov_schema_path_t       *path, *step;
    prov_schema_dependent_t  *dependent;

    path = prov_schema_step(compiler, entry->path, "dependentSchemas", 16, 0);
    if (path == NULL) {
        return NGX_ERROR;
    }

    for (it = json_object_iter(schemas);
         it;
         it = json_object_iter_next(schemas, it))
    {
        dependent = prov_schema_build_dependent(compiler, object, it);
        if (dependent == NULL) {
            return prov_schema_no_memory(compiler);
        }

        step = prov_schema_step(compiler, path, json_object_iter_key(it),
                                json_object_iter_key_len(it), 0);
        if (step == NULL) {
            return NGX_ERROR;
        }

        dependent->schema = prov_schema_node(compiler,
                                             json_object_iter_value(it),
                                             step);
        if (dependent->schema == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* a new one, named as the member at it; NULL: no memory */

static prov_schema_dependent_t *
prov_schema_build_dependent(prov_schema_compiler_t *compiler,
    prov_schema_object_t *object, void *it)
{
    prov_schema_dependent_t  *dependent;

    dependent = ngx_array_push(&object->dependents);
    if (dependent == NULL) {
        return NULL;
    }

    ngx_memzero(dependent, sizeof(prov_schema_dependent_t));

    if (prov_schema_build_string(compiler, &dependent->name,
                                 json_object_iter_key(it),
                                 json_object_iter_key_len(it))
        != NGX_OK
        || ngx_array_init(&dependent->required, compiler->pool, 2,
                          sizeof(ngx_str_t))
           != NGX_OK)
    {
        return NULL;
    }

    return dependent;
}


/* NUL-terminated beyond .len, as jansson wants its keys */

static ngx_int_t
prov_schema_build_string(prov_schema_compiler_t *compiler, ngx_str_t *dst,
    const char *text, size_t len)
{
    dst->data = ngx_pnalloc(compiler->pool, len + 1);
    if (dst->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(dst->data, text, len);
    dst->data[len] = '\0';
    dst->len = len;

    return NGX_OK;
}
