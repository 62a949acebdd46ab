/* wire.h - what requester and responder say to each other: the encoding of
 * requests in slots and of replies in frames.  For these two alone.
 *
 * A message is a run of bytes of any length.  It travels
 *
 *     INLINE   in the slot, or in one frame
 *     ARENA    in the arena (requests alone)
 *     BLOCK    in a block, which changes hands with it
 *     STREAM   as frames one after the other: replies too long for one frame
 *              where no block is to be had; requests in that case as soon as a
 *              worker has taken them and asks for the bytes (WANT)
 *
 * and always whole, so that its reader has it in one piece.
 */
#ifndef FC_WIRE_H
#define FC_WIRE_H

#include <assert.h>

#include "ipc/requests.h"

enum fc_how {
    FC_HOW_INLINE = 0,
    FC_HOW_ARENA = 1,
    FC_HOW_BLOCK = 2,
    FC_HOW_STREAM = 3,
};

/* fc_slot.kind, low to high: how, whether a block comes along as a gift, and
 * the user's own kind. */
#define FC_KIND_HOW 3
#define FC_KIND_GIFT 4
#define FC_KIND_SHIFT 4

/* What the kind of a frame says, low to high: which, and the user's kind. */
enum fc_frame_kind {
    FC_FRAME_REPLY = 0, /* the bytes, or some of them */
    FC_FRAME_BLOCK = 1, /* a reply in a block: struct fc_wire_block */
    FC_FRAME_BACK = 2,  /* a block that is not needed: likewise */
    FC_FRAME_WANT = 3,  /* the bytes of a request are asked for */
};
#define FC_FRAME_KIND 3

/* The user's own kinds, of requests and of replies. */
#define FC_KINDS 512

/* Beside the kind of a reply: a part of what a batch gives, by any of those
 * who work on it; the request is not answered by it. */
#define FC_KIND_PART 512

/* A block with a message of `length` bytes in it. */
struct fc_wire_block {
    uint64_t offset, size;
    uint64_t length;
};

/* A gift stands at the end of the slot's data, where it takes room from an
 * INLINE message. */
#define FC_GIFT_AT (FC_INLINE - 16)

static_assert(sizeof(struct fc_wire_block) == 24, "no padding is shared");
static_assert(sizeof(struct fc_wire_block) <= FC_GIFT_AT,
              "a slot has room for a block and a gift");

/* A request is named in replies by slot and position. */
static inline uint64_t
fc_wire_tag(uint64_t position, uint32_t index)
{
    return position % FC_POSITIONS << 16 | index;
}

/* Messages from so many bytes on travel in blocks: a quarter of a usual
 * stream, from where on copying through it costs more (2026-11-21). */
#define FC_BLOCK_FROM 65537

/* Part of a message, in memory of the process that sends it. */
struct fc_part {
    const void *bytes;
    uint64_t size;
};

static inline uint64_t
fc_parts_size(const struct fc_part *parts, unsigned count)
{
    uint64_t size = 0;
    for (unsigned i = 0; i < count; i++) {
        size += parts[i].size;
    }
    return size;
}

/* Put the parts one behind the other. */
void fc_parts_gather(const struct fc_part *parts, unsigned count,
                     unsigned char *to);

/* Where the reader of parts stands who takes them piece by piece. */
struct fc_parts_reader {
    const struct fc_part *parts;
    unsigned count;
    uint64_t at; /* within parts[0] */
};

/* Copy the next `size` bytes, which there are. */
void fc_parts_read(struct fc_parts_reader *r, unsigned char *to,
                   uint64_t size);

#endif /* FC_WIRE_H */
