/* lock.c - waiting for a lock; see lock.h.
 *
 * Edges (each label stands at both ends in the code):
 *
 *     K1  word: giving the lock back (release) -> taking it (acquire): what
 *         was written under it.
 *
 * No wake-up is lost.  Whoever is going to sleep has exchanged the word for
 * CONTENDED, and sleeps only while it is; the one who then gives the lock back
 * sees that and wakes him.  He takes the lock as CONTENDED too, since others
 * may sleep beside him.
 */
#include "core/lock.h"

void
fc_lock_slow(struct fc_lock *lock)
{
    while (atomic_exchange_explicit(&lock->word, FC_LOCK_CONTENDED,
                                    memory_order_acquire)
           != FC_LOCK_FREE) { /* K1 */
        fc_park_deaf(&lock->word, FC_LOCK_CONTENDED);
    }
}
