/*
 * Who listens to what, in one worker.  A feed is what is asked for: a partner
 * and a filter.  In it listeners stand at places; those at the same one are
 * asked for once, and told the same.  One that is slow, or begins in the past,
 * has a place of its own until it has caught up.
 */

#include "handlers/prov_handler_events.h"


/* ms between two looks at who may listen, and who has heard nothing */
#define PROV_EVENTS_TICK  1000


static prov_events_feed_t *prov_events_feed(ngx_str_t *partner,
    ngx_str_t *filter);
static prov_events_place_t *prov_events_place(prov_events_feed_t *feed,
    ngx_str_t *cursor);
static void prov_events_place_free(prov_events_place_t *place);
static void prov_events_tick(ngx_event_t *ev);
static void prov_events_watch(void);
static void prov_events_watched(ngx_event_t *rev);
static void prov_events_unwatch(void);
static void prov_events_dismiss(void);


prov_events_hub_t  prov_events_hub;


ngx_int_t
prov_events_begin(prov_events_listener_t *l, ngx_str_t *partner,
    ngx_str_t *filter, ngx_str_t *cursor)
{
    prov_events_hub_t   *hub;
    prov_events_feed_t  *feed;

    hub = &prov_events_hub;

    feed = prov_events_feed(partner, filter);
    if (feed == NULL) {
        return NGX_ERROR;
    }

    l->cursor.data = l->buffer;
    l->cursor.len = cursor->len;
    ngx_memcpy(l->buffer, cursor->data, cursor->len);

    l->feed = feed;
    feed->nlisteners++;

    ngx_queue_insert_tail(&hub->listeners, &l->all);

    if (hub->n++ == 0) {
        hub->delay = prov_events_conf->interval;
        hub->all = 1;
        hub->took = 0;
        prov_events_watch();
        ngx_add_timer(&hub->tick, ngx_min(PROV_EVENTS_TICK,
                                          prov_events_conf->heartbeat));
    }

    return NGX_OK;
}


/* Nothing is on its way to it any more: it waits at its cursor. */

ngx_int_t
prov_events_join(prov_events_listener_t *l)
{
    prov_events_place_t  *place;

    place = prov_events_place(l->feed, &l->cursor);
    if (place == NULL) {
        return NGX_ERROR;
    }

    l->place = place;
    ngx_queue_insert_tail(&place->listeners, &l->queue);

    if (place->more) {
        prov_events_ask();
    }

    return NGX_OK;
}


/* It stays where it is, and is asked for no more until it joins again. */

void
prov_events_hold(prov_events_listener_t *l)
{
    if (l->place == NULL) {
        return;
    }

    l->cursor.len = l->place->cursor.len;
    ngx_memcpy(l->buffer, l->place->buffer, l->cursor.len);

    l->place = NULL;
    ngx_queue_remove(&l->queue);
}


void
prov_events_leave(prov_events_listener_t *l)
{
    prov_events_hub_t  *hub;

    if (l->feed == NULL) {
        return;
    }

    hub = &prov_events_hub;

    if (l->place) {
        l->place = NULL;
        ngx_queue_remove(&l->queue);
    }

    if (l->asked) {
        hub->callers[l->asked - 1] = NULL;
        l->asked = 0;
    }

    ngx_queue_remove(&l->all);

    l->feed->nlisteners--;
    l->feed = NULL;

    if (--hub->n) {
        return;
    }

    if (hub->tick.timer_set) {
        ngx_del_timer(&hub->tick);
    }

    if (hub->timer.timer_set) {
        ngx_del_timer(&hub->timer);
    }

    prov_events_unwatch();
    prov_events_sweep();
}


/* How many of a partner's streams this worker has. */

ngx_uint_t
prov_events_of_partner(ngx_str_t *partner)
{
    ngx_uint_t           n;
    ngx_queue_t         *q, *feeds;
    prov_events_feed_t  *feed;

    n = 0;
    feeds = &prov_events_hub.feeds;

    for (q = ngx_queue_head(feeds); q != feeds; q = ngx_queue_next(q)) {
        feed = ngx_queue_data(q, prov_events_feed_t, queue);

        if (feed->partner.len == partner->len
            && ngx_memcmp(feed->partner.data, partner->data, partner->len)
               == 0)
        {
            n += feed->nlisteners;
        }
    }

    return n;
}


