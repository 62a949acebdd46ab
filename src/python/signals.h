/* signals.h - how the thread that runs signal handlers sleeps.
 *
 * A signal that comes between the last look, PyErr_CheckSignals(), and the
 * sleep itself does not end the sleep: no system call looks at Python's mark
 * and at a futex in one step, and a waiter spins before it sleeps.  Ctrl-C
 * would be answered when the wait is over.  So the main thread sleeps in slices
 * and looks between them.  The first one is shorter: what came while it spun is
 * seen in a moment.  Not much shorter: with one of 1 ms, whose timer is the next
 * to fire, a call after 1 ms of idling took 22 us in place of 6.5.
 */
#ifndef FC_SIGNALS_H
#define FC_SIGNALS_H

#include "python/state.h"

#include "port/port.h"

#define FC_SLICE_FIRST_NS 64000000
#define FC_SLICE_MAX_NS 256000000

typedef struct {
    int64_t length; /* 0: another thread, which has nothing to look at */
    int64_t end;    /* of the present one; FC_FOREVER where there is none */
} fc_slices;

/* Whether the calling thread is the one that runs signal handlers. */
bool fc_runs_handlers(fc_state *st);

static inline void
fc_slices_begin(fc_state *st, fc_slices *slices)
{
    slices->length = fc_runs_handlers(st) ? FC_SLICE_FIRST_NS : 0;
    slices->end = slices->length != 0 ? fc_now_ns() + slices->length
                                      : FC_FOREVER;
}

/* Until when to sleep, if not woken. */
static inline int64_t
fc_slices_until(const fc_slices *slices, int64_t deadline)
{
    return slices->end < deadline ? slices->end : deadline;
}

/* Whether the present one is over, and signals are to be looked at; then the
 * next one begins. */
static inline bool
fc_slices_is_over(fc_slices *slices)
{
    if (slices->length == 0) {
        return false;
    }
    int64_t now = fc_now_ns();
    if (now < slices->end) {
        return false;
    }
    if (slices->length < FC_SLICE_MAX_NS) {
        slices->length *= 4;
    }
    slices->end = now + slices->length;
    return true;
}

#endif /* FC_SIGNALS_H */
