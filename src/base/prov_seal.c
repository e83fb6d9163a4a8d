/*
 * Sealing and unsealing, with OpenSSL's AES-256-GCM.  A seal is bound to what
 * it is for and to whom it belongs (GCM's additional data), so that one that
 * was copied into another row, or another column, is not opened there.
 */

#include "base/prov_seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>


/* the three parts behind the key's id */
#define PROV_SEAL_PARTS  3


static ngx_int_t prov_seal_encrypt(prov_seal_key_t *key, ngx_str_t *aad,
    u_char *nonce, ngx_str_t *text, u_char *cipher, u_char *tag);
static ngx_int_t prov_seal_decrypt(prov_seal_key_t *key, ngx_str_t *aad,
    u_char *nonce, ngx_str_t *cipher, u_char *tag, u_char *text);
static ngx_int_t prov_seal_aad(ngx_pool_t *pool, const char *purpose,
    ngx_str_t *owner, ngx_str_t *aad);
static prov_seal_key_t *prov_seal_key_find(ngx_array_t *keys, ngx_str_t *id);
static ngx_int_t prov_seal_split(ngx_str_t *sealed, ngx_str_t *id,
    ngx_str_t *part);
static ngx_int_t prov_seal_decode(ngx_pool_t *pool, ngx_str_t *part,
    ngx_str_t *bytes);
static u_char *prov_seal_encode(u_char *p, u_char *bytes, size_t len);


ngx_int_t
prov_seal(ngx_pool_t *pool, ngx_array_t *keys, const char *purpose,
    ngx_str_t *owner, ngx_str_t *text, ngx_str_t *sealed)
{
    u_char           *p, *cipher, nonce[PROV_SEAL_NONCE], tag[PROV_SEAL_TAG];
    ngx_str_t         aad;
    prov_seal_key_t  *key;

    if (keys->nelts == 0 || text->len > PROV_SEAL_MAX) {
        return NGX_ERROR;
    }

    key = keys->elts;

    cipher = ngx_pnalloc(pool, text->len + 1);
    p = ngx_pnalloc(pool, key->id.len + PROV_SEAL_PARTS + 1
                          + ngx_base64_encoded_length(PROV_SEAL_NONCE)
                          + ngx_base64_encoded_length(text->len)
                          + ngx_base64_encoded_length(PROV_SEAL_TAG));

    if (cipher == NULL || p == NULL
        || prov_seal_aad(pool, purpose, owner, &aad) != NGX_OK
        || RAND_bytes(nonce, PROV_SEAL_NONCE) != 1
        || prov_seal_encrypt(key, &aad, nonce, text, cipher, tag) != NGX_OK)
    {
        return NGX_ERROR;
    }

    sealed->data = p;

    p = ngx_cpymem(p, key->id.data, key->id.len);
    p = prov_seal_encode(p, nonce, PROV_SEAL_NONCE);
    p = prov_seal_encode(p, cipher, text->len);
    p = prov_seal_encode(p, tag, PROV_SEAL_TAG);

    sealed->len = p - sealed->data;
    *p = '\0';

    return NGX_OK;
}


