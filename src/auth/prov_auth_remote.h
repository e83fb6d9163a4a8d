/*
 * Keys that an issuer publishes at a URL: fetched in the background by each
 * worker, through src/http.  What the configuration says of them (the source)
 * never changes; what a worker knows of them (the remote) is the worker's own;
 * what all workers share, and the next ones find after a reload, is the last
 * good document.  Included by src/auth only.
 */

#ifndef _PROV_AUTH_REMOTE_H_INCLUDED_
#define _PROV_AUTH_REMOTE_H_INCLUDED_


#include "auth/prov_auth_private.h"
#include "http/prov_http.h"


/* bytes of a key set, of a discovery document, and of a URL */
#define PROV_AUTH_MAX_FETCHED      65536
#define PROV_AUTH_MAX_DISCOVERY    32768
#define PROV_AUTH_MAX_URL          2048

/* a Cache-Control that asks for more often is not followed */
#define PROV_AUTH_REFRESH_FLOOR    60000      /* ms */

/* wait after a failure, doubled from the first to the last */
#define PROV_AUTH_RETRY_FIRST      1000       /* ms */
#define PROV_AUTH_RETRY_LAST       60000      /* ms */

/* a worker that has no keys looks so often whether another one has */
#define PROV_AUTH_LOOK             1000       /* ms */

/* requests that wait for one fetch, and how often one of them does */
#define PROV_AUTH_MAX_WAITING      1024
#define PROV_AUTH_MAX_WAITS        3

/* keys left out that the log names each on a line of its own */
#define PROV_AUTH_MAX_TOLD         16


typedef struct prov_auth_shared_s  prov_auth_shared_t;
typedef struct prov_auth_keyset_s  prov_auth_keyset_t;


/* Directives "jwks_uri" and "discovery"; read-only. */

struct prov_auth_source_s {
    ngx_str_t             url;          /* NUL-terminated */
    ngx_uint_t            index;        /* in the configuration, from 0 */
    ngx_msec_t            refresh;
    ngx_msec_t            timeout;      /* of one request */
    ngx_msec_t            cooldown;     /* between fetches for unknown keys */
    ngx_msec_t            keep;         /* keys, after the last fetch */
    ngx_shm_zone_t       *zone;
    void                 *threads;      /* ngx_thread_pool_t * */
    unsigned              discovery:1;  /* the URL is that of the issuer's
                                           configuration */
};


/* The last good document, as the zone has it. */

typedef struct {
    ngx_uint_t            revision;     /* 0: there is none */
    ngx_msec_t            fetched;      /* when it was asked for */
    ngx_msec_t            max_age;      /* ms; see schedule */
} prov_auth_version_t;


/*
 * A document and the keys in it: one piece of memory, of a pool of its own,
 * that a thread fills in.
 */

struct prov_auth_keyset_s {
    ngx_pool_t           *pool;
    ngx_str_t             text;
    prov_auth_version_t   version;
    ngx_str_t             url;          /* for messages */
    ngx_uint_t            algorithms;   /* of the issuer */
    prov_auth_loader_t    loader;       /* remarks and fault are to be told */
    ngx_array_t           keys;         /* prov_auth_key_t */
    ngx_int_t             rc;           /* NGX_OK: some keys will do */
    ngx_event_t           event;        /* instead of a thread */
    void                (*handler)(prov_auth_keyset_t *keyset);
    void                 *data;
};


typedef enum {
    PROV_AUTH_IDLE = 0,                 /* the timer says when it goes on */
    PROV_AUTH_DISCOVERS,                /* http is set */
    PROV_AUTH_FETCHES,                  /* http is set */
    PROV_AUTH_READS                     /* reading is set: a thread has it */
} prov_auth_step_e;


/* What a worker knows of an issuer's keys. */

typedef struct {
    prov_auth_issuer_t   *issuer;
    prov_auth_source_t   *source;
    prov_auth_step_e      step;
    prov_auth_keyset_t   *keyset;       /* in force, or NULL */
    prov_auth_keyset_t   *reading;
    prov_http_request_t  *http;
    u_char               *found;        /* "jwks_uri" that discovery has
                                           found; ngx_alloc()ed */
    ngx_msec_t            discovered;   /* when that was asked for */
    ngx_uint_t            generation;   /* another one for each set in force */
    ngx_msec_t            since;        /* when the set in force was true */
    ngx_msec_t            asked;        /* of the fetch that is under way */
    ngx_msec_t            failed;       /* when the last one did */
    ngx_msec_t            next;         /* when the next one is due */
    ngx_uint_t            failures;     /* since the last success */
    ngx_uint_t            refused;      /* revision that is of no use here */
    ngx_event_t           timer;
    ngx_queue_t           waiting;      /* prov_auth_wait_t */
    ngx_uint_t            nwaiting;
    ngx_event_t           hold;         /* set while somebody waits: a worker
                                           does not leave before its timers */
    unsigned              had:1;        /* there were keys once */
} prov_auth_remote_t;


