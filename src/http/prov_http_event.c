/*
 * libcurl's sockets and its timer on nginx's event loop.  Sockets are
 * level-triggered, since libcurl reads only part of what is there, and stay
 * libcurl's to close.  What happens to them is only noted; libcurl is called
 * by prov_http_dispatch(), never from within its own callbacks, and for no
 * longer than a turn of the loop may take.
 */

#include "http/prov_http_private.h"


#if (PROV_HAVE_CURL)

#include <openssl/err.h>


/* libcurl is asked again so much later when it has failed; ms */
#define PROV_HTTP_AGAIN  1000


static int prov_http_event_socket(CURL *easy, curl_socket_t s, int what,
    void *data, void *socket);
static ngx_connection_t *prov_http_event_watch(CURL *easy, curl_socket_t s);
static ngx_int_t prov_http_event_direction(ngx_event_t *ev, ngx_int_t event,
    ngx_uint_t wanted);
static int prov_http_event_timer(CURLM *multi, long timeout, void *data);
static void prov_http_event_expired(ngx_event_t *ev);
static void prov_http_event_happened(ngx_event_t *ev);
static void prov_http_event_act(curl_socket_t s, int events);
static void prov_http_event_starved(CURL *easy);


ngx_int_t
prov_http_event_init(ngx_cycle_t *cycle)
{
    CURLM               *multi;
    prov_http_client_t  *client;

    client = &prov_http_client;
    multi = client->multi;

    client->timer.handler = prov_http_event_expired;
    client->timer.data = client;
    client->timer.log = cycle->log;
    client->timer.cancelable = 1;

    if (curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION,
                          prov_http_event_socket)
        != CURLM_OK
        || curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION,
                             prov_http_event_timer)
           != CURLM_OK
        || curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS,
                             (long) client->conf->connections)
           != CURLM_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
prov_http_event_exit(void)
{
    prov_http_client_t  *client;

    client = &prov_http_client;

    if (client->timer.timer_set) {
        ngx_del_timer(&client->timer);
    }
}


/*
 * CURLMOPT_SOCKETFUNCTION.  Never anything but 0: libcurl would give up all
 * transfers, and not only the one that has no connection.
 */

static int
prov_http_event_socket(CURL *easy, curl_socket_t s, int what, void *data,
    void *socket)
{
    ngx_connection_t *c = socket;

    if (what == CURL_POLL_REMOVE) {

        if (c) {
            (void) prov_http_event_direction(c->read, NGX_READ_EVENT, 0);
            (void) prov_http_event_direction(c->write, NGX_WRITE_EVENT, 0);

            ngx_close_connection(c);
        }

        return 0;
    }

    if (c == NULL) {
        c = prov_http_event_watch(easy, s);

        if (c == NULL) {
            prov_http_event_starved(easy);
            return 0;
        }
    }

    if (prov_http_event_direction(c->read, NGX_READ_EVENT,
                                  what & CURL_POLL_IN)
        != NGX_OK
        || prov_http_event_direction(c->write, NGX_WRITE_EVENT,
                                     what & CURL_POLL_OUT)
           != NGX_OK)
    {
        prov_http_event_starved(easy);
    }

    return 0;
}


static ngx_connection_t *
prov_http_event_watch(CURL *easy, curl_socket_t s)
{
    ngx_log_t         *log;
    ngx_connection_t  *c;

    log = prov_http_client.log;

    c = ngx_get_connection(s, log);
    if (c == NULL) {
        return NULL;
    }

    /* the descriptor is libcurl's to close */
    c->shared = 1;

    c->log = log;
    c->read->log = log;
    c->write->log = log;
    c->read->handler = prov_http_event_happened;
    c->write->handler = prov_http_event_happened;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);

    (void) curl_multi_assign(prov_http_client.multi, s, c);

    return c;
}


