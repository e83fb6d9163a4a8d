/*
 * The way of one request through nginx: what a location is configured to do,
 * what is known of a request so far, and the steps, in the order in which
 * they are taken.  The module puts the steps into nginx's phases; handlers
 * are steps of their own that an operation names with x-handler.
 */

#ifndef _PROV_REQUEST_H_INCLUDED_
#define _PROV_REQUEST_H_INCLUDED_


#include <ngx_http.h>

#include "auth/prov_auth.h"
#include "auth/prov_auth_signer.h"
#include "base/prov_seal.h"
#include "db/prov_db.h"
#include "limit/prov_limit.h"
#include "openapi/prov_openapi.h"
#include "request/prov_request_keys.h"
#include "request/prov_request_value.h"


/* of a caller's own request id, and of the user agent that is recorded */
#define PROV_REQUEST_ID_LEN      64
#define PROV_REQUEST_AGENT_LEN   256

/* violations told to a caller at once */
#define PROV_REQUEST_VIOLATIONS  32

/* provisioning_limit in one location */
#define PROV_REQUEST_LIMITS      8


/* of the parameters that the engine itself serves, what an operation has */
#define PROV_REQUEST_TAKES_KEY         0x01   /* Idempotency-Key */
#define PROV_REQUEST_TAKES_DRY_RUN     0x02   /* dry_run */
#define PROV_REQUEST_TAKES_MATCH       0x04   /* If-Match */
#define PROV_REQUEST_TAKES_NONE_MATCH  0x08   /* If-None-Match */
#define PROV_REQUEST_TAKES_PREFER      0x10   /* Prefer */

/* seconds for which "Prefer: wait" holds a request at most */
#define PROV_REQUEST_WAIT        60


typedef struct {
    ngx_str_t                   name;      /* x-handler */
    ngx_http_handler_pt         handler;   /* as a content handler's */
    ngx_uint_t                  raw;       /* reads the request itself */
    ngx_uint_t                  live;      /* for x-event-stream */
} prov_request_handler_t;


/* An operation of a document, as one database serves it. */

typedef struct {
    prov_openapi_operation_t   *operation;
    prov_request_handler_t     *handler;   /* NULL: the database function */
    prov_request_handler_t     *live;      /* of text/event-stream, or NULL */
    ngx_uint_t                  statement;
    ngx_uint_t                  keyed;     /* statement with a key */
    ngx_uint_t                  dry_run;   /* statement that keeps nothing */
    ngx_uint_t                  takes;     /* PROV_REQUEST_TAKES_… */
    prov_db_class_e             class;
    ngx_str_t                   told;      /* to the database, of args[0] */
} prov_request_call_t;


/* A document and the database behind it; shared by all its locations. */

typedef struct {
    prov_openapi_api_t         *api;
    prov_db_conf_t             *db;
    prov_request_call_t        *calls;     /* by operation->index */
    ngx_uint_t                  outcome;   /* statement */
    ngx_uint_t                  ready;     /* statement */
    ngx_uint_t                  refusal;   /* statement */
    ngx_uint_t                  attempts;  /* statement */
    ngx_uint_t                  token;     /* statement */
    ngx_uint_t                  events;    /* statement, where x-event-stream
                                              is */
    ngx_str_t                   inventory; /* prov.ready's first argument */
    void                       *threads;   /* ngx_thread_pool_t * */
    ngx_array_t                *seals;     /* prov_seal_key_t */
} prov_request_service_t;


typedef struct {
    ngx_str_t                   name;
    unsigned                    permission:1;  /* else a role */
} prov_request_requirement_t;


/* provisioning_limit: whose requests are counted together */

typedef enum {
    PROV_REQUEST_CALLER = 0,
    PROV_REQUEST_PARTNER,
    PROV_REQUEST_ADDRESS,                  /* counted before anything else */
    PROV_REQUEST_VALUE
} prov_request_whose_e;


