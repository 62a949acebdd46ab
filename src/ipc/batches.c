/* batches.c - see batches.h. */
#include "ipc/batches.h"

#include <assert.h>
#include <string.h>

#include "ipc/arena.h"
#include "ipc/once.h"
#include "ipc/requests.h"

static_assert(sizeof(struct fc_batch) == 16, "the head is two words");
static_assert(sizeof(struct fc_cell) == 16, "no padding is shared");

#define NUMBER_BITS 16
#define NUMBER ((UINT64_C(1) << NUMBER_BITS) - 1)

/* In place of a number: all was cancelled before anything was claimed, and the
 * taker has not left yet. */
#define UNSEEN (NUMBER - 1)

static_assert(FC_BATCH_MOST < UNSEEN, "neither is the number of an item");

static uint64_t
next_of(uint64_t position, uint32_t i)
{
    return position % FC_POSITIONS << NUMBER_BITS | i;
}

/* --- the parent ------------------------------------------------------------ */

void
fc_batch_write(struct fc_batch *b, uint64_t position, uint32_t count,
               const uint32_t *ends, const void *bytes, uint64_t size)
{
    unsigned char *to = (unsigned char *)&b->cells[count];
    /* First of all nothing can be claimed: who still looks at what stood here
     * before may already read the new count, but not with the old `next`. */
    atomic_store_explicit(&b->next, next_of(position, NUMBER),
                          memory_order_relaxed);
    atomic_thread_fence(memory_order_release); /* A5 */
    /* Relaxed: published with the request. */
    atomic_store_explicit(&b->done, 0, memory_order_relaxed);
    atomic_store_explicit(&b->count, count, memory_order_relaxed);
    memset(b->cells, 0, count * sizeof(struct fc_cell));
    memcpy(to, ends, count * sizeof(*ends));
    memcpy(to + count * sizeof(*ends), bytes, (size_t)size);
    /* Last: who still claims from what stood here before has failed by now. */
    atomic_store_explicit(&b->next, next_of(position, 0),
                          memory_order_release); /* A1 */
}

/* Relaxed: the parent has written it, before the request was published. */
static uint32_t
count_of(const struct fc_batch *b)
{
    return atomic_load_explicit(&b->count, memory_order_relaxed);
}

uint32_t
fc_batch_left(const struct fc_batch *b)
{
    /* Acquire: who has claimed one is no longer idle, see hub.h. */
    uint64_t i = atomic_load_explicit(&b->next, memory_order_acquire)
                 & NUMBER;
    uint32_t count = count_of(b);
    return i < count ? count - (uint32_t)i : 0;
}

/* Nobody works on so many items any more.  Whether that was all. */
static bool
count_done(struct fc_batch *b, uint32_t items, uint32_t count)
{
    return atomic_fetch_add_explicit(&b->done, items, memory_order_acq_rel)
               + items
           == count; /* A3 */
}

uint32_t
fc_batch_cancel(struct fc_batch *b, bool *all_done)
{
    uint32_t count = count_of(b);
    uint64_t seen = atomic_load_explicit(&b->next, memory_order_relaxed);
    uint64_t first, after;
    *all_done = false;
    do {
        first = seen & NUMBER;
        if (first >= count) {
            return count;
        }
        after = (seen & ~NUMBER) | (first > 0 ? count : UNSEEN);
    } while (!atomic_compare_exchange_weak_explicit(
        &b->next, &seen, after, memory_order_seq_cst,
        memory_order_relaxed)); /* A1, A6 */
    /* The taker sees to one of those that nobody has seen. */
    uint32_t left = count - (uint32_t)(first > 0 ? first : 1);
    *all_done = left > 0 && count_done(b, left, count);
    return (uint32_t)first;
}

/* --- a worker -------------------------------------------------------------- */

bool
fc_batch_view(struct fc_batch_view *v, const unsigned char *bytes,
              uint64_t size, uint64_t position)
{
    /* NULL: in a block, where no batch is. */
    if (bytes == NULL || size < sizeof(struct fc_batch)
        || (uintptr_t)bytes % 16 != 0) {
        return false;
    }
    v->batch = (struct fc_batch *)(uintptr_t)bytes;
    v->position = position % FC_POSITIONS;
    v->count = atomic_load_explicit(&v->batch->count, memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire); /* A5 */
    if (v->count == 0 || v->count > FC_BATCH_MOST
        || fc_batch_head(v->count) > size) {
        return false;
    }
    v->ends = (const unsigned char *)&v->batch->cells[v->count];
    v->items = v->ends + v->count * sizeof(uint32_t);
    v->size = size - fc_batch_head(v->count);
    return true;
}

