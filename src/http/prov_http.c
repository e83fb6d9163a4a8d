/*
 * A request's way from submit to its handler, and the worker's client from
 * its start to its end.  Callers only queue; one posted event at the end of
 * the loop's turn starts what has a turn and calls the handlers of what has
 * ended.
 */

#include "http/prov_http_private.h"


#if (PROV_HAVE_CURL)

#include <dlfcn.h>
#include <openssl/err.h>


/* a leaving worker asks itself again so often whether it may; any time would
   do, since the timer is taken away with the last request */
#define PROV_HTTP_HOLD  60000    /* ms */


static void prov_http_stay(void);
static CURLSH *prov_http_share(void);
static void prov_http_dispatch(ngx_event_t *ev);
static void prov_http_enter(prov_http_request_t *r);
static void prov_http_start(prov_http_request_t *r);
static void prov_http_starved(void);
static void prov_http_deliver(prov_http_request_t *r);
static void prov_http_leave(prov_http_request_t *r, prov_http_error_e error);
static void prov_http_hold(prov_http_request_t *r);
static void prov_http_unhold(prov_http_request_t *r);
static void prov_http_held(ngx_event_t *ev);


/* Per-worker state, made in init_process. */
prov_http_client_t  prov_http_client;


ngx_int_t
prov_http_init_worker(ngx_cycle_t *cycle, prov_http_conf_t *conf)
{
    prov_http_client_t  *client;

    if (conf == NULL) {
        return NGX_OK;
    }

    client = &prov_http_client;

    ngx_memzero(client, sizeof(prov_http_client_t));

    client->conf = conf;
    client->log = cycle->log;

    ngx_queue_init(&client->submitted);
    ngx_queue_init(&client->running);
    ngx_queue_init(&client->done);

    client->dispatch.handler = prov_http_dispatch;
    client->dispatch.log = cycle->log;

    client->hold.handler = prov_http_held;
    client->hold.log = cycle->log;

    prov_http_destination_init();

    client->spare = ngx_pcalloc(cycle->pool,
                                conf->connections * sizeof(CURL *));
    if (client->spare == NULL) {
        return NGX_ERROR;
    }

    prov_http_stay();

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "curl_global_init() failed");
        return NGX_ERROR;
    }

    ERR_clear_error();

    client->multi = curl_multi_init();
    client->share = prov_http_share();

    if (client->multi == NULL || client->share == NULL
        || prov_http_event_init(cycle) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "libcurl cannot be initialised");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * A thread that looks up a name may still be at it when the worker leaves, and
 * nginx takes modules out of its memory before it exits: libcurl, to which the
 * thread will return, has to stay.
 */

static void
prov_http_stay(void)
{
    Dl_info  info;

    if (dladdr((void *) (uintptr_t) curl_easy_init, &info)
        && info.dli_fname)
    {
        (void) dlopen(info.dli_fname, RTLD_LAZY|RTLD_NOLOAD|RTLD_NODELETE);
        (void) dlerror();
    }
}


static CURLSH *
prov_http_share(void)
{
    CURLSH  *share;

    share = curl_share_init();

    if (share
        && curl_share_setopt(share, CURLSHOPT_SHARE,
                             CURL_LOCK_DATA_SSL_SESSION)
           != CURLSHE_OK)
    {
        (void) curl_share_cleanup(share);
        return NULL;
    }

    return share;
}


/*
 * Nobody is called any more; what was submitted is its owner's to release,
 * before or after this.
 */

