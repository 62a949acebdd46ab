/* pool.c - the native half of ThreadPoolExecutor: submit(), map() and the
 * attributes that they read.  The other half, what happens once per executor
 * or thread, is Python: futures_c/thread.py. */
#include "python/pool.h"
#include "python/gil.h"
#include "python/map.h"
#include "python/parse.h"
#include "python/task.h"

#include "port/port.h"

#include <stddef.h>

static inline void
pool_set_flag(PoolObject *pool, uint32_t flag, bool on)
{
    if (on) {
        atomic_fetch_or_explicit(&pool->flags, flag, memory_order_seq_cst);
#if !FC_HAS_GIL
        atomic_thread_fence(memory_order_seq_cst); /* see fc_pool_queue() */
#endif
    }
    else {
        atomic_fetch_and_explicit(&pool->flags, ~flag, memory_order_acq_rel);
    }
}

/* --- submit() ---------------------------------------------------------------------------- */

/* Take a queued task back.  True: nobody has begun it, and nobody will. */
static bool
pool_retract(FutureObject *f)
{
    fc_task task = {0};
    bool retracted = false;
    FC_LOCK(f);
    if (fc_future_load_state(f) == FC_PENDING) {
        fc_task_take(f, &task);
        atomic_store_explicit(&f->state, FC_NOTIFIED, memory_order_release);
        retracted = true;
    }
    FC_UNLOCK();
    fc_task_drop(&task);
    return retracted;
}

static PyObject *
pool_queue_future(fc_state *st, PoolObject *pool, FutureObject *f)
{
    bool queued;
    fc_future_set_flags(f, fc_future_flags(f) | FC_FUTURE_QUEUED);
    f->generation = pool->queue->generation;
    /* The queue's reference, which a worker drops. */
    void *item = fc_item_pack(fc_ref_give((PyObject *)f), FC_ITEM_FUTURE);
    if (fc_pool_queue(st, pool, item, &queued) == 0) {
        return (PyObject *)f;
    }
    if (!queued) {
        Py_DECREF(f);
        Py_DECREF(f);
        return NULL;
    }
    PyObject *raised = fc_exception_take();
    if (pool_retract(f)) {
        Py_DECREF(f);
        fc_exception_restore(raised);
        return NULL;
    }
    /* A worker has begun it: the caller gets what it asked for. */
    Py_DECREF(raised);
    return (PyObject *)f;
}

/* The arguments as a tuple and a dictionary, for code written in Python. */
static int
pool_unpack(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
            PyObject **tuple, PyObject **dict)
{
    *dict = PyDict_New();
    *tuple = PyTuple_New(nargs);
    if (*dict == NULL || *tuple == NULL) {
        goto fail;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        PyTuple_SET_ITEM(*tuple, i, Py_NewRef(args[i]));
    }
    Py_ssize_t named = kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0;
    for (Py_ssize_t i = 0; i < named; i++) {
        if (PyDict_SetItem(*dict, PyTuple_GET_ITEM(kwnames, i),
                           args[nargs + i]) < 0) {
            goto fail;
        }
    }
    return 0;
fail:
    Py_CLEAR(*dict);
    Py_CLEAR(*tuple);
    return -1;
}

static PyObject *
pool_submit_in_context(fc_state *st, PoolObject *pool, PyObject *fn,
                       PyObject *args, PyObject *kwargs)
{
    PyObject *task = PyObject_CallMethod((PyObject *)pool,
                                         "_resolve_work_item_task", "OOO", fn,
                                         args, kwargs);
    FutureObject *f = task != NULL ? fc_future_new(st) : NULL;
    if (f == NULL) {
        Py_XDECREF(task);
        return NULL;
    }
    f->args[0] = task;
    f->nargs = 1;
    fc_future_set_flags(f, FC_FUTURE_CONTEXT);
    return pool_queue_future(st, pool, f);
}

