/*
 * What happens after the response: jobs that mutations have left in the
 * database, claimed, run and reported by the workers.  Called by the module
 * (configuration, worker start and end, a committed change).  Never knows what
 * a job is for: drivers do, or the database itself.
 */

#ifndef _PROV_JOBS_H_INCLUDED_
#define _PROV_JOBS_H_INCLUDED_


#include "base/prov_id.h"
#include "base/prov_json.h"
#include "db/prov_db.h"
#include "http/prov_http.h"


typedef struct prov_jobs_conf_s   prov_jobs_conf_t;
typedef struct prov_job_s         prov_job_t;
typedef struct prov_job_driver_s  prov_job_driver_t;


typedef enum {
    PROV_JOB_DONE = 0,
    PROV_JOB_RETRY,       /* later: after retry_after, or as the database's
                             schedule for the kind has it; counts as a try */
    PROV_JOB_FAILED,      /* for good */
    PROV_JOB_NEXT,        /* this step is done: job->step and job->keep are
                             stored, and the job goes on with them at once */
    PROV_JOB_RETURN,      /* nothing was done: for anybody, after retry_after;
                             does not count as a try */
    PROV_JOB_LOST         /* src/jobs' own: nobody knows, and the lease ends
                             at once */
} prov_job_verdict_e;


struct prov_job_s {

    /* for the driver to read */

    ngx_str_t                id;           /* also NUL-terminated */
    ngx_str_t                kind;
    ngx_uint_t               attempt;      /* from 1; the lease's number */
    ngx_uint_t               step;
    json_t                  *data;         /* the job's; an object */
    ngx_pool_t              *pool;         /* lives as long as the job does in
                                              this worker */

    /* for the driver to set */

    void                    *state;        /* between request and answer */
    ngx_int_t                retry_after;  /* s; -1: by the schedule */
    ngx_str_t                keep;         /* JSON to be stored as the job's
                                              data, or empty */
    const char              *error;        /* a sentence for its owner; NULL:
                                              what src/http says, if it does */
    unsigned                 ours:1;       /* it was no fault of the
                                              receiver's */
    ngx_str_t                headers;      /* what is noted of an answer, in */
    ngx_str_t                body;         /* pool; data NULL: as they came */

    /* src/jobs' own */

    u_char                   partner[PROV_ID_LEN];  /* while owned is set */
    prov_job_driver_t       *driver;       /* NULL: the database runs it */
    prov_http_request_t     *http;         /* while it is under way */
    prov_db_query_t         *query;        /* the same */
    ngx_str_t                report;       /* JSON, once there is a verdict */
    ngx_str_t                log;          /* what follows it there */
    ngx_queue_t              queue;        /* in one of prov_jobs_t's */
    ngx_uint_t               refused;      /* how often its report was */
    ngx_msec_t               not_before;   /* nor is it sent again */
    unsigned                 plain:1;      /* reported without its log */
    unsigned                 owned:1;      /* has a partner, who is counted */
    unsigned                 suspect:1;    /* its leases have lapsed before */
    unsigned                 started:1;    /* counts among what is under way */
    unsigned                 lost:1;       /* was reported as such */
    unsigned                 unreadable:1; /* its data is no object */
};


/*
 * What a kind of job does, one request at a time.
 *
 * request() fills in the next request: the URL, the headers, the body, all in
 * job->pool or borrowed from job->data.  NGX_OK: it is to be sent; NGX_ERROR:
 * the job has failed, and job->error says why; NGX_DECLINED: this gateway
 * cannot make it, which counts as a try that has failed; NGX_AGAIN: it cannot
 * be made now (no memory), and the job is returned.
 *
 * answer() says what the answer, or request->error, means.  What was answered
 * is noted with the attempt, whatever the verdict, except for "return".
 * Neither of the two waits for anything, nor keeps the request.
 */
struct prov_job_driver_s {
    const char              *kind;
    ngx_int_t              (*request)(prov_job_t *job,
                                      prov_http_request_t *request);
    prov_job_verdict_e     (*answer)(prov_job_t *job,
                                     prov_http_request_t *request);
};


/* provisioning_jobs, of the http block */

struct prov_jobs_conf_s {
    ngx_str_t                database;      /* name */
    prov_db_conf_t          *db;
    ngx_msec_t               poll_interval; /* of a host */
    ngx_msec_t               lease;
    ngx_uint_t               concurrency;   /* of a worker */
    ngx_uint_t               per_queue;     /* of all hosts */
    ngx_uint_t               per_partner;   /* of a worker */
    ngx_uint_t               claim;         /* statement */
    ngx_uint_t               report;        /* statement */
    ngx_uint_t               run;           /* statement */
    void                   (*ran)(ngx_str_t *id);  /* a part of the operation
                                               is done; NULL: nobody asks */
    ngx_atomic_t            *complained;    /* shared by all workers: when one
                                               of them has, of missing keys */
    u_char                  *file;
    ngx_uint_t               line;
};


/* All kinds that are not run in the database, then NULL. */
extern prov_job_driver_t  *prov_jobs_drivers[];

/* prov_webhook.c: deliveries of events */
extern prov_job_driver_t  prov_webhook_driver;


/*
 * The directive "provisioning_jobs { … }".  NGX_CONF_OK and *jobs, or
 * NGX_CONF_ERROR after logging file, line and what to write instead.
 */
char *prov_jobs_block(ngx_conf_t *cf, prov_jobs_conf_t **jobs);

/*
 * Once all of the http block is read: finds the database.  longest is what a
 * request of src/http may take.
 */
ngx_int_t prov_jobs_finish(ngx_conf_t *cf, prov_jobs_conf_t *jobs,
    ngx_array_t *databases, ngx_msec_t longest);

/*
 * Once per worker, from init_process and exit_process; not in nginx's other
 * processes.  jobs is NULL where there is no such block.
 */
ngx_int_t prov_jobs_init_worker(ngx_cycle_t *cycle, prov_jobs_conf_t *jobs);
void prov_jobs_exit_worker(void);

/* This worker has committed a change, which may have left a job. */
void prov_jobs_wake(void);


#endif /* _PROV_JOBS_H_INCLUDED_ */
