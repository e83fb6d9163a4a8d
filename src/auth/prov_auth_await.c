/*
 * Requests whose token an issuer's keys may verify in a moment: whether it is
 * worth while to fetch them for it, and who waits.  Called by the access
 * phase, and by the readiness check.
 *
 * A stranger can make up any number of key ids.  So a set that was fetched
 * within "cooldown", by any worker, is believed to be all there is, and after
 * a failure nothing is fetched for so long but what is due.
 */

#include "auth/prov_auth_remote.h"


/* ms beyond the time-outs of two requests: for threads, and a busy worker */
#define PROV_AUTH_SLACK  60000


/*
 * For a token that names a key that is not in the set, or whose issuer has no
 * set.  Whoever waits does so for one fetch, which its timeout bounds.
 */

ngx_int_t
prov_auth_await(prov_auth_issuer_t *issuer, prov_auth_wait_t *wait)
{
    prov_auth_remote_t  *remote;

    remote = prov_auth_remote(issuer);

    if (remote == NULL) {
        return NGX_BUSY;
    }

    /* another worker may have just what is looked for */

    if (remote->step == PROV_AUTH_IDLE) {
        (void) prov_auth_remote_look(remote);
    }

    /* without any keys all callers would wait, so nobody does */

    if (remote->keyset == NULL && remote->step != PROV_AUTH_READS) {
        return NGX_BUSY;
    }

    if (remote->step == PROV_AUTH_IDLE) {

        if (prov_auth_remote_within(remote->since, remote->source->cooldown)) {
            return NGX_DECLINED;
        }

        if (prov_auth_shared_failing(remote->source->zone,
                                     remote->source->cooldown))
        {
            return NGX_BUSY;
        }

        prov_auth_fetch(remote, 0);

        if (remote->step == PROV_AUTH_IDLE) {
            return NGX_BUSY;
        }
    }

    if (wait->waits == PROV_AUTH_MAX_WAITS
        || remote->nwaiting == PROV_AUTH_MAX_WAITING)
    {
        return NGX_BUSY;
    }

    wait->waits++;
    wait->waiting = 1;
    wait->remote = remote;

    ngx_queue_insert_tail(&remote->waiting, &wait->queue);

    if (remote->nwaiting++ == 0) {
        ngx_add_timer(&remote->hold, 2 * remote->source->timeout
                                     + PROV_AUTH_SLACK);
    }

    return NGX_AGAIN;
}


void
prov_auth_await_end(prov_auth_wait_t *wait)
{
    prov_auth_remote_t  *remote;

    if (!wait->waiting) {
        return;
    }

    wait->waiting = 0;
    ngx_queue_remove(&wait->queue);

    remote = wait->remote;

    if (--remote->nwaiting == 0 && remote->hold.timer_set) {
        ngx_del_timer(&remote->hold);
    }
}


/* What one of them does may end others, or have one wait again. */

void
prov_auth_remote_wake(prov_auth_remote_t *remote)
{
    ngx_queue_t        waiting;
    prov_auth_wait_t  *wait;

    if (ngx_queue_empty(&remote->waiting)) {
        return;
    }

    ngx_queue_init(&waiting);
    ngx_queue_add(&waiting, &remote->waiting);
    ngx_queue_init(&remote->waiting);

    while (!ngx_queue_empty(&waiting)) {
        wait = ngx_queue_data(ngx_queue_head(&waiting), prov_auth_wait_t,
                              queue);

        prov_auth_await_end(wait);
        wait->handler(wait->data);
    }
}


ngx_uint_t
prov_auth_retry(prov_auth_issuer_t *issuer)
{
    ngx_msec_int_t       left;
    prov_auth_remote_t  *remote;

    remote = prov_auth_remote(issuer);

    if (remote == NULL || remote->step != PROV_AUTH_IDLE) {
        return 1;
    }

    left = (ngx_msec_int_t) (remote->next - ngx_current_msec);

    return (left > 0) ? (ngx_uint_t) (left + 999) / 1000 : 1;
}


prov_auth_issuer_t *
prov_auth_set_keyless(prov_auth_set_t *set)
{
    ngx_uint_t            i;
    prov_auth_remote_t   *remote;
    prov_auth_issuer_t  **issuer;

    issuer = set->issuers.elts;

    for (i = 0; i < set->issuers.nelts; i++) {

        if (issuer[i]->source == NULL) {
            continue;
        }

        remote = prov_auth_remote(issuer[i]);

        if (remote == NULL) {
            return issuer[i];
        }

        if (!remote->had) {

            if (remote->step == PROV_AUTH_IDLE) {
                (void) prov_auth_remote_look(remote);
            }

            return issuer[i];
        }
    }

    return NULL;
}
