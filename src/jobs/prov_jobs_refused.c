/*
 * Reports that the database refuses.  A batch is halved until the one is alone
 * that it is about, and that one waits aside while the others are reported:
 * it is told again, with growing pauses, and given up where that cannot help.
 */

#include "jobs/prov_jobs_loop.h"


/* how often a report is told that is refused for what nobody expects; the
   last two times without what was answered */
#define PROV_REPORT_TRIES    5

/* a pause, doubled from the first to the last */
#define PROV_REPORT_AWAY     8000     /* ms; of all reports */
#define PROV_REPORT_ASIDE    16000    /* ms; of one */


/* what is to be done about an error */

typedef enum {
    PROV_REPORT_WAIT = 0,    /* it is the database's state, and everybody's */
    PROV_REPORT_REPEAT,      /* somebody is in the way of one of them */
    PROV_REPORT_STRIP,       /* it is what one of them has in it */
    PROV_REPORT_TRY          /* it may be anything */
} prov_report_cure_e;


static prov_report_cure_e prov_report_cure(PGresult *result);
static void prov_report_aside(prov_job_t *job, prov_report_cure_e cure);
static void prov_report_give_up(prov_job_t *job, PGresult *result);
static ngx_msec_t prov_report_pause(ngx_uint_t n, ngx_msec_t longest);


void
prov_jobs_refused(prov_db_query_t *q)
{
    u_char               line[PROV_DB_LINE];
    ngx_uint_t           level;
    ngx_queue_t         *first;
    prov_job_t          *job;
    prov_report_cure_e   cure;

    cure = prov_report_cure(q->result);

    if (cure == PROV_REPORT_WAIT) {
        prov_jobs_report_later(q);
        return;
    }

    first = ngx_queue_head(&prov_jobs.reported);
    job = ngx_queue_data(first, prov_job_t, queue);

    if (ngx_queue_next(first) != ngx_queue_sentinel(&prov_jobs.reported)) {
        prov_jobs.most = prov_jobs.told / 2;
        prov_jobs_report_back();
        return;
    }

    job->refused++;

    level = (cure == PROV_REPORT_STRIP) ? NGX_LOG_ERR : NGX_LOG_WARN;

    ngx_log_error(level, prov_jobs.log, 0,
                  "the database refused the report of job %V of kind "
                  "\"%V\"%s: %s", &job->id, &job->kind,
                  job->plain ? ", also without what was answered" : "",
                  prov_db_refusal(q->result, line, sizeof(line)));

    if (cure == PROV_REPORT_STRIP && !job->plain && job->log.len) {
        job->plain = 1;
        prov_jobs_report_back();
        return;
    }

    if (cure == PROV_REPORT_STRIP
        || (cure == PROV_REPORT_TRY && job->refused >= PROV_REPORT_TRIES))
    {
        prov_report_give_up(job, q->result);
        return;
    }

    prov_report_aside(job, cure);
}


/* PostgreSQL's manual, appendix A, has the classes. */

static prov_report_cure_e
prov_report_cure(PGresult *result)
{
    const char   *state;
    ngx_uint_t    i;

    static const struct {
        const char          *state;
        prov_report_cure_e   cure;
    } cures[] = {
        { "57014", PROV_REPORT_REPEAT },    /* it has taken too long */
        { "55P03", PROV_REPORT_REPEAT },    /* it has waited for too long */
        { "40", PROV_REPORT_REPEAT },       /* deadlock */
        { "08", PROV_REPORT_WAIT },         /* connection */
        { "53", PROV_REPORT_WAIT },         /* resources */
        { "57", PROV_REPORT_WAIT },         /* operator intervention */
        { "58", PROV_REPORT_WAIT },         /* its disk */
        { "22", PROV_REPORT_STRIP },        /* data */
        { "23", PROV_REPORT_STRIP },        /* constraints */
        { "54", PROV_REPORT_STRIP },        /* limits */
        { "P0", PROV_REPORT_STRIP }         /* what a function raises */
    };

    state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (state == NULL) {
        /* libpq's own */
        return PROV_REPORT_WAIT;
    }

    for (i = 0; i < sizeof(cures) / sizeof(cures[0]); i++) {
        if (ngx_strncmp(state, cures[i].state, ngx_strlen(cures[i].state))
            == 0)
        {
            return cures[i].cure;
        }
    }

    return PROV_REPORT_TRY;
}


/* Its lease, which may end meanwhile, says how long that makes sense. */

static void
prov_report_aside(prov_job_t *job, prov_report_cure_e cure)
{
    ngx_msec_t  pause;

    if (cure == PROV_REPORT_TRY && job->refused >= PROV_REPORT_TRIES - 2) {
        job->plain = 1;
    }

    pause = prov_report_pause(job->refused, PROV_REPORT_ASIDE);

    job->not_before = ngx_current_msec + pause;

    ngx_queue_remove(&job->queue);
    ngx_queue_insert_tail(&prov_jobs.aside, &job->queue);

    prov_jobs_due_in(&prov_jobs.due, pause);
}


/* Nobody hears of it any more, and its lease ends by itself. */

static void
prov_report_give_up(prov_job_t *job, PGresult *result)
{
    u_char  line[PROV_DB_LINE];

    ngx_log_error(NGX_LOG_ERR, prov_jobs.log, 0,
                  "the report of job %V of kind \"%V\" is given up, since "
                  "the database does not take it; the job is done again when "
                  "its lease has ended: %s", &job->id, &job->kind,
                  prov_db_refusal(result, line, sizeof(line)));

    prov_jobs_report_forget();
}


/* Those whose pause is over are told behind the others. */

void
prov_jobs_due_handler(ngx_event_t *ev)
{
    ngx_queue_t     *item, *next;
    prov_job_t      *job;
    ngx_msec_int_t   left;

    for (item = ngx_queue_head(&prov_jobs.aside);
         item != ngx_queue_sentinel(&prov_jobs.aside);
         item = next)
    {
        next = ngx_queue_next(item);
        job = ngx_queue_data(item, prov_job_t, queue);

        left = (ngx_msec_int_t) (job->not_before - ngx_current_msec);

        if (left > 0) {
            prov_jobs_due_in(&prov_jobs.due, left);
            continue;
        }

        ngx_queue_remove(&job->queue);
        ngx_queue_insert_tail(&prov_jobs.finished, &job->queue);
    }

    prov_jobs_turn();
}


/* How long all of them wait, after so many times without an answer. */

ngx_msec_t
prov_jobs_report_pause(void)
{
    return prov_report_pause(++prov_jobs.unheard, PROV_REPORT_AWAY);
}


static ngx_msec_t
prov_report_pause(ngx_uint_t n, ngx_msec_t longest)
{
    ngx_msec_t  pause;

    for (pause = PROV_JOBS_AWAY; --n && pause < longest; pause *= 2) {
        /* void */
    }

    return ngx_min(pause, longest);
}
