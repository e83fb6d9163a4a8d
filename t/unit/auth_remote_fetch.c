/*
 * Part of auth_remote_unit.c: a worker that fetches keys again and again, what
 * strangers with unknown keys can bring about, and an issuer that is away.
 */

#include "auth_remote_unit.h"


void
test_life(void)
{
    ngx_msec_t  time;
    ngx_uint_t  n, generation, wrong, same;

    unit_start("jwks_uri " URL);
    unit_count(http_shim_open(), 0, "nothing is sent before the loop turns");
    unit_is(unit_keys(), "none", "there are no keys");

    unit_turn();
    unit_count(http_shim_open(), 1, "then one request is");
    unit_is(http_shim_request()->url, URL, "for the keys");
    unit_count(http_shim_request()->timeout, 5000, "with a time-out");
    unit_count(http_shim_request()->max_response, 65536, "and a bound");
    unit_result(http_shim_request()->background,
                "which a worker that leaves does not wait for");

    unit_result(unit_await(0) == NGX_BUSY, "nobody waits for the first set");
    unit_count(prov_auth_retry(unit_issuer), 1, "but may come back soon");

    http_shim_answer(PROV_HTTP_ANSWERED, 200, "", SET_1);
    unit_is(unit_keys(), "none", "the worker does not read it");
    unit_result(unit_await(0) == NGX_AGAIN,
                "while a thread does, requests wait");
    unit_count(http_shim_threads(), 1, "which takes one thread");
    unit_is(unit_keys(), "one", "and there are keys");
    unit_count(unit_woken, 1, "and who has waited is told");

    generation = prov_auth_remote_generation(unit_issuer);
    wrong = 0;
    same = 0;

    for (n = 0; n < 20; n++) {
        time = unit_until(HOUR);
        wrong += (time < 9 * MINUTE || time > 10 * MINUTE);

        unit_ok(SET_1);
        same += (prov_auth_remote_generation(unit_issuer) == generation);
    }

    unit_count(wrong, 0, "it is fetched once in nine to ten minutes");
    unit_count(same, 20, "the same document changes nothing");

    http_shim_pass(10 * MINUTE);
    unit_ok(SET_12);
    unit_is(unit_keys(), "one two", "a new key is known");
    unit_result(prov_auth_remote_generation(unit_issuer) != generation,
                "and what was verified before is looked at again");

    (void) unit_until(HOUR);
    http_shim_answer(PROV_HTTP_ANSWERED, 200, "Cache-Control: max-age=90\n",
                     SET_2);
    http_shim_threads();
    unit_is(unit_keys(), "two", "a key that has left is not");

    time = unit_until(HOUR);
    unit_result(time >= 81 * SECOND && time <= 90 * SECOND,
                "max-age is waited for, and not longer");
    unit_ok(SET_2);

    unit_stop();
}


void
test_strangers(void)
{
    ngx_uint_t  i, n, before, refused, again;

    unit_start("jwks_uri " URL);
    unit_turn();
    unit_ok(SET_1);

    before = http_shim_requests;
    unit_result(unit_await(0) == NGX_DECLINED,
                "a set that has just been fetched is all there is");
    unit_count(http_shim_requests, before, "so nothing is fetched");

    http_shim_pass(11 * SECOND);

    for (n = 0; n < 1000; n++) {
        if (unit_await(n) != NGX_AGAIN) {
            break;
        }
    }

    unit_count(n, 1000, "later, a thousand unknown keys");
    unit_count(http_shim_requests, before + 1, "are one request");

    prov_auth_await_end(&unit_waits[17]);
    prov_auth_await_end(&unit_waits[17]);
    unit_ok(SET_12);
    unit_count(unit_woken, 999, "whose answer all learn who are still there");

    for (n = 0, i = 0; n < 1000; n++) {
        i += unit_waits[n].waiting;
    }

    unit_count(i, 0, "and nobody waits any more");

    /* an hour of ten a second */

    before = http_shim_requests;
    refused = 0;
    again = 0;

    for (n = 0; n < 36000; n++) {
        i = n % 10;
        unit_waits[i].waits = 0;

        switch (unit_await(i)) {
        case NGX_AGAIN:
            again++;
            break;
        case NGX_DECLINED:
            refused++;
            break;
        }

        http_shim_pass(100);

        if (http_shim_open()) {
            unit_ok(SET_12);
        }
    }

    unit_result(http_shim_requests - before <= 360
                && http_shim_requests - before >= 340,
                "in an hour strangers bring about a request in ten seconds");
    unit_result(again <= 360 && refused >= 35000, "the others are refused");

    http_shim_pass(11 * SECOND);

    for (n = 0; n < PROV_AUTH_MAX_WAITING; n++) {
        unit_waits[n].waits = 0;
        (void) unit_await(n);
    }

    unit_result(unit_await(n) == NGX_BUSY, "only so many may wait");
    prov_auth_await_end(&unit_waits[0]);
    unit_result(unit_await(n) == NGX_AGAIN, "another one when one has left");
    unit_ok(SET_12);

    http_shim_pass(11 * SECOND);
    memset(unit_waits, 0, sizeof(unit_waits));
    unit_woken = 0;
    (void) unit_await(0);
    (void) unit_await(1);
    unit_again = 2;
    unit_ok(SET_1);
    unit_result(unit_woken == 2 && !unit_waits[0].waiting
                && !unit_waits[1].waiting,
                "who asks again is not kept: the answer is the latest");

    http_shim_pass(11 * SECOND);
    (void) unit_await(0);
    unit_again = 1;
    http_shim_answer(PROV_HTTP_TIMEOUT, 0, "", "");
    unit_result(!unit_waits[0].waiting, "nor after a failure");

    unit_stop();
}


