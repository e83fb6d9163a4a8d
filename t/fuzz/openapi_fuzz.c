/*
 * Fuzz target for src/openapi.  The first line of the input is a request,
 * "GET /things/1"; each line "---" begins a file, api.json at first, then
 * 1.json, 2.json, 3.json.  Beyond what sanitizers see, it aborts when a fault
 * does not say where, when a route that was read is not found, or when an
 * operation is open to whom it must not be.
 *
 *     clang -fsanitize=fuzzer,address,undefined … && ./fuzz corpus/openapi
 */

#include "openapi/prov_openapi.h"
#include "ngx_shim.h"

#include <stdio.h>


#define FUZZ_MAX    65536
#define FUZZ_FILES  4


typedef struct {
    char        name[128];
    ngx_str_t   text;
    json_t     *json;        /* NULL: it is none */
} fuzz_file_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static char  fuzz_directory[64];

static const char  *fuzz_methods[] = { "GET", "POST", "PUT", "PATCH",
                                       "DELETE" };


static void
fuzz_require(ngx_uint_t condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "openapi_fuzz: %s\n", what);
        abort();
    }
}


/* the input in pieces; answers how many of them are files */

static ngx_uint_t
fuzz_split(u_char *p, u_char *last, ngx_str_t *request, fuzz_file_t *file)
{
    u_char      *line, *end;
    ngx_str_t   *piece;
    ngx_uint_t   n;

    n = 0;
    piece = request;
    piece->data = p;

    for (line = p; line < last; line = end + 1) {

        end = memchr(line, '\n', last - line);
        if (end == NULL) {
            break;
        }

        if (end - line == 3 && memcmp(line, "---", 3) == 0) {

            if (n == FUZZ_FILES) {
                break;
            }

            piece->len = line - piece->data;
            piece = &file[n++].text;
            piece->data = end + 1;
        }
    }

    piece->len = last - piece->data;

    return n;
}


static void
fuzz_write(fuzz_file_t *file)
{
    FILE  *f;

    f = fopen(file->name, "wb");

    fuzz_require(f != NULL
                 && fwrite(file->text.data, 1, file->text.len, f)
                    == file->text.len
                 && fclose(f) == 0,
                 "a file can be written");
}


static void
fuzz_clean(void)
{
    char        name[128];
    ngx_uint_t  i;

    for (i = 0; i < FUZZ_FILES; i++) {
        snprintf(name, sizeof(name), i ? "%s/%u.json" : "%s/api.json",
                 fuzz_directory, (unsigned) i);
        (void) unlink(name);
    }

    (void) rmdir(fuzz_directory);
}


static void
fuzz_names(fuzz_file_t *file)
{
    ngx_uint_t  i;

    if (fuzz_directory[0] == '\0') {
        strcpy(fuzz_directory, P_tmpdir "/openapi_fuzz.XXXXXX");
        fuzz_require(mkdtemp(fuzz_directory) != NULL, "there is a directory");
        atexit(fuzz_clean);
    }

    for (i = 0; i < FUZZ_FILES; i++) {
        snprintf(file[i].name, sizeof(file[i].name),
                 i ? "%s/%u.json" : "%s/api.json", fuzz_directory,
                 (unsigned) i);
    }
}


/* what a pointer leads to, or NULL */

static json_t *
fuzz_find(json_t *json, ngx_str_t *pointer)
{
    char     *token;
    size_t    n;
    u_char   *p, *last;

    token = malloc(pointer->len + 1);
    p = pointer->data;
    last = p + pointer->len;

    while (p < last && json) {

        fuzz_require(*p++ == '/', "a step of a pointer begins with a slash");

        for (n = 0; p < last && *p != '/'; p++) {

            if (*p == '~') {
                p++;
                fuzz_require(p < last && (*p == '0' || *p == '1'),
                             "a tilde in a pointer is followed by 0 or 1");
                token[n++] = (*p == '0') ? '~' : '/';
                continue;
            }

            token[n++] = *p;
        }

        token[n] = '\0';

        json = json_is_array(json)
               ? json_array_get(json, strtoul(token, NULL, 10))
               : json_object_getn(json, token, n);
    }

    free(token);

    return json;
}


