/*
 * Part of auth_remote_unit.c: what the directives of an issuer mean, how old a
 * set of keys may get, and when the next one is asked for.
 */

#include "auth_remote_unit.h"


void
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


void
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


void
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
