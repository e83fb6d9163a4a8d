/*
 * How a refused token is explained: a code and a sentence for the caller, and
 * more words for the error log, where whatever comes from the token is short
 * and printable.  The token itself is in neither.
 */

#include "auth/prov_auth_private.h"


/* bytes of the log's words, and of what a token contributes to them */
#define PROV_AUTH_MAX_LOG    512
#define PROV_AUTH_MAX_SHOWN  64


ngx_int_t
prov_auth_refuse(prov_auth_refusal_t *refusal, ngx_pool_t *pool,
    const char *code, const char *detail, const char *fmt, ...)
{
    u_char   *p, buf[PROV_AUTH_MAX_LOG];
    va_list   args;

    refusal->code.data = (u_char *) code;
    refusal->code.len = ngx_strlen(code);

    refusal->detail.data = (u_char *) detail;
    refusal->detail.len = ngx_strlen(detail);

    va_start(args, fmt);
    p = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args);
    va_end(args);

    refusal->log.len = p - buf;
    refusal->log.data = ngx_pnalloc(pool, refusal->log.len);
    if (refusal->log.data == NULL) {
        refusal->log.len = 0;
        return NGX_ERROR;
    }

    ngx_memcpy(refusal->log.data, buf, refusal->log.len);

    return NGX_DECLINED;
}


/* claim is a name from nginx.conf or RFC 7519, never from the token. */

ngx_int_t
prov_auth_refuse_claim(prov_auth_refusal_t *refusal, ngx_pool_t *pool,
    const char *code, const char *claim, const char *what)
{
    u_char  *detail;
    size_t   size;

    size = sizeof("The token's claim \"\" .") + ngx_strlen(claim)
           + ngx_strlen(what);

    detail = ngx_pnalloc(pool, size);
    if (detail == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf(detail, "The token's claim \"%s\" %s.%Z", claim, what);

    return prov_auth_refuse(refusal, pool, code, (char *) detail,
                            "claim \"%s\" %s", claim, what);
}


/*
 * At most PROV_AUTH_MAX_SHOWN bytes of a text, NUL-terminated, with "?" for
 * whatever could end, colour or forge a line of the log.
 */

u_char *
prov_auth_printable(ngx_pool_t *pool, const char *data, size_t len)
{
    u_char      *p, *text;
    size_t       i;
    ngx_uint_t   cut;

    cut = (len > PROV_AUTH_MAX_SHOWN);

    if (cut) {
        len = PROV_AUTH_MAX_SHOWN;
    }

    text = ngx_pnalloc(pool, len + sizeof("..."));
    if (text == NULL) {
        return NULL;
    }

    p = text;

    for (i = 0; i < len; i++) {
        *p++ = (data[i] > 0x20 && data[i] < 0x7f && data[i] != '"'
                && data[i] != '\\')
               ? (u_char) data[i] : '?';
    }

    if (cut) {
        p = ngx_cpymem(p, "...", 3);
    }

    *p = '\0';

    return text;
}
