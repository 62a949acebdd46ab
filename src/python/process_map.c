/* process_map.c - map() over worker processes without a future per call.
 *
 * Inputs whose values are plain (values.h) and come from containers of the
 * language's own are gathered into batches (batch.h) as they are drawn; any
 * other input gets a future, in its place among them.  Containers alone,
 * because drawing from anything else may wait for what earlier calls do, which
 * therefore must not be held back.
 *
 * The iterator behaves as the generator of the standard module. */
#include "python/batch.h"
#include "python/exclusive.h"
#include "python/process_pool.h"
#include "python/sealed.h"
#include "python/waiter.h"

#include "port/port.h"

#include <string.h>

/* Calls in the first batch, and how many more there are in each one after it,
 * up to FC_BATCH_MOST: few at first, so that workers begin soon. */
#define FIRST 32
#define GROWTH 2

/* Bytes of a batch; with its cells it has room in the arena. */
#define BYTES 32768

/* Cells that are read at once. */
#define CELLS 64

/* --- drawing ----------------------------------------------------------------- */

typedef struct {
    fc_state *st;
    ProcessPoolObject *pool;
    HubObject *hub;
    PyObject *fn;
    uint32_t number;
    PyObject *entries; /* list of batches and futures */
    fc_outgoing o;     /* the batch that is being gathered */
    uint32_t count, most;
    uint32_t ends[FC_BATCH_MOST];
} drawing;

/* Whether drawing from it runs nobody's code. */
static bool
is_container(PyObject *inputs)
{
    return PyList_CheckExact(inputs) || PyTuple_CheckExact(inputs)
           || PyRange_Check(inputs) || PyUnicode_CheckExact(inputs)
           || PyBytes_CheckExact(inputs) || PyDict_CheckExact(inputs)
           || PyAnySet_CheckExact(inputs);
}

/* Send what has been gathered. */
static int
flush(drawing *d)
{
    if (d->count == 0) {
        return 0;
    }
    BatchObject *b = fc_batch_new(d->st, d->hub, d->number, d->count, d->ends,
                                  &d->o);
    if (b == NULL) {
        return -1;
    }
    int status = fc_process_pool_prepare(d->pool, d->hub, d->count);
    if (status == 0) {
        status = fc_hub_submit_batch(d->st, d->hub, b->future);
    }
    if (status == 0) {
        status = PyList_Append(d->entries, (PyObject *)b);
    }
    Py_DECREF(b);
    fc_outgoing_cut(&d->o, 0, 0);
    d->count = 0;
    if (d->most < FC_BATCH_MOST) {
        d->most *= GROWTH;
    }
    return status;
}

/* A call by itself. */
static int
add_alone(drawing *d, PyObject *const *args, Py_ssize_t nargs)
{
    if (flush(d) < 0) {
        return -1;
    }
    PyObject *future = fc_process_pool_submit(d->st, d->pool, d->hub, d->fn,
                                              args, nargs, NULL);
    int status = future != NULL ? PyList_Append(d->entries, future) : -1;
    Py_XDECREF(future);
    return status;
}

static int
add(drawing *d, PyObject *const *args, Py_ssize_t nargs)
{
    size_t before = d->o.size;
    int put = fc_call_put_plain(&d->o, args, nargs);
    if (put > 0 && d->o.count == 0 && d->o.size > BYTES && d->count > 0) {
        /* The batch is full: into the next one. */
        fc_outgoing_cut(&d->o, before, 0);
        if (flush(d) < 0) {
            return -1;
        }
        before = d->o.size;
        put = fc_call_put_plain(&d->o, args, nargs);
    }
    if (put > 0 && (d->o.count > 0 || d->o.size > BYTES)) {
        /* A long value, which is not copied. */
        fc_outgoing_cut(&d->o, before, 0);
        put = 0;
    }
    if (put <= 0) {
        return put < 0 ? -1 : add_alone(d, args, nargs);
    }
    d->ends[d->count++] = (uint32_t)d->o.size;
    return d->count >= d->most ? flush(d) : 0;
}

