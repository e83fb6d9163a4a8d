/*
 * provisioning_event_streams: how many may listen, and how often they hear
 * something.  Whom to ask is known only when the whole configuration has been
 * read: the database named, or that of provisioning_jobs.
 */

#include "handlers/prov_handler_events.h"
#include "base/prov_conf.h"


/* a parameter, whose value is an ngx_uint_t; an ngx_msec_t is one, too */

typedef struct {
    const char          *name;      /* with the '=' */
    ngx_int_t          (*read)(ngx_str_t *text, prov_conf_range_t *range,
                               ngx_uint_t *value);
    size_t               offset;
    prov_conf_range_t    range;
} prov_events_parameter_t;


static ngx_uint_t prov_events_parameter(prov_events_conf_t *conf,
    ngx_str_t *value);


static prov_events_parameter_t  prov_events_parameters[] = {

    { "max=", prov_conf_number_read, offsetof(prov_events_conf_t, max),
      { 1, 100000 } },
    { "partner_max=", prov_conf_number_read,
      offsetof(prov_events_conf_t, partner_max), { 1, 100000 } },
    { "heartbeat=", prov_conf_time_read,
      offsetof(prov_events_conf_t, heartbeat), { 100, 3600 * 1000 } },
    { "retry=", prov_conf_time_read, offsetof(prov_events_conf_t, retry),
      { 0, 3600 * 1000 } },
    { "interval=", prov_conf_time_read,
      offsetof(prov_events_conf_t, interval), { 100, 3600 * 1000 } },

    { NULL, NULL, 0, { 0, 0 } }
};


prov_events_conf_t *
prov_events_create(ngx_conf_t *cf)
{
    prov_events_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(prov_events_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /* set by ngx_pcalloc(): conf->db = NULL, conf->set = 0 */

    conf->max = 1024;
    conf->partner_max = NGX_CONF_UNSET_UINT;
    conf->heartbeat = 15000;
    conf->retry = 3000;
    conf->interval = 1000;

    return conf;
}


/*
 * provisioning_event_streams off | [database=name] [max=number]
 *     [partner_max=number] [heartbeat=time] [retry=time] [interval=time];
 */

char *
prov_events_directive(ngx_conf_t *cf, prov_events_conf_t *conf)
{
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (conf->set) {
        return "is duplicate";
    }

    conf->set = 1;
    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        conf->max = 0;
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (prov_events_parameter(conf, &value[i])) {
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", expected \"off\", "
                           "\"database=name\", \"max=number\" or "
                           "\"partner_max=number\" of 1 to 100000, "
                           "\"heartbeat=time\" or \"interval=time\" "
                           "of 100ms to 1h, or \"retry=time\" of at most 1h",
                           &value[i]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* Whether it is one, with a value that it may have. */

static ngx_uint_t
prov_events_parameter(prov_events_conf_t *conf, ngx_str_t *value)
{
    ngx_str_t                 text;
    prov_events_parameter_t  *p;

    for (p = prov_events_parameters; p->name; p++) {
        if (prov_conf_named(value, p->name, &text)) {
            return p->read(&text, &p->range,
                           (ngx_uint_t *) ((char *) conf + p->offset))
                   == NGX_OK;
        }
    }

    if (prov_conf_named(value, "database=", &text) && text.len) {
        conf->database = text;
        return 1;
    }

    return 0;
}


/*
 * The barrier does nothing: it is answered when everything that was seen
 * before it is on disk.
 */

ngx_int_t
prov_events_database(ngx_conf_t *cf, prov_events_conf_t *conf,
    ngx_array_t *databases, prov_db_conf_t *jobs)
{
    ngx_int_t        since, barrier;
    prov_db_conf_t  *db;

    static ngx_str_t  since_text = ngx_string("select r.feed, r.cursor, "
                          "r.more, r.chunk from prov.events_since($1, $2, $3) "
                          "r");
    static ngx_str_t  barrier_text = ngx_string("select $1::jsonb is null, "
                          "$2::jsonb is null, $3::jsonb is null");

    ngx_conf_init_uint_value(conf->partner_max, ngx_max(conf->max / 8, 1));

    db = jobs;

    if (conf->database.len) {
        db = prov_db_find(databases, &conf->database);

        if (db == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"provisioning_event_streams\": there is no "
                          "\"provisioning_database %V\"", &conf->database);
            return NGX_ERROR;
        }
    }

    if (db == NULL || conf->max == 0) {
        return NGX_OK;
    }

    since = prov_db_statement(db, &since_text);
    barrier = prov_db_statement(db, &barrier_text);

    if (since == NGX_ERROR || barrier == NGX_ERROR) {
        return NGX_ERROR;
    }

    conf->db = db;
    conf->since = since;
    conf->barrier = barrier;

    return NGX_OK;
}
