/*
 * What the database is asked for all who listen to a worker: the text of the
 * question, and whom it is about.  Made by prov_handler_events_ask.c, which
 * knows when to ask, and forgotten when it has been answered.
 */

#include "handlers/prov_handler_events.h"


/*
 * Of those who are behind one question has so many, and so many of a partner:
 * whatever one has, others' turns come.
 */
#define PROV_EVENTS_TURNS    64
#define PROV_EVENTS_PARTNER  4


static void prov_events_question_live(prov_events_hub_t *hub);
static void prov_events_question_behind(prov_events_hub_t *hub);
static ngx_uint_t prov_events_question_turn(prov_events_hub_t *hub,
    prov_events_feed_t *feed);
static u_char *prov_events_question_callers(prov_events_hub_t *hub,
    u_char *p);
static size_t prov_events_question_len(prov_events_hub_t *hub);


/*
 * {"feeds": [[partner, filter, cursor], …],
 *  "callers": [[partner], [partner, key, version], …]}
 */

ngx_int_t
prov_events_question(prov_events_hub_t *hub, ngx_uint_t all)
{
    u_char               *p;
    ngx_uint_t            i, n;
    ngx_queue_t          *q;
    prov_events_place_t  *place;

    n = 0;

    for (q = ngx_queue_head(&hub->places);
         q != &hub->places;
         q = ngx_queue_next(q))
    {
        n++;
    }

    hub->places_asked = ngx_alloc((n + 1) * sizeof(prov_events_place_t *),
                                  ngx_cycle->log);
    hub->text = ngx_alloc(prov_events_question_len(hub), ngx_cycle->log);

    if (hub->places_asked == NULL || hub->text == NULL) {
        return NGX_ERROR;
    }

    if (all) {
        prov_events_question_live(hub);

    } else {
        prov_events_question_behind(hub);
    }

    p = ngx_sprintf(hub->text, "{\"feeds\":[");

    for (i = 0; i < hub->nplaces; i++) {
        place = hub->places_asked[i];

        if (i) {
            *p++ = ',';
        }

        p = ngx_sprintf(p, "[\"%V\",%V,\"%V\"]", &place->feed->partner,
                        &place->feed->filter, &place->cursor);
    }

    *p++ = ']';

    if (all
        && ngx_current_msec - hub->checked
           >= ngx_min(prov_events_conf->interval, 1000))
    {
        hub->callers = ngx_alloc(hub->n * sizeof(prov_events_listener_t *),
                                 ngx_cycle->log);
        if (hub->callers == NULL) {
            return NGX_ERROR;
        }

        hub->checked = ngx_current_msec;
        p = prov_events_question_callers(hub, p);
    }

    *p++ = '}';
    *p = '\0';

    return NGX_OK;
}


static void
prov_events_question_live(prov_events_hub_t *hub)
{
    ngx_queue_t          *q;
    prov_events_place_t  *place;

    for (q = ngx_queue_head(&hub->places);
         q != &hub->places;
         q = ngx_queue_next(q))
    {
        place = ngx_queue_data(q, prov_events_place_t, queue);

        if (!place->more) {
            hub->places_asked[hub->nplaces++] = place;
        }
    }
}


/* In the order of the line: who was told something is at its end. */

static void
prov_events_question_behind(prov_events_hub_t *hub)
{
    ngx_queue_t          *q;
    prov_events_place_t  *place;

    for (q = ngx_queue_head(&hub->places);
         q != &hub->places && hub->nplaces < PROV_EVENTS_TURNS;
         q = ngx_queue_next(q))
    {
        place = ngx_queue_data(q, prov_events_place_t, queue);

        if (place->more && prov_events_question_turn(hub, place->feed)) {
            hub->places_asked[hub->nplaces++] = place;
        }
    }
}


/* Whether the question has room for one more of this partner. */

static ngx_uint_t
prov_events_question_turn(prov_events_hub_t *hub, prov_events_feed_t *feed)
{
    ngx_uint_t           i, n;
    prov_events_feed_t  *other;

    n = 0;

    for (i = 0; i < hub->nplaces && n < PROV_EVENTS_PARTNER; i++) {
        other = hub->places_asked[i]->feed;

        n += (other == feed
              || (other->partner.len == feed->partner.len
                  && ngx_memcmp(other->partner.data, feed->partner.data,
                                feed->partner.len)
                     == 0));
    }

    return n < PROV_EVENTS_PARTNER;
}


static u_char *
prov_events_question_callers(prov_events_hub_t *hub, u_char *p)
{
    ngx_queue_t             *q;
    prov_events_listener_t  *l;

    p = ngx_sprintf(p, ",\"callers\":[");

    for (q = ngx_queue_head(&hub->listeners);
         q != &hub->listeners;
         q = ngx_queue_next(q))
    {
        l = ngx_queue_data(q, prov_events_listener_t, all);

        if (hub->ncallers) {
            *p++ = ',';
        }

        hub->callers[hub->ncallers++] = l;
        l->asked = hub->ncallers;

        p = l->key.len ? ngx_sprintf(p, "[\"%V\",\"%V\",%i]",
                                     &l->feed->partner, &l->key, l->version)
                       : ngx_sprintf(p, "[\"%V\"]", &l->feed->partner);
    }

    *p++ = ']';

    return p;
}


/* at most: all of them are asked for */

static size_t
prov_events_question_len(prov_events_hub_t *hub)
{
    size_t                   len;
    ngx_queue_t             *q;
    prov_events_place_t     *place;
    prov_events_listener_t  *l;

    len = sizeof("{\"feeds\":[],\"callers\":[]}");

    for (q = ngx_queue_head(&hub->places);
         q != &hub->places;
         q = ngx_queue_next(q))
    {
        place = ngx_queue_data(q, prov_events_place_t, queue);

        len += sizeof("[\"\",,\"\"],") + place->feed->partner.len
               + place->feed->filter.len + place->cursor.len;
    }

    for (q = ngx_queue_head(&hub->listeners);
         q != &hub->listeners;
         q = ngx_queue_next(q))
    {
        l = ngx_queue_data(q, prov_events_listener_t, all);

        len += sizeof("[\"\",\"\",],") + l->feed->partner.len + l->key.len
               + NGX_INT_T_LEN;
    }

    return len;
}


/* Nobody is asked about any more. */

void
prov_events_forget(prov_events_hub_t *hub)
{
    ngx_uint_t  i;

    for (i = 0; i < hub->ncallers; i++) {
        if (hub->callers[i]) {
            hub->callers[i]->asked = 0;
        }
    }

    if (hub->callers) {
        ngx_free(hub->callers);
        hub->callers = NULL;
        hub->ncallers = 0;
    }

    if (hub->places_asked) {
        ngx_free(hub->places_asked);
        hub->places_asked = NULL;
        hub->nplaces = 0;
    }

    if (hub->text) {
        ngx_free(hub->text);
        hub->text = NULL;
    }
}
