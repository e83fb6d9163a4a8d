/*
 * Checks of an array: how many items, each item, "contains", "uniqueItems".
 * Called by prov_schema_check() for values that are arrays.
 */

#include "schema/prov_schema_node.h"


/* items whose hashes fit on the stack */
#define PROV_SCHEMA_UNIQUE_STACK  64


static ngx_int_t prov_schema_check_size(prov_schema_run_t *run,
    prov_schema_array_t *array, size_t n, prov_schema_path_t *path);
static ngx_int_t prov_schema_check_items(prov_schema_run_t *run,
    prov_schema_array_t *array, json_t *value, prov_schema_path_t *path);
static ngx_int_t prov_schema_check_contains(prov_schema_run_t *run,
    prov_schema_array_t *array, json_t *value, prov_schema_path_t *path);
static ngx_int_t prov_schema_check_unique(prov_schema_run_t *run,
    json_t *value, prov_schema_path_t *path);
static ngx_int_t prov_schema_find_twins(prov_schema_run_t *run,
    json_t *value, uint64_t *hashes, uint32_t *slots, size_t nslots,
    size_t *twins, prov_schema_path_t *path);


ngx_int_t
prov_schema_check_array(prov_schema_run_t *run, prov_schema_array_t *array,
    json_t *value, prov_schema_path_t *path)
{
    ngx_int_t  result;

    result = NGX_OK;

    prov_schema_collect(run, result,
        prov_schema_check_size(run, array, json_array_size(value), path));

    prov_schema_collect(run, result,
        prov_schema_check_items(run, array, value, path));

    if (array->contains) {
        prov_schema_collect(run, result,
            prov_schema_check_contains(run, array, value, path));
    }

    if (array->unique && json_array_size(value) > 1) {
        prov_schema_collect(run, result,
            prov_schema_check_unique(run, value, path));
    }

    return result;
}


static ngx_int_t
prov_schema_check_size(prov_schema_run_t *run, prov_schema_array_t *array,
    size_t n, prov_schema_path_t *path)
{
    if (n < array->min) {
        return prov_schema_violate(run, path, "min_items",
                                   "must have at least %uz item%s",
                                   array->min, (array->min == 1) ? "" : "s");
    }

    if (n > array->max) {
        return prov_schema_violate(run, path, "max_items",
                                   "must have at most %uz item%s",
                                   array->max, (array->max == 1) ? "" : "s");
    }

    return NGX_OK;
}


static ngx_int_t
prov_schema_check_items(prov_schema_run_t *run, prov_schema_array_t *array,
    json_t *value, prov_schema_path_t *path)
{
    size_t               i, n;
    ngx_int_t            result;
    prov_schema_t       *schema;
    prov_schema_path_t   step;

    result = NGX_OK;
    n = json_array_size(value);

    if (array->items == NULL) {
        n = ngx_min(n, array->prefix.n);
    }

    step.parent = path;
    step.key = NULL;
    step.len = 0;

    for (i = 0; i < n; i++) {

        step.index = i;
        schema = (i < array->prefix.n) ? array->prefix.schemas[i]
                                       : array->items;

        if (i >= array->prefix.n && schema->verdict == PROV_SCHEMA_NEVER) {
            /* one for all that follow */
            return prov_schema_violate(run, &step, "items",
                                       "is one too many: the array has at "
                                       "most %uz item%s", array->prefix.n,
                                       (array->prefix.n == 1) ? "" : "s");
        }

        prov_schema_collect(run, result,
            prov_schema_check(run, schema, json_array_get(value, i), &step));
    }

    return result;
}


