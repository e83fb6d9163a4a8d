/*
 * Fuzz target for API keys: what a caller shows (the first line, or the second
 * and third as client id and secret), and what the database says of a key
 * (the rest).  A key that is well formed is made of the first line, too, since
 * no fuzzer finds a checksum.
 *
 *     clang -fsanitize=fuzzer,address,undefined … && ./fuzz corpus/apikey
 */

#include "auth/prov_auth_apikey.h"
#include "auth/prov_auth_private.h"
#include "ngx_shim.h"

#include <openssl/sha.h>
#include <stdio.h>


#define NOW  1900000000


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
must(int true)
{
    if (!true) {
        abort();
    }
}


/* a copy with no byte more than there is; the caller frees it */

static ngx_str_t
line(const uint8_t **data, size_t *size)
{
    size_t          len;
    ngx_str_t       text;
    const uint8_t  *end;

    end = *size ? memchr(*data, '\n', *size) : NULL;
    len = end ? (size_t) (end - *data) : *size;

    text.len = len;
    text.data = malloc(len ? len : 1);
    memcpy(text.data, *data, len);

    *data += end ? len + 1 : len;
    *size -= end ? len + 1 : len;

    return text;
}


static void
shown_inspect(prov_auth_shown_t *shown, u_char *client, u_char *secret)
{
    char    id[PROV_AUTH_APIKEY_ID + 1];
    u_char  hash[PROV_AUTH_APIKEY_HASH];

    snprintf(id, sizeof(id), "%.8s-%.4s-%.4s-%.4s-%.12s", (char *) client,
             (char *) client + 8, (char *) client + 12, (char *) client + 16,
             (char *) client + 20);
    SHA256(secret, PROV_AUTH_APIKEY_SECRET, hash);

    must(memcmp(shown->id, id, PROV_AUTH_APIKEY_ID) == 0
         && memcmp(shown->hash, hash, sizeof(hash)) == 0);
}


/* a good key of the text's bytes; with any other byte it is none */

static void
good_key(ngx_str_t *text)
{
    u_char             *secret, *sum, key[PROV_AUTH_APIKEY_LEN];
    u_char              hash[SHA256_DIGEST_LENGTH];
    ngx_str_t           whole, client, rest;
    ngx_uint_t          i, byte;
    prov_auth_shown_t   shown;

    static const char  alphabet[] = "0123456789abcdefghijklmnopqrstuvwxyz"
                                    "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_";

    secret = key + 3 + PROV_AUTH_APIKEY_CLIENT + 1;
    sum = secret + PROV_AUTH_APIKEY_SECRET;

    memcpy(key, "pk_", 3);

    for (i = 3; i < (ngx_uint_t) (sum - key); i++) {
        byte = text->len ? text->data[i % text->len] : i;
        key[i] = alphabet[byte % (key + i < secret ? 16 : 64)];
    }

    secret[-1] = '_';

    SHA256(key, sum - key, hash);

    for (i = 0; i < PROV_AUTH_APIKEY_SUM; i++) {
        sum[i] = alphabet[(i & 1) ? hash[i / 2] & 15 : hash[i / 2] >> 4];
    }

    whole.data = key;
    whole.len = sizeof(key);

    must(prov_auth_apikey_parse(&whole, &shown) == NGX_OK);
    shown_inspect(&shown, key + 3, secret);

    client.data = key + 3;
    client.len = PROV_AUTH_APIKEY_CLIENT;
    rest.data = secret;
    rest.len = sizeof(key) - (secret - key);

    memset(&shown, 0, sizeof(shown));
    must(prov_auth_apikey_client(&client, &rest, &shown) == NGX_OK);
    shown_inspect(&shown, key + 3, secret);

    memset(&shown, 0, sizeof(shown));
    must(prov_auth_apikey_client(&client, &whole, &shown) == NGX_OK);
    shown_inspect(&shown, key + 3, secret);

    i = text->len ? text->data[0] % sizeof(key) : 0;
    key[i] ^= 1 + (text->len % 255);
    must(prov_auth_apikey_parse(&whole, &shown) == NGX_DECLINED);
}


