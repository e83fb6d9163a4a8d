/*
 * When the database is asked for all who listen to a worker, one question at a
 * time: at once when this worker has committed something, and else now and
 * then, more often where there is something.  What is answered is told only
 * when it is on disk: a crash must not leave behind places that were never
 * reached.
 */

#include "handlers/prov_handler_events.h"


/* ms between questions while something happens; then twice as many each
   time, until there is rest */
#define PROV_EVENTS_SOON  50


static ngx_int_t prov_events_query(prov_events_hub_t *hub,
    ngx_uint_t statement, prov_db_class_e class, prov_db_handler_pt handler,
    prov_db_query_t **query);
static void prov_events_answered(prov_db_query_t *q);
static void prov_events_kept(prov_db_query_t *q);
static void prov_events_failed(prov_events_hub_t *hub, prov_db_query_t *q);
static void prov_events_settle(prov_events_hub_t *hub, ngx_uint_t found);
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
        prov_events_settle(hub, prov_events_deliver(hub, q->result));
    }

    prov_db_release(q);
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
        prov_events_settle(hub, prov_events_deliver(hub, answer->result));

    } else {
        prov_events_failed(hub, q);
    }

    prov_db_release(answer);
    prov_db_release(q);
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
