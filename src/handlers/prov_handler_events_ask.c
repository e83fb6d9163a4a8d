/*
 * When the database is asked for all who listen to a worker, one question at a
 * time.  Those who have heard everything are asked for together: at once when
 * this worker has committed something, and else now and then, more often where
 * there is something.  Those behind whose places something is known to be are
 * asked for in between, in turns, and with pauses.  What is answered is told
 * only when it is on disk: a crash must not leave behind places that were never
 * reached.
 */

#include "handlers/prov_handler_events.h"


/* ms between questions while something happens; then twice as many each
   time, until there is rest */
#define PROV_EVENTS_SOON   50

/* ms of rest, at least, between questions for those who are behind */
#define PROV_EVENTS_PAUSE  10


static ngx_int_t prov_events_query(prov_events_hub_t *hub,
    ngx_uint_t statement, prov_db_class_e class, prov_db_handler_pt handler,
    prov_db_query_t **query);
static void prov_events_answered(prov_db_query_t *q);
static void prov_events_kept(prov_db_query_t *q);
static void prov_events_failed(prov_events_hub_t *hub, prov_db_query_t *q);
static void prov_events_settle(prov_events_hub_t *hub, ngx_uint_t found);
static ngx_msec_int_t prov_events_live(prov_events_hub_t *hub);
static ngx_uint_t prov_events_behind(prov_events_hub_t *hub);
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
    ngx_msec_int_t      live;
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

    live = prov_events_live(hub);

    if (live <= 0) {
        prov_events_ask();
        return;
    }

    if (hub->timer.timer_set) {

        if ((ngx_msec_int_t) (hub->timer.timer.key - ngx_current_msec)
            <= live)
        {
            return;
        }

        /* one that is moved by little is not moved at all */
        ngx_del_timer(&hub->timer);
    }

    ngx_add_timer(&hub->timer, live);
}


static void
prov_events_timer(ngx_event_t *ev)
{
    prov_events_ask();
}


/*
 * What is due now, or a timer for what is due first.  Where both are, the
 * turn is that of the ones that were not asked for the last time.
 */

void
prov_events_ask(void)
{
    ngx_uint_t          all, behind;
    ngx_msec_int_t      live, late;
    prov_events_hub_t  *hub;

    hub = &prov_events_hub;

    if (hub->n == 0 || hub->query || hub->answer || hub->telling) {
        return;
    }

    live = prov_events_live(hub);
    late = hub->rest - ngx_current_msec;
    behind = prov_events_behind(hub);

    if (hub->timer.timer_set) {
        ngx_del_timer(&hub->timer);
    }

    if (live > 0 && (!behind || late > 0)) {
        ngx_add_timer(&hub->timer, behind ? ngx_min(live, late) : live);
        return;
    }

    all = (live <= 0 && (!behind || late > 0 || !hub->all));

    prov_events_sweep();

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
    hub->asked = ngx_current_msec;

    if (all) {
        hub->last = ngx_current_msec;
        hub->again = 0;
    }
}


/*
 * Milliseconds until those who are live are asked for: half of the time, at
 * most, the database has to do with them.
 */

static ngx_msec_int_t
prov_events_live(prov_events_hub_t *hub)
{
    return hub->last + ngx_max(hub->delay, 2 * hub->took) - ngx_current_msec;
}


/* Whether anybody waits for what is known to be there. */

static ngx_uint_t
prov_events_behind(prov_events_hub_t *hub)
{
    ngx_queue_t          *q;
    prov_events_place_t  *place;

    for (q = ngx_queue_head(&hub->places);
         q != &hub->places;
         q = ngx_queue_next(q))
    {
        place = ngx_queue_data(q, prov_events_place_t, queue);

        if (place->more && !ngx_queue_empty(&place->listeners)) {
            return 1;
        }
    }

    return 0;
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
    u_char  line[PROV_DB_LINE];

    if (!hub->failing) {
        hub->failing = 1;

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "the database did not tell what is new for %ui streams "
                      "of events%s%s", hub->n, q->result ? ": " : "",
                      q->result ? prov_db_refusal(q->result, line,
                                                  sizeof(line))
                                : "");
    }

    hub->again = 0;
    hub->delay = prov_events_conf->interval;
    hub->last = ngx_current_msec;
    hub->rest = ngx_current_msec + hub->delay;

    prov_events_forget(hub);

    if (hub->n) {
        prov_events_ask();

    } else {
        prov_events_sweep();
    }
}


/*
 * When to ask next.  A pause is as long as the question was, so what is behind
 * costs the database the less the more it has to do.
 */

static void
prov_events_settle(prov_events_hub_t *hub, ngx_uint_t found)
{
    ngx_msec_t  took;

    prov_events_forget(hub);

    if (hub->n == 0) {
        prov_events_sweep();
        return;
    }

    took = ngx_current_msec - hub->asked;

    if (hub->all) {
        hub->took = took;
        hub->delay = found ? PROV_EVENTS_SOON
                           : ngx_min(2 * hub->delay,
                                     prov_events_conf->interval);

    } else {
        hub->rest = ngx_current_msec + ngx_max(took, PROV_EVENTS_PAUSE);
    }

    if (hub->again) {
        hub->delay = PROV_EVENTS_SOON;
    }

    prov_events_ask();
}
