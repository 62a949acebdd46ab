/* future.c - the type futures_c.Future: its memory and its methods.  The
 * transitions are in future_steps.c, callbacks in future_callbacks.c, blocking
 * in future_wait.c, the private attributes in future_attributes.c. */
#include "python/future.h"
#include "python/hub.h"
#include "python/loop.h"
#include "python/sealed.h"
#include "python/task.h"
#include "python/waiter.h"

#include "port/port.h"

#include <stddef.h>

/* --- memory ---------------------------------------------------------------
 *
 * The exact type is made by fc_future_new() without being tracked by the
 * cyclic collector: while it sits in a queue that a worker serves it is
 * reachable, and when it has finished it can be part of a cycle only if its
 * result can.  Whatever makes a cycle possible tracks it: a result or
 * exception of a collectable type, a callback, an attribute, a condition, a
 * list of waiters.  Future() and Python subclasses are tracked from birth.
 *
 * Without the GIL all are: two threads that track one object at the same time
 * are a fatal error of the interpreter, whose collector there walks over all
 * objects anyway. */

static void future_tp_dealloc(PyObject *self);

static FutureObject *
future_clear_fields(FutureObject *f)
{
    /* From `state` to the end; the header and weak references stay. */
    memset((char *)f + offsetof(FutureObject, state), 0,
           sizeof(FutureObject) - offsetof(FutureObject, state));
    return f;
}

FutureObject *
fc_future_new(fc_state *st)
{
    FutureObject *f;
#if FC_HAS_GIL
    if (st->free_count > 0) {
        f = (FutureObject *)st->free_futures[--st->free_count];
        Py_INCREF(st->future_type);
        _Py_NewReference((PyObject *)f);
        return future_clear_fields(f);
    }
#endif
    f = PyObject_GC_New(FutureObject, st->future_type);
    if (f == NULL) {
        return NULL;
    }
    FC_WEAKLIST_INIT(f);
    future_clear_fields(f);
#if !FC_HAS_GIL
    PyObject_GC_Track((PyObject *)f);
#endif
    return f;
}

void
fc_future_free_all(fc_state *st)
{
    while (st->free_count > 0) {
        PyObject_GC_Del(st->free_futures[--st->free_count]);
    }
}

void
fc_future_track(FutureObject *f)
{
#if FC_HAS_GIL
    if (!PyObject_GC_IsTracked((PyObject *)f)) {
        PyObject_GC_Track((PyObject *)f);
    }
#else
    (void)f; /* from birth */
#endif
}

static PyObject *
future_tp_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
              PyObject *Py_UNUSED(kwargs))
{
    fc_state *st = type->tp_dealloc == future_tp_dealloc
                       ? fc_state_of_exact(type) : NULL;
    if (st != NULL) {
        FutureObject *f = fc_future_new(st);
        if (f != NULL) {
            fc_future_track(f);
        }
        return (PyObject *)f;
    }
    return type->tp_alloc(type, 0);
}

bool
fc_future_is_inherited(const FutureObject *f)
{
    bool inherited;
    FC_LOCK((PyObject *)(uintptr_t)f);
    unsigned flags = fc_future_flags(f);
    uint32_t generation = flags & FC_FUTURE_SENT
                              ? ((HubObject *)f->fn)->generation
                              : f->generation;
    inherited = (flags & FC_FUTURE_QUEUED)
                && generation != fc_fork_generation();
    FC_UNLOCK();
    return inherited;
}

/* Make it a pending future without callbacks again.  Whoever waits for one
 * that has not ended waits on; the standard module forgets him. */
static void
future_reset(FutureObject *f)
{
    PyObject *old[3] = {NULL};
    fc_task task = {0};
    bool inherited = fc_future_is_inherited(f);
    FC_LOCK(f);
    old[0] = f->outcome;
    old[1] = f->callbacks;
    f->outcome = f->callbacks = NULL;
    f->holds &= FC_HOLDS_CONDITION;
    if (inherited || fc_state_is_done(fc_future_load_state(f))) {
        old[2] = f->waiters;
        f->waiters = NULL;
        f->holds = 0;
        if (inherited) {
            fc_task_take(f, &task);
        }
        if (f->fn == NULL && f->args[0] == NULL) {
            /* No executor's any more; else the flags belong to the task. */
            fc_future_set_flags(f, 0);
        }
    }
    atomic_store_explicit(&f->state, FC_PENDING, memory_order_release);
    FC_UNLOCK();
    for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++) {
        Py_XDECREF(old[i]);
    }
    fc_task_drop(&task);
}