ngx_int_t
prov_unseal(ngx_pool_t *pool, ngx_array_t *keys, const char *purpose,
    ngx_str_t *owner, ngx_str_t *sealed, ngx_str_t *text, const char **why)
{
    ngx_int_t         rc;
    ngx_str_t         id, aad, part[PROV_SEAL_PARTS], bytes[PROV_SEAL_PARTS];
    ngx_uint_t        i;
    prov_seal_key_t  *key;

    if (prov_seal_split(sealed, &id, part) != NGX_OK) {
        *why = "it does not look like a seal";
        return NGX_DECLINED;
    }

    key = prov_seal_key_find(keys, &id);

    if (key == NULL) {
        *why = "no provisioning_secrets_key has the id that it names";
        return NGX_DECLINED;
    }

    for (i = 0; i < PROV_SEAL_PARTS; i++) {
        rc = prov_seal_decode(pool, &part[i], &bytes[i]);

        if (rc != NGX_OK) {
            *why = "it does not look like a seal";
            return rc;
        }
    }

    if (bytes[0].len != PROV_SEAL_NONCE || bytes[2].len != PROV_SEAL_TAG) {
        *why = "it does not look like a seal";
        return NGX_DECLINED;
    }

    text->data = ngx_pnalloc(pool, bytes[1].len + 1);

    if (text->data == NULL
        || prov_seal_aad(pool, purpose, owner, &aad) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = prov_seal_decrypt(key, &aad, bytes[0].data, &bytes[1],
                           bytes[2].data, text->data);

    text->len = bytes[1].len;
    text->data[text->len] = '\0';

    if (rc == NGX_DECLINED) {
        /* GCM decrypts first and verifies then */
        prov_seal_wipe(text);
        *why = "it was changed, was made for something else, or with another "
               "key of that id";
    }

    return rc;
}


void
prov_seal_key_id(ngx_str_t *sealed, ngx_str_t *id)
{
    ngx_str_t  part[PROV_SEAL_PARTS];

    if (prov_seal_split(sealed, id, part) != NGX_OK) {
        ngx_str_null(id);
    }
}


void
prov_seal_wipe(ngx_str_t *text)
{
    OPENSSL_cleanse(text->data, text->len);
    text->len = 0;
}


static ngx_int_t
prov_seal_encrypt(prov_seal_key_t *key, ngx_str_t *aad, u_char *nonce,
    ngx_str_t *text, u_char *cipher, u_char *tag)
{
    int              n, rest;
    ngx_int_t        rc;
    EVP_CIPHER_CTX  *ctx;

    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->key, nonce) == 1
        && EVP_EncryptUpdate(ctx, NULL, &n, aad->data, (int) aad->len) == 1
        && EVP_EncryptUpdate(ctx, cipher, &n, text->data, (int) text->len)
           == 1
        && EVP_EncryptFinal_ex(ctx, cipher + n, &rest) == 1
        && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, PROV_SEAL_TAG, tag)
           == 1)
    {
        rc = NGX_OK;
    }

    EVP_CIPHER_CTX_free(ctx);

    return rc;
}


/* NGX_DECLINED: the tag is not that of these bytes */

static ngx_int_t
prov_seal_decrypt(prov_seal_key_t *key, ngx_str_t *aad, u_char *nonce,
    ngx_str_t *cipher, u_char *tag, u_char *text)
{
    int              n, rest;
    ngx_int_t        rc;
    EVP_CIPHER_CTX  *ctx;

    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->key, nonce) == 1
        && EVP_DecryptUpdate(ctx, NULL, &n, aad->data, (int) aad->len) == 1
        && EVP_DecryptUpdate(ctx, text, &n, cipher->data, (int) cipher->len)
           == 1
        && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, PROV_SEAL_TAG, tag)
           == 1)
    {
        rc = EVP_DecryptFinal_ex(ctx, text + n, &rest) == 1 ? NGX_OK
                                                            : NGX_DECLINED;
    }

    EVP_CIPHER_CTX_free(ctx);

    return rc;
}


/* A purpose has no NUL, so no two pairs are the same bytes. */

