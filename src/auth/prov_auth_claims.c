/*
 * The claims of a token whose signature is valid (RFC 7519, section 4.1):
 * whether it is for us and for now (prov_auth_claims_valid.c), and who is
 * calling.  Called by the verifier.  Every bound that is exceeded is a
 * refusal, never a truncation: half a name may be somebody else's.
 */

#include "auth/prov_auth_private.h"
#include "auth/prov_auth_apikey.h"


static ngx_int_t prov_auth_claims_key(prov_json_value_t *payload,
    prov_auth_identity_t *identity, ngx_pool_t *pool,
    prov_auth_refusal_t *refusal);
static ngx_int_t prov_auth_claims_name(prov_json_value_t *value,
    ngx_str_t *claim, ngx_str_t *name, ngx_pool_t *pool,
    prov_auth_refusal_t *refusal);
static ngx_int_t prov_auth_claims_roles(prov_json_value_t *value,
    ngx_str_t *claim, prov_auth_identity_t *identity, ngx_pool_t *pool,
    prov_auth_refusal_t *refusal);
static ngx_int_t prov_auth_claims_split(ngx_str_t *words,
    prov_auth_identity_t *identity);
static ngx_int_t prov_auth_claims_role(prov_auth_identity_t *identity,
    u_char *data, size_t len);
static prov_json_value_t *prov_auth_claims_get(prov_json_value_t *payload,
    ngx_str_t *claim);
static ngx_uint_t prov_auth_claims_clean(u_char *data, size_t len);