/* Draw from all iterators once.  1: added; 0: one of them has ended; -1. */
static int
draw(drawing *d, PyObject **iterators, Py_ssize_t count, PyObject **values)
{
    int status = 1;
    Py_ssize_t i = 0;
    for (; i < count; i++) {
        values[i] = Py_TYPE(iterators[i])->tp_iternext(iterators[i]);
        if (values[i] == NULL) {
            status = 0;
            if (PyErr_Occurred()) {
                if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
                    PyErr_Clear();
                }
                else {
                    status = -1;
                }
            }
            break;
        }
    }
    if (status > 0 && add(d, values, count) < 0) {
        status = -1;
    }
    while (--i >= 0) {
        Py_DECREF(values[i]);
    }
    return status;
}

/* Draw everything.  What was drawn before an error runs. */
static int
draw_all(drawing *d, PyObject *iterables)
{
    Py_ssize_t count = PyTuple_GET_SIZE(iterables);
    PyObject *iterators[16] = {NULL}, *values[16];
    int status = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        iterators[i] = PyObject_GetIter(PyTuple_GET_ITEM(iterables, i));
        if (iterators[i] == NULL) {
            status = -1;
        }
    }
    while (status == 0) {
        int drawn = count > 0 ? draw(d, iterators, count, values) : 0;
        if (drawn <= 0) {
            PyObject *raised = drawn < 0 ? fc_exception_take() : NULL;
            status = flush(d);
            if (raised != NULL) {
                fc_exception_restore(raised);
                status = -1;
            }
            break;
        }
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_XDECREF(iterators[i]);
    }
    return status;
}

/* --- the iterator ---------------------------------------------------------------- */

enum phase { NOT_STARTED, STARTED, CLOSED };

typedef struct {
    PyObject_HEAD
    enum phase phase;
    bool executing;    /* guarded by the object's lock */
    PyObject *entries; /* list of batches and futures, from `at` on */
    Py_ssize_t at;
    uint32_t item;     /* of a batch */
    uint32_t many, read; /* cells that were read, and handed out */
    struct fc_cell cells[CELLS];
    fc_end end;
} ProcessMapObject;

static PyObject *
start_map(fc_state *st, PyObject *entries, fc_end end)
{
    ProcessMapObject *it = PyObject_GC_New(ProcessMapObject,
                                           st->process_map_type);
    if (it == NULL) {
        return NULL;
    }
    it->phase = NOT_STARTED;
    it->executing = false;
    it->entries = Py_NewRef(entries);
    it->at = 0;
    it->item = it->many = it->read = 0;
    it->end = end;
    Py_XINCREF(end.time);
    PyObject_GC_Track((PyObject *)it);
    return (PyObject *)it;
}

PyObject *
fc_process_map(fc_state *st, ProcessPoolObject *pool, HubObject *hub,
               PyObject *fn, PyObject *iterables, PyObject *timeout)
{
    Py_ssize_t count = PyTuple_GET_SIZE(iterables);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!is_container(PyTuple_GET_ITEM(iterables, i))) {
            Py_RETURN_NONE;
        }
    }
    int64_t number = count <= 16 ? fc_hub_number(st, hub, fn) : 0;
    if (number <= 0) {
        PyErr_Clear(); /* each call says so */
        Py_RETURN_NONE;
    }
    drawing d = {.st = st, .pool = pool, .hub = hub, .fn = fn,
                 .number = (uint32_t)number, .most = FIRST};
    fc_end end;
    if (fc_end_time(timeout, &end) < 0) {
        return NULL;
    }
    PyObject *it = NULL;
    d.entries = PyList_New(0);
    fc_outgoing_init(&d.o);
    if (d.entries != NULL && draw_all(&d, iterables) == 0) {
        it = start_map(st, d.entries, end);
    }
    fc_outgoing_clear(&d.o);
    Py_XDECREF(d.entries);
    Py_XDECREF(end.time);
    return it;
}

/* --- closing --------------------------------------------------------------------- */

/* Cancel what has not begun, if anybody has advanced it. */
static void
close_map(fc_state *st, ProcessMapObject *it)
{
    bool cancels = it->phase == STARTED;
    PyObject *entries = it->entries;
    it->phase = CLOSED;
    it->entries = NULL;
    PyObject *raised = fc_exception_take();
    for (Py_ssize_t i = it->at;
         cancels && entries && i < PyList_GET_SIZE(entries); i++) {
        PyObject *entry = PyList_GET_ITEM(entries, i);
        if (entry == Py_None) {
            continue;
        }
        FutureObject *f = Py_TYPE(entry) == st->batch_type
                              ? ((BatchObject *)entry)->future
                              : (FutureObject *)entry;
        if (fc_future_cancel(st, f) < 0) {
            PyErr_WriteUnraisable((PyObject *)it);
        }
    }
    Py_XDECREF(entries);
    if (raised != NULL) {
        fc_exception_restore(raised);
    }
}

