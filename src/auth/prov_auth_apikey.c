/*
 * The form of an API key, and the decision about one that was shown.  A key
 * is "pk_", its id in 32 hexadecimal digits, "_", 43 characters of base64url,
 * and the first 8 hexadecimal digits of the SHA-256 of all that: the checksum
 * keeps garbage and misprints from the database.
 */

#include "auth/prov_auth_apikey.h"
#include "auth/prov_auth_private.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>


/* random bytes of a secret */
#define PROV_AUTH_APIKEY_BYTES  32


static void prov_auth_apikey_sum(u_char *text, u_char *sum);
static ngx_uint_t prov_auth_apikey_hex(u_char *p, size_t len);
static ngx_uint_t prov_auth_apikey_base64url(u_char *p, size_t len);
static void prov_auth_apikey_id(u_char *id, u_char *client);
static ngx_int_t prov_auth_apikey_refuse(prov_auth_refusal_t *refusal,
    const char *code, const char *detail);


ngx_uint_t
prov_auth_apikey_meant(ngx_str_t *text)
{
    return text->len >= 3 && ngx_memcmp(text->data, "pk_", 3) == 0;
}


ngx_int_t
prov_auth_apikey_parse(ngx_str_t *text, prov_auth_shown_t *shown)
{
    u_char  *client, *secret, sum[PROV_AUTH_APIKEY_SUM];

    if (text->len != PROV_AUTH_APIKEY_LEN || !prov_auth_apikey_meant(text)) {
        return NGX_DECLINED;
    }

    client = text->data + 3;
    secret = client + PROV_AUTH_APIKEY_CLIENT + 1;

    if (!prov_auth_apikey_hex(client, PROV_AUTH_APIKEY_CLIENT)
        || secret[-1] != '_'
        || !prov_auth_apikey_base64url(secret, PROV_AUTH_APIKEY_SECRET))
    {
        return NGX_DECLINED;
    }

    prov_auth_apikey_sum(text->data, sum);

    if (CRYPTO_memcmp(secret + PROV_AUTH_APIKEY_SECRET, sum, sizeof(sum))
        != 0)
    {
        return NGX_DECLINED;
    }

    prov_auth_apikey_id(shown->id, client);
    SHA256(secret, PROV_AUTH_APIKEY_SECRET, shown->hash);

    return NGX_OK;
}


ngx_int_t
prov_auth_apikey_client(ngx_str_t *client, ngx_str_t *secret,
    prov_auth_shown_t *shown)
{
    u_char     *p, text[PROV_AUTH_APIKEY_LEN];
    ngx_int_t   rc;
    ngx_str_t   key;

    if (client->len != PROV_AUTH_APIKEY_CLIENT) {
        return NGX_DECLINED;
    }

    if (prov_auth_apikey_meant(secret)
        && secret->len == PROV_AUTH_APIKEY_LEN)
    {
        if (ngx_memcmp(secret->data + 3, client->data, client->len) != 0) {
            return NGX_DECLINED;
        }

        return prov_auth_apikey_parse(secret, shown);
    }

    if (secret->len != PROV_AUTH_APIKEY_SECRET + PROV_AUTH_APIKEY_SUM) {
        return NGX_DECLINED;
    }

    p = ngx_cpymem(text, "pk_", 3);
    p = ngx_cpymem(p, client->data, client->len);
    *p++ = '_';
    ngx_memcpy(p, secret->data, secret->len);

    key.data = text;
    key.len = sizeof(text);

    rc = prov_auth_apikey_parse(&key, shown);

    ngx_explicit_memzero(text, sizeof(text));

    return rc;
}


