/* gil.h - who lets go of the GIL when, so that the other side finds it free.
 *
 * Measured on 2 cores (docs/internals/sleep-and-wake.md): a thread that is
 * woken while its waker still holds the GIL queues up behind it and is
 * switched out, 11 to 21 us; woken after the release it goes on in 1 us.
 * Completers therefore release first and fire afterwards, and a worker that
 * finds a task while its submitter may be about to release waits a moment.
 *
 * `submitter_cpu` is that announcement: 1 + the CPU of a thread that has
 * just submitted and holds the GIL, 0 once it has let go.  A hint: written
 * by whoever comes last, waited for within the limits below.
 */
#ifndef FC_GIL_H
#define FC_GIL_H

#include "python/state.h"

#include "port/port.h"

/* How long a woken worker spins for a submitter on another CPU to release the
 * GIL, in nanoseconds.  One that goes on to wait does so within 1 us. */
#define FC_GIL_SPIN_NS 5000

/* A worker on its submitter's own CPU has pushed it aside, and yields to it
 * once.  When that takes longer than this, in nanoseconds, somebody else runs
 * here or the submitter does not go on to wait: the next wake-ups do without.
 * How many, grows twofold each time, and shrinks with each yield that was
 * short. */
#define FC_GIL_YIELD_NS 200000
#define FC_GIL_PENALTY_FIRST 16
#define FC_GIL_PENALTY_MAX 64000

static inline void
fc_gil_announce(fc_state *st)
{
#if FC_HAS_GIL
    atomic_store_explicit(&st->submitter_cpu, fc_cpu() + 1,
                          memory_order_relaxed);
#else
    (void)st;
#endif
}

/* Detach, and say so. */
static inline PyThreadState *
fc_gil_release(fc_state *st)
{
    PyThreadState *ts = PyEval_SaveThread();
#if FC_HAS_GIL
    /* Relaxed: a hint, see above. */
    atomic_store_explicit(&st->submitter_cpu, 0, memory_order_relaxed);
#else
    (void)st;
#endif
    return ts;
}

/* A worker that has found a task, about to attach: give way to the submitter
 * if that is about to release. */
void fc_gil_await_submitter(fc_state *st);

#endif /* FC_GIL_H */
