/*
 * The document's files: found relative to the one that refers to them, read
 * whole, parsed once each.  Called by the loader for the root and by the
 * bundler for each "$ref" to another file; never looks into what it parsed.
 */

#include "openapi/prov_openapi_load.h"


static ngx_int_t prov_openapi_file_read(prov_openapi_load_t *load,
    prov_openapi_file_t *file, ngx_str_t *text, ngx_str_t *pointer,
    ngx_uint_t *known);
static ngx_int_t prov_openapi_file_known(prov_openapi_load_t *load,
    ngx_file_info_t *fi, ngx_uint_t *index);
static ngx_int_t prov_openapi_file_slurp(prov_openapi_load_t *load,
    ngx_fd_t fd, prov_openapi_file_t *file, ngx_str_t *text,
    ngx_str_t *pointer);
static ngx_int_t prov_openapi_file_parse(prov_openapi_load_t *load,
    prov_openapi_file_t *file, ngx_str_t *text);
static ngx_int_t prov_openapi_file_keep(prov_openapi_load_t *load,
    prov_openapi_file_t *file);


/*
 * Opens name, and answers its index in load->files.  What is wrong with the
 * file as a whole is reported at the "$ref" that names it, at pointer.
 */

ngx_int_t
prov_openapi_file(prov_openapi_load_t *load, ngx_str_t *name,
    ngx_str_t *pointer, ngx_uint_t *index)
{
    ngx_int_t            rc;
    ngx_str_t            text;
    prov_openapi_file_t  file;

    ngx_str_null(&text);
    ngx_memzero(&file, sizeof(prov_openapi_file_t));

    if (prov_openapi_copy(load->temp, &file.name, name) != NGX_OK) {
        return prov_openapi_no_memory(load);
    }

    rc = prov_openapi_file_read(load, &file, &text, pointer, index);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (load->files.nelts >= PROV_OPENAPI_MAX_FILES) {
        return prov_openapi_fail(load, pointer,
                                 "the document has more than %d files: "
                                 "put several schemas into one of them",
                                 PROV_OPENAPI_MAX_FILES);
    }

    if (prov_openapi_file_parse(load, &file, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    *index = load->files.nelts;

    return prov_openapi_file_keep(load, &file);
}


/* NGX_OK: *known is its index; NGX_DECLINED: new, and this is its text. */

static ngx_int_t
prov_openapi_file_read(prov_openapi_load_t *load, prov_openapi_file_t *file,
    ngx_str_t *text, ngx_str_t *pointer, ngx_uint_t *known)
{
    ngx_fd_t         fd;
    ngx_int_t        rc;
    ngx_file_info_t  fi;

    /* a FIFO must not stop the start of the server: opened non-blocking */

    fd = ngx_open_file(file->name.data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        return prov_openapi_fail(load, pointer,
                                 "the file \"%V\" cannot be opened: %s",
                                 &file->name, strerror(ngx_errno));
    }

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        rc = prov_openapi_fail(load, pointer,
                               "the file \"%V\" cannot be examined: %s",
                               &file->name, strerror(ngx_errno));

    } else if (!ngx_is_file(&fi)) {
        rc = prov_openapi_fail(load, pointer,
                               "\"%V\" is not a file", &file->name);

    } else if (ngx_file_size(&fi) > PROV_OPENAPI_MAX_FILE) {
        rc = prov_openapi_fail(load, pointer,
                               "the file \"%V\" has more than %d bytes: "
                               "split it", &file->name,
                               PROV_OPENAPI_MAX_FILE);

    } else {
        rc = prov_openapi_file_known(load, &fi, known);

        if (rc == NGX_DECLINED) {
            file->dev = fi.st_dev;
            file->ino = fi.st_ino;
            text->len = (size_t) ngx_file_size(&fi);

            rc = prov_openapi_file_slurp(load, fd, file, text, pointer);
            if (rc == NGX_OK) {
                rc = NGX_DECLINED;
            }
        }
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, load->log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", &file->name);
    }

    return rc;
}


static ngx_int_t
prov_openapi_file_known(prov_openapi_load_t *load, ngx_file_info_t *fi,
    ngx_uint_t *index)
{
    ngx_uint_t            i;
    prov_openapi_file_t  *files;

    files = load->files.elts;

    for (i = 0; i < load->files.nelts; i++) {
        if (files[i].dev == fi->st_dev && files[i].ino == fi->st_ino) {
            *index = i;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
prov_openapi_file_slurp(prov_openapi_load_t *load, ngx_fd_t fd,
    prov_openapi_file_t *file, ngx_str_t *text, ngx_str_t *pointer)
{
    size_t   got;
    ssize_t  n;

    text->data = ngx_pnalloc(load->temp, text->len + 1);
    if (text->data == NULL) {
        return prov_openapi_no_memory(load);
    }

    for (got = 0; got < text->len; got += n) {

        n = ngx_read_fd(fd, text->data + got, text->len - got);

        if (n == -1) {
            if (ngx_errno == NGX_EINTR) {
                n = 0;
                continue;
            }

            return prov_openapi_fail(load, pointer,
                                     "the file \"%V\" cannot be read: %s",
                                     &file->name, strerror(ngx_errno));
        }

        if (n == 0) {
            return prov_openapi_fail(load, pointer,
                                     "the file \"%V\" became shorter "
                                     "while it was read", &file->name);
        }
    }

    return NGX_OK;
}


static ngx_int_t
prov_openapi_file_parse(prov_openapi_load_t *load, prov_openapi_file_t *file,
    ngx_str_t *text)
{
    prov_json_error_t  err;

    file->json = prov_json_parse(text->data, text->len,
                                 PROV_JSON_DOCUMENT_DEPTH, &err);

    if (file->json == NULL) {

        if (err.code == PROV_JSON_MEMORY) {
            return prov_openapi_no_memory(load);
        }

        return prov_openapi_fail_text(load, &file->name, &err);
    }

    if (prov_json_give(load->temp, file->json) != NGX_OK) {
        return prov_openapi_no_memory(load);
    }

    return NGX_OK;
}


/* Remembers the file, for this load and for who asks the API later. */

static ngx_int_t
prov_openapi_file_keep(prov_openapi_load_t *load, prov_openapi_file_t *file)
{
    ngx_str_t            *name;
    prov_openapi_file_t  *slot;

    slot = ngx_array_push(&load->files);
    name = ngx_array_push(&load->api->files);

    if (slot == NULL || name == NULL
        || prov_openapi_copy(load->pool, name, &file->name) != NGX_OK)
    {
        return prov_openapi_no_memory(load);
    }

    *slot = *file;

    return NGX_OK;
}
