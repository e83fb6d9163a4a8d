/*
 * What the files of src/db share: the configuration, the worker's pool, its
 * connections, and the functions between them.  Nobody else includes this.
 */

#ifndef _PROV_DB_POOL_H_INCLUDED_
#define _PROV_DB_POOL_H_INCLUDED_


#include "db/prov_db.h"


/* how often one query may be sent: the first time, and after a loss */
#define PROV_DB_TRIES         4

/* how often a connection may prepare statements anew before it is replaced:
   what they were prepared as before stays in the server's memory */
#define PROV_DB_REPREPARED    32

/* a connection that owes its next answer for so long is joined last */
#define PROV_DB_SLOW          20      /* ms */

/* what is prepared on each connection when commits are shared */
#define PROV_DB_BARRIER_NAME  "prov_barrier"

/*
 * And when transactions are.  How long one of several may wait for a lock: its
 * transaction has locks itself, and two that wait for each other would find
 * that out only after deadlock_timeout.  One that is sent before there are
 * others waits for as long as the server lets it.  A function that answers
 * when it does not get a lock sees prov.shared, and fails instead.
 */
#define PROV_DB_GUARD_NAME    "prov_guard"
#define PROV_DB_GUARD_SETUP                                                   \
    "prepare " PROV_DB_GUARD_NAME " as "                                      \
    "select pg_catalog.set_config('lock_timeout', '100ms', true), "           \
    "pg_catalog.set_config('prov.shared', 'on', true)"

/* who needs so long by himself is what others could not wait for: as long as
   one of several waits for a lock */
#define PROV_DB_LONG          100     /* ms */

/* who is remembered for having made a transaction fail: by a hash */
#define PROV_DB_BLAMED        64

/* queries that one statement serves, at most, and the column that tells
   whose a row is */
#define PROV_DB_BATCH         16
#define PROV_DB_WHOSE         3

/* changes that share a transaction, unless configured */
#define PROV_DB_TOGETHER      16

/* wait between two attempts to connect, doubled from the first to the last */
#define PROV_DB_BACKOFF_MIN   50      /* ms */
#define PROV_DB_BACKOFF_MAX   1000    /* ms */


/* queries in flight on one connection, unless configured */
#define PROV_DB_PIPELINE      32

/* connection parameters that conninfo and we may set; libpq has about 40 */
#define PROV_DB_OPTIONS       64


typedef struct {
    ngx_str_t        name;        /* as configured, for the log */
    const char      *host;        /* directory of a socket, or the name that
                                     a certificate must show */
    const char      *hostaddr;    /* NULL for a socket */
    const char      *port;
    unsigned         backup:1;
} prov_db_server_t;


/* what a busy connection serves; others join it only where they must */

typedef enum {
    PROV_DB_FOR_READS = 0,
    PROV_DB_FOR_WRITES,
    PROV_DB_FOR_LISTS,            /* one at a time */
    PROV_DB_KINDS
} prov_db_kind_e;


typedef struct {
    const char      *text;
    ngx_int_t        several;     /* number of its form for several queries,
                                     or NGX_ERROR */
} prov_db_statement_t;


struct prov_db_conf_s {
    ngx_str_t        name;
    ngx_uint_t       index;       /* in the configuration */
    ngx_array_t      servers;     /* prov_db_server_t, backups last */
    ngx_array_t      statements;  /* prov_db_statement_t */
    ngx_str_t        conninfo;
    const char      *keywords[PROV_DB_OPTIONS];  /* of conninfo, and ours */
    const char      *values[PROV_DB_OPTIONS];
    ngx_uint_t       noptions;
    ngx_uint_t       connections; /* per worker */
    ngx_uint_t       share[PROV_DB_KINDS];  /* of them; 0: not configured */
    ngx_uint_t       pipeline;    /* queries in flight on one connection */
    ngx_uint_t       queue;       /* queries that wait */
    ngx_msec_t       queue_timeout;
    ngx_msec_t       connect_timeout;
    ngx_msec_t       query_timeout;
    ngx_msec_t       keepalive_time;
    ngx_flag_t       share_commits;
    ngx_uint_t       share_transactions;  /* so many changes at most */
    u_char          *file;
    ngx_uint_t       line;
};


typedef enum {
    PROV_DB_NEW = 0,
    PROV_DB_WAITING,              /* on pool->waiting */
    PROV_DB_SENT,                 /* on conn->sent, answered or held */
    PROV_DB_DONE                  /* on no list; the caller's alone */
} prov_db_query_state_e;


typedef enum {
    PROV_DB_CLOSED = 0,           /* on pool->closed; no socket */
    PROV_DB_CONNECTING,           /* on pool->connecting */
    PROV_DB_IDLE,                 /* on pool->idle; proven clean */
    PROV_DB_BUSY                  /* on pool->busy; queries in flight */
} prov_db_conn_state_e;