typedef struct {
    ngx_str_t                   name;      /* of the zone and of the policy */
    ngx_str_t                   told;      /* "name";r= for a caller */
    prov_limit_zone_t          *zone;
    prov_limit_rate_t           rate;
    prov_request_whose_e        whose;
    ngx_str_t                   key;       /* as it was written */
    ngx_http_complex_value_t    value;     /* of PROV_REQUEST_VALUE */
    u_char                     *file;
    ngx_uint_t                  line;
    unsigned                    dry_run:1;
    unsigned                    location:1;    /* stands in one */
} prov_request_limit_t;


/* of a location; read-only once the configuration is read */

typedef struct {
    prov_auth_set_t            *auth;      /* NULL: no token is trusted */
    ngx_array_t                *issuers;   /* ngx_str_t: names; none, and no
                                              keys: "off" */
    ngx_str_t                   keys_of;   /* name of a database */
    prov_request_keys_t        *keys;      /* NULL: no key is looked at */
    prov_openapi_api_t         *api;
    ngx_str_t                   prefix;    /* before the document's paths */
    ngx_str_t                   told;      /* to the database, of args[0] */
    ngx_str_t                   database;  /* name */
    prov_db_conf_t             *db;
    prov_request_service_t     *service;
    ngx_str_t                   document;  /* as served under the prefix */
    ngx_str_t                   etag;      /* its */
    ngx_str_t                   published; /* its path; empty where this
                                              location does not serve it */
    prov_openapi_api_t         *roles;     /* whose x-roles count, no api */
    ngx_array_t                *require;   /* ngx_array_t of
                                              prov_request_requirement_t: one
                                              of each must be met */
    ngx_array_t                *limits;    /* prov_request_limit_t */
    ngx_str_t                   policy;    /* RateLimit-Policy, or empty */
    ngx_flag_t                  require_if_match;
    u_char                     *file;      /* where it was told so, last */
    ngx_uint_t                  line;
} prov_request_conf_t;


/* of the http block */

typedef struct {
    ngx_array_t                 databases; /* prov_db_conf_t * */
    ngx_array_t                 issuers;   /* prov_auth_issuer_t * */
    ngx_array_t                 signers;   /* prov_auth_signer_t * */
    ngx_array_t                 keys;      /* prov_request_keys_t * */
    ngx_array_t                 apis;      /* prov_openapi_api_t * */
    ngx_array_t                 services;  /* prov_request_service_t * */
    ngx_array_t                 zones;     /* prov_limit_zone_t * */
    ngx_array_t                 seals;     /* prov_seal_key_t: the first one
                                              seals, all of them unseal */
    ngx_int_t                 (*outbound_url)(ngx_str_t *url,
                                              const char **why);
    prov_request_handler_t     *handlers;  /* that x-handler may name */
    void                       *events;    /* prov_events_conf_t *, which
                                              handlers know */
    ngx_uint_t                  attempts;  /* kept by a worker; 0: none */
    ngx_msec_t                  attempts_interval;
    unsigned                    attempts_set:1;
    void                      (*committed)(void);  /* a change was answered,
                                                      or NULL */
} prov_request_main_conf_t;


/* what a limit has left for a request, after it was counted */

typedef struct {
    prov_request_limit_t       *limit;
    prov_limit_room_t           room;
} prov_request_room_t;


/* A token that waits for its issuer's keys. */

typedef struct {
    prov_auth_wait_t            wait;
    ngx_str_t                   token;
} prov_request_await_t;


/* What is wrong, in the words of RFC 9457. */

typedef struct {
    ngx_uint_t                  status;
    ngx_str_t                   code;
    ngx_str_t                   detail;
    json_t                     *members;   /* extension members, or NULL */
    ngx_str_t                   errors;    /* JSON array, or empty */
} prov_problem_t;


/* Prefer, as far as it is known here */

typedef struct {
    ngx_uint_t                  wait;      /* seconds; 0: not to be held */
    unsigned                    waits:1;   /* "wait" was there */
    unsigned                    respond_async:1;
} prov_request_prefer_t;


typedef struct prov_request_ctx_s     prov_request_ctx_t;
typedef struct prov_request_stream_s  prov_request_stream_t;
typedef struct prov_request_wait_s    prov_request_wait_t;
typedef struct prov_request_check_s  prov_request_check_t;

/*
 * A handler's change was committed (known), or its caller was not let in.
 * NGX_DONE: the answer comes later; else what to finalize with.
 */
