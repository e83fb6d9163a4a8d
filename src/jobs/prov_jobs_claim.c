/*
 * From the database to a job: one claim at a time, for as many jobs as have
 * room.  A claim that finds as many as it asked for is followed by another, as
 * soon as there is room again; one that finds nothing by a pause, which grows.
 */

#include "jobs/prov_jobs_loop.h"


/* names, punctuation and numbers of a claim, and the id of a queue */
#define PROV_CLAIM_FRAME  256

/* a pause that is so long over is forgotten */
#define PROV_CLAIM_CALM   1000    /* ms */


static ngx_uint_t prov_claim_room(void);
static ngx_int_t prov_claim_send(ngx_uint_t limit);
static void prov_claim_answered(prov_db_query_t *q);
static void prov_claim_found(PGresult *result);
static ngx_int_t prov_claim_end(PGresult *result, int row);
static void prov_claim_after(json_t *data);
static void prov_claim_ended(json_t *ended);


void
prov_jobs_claim(void)
{
    ngx_uint_t      limit;
    ngx_msec_int_t  wait;

    if (!prov_jobs.wanted || prov_jobs.claim || ngx_exiting) {
        return;
    }

    limit = prov_claim_room();

    if (limit == 0) {
        /* asked again when a job is finished, or reported */
        return;
    }

    wait = (ngx_msec_int_t) (prov_jobs.not_before - ngx_current_msec);

    if (wait > 0) {
        prov_jobs_look_in(wait);
        return;
    }

    if (wait < -PROV_CLAIM_CALM) {
        prov_jobs.empty = 0;
    }

    prov_jobs.wanted = 0;

    if (prov_claim_send(limit) != NGX_OK) {
        prov_jobs_look_in(PROV_JOBS_AWAY);
    }
}


/*
 * Jobs that are finished keep nobody from running, unless they cannot be
 * reported for long.
 */

static ngx_uint_t
prov_claim_room(void)
{
    prov_jobs_conf_t  *conf;

    conf = prov_jobs.conf;

    if (prov_jobs.nrunning >= conf->concurrency
        || prov_jobs.nfinished >= conf->concurrency * PROV_JOBS_UNREPORTED)
    {
        return 0;
    }

    return ngx_min(conf->concurrency - prov_jobs.nrunning, PROV_JOBS_BATCH);
}


static ngx_int_t
prov_claim_send(ngx_uint_t limit)
{
    u_char            *p;
    prov_jobs_conf_t  *conf;

    conf = prov_jobs.conf;

    prov_jobs.claim_text = ngx_alloc(PROV_CLAIM_FRAME + prov_jobs.name.len
                                     + prov_jobs_partners_len(),
                                     prov_jobs.log);
    if (prov_jobs.claim_text == NULL) {
        return NGX_ERROR;
    }

    /* a lease need not be on disk: one that is lost in a crash is only taken
       again */

    prov_jobs.claim = prov_db_query(conf->db, conf->claim, PROV_DB_TRIAL);

    if (prov_jobs.claim == NULL) {
        ngx_free(prov_jobs.claim_text);
        prov_jobs.claim_text = NULL;
        return NGX_ERROR;
    }

    p = ngx_sprintf(prov_jobs.claim_text,
                    "{\"worker\":%V,\"limit\":%ui,\"per_queue\":%ui,"
                    "\"lease\":%M,\"lapsed\":%ui", &prov_jobs.name, limit,
                    conf->per_queue, conf->lease / 1000, prov_jobs.nsuspects);

    p = prov_jobs_partners_write(p);

    if (prov_jobs.after_len) {
        p = ngx_sprintf(p, ",\"after\":\"%*s\"", prov_jobs.after_len,
                        prov_jobs.after);
    }

    *p++ = '}';
    *p = '\0';

    prov_jobs.claimed = limit;

    prov_jobs.claim->values[0] = (const char *) prov_jobs.claim_text;
    prov_jobs.claim->handler = prov_claim_answered;
    prov_jobs.claim->log = prov_jobs.log;

    prov_db_submit(prov_jobs.claim);

    return NGX_OK;
}


