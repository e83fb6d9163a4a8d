/*
 * Jobs that the database runs itself, a slice in one transaction each time:
 * bulk operations, periodic tasks.  prov.job_run() decides what becomes of the
 * job, so there is nothing to report, unless it could not.
 */

#include "jobs/prov_jobs_loop.h"


#define PROV_JOB_SQL_FRAME  64


static ngx_int_t prov_job_sql_send(prov_job_t *job);
static void prov_job_sql_answered(prov_db_query_t *q);
static void prov_job_sql_done(prov_job_t *job, PGresult *result);
static void prov_job_sql_lost(prov_job_t *job);
static void prov_job_sql_refused(prov_job_t *job, PGresult *result);


void
prov_job_sql(prov_job_t *job)
{
    if (prov_job_sql_send(job) != NGX_OK) {
        job->retry_after = PROV_JOBS_AWAY / 1000;
        prov_job_finish(job, PROV_JOB_RETURN);
    }
}


static ngx_int_t
prov_job_sql_send(prov_job_t *job)
{
    u_char  *text;

    text = ngx_pnalloc(job->pool, PROV_JOB_SQL_FRAME + prov_jobs.name.len
                                  + job->id.len + NGX_INT_T_LEN);
    if (text == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(text, "{\"worker\":%V,\"id\":\"%V\",\"attempt\":%ui}%Z",
                &prov_jobs.name, &job->id, job->attempt);

    job->query = prov_db_query(prov_jobs.conf->db, prov_jobs.conf->run,
                               PROV_DB_WRITE);
    if (job->query == NULL) {
        return NGX_ERROR;
    }

    job->query->values[0] = (const char *) text;
    job->query->handler = prov_job_sql_answered;
    job->query->data = job;
    job->query->log = prov_jobs.log;

    prov_db_submit(job->query);

    return NGX_OK;
}


static void
prov_job_sql_answered(prov_db_query_t *q)
{
    prov_job_t  *job;

    job = q->data;
    job->query = NULL;

    switch (q->status) {

    case PROV_DB_COMMITTED:
        prov_job_sql_done(job, q->result);
        break;

    case PROV_DB_REFUSED:
        prov_job_sql_refused(job, q->result);
        break;

    case PROV_DB_UNKNOWN:
        prov_job_sql_lost(job);
        break;

    default:
        job->retry_after = PROV_JOBS_AWAY / 1000;
        prov_job_finish(job, PROV_JOB_RETURN);
        break;
    }

    prov_db_release(q);
}


/* It has been stored what comes next; here is only when to look. */

static void
prov_job_sql_done(prov_job_t *job, PGresult *result)
{
    ngx_int_t  ms;
    ngx_str_t  id;

    prov_job_over(job);
    prov_job_destroy(job);

    /* others of its partner may have waited for that */
    prov_jobs.wanted = 1;

    if (PQntuples(result) == 1 && PQnfields(result) == 3
        && !PQgetisnull(result, 0, 2) && prov_jobs.conf->ran)
    {
        id.data = (u_char *) PQgetvalue(result, 0, 2);
        id.len = PQgetlength(result, 0, 2);

        prov_jobs.conf->ran(&id);
    }

    if (PQntuples(result) == 1 && !PQgetisnull(result, 0, 1)) {
        ms = ngx_atoi((u_char *) PQgetvalue(result, 0, 1),
                      PQgetlength(result, 0, 1));

        if (ms != NGX_ERROR && (ngx_msec_t) ms < prov_jobs.poll) {
            prov_jobs_look_in(ms);
        }
    }

    prov_jobs_turn();
}


/*
 * Nobody knows whether it was done.  Its lease is ended as soon as the database
 * answers, so that it goes on.  If it was done, it has no lease any more.  If
 * it still is being done, the report waits for that, since it has the job
 * locked.  And if its statement is still to come it finds another's lease, or
 * this one, and then it is done by it after all, once.
 */

static void
prov_job_sql_lost(prov_job_t *job)
{
    ngx_log_error(NGX_LOG_WARN, prov_jobs.log, 0,
                  "a connection was lost under the job %V of kind \"%V\", "
                  "which goes on when the database answers", &job->id,
                  &job->kind);

    prov_job_finish(job, PROV_JOB_LOST);
}


static void
prov_job_sql_refused(prov_job_t *job, PGresult *result)
{
    char        *error;
    size_t       len;
    u_char       line[PROV_DB_LINE];
    const char  *message;

    ngx_log_error(NGX_LOG_ERR, prov_jobs.log, 0,
                  "the database refused the job %V of kind \"%V\": %s",
                  &job->id, &job->kind,
                  prov_db_refusal(result, line, sizeof(line)));

    message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (message) {
        len = ngx_strlen(message) + 1;
        error = ngx_pnalloc(job->pool, len);

        if (error) {
            ngx_memcpy(error, message, len);
            job->error = error;
        }
    }

    prov_job_finish(job, PROV_JOB_RETRY);
}
