/* task.h - a callable with its arguments, as a future carries it and as a
 * worker takes it out.
 *
 * Up to FC_INLINE_ARGS values are stored in the future itself, which makes
 * a submitted task one allocation; more of them go into one tuple.  Values
 * of keyword arguments follow the positional ones.  Their names are the tuple
 * that the caller's vectorcall brought, in the last slot, which the values
 * then have to leave free.
 */
#ifndef FC_TASK_H
#define FC_TASK_H

#include "python/future.h"

#include "port/port.h"

typedef struct fc_task {
    PyObject *fn;
    PyObject *args[FC_INLINE_ARGS];
    uint8_t nargs;
    uint8_t flags;
} fc_task;

/* Put fn(*args, **dict(zip(kwnames, ...))) into a new future: args holds
 * nargs positional values and then those of kwnames (NULL or a tuple).
 * 0, or -1 with MemoryError. */
int fc_task_store(FutureObject *f, PyObject *fn, PyObject *const *args,
                  Py_ssize_t nargs, PyObject *kwnames);

/* Move the task out of `f`, which has none from then on.  Under f's lock. */
static inline void
fc_task_take(FutureObject *f, fc_task *task)
{
    task->fn = f->fn;
    task->nargs = f->nargs;
    task->flags = (uint8_t)fc_future_flags(f);
    if (task->flags & FC_FUTURE_SENT) {
        /* To be let go of as a task is: the hub. */
        fc_future_set_flags(f, task->flags & ~(unsigned)FC_FUTURE_SENT);
        f->generation = fc_fork_generation();
    }
    f->fn = NULL;
    for (int i = 0; i < FC_INLINE_ARGS; i++) {
        task->args[i] = f->args[i];
        f->args[i] = NULL;
    }
}

/* Whether there is anything to call: with FC_FUTURE_CONTEXT, args[0] alone. */
static inline bool
fc_task_is_there(const fc_task *task)
{
    return (task->flags & FC_FUTURE_CONTEXT ? task->args[0] : task->fn)
           != NULL;
}

/* Let go of its objects; their finalizers may run. */
static inline void
fc_task_drop(fc_task *task)
{
    Py_CLEAR(task->fn);
    for (int i = 0; i < FC_INLINE_ARGS; i++) {
        Py_CLEAR(task->args[i]);
    }
}

/* Call it: a new reference, or NULL with an exception. */
PyObject *fc_task_call(fc_task *task);

#endif /* FC_TASK_H */