/* The standard __init__ takes nothing.  Ours has something to do only when it
 * is called again. */
static int
future_tp_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    Py_ssize_t given = PyTuple_GET_SIZE(args);
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) {
        PyObject *name;
        Py_ssize_t at = 0;
        (void)PyDict_Next(kwargs, &at, &name, NULL);
        PyErr_Format(PyExc_TypeError,
                     "Future.__init__() got an unexpected keyword argument "
                     "'%S'", name);
        return -1;
    }
    if (given > 0) {
        PyErr_Format(PyExc_TypeError,
                     "Future.__init__() takes 1 positional argument but %zd "
                     "were given", given + 1);
        return -1;
    }
    FutureObject *f = (FutureObject *)self;
    bool is_fresh;
    FC_LOCK(f);
    is_fresh = fc_future_load_state(f) == FC_PENDING && f->callbacks == NULL
               && f->outcome == NULL && !fc_future_is_inherited(f);
    FC_UNLOCK();
    if (!is_fresh) {
        future_reset(f);
    }
    return 0;
}

static int
future_tp_traverse(PyObject *self, visitproc visit, void *arg)
{
    FutureObject *f = (FutureObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(f->fn);
    for (int i = 0; i < FC_INLINE_ARGS; i++) {
        Py_VISIT(f->args[i]);
    }
    Py_VISIT(f->outcome);
    Py_VISIT(f->waiters);
    Py_VISIT(f->callbacks);
    return fc_managed_dict_visit(self, visit, arg);
}

static int
future_tp_clear(PyObject *self)
{
    FutureObject *f = (FutureObject *)self;
    fc_future_set_flags(f, fc_future_flags(f) & ~(unsigned)FC_FUTURE_SENT);
    Py_CLEAR(f->fn);
    for (int i = 0; i < FC_INLINE_ARGS; i++) {
        Py_CLEAR(f->args[i]);
    }
    /* With what says how to read them. */
    f->holds = 0;
    Py_CLEAR(f->outcome);
    Py_CLEAR(f->waiters);
    Py_CLEAR(f->callbacks);
    fc_managed_dict_clear(self);
    return 0;
}

static void
future_tp_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    if (type->tp_finalize != NULL && type->tp_dealloc == future_tp_dealloc) {
        /* Somebody has given the class a __del__(). */
        fc_future_track((FutureObject *)self);
        if (PyObject_CallFinalizerFromDealloc(self) < 0) {
            return;
        }
    }
    PyObject_GC_UnTrack(self);
    /* An object that refers to an object that refers to ... : results may be
     * futures, a million deep. */
    Py_TRASHCAN_BEGIN(self, future_tp_dealloc)
    PyObject_ClearWeakRefs(self);
    (void)future_tp_clear(self);
#if FC_HAS_GIL
    /* Of the exact type: a subclass has a tp_dealloc of its own. */
    fc_state *st = type->tp_dealloc == future_tp_dealloc
                       ? fc_state_of_exact(type) : NULL;
    if (st != NULL && st->free_count < FC_FREE_FUTURES
        && !PyObject_GC_IsFinalized(self)) { /* it would stay so */
        st->free_futures[st->free_count++] = self;
    }
    else
#endif
    {
        type->tp_free(self);
    }
    Py_DECREF(type);
    Py_TRASHCAN_END
}

/* --- looking at it --------------------------------------------------------- */

int
fc_future_state(fc_state *st, FutureObject *f)
{
    int state = fc_future_load_state(f);
    if (state > FC_RUNNING
        || (fc_future_flags(f) & FC_FUTURE_QUEUED) == 0) {
        return state;
    }
    if (fc_future_is_inherited(f)) {
        fc_task task;
        /* Its executor's threads stayed in the parent.  Nobody in this
         * process waits natively for it, so there is nobody to fire. */
        FC_LOCK(f);
        state = fc_future_load_state(f);
        if (state <= FC_RUNNING) {
            state = FC_NOTIFIED;
            atomic_store_explicit(&f->state, FC_NOTIFIED,
                                  memory_order_release);
        }
        fc_task_take(f, &task);
        FC_UNLOCK();
        fc_task_drop(&task);
    }
    else if (state == FC_PENDING
             && (fc_future_flags(f) & FC_FUTURE_SENT)) {
        return fc_hub_look(f);
    }
    (void)st;
    return state;
}

