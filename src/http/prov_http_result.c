/*
 * What became of a transfer: libcurl's word for it as one of ours, with a line
 * for the log, and a sentence for those whom that does not concern.
 */

#include "http/prov_http_private.h"


#if (PROV_HAVE_CURL)

static prov_http_error_e prov_http_result_error(prov_http_request_t *r,
    CURLcode code);
static void prov_http_result_message(prov_http_request_t *r, CURLcode code);


/* What became of a transfer that has ended by itself; stops it. */

prov_http_error_e
prov_http_transfer_result(prov_http_request_t *r, CURLcode code)
{
    long               status;
    prov_http_error_e  error;

    status = 0;

    if (curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status)
        == CURLE_OK)
    {
        r->status = (ngx_uint_t) status;
    }

    error = prov_http_result_error(r, code);

    prov_http_transfer_stop(r);

    if (error == PROV_HTTP_ANSWERED) {
        r->message[0] = '\0';

    } else {
        prov_http_result_message(r, code);
    }

    return error;
}


static prov_http_error_e
prov_http_result_error(prov_http_request_t *r, CURLcode code)
{
    curl_off_t  resolved;

    if (r->exhausted) {
        return PROV_HTTP_NO_MEMORY;
    }

    if (r->overheaded) {
        return PROV_HTTP_TOO_LARGE;
    }

    if (r->overlong) {
        return r->cut ? PROV_HTTP_ANSWERED : PROV_HTTP_TOO_LARGE;
    }

    switch (code) {

    case CURLE_OK:
        return PROV_HTTP_ANSWERED;

    case CURLE_URL_MALFORMAT:
        return PROV_HTTP_BAD_URL;

    case CURLE_OUT_OF_MEMORY:
        return PROV_HTTP_NO_MEMORY;

    case CURLE_COULDNT_RESOLVE_HOST:
        return PROV_HTTP_UNRESOLVED;

    case CURLE_COULDNT_CONNECT:
        return (r->refused && !r->opened) ? PROV_HTTP_REFUSED_ADDRESS
                                          : PROV_HTTP_UNREACHABLE;

    case CURLE_OPERATION_TIMEDOUT:

        resolved = 0;
        (void) curl_easy_getinfo(r->easy, CURLINFO_NAMELOOKUP_TIME_T,
                                 &resolved);

        return resolved ? PROV_HTTP_TIMEOUT : PROV_HTTP_UNRESOLVED;

    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_USE_SSL_FAILED:
        return PROV_HTTP_TLS;

    default:
        return PROV_HTTP_BROKEN;
    }
}


/* One line, whatever the other side has put into it. */

static void
prov_http_result_message(prov_http_request_t *r, CURLcode code)
{
    char  *p;

    if (r->refused && !r->opened) {
        ngx_snprintf((u_char *) r->message, sizeof(r->message),
                     "%s is %s%Z", r->address, r->reason);

    } else if (r->overheaded || r->overlong) {
        ngx_snprintf((u_char *) r->message, sizeof(r->message),
                     "the %s too long%Z", r->overlong ? "response is"
                                                      : "headers are");

    } else if (r->message[0] == '\0') {
        ngx_cpystrn((u_char *) r->message,
                    (u_char *) curl_easy_strerror(code), sizeof(r->message));
    }

    for (p = r->message; *p; p++) {
        if ((u_char) *p < 0x20 || *p == 0x7f) {
            *p = ' ';
        }
    }
}

#endif


const char *
prov_http_error_text(prov_http_error_e error)
{
    switch (error) {

    case PROV_HTTP_ANSWERED:
        return "The server has answered.";

    case PROV_HTTP_BAD_URL:
        return "The URL cannot be sent to.";

    case PROV_HTTP_REFUSED_ADDRESS:
        return "The host's address is not public; requests go to public "
               "addresses only.";

    case PROV_HTTP_UNRESOLVED:
        return "The host's name could not be resolved.";

    case PROV_HTTP_UNREACHABLE:
        return "No connection to the host could be made.";

    case PROV_HTTP_TLS:
        return "No TLS connection could be made: the handshake failed, or "
               "the host's certificate is not trusted or is another host's.";

    case PROV_HTTP_TIMEOUT:
        return "The server did not answer in time.";

    case PROV_HTTP_TOO_LARGE:
        return "The answer was too long.";

    case PROV_HTTP_BROKEN:
        return "The connection was closed before there was a whole answer, "
               "or the answer was not HTTP.";

    case PROV_HTTP_BREAKER_OPEN:
        return "The host has failed several times on end; it is tried again "
               "later.";

    case PROV_HTTP_BAD_REQUEST:
        return "The request cannot be sent: its method or one of its headers "
               "is not allowed.";

    case PROV_HTTP_BUSY:
    case PROV_HTTP_NO_MEMORY:
        break;
    }

    return "The request was not sent, since there was no room for it; it is "
           "tried again later.";
}
