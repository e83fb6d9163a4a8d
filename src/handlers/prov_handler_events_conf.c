/*
 * provisioning_event_streams: how many may listen, and how often they hear
 * something.  Whom to ask is known only when the whole configuration has been
 * read: the database named, or that of provisioning_jobs.
 */

#include "handlers/prov_handler_events.h"


static ngx_int_t prov_events_number(ngx_str_t *value, const char *name,
    ngx_uint_t *number);
static ngx_int_t prov_events_time(ngx_str_t *value, const char *name,
    ngx_int_t min, ngx_msec_t *time);


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

        if (prov_events_number(&value[i], "max=", &conf->max) == NGX_OK
            || prov_events_number(&value[i], "partner_max=",
                                  &conf->partner_max)
               == NGX_OK
            || prov_events_time(&value[i], "heartbeat=", 100,
                                &conf->heartbeat)
               == NGX_OK
            || prov_events_time(&value[i], "retry=", 0, &conf->retry)
               == NGX_OK
            || prov_events_time(&value[i], "interval=", 100, &conf->interval)
               == NGX_OK)
        {
            continue;
        }

        if (value[i].len > sizeof("database=") - 1
            && ngx_strncmp(value[i].data, "database=",
                           sizeof("database=") - 1)
               == 0)
        {
            conf->database.data = value[i].data + sizeof("database=") - 1;
            conf->database.len = value[i].len - (sizeof("database=") - 1);
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


static ngx_int_t
prov_events_number(ngx_str_t *value, const char *name, ngx_uint_t *number)
{
    size_t     len;
    ngx_int_t  n;

    len = ngx_strlen(name);

    if (value->len <= len || ngx_strncmp(value->data, name, len) != 0) {
        return NGX_DECLINED;
    }

    n = ngx_atoi(value->data + len, value->len - len);

    if (n < 1 || n > 100000) {
        return NGX_DECLINED;
    }

    *number = n;

    return NGX_OK;
}


static ngx_int_t
prov_events_time(ngx_str_t *value, const char *name, ngx_int_t min,
    ngx_msec_t *time)
{
    size_t     len;
    ngx_int_t  ms;
    ngx_str_t  text;

    len = ngx_strlen(name);

    if (value->len <= len || ngx_strncmp(value->data, name, len) != 0) {
        return NGX_DECLINED;
    }

    text.data = value->data + len;
    text.len = value->len - len;
    ms = ngx_parse_time(&text, 0);

    if (ms < min || ms > 3600000) {
        return NGX_DECLINED;
    }

    *time = ms;

    return NGX_OK;
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
