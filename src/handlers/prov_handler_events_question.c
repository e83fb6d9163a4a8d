/*
 * What the database is asked for all who listen to a worker: the text of the
 * question, and whom it is about.  Made by prov_handler_events_ask.c, which
 * knows when to ask, and forgotten when it has been answered.
 */

#include "handlers/prov_handler_events.h"


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
    ngx_uint_t            n;
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

    p = ngx_sprintf(hub->text, "{\"feeds\":[");

    for (q = ngx_queue_head(&hub->places);
         q != &hub->places;
         q = ngx_queue_next(q))
    {
        place = ngx_queue_data(q, prov_events_place_t, queue);

        if (!all && !place->more) {
            continue;
        }

        if (hub->nplaces) {
            *p++ = ',';
        }

        p = ngx_sprintf(p, "[\"%V\",%V,\"%V\"]", &place->feed->partner,
                        &place->feed->filter, &place->cursor);

        hub->places_asked[hub->nplaces++] = place;
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