static PyObject *
pool_submit_slowly(fc_state *st, PoolObject *pool, PyObject *fn,
                   PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames)
{
    PyObject *tuple, *dict;
    PyObject *future;
    if (pool_unpack(args, nargs, kwnames, &tuple, &dict) < 0) {
        return NULL;
    }
    if (fc_pool_flags(pool) & FC_POOL_FOREIGN) {
        future = PyObject_CallMethod((PyObject *)pool, "_submit_by_queue",
                                     "OOO", fn, tuple, dict);
    }
    else {
        future = pool_submit_in_context(st, pool, fn, tuple, dict);
    }
    Py_DECREF(tuple);
    Py_DECREF(dict);
    return future;
}

PyDoc_STRVAR(submit_doc,
"submit($self, fn, /, *args, **kwargs)\n--\n\n"
"Have a worker call fn(*args, **kwargs); return a Future of its result.\n\n"
"Never blocks.  Starts a thread when the tasks outnumber the idle workers\n"
"and max_workers allows it.  Raises RuntimeError after shutdown() and when\n"
"a thread cannot be started (the task has not been queued then), and\n"
"BrokenThreadPool when an initializer failed; RuntimeError also when the\n"
"interpreter is exiting, except in the program's own non-daemon threads.\n"
"Since 0.1.");

static PyObject *
pool_submit(PyObject *self, PyTypeObject *defining_class,
            PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PoolObject *pool = (PoolObject *)self;
    fc_state *st = (fc_state *)PyType_GetModuleState(defining_class);
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError,
                        "ThreadPoolExecutor.submit() missing 1 required "
                        "positional argument: 'fn'");
        return NULL;
    }
    if (fc_pool_check(st, pool) < 0) {
        return NULL;
    }
    if (fc_pool_flags(pool) & (FC_POOL_FOREIGN | FC_POOL_CONTEXT)) {
        return pool_submit_slowly(st, pool, args[0], args + 1, nargs - 1,
                                  kwnames);
    }
    FutureObject *f = fc_future_new(st);
    if (f == NULL) {
        return NULL;
    }
    if (fc_task_store(f, args[0], args + 1, nargs - 1, kwnames) < 0) {
        Py_DECREF(f);
        return NULL;
    }
    return pool_queue_future(st, pool, f);
}

/* --- map() ---------------------------------------------------------------------------------- */

/* 0 for None; the size; or -1 with the standard module's exception. */
static Py_ssize_t
parse_buffersize(PyObject *buffersize)
{
    if (buffersize == NULL || buffersize == Py_None) {
        return 0;
    }
    if (!PyLong_Check(buffersize)) {
        PyErr_SetString(PyExc_TypeError,
                        "buffersize must be an integer or None");
        return -1;
    }
    int overflow;
    long long size = PyLong_AsLongLongAndOverflow(buffersize, &overflow);
    if (overflow > 0 || size > PY_SSIZE_T_MAX) {
        /* The standard module hands it on to islice(). */
        PyErr_SetString(PyExc_ValueError,
                        "Stop argument for islice() must be None or an "
                        "integer: 0 <= x <= sys.maxsize.");
        return -1;
    }
    if (overflow < 0 || size < 1) {
        PyErr_SetString(PyExc_ValueError, "buffersize must be None or > 0");
        return -1;
    }
    return (Py_ssize_t)size;
}

/* Is `self.submit` the function above, and nothing that counts on being
 * called for each item? */
static int
pool_submit_is_native(PoolObject *pool, fc_state *st)
{
    if (fc_pool_flags(pool) & (FC_POOL_FOREIGN | FC_POOL_CONTEXT)) {
        return 0;
    }
    PyObject *submit = PyObject_GetAttr((PyObject *)pool, st->str_submit);
    if (submit == NULL) {
        return -1;
    }
    int native =
        PyCFunction_Check(submit)
        && PyCFunction_GET_FUNCTION(submit)
               == (PyCFunction)(void (*)(void))pool_submit
        && PyCFunction_GET_SELF(submit) == (PyObject *)pool;
    Py_DECREF(submit);
    return native;
}

