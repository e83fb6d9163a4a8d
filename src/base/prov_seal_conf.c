/*
 * The directive provisioning_secrets_key: a file with a key for what is kept
 * sealed in the database, and the key's name.  Called while nginx reads its
 * configuration.
 */

#include "base/prov_seal.h"

#include <openssl/crypto.h>


/* 44 characters of base64 and an end of line; one more tells a longer file */
#define PROV_SEAL_FILE  47


static char *prov_seal_conf_id(ngx_conf_t *cf, ngx_array_t *keys,
    ngx_str_t *value, ngx_str_t *id);
static char *prov_seal_conf_file(ngx_conf_t *cf, ngx_str_t *file,
    u_char *key);
static char *prov_seal_conf_read(ngx_conf_t *cf, ngx_str_t *file,
    ngx_fd_t fd, u_char *key);
static void prov_seal_conf_cleanup(void *data);


char *
prov_seal_key_conf(ngx_conf_t *cf, ngx_array_t *keys)
{
    char                *rv;
    ngx_str_t           *value, file, id;
    prov_seal_key_t     *key;
    ngx_pool_cleanup_t  *cln;

    value = cf->args->elts;
    file = value[1];

    rv = prov_seal_conf_id(cf, keys, &value[2], &id);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (ngx_conf_full_name(cf->cycle, &file, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (keys->nelts == 0) {
        cln = ngx_pool_cleanup_add(cf->pool, 0);
        if (cln == NULL) {
            return NGX_CONF_ERROR;
        }

        cln->handler = prov_seal_conf_cleanup;
        cln->data = keys;
    }

    /* the array never moves, which would leave keys behind */

    if (keys->nelts == keys->nalloc) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "there are more than %ui provisioning_secrets_key",
                           keys->nalloc);
        return NGX_CONF_ERROR;
    }

    key = ngx_array_push(keys);
    if (key == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(key, sizeof(prov_seal_key_t));

    key->id = id;
    key->file = cf->conf_file->file.name.data;
    key->line = cf->conf_file->line;

    return prov_seal_conf_file(cf, &file, key->key);
}


static char *
prov_seal_conf_id(ngx_conf_t *cf, ngx_array_t *keys, ngx_str_t *value,
    ngx_str_t *id)
{
    ngx_uint_t        i;
    prov_seal_key_t  *key;

    if (ngx_strncmp(value->data, "id=", 3) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of "
                           "\"provisioning_secrets_key\": write "
                           "\"provisioning_secrets_key file id=name\"",
                           value);
        return NGX_CONF_ERROR;
    }

    id->data = value->data + 3;
    id->len = value->len - 3;

    if (!prov_seal_id_valid(id)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid id \"%V\": write 1 to %d letters, digits, "
                           "\"-\" and \"_\", for example id=2025-01", id,
                           PROV_SEAL_ID_LEN);
        return NGX_CONF_ERROR;
    }

    key = keys->elts;

    for (i = 0; i < keys->nelts; i++) {
        if (key[i].id.len == id->len
            && ngx_memcmp(key[i].id.data, id->data, id->len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate provisioning_secrets_key id \"%V\": "
                               "another one stands at %s:%ui", id,
                               key[i].file, key[i].line);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
prov_seal_conf_file(ngx_conf_t *cf, ngx_str_t *file, u_char *key)
{
    char      *rv;
    ngx_fd_t   fd;

    /* a pipe would keep open() waiting for its writer */

    fd = ngx_open_file(file->data, NGX_FILE_RDONLY|O_NONBLOCK|O_CLOEXEC,
                       NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "cannot open the secrets key \"%V\"; make one with "
                           "\"openssl rand -base64 32\"", file);
        return NGX_CONF_ERROR;
    }

    rv = prov_seal_conf_read(cf, file, fd, key);

    (void) ngx_close_file(fd);

    return rv;
}


static char *
prov_seal_conf_read(ngx_conf_t *cf, ngx_str_t *file, ngx_fd_t fd,
    u_char *key)
{
    u_char            buffer[PROV_SEAL_FILE];
    ssize_t           n;
    ngx_int_t         rc;
    ngx_str_t         text;
    ngx_file_info_t   fi;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR || !ngx_is_file(&fi)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the secrets key \"%V\" is not a regular file",
                           file);
        return NGX_CONF_ERROR;
    }

    if (fi.st_mode & (S_IRWXO|S_IWGRP)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the secrets key \"%V\" is open to others than "
                           "its owner: \"chmod 600\" it", file);
        return NGX_CONF_ERROR;
    }

    n = ngx_read_fd(fd, buffer, PROV_SEAL_FILE);

    if (n == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "cannot read the secrets key \"%V\"", file);
        return NGX_CONF_ERROR;
    }

    text.data = buffer;
    text.len = n;

    rc = prov_seal_key_read(&text, key);

    OPENSSL_cleanse(buffer, sizeof(buffer));

    if (rc != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the secrets key \"%V\" must hold 32 bytes, or "
                           "their base64 in one line; make one with "
                           "\"openssl rand -base64 32\"", file);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void
prov_seal_conf_cleanup(void *data)
{
    ngx_array_t *keys = data;

    OPENSSL_cleanse(keys->elts, keys->nelts * keys->size);
}
