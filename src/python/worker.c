/* worker.c - the loop that a pool thread runs, from its start to its end.
 *
 * A Worker is made, and announced to the dispatch, before its thread is
 * started; it is the target of a threading.Thread, so that names, hooks,
 * thread-locals and patched starts are the standard ones.  The loop holds
 * the GIL from task to task and gives it up
 *
 *   - when nothing is queued: first the GIL, then those who wait for the
 *     last result are told, then it spins and parks;
 *   - when another thread has waited for it for one switch interval: tasks
 *     made of C functions alone never reach the interpreter's own switch
 *     point, so the loop passes it now and then.
 */
#include "python/gil.h"
#include "python/runner.h"
#include "python/work_queue.h"

#include "port/port.h"

typedef struct {
    PyObject_HEAD
    WorkQueueObject *queue;
    struct fc_worker *worker; /* until the thread takes it over; or NULL */
    bool counted;             /* in queue->workers, until it ends */
    bool abandoned;           /* its thread was not to be started */
    PyObject *executor;       /* weak reference, or NULL */
    PyObject *initializer;    /* or NULL */
    PyObject *initargs;
    PyObject *context;        /* a worker context (3.14+), or NULL */
    PyObject *orphaned;       /* called when it breaks without executor */
} WorkerObject;

/* --- the loop ------------------------------------------------------------------------ */

/* Let go of the GIL, tell who waits, and wait for a task.  NULL: the end. */
static void *
worker_idle(fc_runner *runner)
{
    fc_state *st = runner->st;
    PyThreadState *ts = fc_gil_release(st);
    fc_due_fire(&runner->due);
    void *item = fc_worker_wait(runner->worker);
    if (item != NULL) {
        atomic_store_explicit(&st->worker_cpu, fc_cpu(),
                              memory_order_relaxed);
        fc_gil_await_submitter(st);
    }
    PyEval_RestoreThread(ts);
    return item;
}

static void
worker_serve(fc_runner *runner)
{
    fc_turn_begin(&runner->turn);
    void *item = fc_worker_poll(runner->worker);
    for (;;) {
        if (item == NULL) {
            item = worker_idle(runner);
            if (item == NULL) {
                return;
            }
            fc_turn_begin(&runner->turn);
        }
        item = fc_runner_run(runner, item);
        if (fc_runner_has_forked(runner)) {
            /* The task forked, and this is the child: its other threads are
             * gone and its queue is not served any more. */
            return;
        }
    }
}

/* It is no longer one of the threads that max_workers limits. */
static void
worker_uncount(WorkerObject *self)
{
    bool counted;
    FC_LOCK(self);
    counted = self->counted;
    self->counted = false;
    FC_UNLOCK();
    if (counted) {
        /* Relaxed: only the number counts. */
        atomic_fetch_sub_explicit(&self->queue->workers, 1,
                                  memory_order_relaxed);
    }
}

/* --- before and after ------------------------------------------------------------------ */

static int
worker_initialize(WorkerObject *self)
{
    PyObject *done;
    if (self->context != NULL) {
        done = PyObject_CallMethod(self->context, "initialize", NULL);
    }
    else if (self->initializer != NULL) {
        /* What `initializer(*initargs)` makes of them, and only here. */
        PyObject *args = PySequence_Tuple(self->initargs);
        done = args != NULL
                   ? PyObject_Call(self->initializer, args, NULL) : NULL;
        Py_XDECREF(args);
    }
    else {
        return 0;
    }
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

static void
worker_report_initializer(fc_state *st, WorkerObject *self)
{
    fc_log_exception(st, "critical", "Exception in initializer:", NULL);
    PyObject *executor =
        self->executor != NULL ? fc_weakref_get(self->executor) : NULL;
    PyObject *done =
        executor != NULL
            ? PyObject_CallMethod(executor, "_initializer_failed", NULL)
            : PyObject_CallOneArg(self->orphaned, (PyObject *)self->queue);
    if (done == NULL) {
        fc_log_exception(st, "critical", "Exception in worker", NULL);
    }
    Py_XDECREF(done);
    Py_XDECREF(executor);
}

static PyObject *
worker_tp_call(PyObject *op, PyObject *args, PyObject *kwargs)
{
    WorkerObject *self = (WorkerObject *)op;
    fc_state *st = fc_state_of(op);
    if (PyTuple_GET_SIZE(args) != 0
        || (kwargs != NULL && PyDict_GET_SIZE(kwargs) != 0)) {
        PyErr_SetString(PyExc_TypeError, "a worker takes no arguments");
        return NULL;
    }
    struct fc_worker *worker;
    bool abandoned;
    FC_LOCK(self);
    worker = self->worker;
    self->worker = NULL;
    abandoned = self->abandoned;
    FC_UNLOCK();
    if (abandoned) {
        /* The start was interrupted after the thread had been made. */
        Py_RETURN_NONE;
    }
    if (worker == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "a worker runs only once");
        return NULL;
    }
    if (worker_initialize(self) < 0) {
        fc_worker_leave(worker);
        worker_uncount(self);
        worker_report_initializer(st, self);
        Py_RETURN_NONE;
    }
    /* They may refer to the executor, which would never be collected while
     * this thread, which waits for that, holds them. */
    Py_CLEAR(self->initializer);
    Py_CLEAR(self->initargs);
    fc_worker_arrive(worker);
    fc_runner runner = {
        .st = st,
        .context = self->context,
        .worker = worker,
        .generation = self->queue->generation,
    };
    worker_serve(&runner);
    worker_uncount(self);
    if (self->context != NULL && !fc_runner_has_forked(&runner)) {
        PyObject *done =
            PyObject_CallMethod(self->context, "finalize", NULL);
        if (done == NULL) {
            return NULL;
        }
        Py_DECREF(done);
    }
    Py_RETURN_NONE;
}

