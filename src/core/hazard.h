/* hazard.h - hazard pointers: which memory a thread may be reading.
 *
 * Every thread that touches a queue owns a record with one slot per role.  An
 * address that stands in a slot is not freed by anybody.  Slots are STICKY:
 * a thread leaves its address published between operations, so that the
 * next operation on the same object costs a load and a comparison instead of
 * a full fence.  queue.c argues why this is safe.
 *
 * A thread finds its record through a thread-local pointer.  Records stand in
 * one process-wide list that only grows; the record of a thread that has
 * ended is claimed by the next new thread, so the list is as long as there
 * were ever threads at once.
 *
 * Where no record can be had for want of memory, FC_HAZARD_SPARES static ones
 * can be borrowed for the time of one operation.
 *
 *                  | mine | borrow | return | quiesce | holds | after_fork
 *     any of these |  yes |  yes   |  yes   |  yes    |  yes  |   no
 */
#ifndef FC_HAZARD_H
#define FC_HAZARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "port/port.h"
#include "core/queue.h" /* FC_CACHE_LINE */

/* The roles in which a thread reads shared memory at the same time. */
enum fc_hazard_role { FC_HAZARD_PUSH, FC_HAZARD_POP, FC_HAZARD_ROLES };

#define FC_HAZARD_SPARES 4

struct fc_hazard {
    /* Written by the thread that has claimed the record, read by all. */
    _Alignas(FC_CACHE_LINE) _Atomic(void *) slots[FC_HAZARD_ROLES];
    atomic_bool claimed;
    /* Constant once the record is in the list. */
    struct fc_hazard *next;
};

/* The calling thread's record, or NULL when it has none yet. */
extern FC_THREAD_LOCAL struct fc_hazard *fc_hazard_own;

/* Claim a record for the calling thread until it ends. */
struct fc_hazard *fc_hazard_claim(void);

/* The calling thread's record; NULL without memory. */
static inline struct fc_hazard *
fc_hazard_mine(void)
{
    struct fc_hazard *own = fc_hazard_own;
    return own != NULL ? own : fc_hazard_claim();
}

/* One of the static records, for a thread that got none.  Waits, spinning,
 * for as long as FC_HAZARD_SPARES other threads are in the same need. */
struct fc_hazard *fc_hazard_borrow(void);
void fc_hazard_return(struct fc_hazard *record);

/* Empty the slots of the calling thread. */
void fc_hazard_quiesce(void);

/* True when some thread has published `address`. */
bool fc_hazard_holds(const void *address);

/* In the child of a fork(), before it starts threads: release what belonged
 * to threads that exist only in the parent.  Without this call they keep at
 * most one record and FC_HAZARD_ROLES segments each. */
void fc_hazard_after_fork(void);

#endif /* FC_HAZARD_H */
