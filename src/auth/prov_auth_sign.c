/*
 * A token for somebody who has shown an API key (RFC 9068 in its claims; its
 * "typ" is what libjwt 1.10 gives all its tokens): the claims, and the
 * signature by libjwt, which reads the PEM for each token.  With RSA that
 * takes longer than a worker should be held up for.
 */

#include "auth/prov_auth_signer.h"

#include "base/prov_id.h"

#include <jwt.h>


static json_t *prov_auth_sign_claims(prov_auth_signer_t *signer,
    prov_auth_identity_t *identity, ngx_str_t *scopes, ngx_uint_t nscopes,
    time_t lifetime);
static json_t *prov_auth_sign_scope(ngx_str_t *scopes, ngx_uint_t nscopes);
static json_t *prov_auth_sign_networks(prov_auth_identity_t *identity);


ngx_int_t
prov_auth_sign_prepare(prov_auth_signer_t *signer,
    prov_auth_identity_t *identity, ngx_str_t *scopes, ngx_uint_t nscopes,
    prov_auth_signing_t *signing)
{
    int                      rc;
    char                    *text;
    jwt_t                   *jwt;
    json_t                  *claims;
    prov_auth_signer_key_t  *key;

    signing->token = NULL;
    signing->jwt = NULL;

    if (jwt_new(&jwt) != 0) {
        return NGX_ERROR;
    }

    signing->jwt = jwt;
    key = &signer->keys[0];

    signing->lifetime = signer->lifetime;

    if (identity->expires) {
        signing->lifetime = ngx_min(signing->lifetime,
                                    identity->expires - ngx_time());
    }

    claims = prov_auth_sign_claims(signer, identity, scopes, nscopes,
                                   signing->lifetime);
    text = claims ? json_dumps(claims, JSON_COMPACT) : NULL;

    json_decref(claims);

    rc = text ? jwt_add_grants_json(jwt, text) : 1;

    free(text);

    /* kid is NUL-terminated, as all arguments of directives are */

    if (rc != 0
        || jwt_add_header(jwt, "kid", (char *) key->kid.data) != 0
        || jwt_set_alg(jwt, key->rsa ? JWT_ALG_RS256 : JWT_ALG_ES256,
                       key->pem.data, key->pem.len)
           != 0)
    {
        prov_auth_sign_free(signing);
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
prov_auth_sign(prov_auth_signing_t *signing)
{
    signing->token = jwt_encode_str(signing->jwt);
}


void
prov_auth_sign_free(prov_auth_signing_t *signing)
{
    if (signing->token) {
        free(signing->token);
        signing->token = NULL;
    }

    if (signing->jwt) {
        /* wipes its copy of the private key */
        jwt_free(signing->jwt);
        signing->jwt = NULL;
    }
}


static json_t *
prov_auth_sign_claims(prov_auth_signer_t *signer,
    prov_auth_identity_t *identity, ngx_str_t *scopes, ngx_uint_t nscopes,
    time_t lifetime)
{
    u_char       id[PROV_ID_LEN];
    json_t      *claims, *networks;
    json_int_t   now;

    if (prov_id_make(id) != NGX_OK) {
        return NULL;
    }

    now = ngx_time();

    claims = json_pack("{s:s%, s:s%, s:s%, s:s%, s:s%, s:s%, s:s%, s:I, s:I, "
                       "s:o}",
                       "iss", signer->iss.data, signer->iss.len,
                       "aud", signer->audience.data, signer->audience.len,
                       "sub", identity->key.data, identity->key.len,
                       "client_id", identity->key.data, identity->key.len,
                       "key", identity->key.data, identity->key.len,
                       "partner", identity->partner.data,
                       identity->partner.len,
                       "jti", id, (size_t) PROV_ID_LEN,
                       "iat", now, "exp", now + (json_int_t) lifetime,
                       "scope", prov_auth_sign_scope(scopes, nscopes));

    if (claims == NULL || identity->nnetworks == 0) {
        return claims;
    }

    /* from where the key may be used, so may the token */

    networks = prov_auth_sign_networks(identity);

    if (networks == NULL
        || json_object_set_new(claims, "networks", networks) != 0)
    {
        json_decref(claims);
        return NULL;
    }

    return claims;
}


/* with blanks between them (RFC 6749, section 3.3) */

static json_t *
prov_auth_sign_scope(ngx_str_t *scopes, ngx_uint_t nscopes)
{
    u_char      *p, text[PROV_AUTH_MAX_ROLES * (PROV_AUTH_MAX_ROLE + 1)];
    ngx_uint_t   i;

    p = text;

    for (i = 0; i < nscopes; i++) {
        if (p + scopes[i].len + 1 > text + sizeof(text)) {
            return NULL;
        }

        if (i) {
            *p++ = ' ';
        }

        p = ngx_cpymem(p, scopes[i].data, scopes[i].len);
    }

    return json_stringn((char *) text, p - text);
}


static json_t *
prov_auth_sign_networks(prov_auth_identity_t *identity)
{
    json_t      *list;
    ngx_str_t   *network;
    ngx_uint_t   i;

    list = json_array();
    network = identity->networks;

    for (i = 0; list && i < identity->nnetworks; i++) {
        if (json_array_append_new(list,
                                  json_stringn((char *) network[i].data,
                                               network[i].len))
            != 0)
        {
            json_decref(list);
            return NULL;
        }
    }

    return list;
}
