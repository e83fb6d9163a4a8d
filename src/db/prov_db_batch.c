/*
 * Queries of the same statement that go out together are one query to the
 * server, where the statement has a form for several: its parameters are
 * arrays, its rows say whose they are.  What the server does for each query
 * besides its function, it then does once for all of them.
 *
 * They are gathered on the connection until something else goes out; so one
 * that is released before can still be forgotten.
 */

#include "db/prov_db_pool.h"


/* one dimension, from 1: array_recv() of PostgreSQL */
#define PROV_DB_ARRAY_HEAD  20
#define PROV_DB_JSONB       3802      /* its type's OID, pg_type.dat */
#define PROV_DB_JSONB_FORM  1         /* jsonb_recv(): text follows */


static size_t prov_db_batch_size(prov_db_query_t *q, ngx_uint_t n,
    ngx_uint_t param);
static u_char *prov_db_batch_array(u_char *p, prov_db_query_t *q,
    ngx_uint_t n, ngx_uint_t param);
static u_char *prov_db_batch_int32(u_char *p, uint32_t value);
static ngx_int_t prov_db_batch_empty(prov_db_conn_t *conn);
static prov_db_query_t *prov_db_batch_next(prov_db_query_t *q);


/* Whether it may be one of those that are being gathered. */

ngx_uint_t
prov_db_batch_takes(prov_db_conn_t *conn, prov_db_query_t *q)
{
    prov_db_statement_t  *statement;

    statement = conn->pool->conf->statements.elts;

    return conn->nbatch < PROV_DB_BATCH
           && conn->batch->statement == q->statement
           && !conn->batch->alone && !q->alone
           && statement[q->statement].several != NGX_ERROR;
}


/* One more, which is the last on conn->sent. */

void
prov_db_batch_add(prov_db_conn_t *conn, prov_db_query_t *q)
{
    if (conn->nbatch++ == 0) {
        conn->batch = q;
    }
}


/* Sends what is gathered. */

ngx_int_t
prov_db_batch_send(prov_db_conn_t *conn)
{
    ngx_uint_t            n;
    prov_db_query_t      *first, *q;
    prov_db_statement_t  *statement;

    if (conn->nbatch == 0) {
        return NGX_OK;
    }

    statement = conn->pool->conf->statements.elts;

    first = conn->batch;
    first->batch = conn->nbatch;
    first->number = (first->batch > 1) ? (ngx_uint_t)
                                         statement[first->statement].several
                                       : first->statement;

    for (q = first, n = conn->nbatch; n; n--) {
        q->gathered = 0;
        q = prov_db_batch_next(q);
    }

    conn->batch = NULL;
    conn->nbatch = 0;

    return prov_db_wire_statement(conn, first);
}


/* The caller needs it no more, and the server has not seen it. */

void
prov_db_batch_forget(prov_db_query_t *q)
{
    ngx_queue_t     *list;
    prov_db_conn_t  *conn;

    conn = q->conn;

    if (conn->batch == NULL) {
        /* the connection is being closed, and counts nothing any more */
        conn->nsent--;
        ngx_queue_remove(&q->queue);
        return;
    }

    if (conn->batch == q) {
        conn->batch = (conn->nbatch > 1) ? prov_db_batch_next(q) : NULL;
    }

    conn->nbatch--;
    conn->open--;
    conn->nsent--;
    ngx_queue_remove(&q->queue);

    if (conn->newest != q) {
        return;
    }

    /* what is open may have been answered, but not finished */

    list = ngx_queue_empty(&conn->sent) ? &conn->answered : &conn->sent;

    conn->newest = conn->open ? ngx_queue_data(ngx_queue_last(list),
                                               prov_db_query_t, queue)
                              : NULL;
}


/*
 * The parameters of several queries, in PostgreSQL's binary form: as text each
 * quote of the JSON would be escaped here and unescaped there.
 */

ngx_int_t
prov_db_batch_query(prov_db_conn_t *conn, const char *name,
    prov_db_query_t *first)
{
    int         rc, lengths[PROV_DB_PARAMS], formats[PROV_DB_PARAMS];
    u_char     *buf, *p;
    size_t      size;
    const char *values[PROV_DB_PARAMS];
    ngx_uint_t  i;

    size = 0;

    for (i = 0; i < PROV_DB_PARAMS; i++) {
        size += prov_db_batch_size(first, first->batch, i);
    }

    buf = ngx_alloc(size, conn->pool->log);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    p = buf;

    for (i = 0; i < PROV_DB_PARAMS; i++) {
        values[i] = (const char *) p;
        p = prov_db_batch_array(p, first, first->batch, i);
        lengths[i] = p - (u_char *) values[i];
        formats[i] = 1;
    }

    rc = PQsendQueryPrepared(conn->pg, name, PROV_DB_PARAMS, values, lengths,
                             formats, 0);
    ngx_free(buf);

    return (rc == 1) ? NGX_OK : NGX_ERROR;
}


