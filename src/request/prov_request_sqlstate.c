/*
 * From an SQL error to a problem (PostgreSQL manual, appendix A).  What the
 * functions raise on purpose is told; everything else is told in general
 * words and goes to the log in full.
 */

#include "request/prov_request.h"


typedef struct {
    const char   *state;       /* a class (2) or a whole SQLSTATE (5) */
    ngx_uint_t    status;
    const char   *code;
    const char   *detail;
    ngx_uint_t    retry;       /* seconds, 0: no Retry-After */
} prov_sqlstate_t;


static ngx_int_t prov_request_raised(ngx_http_request_t *r,
    PGresult *result, const char *state);
static ngx_int_t prov_request_constraint(ngx_http_request_t *r,
    PGresult *result, const char *state);
static ngx_int_t prov_request_field(ngx_http_request_t *r, PGresult *result,
    int field, ngx_str_t *text);
static void prov_request_code(ngx_str_t *code);

static prov_sqlstate_t  prov_sqlstates[] = {

    { "40001", 503, "conflict_retry",
      "The change has collided with others repeatedly; nothing was changed. "
      "Repeat the request.", 1 },
    { "40P01", 503, "conflict_retry",
      "The change has collided with others repeatedly; nothing was changed. "
      "Repeat the request.", 1 },
    { "55P03", 409, "in_progress",
      "Another request is changing the same thing; nothing was changed. "
      "Repeat the request a little later.", 1 },
    { "57014", 504, "query_timeout",
      "The database took too long; nothing was changed.", 0 },
    { "25006", 503, "database_unavailable",
      "The database takes no changes at present; nothing was changed.", 1 },
    { "42883", 503, "operation_unavailable",
      "The database does not have this operation's function; its operator "
      "must migrate it.", 60 },
    { "42501", 503, "operation_unavailable",
      "The database does not let the gateway run this operation; its "
      "operator must migrate it.", 60 },
    { "3F000", 503, "operation_unavailable",
      "The database does not have this operation's schema; its operator must "
      "migrate it.", 60 },
    { "53", 503, "database_overloaded",
      "The database is out of resources; nothing was changed.", 5 },
    { "57", 503, "database_unavailable",
      "The database is not available; nothing was changed.", 1 },

    { NULL, 500, "internal_error",
      "The gateway failed. Report the request_id to its operator.", 0 }
};


ngx_int_t
prov_request_refused(ngx_http_request_t *r, PGresult *result)
{
    ngx_int_t         rc;
    const char       *state;
    prov_sqlstate_t  *s;

    state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (ngx_strncmp(state, "PV", 2) == 0) {
        return prov_request_raised(r, result, state);
    }

    if (ngx_strncmp(state, "23", 2) == 0) {
        return prov_request_constraint(r, result, state);
    }

    for (s = prov_sqlstates; s->state; s++) {
        if (ngx_strncmp(state, s->state, ngx_strlen(s->state)) == 0) {
            break;
        }
    }

    prov_request_sql_log(r, result);

    rc = prov_problem(r, s->status, s->code, "%s", s->detail);

    return (rc == NGX_ERROR || s->retry == 0) ? rc
                                              : prov_problem_retry(r,
                                                                   s->retry);
}


/*
 * errcode PV<status>: MESSAGE is the detail, CONSTRAINT the code, DETAIL an
 * object of extension members.
 */

static ngx_int_t
prov_request_raised(ngx_http_request_t *r, PGresult *result,
    const char *state)
{
    json_t             *members;
    ngx_int_t           status;
    ngx_str_t           code, detail, extra;
    prov_json_error_t   err;

    status = ngx_atoi((u_char *) state + 2, 3);

    if (!prov_problem_status(status)) {
        prov_request_sql_log(r, result);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (prov_request_field(r, result, PG_DIAG_CONSTRAINT_NAME, &code)
        != NGX_OK
        || prov_request_field(r, result, PG_DIAG_MESSAGE_PRIMARY, &detail)
           != NGX_OK
        || prov_request_field(r, result, PG_DIAG_MESSAGE_DETAIL, &extra)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (code.len == 0) {
        ngx_str_set(&code, "refused");
    }

    members = NULL;

    if (extra.len) {
        members = prov_json_parse(extra.data, extra.len,
                                  PROV_JSON_BODY_DEPTH, &err);

        if (!json_is_object(members)) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "the DETAIL of %s \"%V\" is no JSON object",
                          state, &code);
            json_decref(members);
            members = NULL;
        }
    }

    return prov_problem_members(r, status, &code, &detail, members);
}


/* Class 23: the constraint's name, without "_<digits>", is the code. */

static ngx_int_t
prov_request_constraint(ngx_http_request_t *r, PGresult *result,
    const char *state)
{
    ngx_str_t    code;
    ngx_uint_t   status;
    const char  *detail;

    static ngx_str_t  unnamed = ngx_string("constraint_violated");

    prov_request_sql_log(r, result);

    if (prov_request_field(r, result, PG_DIAG_CONSTRAINT_NAME, &code)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    prov_request_code(&code);

    if (code.len == 0) {
        code = unnamed;
    }

    if (ngx_strcmp(state, "23502") == 0 || ngx_strcmp(state, "23514") == 0) {
        status = 422;
        detail = "A value is not allowed by a rule of the database; the "
                 "code names the rule.";

    } else {
        status = NGX_HTTP_CONFLICT;
        detail = "The change conflicts with what is there; the code names "
                 "the rule.";
    }

    return prov_problem(r, status, (const char *) code.data, "%s", detail);
}


/* A field's NUL-terminated copy, empty when the error has none. */

static ngx_int_t
prov_request_field(ngx_http_request_t *r, PGresult *result, int field,
    ngx_str_t *text)
{
    const char  *value;

    value = PQresultErrorField(result, field);

    if (value == NULL) {
        ngx_str_null(text);
        return NGX_OK;
    }

    text->len = ngx_strlen(value);
    text->data = ngx_pnalloc(r->pool, text->len + 1);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(text->data, value, text->len + 1);

    return NGX_OK;
}


static void
prov_request_code(ngx_str_t *code)
{
    size_t  len;

    len = code->len;

    while (len && code->data[len - 1] >= '0' && code->data[len - 1] <= '9') {
        len--;
    }

    if (len > 1 && len < code->len && code->data[len - 1] == '_') {
        code->len = len - 1;
        code->data[code->len] = '\0';
    }
}


/*
 * The primary message only: DETAIL quotes rows, that is, the data of tenants.
 * What a message itself quotes may be a caller's: it must not end the line.
 */

void
prov_request_sql_log(ngx_http_request_t *r, PGresult *result)
{
    u_char      *p;
    ngx_str_t    message;
    const char  *state, *constraint;

    state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);

    if (prov_request_field(r, result, PG_DIAG_MESSAGE_PRIMARY, &message)
        != NGX_OK)
    {
        ngx_str_null(&message);
    }

    for (p = message.data; p < message.data + message.len; p++) {
        if (*p < 0x20 || *p == 0x7f) {
            *p = ' ';
        }
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "the database refused: %V (SQLSTATE %s%s%s)", &message,
                  state, constraint ? ", constraint " : "",
                  constraint ? constraint : "");
}
