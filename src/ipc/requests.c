/* requests.c - the ring of requests.
 *
 * A place of the ring says which slot has the request of a position:
 *
 *     63 62          56 55                          16 15        0
 *     +--+-------------+------------------------------+-----------+
 *     |1 | 0           | position                     | slot      |
 *     +--+-------------+------------------------------+-----------+
 *
 * Places are used again when the head has passed them.  The head moves past a
 * request that has been taken or cancelled; who has done that moves it, and
 * so does everybody who comes across it, for its taker may be dead.
 *
 * Edges (each label stands at both ends in the code):
 *
 *     R1  word: publishing (release) -> taking it (acquire): the contents of
 *         the slot.
 *     R2  ring: publishing (seq_cst) -> reading the place (seq_cst, or
 *         acquire).  Sequentially consistent for fc_idle_park(), which says
 *         why; it carries nothing else.
 *     R3  head: passing a place (release) -> the parent that uses it again
 *         (acquire): nobody who would still take the old request reads it.
 *     R4  head: passing a place (release) -> the parent that counts what waits
 *         (acquire): the taker is no longer idle; see hub.h.  Who passes it in
 *         place of the taker has seen the taker's word (release, acquire).
 *
 * Nothing is needed from the taker to the parent: the slot is used again when
 * the result has arrived, which comes by a stream (S1), or after a
 * cancellation, when nobody has read it.
 */
#include "ipc/requests.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "ipc/once.h"

enum { EMPTY, READY, TAKEN, CANCELLED };

#define PUBLISHED (UINT64_C(1) << 63)

static_assert(FC_SLOTS_MAX <= 1 << 16, "a slot's number has 16 bits");
static_assert(FC_SEATS_MAX <= 1 << 16, "a seat's number has 16 bits");

static uint64_t
word_of(uint64_t position, uint32_t seat, unsigned state)
{
    return (position % FC_POSITIONS) << 24 | (uint64_t)seat << 8 | state;
}

static uint64_t
entry_of(uint64_t position, uint32_t index)
{
    return PUBLISHED | (position % FC_POSITIONS) << 16 | index;
}

static _Atomic(uint64_t) *
place_of(const struct fc_segment *s, uint64_t position)
{
    return &s->ring[position & (s->geometry.slots - 1)];
}

/* Move the head past `position`, unless somebody has. */
static void
pass(struct fc_segment *s, uint64_t position)
{
    /* R3.  Whoever fails finds it done. */
    atomic_compare_exchange_strong_explicit(
        &s->header->head, &position, position + 1, memory_order_acq_rel,
        memory_order_relaxed);
}

/* --- the parent's side -------------------------------------------------- */

/* As many slots are opened at first, and then each time as many times more:
 * a pool for a few calls pays for a few. */
#define FIRST 128
#define GROWTH 4

/* Open slots up to `count`; none is free. */
static int
open_slots(struct fc_sender *p, uint32_t count)
{
    uint32_t slots = p->segment->geometry.slots;
    count = count < slots ? count : slots;
    int error = fc_segment_reserve_slots(p->segment, p->opened, count);
    if (error != 0) {
        return error;
    }
    p->free_first = 0;
    for (uint32_t i = p->opened; i < count; i++) {
        p->free[p->free_count++] = (uint16_t)i;
        p->positions[i] = FC_NO_REQUEST;
    }
    p->opened = count;
    return 0;
}

int
fc_sender_init(struct fc_sender *p, struct fc_segment *segment)
{
    uint32_t slots = segment->geometry.slots;
    p->segment = segment;
    p->tail = 0;
    p->free_first = p->free_count = p->opened = 0;
    p->free = malloc(slots * sizeof(*p->free));
    p->positions = malloc(slots * sizeof(*p->positions));
    int error = ENOMEM;
    if (p->free != NULL && p->positions != NULL) {
        error = open_slots(p, FIRST);
    }
    if (error != 0) {
        fc_sender_destroy(p);
    }
    return error;
}

bool
fc_sender_has_room(struct fc_sender *p)
{
    return p->free_count > 0
           || (p->opened < p->segment->geometry.slots
               && open_slots(p, p->opened * GROWTH) == 0);
}

