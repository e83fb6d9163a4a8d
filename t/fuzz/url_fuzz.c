/*
 * Fuzz target for URLs that requests are sent to: the text is the URL.  What
 * is accepted, libcurl has to read in the same way, and getaddrinfo() the
 * host of an address; what is in a refused network must not be accepted.
 *
 *     clang -fsanitize=fuzzer,address,undefined … -lcurl && ./fuzz corpus/url
 */

#include "http/prov_http_private.h"
#include "ngx_shim.h"

#include <curl/curl.h>
#include <netdb.h>
#include <stdio.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
must(int true)
{
    if (!true) {
        abort();
    }
}


static void
must_part(CURLU *u, CURLUPart part, unsigned flags, const char *expected)
{
    char  *text;

    must(curl_url_get(u, part, &text, flags) == CURLUE_OK);
    must(strcasecmp(text, expected) == 0);
    curl_free(text);
}


static void
libcurl_agrees(char *url, prov_http_url_t *parts)
{
    char   host[300], port[8], *text, *slash;
    CURLU *u;

    u = curl_url();
    must(curl_url_set(u, CURLUPART_URL, url,
                      CURLU_DISALLOW_USER|CURLU_PATH_AS_IS)
         == CURLUE_OK);

    if (parts->address_len == sizeof(struct sockaddr_in6)) {

        /* which it may write in another way */

        struct in6_addr  address;

        must(curl_url_get(u, CURLUPART_HOST, &text, 0) == CURLUE_OK);
        must(text[0] == '[' && text[strlen(text) - 1] == ']');
        text[strlen(text) - 1] = '\0';
        must(inet_pton(AF_INET6, text + 1, &address) == 1);
        must(memcmp(&address, &parts->address.sin6_addr, 16) == 0);
        curl_free(text);

    } else {
        snprintf(host, sizeof(host), "%.*s", (int) parts->host.len,
                 parts->host.data);
        must_part(u, CURLUPART_HOST, 0, host);
    }

    snprintf(port, sizeof(port), "%u", parts->port);
    must_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, port);
    must_part(u, CURLUPART_SCHEME, 0, parts->secure ? "https" : "http");

    must(curl_url_get(u, CURLUPART_USER, &text, 0) == CURLUE_NO_USER);
    must(curl_url_get(u, CURLUPART_FRAGMENT, &text, 0)
         == CURLUE_NO_FRAGMENT);

    /* the path is sent as it was written */

    slash = strpbrk(url + (parts->secure ? 8 : 7), "/?");

    must(curl_url_get(u, CURLUPART_PATH, &text, 0) == CURLUE_OK);
    must(slash && *slash == '/'
         ? strncmp(text, slash, strcspn(slash, "?")) == 0
         : strcmp(text, "/") == 0);
    curl_free(text);

    curl_url_cleanup(u);
}


/* a literal is what the resolver takes it for, and a name is no literal */

static void
resolver_agrees(prov_http_url_t *parts)
{
    char              host[300];
    struct addrinfo   hints, *list;

    snprintf(host, sizeof(host), "%.*s", (int) parts->host.len,
             parts->host.data);

    memset(&hints, 0, sizeof(hints));
    hints.ai_flags = AI_NUMERICHOST;
    hints.ai_socktype = SOCK_STREAM;

    if (getaddrinfo(host, NULL, &hints, &list) != 0) {
        must(!parts->literal);
        return;
    }

    must(parts->literal && list->ai_family == parts->address.sin6_family);

    if (list->ai_family == AF_INET) {
        must(memcmp(&((struct sockaddr_in *) list->ai_addr)->sin_addr,
                    &((struct sockaddr_in *) &parts->address)->sin_addr, 4)
             == 0);

    } else {
        must(memcmp(&((struct sockaddr_in6 *) list->ai_addr)->sin6_addr,
                    &parts->address.sin6_addr, 16)
             == 0);
    }

    freeaddrinfo(list);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char             *copy;
    ngx_str_t         url;
    const char       *why;
    prov_http_url_t   parts;

    url.len = size;
    url.data = malloc(size ? size : 1);
    memcpy(url.data, data, size);

    copy = malloc(size + 1);
    memcpy(copy, data, size);
    copy[size] = '\0';

    why = NULL;

    if (prov_http_url_parse(&url, &parts, &why) == NGX_OK) {

        must(strlen(copy) == size && size <= PROV_HTTP_URL);
        must(parts.port > 0 && parts.host.len > 0);

        libcurl_agrees(copy, &parts);
        resolver_agrees(&parts);

        /* by default nothing but https, and nothing that is not public */

        why = NULL;

        if (prov_http_url_check(NULL, &url, &why) == NGX_OK) {
            must(parts.secure);
            must(!parts.literal
                 || prov_http_address_refused(
                        (struct sockaddr *) &parts.address,
                        parts.address_len, NULL, NULL)
                    == NULL);

        } else {
            must(why != NULL);
        }

    } else {
        must(why != NULL);
    }

    free(copy);
    free(url.data);

    return 0;
}