typedef ngx_int_t (*prov_request_then_pt)(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_uint_t known);

/* What prov_request_respond() is: NGX_DONE, or what to finalize with. */
typedef ngx_int_t (*prov_request_take_pt)(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, PGresult *result);


struct prov_request_ctx_s {
    prov_request_conf_t        *conf;      /* of the access phase */
    ngx_str_t                   id;        /* request id */
    ngx_str_t                  *values;    /* of the path's parameters */
    prov_openapi_operation_t   *operation;
    prov_request_call_t        *call;
    prov_schema_t              *schema;    /* of the body that is read */
    prov_request_check_t       *check;     /* of that body, then of what
                                              it leads to, while it is looked
                                              at */
    u_char                     *validated; /* in args[0]: the hash of what was
                                              validated; NULL: nothing is */
    ngx_uint_t                  rounds;    /* of validating results */
    prov_auth_identity_t       *identity;
    prov_request_lookup_t      *lookup;    /* of an API key, or NULL */
    prov_request_await_t       *await;     /* for an issuer's keys, or NULL */
    ngx_int_t                   decided;   /* what came of either */
    void                       *handling;  /* a handler's own, which goes on
                                              with what follows: */
    prov_request_then_pt        then;      /* NULL: answers are sent */
    prov_request_take_pt        take;      /* what does so in place of
                                              prov_request_respond(), or
                                              NULL */
    ngx_str_t                   tenant;
    ngx_str_t                   resource;  /* the id of what may be made, where
                                              it was needed before args[0] */
    json_t                     *body;      /* what args[2] says, where that is
                                              needed; else NULL */
    ngx_str_t                   secret;    /* members of args[0]; empty: none */
    ngx_str_t                   shown;     /* a secret that was made; empty:
                                              none */
    ngx_str_t                   stand_in;  /* for it, of the same length, in
                                              what the database gets */
    prov_request_room_t        *rooms;     /* of the limits that counted */
    ngx_uint_t                  nrooms;
    ngx_uint_t                  mrooms;    /* there is memory for */
    ngx_str_t                  *policy;    /* of the location that counted */
    ngx_str_t                   limited;   /* the limit that had no room */
    ngx_str_t                   args[PROV_DB_PARAMS];  /* of the statement */
    prov_db_query_t            *query;
    prov_request_stream_t      *stream;    /* NULL: none has begun */
    prov_request_prefer_t       prefer;
    prov_request_wait_t        *wait;      /* NULL: it need not be held */
    ngx_msec_t                  queue_time;
    ngx_msec_t                  db_time;
    ngx_uint_t                  page;      /* the error that led here by an
                                              error_page, or 0 */
    prov_problem_t              problem;   /* status 0: none */
    ngx_str_t                   document;  /* the problem, as sent */
    ngx_http_request_t         *request;
    unsigned                    allowed:1; /* access was granted */
    unsigned                    live:1;    /* wants text/event-stream */
    unsigned                    counted:2; /* by limits: before and after
                                              authentication */
    unsigned                    resumed:1; /* "decided" counts */
    unsigned                    waiting:1; /* for the answer to the query */
    unsigned                    queried:1; /* the times are known */
    unsigned                    outcome:1; /* asks what became of a write */
    unsigned                    fenced:1;  /* by the write's id, not its key */
    unsigned                    keyed:1;   /* with an Idempotency-Key */
    unsigned                    dry_run:1; /* nothing is to be kept */
    unsigned                    refusal:1; /* asks why nobody was let in */
    unsigned                    keepalive:1;  /* was wanted at the start */
    unsigned                    drained:1; /* no body, or it has been read */
    unsigned                    replace:1; /* body filter: send document */
    unsigned                    replaced:1;
};


extern ngx_module_t  ngx_http_provisioning_module;


/* prov_request_directives.c: what a location is told; the rest is in
   prov_request_limit_conf.c */
