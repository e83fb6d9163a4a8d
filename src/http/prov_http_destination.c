/*
 * Destinations: what is sent to the same scheme, host and port on behalf of
 * the same scope.  Each has so many connections and no more, a bounded queue
 * behind them, and a breaker that answers for it while it does not.  Only
 * those that are busy or have failed are kept.
 */

#include "http/prov_http_private.h"


#if (PROV_HAVE_CURL)

static prov_http_destination_t *prov_http_destination_get(ngx_str_t *key,
    uint32_t hash);
static ngx_int_t prov_http_destination_key(prov_http_request_t *r,
    prov_http_url_t *url, ngx_str_t *key);
static prov_http_error_e prov_http_destination_breaker(
    prov_http_destination_t *d, prov_http_request_t *r);
static void prov_http_destination_record(prov_http_destination_t *d,
    prov_http_request_t *r, prov_http_error_e error);
static ngx_str_t prov_http_destination_origin(prov_http_destination_t *d);
static void prov_http_destination_dismiss(prov_http_destination_t *d);
static void prov_http_destination_unwait(prov_http_destination_t *d,
    prov_http_request_t *r);
static void prov_http_destination_expired(ngx_event_t *ev);
static void prov_http_destination_turn(prov_http_destination_t *d);
static void prov_http_destination_settle(prov_http_destination_t *d);
static void prov_http_destination_free(prov_http_destination_t *d);


/* a scope is an id of ours */
#define PROV_HTTP_SCOPE  64


void
prov_http_destination_init(void)
{
    prov_http_client_t  *client;

    client = &prov_http_client;

    ngx_rbtree_init(&client->destinations, &client->sentinel,
                    ngx_str_rbtree_insert_value);

    ngx_queue_init(&client->turns);
    ngx_queue_init(&client->remembered);
}


/* all requests have left */

void
prov_http_destination_exit(void)
{
    ngx_queue_t         *queue;
    prov_http_client_t  *client;

    client = &prov_http_client;

    while (!ngx_queue_empty(&client->remembered)) {
        queue = ngx_queue_head(&client->remembered);
        prov_http_destination_free(ngx_queue_data(queue,
                                            prov_http_destination_t, queue));
    }
}


prov_http_error_e
prov_http_destination_enter(prov_http_request_t *r, prov_http_url_t *url)
{
    u_char                    buf[PROV_HTTP_SCOPE + PROV_HTTP_URL];
    ngx_str_t                 key;
    ngx_msec_t                timeout, passed;
    prov_http_conf_t         *conf;
    prov_http_error_e         error;
    prov_http_client_t       *client;
    prov_http_destination_t  *d;

    client = &prov_http_client;
    conf = client->conf;

    key.data = buf;

    if (prov_http_destination_key(r, url, &key) != NGX_OK) {
        return PROV_HTTP_BAD_URL;
    }

    d = prov_http_destination_get(&key, ngx_crc32_short(key.data, key.len));
    if (d == NULL) {
        return PROV_HTTP_NO_MEMORY;
    }

    error = prov_http_destination_breaker(d, r);

    if (error != PROV_HTTP_ANSWERED) {
        prov_http_destination_settle(d);
        return error;
    }

    if (d->nrunning < conf->destination_connections
        && client->nrunning < conf->connections
        && ngx_queue_empty(&client->turns)
        && d->nwaiting == 0)
    {
        r->destination = d;
        d->nrunning++;

        return PROV_HTTP_ANSWERED;
    }

    if (d->nwaiting >= conf->destination_queue
        || client->nwaiting >= conf->queue)
    {
        if (r->probe) {
            r->probe = 0;
            d->probing = 0;
        }

        prov_http_destination_settle(d);

        return PROV_HTTP_BUSY;
    }

    r->destination = d;
    r->state = PROV_HTTP_WAITING;
    ngx_queue_insert_tail(&d->waiting, &r->queue);

    d->nwaiting++;
    client->nwaiting++;

    timeout = r->timeout ? r->timeout : conf->timeout;
    passed = ngx_current_msec - r->submitted;

    r->timer.handler = prov_http_destination_expired;
    r->timer.data = r;
    r->timer.log = client->log;
    r->timer.cancelable = 1;

    ngx_add_timer(&r->timer, passed < timeout ? timeout - passed : 1);

    prov_http_destination_turn(d);

    return PROV_HTTP_ANSWERED;
}


