/*
 * What the parts of auth_remote_unit.c share: an issuer whose keys are fetched
 * in a worker of its own, whose clock and whose network are the test's.
 */

#ifndef _AUTH_REMOTE_UNIT_H_INCLUDED_
#define _AUTH_REMOTE_UNIT_H_INCLUDED_


#include "auth/prov_auth_remote.h"
#include "base/prov_json_memory.h"
#include "auth_shim.h"
#include "http_shim.h"
#include "tap.h"


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


extern ngx_pool_t          *unit_pool;
extern ngx_conf_t           unit_conf;
extern ngx_cycle_t          unit_cycle;
extern ngx_array_t          unit_issuers;
extern prov_auth_issuer_t  *unit_issuer;
extern ngx_uint_t           unit_woken;
extern ngx_uint_t           unit_again;       /* so many wait once more */
extern prov_auth_wait_t     unit_waits[2000];


/* One issuer, and a worker that has just started; NULL: it is refused. */
prov_auth_issuer_t *unit_configure(const char *directive);
void unit_worker(void);
void unit_exit(void);

/* All of that, and its end. */
void unit_start(const char *directive);
void unit_stop(void);

/* a turn of the event loop in which the first timers come */
void unit_turn(void);

/* The request that is open is answered with a document. */
void unit_ok(const char *text);

/* How long it takes until a request is sent, to a tenth of a second. */
ngx_msec_t unit_until(ngx_msec_t most);

/* "one two": what is in force, or "none" */
const char *unit_keys(void);

/* The caller of this number waits for keys. */
ngx_int_t unit_await(ngx_uint_t n);

void unit_count(ngx_uint_t got, ngx_uint_t expected, const char *name);


/* auth_remote_schedule.c: what is configured, and when to fetch */
void test_conf(void);
void test_age(void);
void test_schedule(void);

/* auth_remote_fetch.c: a worker that fetches */
void test_life(void);
void test_strangers(void);
void test_outage(void);

/* auth_remote_shared.c: several workers, discovery, and no memory */
void test_shared(void);
void test_discovery(void);
void test_memory(void);


#endif /* _AUTH_REMOTE_UNIT_H_INCLUDED_ */
