/*
 * One question to the database for all who listen to a worker, at most one at
 * a time: what is behind their places, and who may listen no longer.  Asked at
 * once when this worker has committed something, and else now and then, more
 * often where there is something.  What is answered is told only when it is
 * on disk: a crash must not leave behind places that were never reached.
 */

#include "handlers/prov_handler_events.h"


/* ms between questions while something happens; then twice as many each
   time, until there is rest */
#define PROV_EVENTS_SOON  50


static ngx_int_t prov_events_question(prov_events_hub_t *hub, ngx_uint_t all);
static u_char *prov_events_question_callers(prov_events_hub_t *hub,
    u_char *p);
static size_t prov_events_question_len(prov_events_hub_t *hub);
static ngx_int_t prov_events_query(prov_events_hub_t *hub,
    ngx_uint_t statement, prov_db_class_e class, prov_db_handler_pt handler,
    prov_db_query_t **query);
static void prov_events_answered(prov_db_query_t *q);
static ngx_uint_t prov_events_refused(prov_events_hub_t *hub,
    PGresult *result);
static void prov_events_kept(prov_db_query_t *q);
static void prov_events_deliver(prov_events_hub_t *hub, PGresult *result);
static void prov_events_deliver_place(prov_events_place_t *place,
    PGresult *result, int row);
static void prov_events_failed(prov_events_hub_t *hub, prov_db_query_t *q);
static void prov_events_settle(prov_events_hub_t *hub, ngx_uint_t found);
static void prov_events_forget(prov_events_hub_t *hub);
static void prov_events_timer(ngx_event_t *ev);


prov_events_conf_t  *prov_events_conf;


void
prov_events_ask_init(void)
{
    prov_events_hub_t  *hub;

    hub = &prov_events_hub;

    hub->timer.handler = prov_events_timer;
    hub->timer.log = ngx_cycle->log;
    hub->timer.data = hub;
}


void
prov_events_ask_exit(void)
{
    prov_events_hub_t  *hub;

    hub = &prov_events_hub;

    if (hub->answer) {
        prov_db_release(hub->answer);
        hub->answer = NULL;
    }

    if (hub->query) {
        prov_db_release(hub->query);
        hub->query = NULL;
    }

    prov_events_forget(hub);
}


/* This worker has committed something. */

void
prov_events_wake(void)
{
    ngx_msec_t          passed;
    prov_events_hub_t  *hub;

    hub = &prov_events_hub;

    if (hub->n == 0) {
        return;
    }

    hub->delay = PROV_EVENTS_SOON;

    if (hub->query || hub->answer) {
        hub->again = 1;
        return;
    }

    passed = ngx_current_msec - hub->last;

    if (passed >= PROV_EVENTS_SOON) {
        prov_events_ask(1);
        return;
    }

    /* a timer that is moved by little is not moved at all */

    if (hub->timer.timer_set) {
        ngx_del_timer(&hub->timer);
    }

    ngx_add_timer(&hub->timer, PROV_EVENTS_SOON - passed);
}


static void
prov_events_timer(ngx_event_t *ev)
{
    prov_events_ask(1);
}


/* What is behind all places, or those behind which something is known to be. */

void
prov_events_ask(ngx_uint_t all)
{
    prov_events_hub_t  *hub;

    hub = &prov_events_hub;

    if (hub->n == 0 || hub->query || hub->answer || hub->telling) {
        return;
    }

    prov_events_sweep();

    if (ngx_current_msec - hub->last >= hub->delay) {
        all = 1;
    }

    if (prov_events_question(hub, all) != NGX_OK
        || prov_events_query(hub, prov_events_conf->since, PROV_DB_READ,
                             prov_events_answered, &hub->query)
           != NGX_OK)
    {
        prov_events_forget(hub);
        ngx_add_timer(&hub->timer, prov_events_conf->interval);
        return;
    }

    hub->all = all;

    if (all) {
        hub->last = ngx_current_msec;
        hub->again = 0;
    }

    if (hub->timer.timer_set) {
        ngx_del_timer(&hub->timer);
    }
}


