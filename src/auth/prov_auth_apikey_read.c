/*
 * What the database says of a key, from the JSON of prov.api_key_find() to
 * one piece of memory that the worker remembers for a moment.
 */

#include "auth/prov_auth_apikey.h"
#include "auth/prov_auth_private.h"


static prov_auth_apikey_t *prov_auth_apikey_make(json_t *row,
    prov_auth_issuer_t *issuer, ngx_log_t *log);
static ngx_int_t prov_auth_apikey_fill(prov_auth_apikey_t *key, json_t *row);
static ngx_int_t prov_auth_apikey_hash(json_t *value, u_char *hash);
static ngx_int_t prov_auth_apikey_time(json_t *value, time_t *time);
static void prov_auth_apikey_text(json_t *value, ngx_str_t *text);
static ngx_int_t prov_auth_apikey_texts(json_t *list, ngx_str_t *texts,
    ngx_uint_t max, ngx_uint_t *n);


prov_auth_apikey_t *
prov_auth_apikey_read(u_char *data, size_t len, prov_auth_issuer_t *issuer,
    ngx_log_t *log)
{
    json_t              *row;
    prov_json_error_t    err;
    prov_auth_apikey_t  *key;

    row = prov_json_parse(data, len, PROV_JSON_BODY_DEPTH, &err);
    if (row == NULL) {
        return NULL;
    }

    key = prov_auth_apikey_make(row, issuer, log);

    json_decref(row);

    return key;
}


static prov_auth_apikey_t *
prov_auth_apikey_make(json_t *row, prov_auth_issuer_t *issuer,
    ngx_log_t *log)
{
    ngx_str_t              roles[PROV_AUTH_MAX_ROLES];
    ngx_str_t              networks[PROV_AUTH_MAX_NETWORKS];
    prov_auth_apikey_t    *key;
    prov_auth_identity_t   identity;

    ngx_memzero(&identity, sizeof(prov_auth_identity_t));

    identity.issuer = issuer;
    identity.roles = roles;
    identity.networks = networks;
    identity.scoped = 1;

    prov_auth_apikey_text(json_object_get(row, "key"), &identity.key);
    prov_auth_apikey_text(json_object_get(row, "partner"), &identity.partner);

    identity.subject = identity.key;

    if (identity.key.len != PROV_AUTH_APIKEY_ID
        || prov_auth_apikey_texts(json_object_get(row, "scopes"), roles,
                                  PROV_AUTH_MAX_ROLES, &identity.nroles)
           != NGX_OK
        || prov_auth_apikey_texts(json_object_get(row, "ip_allow"), networks,
                                  PROV_AUTH_MAX_NETWORKS,
                                  &identity.nnetworks)
           != NGX_OK)
    {
        return NULL;
    }

    key = ngx_alloc(sizeof(prov_auth_apikey_t)
                    + prov_auth_identity_size(&identity), log);
    if (key == NULL) {
        return NULL;
    }

    ngx_memzero(key, sizeof(prov_auth_apikey_t));

    key->identity = prov_auth_identity_copy(key + 1, &identity);

    if (prov_auth_apikey_fill(key, row) != NGX_OK) {
        ngx_free(key);
        return NULL;
    }

    return key;
}


/* What is not there must not make a key better than it is. */

static ngx_int_t
prov_auth_apikey_fill(prov_auth_apikey_t *key, json_t *row)
{
    json_t  *previous;

    if (prov_auth_apikey_hash(json_object_get(row, "hash"), key->hash)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    previous = json_object_get(row, "previous");

    if (json_is_string(previous)) {
        if (prov_auth_apikey_hash(previous, key->previous) != NGX_OK) {
            return NGX_ERROR;
        }

        if (prov_auth_apikey_time(json_object_get(row, "previous_until"),
                                  &key->previous_until)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (prov_auth_apikey_time(json_object_get(row, "used"), &key->used)
        != NGX_OK
        || prov_auth_apikey_time(json_object_get(row, "expires"),
                                 &key->expires)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    key->identity->expires = key->expires;

    key->revoked = !json_is_false(json_object_get(row, "revoked"));
    key->active = json_is_true(json_object_get(row, "active"));

    return json_object_get(row, "expires") ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
prov_auth_apikey_hash(json_t *value, u_char *hash)
{
    ngx_int_t    n;
    ngx_str_t    text;
    ngx_uint_t   i;

    prov_auth_apikey_text(value, &text);

    if (text.len != 2 * PROV_AUTH_APIKEY_HASH) {
        return NGX_ERROR;
    }

    for (i = 0; i < PROV_AUTH_APIKEY_HASH; i++) {
        n = ngx_hextoi(text.data + 2 * i, 2);
        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        hash[i] = (u_char) n;
    }

    return NGX_OK;
}


/*
 * Seconds since 1970, and 0 where there is no moment: so one that has been
 * is never 0, and what is no moment is an error.
 */

static ngx_int_t
prov_auth_apikey_time(json_t *value, time_t *time)
{
    double  seconds;

    *time = 0;

    if (value == NULL || json_is_null(value)) {
        return NGX_OK;
    }

    seconds = json_number_value(value);

    if (!json_is_number(value)) {
        return NGX_ERROR;
    }

    seconds = ngx_max(seconds, 1);
    *time = (time_t) ngx_min(seconds, PROV_AUTH_END_OF_TIME);

    return NGX_OK;
}


static void
prov_auth_apikey_text(json_t *value, ngx_str_t *text)
{
    text->len = json_string_length(value);
    text->data = (u_char *) json_string_value(value);
}


static ngx_int_t
prov_auth_apikey_texts(json_t *list, ngx_str_t *texts, ngx_uint_t max,
    ngx_uint_t *n)
{
    size_t   i;
    json_t  *value;

    if (!json_is_array(list) || json_array_size(list) > max) {
        return NGX_ERROR;
    }

    json_array_foreach(list, i, value) {
        if (!json_is_string(value)) {
            return NGX_ERROR;
        }

        prov_auth_apikey_text(value, &texts[i]);
    }

    *n = json_array_size(list);

    return NGX_OK;
}
