/*
 * Files that hold one key: a public key or certificate in PEM, or the bytes
 * of a shared secret.  Called while nginx.conf is read.  Private keys are
 * refused, so that none lies where it is not needed; no password is asked
 * for, and what is secret is wiped after use.
 */

#include "auth/prov_auth_private.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>


static ngx_int_t prov_auth_file_fetch(prov_auth_loader_t *loader, ngx_fd_t fd,
    size_t max, ngx_str_t *text);
static EVP_PKEY *prov_auth_pem_parse(prov_auth_loader_t *loader,
    ngx_str_t *text);
static EVP_PKEY *prov_auth_pem_decode(const char *label, u_char *data,
    long len);


/*
 * Reads a whole regular file into the loader's pool.  Neither a directory
 * nor a pipe nor a file of more than max bytes is read.
 */

ngx_int_t
prov_auth_file_read(prov_auth_loader_t *loader, ngx_str_t *file, size_t max,
    ngx_str_t *text)
{
    ngx_fd_t   fd;
    ngx_int_t  rc;

    /* a pipe would keep open() waiting for its writer */

    fd = ngx_open_file(file->data, NGX_FILE_RDONLY|O_NONBLOCK|O_CLOEXEC,
                       NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        return prov_auth_fault(loader, "the file cannot be opened: %s",
                               strerror(ngx_errno));
    }

    rc = prov_auth_file_fetch(loader, fd, max, text);

    (void) ngx_close_file(fd);

    return rc;
}


static ngx_int_t
prov_auth_file_fetch(prov_auth_loader_t *loader, ngx_fd_t fd, size_t max,
    ngx_str_t *text)
{
    size_t           size;
    ssize_t          n;
    ngx_file_info_t  fi;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        return prov_auth_fault(loader, "the file cannot be read: %s",
                               strerror(ngx_errno));
    }

    if (!ngx_is_file(&fi)) {
        return prov_auth_fault(loader, "this is not a regular file");
    }

    if (ngx_file_size(&fi) > (off_t) max) {
        return prov_auth_fault(loader, "the file has %O bytes: at most %uz "
                               "are read", ngx_file_size(&fi), max);
    }

    size = (size_t) ngx_file_size(&fi);

    text->len = 0;
    text->data = ngx_pnalloc(loader->pool, size + 1);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    while (text->len < size) {
        n = ngx_read_fd(fd, text->data + text->len, size - text->len);

        if (n == -1) {
            ngx_explicit_memzero(text->data, text->len);

            return prov_auth_fault(loader, "the file cannot be read: %s",
                                   strerror(ngx_errno));
        }

        if (n == 0) {
            break;
        }

        text->len += n;
    }

    text->data[text->len] = '\0';

    if (text->len == 0) {
        return prov_auth_fault(loader, "the file is empty");
    }

    return NGX_OK;
}


/* "key": NGX_OK, or NGX_ERROR with the loader's fault. */

