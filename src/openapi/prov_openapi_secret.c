/*
 * x-secret: the gateway makes a secret for an operation's function, or seals
 * a member of the body for it, so that neither the database nor its log gets
 * anything that could be read without the operator's key.  Called by the
 * loader for each operation; the engine does the rest
 * (src/request/prov_request_secret.c).
 */

#include "openapi/prov_openapi_load.h"


static ngx_int_t prov_openapi_secret_make(prov_openapi_load_t *load,
    prov_openapi_at_t *secret, prov_openapi_make_e *make);
static ngx_int_t prov_openapi_secret_name(prov_openapi_load_t *load,
    prov_openapi_at_t *secret, const char *key, ngx_str_t *name);
static ngx_int_t prov_openapi_secret_owner(prov_openapi_load_t *load,
    prov_openapi_at_t *secret, prov_openapi_operation_t *op);


ngx_int_t
prov_openapi_secret(prov_openapi_load_t *load, prov_openapi_at_t *operation,
    prov_openapi_operation_t *op)
{
    ngx_int_t               rc;
    prov_openapi_at_t       at;
    prov_openapi_secret_t  *secret;

    rc = prov_openapi_member(load, operation, "x-secret", &at);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    if (op->method == PROV_OPENAPI_GET || op->handler.len) {
        return prov_openapi_fail(load, &at.pointer,
                                 "only a change that a function makes can "
                                 "keep a secret: remove this x-secret");
    }

    secret = ngx_pcalloc(load->pool, sizeof(prov_openapi_secret_t));
    if (secret == NULL) {
        return prov_openapi_no_memory(load);
    }

    op->secret = secret;

    if (prov_openapi_secret_make(load, &at, &secret->make) != NGX_OK
        || prov_openapi_secret_name(load, &at, "purpose", &secret->purpose)
           != NGX_OK
        || prov_openapi_secret_name(load, &at, "member", &secret->member)
           != NGX_OK
        || prov_openapi_secret_owner(load, &at, op) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (secret->make == PROV_OPENAPI_MAKE_NOTHING && secret->member.len == 0)
    {
        return prov_openapi_fail(load, &at.pointer,
                                 "nothing is to be kept secret: write \"make\" "
                                 "to have a secret made, or \"member\" to "
                                 "have that of the body sealed");
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_secret_make(prov_openapi_load_t *load,
    prov_openapi_at_t *secret, prov_openapi_make_e *make)
{
    ngx_int_t          rc;
    ngx_str_t          name;
    ngx_uint_t         i;
    prov_openapi_at_t  at;

    static struct {
        ngx_str_t            name;
        prov_openapi_make_e  make;
    } known[] = {
        { ngx_string("webhook"), PROV_OPENAPI_MAKE_WEBHOOK },
        { ngx_string("api_key"), PROV_OPENAPI_MAKE_API_KEY },
        { ngx_null_string, PROV_OPENAPI_MAKE_NOTHING }
    };

    rc = prov_openapi_member(load, secret, "make", &at);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    name = prov_openapi_string(at.json);

    for (i = 0; known[i].name.len; i++) {
        if (prov_openapi_compare(&known[i].name, &name) == 0) {
            *make = known[i].make;
            return NGX_OK;
        }
    }

    return prov_openapi_fail(load, &at.pointer,
                             "\"%V\" is nothing that is made here: write "
                             "\"webhook\" or \"api_key\"", &name);
}


static ngx_int_t
prov_openapi_secret_name(prov_openapi_load_t *load,
    prov_openapi_at_t *secret, const char *key, ngx_str_t *name)
{
    ngx_int_t          rc;
    ngx_str_t          text;
    prov_openapi_at_t  at;

    rc = prov_openapi_member(load, secret, key, &at);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    text = prov_openapi_string(at.json);

    /* the database is told of it in JSON, as it is written here */

    if (!prov_openapi_identifier(&text)) {
        return prov_openapi_fail(load, &at.pointer,
                                 "\"%V\" cannot be a name here: write "
                                 "snake_case of at most %d bytes, like "
                                 "\"webhook_endpoint\"",
                                 &text, PROV_OPENAPI_MAX_NAME);
    }

    if (prov_openapi_copy(load->pool, name, &text) != NGX_OK) {
        return prov_openapi_no_memory(load);
    }

    return NGX_OK;
}


/* A parameter of the path; without it, what the operation makes. */

static ngx_int_t
prov_openapi_secret_owner(prov_openapi_load_t *load,
    prov_openapi_at_t *secret, prov_openapi_operation_t *op)
{
    ngx_int_t                  rc;
    ngx_str_t                  name;
    ngx_uint_t                 i;
    prov_openapi_at_t          at;
    prov_openapi_parameter_t  *param;

    op->secret->owner = PROV_OPENAPI_OWNER_NEW;

    rc = prov_openapi_member(load, secret, "owner", &at);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    name = prov_openapi_string(at.json);
    param = op->parameters.elts;

    for (i = 0; i < op->npath; i++) {
        if (prov_openapi_compare(&param[i].name, &name) == 0) {
            op->secret->owner = i;
            return NGX_OK;
        }
    }

    return prov_openapi_fail(load, &at.pointer,
                             "the path has no parameter \"%V\": write the "
                             "name of the one that says whose the secret is, "
                             "or remove it where the operation makes the "
                             "owner", &name);
}
