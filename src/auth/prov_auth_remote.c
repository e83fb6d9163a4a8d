/*
 * What a worker knows of issuers' keys that are fetched: which set is in
 * force, and when it is fetched again.  A set is replaced as a whole between
 * two requests, and verifying a token is never interrupted, so nobody is left
 * with half of it.  Called by the verifier and by the cache; requests go out
 * in prov_auth_remote_fetch.c.
 */

#include "auth/prov_auth_remote.h"


static void prov_auth_remote_start(prov_auth_remote_t *remote,
    prov_auth_issuer_t *issuer);
static void prov_auth_remote_tick(ngx_event_t *ev);
static void prov_auth_remote_held(ngx_event_t *ev);


static prov_auth_remote_t  *prov_auth_remotes;
static ngx_uint_t           prov_auth_nremotes;


ngx_int_t
prov_auth_init_worker(ngx_cycle_t *cycle, ngx_array_t *issuers)
{
    ngx_uint_t            i, n;
    prov_auth_issuer_t  **issuer;

    /* nginx's other processes serve nobody */

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    n = 0;
    issuer = issuers->elts;

    for (i = 0; i < issuers->nelts; i++) {
        n += (issuer[i]->source != NULL);
    }

    if (n == 0) {
        return NGX_OK;
    }

    prov_auth_remotes = ngx_pcalloc(cycle->pool,
                                    n * sizeof(prov_auth_remote_t));
    if (prov_auth_remotes == NULL) {
        return NGX_ERROR;
    }

    prov_auth_nremotes = n;

    for (i = 0; i < issuers->nelts; i++) {
        if (issuer[i]->source) {
            prov_auth_remote_start(&prov_auth_remotes[issuer[i]->source
                                                      ->index], issuer[i]);
        }
    }

    return NGX_OK;
}


/*
 * With the set that the workers before us had, if there is one: it is read at
 * once, because this worker serves nobody yet.
 */

static void
prov_auth_remote_start(prov_auth_remote_t *remote, prov_auth_issuer_t *issuer)
{
    prov_auth_keyset_t  *keyset;

    remote->issuer = issuer;
    remote->source = issuer->source;
    remote->next = ngx_current_msec;

    ngx_queue_init(&remote->waiting);

    remote->timer.handler = prov_auth_remote_tick;
    remote->timer.data = remote;
    remote->timer.log = ngx_cycle->log;
    remote->timer.cancelable = 1;

    remote->hold.handler = prov_auth_remote_held;
    remote->hold.data = remote;
    remote->hold.log = ngx_cycle->log;

    keyset = prov_auth_shared_load(issuer);

    if (keyset == NULL) {
        /* the very first ones */

    } else if (prov_auth_remote_within(keyset->version.fetched,
                                       remote->source->keep)
               && prov_auth_keyset_read(keyset) == NGX_OK)
    {
        prov_auth_remote_replace(remote, keyset);
        prov_auth_remote_confirmed(remote, &keyset->version);

    } else {
        prov_auth_keyset_free(keyset);
    }

    prov_auth_remote_arm(remote);
}


/* nginx's threads have come to an end before: nobody is reading any more. */

void
prov_auth_exit_worker(void)
{
    ngx_uint_t           i;
    prov_auth_remote_t  *remote;

    for (i = 0; i < prov_auth_nremotes; i++) {
        remote = &prov_auth_remotes[i];

        prov_auth_fetch_cancel(remote);

        if (remote->timer.timer_set) {
            ngx_del_timer(&remote->timer);
        }

        if (remote->hold.timer_set) {
            ngx_del_timer(&remote->hold);
        }

        if (remote->reading) {
            prov_auth_keyset_free(remote->reading);
        }

        if (remote->keyset) {
            prov_auth_keyset_free(remote->keyset);
        }

        if (remote->found) {
            ngx_free(remote->found);
        }
    }

    prov_auth_nremotes = 0;
}


/* NULL: another configuration is in force than the worker has begun with. */