/* Nothing but self was given; or TypeError, as of a function in Python. */
static bool
future_no_arguments(const char *method, Py_ssize_t nargs, PyObject *kwnames)
{
    if (kwnames != NULL && PyTuple_GET_SIZE(kwnames) > 0) {
        PyErr_Format(PyExc_TypeError,
                     "Future.%s() got an unexpected keyword argument '%U'",
                     method, PyTuple_GET_ITEM(kwnames, 0));
        return false;
    }
    if (nargs > 0) {
        PyErr_Format(PyExc_TypeError,
                     "Future.%s() takes 1 positional argument but %zd were "
                     "given",
                     method, nargs + 1);
        return false;
    }
    return true;
}

static PyObject *
future_cancelled(PyObject *self, PyObject *const *Py_UNUSED(args),
                 Py_ssize_t nargs, PyObject *kwnames)
{
    if (!future_no_arguments("cancelled", nargs, kwnames)) {
        return NULL;
    }
    int state = fc_future_state(fc_state_of(self), (FutureObject *)self);
    return PyBool_FromLong(state == FC_CANCELLED || state == FC_NOTIFIED);
}

static PyObject *
future_running(PyObject *self, PyObject *const *Py_UNUSED(args),
               Py_ssize_t nargs, PyObject *kwnames)
{
    if (!future_no_arguments("running", nargs, kwnames)) {
        return NULL;
    }
    int state = fc_future_state(fc_state_of(self), (FutureObject *)self);
    return PyBool_FromLong(state == FC_RUNNING);
}

static PyObject *
future_done(PyObject *self, PyObject *const *Py_UNUSED(args),
            Py_ssize_t nargs, PyObject *kwnames)
{
    if (!future_no_arguments("done", nargs, kwnames)) {
        return NULL;
    }
    int state = fc_future_state(fc_state_of(self), (FutureObject *)self);
    return PyBool_FromLong(fc_state_is_done(state));
}

static PyObject *
future_snapshot(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    FutureObject *f = (FutureObject *)self;
    fc_state *st = fc_state_of(self);
    int state = fc_future_state(st, f);
    PyObject *result = NULL;
    PyObject *exception = NULL;
    if (fc_future_open(st, f) < 0) {
        return NULL;
    }
    if (state == FC_FINISHED) {
        FC_LOCK(f);
        result = Py_XNewRef(fc_future_peek_result(f));
        exception = Py_XNewRef(fc_future_peek_exception(f));
        FC_UNLOCK();
    }
    bool cancelled = state == FC_CANCELLED || state == FC_NOTIFIED;
    return Py_BuildValue("(OONN)", fc_state_is_done(state) ? Py_True : Py_False,
                         cancelled ? Py_True : Py_False,
                         result != NULL ? result : Py_NewRef(Py_None),
                         exception != NULL ? exception : Py_NewRef(Py_None));
}

static const char *const state_words[] = {
    "pending", "running", "cancelled", "cancelled", "finished",
};

static PyObject *
future_tp_repr(PyObject *self)
{
    FutureObject *f = (FutureObject *)self;
    fc_state *st = fc_state_of(self);
    int state = fc_future_state(st, f);
    PyObject *left = NULL;
    const char *verb = NULL;
    if (fc_future_open(st, f) < 0) {
        return NULL;
    }
    if (state == FC_FINISHED) {
        FC_LOCK(f);
        left = fc_future_peek_exception(f);
        verb = left != NULL ? "raised" : "returned";
        left = Py_XNewRef(left != NULL ? left : fc_future_peek_result(f));
        FC_UNLOCK();
    }
    PyObject *name = PyType_GetName(Py_TYPE(self));
    PyObject *repr = NULL;
    if (name == NULL) {
        Py_XDECREF(left);
        return NULL;
    }
    /* CPython's own format, "%#x" of id(self). */
    char address[32];
    PyOS_snprintf(address, sizeof(address), "0x%zx", (size_t)self);
    if (state == FC_FINISHED) {
        PyObject *type = PyType_GetName(
            left != NULL ? Py_TYPE(left) : Py_TYPE(Py_None));
        if (type != NULL) {
            repr = PyUnicode_FromFormat("<%U at %s state=finished %s %U>",
                                        name, address, verb, type);
            Py_DECREF(type);
        }
    }
    else {
        repr = PyUnicode_FromFormat("<%U at %s state=%s>", name, address,
                                    state_words[state]);
    }
    Py_DECREF(name);
    Py_XDECREF(left);
    return repr;
}

