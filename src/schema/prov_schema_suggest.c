/*
 * "Did you mean …": the known name nearest to one that is not known.  Called
 * when a violation or a fault is about to be told, and only then.
 */

#include "schema/prov_schema_node.h"


/* bytes; longer names are not misspellings of anything short */
#define PROV_SCHEMA_SUGGEST_LEN    40

/* names looked at, so that a hostile key costs little even then */
#define PROV_SCHEMA_SUGGEST_NAMES  128

#define PROV_SCHEMA_FAR            100


static size_t prov_schema_plain(u_char *dst, u_char *name, size_t len);


ngx_str_t *
prov_schema_suggest(prov_schema_object_t *object, json_t *value, u_char *name,
    size_t len)
{
    ngx_str_t               *best;
    ngx_uint_t               i, n, d, nearest;
    prov_schema_property_t  *property;

    best = NULL;
    nearest = PROV_SCHEMA_FAR;

    property = object->properties.elts;
    n = ngx_min(object->properties.nelts, PROV_SCHEMA_SUGGEST_NAMES);

    for (i = 0; i < n; i++) {

        if (property[i].schema == NULL
            || property[i].schema->verdict == PROV_SCHEMA_NEVER)
        {
            continue;
        }

        d = prov_schema_distance(name, len, property[i].name.data,
                                 property[i].name.len);

        if (d < nearest
            && json_object_getn(value, (char *) property[i].name.data,
                                property[i].name.len)
               == NULL)
        {
            nearest = d;
            best = &property[i].name;
        }
    }

    return best;
}


/*
 * Edits (insert, delete, replace, swap of neighbours) between two names in
 * plain form, or PROV_SCHEMA_FAR when there are too many of them for names
 * of that length to be mistaken for each other.
 */

ngx_uint_t
prov_schema_distance(u_char *a, size_t alen, u_char *b, size_t blen)
{
    size_t       i, j;
    u_char       x[PROV_SCHEMA_SUGGEST_LEN], y[PROV_SCHEMA_SUGGEST_LEN];
    ngx_uint_t   d, bound, row[3][PROV_SCHEMA_SUGGEST_LEN + 1];
    ngx_uint_t  *before, *above, *now, *swap;

    if (alen > PROV_SCHEMA_SUGGEST_LEN || blen > PROV_SCHEMA_SUGGEST_LEN) {
        return PROV_SCHEMA_FAR;
    }

    alen = prov_schema_plain(x, a, alen);
    blen = prov_schema_plain(y, b, blen);

    bound = (ngx_min(alen, blen) >= 8) ? 2 : (ngx_min(alen, blen) >= 3);

    before = row[0];
    above = row[1];
    now = row[2];

    for (j = 0; j <= blen; j++) {
        above[j] = j;
        before[j] = j;
    }

    for (i = 1; i <= alen; i++) {
        now[0] = i;

        for (j = 1; j <= blen; j++) {
            d = above[j - 1] + (x[i - 1] != y[j - 1]);
            d = ngx_min(d, above[j] + 1);
            d = ngx_min(d, now[j - 1] + 1);

            if (i > 1 && j > 1 && x[i - 1] == y[j - 2] && x[i - 2] == y[j - 1])
            {
                d = ngx_min(d, before[j - 2] + 1);
            }

            now[j] = d;
        }

        swap = before;
        before = above;
        above = now;
        now = swap;
    }

    return (above[blen] <= bound) ? above[blen] : PROV_SCHEMA_FAR;
}


/* "clientName", "client-name" and "client_name" are one name to a person */

static size_t
prov_schema_plain(u_char *dst, u_char *name, size_t len)
{
    size_t   i;
    u_char  *p;

    p = dst;

    for (i = 0; i < len; i++) {
        if (name[i] != '_' && name[i] != '-') {
            *p++ = ngx_tolower(name[i]);
        }
    }

    return p - dst;
}
