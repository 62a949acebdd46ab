/* requester.c - see requester.h. */
#include "ipc/requester.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/admission.h"
#include "ipc/idle.h"
#include "ipc/once.h"

/* Forget what the slots from `first` on held, which are open now. */
static void
clear_requested(struct fc_requester *r, uint32_t first)
{
    memset(r->requested + first, 0,
           (r->sender.opened - first) * sizeof(*r->requested));
}

int
fc_requester_create(struct fc_requester *r, const struct fc_geometry *g,
                    uint64_t keep)
{
    memset(r, 0, sizeof(*r));
    int error = fc_segment_create(&r->segment, g);
    if (error != 0) {
        return error;
    }
    fc_blocks_init(&r->blocks, &r->segment, FC_WINDOW_OF_PARENT, keep);
    r->functions.segment = &r->segment;
    error = fc_sender_init(&r->sender, &r->segment);
    if (error == 0) {
        error = fc_arena_init(&r->arena, &r->segment);
    }
    if (error == 0) {
        r->requested = malloc(g->slots * sizeof(*r->requested));
        r->workers = calloc(g->seats, sizeof(*r->workers));
        error = r->requested != NULL && r->workers != NULL ? 0 : ENOMEM;
    }
    if (r->requested != NULL) {
        clear_requested(r, 0);
    }
    if (error != 0) {
        fc_requester_destroy(r);
    }
    return error;
}

void
fc_requester_destroy(struct fc_requester *r)
{
    for (uint32_t i = 0; r->requested && i < r->sender.opened; i++) {
        free(r->requested[i].bytes);
    }
    for (uint32_t i = 0; r->workers && i < r->segment.geometry.seats; i++) {
        fc_message_clear(&r->workers[i].message);
    }
    free(r->requested);
    free(r->workers);
    fc_arena_destroy(&r->arena);
    fc_sender_destroy(&r->sender);
    fc_blocks_destroy(&r->blocks, false);
    fc_segment_detach(&r->segment);
    r->requested = NULL;
    r->workers = NULL;
}

/* So many bytes of long messages may be under way without regard to anything:
 * what a worker needs the next moment is there, and memory is not filled with
 * copies of what waits. */
#define LOAD ((uint64_t)64 << 20)

bool
fc_requester_is_laden(const struct fc_requester *r, uint64_t size)
{
    return fc_requester_under_way(r) > r->open
           && (r->load >= LOAD || size > LOAD - r->load);
}

bool
fc_requester_has_room(struct fc_requester *r)
{
    uint32_t opened = r->sender.opened;
    bool has = fc_sender_has_room(&r->sender);
    if (r->sender.opened != opened) {
        clear_requested(r, opened);
    }
    return has;
}

/* A slot as fc_sender_begin(), and what is known of it. */
static struct fc_slot *
begin(struct fc_requester *r, uint32_t *index, int *error)
{
    *error = EAGAIN;
    return fc_requester_has_room(r) ? fc_sender_begin(&r->sender, index, error)
                                    : NULL;
}

int
fc_requester_open(struct fc_requester *r, uint32_t seat)
{
    int error = fc_segment_prepare_seat(&r->segment, seat);
    if (error != 0) {
        return error;
    }
    struct fc_correspondent *w = &r->workers[seat];
    fc_consumer_init(&w->replies, &r->segment, seat, FC_TO_PARENT);
    fc_producer_init(&w->pieces, &r->segment, seat, FC_TO_WORKER);
    memset(&w->message, 0, sizeof(w->message));
    w->asked = FC_ASKED_NOTHING;
    w->losing = false;
    w->open = true;
    w->admitted = false;
    r->open++;
    r->starts = r->starts % INT32_MAX + 1;
    w->start = r->starts;
    fc_admission_offer(&r->segment, seat, w->start);
    return 0;
}

void
fc_requester_admit(struct fc_requester *r, uint32_t seat)
{
    struct fc_correspondent *w = &r->workers[seat];
    w->admitted = true;
    fc_admission_admit(&r->segment, seat, w->start);
}

