/*
 * A request as libcurl's easy handle.  Everything that libcurl would do beyond
 * one request to one address (redirects, proxies of the environment, cookies,
 * .netrc, other protocols) is switched off here, and the address filter is put
 * where sockets are made.
 */

#include "http/prov_http_private.h"


#if (PROV_HAVE_CURL)

#include <openssl/err.h>
#include <openssl/ssl.h>


#define PROV_HTTP_AGENT  "nginx-provisioning"


static CURL *prov_http_transfer_easy(void);
static ngx_int_t prov_http_transfer_options(prov_http_request_t *r);
static ngx_int_t prov_http_transfer_method(prov_http_request_t *r);
static curl_socket_t prov_http_transfer_socket(void *data,
    curlsocktype purpose, struct curl_sockaddr *address);
static CURLcode prov_http_transfer_trust(CURL *easy, void *ssl_ctx,
    void *data);


/*
 * ANSWERED: it is under way, and libcurl's.  Else nothing of it is left but
 * the message.
 */

prov_http_error_e
prov_http_transfer_start(prov_http_request_t *r)
{
    CURLMcode  rc;

    r->easy = prov_http_transfer_easy();
    if (r->easy == NULL) {
        return PROV_HTTP_NO_MEMORY;
    }

    if (prov_http_headers(r) != NGX_OK
        || prov_http_transfer_method(r) != NGX_OK
        || prov_http_transfer_options(r) != NGX_OK)
    {
        prov_http_transfer_stop(r);
        return PROV_HTTP_NO_MEMORY;
    }

    rc = curl_multi_add_handle(prov_http_client.multi, r->easy);

    if (rc != CURLM_OK) {
        ngx_log_error(NGX_LOG_ALERT, prov_http_client.log, 0,
                      "curl_multi_add_handle() failed: %s",
                      curl_multi_strerror(rc));
        prov_http_transfer_stop(r);
        return PROV_HTTP_NO_MEMORY;
    }

    return PROV_HTTP_ANSWERED;
}


/* From any state: the handle is clean and spare, or gone. */

void
prov_http_transfer_stop(prov_http_request_t *r)
{
    CURL                *easy;
    prov_http_client_t  *client;

    client = &prov_http_client;
    easy = r->easy;

    if (easy) {
        r->easy = NULL;

        /* no harm where it is not among them */
        (void) curl_multi_remove_handle(client->multi, easy);

        curl_easy_reset(easy);

        if (client->nspare < client->conf->connections) {
            client->spare[client->nspare++] = easy;

        } else {
            curl_easy_cleanup(easy);
        }

        ERR_clear_error();
    }

    curl_slist_free_all(r->lines);
    r->lines = NULL;
}


static CURL *
prov_http_transfer_easy(void)
{
    prov_http_client_t  *client;

    client = &prov_http_client;

    if (client->nspare) {
        return client->spare[--client->nspare];
    }

    return curl_easy_init();
}


