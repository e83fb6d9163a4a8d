/*
 * provisioning_jobs: reads the block while nginx reads its configuration, and
 * what it refers to once all of it is known.  Nothing connects.
 */

#include "jobs/prov_jobs.h"


/* what a lease needs beyond the longest request: the claim's commit before it,
   and the report after it */
#define PROV_JOBS_MARGIN  10000    /* ms */


typedef struct {
    ngx_str_t        name;
    char          *(*set)(ngx_conf_t *cf, prov_jobs_conf_t *jobs);
} prov_jobs_directive_t;


/* a block that is being read */

typedef struct {
    prov_jobs_conf_t  *jobs;
    ngx_uint_t         seen;       /* mask of the directives met */
} prov_jobs_block_t;


static char *prov_jobs_directive(ngx_conf_t *cf, ngx_command_t *dummy,
    void *data);
static char *prov_jobs_set_database(ngx_conf_t *cf, prov_jobs_conf_t *jobs);
static char *prov_jobs_set_poll_interval(ngx_conf_t *cf,
    prov_jobs_conf_t *jobs);
static char *prov_jobs_set_lease(ngx_conf_t *cf, prov_jobs_conf_t *jobs);
static char *prov_jobs_set_concurrency(ngx_conf_t *cf,
    prov_jobs_conf_t *jobs);
static char *prov_jobs_set_per_queue(ngx_conf_t *cf, prov_jobs_conf_t *jobs);
static char *prov_jobs_set_per_partner(ngx_conf_t *cf,
    prov_jobs_conf_t *jobs);
static char *prov_jobs_time(ngx_conf_t *cf, ngx_msec_t min, ngx_msec_t max,
    const char *range, ngx_msec_t *time);
static char *prov_jobs_number(ngx_conf_t *cf, ngx_uint_t max,
    ngx_uint_t *number);
static ngx_int_t prov_jobs_statements(prov_jobs_conf_t *jobs);


static prov_jobs_directive_t  prov_jobs_directives[] = {

    { ngx_string("database"), prov_jobs_set_database },
    { ngx_string("poll_interval"), prov_jobs_set_poll_interval },
    { ngx_string("lease"), prov_jobs_set_lease },
    { ngx_string("concurrency"), prov_jobs_set_concurrency },
    { ngx_string("per_queue"), prov_jobs_set_per_queue },
    { ngx_string("per_partner"), prov_jobs_set_per_partner },

    { ngx_null_string, NULL }
};


char *
prov_jobs_block(ngx_conf_t *cf, prov_jobs_conf_t **jobs)
{
    char               *rv;
    ngx_conf_t          save;
    prov_jobs_conf_t   *conf;
    prov_jobs_block_t   block;

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

    block.jobs = conf;
    block.seen = 0;

    save = *cf;
    cf->handler = prov_jobs_directive;
    cf->handler_conf = (char *) &block;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

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


static char *
prov_jobs_directive(ngx_conf_t *cf, ngx_command_t *dummy, void *data)
{
    prov_jobs_block_t *block = data;

    ngx_str_t              *value;
    ngx_uint_t              n;
    prov_jobs_directive_t  *d;

    value = cf->args->elts;

    for (d = prov_jobs_directives; d->name.len; d++) {

        if (d->name.len != value[0].len
            || ngx_strncmp(d->name.data, value[0].data, value[0].len) != 0)
        {
            continue;
        }

        n = d - prov_jobs_directives;

        if (cf->args->nelts != 2) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid number of arguments in \"%V\" "
                               "directive", &value[0]);
            return NGX_CONF_ERROR;
        }

        if (block->seen & ((ngx_uint_t) 1 << n)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" directive is duplicate", &value[0]);
            return NGX_CONF_ERROR;
        }

        block->seen |= (ngx_uint_t) 1 << n;

        return d->set(cf, block->jobs);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "unknown directive \"%V\" in provisioning_jobs, "
                       "expected database, poll_interval, lease, "
                       "concurrency, per_queue or per_partner", &value[0]);

    return NGX_CONF_ERROR;
}


static char *
prov_jobs_set_database(ngx_conf_t *cf, prov_jobs_conf_t *jobs)
{
    ngx_str_t  *value;

    value = cf->args->elts;
    jobs->database = value[1];

    return NGX_CONF_OK;
}


static char *
prov_jobs_set_poll_interval(ngx_conf_t *cf, prov_jobs_conf_t *jobs)
{
    return prov_jobs_time(cf, 100, 3600 * 1000, "100ms to 1h",
                          &jobs->poll_interval);
}


/* The database counts it in seconds. */

static char *
prov_jobs_set_lease(ngx_conf_t *cf, prov_jobs_conf_t *jobs)
{
    char  *rv;

    rv = prov_jobs_time(cf, 1000, 24 * 3600 * 1000, "1s to 1d", &jobs->lease);

    jobs->lease -= jobs->lease % 1000;

    return rv;
}


static char *
prov_jobs_set_concurrency(ngx_conf_t *cf, prov_jobs_conf_t *jobs)
{
    return prov_jobs_number(cf, 10000, &jobs->concurrency);
}


static char *
prov_jobs_set_per_queue(ngx_conf_t *cf, prov_jobs_conf_t *jobs)
{
    return prov_jobs_number(cf, 1000, &jobs->per_queue);
}


static char *
prov_jobs_set_per_partner(ngx_conf_t *cf, prov_jobs_conf_t *jobs)
{
    return prov_jobs_number(cf, 10000, &jobs->per_partner);
}


static char *
prov_jobs_time(ngx_conf_t *cf, ngx_msec_t min, ngx_msec_t max,
    const char *range, ngx_msec_t *time)
{
    ngx_int_t   n;
    ngx_str_t  *value;

    value = cf->args->elts;
    n = ngx_parse_time(&value[1], 0);

    if (n == NGX_ERROR || (ngx_msec_t) n < min || (ngx_msec_t) n > max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time \"%V\" in \"%V\", expected %s, as "
                           "in \"2s\"", &value[1], &value[0], range);
        return NGX_CONF_ERROR;
    }

    *time = (ngx_msec_t) n;

    return NGX_CONF_OK;
}


static char *
prov_jobs_number(ngx_conf_t *cf, ngx_uint_t max, ngx_uint_t *number)
{
    ngx_int_t   n;
    ngx_str_t  *value;

    value = cf->args->elts;
    n = ngx_atoi(value[1].data, value[1].len);

    if (n < 1 || (ngx_uint_t) n > max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number \"%V\" in \"%V\", expected 1 to "
                           "%ui", &value[1], &value[0], max);
        return NGX_CONF_ERROR;
    }

    *number = (ngx_uint_t) n;

    return NGX_CONF_OK;
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

    return prov_jobs_statements(jobs);
}


static ngx_int_t
prov_jobs_statements(prov_jobs_conf_t *jobs)
{
    ngx_int_t  claim, report, run;

    static ngx_str_t  claim_text = ngx_string(
        "select j.id, j.kind, j.attempt, j.step, j.data, j.partner "
        "from prov.jobs_claim($1, $2, $3) j");

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