/* --- transitions that user code asks for ----------------------------------- */

static PyObject *
future_cancel(PyObject *self, PyObject *const *Py_UNUSED(args),
              Py_ssize_t nargs, PyObject *kwnames)
{
    if (!future_no_arguments("cancel", nargs, kwnames)) {
        return NULL;
    }
    int cancelled = fc_future_cancel(fc_state_of(self), (FutureObject *)self);
    return cancelled < 0 ? NULL : PyBool_FromLong(cancelled);
}

static PyObject *
future_finish_method(PyObject *self, PyObject *result, PyObject *exception)
{
    fc_state *st = fc_state_of(self);
    FutureObject *f = (FutureObject *)self;
    fc_due due = {0};
    int status = fc_future_finish(st, f, result, exception, &due, NULL,
                                  NULL);
    /* Also when a foreign waiter has raised. */
    fc_due_fire(&due);
    if (status == 0) {
        status = fc_future_invoke_callbacks(st, f);
    }
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
future_one_argument(const char *method, const char *name,
                    PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames)
{
    /* In the order in which the interpreter looks at a call. */
    Py_ssize_t named = kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0;
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *given = PyTuple_GET_ITEM(kwnames, i);
        if (PyUnicode_CompareWithASCIIString(given, name) != 0) {
            PyErr_Format(PyExc_TypeError,
                         "Future.%s() got an unexpected keyword argument '%U'",
                         method, given);
            return NULL;
        }
        if (nargs > 0) {
            PyErr_Format(PyExc_TypeError,
                         "Future.%s() got multiple values for argument '%s'",
                         method, name);
            return NULL;
        }
    }
    if (nargs > 1) {
        PyErr_Format(PyExc_TypeError,
                     "Future.%s() takes 2 positional arguments but %zd were "
                     "given",
                     method, nargs + 1);
        return NULL;
    }
    if (nargs + named == 0) {
        PyErr_Format(PyExc_TypeError,
                     "Future.%s() missing 1 required positional argument: "
                     "'%s'",
                     method, name);
        return NULL;
    }
    return args[0];
}

static PyObject *
future_set_result(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames)
{
    PyObject *result =
        future_one_argument("set_result", "result", args, nargs, kwnames);
    return result != NULL ? future_finish_method(self, result, NULL) : NULL;
}

static PyObject *
future_set_exception(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames)
{
    PyObject *exception = future_one_argument("set_exception", "exception",
                                              args, nargs, kwnames);
    return exception != NULL ? future_finish_method(self, NULL, exception)
                             : NULL;
}

static PyObject *
future_set_running(PyObject *self, PyObject *const *Py_UNUSED(args),
                   Py_ssize_t nargs, PyObject *kwnames)
{
    if (!future_no_arguments("set_running_or_notify_cancel", nargs, kwnames)) {
        return NULL;
    }
    fc_state *st = fc_state_of(self);
    FutureObject *f = (FutureObject *)self;
    fc_due due = {0};
    PyObject *waiters = NULL;
    bool in_condition_mode = false;
    int state;
    if (fc_future_is_inherited(f) && fc_future_state(st, f) == FC_NOTIFIED) {
        /* Inherited by fork: as cancelled ones are. */
        Py_RETURN_FALSE;
    }
    FC_LOCK(f);
    state = fc_future_load_state(f);
    if (f->holds & FC_HOLDS_CONDITION) {
        in_condition_mode = true;
    }
    else if (state == FC_PENDING) {
        atomic_store_explicit(&f->state, FC_RUNNING, memory_order_release);
    }
    else if (state == FC_CANCELLED) {
        atomic_store_explicit(&f->state, FC_NOTIFIED, memory_order_release);
        waiters = Py_XNewRef(f->waiters);
    }
    FC_UNLOCK();
    if (in_condition_mode) {
        return PyObject_CallMethod((PyObject *)st->std_future,
                                   "set_running_or_notify_cancel", "O", self);
    }
    if (state == FC_PENDING) {
        Py_RETURN_TRUE;
    }
    if (state == FC_CANCELLED) {
        int status = fc_notify_waiters(st, waiters, f, st->str_add_cancelled,
                                       &due);
        fc_due_fire(&due);
        Py_XDECREF(waiters);
        return status < 0 ? NULL : Py_NewRef(Py_False);
    }
    PyObject *logged = PyObject_CallMethod(
        st->logger, "critical", "sNO", "Future %s in unexpected state: %s",
        PyLong_FromVoidPtr(self), st->state_names[state]);
    if (logged == NULL) {
        return NULL;
    }
    Py_DECREF(logged);
    PyErr_SetString(PyExc_RuntimeError, "Future in unexpected state");
    return NULL;
}

