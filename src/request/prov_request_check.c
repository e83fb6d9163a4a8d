/*
 * Is a body what the operation takes?  Read back when nginx has put it into a
 * file, parsed, and validated: at once when it is small, else by a thread of
 * nginx's pool "default", so that no body holds the worker up for longer than
 * a millisecond.  Called by prov_request_body.c, and by
 * prov_request_result.c for what a change leads to; touches the request from
 * the worker's own thread only.
 */

#include "request/prov_request.h"


/* bytes that are parsed and validated in well under a millisecond */
#define PROV_REQUEST_CHECK_SMALL  8192


static ngx_int_t prov_request_check_read(prov_request_check_t *check);

#if (NGX_THREADS)
static ngx_int_t prov_request_check_post(ngx_http_request_t *r,
    prov_request_check_t *check);
static ngx_pool_t *prov_request_check_pool(ngx_http_request_t *r);
static void prov_request_check_destroy(void *data);
#endif


static void prov_request_check_run(void *data);


/*
 * NGX_OK: check->rc tells.  NGX_AGAIN: it will when check->resume is called,
 * which it is not when the request has been terminated meanwhile.
 */

ngx_int_t
prov_request_check(ngx_http_request_t *r, prov_request_check_t *check)
{
    check->pool = r->pool;

#if (NGX_THREADS)

    if (prov_request_check_later(check)) {
        return prov_request_check_post(r, check);
    }

#endif

    prov_request_check_run(check);

    return NGX_OK;
}


/* Is it for a thread? */

ngx_uint_t
prov_request_check_later(prov_request_check_t *check)
{
#if (NGX_THREADS)
    return check->len > PROV_REQUEST_CHECK_SMALL || check->in_file;
#else
    return 0;
#endif
}


/* in any thread */

static void
prov_request_check_run(void *data)
{
    prov_request_check_t *check = data;

    json_t  *json;

    check->rc = prov_request_check_read(check);

    if (check->rc != NGX_OK) {
        return;
    }

    if (check->text.len == 0 && !check->required) {
        /* only its end tells that a body of unknown length is none */
        return;
    }

    json = check->written
           ? prov_json_parse_written(check->text.data, check->text.len,
                                     PROV_JSON_DOCUMENT_DEPTH, &check->err)
           : prov_json_parse(check->text.data, check->text.len,
                             PROV_JSON_BODY_DEPTH, &check->err);
    if (json == NULL) {
        check->rc = (check->err.code == PROV_JSON_MEMORY) ? NGX_ERROR
                                                          : NGX_DECLINED;
        return;
    }

    if (prov_schema_report_init(&check->report, check->pool,
                                PROV_REQUEST_VIOLATIONS)
        != NGX_OK)
    {
        check->rc = NGX_ERROR;

    } else {
        check->rc = prov_schema_validate(check->schema, json, &check->report);
    }

    if (check->rc != NGX_OK || !check->keep) {
        json_decref(json);
        return;
    }

    check->json = json;

    if (prov_json_give(check->pool, json) != NGX_OK) {
        check->json = NULL;
        check->rc = NGX_ERROR;
    }
}


/* The body as one NUL-terminated string. */

static ngx_int_t
prov_request_check_read(prov_request_check_t *check)
{
    size_t        size;
    ssize_t       n;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    for (cl = check->body; cl; cl = cl->next) {
        b = cl->buf;
        size = (size_t) ngx_buf_size(b);

        if (size == 0) {
            continue;
        }

        if (!b->in_file) {
            ngx_memcpy(check->text.data + check->text.len, b->pos, size);

        } else {
            n = ngx_read_file(b->file, check->text.data + check->text.len,
                              size, b->file_pos);

            if (n != (ssize_t) size) {
                ngx_log_error(NGX_LOG_ERR, b->file->log, 0,
                              "reading the request body back from \"%V\" "
                              "gave %z of %uz bytes", &b->file->name, n,
                              size);
                return NGX_ERROR;
            }
        }

        check->text.len += size;
    }

    check->text.data[check->text.len] = '\0';

    return NGX_OK;
}


#if (NGX_THREADS)

static ngx_int_t
prov_request_check_post(ngx_http_request_t *r, prov_request_check_t *check)
{
    ngx_int_t  rc;

    check->pool = prov_request_check_pool(r);
    if (check->pool == NULL) {
        return NGX_ERROR;
    }

    rc = prov_request_task(r, check->threads, prov_request_check_run, check,
                           check->resume);

    if (rc == NGX_BUSY) {
        check->rc = NGX_BUSY;
        return NGX_OK;
    }

    return rc;
}


/* of the thread's own: pools are not made for two threads */

static ngx_pool_t *
prov_request_check_pool(ngx_http_request_t *r)
{
    ngx_pool_t          *pool;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    cln->handler = prov_request_check_destroy;
    cln->data = pool;

    return pool;
}


static void
prov_request_check_destroy(void *data)
{
    ngx_destroy_pool(data);
}

#endif
