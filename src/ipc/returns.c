/* returns.c - a stack that is pushed to by many and emptied by one.
 *
 * It is always emptied as a whole, so that nobody ever follows a link of a
 * node that somebody else may free (the ABA problem of stacks that are
 * popped).
 *
 * Edges:
 *
 *     B1  first: pushing (release) -> emptying (acquire): the node, and that
 *         nobody touches the block's memory any more.
 */
#include "ipc/returns.h"

#include <stdlib.h>

void
fc_returns_push(struct fc_returns *r, struct fc_return *one)
{
    /* Relaxed: the exchange below says whether it is still so. */
    struct fc_return *first =
        atomic_load_explicit(&r->first, memory_order_relaxed);
    do {
        one->next = first;
    } while (!atomic_compare_exchange_weak_explicit(
        &r->first, &first, one, memory_order_release,
        memory_order_relaxed)); /* B1 */
}

void
fc_returns_collect(struct fc_returns *r, struct fc_blocks *blocks)
{
    /* Relaxed: what is not seen now is seen next time. */
    if (atomic_load_explicit(&r->first, memory_order_relaxed) == NULL) {
        return;
    }
    struct fc_return *one =
        atomic_exchange_explicit(&r->first, NULL, memory_order_acquire);
    while (one != NULL) { /* B1 */
        struct fc_return *next = one->next;
        (void)fc_blocks_put(blocks, one->offset, one->size);
        free(one);
        one = next;
    }
}
