/*
 * Fuzz target for what a token says: the first line is its header, the rest
 * its payload, both encoded and signed here, so that what is behind a valid
 * signature is reached.  A token that is accepted is held against the rules,
 * read by other means.  What is no token at all is jwt_fuzz.c's.
 *
 *     clang -fsanitize=fuzzer,address,undefined … && ./fuzz corpus/token
 */

#include "auth/prov_auth_private.h"
#include "ngx_shim.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>


#define NOW     1900000000
#define LEEWAY  10


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static u_char               secret[] = "0123456789abcdef0123456789abcdef";
static prov_auth_set_t     *set;
static prov_auth_issuer_t   issuer;


static void
must(int true)
{
    if (!true) {
        abort();
    }
}


static void
setup(void)
{
    ngx_str_t           *audience;
    ngx_pool_t          *pool;
    prov_auth_hint_t     hint;
    prov_auth_loader_t   loader;

    ngx_shim_set_time(NOW, 0);

    /* lives as long as the program */
    pool = ngx_create_pool(4096, ngx_shim_log());

    ngx_str_set(&issuer.name, "fuzz");
    ngx_str_set(&issuer.iss, "i");
    ngx_str_set(&issuer.subject_claim, "sub");
    ngx_str_set(&issuer.partner_claim, "p.q");
    ngx_str_set(&issuer.roles_claim, "roles");
    issuer.leeway = LEEWAY;
    issuer.algorithms = PROV_AUTH_ALG(PROV_AUTH_HS256);
    ngx_array_init(&issuer.audiences, pool, 1, sizeof(ngx_str_t));
    ngx_array_init(&issuer.keys, pool, 1, sizeof(prov_auth_key_t));

    audience = ngx_array_push(&issuer.audiences);
    ngx_str_set(audience, "a");

    memset(&loader, 0, sizeof(loader));
    loader.pool = pool;
    loader.keys = &issuer.keys;

    memset(&hint, 0, sizeof(hint));
    hint.algorithms = issuer.algorithms;

    set = prov_auth_set_create(pool);

    must(prov_auth_key_add_secret(&loader, &hint, secret, 32) == NGX_OK
         && prov_auth_set_add(set, &issuer) == NGX_OK);
}


static u_char *
encode(u_char *p, const uint8_t *data, size_t size)
{
    ngx_str_t  from, to;

    from.data = (u_char *) data;
    from.len = size;
    to.data = p;

    ngx_encode_base64url(&to, &from);

    return p + to.len;
}


/* with no byte more than there is; the caller frees it */

static ngx_str_t
sign(const uint8_t *header, size_t nheader, const uint8_t *payload,
    size_t npayload)
{
    u_char        *p, mac[EVP_MAX_MD_SIZE];
    ngx_str_t      token;
    unsigned int   len;

    token.data = malloc((nheader + npayload) * 4 / 3 + 64);

    p = encode(token.data, header, nheader);
    *p++ = '.';
    p = encode(p, payload, npayload);

    HMAC(EVP_sha256(), secret, 32, token.data, p - token.data, mac, &len);

    *p++ = '.';
    p = encode(p, mac, len);

    token.len = p - token.data;
    token.data = realloc(token.data, token.len);

    return token;
}


static int
same(json_t *value, ngx_str_t *text)
{
    return json_is_string(value) && json_string_length(value) == text->len
           && memcmp(json_string_value(value), text->data, text->len) == 0;
}


static int
has(json_t *value, const char *text)
{
    size_t   i;
    json_t  *item;

    json_array_foreach(value, i, item) {
        if (has(item, text)) {
            return 1;
        }
    }

    return json_is_string(value)
           && json_string_length(value) == strlen(text)
           && strcmp(json_string_value(value), text) == 0;
}


