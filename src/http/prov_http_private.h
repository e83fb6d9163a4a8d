/*
 * What the files of src/http share: the configuration, the worker's client,
 * its destinations, and the functions between them.  Nobody else includes
 * this but the tests.
 */

#ifndef _PROV_HTTP_PRIVATE_H_INCLUDED_
#define _PROV_HTTP_PRIVATE_H_INCLUDED_


#include "http/prov_http.h"

#if (PROV_HAVE_CURL)
#include <curl/curl.h>
#endif


/* of a URL, in bytes */
#define PROV_HTTP_URL         2048

/* header bytes of all answers to one request, the interim ones included */
#define PROV_HTTP_HEADERS_IN  65536

/* an answer may ask for no longer pause; s */
#define PROV_HTTP_RETRY_MAX   (7 * 24 * 3600)

/* destinations that have failed, and are remembered for it */
#define PROV_HTTP_REMEMBERED  1024

/* so long libcurl is called in one turn of the event loop; us.  What has begun
   is brought to its end, and a step of a TLS handshake takes up to 1000 */
#define PROV_HTTP_TURN        500

/* a share of libcurl's keeps 8 TLS sessions, and no more */
#define PROV_HTTP_SHARES      32


/* an IPv4 network is the IPv4-mapped IPv6 one of it */

typedef struct {
    u_char                 address[16];
    ngx_uint_t             bits;
} prov_http_network_t;


struct prov_http_conf_s {
    ngx_msec_t             timeout;
    ngx_msec_t             connect_timeout;
    size_t                 max_response;
    ngx_uint_t             connections;
    ngx_uint_t             queue;
    ngx_uint_t             destination_connections;
    ngx_uint_t             destination_queue;
    ngx_flag_t             plain_http;
    ngx_array_t            allow;       /* prov_http_network_t */
    ngx_array_t            deny;        /* prov_http_network_t */
    ngx_str_t              trusted_certificate;
    void                  *trust;       /* X509_STORE */
    ngx_uint_t             failures;    /* that open the breaker; 0: never */
    ngx_msec_t             open;        /* for so long */
};


typedef struct {
    ngx_str_t              host;        /* an IPv6 one without its brackets */
    in_port_t              port;
    unsigned               secure:1;
    unsigned               literal:1;   /* host is an address: */
    struct sockaddr_in6    address;     /* large enough for both */
    socklen_t              address_len;
} prov_http_url_t;


/*
 * The form of a URL.  NGX_DECLINED: *why is as in prov_http_url_check().
 * parts points into the text.
 */
ngx_int_t prov_http_url_parse(ngx_str_t *url, prov_http_url_t *parts,
    const char **why);

/*
 * NULL for an address that may be connected to, else the reason: what the
 * network is for.  Networks in deny are refused before those in allow are
 * allowed; both may be NULL.
 */
const char *prov_http_address_refused(struct sockaddr *sa, socklen_t len,
    ngx_array_t *allow, ngx_array_t *deny);

/*
 * "10.0.0.0/8", "fd00::/8" or a single address.  NGX_DECLINED: *why is the
 * rest of a sentence.
 */
ngx_int_t prov_http_network_parse(ngx_str_t *text,
    prov_http_network_t *network, const char **why);


#if (PROV_HAVE_CURL)

/* What is sent to the same scheme, host and port on behalf of one scope. */

typedef struct {
    ngx_str_node_t         node;        /* str: scope, LF, origin */
    ngx_queue_t            queue;       /* of those with a turn to take, or of
                                           those remembered; else unused */
    ngx_queue_t            waiting;     /* prov_http_request_t, oldest first */
    ngx_uint_t             nwaiting;
    ngx_uint_t             nrunning;
    ngx_uint_t             failures;    /* since the last success */
    ngx_msec_t             opened;      /* when the breaker did */
    unsigned               turn:1;      /* is in the queue of those */
    unsigned               remembered:1;  /* is in the queue of those */
    unsigned               open:1;      /* breaker */
    unsigned               probing:1;   /* one is under way all the same */
} prov_http_destination_t;


typedef enum {
    PROV_HTTP_NEW = 0,       /* in none, also on its way to the next one */
    PROV_HTTP_SUBMITTED,     /* in client->submitted, until the turn's end */
    PROV_HTTP_WAITING,       /* in destination->waiting */
    PROV_HTTP_RUNNING,       /* in client->running */
    PROV_HTTP_DONE,          /* in client->done, until the turn's end */
    PROV_HTTP_DELIVERED      /* the handler was called, or nobody will be */
} prov_http_state_e;


