/* pool_queue.c - how a thread pool takes an item: may it, does it need one more
 * worker, and what if shutdown() comes in between. */
#include "python/pool.h"
#include "python/gil.h"

#include "port/port.h"

/* --- may it take a task? --------------------------------------------------------- */

static int
raise_closed(const char *what)
{
    PyErr_Format(PyExc_RuntimeError, "cannot schedule new futures after %s",
                 what);
    return -1;
}

static int
raise_broken(PoolObject *pool)
{
    PyObject *type = PyObject_GetAttrString((PyObject *)pool, "BROKEN");
    PyObject *text;
    FC_LOCK(pool);
    text = pool->broken != NULL ? Py_NewRef(pool->broken)
                                : Py_NewRef(Py_False);
    FC_UNLOCK();
    PyObject *error = type != NULL ? PyObject_CallOneArg(type, text) : NULL;
    Py_DECREF(text);
    if (error != NULL) {
        PyErr_SetObject(type, error);
        Py_DECREF(error);
    }
    Py_XDECREF(type);
    return -1;
}

int
fc_pool_restart(PoolObject *pool)
{
    PyObject *done =
        PyObject_CallMethod((PyObject *)pool, "_begin_afresh", NULL);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

int
fc_pool_check(fc_state *st, PoolObject *pool)
{
    if (pool->queue == NULL) {
        PyErr_Format(PyExc_RuntimeError,
                     "%.200s.__init__() has not been called",
                     Py_TYPE(pool)->tp_name);
        return -1;
    }
    if (pool->queue->generation != fc_fork_generation()
        && fc_pool_restart(pool) < 0) {
        return -1;
    }
    uint32_t flags = fc_pool_flags(pool);
    if (flags & FC_POOL_BROKEN) {
        return raise_broken(pool);
    }
    if (flags & FC_POOL_CLOSED) {
        return raise_closed("shutdown");
    }
    if (atomic_load_explicit(&st->exiting, memory_order_acquire)) {
        PyObject *may =
            PyObject_CallMethod((PyObject *)pool, "_may_submit_at_exit", NULL);
        if (may == NULL) {
            return -1;
        }
        Py_DECREF(may);
        if (may != Py_True) {
            return raise_closed("interpreter shutdown");
        }
    }
    return 0;
}

/* --- workers ------------------------------------------------------------------------- */

/* Start one more thread if the limit allows it.  0, or -1 with the exception
 * of the start. */
static int
pool_start_worker(fc_state *st, PoolObject *pool)
{
    WorkQueueObject *queue = pool->queue;
    int32_t count =
        atomic_load_explicit(&queue->workers, memory_order_relaxed);
    do {
        if (count >= pool->limit) {
            return 0;
        }
        /* Relaxed: only the number counts. */
    } while (!atomic_compare_exchange_weak_explicit(
        &queue->workers, &count, count + 1, memory_order_relaxed,
        memory_order_relaxed));
    PyObject *worker = fc_worker_object_new(st, queue);
    if (worker == NULL) {
        atomic_fetch_sub_explicit(&queue->workers, 1, memory_order_relaxed);
        return -1;
    }
    PyObject *done = PyObject_CallMethod((PyObject *)pool, "_start_worker",
                                         "iO", count, worker);
    if (done == NULL) {
        /* Wherever that was interrupted: without a thread that has begun, the
         * worker counts no longer. */
        fc_worker_object_abandon(worker);
    }
    Py_DECREF(worker);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

/* The same for a task that is queued already; see starters.h. */
static int
pool_start_another(fc_state *st, PoolObject *pool)
{
    WorkQueueObject *queue = pool->queue;
    struct fc_starter *starter =
        fc_starters_enter((PyObject *)queue, &queue->starters);
    int started = starter != NULL ? pool_start_worker(st, pool) : -1;
    fc_starters_leave((PyObject *)queue, &queue->starters, starter);
    return started;
}

static inline bool
pool_may_grow(PoolObject *pool)
{
    return atomic_load_explicit(&pool->queue->workers, memory_order_relaxed)
           < pool->limit;
}

/* Queue the item.  *flags tells what has become of the pool meanwhile. */
static inline int
pool_put(fc_state *st, PoolObject *pool, void *item, struct fc_counts *counts,
         uint32_t *flags)
{
    /* The one that it is now: the start of a worker runs Python code. */
    struct fc_dispatch *dispatch = pool->queue->dispatch;
    fc_gil_announce(st);
    if (fc_dispatch_submit(dispatch, item, counts) < 0) {
        PyErr_NoMemory();
        return -1;
    }
#if !FC_HAS_GIL
    /* Against shutdown() and a broken initializer in another thread, which set
     * their flag and look into the queue afterwards: either they find the
     * item, or we find the flag. */
    atomic_thread_fence(memory_order_seq_cst);
#endif
    *flags = fc_pool_flags(pool);
    return 0;
}

/* Start first, queue afterwards: when the thread cannot be started there is
 * nothing to take back. */
static int
pool_start_and_put(fc_state *st, PoolObject *pool, void *item,
                   struct fc_counts *counts, uint32_t *flags)
{
    WorkQueueObject *queue = pool->queue;
    struct fc_starter *starter =
        fc_starters_enter((PyObject *)queue, &queue->starters);
    if (starter == NULL) {
        return -1;
    }
    int done = pool_start_worker(st, pool);
    if (done == 0) {
        done = pool_put(st, pool, item, counts, flags);
    }
    fc_starters_leave((PyObject *)queue, &queue->starters, starter);
    return done;
}

int
fc_pool_queue(fc_state *st, PoolObject *pool, void *item, bool *queued)
{
    struct fc_counts counts;
    uint32_t flags;
    bool start = false;
    if (pool_may_grow(pool)) {
        counts = fc_dispatch_counts(pool->queue->dispatch);
        counts.tasks++;
        start = fc_counts_want_worker(&counts);
    }
    int put = start ? pool_start_and_put(st, pool, item, &counts, &flags)
                    : pool_put(st, pool, item, &counts, &flags);
    *queued = put == 0;
    if (!*queued) {
        return -1;
    }
    if ((flags & (FC_POOL_CLOSED | FC_POOL_BROKEN)) == 0
        && !(counts.closing && counts.tasks > 0)) {
        if (fc_counts_want_worker(&counts) && pool_may_grow(pool)) {
            /* Others took the free workers meanwhile. */
            return pool_start_another(st, pool);
        }
        return 0;
    }
    /* shutdown(), a broken initializer or the exit of the interpreter came
     * between the check and here. */
    if (flags & FC_POOL_BROKEN) {
        return raise_broken(pool);
    }
    if (flags & FC_POOL_CLOSED) {
        return raise_closed("shutdown");
    }
    /* Exiting, and this thread may still submit: its workers leave as soon
     * as they are idle. */
    return fc_counts_want_worker(&counts) ? pool_start_another(st, pool) : 0;
}