ngx_int_t
prov_auth_apikey_new(ngx_str_t *id, u_char *text, u_char *hash)
{
    u_char      *p, *secret, bytes[PROV_AUTH_APIKEY_BYTES];
    ngx_str_t    src, dst;
    ngx_uint_t   i;

    if (id->len != PROV_AUTH_APIKEY_ID) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(text, "pk_", 3);

    for (i = 0; i < PROV_AUTH_APIKEY_ID; i++) {
        if (i != 8 && i != 13 && i != 18 && i != 23) {
            *p++ = id->data[i];
        }
    }

    if (!prov_auth_apikey_hex(text + 3, PROV_AUTH_APIKEY_CLIENT)
        || RAND_priv_bytes(bytes, sizeof(bytes)) != 1)
    {
        return NGX_ERROR;
    }

    *p++ = '_';
    secret = p;

    src.data = bytes;
    src.len = sizeof(bytes);
    dst.data = secret;

    ngx_encode_base64url(&dst, &src);

    prov_auth_apikey_sum(text, secret + PROV_AUTH_APIKEY_SECRET);
    SHA256(secret, PROV_AUTH_APIKEY_SECRET, hash);

    OPENSSL_cleanse(bytes, sizeof(bytes));

    return NGX_OK;
}


/* of all that stands before it */

static void
prov_auth_apikey_sum(u_char *text, u_char *sum)
{
    u_char  hash[SHA256_DIGEST_LENGTH];

    SHA256(text, PROV_AUTH_APIKEY_LEN - PROV_AUTH_APIKEY_SUM, hash);
    ngx_hex_dump(sum, hash, PROV_AUTH_APIKEY_SUM / 2);
}


static ngx_uint_t
prov_auth_apikey_hex(u_char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f'))) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
prov_auth_apikey_base64url(u_char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'z')
              || (p[i] >= 'A' && p[i] <= 'Z') || p[i] == '-' || p[i] == '_'))
        {
            return 0;
        }
    }

    return 1;
}


/* 8-4-4-4-12 (RFC 9562, section 4) */

static void
prov_auth_apikey_id(u_char *id, u_char *client)
{
    ngx_uint_t  i;

    for (i = 0; i < PROV_AUTH_APIKEY_CLIENT; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20) {
            *id++ = '-';
        }

        *id++ = client[i];
    }
}


ngx_uint_t
prov_auth_apikey_same(prov_auth_apikey_t *key, prov_auth_shown_t *shown)
{
    ngx_uint_t  same;

    same = (CRYPTO_memcmp(key->hash, shown->hash, PROV_AUTH_APIKEY_HASH)
            == 0);

    if (key->previous_until > ngx_time()) {
        same |= (CRYPTO_memcmp(key->previous, shown->hash,
                               PROV_AUTH_APIKEY_HASH)
                 == 0);
    }

    return same;
}


ngx_int_t
prov_auth_apikey_check(prov_auth_apikey_t *key, prov_auth_shown_t *shown,
    ngx_pool_t *pool, prov_auth_identity_t **identity,
    prov_auth_refusal_t *refusal)
{
    void  *piece;

    /* who does not have the secret learns nothing of the key */

    if (key == NULL || !prov_auth_apikey_same(key, shown)) {
        return prov_auth_apikey_refuse(refusal, "key_invalid",
                                       "The API key is not valid.");
    }

    if (key->revoked) {
        return prov_auth_apikey_refuse(refusal, "key_revoked",
                                       "The API key was revoked.");
    }

    if (key->expires && key->expires <= ngx_time()) {
        return prov_auth_apikey_refuse(refusal, "key_expired",
                                       "The API key has expired.");
    }

    if (!key->active) {
        return prov_auth_apikey_refuse(refusal, "partner_unknown",
                                       "The partner that the caller acts for "
                                       "is not known here, or not active.");
    }

    piece = ngx_palloc(pool, prov_auth_identity_size(key->identity));
    if (piece == NULL) {
        return NGX_ERROR;
    }

    *identity = prov_auth_identity_copy(piece, key->identity);

    return NGX_OK;
}


static ngx_int_t
prov_auth_apikey_refuse(prov_auth_refusal_t *refusal, const char *code,
    const char *detail)
{
    refusal->code.data = (u_char *) code;
    refusal->code.len = ngx_strlen(code);
    refusal->detail.data = (u_char *) detail;
    refusal->detail.len = ngx_strlen(detail);
    refusal->log = refusal->detail;

    return NGX_DECLINED;
}