static void
fuzz_fault(prov_fault_t *fault, fuzz_file_t *file)
{
    ngx_uint_t  i;

    fuzz_require(fault->message.len > 0, "a fault says what is wrong");
    fuzz_require(fault->file.len > 0, "a fault says in which file");
    fuzz_require(fault->line == 0 || fault->pointer.len == 0,
                 "a fault says where in one way");
    fuzz_require(fault->message.len < 18
                 || memcmp(fault->message.data, "there is no memory", 18) != 0,
                 "there is memory");

    for (i = 0; i < FUZZ_FILES; i++) {
        if (fault->file.len == strlen(file[i].name)
            && memcmp(fault->file.data, file[i].name, fault->file.len) == 0)
        {
            break;
        }
    }

    /* it may be any file of the system */

    if (i == FUZZ_FILES) {
        return;
    }

    if (fault->line) {
        fuzz_require(file[i].json == NULL, "what is no JSON has lines");
        return;
    }

    /* what is missing in an example is told where it is missing */

    fuzz_require(fuzz_find(file[i].json, &fault->pointer) != NULL
                 || (file[i].json == NULL && fault->pointer.len == 0)
                 || memmem(fault->message.data, fault->message.len,
                           "the example", 11) != NULL,
                 "a fault is where there is something");
}


static ngx_int_t
fuzz_route(prov_openapi_api_t *api, const char *method, u_char *path,
    size_t len, prov_openapi_operation_t **op)
{
    ngx_int_t              rc;
    ngx_str_t              name, text;
    ngx_uint_t             i;
    ngx_pool_t            *pool;
    prov_openapi_match_t   match;

    name.data = (u_char *) method;
    name.len = strlen(method);

    /* of its own size, for the sanitizer to see what reads beyond */

    text.data = malloc(len ? len : 1);
    text.len = len;
    memcpy(text.data, path, len);

    pool = ngx_create_pool(4096, ngx_shim_log());
    rc = prov_openapi_route(api, &name, &text, pool, &match);
    free(text.data);

    switch (rc) {

    case NGX_OK:
        fuzz_require(match.operation != NULL, "there is an operation");

        for (i = 0; i < match.operation->npath; i++) {
            fuzz_require(match.values[i].len > 0, "a value is not empty");
            fuzz_require(memchr(match.values[i].data, '\0',
                                match.values[i].len)
                         == NULL,
                         "a value has no NUL");
        }

        break;

    case PROV_OPENAPI_NOT_ALLOWED:
        fuzz_require(match.allow.len > 0, "some method is allowed");
        break;

    default:
        fuzz_require(rc == NGX_DECLINED || rc == PROV_OPENAPI_BAD_REQUEST,
                     "a route has one of four answers");
    }

    *op = match.operation;
    ngx_destroy_pool(pool);

    return rc;
}


/* a path that its own template matches must lead to an operation */

static void
fuzz_template(prov_openapi_operation_t *op)
{
    u_char                    *p, *d, *path, *last;
    ngx_int_t                  rc;
    prov_openapi_operation_t  *found;

    path = malloc(op->path.len + 1);
    last = op->path.data + op->path.len;
    d = path;

    for (p = op->path.data; p < last; p++) {

        if (*p == '{') {
            *d++ = 'v';
            p = memchr(p, '}', last - p);
            continue;
        }

        *d++ = *p;
    }

    rc = fuzz_route(op->api, fuzz_methods[op->method], path, d - path, &found);
    free(path);

    if (op->npath == 0) {
        fuzz_require(rc == NGX_OK && found == op,
                     "a path leads to its operation");
    }

    /* with a value it may be that of a literal, which has other methods */

    fuzz_require(rc == NGX_OK || rc == PROV_OPENAPI_NOT_ALLOWED,
                 "a path leads somewhere");
}