/*
 * {"feeds": [[partner, filter, cursor], …],
 *  "callers": [[partner], [partner, key, version], …]}
 */

static ngx_int_t
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


static ngx_int_t
prov_events_query(prov_events_hub_t *hub, ngx_uint_t statement,
    prov_db_class_e class, prov_db_handler_pt handler,
    prov_db_query_t **query)
{
    prov_db_query_t  *q;

    q = prov_db_query(prov_events_conf->db, statement, class);
    if (q == NULL) {
        return NGX_ERROR;
    }

    q->values[0] = (const char *) hub->text;
    q->values[1] = NULL;
    q->values[2] = NULL;
    q->handler = handler;
    q->data = hub;
    q->log = ngx_cycle->log;

    *query = q;

    prov_db_submit(q);

    return NGX_OK;
}


static void
prov_events_answered(prov_db_query_t *q)
{
    prov_events_hub_t  *hub;

    hub = q->data;

    if (q->status != PROV_DB_COMMITTED || PQnfields(q->result) != 4) {
        hub->query = NULL;
        prov_events_failed(hub, q);
        prov_db_release(q);
        return;
    }

    hub->failing = 0;

    if (prov_events_refused(hub, q->result)) {

        /* feeds have something new */

        hub->answer = q;

        if (prov_events_query(hub, prov_events_conf->barrier, PROV_DB_REPLAY,
                              prov_events_kept, &hub->query)
            == NGX_OK)
        {
            return;
        }

        hub->answer = NULL;
        hub->query = NULL;
        prov_events_failed(hub, q);

    } else {
        hub->query = NULL;
        prov_events_deliver(hub, q->result);
    }

    prov_db_release(q);
}


/*
 * Rows below 0 are callers, and what became of them counts at once.  Returns
 * how many rows there are besides.
 */

static ngx_uint_t
prov_events_refused(prov_events_hub_t *hub, PGresult *result)
{
    int                      row;
    ngx_int_t                n;
    ngx_uint_t               others;
    prov_events_listener_t  *l;

    others = 0;
    hub->telling = 1;

    for (row = 0; row < PQntuples(result); row++) {

        if (*PQgetvalue(result, row, 0) != '-') {
            others++;
            continue;
        }

        n = ngx_atoi((u_char *) PQgetvalue(result, row, 0) + 1,
                     PQgetlength(result, row, 0) - 1);

        if (n < 1 || (ngx_uint_t) n > hub->ncallers) {
            continue;
        }

        l = hub->callers[n - 1];

        if (l) {
            prov_events_close(l, PQgetvalue(result, row, 1));
        }
    }

    hub->telling = 0;

    return others;
}


/* What was answered is on disk now. */

static void
prov_events_kept(prov_db_query_t *q)
{
    prov_db_query_t    *answer;
    prov_events_hub_t  *hub;

    hub = q->data;
    answer = hub->answer;

    hub->answer = NULL;
    hub->query = NULL;

    if (q->status == PROV_DB_COMMITTED) {
        prov_events_deliver(hub, answer->result);

    } else {
        prov_events_failed(hub, q);
    }

    prov_db_release(answer);
    prov_db_release(q);
}


/* Who has been told something new goes to the end of the line. */

static void
prov_events_deliver(prov_events_hub_t *hub, PGresult *result)
{
    int                   row;
    ngx_int_t             n;
    ngx_uint_t            i, found;
    prov_events_place_t  *place;

    found = 0;
    hub->telling = 1;

    for (i = 0; i < hub->nplaces; i++) {
        hub->places_asked[i]->more = 0;
    }

    for (row = 0; row < PQntuples(result); row++) {
        n = ngx_atoi((u_char *) PQgetvalue(result, row, 0),
                     PQgetlength(result, row, 0));

        if (n < 0 || (ngx_uint_t) n >= hub->nplaces) {
            continue;
        }

        place = hub->places_asked[n];
        place->more = (*PQgetvalue(result, row, 2) == 't');

        if (PQgetisnull(result, row, 1) && place->more) {
            /* its turn comes with the next question */
            continue;
        }

        found = 1;

        ngx_queue_remove(&place->queue);
        ngx_queue_insert_tail(&hub->places, &place->queue);

        prov_events_deliver_place(place, result, row);
    }

    if (hub->all) {
        prov_events_merge();
    }

    hub->telling = 0;

    prov_events_settle(hub, found);
}