/* What of the row must not be lost, read by other means. */

static void
row_inspect(prov_auth_apikey_t *key, ngx_str_t *text,
    prov_auth_issuer_t *issuer)
{
    json_t                *row, *expires;
    ngx_int_t              rc;
    ngx_pool_t            *pool;
    ngx_uint_t             i;
    prov_auth_shown_t      shown;
    prov_auth_refusal_t    refusal;
    prov_auth_identity_t  *identity;

    row = json_loadb((char *) text->data, text->len, 0, NULL);
    expires = json_object_get(row, "expires");

    must(key->revoked == !json_is_false(json_object_get(row, "revoked")));
    must(key->active == json_is_true(json_object_get(row, "active")));
    must((key->expires == 0) == json_is_null(expires));
    must(json_is_null(expires)
         || (json_number_value(expires) < NOW + 1) == (key->expires <= NOW));
    must(key->previous_until == 0
         || json_is_string(json_object_get(row, "previous")));

    must(key->identity->issuer == issuer && key->identity->scoped
         && key->identity->key.len == PROV_AUTH_APIKEY_ID
         && key->identity->nroles
            == json_array_size(json_object_get(row, "scopes"))
         && key->identity->nnetworks
            == json_array_size(json_object_get(row, "ip_allow")));

    for (i = 0; i < key->identity->nnetworks; i++) {
        must(key->identity->networks[i].len
             == json_string_length(json_array_get(
                    json_object_get(row, "ip_allow"), i)));
    }

    pool = ngx_create_pool(4096, ngx_shim_log());
    memset(&shown, 0, sizeof(shown));
    memcpy(shown.hash, key->hash, sizeof(shown.hash));

    rc = prov_auth_apikey_check(key, &shown, pool, &identity, &refusal);

    must(rc == (!key->revoked && key->active
                && (json_is_null(expires)
                    || json_number_value(expires) >= NOW + 1)
                ? NGX_OK : NGX_DECLINED));

    shown.hash[0] ^= 1;
    rc = prov_auth_apikey_check(key, &shown, pool, &identity, &refusal);

    must(rc == NGX_DECLINED
         || memcmp(key->previous, shown.hash, sizeof(shown.hash)) == 0);

    ngx_destroy_pool(pool);
    json_decref(row);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t            whole, client, secret, row;
    prov_auth_shown_t    shown;
    prov_auth_apikey_t  *key;

    static prov_auth_issuer_t  issuer;

    ngx_shim_set_time(NOW, 0);

    whole = line(&data, &size);
    client = line(&data, &size);
    secret = line(&data, &size);

    row.len = size;
    row.data = malloc(size ? size : 1);
    memcpy(row.data, data, size);

    good_key(&whole);

    if (prov_auth_apikey_parse(&whole, &shown) == NGX_OK) {
        must(whole.len == PROV_AUTH_APIKEY_LEN
             && prov_auth_apikey_meant(&whole));
        shown_inspect(&shown, whole.data + 3,
                      whole.data + 3 + PROV_AUTH_APIKEY_CLIENT + 1);
    }

    if (prov_auth_apikey_client(&client, &secret, &shown) == NGX_OK) {
        shown_inspect(&shown, client.data,
                      secret.data + secret.len - PROV_AUTH_APIKEY_SUM
                      - PROV_AUTH_APIKEY_SECRET);
    }

    key = prov_auth_apikey_read(row.data, row.len, &issuer, ngx_shim_log());

    if (key) {
        row_inspect(key, &row, &issuer);
        ngx_free(key);
    }

    free(whole.data);
    free(client.data);
    free(secret.data);
    free(row.data);

    return 0;
}
