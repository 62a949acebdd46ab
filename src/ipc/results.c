/* results.c - who listens, and what he sleeps on; see results.h.
 *
 * Edges:
 *
 *     L1  A worker publishes (`written` of its stream) and then reads
 *         `listeners`; the parent sets a bit of `listeners` and then reads
 *         `written`.  All four are sequentially consistent: whichever of the
 *         two looks last sees what the other has done.
 *     L2  results: announcing (release) -> the caller that is woken (acquire).
 *         Nothing is handed over by it: he looks at the streams.
 */
#include "ipc/results.h"

static void
wake_caller(struct fc_segment *s)
{
    atomic_fetch_add_explicit(&s->header->results, 1,
                              memory_order_release); /* L2 */
    FC_KILL_POINT();
    fc_unpark_shared(&s->header->results, UINT32_MAX);
}

/* Ring, and only then take the bit away, so that whoever dies or is stopped in
 * between has not silenced the others; and only if it is still the same
 * listening, so that whoever comes back late takes nobody else's. */
static int
ring_bell(struct fc_segment *s, uint32_t listeners, int ring)
{
    int error = fc_bell_ring(ring);
    FC_KILL_POINT();
    if (error == 0) {
        (void)atomic_compare_exchange_strong_explicit(
            &s->header->listeners, &listeners,
            listeners & ~(uint32_t)FC_LISTENER_BELL, memory_order_acq_rel,
            memory_order_relaxed);
    }
    return error;
}

bool
fc_results_tell_caller(struct fc_segment *s)
{
    uint32_t listeners = atomic_load_explicit(&s->header->listeners,
                                              memory_order_seq_cst); /* L1 */
    FC_KILL_POINT();
    if (listeners & FC_LISTENER_CALLER) {
        wake_caller(s);
    }
    return (listeners & FC_LISTENER_BELL) != 0;
}

int
fc_results_ring(struct fc_segment *s, int ring)
{
    uint32_t listeners = atomic_load_explicit(&s->header->listeners,
                                              memory_order_seq_cst); /* L1 */
    return listeners & FC_LISTENER_BELL ? ring_bell(s, listeners, ring) : 0;
}

int
fc_results_announce(struct fc_segment *s, int ring)
{
    return fc_results_tell_caller(s) ? fc_results_ring(s, ring) : 0;
}

uint32_t
fc_results_listen(struct fc_segment *s, uint32_t listener)
{
    uint32_t seen = atomic_load_explicit(&s->header->results,
                                         memory_order_acquire); /* L2 */
    /* Relaxed: the exchange below says whether it is still so. */
    uint32_t before = atomic_load_explicit(&s->header->listeners,
                                           memory_order_relaxed);
    uint32_t after;
    do {
        after = (before | listener) + FC_LISTENING;
    } while (!atomic_compare_exchange_weak_explicit(
        &s->header->listeners, &before, after, memory_order_seq_cst,
        memory_order_relaxed)); /* L1 */
    return seen;
}

void
fc_results_unlisten(struct fc_segment *s, uint32_t listener)
{
    atomic_fetch_and_explicit(&s->header->listeners, ~listener,
                              memory_order_acq_rel);
}

enum fc_park_result
fc_results_park(struct fc_segment *s, uint32_t seen, int64_t deadline_ns)
{
    return fc_park_shared(&s->header->results, seen, deadline_ns);
}

void
fc_results_nudge(struct fc_segment *s)
{
    wake_caller(s);
}
