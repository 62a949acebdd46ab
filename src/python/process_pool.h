/* process_pool.h - the native half of ProcessPoolExecutor. */
#ifndef FC_PROCESS_POOL_H
#define FC_PROCESS_POOL_H

#include "python/hub.h"

typedef struct {
    PyObject_HEAD
    FC_WEAKLIST_FIELD
    HubObject *hub;        /* NULL before __init__() and after shutdown() */
    PyObject *processes;   /* dict by process number, or NULL: None */
    PyObject *broken;      /* NULL: False; or the text */
    PyObject *max_workers; /* as given */
    Py_ssize_t limit;      /* of workers: max_workers as a number */
    _Atomic(uint32_t) flags;
    /* Calls of submit() that have begun, and that are under way.  Who is not
     * alone may have counted on the same idle worker as another one. */
    _Atomic(uint32_t) begun, under_way;
} ProcessPoolObject;

/* Start what `calls` more calls need: workers, the pool's thread.  0, or -1
 * with the exception of a start. */
int fc_process_pool_prepare(ProcessPoolObject *pool, HubObject *hub,
                            uint64_t calls);

/* submit() to a pool that takes calls. */
PyObject *fc_process_pool_submit(fc_state *st, ProcessPoolObject *pool,
                                 HubObject *hub, PyObject *fn,
                                 PyObject *const *args, Py_ssize_t nargs,
                                 PyObject *kwnames);

/* process_map.c: map() of a function over a tuple of iterables.  None: these
 * are not for it, and nothing was drawn. */
PyObject *fc_process_map(fc_state *st, ProcessPoolObject *pool,
                         HubObject *hub, PyObject *fn, PyObject *iterables,
                         PyObject *timeout);

#endif /* FC_PROCESS_POOL_H */
