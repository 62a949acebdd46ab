/* future.h - the native Future and the steps of its life.
 *
 * A Future is a real subclass of concurrent.futures.Future in one
 * allocation: what the task needs before it runs, and what it leaves.
 *
 * States and who moves them (docs/internals/future-states.md has the
 * picture):
 *
 *     PENDING --claim--> RUNNING --finish--> FINISHED
 *        |                                      ^
 *        | cancel                 finish without claim (set_result)
 *        v
 *     CANCELLED --notify--> CANCELLED_AND_NOTIFIED
 *
 * A future that an executor queued is cancelled straight into
 * CANCELLED_AND_NOTIFIED and its waiters are told at once, since nobody else
 * would tell them.  A bare Future() keeps the two steps.
 *
 * Condition mode.  Foreign code may ask for `_condition`, `_waiters` or
 * `_done_callbacks` and use them as the standard module does.  From the
 * moment that one of them has been asked for, the future is
 * completed by the standard class's own methods, which lock the condition;
 * natively parked waiters have been woken then and wait again, on the
 * condition.
 *
 * Every field below `PyObject_HEAD` is guarded by the object's lock
 * (FC_LOCK; the GIL where there is one), except where it says otherwise.
 */
#ifndef FC_FUTURE_H
#define FC_FUTURE_H

#include "python/state.h"

#include "core/group.h"

struct fc_task; /* task.h */

enum fc_future_state {
    FC_PENDING = 0,
    FC_RUNNING = 1,
    FC_CANCELLED = 2,
    FC_NOTIFIED = 3, /* CANCELLED_AND_NOTIFIED */
    FC_FINISHED = 4,
};

/* FutureObject.flags */
enum {
    FC_FUTURE_QUEUED = 1,  /* an executor's: cancel() notifies by itself */
    FC_FUTURE_CONTEXT = 2, /* args[0] is a task for a worker context */
    FC_FUTURE_NAMED = 4,   /* the last of args has the names, see task.h */
    FC_FUTURE_SENT = 8,    /* to a worker process: see hub.h */
    FC_FUTURE_BATCH = 16,  /* many calls at once: args[0] is a Batch */
};

/* FutureObject.holds: what is in slots that serve more than one purpose, for
 * a pending task is to take little memory. */
enum {
    FC_HOLDS_EXCEPTION = 1, /* outcome: an exception */
    FC_HOLDS_BOTH = 2,      /* outcome: a tuple of result and exception */
    FC_HOLDS_CONDITION = 4, /* waiters: a tuple of condition and list */
    FC_HOLDS_SEALED = 8,    /* outcome: not unpickled yet, see sealed.h */
};

/* What a future carries without a tuple: the values of the arguments, and
 * where some are named the tuple of the names. */
#define FC_INLINE_ARGS 3
/* FutureObject.nargs: args[0] is a tuple of all values. */
#define FC_ARGS_IN_TUPLE 255

typedef struct {
    PyObject_HEAD
    FC_WEAKLIST_FIELD
    _Atomic(uint8_t) state; /* written under the lock, read by anyone */
    _Atomic(uint8_t) flags; /* written under the lock once it is shared */
    uint8_t nargs;
    uint8_t holds;
    /* fc_fork_generation() of the process that queued it; SENT: its slot */
    uint32_t generation;

    /* the task; NULL when it has been taken or there never was one.  SENT: fn
     * is the hub, and the others are NULL */
    PyObject *fn;
    PyObject *args[FC_INLINE_ARGS];

    /* what it left; see the functions below */
    PyObject *outcome;

    /* who wants to know */
    PyObject *waiters;   /* NULL, one Waiter, or a list; see below */
    PyObject *callbacks; /* NULL, one callable, or a list of callables */
} FutureObject;

/* Relaxed: what they say of the future was there before it was shared, and
 * __init__(), which may take it back, orders nothing. */
static inline unsigned
fc_future_flags(const FutureObject *f)
{
    return atomic_load_explicit(&f->flags, memory_order_relaxed);
}

static inline void
fc_future_set_flags(FutureObject *f, unsigned flags)
{
    atomic_store_explicit(&f->flags, (uint8_t)flags, memory_order_relaxed);
}

/* The result and the exception, each borrowed or NULL.  Under the lock. */
static inline PyObject *
fc_future_peek_result(const FutureObject *f)
{
    if (f->holds & FC_HOLDS_SEALED) {
        return NULL;
    }
    if (f->holds & FC_HOLDS_BOTH) {
        return PyTuple_GET_ITEM(f->outcome, 0);
    }
    return f->holds & FC_HOLDS_EXCEPTION ? NULL : f->outcome;
}

static inline PyObject *
fc_future_peek_exception(const FutureObject *f)
{
    if (f->holds & FC_HOLDS_SEALED) {
        return NULL;
    }
    if (f->holds & FC_HOLDS_BOTH) {
        return PyTuple_GET_ITEM(f->outcome, 1);
    }
    return f->holds & FC_HOLDS_EXCEPTION ? f->outcome : NULL;
}

/* The condition of condition mode, or NULL; and the waiters, which are a list
 * in condition mode.  Borrowed.  Under the lock. */
static inline PyObject *
fc_future_condition(const FutureObject *f)
{
    return f->holds & FC_HOLDS_CONDITION ? PyTuple_GET_ITEM(f->waiters, 0)
                                         : NULL;
}

static inline PyObject *
fc_future_waiters(const FutureObject *f)
{
    return f->holds & FC_HOLDS_CONDITION ? PyTuple_GET_ITEM(f->waiters, 1)
                                         : f->waiters;
}

/* Groups that are due: completions that have become visible, and whose
 * sleepers have not been told.  A completer fires them when it is out of
 * every lock, and a worker that goes idle after it has let go of the GIL. */