void
prov_http_exit_worker(void)
{
    ngx_uint_t            i;
    prov_http_client_t   *client;
    prov_http_request_t  *r;

    client = &prov_http_client;

    if (client->conf == NULL) {
        return;
    }

    if (client->multi) {

        prov_http_abandon(NULL);

        while (!ngx_queue_empty(&client->done)) {
            r = ngx_queue_data(ngx_queue_head(&client->done),
                               prov_http_request_t, queue);
            ngx_queue_remove(&r->queue);
            prov_http_unhold(r);
            r->state = PROV_HTTP_DELIVERED;
        }

        prov_http_destination_exit();

        for (i = 0; i < client->nspare; i++) {
            curl_easy_cleanup(client->spare[i]);
        }

        (void) curl_multi_cleanup(client->multi);
        prov_http_event_exit();
    }

    if (client->share) {
        (void) curl_share_cleanup(client->share);
    }

    if (client->dispatch.posted) {
        ngx_delete_posted_event(&client->dispatch);
    }

    curl_global_cleanup();
    ERR_clear_error();

    ngx_memzero(client, sizeof(prov_http_client_t));
}


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

    if (client->dispatch.posted) {
        return;
    }

    /* what is posted before the loop begins would wait for its first event */

    if (client->started) {
        ngx_post_event(&client->dispatch, &ngx_posted_events);

    } else {
        ngx_post_event(&client->dispatch, &ngx_posted_next_events);
    }
}


static void
prov_http_dispatch(ngx_event_t *ev)
{
    ngx_queue_t           list;
    prov_http_client_t   *client;
    prov_http_request_t  *r;

    client = &prov_http_client;
    client->started = 1;

    if (client->starved) {
        prov_http_starved();
    }

    while (!ngx_queue_empty(&client->submitted)) {
        r = ngx_queue_data(ngx_queue_head(&client->submitted),
                           prov_http_request_t, queue);

        ngx_queue_remove(&r->queue);
        prov_http_enter(r);
    }

    while ((r = prov_http_destination_next())) {
        prov_http_start(r);
    }

    /* a handler may release any of them, and submit others */

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
    }
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


static void
prov_http_hold(prov_http_request_t *r)
{
    prov_http_client_t  *client;

    if (r->background) {
        return;
    }

    client = &prov_http_client;
    r->holds = 1;

    if (client->nholding++ == 0) {
        ngx_add_timer(&client->hold, PROV_HTTP_HOLD);
    }
}


static void
prov_http_unhold(prov_http_request_t *r)
{
    prov_http_client_t  *client;

    if (!r->holds) {
        return;
    }

    client = &prov_http_client;
    r->holds = 0;

    if (--client->nholding == 0 && client->hold.timer_set) {
        ngx_del_timer(&client->hold);
    }
}


static void
prov_http_held(ngx_event_t *ev)
{
    if (prov_http_client.nholding) {
        ngx_add_timer(ev, PROV_HTTP_HOLD);
    }
}


ngx_int_t
prov_http_url_valid(ngx_str_t *url, const char **why)
{
    return prov_http_url_check(prov_http_client.conf, url, why);
}


#else


/* The directives that lead here are refused: prov_http_conf.c. */

ngx_int_t
prov_http_init_worker(ngx_cycle_t *cycle, prov_http_conf_t *conf)
{
    return NGX_OK;
}


void
prov_http_exit_worker(void)
{
}


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


const char *
prov_http_error_text(prov_http_error_e error)
{
    switch (error) {

    case PROV_HTTP_ANSWERED:
        return "The server has answered.";

    case PROV_HTTP_BAD_URL:
        return "The URL cannot be sent to.";

    case PROV_HTTP_REFUSED_ADDRESS:
        return "The host's address is not public; requests go to public "
               "addresses only.";

    case PROV_HTTP_UNRESOLVED:
        return "The host's name could not be resolved.";

    case PROV_HTTP_UNREACHABLE:
        return "No connection to the host could be made.";

    case PROV_HTTP_TLS:
        return "No TLS connection could be made: the handshake failed, or "
               "the host's certificate is not trusted or is another host's.";

    case PROV_HTTP_TIMEOUT:
        return "The server did not answer in time.";

    case PROV_HTTP_TOO_LARGE:
        return "The answer was too long.";

    case PROV_HTTP_BROKEN:
        return "The connection was closed before there was a whole answer, "
               "or the answer was not HTTP.";

    case PROV_HTTP_BREAKER_OPEN:
        return "The host has failed several times on end; it is tried again "
               "later.";

    case PROV_HTTP_BUSY:
    case PROV_HTTP_NO_MEMORY:
        break;
    }

    return "The request was not sent, since there was no room for it; it is "
           "tried again later.";
}