typedef struct prov_db_pool_s  prov_db_pool_t;


typedef struct {
    ngx_queue_t           queue;      /* in the list of its state */
    prov_db_conn_state_e  state;
    prov_db_kind_e        kind;       /* while busy */
    prov_db_pool_t       *pool;
    PGconn               *pg;         /* NULL when closed */
    ngx_connection_t     *c;          /* NULL when nothing is registered */

    /* prov_db_query_t in flight, oldest first, on one list after the other */

    ngx_queue_t           sent;       /* their results are not whole */
    ngx_queue_t           answered;   /* their Sync is not */
    ngx_queue_t           held;       /* committed, not yet on disk */
    ngx_uint_t            nsent;      /* on the three */
    ngx_uint_t            open;       /* of them, sent since the last Sync */
    prov_db_query_t      *newest;     /* of these, or before the last Sync */
    ngx_uint_t            unflushed;  /* writes since the last barrier */
    ngx_uint_t            commits;    /* Syncs of writes in flight */
    prov_db_query_t      *batch;      /* the first of those that are gathered */
    ngx_uint_t            nbatch;     /* how many, the last ones of sent */
    prov_db_query_t      *reader;     /* whose row comes next, while a batch's
                                         rows are read */
    ngx_uint_t            nread;      /* how many have theirs */

    prov_db_query_t       barrier;    /* see prov_db_share.c */
    ngx_event_t           timer;      /* connect, then query time */
    ngx_event_t           age;        /* timer: keepalive_time */
    ngx_uint_t           *generation; /* per statement; 0: not prepared */
    ngx_uint_t            prepared;   /* generations so far */
    ngx_uint_t            server;     /* index */
    ngx_uint_t            failures;   /* the pool's, when it began to connect */
    unsigned              flushing:1; /* a barrier is in flight */
    unsigned              guarded:1;  /* what is open, see prov_db_group.c */
    unsigned              pushing:1;  /* something has been added to it */
    unsigned              reserved:1; /* a list waits until it is idle */
    unsigned              retired:1;  /* closes when it is idle */
    unsigned              dead:1;     /* closes before anything else */
} prov_db_conn_t;


struct prov_db_pool_s {
    prov_db_conf_t       *conf;
    ngx_log_t            *log;
    prov_db_conn_t       *conns;
    ngx_uint_t            share[PROV_DB_KINDS];  /* more only when all of a
                                                    kind are slow */
    ngx_uint_t            lists;      /* and never more than so many */
    ngx_queue_t           closed;
    ngx_queue_t           connecting;
    ngx_queue_t           idle;
    ngx_queue_t           busy;
    ngx_uint_t            nconnecting;
    ngx_uint_t            nbusy[PROV_DB_KINDS];
    ngx_uint_t            nreserved;  /* connections that a list waits for */

    ngx_queue_t           waiting[PROV_DB_KINDS];  /* prov_db_query_t, oldest
                                                      first */
    ngx_uint_t            nwait[PROV_DB_KINDS];
    ngx_uint_t            nwaiting;   /* on all of them */
    ngx_uint_t            nfirst;     /* of these, not counted by "queue" */
    ngx_event_t           dispatch;   /* posted: send what waits */
    ngx_event_t           again;      /* timer: look for slow ones again */
    ngx_event_t           retry;      /* timer: connect again */
    ngx_msec_t            backoff;    /* 0: the database answers */
    ngx_uint_t            failures;   /* since the last success */
    ngx_msec_t            next;       /* not before, while backoff is set */
    ngx_uint_t            server;     /* the one to connect to next */
    ngx_msec_t            blamed[PROV_DB_BLAMED];  /* until then; 0: not */
    ngx_msec_t            slow[PROV_DB_BLAMED];    /* likewise, for lists */
};


/* prov_db_conf.c, _server.c, _conninfo.c: while the configuration is read */
char *prov_db_set_server(ngx_conf_t *cf, ngx_command_t *cmd, void *data);
char *prov_db_conninfo(ngx_conf_t *cf, prov_db_conf_t *conf);
char *prov_db_copy(ngx_pool_t *pool, u_char *data, size_t len);

/* prov_db.c: the pools of a worker */
prov_db_pool_t *prov_db_pool(prov_db_conf_t *conf);

/* prov_db_dispatch.c: from waiting to sent */
void prov_db_wake(prov_db_pool_t *pool);
void prov_db_dispatch(ngx_event_t *ev);
void prov_db_look_again(ngx_event_t *ev);

/* prov_db_limit.c: who waits for how long, and who is turned away */
void prov_db_limit(prov_db_pool_t *pool);

/* prov_db_reach.c: which server, and when */
void prov_db_grow(prov_db_pool_t *pool, ngx_uint_t wanted);
void prov_db_retry(ngx_event_t *ev);
void prov_db_reached(prov_db_pool_t *pool);
void prov_db_missed(prov_db_conn_t *conn);
void prov_db_demoted(prov_db_conn_t *conn);