static size_t
prov_db_batch_size(prov_db_query_t *q, ngx_uint_t n, ngx_uint_t param)
{
    size_t  size;

    size = PROV_DB_ARRAY_HEAD;

    for ( /* void */ ; n; n--) {
        size += 4 + (q->values[param] ? 1 + ngx_strlen(q->values[param]) : 0);
        q = prov_db_batch_next(q);
    }

    return size;
}


static u_char *
prov_db_batch_array(u_char *p, prov_db_query_t *q, ngx_uint_t n,
    ngx_uint_t param)
{
    size_t  len;

    p = prov_db_batch_int32(p, 1);          /* dimensions */
    p = prov_db_batch_int32(p, 1);          /* there may be nulls */
    p = prov_db_batch_int32(p, PROV_DB_JSONB);
    p = prov_db_batch_int32(p, (uint32_t) n);
    p = prov_db_batch_int32(p, 1);          /* the first one's number */

    for ( /* void */ ; n; n--, q = prov_db_batch_next(q)) {

        if (q->values[param] == NULL) {
            p = prov_db_batch_int32(p, (uint32_t) -1);
            continue;
        }

        len = ngx_strlen(q->values[param]);

        p = prov_db_batch_int32(p, (uint32_t) (len + 1));
        *p++ = PROV_DB_JSONB_FORM;
        p = ngx_cpymem(p, q->values[param], len);
    }

    return p;
}


static u_char *
prov_db_batch_int32(u_char *p, uint32_t value)
{
    *p++ = (u_char) (value >> 24);
    *p++ = (u_char) (value >> 16);
    *p++ = (u_char) (value >> 8);
    *p++ = (u_char) value;

    return p;
}


/*
 * Before libpq reads on: each row is to be a result of its own.  That can only
 * be asked for once the results before have been taken.
 */

void
prov_db_batch_expect(prov_db_conn_t *conn)
{
    prov_db_query_t  *q;

    q = prov_db_answer_current(conn);

    if (q && q->batch > 1 && q->commands == 1 && !q->reading
        && PQsetSingleRowMode(conn->pg) == 1)
    {
        q->reading = 1;
        conn->reader = q;
        conn->nread = 0;
    }
}


/* A row, which is somebody's; or the end of them. */

void
prov_db_batch_rows(prov_db_conn_t *conn, prov_db_query_t *first,
    PGresult *result)
{
    ngx_int_t   n;
    ngx_uint_t  last;

    last = first->batch + 1;

    if (PQresultStatus(result) == PGRES_SINGLE_TUPLE) {
        n = ngx_atoi((u_char *) PQgetvalue(result, 0, PROV_DB_WHOSE),
                     PQgetlength(result, 0, PROV_DB_WHOSE));

        last = (n > (ngx_int_t) conn->nread && n <= (ngx_int_t) first->batch)
               ? (ngx_uint_t) n : 0;

    } else {
        PQclear(result);
        result = NULL;
    }

    /* those it passes have none */

    while (conn->nread + 1 < last) {
        if (prov_db_batch_empty(conn) != NGX_OK) {
            last = 0;
        }
    }

    if (last == 0) {
        ngx_log_error(NGX_LOG_ERR, conn->pool->log, 0,
                      "provisioning_database \"%V\": the rows of %ui queries "
                      "could not be told apart",
                      &conn->pool->conf->name, first->batch);
        PQclear(result);
        conn->dead = 1;
        return;
    }

    if (result) {
        conn->reader->result = result;
        conn->reader = prov_db_batch_next(conn->reader);
        conn->nread++;
    }
}


static ngx_int_t
prov_db_batch_empty(prov_db_conn_t *conn)
{
    conn->reader->result = PQmakeEmptyPGresult(conn->pg, PGRES_TUPLES_OK);

    if (conn->reader->result == NULL) {
        return NGX_ERROR;
    }

    conn->reader = prov_db_batch_next(conn->reader);
    conn->nread++;

    return NGX_OK;
}


/*
 * It has failed, and nobody is to have what has come of it; parted: by itself,
 * and not because of one before it.  Whose fault that is shows when each is
 * sent alone (prov_db_query.c).
 */

void
prov_db_batch_fail(prov_db_query_t *first, ngx_uint_t parted)
{
    ngx_uint_t        n;
    prov_db_query_t  *q;

    if (first->batch < 2) {
        return;
    }

    first->parted |= parted;

    for (q = first, n = first->batch; n > 1; n--) {
        q = prov_db_batch_next(q);

        PQclear(q->result);
        q->result = NULL;
        q->aborted = 1;
        q->parted |= parted;
    }
}


/* All results have come: from sent to answered. */

void
prov_db_batch_answered(prov_db_conn_t *conn, prov_db_query_t *first)
{
    ngx_uint_t        n;
    prov_db_query_t  *q, *next;

    for (q = first, n = first->batch; n; n--, q = next) {
        next = prov_db_batch_next(q);

        ngx_queue_remove(&q->queue);
        ngx_queue_insert_tail(&conn->answered, &q->queue);
    }
}


/* of the same batch: on the list next to it */

static prov_db_query_t *
prov_db_batch_next(prov_db_query_t *q)
{
    return ngx_queue_data(ngx_queue_next(&q->queue), prov_db_query_t, queue);
}