ngx_int_t
prov_auth_claims(prov_auth_issuer_t *issuer, prov_json_value_t *payload,
    ngx_pool_t *pool, prov_auth_identity_t **identity,
    prov_auth_refusal_t *refusal)
{
    void                  *piece;
    ngx_int_t              rc;
    ngx_str_t              roles[PROV_AUTH_MAX_ROLES];
    ngx_str_t              networks[PROV_AUTH_MAX_NETWORKS];
    prov_json_value_t     *value;
    prov_auth_identity_t   found;

    ngx_memzero(&found, sizeof(prov_auth_identity_t));
    found.issuer = issuer;
    found.roles = roles;
    found.networks = networks;

    rc = prov_auth_claims_audience(issuer, payload, pool, refusal);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = prov_auth_claims_time(issuer, payload, pool, &found.expires,
                               refusal);
    if (rc != NGX_OK) {
        return rc;
    }

    value = prov_auth_claims_get(payload, &issuer->subject_claim);
    if (value == NULL) {
        return prov_auth_refuse_claim(refusal, pool, "token_claim_missing",
                                      (char *) issuer->subject_claim.data,
                                      "is missing");
    }

    rc = prov_auth_claims_name(value, &issuer->subject_claim, &found.subject,
                               pool, refusal);
    if (rc != NGX_OK) {
        return rc;
    }

    value = prov_auth_claims_get(payload, &issuer->partner_claim);
    if (value) {
        rc = prov_auth_claims_name(value, &issuer->partner_claim,
                                   &found.partner, pool, refusal);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    value = prov_auth_claims_get(payload, &issuer->roles_claim);

    rc = prov_auth_claims_roles(value, &issuer->roles_claim, &found, pool,
                                refusal);
    if (rc != NGX_OK) {
        return rc;
    }

    if (issuer->signer) {
        rc = prov_auth_claims_key(payload, &found, pool, refusal);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    piece = ngx_palloc(pool, prov_auth_identity_size(&found));
    if (piece == NULL) {
        return NGX_ERROR;
    }

    *identity = prov_auth_identity_copy(piece, &found);

    return NGX_OK;
}


/*
 * A token that a key has bought from our own signer: which key, and from
 * where.  It may do what its scope says.
 */

static ngx_int_t
prov_auth_claims_key(prov_json_value_t *payload,
    prov_auth_identity_t *identity, ngx_pool_t *pool,
    prov_auth_refusal_t *refusal)
{
    prov_json_value_t  *list, *value;

    value = prov_json_get(payload, "key");

    if (!prov_json_is_string(value)
        || value->text.len != PROV_AUTH_APIKEY_ID)
    {
        return prov_auth_refuse_claim(refusal, pool, "token_claim_invalid",
                                      "key", "is not the id of a key");
    }

    identity->key = value->text;
    identity->scoped = 1;

    list = prov_json_get(payload, "networks");

    if (list == NULL) {
        return NGX_OK;
    }

    /* all of its parts are members, where they are strings */

    if (!prov_json_is_array(list) || list->parts > PROV_AUTH_MAX_NETWORKS) {
        return prov_auth_refuse_claim(refusal, pool, "token_claim_invalid",
                                      "networks", "is not a list of them");
    }

    prov_json_each(list, value) {
        if (value->type != JSON_STRING) {
            return prov_auth_refuse_claim(refusal, pool,
                                          "token_claim_invalid", "networks",
                                          "has members that are not strings");
        }

        identity->networks[identity->nnetworks++] = value->text;
    }

    return NGX_OK;
}


/* A subject or a partner: a non-empty string that is safe to log and send. */

static ngx_int_t
prov_auth_claims_name(prov_json_value_t *value, ngx_str_t *claim,
    ngx_str_t *name, ngx_pool_t *pool, prov_auth_refusal_t *refusal)
{
    const char  *what;

    if (!prov_json_is_string(value)) {
        what = "is not a string";

    } else if (value->text.len == 0) {
        what = "is empty";

    } else if (value->text.len > PROV_AUTH_MAX_SUBJECT) {
        what = "is too long";

    } else if (!prov_auth_claims_clean(value->text.data, value->text.len)) {
        what = "has control characters";

    } else {
        *name = value->text;

        return NGX_OK;
    }

    return prov_auth_refuse_claim(refusal, pool, "token_claim_invalid",
                                  (char *) claim->data, what);
}


/* No claim, no roles: a token may be good for what needs none. */

static ngx_int_t
prov_auth_claims_roles(prov_json_value_t *value, ngx_str_t *claim,
    prov_auth_identity_t *identity, ngx_pool_t *pool,
    prov_auth_refusal_t *refusal)
{
    u_char              what[192];
    ngx_int_t           rc;
    prov_json_value_t  *role;

    rc = NGX_OK;

    if (value == NULL) {
        return NGX_OK;
    }

    if (prov_json_is_string(value)) {
        rc = prov_auth_claims_split(&value->text, identity);

    } else if (prov_json_is_array(value)) {

        prov_json_each(value, role) {

            if (role->type != JSON_STRING) {
                rc = NGX_DECLINED;
                break;
            }

            rc = prov_auth_claims_role(identity, role->text.data,
                                       role->text.len);
            if (rc != NGX_OK) {
                break;
            }
        }

    } else {
        rc = NGX_DECLINED;
    }

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    ngx_sprintf(what, "must be an array of strings or one string of words, "
                "with at most %d roles of 1 to %d bytes and no control "
                "characters%Z", PROV_AUTH_MAX_ROLES, PROV_AUTH_MAX_ROLE);

    return prov_auth_refuse_claim(refusal, pool, "token_claim_invalid",
                                  (char *) claim->data, (char *) what);
}


/* words as "scope" has them (RFC 6749, section 3.3) */

static ngx_int_t
prov_auth_claims_split(ngx_str_t *words, prov_auth_identity_t *identity)
{
    u_char     *p, *last, *start;
    ngx_int_t   rc;

    p = words->data;
    last = p + words->len;

    while (p < last) {

        if (*p == ' ') {
            p++;
            continue;
        }

        for (start = p; p < last && *p != ' '; p++) { /* void */ }

        rc = prov_auth_claims_role(identity, start, p - start);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
prov_auth_claims_role(prov_auth_identity_t *identity, u_char *data,
    size_t len)
{
    ngx_str_t  *role;

    if (identity->nroles == PROV_AUTH_MAX_ROLES
        || len == 0
        || len > PROV_AUTH_MAX_ROLE
        || !prov_auth_claims_clean(data, len))
    {
        return NGX_DECLINED;
    }

    role = &identity->roles[identity->nroles++];
    role->data = data;
    role->len = len;

    return NGX_OK;
}


/*
 * A claim by its name as it is ("https://example.com/roles"), or else by the
 * path that the name's dots make ("realm_access.roles").
 */

static prov_json_value_t *
prov_auth_claims_get(prov_json_value_t *payload, ngx_str_t *claim)
{
    char               *p, *dot, path[PROV_AUTH_MAX_CLAIM + 1];
    prov_json_value_t  *value;

    value = prov_json_get(payload, (char *) claim->data);

    if (value || ngx_strlchr(claim->data, claim->data + claim->len, '.')
                 == NULL)
    {
        return value;
    }

    ngx_memcpy(path, claim->data, claim->len + 1);

    value = payload;

    for (p = path; p && value; p = dot) {
        dot = strchr(p, '.');

        if (dot) {
            *dot++ = '\0';
        }

        value = prov_json_get(value, p);
    }

    return value;
}


/* No C0, DEL or C1; the JSON parser has seen to it that this is UTF-8. */

static ngx_uint_t
prov_auth_claims_clean(u_char *data, size_t len)
{
    u_char  *p, *last;

    p = data;
    last = p + len;

    for ( /* void */ ; p < last; p++) {

        if (*p < 0x20 || *p == 0x7f
            || (*p == 0xc2 && p + 1 < last && p[1] < 0xa0))
        {
            return 0;
        }
    }

    return 1;
}
