/* group.c - completion groups.
 *
 * The state word, which the owner parks on:
 *
 *     OPEN --owner sleeps--> SLEEPING --completer fires--> FIRED
 *      | ^----owner gives up-----'                           |
 *      '---------completer fires-------> FIRED --rearm--> OPEN
 *
 * Every change is an atomic exchange of that one word, so the completer that
 * fires learns whether the owner sleeps, and the owner that goes to sleep
 * learns whether the group has fired: neither can miss the other.
 *
 * Edges (each label stands at both ends in the code):
 *
 *     G1  remaining: each completion (release) -> the last one (acquire),
 *         through the release sequence of the subtractions.
 *     G2  state: firing (release) -> the owner that sees FIRED (acquire).
 *         With G1: what any counted completer wrote before completing is
 *         visible to the owner afterwards.
 *     G3  references: dropping one (release) -> dropping the last (acquire).
 *     G4  bed: going to bed (release) -> the completer that wakes (acquire).
 *         He finds it: its exchange for SLEEPING comes after.
 */
#include "core/group.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "core/spin.h"
#include "port/port.h"

enum { OPEN, SLEEPING, FIRED };

struct fc_group {
    _Atomic(uint64_t) remaining; /* wraps below 0 when over-completed */
    _Atomic(uint32_t) state;
    _Atomic(uint32_t) references;
    _Atomic(struct fc_bed *) bed; /* NULL, or for ever the same one */
};

struct fc_group *
fc_group_new(uint64_t target)
{
    struct fc_group *g = malloc(sizeof(*g));
    if (g == NULL) {
        return NULL;
    }
    atomic_init(&g->remaining, target);
    atomic_init(&g->state, OPEN);
    atomic_init(&g->references, 1);
    atomic_init(&g->bed, NULL);
    return g;
}

struct fc_group *
fc_group_ref(struct fc_group *g)
{
    /* Relaxed: the caller's own reference keeps the group alive. */
    atomic_fetch_add_explicit(&g->references, 1, memory_order_relaxed);
    return g;
}

void
fc_group_unref(struct fc_group *g)
{
    if (atomic_fetch_sub_explicit(&g->references, 1,
                                  memory_order_acq_rel) == 1) { /* G3 */
        struct fc_bed *bed =
            atomic_load_explicit(&g->bed, memory_order_relaxed);
        if (bed != NULL) {
            bed->drop(bed);
        }
        free(g);
    }
}

bool
fc_group_fire(struct fc_group *g)
{
    return atomic_exchange_explicit(&g->state, FIRED,
                                    memory_order_acq_rel) ==
           SLEEPING; /* G2 */
}

bool
fc_group_complete(struct fc_group *g)
{
    if (atomic_fetch_sub_explicit(&g->remaining, 1,
                                  memory_order_acq_rel) != 1) { /* G1 */
        return false;
    }
    return fc_group_fire(g);
}

void
fc_group_wake(struct fc_group *g)
{
    struct fc_bed *bed =
        atomic_load_explicit(&g->bed, memory_order_acquire); /* G4 */
    if (bed != NULL) {
        bed->wake(bed);
    }
    /* Also then: the owner may sleep in fc_group_wait() this time. */
    fc_unpark(&g->state, 1);
}

bool
fc_group_lie_down(struct fc_group *g, struct fc_bed *bed)
{
    /* Relaxed: the owner alone writes it. */
    struct fc_bed *first =
        atomic_load_explicit(&g->bed, memory_order_relaxed);
    if (first == NULL) {
        bed->hold(bed);
        atomic_store_explicit(&g->bed, bed, memory_order_release); /* G4 */
    }
    else if (first != bed) {
        return false;
    }
    uint32_t seen = OPEN;
    return atomic_compare_exchange_strong_explicit(
        &g->state, &seen, SLEEPING, memory_order_acq_rel,
        memory_order_acquire); /* G4, G2 */
}

bool
fc_group_get_up(struct fc_group *g)
{
    uint32_t seen = SLEEPING;
    return atomic_compare_exchange_strong_explicit(
        &g->state, &seen, OPEN, memory_order_acq_rel,
        memory_order_acquire); /* G2 */
}

bool
fc_group_fired(const struct fc_group *g)
{
    return atomic_load_explicit(&g->state, memory_order_acquire) ==
           FIRED; /* G2 */
}

void
fc_group_rearm(struct fc_group *g, uint64_t target)
{
    /* The state first: a completer that reaches zero of the new target must
     * not have its FIRED overwritten.  One that reached zero of the old
     * target and has not fired yet fires early, which group.h allows. */
    atomic_exchange_explicit(&g->state, OPEN, memory_order_acq_rel);
    atomic_exchange_explicit(&g->remaining, target, memory_order_acq_rel);
}

enum fc_group_result
fc_group_wait(struct fc_group *g, int64_t deadline_ns, int peer_cpu)
{
    if (fc_group_fired(g)) {
        return FC_GROUP_FIRED;
    }
    struct fc_spin spin = fc_spin_begin(peer_cpu, deadline_ns);
    while (fc_spin_turn(&spin)) {
        if (fc_group_fired(g)) {
            return FC_GROUP_FIRED;
        }
    }
    uint32_t seen = OPEN;
    if (!atomic_compare_exchange_strong_explicit(
            &g->state, &seen, SLEEPING, memory_order_acq_rel,
            memory_order_acquire)) { /* G2 */
        return FC_GROUP_FIRED;
    }
    enum fc_park_result parked = FC_PARK_WOKEN;
    while (parked == FC_PARK_WOKEN) {
        parked = fc_park(&g->state, SLEEPING, deadline_ns);
        if (fc_group_fired(g)) { /* G2 */
            return FC_GROUP_FIRED;
        }
    }
    seen = SLEEPING;
    if (!atomic_compare_exchange_strong_explicit(
            &g->state, &seen, OPEN, memory_order_acq_rel,
            memory_order_acquire)) { /* G2 */
        return FC_GROUP_FIRED;
    }
    return parked == FC_PARK_TIMED_OUT ? FC_GROUP_TIMED_OUT
                                       : FC_GROUP_INTERRUPTED;
}
