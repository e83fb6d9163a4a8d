/*
 * A request's way from submit to its handler.  Callers only queue; one posted
 * event at the end of the loop's turn has libcurl do what there is to do,
 * starts what has a turn and calls the handlers of what has ended.  A step of
 * a TLS handshake takes a good part of a millisecond of CPU, so what is left
 * after half a one is done in the next turn, and others have theirs before.
 */

#include "http/prov_http_private.h"


#if (PROV_HAVE_CURL)

static void prov_http_turn_begin(void);
static void prov_http_turn_end(void);
static uint64_t prov_http_turn_clock(void);
static void prov_http_entries(void);
static void prov_http_enter(prov_http_request_t *r);
static void prov_http_starts(void);
static void prov_http_start(prov_http_request_t *r);
static void prov_http_starved(void);
static void prov_http_deliveries(void);
static void prov_http_deliver(prov_http_request_t *r);
static void prov_http_leave(prov_http_request_t *r, prov_http_error_e error);


prov_http_request_t *
prov_http_create(void)
{
    prov_http_request_t  *r;

    r = ngx_calloc(sizeof(prov_http_request_t), ngx_cycle->log);

    if (r) {
        r->retry_after = -1;
    }

    return r;
}


void
prov_http_submit(prov_http_request_t *r)
{
    prov_http_client_t  *client;

    client = &prov_http_client;

    if (client->multi == NULL) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "an HTTP request without a client");
        r->state = PROV_HTTP_DELIVERED;
        return;
    }

    r->submitted = ngx_current_msec;
    r->started = r->submitted;
    r->state = PROV_HTTP_SUBMITTED;
    ngx_queue_insert_tail(&client->submitted, &r->queue);

    prov_http_hold(r);
    prov_http_wake();
}


void
prov_http_release(prov_http_request_t *r)
{
    if (r->state != PROV_HTTP_NEW && r->state != PROV_HTTP_DELIVERED) {

        if (r->state == PROV_HTTP_SUBMITTED || r->state == PROV_HTTP_DONE) {
            ngx_queue_remove(&r->queue);

        } else {
            prov_http_leave(r, PROV_HTTP_BUSY);
        }

        prov_http_unhold(r);
    }

    if (r->response_headers.data) {
        ngx_free(r->response_headers.data);
    }

    if (r->response.data) {
        ngx_free(r->response.data);
    }

    ngx_free(r);
}


void
prov_http_wake(void)
{
    prov_http_client_t  *client;

    client = &prov_http_client;

    /* what comes up while this turn's work is done is seen at its end */

    if (client->dispatch.posted || client->dispatching) {
        return;
    }

    /* what is posted before the loop begins would wait for its first event */

    if (client->started) {
        ngx_post_event(&client->dispatch, &ngx_posted_events);

    } else {
        ngx_post_event(&client->dispatch, &ngx_posted_next_events);
    }
}


void
prov_http_dispatch(ngx_event_t *ev)
{
    prov_http_turn_begin();

    prov_http_event_due();
    prov_http_event_ready();

    if (prov_http_client.starved) {
        prov_http_starved();
    }

    prov_http_entries();
    prov_http_starts();
    prov_http_deliveries();

    prov_http_turn_end();
}


static void
prov_http_turn_begin(void)
{
    prov_http_client_t  *client;

    client = &prov_http_client;

    client->started = 1;
    client->dispatching = 1;
    client->begun = prov_http_turn_clock();
}


/* Of each kind of work one piece is done in any case, so none starves. */

ngx_uint_t
prov_http_turn_over(void)
{
    return prov_http_turn_clock() - prov_http_client.begun >= PROV_HTTP_TURN;
}