void
fc_sender_destroy(struct fc_sender *p)
{
    free(p->free);
    free(p->positions);
    p->free = NULL;
    p->positions = NULL;
}

static void
give_back(struct fc_sender *p, uint32_t index)
{
    uint32_t mask = p->segment->geometry.slots - 1;
    p->positions[index] = FC_NO_REQUEST;
    p->free[(p->free_first + p->free_count) & mask] = (uint16_t)index;
    p->free_count++;
}

/* Whether the place of the next position may be used: 0, EAGAIN or
 * EBADMSG. */
static int
place_is_free(struct fc_sender *p)
{
    struct fc_segment *s = p->segment;
    for (;;) {
        uint64_t head =
            atomic_load_explicit(&s->header->head, memory_order_acquire);
        uint64_t behind = p->tail - head; /* R3 */
        if (behind < s->geometry.slots) {
            return 0;
        }
        if (behind > s->geometry.slots) {
            return EBADMSG; /* the head is before what it has passed */
        }
        /* The ring is full.  At its head may be one that was cancelled. */
        uint64_t entry =
            atomic_load_explicit(place_of(s, head), memory_order_acquire);
        uint32_t index = (uint32_t)(entry & 0xffff);
        if (entry != entry_of(head, index) || index >= s->geometry.slots) {
            return EBADMSG;
        }
        /* Acquire: it is moved in the taker's name, see R4. */
        if (atomic_load_explicit(&s->slots[index].word, memory_order_acquire)
            == word_of(head, 0, READY)) {
            return EAGAIN;
        }
        pass(s, head);
    }
}

