/*
 * Keys that are fetched, without a network and in no time: when requests go
 * out, how many of them strangers can bring about, which set is in force, and
 * who is told.  The tests are in auth_remote_schedule.c, _fetch.c and
 * _shared.c.  Prints TAP; the argument is the seed of what is random.
 */

#include "auth_remote_unit.h"

#include <stdlib.h>


ngx_pool_t                 *unit_pool;
ngx_conf_t                  unit_conf;
ngx_cycle_t                 unit_cycle;
ngx_array_t                 unit_issuers;
prov_auth_issuer_t         *unit_issuer;
ngx_uint_t                  unit_woken;
ngx_uint_t                  unit_again;
prov_auth_wait_t            unit_waits[2000];


static char *
unit_block(ngx_conf_t *cf, ngx_array_t *list)
{
    static ngx_array_t  signers;

    return prov_auth_issuer_block(cf, list, &signers);
}


prov_auth_issuer_t *
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


void
unit_worker(void)
{
    unit_woken = 0;
    unit_again = 0;

    memset(unit_waits, 0, sizeof(unit_waits));

    if (prov_auth_init_worker(&unit_cycle, &unit_issuers) != NGX_OK) {
        abort();
    }
}


void
unit_exit(void)
{
    http_shim_threads_end();
    prov_auth_exit_worker();
}


void
unit_start(const char *directive)
{
    if (unit_configure(directive) == NULL) {
        printf("# %s", auth_shim_log);
        abort();
    }

    unit_worker();
}


void
unit_stop(void)
{
    unit_exit();
    ngx_destroy_pool(unit_pool);
    http_shim_zones_free();

    unit_result(http_shim_open() == 0, "no request is left");
}


void
unit_turn(void)
{
    http_shim_pass(1);
}


void
unit_ok(const char *text)
{
    http_shim_answer(PROV_HTTP_ANSWERED, 200, "", text);
    http_shim_threads();
}


ngx_msec_t
unit_until(ngx_msec_t most)
{
    ngx_msec_t  time;

    for (time = 0; http_shim_open() == 0 && time < most; time += 100) {
        http_shim_pass(100);
    }

    return time;
}


const char *
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


ngx_int_t
unit_await(ngx_uint_t n)
{
    unit_waits[n].handler = unit_wake;
    unit_waits[n].data = &unit_waits[n];

    return prov_auth_await(unit_issuer, &unit_waits[n]);
}


void
unit_count(ngx_uint_t got, ngx_uint_t expected, const char *name)
{
    unit_result(got == expected, name);

    if (got != expected) {
        printf("# %lu, expected %lu\n", (unsigned long) got,
               (unsigned long) expected);
    }
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
