/* pool.h - the native half of ThreadPoolExecutor. */
#ifndef FC_POOL_H
#define FC_POOL_H

#include "python/future.h"
#include "python/work_queue.h"

/* PoolObject.flags: why submit() cannot take the short way. */
enum {
    FC_POOL_CLOSED = 1,   /* shutdown() was called */
    FC_POOL_BROKEN = 2,   /* an initializer failed */
    FC_POOL_FOREIGN = 4,  /* `_work_queue` was replaced, or
                             `_adjust_thread_count` is overridden */
    FC_POOL_CONTEXT = 8,  /* tasks run in worker contexts (3.14+) */
};

typedef struct {
    PyObject_HEAD
    FC_WEAKLIST_FIELD
    /* NULL before __init__().  Never freed while the pool lives: a queue that
     * is replaced is kept by its successor (WorkQueueObject.inherited), since
     * it is read without a lock. */
    _Atomic(WorkQueueObject *) queue;
    PyObject *foreign_queue;  /* what `_work_queue` was replaced with */
    PyObject *max_workers;    /* as given */
    PyObject *broken;         /* False, or the text */
    _Atomic(int32_t) limit;   /* of threads: max_workers as a number */
    _Atomic(uint32_t) flags;
} PoolObject;

static inline uint32_t
fc_pool_flags(PoolObject *pool)
{
    return atomic_load_explicit(&pool->flags, memory_order_acquire);
}

/* Queue one more item for the pool (steals the reference inside `item` only
 * on success), starting a worker where one is needed.  0; or -1 with the
 * exception that submit() is to raise, and then nothing has been queued, or
 * what has been is void: *queued tells which. */
int fc_pool_queue(fc_state *st, PoolObject *pool, void *item, bool *queued);

/* This process inherited the pool by fork: begin afresh, without threads, one
 * of our threads for all.  What was queued belongs to the parent. */
int fc_pool_restart(PoolObject *pool);

/* Check that the pool takes tasks: 0, or -1 with the standard exception. */
int fc_pool_check(fc_state *st, PoolObject *pool);

#endif /* FC_POOL_H */