static ngx_int_t
prov_http_destination_key(prov_http_request_t *r, prov_http_url_t *url,
    ngx_str_t *key)
{
    u_char      *p;
    size_t       len;
    const char  *scope;

    scope = r->scope ? r->scope : "";
    len = ngx_strlen(scope);

    if (len > PROV_HTTP_SCOPE || url->host.len > 255) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(key->data, scope, len);
    *p++ = LF;
    *p++ = url->secure ? 's' : 'p';

    ngx_strlow(p, url->host.data, url->host.len);
    p += url->host.len;

    p = ngx_sprintf(p, ":%ui", (ngx_uint_t) url->port);

    key->len = p - key->data;

    return NGX_OK;
}


static prov_http_destination_t *
prov_http_destination_get(ngx_str_t *key, uint32_t hash)
{
    prov_http_client_t       *client;
    prov_http_destination_t  *d;

    client = &prov_http_client;

    d = (prov_http_destination_t *)
            ngx_str_rbtree_lookup(&client->destinations, key, hash);

    if (d) {

        if (d->remembered) {
            d->remembered = 0;
            client->nremembered--;
            ngx_queue_remove(&d->queue);
        }

        return d;
    }

    d = ngx_calloc(sizeof(prov_http_destination_t) + key->len, client->log);
    if (d == NULL) {
        return NULL;
    }

    /*
     * set by ngx_calloc():
     *
     *     d->nwaiting, nrunning, failures = 0
     *     d->turn, remembered, open, probing = 0
     */

    ngx_queue_init(&d->waiting);

    d->node.node.key = hash;
    d->node.str.len = key->len;
    d->node.str.data = (u_char *) d + sizeof(prov_http_destination_t);
    ngx_memcpy(d->node.str.data, key->data, key->len);

    ngx_rbtree_insert(&client->destinations, &d->node.node);

    return d;
}


ngx_uint_t
prov_http_destination_share(prov_http_request_t *r)
{
    prov_http_destination_t  *d;

    d = r->destination;

    return d->node.node.key % PROV_HTTP_SHARES;
}


/* One request at a time finds out whether a destination is there again. */

static prov_http_error_e
prov_http_destination_breaker(prov_http_destination_t *d,
    prov_http_request_t *r)
{
    ngx_msec_t         passed;
    prov_http_conf_t  *conf;

    if (!d->open) {
        return PROV_HTTP_ANSWERED;
    }

    conf = prov_http_client.conf;
    passed = ngx_current_msec - d->opened;

    if (passed >= conf->open && !d->probing) {
        d->probing = 1;
        r->probe = 1;

        return PROV_HTTP_ANSWERED;
    }

    r->retry_after = (passed < conf->open)
                     ? (ngx_int_t) (conf->open - passed + 999) / 1000 : 1;

    return PROV_HTTP_BREAKER_OPEN;
}


/*
 * The end of a request that has entered; error is BUSY for one that was
 * cancelled, since that says nothing of the destination.
 */

void
prov_http_destination_leave(prov_http_request_t *r, prov_http_error_e error)
{
    prov_http_destination_t  *d;

    d = r->destination;
    r->destination = NULL;

    if (r->state == PROV_HTTP_WAITING) {
        prov_http_destination_unwait(d, r);

    } else {
        d->nrunning--;
    }

    prov_http_destination_record(d, r, error);

    if (d->open) {
        prov_http_destination_dismiss(d);
    }

    prov_http_destination_turn(d);
    prov_http_destination_settle(d);
}


static void
prov_http_destination_record(prov_http_destination_t *d,
    prov_http_request_t *r, prov_http_error_e error)
{
    ngx_str_t          origin;
    ngx_uint_t         probe;
    prov_http_conf_t  *conf;

    conf = prov_http_client.conf;
    origin = prov_http_destination_origin(d);
    probe = r->probe;

    if (probe) {
        r->probe = 0;
        d->probing = 0;
    }

    switch (error) {

    case PROV_HTTP_ANSWERED:
    case PROV_HTTP_TOO_LARGE:

        if (d->open) {
            ngx_log_error(NGX_LOG_NOTICE, prov_http_client.log, 0,
                          "provisioning_outbound: %V answers again",
                          &origin);
        }

        d->failures = 0;
        d->open = 0;

        return;

    case PROV_HTTP_UNRESOLVED:
    case PROV_HTTP_UNREACHABLE:
    case PROV_HTTP_TLS:
    case PROV_HTTP_TIMEOUT:
    case PROV_HTTP_BROKEN:

        d->failures++;
        break;

    default:
        return;
    }

    if (conf->failures == 0 || d->failures < conf->failures) {
        return;
    }

    if (!d->open) {
        ngx_log_error(NGX_LOG_WARN, prov_http_client.log, 0,
                      "provisioning_outbound: %V has failed %ui times on "
                      "end, nothing is sent to it for %M ms", &origin,
                      d->failures, conf->open);
    }

    /* one that was under way when it opened does not prolong it */

    if (!d->open || probe) {
        d->open = 1;
        d->opened = ngx_current_msec;
    }
}