static void
prov_http_turn_end(void)
{
    ngx_uint_t           sockets, requests;
    prov_http_client_t  *client;

    client = &prov_http_client;
    client->dispatching = 0;

    sockets = !ngx_queue_empty(&client->ready);

    requests = !ngx_queue_empty(&client->submitted)
               || (!ngx_queue_empty(&client->turns)
                   && client->nrunning < client->conf->connections);

    if (prov_http_turn_over()) {
        ngx_log_debug2(NGX_LOG_DEBUG_CORE, client->log, 0,
                       "provisioning_outbound: the turn is over%s%s",
                       sockets ? ", sockets are left" : "",
                       requests ? ", requests are left" : "");

    } else if (!sockets && !requests && !client->due && !client->starved
               && ngx_queue_empty(&client->done))
    {
        return;
    }

    /* where time is over also for what others submit in the rest of it */

    ngx_post_event(&client->dispatch, &ngx_posted_next_events);
}


/* us of a clock that nobody sets; nginx's own stands still during a turn */

static uint64_t
prov_http_turn_clock(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


static void
prov_http_entries(void)
{
    prov_http_client_t   *client;
    prov_http_request_t  *r;

    client = &prov_http_client;

    while (!ngx_queue_empty(&client->submitted)) {
        r = ngx_queue_data(ngx_queue_head(&client->submitted),
                           prov_http_request_t, queue);

        ngx_queue_remove(&r->queue);
        prov_http_enter(r);

        if (prov_http_turn_over()) {
            return;
        }
    }
}


static void
prov_http_enter(prov_http_request_t *r)
{
    ngx_str_t           url;
    const char         *why;
    prov_http_url_t     parts;
    prov_http_error_e   error;

    url.data = (u_char *) r->url;
    url.len = ngx_strlen(r->url);

    if (prov_http_url_valid(&url, &why) != NGX_OK
        || prov_http_url_parse(&url, &parts, &why) != NGX_OK)
    {
        prov_http_finish(r, PROV_HTTP_BAD_URL, why);
        return;
    }

    if (prov_http_head_check(r) != NGX_OK) {
        prov_http_finish(r, PROV_HTTP_BAD_REQUEST, NULL);
        return;
    }

    error = prov_http_destination_enter(r, &parts);

    if (error != PROV_HTTP_ANSWERED) {
        prov_http_finish(r, error, NULL);
        return;
    }

    if (r->state != PROV_HTTP_WAITING) {
        prov_http_start(r);
    }
}


static void
prov_http_starts(void)
{
    prov_http_request_t  *r;

    while ((r = prov_http_destination_next())) {
        prov_http_start(r);

        if (prov_http_turn_over()) {
            return;
        }
    }
}


static void
prov_http_start(prov_http_request_t *r)
{
    prov_http_error_e    error;
    prov_http_client_t  *client;

    client = &prov_http_client;

    r->started = ngx_current_msec;
    r->state = PROV_HTTP_RUNNING;
    ngx_queue_insert_tail(&client->running, &r->queue);
    client->nrunning++;

    error = prov_http_transfer_start(r);

    if (error != PROV_HTTP_ANSWERED) {

        /* whatever it was, the destination knows nothing of it */

        prov_http_leave(r, PROV_HTTP_BUSY);
        prov_http_finish(r, error, NULL);
        return;
    }

    /* libcurl's first steps, which would be those of all that were started:
       it may have ended after them */

    prov_http_event_due();
}


/* nginx had no connection for a socket of theirs: worker_connections */

static void
prov_http_starved(void)
{
    ngx_queue_t          *queue, *next;
    prov_http_client_t   *client;
    prov_http_request_t  *r;

    client = &prov_http_client;
    client->starved = 0;

    for (queue = ngx_queue_head(&client->running);
         queue != ngx_queue_sentinel(&client->running);
         queue = next)
    {
        next = ngx_queue_next(queue);
        r = ngx_queue_data(queue, prov_http_request_t, queue);

        if (r->starved) {
            prov_http_finish(r, PROV_HTTP_BUSY,
                             "nginx has no connection left for it");
        }
    }
}


/*
 * The end of a request, in any state but NEW and DELIVERED: its handler is
 * called at the end of the loop's turn.
 */

void
prov_http_finish(prov_http_request_t *r, prov_http_error_e error,
    const char *message)
{
    r->error = error;
    r->duration = ngx_current_msec - r->started;

    prov_http_leave(r, error);

    if (message) {
        ngx_cpystrn((u_char *) r->message, (u_char *) message,
                    sizeof(r->message));
    }

    r->state = PROV_HTTP_DONE;
    ngx_queue_insert_tail(&prov_http_client.done, &r->queue);

    prov_http_wake();
}


/* It neither waits nor runs any more. */

static void
prov_http_leave(prov_http_request_t *r, prov_http_error_e error)
{
    if (r->state == PROV_HTTP_RUNNING) {
        prov_http_transfer_stop(r);
        ngx_queue_remove(&r->queue);
        prov_http_client.nrunning--;
    }

    if (r->destination) {
        prov_http_destination_leave(r, error);
    }

    r->state = PROV_HTTP_NEW;

    /* there may be room for another one */

    if (!ngx_queue_empty(&prov_http_client.turns)) {
        prov_http_wake();
    }
}


/* a handler may release any of them, and submit others */

static void
prov_http_deliveries(void)
{
    ngx_queue_t           list;
    prov_http_client_t   *client;
    prov_http_request_t  *r;

    client = &prov_http_client;

    if (ngx_queue_empty(&client->done)) {
        return;
    }

    ngx_queue_init(&list);
    ngx_queue_add(&list, &client->done);
    ngx_queue_init(&client->done);

    while (!ngx_queue_empty(&list)) {
        r = ngx_queue_data(ngx_queue_head(&list), prov_http_request_t, queue);

        ngx_queue_remove(&r->queue);
        prov_http_deliver(r);
    }
}


static void
prov_http_deliver(prov_http_request_t *r)
{
    prov_http_unhold(r);
    r->state = PROV_HTTP_DELIVERED;

    ngx_log_debug4(NGX_LOG_DEBUG_CORE, prov_http_client.log, 0,
                   "provisioning_outbound: %s %s: %d, %ui", r->method,
                   r->url, (int) r->error, r->status);

    r->handler(r);
}


/* Everything that is under way or waits ends now, and is done. */

void
prov_http_abandon(const char *message)
{
    ngx_queue_t          *queue;
    prov_http_client_t   *client;
    prov_http_request_t  *r;

    client = &prov_http_client;

    while (!ngx_queue_empty(&client->submitted)) {
        queue = ngx_queue_head(&client->submitted);
        ngx_queue_remove(queue);
        prov_http_finish(ngx_queue_data(queue, prov_http_request_t, queue),
                         PROV_HTTP_BUSY, message);
    }

    while (!ngx_queue_empty(&client->turns)
           || !ngx_queue_empty(&client->running))
    {
        while (!ngx_queue_empty(&client->running)) {
            queue = ngx_queue_head(&client->running);
            prov_http_finish(ngx_queue_data(queue, prov_http_request_t,
                                            queue),
                             PROV_HTTP_BUSY, message);
        }

        while ((r = prov_http_destination_next())) {
            prov_http_finish(r, PROV_HTTP_BUSY, message);
        }
    }
}


ngx_int_t
prov_http_url_valid(ngx_str_t *url, const char **why)
{
    return prov_http_url_check(prov_http_client.conf, url, why);
}


#else


/* The directives that lead here are refused: prov_http_conf.c. */

prov_http_request_t *
prov_http_create(void)
{
    return NULL;
}


void
prov_http_submit(prov_http_request_t *r)
{
}


void
prov_http_release(prov_http_request_t *r)
{
}


ngx_int_t
prov_http_url_valid(ngx_str_t *url, const char **why)
{
    return prov_http_url_check(NULL, url, why);
}

#endif
