/* stream.c - rings of bytes with one producer and one consumer.
 *
 * Both counters count bytes since the beginning and never go back; a place in
 * the ring is a counter modulo its size.
 *
 * Edges (each label stands at both ends in the code):
 *
 *     S1  written: publishing a frame (seq_cst) -> the consumer that sees it
 *         (acquire): head and bytes of the frame.  Sequentially consistent for
 *         the announcement after it, see L1 in results.c.
 *     S2  read: giving room back (release) -> the producer that uses it
 *         (acquire): the consumer no longer looks there.
 *     S3  The producer says that it is going to sleep and then looks for room;
 *         the consumer gives room and then looks whether somebody sleeps.  All
 *         four are sequentially consistent: else both may look before the
 *         other has written, and the producer sleeps beside an empty ring.
 *     S4  space: taking `blocked` back and then waking (release) -> the
 *         producer that has seen it (acquire) and says again that it sleeps:
 *         his word comes after the one that was taken back.
 */
#include "ipc/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/once.h"

#define HEAD ((uint32_t)sizeof(struct fc_frame_head))

static_assert(sizeof(struct fc_frame_head) == 24, "no padding is shared");

/* Bytes that a frame takes up in the ring. */
static uint64_t
whole(uint64_t size)
{
    return (HEAD + size + 7) / 8 * 8;
}

/* --- the producer ------------------------------------------------------- */

void
fc_producer_init(struct fc_producer *p, const struct fc_segment *s,
                 uint32_t seat, enum fc_direction direction)
{
    p->state = &s->seats[seat].streams[direction];
    p->bytes = fc_segment_stream(s, seat, direction);
    p->size = s->geometry.stream;
    /* Relaxed: set before this process was started, or by itself.  Frames are
     * whole words, whatever somebody has put there meanwhile. */
    p->written = atomic_load_explicit(&p->state->written,
                                      memory_order_relaxed)
                 & ~UINT64_C(7);
    p->read = atomic_load_explicit(&p->state->read, memory_order_acquire);
}

/* Bytes to leave out so that `need` of them do not wrap. */
static uint64_t
gap_before(const struct fc_producer *p, uint64_t need)
{
    uint64_t left = p->size - (p->written & (p->size - 1));
    return need <= left ? 0 : left;
}

static bool
has_room(struct fc_producer *p, uint64_t need)
{
    uint64_t used = p->written - p->read;
    if (used <= p->size && need <= p->size - used) {
        return true;
    }
    p->read = atomic_load_explicit(&p->state->read, memory_order_acquire);
    used = p->written - p->read; /* S2 */
    return used <= p->size && need <= p->size - used;
}

bool
fc_producer_fits(struct fc_producer *p, uint32_t size)
{
    p->read = atomic_load_explicit(&p->state->read, memory_order_seq_cst);
    uint64_t need = whole(size); /* S2, L1 */
    return has_room(p, gap_before(p, need) + need);
}

static void
put_head(struct fc_producer *p, uint64_t at, struct fc_frame_head head)
{
    memcpy(p->bytes + (at & (p->size - 1)), &head, sizeof(head));
}

unsigned char *
fc_producer_begin(struct fc_producer *p, uint32_t size)
{
    uint64_t need = whole(size);
    uint64_t gap = gap_before(p, need);
    if (!has_room(p, gap + need)) {
        return NULL;
    }
    if (gap > 0) {
        /* Both counters are multiples of 8, and so is the gap: where it is
         * shorter than a head, its first word says all. */
        struct fc_frame_head skip = {.kind = FC_FRAME_SKIP};
        skip.size = (uint32_t)gap;
        memcpy(p->bytes + (p->written & (p->size - 1)), &skip, 8);
        p->written += gap;
    }
    return p->bytes + (p->written & (p->size - 1)) + HEAD;
}

void
fc_producer_publish(struct fc_producer *p, uint32_t size, uint16_t kind,
                    uint64_t tag, uint64_t rest)
{
    struct fc_frame_head head = {
        .size = size, .kind = kind, .tag = tag, .rest = rest};
    put_head(p, p->written, head);
    p->written += whole(size);
    FC_KILL_POINT();
    atomic_store_explicit(&p->state->written, p->written,
                          memory_order_seq_cst); /* S1, L1 */
    FC_KILL_POINT();
}

bool
fc_producer_is_read(const struct fc_producer *p)
{
    return atomic_load_explicit(&p->state->read, memory_order_relaxed)
           == p->written;
}