void
fc_requester_close(struct fc_requester *r, uint32_t seat)
{
    struct fc_correspondent *w = &r->workers[seat];
    fc_message_clear(&w->message);
    fc_admission_close(&r->segment, seat);
    /* Relaxed: this side alone looks at an empty seat. */
    atomic_store_explicit(&r->segment.seats[seat].state, FC_SEAT_EMPTY,
                          memory_order_relaxed);
    atomic_store_explicit(&r->segment.seats[seat].batch, 0,
                          memory_order_relaxed);
    fc_idle_forget(&r->segment, seat);
    w->asked = FC_ASKED_NOTHING;
    r->open -= w->open;
    w->open = false;
}

/* --- requests ----------------------------------------------------------- */

static void
put(struct fc_slot *slot, size_t at, const void *bytes, size_t size)
{
    memcpy(slot->data + at, bytes, size);
}

/* Say where the message is. */
static void
put_block(struct fc_slot *slot, struct fc_requested *q,
          const struct fc_block *block)
{
    q->how = FC_HOW_BLOCK;
    q->block = (struct fc_wire_block){
        .offset = block->offset, .size = block->size, .length = q->size};
    put(slot, 0, &q->block, sizeof(q->block));
}

static int
send_in_block(struct fc_requester *r, struct fc_slot *slot,
              struct fc_requested *q, const struct fc_part *parts,
              unsigned count)
{
    struct fc_block block;
    int error = fc_blocks_take(&r->blocks, q->size, &block);
    if (error != 0) {
        return error;
    }
    fc_parts_gather(parts, count, block.bytes);
    put_block(slot, q, &block);
    return 0;
}

/* Where no shared memory is to be had: keep a copy until a worker asks. */
static int
send_on_demand(struct fc_slot *slot, struct fc_requested *q,
               const struct fc_part *parts, unsigned count)
{
    q->bytes = q->size <= SIZE_MAX ? malloc((size_t)q->size) : NULL;
    if (q->bytes == NULL) {
        return ENOMEM;
    }
    fc_parts_gather(parts, count, q->bytes);
    q->how = FC_HOW_STREAM;
    q->asked_by = FC_ASKED_BY_NOBODY;
    put(slot, 0, &q->size, sizeof(q->size));
    return 0;
}

static int
send_in_arena(struct fc_requester *r, struct fc_slot *slot,
              struct fc_requested *q, const struct fc_part *parts,
              unsigned count)
{
    int error = fc_arena_take(&r->arena, (uint32_t)q->size, &q->arena);
    if (error != 0) {
        return error;
    }
    fc_parts_gather(parts, count, r->segment.arena + q->arena);
    q->how = FC_HOW_ARENA;
    slot->place = q->arena;
    put(slot, 0, &q->size, sizeof(q->size));
    return 0;
}

/* Blocks go round.  Who has got more of them than he has sent sends the others
 * along: a worker with its next reply, the parent with its next request, to
 * whoever takes it.  That one may need it for his reply, or send it back; so
 * that it does not go to and fro for ever where only small messages follow,
 * the parent makes no more than this many gifts for each reply in a block. */
#define GIFTS 16

static bool
may_give(const struct fc_requester *r)
{
    return r->balance > 0 && r->gifts > 0 && r->blocks.spare > 0;
}

/* Put the message where it fits best. */
static int
place(struct fc_requester *r, struct fc_slot *slot, struct fc_requested *q,
      const struct fc_part *parts, unsigned count)
{
    uint64_t least = may_give(r) ? FC_GIFT_AT : FC_INLINE;
    slot->length = 0;
    slot->place = 0;
    if (q->size <= least) {
        q->how = FC_HOW_INLINE;
        slot->length = (uint16_t)q->size;
        fc_parts_gather(parts, count, slot->data);
        return 0;
    }
    if (q->size <= FC_ARENA_MOST) {
        int error = send_in_arena(r, slot, q, parts, count);
        if (error == 0 || error == EAGAIN) {
            return error;
        }
    }
    else if (send_in_block(r, slot, q, parts, count) == 0) {
        return 0;
    }
    return send_on_demand(slot, q, parts, count);
}