static ngx_int_t
prov_http_event_direction(ngx_event_t *ev, ngx_int_t event,
    ngx_uint_t wanted)
{
    if (wanted && !ev->active) {
        return ngx_add_event(ev, event, NGX_LEVEL_EVENT);
    }

    if (!wanted && ev->posted) {
        ngx_delete_posted_event(ev);
    }

    if (!wanted && ev->active) {
        return ngx_del_event(ev, event, 0);
    }

    return NGX_OK;
}


/* CURLMOPT_TIMERFUNCTION */

static int
prov_http_event_timer(CURLM *multi, long timeout, void *data)
{
    prov_http_client_t  *client;

    client = &prov_http_client;

    /* first, since nginx keeps a timer that is to be moved by little */

    if (client->timer.timer_set) {
        ngx_del_timer(&client->timer);
    }

    if (timeout < 0) {
        return 0;
    }

    if (timeout > 0) {
        ngx_add_timer(&client->timer, (ngx_msec_t) timeout);

    } else {
        client->due = 1;
        prov_http_wake();
    }

    return 0;
}


static void
prov_http_event_expired(ngx_event_t *ev)
{
    prov_http_client.due = 1;
    prov_http_wake();
}


/*
 * A socket that is not handled in this turn is ready in the next one as well:
 * it keeps its place.
 */

static void
prov_http_event_happened(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    prov_http_client_t  *client;

    c = ev->data;
    client = &prov_http_client;

    if (c->close) {

        /* worker_shutdown_timeout is over */

        prov_http_abandon("the worker has to leave");
        return;
    }

    ngx_post_event(ev, &client->ready);

    prov_http_wake();
}


void
prov_http_event_due(void)
{
    if (prov_http_client.due) {
        prov_http_client.due = 0;
        prov_http_event_act(CURL_SOCKET_TIMEOUT, 0);
    }
}


/* One at least, whatever else this turn has taken. */

void
prov_http_event_ready(void)
{
    ngx_event_t         *ev;
    ngx_connection_t    *c;
    prov_http_client_t  *client;

    client = &prov_http_client;

    while (!ngx_queue_empty(&client->ready)) {
        ev = ngx_queue_data(ngx_queue_head(&client->ready), ngx_event_t,
                            queue);
        c = ev->data;

        ngx_delete_posted_event(ev);

        prov_http_event_act(c->fd, ev->write ? CURL_CSELECT_OUT
                                             : CURL_CSELECT_IN);

        if (prov_http_turn_over()) {
            return;
        }
    }
}


static void
prov_http_event_act(curl_socket_t s, int events)
{
    int                   running, left;
    CURLMcode             rc;
    CURLMsg              *message;
    CURLcode              code;
    prov_http_request_t  *r;

    rc = curl_multi_socket_action(prov_http_client.multi, s, events,
                                  &running);

    /* else the next TLS connection of nginx would complain of what is left */
    ERR_clear_error();

    if (rc != CURLM_OK) {
        ngx_log_error(NGX_LOG_ALERT, prov_http_client.log, 0,
                      "curl_multi_socket_action() failed: %s",
                      curl_multi_strerror(rc));

        /* it may watch a socket no more, and has not said when to ask again:
           time is what ends the transfer */

        if (!prov_http_client.timer.timer_set) {
            ngx_add_timer(&prov_http_client.timer, PROV_HTTP_AGAIN);
        }
    }

    while ((message = curl_multi_info_read(prov_http_client.multi, &left))) {

        if (message->msg != CURLMSG_DONE) {
            continue;
        }

        r = NULL;
        code = message->data.result;

        (void) curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE,
                                 (char **) &r);

        prov_http_finish(r, prov_http_transfer_result(r, code), NULL);
    }
}


/* nothing would ever be heard of it; it ends once libcurl has returned */

static void
prov_http_event_starved(CURL *easy)
{
    prov_http_request_t  *r;

    r = NULL;

    if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &r) == CURLE_OK
        && r)
    {
        r->starved = 1;
        prov_http_client.starved = 1;
        prov_http_wake();
    }
}

#endif
