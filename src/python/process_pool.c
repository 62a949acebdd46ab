/* process_pool.c - the native half of ProcessPoolExecutor: submit() and the
 * attributes that it reads.  The other half is Python: futures_c/process.py. */
#include "python/process_pool.h"

#include "port/port.h"

#include <stddef.h>

enum {
    CLOSED = 1,  /* shutdown() was called, or the pool broke */
    BROKEN = 2,  /* a worker died */
    STARTED = 4, /* the pool's thread runs */
    STATIC = 8,  /* all workers are started at once (fork) */
};

static inline uint32_t
pool_flags(ProcessPoolObject *pool)
{
    return atomic_load_explicit(&pool->flags, memory_order_acquire);
}

/* --- may it take a call? --------------------------------------------------------- */

static PyObject *
raise_broken(fc_state *st, ProcessPoolObject *pool)
{
    PyObject *text;
    FC_LOCK(pool);
    text = Py_NewRef(pool->broken != NULL ? pool->broken : Py_False);
    FC_UNLOCK();
    PyObject *error = fc_process_helper(st, "BrokenProcessPool", "(O)", text);
    Py_DECREF(text);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
}

static PyObject *
raise_closed(const char *what)
{
    PyErr_Format(PyExc_RuntimeError, "cannot schedule new futures after %s",
                 what);
    return NULL;
}