#define FC_DUE_INLINE 8
typedef struct {
    int count;
    struct fc_group *groups[FC_DUE_INLINE];
} fc_due;

static inline int
fc_future_load_state(FutureObject *f)
{
    return atomic_load_explicit(&f->state, memory_order_acquire);
}

static inline bool
fc_state_is_done(int state)
{
    return state >= FC_CANCELLED;
}

/* What wait() and as_completed() call done: a bare CANCELLED is not. */
static inline bool
fc_state_is_settled(int state)
{
    return state >= FC_NOTIFIED;
}

static inline bool
fc_is_future(fc_state *st, PyObject *object)
{
    return Py_TYPE(object) == st->future_type
           || PyType_IsSubtype(Py_TYPE(object), st->future_type);
}

/* Whether an executor queued it in another process, whose fork this is. */
bool fc_future_is_inherited(const FutureObject *f);

/* Fire what is due.  Needs no GIL. */
void fc_due_fire(fc_due *due);

/* --- future.c ------------------------------------------------------------ */

/* A new pending future of the exact type, not tracked by the collector. */
FutureObject *fc_future_new(fc_state *st);

/* Free the futures that are kept for reuse. */
void fc_future_free_all(fc_state *st);

/* Have the collector see it from now on. */
void fc_future_track(FutureObject *f);

/* The state now.  A pending or running future of an executor that the
 * process inherited by fork has nobody to end it: it is cancelled here. */
int fc_future_state(fc_state *st, FutureObject *f);

/* --- future_attributes.c ---------------------------------------------------- */

extern PyGetSetDef fc_future_getset[];
int fc_future_setattro(PyObject *self, PyObject *name, PyObject *value);

/* --- future_steps.c: the transitions ------------------------------------- */

/* Worker: PENDING -> RUNNING, and *task is what to run.  1: claimed.  0:
 * there is nothing to run.  -1: an exception (condition mode only). */
int fc_future_claim(fc_state *st, FutureObject *f, struct fc_task *task);

/* Called, where it is given, under the future's lock right before its end
 * becomes visible; `alone`: no callback and no foreign waiter is going to be
 * called.  Must not run Python code. */
typedef void fc_before_visible(void *arg, bool alone);

/* End it with `result`, or with `exception` (one of them NULL; borrowed).
 * 0: done; the groups to fire are in *due, and callbacks have not run yet:
 * the caller fires, then calls fc_future_run_callbacks().
 * 1: completed all the way, by the standard class (condition mode).
 * -1: InvalidStateError or another exception is set; after the end where a
 * foreign waiter has raised. */
int fc_future_finish(fc_state *st, FutureObject *f, PyObject *result,
                     PyObject *exception, fc_due *due,
                     fc_before_visible *before, void *arg);

/* The same for who has run its task, or was to: where there is no memory for the
 * condition mode it ends all the same, for nobody else would end it. */
int fc_future_surely_finish(fc_state *st, FutureObject *f, PyObject *result,
                            PyObject *exception, fc_due *due,
                            fc_before_visible *before, void *arg);

/* What the pool's process does for a future of another thread: end it with
 * `outcome`, which is what `holds` says (FC_HOLDS_EXCEPTION, _SEALED, or 0).
 * 0: done, as fc_future_finish(); 1: it has callbacks, a condition or somebody
 * who wants to know more than can be said now, and nothing was done; 2: it was
 * done already.  Runs nobody's code. */
int fc_future_deliver(fc_state *st, FutureObject *f, PyObject *outcome,
                      unsigned holds, fc_due *due);

/* cancel(): 1 cancelled (now or before), 0 too late, -1 exception. */
int fc_future_cancel(fc_state *st, FutureObject *f);

/* Tell the waiters (borrowed, as FutureObject.waiters) that `f` has ended;
 * `outcome` is one of str_add_result, str_add_exception, str_add_cancelled.
 * -1 with an exception when a foreign waiter raised. */
int fc_notify_waiters(fc_state *st, PyObject *waiters, FutureObject *f,
                      PyObject *outcome, fc_due *due);

/* --- future_callbacks.c -------------------------------------------------- */

/* add_done_callback(): 1 added, 0: it has ended, call it; -1 exception. */
int fc_future_add_callback(fc_state *st, FutureObject *f, PyObject *fn);

/* Call and forget the callbacks, in order of registration.  Exceptions are
 * logged.  -1: one raised something that is no Exception; it is set, and the
 * callbacks after it have been forgotten. */
int fc_future_run_callbacks(fc_state *st, FutureObject *f);

/* The same, by the method that a subclass may have overridden. */
int fc_future_invoke_callbacks(fc_state *st, FutureObject *f);

/* --- future_wait.c -------------------------------------------------------- */

/* Wait until `f` is done (CANCELLED counts).  `timeout` as result() takes
 * it.  1: done; 0: timed out; -1: exception. */
int fc_future_await(fc_state *st, FutureObject *f, PyObject *timeout);

PyObject *fc_future_result(PyObject *self, PyObject *const *args,
                           Py_ssize_t nargs, PyObject *kwnames);
PyObject *fc_future_exception(PyObject *self, PyObject *const *args,
                              Py_ssize_t nargs, PyObject *kwnames);

/* Register `waiter` with a future that is not settled (`settled` false: not
 * done, nor in condition mode).  1: registered; 0: it is; -1: exception.
 * fc_future_remove_waiter() takes it off again, wherever it is. */
int fc_future_add_waiter(fc_state *st, FutureObject *f, PyObject *waiter,
                         bool settled);
int fc_future_remove_waiter(fc_state *st, FutureObject *f, PyObject *waiter);

#endif /* FC_FUTURE_H */