PyDoc_STRVAR(map_doc,
"map($self, fn, *iterables, timeout=None, chunksize=1, buffersize=None)\n"
"--\n\n"
"Return an iterator over fn(*inputs) for the inputs in zip(*iterables).\n\n"
"The calls run in the workers, in any order; the results come in the order\n"
"of the inputs.  timeout, in seconds from the call of map(), bounds the\n"
"wait for each result.  chunksize is for process pools and ignored here.\n"
"With a buffersize, only so many inputs are drawn ahead of the results that\n"
"were handed out; otherwise all are drawn before map() returns.  Raises\n"
"TimeoutError and what a call raised, when its result is asked for; that\n"
"ends the iterator and cancels the calls that have not begun.  map() itself\n"
"raises TypeError or ValueError for a buffersize that is not None or a\n"
"positive int, what drawing an input raises, and what submit() raises.\n"
"Since 0.1; buffersize on every version.");

static PyObject *
pool_map(PyObject *self, PyTypeObject *defining_class, PyObject *const *args,
         Py_ssize_t nargs, PyObject *kwnames)
{
    /* fn may be given by keyword, when there are no iterables. */
    static const char *const names[] = {"fn", "timeout", "chunksize",
                                        "buffersize"};
    PoolObject *pool = (PoolObject *)self;
    fc_state *st = (fc_state *)PyType_GetModuleState(defining_class);
    PyObject *values[4] = {NULL, Py_None, NULL, Py_None};
    Py_ssize_t count = nargs > 0 ? nargs - 1 : 0;
    PyObject *const *iterables = args + (nargs > 0);
    if (fc_parse_variadic("Executor.map", names, 4, 1, args, nargs, kwnames,
                       values) < 0) {
        return NULL;
    }
    Py_ssize_t buffersize = parse_buffersize(values[3]);
    if (buffersize < 0) {
        return NULL;
    }
    int native = pool_submit_is_native(pool, st);
    if (native < 0) {
        return NULL;
    }
    if (native) {
        return fc_map_start(st, self, values[0], iterables, count, values[1],
                            buffersize);
    }
    PyObject *tuple, *dict;
    if (pool_unpack(iterables, count, NULL, &tuple, &dict) < 0) {
        return NULL;
    }
    PyObject *results =
        PyObject_CallMethod(self, "_map_by_submit", "OOOO", values[0], tuple,
                            values[1], values[3]);
    Py_DECREF(tuple);
    Py_DECREF(dict);
    return results;
}

/* --- the private attributes ------------------------------------------------------------------- */

/* Put a new queue in the place of the old one, which the new one keeps. */
static WorkQueueObject *
pool_renew_queue(fc_state *st, PoolObject *pool)
{
    WorkQueueObject *fresh = fc_work_queue_new(st);
    if (fresh != NULL) {
        FC_LOCK(pool);
        fresh->inherited = (PyObject *)pool->queue;
        pool->queue = fresh;
        FC_UNLOCK();
    }
    return fresh;
}

static PyObject *
pool_get_work_queue(PyObject *self, void *Py_UNUSED(closure))
{
    PoolObject *pool = (PoolObject *)self;
    PyObject *queue;
    if (pool->queue != NULL
        && pool->queue->generation != fc_fork_generation()
        && fc_pool_restart(pool) < 0) {
        return NULL;
    }
    FC_LOCK(self);
    queue = Py_XNewRef(pool->foreign_queue != NULL
                           ? pool->foreign_queue
                           : (PyObject *)pool->queue);
    FC_UNLOCK();
    if (queue == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_work_queue");
    }
    return queue;
}

static int
pool_set_work_queue(PyObject *self, PyObject *value,
                    void *Py_UNUSED(closure))
{
    PoolObject *pool = (PoolObject *)self;
    PyObject *old;
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "cannot delete _work_queue");
        return -1;
    }
    FC_LOCK(self);
    old = pool->foreign_queue;
    pool->foreign_queue = Py_NewRef(value);
    FC_UNLOCK();
    Py_XDECREF(old);
    pool_set_flag(pool, FC_POOL_FOREIGN, true);
    return 0;
}

static PyObject *
pool_get_max_workers(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *max;
    FC_LOCK(self);
    max = Py_XNewRef(((PoolObject *)self)->max_workers);
    FC_UNLOCK();
    if (max == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_max_workers");
    }
    return max;
}

