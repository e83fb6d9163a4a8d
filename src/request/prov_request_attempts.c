/*
 * What was tried in vain: denied requests and changes that failed, noted when
 * a request is logged and brought to the database in batches, which nobody
 * waits for.  A worker holds so many, and sends one batch in each interval:
 * who provokes more is counted, and neither fills memory nor the database.
 * prov_request_attempt.c says what is noted.
 */

#include "request/prov_request_attempt.h"
#include "base/prov_conf.h"


/* ms after which it is noticed that the worker is to end */
#define PROV_ATTEMPTS_TICK  500


/* a worker's, for one service */

typedef struct {
    prov_request_service_t  *service;
    prov_attempt_t          *attempts;
    ngx_uint_t               n;
    ngx_uint_t               dropped;      /* since the last batch */
    ngx_uint_t               sent;         /* in the batch on its way */
    ngx_msec_t               flushed;      /* when the last batch was sent */
    ngx_msec_t               due;          /* the next one, if there is any */
    u_char                  *text;         /* of that batch, or NULL */
    prov_db_query_t         *query;
    ngx_event_t              timer;
} prov_attempts_t;


/* Per-worker state, made in init_process, released in exit_process. */

static prov_attempts_t  *prov_attempts;
static ngx_uint_t        prov_nattempts;
static ngx_uint_t        prov_attempts_most;
static ngx_msec_t        prov_attempts_interval;


static void prov_attempts_add(prov_attempts_t *list, prov_attempt_t *attempt);
static void prov_attempts_wait(prov_attempts_t *list);
static void prov_attempts_arm(prov_attempts_t *list);
static void prov_attempts_timer(ngx_event_t *ev);
static void prov_attempts_flush(prov_attempts_t *list);
static void prov_attempts_answered(prov_db_query_t *q);


/* provisioning_audit_attempts off | [buffer=number] [interval=time]; */