prov_auth_remote_t *
prov_auth_remote(prov_auth_issuer_t *issuer)
{
    prov_auth_remote_t  *remote;

    if (issuer->source == NULL
        || issuer->source->index >= prov_auth_nremotes)
    {
        return NULL;
    }

    remote = &prov_auth_remotes[issuer->source->index];

    if (remote->source != issuer->source) {
        return NULL;
    }

    /* what an outage has made too old to be believed */

    if (remote->keyset
        && !prov_auth_remote_within(remote->since, remote->source->keep))
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "provisioning_issuer \"%V\": its keys could not be "
                      "fetched for %M ms and are not believed any more",
                      &issuer->name, remote->source->keep);

        prov_auth_remote_replace(remote, NULL);
    }

    return remote;
}


ngx_array_t *
prov_auth_remote_keys(prov_auth_issuer_t *issuer)
{
    prov_auth_remote_t  *remote;

    remote = prov_auth_remote(issuer);

    return (remote && remote->keyset) ? &remote->keyset->keys : NULL;
}


ngx_uint_t
prov_auth_remote_generation(prov_auth_issuer_t *issuer)
{
    prov_auth_remote_t  *remote;

    remote = prov_auth_remote(issuer);

    return remote ? remote->generation : 0;
}


static void
prov_auth_remote_tick(ngx_event_t *ev)
{
    prov_auth_remote_t *remote = ev->data;

    if (remote->step != PROV_AUTH_IDLE) {
        return;
    }

    (void) prov_auth_remote_look(remote);

    if (ngx_exiting) {
        return;
    }

    if (remote->step == PROV_AUTH_IDLE
        && (ngx_msec_int_t) (remote->next - ngx_current_msec) <= 0)
    {
        prov_auth_fetch(remote, 1);
        return;
    }

    prov_auth_remote_arm(remote);
}


/* A fetch has a time-out of its own, so whoever waits is told before. */

static void
prov_auth_remote_held(ngx_event_t *ev)
{
    prov_auth_remote_t *remote = ev->data;

    ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                  "provisioning_issuer \"%V\": a fetch of its keys does not "
                  "end", &remote->issuer->name);
}


/* Only when idle: the end of what is under way sets the timer. */

void
prov_auth_remote_arm(prov_auth_remote_t *remote)
{
    ngx_msec_int_t  left;

    if (remote->step != PROV_AUTH_IDLE) {
        return;
    }

    left = (ngx_msec_int_t) (remote->next - ngx_current_msec);
    left = ngx_max(left, 1);

    if (remote->keyset == NULL) {
        left = ngx_min(left, PROV_AUTH_LOOK);
    }

    ngx_add_timer(&remote->timer, (ngx_msec_t) left);
}


/*
 * Whether the workers' zone has something newer: it is read then
 * (PROV_AUTH_READS), or says that ours is still right.
 */

ngx_int_t
prov_auth_remote_look(prov_auth_remote_t *remote)
{
    prov_auth_keyset_t   *keyset;
    prov_auth_version_t   version;

    prov_auth_shared_version(remote->source->zone, &version);

    if (version.revision == 0 || version.revision == remote->refused
        || !prov_auth_remote_within(version.fetched, remote->source->keep)
        || (remote->keyset
            && (ngx_msec_int_t) (version.fetched - remote->since) <= 0))
    {
        return NGX_DECLINED;
    }

    if (remote->keyset
        && remote->keyset->version.revision == version.revision)
    {
        prov_auth_remote_confirmed(remote, &version);
        prov_auth_remote_arm(remote);

        return NGX_OK;
    }

    keyset = prov_auth_shared_load(remote->issuer);

    return keyset ? prov_auth_remote_read(remote, keyset) : NGX_ERROR;
}


/* Also when a time lies ahead, because another process' clock does. */

ngx_uint_t
prov_auth_remote_within(ngx_msec_t since, ngx_msec_t time)
{
    return (ngx_msec_int_t) (ngx_current_msec - since)
           < (ngx_msec_int_t) time;
}