/* Send a block along with a request that is not in one. */
static uint16_t
add_gift(struct fc_requester *r, struct fc_slot *slot,
         struct fc_requested *q)
{
    uint64_t gift[2];
    if (q->how == FC_HOW_BLOCK) {
        r->balance--;
        return 0;
    }
    if (!may_give(r)
        || !fc_blocks_spare(&r->blocks, &gift[0], &gift[1])) {
        return 0;
    }
    r->balance--;
    r->gifts--;
    put(slot, FC_GIFT_AT, gift, sizeof(gift));
    q->block = (struct fc_wire_block){.offset = gift[0], .size = gift[1]};
    return FC_KIND_GIFT;
}

static void
publish(struct fc_requester *r, struct fc_slot *slot, uint32_t index,
        uint32_t function, uint16_t kind)
{
    struct fc_requested *q = &r->requested[index];
    r->load += q->size >= FC_BLOCK_FROM ? q->size : 0;
    uint16_t gift = add_gift(r, slot, q);
    slot->function = function;
    slot->kind = (uint16_t)(kind << FC_KIND_SHIFT | gift | q->how);
    fc_sender_publish(&r->sender, index);
    int32_t cpu = fc_cpu();
    _Atomic(int32_t) *said = &r->segment.header->sender_cpu;
    if (atomic_load_explicit(said, memory_order_relaxed) != cpu) {
        atomic_store_explicit(said, cpu, memory_order_relaxed); /* a hint */
    }
    fc_idle_wake(&r->segment);
}

int
fc_requester_send(struct fc_requester *r, const struct fc_part *parts,
                  unsigned count, uint32_t function, uint16_t kind,
                  void *user, uint32_t *index)
{
    int error;
    struct fc_slot *slot = begin(r, index, &error);
    if (slot == NULL) {
        return error;
    }
    struct fc_requested *q = &r->requested[*index];
    memset(q, 0, sizeof(*q));
    q->user = user;
    q->size = fc_parts_size(parts, count);
    error = place(r, slot, q, parts, count);
    if (error != 0) {
        fc_sender_abandon(&r->sender, *index);
        q->user = NULL;
        return error;
    }
    publish(r, slot, *index, function, kind);
    return 0;
}

int
fc_requester_send_batch(struct fc_requester *r, uint32_t count,
                        const uint32_t *ends, const void *bytes,
                        uint64_t size, uint32_t function, uint16_t kind,
                        void *user, uint32_t *index)
{
    int error;
    uint64_t whole = fc_batch_head(count) + size;
    if (whole > FC_ARENA_MOST) {
        return E2BIG;
    }
    struct fc_slot *slot = begin(r, index, &error);
    if (slot == NULL) {
        return error;
    }
    struct fc_requested *q = &r->requested[*index];
    memset(q, 0, sizeof(*q));
    q->user = user;
    q->size = whole;
    error = fc_arena_take(&r->arena, (uint32_t)whole, &q->arena);
    if (error != 0) {
        fc_sender_abandon(&r->sender, *index);
        q->user = NULL;
        return error;
    }
    q->how = FC_HOW_ARENA;
    q->batch = true;
    slot->length = 0;
    slot->place = q->arena;
    put(slot, 0, &q->size, sizeof(q->size));
    fc_batch_write(fc_requester_batch(r, *index), r->sender.tail, count, ends,
                   bytes, size);
    publish(r, slot, *index, function, kind);
    return 0;
}

void
fc_requester_close_batch(struct fc_requester *r, uint32_t index)
{
    uint64_t tag = fc_wire_tag(r->sender.positions[index], index);
    for (uint32_t i = 0; i < r->segment.geometry.seats; i++) {
        fc_batch_close(&r->segment, i, tag);
    }
}

int
fc_requester_begin_block(struct fc_requester *r, uint64_t size,
                         struct fc_block *block)
{
    int error = fc_blocks_take(&r->blocks, size, block);
    if (error == 0) {
        fc_blocks_pin(&r->blocks, block->offset);
    }
    return error;
}

