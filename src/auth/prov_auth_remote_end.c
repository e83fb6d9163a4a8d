/*
 * How a fetch of an issuer's keys ends: the document's keys are read, and the
 * set in force is replaced, confirmed, or kept because nothing better came.
 * Called by prov_auth_remote_fetch.c, and for what another worker has
 * fetched.
 */

#include "auth/prov_auth_remote.h"


static void prov_auth_remote_read_done(prov_auth_keyset_t *keyset);
static void prov_auth_remote_useless(prov_auth_remote_t *remote,
    prov_auth_keyset_t *keyset);
static void prov_auth_remote_tell(prov_auth_remote_t *remote,
    prov_auth_keyset_t *keyset);


/* Only ever counts up, so that no two sets of any issuer have the same. */
static ngx_uint_t  prov_auth_generations;


void
prov_auth_remote_fetched(prov_auth_remote_t *remote, ngx_str_t *text,
    ngx_msec_t max_age)
{
    prov_auth_keyset_t   *keyset;
    prov_auth_version_t   version;

    remote->step = PROV_AUTH_IDLE;

    version.revision = 0;
    version.fetched = remote->asked;
    version.max_age = max_age;

    keyset = remote->keyset;

    if (keyset && keyset->text.len == text->len
        && ngx_memcmp(keyset->text.data, text->data, text->len) == 0)
    {
        prov_auth_shared_store(remote->source->zone, text, &version);
        keyset->version.revision = version.revision;

        prov_auth_remote_confirmed(remote, &version);
        prov_auth_remote_arm(remote);
        prov_auth_remote_wake(remote);

        return;
    }

    keyset = prov_auth_keyset_create(remote->issuer, text->data, text->len);

    if (keyset == NULL) {
        prov_auth_remote_failed(remote, -1, "no memory");
        return;
    }

    keyset->version = version;

    if (prov_auth_remote_read(remote, keyset) != NGX_OK) {
        prov_auth_remote_failed(remote, -1, "no thread has time to read the "
                                "key set");
    }
}


ngx_int_t
prov_auth_remote_read(prov_auth_remote_t *remote, prov_auth_keyset_t *keyset)
{
    keyset->handler = prov_auth_remote_read_done;
    keyset->data = remote;

    remote->reading = keyset;
    remote->step = PROV_AUTH_READS;

    if (prov_auth_keyset_load(keyset, remote->source->threads) == NGX_OK) {
        return NGX_OK;
    }

    prov_auth_keyset_free(keyset);

    remote->reading = NULL;
    remote->step = PROV_AUTH_IDLE;

    return NGX_ERROR;
}


static void
prov_auth_remote_read_done(prov_auth_keyset_t *keyset)
{
    prov_auth_remote_t  *remote;

    remote = keyset->data;

    remote->reading = NULL;
    remote->step = PROV_AUTH_IDLE;

    prov_auth_remote_tell(remote, keyset);

    if (keyset->rc == NGX_OK) {
        prov_auth_remote_replace(remote, keyset);

        if (keyset->version.revision == 0) {
            prov_auth_shared_store(remote->source->zone, &keyset->text,
                                   &keyset->version);
        }

        prov_auth_remote_confirmed(remote, &keyset->version);
        prov_auth_remote_arm(remote);
        prov_auth_remote_wake(remote);

        return;
    }

    prov_auth_remote_useless(remote, keyset);
    prov_auth_keyset_free(keyset);
}


static void
prov_auth_remote_useless(prov_auth_remote_t *remote,
    prov_auth_keyset_t *keyset)
{
    prov_fault_t  *fault;

    fault = &keyset->loader.fault;

    if (keyset->version.revision) {
        /* others have stored what is of no use to us: what is due will come */

        remote->refused = keyset->version.revision;
        prov_auth_remote_arm(remote);
        prov_auth_remote_wake(remote);

    } else if (fault->message.len == 0) {
        prov_auth_remote_failed(remote, -1, "no memory");

    } else if (fault->line) {
        prov_auth_remote_failed(remote, -1, "the key set will not do: "
                                "%ui:%ui: %V", fault->line, fault->column,
                                &fault->message);

    } else {
        prov_auth_remote_failed(remote, -1, "the key set will not do: %V",
                                &fault->message);
    }
}


/* What was left out, and why; once for each document. */

static void
prov_auth_remote_tell(prov_auth_remote_t *remote, prov_auth_keyset_t *keyset)
{
    ngx_str_t   *remark;
    ngx_uint_t   i, n;

    remark = keyset->loader.remarks->elts;
    n = keyset->loader.remarks->nelts;

    for (i = 0; i < ngx_min(n, PROV_AUTH_MAX_TOLD); i++) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "provisioning_issuer \"%V\": %V",
                      &remote->issuer->name, &remark[i]);
    }

    if (i < n) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "provisioning_issuer \"%V\": and %ui more keys of that "
                      "set are left out or not used", &remote->issuer->name,
                      n - i);
    }
}


/*
 * The one place where the set in force changes.  Another generation ends what
 * the cache of verified tokens has from it.
 */

void
prov_auth_remote_replace(prov_auth_remote_t *remote,
    prov_auth_keyset_t *keyset)
{
    ngx_str_t  url;

    if (remote->keyset) {
        prov_auth_keyset_free(remote->keyset);
    }

    remote->keyset = keyset;
    remote->generation = ++prov_auth_generations;

    if (keyset == NULL) {
        return;
    }

    remote->had = 1;
    url = prov_http_url_shown(&keyset->url);

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "provisioning_issuer \"%V\": %ui keys of %V are in force",
                  &remote->issuer->name, keyset->keys.nelts, &url);
}


/* The set in force was right when this version was asked for. */

void
prov_auth_remote_confirmed(prov_auth_remote_t *remote,
    prov_auth_version_t *version)
{
    if (remote->failures) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "provisioning_issuer \"%V\": its keys could be fetched "
                      "again", &remote->issuer->name);
    }

    remote->failures = 0;
    remote->since = version->fetched;
    remote->next = version->fetched
                   + prov_auth_schedule_refresh(remote->source,
                                                version->max_age,
                                                (ngx_uint_t) ngx_random());
}


/* The set in force stays so; the next attempt comes later each time. */

void
prov_auth_remote_failed(prov_auth_remote_t *remote, ngx_int_t retry_after,
    const char *fmt, ...)
{
    u_char      *p, text[NGX_MAX_ERROR_STR / 2];
    va_list      args;
    ngx_msec_t   wait;

    va_start(args, fmt);
    p = ngx_vslprintf(text, text + sizeof(text), fmt, args);
    va_end(args);

    remote->step = PROV_AUTH_IDLE;
    remote->failures++;

    prov_auth_shared_failed(remote->source->zone);

    /* the issuer may have moved its keys */

    if (remote->found) {
        ngx_free(remote->found);
        remote->found = NULL;
    }

    wait = prov_auth_schedule_retry(remote->source, remote->failures,
                                    retry_after, (ngx_uint_t) ngx_random());
    remote->next = ngx_current_msec + wait;

    if (remote->keyset) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "provisioning_issuer \"%V\": %*s; its keys of %M ms "
                      "ago stay in force, next attempt in %M ms",
                      &remote->issuer->name, (size_t) (p - text), text,
                      ngx_current_msec - remote->since, wait);

    } else {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "provisioning_issuer \"%V\": %*s; there are no keys, "
                      "next attempt in %M ms", &remote->issuer->name,
                      (size_t) (p - text), text, wait);
    }

    prov_auth_remote_arm(remote);
    prov_auth_remote_wake(remote);
}
