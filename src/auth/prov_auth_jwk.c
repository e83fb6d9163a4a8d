/*
 * One JSON Web Key (RFC 7517, section 4; RFC 7518, section 6; RFC 8037): its
 * members made into a key of OpenSSL's.  Called for each key of a set.  What
 * the members promise about each other (a curve's size, a certificate's key)
 * is checked; what the key is good for is decided in prov_auth_key.c.
 */

#include "auth/prov_auth_private.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>


typedef struct {
    const char    *name;
    const char    *group;      /* OpenSSL's */
    size_t         size;       /* bytes of a coordinate or of the key */
} prov_auth_curve_t;


static ngx_int_t prov_auth_jwk_rsa(prov_auth_loader_t *loader, json_t *jwk,
    EVP_PKEY **pkey);
static ngx_int_t prov_auth_jwk_ec(prov_auth_loader_t *loader, json_t *jwk,
    EVP_PKEY **pkey);
static ngx_int_t prov_auth_jwk_okp(prov_auth_loader_t *loader, json_t *jwk,
    EVP_PKEY **pkey);
static ngx_int_t prov_auth_jwk_curve(prov_auth_loader_t *loader, json_t *jwk,
    const prov_auth_curve_t **curve);
static ngx_int_t prov_auth_jwk_certificate(prov_auth_loader_t *loader,
    json_t *jwk, EVP_PKEY *pkey);
static X509 *prov_auth_jwk_x509(json_t *x5c);
static ngx_int_t prov_auth_jwk_bytes(prov_auth_loader_t *loader, json_t *jwk,
    const char *name, u_char *dst, size_t size);
static EVP_PKEY *prov_auth_jwk_build(const char *type, OSSL_PARAM_BLD *bld);


static const prov_auth_curve_t  prov_auth_jwk_ec_curves[] = {
    { "P-256", "prime256v1", 32 },
    { "P-384", "secp384r1", 48 },
    { "P-521", "secp521r1", 66 },
    { NULL, NULL, 0 }
};


static const prov_auth_curve_t  prov_auth_jwk_okp_curves[] = {
    { "Ed25519", "ED25519", 32 },
    { "Ed448", "ED448", 57 },
    { NULL, NULL, 0 }
};


ngx_int_t
prov_auth_jwk_public(prov_auth_loader_t *loader, json_t *jwk,
    prov_auth_hint_t *hint, const char *kty)
{
    EVP_PKEY   *pkey;
    ngx_int_t   rc;

    pkey = NULL;

    if (ngx_strcmp(kty, "RSA") == 0) {
        rc = prov_auth_jwk_rsa(loader, jwk, &pkey);

    } else if (ngx_strcmp(kty, "EC") == 0) {
        rc = prov_auth_jwk_ec(loader, jwk, &pkey);

    } else if (ngx_strcmp(kty, "OKP") == 0) {
        rc = prov_auth_jwk_okp(loader, jwk, &pkey);

    } else {
        (void) prov_auth_fault(loader, "its \"kty\" is not known here");
        return NGX_DECLINED;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (pkey == NULL) {
        return prov_auth_fault(loader, "OpenSSL cannot make a public key of "
                               "its members");
    }

    if (prov_auth_jwk_certificate(loader, jwk, pkey) != NGX_OK) {
        EVP_PKEY_free(pkey);
        return NGX_ERROR;
    }

    return prov_auth_key_add(loader, hint, pkey);
}


static ngx_int_t
prov_auth_jwk_rsa(prov_auth_loader_t *loader, json_t *jwk, EVP_PKEY **pkey)
{
    u_char           nbuf[2 * PROV_AUTH_RSA_MAX / 8 + 1], ebuf[16];
    BIGNUM          *n, *e;
    ngx_int_t        nlen, elen;
    OSSL_PARAM_BLD  *bld;

    nlen = prov_auth_jwk_bytes(loader, jwk, "n", nbuf, sizeof(nbuf));
    if (nlen < 0) {
        return nlen;
    }

    elen = prov_auth_jwk_bytes(loader, jwk, "e", ebuf, sizeof(ebuf));
    if (elen < 0) {
        return elen;
    }

    n = BN_bin2bn(nbuf, nlen, NULL);
    e = BN_bin2bn(ebuf, elen, NULL);
    bld = OSSL_PARAM_BLD_new();

    if (n && e && bld
        && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) == 1
        && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) == 1)
    {
        *pkey = prov_auth_jwk_build("RSA", bld);
    }

    OSSL_PARAM_BLD_free(bld);
    BN_free(n);
    BN_free(e);

    return NGX_OK;
}