int
fc_requester_send_block(struct fc_requester *r, const struct fc_block *block,
                        uint64_t size, uint32_t function, uint16_t kind,
                        void *user, uint32_t *index)
{
    int error;
    struct fc_slot *slot = begin(r, index, &error);
    if (slot == NULL) {
        return error;
    }
    struct fc_requested *q = &r->requested[*index];
    memset(q, 0, sizeof(*q));
    q->user = user;
    q->size = size;
    slot->length = 0;
    slot->place = 0;
    put_block(slot, q, block);
    fc_blocks_unpin(&r->blocks, block->offset);
    publish(r, slot, *index, function, kind);
    return 0;
}

void
fc_requester_drop_block(struct fc_requester *r, const struct fc_block *block)
{
    fc_blocks_unpin(&r->blocks, block->offset);
    (void)fc_blocks_put(&r->blocks, block->offset, block->size);
}

/* Let go of what the request has, except its slot. */
static void
settle(struct fc_requester *r, struct fc_requested *q)
{
    if (q->how == FC_HOW_ARENA) {
        fc_arena_give(&r->arena, q->arena);
    }
    r->load -= q->size >= FC_BLOCK_FROM ? q->size : 0;
    free(q->bytes);
    memset(q, 0, sizeof(*q));
}

bool
fc_requester_cancel(struct fc_requester *r, uint32_t index)
{
    if (!fc_sender_cancel(&r->sender, index)) {
        return false;
    }
    struct fc_requested *q = &r->requested[index];
    if (q->block.size > 0) {
        r->balance++;
        (void)fc_blocks_put(&r->blocks, q->block.offset, q->block.size);
    }
    settle(r, q);
    return true;
}

bool
fc_requester_has(const struct fc_requester *r, uint32_t seat, uint32_t index)
{
    return fc_sender_taken_by(&r->sender, index,
                              r->sender.positions[index] % FC_POSITIONS,
                              seat);
}

void *
fc_requester_forget(struct fc_requester *r, uint32_t index)
{
    struct fc_requested *q = &r->requested[index];
    void *user = q->user;
    if (q->how == FC_HOW_STREAM && q->asked_by != FC_ASKED_BY_NOBODY
        && r->workers[q->asked_by].asked == index) {
        r->workers[q->asked_by].asked = FC_ASKED_NOTHING;
    }
    settle(r, q);
    fc_sender_finish(&r->sender, index);
    return user;
}

/* --- replies ------------------------------------------------------------ */

void
fc_requester_recycle(struct fc_requester *r,
                     const struct fc_wire_block *block)
{
    if (block->size > 0) {
        (void)fc_blocks_put(&r->blocks, block->offset, block->size);
    }
}

void
fc_reply_clear(struct fc_reply *reply)
{
    free(reply->own);
    reply->own = NULL;
    reply->bytes = NULL;
}

static int
read_block(const struct fc_requester *r, const struct fc_frame *frame,
           struct fc_wire_block *block)
{
    if (frame->size != sizeof(*block) || frame->rest != 0) {
        return EBADMSG;
    }
    fc_read_once(block, frame->bytes, sizeof(*block));
    return fc_block_possible(&r->segment, block->offset, block->size)
                   && block->length <= block->size
               ? 0
               : EBADMSG;
}

/* The bytes of a reply, which may be one of several pieces. */
static int
read_bytes(struct fc_correspondent *w, const struct fc_frame *frame,
           struct fc_reply *reply)
{
    if (frame->rest == 0 && w->message.bytes == NULL && !w->losing) {
        reply->bytes = frame->bytes;
        reply->size = frame->size;
        return 0;
    }
    int error = w->losing ? ENOMEM : fc_message_add(&w->message, frame);
    if (error == ENOMEM) {
        w->losing = frame->rest > 0;
        return w->losing ? EAGAIN : ENOMEM;
    }
    if (error == 0) {
        reply->bytes = reply->own = w->message.bytes;
        reply->size = w->message.size;
        memset(&w->message, 0, sizeof(w->message));
    }
    return error;
}

/* A worker asks for the bytes of its request. */
static int
begin_pieces(struct fc_requester *r, uint32_t seat, uint32_t index)
{
    struct fc_correspondent *w = &r->workers[seat];
    struct fc_requested *q = &r->requested[index];
    /* Once, and nothing else meanwhile. */
    if (q->how != FC_HOW_STREAM || q->bytes == NULL
        || q->asked_by != FC_ASKED_BY_NOBODY || w->asked != FC_ASKED_NOTHING) {
        return EBADMSG;
    }
    q->asked_by = seat;
    w->asked = index;
    w->sent = 0;
    return 0;
}

