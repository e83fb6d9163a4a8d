/*
 * Equality and hashing of JSON values as JSON Schema defines them (1 equals
 * 1.0, the order of an object's keys means nothing), for "enum", "const" and
 * "uniqueItems".  The hash is keyed (SipHash-1-3), so that a sender cannot
 * choose values that collide.
 */

#include "schema/prov_schema_node.h"


#define prov_schema_rotate(x, n)  (((x) << (n)) | ((x) >> (64 - (n))))

#define prov_schema_sip_round(v)                                              \
    v[0] += v[1];  v[1] = prov_schema_rotate(v[1], 13);  v[1] ^= v[0];        \
    v[0] = prov_schema_rotate(v[0], 32);                                      \
    v[2] += v[3];  v[3] = prov_schema_rotate(v[3], 16);  v[3] ^= v[2];        \
    v[0] += v[3];  v[3] = prov_schema_rotate(v[3], 21);  v[3] ^= v[0];        \
    v[2] += v[1];  v[1] = prov_schema_rotate(v[1], 17);  v[1] ^= v[2];        \
    v[2] = prov_schema_rotate(v[2], 32)


static uint64_t prov_schema_sip(prov_schema_shared_t *shared, u_char *data,
    size_t len, u_char tag);
static ngx_uint_t prov_schema_object_equal(json_t *a, json_t *b);


ngx_uint_t
prov_schema_value_type(json_t *value)
{
    prov_schema_number_t  number;

    switch (json_typeof(value)) {

    case JSON_NULL:
        return PROV_SCHEMA_NULL;

    case JSON_TRUE:
    case JSON_FALSE:
        return PROV_SCHEMA_BOOLEAN;

    case JSON_INTEGER:
        return PROV_SCHEMA_INTEGER;

    case JSON_REAL:
        prov_schema_number(&number, value);
        return prov_schema_number_is_integer(&number) ? PROV_SCHEMA_INTEGER
                                                      : PROV_SCHEMA_NUMBER;

    case JSON_STRING:
        return PROV_SCHEMA_STRING;

    case JSON_ARRAY:
        return PROV_SCHEMA_ARRAY;

    default: /* JSON_OBJECT */
        return PROV_SCHEMA_OBJECT;
    }
}


ngx_uint_t
prov_schema_value_equal(json_t *a, json_t *b)
{
    size_t                i, n;
    prov_schema_number_t  x, y;

    if (a == b) {
        return 1;
    }

    if (json_is_number(a) && json_is_number(b)) {
        prov_schema_number(&x, a);
        prov_schema_number(&y, b);
        return prov_schema_number_compare(&x, &y) == 0;
    }

    if (json_typeof(a) != json_typeof(b)) {
        return 0;
    }

    switch (json_typeof(a)) {

    case JSON_STRING:
        n = json_string_length(a);

        return n == json_string_length(b)
               && ngx_memcmp(json_string_value(a), json_string_value(b), n)
                  == 0;

    case JSON_ARRAY:
        n = json_array_size(a);

        if (n != json_array_size(b)) {
            return 0;
        }

        for (i = 0; i < n; i++) {
            if (!prov_schema_value_equal(json_array_get(a, i),
                                         json_array_get(b, i)))
            {
                return 0;
            }
        }

        return 1;

    case JSON_OBJECT:
        return prov_schema_object_equal(a, b);

    default:
        /* null, true, false: the type is the value */
        return 1;
    }
}


static ngx_uint_t
prov_schema_object_equal(json_t *a, json_t *b)
{
    void    *it;
    json_t  *other;

    if (json_object_size(a) != json_object_size(b)) {
        return 0;
    }

    for (it = json_object_iter(a); it; it = json_object_iter_next(a, it)) {

        other = json_object_getn(b, json_object_iter_key(it),
                                 json_object_iter_key_len(it));

        if (other == NULL
            || !prov_schema_value_equal(json_object_iter_value(it), other))
        {
            return 0;
        }
    }

    return 1;
}


uint64_t
prov_schema_value_hash(prov_schema_shared_t *shared, json_t *value,
    size_t *visited)
{
    void                  *it;
    size_t                 i;
    uint64_t               hash, pair[2];
    prov_schema_number_t   number;

    (*visited)++;

    switch (json_typeof(value)) {

    case JSON_STRING:
        *visited += json_string_length(value) / 64;
        return prov_schema_sip(shared, (u_char *) json_string_value(value),
                               json_string_length(value), 's');

    case JSON_INTEGER:
    case JSON_REAL:
        prov_schema_number(&number, value);

        if (number.is_real) {
            return prov_schema_sip(shared, (u_char *) &number.real,
                                   sizeof(double), 'r');
        }

        return prov_schema_sip(shared, (u_char *) &number.integer,
                               sizeof(json_int_t), 'i');

    case JSON_ARRAY:
        hash = json_array_size(value);

        for (i = 0; i < json_array_size(value); i++) {
            pair[0] = hash;
            pair[1] = prov_schema_value_hash(shared, json_array_get(value, i),
                                             visited);
            hash = prov_schema_sip(shared, (u_char *) pair, sizeof(pair), 'a');
        }

        return hash ^ shared->seed[0];

    case JSON_OBJECT:
        hash = json_object_size(value);

        /* a sum, because members come in any order */

        for (it = json_object_iter(value);
             it;
             it = json_object_iter_next(value, it))
        {
            pair[0] = prov_schema_sip(shared,
                                      (u_char *) json_object_iter_key(it),
                                      json_object_iter_key_len(it), 's');
            pair[1] = prov_schema_value_hash(shared,
                                             json_object_iter_value(it),
                                             visited);
            hash += prov_schema_sip(shared, (u_char *) pair, sizeof(pair),
                                    'm');
        }

        return hash ^ shared->seed[1];

    default:
        return prov_schema_sip(shared, NULL, 0, (u_char) json_typeof(value));
    }
}


/*
 * SipHash (Aumasson and Bernstein, 2012) with one compression round and
 * three final ones; tag separates kinds of input of the same bytes.
 */

static uint64_t
prov_schema_sip(prov_schema_shared_t *shared, u_char *data, size_t len,
    u_char tag)
{
    size_t    rest;
    uint64_t  word, v[4];

    v[0] = shared->seed[0] ^ 0x736f6d6570736575ULL;
    v[1] = shared->seed[1] ^ 0x646f72616e646f6dULL;
    v[2] = shared->seed[0] ^ 0x6c7967656e657261ULL;
    v[3] = shared->seed[1] ^ 0x7465646279746573ULL ^ tag;

    for (rest = len; rest >= 8; rest -= 8, data += 8) {
        ngx_memcpy(&word, data, 8);

        v[3] ^= word;
        prov_schema_sip_round(v);
        v[0] ^= word;
    }

    word = 0;

    if (rest) {
        ngx_memcpy(&word, data, rest);
    }

    word |= (uint64_t) len << 56;

    v[3] ^= word;
    prov_schema_sip_round(v);
    v[0] ^= word;

    v[2] ^= 0xff;
    prov_schema_sip_round(v);
    prov_schema_sip_round(v);
    prov_schema_sip_round(v);

    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
