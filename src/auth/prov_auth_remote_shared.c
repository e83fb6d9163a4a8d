/*
 * The last good document of an issuer in shared memory: what one worker has
 * fetched the others need not, and the workers that a reload starts have keys
 * from their first request on, whether or not the issuer answers just then.
 * nginx hands the zone on as long as its name is the same, and the name says
 * where the document is from.
 */

#include "auth/prov_auth_remote.h"


/*
 * Two places for the text: a worker that is killed while it writes leaves the
 * other one whole.
 */

struct prov_auth_shared_s {
    prov_auth_version_t   version;
    ngx_uint_t            active;        /* index of the text */
    size_t                len[2];
    ngx_msec_t            failed;        /* when a fetch last did */
    ngx_uint_t            failing;       /* it was the last one */
    u_char                text[2][PROV_AUTH_MAX_FETCHED];
};


static ngx_int_t prov_auth_shared_init(ngx_shm_zone_t *zone, void *data);
static prov_auth_shared_t *prov_auth_shared_lock(ngx_shm_zone_t *zone);
static void prov_auth_shared_unlock(ngx_shm_zone_t *zone);


/* its address tells our zones from others of the same name */
static u_char  prov_auth_shared_tag;


ngx_shm_zone_t *
prov_auth_shared_add(ngx_conf_t *cf, prov_auth_issuer_t *issuer)
{
    size_t           size;
    ngx_str_t        name, none;
    ngx_shm_zone_t  *zone;

    ngx_str_null(&none);

    size = sizeof("provisioning_issuer \"\" at  for ") + issuer->name.len
           + issuer->source->url.len + issuer->iss.len;

    name.data = ngx_pnalloc(cf->pool, size);
    if (name.data == NULL) {
        return NULL;
    }

    name.len = ngx_sprintf(name.data, "provisioning_issuer \"%V\" at %V%s%V",
                           &issuer->name, &issuer->source->url,
                           issuer->source->discovery ? " for " : "",
                           issuer->source->discovery ? &issuer->iss : &none)
               - name.data;

    /* the slab allocator's own, and what it rounds up */

    size = ngx_align(sizeof(prov_auth_shared_t), ngx_pagesize)
           + 8 * ngx_pagesize;

    zone = ngx_shared_memory_add(cf, &name, size, &prov_auth_shared_tag);
    if (zone == NULL) {
        return NULL;
    }

    zone->init = prov_auth_shared_init;

    return zone;
}


static ngx_int_t
prov_auth_shared_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t  *slab;

    if (data) {
        zone->data = data;
        return NGX_OK;
    }

    slab = (ngx_slab_pool_t *) zone->shm.addr;

    if (zone->shm.exists) {
        zone->data = slab->data;
        return NGX_OK;
    }

    zone->data = ngx_slab_calloc(slab, sizeof(prov_auth_shared_t));
    slab->data = zone->data;

    return zone->data ? NGX_OK : NGX_ERROR;
}


static prov_auth_shared_t *
prov_auth_shared_lock(ngx_shm_zone_t *zone)
{
    ngx_shmtx_lock(&((ngx_slab_pool_t *) zone->shm.addr)->mutex);

    return zone->data;
}


static void
prov_auth_shared_unlock(ngx_shm_zone_t *zone)
{
    ngx_shmtx_unlock(&((ngx_slab_pool_t *) zone->shm.addr)->mutex);
}


void
prov_auth_shared_version(ngx_shm_zone_t *zone, prov_auth_version_t *version)
{
    *version = prov_auth_shared_lock(zone)->version;

    prov_auth_shared_unlock(zone);
}


/* A copy of the document; NULL: there is none, or no memory. */

prov_auth_keyset_t *
prov_auth_shared_load(prov_auth_issuer_t *issuer)
{
    ngx_shm_zone_t      *zone;
    prov_auth_keyset_t  *keyset;
    prov_auth_shared_t  *shared;

    zone = issuer->source->zone;

    keyset = prov_auth_keyset_create(issuer, NULL, PROV_AUTH_MAX_FETCHED);
    if (keyset == NULL) {
        return NULL;
    }

    shared = prov_auth_shared_lock(zone);

    keyset->version = shared->version;
    keyset->text.len = shared->len[shared->active];
    ngx_memcpy(keyset->text.data, shared->text[shared->active],
               keyset->text.len);

    prov_auth_shared_unlock(zone);

    if (keyset->version.revision == 0) {
        prov_auth_keyset_free(keyset);
        return NULL;
    }

    return keyset;
}


/*
 * Sets version->revision, which is another one only when the text is.  What
 * was asked for earlier than what is there is not stored; 0 when it differs.
 */

void
prov_auth_shared_store(ngx_shm_zone_t *zone, ngx_str_t *text,
    prov_auth_version_t *version)
{
    ngx_uint_t           i, same, late;
    prov_auth_shared_t  *shared;

    shared = prov_auth_shared_lock(zone);

    shared->failing = 0;

    i = shared->active;

    same = shared->version.revision && shared->len[i] == text->len
           && ngx_memcmp(shared->text[i], text->data, text->len) == 0;

    late = shared->version.revision
           && (ngx_msec_int_t) (version->fetched - shared->version.fetched)
              < 0;

    if (late) {
        version->revision = same ? shared->version.revision : 0;

        prov_auth_shared_unlock(zone);
        return;
    }

    version->revision = shared->version.revision + !same;

    if (!same) {
        i = !i;

        ngx_memcpy(shared->text[i], text->data, text->len);
        shared->len[i] = text->len;
    }

    /* the revision goes first: no text is ever known by that of another */

    shared->version = *version;
    ngx_memory_barrier();
    shared->active = i;

    prov_auth_shared_unlock(zone);
}


void
prov_auth_shared_failed(ngx_shm_zone_t *zone)
{
    prov_auth_shared_t  *shared;

    shared = prov_auth_shared_lock(zone);

    shared->failed = ngx_current_msec;
    shared->failing = 1;

    prov_auth_shared_unlock(zone);
}


/* Whether a worker's fetch has failed so lately, and none succeeded since. */

ngx_uint_t
prov_auth_shared_failing(ngx_shm_zone_t *zone, ngx_msec_t cooldown)
{
    ngx_uint_t           failing;
    prov_auth_shared_t  *shared;

    shared = prov_auth_shared_lock(zone);

    failing = shared->failing
              && (ngx_msec_int_t) (ngx_current_msec - shared->failed)
                 < (ngx_msec_int_t) cooldown;

    prov_auth_shared_unlock(zone);

    return failing;
}
