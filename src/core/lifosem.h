/* lifosem.h - a semaphore that wakes the thread that went to sleep last.
 *
 * That thread's caches are warm, and those at the bottom can sleep on.  The
 * idea of keeping permits and sleepers in one word is that of LifoSem in
 * Facebook's folly.
 *
 *     63                  32 31 30                    0
 *     +---------------------+--+----------------------+
 *     | tag                 |P | value                |
 *     +---------------------+--+----------------------+
 *     P = 1: `value` permits and nobody sleeps.
 *     P = 0: `value` is the number plus one of the sleeper to wake first,
 *            0 when there is none, and there are no permits.
 *
 * Because it is one word, a post that comes before its sleeper leaves a
 * permit that the sleeper finds, in whichever order the two arrive.
 *
 *             | post | wait            | destroy (nothing to do)
 *     post    | yes  | yes             | no
 *     wait    | yes  | another record  | no
 */
#ifndef FC_LIFOSEM_H
#define FC_LIFOSEM_H

#include "core/table.h"

/* What each record in the table begins with. */
struct fc_sleeper {
    struct fc_node node;
    _Atomic(uint32_t) signal; /* parked on; see lifosem.c */
};

struct fc_lifosem {
    _Atomic(uint64_t) word;
};

static inline void
fc_lifosem_init(struct fc_lifosem *sem)
{
    atomic_init(&sem->word, 0);
}

/* Let one wait() return: the one of whoever sleeps shortest, or the next one
 * to come.  Sleepers are records of `table`. */
void fc_lifosem_post(struct fc_lifosem *sem, struct fc_table *table);

/* Take a permit, or sleep until a post hands one over. */
void fc_lifosem_wait(struct fc_lifosem *sem, struct fc_sleeper *self);

#endif /* FC_LIFOSEM_H */
