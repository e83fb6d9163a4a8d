/*
 * The module: the table of its directives, its configuration, the phases it
 * takes part in, and the start and end of a worker.  What a location is told,
 * and what happens to a request, is in src/.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "base/prov_json_memory.h"
#include "handlers/prov_handlers.h"
#include "http/prov_http.h"
#include "jobs/prov_jobs.h"
#include "jobs/prov_webhook.h"


/* of the http block: what src/request knows of, and what it does not */

typedef struct {
    prov_request_main_conf_t    request;   /* first: directives are given it */
    prov_http_conf_t           *outbound;  /* NULL: nobody needs it */
    prov_jobs_conf_t           *jobs;      /* NULL: nobody does any */
} ngx_http_provisioning_main_conf_t;


static ngx_int_t ngx_http_provisioning_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_provisioning_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_provisioning_filter_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_provisioning_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_provisioning_init_process(ngx_cycle_t *cycle);
static void ngx_http_provisioning_exit_process(ngx_cycle_t *cycle);
static void ngx_http_provisioning_committed(void);
static void ngx_http_provisioning_ran(ngx_str_t *id);
static void *ngx_http_provisioning_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_provisioning_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_provisioning_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);

static char *ngx_http_provisioning_database(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_provisioning_signer(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_provisioning_issuer(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_provisioning_limit_zone(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_provisioning_secrets_key(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_provisioning_outbound(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_provisioning_jobs(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_provisioning_event_streams(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);


static ngx_command_t  ngx_http_provisioning_commands[] = {

    { ngx_string("provisioning_database"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_provisioning_database,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_signer"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_provisioning_signer,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_issuer"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_provisioning_issuer,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_secrets_key"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_provisioning_secrets_key,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_outbound"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_NOARGS,
      ngx_http_provisioning_outbound,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_jobs"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_NOARGS,
      ngx_http_provisioning_jobs,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_audit_attempts"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      prov_request_set_audit_attempts,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_event_streams"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_provisioning_event_streams,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_auth"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      prov_request_set_auth,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_require"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      prov_request_set_require,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_roles"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      prov_request_set_roles,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_limit_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_provisioning_limit_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_limit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      prov_request_set_limit,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_require_if_match"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(prov_request_conf_t, require_if_match),
      NULL },

    { ngx_string("provisioning_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      prov_request_set_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("provisioning_pass"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      prov_request_set_pass,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_provisioning_module_ctx = {
    ngx_http_provisioning_preconfiguration,  /* preconfiguration */
    ngx_http_provisioning_postconfiguration, /* postconfiguration */

    ngx_http_provisioning_create_main_conf,  /* create main configuration */
    NULL,                                    /* init main configuration */

    NULL,                                    /* create server configuration */
    NULL,                                    /* merge server configuration */

    ngx_http_provisioning_create_loc_conf,   /* create location configuration */
    ngx_http_provisioning_merge_loc_conf     /* merge location configuration */
};


ngx_module_t  ngx_http_provisioning_module = {
    NGX_MODULE_V1,
    &ngx_http_provisioning_module_ctx,       /* module context */
    ngx_http_provisioning_commands,          /* module directives */
    NGX_HTTP_MODULE,                         /* module type */
    NULL,                                    /* init master */
    ngx_http_provisioning_init_module,       /* init module */
    ngx_http_provisioning_init_process,      /* init process */
    NULL,                                    /* init thread */
    NULL,                                    /* exit thread */
    ngx_http_provisioning_exit_process,      /* exit process */
    NULL,                                    /* exit master */
    NGX_MODULE_V1_PADDING
};


/* a module of its own: only its place in nginx's list makes it a filter */

static ngx_http_module_t  ngx_http_provisioning_filter_module_ctx = {
    NULL,                                    /* preconfiguration */
    ngx_http_provisioning_filter_init,       /* postconfiguration */

    NULL,                                    /* create main configuration */
    NULL,                                    /* init main configuration */

    NULL,                                    /* create server configuration */
    NULL,                                    /* merge server configuration */

    NULL,                                    /* create location configuration */
    NULL                                     /* merge location configuration */
};


ngx_module_t  ngx_http_provisioning_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_provisioning_filter_module_ctx, /* module context */
    NULL,                                    /* module directives */
    NGX_HTTP_MODULE,                         /* module type */
    NULL,                                    /* init master */
    NULL,                                    /* init module */
    NULL,                                    /* init process */
    NULL,                                    /* init thread */
    NULL,                                    /* exit thread */
    NULL,                                    /* exit process */
    NULL,                                    /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_provisioning_preconfiguration(ngx_conf_t *cf)
{
    /* documents and key sets are read while the configuration is */

    if (prov_json_memory_init(cf->pool) != NGX_OK) {
        return NGX_ERROR;
    }

    return prov_request_variables(cf);
}


static ngx_int_t
ngx_http_provisioning_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_handler_pt                *h;
    ngx_http_core_main_conf_t          *cmcf;
    ngx_http_provisioning_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_provisioning_module);

    if (prov_auth_sources_check(cf, &mcf->request.issuers, &mcf->outbound)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (mcf->jobs
        && (prov_http_require(cf, &mcf->outbound, "provisioning_jobs")
            != NGX_OK
            || prov_jobs_finish(cf, mcf->jobs, &mcf->request.databases,
                                prov_http_timeout(mcf->outbound))
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    if (prov_events_database(cf, mcf->request.events, &mcf->request.databases,
                             mcf->jobs ? mcf->jobs->db : NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = prov_request_access;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = prov_request_attempt;

    /* a phase that subrequests do go through */

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = prov_request_subrequest;

    return NGX_OK;
}


static ngx_int_t
ngx_http_provisioning_filter_init(ngx_conf_t *cf)
{
    prov_request_filter_init();

    return NGX_OK;
}


static ngx_int_t
ngx_http_provisioning_init_module(ngx_cycle_t *cycle)
{
    /* nginx has initialised OpenSSL, libpq must not do it again */

    PQinitOpenSSL(0, 0);

    return NGX_OK;
}


static ngx_int_t
ngx_http_provisioning_init_process(ngx_cycle_t *cycle)
{
    prov_request_main_conf_t           *pmcf;
    ngx_http_provisioning_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_provisioning_module);

    if (mcf == NULL) {
        /* no http block */
        return NGX_OK;
    }

    pmcf = &mcf->request;

    if (prov_request_init_worker(cycle) != NGX_OK
        || prov_request_attempts_init_worker(cycle) != NGX_OK
        || prov_http_init_worker(cycle, mcf->outbound) != NGX_OK
        || prov_auth_init_worker(cycle, &pmcf->issuers) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (prov_db_init_worker(cycle, &pmcf->databases) != NGX_OK) {
        return NGX_ERROR;
    }

    prov_events_init_worker(pmcf->events);

    if (mcf->jobs) {
        prov_webhook_init_worker(&pmcf->seals, mcf->jobs->complained);
    }

    return prov_jobs_init_worker(cycle, mcf->jobs);
}


static void
ngx_http_provisioning_exit_process(ngx_cycle_t *cycle)
{
    prov_jobs_exit_worker();
    prov_events_exit_worker();
    prov_request_attempts_exit_worker();
    prov_request_exit_worker();
    prov_auth_exit_worker();
    prov_http_exit_worker();
    prov_db_exit_worker();
}


/* A change has left an event, and perhaps jobs: src/request knows neither. */

static void
ngx_http_provisioning_committed(void)
{
    prov_jobs_wake();
    prov_events_wake();
}


/* A part of an operation was done by the database, and may have left more. */

static void
ngx_http_provisioning_ran(ngx_str_t *id)
{
    prov_request_wake(id);
    prov_events_wake();
}


static void *
ngx_http_provisioning_create_main_conf(ngx_conf_t *cf)
{
    prov_request_main_conf_t           *pmcf;
    ngx_http_provisioning_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_provisioning_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    /* set by ngx_pcalloc(): mcf->outbound, mcf->jobs = NULL */

    pmcf = &mcf->request;

    if (ngx_array_init(&pmcf->databases, cf->pool, 2, sizeof(void *))
        != NGX_OK
        || ngx_array_init(&pmcf->issuers, cf->pool, 2, sizeof(void *))
           != NGX_OK
        || ngx_array_init(&pmcf->signers, cf->pool, 2, sizeof(void *))
           != NGX_OK
        || ngx_array_init(&pmcf->keys, cf->pool, 2, sizeof(void *)) != NGX_OK
        || ngx_array_init(&pmcf->apis, cf->pool, 2, sizeof(void *)) != NGX_OK
        || ngx_array_init(&pmcf->services, cf->pool, 2, sizeof(void *))
           != NGX_OK
        || ngx_array_init(&pmcf->zones, cf->pool, 2, sizeof(void *))
           != NGX_OK
        || ngx_array_init(&pmcf->seals, cf->pool, PROV_SEAL_KEYS,
                          sizeof(prov_seal_key_t))
           != NGX_OK)
    {
        return NULL;
    }

    pmcf->handlers = prov_handlers;
    pmcf->outbound_url = prov_http_url_valid;
    pmcf->committed = ngx_http_provisioning_committed;
    pmcf->events = prov_events_create(cf);

    if (pmcf->events == NULL) {
        return NULL;
    }

    return mcf;
}


static void *
ngx_http_provisioning_create_loc_conf(ngx_conf_t *cf)
{
    prov_request_conf_t  *plcf;

    plcf = ngx_pcalloc(cf->pool, sizeof(prov_request_conf_t));
    if (plcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc(): nothing is configured, all pointers NULL, which
     * is also what says that a value is to be inherited
     */

    plcf->require_if_match = NGX_CONF_UNSET;

    return plcf;
}


static char *
ngx_http_provisioning_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    prov_request_conf_t *prev = parent;
    prov_request_conf_t *conf = child;

    return prov_request_merge(cf, prev, conf);
}


static char *
ngx_http_provisioning_database(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    prov_request_main_conf_t *pmcf = conf;

    return prov_db_block(cf, &pmcf->databases);
}


static char *
ngx_http_provisioning_signer(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    prov_request_main_conf_t *pmcf = conf;

    return prov_auth_signer_block(cf, &pmcf->signers);
}


static char *
ngx_http_provisioning_issuer(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    prov_request_main_conf_t *pmcf = conf;

    return prov_auth_issuer_block(cf, &pmcf->issuers, &pmcf->signers);
}


static char *
ngx_http_provisioning_jobs(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_provisioning_main_conf_t *mcf = conf;

    char  *rv;

    rv = prov_jobs_block(cf, &mcf->jobs);

    if (rv == NGX_CONF_OK) {
        mcf->jobs->ran = ngx_http_provisioning_ran;
    }

    return rv;
}


static char *
ngx_http_provisioning_limit_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    prov_request_main_conf_t *pmcf = conf;

    return prov_limit_zone_conf(cf, &pmcf->zones);
}


static char *
ngx_http_provisioning_secrets_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    prov_request_main_conf_t *pmcf = conf;

    return prov_seal_key_conf(cf, &pmcf->seals);
}


static char *
ngx_http_provisioning_outbound(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_provisioning_main_conf_t *mcf = conf;

    return prov_http_block(cf, &mcf->outbound);
}


static char *
ngx_http_provisioning_event_streams(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    prov_request_main_conf_t *pmcf = conf;

    return prov_events_directive(cf, pmcf->events);
}
