/*
 * Whether a token whose signature is valid is meant for us, and for now (RFC
 * 7519, section 4.1).  Called by prov_auth_claims.c.
 */

#include "auth/prov_auth_private.h"


static ngx_uint_t prov_auth_claims_is_audience(prov_auth_issuer_t *issuer,
    ngx_str_t *value);
static ngx_int_t prov_auth_claims_date(prov_json_value_t *payload,
    const char *name, time_t *date, ngx_pool_t *pool,
    prov_auth_refusal_t *refusal);


/* "aud": a string or an array of strings (RFC 7519, section 4.1.3) */

ngx_int_t
prov_auth_claims_audience(prov_auth_issuer_t *issuer,
    prov_json_value_t *payload, ngx_pool_t *pool,
    prov_auth_refusal_t *refusal)
{
    ngx_uint_t          found;
    prov_json_value_t  *aud, *value;

    aud = prov_json_get(payload, "aud");

    if (aud == NULL) {
        return prov_auth_refuse_claim(refusal, pool, "token_claim_missing",
                                      "aud", "is missing");
    }

    found = 0;

    if (prov_json_is_string(aud)) {
        found = prov_auth_claims_is_audience(issuer, &aud->text);

    } else if (prov_json_is_array(aud)) {

        prov_json_each(aud, value) {

            if (value->type != JSON_STRING) {
                return prov_auth_refuse_claim(refusal, pool,
                                              "token_claim_invalid", "aud",
                                              "has members that are not "
                                              "strings");
            }

            found |= prov_auth_claims_is_audience(issuer, &value->text);
        }

    } else {
        return prov_auth_refuse_claim(refusal, pool, "token_claim_invalid",
                                      "aud", "is neither a string nor an "
                                      "array of strings");
    }

    if (!found) {
        return prov_auth_refuse(refusal, pool, "token_wrong_audience",
                                "The token is meant for another audience.",
                                "no accepted audience in \"aud\"");
    }

    return NGX_OK;
}


static ngx_uint_t
prov_auth_claims_is_audience(prov_auth_issuer_t *issuer, ngx_str_t *value)
{
    ngx_str_t   *audience;
    ngx_uint_t   i;

    audience = issuer->audiences.elts;

    for (i = 0; i < issuer->audiences.nelts; i++) {
        if (audience[i].len == value->len
            && ngx_memcmp(audience[i].data, value->data, value->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/*
 * "exp", "nbf", "iat" (RFC 7519, sections 4.1.4 to 4.1.6).  A token made in
 * the future is one whose issuer's clock cannot be trusted with "exp" either.
 */

ngx_int_t
prov_auth_claims_time(prov_auth_issuer_t *issuer, prov_json_value_t *payload,
    ngx_pool_t *pool, time_t *expires, prov_auth_refusal_t *refusal)
{
    time_t        now, date;
    ngx_int_t     rc;
    ngx_uint_t    i;
    const char   *early[] = { "nbf", "iat" };

    now = ngx_time();

    rc = prov_auth_claims_date(payload, "exp", expires, pool, refusal);

    if (rc == NGX_DONE) {
        return prov_auth_refuse_claim(refusal, pool, "token_claim_missing",
                                      "exp", "is missing");
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (now >= *expires + issuer->leeway) {
        return prov_auth_refuse(refusal, pool, "token_expired",
                                "The token has expired.",
                                "expired %T seconds ago, leeway %T",
                                now - *expires, issuer->leeway);
    }

    for (i = 0; i < 2; i++) {
        rc = prov_auth_claims_date(payload, early[i], &date, pool, refusal);

        if (rc == NGX_DONE) {
            continue;
        }

        if (rc != NGX_OK) {
            return rc;
        }

        if (date > now + issuer->leeway) {
            return prov_auth_refuse(refusal, pool, "token_not_yet_valid",
                                    "The token is not valid yet.",
                                    "\"%s\" is %T seconds ahead, leeway %T",
                                    early[i], date - now, issuer->leeway);
        }
    }

    return NGX_OK;
}


/*
 * A NumericDate, whose fraction is dropped: nginx's clock has none.  Dates
 * before 1970 and after 9999 (milliseconds, taken for seconds) are refused,
 * which also keeps the sums above from overflowing.  NGX_DONE: not there.
 */

static ngx_int_t
prov_auth_claims_date(prov_json_value_t *payload, const char *name,
    time_t *date, ngx_pool_t *pool, prov_auth_refusal_t *refusal)
{
    double              value;
    prov_json_value_t  *claim;

    claim = prov_json_get(payload, name);

    if (claim == NULL) {
        return NGX_DONE;
    }

    if (!prov_json_is_number(claim)) {
        return prov_auth_refuse_claim(refusal, pool, "token_claim_invalid",
                                      name, "is not a number");
    }

    /* a double is exact for every integer within the bounds */

    value = claim->number;

    if (!(value >= 0 && value < PROV_AUTH_END_OF_TIME)) {
        return prov_auth_refuse_claim(refusal, pool, "token_claim_invalid",
                                      name, "is not a number of seconds since "
                                      "1970");
    }

    *date = (time_t) value;

    return NGX_OK;
}