static int
call_method(ProcessPoolObject *pool, const char *name)
{
    PyObject *interned = PyUnicode_InternFromString(name);
    PyObject *done =
        interned != NULL
            ? PyObject_CallMethodNoArgs((PyObject *)pool, interned) : NULL;
    Py_XDECREF(interned);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

/* The hub, a new reference; NULL with the exception that submit() raises. */
static HubObject *
pool_check(fc_state *st, ProcessPoolObject *pool)
{
    HubObject *hub;
    FC_LOCK(pool);
    hub = (HubObject *)Py_XNewRef((PyObject *)pool->hub);
    FC_UNLOCK();
    if (hub != NULL && hub->generation != fc_fork_generation()) {
        /* Inherited by fork: begin afresh. */
        Py_DECREF(hub);
        if (call_method(pool, "_begin_afresh") < 0) {
            return NULL;
        }
        FC_LOCK(pool);
        hub = (HubObject *)Py_XNewRef((PyObject *)pool->hub);
        FC_UNLOCK();
    }
    uint32_t flags = pool_flags(pool);
    if (flags & BROKEN) {
        Py_XDECREF((PyObject *)hub);
        return (HubObject *)raise_broken(st, pool);
    }
    if (flags & CLOSED) {
        Py_XDECREF((PyObject *)hub);
        return (HubObject *)raise_closed("shutdown");
    }
    if (hub == NULL) {
        PyErr_Format(PyExc_RuntimeError,
                     "%.200s.__init__() has not been called",
                     Py_TYPE(pool)->tp_name);
        return NULL;
    }
    if (atomic_load_explicit(&st->exiting, memory_order_acquire)) {
        Py_DECREF(hub);
        return (HubObject *)raise_closed("interpreter shutdown");
    }
    return hub;
}

/* Whether one more worker may be started when a call needs it. */
static bool
may_grow(ProcessPoolObject *pool)
{
    Py_ssize_t count;
    if (pool_flags(pool) & STATIC) {
        return false;
    }
    FC_LOCK(pool);
    count = pool->processes != NULL ? PyDict_GET_SIZE(pool->processes)
                                    : pool->limit;
    FC_UNLOCK();
    return count < pool->limit;
}

static int
start_workers(ProcessPoolObject *pool, HubObject *hub, uint64_t calls)
{
    bool more = true;
    while (more) {
        more = may_grow(pool)
               && fc_hub_needs_worker(hub, calls);
        if (more) {
            /* For its wants_worker(): the method is one that people override
             * without arguments. */
            atomic_store_explicit(&hub->coming, calls, memory_order_relaxed);
            PyObject *started = PyObject_CallMethod(
                (PyObject *)pool, "_adjust_process_count", NULL);
            if (started == NULL) {
                return -1;
            }
            more = started == Py_True;
            Py_DECREF(started);
        }
    }
    return 0;
}

int
fc_process_pool_prepare(ProcessPoolObject *pool, HubObject *hub,
                        uint64_t calls)
{
    if (may_grow(pool)
        && start_workers(pool, hub, calls) < 0) {
        return -1;
    }
    return pool_flags(pool) & STARTED ? 0
                           : call_method(pool, "_start_executor_manager_thread");
}

/* --- submit() --------------------------------------------------------------------- */

PyObject *
fc_process_pool_submit(fc_state *st, ProcessPoolObject *pool, HubObject *hub,
                       PyObject *fn, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames)
{
    FutureObject *f = NULL;
    /* Of two threads that submit at once, the later one sees the other under
     * way, and the other that one more has begun. */
    uint32_t number =
        atomic_fetch_add_explicit(&pool->begun, 1, memory_order_seq_cst) + 1;
    bool alone = atomic_fetch_add_explicit(&pool->under_way, 1,
                                           memory_order_seq_cst)
                 == 0;
    if (fc_process_pool_prepare(pool, hub, 1) == 0) {
        f = fc_future_new(st);
    }
    if (f != NULL) {
        fc_call call = {
            .fn = fn, .args = args, .nargs = nargs, .kwnames = kwnames};
        fc_future_set_flags(f, FC_FUTURE_QUEUED);
        f->generation = hub->generation;
        if (fc_hub_submit(st, hub, f, &call) < 0) {
            Py_CLEAR(f);
            if (pool_flags(pool) & BROKEN) {
                PyErr_Clear();
                (void)raise_broken(st, pool);
            }
        }
    }
    alone = atomic_load_explicit(&pool->begun, memory_order_seq_cst) == number
            && alone;
    atomic_fetch_sub_explicit(&pool->under_way, 1, memory_order_seq_cst);
    /* Another thread may have counted on the same idle worker.  Not asked where
     * nobody has: a worker that is taking the call is neither idle nor has it
     * begun. */
    if (f != NULL && !alone && may_grow(pool)
        && start_workers(pool, hub, 0) < 0) {
        PyErr_Clear(); /* those that there are will do */
    }
    return (PyObject *)f;
}

PyDoc_STRVAR(submit_doc,
"submit($self, fn, /, *args, **kwargs)\n--\n\n"
"Have a worker process call fn(*args, **kwargs); return a Future.\n\n"
"Function and arguments are pickled, at once where there is room in the\n"
"pool's memory, else as soon as there is; what cannot be pickled ends the\n"
"future with the error.  Never blocks, except for the start of a worker.\n"
"Raises RuntimeError after shutdown(), BrokenProcessPool when a worker has\n"
"died, and what the start of a worker raises.  Since 0.1.");

static PyObject *
pool_submit(PyObject *self, PyTypeObject *defining_class,
            PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    ProcessPoolObject *pool = (ProcessPoolObject *)self;
    fc_state *st = (fc_state *)PyType_GetModuleState(defining_class);
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError,
                        "ProcessPoolExecutor.submit() missing 1 required "
                        "positional argument: 'fn'");
        return NULL;
    }
    HubObject *hub = pool_check(st, pool);
    if (hub == NULL) {
        return NULL;
    }
    PyObject *future = fc_process_pool_submit(st, pool, hub, args[0],
                                              args + 1, nargs - 1, kwnames);
    Py_DECREF(hub);
    return future;
}

