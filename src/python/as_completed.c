/* as_completed.c - the iterator as_completed(): futures as they end.
 *
 * It behaves as the generator of the standard module does: nothing happens
 * before the first next(), what has been handed out is not referred to any
 * longer, and close(), an exception or dropping it take the waiter off the
 * futures that are left. */
#include "python/exclusive.h"
#include "python/foreign.h"
#include "python/loop.h"
#include "python/parse.h"
#include "python/waiter.h"

#include "port/port.h"

/* Nanoseconds between two looks at a timeout that says neither that there is
 * time nor that there is none: few enough not to be noticed, and no load. */
#define FC_ASK_AGAIN_NS 10000000

enum phase { NOT_STARTED, STARTED, CLOSED };

typedef struct {
    PyObject_HEAD
    enum phase phase;
    bool executing;       /* guarded by the object's lock, as `phase` */
    PyObject *fs;         /* the argument, until the first next() */
    PyObject *timeout;
    PyObject *unyielded;  /* set of the futures not handed out yet */
    PyObject *ready;      /* list of those that have ended, from `at` on */
    Py_ssize_t at;
    Py_ssize_t total;
    fc_end end;
    WaiterObject *waiter;
} AsCompletedObject;

/* --- closing ------------------------------------------------------------------- */

/* Leave all futures.  0, or -1 with the first exception of theirs. */
static int
as_completed_close(fc_state *st, AsCompletedObject *it)
{
    PyObject *raised = NULL;
    it->phase = CLOSED;
    PyObject *left = it->unyielded;
    it->unyielded = NULL;
    Py_CLEAR(it->fs);
    Py_CLEAR(it->ready);
    if (left != NULL && it->waiter != NULL) {
        PyObject *futures = PySequence_List(left);
        if (futures == NULL) {
            fc_exception_keep(&raised);
        }
        Py_ssize_t count = futures != NULL ? PyList_GET_SIZE(futures) : 0;
        for (Py_ssize_t i = 0; i < count; i++) {
            if (fc_any_remove_waiter(st, PyList_GET_ITEM(futures, i),
                                     (PyObject *)it->waiter) < 0) {
                /* The others are freed of it all the same. */
                fc_exception_keep(&raised);
            }
        }
        Py_XDECREF(futures);
    }
    Py_XDECREF(left);
    Py_CLEAR(it->waiter);
    if (raised != NULL) {
        fc_exception_restore(raised);
        return -1;
    }
    return 0;
}

/* Close because of the exception that is set.  It stays set; or it is the
 * context of one that comes in between, as where a generator ends. */
static PyObject *
as_completed_fail(fc_state *st, AsCompletedObject *it)
{
    PyObject *raised = fc_exception_take();
    if (as_completed_close(st, it) < 0) {
        PyObject *later = fc_exception_take();
        if (later == raised) {
            /* No exception is its own context. */
            Py_DECREF(later);
        }
        else {
            PyException_SetContext(later, raised);
            raised = later;
        }
    }
    fc_exception_restore(raised);
    return NULL;
}

/* --- the first next() ------------------------------------------------------------ */

/* Register with one of the futures, or put it with those that are ready.
 * One that was there before is passed over. */
static int
as_completed_add(fc_state *st, AsCompletedObject *it, PyObject *future)
{
    if (PySet_Add(it->unyielded, future) < 0) {
        return -1;
    }
    if (PySet_GET_SIZE(it->unyielded) == it->total) {
        return 0;
    }
    it->total++;
    int added = fc_any_add_waiter(st, future, (PyObject *)it->waiter);
    return added == 0 ? PyList_Append(it->ready, future)
                      : (added < 0 ? -1 : 0);
}

static int
as_completed_start(fc_state *st, AsCompletedObject *it)
{
    it->phase = STARTED;
    if (fc_end_time(it->timeout, &it->end) < 0) {
        return -1;
    }
    it->unyielded = PySet_New(NULL);
    it->ready = PyList_New(0);
    it->waiter = fc_waiter_new(st, FC_WAITER_STREAM);
    PyObject *futures = NULL;
    if (it->unyielded != NULL && it->ready != NULL && it->waiter != NULL) {
        /* A list of our own: the argument may be one that changes. */
        futures = PySequence_List(it->fs);
    }
    Py_CLEAR(it->fs);
    int status = futures != NULL ? 0 : -1;
    for (Py_ssize_t i = 0; status == 0 && i < PyList_GET_SIZE(futures); i++) {
        status = as_completed_add(st, it, PyList_GET_ITEM(futures, i));
    }
    Py_XDECREF(futures);
    return status;
}

/* --- every next() ------------------------------------------------------------------ */

/* Take over what the waiter has collected.  1: there is something.  -1: there
 * was no memory for one of them, and nobody will tell of it again. */
static int
as_completed_collect(AsCompletedObject *it)
{
    PyObject *fresh = PyList_New(0);
    if (fresh == NULL) {
        return -1;
    }
    PyObject *finished;
    bool failed;
    FC_LOCK(it->waiter);
    failed = it->waiter->failed;
    finished = it->waiter->finished;
    it->waiter->finished = fresh;
    FC_UNLOCK();
    if (failed) {
        Py_XDECREF(finished);
        PyErr_NoMemory();
        return -1;
    }
    Py_XSETREF(it->ready, finished);
    it->at = 0;
    return PyList_GET_SIZE(finished) > 0;
}

