/*
 * An identity as one piece of memory: the struct, its roles, their bytes.  So
 * it moves between a token's JSON, the cache and a request with one
 * allocation each, and no pointer leads back to where it came from.  And as
 * JSON, for the database.
 */

#include "auth/prov_auth_private.h"
#include "base/prov_json_write.h"


#define prov_identity_put(p, text)  ngx_cpymem(p, text, sizeof(text) - 1)

/* name is a literal, with all that stands before the value */
#define prov_identity_member(p, name, value)                                  \
    prov_json_quote(prov_identity_put(p, name), value)


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
           + identity->key.len + identity->told.len;

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
    prov_auth_identity_text(&copy->told, &identity->told, &p);

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


size_t
prov_auth_identity_told_len(prov_auth_identity_t *identity)
{
    size_t      len;
    ngx_uint_t  i;

    if (identity->told.len) {
        return identity->told.len;
    }

    len = sizeof(",\"partner\":") + sizeof(",\"principal\":{\"kind\":\"user\"")
          + sizeof(",\"subject\":") + sizeof(",\"issuer\":")
          + sizeof(",\"key\":") + sizeof(",\"scopes\":[]}")
          + prov_json_quoted(identity->subject.len)
          + prov_json_quoted(identity->issuer->iss.len)
          + prov_json_quoted(identity->partner.len)
          + prov_json_quoted(identity->key.len);

    for (i = 0; i < identity->nroles; i++) {
        len += prov_json_quoted(identity->roles[i].len) + 1;
    }

    return len;
}


u_char *
prov_auth_identity_told(u_char *p, prov_auth_identity_t *identity)
{
    ngx_uint_t  i;

    if (identity->told.len) {
        return ngx_cpymem(p, identity->told.data, identity->told.len);
    }

    if (identity->partner.len) {
        p = prov_identity_member(p, ",\"partner\":", &identity->partner);
    }

    p = identity->key.len
        ? prov_identity_put(p, ",\"principal\":{\"kind\":\"key\"")
        : prov_identity_put(p, ",\"principal\":{\"kind\":\"user\"");
    p = prov_identity_member(p, ",\"subject\":", &identity->subject);
    p = prov_identity_member(p, ",\"issuer\":", &identity->issuer->iss);

    if (identity->key.len) {
        p = prov_identity_member(p, ",\"key\":", &identity->key);
    }

    p = identity->scoped ? prov_identity_put(p, ",\"scopes\":[")
                         : prov_identity_put(p, ",\"roles\":[");

    for (i = 0; i < identity->nroles; i++) {
        if (i) {
            *p++ = ',';
        }

        p = prov_json_quote(p, &identity->roles[i]);
    }

    *p++ = ']';
    *p++ = '}';

    return p;
}