/* _map_batches(fn, iterables, timeout): an iterator, or None. */
static PyObject *
pool_map_batches(PyObject *self, PyObject *args)
{
    ProcessPoolObject *pool = (ProcessPoolObject *)self;
    fc_state *st = fc_state_of(self);
    PyObject *fn, *iterables, *timeout;
    if (!PyArg_ParseTuple(args, "OO!O:_map_batches", &fn, &PyTuple_Type,
                          &iterables, &timeout)) {
        return NULL;
    }
    HubObject *hub = pool_check(st, pool);
    if (hub == NULL) {
        /* Raised by submit(), if there is anything to submit. */
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    PyObject *it = fc_process_map(st, pool, hub, fn, iterables, timeout);
    Py_DECREF(hub);
    if (it == NULL && (pool_flags(pool) & BROKEN)
        && PyErr_ExceptionMatches(PyExc_RuntimeError)) {
        /* It has broken since it was asked, as with submit(). */
        PyErr_Clear();
        return raise_broken(st, pool);
    }
    return it;
}

/* _submits_natively(): is `self.submit` the function above? */
static PyObject *
pool_submits_natively(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *submit = PyObject_GetAttr(self, fc_state_of(self)->str_submit);
    if (submit == NULL) {
        return NULL;
    }
    bool native = PyCFunction_Check(submit)
                  && PyCFunction_GET_FUNCTION(submit)
                         == (PyCFunction)(void (*)(void))pool_submit
                  && PyCFunction_GET_SELF(submit) == self;
    Py_DECREF(submit);
    return PyBool_FromLong(native);
}

/* --- attributes ------------------------------------------------------------------- */

/* Replace an object field. */
static void
replace(ProcessPoolObject *pool, PyObject **field, PyObject *value)
{
    PyObject *old;
    FC_LOCK(pool);
    old = *field;
    *field = Py_XNewRef(value);
    FC_UNLOCK();
    Py_XDECREF(old);
}

static PyObject *
get(PyObject *self, PyObject **field, PyObject *otherwise)
{
    PyObject *value;
    FC_LOCK(self);
    value = Py_NewRef(*field != NULL ? *field : otherwise);
    FC_UNLOCK();
    return value;
}

static int
cannot_delete(void)
{
    PyErr_SetString(PyExc_AttributeError, "it cannot be deleted");
    return -1;
}

static PyObject *
pool_get_hub(PyObject *self, void *Py_UNUSED(closure))
{
    return get(self, (PyObject **)&((ProcessPoolObject *)self)->hub, Py_None);
}

static int
pool_set_hub(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    fc_state *st = fc_state_of(self);
    if (value == NULL) {
        return cannot_delete();
    }
    if (value != Py_None && Py_TYPE(value) != st->hub_type) {
        PyErr_SetString(PyExc_TypeError, "_hub must be a Hub or None");
        return -1;
    }
    replace((ProcessPoolObject *)self,
            (PyObject **)&((ProcessPoolObject *)self)->hub,
            value != Py_None ? value : NULL);
    return 0;
}

static PyObject *
pool_get_processes(PyObject *self, void *Py_UNUSED(closure))
{
    return get(self, &((ProcessPoolObject *)self)->processes, Py_None);
}

static int
pool_set_processes(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL) {
        return cannot_delete();
    }
    if (value != Py_None && !PyDict_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "_processes must be a dict or None");
        return -1;
    }
    replace((ProcessPoolObject *)self,
            &((ProcessPoolObject *)self)->processes,
            value != Py_None ? value : NULL);
    return 0;
}

static PyObject *
pool_get_broken(PyObject *self, void *Py_UNUSED(closure))
{
    return get(self, &((ProcessPoolObject *)self)->broken, Py_False);
}

static void
set_flag(ProcessPoolObject *pool, uint32_t flag, bool on)
{
    if (on) {
        atomic_fetch_or_explicit(&pool->flags, flag, memory_order_acq_rel);
    }
    else {
        atomic_fetch_and_explicit(&pool->flags, ~flag, memory_order_acq_rel);
    }
}

static int
pool_set_broken(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    int broken = value != NULL ? PyObject_IsTrue(value) : cannot_delete();
    if (broken < 0) {
        return -1;
    }
    replace((ProcessPoolObject *)self, &((ProcessPoolObject *)self)->broken,
            value);
    set_flag((ProcessPoolObject *)self, BROKEN, broken != 0);
    return 0;
}

static PyObject *
pool_get_max_workers(PyObject *self, void *Py_UNUSED(closure))
{
    ProcessPoolObject *pool = (ProcessPoolObject *)self;
    PyObject *max = get(self, &pool->max_workers, Py_None);
    if (max == Py_None) {
        Py_DECREF(max);
        PyErr_SetString(PyExc_AttributeError, "_max_workers");
        return NULL;
    }
    return max;
}

static int
pool_set_max_workers(PyObject *self, PyObject *value,
                     void *Py_UNUSED(closure))
{
    ProcessPoolObject *pool = (ProcessPoolObject *)self;
    if (value == NULL) {
        return cannot_delete();
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
        number = FC_SEATS_MAX;
    }
    replace(pool, &pool->max_workers, value);
    pool->limit = number >= FC_SEATS_MAX ? FC_SEATS_MAX
                  : number > 0           ? (Py_ssize_t)number
                                         : 0;
    return 0;
}

