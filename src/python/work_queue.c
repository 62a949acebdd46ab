/* work_queue.c - the types behind an executor's `_work_queue`: the queue as
 * Python code sees it, and the items that it takes out of it. */
#include "python/work_queue.h"
#include "python/map.h"
#include "python/parse.h"
#include "python/runner.h"

#include "port/port.h"

/* --- items ---------------------------------------------------------------------
 *
 * A work item as the standard module has them, for workers and tools that
 * take tasks out of the queue themselves. */

typedef struct {
    PyObject_HEAD
    FutureObject *future;
} ItemObject;

PyObject *
fc_item_unpack(fc_state *st, void *packed)
{
    PyObject *object = fc_item_object(packed);
    FutureObject *future;
    switch (fc_item_kind_of(packed)) {
    case FC_ITEM_OBJECT:
        return object;
    case FC_ITEM_MAP:
        future = fc_map_take_as_future(st, (MapObject *)object);
        Py_DECREF(object);
        if (future == NULL) {
            return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
        }
        break;
    default:
        future = (FutureObject *)object;
    }
    ItemObject *item = PyObject_GC_New(ItemObject, st->item_type);
    if (item == NULL) {
        /* Nobody else will end it. */
        PyObject *raised = fc_exception_take();
        if (fc_future_cancel(st, future) < 0) {
            PyErr_Clear();
        }
        Py_DECREF(future);
        fc_exception_restore(raised);
        return NULL;
    }
    item->future = future;
    fc_future_track(future);
    PyObject_GC_Track((PyObject *)item);
    return (PyObject *)item;
}

static PyObject *
item_run(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs > 1) {
        PyErr_SetString(PyExc_TypeError,
                        "run() takes at most 1 argument, a worker context");
        return NULL;
    }
    fc_runner runner = {
        .st = fc_state_of(self),
        .context = nargs == 1 ? args[0] : NULL,
    };
    (void)fc_runner_run(
        &runner, fc_item_pack(Py_NewRef(((ItemObject *)self)->future),
                              FC_ITEM_FUTURE));
    fc_due_fire(&runner.due);
    Py_RETURN_NONE;
}

static PyObject *
item_get_future(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(((ItemObject *)self)->future);
}

static int
item_tp_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((ItemObject *)self)->future);
    return 0;
}

static int
item_tp_clear(PyObject *self)
{
    /* The future stays: item_run() relies on it.  It has a tp_clear. */
    (void)self;
    return 0;
}

