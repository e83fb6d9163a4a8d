/*
 * provisioning_jobs: reads the block while nginx reads its configuration, and
 * what it refers to once all of it is known.  Nothing connects.
 */

#include "jobs/prov_jobs.h"
#include "base/prov_conf.h"


/* what a lease needs beyond the longest request: the claim's commit before it,
   and the report after it */
#define PROV_JOBS_MARGIN  10000    /* ms */

/* of the word that all workers share: the least that does not share its line
   of the cache */
#define PROV_JOBS_SHARED  128


static char *prov_jobs_set_lease(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t prov_jobs_shared(ngx_conf_t *cf, prov_jobs_conf_t *jobs);
static void prov_jobs_unshare(void *data);
static ngx_int_t prov_jobs_statements(prov_jobs_conf_t *jobs);


static prov_conf_range_t  prov_jobs_intervals = { 100, 3600 * 1000 };
static prov_conf_range_t  prov_jobs_leases = { 1000, 24 * 3600 * 1000 };
static prov_conf_range_t  prov_jobs_many = { 1, 10000 };
static prov_conf_range_t  prov_jobs_some = { 1, 1000 };


static prov_conf_directive_t  prov_jobs_directives[] = {

    { ngx_string("database"), 1, 1, 0, ngx_conf_set_str_slot,
      offsetof(prov_jobs_conf_t, database), NULL },
    { ngx_string("poll_interval"), 1, 1, 0, prov_conf_set_time,
      offsetof(prov_jobs_conf_t, poll_interval), &prov_jobs_intervals },
    { ngx_string("lease"), 1, 1, 0, prov_jobs_set_lease,
      offsetof(prov_jobs_conf_t, lease), &prov_jobs_leases },
    { ngx_string("concurrency"), 1, 1, 0, prov_conf_set_number,
      offsetof(prov_jobs_conf_t, concurrency), &prov_jobs_many },
    { ngx_string("per_queue"), 1, 1, 0, prov_conf_set_number,
      offsetof(prov_jobs_conf_t, per_queue), &prov_jobs_some },
    { ngx_string("per_partner"), 1, 1, 0, prov_conf_set_number,
      offsetof(prov_jobs_conf_t, per_partner), &prov_jobs_many },

    prov_conf_null_directive
};


char *
prov_jobs_block(ngx_conf_t *cf, prov_jobs_conf_t **jobs)
{
    char              *rv;
    prov_jobs_conf_t  *conf;

    if (*jobs) {
        return "is duplicate";
    }

    conf = ngx_pcalloc(cf->pool, sizeof(prov_jobs_conf_t));
    if (conf == NULL) {
        return NGX_CONF_ERROR;
    }

    conf->poll_interval = 2000;
    conf->lease = 60000;
    conf->concurrency = 64;
    conf->per_queue = 8;
    conf->file = cf->conf_file->file.name.data;
    conf->line = cf->conf_file->line;

    rv = prov_conf_block(cf, prov_jobs_directives, conf, NULL);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (conf->database.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"database\" in provisioning_jobs, it names "
                           "the provisioning_database whose login role is "
                           "prov_worker");
        return NGX_CONF_ERROR;
    }

    if (conf->per_partner == 0) {
        conf->per_partner = (conf->concurrency + 1) / 2;
    }

    *jobs = conf;

    return NGX_CONF_OK;
}


/* The database counts it in seconds. */

static char *
prov_jobs_set_lease(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    prov_jobs_conf_t *jobs = conf;

    char  *rv;

    rv = prov_conf_set_time(cf, cmd, conf);

    jobs->lease -= jobs->lease % 1000;

    return rv;
}


/*
 * A lease that ends while its request is still under way would have the job
 * done twice.
 */

ngx_int_t
prov_jobs_finish(ngx_conf_t *cf, prov_jobs_conf_t *jobs,
    ngx_array_t *databases, ngx_msec_t longest)
{
    jobs->db = prov_db_find(databases, &jobs->database);

    if (jobs->db == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown database \"%V\" in \"provisioning_jobs\", "
                      "there is no \"provisioning_database %V { … }\" in the "
                      "http block, in %s:%ui", &jobs->database,
                      &jobs->database, jobs->file, jobs->line);
        return NGX_ERROR;
    }

    if (jobs->lease < longest + PROV_JOBS_MARGIN) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"lease\" of %Mms in \"provisioning_jobs\" is too "
                      "short for requests of up to %Mms: make it at least "
                      "%Mms, or \"timeout\" in \"provisioning_outbound\" "
                      "shorter, in %s:%ui", jobs->lease, longest,
                      longest + PROV_JOBS_MARGIN, jobs->file, jobs->line);
        return NGX_ERROR;
    }

    if (prov_jobs_shared(cf, jobs) != NGX_OK) {
        return NGX_ERROR;
    }

    return prov_jobs_statements(jobs);
}


/* A word that all workers of this configuration have in common. */

static ngx_int_t
prov_jobs_shared(ngx_conf_t *cf, prov_jobs_conf_t *jobs)
{
    ngx_shm_t           *shm;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->cycle->pool, sizeof(ngx_shm_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    shm = cln->data;
    ngx_memzero(shm, sizeof(ngx_shm_t));

    shm->size = PROV_JOBS_SHARED;
    ngx_str_set(&shm->name, "provisioning_jobs");
    shm->log = cf->cycle->log;

    if (ngx_shm_alloc(shm) != NGX_OK) {
        return NGX_ERROR;
    }

    cln->handler = prov_jobs_unshare;

    jobs->complained = (ngx_atomic_t *) shm->addr;

    return NGX_OK;
}


static void
prov_jobs_unshare(void *data)
{
    ngx_shm_free(data);
}


static ngx_int_t
prov_jobs_statements(prov_jobs_conf_t *jobs)
{
    ngx_int_t  claim, report, run;

    static ngx_str_t  claim_text = ngx_string(
        "select j.id, j.kind, j.attempt, j.step, j.data, j.partner, "
        "j.lapsed from prov.jobs_claim($1, $2, $3) j");

    static ngx_str_t  report_text = ngx_string(
        "select j.id, j.accepted from prov.jobs_report($1, $2, $3) j");

    static ngx_str_t  run_text = ngx_string(
        "select j.* from prov.job_run($1, $2, $3) j");

    claim = prov_db_statement(jobs->db, &claim_text);
    report = prov_db_statement(jobs->db, &report_text);
    run = prov_db_statement(jobs->db, &run_text);

    if (claim == NGX_ERROR || report == NGX_ERROR || run == NGX_ERROR) {
        return NGX_ERROR;
    }

    jobs->claim = claim;
    jobs->report = report;
    jobs->run = run;

    return NGX_OK;
}