/* Before sleeping.  1: until *deadline.  0: no time is left.  -1. */
static int
as_completed_time_left(fc_state *st, AsCompletedObject *it, int64_t *deadline)
{
    if (fc_end_is_plain(&it->end)) {
        return fc_end_check(st, &it->end, deadline);
    }
    PyObject *left = fc_end_left(&it->end);
    int over = left != NULL
                   ? PyObject_RichCompareBool(left, st->zero, Py_LT)
                   : -1;
    int status = over == 0 ? fc_deadline_from(st, left, deadline) : -1;
    Py_XDECREF(left);
    if (over > 0) {
        return 0;
    }
    if (status == 0) {
        /* Neither negative nor positive, as NaN is where threading takes it
         * (before 3.14): the standard module asks without a pause. */
        *deadline = fc_now_ns() + FC_ASK_AGAIN_NS;
        status = PyErr_CheckSignals() < 0 ? -1 : 1;
    }
    return status;
}

static void
as_completed_time_is_up(const AsCompletedObject *it)
{
    PyErr_Format(PyExc_TimeoutError, "%zd (of %zd) futures unfinished",
                 PySet_GET_SIZE(it->unyielded), it->total);
}

static int
as_completed_sleep(fc_state *st, AsCompletedObject *it)
{
    for (;;) {
        /* Arm first and look afterwards: what ends in between fires. */
        fc_group_rearm(it->waiter->group, 1);
        int some = as_completed_collect(it);
        if (some != 0) {
            return some;
        }
        int64_t deadline;
        int time_left = as_completed_time_left(st, it, &deadline);
        if (time_left == 0) {
            as_completed_time_is_up(it);
        }
        if (time_left <= 0
            || fc_waiter_sleep(st, it->waiter, deadline) < 0) {
            return -1;
        }
    }
}

static PyObject *
as_completed_take(fc_state *st, AsCompletedObject *it)
{
    PyObject *future = PyList_GET_ITEM(it->ready, it->at);
    PyList_SET_ITEM(it->ready, it->at, NULL);
    it->at++;
    /* A native future that ended forgot the waiter by itself, unless its
     * waiters are a list that others can see. */
    bool forgot = false;
    if (Py_TYPE(future) == st->future_type) {
        FC_LOCK(future);
        forgot = ((FutureObject *)future)->waiters == NULL;
        FC_UNLOCK();
    }
    if (PySet_Discard(it->unyielded, future) < 0
        || (!forgot
            && fc_any_remove_waiter(st, future, (PyObject *)it->waiter)
                   < 0)) {
        Py_DECREF(future);
        return NULL;
    }
    return future;
}

static PyObject *
as_completed_advance(fc_state *st, AsCompletedObject *it)
{
    if (it->phase == NOT_STARTED && as_completed_start(st, it) < 0) {
        return as_completed_fail(st, it);
    }
    if (it->phase == CLOSED) {
        return NULL;
    }
    if (it->at >= PyList_GET_SIZE(it->ready)) {
        if (PySet_GET_SIZE(it->unyielded) == 0) {
            (void)as_completed_close(st, it);
            return NULL;
        }
        if (as_completed_sleep(st, it) < 0) {
            return as_completed_fail(st, it);
        }
    }
    PyObject *future = as_completed_take(st, it);
    return future != NULL ? future : as_completed_fail(st, it);
}

static PyObject *
as_completed_tp_iternext(PyObject *self)
{
    AsCompletedObject *it = (AsCompletedObject *)self;
    if (!fc_exclusive_enter(self, &it->executing)) {
        return NULL;
    }
    PyObject *future = as_completed_advance(fc_state_of(self), it);
    fc_exclusive_leave(self, &it->executing);
    return future;
}

