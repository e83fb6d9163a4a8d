/*
 * The requests that bring an issuer's keys: its discovery document, when that
 * says where the keys are (OpenID Connect Discovery 1.0, section 4; RFC 8414),
 * and the key set.  One fetch at a time, which ends in prov_auth_remote.c;
 * what has come is not believed here, only handed on.
 */

#include "auth/prov_auth_remote.h"


static void prov_auth_fetch_send(prov_auth_remote_t *remote,
    prov_auth_step_e step, u_char *url, size_t size);
static void prov_auth_fetch_discovered(prov_http_request_t *r);
static ngx_int_t prov_auth_fetch_document(prov_auth_remote_t *remote,
    json_t *document);
static void prov_auth_fetch_other(prov_auth_remote_t *remote, json_t *iss);
static void prov_auth_fetch_answered(prov_http_request_t *r);
static ngx_int_t prov_auth_fetch_good(prov_auth_remote_t *remote,
    prov_http_request_t *r, const char *what);


/*
 * remote is idle.  It is not any more, unless the fetch has failed at once.
 * Without discover the URL that was found is believed, for as long as keys
 * are: strangers who have them fetched again and again must not hold it there.
 */

void
prov_auth_fetch(prov_auth_remote_t *remote, ngx_uint_t discover)
{
    prov_auth_source_t  *source;

    source = remote->source;
    remote->asked = ngx_current_msec;

    if (source->discovery
        && (discover || remote->found == NULL
            || !prov_auth_remote_within(remote->discovered,
                                        source->refresh)))
    {
        prov_auth_fetch_send(remote, PROV_AUTH_DISCOVERS, source->url.data,
                             PROV_AUTH_MAX_DISCOVERY);
        return;
    }

    prov_auth_fetch_send(remote, PROV_AUTH_FETCHES,
                         remote->found ? remote->found : source->url.data,
                         PROV_AUTH_MAX_FETCHED);
}


static void
prov_auth_fetch_send(prov_auth_remote_t *remote, prov_auth_step_e step,
    u_char *url, size_t size)
{
    prov_http_request_t  *r;

    static const char  *headers[] = {
        "Accept: application/json, application/jwk-set+json"
    };

    r = prov_http_create();
    if (r == NULL) {
        prov_auth_remote_failed(remote, -1, "no memory");
        return;
    }

    r->method = "GET";
    r->url = (const char *) url;
    r->headers = headers;
    r->nheaders = 1;
    r->timeout = remote->source->timeout;
    r->max_response = size;
    r->handler = (step == PROV_AUTH_DISCOVERS) ? prov_auth_fetch_discovered
                                               : prov_auth_fetch_answered;
    r->data = remote;
    r->log = ngx_cycle->log;
    r->background = 1;

    remote->http = r;
    remote->step = step;

    prov_http_submit(r);
}


void
prov_auth_fetch_cancel(prov_auth_remote_t *remote)
{
    if (remote->http) {
        prov_http_release(remote->http);
        remote->http = NULL;
    }
}


static void
prov_auth_fetch_discovered(prov_http_request_t *r)
{
    json_t              *document;
    ngx_int_t            rc;
    prov_json_error_t    err;
    prov_auth_remote_t  *remote;

    remote = r->data;

    if (prov_auth_fetch_good(remote, r, "discovery document") != NGX_OK) {
        return;
    }

    document = prov_json_parse(r->response.data, r->response.len,
                               PROV_JSON_BODY_DEPTH, &err);

    prov_auth_fetch_cancel(remote);

    if (document == NULL) {
        prov_auth_remote_failed(remote, -1, "the discovery document is no "
                                "JSON: %ui:%ui: %s", err.line, err.column,
                                err.text);
        return;
    }

    rc = prov_auth_fetch_document(remote, document);

    json_decref(document);

    if (rc == NGX_OK) {
        prov_auth_fetch_send(remote, PROV_AUTH_FETCHES, remote->found,
                             PROV_AUTH_MAX_FETCHED);
    }
}