static int
pool_set_max_workers(PyObject *self, PyObject *value,
                     void *Py_UNUSED(closure))
{
    PoolObject *pool = (PoolObject *)self;
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "cannot delete _max_workers");
        return -1;
    }
    double number = PyFloat_AsDouble(value);
    if (number == -1.0 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            if (PyErr_ExceptionMatches(PyExc_TypeError)) {
                PyErr_Format(PyExc_TypeError,
                             "max_workers must be a number, not %.200s",
                             Py_TYPE(value)->tp_name);
            }
            return -1;
        }
        PyErr_Clear();
        number = INT32_MAX;
    }
    PyObject *old;
    FC_LOCK(self);
    old = pool->max_workers;
    pool->max_workers = Py_NewRef(value);
    /* 2.5 allows a third thread, as `len(threads) < 2.5` does. */
    pool->limit = number >= INT32_MAX ? INT32_MAX
                  : number > 0        ? (int32_t)number + (number > (int32_t)number)
                                      : 0;
    FC_UNLOCK();
    Py_XDECREF(old);
    return 0;
}

static PyObject *
pool_get_flag(PyObject *self, void *closure)
{
    return PyBool_FromLong(
        (fc_pool_flags((PoolObject *)self) & (uint32_t)(uintptr_t)closure) != 0);
}

static int
pool_set_flag_attribute(PyObject *self, PyObject *value, void *closure)
{
    int on = value != NULL ? PyObject_IsTrue(value) : 0;
    if (on < 0) {
        return -1;
    }
    pool_set_flag((PoolObject *)self, (uint32_t)(uintptr_t)closure, on != 0);
    return 0;
}

static PyObject *
pool_get_broken(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *broken;
    FC_LOCK(self);
    broken = Py_XNewRef(((PoolObject *)self)->broken);
    FC_UNLOCK();
    return broken != NULL ? broken : Py_NewRef(Py_False);
}

static int
pool_set_broken(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    PoolObject *pool = (PoolObject *)self;
    int broken = value != NULL ? PyObject_IsTrue(value) : 0;
    if (broken < 0) {
        return -1;
    }
    PyObject *old;
    FC_LOCK(self);
    old = pool->broken;
    pool->broken = Py_XNewRef(value);
    FC_UNLOCK();
    Py_XDECREF(old);
    pool_set_flag(pool, FC_POOL_BROKEN, broken != 0);
    return 0;
}

/* _open(max_workers): make the queue and return it; part of __init__(). */
static PyObject *
pool_open(PyObject *self, PyObject *max_workers)
{
    PoolObject *pool = (PoolObject *)self;
    if (pool_set_max_workers(self, max_workers, NULL) < 0) {
        return NULL;
    }
    fc_state *st = fc_state_of(self);
    WorkQueueObject *old = pool->queue;
    WorkQueueObject *queue = pool_renew_queue(st, pool);
    if (queue == NULL) {
        return NULL;
    }
    if (old != NULL && old->generation == fc_fork_generation()) {
        fc_dispatch_close(old->dispatch);
    }
    if (atomic_load_explicit(&st->exiting, memory_order_acquire)) {
        fc_dispatch_close(queue->dispatch);
    }
    return Py_NewRef(queue);
}

/* _renew(): a new queue if this process inherited the present one; None if it
 * did not. */
static PyObject *
pool_renew(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PoolObject *pool = (PoolObject *)self;
    if (pool->queue == NULL
        || pool->queue->generation == fc_fork_generation()) {
        Py_RETURN_NONE;
    }
    return Py_XNewRef(pool_renew_queue(fc_state_of(self), pool));
}

/* --- the type ------------------------------------------------------------------------------------ */

/* Not object.__new__(), which on 3.11 gives the instance inlined values in
 * place of a dictionary; see compat.h. */
static PyObject *
pool_tp_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
            PyObject *Py_UNUSED(kwargs))
{
    return type->tp_alloc(type, 0);
}

