/*
 * The statements that serve several requests at once: made out of those that
 * serve one, or with a function of the operation's own.  Whose requests go out
 * together is decided in src/db.
 */

#include "request/prov_request.h"


/*
 * The same statement for several requests, which PostgreSQL then prepares to
 * run once, not once for each.  The functions are called in the requests'
 * order, each after its own prov.enter(): a lateral join has no other.
 */

ngx_int_t
prov_request_each(ngx_pool_t *pool, prov_db_conf_t *db,
    ngx_uint_t statement, ngx_str_t *text)
{
    u_char      *p, *last, *from;
    ngx_str_t    many;
    ngx_uint_t   param;

    static const char       start[] = " from ";
    static const ngx_str_t  source = ngx_string(
        ", u.k from unnest($1::jsonb[], $2::jsonb[], $3::jsonb[]) "
        "with ordinality u (ctx, params, input, k) cross join lateral ");
    static const ngx_str_t  params[PROV_DB_PARAMS] = {
        ngx_string("u.ctx"), ngx_string("u.params"), ngx_string("u.input")
    };

    last = text->data + text->len;
    from = ngx_strlcasestrn(text->data, last, (u_char *) start,
                            sizeof(start) - 2);

    /* a parameter is two bytes, and each may stand there more than once */
    many.data = ngx_pnalloc(pool, source.len + text->len
                                  * (sizeof("u.params") - 1));
    if (from == NULL || many.data == NULL) {
        return NGX_ERROR;
    }

    many.len = 0;

    for (p = text->data; p < last; p++) {

        if (p == from) {
            ngx_memcpy(many.data + many.len, source.data, source.len);
            many.len += source.len;
            p += sizeof(start) - 1;
        }

        param = (*p == '$' && p + 1 < last) ? (ngx_uint_t) (p[1] - '1')
                                            : PROV_DB_PARAMS;

        if (param >= PROV_DB_PARAMS) {
            many.data[many.len++] = *p;
            continue;
        }

        ngx_memcpy(many.data + many.len, params[param].data,
                   params[param].len);
        many.len += params[param].len;
        p++;
    }

    return prov_db_several(db, statement, &many);
}


/*
 * Where the document says that the operation has a function of its own for
 * several, it is called once for each partner: with the requests of that
 * partner, which is entered again, since all have been entered by then.  Where
 * that is refused now, no row is open and the function fails.  Its arrays are
 * in the requests' order, since what they are made of is.
 */

ngx_int_t
prov_request_several(ngx_pool_t *pool, prov_request_service_t *service,
    prov_request_call_t *call)
{
    ngx_str_t                 *enter, text;
    prov_openapi_operation_t  *op;

    static const char  format[] =
        "select r.status, r.body, r.headers, r.place from ("
        "select array_agg(s.k) as places, array_agg(s.ctx) as ctxs, "
        "array_agg(s.params) as params, array_agg(s.input) as inputs from ("
        "select u.k, e.ctx, e.ctx ->> 'partner' as partner, u.params, u.input "
        "from unnest($1::jsonb[], $2::jsonb[], $3::jsonb[]) "
        "with ordinality u (ctx, params, input, k) "
        "cross join lateral prov.%V(u.ctx) e order by 3, 1) s "
        "group by s.partner) g "
        "left join lateral prov.%V(g.ctxs[1]) e on true "
        "left join lateral %V.%V_several(g.places, g.ctxs, g.params, "
        "g.inputs) r on true order by r.place";

    op = call->operation;
    enter = &service->api->enter;

    text.data = ngx_pnalloc(pool, sizeof(format) + 2 * enter->len
                                  + op->api->schema.len + op->id.len);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    text.len = ngx_sprintf(text.data, format, enter, enter, &op->api->schema,
                           &op->id)
               - text.data;

    return prov_db_several(service->db, call->statement, &text);
}