/*
 * "issuer" is what tokens are compared with, to the letter: else whoever
 * answers at the URL could speak for somebody else (section 4.3).
 */

static ngx_int_t
prov_auth_fetch_document(prov_auth_remote_t *remote, json_t *document)
{
    u_char      *found;
    json_t      *iss, *uri;
    ngx_str_t    url;
    const char  *why;

    iss = json_object_get(document, "issuer");
    uri = json_object_get(document, "jwks_uri");

    if (!json_is_string(iss)
        || json_string_length(iss) != remote->issuer->iss.len
        || ngx_memcmp(json_string_value(iss), remote->issuer->iss.data,
                      remote->issuer->iss.len)
           != 0)
    {
        prov_auth_fetch_other(remote, iss);
        return NGX_ERROR;
    }

    if (!json_is_string(uri) || json_string_length(uri) > PROV_AUTH_MAX_URL) {
        prov_auth_remote_failed(remote, -1, "the discovery document has no "
                                "\"jwks_uri\", or one of more than %d bytes",
                                PROV_AUTH_MAX_URL);
        return NGX_ERROR;
    }

    url.data = (u_char *) json_string_value(uri);
    url.len = json_string_length(uri);

    if (prov_http_url_valid(&url, &why) != NGX_OK) {
        prov_auth_remote_failed(remote, -1, "the discovery document's "
                                "\"jwks_uri\" will not do: %s", why);
        return NGX_ERROR;
    }

    found = ngx_alloc(url.len + 1, ngx_cycle->log);
    if (found == NULL) {
        prov_auth_remote_failed(remote, -1, "no memory");
        return NGX_ERROR;
    }

    *ngx_cpymem(found, url.data, url.len) = '\0';

    if (remote->found) {
        ngx_free(remote->found);
    }

    remote->found = found;
    remote->discovered = remote->asked;

    return NGX_OK;
}


/* The two often differ by a slash: the log shows both, in print. */

static void
prov_auth_fetch_other(prov_auth_remote_t *remote, json_t *iss)
{
    u_char      *p, *last, text[256];
    const char  *c;

    p = text;
    last = text + sizeof(text);

    for (c = json_string_value(iss); c && *c && p < last; c++) {
        *p++ = (*c > 0x20 && *c < 0x7f && *c != '"') ? *c : '?';
    }

    prov_auth_remote_failed(remote, -1, "the discovery document is that of "
                            "another issuer: \"issuer\" is \"%*s\", "
                            "expected \"%V\"", (size_t) (p - text), text,
                            &remote->issuer->iss);
}


static void
prov_auth_fetch_answered(prov_http_request_t *r)
{
    prov_auth_remote_t  *remote;

    remote = r->data;

    if (prov_auth_fetch_good(remote, r, "key set") != NGX_OK) {
        return;
    }

    /* what comes of it needs no request any more, and copies the text */

    remote->http = NULL;

    prov_auth_remote_fetched(remote, &r->response,
                             prov_auth_schedule_age(&r->response_headers));

    prov_http_release(r);
}


/* Whether there is an answer to look at; else the fetch has failed. */

static ngx_int_t
prov_auth_fetch_good(prov_auth_remote_t *remote, prov_http_request_t *r,
    const char *what)
{
    if (r->error == PROV_HTTP_ANSWERED && r->status == 200) {
        return NGX_OK;
    }

    /* the request has what is to be logged, and is released after that */

    remote->http = NULL;

    if (r->error == PROV_HTTP_ANSWERED) {
        prov_auth_remote_failed(remote, r->retry_after,
                                "the request for the %s was answered with "
                                "status %ui", what, r->status);

    } else if (r->message[0]) {
        prov_auth_remote_failed(remote, r->retry_after,
                                "the request for the %s failed: %s (%s)",
                                what, prov_http_error_text(r->error),
                                r->message);

    } else {
        prov_auth_remote_failed(remote, r->retry_after,
                                "the request for the %s failed: %s", what,
                                prov_http_error_text(r->error));
    }

    prov_http_release(r);

    return NGX_ERROR;
}