/*
 * A claim whose answer was lost may have been committed, and is sent again by
 * src/db: what it has taken is taken when its leases have ended.
 */

static void
prov_claim_answered(prov_db_query_t *q)
{
    prov_jobs.claim = NULL;

    ngx_free(prov_jobs.claim_text);
    prov_jobs.claim_text = NULL;

    if (q->status == PROV_DB_COMMITTED) {
        prov_jobs_answered();
        prov_claim_found(q->result);

    } else {
        prov_jobs_unanswered(q, "asked for jobs");

        prov_jobs.not_before = ngx_current_msec + PROV_JOBS_AWAY;
        prov_jobs_look_in(ngx_max(prov_jobs.conf->poll_interval,
                                  PROV_JOBS_AWAY));
    }

    prov_db_release(q);

    if (prov_jobs.wanted) {
        prov_jobs_turn();
    }
}


static void
prov_claim_found(PGresult *result)
{
    int          i, n;
    ngx_int_t    due;
    ngx_uint_t   found;
    prov_job_t  *job;

    found = 0;
    due = NGX_ERROR;
    n = PQntuples(result);

    for (i = 0; i < n; i++) {

        if (PQgetlength(result, i, 1) == 0) {
            due = prov_claim_end(result, i);
            continue;
        }

        found++;
        job = prov_job_create(result, i);

        if (job) {
            prov_job_start(job);
        }
    }

    if (due == 0 || found >= prov_jobs.claimed) {
        /* there may be more */
        prov_jobs.wanted = 1;
    }

    if (found) {
        prov_jobs.empty = 0;

    } else {
        prov_jobs.empty = prov_jobs.empty
                          ? ngx_min(prov_jobs.empty * 2, PROV_JOBS_EMPTY_MAX)
                          : PROV_JOBS_EMPTY_MIN;
        prov_jobs.not_before = ngx_current_msec + prov_jobs.empty;
    }

    /* anew from now on, not from when it was meant to be */

    if (prov_jobs.look.timer_set) {
        ngx_del_timer(&prov_jobs.look);
    }

    prov_jobs_look_in(prov_jobs.poll);

    if (due != NGX_ERROR) {
        prov_jobs_look_in(ngx_max(due, PROV_JOBS_DUE_MIN));
    }
}


/* The last row: in how many ms the next job is due, and where to go on. */

static ngx_int_t
prov_claim_end(PGresult *result, int row)
{
    json_t             *data;
    prov_json_error_t   err;

    data = prov_json_parse((u_char *) PQgetvalue(result, row, 4),
                           PQgetlength(result, row, 4), PROV_JSON_BODY_DEPTH,
                           &err);

    prov_claim_after(data);
    prov_claim_ended(json_object_get(data, "ended"));

    json_decref(data);

    if (PQgetisnull(result, row, 3)) {
        return NGX_ERROR;
    }

    return ngx_atoi((u_char *) PQgetvalue(result, row, 3),
                    PQgetlength(result, row, 3));
}


static void
prov_claim_after(json_t *data)
{
    size_t       len;
    const char  *after;

    prov_jobs.after_len = 0;

    after = json_string_value(json_object_get(data, "after"));

    if (after) {
        len = ngx_strlen(after);

        if (len == PROV_ID_LEN) {
            ngx_memcpy(prov_jobs.after, after, len);
            prov_jobs.after_len = len;
        }
    }
}


/* What nobody comes back from is not begun again, and somebody should know. */

static void
prov_claim_ended(json_t *ended)
{
    size_t       i;
    json_t      *job;
    const char  *id, *kind;

    json_array_foreach(ended, i, job) {

        id = json_string_value(json_object_get(job, "id"));
        kind = json_string_value(json_object_get(job, "kind"));

        ngx_log_error(NGX_LOG_ERR, prov_jobs.log, 0,
                      "the job %s of kind \"%s\" is given up: whoever had it "
                      "was lost, five times on end", id ? id : "?",
                      kind ? kind : "?");
    }
}