static PyObject *
pool_get_flag(PyObject *self, void *closure)
{
    return PyBool_FromLong((pool_flags((ProcessPoolObject *)self)
                            & (uint32_t)(uintptr_t)closure)
                           != 0);
}

static PyObject *
pool_get_submitting(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(
        atomic_load_explicit(&((ProcessPoolObject *)self)->under_way,
                             memory_order_seq_cst));
}

static int
pool_set_flag(PyObject *self, PyObject *value, void *closure)
{
    int on = value != NULL ? PyObject_IsTrue(value) : cannot_delete();
    if (on < 0) {
        return -1;
    }
    set_flag((ProcessPoolObject *)self, (uint32_t)(uintptr_t)closure, on != 0);
    return 0;
}

/* --- the type ------------------------------------------------------------------------ */

/* Not object.__new__(); see pool.c. */
static PyObject *
pool_tp_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
            PyObject *Py_UNUSED(kwargs))
{
    return type->tp_alloc(type, 0);
}

static int
pool_tp_traverse(PyObject *self, visitproc visit, void *arg)
{
    ProcessPoolObject *pool = (ProcessPoolObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)pool->hub);
    Py_VISIT(pool->processes);
    Py_VISIT(pool->broken);
    Py_VISIT(pool->max_workers);
    return fc_managed_dict_visit(self, visit, arg);
}

static int
pool_tp_clear(PyObject *self)
{
    ProcessPoolObject *pool = (ProcessPoolObject *)self;
    Py_CLEAR(pool->hub);
    Py_CLEAR(pool->processes);
    Py_CLEAR(pool->broken);
    Py_CLEAR(pool->max_workers);
    fc_managed_dict_clear(self);
    return 0;
}

static void
pool_tp_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    PyObject_ClearWeakRefs(self);
    (void)pool_tp_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef pool_methods[] = {
    {"submit", (PyCFunction)(void (*)(void))pool_submit,
     METH_METHOD | METH_FASTCALL | METH_KEYWORDS, submit_doc},
    {"_map_batches", pool_map_batches, METH_VARARGS, NULL},
    {"_submits_natively", pool_submits_natively, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef pool_getset[] = {
    {"_hub", pool_get_hub, pool_set_hub, NULL, NULL},
    {"_processes", pool_get_processes, pool_set_processes, NULL, NULL},
    {"_broken", pool_get_broken, pool_set_broken, NULL, NULL},
    {"_max_workers", pool_get_max_workers, pool_set_max_workers, NULL, NULL},
    {"_shutdown_thread", pool_get_flag, pool_set_flag, NULL,
     (void *)CLOSED},
    {"_started", pool_get_flag, pool_set_flag, NULL, (void *)STARTED},
    {"_submitting", pool_get_submitting, NULL, NULL, NULL},
    {"_starts_all", pool_get_flag, pool_set_flag, NULL, (void *)STATIC},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(pool_doc,
"The native half of futures_c.ProcessPoolExecutor; not for direct use.");

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
    .name = "futures_c._native.ProcessPool",
    .basicsize = sizeof(ProcessPoolObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = pool_slots,
};

/* _make_process_pool_type(concurrent.futures.ProcessPoolExecutor): as
 * fc_make_pool_type(). */
PyObject *
fc_make_process_pool_type(PyObject *module, PyObject *base)
{
    fc_state *st = fc_state_of_module(module);
    if (st->process_pool_type != NULL) {
        return Py_NewRef(st->process_pool_type);
    }
    if (!PyType_Check(base)
        || ((PyTypeObject *)base)->tp_basicsize
               > (Py_ssize_t)offsetof(ProcessPoolObject, hub)) {
        PyErr_SetString(PyExc_ImportError,
                        "concurrent.futures.ProcessPoolExecutor has an "
                        "unknown layout");
        return NULL;
    }
    PyObject *type = PyType_FromModuleAndSpec(module, &pool_spec, base);
    st->process_pool_type = (PyTypeObject *)Py_XNewRef(type);
    return type;
}