static int
pool_tp_traverse(PyObject *self, visitproc visit, void *arg)
{
    PoolObject *pool = (PoolObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)pool->queue);
    Py_VISIT(pool->foreign_queue);
    Py_VISIT(pool->max_workers);
    Py_VISIT(pool->broken);
    return fc_managed_dict_visit(self, visit, arg);
}

static int
pool_tp_clear(PyObject *self)
{
    PoolObject *pool = (PoolObject *)self;
    /* The queue stays: its workers are told by tp_dealloc. */
    Py_CLEAR(pool->foreign_queue);
    Py_CLEAR(pool->max_workers);
    Py_CLEAR(pool->broken);
    fc_managed_dict_clear(self);
    return 0;
}

static void
pool_tp_dealloc(PyObject *self)
{
    PoolObject *pool = (PoolObject *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    PyObject_ClearWeakRefs(self);
    WorkQueueObject *queue = pool->queue;
    if (queue != NULL) {
        if (queue->generation == fc_fork_generation()) {
            /* Its workers run what is queued, and leave. */
            fc_dispatch_close(queue->dispatch);
        }
        pool->queue = NULL;
        Py_DECREF(queue);
    }
    (void)pool_tp_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef pool_methods[] = {
    {"submit", (PyCFunction)(void (*)(void))pool_submit,
     METH_METHOD | METH_FASTCALL | METH_KEYWORDS, submit_doc},
    {"map", (PyCFunction)(void (*)(void))pool_map,
     METH_METHOD | METH_FASTCALL | METH_KEYWORDS, map_doc},
    {"_open", pool_open, METH_O,
     "_open($self, max_workers, /)\n--\n\nMake the queue; return it."},
    {"_renew", pool_renew, METH_NOARGS,
     "_renew($self, /)\n--\n\n"
     "Make a new queue in a process that inherited the old one by fork;\n"
     "return it, or None in any other process."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef pool_getset[] = {
    {"_work_queue", pool_get_work_queue, pool_set_work_queue, NULL, NULL},
    {"_max_workers", pool_get_max_workers, pool_set_max_workers, NULL, NULL},
    {"_shutdown", pool_get_flag, pool_set_flag_attribute, NULL,
     (void *)FC_POOL_CLOSED},
    {"_foreign", pool_get_flag, pool_set_flag_attribute, NULL,
     (void *)FC_POOL_FOREIGN},
    {"_in_context", pool_get_flag, pool_set_flag_attribute, NULL,
     (void *)FC_POOL_CONTEXT},
    {"_broken", pool_get_broken, pool_set_broken, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(pool_doc,
"The native half of futures_c.ThreadPoolExecutor; not for direct use.");

static PyType_Slot pool_slots[] = {
    {Py_tp_doc, (void *)pool_doc},
    {Py_tp_new, pool_tp_new},
    {Py_tp_dealloc, pool_tp_dealloc},
    {Py_tp_traverse, pool_tp_traverse},
    {Py_tp_clear, pool_tp_clear},
    {Py_tp_methods, pool_methods},
    {Py_tp_getset, pool_getset},
    {0, NULL},
};

static PyType_Spec pool_spec = {
    .name = "futures_c._native.ThreadPool",
    .basicsize = sizeof(PoolObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = pool_slots,
};

/* make_pool_type(concurrent.futures.ThreadPoolExecutor): the native class
 * over it, made on first use so that importing the module does not load the
 * standard thread pool. */
PyObject *
fc_make_pool_type(PyObject *module, PyObject *base)
{
    fc_state *st = fc_state_of_module(module);
    if (st->pool_type != NULL) {
        return Py_NewRef(st->pool_type);
    }
    if (!PyType_Check(base)
        || ((PyTypeObject *)base)->tp_basicsize
               > (Py_ssize_t)offsetof(PoolObject, queue)) {
        PyErr_SetString(PyExc_ImportError,
                        "concurrent.futures.ThreadPoolExecutor has an "
                        "unknown layout");
        return NULL;
    }
    PyObject *type = PyType_FromModuleAndSpec(module, &pool_spec, base);
    st->pool_type = (PyTypeObject *)Py_XNewRef(type);
    return type;
}