static void
item_tp_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_DECREF(((ItemObject *)self)->future);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef item_methods[] = {
    {"run", (PyCFunction)(void (*)(void))item_run, METH_FASTCALL,
     "run($self, context=None, /)\n--\n\nRun the task in this thread."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef item_getset[] = {
    {"future", item_get_future, NULL, "The task's future.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot item_slots[] = {
    {Py_tp_dealloc, item_tp_dealloc},   {Py_tp_traverse, item_tp_traverse},
    {Py_tp_clear, item_tp_clear},       {Py_tp_methods, item_methods},
    {Py_tp_getset, item_getset},        {0, NULL},
};

static PyType_Spec item_spec = {
    .name = "futures_c._native.WorkItem",
    .basicsize = sizeof(ItemObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = item_slots,
};

/* --- the queue ------------------------------------------------------------------- */

WorkQueueObject *
fc_work_queue_new(fc_state *st)
{
    WorkQueueObject *queue =
        PyObject_GC_New(WorkQueueObject, st->queue_type);
    if (queue == NULL) {
        return NULL;
    }
    queue->weakrefs = NULL;
    queue->inherited = NULL;
    queue->generation = fc_fork_generation();
    atomic_init(&queue->workers, 0);
    queue->starters = (struct fc_starters){0};
    queue->dispatch = fc_dispatch_new();
    if (queue->dispatch == NULL) {
        Py_DECREF(queue);
        PyErr_NoMemory();
        return NULL;
    }
    PyObject_GC_Track((PyObject *)queue);
    return queue;
}

static PyObject *
queue_qsize(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct fc_counts counts =
        fc_dispatch_counts(((WorkQueueObject *)self)->dispatch);
    return PyLong_FromUnsignedLong(counts.tasks);
}

static PyObject *
queue_is_empty(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct fc_counts counts =
        fc_dispatch_counts(((WorkQueueObject *)self)->dispatch);
    return PyBool_FromLong(counts.tasks == 0);
}

static PyObject *
queue_put(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
          PyObject *kwnames)
{
    static const char *const names[] = {"item", "block", "timeout"};
    PyObject *values[3] = {NULL, Py_True, Py_None};
    if (fc_parse("put", names, 3, 1, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    fc_state *st = fc_state_of(self);
    void *item;
    if (Py_TYPE(values[0]) == st->item_type) {
        /* Put back what get() gave. */
        PyObject *future = (PyObject *)((ItemObject *)values[0])->future;
        item = fc_item_pack(Py_NewRef(future), FC_ITEM_FUTURE);
    }
    else {
        item = fc_item_pack(Py_NewRef(values[0]), FC_ITEM_OBJECT);
    }
    struct fc_counts after;
    if (fc_dispatch_submit(((WorkQueueObject *)self)->dispatch, item, &after)
        < 0) {
        Py_DECREF(fc_item_object(item));
        return PyErr_NoMemory();
    }
    Py_RETURN_NONE;
}

static PyObject *
raise_empty(fc_state *st)
{
    if (st->queue_empty == NULL) {
        PyObject *module = PyImport_ImportModule("queue");
        if (module == NULL) {
            return NULL;
        }
        PyObject *empty = PyObject_GetAttrString(module, "Empty");
        Py_DECREF(module);
        if (empty == NULL) {
            return NULL;
        }
        st->queue_empty = empty;
    }
    PyErr_SetNone(st->queue_empty);
    return NULL;
}

/* An item, or NULL.  In a queue that the process inherited by fork, what is
 * there is the parent's, and threads that are not here may have been in the
 * middle of anything. */
static void *
queue_drain(WorkQueueObject *queue)
{
    return queue->generation == fc_fork_generation()
               ? fc_dispatch_drain(queue->dispatch) : NULL;
}

static PyObject *
queue_get_nowait(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    fc_state *st = fc_state_of(self);
    void *item = queue_drain((WorkQueueObject *)self);
    return item != NULL ? fc_item_unpack(st, item) : raise_empty(st);
}

/* The calling thread becomes a worker for as long as it waits, so that those
 * who submit count it and wake it.  None: the executor has been shut down or
 * collected and nothing is queued; a worker of the standard module, which is
 * who calls this, ends then. */
static PyObject *
queue_get_blocking(fc_state *st, WorkQueueObject *queue)
{
    struct fc_worker *worker = fc_worker_new(queue->dispatch);
    if (worker == NULL) {
        return PyErr_NoMemory();
    }
    fc_worker_arrive(worker);
    void *item = fc_worker_poll(worker);
    if (item == NULL) {
        Py_BEGIN_ALLOW_THREADS
        item = fc_worker_wait(worker);
        Py_END_ALLOW_THREADS
        if (item == NULL) {
            Py_RETURN_NONE;
        }
    }
    fc_worker_leave(worker);
    return fc_item_unpack(st, item);
}

/* With a timeout, or in the main thread, which has to see signals: nobody in
 * sight does this; polled. */
static PyObject *
queue_get_polling(PyObject *self, PyObject *timeout)
{
    struct fc_dispatch *dispatch = ((WorkQueueObject *)self)->dispatch;
    int64_t deadline = FC_FOREVER;
    if (timeout != Py_None) {
        double seconds = PyFloat_AsDouble(timeout);
        if (seconds == -1.0 && PyErr_Occurred()) {
            return NULL;
        }
        if (seconds < 0) {
            PyErr_SetString(PyExc_ValueError,
                            "'timeout' must be a non-negative number");
            return NULL;
        }
        if (seconds < 9e9) {
            deadline = fc_now_ns() + (int64_t)(seconds * 1e9);
        }
    }
    _Atomic(uint32_t) nobody = 0;
    for (;;) {
        void *item = queue_drain((WorkQueueObject *)self);
        if (item != NULL) {
            return fc_item_unpack(fc_state_of(self), item);
        }
        if (timeout == Py_None && fc_dispatch_counts(dispatch).closing) {
            Py_RETURN_NONE;
        }
        int64_t now = fc_now_ns();
        if (now >= deadline) {
            return raise_empty(fc_state_of(self));
        }
        int64_t wake = now + 1000000 < deadline ? now + 1000000 : deadline;
        Py_BEGIN_ALLOW_THREADS
        (void)fc_park(&nobody, 0, wake);
        Py_END_ALLOW_THREADS
        if (PyErr_CheckSignals() < 0) {
            return NULL;
        }
    }
}

/* 1, 0, or -1 with an exception. */
static int
in_main_thread(void)
{
    PyObject *threading = PyImport_ImportModule("threading");
    PyObject *main_thread =
        threading != NULL
            ? PyObject_CallMethod(threading, "main_thread", NULL) : NULL;
    PyObject *current =
        main_thread != NULL
            ? PyObject_CallMethod(threading, "current_thread", NULL) : NULL;
    int is_main = current != NULL ? current == main_thread : -1;
    Py_XDECREF(threading);
    Py_XDECREF(main_thread);
    Py_XDECREF(current);
    return is_main;
}

static PyObject *
queue_get(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
          PyObject *kwnames)
{
    static const char *const names[] = {"block", "timeout"};
    PyObject *values[2] = {Py_True, Py_None};
    if (fc_parse("get", names, 2, 0, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    int block = PyObject_IsTrue(values[0]);
    if (block < 0) {
        return NULL;
    }
    if (!block) {
        return queue_get_nowait(self, NULL);
    }
    int polls = values[1] != Py_None ? 1 : in_main_thread();
    if (polls < 0) {
        return NULL;
    }
    return polls
               ? queue_get_polling(self, values[1])
               : queue_get_blocking(fc_state_of(self), (WorkQueueObject *)self);
}

static PyObject *
queue_starting(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct fc_counts counts =
        fc_dispatch_counts(((WorkQueueObject *)self)->dispatch);
    /* One that has arrived and searches has no task yet either. */
    return PyLong_FromUnsignedLong(
        counts.tasks == 0 ? 0 : counts.starting + counts.searching);
}

static PyObject *
queue_latest_start(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromUnsignedLongLong(fc_starters_latest(
        self, &((WorkQueueObject *)self)->starters));
}

static PyObject *
queue_is_starting(PyObject *self, PyObject *arg)
{
    unsigned long long latest = PyLong_AsUnsignedLongLong(arg);
    if (latest == (unsigned long long)-1 && PyErr_Occurred()) {
        return NULL;
    }
    return PyBool_FromLong(fc_starters_other(
        self, &((WorkQueueObject *)self)->starters, latest));
}

static PyObject *
queue_close(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    fc_dispatch_close(((WorkQueueObject *)self)->dispatch);
    Py_RETURN_NONE;
}

/* What is queued is not visited: it is reachable through the workers, and a
 * queue that nobody serves holds nothing unless foreign code put it there. */
static int
queue_tp_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((WorkQueueObject *)self)->inherited);
    return 0;
}

/* An item that nobody will run: its future ends all the same. */
static void
queue_drop(fc_state *st, void *item)
{
    PyObject *object = fc_item_object(item);
    if (st != NULL && fc_item_kind_of(item) == FC_ITEM_FUTURE) {
        PyObject *raised = PyErr_Occurred() ? fc_exception_take() : NULL;
        if (fc_future_cancel(st, (FutureObject *)object) < 0) {
            PyErr_WriteUnraisable(object);
        }
        if (raised != NULL) {
            fc_exception_restore(raised);
        }
    }
    Py_DECREF(object);
}

static void
queue_tp_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    WorkQueueObject *queue = (WorkQueueObject *)self;
    PyObject_GC_UnTrack(self);
    if (queue->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    if (queue->dispatch != NULL
        && queue->generation == fc_fork_generation()) {
        void *item;
        while ((item = fc_dispatch_drain(queue->dispatch)) != NULL) {
            queue_drop(fc_state_of_exact(type), item);
        }
        fc_dispatch_free(queue->dispatch);
    }
    /* One that was inherited by fork may have been caught in the middle of
     * anything by threads that are not here: it is left alone. */
    Py_XDECREF(queue->inherited);
    fc_starters_clear(&queue->starters);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

#define FC_FAST(function) \
    (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS

static PyMethodDef queue_methods[] = {
    {"qsize", queue_qsize, METH_NOARGS,
     "qsize($self, /)\n--\n\nReturn the number of tasks not begun yet."},
    {"empty", queue_is_empty, METH_NOARGS,
     "empty($self, /)\n--\n\nReturn whether no task is queued."},
    {"put", FC_FAST(queue_put),
     "put($self, /, item, block=True, timeout=None)\n--\n\n"
     "Queue an object with a method run(), or None, which wakes a worker.\n"
     "Never blocks."},
    {"put_nowait", FC_FAST(queue_put),
     "put_nowait($self, /, item)\n--\n\nThe same as put(item)."},
    {"get", FC_FAST(queue_get),
     "get($self, /, block=True, timeout=None)\n--\n\n"
     "Take the oldest item, an object with `future` and `run()`; wait for\n"
     "one if block is true, for at most timeout seconds.  Returns None when\n"
     "the executor has been shut down and nothing is queued.  Raises\n"
     "queue.Empty."},
    {"get_nowait", queue_get_nowait, METH_NOARGS,
     "get_nowait($self, /)\n--\n\nThe same as get(block=False)."},
    {"_starting", queue_starting, METH_NOARGS,
     "_starting($self, /)\n--\n\n"
     "Return the number of workers that are about to take a queued task."},
    {"_latest_start", queue_latest_start, METH_NOARGS,
     "_latest_start($self, /)\n--\n\n"
     "Return the number of the latest submit() that started a worker."},
    {"_is_starting", queue_is_starting, METH_O,
     "_is_starting($self, latest, /)\n--\n\n"
     "Return whether one up to that number, of another thread, has not queued\n"
     "its task yet."},
    {"_close", queue_close, METH_NOARGS,
     "_close($self, /)\n--\n\n"
     "Have the workers leave when nothing is queued any more."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef queue_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(WorkQueueObject, weakrefs),
     READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot queue_slots[] = {
    {Py_tp_dealloc, queue_tp_dealloc}, {Py_tp_traverse, queue_tp_traverse},
    {Py_tp_methods, queue_methods},    {Py_tp_members, queue_members},
    {0, NULL},
};

static PyType_Spec queue_spec = {
    .name = "futures_c._native.WorkQueue",
    .basicsize = sizeof(WorkQueueObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = queue_slots,
};

int
fc_queue_init_types(PyObject *module, fc_state *st)
{
    st->queue_type = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &queue_spec, NULL);
    st->item_type = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &item_spec, NULL);
    if (st->queue_type == NULL || st->item_type == NULL) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "WorkQueue",
                                 (PyObject *)st->queue_type);
}
