/*
 * A job's life in this worker: made of a row of a claim, run by its driver
 * over one request of src/http, or by the database, finished with a verdict.
 * Each job has a pool of its own, which goes when its verdict is on disk.
 */

#include "jobs/prov_jobs_loop.h"


#define PROV_JOB_POOL  1024


static ngx_str_t prov_job_text(ngx_pool_t *pool, PGresult *result, int row,
    int column);
static prov_job_driver_t *prov_job_driver(ngx_str_t *kind);
static ngx_int_t prov_job_data(prov_job_t *job, PGresult *result, int row);
static void prov_job_unreadable(prov_job_t *job);
static void prov_job_request(prov_job_t *job);
static void prov_job_answered(prov_http_request_t *request);


/* NULL: there is no memory.  The lease of such a job ends by itself. */

prov_job_t *
prov_job_create(PGresult *result, int row)
{
    ngx_int_t    attempt, step, lapsed;
    ngx_pool_t  *pool;
    prov_job_t  *job;

    pool = ngx_create_pool(PROV_JOB_POOL, prov_jobs.log);
    if (pool == NULL) {
        return NULL;
    }

    job = ngx_pcalloc(pool, sizeof(prov_job_t));
    if (job == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    job->pool = pool;
    job->retry_after = -1;
    job->id = prov_job_text(pool, result, row, 0);
    job->kind = prov_job_text(pool, result, row, 1);

    attempt = ngx_atoi((u_char *) PQgetvalue(result, row, 2),
                       PQgetlength(result, row, 2));
    step = ngx_atoi((u_char *) PQgetvalue(result, row, 3),
                    PQgetlength(result, row, 3));
    lapsed = ngx_atoi((u_char *) PQgetvalue(result, row, 6),
                      PQgetlength(result, row, 6));

    if (job->id.data == NULL || job->kind.data == NULL
        || attempt == NGX_ERROR || step == NGX_ERROR || lapsed == NGX_ERROR)
    {
        prov_job_destroy(job);
        return NULL;
    }

    job->attempt = attempt;
    job->step = step;
    job->suspect = (lapsed >= PROV_JOBS_SUSPECT);
    job->driver = prov_job_driver(&job->kind);

    if (PQgetlength(result, row, 5) == PROV_ID_LEN) {
        ngx_memcpy(job->partner, PQgetvalue(result, row, 5), PROV_ID_LEN);
        job->owned = 1;
    }

    if (job->driver && prov_job_data(job, result, row) != NGX_OK) {
        prov_job_destroy(job);
        return NULL;
    }

    return job;
}


static ngx_str_t
prov_job_text(ngx_pool_t *pool, PGresult *result, int row, int column)
{
    ngx_str_t  text;

    text.len = PQgetlength(result, row, column);
    text.data = ngx_pnalloc(pool, text.len + 1);

    if (text.data) {
        ngx_memcpy(text.data, PQgetvalue(result, row, column), text.len);
        text.data[text.len] = '\0';
    }

    return text;
}


static prov_job_driver_t *
prov_job_driver(ngx_str_t *kind)
{
    prov_job_driver_t  **driver;

    for (driver = prov_jobs_drivers; *driver; driver++) {
        if (ngx_strcmp(kind->data, (*driver)->kind) == 0) {
            return *driver;
        }
    }

    return NULL;
}


static ngx_int_t
prov_job_data(prov_job_t *job, PGresult *result, int row)
{
    prov_json_error_t  err;

    job->data = prov_json_parse_written((u_char *) PQgetvalue(result, row, 4),
                                        PQgetlength(result, row, 4),
                                        PROV_JSON_DOCUMENT_DEPTH, &err);

    if (json_is_object(job->data)) {
        return NGX_OK;
    }

    if (job->data == NULL && err.code == PROV_JSON_MEMORY) {
        return NGX_ERROR;
    }

    ngx_log_error(NGX_LOG_ERR, prov_jobs.log, 0,
                  "the data of job %V cannot be read: %s", &job->id,
                  job->data ? (u_char *) "it is no object" : err.text);

    job->unreadable = 1;

    return NGX_OK;
}


void
prov_job_start(prov_job_t *job)
{
    ngx_queue_insert_tail(&prov_jobs.running, &job->queue);
    prov_jobs.nrunning++;
    prov_jobs.nsuspects += job->suspect;
    job->started = 1;
    prov_jobs_partners_add(job);

    if (ngx_exiting) {
        /* claimed before the worker was asked to leave */
        prov_job_finish(job, PROV_JOB_RETURN);

    } else if (job->unreadable) {
        prov_job_unreadable(job);

    } else if (job->driver) {
        prov_job_request(job);

    } else {
        prov_job_sql(job);
    }

    prov_jobs_hold();
}


/* It would be no other the next time. */

static void
prov_job_unreadable(prov_job_t *job)
{
    job->error = "the job's data cannot be read";
    job->ours = 1;

    prov_job_finish(job, PROV_JOB_FAILED);
}


static void
prov_job_request(prov_job_t *job)
{
    ngx_int_t  rc;

    job->http = prov_http_create();

    if (job->http == NULL) {
        job->retry_after = PROV_JOBS_AWAY / 1000;
        prov_job_finish(job, PROV_JOB_RETURN);
        return;
    }

    job->http->handler = prov_job_answered;
    job->http->data = job;
    job->http->log = prov_jobs.log;

    rc = job->driver->request(job, job->http);

    if (rc == NGX_OK) {
        prov_http_submit(job->http);
        return;
    }

    prov_http_release(job->http);
    job->http = NULL;

    if (rc == NGX_AGAIN) {
        job->retry_after = PROV_JOBS_AWAY / 1000;
        prov_job_finish(job, PROV_JOB_RETURN);
        return;
    }

    /* nothing was sent to anybody */

    job->ours = 1;

    prov_job_finish(job, rc == NGX_DECLINED ? PROV_JOB_RETRY
                                            : PROV_JOB_FAILED);
}


static void
prov_job_answered(prov_http_request_t *request)
{
    prov_job_t  *job;

    job = request->data;

    prov_job_finish(job, job->driver->answer(job, request));
}


/* It leaves room for others. */

void
prov_job_over(prov_job_t *job)
{
    ngx_queue_remove(&job->queue);
    prov_jobs.nrunning--;
    prov_jobs_partners_drop(job);
}


/* What was answered is in the report by now, and not needed any more. */

void
prov_job_finish(prov_job_t *job, prov_job_verdict_e verdict)
{
    ngx_int_t  rc;

    prov_job_over(job);

    rc = prov_job_report(job, verdict);

    if (job->http) {
        prov_http_release(job->http);
        job->http = NULL;
    }

    if (rc == NGX_OK) {
        ngx_queue_insert_tail(&prov_jobs.finished, &job->queue);
        prov_jobs.nfinished++;

    } else {
        /* no memory: it is done again when its lease has ended */
        prov_job_destroy(job);
    }

    prov_jobs_turn();
}


void
prov_job_destroy(prov_job_t *job)
{
    if (job->suspect && job->started) {
        prov_jobs.nsuspects--;
    }

    if (job->http) {
        prov_http_release(job->http);
    }

    if (job->query) {
        prov_db_release(job->query);
    }

    json_decref(job->data);
    ngx_destroy_pool(job->pool);
}