void
test_outage(void)
{
    ngx_uint_t           n, before, generation;
    prov_auth_remote_t  *remote;

    unit_start("jwks_uri " URL);
    unit_turn();

    /* from the start */

    http_shim_answer(PROV_HTTP_UNREACHABLE, 0, "", "");
    unit_is(unit_keys(), "none", "without an answer there are no keys");
    unit_result(unit_await(0) == NGX_BUSY, "and nobody waits for them");

    for (n = 0; n < 7; n++) {
        http_shim_pass(MINUTE);
        http_shim_answer(PROV_HTTP_ANSWERED, 500, "", SET_1);
    }

    unit_is(unit_keys(), "none", "nor with another status than 200");
    http_shim_pass(50 * SECOND);
    unit_count(http_shim_open(), 0, "after some attempts it is asked");
    unit_result(prov_auth_retry(unit_issuer) > 1, "and callers may come");
    http_shim_pass(10 * SECOND);
    unit_count(http_shim_open(), 1, "once a minute");
    unit_ok(SET_1);
    unit_is(unit_keys(), "one", "until it answers");

    /* later */

    http_shim_pass(10 * MINUTE);
    generation = prov_auth_remote_generation(unit_issuer);
    remote = prov_auth_remote(unit_issuer);

    static const char  *garbage[] = {
        "", "no JSON", "{}", "[]", "null", "{\"keys\":{}}", "{\"keys\":[]}",
        "{\"keys\":[1,{},{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":"
            "\"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE\"}]}",
        "{\"keys\":[" ONE "],\"keys\":[" TWO "]}",
        "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
            "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\",\"d\":\"x\"}]}",
        NULL
    };

    for (n = 0; garbage[n]; n++) {
        unit_ok(garbage[n]);
        unit_is(unit_keys(), "one", "what is no key set replaces none");

        if (http_shim_open() == 0) {
            http_shim_pass(MINUTE);
        }
    }

    http_shim_answer(PROV_HTTP_TOO_LARGE, 200, "", "");
    unit_result(remote->failures == n + 1
                && generation == prov_auth_remote_generation(unit_issuer),
                "each is a failure, and changes nothing");

    before = http_shim_requests;
    unit_result(unit_await(0) == NGX_BUSY && http_shim_requests == before,
                "after a failure nothing is fetched for strangers");

    http_shim_pass(MINUTE);
    unit_ok("{\"keys\":[{\"kty\":\"OKP\"},1," TWO ",{\"kty\":\"oct\"}]}");
    unit_is(unit_keys(), "two", "what is usable of a set is used");
    unit_count(remote->failures, 0, "which is a success");

    http_shim_pass(10 * MINUTE);
    http_shim_busy = 1;
    http_shim_answer(PROV_HTTP_ANSWERED, 200, "", SET_1);
    http_shim_busy = 0;
    unit_is(unit_keys(), "two", "without a thread nothing changes");
    http_shim_pass(MINUTE);
    unit_ok(SET_1);
    unit_is(unit_keys(), "one", "until there is one");

    /* for longer than a day */

    for (n = 0; n < 24 * 60 - 1; n++) {
        if (http_shim_open()) {
            http_shim_answer(PROV_HTTP_UNRESOLVED, 0, "", "");
        }

        http_shim_pass(MINUTE);
    }

    unit_is(unit_keys(), "one", "keys outlast a day without the issuer");
    generation = prov_auth_remote_generation(unit_issuer);
    http_shim_pass(2 * MINUTE);
    unit_is(unit_keys(), "none", "and not more");
    unit_result(prov_auth_remote_generation(unit_issuer) != generation,
                "neither does what was verified with them");
    unit_result(unit_await(0) == NGX_BUSY, "callers may come back");

    if (http_shim_open() == 0) {
        http_shim_pass(MINUTE);
    }

    unit_ok(SET_2);
    unit_is(unit_keys(), "two", "when the issuer has");

    unit_stop();
}