static void
fuzz_permit(prov_openapi_operation_t *op)
{
    ngx_str_t             name;
    ngx_uint_t            i, permitted;
    prov_openapi_role_t  *role;

    if (op->permission == PROV_OPENAPI_PUBLIC) {
        fuzz_require(prov_openapi_permitted(op, NULL, 0),
                     "everybody may call what is public");
        fuzz_require(op->handler.len > 0, "no function is public");
        return;
    }

    name = ((ngx_str_t *) op->api->permissions.elts)[op->permission];
    role = op->api->roles.elts;
    permitted = 0;

    fuzz_require(!prov_openapi_permitted(op, NULL, 0),
                 "nobody may call what is not public");

    for (i = 0; i < op->api->roles.nelts; i++) {

        permitted |= prov_openapi_permitted(op, &role[i].name, 1);

        fuzz_require(prov_openapi_permitted(op, &role[i].name, 1)
                     == prov_openapi_grants(op->api, &name, &role[i].name, 1),
                     "two questions about a role have one answer");
    }

    fuzz_require(permitted, "some role grants each permission");
}


static void
fuzz_api(prov_openapi_api_t *api, ngx_str_t *request)
{
    char                       method[16];
    u_char                    *path, *last;
    size_t                     n;
    json_t                    *document;
    ngx_uint_t                 i;
    prov_json_error_t          err;
    prov_openapi_operation_t  *op, *found;

    document = prov_json_parse(api->document.data, api->document.len, 1024,
                               &err);
    fuzz_require(json_object_get(document, "x-roles") == NULL
                 && json_object_get(document, "x-database-schema") == NULL
                 && json_object_get(document, "paths") != NULL,
                 "the document that is served is one, without extensions");
    json_decref(document);

    op = api->operations.elts;
    fuzz_require(api->operations.nelts > 0, "there is an operation");

    for (i = 0; i < api->operations.nelts; i++) {
        fuzz_require(op[i].api == api && op[i].index == i,
                     "an operation knows where it is");
        fuzz_template(&op[i]);
        fuzz_permit(&op[i]);
    }

    /* "GET /path\n" */

    last = request->data + request->len;

    if (request->len && last[-1] == '\n') {
        last--;
    }

    path = memchr(request->data, ' ', last - request->data);

    if (path) {
        n = ngx_min((size_t) (path - request->data), sizeof(method) - 1);
        memcpy(method, request->data, n);
        method[n] = '\0';

        path++;
        (void) fuzz_route(api, method, path, last - path, &found);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char               *text;
    ngx_str_t             request, name;
    ngx_uint_t            i, n;
    ngx_pool_t           *pool, *temp;
    fuzz_file_t           file[FUZZ_FILES];
    prov_fault_t          fault;
    prov_json_error_t     err;
    prov_openapi_api_t   *api;

    if (size == 0 || size > FUZZ_MAX) {
        return 0;
    }

    memset(file, 0, sizeof(file));
    fuzz_names(file);

    text = malloc(size);
    memcpy(text, data, size);

    n = fuzz_split(text, text + size, &request, file);

    for (i = 0; i < FUZZ_FILES; i++) {

        if (i < n) {
            fuzz_write(&file[i]);
            file[i].json = prov_json_parse(file[i].text.data,
                                           file[i].text.len,
                                           PROV_JSON_DOCUMENT_DEPTH, &err);
        } else {
            (void) unlink(file[i].name);
        }
    }

    pool = ngx_create_pool(4096, ngx_shim_log());
    temp = ngx_create_pool(4096, ngx_shim_log());

    name.data = (u_char *) file[0].name;
    name.len = strlen(file[0].name);

    api = prov_openapi_load(pool, temp, ngx_shim_log(), &name, NULL, &fault);

    /* what was read needs it no more */

    ngx_destroy_pool(temp);

    if (api) {
        fuzz_api(api, &request);

    } else {
        fuzz_fault(&fault, file);
    }

    ngx_destroy_pool(pool);

    for (i = 0; i < FUZZ_FILES; i++) {
        json_decref(file[i].json);
    }

    free(text);

    return 0;
}
