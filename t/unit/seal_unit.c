/*
 * Seals: what was sealed is opened for the same purpose and owner and for no
 * other, nothing that was changed is opened, keys can be replaced one by one,
 * and no allocation that fails does harm.  Prints TAP.
 */

#include "base/prov_seal.h"

#include "tap.h"

#include <stdlib.h>


static ngx_pool_t  *pool;
static ngx_str_t    owner = ngx_string("0194f0c4-1d2e-7f30-8a41-6b5c4d3e2f10");
static ngx_str_t    other = ngx_string("0194f0c4-1d2e-7f30-8a41-6b5c4d3e2f11");
static ngx_str_t    secret = ngx_string("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa");


static ngx_array_t *
keys_make(const char **ids, ngx_uint_t n)
{
    ngx_uint_t        i;
    ngx_array_t      *keys;
    prov_seal_key_t  *key;

    keys = ngx_array_create(pool, 4, sizeof(prov_seal_key_t));

    for (i = 0; i < n; i++) {
        key = ngx_array_push(keys);
        memset(key, 0, sizeof(prov_seal_key_t));
        key->id.data = (u_char *) ids[i];
        key->id.len = strlen(ids[i]);

        /* of one id there is one key, but for "new?", which is another */
        memset(key->key, ids[i][0] + 7 * (int) key->id.len, PROV_SEAL_KEY);
    }

    return keys;
}


static ngx_int_t
opened(ngx_array_t *keys, const char *purpose, ngx_str_t *who,
    ngx_str_t *sealed)
{
    ngx_int_t    rc;
    ngx_str_t    text;
    const char  *why;

    why = NULL;
    rc = prov_unseal(pool, keys, purpose, who, sealed, &text, &why);

    if (rc == NGX_OK) {
        return text.len == secret.len
               && memcmp(text.data, secret.data, secret.len) == 0
               && text.data[text.len] == '\0';
    }

    return rc == NGX_DECLINED && why ? 0 : -1;
}


static void
test_binding(void)
{
    ngx_str_t     sealed, again, empty, text;
    ngx_array_t  *keys;
    const char   *ids[] = { "new" }, *why;

    keys = keys_make(ids, 1);

    unit_result(prov_seal(pool, keys, "secret", &owner, &secret, &sealed)
                == NGX_OK && sealed.data[sealed.len] == '\0'
                && strncmp((char *) sealed.data, "new.", 4) == 0,
                "a seal names its key");
    unit_result(strstr((char *) sealed.data, (char *) secret.data) == NULL,
                "and does not show what it holds");
    unit_result(opened(keys, "secret", &owner, &sealed) == 1,
                "it is opened");
    unit_result(opened(keys, "headers", &owner, &sealed) == 0,
                "not for another purpose");
    unit_result(opened(keys, "secret", &other, &sealed) == 0,
                "nor for another owner");

    unit_result(prov_seal(pool, keys, "secret", &owner, &secret, &again)
                == NGX_OK && strcmp((char *) sealed.data,
                                    (char *) again.data) != 0,
                "no two seals are the same");

    ngx_str_set(&empty, "");

    unit_result(prov_seal(pool, keys, "secret", &owner, &empty, &again)
                == NGX_OK
                && prov_unseal(pool, keys, "secret", &owner, &again, &text,
                               &why) == NGX_OK
                && text.len == 0, "nothing can be sealed, too");

    again.len = PROV_SEAL_MAX + 1;
    again.data = calloc(1, again.len);
    unit_result(prov_seal(pool, keys, "secret", &owner, &again, &text)
                == NGX_ERROR, "what is too long is not");
    again.len--;
    unit_result(prov_seal(pool, keys, "secret", &owner, &again, &text)
                == NGX_OK
                && prov_unseal(pool, keys, "secret", &owner, &text, &empty,
                               &why) == NGX_OK
                && empty.len == PROV_SEAL_MAX, "what just fits is");
    free(again.data);

    keys->nelts = 0;
    unit_result(prov_seal(pool, keys, "secret", &owner, &secret, &again)
                == NGX_ERROR, "without a key nothing is sealed");
    unit_result(opened(keys, "secret", &owner, &sealed) == 0,
                "nor opened");
}


static void
test_tampering(void)
{
    u_char        was;
    size_t        i, len;
    ngx_uint_t    bit, found;
    ngx_str_t     sealed, longer;
    ngx_array_t  *keys;
    const char   *ids[] = { "new" };

    keys = keys_make(ids, 1);
    (void) prov_seal(pool, keys, "secret", &owner, &secret, &sealed);

    found = 0;

    for (i = 0; i < sealed.len; i++) {
        was = sealed.data[i];

        for (bit = 0; bit < 8; bit++) {
            sealed.data[i] = was ^ (1 << bit);
            found += opened(keys, "secret", &owner, &sealed) != 0;
        }

        sealed.data[i] = was;
    }

    unit_result(found == 0, "a seal of which any bit was changed is refused");

    found = 0;
    len = sealed.len;

    for (sealed.len = 0; sealed.len < len; sealed.len++) {
        found += opened(keys, "secret", &owner, &sealed) != 0;
    }

    unit_result(found == 0, "so is one of which the end is missing");

    longer.data = malloc(len + 2);
    longer.len = len + 1;
    memcpy(longer.data, sealed.data, len);

    found = 0;

    for (i = 0; i < 256; i++) {
        longer.data[len] = (u_char) i;
        longer.data[len + 1] = '\0';
        found += opened(keys, "secret", &owner, &longer) != 0;
    }

    free(longer.data);

    unit_result(found == 0, "or that goes on");
    unit_result(opened(keys, "secret", &owner, &sealed) == 1,
                "as it was, it is opened");
}


