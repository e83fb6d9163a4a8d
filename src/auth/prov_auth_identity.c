/*
 * An identity as one piece of memory: the struct, its roles, their bytes.  So
 * it moves between a token's JSON, the cache and a request with one
 * allocation each, and no pointer leads back to where it came from.
 */

#include "auth/prov_auth_private.h"


static void prov_auth_identity_text(ngx_str_t *dst, ngx_str_t *src,
    u_char **p);


size_t
prov_auth_identity_size(prov_auth_identity_t *identity)
{
    size_t      size;
    ngx_uint_t  i;

    size = sizeof(prov_auth_identity_t)
           + (identity->nroles + identity->nnetworks) * sizeof(ngx_str_t)
           + identity->subject.len + identity->partner.len
           + identity->key.len;

    for (i = 0; i < identity->nroles; i++) {
        size += identity->roles[i].len;
    }

    for (i = 0; i < identity->nnetworks; i++) {
        size += identity->networks[i].len;
    }

    return size;
}


/* dst is aligned for a pointer and has prov_auth_identity_size() bytes. */

prov_auth_identity_t *
prov_auth_identity_copy(void *dst, prov_auth_identity_t *identity)
{
    u_char                *p;
    ngx_uint_t             i;
    prov_auth_identity_t  *copy;

    copy = dst;

    *copy = *identity;

    copy->roles = (ngx_str_t *) (copy + 1);
    copy->networks = copy->roles + copy->nroles;
    p = (u_char *) (copy->networks + copy->nnetworks);

    prov_auth_identity_text(&copy->subject, &identity->subject, &p);
    prov_auth_identity_text(&copy->partner, &identity->partner, &p);
    prov_auth_identity_text(&copy->key, &identity->key, &p);

    for (i = 0; i < copy->nroles; i++) {
        prov_auth_identity_text(&copy->roles[i], &identity->roles[i], &p);
    }

    for (i = 0; i < copy->nnetworks; i++) {
        prov_auth_identity_text(&copy->networks[i], &identity->networks[i],
                                &p);
    }

    return copy;
}


static void
prov_auth_identity_text(ngx_str_t *dst, ngx_str_t *src, u_char **p)
{
    dst->len = src->len;
    dst->data = *p;

    if (src->len) {
        *p = ngx_cpymem(*p, src->data, src->len);
    }
}
