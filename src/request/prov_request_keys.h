/*
 * API keys that requests show: looked up in the database, remembered by the
 * worker for a second.  Included by src/request and by handlers that take a
 * key in another place than a header.
 */

#ifndef _PROV_REQUEST_KEYS_H_INCLUDED_
#define _PROV_REQUEST_KEYS_H_INCLUDED_


#include <ngx_http.h>

#include "auth/prov_auth_apikey.h"
#include "db/prov_db.h"


/* provisioning_auth … keys=<database>; one for each database */

typedef struct {
    prov_db_conf_t       *db;
    ngx_uint_t            find;          /* statements */
    ngx_uint_t            used;
    prov_auth_issuer_t    issuer;        /* of identities that are keys */
} prov_request_keys_t;


/*
 * The answer to a look-up: NGX_OK and the key, which stays valid until the
 * handler returns; NGX_DECLINED: there is no such key; anything else: nobody
 * can say, and this is the status of the problem that has been set.
 */

typedef void (*prov_request_key_pt)(ngx_http_request_t *r, ngx_int_t rc,
    prov_auth_apikey_t *key);


/* A request that waits for a look-up; in the request's memory. */

typedef struct {
    ngx_queue_t           queue;         /* in the entry's */
    ngx_http_request_t   *request;
    prov_request_key_pt   handler;
    prov_auth_shown_t     shown;
    unsigned              waiting:1;
    unsigned              joined:1;      /* a question that was under way */
    unsigned              cleanup:1;     /* the request will say good-bye */
} prov_request_lookup_t;


/* The keys of that database; while the configuration is read. */
prov_request_keys_t *prov_request_keys(ngx_conf_t *cf, ngx_array_t *all,
    prov_db_conf_t *db);

/*
 * Looks for the key that was shown.  As the handler is told, but NGX_AGAIN:
 * the handler will be called, unless the request ends before.
 */
ngx_int_t prov_request_key_find(ngx_http_request_t *r,
    prov_request_lookup_t *lookup, prov_request_keys_t *keys,
    prov_request_key_pt handler, prov_auth_apikey_t **key);

/* Notes that the key was used, at most once a minute; nobody waits. */
void prov_request_key_used(prov_request_keys_t *keys,
    prov_auth_apikey_t *key);

ngx_int_t prov_request_keys_init_worker(ngx_cycle_t *cycle);
void prov_request_keys_exit_worker(void);


#endif /* _PROV_REQUEST_KEYS_H_INCLUDED_ */