static void
test_rotation(void)
{
    ngx_str_t     before, after;
    ngx_array_t  *one, *both, *two, *wrong;
    const char   *first[] = { "2025" }, *second[] = { "2026-b", "2025" };
    const char   *third[] = { "2026-b" };

    one = keys_make(first, 1);
    both = keys_make(second, 2);
    two = keys_make(third, 1);
    wrong = keys_make(first, 1);
    ((prov_seal_key_t *) wrong->elts)->key[0] ^= 1;

    (void) prov_seal(pool, one, "secret", &owner, &secret, &before);
    (void) prov_seal(pool, both, "secret", &owner, &secret, &after);

    unit_result(strncmp((char *) after.data, "2026-b.", 7) == 0,
                "the first of several keys seals");
    unit_result(opened(both, "secret", &owner, &before) == 1
                && opened(both, "secret", &owner, &after) == 1,
                "each of them opens");
    unit_result(opened(two, "secret", &owner, &after) == 1
                && opened(two, "secret", &owner, &before) == 0,
                "without the old key its seals stay shut");
    unit_result(opened(wrong, "secret", &owner, &before) == 0,
                "another key of the same id opens nothing");
}


static void
test_keys(void)
{
    u_char      key[PROV_SEAL_KEY], raw[PROV_SEAL_KEY + 1];
    ngx_str_t   text;
    ngx_uint_t  i, good;

    static ngx_str_t  texts[] = {
        ngx_string("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
        ngx_string("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"),
        ngx_string("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\r\n")
    };

    static ngx_str_t  bad[] = {
        ngx_string(""),
        ngx_string("\n"),
        ngx_string("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n"),
        ngx_string("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
        ngx_string("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd===="),
        ngx_string("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8*"),
        ngx_string("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8f")
    };

    for (i = 0; i < PROV_SEAL_KEY; i++) {
        raw[i] = (u_char) i;
    }

    raw[PROV_SEAL_KEY] = 0;

    text.data = raw;
    text.len = PROV_SEAL_KEY;
    unit_result(prov_seal_key_read(&text, key) == NGX_OK
                && memcmp(key, raw, PROV_SEAL_KEY) == 0,
                "a key may be 32 bytes");

    text.len++;
    unit_result(prov_seal_key_read(&text, key) == NGX_DECLINED,
                "33 are too many");

    good = 1;

    for (i = 0; i < sizeof(texts) / sizeof(ngx_str_t); i++) {
        memset(key, 0, PROV_SEAL_KEY);
        good &= prov_seal_key_read(&texts[i], key) == NGX_OK
                && memcmp(key, raw, PROV_SEAL_KEY) == 0;
    }

    unit_result(good, "or base64, with or without the end of a line");

    good = 1;

    for (i = 0; i < sizeof(bad) / sizeof(ngx_str_t); i++) {
        good &= prov_seal_key_read(&bad[i], key) == NGX_DECLINED;
    }

    unit_result(good, "and nothing else");
}


static void
test_memory(void)
{
    ngx_int_t     rc;
    ngx_str_t     sealed, text;
    ngx_uint_t    n;
    ngx_array_t  *keys;
    const char   *ids[] = { "new" }, *why;

    keys = keys_make(ids, 1);

    for (n = 1; /* void */ ; n++) {
        ngx_shim_fail_at(n);
        rc = prov_seal(pool, keys, "secret", &owner, &secret, &sealed);

        if (!ngx_shim_failed()) {
            break;
        }

        if (rc != NGX_ERROR) {
            break;
        }
    }

    ngx_shim_fail_at(0);
    unit_result(rc == NGX_OK && n > 1, "no memory to seal is an error");

    for (n = 1; /* void */ ; n++) {
        ngx_shim_fail_at(n);
        rc = prov_unseal(pool, keys, "secret", &owner, &sealed, &text, &why);

        if (!ngx_shim_failed() || rc != NGX_ERROR) {
            break;
        }
    }

    ngx_shim_fail_at(0);
    unit_result(rc == NGX_OK && n > 1, "and so is none to unseal");

    prov_seal_wipe(&text);
    unit_result(text.len == 0 && text.data[0] == '\0'
                && text.data[secret.len - 1] == '\0',
                "nothing is left of a text that was wiped");
}


int
main(int argc, char **argv)
{
    pool = ngx_create_pool(4096, ngx_shim_log());

    test_binding();
    test_tampering();
    test_rotation();
    test_keys();
    test_memory();

    ngx_destroy_pool(pool);

    return unit_end();
}
