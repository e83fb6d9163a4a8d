/*
 * A worker's memory of API keys, and the question to the database for those
 * it does not know.  What is remembered counts for a second from the moment
 * it was asked for, so a revocation is known everywhere a second later.
 * Requests that show the same key share one question.  A secret that is not
 * the one remembered may be newer, so it is asked about; that must not keep
 * others waiting who have shown the one that is.
 *
 * A stranger can make up any number of well-formed keys, each a question.  So
 * keys that are not there have a list of their own, where they push out only
 * each other; and questions for keys that were never there are rationed.  A
 * key that once was good is never kept waiting by those that are not.
 */

#include "request/prov_request_keys_entry.h"


static ngx_int_t prov_keys_ask(prov_keys_entry_t *entry);
static void prov_keys_answered(prov_db_query_t *q);
static ngx_int_t prov_keys_learn(prov_keys_entry_t *entry,
    prov_db_query_t *q);
static ngx_uint_t prov_keys_again(prov_keys_entry_t *entry,
    prov_request_lookup_t *lookup);
static ngx_int_t prov_keys_failed(ngx_http_request_t *r,
    prov_db_query_t *q);
static void prov_keys_noted(prov_db_query_t *q);
static void prov_keys_cleanup(void *data);


ngx_int_t
prov_request_key_find(ngx_http_request_t *r, prov_request_lookup_t *lookup,
    prov_request_keys_t *keys, prov_request_key_pt handler,
    prov_auth_apikey_t **key)
{
    ngx_uint_t           made;
    ngx_http_cleanup_t  *cln;
    prov_keys_entry_t   *entry;

    entry = prov_keys_lookup(keys, lookup->shown.id);

    if (entry && entry->known
        && ngx_current_msec - entry->since < PROV_KEYS_VALID)
    {
        if (entry->key == NULL) {
            return NGX_DECLINED;
        }

        if (prov_auth_apikey_same(entry->key, &lookup->shown)
            || (entry->query == NULL && !prov_keys_ration()))
        {
            if (entry->query == NULL) {
                ngx_queue_remove(&entry->queue);
                ngx_queue_insert_head(&prov_keys.known, &entry->queue);
            }

            *key = entry->key;
            return NGX_OK;
        }

    } else if ((entry == NULL
                || (entry->key == NULL && entry->query == NULL))
               && !prov_keys_ration())
    {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "too many API keys are shown that do not exist");

        if (prov_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE, "overloaded",
                         "Too many API keys are being looked up; nothing "
                         "was done.")
            == NGX_ERROR)
        {
            return NGX_ERROR;
        }

        return prov_problem_retry(r, 1);
    }

    if (!lookup->cleanup) {
        cln = ngx_http_cleanup_add(r, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        cln->handler = prov_keys_cleanup;
        cln->data = lookup;
        lookup->cleanup = 1;
    }

    made = (entry == NULL);

    if (made) {
        entry = prov_keys_create(keys, lookup->shown.id);
        if (entry == NULL) {
            return NGX_ERROR;
        }
    }

    /* a question under way may be older than the secret */

    lookup->joined = (entry->query != NULL);

    if (entry->query == NULL && prov_keys_ask(entry) != NGX_OK) {
        if (made) {
            prov_keys_remove(entry);
        }

        return NGX_ERROR;
    }

    lookup->request = r;
    lookup->handler = handler;
    lookup->waiting = 1;

    ngx_queue_insert_tail(&entry->waiting, &lookup->queue);

    return NGX_AGAIN;
}


static ngx_int_t
prov_keys_ask(prov_keys_entry_t *entry)
{
    prov_db_query_t  *q;

    q = prov_db_query(entry->keys->db, entry->keys->find, PROV_DB_READ);
    if (q == NULL) {
        return NGX_ERROR;
    }

    prov_keys_leave(entry);
    ngx_queue_insert_head(&prov_keys.asking, &entry->queue);

    q->values[0] = (const char *) entry->find;
    q->values[1] = NULL;
    q->values[2] = NULL;
    q->handler = prov_keys_answered;
    q->data = entry;
    q->log = ngx_cycle->log;

    entry->query = q;
    entry->asked = ngx_current_msec;

    prov_db_submit(q);

    return NGX_OK;
}