char *prov_request_set_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *prov_request_set_require(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *prov_request_set_roles(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *prov_request_set_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *prov_request_set_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* prov_request_merge.c: what a location inherits, and what it must not */
char *prov_request_merge(ngx_conf_t *cf, prov_request_conf_t *prev,
    prov_request_conf_t *conf);

/* prov_request_conf.c: what a location is told to do */
prov_request_service_t *prov_request_service(ngx_conf_t *cf,
    prov_openapi_api_t *api, prov_db_conf_t *db,
    prov_request_handler_t *handlers);
ngx_int_t prov_request_publish(ngx_conf_t *cf, prov_request_conf_t *conf);

/* a function behind what enters, whose names are the two "%V" of format;
   NULL: nothing else is in the statement */
ngx_int_t prov_service_statement(ngx_conf_t *cf,
    prov_request_service_t *service, const char *format, ngx_str_t *function,
    ngx_uint_t *statement);

/* prov_request_several.c */
ngx_int_t prov_request_each(ngx_pool_t *pool, prov_db_conf_t *db,
    ngx_uint_t statement, ngx_str_t *text);
ngx_int_t prov_request_several(ngx_pool_t *pool,
    prov_request_service_t *service, prov_request_call_t *call);

/* prov_request_ctx.c: what is known of a request */
prov_request_ctx_t *prov_request_ctx(ngx_http_request_t *r);
prov_request_ctx_t *prov_request_ctx_find(ngx_http_request_t *r);
ngx_table_elt_t *prov_request_header_in(ngx_http_request_t *r,
    const char *name, size_t len);
ngx_int_t prov_request_header_whole(ngx_http_request_t *r, const char *name,
    size_t len, ngx_str_t *value);
ngx_int_t prov_request_header_out(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);
ngx_table_elt_t *prov_request_header_set(ngx_http_request_t *r,
    const char *name);

/* prov_request_access.c: who may */
ngx_int_t prov_request_access(ngx_http_request_t *r);
ngx_int_t prov_request_forbidden(ngx_http_request_t *r,
    ngx_str_t *permission);
ngx_int_t prov_request_subrequest(ngx_http_request_t *r);
ngx_int_t prov_request_init_worker(ngx_cycle_t *cycle);
void prov_request_exit_worker(void);

/* prov_request_access_key.c: who may, with an API key */
ngx_int_t prov_request_access_key(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_str_t *text);
ngx_int_t prov_request_access_network(ngx_http_request_t *r,
    prov_auth_identity_t *identity);

/* prov_request_access_token.c: who may, with a token */
ngx_int_t prov_request_access_token(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_str_t *token);
ngx_int_t prov_request_tokens_init_worker(ngx_cycle_t *cycle);

/* prov_request_credentials.c: what a request shows, and what it is told */
ngx_int_t prov_request_credentials(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_str_t *text, ngx_uint_t *key);
ngx_int_t prov_request_challenge(ngx_http_request_t *r, ngx_str_t *code);
ngx_int_t prov_request_unauthorized(ngx_http_request_t *r, ngx_str_t *code,
    ngx_str_t *detail);

/*
 * prov_request_limit.c: how many.  Called twice, before and after
 * authentication; each counts a request once, however often it comes.
 */
ngx_int_t prov_request_limit(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_uint_t authenticated);
ngx_int_t prov_request_limit_headers(ngx_http_request_t *r);

/* prov_request_limit_conf.c: provisioning_limit */
char *prov_request_set_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t prov_request_limit_merge(ngx_conf_t *cf, prov_request_conf_t *prev,
    prov_request_conf_t *conf);

/* prov_request_route.c: which operation is meant */
ngx_int_t prov_request_route(ngx_http_request_t *r, prov_request_ctx_t *ctx);

/* prov_request_accept.c: content negotiation */
ngx_int_t prov_request_acceptable(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);

/* prov_request_params.c: path and query parameters */
ngx_int_t prov_request_params(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);

/* prov_request_content.c: from the request to the query */
ngx_int_t prov_request_content(ngx_http_request_t *r);

/* prov_request_mutation.c: keys, dry runs, conditions */
ngx_int_t prov_request_mutation(ngx_conf_t *cf,
    prov_request_service_t *service, prov_request_call_t *call);
ngx_int_t prov_request_conditional(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);
void prov_request_mutation_asked(prov_request_ctx_t *ctx, json_t **values);
ngx_int_t prov_request_function(ngx_pool_t *pool,
    prov_openapi_operation_t *op, ngx_str_t *call);
ngx_uint_t prov_request_statement(prov_request_ctx_t *ctx,
    prov_db_class_e *class);

/* prov_request_body.c: what was sent */
ngx_int_t prov_request_body_type(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, prov_schema_t **schema);
ngx_int_t prov_request_body(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    void (*resume)(ngx_http_request_t *r));
ngx_int_t prov_request_body_result(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);
ngx_int_t prov_request_body_violations(ngx_http_request_t *r,
    const char *detail, prov_schema_report_t *report);
ngx_int_t prov_request_body_busy(ngx_http_request_t *r);

/* prov_request_result.c: what a change would lead to, before it is made */
size_t prov_request_result_len(prov_openapi_operation_t *op);
u_char *prov_request_result_told(u_char *p, prov_request_ctx_t *ctx);
ngx_uint_t prov_request_result_open(prov_request_ctx_t *ctx,
    PGresult *result);
ngx_int_t prov_request_result(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    PGresult *result);

/*
 * prov_request_task.c: work, done by a thread.  NGX_AGAIN: resume is called
 * when it is, unless the request has been terminated; NGX_BUSY: no thread has
 * time; NGX_ERROR: no memory.
 */
#if (NGX_THREADS)
ngx_int_t prov_request_task(ngx_http_request_t *r, void *threads,
    void (*work)(void *data), void *data,
    void (*resume)(ngx_http_request_t *r));
#endif

/* prov_request_check.c: is it what the operation takes? */

struct prov_request_check_s {
    ngx_chain_t                *body;      /* set by the caller, down to … */
    size_t                      len;       /* of it */
    prov_schema_t              *schema;
    void                       *threads;   /* ngx_thread_pool_t * */
    void                      (*resume)(ngx_http_request_t *r);
    ngx_str_t                   text;      /* … this: room for len + 1 */

    ngx_int_t                   rc;        /* NGX_DECLINED: see err, report;
                                              NGX_BUSY: nobody had time */
    prov_json_error_t           err;       /* code 0: it is JSON */
    prov_schema_report_t        report;

    ngx_pool_t                 *pool;
    json_t                     *json;      /* what it says, for as long as
                                              the pool; with "keep" only */
    unsigned                    keep:1;
    unsigned                    in_file:1; /* some of it */
    unsigned                    written:1; /* by PostgreSQL */
    unsigned                    required:1;
};

ngx_int_t prov_request_check(ngx_http_request_t *r,
    prov_request_check_t *check);
ngx_uint_t prov_request_check_later(prov_request_check_t *check);

/* prov_request_query.c: the round trip */
ngx_int_t prov_request_query(ngx_http_request_t *r, prov_request_ctx_t *ctx);
ngx_int_t prov_request_ask(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    ngx_uint_t statement, prov_db_class_e class);
ngx_int_t prov_request_no_answer(ngx_http_request_t *r,
    prov_db_status_e status);

/* prov_request_caller.c: what the database is told of the caller */
ngx_int_t prov_request_caller_call(ngx_conf_t *cf,
    prov_request_call_t *call);
ngx_int_t prov_request_caller_conf(ngx_conf_t *cf, prov_request_conf_t *conf);
ngx_int_t prov_request_caller(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);

/* prov_request_outbound.c: where the gateway is to send something */
ngx_int_t prov_request_outbound(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);

/* prov_request_secret.c: what the database gets sealed, or a hash of */
ngx_int_t prov_request_secret(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);
void prov_request_secret_show(prov_request_ctx_t *ctx, ngx_str_t *body);
void prov_request_secret_conf(ngx_conf_t *cf,
    prov_request_service_t *service);

/*
 * prov_request_secret_make.c: a new secret for this owner, with the members of
 * args[0] that are about it.  Sets ctx->shown and ctx->stand_in.
 */
ngx_int_t prov_request_secret_make(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_str_t *owner, ngx_str_t *members);
ngx_int_t prov_request_secret_seal(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, ngx_str_t *owner, const char *what,
    ngx_str_t *text, ngx_str_t *sealed);

/* prov_request_granted.c: what the caller may do */
ngx_uint_t prov_request_permitted(prov_openapi_operation_t *op,
    prov_auth_identity_t *identity);
ngx_uint_t prov_request_grants(prov_openapi_api_t *api, ngx_str_t *permission,
    prov_auth_identity_t *identity);
ngx_uint_t prov_request_grants_told(prov_openapi_operation_t *op);
ngx_int_t prov_request_permits(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, json_t **values);
size_t prov_request_granted_len(prov_openapi_api_t *api);
u_char *prov_request_granted(u_char *p, prov_openapi_api_t *api,
    prov_auth_identity_t *identity);

/* prov_request_prefer.c: what a caller would rather have */
void prov_request_prefer(ngx_str_t *text, prov_request_prefer_t *prefer);

/*
 * prov_request_wait.c: a request is held until there is something new.
 * NGX_DONE: it is held; NGX_OK: it is to be answered now.
 */
ngx_int_t prov_request_wait(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    PGresult *result);
void prov_request_wait_end(prov_request_ctx_t *ctx);
void prov_request_wake(ngx_str_t *id);

/* prov_request_response.c: from the row to the response */
ngx_int_t prov_request_respond(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, PGresult *result);
ngx_int_t prov_request_broken(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    const char *what);
ngx_int_t prov_request_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_str_t *body);

/* prov_request_stream.c: responses that are made page by page */
ngx_int_t prov_request_stream(ngx_http_request_t *r, prov_request_ctx_t *ctx,
    PGresult *result);
ngx_uint_t prov_request_streaming(prov_request_ctx_t *ctx);
ngx_int_t prov_request_stream_abort(ngx_http_request_t *r,
    prov_request_ctx_t *ctx, const char *why);

/* prov_request_sqlstate.c: from an SQL error to a problem */
ngx_int_t prov_request_refused(ngx_http_request_t *r, PGresult *result);
void prov_request_sql_log(ngx_http_request_t *r, PGresult *result);

/*
 * prov_request_problem.c: sets the request's problem, and returns its status
 * for the caller to return to nginx.  code is a literal; the detail is
 * formatted as by ngx_log_error().
 */
ngx_int_t prov_problem(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, const char *format, ...);
ngx_int_t prov_problem_errors(ngx_http_request_t *r, const char *code,
    const char *detail, ngx_str_t *errors);
ngx_int_t prov_problem_members(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *code, ngx_str_t *detail, json_t *members);
ngx_int_t prov_problem_retry(ngx_http_request_t *r, ngx_uint_t seconds);
ngx_int_t prov_problem_document(ngx_http_request_t *r,
    prov_request_ctx_t *ctx);
ngx_uint_t prov_problem_status(ngx_int_t status);
ngx_int_t prov_problem_final(ngx_http_request_t *r, ngx_int_t rc);

/* prov_request_violations.c: "errors" of a problem */
typedef struct {
    ngx_str_t                   items;     /* JSON objects, commas between */
    size_t                      size;
    ngx_uint_t                  n;
} prov_violations_t;

ngx_int_t prov_violations_body(ngx_pool_t *pool, prov_violations_t *list,
    prov_schema_report_t *report);
ngx_int_t prov_violations_parameter(ngx_pool_t *pool,
    prov_violations_t *list, prov_openapi_in_e in, ngx_str_t *name,
    ngx_str_t *code, ngx_str_t *message);
ngx_int_t prov_violations_array(ngx_pool_t *pool, prov_violations_t *list,
    ngx_str_t *array);

/* prov_request_filter.c: the one place that writes problem documents */
void prov_request_filter_init(void);

/* prov_request_attempts.c: what was tried in vain */
char *prov_request_set_audit_attempts(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t prov_request_attempts_init_worker(ngx_cycle_t *cycle);
void prov_request_attempts_exit_worker(void);
ngx_int_t prov_request_attempt(ngx_http_request_t *r);

/* prov_request_variables.c: $provisioning_…; and a number in decimal */
u_char *prov_request_decimal(u_char *p, ngx_uint_t n);
ngx_int_t prov_request_variables(ngx_conf_t *cf);


#endif /* _PROV_REQUEST_H_INCLUDED_ */
