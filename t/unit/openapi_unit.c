/*
 * The OpenAPI loader, router and permissions without a server.  Driven by
 * t/openapi.t: reads documents, answers questions on standard input, and
 * prints one line for each; it judges nothing itself.
 */

#include "openapi/prov_openapi.h"
#include "base/prov_json_memory.h"
#include "ngx_shim.h"

#include <stdio.h>


#define LINE  65536


static int load(ngx_str_t *file, prov_openapi_api_t **api, ngx_pool_t *pool,
    prov_fault_t *fault);
static void print_fault(prov_fault_t *fault);
static int command_show(prov_openapi_api_t *api);
static int command_document(prov_openapi_api_t *api);
static int command_route(prov_openapi_api_t *api);
static int command_permit(prov_openapi_api_t *api);
static int command_memory(ngx_str_t *file);
static const char *memory_verdict(int rc, prov_fault_t *fault);


int
main(int argc, char **argv)
{
    int                  rc;
    ngx_str_t            file;
    ngx_pool_t          *process, *pool;
    const char          *command;
    prov_fault_t         fault;
    prov_openapi_api_t  *api;

    if (argc != 3) {
        fprintf(stderr, "usage: openapi_unit load|show|document|route|permit|"
                        "memory FILE\n");
        return 2;
    }

    command = argv[1];
    file.data = (u_char *) argv[2];
    file.len = strlen(argv[2]);

    process = ngx_create_pool(4096, ngx_shim_log());

    json_set_alloc_funcs(ngx_shim_malloc, free);

    if (prov_json_memory_init(process) != NGX_OK) {
        return 2;
    }

    if (strcmp(command, "memory") == 0) {
        rc = command_memory(&file);
        ngx_destroy_pool(process);
        return rc;
    }

    pool = ngx_create_pool(16384, ngx_shim_log());
    if (pool == NULL) {
        return 2;
    }

    rc = load(&file, &api, pool, &fault);

    if (rc != 0) {
        print_fault(&fault);

    } else if (strcmp(command, "load") == 0) {
        printf("ok\n");

    } else if (strcmp(command, "show") == 0) {
        rc = command_show(api);

    } else if (strcmp(command, "document") == 0) {
        rc = command_document(api);

    } else if (strcmp(command, "route") == 0) {
        rc = command_route(api);

    } else if (strcmp(command, "permit") == 0) {
        rc = command_permit(api);

    } else {
        rc = 2;
    }

    ngx_destroy_pool(pool);
    ngx_destroy_pool(process);

    return rc;
}


/* temp is gone before the API is used, as in nginx */

static int
load(ngx_str_t *file, prov_openapi_api_t **api, ngx_pool_t *pool,
    prov_fault_t *fault)
{
    ngx_pool_t  *temp;

    memset(fault, 0, sizeof(prov_fault_t));

    temp = ngx_create_pool(16384, ngx_shim_log());
    if (temp == NULL) {
        return 3;
    }

    *api = prov_openapi_load(pool, temp, ngx_shim_log(), file, NULL, fault);

    ngx_destroy_pool(temp);

    return *api ? 0 : 1;
}


static void
print_fault(prov_fault_t *fault)
{
    printf("fault\t%.*s\t%.*s\t%lu\t%lu\t%.*s\n",
           (int) fault->file.len, fault->file.data ? fault->file.data
                                                   : (u_char *) "",
           (int) fault->pointer.len, fault->pointer.data
                                     ? fault->pointer.data : (u_char *) "",
           (unsigned long) fault->line, (unsigned long) fault->column,
           (int) fault->message.len, fault->message.data
                                     ? fault->message.data : (u_char *) "");
}


static int
command_show(prov_openapi_api_t *api)
{
    ngx_str_t                 *name;
    ngx_uint_t                 i, n;
    prov_openapi_role_t       *role;
    prov_openapi_media_t      *media;
    prov_openapi_operation_t  *op;
    prov_openapi_parameter_t  *p;

    static const char  *in[] = { "path", "query", "header" };
    static const char  *methods[] = { "GET", "POST", "PUT", "PATCH",
                                      "DELETE" };

    printf("file %s\nbase %s\nschema %s\nversion %s\n", api->file.data,
           api->base.data, api->schema.data, api->version.data);

    name = api->files.elts;

    for (i = 0; i < api->files.nelts; i++) {
        printf("reads %s\n", name[i].data);
    }

    name = api->permissions.elts;

    for (i = 0; i < api->permissions.nelts; i++) {
        printf("permission %s\n", name[i].data);
    }

    role = api->roles.elts;

    for (i = 0; i < api->roles.nelts; i++) {
        printf("role %s", role[i].name.data);

        for (n = 0; n < api->permissions.nelts; n++) {
            if (role[i].granted[n / 64] & ((uint64_t) 1 << (n % 64))) {
                printf(" %s", name[n].data);
            }
        }

        printf("\n");
    }

    op = api->operations.elts;

    for (i = 0; i < api->operations.nelts; i++) {

        printf("operation %s %lu %s %s permission=%s handler=%s npath=%lu "
               "required=%d api=%d\n",
               op[i].id.data, (unsigned long) op[i].index,
               methods[op[i].method], op[i].path.data,
               op[i].permission == PROV_OPENAPI_PUBLIC
               ? "-" : (char *) name[op[i].permission].data,
               op[i].handler.len ? (char *) op[i].handler.data : "-",
               (unsigned long) op[i].npath, op[i].body_required,
               op[i].api == api);

        p = op[i].parameters.elts;

        for (n = 0; n < op[i].parameters.nelts; n++) {
            printf("parameter %s %s types=%02lx required=%d explode=%d "
                   "deep=%d\n", in[p[n].in], p[n].name.data,
                   (unsigned long) p[n].types, p[n].required, p[n].explode,
                   p[n].deep);

            if (p[n].schema == NULL
                || prov_schema_types(p[n].schema) != p[n].types)
            {
                return 2;
            }
        }

        media = op[i].media.elts;

        for (n = 0; n < op[i].media.nelts; n++) {
            printf("media %s\n", media[n].type.data);

            if (media[n].schema == NULL) {
                return 2;
            }
        }
    }

    return 0;
}


