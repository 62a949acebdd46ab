/* arena.h - room for requests that are too long for a slot.
 *
 * The parent alone takes and gives back blocks, and remembers in its own
 * memory which are free; workers read what it has put there.  Blocks have
 * sizes that are powers of two from FC_ARENA_LEAST to FC_ARENA_MOST bytes.  A
 * buddy system (Knuth, The Art of Computer Programming 1, 2.5): halves that
 * are both free become one block again, so what one size has used is there for
 * another.
 *
 * The arena is reserved as it comes to be used, and not given back before the
 * segment goes.
 */
#ifndef FC_ARENA_H
#define FC_ARENA_H

#include "ipc/segment.h"

#define FC_ARENA_LEAST 256
/* Longer ones go into blocks of their own, see blocks.h. */
#define FC_ARENA_MOST 65536
#define FC_ARENA_ORDERS 9 /* from LEAST to MOST */

struct fc_arena {
    struct fc_segment *segment;
    uint64_t reserved; /* bytes from its start */
    uint32_t units;    /* of FC_ARENA_LEAST bytes */
    /* By unit: the order of the block that begins there plus 1, negative when
     * it is free; 0 inside a block. */
    int8_t *orders;
    /* Lists of free blocks by order; links by unit. */
    uint32_t first[FC_ARENA_ORDERS];
    uint32_t *next, *previous;
};

#define FC_ARENA_NONE UINT32_MAX

/* 0, or ENOMEM. */
int fc_arena_init(struct fc_arena *a, struct fc_segment *segment);
void fc_arena_destroy(struct fc_arena *a);

/* A block of at least `size` bytes: its offset within the arena.  EAGAIN: none
 * is free now; E2BIG: there are none of that size; else what the system says
 * where it refuses memory. */
int fc_arena_take(struct fc_arena *a, uint32_t size, uint32_t *offset);
void fc_arena_give(struct fc_arena *a, uint32_t offset);

/* Worker: whether `size` bytes from `offset` on lie in the arena. */
static inline bool
fc_arena_holds(const struct fc_segment *s, uint64_t offset, uint64_t size)
{
    return offset <= s->geometry.arena && size <= s->geometry.arena - offset;
}

#endif /* FC_ARENA_H */
