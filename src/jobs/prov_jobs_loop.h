/*
 * What the files of src/jobs share: the worker's loop, from a claim through
 * the running of jobs to their report.  Drivers do not include this.
 */

#ifndef _PROV_JOBS_LOOP_H_INCLUDED_
#define _PROV_JOBS_LOOP_H_INCLUDED_


#include "base/prov_id.h"
#include "jobs/prov_jobs.h"


/* jobs in one claim, and in one report */
#define PROV_JOBS_BATCH         64

/* a report is closed when it is so long; one more job may go beyond */
#define PROV_JOBS_REPORT_SIZE   (256 * 1024)

/* of an answer that is noted with the attempt: body and headers, each */
#define PROV_JOBS_NOTED         8192

/* jobs that are finished and not reported yet, for each that may run */
#define PROV_JOBS_UNREPORTED    4

/* wait after a claim that found nothing, doubled from the first to the last */
#define PROV_JOBS_EMPTY_MIN     10      /* ms */
#define PROV_JOBS_EMPTY_MAX     250     /* ms */

/* wait after a statement that the database did not answer */
#define PROV_JOBS_AWAY          1000    /* ms */

/* leases that have lapsed on end, as prov.jobs_lease() has it: whoever had the
   job may have been lost because of it */
#define PROV_JOBS_SUSPECT       2

/* not sooner for what is due next: others may be about to take it */
#define PROV_JOBS_DUE_MIN       20      /* ms */

/* how often a worker that leaves looks whether it has to give up */
#define PROV_JOBS_HOLD          500     /* ms */


typedef struct prov_jobs_partner_s  prov_jobs_partner_t;


/* per worker; one */

typedef struct {
    prov_jobs_conf_t        *conf;      /* NULL: no jobs in this process */
    ngx_log_t               *log;
    ngx_str_t                name;      /* a JSON string, no two workers' */
    ngx_msec_t               poll;      /* between this worker's own */

    ngx_queue_t              running;   /* prov_job_t: under way */
    ngx_queue_t              finished;  /* wait for a report */
    ngx_queue_t              reported;  /* in the report under way */
    ngx_queue_t              aside;     /* whose report was refused */
    ngx_uint_t               nrunning;
    ngx_uint_t               nfinished; /* on the other three */

    ngx_uint_t               nsuspects; /* of all, whose leases have lapsed
                                           before: one at a time */

    prov_jobs_partner_t     *partners;  /* whose are under way */
    ngx_uint_t               npartners;

    prov_db_query_t         *claim;     /* under way */
    u_char                  *claim_text;
    ngx_uint_t               claimed;   /* how many it asked for */
    u_char                   after[PROV_ID_LEN];  /* the queue it got to */
    size_t                   after_len; /* 0: it got to the last */
    ngx_msec_t               empty;     /* the last wait; 0: found something */
    ngx_msec_t               not_before;

    prov_db_query_t         *report;    /* under way */
    u_char                  *report_text;
    ngx_uint_t               told;      /* how many jobs it is about */
    ngx_uint_t               most;      /* in the next one: fewer after one
                                           that was refused */
    ngx_uint_t               unheard;   /* reports on end without answer */

    ngx_event_t              turn;      /* posted: claim and report */
    ngx_event_t              look;      /* timer: claim; cancelable */
    ngx_event_t              again;     /* timer: report again */
    ngx_event_t              due;       /* timer: those that are aside */
    ngx_event_t              hold;      /* timer: the worker cannot leave */
    ngx_msec_t               leaving;   /* since */

    unsigned                 wanted:1;  /* a claim, as soon as may be */
    unsigned                 left:1;    /* leaving is set */
    unsigned                 away:1;    /* the log says so */
} prov_jobs_t;


extern prov_jobs_t  prov_jobs;


/* prov_jobs.c: when */
void prov_jobs_turn(void);
void prov_jobs_look_in(ngx_msec_t ms);
void prov_jobs_due_in(ngx_event_t *ev, ngx_msec_t ms);
void prov_jobs_unanswered(prov_db_query_t *q, const char *what);
void prov_jobs_answered(void);
void prov_jobs_hold(void);

/* prov_jobs_claim.c: from the database to a job */
void prov_jobs_claim(void);

/* prov_jobs_partners.c: whose jobs are under way */
ngx_int_t prov_jobs_partners_init(ngx_cycle_t *cycle, ngx_uint_t concurrency);
void prov_jobs_partners_add(prov_job_t *job);
void prov_jobs_partners_drop(prov_job_t *job);
size_t prov_jobs_partners_len(void);
u_char *prov_jobs_partners_write(u_char *p);

/* prov_jobs_run.c: a job's life in this worker */
prov_job_t *prov_job_create(PGresult *result, int row);
void prov_job_start(prov_job_t *job);
void prov_job_over(prov_job_t *job);
void prov_job_finish(prov_job_t *job, prov_job_verdict_e verdict);
void prov_job_destroy(prov_job_t *job);

/* prov_job_sql.c: jobs that the database runs */
void prov_job_sql(prov_job_t *job);

/* prov_jobs_report.c: from a verdict to the database */
ngx_int_t prov_job_report(prov_job_t *job, prov_job_verdict_e verdict);
void prov_jobs_report(void);
void prov_jobs_report_later(prov_db_query_t *q);
void prov_jobs_report_back(void);
void prov_jobs_report_forget(void);

/* prov_jobs_refused.c: those that the database does not take */
void prov_jobs_refused(prov_db_query_t *q);
void prov_jobs_due_handler(ngx_event_t *ev);
ngx_msec_t prov_jobs_report_pause(void);


#endif /* _PROV_JOBS_LOOP_H_INCLUDED_ */
