/* waiter.c - the type behind waiter.h. */
#include "python/waiter.h"
#include "python/gil.h"
#include "python/hub.h"
#include "python/signals.h"

#include "port/port.h"

/* --- groups that are due ---------------------------------------------------- */

static void
due_fire_one(struct fc_group *group)
{
    if (fc_group_fire(group)) {
        fc_group_wake(group);
    }
    fc_group_unref(group);
}

void
fc_due_fire(fc_due *due)
{
    for (int i = 0; i < due->count; i++) {
        due_fire_one(due->groups[i]);
    }
    due->count = 0;
}

void
fc_due_add(fc_due *due, struct fc_group *group)
{
    if (due->count == FC_DUE_INLINE) {
        due_fire_one(group);
        return;
    }
    due->groups[due->count++] = group;
}

/* --- notices ----------------------------------------------------------------- */

void
fc_waiter_notify(WaiterObject *w, PyObject *future, bool raised, fc_due *due)
{
    bool fires = false;
    struct fc_group *group = NULL;
    FC_LOCK(w);
    if (w->finished != NULL) {
        if (PyList_Append(w->finished, future) < 0) {
            PyErr_Clear();
            w->failed = true;
        }
    }
    switch (w->kind) {
    case FC_WAITER_RESULT:
    case FC_WAITER_FIRST:
        fires = true;
        break;
    case FC_WAITER_ALL_OR_EXCEPTION:
        fires = raised || --w->pending <= 0;
        break;
    case FC_WAITER_ALL:
        fires = --w->pending <= 0;
        break;
    case FC_WAITER_STREAM:
        /* Only the first of a batch: the owner takes them all. */
        fires = w->finished == NULL || PyList_GET_SIZE(w->finished) <= 1;
        break;
    }
    if (fires || w->failed) {
        group = fc_group_ref(w->group);
    }
    FC_UNLOCK();
    if (group != NULL) {
        fc_due_add(due, group);
    }
}

void
fc_waiters_release_sleepers(fc_state *st, PyObject *waiters, fc_due *due)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(waiters); i++) {
        PyObject *waiter = PyList_GET_ITEM(waiters, i);
        if (fc_is_waiter(st, waiter)
            && ((WaiterObject *)waiter)->kind == FC_WAITER_RESULT) {
            fc_due_add(due, fc_group_ref(((WaiterObject *)waiter)->group));
        }
    }
}

/* The protocol of the standard module: called by standard and foreign
 * futures, which hold their condition, and by native ones in condition
 * mode. */
static PyObject *
waiter_told(PyObject *self, PyObject *future, bool raised)
{
    fc_due due = {0};
    fc_waiter_notify((WaiterObject *)self, future, raised, &due);
    fc_due_fire(&due);
    Py_RETURN_NONE;
}

static PyObject *
waiter_add_result(PyObject *self, PyObject *future)
{
    return waiter_told(self, future, false);
}

static PyObject *
waiter_add_exception(PyObject *self, PyObject *future)
{
    return waiter_told(self, future, true);
}

/* --- sleeping ---------------------------------------------------------------- */

int
fc_deadline_from(fc_state *st, PyObject *timeout, int64_t *deadline)
{
    if (timeout == NULL || timeout == Py_None) {
        *deadline = FC_FOREVER;
        return 1;
    }
    int positive =
        PyObject_RichCompareBool(timeout, st->zero, FC_TIMEOUT_COMPARISON);
    if (positive >= 0 && FC_TIMEOUT_COMPARISON == Py_LE) {
        positive = !positive;
    }
    if (positive <= 0) {
        return positive;
    }
    /* A lock takes a float or what stands for an int, and nothing else that
     * could be converted. */
    bool number = PyFloat_Check(timeout) || PyIndex_Check(timeout);
    double seconds = number ? PyFloat_AsDouble(timeout) : -1.0;
    /* Written so that NaN and what could not be converted fail it too. */
    if (!number || !(seconds < (double)PY_TIMEOUT_MAX * 1e-6)
        || PyErr_Occurred()) {
        /* threading's own exception, from where it comes: a free lock is
         * asked to wait that long. */
        PyErr_Clear();
        PyObject *threading = PyImport_ImportModule("threading");
        PyObject *lock = threading != NULL
                             ? PyObject_CallMethod(threading, "Lock", NULL)
                             : NULL;
        PyObject *taken = lock != NULL
                              ? PyObject_CallMethod(lock, "acquire", "OO",
                                                    Py_True, timeout)
                              : NULL;
        Py_XDECREF(threading);
        Py_XDECREF(lock);
        if (taken == NULL) {
            return -1;
        }
        Py_DECREF(taken);
        /* Accepted: newer versions take what can be converted. */
        seconds = PyFloat_AsDouble(timeout);
        if (seconds == -1.0 && PyErr_Occurred()) {
            return -1;
        }
    }
    int64_t now = fc_now_ns();
    double left = seconds * 1e9;
    *deadline = left < (double)(INT64_MAX - now) ? now + (int64_t)left
                                                 : FC_FOREVER;
    return 1;
}

/* Beyond this a deadline in nanoseconds might not fit. */
#define FC_SECONDS_MAX 9e9