/*
 * Whoever has waited is told.  What a request does then may end others, whose
 * cleanup takes them out of the queue, wherever that is; the entry stays, for
 * only answers make entries leave, and none comes from within.
 */

static void
prov_keys_answered(prov_db_query_t *q)
{
    ngx_int_t               rc, status;
    ngx_queue_t             waiting, *p;
    prov_keys_entry_t      *entry;
    ngx_http_request_t     *r;
    prov_request_lookup_t  *lookup;

    entry = q->data;

    rc = prov_keys_learn(entry, q);
    entry->query = NULL;

    ngx_queue_init(&waiting);

    if (!ngx_queue_empty(&entry->waiting)) {
        ngx_queue_add(&waiting, &entry->waiting);
        ngx_queue_init(&entry->waiting);
    }

    prov_keys_settle(entry, rc);

    while (!ngx_queue_empty(&waiting)) {
        p = ngx_queue_head(&waiting);
        ngx_queue_remove(p);

        lookup = ngx_queue_data(p, prov_request_lookup_t, queue);
        lookup->waiting = 0;

        if (rc == NGX_OK && prov_keys_again(entry, lookup)) {
            continue;
        }

        r = lookup->request;
        status = rc;

        ngx_http_set_log_request(r->connection->log, r);

        if (rc == NGX_ERROR) {
            status = prov_keys_failed(r, q);
        }

        lookup->handler(r, status, (rc == NGX_OK) ? entry->key : NULL);
    }

    if (rc == NGX_ERROR && entry->key == NULL && entry->query == NULL) {
        prov_keys_remove(entry);
    }

    prov_db_release(q);
}


/* Whether one more question must be answered first. */

static ngx_uint_t
prov_keys_again(prov_keys_entry_t *entry, prov_request_lookup_t *lookup)
{
    if (!lookup->joined
        || prov_auth_apikey_same(entry->key, &lookup->shown))
    {
        return 0;
    }

    lookup->joined = 0;

    if (entry->query == NULL
        && (!prov_keys_ration() || prov_keys_ask(entry) != NGX_OK))
    {
        return 0;
    }

    lookup->waiting = 1;

    ngx_queue_insert_tail(&entry->waiting, &lookup->queue);

    return 1;
}


/* What one of those is told who have waited for no answer. */

static ngx_int_t
prov_keys_failed(ngx_http_request_t *r, prov_db_query_t *q)
{
    ngx_int_t  rc;

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "an API key could not be looked up");

    if (q->status != PROV_DB_REFUSED) {
        return prov_request_no_answer(r, q->status);
    }

    rc = prov_request_refused(r, q->result);

    /* a lock is no conflict of this request */

    return (rc == NGX_HTTP_CONFLICT)
           ? prov_request_no_answer(r, PROV_DB_TIMEOUT) : rc;
}


/* NGX_OK: entry->key.  NGX_DECLINED: no such.  NGX_ERROR: no answer. */

