/* starters.h - who is in the middle of a submit() that starts a worker.
 *
 * submit() starts the worker first and queues its task afterwards, without a
 * lock; its beginning is written down here, and its end.  Two ask: the exit,
 * since nobody joins a worker whose start it did not see (futures_c/thread.py,
 * _python_exit), and shutdown(), which the worker may call in its initializer
 * before the very task is queued that it was started for.
 */
#ifndef FC_STARTERS_H
#define FC_STARTERS_H

#include "python/compat.h"

#include <stdbool.h>
#include <stdint.h>

struct fc_starter;

/* Of one queue; guarded by FC_LOCK(the queue). */
struct fc_starters {
    struct fc_starter *first;
    uint64_t begun; /* the number of the latest one */
};

/* The calling thread begins; NULL with MemoryError.  `owner` is the object
 * that `all` is a part of. */
struct fc_starter *fc_starters_enter(PyObject *owner, struct fc_starters *all);

/* It has queued the task, or given up.  NULL for `one` does nothing. */
void fc_starters_leave(PyObject *owner, struct fc_starters *all,
                       struct fc_starter *one);

/* The number of the latest one that has begun. */
uint64_t fc_starters_latest(PyObject *owner, struct fc_starters *all);

/* Whether another thread is still in the middle of one up to that number. */
bool fc_starters_other(PyObject *owner, struct fc_starters *all,
                       uint64_t latest);

/* Forget all: nobody is left who could leave. */
void fc_starters_clear(struct fc_starters *all);

#endif /* FC_STARTERS_H */
