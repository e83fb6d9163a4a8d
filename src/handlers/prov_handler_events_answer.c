/*
 * What the database has answered, to those whom it is about: who may listen no
 * longer is sent away, and who stands at a place is told what is behind it.
 * Called by prov_handler_events_ask.c when the answer may be told.
 */

#include "handlers/prov_handler_events.h"


static void prov_events_deliver_place(prov_events_place_t *place,
    PGresult *result, int row);


/*
 * Rows below 0 are callers, and what became of them counts at once.  Returns
 * how many rows there are besides.
 */

ngx_uint_t
prov_events_refused(prov_events_hub_t *hub, PGresult *result)
{
    int                      row;
    ngx_int_t                n;
    ngx_uint_t               others;
    prov_events_listener_t  *l;

    others = 0;
    hub->telling = 1;

    for (row = 0; row < PQntuples(result); row++) {

        if (*PQgetvalue(result, row, 0) != '-') {
            others++;
            continue;
        }

        n = ngx_atoi((u_char *) PQgetvalue(result, row, 0) + 1,
                     PQgetlength(result, row, 0) - 1);

        if (n < 1 || (ngx_uint_t) n > hub->ncallers) {
            continue;
        }

        l = hub->callers[n - 1];

        if (l) {
            prov_events_close(l, PQgetvalue(result, row, 1));
        }
    }

    hub->telling = 0;

    return others;
}


/*
 * Who has been told something new goes to the end of the line.  Returns
 * whether anybody was.
 */

ngx_uint_t
prov_events_deliver(prov_events_hub_t *hub, PGresult *result)
{
    int                   row;
    ngx_int_t             n;
    ngx_uint_t            i, found;
    prov_events_place_t  *place;

    found = 0;
    hub->telling = 1;

    for (i = 0; i < hub->nplaces; i++) {
        hub->places_asked[i]->more = 0;
    }

    for (row = 0; row < PQntuples(result); row++) {
        n = ngx_atoi((u_char *) PQgetvalue(result, row, 0),
                     PQgetlength(result, row, 0));

        if (n < 0 || (ngx_uint_t) n >= hub->nplaces) {
            continue;
        }

        place = hub->places_asked[n];
        place->more = (*PQgetvalue(result, row, 2) == 't');

        if (PQgetisnull(result, row, 1) && place->more) {
            /* its turn comes with the next question */
            continue;
        }

        found = 1;

        ngx_queue_remove(&place->queue);
        ngx_queue_insert_tail(&hub->places, &place->queue);

        prov_events_deliver_place(place, result, row);
    }

    if (hub->all) {
        prov_events_merge();
    }

    hub->telling = 0;

    return found;
}


static void
prov_events_deliver_place(prov_events_place_t *place, PGresult *result,
    int row)
{
    size_t                   len;
    ngx_uint_t               lost;
    ngx_queue_t              waiting, *q;
    prov_events_chunk_t     *chunk;
    prov_events_listener_t  *l;

    chunk = NULL;
    len = PQgetlength(result, row, 1);
    lost = (len == 0 || len > PROV_EVENTS_CURSOR);

    if (!lost) {

        if (!PQgetisnull(result, row, 3)) {
            chunk = prov_events_chunk(PQgetlength(result, row, 3));

            if (chunk == NULL) {
                /* they stay where they are */
                place->more = 1;
                return;
            }

            ngx_memcpy(chunk->text, PQgetvalue(result, row, 3), chunk->len);
        }

        place->cursor.len = len;
        ngx_memcpy(place->buffer, PQgetvalue(result, row, 1), len);
    }

    ngx_queue_init(&waiting);

    if (!ngx_queue_empty(&place->listeners)) {
        ngx_queue_add(&waiting, &place->listeners);
        ngx_queue_init(&place->listeners);
    }

    while (!ngx_queue_empty(&waiting)) {
        q = ngx_queue_head(&waiting);
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&place->listeners, q);

        l = ngx_queue_data(q, prov_events_listener_t, queue);

        if (lost) {
            prov_events_close(l, "invalid_cursor");

        } else if (chunk) {
            prov_events_tell(l, chunk);

        } else {
            l->moved = 1;
        }
    }

    prov_events_release(chunk);
}
