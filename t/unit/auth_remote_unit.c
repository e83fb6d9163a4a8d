/*
 * Keys that are fetched, without a network and in no time: when requests go
 * out, how many of them strangers can bring about, which set is in force, and
 * who is told.  Prints TAP; the argument is the seed of what is random.
 */

#include "auth/prov_auth_remote.h"
#include "base/prov_json_memory.h"
#include "auth_shim.h"
#include "http_shim.h"
#include "tap.h"

#include <openssl/err.h>
#include <stdlib.h>


#define SECOND  1000
#define MINUTE  60000
#define HOUR    3600000


/* Ed25519 keys; the first is RFC 8037's */

#define KEY(kid, x)                                                           \
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"" kid "\",\"x\":\"" x "\"}"

#define ONE  KEY("one", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
#define TWO  KEY("two", "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik")

#define SET_1   "{\"keys\":[" ONE "]}"
#define SET_2   "{\"keys\":[" TWO "]}"
#define SET_12  "{\"keys\":[" ONE "," TWO "]}"

#define URL    "https://issuer.test/keys"
#define BLOCK  "iss https://issuer.test; audience a;"


static ngx_pool_t          *unit_pool;
static ngx_conf_t           unit_conf;
static ngx_cycle_t          unit_cycle;
static ngx_array_t          unit_issuers;
static prov_auth_issuer_t  *unit_issuer;
static ngx_uint_t           unit_woken;
static ngx_uint_t           unit_again;
static prov_auth_wait_t     unit_waits[2000];


static char *
unit_block(ngx_conf_t *cf, ngx_array_t *list)
{
    static ngx_array_t  signers;

    return prov_auth_issuer_block(cf, list, &signers);
}


/* One issuer, and a worker that has just started; NULL: it is refused. */

static prov_auth_issuer_t *
unit_configure(const char *directive)
{
    char                        text[1024];
    struct prov_http_conf_s    *http;
    prov_auth_issuer_t        **issuer;

    unit_pool = ngx_create_pool(4096, ngx_shim_log());
    auth_shim_conf(&unit_conf, &unit_cycle, unit_pool, "/");
    ngx_array_init(&unit_issuers, unit_pool, 1, sizeof(prov_auth_issuer_t *));

    snprintf(text, sizeof(text), "%s %s;", BLOCK, directive);
    auth_shim_log[0] = '\0';

    if (auth_shim_block(&unit_conf, "provisioning_issuer", "login", text,
                        unit_block, &unit_issuers)
        != NGX_CONF_OK
        || prov_auth_sources_check(&unit_conf, &unit_issuers, &http)
           != NGX_OK)
    {
        return NULL;
    }

    http_shim_zones();

    issuer = unit_issuers.elts;
    unit_issuer = issuer[0];

    return unit_issuer;
}


static void
unit_worker(void)
{
    unit_woken = 0;
    unit_again = 0;

    memset(unit_waits, 0, sizeof(unit_waits));

    if (prov_auth_init_worker(&unit_cycle, &unit_issuers) != NGX_OK) {
        abort();
    }
}


static void
unit_exit(void)
{
    http_shim_threads_end();
    prov_auth_exit_worker();
}


static void
unit_start(const char *directive)
{
    if (unit_configure(directive) == NULL) {
        printf("# %s", auth_shim_log);
        abort();
    }

    unit_worker();
}


static void
unit_stop(void)
{
    unit_exit();
    ngx_destroy_pool(unit_pool);
    http_shim_zones_free();

    unit_result(http_shim_open() == 0, "no request is left");
}


/* a turn of the event loop in which the first timers come */

static void
unit_turn(void)
{
    http_shim_pass(1);
}


static void
unit_ok(const char *text)
{
    http_shim_answer(PROV_HTTP_ANSWERED, 200, "", text);
    http_shim_threads();
}


/* How long it takes until a request is sent, to a tenth of a second. */

static ngx_msec_t
unit_until(ngx_msec_t most)
{
    ngx_msec_t  time;

    for (time = 0; http_shim_open() == 0 && time < most; time += 100) {
        http_shim_pass(100);
    }

    return time;
}


/* "one two": what is in force, or "none" */

static const char *
unit_keys(void)
{
    ngx_uint_t        i;
    ngx_array_t      *keys;
    prov_auth_key_t  *key;

    static char  text[1024];

    keys = prov_auth_remote_keys(unit_issuer);

    if (keys == NULL) {
        return "none";
    }

    text[0] = '\0';
    key = keys->elts;

    for (i = 0; i < keys->nelts; i++) {
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.*s",
                 i ? " " : "", (int) key[i].kid.len,
                 (char *) key[i].kid.data);
    }

    return text;
}