static int
command_document(prov_openapi_api_t *api)
{
    if (api->document.data[api->document.len] != '\0') {
        return 2;
    }

    fwrite(api->document.data, 1, api->document.len, stdout);

    return 0;
}


/*
 * "METHOD PATH", with "^" for a NUL in the path; the path ends where a page
 * of memory might, so that a sanitizer sees a read beyond it.
 */

static int
command_route(prov_openapi_api_t *api)
{
    char                       line[LINE], *space;
    size_t                     n;
    ngx_int_t                  rc;
    ngx_str_t                  method, path;
    ngx_uint_t                 i;
    ngx_pool_t                *pool;
    prov_openapi_match_t       match;
    prov_openapi_parameter_t  *p;

    while (fgets(line, LINE, stdin)) {

        n = strcspn(line, "\n");
        space = memchr(line, ' ', n);

        if (space == NULL) {
            return 2;
        }

        method.data = (u_char *) line;
        method.len = space - line;

        path.len = line + n - (space + 1);
        path.data = malloc(path.len ? path.len : 1);
        memcpy(path.data, space + 1, path.len);

        for (i = 0; i < path.len; i++) {
            if (path.data[i] == '^') {
                path.data[i] = '\0';
            }
        }

        pool = ngx_create_pool(16384, ngx_shim_log());

        memset(&match, 0x5a, sizeof(match));
        rc = prov_openapi_route(api, &method, &path, pool, &match);

        free(path.data);

        switch (rc) {

        case NGX_OK:
            printf("%s", match.operation->id.data);

            p = match.operation->parameters.elts;

            for (i = 0; i < match.operation->npath; i++) {
                printf(" %s=%.*s", p[i].name.data, (int) match.values[i].len,
                       match.values[i].data);
            }

            printf("\n");
            break;

        case NGX_DECLINED:
            printf("404\n");
            break;

        case PROV_OPENAPI_NOT_ALLOWED:
            printf("405 %.*s\n", (int) match.allow.len, match.allow.data);
            break;

        default:
            printf("%ld\n", (long) rc);
        }

        ngx_destroy_pool(pool);
    }

    return 0;
}


/* "operationId role …", or "resource:action role …" */

static int
command_permit(prov_openapi_api_t *api)
{
    char                       line[LINE], *word, *next;
    ngx_str_t                  subject, roles[64];
    ngx_uint_t                 i, n;
    prov_openapi_operation_t  *op;

    while (fgets(line, LINE, stdin)) {

        line[strcspn(line, "\n")] = '\0';

        word = strtok_r(line, " ", &next);

        subject.data = (u_char *) word;
        subject.len = strlen(word);

        for (n = 0; n < 64 && (word = strtok_r(NULL, " ", &next)); n++) {
            roles[n].data = (u_char *) word;
            roles[n].len = strlen(word);
        }

        if (memchr(subject.data, ':', subject.len)) {
            printf("%lu\n", (unsigned long)
                   prov_openapi_grants(api, &subject, roles, n));
            continue;
        }

        op = api->operations.elts;

        for (i = 0; i < api->operations.nelts; i++) {
            if (op[i].id.len == subject.len
                && memcmp(op[i].id.data, subject.data, subject.len) == 0)
            {
                printf("%lu\n", (unsigned long)
                       prov_openapi_permitted(&op[i], roles, n));
                break;
            }
        }

        if (i == api->operations.nelts) {
            return 2;
        }
    }

    return 0;
}


/*
 * Reads the document again and again, each time with another allocation that
 * fails, until none does: nothing may crash or leak, and each failure must
 * be told.  The answers are counted.
 */

static int
command_memory(ngx_str_t *file)
{
    int                  rc;
    ngx_str_t            method = ngx_string("GET");
    ngx_str_t            path = ngx_string("/none");
    ngx_uint_t           n, failed;
    ngx_pool_t          *pool;
    const char          *wrong;
    prov_fault_t         fault;
    prov_openapi_api_t  *api;

    prov_openapi_match_t  match;

    for (n = 1; /* void */ ; n++) {

        pool = ngx_create_pool(16384, ngx_shim_log());

        ngx_shim_fail_at(n);
        rc = load(file, &api, pool, &fault);
        failed = ngx_shim_failed();
        ngx_shim_fail_at(0);

        if (!failed) {
            break;
        }

        wrong = memory_verdict(rc, &fault);

        if (wrong) {
            printf("allocation %lu: %s\n", (unsigned long) n, wrong);
            print_fault(&fault);
            return 1;
        }

        ngx_destroy_pool(pool);
    }

    if (rc != 0) {
        print_fault(&fault);
        return 1;
    }

    ngx_shim_fail_at(1);
    rc = (prov_openapi_route(api, &method, &path, pool, &match) == NGX_ERROR);
    ngx_shim_fail_at(0);

    ngx_destroy_pool(pool);

    printf(n > 100 && rc ? "ok\n" : "too few\n");

    return 0;
}


static const char *
memory_verdict(int rc, prov_fault_t *fault)
{
    if (rc == 3) {
        return NULL;
    }

    if (rc == 0) {
        return "went unnoticed";
    }

    if (fault->file.len == 0 || fault->message.len == 0) {
        return "was not told";
    }

    return memmem(fault->message.data, fault->message.len, "memory", 6)
           ? NULL : "was taken for something else";
}
