/*
 * The worker's loop, from its start to its end: when work is looked for, and
 * what keeps a worker that is asked to leave.  Each of a host's workers looks
 * at once after a change of its own, and else in turns with the others, so
 * that the host asks once in each interval; and when something is due.
 */

#include "jobs/prov_jobs_loop.h"
#include "base/prov_json_write.h"


static ngx_int_t prov_jobs_name(ngx_cycle_t *cycle);
static void prov_jobs_turn_handler(ngx_event_t *ev);
static void prov_jobs_look_handler(ngx_event_t *ev);
static void prov_jobs_again_handler(ngx_event_t *ev);
static void prov_jobs_hold_handler(ngx_event_t *ev);
static ngx_uint_t prov_jobs_drop(ngx_queue_t *list);
static ngx_uint_t prov_jobs_abandon(void);


/* Per-worker state, made in init_process, released in exit_process. */

prov_jobs_t  prov_jobs;


ngx_int_t
prov_jobs_init_worker(ngx_cycle_t *cycle, prov_jobs_conf_t *jobs)
{
    ngx_uint_t        workers;
    ngx_core_conf_t  *ccf;

    ngx_memzero(&prov_jobs, sizeof(prov_jobs_t));

    if (jobs == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        /* nor in nginx's cache manager, which calls this, too */
        return NGX_OK;
    }

    prov_jobs.log = cycle->log;

    if (prov_jobs_name(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_queue_init(&prov_jobs.running);
    ngx_queue_init(&prov_jobs.finished);
    ngx_queue_init(&prov_jobs.reported);
    ngx_queue_init(&prov_jobs.aside);

    prov_jobs.most = PROV_JOBS_BATCH;

    prov_jobs.turn.handler = prov_jobs_turn_handler;
    prov_jobs.turn.log = cycle->log;

    /* nginx's debug log looks into what is behind a timer */

    prov_jobs.look.handler = prov_jobs_look_handler;
    prov_jobs.look.data = &prov_jobs;
    prov_jobs.look.log = cycle->log;
    prov_jobs.look.cancelable = 1;

    prov_jobs.again.handler = prov_jobs_again_handler;
    prov_jobs.again.data = &prov_jobs;
    prov_jobs.again.log = cycle->log;
    prov_jobs.again.cancelable = 1;

    prov_jobs.due.handler = prov_jobs_due_handler;
    prov_jobs.due.data = &prov_jobs;
    prov_jobs.due.log = cycle->log;
    prov_jobs.due.cancelable = 1;

    /* the only one that a worker waits for */

    prov_jobs.hold.handler = prov_jobs_hold_handler;
    prov_jobs.hold.data = &prov_jobs;
    prov_jobs.hold.log = cycle->log;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    workers = (ngx_process == NGX_PROCESS_WORKER && ccf->worker_processes > 0)
              ? ccf->worker_processes : 1;

    if (prov_jobs_partners_init(cycle, jobs->concurrency) != NGX_OK) {
        return NGX_ERROR;
    }

    prov_jobs.poll = jobs->poll_interval * workers;
    prov_jobs.conf = jobs;

    prov_jobs_look_in(jobs->poll_interval * (ngx_worker % workers) + 1);

    return NGX_OK;
}


/* Whose leases they are: for the database, and for who reads its tables. */

static ngx_int_t
prov_jobs_name(ngx_cycle_t *cycle)
{
    u_char     *p, id[PROV_ID_LEN];
    ngx_str_t   text;

    if (prov_id_make(id) != NGX_OK) {
        return NGX_ERROR;
    }

    text.data = ngx_pnalloc(cycle->pool, cycle->hostname.len + NGX_INT64_LEN
                                         + PROV_ID_LEN + 2);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(text.data, "%V/%P/%*s", &cycle->hostname, ngx_pid,
                    (size_t) PROV_ID_LEN, id);
    text.len = p - text.data;

    prov_jobs.name.data = ngx_pnalloc(cycle->pool, prov_json_quoted(text.len));
    if (prov_jobs.name.data == NULL) {
        return NGX_ERROR;
    }

    prov_jobs.name.len = prov_json_quote(prov_jobs.name.data, &text)
                         - prov_jobs.name.data;

    return NGX_OK;
}


/* Told to leave at once: the leases of what is under way end by themselves. */

void
prov_jobs_exit_worker(void)
{
    ngx_uint_t  n;

    if (prov_jobs.conf == NULL) {
        return;
    }

    n = prov_jobs_abandon();

    if (n) {
        ngx_log_error(NGX_LOG_WARN, prov_jobs.log, 0,
                      "%ui jobs were under way as the worker ends, they are "
                      "done again when their leases have ended", n);
    }

    prov_jobs.conf = NULL;
}


void
prov_jobs_wake(void)
{
    if (prov_jobs.conf == NULL) {
        return;
    }

    prov_jobs.wanted = 1;
    prov_jobs_turn();
}


/*
 * Claims and reports go out at the end of the loop's turn: once for all that
 * this turn has committed, and all that it has finished.
 */

void
prov_jobs_turn(void)
{
    ngx_post_event(&prov_jobs.turn, &ngx_posted_events);
}


static void
prov_jobs_turn_handler(ngx_event_t *ev)
{
    prov_jobs_report();
    prov_jobs_claim();
    prov_jobs_hold();
}


/* Not later than in so many ms: the next look, or any other timer. */

void
prov_jobs_look_in(ngx_msec_t ms)
{
    prov_jobs_due_in(&prov_jobs.look, ms);
}


void
prov_jobs_due_in(ngx_event_t *ev, ngx_msec_t ms)
{
    if (ev->timer_set) {

        if ((ngx_msec_int_t) (ev->timer.key - ngx_current_msec)
            <= (ngx_msec_int_t) ms)
        {
            return;
        }

        /* ngx_add_timer() leaves one that is nearly right as it is */

        ngx_del_timer(ev);
    }

    ngx_add_timer(ev, ms);
}


static void
prov_jobs_look_handler(ngx_event_t *ev)
{
    prov_jobs.wanted = 1;
    prov_jobs_turn();
}


static void
prov_jobs_again_handler(ngx_event_t *ev)
{
    prov_jobs_turn();
}


/* The log hears of it once, until the database answers again. */

void
prov_jobs_unanswered(prov_db_query_t *q, const char *what)
{
    u_char       line[PROV_DB_LINE];
    const char  *why;
    ngx_uint_t   level;

    switch (q->status) {

    case PROV_DB_REFUSED:
        why = prov_db_refusal(q->result, line, sizeof(line));
        break;

    case PROV_DB_AWAY:
        why = "it cannot be reached";
        break;

    default:
        why = "it has no time";
        break;
    }

    level = prov_jobs.away ? NGX_LOG_INFO : NGX_LOG_ERR;

    ngx_log_error(level, prov_jobs.log, 0,
                  "the database \"%V\" could not be %s: %s",
                  &prov_jobs.conf->database, what, why);

    prov_jobs.away = 1;
}


void
prov_jobs_answered(void)
{
    if (prov_jobs.away) {
        prov_jobs.away = 0;

        ngx_log_error(NGX_LOG_NOTICE, prov_jobs.log, 0,
                      "the database \"%V\" answers about jobs again",
                      &prov_jobs.conf->database);
    }
}


/*
 * A worker leaves when no timer keeps it: this one does while there are jobs.
 */

void
prov_jobs_hold(void)
{
    if (prov_jobs.nrunning + prov_jobs.nfinished == 0) {

        if (prov_jobs.hold.timer_set) {
            ngx_del_timer(&prov_jobs.hold);
        }

        return;
    }

    if (!prov_jobs.hold.timer_set) {
        ngx_add_timer(&prov_jobs.hold, PROV_JOBS_HOLD);
    }
}


/*
 * What is under way ends with its request's timeout, and is reported.  Where
 * it cannot be, since the database is away, nothing is gained by staying
 * longer than the leases last.
 */

static void
prov_jobs_hold_handler(ngx_event_t *ev)
{
    if (ngx_exiting) {

        if (!prov_jobs.left) {
            prov_jobs.left = 1;
            prov_jobs.leaving = ngx_current_msec;

        } else if (ngx_current_msec - prov_jobs.leaving
                   >= prov_jobs.conf->lease)
        {
            ngx_log_error(NGX_LOG_WARN, prov_jobs.log, 0,
                          "%ui jobs could not be reported before their "
                          "leases have ended", prov_jobs_abandon());
            return;
        }
    }

    prov_jobs_hold();
}


/* Returns how many jobs there were. */

static ngx_uint_t
prov_jobs_abandon(void)
{
    ngx_uint_t  n;

    if (prov_jobs.claim) {
        prov_db_release(prov_jobs.claim);
        prov_jobs.claim = NULL;
    }

    if (prov_jobs.report) {
        prov_db_release(prov_jobs.report);
        prov_jobs.report = NULL;
    }

    ngx_free(prov_jobs.claim_text);
    prov_jobs.claim_text = NULL;

    ngx_free(prov_jobs.report_text);
    prov_jobs.report_text = NULL;

    n = prov_jobs_drop(&prov_jobs.running)
        + prov_jobs_drop(&prov_jobs.finished)
        + prov_jobs_drop(&prov_jobs.reported)
        + prov_jobs_drop(&prov_jobs.aside);

    prov_jobs.nrunning = 0;
    prov_jobs.npartners = 0;
    prov_jobs.nfinished = 0;

    if (prov_jobs.look.timer_set) {
        ngx_del_timer(&prov_jobs.look);
    }

    if (prov_jobs.again.timer_set) {
        ngx_del_timer(&prov_jobs.again);
    }

    if (prov_jobs.due.timer_set) {
        ngx_del_timer(&prov_jobs.due);
    }

    if (prov_jobs.hold.timer_set) {
        ngx_del_timer(&prov_jobs.hold);
    }

    if (prov_jobs.turn.posted) {
        ngx_delete_posted_event(&prov_jobs.turn);
    }

    return n;
}


static ngx_uint_t
prov_jobs_drop(ngx_queue_t *list)
{
    ngx_uint_t   n;
    prov_job_t  *job;

    for (n = 0; !ngx_queue_empty(list); n++) {
        job = ngx_queue_data(ngx_queue_head(list), prov_job_t, queue);

        ngx_queue_remove(&job->queue);
        prov_job_destroy(job);
    }

    return n;
}
