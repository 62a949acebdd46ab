/* spin.h - whether and how long to spin before going to sleep.
 *
 * Spinning pays when the thread that will wake us runs on another CPU at this
 * moment; on our own CPU it keeps that very thread from running.  It never
 * yields: with two busy neighbours on two cores, sched_yield() handed the
 * CPU over for 4.8 ms.
 */
#ifndef FC_SPIN_H
#define FC_SPIN_H

#include <stdbool.h>
#include <stdint.h>

#include "port/port.h"

/* Nanoseconds: the price of being woken across CPUs is 11 to 60 us, and of a
 * pointless spin on the same CPU 24 us (measured 2026-11-20, 2 cores). */
#define FC_SPIN_NS 10000

/* Pauses between two looks at the clock, which costs about as much as one
 * pause (25 to 45 ns each). */
#define FC_SPIN_PAUSES 4

struct fc_spin {
    int64_t end; /* 0: do not spin */
    unsigned pauses;
};

/* Begin to spin for a peer last seen on `peer_cpu` (-1: unknown), until
 * `deadline_ns` at the latest. */
static inline struct fc_spin
fc_spin_begin(int peer_cpu, int64_t deadline_ns)
{
    struct fc_spin spin = {0, 0};
    if (peer_cpu >= 0) {
        int cpu = fc_cpu();
        if (cpu >= 0 && cpu != peer_cpu) {
            spin.end = fc_now_ns() + FC_SPIN_NS;
            if (spin.end > deadline_ns) {
                spin.end = deadline_ns;
            }
        }
    }
    return spin;
}

/* One turn: true when the caller should look again, false when the time is
 * up. */
static inline bool
fc_spin_turn(struct fc_spin *spin)
{
    if (spin->end <= 0) {
        return false;
    }
    fc_pause();
    spin->pauses++;
    if (spin->pauses % FC_SPIN_PAUSES == 0 && fc_now_ns() >= spin->end) {
        spin->end = 0;
    }
    return true;
}

#endif /* FC_SPIN_H */