typedef struct {
    prov_http_conf_t      *conf;
    ngx_log_t             *log;
    CURLM                 *multi;
    CURLSH                *shares[PROV_HTTP_SHARES];  /* TLS sessions */
    CURL                 **spare;       /* easy handles to be used again */
    ngx_uint_t             nspare;
    ngx_queue_t            submitted;
    ngx_queue_t            running;
    ngx_queue_t            done;
    ngx_uint_t             nrunning;
    ngx_uint_t             nwaiting;
    ngx_uint_t             nholding;    /* requests a leaving worker awaits */
    ngx_event_t            dispatch;    /* posted: there is something to do */
    ngx_event_t            timer;       /* libcurl's */
    ngx_queue_t            ready;       /* events of libcurl's sockets, those
                                           that have waited longest first */
    uint64_t               begun;       /* us; when this turn's work did */
    ngx_event_t            hold;        /* keeps a leaving worker */
    ngx_rbtree_t           destinations;
    ngx_rbtree_node_t      sentinel;
    ngx_queue_t            turns;       /* destinations with a free slot and
                                           somebody who waits for it */
    ngx_queue_t            remembered;  /* idle ones that have failed, the
                                           longest idle first */
    ngx_uint_t             nremembered;
    unsigned               initialised:1;  /* libcurl's global state is */
    unsigned               started:1;   /* the event loop runs */
    unsigned               dispatching:1;  /* this turn's work is being done */
    unsigned               due:1;       /* libcurl's timer is */
    unsigned               starved:1;   /* one that runs is */
} prov_http_client_t;


/* the worker's; its multi is NULL before init and after exit */
extern prov_http_client_t  prov_http_client;


/* prov_http_trust.c: fills in conf->trust; NGX_ERROR after logging */
ngx_int_t prov_http_trust(ngx_conf_t *cf, prov_http_conf_t *conf);

/*
 * prov_http_event.c: libcurl's sockets and timer on nginx's event loop.  due
 * does what libcurl's timer is due for, if it is; ready handles sockets for as
 * long as the turn has time.
 */
ngx_int_t prov_http_event_init(ngx_cycle_t *cycle);
void prov_http_event_exit(void);
void prov_http_event_due(void);
void prov_http_event_ready(void);

/* prov_http_transfer.c: a request as libcurl's easy handle, and back */
prov_http_error_e prov_http_transfer_start(prov_http_request_t *r);
void prov_http_transfer_stop(prov_http_request_t *r);

/* prov_http_headers.c: whether what the caller has given can be sent, else
   NGX_DECLINED with the message; and into r->lines */
ngx_int_t prov_http_head_check(prov_http_request_t *r);
ngx_int_t prov_http_headers(prov_http_request_t *r);

/* prov_http_result.c: of a transfer that has ended by itself; stops it */
prov_http_error_e prov_http_transfer_result(prov_http_request_t *r,
    CURLcode code);

/* prov_http_answer.c: libcurl's callbacks for what comes in */
size_t prov_http_answer_header(char *data, size_t size, size_t n, void *p);
size_t prov_http_answer_body(char *data, size_t size, size_t n, void *p);

/* prov_http_client.c: a worker does not leave in between */
void prov_http_hold(prov_http_request_t *r);
void prov_http_unhold(prov_http_request_t *r);

/* prov_http_destination.c: of the share that keeps its TLS sessions */
ngx_uint_t prov_http_destination_share(prov_http_request_t *r);

/* prov_http.c */
void prov_http_dispatch(ngx_event_t *ev);
void prov_http_wake(void);
ngx_uint_t prov_http_turn_over(void);
void prov_http_finish(prov_http_request_t *r, prov_http_error_e error,
    const char *message);
void prov_http_abandon(const char *message);

/*
 * prov_http_destination.c.  enter: ANSWERED when the request has a turn, or
 * waits for one (its state is WAITING, then), and belongs to r->destination
 * until leave, which is told what came of it.  next: the one whose turn it
 * is, or NULL.
 */
void prov_http_destination_init(void);
void prov_http_destination_exit(void);
prov_http_error_e prov_http_destination_enter(prov_http_request_t *r,
    prov_http_url_t *url);
void prov_http_destination_leave(prov_http_request_t *r,
    prov_http_error_e error);
prov_http_request_t *prov_http_destination_next(void);

#endif


#endif /* _PROV_HTTP_PRIVATE_H_INCLUDED_ */