static PyObject *
future_add_done_callback(PyObject *self, PyObject *const *args,
                         Py_ssize_t nargs, PyObject *kwnames)
{
    FutureObject *f = (FutureObject *)self;
    PyObject *fn = future_one_argument("add_done_callback", "fn", args, nargs,
                                       kwnames);
    if (fn == NULL) {
        return NULL;
    }
    fc_state *st = fc_state_of(self);
    int added = fc_future_add_callback(st, f, fn);
    if (added < 0) {
        return NULL;
    }
    if (!added) {
        PyObject *ignored = PyObject_CallOneArg(fn, self);
        if (ignored != NULL) {
            Py_DECREF(ignored);
        }
        else if (PyErr_ExceptionMatches(PyExc_Exception)) {
            fc_log_exception(st, "exception",
                             "exception calling callback for %r", self);
        }
        else {
            return NULL;
        }
    }
    Py_RETURN_NONE;
}

static PyObject *
future_invoke_callbacks(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (fc_future_run_callbacks(fc_state_of(self), (FutureObject *)self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Does the class define the method `name` otherwise than object does? */
static int
overrides_object(PyTypeObject *type, const char *name)
{
    PyObject *own = PyObject_GetAttrString((PyObject *)type, name);
    PyObject *plain =
        own != NULL ? PyObject_GetAttrString((PyObject *)&PyBaseObject_Type,
                                             name)
                    : NULL;
    int differs = plain != NULL ? own != plain : -1;
    Py_XDECREF(own);
    Py_XDECREF(plain);
    return differs;
}

/* A subclass may say how it is pickled or copied.  Otherwise: what doing so with
 * the standard Future ends in, its condition's lock. */
static PyObject *
future_reduce(PyObject *self, PyObject *protocol)
{
    int own = overrides_object(Py_TYPE(self), "__reduce__");
    if (own == 0) {
        own = overrides_object(Py_TYPE(self), "__getstate__");
    }
    if (own > 0) {
        return PyObject_CallMethod((PyObject *)&PyBaseObject_Type,
                                   "__reduce_ex__", "OO", self, protocol);
    }
    if (own == 0) {
        PyErr_SetString(PyExc_TypeError,
                        "cannot pickle '_thread.RLock' object");
    }
    return NULL;
}

/* --- the type -------------------------------------------------------------- */

PyDoc_STRVAR(future_doc,
"Future()\n--\n\n"
"The result of a call that runs, or will run, in another thread.\n\n"
"A native subclass of concurrent.futures.Future, with its methods, states\n"
"and texts.  Executors make it; call it yourself only in tests or to write\n"
"an executor.  Methods and behaviour are those of CPython's documentation\n"
"of the class on the running version; _get_snapshot() is there on every\n"
"version, and coroutines of asyncio can await it.  Since 0.1.");

PyDoc_STRVAR(result_doc,
"result($self, /, timeout=None)\n--\n\n"
"Return what the call returned, waiting for it to end.\n\n"
"timeout is in seconds; None waits without limit.  Raises TimeoutError\n"
"when the call has not ended by then, CancelledError when the future was\n"
"cancelled, and whatever the call raised.  Since 0.1.");

PyDoc_STRVAR(exception_doc,
"exception($self, /, timeout=None)\n--\n\n"
"Return the exception that the call raised, or None if it returned.\n\n"
"timeout is in seconds; None waits without limit.  Raises TimeoutError\n"
"when the call has not ended by then, and CancelledError when the future\n"
"was cancelled.  Since 0.1.");

PyDoc_STRVAR(cancel_doc,
"cancel($self, /)\n--\n\n"
"Cancel the call if it has not begun; return whether it is cancelled.\n\n"
"False: it is running or has ended.  A future of an executor becomes\n"
"CANCELLED_AND_NOTIFIED at once, and wait() and as_completed() are told; a\n"
"bare Future() becomes CANCELLED.  Callbacks run before this returns.\n"
"Since 0.1.");

PyDoc_STRVAR(cancelled_doc,
"cancelled($self, /)\n--\n\n"
"Return whether the call was cancelled.  Since 0.1.");

PyDoc_STRVAR(running_doc,
"running($self, /)\n--\n\n"
"Return whether the call is being executed and can no longer be "
"cancelled.\nSince 0.1.");

PyDoc_STRVAR(done_doc,
"done($self, /)\n--\n\n"
"Return whether the call was cancelled or has ended.  Since 0.1.");

PyDoc_STRVAR(add_done_callback_doc,
"add_done_callback($self, /, fn)\n--\n\n"
"Call fn(self) when the call has ended or is cancelled.\n\n"
"fn is a callable of one argument; what it returns is ignored.  Callbacks\n"
"run in the order in which they were added, in the thread that ends the\n"
"future; at once, in this thread, when it is done already.  An Exception\n"
"that one raises is logged (\"concurrent.futures\") and ignored; any other\n"
"BaseException comes out of what ended the future.  Returns None.\n"
"Since 0.1.");

PyDoc_STRVAR(set_running_doc,
"set_running_or_notify_cancel($self, /)\n--\n\n"
"Mark the future as running, or tell its waiters that it was cancelled.\n\n"
"For executors and tests.  Returns whether the call is to be executed.\n"
"Raises RuntimeError when the future is neither pending nor cancelled.\n"
"Since 0.1.");

PyDoc_STRVAR(set_result_doc,
"set_result($self, /, result)\n--\n\n"
"End the future with result, any object.  For executors and tests.\n\n"
"Callbacks run before this returns None.  Raises InvalidStateError when the\n"
"future is done already.  Since 0.1.");

PyDoc_STRVAR(set_exception_doc,
"set_exception($self, /, exception)\n--\n\n"
"End the future with exception, an instance of an exception class.\n\n"
"For executors and tests.  Callbacks run before this returns None.  Raises\n"
"InvalidStateError when the future is done already.  Since 0.1.");

PyDoc_STRVAR(snapshot_doc,
"_get_snapshot($self, /)\n--\n\n"
"Return (done, cancelled, result, exception) of one moment, as the\n"
"standard class does from 3.15 on.");

#define FC_FAST(function) \
    (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS

static PyMethodDef future_methods[] = {
    {"result", FC_FAST(fc_future_result), result_doc},
    {"exception", FC_FAST(fc_future_exception), exception_doc},
    {"cancel", FC_FAST(future_cancel), cancel_doc},
    {"cancelled", FC_FAST(future_cancelled), cancelled_doc},
    {"running", FC_FAST(future_running), running_doc},
    {"done", FC_FAST(future_done), done_doc},
    {"add_done_callback", FC_FAST(future_add_done_callback),
     add_done_callback_doc},
    {"set_running_or_notify_cancel", FC_FAST(future_set_running),
     set_running_doc},
    {"set_result", FC_FAST(future_set_result), set_result_doc},
    {"set_exception", FC_FAST(future_set_exception), set_exception_doc},
    {"_get_snapshot", future_snapshot, METH_NOARGS, snapshot_doc},
    {"_invoke_callbacks", future_invoke_callbacks, METH_NOARGS, NULL},
    {"__reduce_ex__", future_reduce, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot future_slots[] = {
    {Py_tp_doc, (void *)future_doc},
    {Py_tp_new, future_tp_new},
    {Py_tp_init, future_tp_init},
    {Py_tp_dealloc, future_tp_dealloc},
    {Py_tp_traverse, future_tp_traverse},
    {Py_tp_clear, future_tp_clear},
    {Py_tp_repr, future_tp_repr},
    {Py_tp_setattro, fc_future_setattro},
    {Py_tp_methods, future_methods},
    {Py_tp_getset, fc_future_getset},
    {Py_am_await, fc_future_am_await},
    {0, NULL},
};

static PyType_Spec future_spec = {
    .name = "futures_c._base.Future",
    .basicsize = sizeof(FutureObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = future_slots,
};

int
fc_future_init(PyObject *module, fc_state *st)
{
    /* The struct begins with what instances of a plain Python class have;
     * a base class of another shape would be overwritten. */
    if (st->std_future->tp_basicsize
        > (Py_ssize_t)offsetof(FutureObject, state)) {
        PyErr_SetString(PyExc_ImportError,
                        "concurrent.futures.Future has an unknown layout");
        return -1;
    }
    st->future_type = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &future_spec, (PyObject *)st->std_future);
    if (st->future_type == NULL) {
        return -1;
    }
    /* In texts ("'Future' object is not iterable") a Python class has its bare
     * name. */
    st->future_type->tp_name = "Future";
    return PyModule_AddObjectRef(module, "Future",
                                 (PyObject *)st->future_type);
}
