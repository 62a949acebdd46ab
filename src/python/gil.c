/* gil.c - see gil.h. */
#include "python/gil.h"

#if FC_HAS_GIL

/* Relaxed everywhere: hints, see gil.h. */

static void
spin_for_release(fc_state *st, int cpu)
{
    int64_t give_up = fc_now_ns() + FC_GIL_SPIN_NS;
    while (atomic_load_explicit(&st->submitter_cpu, memory_order_relaxed)
               == cpu
           && fc_now_ns() < give_up) {
        for (int i = 0; i < 8; i++) {
            fc_pause();
        }
    }
}

static void
yield_for_release(fc_state *st)
{
    int skip = atomic_load_explicit(&st->yield_skip, memory_order_relaxed);
    if (skip > 0) {
        atomic_store_explicit(&st->yield_skip, skip - 1,
                              memory_order_relaxed);
        return;
    }
    int64_t began = fc_now_ns();
    fc_yield();
    int penalty =
        atomic_load_explicit(&st->yield_penalty, memory_order_relaxed);
    if (penalty < FC_GIL_PENALTY_FIRST) {
        penalty = FC_GIL_PENALTY_FIRST;
    }
    if (fc_now_ns() - began > FC_GIL_YIELD_NS) {
        atomic_store_explicit(&st->yield_skip, penalty, memory_order_relaxed);
        penalty *= 2;
    }
    else {
        penalty -= penalty / 16;
    }
    atomic_store_explicit(&st->yield_penalty,
                          penalty < FC_GIL_PENALTY_MAX ? penalty
                                                       : FC_GIL_PENALTY_MAX,
                          memory_order_relaxed);
}

void
fc_gil_await_submitter(fc_state *st)
{
    int cpu = atomic_load_explicit(&st->submitter_cpu, memory_order_relaxed);
    if (cpu <= 0) {
        return;
    }
    if (cpu == fc_cpu() + 1) {
        yield_for_release(st);
    }
    else {
        spin_for_release(st, cpu);
    }
}

#else

void
fc_gil_await_submitter(fc_state *Py_UNUSED(st))
{
}

#endif