int
fc_requester_next(struct fc_requester *r, uint32_t seat,
                  struct fc_reply *reply)
{
    struct fc_correspondent *w = &r->workers[seat];
    memset(reply, 0, sizeof(*reply));
    for (;;) {
        struct fc_frame frame;
        int error = fc_consumer_next(&w->replies, &frame);
        if (error != 0) {
            return error;
        }
        unsigned what = frame.kind & FC_FRAME_KIND;
        if (what == FC_FRAME_BACK) {
            error = read_block(r, &frame, &reply->block);
            if (error == 0) {
                error = fc_blocks_put(&r->blocks, reply->block.offset,
                                      reply->block.size);
            }
            if (error != 0) {
                return error;
            }
            r->balance++;
            memset(&reply->block, 0, sizeof(reply->block));
            continue;
        }
        uint32_t index = (uint32_t)(frame.tag & 0xffff);
        bool part = (frame.kind >> 2 & FC_KIND_PART) != 0;
        if (part ? !fc_sender_is_at(&r->sender, index, frame.tag >> 16)
                 : !fc_sender_taken_by(&r->sender, index, frame.tag >> 16,
                                       seat)) {
            return EBADMSG;
        }
        if (part != r->requested[index].batch) {
            return EBADMSG; /* its owner would not know that it has ended */
        }
        if (what == FC_FRAME_WANT) {
            error = begin_pieces(r, seat, index);
            if (error != 0) {
                return error;
            }
            continue;
        }
        if (w->asked == index) {
            return EBADMSG; /* it answers what it has not read */
        }
        error = what == FC_FRAME_BLOCK ? read_block(r, &frame, &reply->block)
                                       : read_bytes(w, &frame, reply);
        if (error == EAGAIN) {
            continue;
        }
        if (error == EBADMSG) {
            return error;
        }
        if (what == FC_FRAME_BLOCK) {
            reply->size = reply->block.length;
            r->balance++;
            r->gifts = GIFTS;
        }
        reply->kind = (uint16_t)(frame.kind >> 2 & (FC_KINDS - 1));
        reply->index = index;
        reply->part = part;
        reply->user = part ? r->requested[index].user
                           : fc_requester_forget(r, index);
        return error;
    }
}

/* --- pieces ------------------------------------------------------------- */

static uint32_t
next_piece(const struct fc_requester *r, const struct fc_correspondent *w)
{
    uint64_t left = r->requested[w->asked].size - w->sent;
    uint32_t most = fc_frame_most(&r->segment);
    return left < most ? (uint32_t)left : most;
}

/* Send as much as there is room for of what the worker has asked for. */
static void
feed(struct fc_requester *r, struct fc_correspondent *w)
{
    struct fc_requested *q = &r->requested[w->asked];
    do {
        uint32_t now = next_piece(r, w);
        unsigned char *to = fc_producer_begin(&w->pieces, now);
        if (to == NULL) {
            return;
        }
        memcpy(to, q->bytes + w->sent, now);
        w->sent += now;
        fc_producer_publish(&w->pieces, now, 0,
                            fc_wire_tag(r->sender.positions[w->asked],
                                        w->asked),
                            q->size - w->sent);
    } while (w->sent < q->size);
    free(q->bytes);
    q->bytes = NULL;
    w->asked = FC_ASKED_NOTHING;
}

void
fc_requester_release(struct fc_requester *r, uint32_t seat)
{
    struct fc_correspondent *w = &r->workers[seat];
    fc_consumer_release(&w->replies);
    if (w->asked != FC_ASKED_NOTHING) {
        feed(r, w);
        fc_idle_nudge(&r->segment, seat);
    }
}

bool
fc_requester_ready(struct fc_requester *r, uint32_t seat)
{
    struct fc_correspondent *w = &r->workers[seat];
    if (!w->open) {
        return false;
    }
    return fc_consumer_ready(&w->replies)
           || (w->asked != FC_ASKED_NOTHING
               && fc_producer_fits(&w->pieces, next_piece(r, w)));
}