int
fc_batch_claim(const struct fc_batch_view *v)
{
    uint64_t seen =
        atomic_load_explicit(&v->batch->next, memory_order_relaxed);
    do {
        if (seen >> NUMBER_BITS != v->position
            || (seen & NUMBER) >= v->count) {
            return -1;
        }
    } while (!atomic_compare_exchange_weak_explicit(
        &v->batch->next, &seen, seen + 1, memory_order_acq_rel,
        memory_order_relaxed)); /* A1 */
    FC_KILL_POINT();
    return (int)(seen & NUMBER);
}

const unsigned char *
fc_batch_item(const struct fc_batch_view *v, uint32_t i, uint64_t *size)
{
    uint32_t from = 0, to;
    fc_read_once(&to, v->ends + i * sizeof(to), sizeof(to));
    if (i > 0) {
        fc_read_once(&from, v->ends + (i - 1) * sizeof(from), sizeof(from));
    }
    if (from > to || to > v->size) {
        return NULL;
    }
    *size = to - from;
    return v->items + from;
}

/* Whether all of it was cancelled unseen; the first one to ask sees to it. */
static bool
see_to_cancelled(const struct fc_batch_view *v)
{
    uint64_t unseen = next_of(v->position, UNSEEN);
    return atomic_compare_exchange_strong_explicit(
        &v->batch->next, &unseen, next_of(v->position, v->count),
        memory_order_acq_rel, memory_order_relaxed); /* A1 */
}

bool
fc_batch_leave(const struct fc_batch_view *v, uint32_t mine)
{
    FC_KILL_POINT();
    if (mine == 0 && see_to_cancelled(v)) {
        mine = 1;
    }
    return mine > 0 && count_done(v->batch, mine, v->count);
}

/* --- finding one ------------------------------------------------------------- */

/* Whether the batch of a request has nothing to claim.  Its worker has checked
 * where it is; somebody may have damaged that since. */
static bool
is_used_up(const struct fc_segment *s, uint64_t tag)
{
    const struct fc_slot *slot = &s->slots[tag & 0xffff];
    uint64_t place;
    fc_read_once(&place, &slot->place, sizeof(place));
    if (!fc_arena_holds(s, place, sizeof(struct fc_batch))
        || place % 16 != 0) {
        return false;
    }
    const struct fc_batch *b = (const struct fc_batch *)(s->arena + place);
    uint64_t next =
        atomic_load_explicit(&b->next, memory_order_seq_cst); /* A6 */
    return (next & NUMBER) >= count_of(b);
}

/* A seat says the tag of its open batch plus 1, or 0. */
void
fc_batch_open(struct fc_segment *s, uint32_t seat, uint64_t tag)
{
    atomic_store_explicit(&s->seats[seat].batch, tag + 1,
                          memory_order_seq_cst); /* A4, A6 */
    FC_KILL_POINT();
    if (is_used_up(s, tag)) {
        fc_batch_close(s, seat, tag);
    }
}

void
fc_batch_close(struct fc_segment *s, uint32_t seat, uint64_t tag)
{
    uint64_t open = tag + 1;
    /* Who still reads it finds nothing to claim. */
    atomic_compare_exchange_strong_explicit(&s->seats[seat].batch, &open, 0,
                                            memory_order_seq_cst,
                                            memory_order_seq_cst); /* A6 */
}

bool
fc_batches_open(const struct fc_segment *s)
{
    for (uint32_t i = 0; i < s->geometry.seats; i++) {
        if (atomic_load_explicit(&s->seats[i].batch, memory_order_seq_cst)
            != 0) { /* A4 */
            return true;
        }
    }
    return false;
}

bool
fc_batch_find(const struct fc_segment *s, uint32_t *seat, uint64_t *tag)
{
    for (; *seat < s->geometry.seats; (*seat)++) {
        uint64_t open = atomic_load_explicit(&s->seats[*seat].batch,
                                             memory_order_acquire); /* A4 */
        if (open != 0) {
            *tag = open - 1;
            return true;
        }
    }
    return false;
}