static PyObject *
as_completed_close_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    AsCompletedObject *it = (AsCompletedObject *)self;
    if (!fc_exclusive_enter(self, &it->executing)) {
        return NULL;
    }
    int status = as_completed_close(fc_state_of(self), it);
    fc_exclusive_leave(self, &it->executing);
    if (status < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* --- the type ------------------------------------------------------------------------ */

static int
as_completed_tp_traverse(PyObject *self, visitproc visit, void *arg)
{
    AsCompletedObject *it = (AsCompletedObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(it->fs);
    Py_VISIT(it->timeout);
    Py_VISIT(it->unyielded);
    Py_VISIT(it->ready);
    Py_VISIT(it->waiter);
    Py_VISIT(it->end.time);
    return 0;
}

static void
as_completed_tp_finalize(PyObject *self)
{
    AsCompletedObject *it = (AsCompletedObject *)self;
    if (it->phase == STARTED) {
        PyObject *raised = PyErr_Occurred() ? fc_exception_take() : NULL;
        fc_state *st = fc_state_of_exact(Py_TYPE(self));
        if (st != NULL && as_completed_close(st, it) < 0) {
            PyErr_WriteUnraisable(self);
        }
        if (raised != NULL) {
            fc_exception_restore(raised);
        }
    }
}

static int
as_completed_tp_clear(PyObject *self)
{
    AsCompletedObject *it = (AsCompletedObject *)self;
    it->phase = CLOSED;
    Py_CLEAR(it->fs);
    Py_CLEAR(it->timeout);
    Py_CLEAR(it->unyielded);
    Py_CLEAR(it->ready);
    Py_CLEAR(it->waiter);
    Py_CLEAR(it->end.time);
    return 0;
}

static void
as_completed_tp_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (PyObject_CallFinalizerFromDealloc(self) < 0) {
        return;
    }
    PyObject_GC_UnTrack(self);
    (void)as_completed_tp_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* --- for `async for` (futures_c/_asyncio.py) ------------------------------------------ */

/* _next_now(): the next one, or None where next() would sleep. */
static PyObject *
as_completed_next_now(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    AsCompletedObject *it = (AsCompletedObject *)self;
    fc_state *st = fc_state_of(self);
    if (!fc_exclusive_enter(self, &it->executing)) {
        return NULL;
    }
    PyObject *next = NULL;
    if (it->phase == NOT_STARTED && as_completed_start(st, it) < 0) {
        (void)as_completed_fail(st, it);
    }
    else if (it->phase != CLOSED && it->at >= PyList_GET_SIZE(it->ready)
             && PySet_GET_SIZE(it->unyielded) > 0) {
        int some = as_completed_collect(it);
        next = some == 0 ? Py_NewRef(Py_None) : NULL;
    }
    if (next == NULL && !PyErr_Occurred()) {
        next = as_completed_advance(st, it);
        if (next == NULL && !PyErr_Occurred()) {
            PyErr_SetNone(PyExc_StopIteration);
        }
    }
    fc_exclusive_leave(self, &it->executing);
    return next;
}

/* _left(): those that it has not yielded, and the seconds that are left for them;
 * None: no limit.  Raises TimeoutError, which ends it, where there are none. */
static PyObject *
as_completed_left(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    AsCompletedObject *it = (AsCompletedObject *)self;
    fc_state *st = fc_state_of(self);
    if (!fc_exclusive_enter(self, &it->executing)) {
        return NULL;
    }
    int64_t deadline = 0;
    int time_left = as_completed_time_left(st, it, &deadline);
    PyObject *futures = NULL;
    if (time_left == 0) {
        as_completed_time_is_up(it);
    }
    if (time_left <= 0
        || (futures = PySequence_List(it->unyielded)) == NULL) {
        (void)as_completed_fail(st, it);
    }
    fc_exclusive_leave(self, &it->executing);
    if (futures == NULL) {
        return NULL;
    }
    if (deadline == FC_FOREVER) {
        return Py_BuildValue("(NO)", futures, Py_None);
    }
    double seconds = (double)(deadline - fc_now_ns()) / 1e9;
    return Py_BuildValue("(Nd)", futures, seconds);
}

static PyObject *
as_completed_am_aiter(PyObject *self)
{
    return fc_asyncio_helper("iterate", self, Py_None);
}

static PyMethodDef as_completed_methods[] = {
    {"_next_now", as_completed_next_now, METH_NOARGS, NULL},
    {"_left", as_completed_left, METH_NOARGS, NULL},
    {"close", as_completed_close_method, METH_NOARGS,
     "close($self, /)\n--\n\nStop iterating; the futures go on."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot as_completed_slots[] = {
    {Py_tp_dealloc, as_completed_tp_dealloc},
    {Py_tp_finalize, as_completed_tp_finalize},
    {Py_tp_traverse, as_completed_tp_traverse},
    {Py_tp_clear, as_completed_tp_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, as_completed_tp_iternext},
    {Py_tp_methods, as_completed_methods},
    {Py_am_aiter, as_completed_am_aiter},
    {0, NULL},
};

static PyType_Spec as_completed_spec = {
    .name = "futures_c._native.as_completed_iterator",
    .basicsize = sizeof(AsCompletedObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = as_completed_slots,
};

PyObject *
fc_as_completed(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                PyObject *kwnames)
{
    static const char *const names[] = {"fs", "timeout"};
    fc_state *st = fc_state_of_module(module);
    PyObject *values[2] = {NULL, Py_None};
    if (fc_parse("as_completed", names, 2, 1, args, nargs, kwnames, values)
        < 0) {
        return NULL;
    }
    AsCompletedObject *it =
        PyObject_GC_New(AsCompletedObject, st->as_completed_type);
    if (it == NULL) {
        return NULL;
    }
    memset((char *)it + sizeof(PyObject), 0,
           sizeof(AsCompletedObject) - sizeof(PyObject));
    it->fs = Py_NewRef(values[0]);
    it->timeout = Py_NewRef(values[1]);
    PyObject_GC_Track((PyObject *)it);
    return (PyObject *)it;
}

int
fc_as_completed_init(PyObject *module, fc_state *st)
{
    st->as_completed_type = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &as_completed_spec, NULL);
    return st->as_completed_type != NULL ? 0 : -1;
}
