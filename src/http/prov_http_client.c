/*
 * The worker's client from its start to its end, and what keeps a worker that
 * is to leave: requests that somebody waits for.  Called by the module when
 * workers start and end.
 */

#include "http/prov_http_private.h"


#if (PROV_HAVE_CURL)

#include <dlfcn.h>
#include <openssl/err.h>


/* a leaving worker asks itself again so often whether it may; any time would
   do, since the timer is taken away with the last request */
#define PROV_HTTP_HOLD  60000    /* ms */


static void prov_http_stay(void);
static ngx_int_t prov_http_shares(prov_http_client_t *client);
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
    ngx_queue_init(&client->ready);

    client->dispatch.handler = prov_http_dispatch;
    client->dispatch.log = cycle->log;

    client->hold.handler = prov_http_held;
    client->hold.data = client;
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

    client->initialised = 1;
    ERR_clear_error();

    client->multi = curl_multi_init();

    if (client->multi == NULL || prov_http_shares(client) != NGX_OK
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


/*
 * A resumed handshake takes half of the CPU of a new one.  So that more
 * destinations than a share has room for are resumed, they have one of many.
 */

static ngx_int_t
prov_http_shares(prov_http_client_t *client)
{
    ngx_uint_t  i;

    for (i = 0; i < PROV_HTTP_SHARES; i++) {
        client->shares[i] = curl_share_init();

        if (client->shares[i] == NULL
            || curl_share_setopt(client->shares[i], CURLSHOPT_SHARE,
                                 CURL_LOCK_DATA_SSL_SESSION)
               != CURLSHE_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
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

    for (i = 0; i < PROV_HTTP_SHARES; i++) {
        if (client->shares[i]) {
            (void) curl_share_cleanup(client->shares[i]);
        }
    }

    if (client->dispatch.posted) {
        ngx_delete_posted_event(&client->dispatch);
    }

    if (client->initialised) {
        curl_global_cleanup();
        ERR_clear_error();
    }

    ngx_memzero(client, sizeof(prov_http_client_t));
}


void
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


void
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

#endif
