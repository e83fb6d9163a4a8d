/*
 * From a verdict to the database: what has become of jobs, and what was
 * answered, in batches, one report at a time.  A report may be repeated: the
 * database takes it only from whom the job is leased to, for the attempt it is
 * about, so a late one changes nothing.
 */

#include "jobs/prov_jobs_loop.h"
#include "base/prov_json_write.h"


/* names, punctuation and numbers of a job in a report, and of its log */
#define PROV_REPORT_FRAME  256


static const char  *prov_report_verdicts[] = {
    "done", "retry", "failed", "next", "return", "lost"
};


static size_t prov_report_size(ngx_str_t *text);
static u_char *prov_report_text(u_char *p, const char *name, ngx_str_t *text);
static ngx_int_t prov_report_log(prov_job_t *job, ngx_str_t *error);
static ngx_int_t prov_report_send(void);
static size_t prov_report_take(void);
static void prov_report_answered(prov_db_query_t *q);
static void prov_report_taken(PGresult *result, ngx_uint_t once);
static ngx_uint_t prov_report_lost(const char *id);


/*
 * The job's part of a report, written while what was answered is still there;
 * the log is a part of its own.  Nothing is noted of what was not tried.
 */

ngx_int_t
prov_job_report(prov_job_t *job, prov_job_verdict_e verdict)
{
    u_char     *p;
    size_t      size;
    ngx_str_t   error;

    size = PROV_REPORT_FRAME + job->id.len + job->keep.len;

    job->report.data = ngx_pnalloc(job->pool, size);
    if (job->report.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(job->report.data,
                    "{\"id\":\"%V\",\"attempt\":%ui,\"verdict\":\"%s\"",
                    &job->id, job->attempt, prov_report_verdicts[verdict]);

    if (job->retry_after >= 0) {
        p = ngx_sprintf(p, ",\"retry_after\":%i", job->retry_after);
    }

    if (verdict == PROV_JOB_NEXT) {
        p = ngx_sprintf(p, ",\"step\":%ui", job->step);
    }

    if (job->ours) {
        p = ngx_cpymem(p, ",\"ours\":true", sizeof(",\"ours\":true") - 1);
    }

    job->lost = (verdict == PROV_JOB_LOST);

    if (job->keep.len) {
        p = ngx_sprintf(p, ",\"data\":%V", &job->keep);
    }

    job->report.len = p - job->report.data;

    ngx_str_null(&error);

    if (job->error) {
        error.data = (u_char *) job->error;
        error.len = ngx_strlen(job->error);

    } else if (job->http && job->http->error) {
        error.data = (u_char *) prov_http_error_text(job->http->error);
        error.len = ngx_strlen(error.data);
    }

    if (verdict == PROV_JOB_RETURN || (job->http == NULL && error.len == 0)) {
        return NGX_OK;
    }

    return prov_report_log(job, &error);
}


static ngx_int_t
prov_report_log(prov_job_t *job, ngx_str_t *error)
{
    u_char               *p;
    size_t                size;
    ngx_str_t             headers, body;
    prov_http_request_t  *http;

    http = job->http;

    headers = job->headers;
    body = job->body;

    if (http && headers.data == NULL) {
        headers = http->response_headers;
    }

    if (http && body.data == NULL) {
        body = http->response;
    }

    headers.len = ngx_min(headers.len, PROV_JOBS_NOTED);
    body.len = ngx_min(body.len, PROV_JOBS_NOTED);

    size = PROV_REPORT_FRAME + prov_report_size(&headers)
           + prov_report_size(&body) + prov_report_size(error);

    job->log.data = ngx_pnalloc(job->pool, size);
    if (job->log.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(job->log.data, ",\"log\":{\"duration\":%M",
                    http ? http->duration : 0);

    if (http && http->status) {
        p = ngx_sprintf(p, ",\"status\":%ui", http->status);
        p = prov_report_text(p, "headers", &headers);
        p = prov_report_text(p, "body", &body);
    }

    if (error->len) {
        p = prov_report_text(p, "error", error);
    }

    *p++ = '}';

    job->log.len = p - job->log.data;

    return NGX_OK;
}


/* What prov_json_quote() makes of it: six bytes of one are rare. */

static size_t
prov_report_size(ngx_str_t *text)
{
    size_t  i, size;

    size = 2;

    for (i = 0; i < text->len; i++) {
        size += (text->data[i] < 0x20) ? 6
                : (text->data[i] >= 0x80) ? 3
                : 2;
    }

    return size;
}


static u_char *
prov_report_text(u_char *p, const char *name, ngx_str_t *text)
{
    p = ngx_sprintf(p, ",\"%s\":", name);

    return prov_json_quote(p, text);
}


void
prov_jobs_report(void)
{
    if (prov_jobs.report || prov_jobs.again.timer_set
        || ngx_queue_empty(&prov_jobs.finished))
    {
        return;
    }

    if (prov_report_send() != NGX_OK) {
        prov_jobs_report_back();
        ngx_add_timer(&prov_jobs.again, PROV_JOBS_AWAY);
    }
}


static ngx_int_t
prov_report_send(void)
{
    u_char       *p;
    size_t        size;
    ngx_queue_t  *item;
    prov_job_t   *job;

    static const char  head[] = "{\"worker\":";

    size = sizeof(head) + prov_jobs.name.len + PROV_REPORT_FRAME
           + prov_report_take();

    prov_jobs.report_text = ngx_alloc(size, prov_jobs.log);
    if (prov_jobs.report_text == NULL) {
        return NGX_ERROR;
    }

    prov_jobs.report = prov_db_query(prov_jobs.conf->db,
                                     prov_jobs.conf->report, PROV_DB_REPLAY);
    if (prov_jobs.report == NULL) {
        ngx_free(prov_jobs.report_text);
        prov_jobs.report_text = NULL;
        return NGX_ERROR;
    }

    p = ngx_sprintf(prov_jobs.report_text, "%s%V,\"jobs\":[", head,
                    &prov_jobs.name);

    for (item = ngx_queue_head(&prov_jobs.reported);
         item != ngx_queue_sentinel(&prov_jobs.reported);
         item = ngx_queue_next(item))
    {
        job = ngx_queue_data(item, prov_job_t, queue);

        if (item != ngx_queue_head(&prov_jobs.reported)) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, job->report.data, job->report.len);

        if (!job->plain && job->log.len) {
            p = ngx_cpymem(p, job->log.data, job->log.len);
        }

        *p++ = '}';
    }

    *p++ = ']';
    *p++ = '}';
    *p = '\0';

    prov_jobs.report->values[0] = (const char *) prov_jobs.report_text;
    prov_jobs.report->handler = prov_report_answered;
    prov_jobs.report->log = prov_jobs.log;

    prov_db_submit(prov_jobs.report);

    return NGX_OK;
}


/* From finished to reported; returns how many bytes they need. */

static size_t
prov_report_take(void)
{
    size_t       size;
    ngx_uint_t   n;
    prov_job_t  *job;

    size = 0;

    for (n = 0; n < prov_jobs.most && size < PROV_JOBS_REPORT_SIZE; n++) {

        if (ngx_queue_empty(&prov_jobs.finished)) {
            break;
        }

        job = ngx_queue_data(ngx_queue_head(&prov_jobs.finished), prov_job_t,
                             queue);

        ngx_queue_remove(&job->queue);
        ngx_queue_insert_tail(&prov_jobs.reported, &job->queue);

        size += job->report.len + job->log.len + sizeof(",}");
    }

    prov_jobs.told = n;

    return size;
}


static void
prov_report_answered(prov_db_query_t *q)
{
    prov_jobs.report = NULL;

    ngx_free(prov_jobs.report_text);
    prov_jobs.report_text = NULL;

    switch (q->status) {

    case PROV_DB_COMMITTED:
        prov_jobs_answered();
        prov_report_taken(q->result, q->tries == 1);
        break;

    case PROV_DB_REFUSED:
        prov_jobs_refused(q);
        break;

    default:
        prov_jobs_report_later(q);
        break;
    }

    prov_db_release(q);

    prov_jobs_turn();
}


/*
 * What has been done may let others of its queue be taken.  A report that was
 * sent twice may have been taken the first time, and is then not the second.
 */

static void
prov_report_taken(PGresult *result, ngx_uint_t once)
{
    int  i, n;

    n = once ? PQntuples(result) : 0;

    for (i = 0; i < n; i++) {
        if (PQgetvalue(result, i, 1)[0] != 't'
            && !prov_report_lost(PQgetvalue(result, i, 0)))
        {
            ngx_log_error(NGX_LOG_WARN, prov_jobs.log, 0,
                          "the job %s was not this worker's any more when "
                          "it was reported", PQgetvalue(result, i, 0));
        }
    }

    prov_jobs_report_forget();

    prov_jobs.most = ngx_min(prov_jobs.most * 2, PROV_JOBS_BATCH);
    prov_jobs.unheard = 0;
    prov_jobs.wanted = 1;
}


/* What is not lost after all has been reported by the database itself. */

static ngx_uint_t
prov_report_lost(const char *id)
{
    ngx_queue_t  *item;
    prov_job_t   *job;

    for (item = ngx_queue_head(&prov_jobs.reported);
         item != ngx_queue_sentinel(&prov_jobs.reported);
         item = ngx_queue_next(item))
    {
        job = ngx_queue_data(item, prov_job_t, queue);

        if (ngx_strcmp(job->id.data, id) == 0) {
            return job->lost;
        }
    }

    return 0;
}


/*
 * It is kept for as long as the worker lives: while nobody else has taken its
 * job, it is not too late.
 */

void
prov_jobs_report_later(prov_db_query_t *q)
{
    prov_jobs_unanswered(q, "told about jobs");

    prov_jobs_report_back();
    ngx_add_timer(&prov_jobs.again, prov_jobs_report_pause());
}


/* To the front, in the same order. */

void
prov_jobs_report_back(void)
{
    ngx_queue_t  *item;

    while (!ngx_queue_empty(&prov_jobs.reported)) {
        item = ngx_queue_last(&prov_jobs.reported);

        ngx_queue_remove(item);
        ngx_queue_insert_head(&prov_jobs.finished, item);
    }
}


void
prov_jobs_report_forget(void)
{
    prov_job_t  *job;

    while (!ngx_queue_empty(&prov_jobs.reported)) {
        job = ngx_queue_data(ngx_queue_head(&prov_jobs.reported), prov_job_t,
                             queue);

        ngx_queue_remove(&job->queue);
        prov_jobs.nfinished--;

        prov_job_destroy(job);
    }
}