ngx_int_t
prov_auth_file_pem(prov_auth_loader_t *loader, ngx_str_t *file,
    prov_auth_hint_t *hint)
{
    EVP_PKEY   *pkey;
    ngx_str_t   text;

    if (prov_auth_file_read(loader, file, PROV_AUTH_MAX_PEM, &text)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    pkey = prov_auth_pem_parse(loader, &text);

    ngx_explicit_memzero(text.data, text.len);
    ERR_clear_error();

    if (pkey == NULL) {
        return NGX_ERROR;
    }

    return (prov_auth_key_add(loader, hint, pkey) == NGX_OK) ? NGX_OK
                                                             : NGX_ERROR;
}


/*
 * The one public key of a PEM text.  A second block is refused rather than
 * ignored: the operator would believe that both are in use.
 */

static EVP_PKEY *
prov_auth_pem_parse(prov_auth_loader_t *loader, ngx_str_t *text)
{
    BIO         *bio;
    char        *label, *header;
    long         len;
    u_char      *data;
    EVP_PKEY    *pkey;
    ngx_uint_t   blocks, private;

    bio = BIO_new_mem_buf(text->data, (int) text->len);
    if (bio == NULL) {
        return NULL;
    }

    pkey = NULL;
    blocks = 0;
    private = 0;

    while (PEM_read_bio(bio, &label, &header, &data, &len) == 1) {

        if (ngx_strstr(label, "PRIVATE KEY")) {
            private = 1;

        } else if (blocks == 0) {
            pkey = prov_auth_pem_decode(label, data, len);
        }

        blocks++;

        OPENSSL_free(label);
        OPENSSL_free(header);
        OPENSSL_clear_free(data, len);
    }

    BIO_free(bio);

    if (private) {
        (void) prov_auth_fault(loader,
                               "the file has a private key in it, which nginx "
                               "must not hold: write its public key into a "
                               "file of its own (openssl pkey -in private.pem "
                               "-pubout -out public.pem) and name that");

    } else if (blocks == 0) {
        (void) prov_auth_fault(loader,
                               "no PEM block in the file: it must begin with "
                               "\"-----BEGIN PUBLIC KEY-----\" or "
                               "\"-----BEGIN CERTIFICATE-----\"");

    } else if (blocks > 1) {
        (void) prov_auth_fault(loader,
                               "%ui PEM blocks in the file: give each public "
                               "key a file and a \"key\" of its own", blocks);

    } else if (pkey == NULL) {
        (void) prov_auth_fault(loader,
                               "the PEM block is not a public key or a "
                               "certificate that OpenSSL can read");

    } else {
        return pkey;
    }

    EVP_PKEY_free(pkey);

    return NULL;
}


/*
 * Of a certificate only the key counts: the operator named the file, so its
 * issuer, dates and names decide nothing.
 */

static EVP_PKEY *
prov_auth_pem_decode(const char *label, u_char *data, long len)
{
    X509          *x509;
    EVP_PKEY      *pkey;
    const u_char  *p;

    p = data;
    pkey = NULL;

    if (ngx_strcmp(label, PEM_STRING_PUBLIC) == 0) {
        pkey = d2i_PUBKEY(NULL, &p, len);

    } else if (ngx_strcmp(label, PEM_STRING_RSA_PUBLIC) == 0) {
        pkey = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, len);

    } else if (ngx_strcmp(label, PEM_STRING_X509) == 0) {
        x509 = d2i_X509(NULL, &p, len);

        if (x509) {
            pkey = X509_get_pubkey(x509);
            X509_free(x509);
        }
    }

    if (p != data + len) {
        EVP_PKEY_free(pkey);
        return NULL;
    }

    return pkey;
}


/*
 * "secret": the file's bytes, without the newline that editors and echo
 * leave.  A PEM is refused: it is what the classic confusion of HS256 with
 * RS256 uses for a secret, and what a mistaken operator would put here.
 */

ngx_int_t
prov_auth_file_secret(prov_auth_loader_t *loader, ngx_str_t *file,
    prov_auth_hint_t *hint)
{
    size_t     len;
    ngx_int_t  rc;
    ngx_str_t  text;

    if (prov_auth_file_read(loader, file, PROV_AUTH_MAX_SECRET + 2, &text)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_strstr(text.data, "-----BEGIN ")) {
        ngx_explicit_memzero(text.data, text.len);

        return prov_auth_fault(loader,
                               "a PEM is not a secret: name a public key with "
                               "\"key\", or make a secret with \"openssl rand "
                               "-base64 48\"");
    }

    len = text.len;

    if (text.data[len - 1] == '\n') {
        len--;

        if (len && text.data[len - 1] == '\r') {
            len--;
        }
    }

    rc = prov_auth_key_add_secret(loader, hint, text.data, len);

    ngx_explicit_memzero(text.data, text.len);

    return (rc == NGX_OK) ? NGX_OK : NGX_ERROR;
}