static ngx_str_t
prov_http_destination_origin(prov_http_destination_t *d)
{
    u_char     *p;
    ngx_str_t   origin;

    p = ngx_strlchr(d->node.str.data, d->node.str.data + d->node.str.len,
                    LF);

    /* behind the letter that stands for the scheme */

    origin.data = p + 2;
    origin.len = d->node.str.data + d->node.str.len - origin.data;

    return origin;
}


/*
 * Those that wait for a destination wait no longer, but for the one that is to
 * find out whether it is there again: no other would, as long as it has not.
 */

static void
prov_http_destination_dismiss(prov_http_destination_t *d)
{
    ngx_queue_t          *queue, *next;
    prov_http_request_t  *r;

    for (queue = ngx_queue_head(&d->waiting);
         queue != ngx_queue_sentinel(&d->waiting);
         queue = next)
    {
        next = ngx_queue_next(queue);
        r = ngx_queue_data(queue, prov_http_request_t, queue);

        if (r->probe) {
            continue;
        }

        prov_http_destination_unwait(d, r);

        r->destination = NULL;
        r->retry_after = (ngx_int_t) (prov_http_client.conf->open + 999)
                         / 1000;

        prov_http_finish(r, PROV_HTTP_BREAKER_OPEN, NULL);
    }
}


static void
prov_http_destination_unwait(prov_http_destination_t *d,
    prov_http_request_t *r)
{
    ngx_queue_remove(&r->queue);
    d->nwaiting--;
    prov_http_client.nwaiting--;

    if (r->timer.timer_set) {
        ngx_del_timer(&r->timer);
    }
}


/* its time is over before it had a turn, which is no fault of the others */

static void
prov_http_destination_expired(ngx_event_t *ev)
{
    prov_http_finish(ev->data, PROV_HTTP_BUSY,
                     "it has waited for a connection for too long");
}


prov_http_request_t *
prov_http_destination_next(void)
{
    prov_http_client_t       *client;
    prov_http_request_t      *r;
    prov_http_destination_t  *d;

    client = &prov_http_client;

    if (client->nrunning >= client->conf->connections
        || ngx_queue_empty(&client->turns))
    {
        return NULL;
    }

    d = ngx_queue_data(ngx_queue_head(&client->turns),
                       prov_http_destination_t, queue);
    r = ngx_queue_data(ngx_queue_head(&d->waiting), prov_http_request_t,
                       queue);

    prov_http_destination_unwait(d, r);
    r->state = PROV_HTTP_NEW;
    d->nrunning++;

    /* behind the others */

    d->turn = 0;
    ngx_queue_remove(&d->queue);
    prov_http_destination_turn(d);

    return r;
}


static void
prov_http_destination_turn(prov_http_destination_t *d)
{
    if (d->nwaiting && !d->turn
        && d->nrunning < prov_http_client.conf->destination_connections)
    {
        d->turn = 1;
        ngx_queue_insert_tail(&prov_http_client.turns, &d->queue);
        prov_http_wake();
    }
}


/* An idle one is forgotten, unless it has failed. */

static void
prov_http_destination_settle(prov_http_destination_t *d)
{
    ngx_queue_t         *queue;
    prov_http_client_t  *client;

    client = &prov_http_client;

    if (d->turn && d->nwaiting == 0) {
        d->turn = 0;
        ngx_queue_remove(&d->queue);
    }

    if (d->nrunning || d->nwaiting) {
        return;
    }

    if (d->failures == 0 || client->conf->failures == 0) {
        prov_http_destination_free(d);
        return;
    }

    if (client->nremembered >= PROV_HTTP_REMEMBERED) {
        queue = ngx_queue_head(&client->remembered);
        prov_http_destination_free(ngx_queue_data(queue,
                                            prov_http_destination_t, queue));
    }

    d->remembered = 1;
    client->nremembered++;
    ngx_queue_insert_tail(&client->remembered, &d->queue);
}


static void
prov_http_destination_free(prov_http_destination_t *d)
{
    if (d->remembered) {
        prov_http_client.nremembered--;
        ngx_queue_remove(&d->queue);
    }

    ngx_rbtree_delete(&prov_http_client.destinations, &d->node.node);
    ngx_free(d);
}

#endif
