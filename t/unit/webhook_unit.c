/*
 * What webhooks are signed with, and what is kept of an answer: signatures
 * held against those of others, and text that strangers send.  Prints TAP.
 */

#include "jobs/prov_webhook.h"

#include "tap.h"

#include <stdlib.h>


static ngx_pool_t  *pool;


static void
text_is(const char *bytes, size_t len, size_t max, const char *expected,
    const char *name)
{
    u_char     *copy;
    ngx_str_t   text, src;
    ngx_str_t   values[] = { ngx_string("Bearer s3cret"),
                             ngx_string("Bearer s3cret-longer"),
                             ngx_string("short") };

    /* of exactly this length, so that a byte beyond it is seen */

    copy = malloc(len ? len : 1);
    memcpy(copy, bytes, len);
    src.data = copy;
    src.len = len;

    text = prov_webhook_text(pool, &src, max, values, 3);
    free(copy);

    unit_is((char *) text.data, expected, name);
    unit_result(text.len <= max && strlen((char *) text.data) == text.len,
                "and is no longer than it may be");
}


static void
test_text(void)
{
    text_is("", 0, 8, "", "nothing is nothing");
    text_is("a\tb\r\nc", 6, 99, "a\tb\r\nc", "text stays");
    text_is("a\0b\x1b[31m\x7f", 9, 99,
            "a\xef\xbf\xbd" "b\xef\xbf\xbd[31m\xef\xbf\xbd",
            "control characters go");
    text_is("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, 99,
            "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "UTF-8 stays");
    text_is("\xc3\xa9", 2, 1, "", "a character is never cut");
    text_is("\xc3", 1, 99, "\xef\xbf\xbd", "nor is half of one kept");
    text_is("\xc3\xc3\xa9", 3, 99, "\xef\xbf\xbd\xc3\xa9",
            "what follows half of one is looked at");
    text_is("\xc0\x80\xe0\x80\x80\xed\xa0\x80", 8, 99,
            "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
            "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
            "overlong forms and surrogates go");
    text_is("\xf4\x90\x80\x80\xf5\xc2\x9b", 7, 99,
            "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
            "\xef\xbf\xbd\xef\xbf\xbd", "so does what is beyond Unicode");
    text_is("\xe2\x82\xc3\xa9", 4, 99, "\xef\xbf\xbd\xef\xbf\xbd\xc3\xa9",
            "a byte of another character is no part of one");
    text_is("abcdef", 6, 4, "abcd", "a long text is cut");

    text_is("x Bearer s3cret y", 17, 99, "x [redacted] y",
            "a header's value is masked");
    text_is("Bearer s3cretBearer s3cret-longer", 33, 99,
            "[redacted][redacted]", "the longest one of several");
    text_is("x short y", 9, 99, "x short y", "but for short ones");
    text_is("x Bearer s3", 11, 99, "x [redacted]",
            "one that is cut off is masked, too");
    text_is("x Beare", 7, 99, "x Beare", "unless that is nothing");
    text_is("Bearer s3cret", 13, 9, "", "a mask is never cut");
}


static void
test_signature(void)
{
    u_char      signature[PROV_WEBHOOK_SIGNATURE];
    u_char      key[PROV_WEBHOOK_SECRET];
    ngx_str_t   id, payload, content, secret;
    ngx_uint_t  i;

    ngx_str_set(&id, "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W");
    ngx_str_set(&payload, "{\"test\": 2432232314}");

    content = prov_webhook_content(pool, &id, 1674087231, &payload);

    unit_result(content.len == strlen("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W."
                                      "1674087231.{\"test\": 2432232314}")
                && memcmp(content.data, "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W."
                                        "1674087231.{\"test\": 2432232314}",
                          content.len) == 0,
                "id, time and payload are signed, with dots between them");

    for (i = 0; i < sizeof(key); i++) {
        key[i] = (u_char) i;
    }

    secret.data = key;
    secret.len = sizeof(key);

    unit_result(prov_webhook_sign(PROV_WEBHOOK_V1, &secret, &content,
                                  signature) == NGX_OK, "by HMAC-SHA256");
    unit_is((char *) signature, "v1,cAp9TQtaE2ZR9not+U8dvvN3yUkNsSp3s7Jkeij7"
                                "9bQ=", "as Python does it");
    unit_result(prov_webhook_sign(PROV_WEBHOOK_V1A, &secret, &content,
                                  signature) == NGX_OK, "or Ed25519");
    unit_is((char *) signature, "v1a,WGezPSQBN+ncUQHlaJCb1mM9EqbbV3QGhNXd7fi3"
                                "6AohyzGqpJZqe4p0IBgO1Jv4Rj4GsxPl1i5ebiTbe31m"
                                "DA==", "as Node.js does it");

    secret.len--;
    unit_result(prov_webhook_sign(PROV_WEBHOOK_V1, &secret, &content,
                                  signature) == NGX_ERROR
                && prov_webhook_sign(PROV_WEBHOOK_V1A, &secret, &content,
                                     signature) == NGX_ERROR,
                "never with a secret of another length");
}


int
main(int argc, char **argv)
{
    pool = ngx_create_pool(4096, ngx_shim_log());

    test_text();
    test_signature();

    ngx_destroy_pool(pool);

    return unit_end();
}