static void
unit_wake(void *data)
{
    prov_auth_wait_t *wait = data;

    unit_woken++;

    if (unit_again) {
        unit_again--;
        (void) prov_auth_await(unit_issuer, wait);
    }
}


static ngx_int_t
unit_await(ngx_uint_t n)
{
    unit_waits[n].handler = unit_wake;
    unit_waits[n].data = &unit_waits[n];

    return prov_auth_await(unit_issuer, &unit_waits[n]);
}


static void
unit_count(ngx_uint_t got, ngx_uint_t expected, const char *name)
{
    unit_result(got == expected, name);

    if (got != expected) {
        printf("# %lu, expected %lu\n", (unsigned long) got,
               (unsigned long) expected);
    }
}


static void
test_conf(void)
{
    ngx_uint_t           i;
    prov_auth_source_t  *source;

    static const struct {
        const char  *directive;
        const char  *says;
    } mistakes[] = {
        { "jwks_uri", "invalid number of arguments" },
        { "jwks_uri http://issuer.test/keys", "must begin with https://" },
        { "jwks_uri " URL " refresh=0s", "\"refresh=10m\", from 1s to 1d" },
        { "jwks_uri " URL " refresh=2d", "\"refresh=10m\", from 1s to 1d" },
        { "jwks_uri " URL " refresh=x", "\"refresh=10m\", from 1s to 1d" },
        { "jwks_uri " URL " refresh=", "\"refresh=10m\", from 1s to 1d" },
        { "jwks_uri " URL " timeout=1s timeout=2s", "\"timeout=5s\"" },
        { "jwks_uri " URL " cooldown=1ms", "from 100ms to 1h" },
        { "jwks_uri " URL " keep=8d", "from 1s to 7d" },
        { "jwks_uri " URL " keep=5m", "must not be less than \"refresh\"" },
        { "jwks_uri " URL " often=1s", "expected refresh=<time>" },
        { "jwks_uri " URL "; jwks_uri " URL, "directive is duplicate" },
        { "jwks_uri " URL "; discovery on", "remove one" },
        { "jwks_uri " URL "; algorithms RS256 HS256", "can do no HS256" },
        { "discovery http://issuer.test/", "must begin with https://" },
        { "discovery off", "must begin with https://" },
        { NULL, NULL }
    };

    unit_start("jwks_uri " URL);
    source = unit_issuer->source;

    unit_result(source->refresh == 10 * MINUTE && source->timeout == 5000
                && source->cooldown == 10000 && source->keep == 24 * HOUR
                && !source->discovery,
                "jwks_uri has the documented defaults");
    unit_result(unit_issuer->algorithms == 0x3ff,
                "every algorithm but the symmetric ones is accepted");
    unit_stop();

    unit_start("jwks_uri " URL " refresh=30s timeout=200ms cooldown=1s "
               "keep=1m");
    source = unit_issuer->source;

    unit_result(source->refresh == 30000 && source->timeout == 200
                && source->cooldown == 1000 && source->keep == 60000,
                "each can be set");
    unit_stop();

    unit_start("discovery on");
    unit_is((char *) unit_issuer->source->url.data,
            "https://issuer.test/.well-known/openid-configuration",
            "discovery goes by the issuer's URL");
    unit_stop();

    unit_start("discovery https://elsewhere.test/as");
    unit_is((char *) unit_issuer->source->url.data,
            "https://elsewhere.test/as", "or by another one");
    unit_stop();

    for (i = 0; mistakes[i].directive; i++) {
        unit_result(unit_configure(mistakes[i].directive) == NULL
                    && strstr(auth_shim_log, mistakes[i].says),
                    mistakes[i].directive);

        if (strstr(auth_shim_log, mistakes[i].says) == NULL) {
            printf("# %s", auth_shim_log);
        }

        ngx_destroy_pool(unit_pool);
        http_shim_zones_free();
    }
}


