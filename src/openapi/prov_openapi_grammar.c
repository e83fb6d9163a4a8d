/*
 * What may stand where in an OpenAPI document: the objects of OpenAPI 3.1.1,
 * section 4.8, our extensions, and why some members cannot be honoured here.
 * Tables only; the walk reads them.  A member that is in no table is an
 * error, because a misspelt one would otherwise just not be enforced.
 */

#include "openapi/prov_openapi_load.h"


#define ONE(name, kind)                                                       \
    { name, PROV_OPENAPI_K_##kind, PROV_OPENAPI_ONE,                          \
      PROV_OPENAPI_ANY_NAME, NULL, NULL }

#define NEED(name, kind, text)                                                \
    { name, PROV_OPENAPI_K_##kind, PROV_OPENAPI_ONE,                          \
      PROV_OPENAPI_ANY_NAME, text, NULL }

#define LIST(name, kind)                                                      \
    { name, PROV_OPENAPI_K_##kind, PROV_OPENAPI_LIST,                         \
      PROV_OPENAPI_ANY_NAME, NULL, NULL }

#define MAP(name, kind, names, text)                                          \
    { name, PROV_OPENAPI_K_##kind, PROV_OPENAPI_MAP,                          \
      PROV_OPENAPI_##names##_NAME, text, NULL }

#define REFUSE(name, text)                                                    \
    { name, PROV_OPENAPI_K_ANY, PROV_OPENAPI_ONE,                             \
      PROV_OPENAPI_ANY_NAME, NULL, text }

#define END  ONE(NULL, ANY)


static prov_openapi_member_t  prov_openapi_document[] = {
    NEED("openapi", STRING, "\"openapi\": \"3.1.0\""),
    NEED("info", INFO, "\"info\": {\"title\": ..., \"version\": ...}"),
    ONE("jsonSchemaDialect", STRING),
    LIST("servers", SERVER),
    MAP("paths", PATH_ITEM, PATH, "\"paths\": {\"/...\": {...}}"),
    MAP("webhooks", PATH_ITEM, ANY, NULL),
    ONE("components", COMPONENTS),
    LIST("security", REQUIREMENT),
    LIST("tags", TAG),
    ONE("externalDocs", EXTERNAL_DOCS),
    ONE("x-roles", ANY),
    NEED("x-database-schema", STRING,
         "\"x-database-schema\": the PostgreSQL schema of the operations' "
         "functions"),
    ONE("x-database-enter", STRING),
    END
};


static prov_openapi_member_t  prov_openapi_info[] = {
    NEED("title", STRING, "\"title\": the name of the API"),
    NEED("version", STRING, "\"version\": the version of this document"),
    ONE("summary", STRING),
    ONE("description", STRING),
    ONE("termsOfService", STRING),
    ONE("contact", CONTACT),
    ONE("license", LICENSE),
    END
};


static prov_openapi_member_t  prov_openapi_contact[] = {
    ONE("name", STRING),
    ONE("url", STRING),
    ONE("email", STRING),
    END
};


static prov_openapi_member_t  prov_openapi_license[] = {
    NEED("name", STRING, "\"name\": the name of the licence"),
    ONE("identifier", STRING),
    ONE("url", STRING),
    END
};


static prov_openapi_member_t  prov_openapi_server[] = {
    NEED("url", STRING, "\"url\": where the API is served, for example "
         "\"/api/provisioning\""),
    ONE("description", STRING),
    MAP("variables", SERVER_VARIABLE, ANY, NULL),
    END
};


static prov_openapi_member_t  prov_openapi_server_variable[] = {
    LIST("enum", STRING),
    NEED("default", STRING, "\"default\": the value used when none is given"),
    ONE("description", STRING),
    END
};


static prov_openapi_member_t  prov_openapi_tag[] = {
    NEED("name", STRING, "\"name\": the tag as operations write it"),
    ONE("description", STRING),
    ONE("externalDocs", EXTERNAL_DOCS),
    END
};


static prov_openapi_member_t  prov_openapi_external_docs[] = {
    NEED("url", STRING, "\"url\": where the documentation is"),
    ONE("description", STRING),
    END
};


static prov_openapi_member_t  prov_openapi_components[] = {
    MAP("schemas", SCHEMA, COMPONENT, NULL),
    MAP("responses", RESPONSE, COMPONENT, NULL),
    MAP("parameters", PARAMETER, COMPONENT, NULL),
    MAP("examples", EXAMPLE, COMPONENT, NULL),
    MAP("requestBodies", REQUEST_BODY, COMPONENT, NULL),
    MAP("headers", HEADER, COMPONENT, NULL),
    MAP("securitySchemes", SECURITY_SCHEME, COMPONENT, NULL),
    MAP("links", LINK, COMPONENT, NULL),
    MAP("callbacks", CALLBACK, COMPONENT, NULL),
    MAP("pathItems", PATH_ITEM, COMPONENT, NULL),
    END
};


static prov_openapi_member_t  prov_openapi_path_item[] = {
    ONE("summary", STRING),
    ONE("description", STRING),
    LIST("parameters", PARAMETER),
    ONE("get", OPERATION),
    ONE("post", OPERATION),
    ONE("put", OPERATION),
    ONE("patch", OPERATION),
    ONE("delete", OPERATION),
    REFUSE("head", "HEAD is answered by the path's \"get\": remove it"),
    REFUSE("options", "OPTIONS is answered with 405 and the methods a path "
           "has: remove it"),
    REFUSE("trace", "TRACE is never served: remove it"),
    REFUSE("servers", "all operations are served below the first of the "
           "document's \"servers\": write them there"),
    END
};


static prov_openapi_member_t  prov_openapi_operation[] = {
    NEED("operationId", STRING, "\"operationId\": the name of the SQL "
         "function, in snake_case"),
    LIST("tags", STRING),
    ONE("summary", STRING),
    ONE("description", STRING),
    ONE("externalDocs", EXTERNAL_DOCS),
    LIST("parameters", PARAMETER),
    ONE("requestBody", REQUEST_BODY),
    MAP("responses", RESPONSE, STATUS, "\"responses\": at least one"),
    MAP("callbacks", CALLBACK, ANY, NULL),
    ONE("deprecated", BOOLEAN),
    LIST("security", REQUIREMENT),
    ONE("x-permission", STRING),
    ONE("x-handler", STRING),
    ONE("x-stream", BOOLEAN),
    ONE("x-several", BOOLEAN),
    ONE("x-event-stream", STRING),
    ONE("x-validate-result", RESULT),
    ONE("x-secret", SECRET),
    ONE("x-outbound-url", STRING),
    REFUSE("servers", "all operations are served below the first of the "
           "document's \"servers\": write them there"),
    END
};


/* an extension of ours: x-validate-result */

static prov_openapi_member_t  prov_openapi_validated[] = {
    NEED("member", STRING, "\"member\": the member of the answer that has "
         "the result"),
    NEED("schema", SCHEMA, "\"schema\": what the result must be"),
    END
};


/* an extension of ours: x-secret */

static prov_openapi_member_t  prov_openapi_secret_grammar[] = {
    NEED("purpose", STRING, "\"purpose\": what the secret is for, in "
         "snake_case"),
    ONE("owner", STRING),
    ONE("make", STRING),
    ONE("member", STRING),
    END
};


static prov_openapi_member_t  prov_openapi_parameter[] = {
    NEED("name", STRING, "\"name\": as it is in the path or the query"),
    NEED("in", STRING, "\"in\": \"path\", \"query\" or \"header\""),
    NEED("schema", SCHEMA, "\"schema\": what values it may have"),
    ONE("description", STRING),
    ONE("required", BOOLEAN),
    ONE("deprecated", BOOLEAN),
    ONE("style", STRING),
    ONE("explode", BOOLEAN),
    ONE("allowReserved", BOOLEAN),
    ONE("example", ANY),
    MAP("examples", EXAMPLE, ANY, NULL),
    ONE("x-permission", STRING),
    REFUSE("content", "a parameter's value is checked against a \"schema\": "
           "write that instead"),
    REFUSE("allowEmptyValue", "whether the value may be empty is for its "
           "\"schema\" to say (\"minLength\"): remove it"),
    END
};


static prov_openapi_member_t  prov_openapi_request_body[] = {
    MAP("content", MEDIA_TYPE, MEDIA,
        "\"content\": {\"application/json\": {\"schema\": ...}}"),
    ONE("description", STRING),
    ONE("required", BOOLEAN),
    END
};


static prov_openapi_member_t  prov_openapi_media_type[] = {
    ONE("schema", SCHEMA),
    ONE("example", ANY),
    MAP("examples", EXAMPLE, ANY, NULL),
    REFUSE("encoding", "forms in several parts are not read: remove it"),
    END
};


static prov_openapi_member_t  prov_openapi_response[] = {
    NEED("description", STRING, "\"description\": when it is answered"),
    MAP("headers", HEADER, ANY, NULL),
    MAP("content", MEDIA_TYPE, MEDIA, NULL),
    MAP("links", LINK, ANY, NULL),
    END
};


static prov_openapi_member_t  prov_openapi_header[] = {
    NEED("schema", SCHEMA, "\"schema\": what values it may have"),
    ONE("description", STRING),
    ONE("required", BOOLEAN),
    ONE("deprecated", BOOLEAN),
    ONE("style", STRING),
    ONE("explode", BOOLEAN),
    ONE("example", ANY),
    MAP("examples", EXAMPLE, ANY, NULL),
    REFUSE("content", "a header's value is described by a \"schema\": write "
           "that instead"),
    END
};


static prov_openapi_member_t  prov_openapi_example[] = {
    ONE("summary", STRING),
    ONE("description", STRING),
    ONE("value", ANY),
    ONE("externalValue", STRING),
    END
};


static prov_openapi_member_t  prov_openapi_link[] = {
    NEED("operationId", STRING, "\"operationId\": the operation it leads to"),
    MAP("parameters", ANY, ANY, NULL),
    ONE("requestBody", ANY),
    ONE("description", STRING),
    ONE("server", SERVER),
    REFUSE("operationRef", "write \"operationId\" instead: it is checked"),
    END
};


static prov_openapi_member_t  prov_openapi_callback[] = {
    ONE("*", PATH_ITEM),
    END
};


static prov_openapi_member_t  prov_openapi_security_scheme[] = {
    NEED("type", STRING, "\"type\": for example \"http\""),
    ONE("description", STRING),
    ONE("name", STRING),
    ONE("in", STRING),
    ONE("scheme", STRING),
    ONE("bearerFormat", STRING),
    ONE("flows", OAUTH_FLOWS),
    ONE("openIdConnectUrl", STRING),
    END
};


static prov_openapi_member_t  prov_openapi_oauth_flows[] = {
    ONE("implicit", OAUTH_FLOW),
    ONE("password", OAUTH_FLOW),
    ONE("clientCredentials", OAUTH_FLOW),
    ONE("authorizationCode", OAUTH_FLOW),
    END
};


static prov_openapi_member_t  prov_openapi_oauth_flow[] = {
    ONE("authorizationUrl", STRING),
    ONE("tokenUrl", STRING),
    ONE("refreshUrl", STRING),
    MAP("scopes", STRING, ANY, "\"scopes\": {}, or the scopes there are"),
    END
};


static prov_openapi_member_t  prov_openapi_requirement[] = {
    LIST("*", STRING),
    END
};


/*
 * Only what leads to further schemas; every other keyword is the schema
 * compiler's to understand or to refuse.
 */

static prov_openapi_member_t  prov_openapi_schema[] = {
    MAP("$defs", SCHEMA, ANY, NULL),
    LIST("allOf", SCHEMA),
    LIST("anyOf", SCHEMA),
    LIST("oneOf", SCHEMA),
    ONE("not", SCHEMA),
    ONE("if", SCHEMA),
    ONE("then", SCHEMA),
    ONE("else", SCHEMA),
    MAP("dependentSchemas", SCHEMA, ANY, NULL),
    LIST("prefixItems", SCHEMA),
    ONE("items", SCHEMA),
    ONE("contains", SCHEMA),
    MAP("properties", SCHEMA, ANY, NULL),
    MAP("patternProperties", SCHEMA, ANY, NULL),
    ONE("additionalProperties", SCHEMA),
    ONE("propertyNames", SCHEMA),
    ONE("unevaluatedItems", SCHEMA),
    ONE("unevaluatedProperties", SCHEMA),
    ONE("contentSchema", SCHEMA),
    ONE("x-pattern-message", ANY),
    ONE("*", ANY),
    END
};


prov_openapi_grammar_t  prov_openapi_grammar[PROV_OPENAPI_KINDS] = {

    [PROV_OPENAPI_K_ANY] = { "a value", NULL, NULL, NULL },
    [PROV_OPENAPI_K_STRING] = { "a string", NULL, NULL, NULL },
    [PROV_OPENAPI_K_BOOLEAN] = { "true or false", NULL, NULL, NULL },

    [PROV_OPENAPI_K_DOCUMENT] =
        { "an OpenAPI document", NULL,
          "x-roles, x-database-schema and x-database-enter",
          prov_openapi_document },

    [PROV_OPENAPI_K_INFO] =
        { "an info object", NULL, NULL, prov_openapi_info },

    [PROV_OPENAPI_K_CONTACT] =
        { "a contact object", NULL, NULL, prov_openapi_contact },

    [PROV_OPENAPI_K_LICENSE] =
        { "a license object", NULL, NULL, prov_openapi_license },

    [PROV_OPENAPI_K_SERVER] =
        { "a server", NULL, NULL, prov_openapi_server },

    [PROV_OPENAPI_K_SERVER_VARIABLE] =
        { "a server variable", NULL, NULL, prov_openapi_server_variable },

    [PROV_OPENAPI_K_TAG] =
        { "a tag", NULL, NULL, prov_openapi_tag },

    [PROV_OPENAPI_K_EXTERNAL_DOCS] =
        { "an externalDocs object", NULL, NULL, prov_openapi_external_docs },

    [PROV_OPENAPI_K_COMPONENTS] =
        { "the components object", NULL, NULL, prov_openapi_components },

    [PROV_OPENAPI_K_PATH_ITEM] =
        { "a path item", "pathItems", NULL, prov_openapi_path_item },

    [PROV_OPENAPI_K_OPERATION] =
        { "an operation", NULL,
          "x-permission, x-handler, x-stream, x-several, x-event-stream, "
          "x-validate-result, x-secret and x-outbound-url",
          prov_openapi_operation },

    [PROV_OPENAPI_K_RESULT] =
        { "an x-validate-result", NULL, NULL, prov_openapi_validated },

    [PROV_OPENAPI_K_SECRET] =
        { "an x-secret", NULL, NULL, prov_openapi_secret_grammar },

    [PROV_OPENAPI_K_PARAMETER] =
        { "a parameter", "parameters", "x-permission",
          prov_openapi_parameter },

    [PROV_OPENAPI_K_REQUEST_BODY] =
        { "a request body", "requestBodies", NULL,
          prov_openapi_request_body },

    [PROV_OPENAPI_K_MEDIA_TYPE] =
        { "a media type object", NULL, NULL, prov_openapi_media_type },

    [PROV_OPENAPI_K_RESPONSE] =
        { "a response", "responses", NULL, prov_openapi_response },

    [PROV_OPENAPI_K_HEADER] =
        { "a header", "headers", NULL, prov_openapi_header },

    [PROV_OPENAPI_K_EXAMPLE] =
        { "an example object", "examples", NULL, prov_openapi_example },

    [PROV_OPENAPI_K_LINK] =
        { "a link", "links", NULL, prov_openapi_link },

    [PROV_OPENAPI_K_CALLBACK] =
        { "a callback", "callbacks", NULL, prov_openapi_callback },

    [PROV_OPENAPI_K_SECURITY_SCHEME] =
        { "a security scheme", "securitySchemes", NULL,
          prov_openapi_security_scheme },

    [PROV_OPENAPI_K_OAUTH_FLOWS] =
        { "an OAuth flows object", NULL, NULL, prov_openapi_oauth_flows },

    [PROV_OPENAPI_K_OAUTH_FLOW] =
        { "an OAuth flow", NULL, NULL, prov_openapi_oauth_flow },

    [PROV_OPENAPI_K_REQUIREMENT] =
        { "a security requirement", NULL, NULL, prov_openapi_requirement },

    [PROV_OPENAPI_K_SCHEMA] =
        { "a schema", "schemas", "x-pattern-message", prov_openapi_schema },
};