static ngx_int_t
prov_http_transfer_options(prov_http_request_t *r)
{
    CURL              *easy;
    ngx_msec_t         timeout, passed;
    const char        *protocols;
    prov_http_conf_t  *conf;

    easy = r->easy;
    conf = prov_http_client.conf;

    timeout = r->timeout ? r->timeout : conf->timeout;
    passed = ngx_current_msec - r->submitted;
    timeout = (passed < timeout) ? timeout - passed : 1;

    protocols = conf->plain_http ? "http,https" : "https";

    r->message[0] = '\0';

#define prov_http_option(name, value)                                         \
    curl_easy_setopt(easy, name, value) != CURLE_OK

    if (prov_http_option(CURLOPT_URL, r->url)
        || prov_http_option(CURLOPT_PRIVATE, r)
        || prov_http_option(CURLOPT_ERRORBUFFER, r->message)
        || prov_http_option(CURLOPT_HTTPHEADER,
                            (struct curl_slist *) r->lines)
        || prov_http_option(CURLOPT_SHARE, prov_http_client.shares[
                                prov_http_destination_share(r)])

        /* a worker never stops: no signals, no joining of threads that look
           up names */

        || prov_http_option(CURLOPT_NOSIGNAL, 1L)
        || prov_http_option(CURLOPT_QUICK_EXIT, 1L)
        || prov_http_option(CURLOPT_TIMEOUT_MS, (long) timeout)
        || prov_http_option(CURLOPT_CONNECTTIMEOUT_MS,
                            (long) conf->connect_timeout)

        /* one request to one address that was looked at */

        || prov_http_option(CURLOPT_OPENSOCKETFUNCTION,
                            prov_http_transfer_socket)
        || prov_http_option(CURLOPT_OPENSOCKETDATA, r)
        || prov_http_option(CURLOPT_PROTOCOLS_STR, protocols)
        || prov_http_option(CURLOPT_REDIR_PROTOCOLS_STR, protocols)
        || prov_http_option(CURLOPT_FOLLOWLOCATION, 0L)
        || prov_http_option(CURLOPT_PROXY, "")
        || prov_http_option(CURLOPT_NOPROXY, "*")
        || prov_http_option(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED)
        || prov_http_option(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L)
        || prov_http_option(CURLOPT_PATH_AS_IS, 1L)
        || prov_http_option(CURLOPT_HTTP_VERSION,
                            (long) CURL_HTTP_VERSION_1_1)

        /* a receiver that moves is found again; ages are in seconds */

        || prov_http_option(CURLOPT_DNS_CACHE_TIMEOUT, 30L)
        || prov_http_option(CURLOPT_MAXAGE_CONN, 60L)
        || prov_http_option(CURLOPT_MAXLIFETIME_CONN, 600L)

        || prov_http_option(CURLOPT_SSLVERSION,
                            (long) CURL_SSLVERSION_TLSv1_2)
        || prov_http_option(CURLOPT_SSL_VERIFYPEER, 1L)
        || prov_http_option(CURLOPT_SSL_VERIFYHOST, 2L)
        || prov_http_option(CURLOPT_CAINFO, NULL)
        || prov_http_option(CURLOPT_CAPATH, NULL)
        || prov_http_option(CURLOPT_SSL_CTX_FUNCTION,
                            prov_http_transfer_trust)

        || prov_http_option(CURLOPT_USERAGENT, PROV_HTTP_AGENT)
        || prov_http_option(CURLOPT_HEADERFUNCTION, prov_http_answer_header)
        || prov_http_option(CURLOPT_HEADERDATA, r)
        || prov_http_option(CURLOPT_WRITEFUNCTION, prov_http_answer_body)
        || prov_http_option(CURLOPT_WRITEDATA, r))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
prov_http_transfer_method(prov_http_request_t *r)
{
    CURL  *easy;

    easy = r->easy;

    /* a POST has a body, even an empty one; any other that has one is like
       a POST to libcurl, but for its name */

    if (r->body.len || ngx_strcmp(r->method, "POST") == 0) {

        if (prov_http_option(CURLOPT_POST, 1L)
            || prov_http_option(CURLOPT_POSTFIELDSIZE_LARGE,
                                (curl_off_t) r->body.len)
            || prov_http_option(CURLOPT_POSTFIELDS,
                                r->body.len ? (char *) r->body.data : ""))
        {
            return NGX_ERROR;
        }

    } else if (ngx_strcmp(r->method, "HEAD") == 0) {

        if (prov_http_option(CURLOPT_NOBODY, 1L)) {
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    if (prov_http_option(CURLOPT_CUSTOMREQUEST, r->method)) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * CURLOPT_OPENSOCKETFUNCTION: each address a name stands for, right before it
 * would be connected to.  A connection that is used again was let pass here
 * when it was made, by this worker and with this configuration.
 */

static curl_socket_t
prov_http_transfer_socket(void *data, curlsocktype purpose,
    struct curl_sockaddr *address)
{
    prov_http_request_t *r = data;

    size_t             n;
    const char        *reason;
    prov_http_conf_t  *conf;

    conf = prov_http_client.conf;

    reason = (purpose == CURLSOCKTYPE_IPCXN)
             ? prov_http_address_refused(&address->addr, address->addrlen,
                                         &conf->allow, &conf->deny)
             : "no connection of ours";

    if (reason) {
        n = ngx_sock_ntop(&address->addr, address->addrlen, r->address,
                          NGX_SOCKADDR_STRLEN, 0);
        r->address[n] = '\0';
        r->reason = reason;
        r->refused = 1;

        return CURL_SOCKET_BAD;
    }

    r->opened = 1;

    return socket(address->family, address->socktype | SOCK_CLOEXEC,
                  address->protocol);
}


/* CURLOPT_SSL_CTX_FUNCTION */

static CURLcode
prov_http_transfer_trust(CURL *easy, void *ssl_ctx, void *data)
{
    X509_STORE  *store;

    store = prov_http_client.conf->trust;

    X509_STORE_up_ref(store);
    SSL_CTX_set_cert_store(ssl_ctx, store);

    return CURLE_OK;
}

#endif