/* prov_auth_remote_conf.c: directives */
char *prov_auth_conf_jwks_uri(ngx_conf_t *cf, ngx_command_t *cmd, void *data);
char *prov_auth_conf_discovery(ngx_conf_t *cf, ngx_command_t *cmd,
    void *data);
char *prov_auth_conf_remote(ngx_conf_t *cf, prov_auth_issuer_t *issuer);

/*
 * prov_auth_remote.c: what this worker knows of the issuer; NULL where another
 * configuration is in force than the worker has begun with.  Arming sets the
 * timer of an idle one.  Looking is for what other workers have fetched:
 * NGX_OK: it says that our set is still right, or is being read
 * (PROV_AUTH_READS).
 */
prov_auth_remote_t *prov_auth_remote(prov_auth_issuer_t *issuer);
void prov_auth_remote_arm(prov_auth_remote_t *remote);
ngx_int_t prov_auth_remote_look(prov_auth_remote_t *remote);
ngx_uint_t prov_auth_remote_within(ngx_msec_t since, ngx_msec_t time);

/*
 * prov_auth_remote_end.c: how a fetch ends, with a document, whose keys are
 * read then unless it is the one in force, or with a sentence for the log.
 * Reading is handed the keyset, which is freed where that fails.
 */
void prov_auth_remote_fetched(prov_auth_remote_t *remote, ngx_str_t *text,
    ngx_msec_t max_age);
void prov_auth_remote_failed(prov_auth_remote_t *remote,
    ngx_int_t retry_after, const char *fmt, ...);
ngx_int_t prov_auth_remote_read(prov_auth_remote_t *remote,
    prov_auth_keyset_t *keyset);
void prov_auth_remote_replace(prov_auth_remote_t *remote,
    prov_auth_keyset_t *keyset);
void prov_auth_remote_confirmed(prov_auth_remote_t *remote,
    prov_auth_version_t *version);

/* prov_auth_await.c: whoever has waited goes on */
void prov_auth_remote_wake(prov_auth_remote_t *remote);

/* prov_auth_remote_fetch.c: the requests */
void prov_auth_fetch(prov_auth_remote_t *remote, ngx_uint_t discover);
void prov_auth_fetch_cancel(prov_auth_remote_t *remote);

/*
 * prov_auth_keyset.c: a copy of text (NULL: room for len bytes), whose keys
 * are read at once, or loaded by a thread.  Reading returns keyset->rc.
 * Loading returns NGX_OK, and the handler will be called, or NGX_ERROR when
 * no thread has room.
 */
prov_auth_keyset_t *prov_auth_keyset_create(prov_auth_issuer_t *issuer,
    u_char *text, size_t len);
ngx_int_t prov_auth_keyset_read(prov_auth_keyset_t *keyset);
ngx_int_t prov_auth_keyset_load(prov_auth_keyset_t *keyset, void *threads);
void prov_auth_keyset_free(prov_auth_keyset_t *keyset);

/* prov_auth_remote_shared.c: what the workers share */
ngx_shm_zone_t *prov_auth_shared_add(ngx_conf_t *cf,
    prov_auth_issuer_t *issuer);
void prov_auth_shared_version(ngx_shm_zone_t *zone,
    prov_auth_version_t *version);
prov_auth_keyset_t *prov_auth_shared_load(prov_auth_issuer_t *issuer);
void prov_auth_shared_store(ngx_shm_zone_t *zone, ngx_str_t *text,
    prov_auth_version_t *version);
void prov_auth_shared_failed(ngx_shm_zone_t *zone);
ngx_uint_t prov_auth_shared_failing(ngx_shm_zone_t *zone,
    ngx_msec_t cooldown);

/*
 * prov_auth_schedule.c: milliseconds until the next fetch.  max_age is what
 * the issuer's answer says of its own life; PROV_AUTH_NO_AGE: nothing.
 */
#define PROV_AUTH_NO_AGE  ((ngx_msec_t) -1)

ngx_msec_t prov_auth_schedule_age(ngx_str_t *headers);
ngx_msec_t prov_auth_schedule_refresh(prov_auth_source_t *source,
    ngx_msec_t max_age, ngx_uint_t random);
ngx_msec_t prov_auth_schedule_retry(prov_auth_source_t *source,
    ngx_uint_t failures, ngx_int_t retry_after, ngx_uint_t random);


#endif /* _PROV_AUTH_REMOTE_H_INCLUDED_ */
