/*
 * Requests that this server makes to others: one HTTP client over libcurl's
 * multi interface, on the worker's event loop.  Called by the module
 * (configuration, worker start and end), by src/jobs and by src/auth.  Never
 * blocks, follows no redirect, and connects to no address that the operator
 * has not opened and that is not public: docs/outbound.md.
 *
 * Built without libcurl nobody gets as far as a request: the directives that
 * need one are refused when the configuration is read.
 */

#ifndef _PROV_HTTP_H_INCLUDED_
#define _PROV_HTTP_H_INCLUDED_


#include "base/prov_base.h"

#include <ngx_event.h>


#define PROV_HTTP_MESSAGE   256      /* what libcurl has for its own */
#define PROV_HTTP_HEADERS   8192     /* of an answer, that are kept */


typedef struct prov_http_conf_s     prov_http_conf_t;
typedef struct prov_http_request_s  prov_http_request_t;


typedef enum {
    PROV_HTTP_ANSWERED = 0,      /* whatever the status is */
    PROV_HTTP_BAD_URL,           /* nothing was sent */
    PROV_HTTP_REFUSED_ADDRESS,   /* nothing was sent */
    PROV_HTTP_UNRESOLVED,        /* nothing was sent */
    PROV_HTTP_UNREACHABLE,       /* nothing was sent */
    PROV_HTTP_TLS,               /* nothing was sent */
    PROV_HTTP_TIMEOUT,
    PROV_HTTP_TOO_LARGE,         /* response: what there is room for */
    PROV_HTTP_BROKEN,            /* no HTTP, or not all of it */
    PROV_HTTP_BREAKER_OPEN,      /* nothing was sent; retry_after says when */
    PROV_HTTP_BUSY,              /* nothing was sent; it is not their fault */
    PROV_HTTP_NO_MEMORY,
    PROV_HTTP_BAD_REQUEST        /* nothing was sent, nor ever will be: the
                                    method or a header is the caller's fault */
} prov_http_error_e;


typedef void (*prov_http_handler_pt)(prov_http_request_t *r);

struct prov_http_request_s {

    /* the caller's, set between create and submit; what is pointed to is
       borrowed until the handler is called or the request is released */

    const char            *method;        /* in capital letters */
    const char            *url;
    const char           **headers;       /* "Name: value", without the ones
                                             that say how the body is sent */
    ngx_uint_t             nheaders;
    ngx_str_t              body;
    const char            *scope;         /* NULL, or who must not suffer from
                                             what others send to the same
                                             destination, as a partner's id */
    ngx_msec_t             timeout;       /* from submit on; 0: configured */
    size_t                 max_response;  /* 0: configured */
    prov_http_handler_pt   handler;
    void                  *data;
    ngx_log_t             *log;
    unsigned               cut:1;         /* a longer response is cut, else it
                                             is PROV_HTTP_TOO_LARGE */
    unsigned               background:1;  /* a worker that leaves does not
                                             wait for it */

    /* for the handler to read; valid until the release */

    prov_http_error_e      error;
    char                   message[PROV_HTTP_MESSAGE];  /* for our own log: it
                                             may name internal addresses */
    ngx_uint_t             status;        /* 0 before there is one */
    ngx_str_t              response_headers;  /* at most PROV_HTTP_HEADERS, a
                                             LF after each; any byte but
                                             NUL, CR and LF */
    ngx_str_t              response;      /* any bytes */
    ngx_msec_t             duration;      /* since it was given a connection */
    ngx_int_t              retry_after;   /* s, -1: not said */

    /* src/http's own */

    ngx_uint_t             state;         /* prov_http_state_e */
    ngx_queue_t            queue;         /* of its state */
    ngx_event_t            timer;         /* while it waits */
    ngx_msec_t             submitted;
    ngx_msec_t             started;
    void                  *easy;          /* CURL, while it runs */
    void                  *lines;         /* struct curl_slist */
    void                  *destination;
    const char            *reason;        /* of an address that was refused */
    u_char                 address[NGX_SOCKADDR_STRLEN + 1];
    size_t                 allocated;     /* of response.data */
    size_t                 allocated_headers;
    size_t                 header_bytes;  /* all that came, kept or not */
    unsigned               refused:1;     /* the filter has an address */
    unsigned               opened:1;      /* and has let one pass */
    unsigned               overlong:1;    /* more came than there is room for */
    unsigned               overheaded:1;  /* more than any header needs */
    unsigned               headers_full:1;  /* what comes is not kept */
    unsigned               exhausted:1;   /* there was no memory */
    unsigned               starved:1;     /* nginx had no connection left */
    unsigned               probe:1;       /* decides about the breaker */
    unsigned               holds:1;       /* a worker that leaves waits */
};


/*
 * The directive "provisioning_outbound { … }".  conf is where the
 * configuration keeps it.  NGX_CONF_OK, or NGX_CONF_ERROR after logging file,
 * line and what to write instead.
 */
char *prov_http_block(ngx_conf_t *cf, prov_http_conf_t **conf);

/*
 * For those who are going to send requests, once all of the configuration was
 * read: *conf is the block's, or one with the defaults.  NGX_ERROR after
 * logging what is missing: what says who needs it ("provisioning_jobs").
 */
ngx_int_t prov_http_require(ngx_conf_t *cf, prov_http_conf_t **conf,
    const char *what);

/* the longest that a request takes unless it says otherwise */
ngx_msec_t prov_http_timeout(prov_http_conf_t *conf);

/* Once per worker; conf is NULL where nobody requires it. */
ngx_int_t prov_http_init_worker(ngx_cycle_t *cycle, prov_http_conf_t *conf);
void prov_http_exit_worker(void);

/*
 * A request is made, filled in, submitted once, and released once: at any
 * time, also from its handler, also while it waits or runs, which cancels it.
 * The handler is called at most once, never after the release, and never from
 * within prov_http_submit().  create returns NULL when there is no memory.
 */
prov_http_request_t *prov_http_create(void);
void prov_http_submit(prov_http_request_t *r);
void prov_http_release(prov_http_request_t *r);

/* a sentence for a partner: no address, no name of ours is in it */
const char *prov_http_error_text(prov_http_error_e error);

/*
 * Whether a URL may be sent to as far as its text can tell: https (or http
 * where that is allowed), a host, no user information, no fragment, and no
 * address that is refused.  NGX_DECLINED: *why says so, to be put behind a
 * colon ("it must begin with ...").  conf may be NULL: https and public
 * addresses only.  The first form asks the worker's own configuration.
 */
ngx_int_t prov_http_url_valid(ngx_str_t *url, const char **why);
ngx_int_t prov_http_url_check(prov_http_conf_t *conf, ngx_str_t *url,
    const char **why);

/* The part of a URL that a log may have: no password and no query. */
ngx_str_t prov_http_url_shown(ngx_str_t *url);


#endif /* _PROV_HTTP_H_INCLUDED_ */