static prov_events_feed_t *
prov_events_feed(ngx_str_t *partner, ngx_str_t *filter)
{
    ngx_queue_t         *q, *feeds;
    prov_events_feed_t  *feed;

    feeds = &prov_events_hub.feeds;

    for (q = ngx_queue_head(feeds); q != feeds; q = ngx_queue_next(q)) {
        feed = ngx_queue_data(q, prov_events_feed_t, queue);

        if (feed->partner.len == partner->len
            && feed->filter.len == filter->len
            && ngx_memcmp(feed->partner.data, partner->data, partner->len)
               == 0
            && ngx_memcmp(feed->filter.data, filter->data, filter->len) == 0)
        {
            return feed;
        }
    }

    feed = ngx_calloc(sizeof(prov_events_feed_t) + partner->len + filter->len,
                      ngx_cycle->log);
    if (feed == NULL) {
        return NULL;
    }

    feed->partner.data = (u_char *) feed + sizeof(prov_events_feed_t);
    feed->partner.len = partner->len;
    feed->filter.data = ngx_cpymem(feed->partner.data, partner->data,
                                   partner->len);
    feed->filter.len = filter->len;
    ngx_memcpy(feed->filter.data, filter->data, filter->len);

    ngx_queue_insert_tail(feeds, &feed->queue);

    return feed;
}


static prov_events_place_t *
prov_events_place(prov_events_feed_t *feed, ngx_str_t *cursor)
{
    ngx_queue_t          *q, *places;
    prov_events_place_t  *place;

    places = &prov_events_hub.places;

    for (q = ngx_queue_head(places); q != places; q = ngx_queue_next(q)) {
        place = ngx_queue_data(q, prov_events_place_t, queue);

        if (place->feed == feed && place->cursor.len == cursor->len
            && ngx_memcmp(place->buffer, cursor->data, cursor->len) == 0)
        {
            return place;
        }
    }

    place = ngx_calloc(sizeof(prov_events_place_t), ngx_cycle->log);
    if (place == NULL) {
        return NULL;
    }

    ngx_queue_init(&place->listeners);

    place->feed = feed;
    place->cursor.data = place->buffer;
    place->cursor.len = cursor->len;
    ngx_memcpy(place->buffer, cursor->data, cursor->len);

    /* as far as anybody knows */
    place->more = 1;

    feed->nplaces++;
    ngx_queue_insert_tail(places, &place->queue);

    return place;
}


static void
prov_events_place_free(prov_events_place_t *place)
{
    place->feed->nplaces--;
    ngx_queue_remove(&place->queue);
    ngx_free(place);
}


/*
 * These places were asked for at once: of one feed, those behind which nothing
 * is are the same, whatever their cursors.
 */

void
prov_events_merge(void)
{
    ngx_queue_t              *q;
    ngx_uint_t                i;
    prov_events_hub_t        *hub;
    prov_events_place_t      *place, *end;
    prov_events_listener_t   *l;

    hub = &prov_events_hub;

    for (i = 0; i < hub->nplaces; i++) {
        place = hub->places_asked[i];

        if (place->more || ngx_queue_empty(&place->listeners)) {
            continue;
        }

        end = place->feed->end;

        if (end == NULL) {
            place->feed->end = place;
            continue;
        }

        for (q = ngx_queue_head(&place->listeners);
             q != &place->listeners;
             q = ngx_queue_next(q))
        {
            l = ngx_queue_data(q, prov_events_listener_t, queue);
            l->place = end;
        }

        ngx_queue_add(&end->listeners, &place->listeners);
        ngx_queue_init(&place->listeners);
    }

    for (i = 0; i < hub->nplaces; i++) {
        hub->places_asked[i]->feed->end = NULL;
    }
}


/* Frees what nobody needs; not while a question is under way. */

void
prov_events_sweep(void)
{
    ngx_queue_t          *q, *next;
    prov_events_hub_t    *hub;
    prov_events_feed_t   *feed;
    prov_events_place_t  *place;

    hub = &prov_events_hub;

    if (hub->query || hub->answer || hub->telling) {
        return;
    }

    for (q = ngx_queue_head(&hub->places); q != &hub->places; q = next) {
        next = ngx_queue_next(q);
        place = ngx_queue_data(q, prov_events_place_t, queue);

        if (ngx_queue_empty(&place->listeners)) {
            prov_events_place_free(place);
        }
    }

    for (q = ngx_queue_head(&hub->feeds); q != &hub->feeds; q = next) {
        next = ngx_queue_next(q);
        feed = ngx_queue_data(q, prov_events_feed_t, queue);

        if (feed->nlisteners == 0 && feed->nplaces == 0) {
            ngx_queue_remove(q);
            ngx_free(feed);
        }
    }
}


