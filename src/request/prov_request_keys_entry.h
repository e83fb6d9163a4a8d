/*
 * What a worker remembers of API keys: the entries, between the file that
 * keeps them and the one that asks for them.  Included by those two only.
 */

#ifndef _PROV_REQUEST_KEYS_ENTRY_H_INCLUDED_
#define _PROV_REQUEST_KEYS_ENTRY_H_INCLUDED_


#include "request/prov_request.h"


/* milliseconds that an answer counts */
#define PROV_KEYS_VALID    1000

/* questions about unknown keys and other secrets that are to be had at once;
   one comes back each millisecond, and with each key that is there after
   all */
#define PROV_KEYS_RATION   1000


typedef struct {
    ngx_rbtree_node_t     node;          /* .key: a hash of id */
    ngx_queue_t           queue;         /* in known, absent or asking */
    ngx_queue_t           waiting;       /* prov_request_lookup_t */
    prov_request_keys_t  *keys;
    prov_auth_apikey_t   *key;           /* NULL: not there, or not asked */
    prov_db_query_t      *query;         /* the question under way, or NULL */
    prov_db_query_t      *use;           /* the note under way, or NULL */
    ngx_msec_t            asked;
    ngx_msec_t            since;         /* when what is remembered was asked */
    u_char                id[PROV_AUTH_APIKEY_ID];
    u_char                find[sizeof("{\"key\":\"\"}")
                               + PROV_AUTH_APIKEY_ID];
    u_char                note[sizeof("{\"key\":\"\",\"partner\":\"\"}")
                               + 2 * PROV_AUTH_APIKEY_ID];
    unsigned              known:1;       /* there has been an answer */
} prov_keys_entry_t;


typedef struct {
    ngx_rbtree_t          tree;
    ngx_rbtree_node_t     sentinel;
    ngx_queue_t           known;         /* the latest used comes first */
    ngx_queue_t           absent;        /* the latest asked comes first */
    ngx_queue_t           asking;
    ngx_uint_t            nknown;
    ngx_uint_t            nabsent;
    ngx_uint_t            ration;
    ngx_msec_t            rationed;      /* when it last grew */
} prov_keys_cache_t;


extern prov_keys_cache_t  prov_keys;


prov_keys_entry_t *prov_keys_lookup(prov_request_keys_t *keys, u_char *id);
prov_keys_entry_t *prov_keys_create(prov_request_keys_t *keys, u_char *id);

/* from the list of those that are asked for to one that is remembered */
void prov_keys_settle(prov_keys_entry_t *entry, ngx_int_t rc);

/* takes an entry off its list; frees one that is on none */
void prov_keys_leave(prov_keys_entry_t *entry);
void prov_keys_remove(prov_keys_entry_t *entry);

ngx_uint_t prov_keys_ration(void);


#endif /* _PROV_REQUEST_KEYS_ENTRY_H_INCLUDED_ */
