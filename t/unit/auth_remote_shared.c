/*
 * Part of auth_remote_unit.c: what workers have from each other, where
 * discovery leads, and what happens without memory.
 */

#include "auth_remote_unit.h"

#include <openssl/err.h>


void
test_shared(void)
{
    ngx_str_t            text;
    ngx_uint_t           before;
    prov_auth_version_t  version;

    unit_start("jwks_uri " URL);
    unit_turn();
    unit_ok(SET_1);

    /* a reload */

    before = http_shim_requests;
    http_shim_pass(MINUTE);
    unit_exit();
    unit_worker();
    unit_is(unit_keys(), "one", "the next workers begin with the last set");
    http_shim_pass(7 * MINUTE);
    unit_count(http_shim_requests, before, "without a request");
    http_shim_pass(2 * MINUTE);
    unit_count(http_shim_requests, before + 1, "until it is due");

    /* in the middle of everything */

    (void) unit_await(0);
    http_shim_answer(PROV_HTTP_ANSWERED, 200, "", SET_12);
    unit_exit();
    unit_worker();
    unit_is(unit_keys(), "one", "what was not read is not handed on");
    unit_exit();
    http_shim_pass(24 * HOUR);
    unit_worker();
    unit_is(unit_keys(), "none", "nor what is a day old");
    unit_turn();
    unit_ok(SET_1);

    /* another worker */

    http_shim_pass(11 * SECOND);
    before = http_shim_requests;
    ngx_str_set(&text, SET_12);
    memset(&version, 0, sizeof(version));
    version.fetched = ngx_current_msec;
    version.max_age = PROV_AUTH_NO_AGE;
    prov_auth_shared_store(unit_issuer->source->zone, &text, &version);
    unit_is(unit_keys(), "one", "what another worker has fetched");
    unit_result(unit_await(0) == NGX_AGAIN, "is looked for");
    http_shim_threads();
    unit_is(unit_keys(), "one two", "when a key is unknown");
    unit_count(unit_woken, 1, "as if we had fetched it");
    unit_result(unit_await(0) == NGX_DECLINED, "which it is");
    unit_count(http_shim_requests, before, "without a request");

    http_shim_pass(8 * MINUTE);
    version.fetched = ngx_current_msec;
    prov_auth_shared_store(unit_issuer->source->zone, &text, &version);
    http_shim_pass(8 * MINUTE);
    unit_count(http_shim_requests, before,
               "what another one finds unchanged need not be fetched");
    http_shim_pass(2 * MINUTE);
    unit_count(http_shim_requests, before + 1, "for another while");

    /* an answer that was overtaken */

    ngx_str_set(&text, SET_2);
    version.fetched = ngx_current_msec + 1;
    prov_auth_shared_store(unit_issuer->source->zone, &text, &version);
    unit_ok(SET_1);
    http_shim_pass(11 * SECOND);
    (void) unit_await(0);
    http_shim_threads();
    unit_is(unit_keys(), "two", "what was asked for last counts");

    http_shim_pass(11 * SECOND);
    prov_auth_shared_failed(unit_issuer->source->zone);
    before = http_shim_requests;
    unit_result(unit_await(0) == NGX_BUSY && http_shim_requests == before,
                "another worker's failure holds strangers off, too");
    http_shim_pass(11 * SECOND);
    unit_result(unit_await(0) == NGX_AGAIN
                && http_shim_requests == before + 1, "for a while");

    unit_stop();
}


