/*
 * What src/http says of addresses, URLs and networks, one a line, for
 * t/outbound_address.t: "address 10.0.0.1", "url https://…", "network …".
 * "allow …", "deny …" and "plain" change the configuration from there on,
 * "reset" makes it the default one again.
 */

#include "http/prov_http_private.h"
#include "ngx_shim.h"

#include <stdio.h>


#define VERDICT_LINE  8192


static const char *
verdict_address(const char *text, prov_http_conf_t *conf)
{
    const char           *reason;
    struct sockaddr_in    sin;
    struct sockaddr_in6   sin6;

    memset(&sin, 0, sizeof(sin));
    memset(&sin6, 0, sizeof(sin6));

    if (inet_pton(AF_INET, text, &sin.sin_addr) == 1) {
        sin.sin_family = AF_INET;
        reason = prov_http_address_refused((struct sockaddr *) &sin,
                                           sizeof(sin), &conf->allow,
                                           &conf->deny);

    } else if (inet_pton(AF_INET6, text, &sin6.sin6_addr) == 1) {
        sin6.sin6_family = AF_INET6;
        reason = prov_http_address_refused((struct sockaddr *) &sin6,
                                           sizeof(sin6), &conf->allow,
                                           &conf->deny);

    } else {
        return "no address";
    }

    return reason ? reason : "ok";
}


/* what is no address of the Internet, or not all of one */

static void
verdict_families(void)
{
    struct sockaddr_un   un;
    struct sockaddr_in   sin;
    struct sockaddr_in6  sin6;

    memset(&un, 0, sizeof(un));
    un.sun_family = AF_UNIX;
    strcpy(un.sun_path, "/run/docker.sock");

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(0x08080808);

    memset(&sin6, 0, sizeof(sin6));
    sin6.sin6_family = AF_INET6;
    sin6.sin6_addr.s6_addr[0] = 0x2a;

    printf("%d %d %d %d %d\n",
           prov_http_address_refused((struct sockaddr *) &un, sizeof(un),
                                     NULL, NULL) != NULL,
           prov_http_address_refused((struct sockaddr *) &sin,
                                     sizeof(sin) - 1, NULL, NULL) != NULL,
           prov_http_address_refused((struct sockaddr *) &sin6,
                                     sizeof(sin6) - 1, NULL, NULL) != NULL,
           prov_http_address_refused((struct sockaddr *) &sin, sizeof(sin),
                                     NULL, NULL) != NULL,
           prov_http_address_refused((struct sockaddr *) &sin6, sizeof(sin6),
                                     NULL, NULL) != NULL);
}


static const char *
verdict_network(ngx_array_t *networks, ngx_str_t *text)
{
    const char           *why;
    prov_http_network_t  *network;

    network = ngx_array_push(networks);

    if (prov_http_network_parse(text, network, &why) != NGX_OK) {
        networks->nelts--;
        return why;
    }

    return "ok";
}


int
main(void)
{
    char                line[VERDICT_LINE], *value;
    size_t              len;
    ngx_str_t           text;
    const char         *why;
    ngx_array_t         none;
    ngx_pool_t         *pool;
    prov_http_conf_t    conf;

    pool = ngx_create_pool(4096, ngx_shim_log());

    memset(&conf, 0, sizeof(conf));
    ngx_array_init(&conf.allow, pool, 4, sizeof(prov_http_network_t));
    ngx_array_init(&conf.deny, pool, 4, sizeof(prov_http_network_t));
    ngx_array_init(&none, pool, 4, sizeof(prov_http_network_t));

    while (fgets(line, sizeof(line), stdin)) {

        len = strcspn(line, "\n");
        line[len] = '\0';

        value = line + strcspn(line, " ");
        if (*value) {
            *value++ = '\0';
        }

        /* with no byte more than there is */

        text.len = line + len - value;
        text.data = malloc(text.len ? text.len : 1);
        memcpy(text.data, value, text.len);

        if (strcmp(line, "address") == 0) {
            puts(verdict_address(value, &conf));

        } else if (strcmp(line, "url") == 0) {
            puts(prov_http_url_check(&conf, &text, &why) == NGX_OK ? "ok"
                                                                   : why);

        } else if (strcmp(line, "network") == 0) {
            puts(verdict_network(&none, &text));

        } else if (strcmp(line, "allow") == 0) {
            puts(verdict_network(&conf.allow, &text));

        } else if (strcmp(line, "deny") == 0) {
            puts(verdict_network(&conf.deny, &text));

        } else if (strcmp(line, "families") == 0) {
            verdict_families();

        } else if (strcmp(line, "plain") == 0) {
            conf.plain_http = 1;
            puts("ok");

        } else {
            conf.plain_http = 0;
            conf.allow.nelts = 0;
            conf.deny.nelts = 0;
            puts("ok");
        }

        free(text.data);
    }

    ngx_destroy_pool(pool);

    return 0;
}