char *
prov_request_set_audit_attempts(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    prov_request_main_conf_t *pmcf = conf;

    ngx_str_t   *value, text;
    ngx_uint_t   i;

    static prov_conf_range_t  buffers = { 1, 1024 };
    static prov_conf_range_t  intervals = { 100, 3600 * 1000 };

    if (pmcf->attempts_set) {
        return "is duplicate";
    }

    pmcf->attempts_set = 1;
    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    pmcf->attempts = 128;
    pmcf->attempts_interval = 5000;

    for (i = 1; i < cf->args->nelts; i++) {

        if (prov_conf_named(&value[i], "buffer=", &text)
            && prov_conf_number_read(&text, &buffers, &pmcf->attempts)
               == NGX_OK)
        {
            continue;
        }

        if (prov_conf_named(&value[i], "interval=", &text)
            && prov_conf_time_read(&text, &intervals,
                                   &pmcf->attempts_interval)
               == NGX_OK)
        {
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected \"off\", "
                           "\"buffer=number\" of 1 to 1024, or "
                           "\"interval=time\" of 100ms to 1h", &value[i]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
prov_request_attempts_init_worker(ngx_cycle_t *cycle)
{
    ngx_uint_t                 i;
    prov_attempts_t           *list;
    prov_request_service_t   **service;
    prov_request_main_conf_t  *pmcf;

    pmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_provisioning_module);

    prov_nattempts = 0;

    if (pmcf->attempts == 0 || pmcf->services.nelts == 0) {
        return NGX_OK;
    }

    prov_attempts_most = pmcf->attempts;
    prov_attempts_interval = pmcf->attempts_interval;

    prov_attempts = ngx_pcalloc(cycle->pool, pmcf->services.nelts
                                             * sizeof(prov_attempts_t));
    if (prov_attempts == NULL) {
        return NGX_ERROR;
    }

    service = pmcf->services.elts;

    for (i = 0; i < pmcf->services.nelts; i++) {
        list = &prov_attempts[i];

        list->service = service[i];
        list->flushed = ngx_current_msec - prov_attempts_interval;
        list->timer.handler = prov_attempts_timer;
        list->timer.data = list;
        list->timer.log = cycle->log;

        list->attempts = ngx_palloc(cycle->pool, prov_attempts_most
                                                 * sizeof(prov_attempt_t));
        if (list->attempts == NULL) {
            return NGX_ERROR;
        }

        prov_nattempts = i + 1;
    }

    return NGX_OK;
}


/*
 * A worker that leaves waits for its timers, and so for its last batch; one
 * that is told to leave at once says how many it takes with it.
 */

void
prov_request_attempts_exit_worker(void)
{
    ngx_uint_t        i;
    prov_attempts_t  *list;

    for (i = 0; i < prov_nattempts; i++) {
        list = &prov_attempts[i];

        if (list->timer.timer_set) {
            ngx_del_timer(&list->timer);
        }

        if (list->query) {
            list->dropped += list->sent;
            prov_db_release(list->query);
            list->query = NULL;
        }

        if (list->n + list->dropped) {
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "%ui attempts were not recorded, as the worker "
                          "ends", list->n + list->dropped);
        }

        ngx_free(list->text);
        list->text = NULL;
    }

    prov_nattempts = 0;
}


/* The log phase. */

ngx_int_t
prov_request_attempt(ngx_http_request_t *r)
{
    ngx_uint_t           i, status;
    prov_attempt_t       attempt;
    prov_request_ctx_t  *ctx;

    if (prov_nattempts == 0 || r != r->main) {
        return NGX_OK;
    }

    ctx = prov_request_ctx_find(r);
    status = r->err_status ? r->err_status : r->headers_out.status;

    if (ctx == NULL || !prov_attempt_wanted(r, ctx, status)) {
        return NGX_OK;
    }

    for (i = 0; i < prov_nattempts; i++) {
        if (prov_attempts[i].service == ctx->conf->service) {
            prov_attempt_fill(&attempt, r, ctx, status);
            prov_attempts_add(&prov_attempts[i], &attempt);
            break;
        }
    }

    return NGX_OK;
}


/*
 * The same once more is counted with the first.  A full buffer is sent at
 * once, unless a batch was sent within the interval: then there is no room.
 */

static void
prov_attempts_add(prov_attempts_t *list, prov_attempt_t *attempt)
{
    ngx_uint_t  i;

    for (i = 0; i < list->n; i++) {
        if (prov_attempt_same(&list->attempts[i], attempt)) {
            list->attempts[i].times++;
            return;
        }
    }

    if (!list->timer.timer_set) {
        prov_attempts_wait(list);
    }

    if (list->n == prov_attempts_most) {
        list->dropped++;
        return;
    }

    list->attempts[list->n++] = *attempt;

    if (list->n == prov_attempts_most && list->query == NULL
        && ngx_current_msec - list->flushed >= prov_attempts_interval)
    {
        prov_attempts_flush(list);
    }
}


static void
prov_attempts_wait(prov_attempts_t *list)
{
    list->due = ngx_current_msec + prov_attempts_interval;

    prov_attempts_arm(list);
}


static void
prov_attempts_arm(prov_attempts_t *list)
{
    ngx_msec_int_t  left;

    left = (ngx_msec_int_t) (list->due - ngx_current_msec);
    left = ngx_max(left, 1);

    ngx_add_timer(&list->timer, (ngx_msec_t) ngx_min(left,
                                                     PROV_ATTEMPTS_TICK));
}


/* A worker that leaves waits for this timer, and not for the interval. */

static void
prov_attempts_timer(ngx_event_t *ev)
{
    prov_attempts_t  *list;

    list = ev->data;

    if (!ngx_exiting
        && (ngx_msec_int_t) (list->due - ngx_current_msec) > 0)
    {
        prov_attempts_arm(list);
        return;
    }

    if (list->query) {
        /* the last batch is still on its way */
        prov_attempts_wait(list);
        return;
    }

    if (list->n + list->dropped) {
        prov_attempts_flush(list);
    }
}


static void
prov_attempts_flush(prov_attempts_t *list)
{
    u_char      *p;
    size_t       size;
    ngx_uint_t   i;

    list->flushed = ngx_current_msec;

    if (list->dropped) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "%ui attempts were dropped, there are more than the "
                      "audit takes in one interval", list->dropped);
    }

    size = PROV_ATTEMPT_FRAME + list->n * PROV_ATTEMPT_SIZE;

    list->text = ngx_alloc(size, ngx_cycle->log);
    list->query = prov_db_query(list->service->db, list->service->attempts,
                                PROV_DB_WRITE);

    if (list->text == NULL || list->query == NULL) {
        if (list->query) {
            prov_db_release(list->query);
            list->query = NULL;
        }

        ngx_free(list->text);
        list->text = NULL;
        list->dropped += list->n;
        list->n = 0;

        return;
    }

    p = ngx_sprintf(list->text, "{\"dropped\":%ui,\"attempts\":[",
                    list->dropped);

    list->sent = list->dropped;

    for (i = 0; i < list->n; i++) {
        if (i) {
            *p++ = ',';
        }

        p = prov_attempt_write(p, &list->attempts[i]);
        list->sent += list->attempts[i].times;
    }

    *p++ = ']';
    *p++ = '}';
    *p = '\0';

    list->n = 0;
    list->dropped = 0;

    list->query->values[0] = (const char *) list->text;
    list->query->handler = prov_attempts_answered;
    list->query->data = list;

    prov_db_submit(list->query);
}


/* What could not be recorded is dropped, and told with the next batch. */

static void
prov_attempts_answered(prov_db_query_t *q)
{
    u_char            line[PROV_DB_LINE];
    prov_attempts_t  *list;

    list = q->data;

    if (q->status != PROV_DB_COMMITTED) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "%ui attempts could not be recorded%s%s", list->sent,
                      q->status == PROV_DB_REFUSED ? ": " : "",
                      q->status == PROV_DB_REFUSED
                      ? prov_db_refusal(q->result, line, sizeof(line)) : "");

        list->dropped += list->sent;

        if (!list->timer.timer_set && !ngx_exiting) {
            prov_attempts_wait(list);
        }
    }

    list->sent = 0;

    prov_db_release(q);
    list->query = NULL;

    ngx_free(list->text);
    list->text = NULL;
}