static void
inspect(json_t *payload, prov_auth_identity_t *identity)
{
    u_char      *p;
    size_t       len;
    double       exp;
    json_t      *value;
    ngx_uint_t   i;

    must(has(json_object_get(payload, "aud"), "a"));

    exp = json_number_value(json_object_get(payload, "exp"));
    must(exp > NOW - LEEWAY && exp < 253402300800.0
         && identity->expires == (time_t) exp);
    must(json_number_value(json_object_get(payload, "nbf")) < NOW + LEEWAY + 1
         && json_number_value(json_object_get(payload, "iat"))
            < NOW + LEEWAY + 1);

    must(identity->subject.len > 0
         && identity->subject.len <= PROV_AUTH_MAX_SUBJECT
         && same(json_object_get(payload, "sub"), &identity->subject));

    /* a claim whose name has the point in it, or the path */

    value = json_object_get(payload, "p.q");
    if (value == NULL) {
        value = json_object_get(json_object_get(payload, "p"), "q");
    }

    must(value ? same(value, &identity->partner)
               : identity->partner.len == 0);

    value = json_object_get(payload, "roles");
    must(identity->nroles <= PROV_AUTH_MAX_ROLES);

    if (json_is_array(value)) {
        must(identity->nroles == json_array_size(value));
    }

    for (i = 0; i < identity->nroles; i++) {
        p = identity->roles[i].data;
        len = identity->roles[i].len;

        must(len > 0 && len <= PROV_AUTH_MAX_ROLE);

        if (json_is_array(value)) {
            must(same(json_array_get(value, i), &identity->roles[i]));

        } else {
            must(json_is_string(value) && memchr(p, ' ', len) == NULL
                 && memmem(json_string_value(value),
                           json_string_length(value), p, len));
        }
    }
}


/* NGX_OK is for who deserves it; what is refused has its reasons. */

static void
judge(ngx_int_t rc, prov_auth_identity_t *identity,
    prov_auth_refusal_t *refusal, json_t *payload)
{
    if (rc == NGX_OK) {
        inspect(payload, identity);
        return;
    }

    must(rc == NGX_DECLINED && refusal->code.len && refusal->detail.len
         && refusal->log.len);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t                *header, *payload, *typ;
    ngx_int_t              rc;
    ngx_str_t              token;
    ngx_pool_t            *pool;
    const uint8_t         *end;
    prov_json_text_t       text;
    prov_json_error_t      err;
    prov_auth_issuer_t     signer;
    prov_auth_refusal_t    refusal;
    prov_auth_identity_t  *identity;

    end = size ? memchr(data, '\n', size) : NULL;

    if (end == NULL) {
        return 0;
    }

    if (set == NULL) {
        setup();
    }

    token = sign(data, end - data, end + 1, size - (end + 1 - data));
    pool = ngx_create_pool(4096, ngx_shim_log());

    header = json_loadb((char *) data, end - data, 0, NULL);
    payload = json_loadb((char *) end + 1, size - (end + 1 - data), 0, NULL);

    memset(&refusal, 0, sizeof(refusal));
    rc = prov_auth_verify(set, NULL, &token, pool, &identity, &refusal);
    judge(rc, identity, &refusal, payload);

    if (rc == NGX_OK) {
        typ = json_object_get(header, "typ");

        must(has(json_object_get(header, "alg"), "HS256")
             && json_object_get(header, "crit") == NULL
             && (typ == NULL || json_is_string(typ)));
        must(has(json_object_get(payload, "iss"), "i"));
    }

    /* the claims alone, and those of a token that a key has bought */

    if (json_is_object(payload)
        && prov_json_read(&text, (u_char *) end + 1,
                          size - (end + 1 - data), PROV_JSON_BODY_DEPTH, &err)
           == NGX_OK)
    {
        memset(&refusal, 0, sizeof(refusal));
        rc = prov_auth_claims(&issuer, text.root, pool, &identity,
                              &refusal);
        judge(rc, identity, &refusal, payload);

        signer = issuer;
        signer.signer = (prov_auth_signer_t *) &signer;

        memset(&refusal, 0, sizeof(refusal));
        rc = prov_auth_claims(&signer, text.root, pool, &identity,
                              &refusal);
        judge(rc, identity, &refusal, payload);

        if (rc == NGX_OK) {
            must(same(json_object_get(payload, "key"), &identity->key)
                 && identity->nnetworks == json_array_size(
                        json_object_get(payload, "networks")));
        }

        prov_json_read_end(&text);
    }

    json_decref(header);
    json_decref(payload);
    ngx_destroy_pool(pool);
    free(token.data);

    return 0;
}
