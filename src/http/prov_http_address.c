/*
 * Which addresses are connected to: public ones, and what the operator has
 * opened.  Asked with the very address, after its name was resolved and
 * before a socket exists, so nothing that a name or a URL does beforehand
 * counts.  The tables are the IANA special-purpose address registries, with
 * what is reserved, multicast or deprecated besides.
 */

#include "http/prov_http_private.h"


typedef struct {
    uint32_t               address;
    ngx_uint_t             bits;
    const char            *use;
} prov_http_special4_t;

typedef struct {
    u_char                 address[16];
    ngx_uint_t             bits;
    const char            *use;
} prov_http_special6_t;


static const char *prov_http_address_special4(const u_char *address);
static const char *prov_http_address_special6(const u_char *address);
static ngx_uint_t prov_http_address_in(const u_char *address,
    ngx_array_t *networks);
static ngx_uint_t prov_http_address_match(const u_char *address,
    const u_char *network, ngx_uint_t bits);


static const u_char  prov_http_mapped[16] =
    { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static const u_char  prov_http_nat64[16] = { 0, 0x64, 0xff, 0x9b };


static const prov_http_special4_t  prov_http_special4[] = {

    { 0x00000000, 8, "this network (0.0.0.0/8)" },
    { 0x0a000000, 8, "private (10.0.0.0/8)" },
    { 0x64400000, 10, "shared by carriers (100.64.0.0/10)" },
    { 0x7f000000, 8, "loopback (127.0.0.0/8)" },
    { 0xa83f8110, 32, "a platform's metadata (168.63.129.16)" },
    { 0xa9fe0000, 16, "link-local, metadata (169.254.0.0/16)" },
    { 0xac100000, 12, "private (172.16.0.0/12)" },
    { 0xc0000000, 24, "for protocols (192.0.0.0/24)" },
    { 0xc0000200, 24, "documentation (192.0.2.0/24)" },
    { 0xc01fc400, 24, "AS112 (192.31.196.0/24)" },
    { 0xc034c100, 24, "AMT (192.52.193.0/24)" },
    { 0xc0586300, 24, "6to4 relays (192.88.99.0/24)" },
    { 0xc0a80000, 16, "private (192.168.0.0/16)" },
    { 0xc0af3000, 24, "AS112 (192.175.48.0/24)" },
    { 0xc6120000, 15, "benchmarks (198.18.0.0/15)" },
    { 0xc6336400, 24, "documentation (198.51.100.0/24)" },
    { 0xcb007100, 24, "documentation (203.0.113.0/24)" },
    { 0xe0000000, 4, "multicast (224.0.0.0/4)" },
    { 0xf0000000, 4, "reserved (240.0.0.0/4)" },

    { 0, 0, NULL }
};


/* what is special within 2000::/3; nothing else is global unicast */

static const prov_http_special6_t  prov_http_special6[] = {

    { { 0x20, 0x01 }, 23, "for protocols, Teredo (2001::/23)" },
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32, "documentation (2001:db8::/32)" },
    { { 0x20, 0x02 }, 16, "6to4 (2002::/16)" },
    { { 0x26, 0x20, 0x00, 0x4f, 0x80 }, 48, "AS112 (2620:4f:8000::/48)" },
    { { 0x3f, 0xfe }, 16, "6bone (3ffe::/16)" },
    { { 0x3f, 0xff }, 20, "documentation (3fff::/20)" },

    { { 0 }, 0, NULL }
};


/* the names of what is outside of it */

static const prov_http_special6_t  prov_http_special6_other[] = {

    { { 0 }, 128, "unspecified (::)" },
    { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, 128,
      "loopback (::1)" },
    { { 0 }, 96, "IPv4-compatible (::/96)" },
    { { 0, 0x64, 0xff, 0x9b, 0, 1 }, 48, "local NAT64 (64:ff9b:1::/48)" },
    { { 0x01 }, 64, "discard-only (100::/64)" },
    { { 0x5f }, 16, "segment routing (5f00::/16)" },
    { { 0xfc }, 7, "unique-local (fc00::/7)" },
    { { 0xfe, 0x80 }, 10, "link-local (fe80::/10)" },
    { { 0xfe, 0xc0 }, 10, "site-local (fec0::/10)" },
    { { 0xff }, 8, "multicast (ff00::/8)" },

    { { 0 }, 0, "not global unicast" }
};