void
test_discovery(void)
{
    ngx_uint_t  n;

    static const char  good[] = "{\"issuer\":\"https://issuer.test\","
                                "\"jwks_uri\":\"https://keys.test/1\"}";

    static const char  *bad[] = {
        "", "nothing", "[]", "{}", "{\"issuer\":\"https://issuer.test\"}",
        "{\"jwks_uri\":\"https://keys.test/1\"}",
        "{\"issuer\":\"https://issuer.test/\","
            "\"jwks_uri\":\"https://keys.test/1\"}",
        "{\"issuer\":\"https://evil.test\\u001b[31m\","
            "\"jwks_uri\":\"https://keys.test/1\"}",
        "{\"issuer\":[\"https://issuer.test\"],"
            "\"jwks_uri\":\"https://keys.test/1\"}",
        "{\"issuer\":\"https://issuer.test\","
            "\"jwks_uri\":\"http://keys.test/1\"}",
        "{\"issuer\":\"https://issuer.test\",\"jwks_uri\":1}",
        "{\"issuer\":\"https://issuer.test\",\"issuer\":\"https://a.test\","
            "\"jwks_uri\":\"https://keys.test/1\"}",
        NULL
    };

    unit_start("discovery on");
    unit_turn();

    for (n = 0; bad[n]; n++) {
        unit_ok(bad[n]);
        unit_count(http_shim_open(), 0,
                   "what is not the issuer's configuration leads nowhere");
        http_shim_pass(MINUTE);
    }

    unit_is(http_shim_request()->url,
            "https://issuer.test/.well-known/openid-configuration",
            "it is asked for again");
    unit_ok(good);
    unit_is(http_shim_request()->url, "https://keys.test/1",
            "and says where the keys are");
    unit_ok(SET_1);
    unit_is(unit_keys(), "one", "which are fetched there");

    http_shim_pass(11 * SECOND);
    (void) unit_await(0);
    unit_is(http_shim_request()->url, "https://keys.test/1",
            "for an unknown key they are fetched at once");
    unit_ok(SET_1);

    /* strangers have them fetched all the time */

    for (n = 0; n < 100; n++) {
        http_shim_pass(11 * SECOND);
        unit_waits[0].waits = 0;
        (void) unit_await(0);

        if (strstr(http_shim_request()->url, "openid-configuration")) {
            break;
        }

        unit_ok(SET_1);
    }

    unit_result(n > 50 && n < 55, "but not for ever at the same place");
    unit_ok(good);
    http_shim_answer(PROV_HTTP_ANSWERED, 404, "", "");
    http_shim_pass(MINUTE);
    unit_is(http_shim_request()->url,
            "https://issuer.test/.well-known/openid-configuration",
            "when they have moved, it is asked for again");
    unit_ok("{\"issuer\":\"https://issuer.test\","
            "\"jwks_uri\":\"https://keys.test/2\"}");
    unit_is(http_shim_request()->url, "https://keys.test/2", "and followed");
    unit_ok(SET_2);
    unit_is(unit_keys(), "two", "to where they are");

    http_shim_pass(10 * MINUTE);
    unit_is(http_shim_request()->url,
            "https://issuer.test/.well-known/openid-configuration",
            "each refresh begins with it");
    (void) unit_await(0);
    unit_exit();
    ngx_destroy_pool(unit_pool);
    http_shim_zones_free();
    unit_count(http_shim_open(), 0, "a worker that ends takes it back");
}


/* Each allocation fails once: nothing breaks, and the next attempt works. */

void
test_memory(void)
{
    ngx_uint_t  n, failed, wrong;

    wrong = 0;

    for (n = 1, failed = 1; failed; n++) {

        if (unit_configure("discovery on") == NULL) {
            abort();
        }

        ngx_shim_fail_at(n);

        if (prov_auth_init_worker(&unit_cycle, &unit_issuers) == NGX_OK) {
            unit_turn();

            if (http_shim_open()) {
                unit_ok("{\"issuer\":\"https://issuer.test\","
                        "\"jwks_uri\":\"https://keys.test/1\"}");
            }

            if (http_shim_open()) {
                unit_ok(SET_12);
            }

            failed = ngx_shim_failed();
            ngx_shim_fail_at(0);

            if (strcmp(unit_keys(), "one two") != 0) {
                wrong += !failed;
                http_shim_pass(2 * MINUTE);

                if (http_shim_open()) {
                    unit_ok("{\"issuer\":\"https://issuer.test\","
                            "\"jwks_uri\":\"https://keys.test/1\"}");
                }

                unit_ok(SET_12);
                wrong += (strcmp(unit_keys(), "one two") != 0);
            }
        }

        ngx_shim_fail_at(0);
        wrong += (ERR_peek_error() != 0);

        unit_exit();
        ngx_destroy_pool(unit_pool);
        http_shim_zones_free();
    }

    unit_result(n > 20 && wrong == 0, "without memory it takes longer");
    printf("# %lu allocations\n", (unsigned long) n - 2);
}
