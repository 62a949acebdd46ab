/* idle.c - a bit and a word to sleep on per seat; see idle.h.
 *
 * Edges:
 *
 *     I1  parked: setting a bit and looking at the bits, seq_cst; with R2 of
 *         requests.c the argument at the head of idle.h.
 *     I2  signal: waking (release) -> the woken worker (acquire).  Nothing is
 *         handed over by it: the worker looks at the ring.
 *     I3  closing: with I1 as R2 is; the worker looks at it after its bit.
 *     I4  idle: entering (release) -> the parent's count (acquire): the seat
 *         is taken, see hub.h.
 */
#include "ipc/idle.h"

#include "ipc/batches.h"
#include "ipc/requests.h"

static uint64_t
bit_of(uint32_t seat)
{
    return UINT64_C(1) << (seat % 64);
}

static uint32_t
words(const struct fc_segment *s)
{
    return (s->geometry.seats + 63) / 64;
}

void
fc_idle_enter(struct fc_segment *s, uint32_t seat)
{
    /* The bit follows the results by the order of the stream that they come
     * in (S1). */
    atomic_fetch_or_explicit(&s->header->idle[seat / 64], bit_of(seat),
                             memory_order_release); /* I4 */
}

void
fc_idle_leave(struct fc_segment *s, uint32_t seat)
{
    /* Relaxed: what it comes before has an order of its own (R4). */
    atomic_fetch_and_explicit(&s->header->idle[seat / 64], ~bit_of(seat),
                              memory_order_relaxed);
}

bool
fc_idle_is(const struct fc_segment *s, uint32_t seat)
{
    return (atomic_load_explicit(&s->header->idle[seat / 64],
                                 memory_order_relaxed)
            & bit_of(seat))
           != 0;
}

uint32_t
fc_idle_count(const struct fc_segment *s)
{
    int count = 0;
    for (uint32_t i = 0; i < words(s); i++) {
        count += __builtin_popcountll(atomic_load_explicit(
            &s->header->idle[i], memory_order_acquire)); /* I4 */
    }
    return (uint32_t)count;
}

/* Clear a bit of those parked.  True for the one who did. */
static bool
unset(struct fc_segment *s, uint32_t seat)
{
    uint64_t bit = bit_of(seat);
    return (atomic_fetch_and_explicit(&s->header->parked[seat / 64], ~bit,
                                      memory_order_seq_cst)
            & bit)
           != 0; /* I1 */
}

uint32_t
fc_idle_signal(const struct fc_segment *s, uint32_t seat)
{
    return atomic_load_explicit(&s->seats[seat].signal,
                                memory_order_acquire); /* I2 */
}

enum fc_park_result
fc_idle_wait(struct fc_segment *s, uint32_t seat, uint32_t signal,
             int64_t deadline_ns)
{
    return fc_park_shared(&s->seats[seat].signal, signal, deadline_ns);
}

void
fc_idle_nudge(struct fc_segment *s, uint32_t seat)
{
    FC_KILL_POINT();
    _Atomic(uint32_t) *signal = &s->seats[seat].signal;
    atomic_fetch_add_explicit(signal, 1, memory_order_release); /* I2 */
    fc_unpark_shared(signal, 1);
}

enum fc_park_result
fc_idle_park(struct fc_segment *s, uint32_t seat, int64_t deadline_ns)
{
    uint32_t seen = fc_idle_signal(s, seat);
    atomic_fetch_or_explicit(&s->header->parked[seat / 64], bit_of(seat),
                             memory_order_seq_cst); /* I1 */
    FC_KILL_POINT();
    enum fc_park_result result = FC_PARK_WOKEN;
    if (!fc_requests_waiting(s) && !fc_batches_open(s)
        && !fc_idle_closing(s)) {
        result = fc_idle_wait(s, seat, seen, deadline_ns);
    }
    FC_KILL_POINT();
    if (!unset(s, seat)) {
        /* Somebody has woken us, perhaps as we were leaving: whatever for, it
         * is for us to look. */
        return FC_PARK_WOKEN;
    }
    return result;
}

/* Wake the parked workers of one word of bits, at most `most` of them. */
static uint32_t
wake_some(struct fc_segment *s, uint32_t word, uint32_t most)
{
    uint32_t woken = 0;
    while (woken < most) {
        uint64_t bits = atomic_load_explicit(&s->header->parked[word],
                                             memory_order_seq_cst); /* I1 */
        if (bits == 0) {
            break;
        }
        uint32_t seat = word * 64 + (uint32_t)__builtin_ctzll(bits);
        /* Lost to somebody else, who wakes it: look for another one.  A bit
         * of no seat is nonsense, and is cleared. */
        if (unset(s, seat) && seat < s->geometry.seats) {
            fc_idle_nudge(s, seat);
            woken++;
        }
    }
    return woken;
}

void
fc_idle_wake(struct fc_segment *s)
{
    for (uint32_t i = 0; i < words(s); i++) {
        if (wake_some(s, i, 1) > 0) {
            return;
        }
    }
}

void
fc_idle_close(struct fc_segment *s)
{
    atomic_store_explicit(&s->header->closing, 1,
                          memory_order_seq_cst); /* I3 */
    for (uint32_t i = 0; i < words(s); i++) {
        (void)wake_some(s, i, UINT32_MAX);
    }
}

bool
fc_idle_closing(const struct fc_segment *s)
{
    return atomic_load_explicit(&s->header->closing, memory_order_seq_cst)
           != 0; /* I3 */
}

void
fc_idle_forget(struct fc_segment *s, uint32_t seat)
{
    fc_idle_leave(s, seat);
    (void)unset(s, seat);
    for (uint32_t i = 0; i < s->geometry.seats; i++) {
        fc_idle_nudge(s, i);
    }
}