/* --- the type --------------------------------------------------------------------------- */

static int
worker_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    WorkerObject *self = (WorkerObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->queue);
    Py_VISIT(self->executor);
    Py_VISIT(self->initializer);
    Py_VISIT(self->initargs);
    Py_VISIT(self->context);
    Py_VISIT(self->orphaned);
    return 0;
}

static void
worker_tp_dealloc(PyObject *op)
{
    WorkerObject *self = (WorkerObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    if (self->worker != NULL
        && self->queue->generation == fc_fork_generation()) {
        fc_worker_abandon(self->worker);
    }
    worker_uncount(self);
    Py_XDECREF(self->queue);
    Py_XDECREF(self->executor);
    Py_XDECREF(self->initializer);
    Py_XDECREF(self->initargs);
    Py_XDECREF(self->context);
    Py_XDECREF(self->orphaned);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

PyObject *
fc_worker_object_new(fc_state *st, WorkQueueObject *queue)
{
    WorkerObject *self = PyObject_GC_New(WorkerObject, st->worker_type);
    if (self == NULL) {
        return NULL;
    }
    memset((char *)self + sizeof(PyObject), 0,
           sizeof(WorkerObject) - sizeof(PyObject));
    self->queue = (WorkQueueObject *)Py_NewRef(queue);
    PyObject_GC_Track((PyObject *)self);
    self->worker = fc_worker_new(queue->dispatch);
    if (self->worker == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->counted = true;
    return (PyObject *)self;
}

static PyObject *
worker_prepare(PyObject *op, PyObject *args)
{
    WorkerObject *self = (WorkerObject *)op;
    PyObject *executor, *initializer, *initargs, *context, *orphaned;
    if (!PyArg_ParseTuple(args, "OOOOO:prepare", &executor, &initializer,
                          &initargs, &context, &orphaned)) {
        return NULL;
    }
    Py_XSETREF(self->executor, Py_NewRef(executor));
    Py_XSETREF(self->initializer,
               initializer != Py_None ? Py_NewRef(initializer) : NULL);
    Py_XSETREF(self->initargs, Py_NewRef(initargs));
    Py_XSETREF(self->context,
               context != Py_None ? Py_NewRef(context) : NULL);
    Py_XSETREF(self->orphaned, Py_NewRef(orphaned));
    Py_RETURN_NONE;
}

bool
fc_worker_object_abandon(PyObject *op)
{
    WorkerObject *self = (WorkerObject *)op;
    struct fc_worker *worker;
    bool abandoned;
    FC_LOCK(self);
    worker = self->worker;
    self->worker = NULL;
    abandoned = self->abandoned = self->abandoned || worker != NULL;
    FC_UNLOCK();
    if (worker != NULL) {
        fc_worker_abandon(worker);
        worker_uncount(self);
    }
    return abandoned;
}

static PyObject *
worker_abandon(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(fc_worker_object_abandon(op));
}

static PyObject *
worker_get_abandoned(PyObject *op, void *Py_UNUSED(closure))
{
    bool abandoned;
    FC_LOCK(op);
    abandoned = ((WorkerObject *)op)->abandoned;
    FC_UNLOCK();
    return PyBool_FromLong(abandoned);
}

static PyGetSetDef worker_getset[] = {
    {"abandoned", worker_get_abandoned, NULL, "Whether it was abandoned.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef worker_methods[] = {
    {"prepare", worker_prepare, METH_VARARGS,
     "prepare($self, executor, initializer, initargs, context, orphaned, /)\n"
     "--\n\n"
     "Say what the thread does before its first task.  executor is a weak\n"
     "reference; initializer and context may be None.  When that fails and\n"
     "the executor is gone, orphaned is called with the queue."},
    {"abandon", worker_abandon, METH_NOARGS,
     "abandon($self, /)\n--\n\n"
     "Take back a worker whose thread could not be started.  Returns False\n"
     "when the thread exists all the same and has begun.  May be repeated."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot worker_slots[] = {
    {Py_tp_call, worker_tp_call},
    {Py_tp_dealloc, worker_tp_dealloc},
    {Py_tp_traverse, worker_tp_traverse},
    {Py_tp_methods, worker_methods},
    {Py_tp_getset, worker_getset},
    {0, NULL},
};

static PyType_Spec worker_spec = {
    .name = "futures_c._native.Worker",
    .basicsize = sizeof(WorkerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = worker_slots,
};

int
fc_worker_init(PyObject *module, fc_state *st)
{
    st->worker_type = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &worker_spec, NULL);
    return st->worker_type != NULL ? 0 : -1;
}
