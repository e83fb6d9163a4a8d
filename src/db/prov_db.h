/*
 * PostgreSQL for the workers: a pool of non-blocking, pipelined libpq
 * connections per provisioning_database block.  Called by the module
 * (configuration, worker start and end) and by src/request (queries).  Never
 * knows what a statement means; it knows when its effect is certain.
 */

#ifndef _PROV_DB_H_INCLUDED_
#define _PROV_DB_H_INCLUDED_


#include "base/prov_base.h"

#include <ngx_event.h>
#include <libpq-fe.h>


#define PROV_DB_PARAMS  3


typedef struct prov_db_conf_s   prov_db_conf_t;
typedef struct prov_db_query_s  prov_db_query_t;


typedef enum {
    PROV_DB_READ = 0,     /* may be repeated, shares a connection */
    PROV_DB_LIST,         /* may be repeated; only lists share its connection */
    PROV_DB_TRIAL,        /* may be repeated, waits for locks as writes do */
    PROV_DB_REPLAY,       /* may be repeated, and commits: answers what others
                             may have committed a moment ago */
    PROV_DB_WRITE,        /* is sent once */
    PROV_DB_OUTCOME,      /* may be repeated, and commits: asks about a write
                             that was sent, before all others, and is never
                             turned away */
    PROV_DB_BARRIER       /* src/db's own: see prov_db_share.c */
} prov_db_class_e;


typedef enum {
    PROV_DB_COMMITTED = 0,  /* result: the rows; what a write, a replay or an
                               outcome has changed, or found, is on disk */
    PROV_DB_REFUSED,        /* result: the error; everything rolled back */
    PROV_DB_AWAY,           /* no server could be reached; nothing was done */
    PROV_DB_QUEUE_FULL,     /* nothing was done */
    PROV_DB_QUEUE_TIMEOUT,  /* nothing was done */
    PROV_DB_TIMEOUT,        /* a read ran out of time */
    PROV_DB_UNKNOWN         /* a write was sent, no answer came: it may have
                               been committed or not */
} prov_db_status_e;


typedef void (*prov_db_handler_pt)(prov_db_query_t *q);

struct prov_db_query_s {

    /* the caller's, set between create and submit; the values are borrowed
       until the handler is called or the query is released */

    const char               *values[PROV_DB_PARAMS];  /* NUL-terminated */
    prov_db_handler_pt        handler;
    void                     *data;
    ngx_log_t                *log;
    uint32_t                  source;      /* who asks: any number */
    unsigned                  together:1;  /* a write that may share its
                                              transaction with others, a list
                                              that may share its statement, or
                                              a read, which does unless its
                                              source has made one fail */

    /* for the handler to read */

    prov_db_status_e          status;
    PGresult                 *result;      /* the query's until release */
    ngx_msec_t                queue_time;  /* waiting for a connection */
    ngx_msec_t                db_time;     /* from sending to the answer */

    /* src/db's own */

    prov_db_conf_t           *conf;
    ngx_uint_t                statement;
    prov_db_class_e           class;
    ngx_uint_t                state;       /* prov_db_query_state_e */
    ngx_queue_t               queue;       /* in the pool's or connection's */
    ngx_event_t               timer;       /* queue, then query time */
    void                     *conn;        /* prov_db_conn_t, while sent */
    ngx_msec_t                submitted;
    ngx_msec_t                sent;
    ngx_uint_t                number;      /* of the statement it was sent to */
    ngx_uint_t                generation;  /* of that */
    ngx_uint_t                batch;       /* how many that statement serves:
                                              this one, and those behind it */
    unsigned                  commands:3;  /* whose answers are to come */
    unsigned                  gathered:1;  /* see prov_db_batch.c */
    unsigned                  reading:1;   /* rows come one by one */
    unsigned                  guarding:1;  /* see prov_db_group.c */
    unsigned                  guarded:1;   /* and has been answered */
    unsigned                  preparing:1; /* a Parse goes before it */
    unsigned                  prepared:1;  /* and has been answered */
    unsigned                  flushing:1;  /* its own commit waits for disk */
    unsigned                  last:1;      /* a Sync follows it */
    unsigned                  aborted:1;   /* one before it has failed */
    unsigned                  alone:1;     /* has a Sync of its own */
    unsigned                  parted:1;    /* was of a batch that has failed */
    unsigned                  first:1;     /* waits before those that are new */
    unsigned                  tries:4;
    unsigned                  orphan:1;    /* released while it was sent */
};


/*
 * The directive "provisioning_database name { … }".  databases is the array
 * of prov_db_conf_t * that the configuration keeps.  NGX_CONF_OK, or
 * NGX_CONF_ERROR after logging file, line and what to write instead.
 */
char *prov_db_block(ngx_conf_t *cf, ngx_array_t *databases);

/* The named database, or NULL. */
prov_db_conf_t *prov_db_find(ngx_array_t *databases, ngx_str_t *name);

/*
 * Registers a statement while the configuration is read; it is prepared on
 * each connection at its first use.  text is copied, equal texts share one
 * number.  Returns the number, or NGX_ERROR.
 */
ngx_int_t prov_db_statement(prov_db_conf_t *conf, ngx_str_t *text);

/*
 * Registers the form of a statement that serves several queries: its
 * parameters are arrays (jsonb[]), of one element for each; its rows come in
 * that order and have a fourth column, which says whose they are, from 1 on.
 * Who has none, has none.  The number must be prov_db_statement()'s.
 */
ngx_int_t prov_db_several(prov_db_conf_t *conf, ngx_uint_t statement,
    ngx_str_t *text);

/* Once per worker, from init_process and exit_process.  Connects nothing. */
ngx_int_t prov_db_init_worker(ngx_cycle_t *cycle, ngx_array_t *databases);
void prov_db_exit_worker(void);

/*
 * A query is made, filled in, submitted once, and released once: at any time,
 * also from its handler, also while it waits or runs.  What was sent still
 * commits after its release, unless it was rolled back with others that it
 * shares a transaction with; what only waited is forgotten.  The handler is
 * called at most once, never after the release, and never from within
 * prov_db_submit().  create returns NULL when there is no memory.
 */
prov_db_query_t *prov_db_query(prov_db_conf_t *conf, ngx_uint_t statement,
    prov_db_class_e class);
void prov_db_submit(prov_db_query_t *q);
void prov_db_release(prov_db_query_t *q);

/*
 * What the database says of a statement that it has refused, in one line for
 * a log: the message alone, since its DETAIL quotes rows.  Returns line.
 */
const char *prov_db_refusal(PGresult *result, u_char *line, size_t size);

/* of such a line, in bytes */
#define PROV_DB_LINE  512


#endif /* _PROV_DB_H_INCLUDED_ */
