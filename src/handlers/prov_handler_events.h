/*
 * Streams of events (Server-Sent Events), between the file that begins one,
 * the one that knows who listens to what and asks the database for all of
 * them, and the one that writes.
 */

#ifndef _PROV_HANDLER_EVENTS_H_INCLUDED_
#define _PROV_HANDLER_EVENTS_H_INCLUDED_


#include "handlers/prov_handlers.h"


/* of a cursor, which the database makes up and the gateway gives back */
#define PROV_EVENTS_CURSOR  64


/* provisioning_event_streams, and the database of provisioning_jobs */

struct prov_events_conf_s {
    ngx_str_t              database;      /* name, or empty */
    ngx_uint_t             max;           /* streams of a worker; 0: none */
    ngx_uint_t             partner_max;   /* of a partner, in a worker */
    ngx_msec_t             heartbeat;
    ngx_msec_t             retry;         /* what clients are told to wait */
    ngx_msec_t             interval;      /* between questions at rest */
    prov_db_conf_t        *db;            /* NULL: nobody can listen */
    ngx_uint_t             since;         /* statements */
    ngx_uint_t             barrier;
    unsigned               set:1;         /* the directive was there */
};


/* Text on its way to one listener, or to many. */

typedef struct {
    ngx_uint_t             refs;
    size_t                 len;
    u_char                 text[1];
} prov_events_chunk_t;


/* What one or more ask for: a partner's events, those that a filter leaves. */

typedef struct {
    ngx_queue_t            queue;         /* in the hub's feeds */
    ngx_uint_t             nlisteners;
    ngx_uint_t             nplaces;
    void                  *end;           /* its place where nothing is to
                                             come, while places are merged */
    ngx_str_t              partner;       /* id */
    ngx_str_t              filter;        /* JSON */
} prov_events_feed_t;


/* A place in a feed, at which listeners wait for what is behind it. */

typedef struct {
    ngx_queue_t            queue;         /* in the hub's places */
    ngx_queue_t            listeners;
    prov_events_feed_t    *feed;
    ngx_str_t              cursor;
    u_char                 buffer[PROV_EVENTS_CURSOR];
    unsigned               more:1;        /* something is there already: who
                                             stands here is behind, or else
                                             live */
} prov_events_place_t;


/* A request that listens; in its pool. */

typedef struct {
    ngx_queue_t            queue;         /* in the place's listeners, or
                                             among those that are told */
    ngx_queue_t            all;           /* in the hub's listeners */
    ngx_http_request_t    *request;
    prov_events_feed_t    *feed;          /* NULL: listens no longer */
    prov_events_place_t   *place;         /* NULL: is being written to */
    prov_events_chunk_t   *chunk;         /* … and this is what, or NULL */
    ngx_chain_t           *free;
    ngx_chain_t           *busy;
    ngx_str_t              cursor;        /* behind the chunk */
    u_char                 buffer[PROV_EVENTS_CURSOR];
    ngx_str_t              key;           /* id, or empty */
    ngx_int_t              version;       /* of the key */
    ngx_uint_t             asked;         /* number in the question, + 1 */
    ngx_msec_t             beaten;        /* when something was sent last */
    time_t                 expires;       /* 0: never */
    unsigned               moved:1;       /* its place, without an event */
} prov_events_listener_t;


/* a worker's */

typedef struct {
    ngx_queue_t            feeds;
    ngx_queue_t            places;        /* in the order of their turns */
    ngx_queue_t            listeners;     /* all of them */
    ngx_uint_t             n;
    ngx_event_t            tick;          /* heartbeats, and who may still */
    ngx_connection_t      *watch;         /* is told when the worker leaves */

    /* the question: prov_handler_events_ask.c and what stands beside it */

    ngx_event_t            timer;
    ngx_msec_t             delay;         /* to the next one at rest */
    ngx_msec_t             asked;         /* when the last one was asked */
    ngx_msec_t             last;          /* when what is live was … */
    ngx_msec_t             took;          /* … and for how long */
    ngx_msec_t             rest;          /* until then, of who is behind */
    ngx_msec_t             checked;       /* when callers were */
    prov_db_query_t       *query;         /* under way, or NULL */
    prov_db_query_t       *answer;        /* waits until it is on disk */
    u_char                *text;
    prov_events_place_t  **places_asked;
    ngx_uint_t             nplaces;
    prov_events_listener_t  **callers;
    ngx_uint_t             ncallers;
    unsigned               all:1;         /* it is, or was, for all places
                                             that are live; else for some
                                             that are behind */
    unsigned               again:1;       /* something was committed since */
    unsigned               telling:1;     /* listeners are being told */
    unsigned               failing:1;     /* and it has been logged */
} prov_events_hub_t;


extern prov_events_conf_t  *prov_events_conf;   /* of the worker */
extern prov_events_hub_t    prov_events_hub;


/*
 * prov_handler_events_hub.c: who listens to what.  begin takes the listener,
 * for partner and filter (which are copied) from a cursor on.  join brings one
 * back to which all has been written, hold keeps the place of one to which it
 * has not.  NGX_OK, or NGX_ERROR: no memory.
 */
ngx_int_t prov_events_begin(prov_events_listener_t *l, ngx_str_t *partner,
    ngx_str_t *filter, ngx_str_t *cursor);
ngx_int_t prov_events_join(prov_events_listener_t *l);
void prov_events_hold(prov_events_listener_t *l);
void prov_events_leave(prov_events_listener_t *l);
ngx_uint_t prov_events_of_partner(ngx_str_t *partner);
void prov_events_merge(void);
void prov_events_sweep(void);

/* prov_handler_events_ask.c: what is new for them, and when to ask for it */
void prov_events_ask(void);
void prov_events_ask_init(void);
void prov_events_ask_exit(void);

/*
 * prov_handler_events_question.c: the question, in the hub, for all who are
 * live, or for those behind whose turn it is; NGX_ERROR: no memory.
 */
ngx_int_t prov_events_question(prov_events_hub_t *hub, ngx_uint_t all);
void prov_events_forget(prov_events_hub_t *hub);

/*
 * prov_handler_events_answer.c: refused closes the streams of those who may
 * not listen any more, and returns how many rows are about something else;
 * deliver tells these, and returns whether anything was new.
 */
ngx_uint_t prov_events_refused(prov_events_hub_t *hub, PGresult *result);
ngx_uint_t prov_events_deliver(prov_events_hub_t *hub, PGresult *result);

/*
 * prov_handler_events_write.c: to the client.  send: NGX_OK: it has taken
 * all; NGX_AGAIN: it will be joined when it has; NGX_ERROR.  The others may
 * end the request, and with it the listener.
 */
prov_events_chunk_t *prov_events_chunk(size_t len);
void prov_events_release(prov_events_chunk_t *chunk);
ngx_int_t prov_events_send(prov_events_listener_t *l,
    prov_events_chunk_t *chunk);
void prov_events_tell(prov_events_listener_t *l, prov_events_chunk_t *chunk);
void prov_events_beat(prov_events_listener_t *l);
void prov_events_close(prov_events_listener_t *l, const char *code);


#endif /* _PROV_HANDLER_EVENTS_H_INCLUDED_ */