static ngx_int_t
prov_auth_jwk_ec(prov_auth_loader_t *loader, json_t *jwk, EVP_PKEY **pkey)
{
    u_char                    point[1 + 2 * 66];
    ngx_int_t                 x, y;
    OSSL_PARAM_BLD           *bld;
    const prov_auth_curve_t  *curve;

    curve = prov_auth_jwk_ec_curves;

    x = prov_auth_jwk_curve(loader, jwk, &curve);
    if (x != NGX_OK) {
        return x;
    }

    /* an uncompressed point (SEC 1, section 2.3.3) */

    point[0] = 0x04;

    x = prov_auth_jwk_bytes(loader, jwk, "x", point + 1, curve->size);
    if (x < 0) {
        return x;
    }

    y = prov_auth_jwk_bytes(loader, jwk, "y", point + 1 + curve->size,
                            curve->size);
    if (y < 0) {
        return y;
    }

    if ((size_t) x != curve->size || (size_t) y != curve->size) {
        return prov_auth_fault(loader, "\"x\" and \"y\" of %s have %uz bytes "
                               "each (RFC 7518, section 6.2.1)", curve->name,
                               curve->size);
    }

    bld = OSSL_PARAM_BLD_new();

    if (bld
        && OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME,
                                           curve->group, 0)
           == 1
        && OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY,
                                            point, 1 + 2 * curve->size)
           == 1)
    {
        *pkey = prov_auth_jwk_build("EC", bld);
    }

    OSSL_PARAM_BLD_free(bld);

    return NGX_OK;
}


static ngx_int_t
prov_auth_jwk_okp(prov_auth_loader_t *loader, json_t *jwk, EVP_PKEY **pkey)
{
    u_char                    x[57];
    ngx_int_t                 len;
    const prov_auth_curve_t  *curve;

    curve = prov_auth_jwk_okp_curves;

    len = prov_auth_jwk_curve(loader, jwk, &curve);
    if (len != NGX_OK) {
        return len;
    }

    len = prov_auth_jwk_bytes(loader, jwk, "x", x, curve->size);
    if (len < 0) {
        return len;
    }

    if ((size_t) len != curve->size) {
        return prov_auth_fault(loader, "\"x\" of %s has %uz bytes (RFC 8032)",
                               curve->name, curve->size);
    }

    *pkey = EVP_PKEY_new_raw_public_key_ex(NULL, curve->group, NULL, x, len);

    return NGX_OK;
}


/*
 * A symmetric key says itself which one of HS* it is for (RFC 7517 leaves
 * that open, RFC 8725, section 3.1 asks for it).
 */

ngx_int_t
prov_auth_jwk_oct(prov_auth_loader_t *loader, json_t *jwk,
    prov_auth_hint_t *hint)
{
    u_char      k[PROV_AUTH_MAX_SECRET];
    ngx_int_t   rc;

    if (!json_object_get(jwk, "alg")
        || !(hint->algorithms & PROV_AUTH_SYMMETRIC))
    {
        return prov_auth_fault(loader, "a symmetric key (\"oct\") must have "
                               "an \"alg\" of HS256, HS384 or HS512");
    }

    rc = prov_auth_jwk_bytes(loader, jwk, "k", k, sizeof(k));

    if (rc >= 0) {
        rc = prov_auth_key_add_secret(loader, hint, k, rc);
    }

    ngx_explicit_memzero(k, sizeof(k));

    return rc;
}


/* Moves *curve to the entry that "crv" names. */