static ngx_int_t
prov_seal_aad(ngx_pool_t *pool, const char *purpose, ngx_str_t *owner,
    ngx_str_t *aad)
{
    u_char  *p;
    size_t   len;

    len = ngx_strlen(purpose);

    p = ngx_pnalloc(pool, len + 1 + owner->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    aad->data = p;
    aad->len = len + 1 + owner->len;

    p = ngx_cpymem(p, purpose, len + 1);
    ngx_memcpy(p, owner->data, owner->len);

    return NGX_OK;
}


static prov_seal_key_t *
prov_seal_key_find(ngx_array_t *keys, ngx_str_t *id)
{
    ngx_uint_t        i;
    prov_seal_key_t  *key;

    key = keys->elts;

    for (i = 0; i < keys->nelts; i++) {
        if (key[i].id.len == id->len
            && ngx_memcmp(key[i].id.data, id->data, id->len) == 0)
        {
            return &key[i];
        }
    }

    return NULL;
}


static ngx_int_t
prov_seal_split(ngx_str_t *sealed, ngx_str_t *id, ngx_str_t *part)
{
    u_char      *p, *last, *dot;
    ngx_uint_t   i;

    p = sealed->data;
    last = p + sealed->len;

    dot = ngx_strlchr(p, last, '.');
    if (dot == NULL) {
        return NGX_DECLINED;
    }

    id->data = p;
    id->len = dot - p;

    for (i = 0; i < PROV_SEAL_PARTS; i++) {
        p = dot + 1;
        dot = ngx_strlchr(p, last, '.');

        if ((dot == NULL) != (i == PROV_SEAL_PARTS - 1)) {
            return NGX_DECLINED;
        }

        part[i].data = p;
        part[i].len = (dot ? dot : last) - p;

        if (part[i].len > ngx_base64_encoded_length(PROV_SEAL_MAX)) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


/* Each value has one text: nginx's decoder is more generous. */

static ngx_int_t
prov_seal_decode(ngx_pool_t *pool, ngx_str_t *part, ngx_str_t *bytes)
{
    u_char  *again;

    bytes->data = ngx_pnalloc(pool, ngx_base64_decoded_length(part->len) + 1);
    again = ngx_pnalloc(pool, part->len + 8);

    if (bytes->data == NULL || again == NULL) {
        return NGX_ERROR;
    }

    if (ngx_decode_base64url(bytes, part) != NGX_OK
        || (size_t) (prov_seal_encode(again, bytes->data, bytes->len) - again)
           != part->len + 1
        || ngx_memcmp(again + 1, part->data, part->len) != 0)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static u_char *
prov_seal_encode(u_char *p, u_char *bytes, size_t len)
{
    ngx_str_t  src, dst;

    *p++ = '.';

    src.data = bytes;
    src.len = len;
    dst.data = p;

    ngx_encode_base64url(&dst, &src);

    return p + dst.len;
}


/* With a key of its own, which is made of the one for sealing. */

ngx_int_t
prov_seal_mark(prov_seal_key_t *key, const char *purpose, ngx_str_t *salt,
    ngx_str_t *text, u_char *mark)
{
    u_char        *p, *input, own[SHA256_DIGEST_LENGTH],
                   hash[SHA256_DIGEST_LENGTH];
    size_t         len;
    ngx_int_t      rc;
    ngx_str_t      src, dst;
    unsigned int   n;

    static u_char  use[] = "provisioning mark";

    len = ngx_strlen(purpose) + 1 + salt->len + 1 + text->len;

    input = ngx_alloc(len, ngx_cycle->log);
    if (input == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(input, purpose, ngx_strlen(purpose) + 1);
    p = ngx_cpymem(p, salt->data, salt->len);
    *p++ = '\0';
    ngx_memcpy(p, text->data, text->len);

    rc = NGX_ERROR;

    if (HMAC(EVP_sha256(), key->key, PROV_SEAL_KEY, use, sizeof(use) - 1, own,
             &n)
        && HMAC(EVP_sha256(), own, sizeof(own), input, len, hash, &n))
    {
        src.data = hash;
        src.len = sizeof(hash);
        dst.data = mark;

        ngx_encode_base64url(&dst, &src);

        rc = NGX_OK;
    }

    OPENSSL_cleanse(own, sizeof(own));
    OPENSSL_cleanse(input, len);
    ngx_free(input);

    return rc;
}


ngx_uint_t
prov_seal_id_valid(ngx_str_t *id)
{
    u_char      ch;
    ngx_uint_t  i;

    for (i = 0; i < id->len; i++) {
        ch = id->data[i];

        if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z') {
            continue;
        }

        if ((ch < '0' || ch > '9') && ch != '_' && ch != '-') {
            return 0;
        }
    }

    return id->len > 0 && id->len <= PROV_SEAL_ID_LEN;
}


ngx_int_t
prov_seal_key_read(ngx_str_t *text, u_char *key)
{
    size_t     len;
    u_char     bytes[ngx_base64_decoded_length(44)];
    ngx_int_t  rc;
    ngx_str_t  src, dst;

    if (text->len == PROV_SEAL_KEY) {
        ngx_memcpy(key, text->data, PROV_SEAL_KEY);
        return NGX_OK;
    }

    len = text->len;

    if (len && text->data[len - 1] == '\n') {
        len--;

        if (len && text->data[len - 1] == '\r') {
            len--;
        }
    }

    if (len != ngx_base64_encoded_length(PROV_SEAL_KEY)) {
        return NGX_DECLINED;
    }

    src.data = text->data;
    src.len = len;
    dst.data = bytes;

    rc = NGX_DECLINED;

    if (ngx_decode_base64(&dst, &src) == NGX_OK
        && dst.len == PROV_SEAL_KEY)
    {
        ngx_memcpy(key, bytes, PROV_SEAL_KEY);
        rc = NGX_OK;
    }

    OPENSSL_cleanse(bytes, sizeof(bytes));

    return rc;
}
