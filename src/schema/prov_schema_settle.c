/*
 * The look at what applies in place: how many schemas judge one value through
 * each other, and which types of values they admit together.  Called for each
 * node once all nodes of a call are built.
 */

#include "schema/prov_schema_compiler.h"


static ngx_uint_t prov_schema_in_place_count(prov_schema_t *node);
static prov_schema_t *prov_schema_in_place(prov_schema_t *node, ngx_uint_t i);
static prov_schema_path_t *prov_schema_where(
    prov_schema_compiler_t *compiler, prov_schema_t *node);
static ngx_int_t prov_schema_settle_fault(prov_schema_compiler_t *compiler,
    prov_schema_t *node);


/*
 * A schema that reaches itself without going down into the value would be
 * checked for ever; a long chain of schemas would end the worker's stack, and
 * here already our own.
 */

ngx_int_t
prov_schema_settle(prov_schema_compiler_t *compiler, prov_schema_t *node,
    ngx_uint_t depth)
{
    ngx_uint_t      i, n, height;
    prov_schema_t  *child;

    if (node->in_progress) {
        return prov_schema_fault(compiler, prov_schema_where(compiler, node),
                                 "applies to itself without end: remove the "
                                 "\"$ref\" that leads back here, or move it "
                                 "into \"properties\" or \"items\"");
    }

    if (node->height) {
        return NGX_OK;
    }

    if (depth > PROV_SCHEMA_MAX_IN_PLACE) {
        return prov_schema_settle_fault(compiler, node);
    }

    node->in_progress = 1;
    height = 0;
    n = prov_schema_in_place_count(node);

    for (i = 0; i < n; i++) {

        child = prov_schema_in_place(node, i);
        if (child == NULL) {
            continue;
        }

        if (prov_schema_settle(compiler, child, depth + 1) != NGX_OK) {
            return NGX_ERROR;
        }

        height = ngx_max(height, child->height);
    }

    node->in_progress = 0;
    node->height = height + 1;

    if (node->height > PROV_SCHEMA_MAX_IN_PLACE) {
        return prov_schema_settle_fault(compiler, node);
    }

    node->admits = node->types;

    if (node->ref) {
        node->admits &= node->ref->admits;
    }

    for (i = 0; i < node->all_of.n; i++) {
        node->admits &= node->all_of.schemas[i]->admits;
    }

    return NGX_OK;
}


static ngx_uint_t
prov_schema_in_place_count(prov_schema_t *node)
{
    return 5 + node->all_of.n + node->any_of.n + node->one_of.n
           + (node->object ? node->object->dependents.nelts : 0);
}


static prov_schema_t *
prov_schema_in_place(prov_schema_t *node, ngx_uint_t i)
{
    prov_schema_dependent_t  *dependent;

    switch (i) {
    case 0:
        return node->ref;
    case 1:
        return node->not;
    case 2:
        return node->condition;
    case 3:
        return node->consequent;
    case 4:
        return node->alternative;
    }

    i -= 5;

    if (i < node->all_of.n) {
        return node->all_of.schemas[i];
    }

    i -= node->all_of.n;

    if (i < node->any_of.n) {
        return node->any_of.schemas[i];
    }

    i -= node->any_of.n;

    if (i < node->one_of.n) {
        return node->one_of.schemas[i];
    }

    dependent = node->object->dependents.elts;

    return dependent[i - node->one_of.n].schema;
}


static prov_schema_path_t *
prov_schema_where(prov_schema_compiler_t *compiler, prov_schema_t *node)
{
    prov_schema_entry_t  *entry;

    for (entry = compiler->first; entry; entry = entry->next) {
        if (entry->node == node) {
            return entry->path;
        }
    }

    return NULL;
}


static ngx_int_t
prov_schema_settle_fault(prov_schema_compiler_t *compiler,
    prov_schema_t *node)
{
    return prov_schema_fault(compiler, prov_schema_where(compiler, node),
                             "more than %d schemas apply to one value through "
                             "each other: nest \"$ref\", \"allOf\" and the "
                             "like less deep", PROV_SCHEMA_MAX_IN_PLACE);
}