enum fc_park_result
fc_producer_park(struct fc_producer *p, uint32_t size, int64_t deadline_ns)
{
    struct fc_stream_state *state = p->state;
    uint32_t seen =
        atomic_load_explicit(&state->space, memory_order_acquire); /* S4 */
    atomic_store_explicit(&state->blocked, 1, memory_order_seq_cst); /* S3 */
    FC_KILL_POINT();
    if (fc_producer_fits(p, size)) { /* S3 */
        return FC_PARK_WOKEN;
    }
    return fc_park_shared(&state->space, seen, deadline_ns);
}

/* --- the consumer ------------------------------------------------------- */

void
fc_consumer_init(struct fc_consumer *c, const struct fc_segment *s,
                 uint32_t seat, enum fc_direction direction)
{
    c->state = &s->seats[seat].streams[direction];
    c->bytes = fc_segment_stream(s, seat, direction);
    c->size = s->geometry.stream;
    c->most = fc_frame_most(s);
    /* Relaxed: this process alone writes it.  Whole words, as above. */
    c->read = atomic_load_explicit(&c->state->read, memory_order_relaxed)
              & ~UINT64_C(7);
    c->next = c->read;
}

bool
fc_consumer_ready(const struct fc_consumer *c)
{
    return atomic_load_explicit(&c->state->written, memory_order_seq_cst)
           != c->next; /* L1 */
}

/* Look at what stands at c->next: 0 and a frame; EAGAIN after a gap;
 * EBADMSG. */
static int
look(struct fc_consumer *c, uint64_t there, struct fc_frame *frame)
{
    uint64_t place = c->next & (c->size - 1);
    uint64_t left = c->size - place;
    struct fc_frame_head head = {0};
    /* The producer is done with it, yet may be mad: read once, then check. */
    fc_read_once(&head, c->bytes + place, left < HEAD ? 8 : HEAD);
    if (head.kind == FC_FRAME_SKIP) {
        if (head.size != left || left > there) {
            return EBADMSG;
        }
        c->next += left;
        return EAGAIN;
    }
    uint64_t need = whole(head.size);
    if (left < HEAD || head.size > c->most || need > left || need > there
        || head.zero != 0) {
        return EBADMSG;
    }
    frame->bytes = c->bytes + place + HEAD;
    frame->tag = head.tag;
    frame->rest = head.rest;
    frame->size = head.size;
    frame->kind = head.kind;
    c->next += need;
    return 0;
}

int
fc_consumer_next(struct fc_consumer *c, struct fc_frame *frame)
{
    uint64_t written = atomic_load_explicit(&c->state->written,
                                            memory_order_acquire); /* S1 */
    c->read = c->next;
    for (;;) {
        uint64_t there = written - c->next;
        if (there == 0) {
            return EAGAIN;
        }
        if (there > c->size || there % 8 != 0) {
            return EBADMSG;
        }
        int found = look(c, there, frame);
        if (found != EAGAIN) {
            return found;
        }
    }
}

void
fc_consumer_release(struct fc_consumer *c)
{
    struct fc_stream_state *state = c->state;
    c->read = c->next;
    atomic_store_explicit(&state->read, c->read,
                          memory_order_seq_cst); /* S2, S3 */
    if (atomic_load_explicit(&state->blocked, memory_order_seq_cst) != 0) {
        atomic_store_explicit(&state->blocked, 0, memory_order_relaxed);
        atomic_fetch_add_explicit(&state->space, 1,
                                  memory_order_release); /* S4 */
        fc_unpark_shared(&state->space, 1);
    }
}

/* --- messages ----------------------------------------------------------- */

static int
message_begin(struct fc_message *m, const struct fc_frame *frame)
{
    uint64_t size = frame->size + frame->rest;
    if (size < frame->rest) {
        return EBADMSG;
    }
    if (size > SIZE_MAX) {
        return ENOMEM;
    }
    m->bytes = malloc(size > 0 ? (size_t)size : 1);
    if (m->bytes == NULL) {
        return ENOMEM;
    }
    m->have = 0;
    m->size = size;
    m->tag = frame->tag;
    m->kind = frame->kind;
    return 0;
}

int
fc_message_add(struct fc_message *m, const struct fc_frame *frame)
{
    int error = m->bytes == NULL ? message_begin(m, frame) : 0;
    if (error == 0
        && (frame->tag != m->tag || frame->kind != m->kind
            || frame->size > m->size - m->have
            || frame->rest != m->size - m->have - frame->size)) {
        error = EBADMSG;
    }
    if (error != 0) {
        fc_message_clear(m);
        return error;
    }
    memcpy(m->bytes + m->have, frame->bytes, frame->size);
    m->have += frame->size;
    return frame->rest > 0 ? EAGAIN : 0;
}

void
fc_message_clear(struct fc_message *m)
{
    free(m->bytes);
    memset(m, 0, sizeof(*m));
}
