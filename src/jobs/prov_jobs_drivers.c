/*
 * The kinds of jobs that send requests.  All others are run by the database.
 */

#include "jobs/prov_jobs.h"


prov_job_driver_t  *prov_jobs_drivers[] = {
    &prov_webhook_driver,
    NULL
};
