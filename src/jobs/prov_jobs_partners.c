/*
 * Whose jobs are under way in this worker.  A partner may have many queues,
 * each with as many jobs under way as a queue may have; so he is counted by
 * himself, and told of to the database with each claim.
 */

#include "jobs/prov_jobs_loop.h"


/* `"partners":{`, a name, punctuation and a number each, and the bracket */
#define PROV_PARTNERS_FRAME  (sizeof(",\"per_partner\":,\"partners\":{}") \
                              + NGX_INT_T_LEN)
#define PROV_PARTNERS_ONE    (PROV_ID_LEN + sizeof("\"\":,") + NGX_INT_T_LEN)


struct prov_jobs_partner_s {
    u_char                   id[PROV_ID_LEN];
    ngx_uint_t               jobs;
};


static prov_jobs_partner_t *prov_jobs_partner(prov_job_t *job);


/* As many as may have a job under way. */

ngx_int_t
prov_jobs_partners_init(ngx_cycle_t *cycle, ngx_uint_t concurrency)
{
    prov_jobs.partners = ngx_palloc(cycle->pool, concurrency
                                                 * sizeof(prov_jobs_partner_t));
    prov_jobs.npartners = 0;

    return prov_jobs.partners ? NGX_OK : NGX_ERROR;
}


/* It is under way. */

void
prov_jobs_partners_add(prov_job_t *job)
{
    prov_jobs_partner_t  *partner;

    if (!job->owned) {
        return;
    }

    partner = prov_jobs_partner(job);

    if (partner == NULL) {

        if (prov_jobs.npartners == prov_jobs.conf->concurrency) {
            /* no claim asks for more jobs than that */
            job->owned = 0;
            return;
        }

        partner = &prov_jobs.partners[prov_jobs.npartners++];
        ngx_memcpy(partner->id, job->partner, PROV_ID_LEN);
        partner->jobs = 0;
    }

    partner->jobs++;
}


/* It is not any more. */

void
prov_jobs_partners_drop(prov_job_t *job)
{
    prov_jobs_partner_t  *partner;

    if (!job->owned) {
        return;
    }

    job->owned = 0;
    partner = prov_jobs_partner(job);

    if (partner && --partner->jobs == 0) {
        *partner = prov_jobs.partners[--prov_jobs.npartners];
    }
}


static prov_jobs_partner_t *
prov_jobs_partner(prov_job_t *job)
{
    ngx_uint_t  i;

    for (i = 0; i < prov_jobs.npartners; i++) {
        if (ngx_memcmp(prov_jobs.partners[i].id, job->partner, PROV_ID_LEN)
            == 0)
        {
            return &prov_jobs.partners[i];
        }
    }

    return NULL;
}


/* What prov_jobs_partners_write() takes at most. */

size_t
prov_jobs_partners_len(void)
{
    return PROV_PARTNERS_FRAME + prov_jobs.npartners * PROV_PARTNERS_ONE;
}


/* Members of a claim: how many a partner may have, and how many each has. */

u_char *
prov_jobs_partners_write(u_char *p)
{
    ngx_uint_t  i;

    p = ngx_sprintf(p, ",\"per_partner\":%ui,\"partners\":{",
                    prov_jobs.conf->per_partner);

    for (i = 0; i < prov_jobs.npartners; i++) {
        p = ngx_sprintf(p, "%s\"%*s\":%ui", i ? "," : "", (size_t) PROV_ID_LEN,
                        prov_jobs.partners[i].id, prov_jobs.partners[i].jobs);
    }

    *p++ = '}';

    return p;
}