/*
 * Each listener is looked at once, whatever becomes of others meanwhile: one
 * that leaves takes itself out of the list it is in.
 */

static void
prov_events_tick(ngx_event_t *ev)
{
    time_t                   now;
    ngx_queue_t              all, *q;
    prov_events_hub_t       *hub;
    prov_events_listener_t  *l;

    hub = &prov_events_hub;

    if (ngx_exiting) {
        prov_events_dismiss();
        return;
    }

    now = ngx_time();

    ngx_queue_init(&all);
    ngx_queue_add(&all, &hub->listeners);
    ngx_queue_init(&hub->listeners);

    while (!ngx_queue_empty(&all)) {
        q = ngx_queue_head(&all);
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&hub->listeners, q);

        l = ngx_queue_data(q, prov_events_listener_t, all);

        if (l->expires && l->expires <= now) {
            prov_events_close(l, l->key.len ? "key_expired"
                                            : "token_expired");
            continue;
        }

        if (l->place
            && ngx_current_msec - l->beaten >= prov_events_conf->heartbeat)
        {
            prov_events_beat(l);
        }
    }

    if (hub->n) {
        ngx_add_timer(&hub->tick, ngx_min(PROV_EVENTS_TICK,
                                          prov_events_conf->heartbeat));
    }
}


/*
 * nginx tells idle connections when a worker is about to leave, and nobody
 * else: so there is one, to nothing.  Without it the tick sees it.
 */

static void
prov_events_watch(void)
{
    ngx_fd_t            fd;
    ngx_connection_t   *c;

    fd = ngx_open_file("/dev/null", NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        return;
    }

    c = ngx_get_connection(fd, ngx_cycle->log);

    if (c == NULL) {
        (void) ngx_close_file(fd);
        return;
    }

    c->idle = 1;
    c->data = NULL;
    c->log = ngx_cycle->log;
    c->read->handler = prov_events_watched;
    c->read->log = c->log;
    c->write->log = c->log;

    prov_events_hub.watch = c;
}


static void
prov_events_watched(ngx_event_t *rev)
{
    ngx_connection_t  *c;

    c = rev->data;

    if (c->close) {
        prov_events_dismiss();
    }
}


static void
prov_events_unwatch(void)
{
    ngx_fd_t           fd;
    ngx_connection_t  *c;

    c = prov_events_hub.watch;

    if (c == NULL) {
        return;
    }

    prov_events_hub.watch = NULL;

    fd = c->fd;
    c->fd = (ngx_socket_t) -1;
    c->idle = 0;

    ngx_free_connection(c);
    (void) ngx_close_file(fd);
}


/* The worker leaves: its listeners come again, to another. */

static void
prov_events_dismiss(void)
{
    ngx_queue_t             *q, *all;
    prov_events_listener_t  *l;

    all = &prov_events_hub.listeners;

    while (!ngx_queue_empty(all)) {
        q = ngx_queue_head(all);
        l = ngx_queue_data(q, prov_events_listener_t, all);

        prov_events_close(l, "reconnect");
    }
}


void
prov_events_init_worker(prov_events_conf_t *conf)
{
    prov_events_hub_t  *hub;

    prov_events_conf = conf;
    hub = &prov_events_hub;

    ngx_memzero(hub, sizeof(prov_events_hub_t));

    ngx_queue_init(&hub->feeds);
    ngx_queue_init(&hub->places);
    ngx_queue_init(&hub->listeners);

    hub->tick.handler = prov_events_tick;
    hub->tick.log = ngx_cycle->log;
    hub->tick.data = hub;

    prov_events_ask_init();
}


/* Before the pools leave: what is under way is theirs then. */

void
prov_events_exit_worker(void)
{
    ngx_queue_t             *q, *all;
    prov_events_listener_t  *l;

    if (prov_events_conf == NULL) {
        return;
    }

    all = &prov_events_hub.listeners;

    prov_events_ask_exit();

    while (!ngx_queue_empty(all)) {
        q = ngx_queue_head(all);
        l = ngx_queue_data(q, prov_events_listener_t, all);

        prov_events_leave(l);
    }
}
