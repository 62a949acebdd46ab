/* lock.h - a lock for short sections in which nobody waits for anything.
 *
 * Ulrich Drepper, "Futexes Are Tricky" (2011), the second mutex: one word,
 * no system call while nobody waits.
 *
 *     FREE --lock--> HELD --another waits--> CONTENDED --unlock--> FREE
 *
 * fc_lock_try() never waits, so a thread that holds the GIL asks that first,
 * and lets go of the GIL before fc_lock_slow().  Not recursive, not fair, not
 * for use between processes.
 */
#ifndef FC_LOCK_H
#define FC_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "port/port.h"

enum fc_lock_state { FC_LOCK_FREE, FC_LOCK_HELD, FC_LOCK_CONTENDED };

struct fc_lock {
    _Atomic(uint32_t) word;
};

static inline void
fc_lock_init(struct fc_lock *lock)
{
    atomic_init(&lock->word, FC_LOCK_FREE);
}

/* Take it if it is free. */
static inline bool
fc_lock_try(struct fc_lock *lock)
{
    uint32_t seen = FC_LOCK_FREE;
    return atomic_compare_exchange_strong_explicit(
        &lock->word, &seen, FC_LOCK_HELD, memory_order_acquire,
        memory_order_relaxed); /* K1 */
}

/* Take it, sleeping as long as somebody else has it. */
void fc_lock_slow(struct fc_lock *lock);

static inline void
fc_lock_take(struct fc_lock *lock)
{
    if (!fc_lock_try(lock)) {
        fc_lock_slow(lock);
    }
}

/* Give it back, and wake one of those who wait. */
static inline void
fc_lock_give(struct fc_lock *lock)
{
    if (atomic_exchange_explicit(&lock->word, FC_LOCK_FREE,
                                 memory_order_release)
        == FC_LOCK_CONTENDED) { /* K1 */
        fc_unpark(&lock->word, 1);
    }
}

#endif /* FC_LOCK_H */
