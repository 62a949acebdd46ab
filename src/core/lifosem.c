/* lifosem.c - see lifosem.h for the word and for where the idea is from.
 *
 * A sleeper's signal, which it parks on:
 *
 *     AWAKE --wait--> ASLEEP --post--> SIGNALLED     (futex wake needed)
 *       '-------post--------> SIGNALLED              (not asleep yet)
 *
 * Both sides exchange it, so exactly one of the two finds the other's value:
 * the system call is spared where the sleeper has not yet slept.  The poster
 * has taken the sleeper off the list before; only it signals.
 *
 * Edges (each label stands at both ends in the code):
 *
 *     S1  word: putting oneself on the list (release) -> taking the sleeper
 *         off (acquire).  Its `next` and its AWAKE are visible.
 *     S2  word: leaving a permit (release) -> taking it (acquire), and
 *     S3  signal: signalling (release) -> seeing SIGNALLED (acquire).  What
 *         came before the post is visible after the wait.
 */
#include "core/lifosem.h"

#include <stdbool.h>
#include <stddef.h>

#include "port/port.h"

#define PERMITS UINT64_C(0x80000000) /* P in the drawing */
#define LOW UINT64_C(0xffffffff)

enum { AWAKE, ASLEEP, SIGNALLED };

static void
signal_sleeper(struct fc_sleeper *sleeper)
{
    _Atomic(uint32_t) *signal = &sleeper->signal;
    if (atomic_exchange_explicit(signal, SIGNALLED, memory_order_acq_rel) ==
        ASLEEP) { /* S3 */
        /* The sleeper may be gone by now, and its table with it; the address
         * is all that fc_unpark() wants. */
        fc_unpark(signal, 1);
    }
}

void
fc_lifosem_post(struct fc_lifosem *sem, struct fc_table *table)
{
    uint64_t word =
        atomic_load_explicit(&sem->word, memory_order_acquire); /* S1 */
    for (;;) {
        struct fc_sleeper *sleeper = NULL;
        uint64_t posted;
        if ((word & LOW) == 0) {
            posted = word | PERMITS | 1;
        }
        else if (word & PERMITS) {
            posted = word + 1;
        }
        else {
            sleeper = (struct fc_sleeper *)fc_table_at(
                table, (uint32_t)(word & LOW) - 1);
            /* Relaxed: if it is stale, then the exchange fails. */
            posted = (word & ~LOW) |
                     atomic_load_explicit(&sleeper->node.next,
                                          memory_order_relaxed);
        }
        if (atomic_compare_exchange_weak_explicit(
                &sem->word, &word, posted, memory_order_acq_rel,
                memory_order_acquire)) { /* S1 S2 */
            if (sleeper != NULL) {
                signal_sleeper(sleeper);
            }
            return;
        }
    }
}

/* Take a permit (true), or stand first in the list of sleepers (false). */
static bool
take_or_enlist(struct fc_lifosem *sem, struct fc_sleeper *self)
{
    uint64_t word = atomic_load_explicit(&sem->word, memory_order_relaxed);
    for (;;) {
        bool permit = (word & PERMITS) != 0;
        uint64_t wanted;
        if (permit) {
            wanted = (word & LOW) == (PERMITS | 1) ? word & ~LOW : word - 1;
        }
        else {
            wanted = fc_head_pushed(word, self->node.number);
            /* Relaxed: S1 publishes it. */
            atomic_store_explicit(&self->node.next, (uint32_t)(word & LOW),
                                  memory_order_relaxed);
        }
        if (atomic_compare_exchange_weak_explicit(
                &sem->word, &word, wanted, memory_order_acq_rel,
                memory_order_relaxed)) { /* S1 S2 */
            return permit;
        }
    }
}

void
fc_lifosem_wait(struct fc_lifosem *sem, struct fc_sleeper *self)
{
    /* Relaxed: nobody knows of us before S1. */
    atomic_store_explicit(&self->signal, AWAKE, memory_order_relaxed);
    if (take_or_enlist(sem, self)) {
        return;
    }
    if (atomic_exchange_explicit(&self->signal, ASLEEP,
                                 memory_order_acq_rel) ==
        SIGNALLED) { /* S3 */
        return;
    }
    while (atomic_load_explicit(&self->signal, memory_order_acquire) !=
           SIGNALLED) { /* S3 */
        fc_park_deaf(&self->signal, ASLEEP);
    }
}