static void
prov_events_deliver_place(prov_events_place_t *place, PGresult *result,
    int row)
{
    size_t                   len;
    ngx_uint_t               lost;
    ngx_queue_t              waiting, *q;
    prov_events_chunk_t     *chunk;
    prov_events_listener_t  *l;

    chunk = NULL;
    len = PQgetlength(result, row, 1);
    lost = (len == 0 || len > PROV_EVENTS_CURSOR);

    if (!lost) {

        if (!PQgetisnull(result, row, 3)) {
            chunk = prov_events_chunk(PQgetlength(result, row, 3));

            if (chunk == NULL) {
                /* they stay where they are */
                place->more = 1;
                return;
            }

            ngx_memcpy(chunk->text, PQgetvalue(result, row, 3), chunk->len);
        }

        place->cursor.len = len;
        ngx_memcpy(place->buffer, PQgetvalue(result, row, 1), len);
    }

    ngx_queue_init(&waiting);

    if (!ngx_queue_empty(&place->listeners)) {
        ngx_queue_add(&waiting, &place->listeners);
        ngx_queue_init(&place->listeners);
    }

    while (!ngx_queue_empty(&waiting)) {
        q = ngx_queue_head(&waiting);
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&place->listeners, q);

        l = ngx_queue_data(q, prov_events_listener_t, queue);

        if (lost) {
            prov_events_close(l, "invalid_cursor");

        } else if (chunk) {
            prov_events_tell(l, chunk);

        } else {
            l->moved = 1;
        }
    }

    prov_events_release(chunk);
}


/* Nobody is told that the database is away: there is nothing to tell. */

static void
prov_events_failed(prov_events_hub_t *hub, prov_db_query_t *q)
{
    if (!hub->failing) {
        hub->failing = 1;

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "the database did not tell what is new for %ui streams "
                      "of events%s%s", hub->n, q->result ? ": " : "",
                      q->result ? PQresultErrorMessage(q->result) : "");
    }

    hub->again = 0;
    hub->delay = prov_events_conf->interval;
    hub->last = ngx_current_msec;

    prov_events_forget(hub);

    if (hub->n) {
        ngx_add_timer(&hub->timer, hub->delay);

    } else {
        prov_events_sweep();
    }
}


/* When to ask next. */

static void
prov_events_settle(prov_events_hub_t *hub, ngx_uint_t found)
{
    ngx_uint_t            more;
    ngx_msec_t            passed;
    ngx_queue_t          *q;
    prov_events_place_t  *place;

    more = 0;

    for (q = ngx_queue_head(&hub->places);
         q != &hub->places;
         q = ngx_queue_next(q))
    {
        place = ngx_queue_data(q, prov_events_place_t, queue);
        more |= (place->more && !ngx_queue_empty(&place->listeners));
    }

    prov_events_forget(hub);

    if (hub->n == 0) {
        prov_events_sweep();
        return;
    }

    if (found || hub->again) {
        hub->delay = PROV_EVENTS_SOON;

    } else if (hub->all) {
        hub->delay = ngx_min(2 * hub->delay, prov_events_conf->interval);
    }

    if (more) {
        prov_events_ask(0);
        return;
    }

    passed = ngx_current_msec - hub->last;

    ngx_add_timer(&hub->timer, (passed < hub->delay) ? hub->delay - passed
                                                     : 0);
}


static void
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