static void
test_age(void)
{
    ngx_uint_t  i;
    ngx_str_t   headers;
    ngx_msec_t  age;

    static const struct {
        const char  *headers;
        ngx_msec_t   age;
    } ages[] = {
        { "", PROV_AUTH_NO_AGE },
        { "Date: today\nServer: x\n", PROV_AUTH_NO_AGE },
        { "Cache-Control: public\n", PROV_AUTH_NO_AGE },
        { "Cache-Control: max-age=300\n", 300000 },
        { "cache-control:public,max-age=300\n", 300000 },
        { "X: y\nCACHE-CONTROL:  Public ,\tMAX-AGE=300 , x\nY: z\n", 300000 },
        { "Cache-Control: max-age=\"300\"\n", 300000 },
        { "Cache-Control: max-age=\n", PROV_AUTH_NO_AGE },
        { "Cache-Control: max-age=-1\n", PROV_AUTH_NO_AGE },
        { "Cache-Control: s-maxage=1\n", PROV_AUTH_NO_AGE },
        { "Cache-Control: x-max-age=1\n", PROV_AUTH_NO_AGE },
        { "Cache-Control: max-age=99999999999999999999\n", 86400000 },
        { "Cache-Control: max-age=300, no-cache\n", 0 },
        { "Cache-Control: no-cache=\"x\", max-age=300\n", 0 },
        { "Cache-Control: no-store\n", 0 },
        { "Cache-Control: no-storey\n", PROV_AUTH_NO_AGE },
        { "Cache-Control: max-age=300\nCache-Control: max-age=60\n", 60000 },
        { "Cache-Control: max-age=300\nAge: 100\n", 200000 },
        { "Age: 400\nCache-Control: max-age=300\n", 0 },
        { "Age: x\nCache-Control: max-age=300\n", 300000 },
        { "Cache-Control: max-age=300", 300000 },
        { "\n\n:\nCache-Control:\nCache-Control", PROV_AUTH_NO_AGE },
        { NULL, 0 }
    };

    for (i = 0; ages[i].headers; i++) {

        /* a piece of its own, so that a byte beyond it is noticed */

        headers.len = strlen(ages[i].headers);
        headers.data = malloc(headers.len + !headers.len);
        memcpy(headers.data, ages[i].headers, headers.len);

        age = prov_auth_schedule_age(&headers);
        free(headers.data);

        unit_count(age, ages[i].age, "how long an answer is good for");
    }
}


static void
test_schedule(void)
{
    ngx_uint_t          i, n, wrong;
    ngx_msec_t          time, min, max;
    prov_auth_source_t  source;

    static const struct {
        ngx_msec_t  refresh;
        ngx_msec_t  age;
        ngx_msec_t  time;         /* at the latest */
    } refreshes[] = {
        { 600000, PROV_AUTH_NO_AGE, 600000 },
        { 600000, 86400000, 600000 },
        { 600000, 300000, 300000 },
        { 600000, 5000, 60000 },
        { 600000, 0, 60000 },
        { 30000, 0, 30000 },
        { 1000, PROV_AUTH_NO_AGE, 1000 },
        { 0, 0, 0 }
    };

    static const ngx_msec_t  retries[] = {
        1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000
    };

    memset(&source, 0, sizeof(source));

    for (i = 0; refreshes[i].refresh; i++) {
        source.refresh = refreshes[i].refresh;
        min = PROV_AUTH_NO_AGE;
        max = 0;

        for (n = 0; n < 1000; n++) {
            time = prov_auth_schedule_refresh(&source, refreshes[i].age,
                                              (ngx_uint_t) random());
            min = ngx_min(min, time);
            max = ngx_max(max, time);
        }

        unit_result(max <= refreshes[i].time
                    && max > refreshes[i].time - refreshes[i].time / 50
                    && min >= refreshes[i].time - refreshes[i].time / 10
                    && min < refreshes[i].time - refreshes[i].time / 12,
                    "a refresh comes within the last tenth of its time");
    }

    source.refresh = 10 * MINUTE;
    wrong = 0;

    for (i = 0; i < 8; i++) {
        for (n = 0; n < 100; n++) {
            time = prov_auth_schedule_retry(&source, i + 1, -1,
                                            (ngx_uint_t) random());
            wrong += (time > retries[i]
                      || time < retries[i] - retries[i] / 10);
        }
    }

    unit_count(wrong, 0, "retries come later each time, up to a minute");
    unit_count(prov_auth_schedule_retry(&source, 100000, -1, 0), 60000,
               "however many they are");
    unit_count(prov_auth_schedule_retry(&source, 1, 120, 0), 120000,
               "as late as the issuer asks for");
    unit_count(prov_auth_schedule_retry(&source, 1, 1000000000, 0),
               10 * MINUTE, "but not later than it would without a failure");
    unit_count(prov_auth_schedule_retry(&source, 5, 1, 0), 16000,
               "and not sooner than they would without being asked");
}


static void
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


static void
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


static void
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


static void
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


static void
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

static void
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


int
main(int argc, char **argv)
{
    srandom((argc > 1) ? (unsigned) atoi(argv[1]) : 1);

    /* failures are logged, which is not what is tested here */

    ngx_shim_log()->log_level = NGX_LOG_EMERG;

    json_set_alloc_funcs(ngx_shim_malloc, free);
    unit_pool = ngx_create_pool(4096, ngx_shim_log());
    prov_json_memory_init(unit_pool);

    ngx_pool_t  *memory = unit_pool;

    test_conf();
    test_age();
    test_schedule();
    test_life();
    test_strangers();
    test_outage();
    test_shared();
    test_discovery();
    test_memory();

    ngx_destroy_pool(memory);

    return unit_end();
}
