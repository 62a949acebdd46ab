/* blocks.h - large pieces of shared memory, handed from process to process.
 *
 * A block is a range of the segment's file, mapped by whoever has to do with
 * it.  It belongs to one process at a time: to whoever made it, until he sends
 * it to another one by naming offset and size in a message.  Who has one to
 * spare keeps it for his next message, or sends it along to somebody who
 * needs it more, or gives its memory back.  No two processes ever change
 * the same block's state, so there is nothing shared to keep consistent, and
 * what a dead process had goes with the segment.
 *
 * Keeping them is what makes large messages fast: memory that is touched for
 * the first time costs 8 times as much as copying into it (10 MB: 2.5 ms to
 * reserve, 5.5 ms to touch and fill, 2 ms to give back; 1.2 ms where it was
 * filled before; 2026-11-21).
 *
 * Each process makes new blocks in a window of offsets of its own and never
 * uses an offset for a second block, so an old mapping never shows another
 * block's bytes.
 */
#ifndef FC_BLOCKS_H
#define FC_BLOCKS_H

#include "ipc/segment.h"

/* How many blocks a process remembers the mapping of. */
#define FC_BLOCKS_KNOWN 32

/* The parent's window; a worker has that of its seat. */
#define FC_WINDOW_OF_PARENT UINT32_MAX

struct fc_known_block {
    uint64_t offset, size;
    unsigned char *bytes; /* NULL: not mapped here */
    uint64_t used;        /* fc_blocks.clock when it was used last */
    bool free;            /* ours; else somebody else's by now */
    bool pinned;          /* being filled: stays mapped */
};

/* What one process knows of blocks.  Not for two threads at once. */
struct fc_blocks {
    struct fc_segment *segment;
    uint32_t window;
    uint64_t bump;  /* the parent's own: bytes of its window in use */
    uint64_t clock;
    uint64_t keep;  /* bytes of free blocks that are kept at most */
    uint64_t spare; /* bytes of free blocks */
    uint32_t count;
    struct fc_known_block known[FC_BLOCKS_KNOWN];
};

struct fc_block {
    uint64_t offset, size;
    unsigned char *bytes;
};

void fc_blocks_init(struct fc_blocks *b, struct fc_segment *s,
                    uint32_t window, uint64_t keep);

/* Unmap everything; with `discard` the memory of free blocks is given back. */
void fc_blocks_destroy(struct fc_blocks *b, bool discard);

/* A block of at least `size` bytes, reserved and mapped for writing, whose
 * contents are undefined.  It is mapped until the next call; the caller names
 * it in a message, or gives it to fc_blocks_put().  0, or what the system
 * says where it refuses memory; EFBIG: no block can be as large; EAGAIN: as
 * many as can be known are pinned. */
int fc_blocks_take(struct fc_blocks *b, uint64_t size, struct fc_block *block);

/* The block taken last stays mapped until it is unpinned, whatever is done
 * meanwhile: somebody fills it without the caller's lock. */
void fc_blocks_pin(struct fc_blocks *b, uint64_t offset);
void fc_blocks_unpin(struct fc_blocks *b, uint64_t offset);

/* A block has come to this process, or is not needed any more: keep it, or
 * give its memory back.  EBADMSG: there can be no such block, or it is ours
 * already: free, or pinned. */
int fc_blocks_put(struct fc_blocks *b, uint64_t offset, uint64_t size);

/* A free block to give away, the largest: true with its offset and size. */
bool fc_blocks_spare(struct fc_blocks *b, uint64_t *offset, uint64_t *size);

/* Give back the memory of free blocks, the one unused for longest first, until
 * no more than `keep` bytes are left. */
void fc_blocks_trim(struct fc_blocks *b, uint64_t keep);

/* Whether somebody who names this block can mean one. */
bool fc_block_possible(const struct fc_segment *s, uint64_t offset,
                       uint64_t size);

#endif /* FC_BLOCKS_H */