const char *
prov_http_address_refused(struct sockaddr *sa, socklen_t len,
    ngx_array_t *allow, ngx_array_t *deny)
{
    u_char                address[16];
    struct sockaddr_in   *sin;
    struct sockaddr_in6  *sin6;

    if (sa->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        sin = (struct sockaddr_in *) sa;
        ngx_memcpy(address, prov_http_mapped, 12);
        ngx_memcpy(address + 12, &sin->sin_addr, 4);

    } else if (sa->sa_family == AF_INET6
               && len >= sizeof(struct sockaddr_in6))
    {
        sin6 = (struct sockaddr_in6 *) sa;
        ngx_memcpy(address, &sin6->sin6_addr, 16);

    } else {
        return "no Internet address";
    }

    if (prov_http_address_in(address, deny)) {
        return "in deny_network";
    }

    if (prov_http_address_in(address, allow)) {
        return NULL;
    }

    /* what a translator makes of it (RFC 6052) is what is connected to */

    if (prov_http_address_match(address, prov_http_nat64, 96)) {
        ngx_memcpy(address, prov_http_mapped, 12);

        if (prov_http_address_in(address, deny)) {
            return "in deny_network";
        }

        if (prov_http_address_in(address, allow)) {
            return NULL;
        }
    }

    if (prov_http_address_match(address, prov_http_mapped, 96)) {
        return prov_http_address_special4(address + 12);
    }

    return prov_http_address_special6(address);
}


static const char *
prov_http_address_special4(const u_char *address)
{
    uint32_t                     n;
    const prov_http_special4_t  *s;

    n = (uint32_t) address[0] << 24 | (uint32_t) address[1] << 16
        | (uint32_t) address[2] << 8 | address[3];

    for (s = prov_http_special4; s->use; s++) {
        if ((n ^ s->address) >> (32 - s->bits) == 0) {
            return s->use;
        }
    }

    return NULL;
}


static const char *
prov_http_address_special6(const u_char *address)
{
    const prov_http_special6_t  *s;

    if (address[0] >> 5 != 1) {
        s = prov_http_special6_other;

        while (!prov_http_address_match(address, s->address, s->bits)) {
            s++;
        }

        return s->use;
    }

    for (s = prov_http_special6; s->use; s++) {
        if (prov_http_address_match(address, s->address, s->bits)) {
            return s->use;
        }
    }

    /* ISATAP (RFC 5214): whoever has such an interface sends it to the IPv4
       address in it, whatever the first half is */

    if ((address[8] & ~2) == 0 && address[9] == 0 && address[10] == 0x5e
        && address[11] == 0xfe)
    {
        return prov_http_address_special4(address + 12);
    }

    return NULL;
}


static ngx_uint_t
prov_http_address_in(const u_char *address, ngx_array_t *networks)
{
    ngx_uint_t            i;
    prov_http_network_t  *network;

    if (networks == NULL) {
        return 0;
    }

    network = networks->elts;

    for (i = 0; i < networks->nelts; i++) {
        if (prov_http_address_match(address, network[i].address,
                                    network[i].bits))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
prov_http_address_match(const u_char *address, const u_char *network,
    ngx_uint_t bits)
{
    ngx_uint_t  n;

    n = bits / 8;

    if (ngx_memcmp(address, network, n) != 0) {
        return 0;
    }

    return bits % 8 == 0
           || (address[n] ^ network[n]) >> (8 - bits % 8) == 0;
}


ngx_int_t
prov_http_network_parse(ngx_str_t *text, prov_http_network_t *network,
    const char **why)
{
    char         address[INET6_ADDRSTRLEN];
    size_t       len;
    u_char      *slash, *last;
    ngx_int_t    bits, max;
    ngx_uint_t   i;

    last = text->data + text->len;

    slash = ngx_strlchr(text->data, last, '/');
    len = (slash ? slash : last) - text->data;

    *why = "is no address, and no network as \"10.0.0.0/8\" or \"fd00::/8\"";

    if (len >= sizeof(address)) {
        return NGX_DECLINED;
    }

    ngx_memcpy(address, text->data, len);
    address[len] = '\0';

    if (inet_pton(AF_INET6, address, network->address) == 1) {
        max = 128;

    } else if (inet_pton(AF_INET, address, network->address + 12) == 1) {
        ngx_memcpy(network->address, prov_http_mapped, 12);
        max = 32;

    } else {
        return NGX_DECLINED;
    }

    bits = max;

    if (slash) {
        bits = ngx_atoi(slash + 1, last - slash - 1);

        if (bits == NGX_ERROR || bits > max) {
            return NGX_DECLINED;
        }
    }

    network->bits = bits + 128 - max;

    for (i = network->bits; i < 128; i++) {
        if (network->address[i / 8] & (0x80 >> i % 8)) {
            *why = "has bits set beyond its length";
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}