int
fc_end_time(PyObject *timeout, fc_end *end)
{
    end->time = NULL;
    end->deadline = FC_FOREVER;
    if (timeout == Py_None) {
        return 0;
    }
    PyObject *now = PyFloat_FromDouble((double)fc_now_ns() * 1e-9);
    end->time = now != NULL ? PyNumber_Add(timeout, now) : NULL;
    Py_XDECREF(now);
    if (end->time == NULL) {
        return -1;
    }
    if (PyFloat_CheckExact(end->time)) {
        double seconds = PyFloat_AS_DOUBLE(end->time);
        /* False for NaN, too. */
        if (seconds < FC_SECONDS_MAX) {
            end->deadline = seconds > 0 ? (int64_t)(seconds * 1e9) : 0;
        }
    }
    return 0;
}

PyObject *
fc_end_left(const fc_end *end)
{
    if (end->time == NULL) {
        return Py_NewRef(Py_None);
    }
    PyObject *now = PyFloat_FromDouble((double)fc_now_ns() * 1e-9);
    PyObject *left = now != NULL ? PyNumber_Subtract(end->time, now) : NULL;
    Py_XDECREF(now);
    return left;
}

int
fc_end_check(fc_state *st, const fc_end *end, int64_t *deadline)
{
    *deadline = end->deadline;
    if (fc_end_is_plain(end)) {
        return end->deadline > fc_now_ns();
    }
    PyObject *left = fc_end_left(end);
    int positive = left != NULL ? fc_deadline_from(st, left, deadline) : -1;
    Py_XDECREF(left);
    return positive;
}

int
fc_group_sleep(fc_state *st, struct fc_group *group, int64_t deadline)
{
    fc_slices slices;
    fc_slices_begin(st, &slices);
    for (;;) {
        int cpu = atomic_load_explicit(&st->worker_cpu, memory_order_relaxed);
        int64_t until = fc_slices_until(&slices, deadline);
        PyThreadState *ts = fc_gil_release(st);
        enum fc_group_result woken = fc_group_wait(group, until, cpu);
        PyEval_RestoreThread(ts);
        if (woken == FC_GROUP_FIRED) {
            /* A signal that came at the same time is seen before what the
             * caller makes of this: Ctrl-C before an exception of a task. */
            return PyErr_CheckSignals() < 0 ? -1 : 1;
        }
        if (woken == FC_GROUP_TIMED_OUT && until == deadline) {
            return 0;
        }
        if ((woken == FC_GROUP_INTERRUPTED || fc_slices_is_over(&slices))
            && PyErr_CheckSignals() < 0) {
            return -1;
        }
    }
}

int
fc_waiter_sleep(fc_state *st, WaiterObject *w, int64_t deadline)
{
    int woken = w->hub != NULL
                    ? fc_hub_wait(st, (HubObject *)w->hub, w->group, deadline)
                    : fc_group_sleep(st, w->group, deadline);
    if (woken >= 0) {
        bool failed;
        FC_LOCK(w);
        failed = w->failed;
        FC_UNLOCK();
        if (failed) {
            PyErr_NoMemory();
            return -1;
        }
    }
    return woken;
}

/* --- the type ---------------------------------------------------------------- */

WaiterObject *
fc_waiter_new(fc_state *st, enum fc_waiter_kind kind)
{
    WaiterObject *w = PyObject_GC_New(WaiterObject, st->waiter_type);
    if (w == NULL) {
        return NULL;
    }
    w->kind = kind;
    w->pending = 0;
    w->failed = false;
    w->finished = NULL;
    w->hub = NULL;
    w->group = fc_group_new(1);
    if (w->group == NULL) {
        Py_DECREF(w);
        PyErr_NoMemory();
        return NULL;
    }
    if (kind != FC_WAITER_RESULT) {
        w->finished = PyList_New(0);
        if (w->finished == NULL) {
            Py_DECREF(w);
            return NULL;
        }
        /* A RESULT waiter refers to nothing and needs no collector. */
        PyObject_GC_Track((PyObject *)w);
    }
    return w;
}

static int
waiter_tp_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((WaiterObject *)self)->finished);
    Py_VISIT(((WaiterObject *)self)->hub);
    return 0;
}

static int
waiter_tp_clear(PyObject *self)
{
    Py_CLEAR(((WaiterObject *)self)->finished);
    Py_CLEAR(((WaiterObject *)self)->hub);
    return 0;
}

static void
waiter_tp_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)waiter_tp_clear(self);
    if (((WaiterObject *)self)->group != NULL) {
        fc_group_unref(((WaiterObject *)self)->group);
    }
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef waiter_methods[] = {
    {"add_result", waiter_add_result, METH_O, NULL},
    {"add_exception", waiter_add_exception, METH_O, NULL},
    {"add_cancelled", waiter_add_result, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot waiter_slots[] = {
    {Py_tp_dealloc, waiter_tp_dealloc},
    {Py_tp_traverse, waiter_tp_traverse},
    {Py_tp_clear, waiter_tp_clear},
    {Py_tp_methods, waiter_methods},
    {0, NULL},
};

static PyType_Spec waiter_spec = {
    .name = "futures_c._native.Waiter",
    .basicsize = sizeof(WaiterObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = waiter_slots,
};

int
fc_waiter_init(PyObject *module, fc_state *st)
{
    st->waiter_type = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &waiter_spec, NULL);
    return st->waiter_type != NULL ? 0 : -1;
}