static ngx_int_t
prov_auth_jwk_curve(prov_auth_loader_t *loader, json_t *jwk,
    const prov_auth_curve_t **curve)
{
    ngx_int_t  rc;
    ngx_str_t  crv;

    rc = prov_auth_jwk_string(loader, jwk, "crv", &crv);

    if (rc == NGX_DECLINED) {
        return prov_auth_fault(loader, "\"crv\" is missing: it names the "
                               "curve");
    }

    if (rc != NGX_OK) {
        return rc;
    }

    for ( /* void */ ; (*curve)->name; (*curve)++) {
        if (ngx_strcmp(crv.data, (*curve)->name) == 0) {
            return NGX_OK;
        }
    }

    (void) prov_auth_fault(loader, "its curve (\"crv\") is not one for "
                           "signatures that is known here");

    return NGX_DECLINED;
}


/*
 * RFC 7517, section 4.7: the key in the first certificate must be the one
 * that the other members have.  The certificate proves nothing else here.
 */

static ngx_int_t
prov_auth_jwk_certificate(prov_auth_loader_t *loader, json_t *jwk,
    EVP_PKEY *pkey)
{
    X509        *x509;
    json_t      *x5c;
    ngx_uint_t   same;

    x5c = json_object_get(jwk, "x5c");
    if (x5c == NULL) {
        return NGX_OK;
    }

    x509 = prov_auth_jwk_x509(json_array_get(x5c, 0));
    if (x509 == NULL) {
        return prov_auth_fault(loader, "\"x5c\" must be an array whose first "
                               "string is a certificate in base64");
    }

    same = (EVP_PKEY_eq(X509_get0_pubkey(x509), pkey) == 1);

    X509_free(x509);

    if (!same) {
        return prov_auth_fault(loader, "the certificate in \"x5c\" is for "
                               "another key");
    }

    return NGX_OK;
}


static X509 *
prov_auth_jwk_x509(json_t *x5c)
{
    int            len;
    X509          *x509;
    u_char        *der;
    size_t         size;
    const u_char  *p;

    size = json_string_length(x5c);

    if (size == 0 || size > PROV_AUTH_MAX_PEM) {
        return NULL;
    }

    der = OPENSSL_malloc(size);
    if (der == NULL) {
        return NULL;
    }

    x509 = NULL;

    len = EVP_DecodeBlock(der, (const u_char *) json_string_value(x5c),
                          (int) size);
    if (len > 0) {
        p = der;
        x509 = d2i_X509(NULL, &p, len);
    }

    OPENSSL_free(der);

    return x509;
}


/*
 * A string member, borrowed and NUL-terminated.  NGX_DECLINED: not there;
 * NGX_ERROR: there, but not a string.
 */

ngx_int_t
prov_auth_jwk_string(prov_auth_loader_t *loader, json_t *jwk,
    const char *name, ngx_str_t *value)
{
    json_t  *member;

    member = json_object_get(jwk, name);

    if (member == NULL) {
        return NGX_DECLINED;
    }

    if (!json_is_string(member)) {
        return prov_auth_fault(loader, "\"%s\" must be a string", name);
    }

    value->data = (u_char *) json_string_value(member);
    value->len = json_string_length(member);

    return NGX_OK;
}


/* Decodes a required member; the number of bytes, or NGX_ERROR. */

static ngx_int_t
prov_auth_jwk_bytes(prov_auth_loader_t *loader, json_t *jwk,
    const char *name, u_char *dst, size_t size)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    rc = prov_auth_jwk_string(loader, jwk, name, &value);

    if (rc == NGX_DECLINED) {
        return prov_auth_fault(loader, "\"%s\" is missing", name);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    rc = prov_auth_base64url(dst, size, value.data, value.len);

    if (rc <= 0) {
        return prov_auth_fault(loader, "\"%s\" must be 1 to %uz bytes in "
                               "base64url without padding", name, size);
    }

    return rc;
}


static EVP_PKEY *
prov_auth_jwk_build(const char *type, OSSL_PARAM_BLD *bld)
{
    EVP_PKEY      *pkey;
    OSSL_PARAM    *params;
    EVP_PKEY_CTX  *ctx;

    pkey = NULL;
    params = OSSL_PARAM_BLD_to_param(bld);
    ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);

    if (params == NULL || ctx == NULL
        || EVP_PKEY_fromdata_init(ctx) != 1
        || EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
    {
        pkey = NULL;
    }

    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);

    return pkey;
}
