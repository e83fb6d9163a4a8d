/*
 * What a caller would rather have: the header Prefer (RFC 7240), where the
 * document gives it to an operation.  A preference is never a reason to refuse
 * anything: what is not understood is as if it had not been sent.
 */

#include "request/prov_request.h"


static u_char *prov_prefer_token(u_char *p, u_char *last, ngx_str_t *token);
static u_char *prov_prefer_word(u_char *p, u_char *last, ngx_str_t *word);
static u_char *prov_prefer_blanks(u_char *p, u_char *last);
static u_char *prov_prefer_next(u_char *p, u_char *last);
static void prov_prefer_known(prov_request_prefer_t *prefer, ngx_str_t *name,
    ngx_str_t *value);
static ngx_uint_t prov_prefer_is(ngx_str_t *name, const char *known);


/* Of one that is there twice the first counts (RFC 7240, section 2). */

void
prov_request_prefer(ngx_str_t *text, prov_request_prefer_t *prefer)
{
    u_char     *p, *last;
    ngx_str_t   name, value;

    ngx_memzero(prefer, sizeof(prov_request_prefer_t));

    p = text->data;
    last = p + text->len;

    for ( ;; ) {
        p = prov_prefer_token(prov_prefer_blanks(p, last), last, &name);

        ngx_str_null(&value);

        p = prov_prefer_blanks(p, last);

        if (name.len && p < last && *p == '=') {
            p = prov_prefer_word(prov_prefer_blanks(p + 1, last), last,
                                 &value);
            p = prov_prefer_blanks(p, last);
        }

        /* a preference's own parameters mean nothing to those we know */

        if (p == last || *p == ',' || *p == ';') {
            prov_prefer_known(prefer, &name, &value);
        }

        p = prov_prefer_next(p, last);
        if (p == last) {
            return;
        }

        p++;
    }
}


/* RFC 9110, section 5.6.2 */

static u_char *
prov_prefer_token(u_char *p, u_char *last, ngx_str_t *token)
{
    token->data = p;

    while (p < last
           && ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z')
               || (*p >= 'A' && *p <= 'Z')
               || (*p > 0x20 && ngx_strchr("!#$%&'*+-.^_`|~", *p))))
    {
        p++;
    }

    token->len = p - token->data;

    return p;
}


/* A token or a quoted string; of one with an escape nothing is known here. */

static u_char *
prov_prefer_word(u_char *p, u_char *last, ngx_str_t *word)
{
    u_char  *start;

    if (p == last || *p != '"') {
        return prov_prefer_token(p, last, word);
    }

    for (start = ++p; p < last && *p != '"' && *p != '\\'; p++) {
        /* void */
    }

    if (p == last || *p == '\\') {
        return start - 1;
    }

    word->data = start;
    word->len = p - start;

    return p + 1;
}


static u_char *
prov_prefer_blanks(u_char *p, u_char *last)
{
    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    return p;
}


/* The comma behind this preference, or the end. */

static u_char *
prov_prefer_next(u_char *p, u_char *last)
{
    ngx_uint_t  quoted;

    for (quoted = 0; p < last && (quoted || *p != ','); p++) {

        if (*p == '"') {
            quoted = !quoted;

        } else if (*p == '\\' && quoted && p + 1 < last) {
            p++;
        }
    }

    return p;
}


static void
prov_prefer_known(prov_request_prefer_t *prefer, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_int_t  n;

    if (prov_prefer_is(name, "respond-async")) {
        /* it has no value; an empty one is none (RFC 7240, section 2) */
        prefer->respond_async |= (value->len == 0);
        return;
    }

    if (!prov_prefer_is(name, "wait") || prefer->waits) {
        return;
    }

    prefer->waits = 1;

    n = ngx_atoi(value->data, value->len);

    if (n > 0) {
        prefer->wait = ngx_min(n, PROV_REQUEST_WAIT);
    }
}


static ngx_uint_t
prov_prefer_is(ngx_str_t *name, const char *known)
{
    return name->len == ngx_strlen(known)
           && ngx_strncasecmp(name->data, (u_char *) known, name->len) == 0;
}