/* --- reading --------------------------------------------------------------------- */

typedef struct {
    BatchObject *batch;
    uint32_t item;
    fc_watch *watch;
} wanted;

static bool
is_there(void *arg)
{
    const wanted *w = arg;
    struct fc_cell cell;
    uint32_t many;
    const _Atomic(uint32_t) *word;
    enum fc_item_state state =
        fc_batch_look(w->batch, w->item, &cell, 0, &many, NULL, &word);
    w->watch->word = word; /* it may have been sent meanwhile */
    return state != FC_ITEM_PENDING;
}

/* Wait for an item.  1: it may be there; 0: timed out; -1. */
static int
wait_for(fc_state *st, ProcessMapObject *it, BatchObject *b,
         const _Atomic(uint32_t) *word)
{
    int64_t deadline;
    int positive = fc_end_check(st, &it->end, &deadline);
    if (positive <= 0) {
        return positive;
    }
    WaiterObject *waiter = fc_waiter_new(st, FC_WAITER_RESULT);
    if (waiter == NULL) {
        return -1;
    }
    int status = fc_future_add_waiter(st, b->future, (PyObject *)waiter, false);
    if (status > 0) {
        fc_watch watch = {is_there, NULL, word};
        wanted w = {b, it->item, &watch};
        watch.arg = &w;
        status = fc_hub_watch(st, b->hub, waiter->group, &watch, deadline);
        PyObject *raised = status < 0 ? fc_exception_take() : NULL;
        if (fc_future_remove_waiter(st, b->future, (PyObject *)waiter) < 0) {
            fc_exception_keep(&raised);
        }
        if (raised != NULL) {
            fc_exception_restore(raised);
            status = -1;
        }
    }
    else if (status == 0) {
        status = 1; /* it is done */
    }
    Py_DECREF(waiter);
    return status;
}

/* Raise what a batch says of an item that nobody will do. */
static PyObject *
raise_gone(fc_state *st, BatchObject *b)
{
    PyObject *exception = NULL;
    FC_LOCK(b->future);
    exception = Py_XNewRef(fc_future_peek_exception(b->future));
    FC_UNLOCK();
    if (exception != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
        Py_DECREF(exception);
    }
    else if (b->lost) {
        PyErr_NoMemory();
    }
    else {
        PyErr_SetNone(st->cancelled_error);
    }
    return NULL;
}

static PyObject *
open_item(fc_state *st, PyObject *sealed)
{
    PyObject *result, *exception;
    int status = fc_sealed_get(st, sealed, &result, &exception);
    Py_DECREF(sealed);
    if (status > 0) {
        Py_CLEAR(result);
        Py_CLEAR(exception);
        PyErr_SetNone(PyExc_KeyboardInterrupt);
    }
    if (status != 0) {
        return NULL;
    }
    if (exception != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
        Py_DECREF(exception);
    }
    return result;
}

/* The next item of a batch. */
static PyObject *
next_item(fc_state *st, ProcessMapObject *it, BatchObject *b)
{
    if (b->hub->generation != fc_fork_generation()) {
        /* Inherited by fork: its results are the parent's, and so is the
         * lock. */
        PyErr_SetNone(st->cancelled_error);
        return NULL;
    }
    for (;;) {
        const _Atomic(uint32_t) *word;
        PyObject *sealed = NULL;
        enum fc_item_state state = fc_batch_look(
            b, it->item, it->cells, CELLS, &it->many, &sealed, &word);
        switch (state) {
        case FC_ITEM_INLINE:
            it->item += it->many;
            it->read = 1;
            return fc_cell_value(&it->cells[0]);
        case FC_ITEM_SEALED:
            it->item++;
            it->many = 0;
            return open_item(st, sealed);
        case FC_ITEM_GONE:
            it->many = 0;
            return raise_gone(st, b);
        case FC_ITEM_PENDING:
            break;
        }
        int woken = wait_for(st, it, b, word);
        if (woken <= 0) {
            if (woken == 0) {
                PyErr_SetNone(PyExc_TimeoutError);
            }
            return NULL;
        }
    }
}

/* The result of a call with a future of its own, as the standard module's
 * _result_or_cancel() has it. */