struct fc_slot *
fc_sender_begin(struct fc_sender *p, uint32_t *index, int *error)
{
    *error = fc_sender_has_room(p) ? place_is_free(p) : EAGAIN;
    if (*error != 0) {
        return NULL;
    }
    uint32_t mask = p->segment->geometry.slots - 1;
    *index = p->free[p->free_first];
    /* Who looks at the old request (fc_requests_look()) sees that it has gone
     * before any of it changes. */
    _Atomic(uint64_t) *word = &p->segment->slots[*index].word;
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
    atomic_store_explicit(word, (old & ~UINT64_C(0xff)) | CANCELLED,
                          memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    p->free_first = (p->free_first + 1) & mask;
    p->free_count--;
    return &p->segment->slots[*index];
}

void
fc_sender_abandon(struct fc_sender *p, uint32_t index)
{
    give_back(p, index);
}

void
fc_sender_publish(struct fc_sender *p, uint32_t index)
{
    struct fc_segment *s = p->segment;
    uint64_t position = p->tail++;
    p->positions[index] = position;
    atomic_store_explicit(&s->slots[index].word, word_of(position, 0, READY),
                          memory_order_release); /* R1 */
    atomic_store_explicit(place_of(s, position), entry_of(position, index),
                          memory_order_seq_cst); /* R2 */
}

bool
fc_sender_cancel(struct fc_sender *p, uint32_t index)
{
    uint64_t position = p->positions[index];
    uint64_t expected = word_of(position, 0, READY);
    if (position == FC_NO_REQUEST
        || !atomic_compare_exchange_strong_explicit(
            &p->segment->slots[index].word, &expected,
            word_of(position, 0, CANCELLED), memory_order_acq_rel,
            memory_order_relaxed)) {
        return false;
    }
    give_back(p, index);
    return true;
}

bool
fc_sender_taken(const struct fc_sender *p, uint32_t index)
{
    /* Relaxed: it may change the moment after, and orders nothing. */
    uint64_t word = atomic_load_explicit(&p->segment->slots[index].word,
                                         memory_order_relaxed);
    return (word & 0xff) == TAKEN;
}

bool
fc_sender_taken_by(const struct fc_sender *p, uint32_t index,
                   uint64_t position, uint32_t seat)
{
    if (index >= p->opened
        || p->positions[index] == FC_NO_REQUEST
        || p->positions[index] % FC_POSITIONS != position) {
        return false;
    }
    uint64_t word = atomic_load_explicit(&p->segment->slots[index].word,
                                         memory_order_relaxed);
    return word == word_of(position, seat, TAKEN);
}

bool
fc_sender_is_at(const struct fc_sender *p, uint32_t index, uint64_t position)
{
    return index < p->opened
           && p->positions[index] != FC_NO_REQUEST
           && p->positions[index] % FC_POSITIONS == position
           && fc_sender_taken(p, index);
}

void
fc_sender_finish(struct fc_sender *p, uint32_t index)
{
    give_back(p, index);
}

uint64_t
fc_sender_waiting(const struct fc_sender *p)
{
    uint64_t head = atomic_load_explicit(&p->segment->header->head,
                                         memory_order_acquire); /* R4 */
    uint64_t waiting = p->tail - head;
    return waiting <= p->segment->geometry.slots ? waiting : 0;
}

/* --- the worker's side -------------------------------------------------- */

static void
read_slot(const struct fc_slot *slot, uint32_t index, uint64_t position,
          struct fc_taken *taken)
{
    taken->position = position % FC_POSITIONS;
    taken->index = index;
    fc_read_once(&taken->function, &slot->function, sizeof(slot->function));
    fc_read_once(&taken->kind, &slot->kind, sizeof(slot->kind));
    fc_read_once(&taken->length, &slot->length, sizeof(slot->length));
    fc_read_once(&taken->place, &slot->place, sizeof(slot->place));
    taken->data = slot->data;
}

/* Whether a slot's word can be what it is because the request of `position`
 * was taken or cancelled: it says so, or belongs to a later one. */
static bool
is_gone(uint64_t word, uint64_t position)
{
    uint64_t later = ((word >> 24) - position) % FC_POSITIONS;
    uint64_t state = word & 0xff;
    return later == 0 ? state == TAKEN || state == CANCELLED
                      : later < FC_POSITIONS / 2;
}

int
fc_requests_take(struct fc_segment *s, uint32_t seat, struct fc_taken *taken)
{
    for (;;) {
        uint64_t head =
            atomic_load_explicit(&s->header->head, memory_order_acquire);
        uint64_t entry =
            atomic_load_explicit(place_of(s, head), memory_order_acquire);
        uint32_t index = (uint32_t)(entry & 0xffff); /* R2 */
        if (entry != entry_of(head, index)) {
            /* Not published yet; or the head has moved on meanwhile, and the
             * place is of another round. */
            if (atomic_load_explicit(&s->header->head, memory_order_relaxed)
                == head) {
                return EAGAIN;
            }
            continue;
        }
        if (index >= s->geometry.slots) {
            return EBADMSG;
        }
        struct fc_slot *slot = &s->slots[index];
        uint64_t expected = word_of(head, 0, READY);
        FC_KILL_POINT();
        bool won = atomic_compare_exchange_strong_explicit(
            &slot->word, &expected, word_of(head, seat, TAKEN),
            memory_order_acq_rel, memory_order_acquire); /* R1, R4 */
        FC_KILL_POINT();
        if (!won && !is_gone(expected, head)) {
            return EBADMSG;
        }
        pass(s, head);
        FC_KILL_POINT();
        if (won) {
            read_slot(slot, index, head, taken);
            return taken->length <= FC_INLINE ? 0 : EBADMSG;
        }
    }
}

bool
fc_requests_look(const struct fc_segment *s, uint32_t index,
                 uint64_t position, struct fc_taken *taken)
{
    if (index >= s->geometry.slots) {
        return false;
    }
    const struct fc_slot *slot = &s->slots[index];
    uint64_t before =
        atomic_load_explicit(&slot->word, memory_order_acquire); /* R1 */
    if (before >> 24 != position || (before & 0xff) != TAKEN) {
        return false;
    }
    read_slot(slot, index, position, taken);
    /* It may be answered, and its slot used again, while it is read. */
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&slot->word, memory_order_relaxed) == before
           && taken->length <= FC_INLINE;
}

bool
fc_requests_waiting(const struct fc_segment *s)
{
    uint64_t head =
        atomic_load_explicit(&s->header->head, memory_order_seq_cst);
    uint64_t entry =
        atomic_load_explicit(place_of(s, head), memory_order_seq_cst); /* R2 */
    return entry == entry_of(head, (uint32_t)(entry & 0xffff))
           /* Somebody has moved on: what there is now was not looked at. */
           || atomic_load_explicit(&s->header->head, memory_order_relaxed)
                  != head;
}