static ngx_int_t
prov_schema_check_contains(prov_schema_run_t *run, prov_schema_array_t *array,
    json_t *value, prov_schema_path_t *path)
{
    size_t               i, n, found;
    ngx_int_t            rc;
    prov_schema_path_t   step;

    found = 0;
    n = json_array_size(value);

    step.parent = path;
    step.key = NULL;
    step.len = 0;

    for (i = 0; i < n; i++) {

        if (found >= array->min_contains
            && array->max_contains == PROV_SCHEMA_UNLIMITED)
        {
            break;
        }

        step.index = i;
        rc = prov_schema_check_quietly(run, array->contains,
                                       json_array_get(value, i), &step);

        if (rc == NGX_OK) {
            found++;

            if (found > array->max_contains) {
                break;
            }

        } else if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    if (found < array->min_contains) {
        return prov_schema_violate(run, path,
                                   (array->min_contains == 1) ? "contains"
                                                              : "min_contains",
                                   "must contain at least %uz item%s of the "
                                   "form that is asked for",
                                   array->min_contains,
                                   (array->min_contains == 1) ? "" : "s");
    }

    if (found > array->max_contains) {
        return prov_schema_violate(run, path, "max_contains",
                                   "must contain at most %uz item%s of the "
                                   "form that is limited",
                                   array->max_contains,
                                   (array->max_contains == 1) ? "" : "s");
    }

    return NGX_OK;
}


static ngx_int_t
prov_schema_check_unique(prov_schema_run_t *run, json_t *value,
    prov_schema_path_t *path)
{
    size_t      n, nslots, twins[2];
    uint32_t   *slots, slots_stack[2 * PROV_SCHEMA_UNIQUE_STACK];
    uint64_t   *hashes, hashes_stack[PROV_SCHEMA_UNIQUE_STACK];
    ngx_int_t   rc;

    n = json_array_size(value);
    hashes = hashes_stack;
    slots = slots_stack;
    nslots = 2 * PROV_SCHEMA_UNIQUE_STACK;

    if (n > PROV_SCHEMA_UNIQUE_STACK) {

        if (n > UINT32_MAX / 4) {
            return prov_schema_abort(run, path, "too_complex",
                                     "has too many items to be checked");
        }

        while (nslots < 2 * n) {
            nslots *= 2;
        }

        /* not from the pool, which would keep it until the request's end */

        hashes = ngx_alloc(n * sizeof(uint64_t) + nslots * sizeof(uint32_t),
                           run->report->pool->log);
        if (hashes == NULL) {
            return NGX_ERROR;
        }

        slots = (uint32_t *) (hashes + n);
    }

    ngx_memzero(slots, nslots * sizeof(uint32_t));
    ngx_memzero(twins, sizeof(twins));

    rc = prov_schema_find_twins(run, value, hashes, slots, nslots, twins,
                                path);

    if (hashes != hashes_stack) {
        ngx_free(hashes);
    }

    if (rc == NGX_DECLINED) {
        return prov_schema_violate(run, path, "unique_items",
                                   "must not have an item twice: items %uz "
                                   "and %uz, counted from 0, are equal",
                                   twins[0], twins[1]);
    }

    return rc;
}


static ngx_int_t
prov_schema_find_twins(prov_schema_run_t *run, json_t *value,
    uint64_t *hashes, uint32_t *slots, size_t nslots, size_t *twins,
    prov_schema_path_t *path)
{
    size_t     i, j, n, slot, visited;
    json_t    *item;
    ngx_int_t  rc;

    n = json_array_size(value);

    for (i = 0; i < n; i++) {

        item = json_array_get(value, i);
        visited = 0;

        hashes[i] = prov_schema_value_hash(run->shared, item, &visited);

        rc = prov_schema_charge(run, visited, path);
        if (rc != NGX_OK) {
            return rc;
        }

        for (slot = hashes[i] & (nslots - 1);
             slots[slot];
             slot = (slot + 1) & (nslots - 1))
        {
            j = slots[slot] - 1;

            if (hashes[j] == hashes[i]
                && prov_schema_value_equal(json_array_get(value, j), item))
            {
                twins[0] = j;
                twins[1] = i;
                return NGX_DECLINED;
            }
        }

        slots[slot] = (uint32_t) i + 1;
    }

    return NGX_OK;
}
