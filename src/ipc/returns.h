/* returns.h - blocks that come back from any thread.
 *
 * Blocks are handled by one thread at a time (blocks.h), but whoever used the
 * memory of one may let go of it anywhere: in a finalizer, in a thread of the
 * user's, while the one that handles them is waiting for something.  So he
 * only puts it on this list, which takes no lock and no memory, and the other
 * one fetches what has gathered before he makes a new block.
 *
 *             | push | collect
 *     push    | yes  | yes
 *     collect | yes  | no
 */
#ifndef FC_RETURNS_H
#define FC_RETURNS_H

#include "ipc/blocks.h"

/* Made together with the use of the block, so that returning it needs no
 * memory.  From malloc(). */
struct fc_return {
    struct fc_return *next;
    uint64_t offset, size;
};

struct fc_returns {
    _Atomic(struct fc_return *) first;
};

static inline void
fc_returns_init(struct fc_returns *r)
{
    atomic_init(&r->first, NULL);
}

/* Put one on the list, which owns it from then on. */
void fc_returns_push(struct fc_returns *r, struct fc_return *one);

/* Give everything on the list to `blocks`, and free it. */
void fc_returns_collect(struct fc_returns *r, struct fc_blocks *blocks);

#endif /* FC_RETURNS_H */
