/*
 * Trees whose keys are the first bytes of what is compared: the rest decides
 * between nodes of the same key.
 */

#ifndef _PROV_RBTREE_H_INCLUDED_
#define _PROV_RBTREE_H_INCLUDED_


#include "base/prov_base.h"


/*
 * What a function of ngx_rbtree_insert_pt does.  compare() is asked for nodes
 * of one key; it is less than 0 when the first one comes before the other.
 */

static ngx_inline void
prov_rbtree_insert(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel,
    ngx_int_t (*compare)(ngx_rbtree_node_t *node, ngx_rbtree_node_t *other))
{
    ngx_uint_t            less;
    ngx_rbtree_node_t   **p;

    for ( ;; ) {

        less = (node->key != temp->key) ? node->key < temp->key
                                        : compare(node, temp) < 0;

        p = less ? &temp->left : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


#endif /* _PROV_RBTREE_H_INCLUDED_ */
