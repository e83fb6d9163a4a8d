/*
 * Secrets at rest: AES-256-GCM under a key of the operator's, so that who has
 * a copy of the database has none of them.  Sealed while a request is served,
 * unsealed by a job for as long as it takes to make one request.  Never logs,
 * and knows nothing of what it seals but a purpose and an owner, which a seal
 * is bound to.
 */

#ifndef _PROV_SEAL_H_INCLUDED_
#define _PROV_SEAL_H_INCLUDED_


#include "base/prov_base.h"


/* bytes: AES-256, the nonce of GCM (NIST SP 800-38D, 8.2.2), its tag */
#define PROV_SEAL_KEY     32
#define PROV_SEAL_NONCE   12
#define PROV_SEAL_TAG     16

/* how many there may be at a time */
#define PROV_SEAL_KEYS    16

/* of a key's name, and of what can be sealed, in bytes */
#define PROV_SEAL_ID_LEN  32
#define PROV_SEAL_MAX     65536

/* characters of a mark: HMAC-SHA256 in base64url */
#define PROV_SEAL_MARK    43


typedef struct {
    ngx_str_t    id;
    u_char       key[PROV_SEAL_KEY];
    u_char      *file;                    /* where the directive stands */
    ngx_uint_t   line;
} prov_seal_key_t;


/*
 * Seals text with the first of keys (prov_seal_key_t): the key's id, a nonce,
 * the ciphertext and the tag, the last three in base64url, with dots between
 * them; NUL-terminated beyond .len.  Only prov_unseal() with the same purpose
 * and owner opens it.  NGX_ERROR: no key, no memory, no randomness, or the
 * text is longer than PROV_SEAL_MAX.
 */
ngx_int_t prov_seal(ngx_pool_t *pool, ngx_array_t *keys, const char *purpose,
    ngx_str_t *owner, ngx_str_t *text, ngx_str_t *sealed);

/*
 * Opens a seal with whichever of keys has made it.  The text is the caller's
 * to wipe (prov_seal_wipe()), and NUL-terminated beyond .len.  NGX_DECLINED:
 * none of the keys has made this for this purpose and owner, and *why says
 * what is wrong with it, in words for the log; NGX_ERROR: no memory.
 */
ngx_int_t prov_unseal(ngx_pool_t *pool, ngx_array_t *keys,
    const char *purpose, ngx_str_t *owner, ngx_str_t *sealed,
    ngx_str_t *text, const char **why);

/* The id of the key that a seal was made with; empty for what is no seal. */
void prov_seal_key_id(ngx_str_t *sealed, ngx_str_t *id);

void prov_seal_wipe(ngx_str_t *text);

/*
 * A text's mark under one key, PROV_SEAL_MARK characters: the same for the
 * same text, purpose and salt, and of no use to who has not the key.  So two
 * texts are compared by who may know neither.
 */
ngx_int_t prov_seal_mark(prov_seal_key_t *key, const char *purpose,
    ngx_str_t *salt, ngx_str_t *text, u_char *mark);

/* Whether a name may be a key's: [A-Za-z0-9_-], 1 to PROV_SEAL_ID_LEN. */
ngx_uint_t prov_seal_id_valid(ngx_str_t *id);

/*
 * Reads a key from what its file holds: 32 bytes, or their base64 (44
 * characters, and perhaps the end of a line).  NGX_DECLINED: neither.
 */
ngx_int_t prov_seal_key_read(ngx_str_t *text, u_char *key);

/* prov_seal_conf.c: "provisioning_secrets_key file id=name;" into keys */
char *prov_seal_key_conf(ngx_conf_t *cf, ngx_array_t *keys);


#endif /* _PROV_SEAL_H_INCLUDED_ */