/* prov_db_query.c: a query's life */
void prov_db_query_taken(prov_db_query_t *q);
void prov_db_query_sent(prov_db_query_t *q, prov_db_conn_t *conn);
void prov_db_query_done(prov_db_query_t *q, prov_db_status_e status);
void prov_db_query_again(prov_db_query_t *q);
void prov_db_query_apart(prov_db_query_t *q);
void prov_db_query_lost(prov_db_query_t *q);

/* prov_db_connect.c: from closed to idle */
void prov_db_connect(prov_db_conn_t *conn);

/* prov_db_conn.c: a connection's life */
void prov_db_conn_move(prov_db_conn_t *conn, prov_db_conn_state_e state);
void prov_db_conn_close(prov_db_conn_t *conn);
void prov_db_conn_leave(prov_db_conn_t *conn);
void prov_db_conn_settle(prov_db_conn_t *conn);
prov_db_query_t *prov_db_conn_oldest(prov_db_conn_t *conn);
void prov_db_conn_timer(ngx_event_t *ev);
void prov_db_conn_aged(ngx_event_t *ev);

/* prov_db_watch.c: libpq's socket and messages */
ngx_int_t prov_db_conn_watch(prov_db_conn_t *conn, ngx_event_handler_pt read,
    ngx_event_handler_pt write);
void prov_db_conn_unwatch(prov_db_conn_t *conn);
void prov_db_conn_log(ngx_uint_t level, prov_db_conn_t *conn,
    const char *doing);
void prov_db_conn_notice(void *data, const PGresult *result);

/* prov_db_wire.c: what goes out over it */
ngx_int_t prov_db_wire_add(prov_db_conn_t *conn, prov_db_query_t *q);
ngx_int_t prov_db_wire_statement(prov_db_conn_t *conn, prov_db_query_t *q);
ngx_int_t prov_db_wire_sync(prov_db_conn_t *conn);
ngx_int_t prov_db_wire_push(prov_db_conn_t *conn);
void prov_db_wire_event(ngx_event_t *ev);
ngx_uint_t prov_db_wire_pending(prov_db_conn_t *conn);
void prov_db_wire_lost(prov_db_conn_t *conn, const char *doing);

/* prov_db_answer.c: what comes back */
void prov_db_answer(prov_db_conn_t *conn);
void prov_db_answer_error(prov_db_conn_t *conn, prov_db_query_t *q);
ngx_uint_t prov_db_answer_transient(prov_db_conn_t *conn,
    prov_db_query_t *q);
void prov_db_answer_unprepared(prov_db_conn_t *conn, prov_db_query_t *q);
prov_db_query_t *prov_db_answer_current(prov_db_conn_t *conn);
ngx_uint_t prov_db_failed(PGresult *result);

/* prov_db_batch.c: one statement for several queries */
ngx_uint_t prov_db_batch_takes(prov_db_conn_t *conn, prov_db_query_t *q);
void prov_db_batch_add(prov_db_conn_t *conn, prov_db_query_t *q);
ngx_int_t prov_db_batch_send(prov_db_conn_t *conn);
void prov_db_batch_forget(prov_db_query_t *q);
ngx_int_t prov_db_batch_query(prov_db_conn_t *conn, const char *name,
    prov_db_query_t *first);
void prov_db_batch_expect(prov_db_conn_t *conn);
void prov_db_batch_rows(prov_db_conn_t *conn, prov_db_query_t *first,
    PGresult *result);
void prov_db_batch_fail(prov_db_query_t *first, ngx_uint_t parted);
void prov_db_batch_answered(prov_db_conn_t *conn, prov_db_query_t *first);

/* prov_db_share.c: one flush to disk for many commits */
const char *prov_db_share_setup(prov_db_conf_t *conf);
ngx_uint_t prov_db_shares(prov_db_query_t *q);
ngx_int_t prov_db_share_close(prov_db_conn_t *conn);
ngx_int_t prov_db_share_flush(prov_db_conn_t *conn);
void prov_db_share_flushed(prov_db_conn_t *conn, prov_db_query_t *barrier);

/* prov_db_group.c: one transaction for several changes */
void prov_db_group_ask(prov_db_pool_t *pool, prov_db_query_t *q);
void prov_db_group_blame(prov_db_pool_t *pool, prov_db_query_t *q);
ngx_uint_t prov_db_group_joins(prov_db_conn_t *conn, prov_db_query_t *q);
ngx_uint_t prov_db_group_waits(prov_db_conn_t *conn, prov_db_query_t *q);
ngx_int_t prov_db_group_guard(prov_db_conn_t *conn, prov_db_query_t *q);
ngx_uint_t prov_db_group_committed(prov_db_conn_t *conn);


#endif /* _PROV_DB_POOL_H_INCLUDED_ */