static ngx_int_t
prov_keys_learn(prov_keys_entry_t *entry, prov_db_query_t *q)
{
    prov_auth_apikey_t  *key;

    if (q->status != PROV_DB_COMMITTED) {
        return NGX_ERROR;
    }

    key = NULL;

    if (PQntuples(q->result) != 1 || PQnfields(q->result) != 3) {
        q->status = PROV_DB_TIMEOUT;
        return NGX_ERROR;
    }

    if (ngx_strcmp(PQgetvalue(q->result, 0, 0), "200") == 0) {
        key = prov_auth_apikey_read((u_char *) PQgetvalue(q->result, 0, 1),
                                    PQgetlength(q->result, 0, 1),
                                    &entry->keys->issuer, ngx_cycle->log);
        if (key == NULL) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "prov.api_key_find() did not return an API key");
            q->status = PROV_DB_TIMEOUT;
            return NGX_ERROR;
        }
    }

    if (entry->key == NULL && key && prov_keys.ration < PROV_KEYS_RATION) {
        prov_keys.ration++;
    }

    if (entry->key) {
        ngx_free(entry->key);
    }

    entry->key = key;
    entry->since = entry->asked;
    entry->known = 1;

    return key ? NGX_OK : NGX_DECLINED;
}


void
prov_request_key_used(prov_request_keys_t *keys, prov_auth_apikey_t *key)
{
    u_char             *p;
    prov_db_query_t    *q;
    prov_keys_entry_t  *entry;

    if (ngx_time() - key->used < 60) {
        return;
    }

    entry = prov_keys_lookup(keys, key->identity->key.data);

    if (entry == NULL || entry->use) {
        return;
    }

    q = prov_db_query(keys->db, keys->used, PROV_DB_WRITE);
    if (q == NULL) {
        return;
    }

    /* until the next look-up says so */
    key->used = ngx_time();

    p = ngx_sprintf(entry->note, "{\"key\":\"%V\"", &key->identity->key);

    /* an operator's has none */

    if (key->identity->partner.len == PROV_AUTH_APIKEY_ID) {
        p = ngx_sprintf(p, ",\"partner\":\"%V\"", &key->identity->partner);
    }

    *ngx_sprintf(p, "}") = '\0';

    q->values[0] = (const char *) entry->note;
    q->values[1] = NULL;
    q->values[2] = NULL;
    q->handler = prov_keys_noted;
    q->data = entry;
    q->log = ngx_cycle->log;

    entry->use = q;

    prov_db_submit(q);
}


/* Whether it worked is of no importance: the next use will note it. */

static void
prov_keys_noted(prov_db_query_t *q)
{
    prov_keys_entry_t  *entry;

    entry = q->data;
    entry->use = NULL;

    prov_db_release(q);
}


/* The request ends while it waits: the question goes on, for the others. */

static void
prov_keys_cleanup(void *data)
{
    prov_request_lookup_t *lookup = data;

    if (lookup->waiting) {
        lookup->waiting = 0;
        ngx_queue_remove(&lookup->queue);
    }

    lookup->cleanup = 0;
}


/* while the configuration is read */

prov_request_keys_t *
prov_request_keys(ngx_conf_t *cf, ngx_array_t *all, prov_db_conf_t *db)
{
    ngx_int_t              find, used;
    ngx_uint_t             i;
    prov_request_keys_t   *keys, **known;

    static ngx_str_t  find_text = ngx_string("select r.status, r.body, "
                          "r.headers from prov.api_key_find($1, $2, $3) r");
    static ngx_str_t  used_text = ngx_string("select r.status, r.body, "
                          "r.headers from prov.api_key_used($1, $2, $3) r");

    known = all->elts;

    for (i = 0; i < all->nelts; i++) {
        if (known[i]->db == db) {
            return known[i];
        }
    }

    keys = ngx_pcalloc(cf->pool, sizeof(prov_request_keys_t));
    known = ngx_array_push(all);

    if (keys == NULL || known == NULL) {
        return NULL;
    }

    *known = keys;

    find = prov_db_statement(db, &find_text);
    used = prov_db_statement(db, &used_text);

    if (find == NGX_ERROR || used == NGX_ERROR) {
        return NULL;
    }

    keys->db = db;
    keys->find = find;
    keys->used = used;

    /* what an identity must have; no token is ever checked with it */

    ngx_str_set(&keys->issuer.name, "api_keys");
    ngx_str_set(&keys->issuer.iss, "api_keys");

    return keys;
}