static PyObject *
next_alone(fc_state *st, ProcessMapObject *it, PyObject *future)
{
    PyObject *left = fc_end_left(&it->end);
    PyObject *result = left != NULL
                           ? fc_future_result(future, &left, 1, NULL)
                           : NULL;
    Py_XDECREF(left);
    if (result == NULL) {
        PyObject *raised = fc_exception_take();
        if (fc_future_cancel(st, (FutureObject *)future) < 0) {
            PyErr_WriteUnraisable(future);
        }
        fc_exception_restore(raised);
    }
    return result;
}

static PyObject *
next_result(fc_state *st, ProcessMapObject *it)
{
    if (it->read < it->many) {
        return fc_cell_value(&it->cells[it->read++]);
    }
    while (it->at < PyList_GET_SIZE(it->entries)) {
        PyObject *entry = PyList_GET_ITEM(it->entries, it->at);
        bool is_batch = Py_TYPE(entry) == st->batch_type;
        if (is_batch && it->item < ((BatchObject *)entry)->count) {
            return next_item(st, it, (BatchObject *)entry);
        }
        /* Nothing is kept of what is handed out. */
        Py_INCREF(entry);
        PyObject *result = NULL;
        if (!is_batch) {
            result = next_alone(st, it, entry);
        }
        if (it->entries != NULL) {
            (void)PyList_SetItem(it->entries, it->at, Py_NewRef(Py_None));
        }
        it->at++;
        it->item = it->many = it->read = 0;
        Py_DECREF(entry);
        if (!is_batch) {
            return result;
        }
    }
    return NULL;
}

static PyObject *
map_tp_iternext(PyObject *self)
{
    ProcessMapObject *it = (ProcessMapObject *)self;
    fc_state *st = fc_state_of_exact(Py_TYPE(self));
    if (!fc_exclusive_enter(self, &it->executing)) {
        return NULL;
    }
    PyObject *result = NULL;
    if (it->phase != CLOSED) {
        it->phase = STARTED;
        result = next_result(st, it);
        if (result == NULL) {
            fc_exclusive_raise();
            close_map(st, it);
        }
    }
    fc_exclusive_leave(self, &it->executing);
    return result;
}

static PyObject *
map_close(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ProcessMapObject *it = (ProcessMapObject *)self;
    if (!fc_exclusive_enter(self, &it->executing)) {
        return NULL;
    }
    close_map(fc_state_of_exact(Py_TYPE(self)), it);
    fc_exclusive_leave(self, &it->executing);
    Py_RETURN_NONE;
}

/* --- the type --------------------------------------------------------------------- */

static int
map_tp_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((ProcessMapObject *)self)->entries);
    Py_VISIT(((ProcessMapObject *)self)->end.time);
    return 0;
}

static int
map_tp_clear(PyObject *self)
{
    Py_CLEAR(((ProcessMapObject *)self)->entries);
    Py_CLEAR(((ProcessMapObject *)self)->end.time);
    return 0;
}

/* As a generator's `finally` does when it is dropped. */
static void
map_tp_finalize(PyObject *self)
{
    fc_state *st = fc_state_of_exact(Py_TYPE(self));
    if (st != NULL) {
        close_map(st, (ProcessMapObject *)self);
    }
}

static void
map_tp_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (PyObject_CallFinalizerFromDealloc(self) < 0) {
        return;
    }
    PyObject_GC_UnTrack(self);
    (void)map_tp_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef map_methods[] = {
    {"close", map_close, METH_NOARGS,
     "close($self, /)\n--\n\n"
     "End the iteration; cancel the calls that have not begun, if it has "
     "begun."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot map_slots[] = {
    {Py_tp_dealloc, map_tp_dealloc},
    {Py_tp_traverse, map_tp_traverse},
    {Py_tp_clear, map_tp_clear},
    {Py_tp_finalize, map_tp_finalize},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, map_tp_iternext},
    {Py_tp_methods, map_methods},
    {0, NULL},
};

static PyType_Spec map_spec = {
    .name = "futures_c._native._ProcessMap",
    .basicsize = sizeof(ProcessMapObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
             | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = map_slots,
};

int
fc_process_map_init(PyObject *module, fc_state *st)
{
    st->process_map_type = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &map_spec, NULL);
    return st->process_map_type != NULL ? 0 : -1;
}
