/* map_iterator.c - what executor.map() returns.
 *
 * It behaves as the generator of the standard module: results in the order
 * of the inputs; an exception, close() or dropping it cancel what has not
 * begun, once it has been advanced; nobody advanced it: everything runs.
 * With a buffersize, each next() draws one more input first. */
#include "python/exclusive.h"
#include "python/map.h"
#include "python/pool.h"
#include "python/waiter.h"

#include "port/port.h"

enum phase { NOT_STARTED, STARTED, CLOSED };

typedef struct {
    PyObject_HEAD
    enum phase phase;
    bool executing;   /* guarded by the object's lock */
    MapObject *map;
    PyObject *inputs; /* iterator to draw from at each next(), or NULL */
    PyObject *pool;   /* weak reference to the executor */
    PyObject *held;   /* the executor, since an input was drawn for it */
    struct fc_group *group;
    fc_end end;
} MapIteratorObject;

/* --- drawing ------------------------------------------------------------------------- */

/* Draw one input and queue it.  1: done; 0: there is none now; -1.  An
 * iterator that had none is asked again, as by the standard module. */
static int
draw(fc_state *st, MapIteratorObject *it, PoolObject *pool)
{
    PyObject *input = PyIter_Next(it->inputs);
    if (input == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    if (fc_pool_check(st, pool) < 0) {
        Py_DECREF(input);
        return -1;
    }
    if (fc_map_add(it->map, fc_ref_hand_over(input)) < 0) {
        return -1;
    }
    bool queued = false;
    void *item =
        fc_item_pack(fc_ref_give((PyObject *)it->map), FC_ITEM_MAP);
    if (fc_pool_queue(st, pool, item, &queued) < 0) {
        if (!queued) {
            Py_DECREF(it->map);
        }
        return -1;
    }
    return 1;
}

static int
draw_another(fc_state *st, MapIteratorObject *it)
{
    /* As with the standard module: the executor may go until the iterator is
     * advanced, and is needed from then on. */
    if (it->held == NULL) {
        it->held = fc_weakref_get(it->pool);
        if (it->held == NULL) {
            PyErr_Clear();
            return 0;
        }
    }
    return draw(st, it, (PoolObject *)it->held);
}

/* --- reading --------------------------------------------------------------------------- */

static void
iterator_close(MapIteratorObject *it)
{
    enum phase phase = it->phase;
    it->phase = CLOSED;
    Py_CLEAR(it->inputs);
    if (phase == STARTED) {
        fc_map_stop(it->map);
    }
    else if (phase == NOT_STARTED) {
        fc_map_abandon(it->map);
    }
    Py_CLEAR(it->held);
}

static PyObject *
iterator_fail(MapIteratorObject *it)
{
    PyObject *raised = fc_exception_take();
    iterator_close(it);
    fc_exception_restore(raised);
    fc_exclusive_raise();
    return NULL;
}

/* The result of the future that stands in a slot for foreign code. */
static PyObject *
linked_result(MapIteratorObject *it, PyObject *future)
{
    PyObject *result = NULL;
    PyObject *left = fc_end_left(&it->end);
    if (left != NULL) {
        result = PyObject_CallMethod(future, "result", "O", left);
        Py_DECREF(left);
    }
    Py_DECREF(future);
    return result;
}

static PyObject *
iterator_read(fc_state *st, MapIteratorObject *it)
{
    bool late = false;
    for (;;) {
        PyObject *value = NULL;
        switch (fc_map_read(it->map, &value)) {
        case FC_MAP_RETURNED:
            return value;
        case FC_MAP_RAISED:
            PyErr_SetObject((PyObject *)Py_TYPE(value), value);
            Py_DECREF(value);
            return NULL;
        case FC_MAP_CANCELLED:
            Py_XDECREF(value);
            PyErr_SetNone(st->cancelled_error);
            return NULL;
        case FC_MAP_LINKED:
            return linked_result(it, value);
        case FC_MAP_PENDING:
            break;
        }
        /* What the object says is left is asked once, as result() does. */
        int64_t deadline;
        int status = late ? 0 : fc_end_check(st, &it->end, &deadline);
        if (status == 0) {
            PyErr_SetNone(PyExc_TimeoutError);
            return NULL;
        }
        if (status > 0) {
            status = fc_map_await(st, it->map, it->group, deadline);
        }
        if (status < 0) {
            return NULL;
        }
        late = status == 0;
    }
}

static PyObject *
iterator_advance(fc_state *st, MapIteratorObject *it)
{
    if (it->phase == CLOSED) {
        return NULL;
    }
    it->phase = STARTED;
    /* The standard generator looks for another input while it has futures
     * left, not after the last one. */
    if (fc_map_unread(it->map) == 0) {
        iterator_close(it);
        return NULL;
    }
    if (it->inputs != NULL && draw_another(st, it) < 0) {
        return iterator_fail(it);
    }
    PyObject *value = iterator_read(st, it);
    return value != NULL ? value : iterator_fail(it);
}

static PyObject *
iterator_tp_iternext(PyObject *self)
{
    MapIteratorObject *it = (MapIteratorObject *)self;
    if (!fc_exclusive_enter(self, &it->executing)) {
        return NULL;
    }
    PyObject *value = iterator_advance(fc_state_of(self), it);
    fc_exclusive_leave(self, &it->executing);
    return value;
}

static PyObject *
iterator_close_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    MapIteratorObject *it = (MapIteratorObject *)self;
    if (!fc_exclusive_enter(self, &it->executing)) {
        return NULL;
    }
    iterator_close(it);
    fc_exclusive_leave(self, &it->executing);
    Py_RETURN_NONE;
}

/* --- the type ------------------------------------------------------------------------------ */

static int
iterator_tp_traverse(PyObject *self, visitproc visit, void *arg)
{
    MapIteratorObject *it = (MapIteratorObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(it->map);
    Py_VISIT(it->inputs);
    Py_VISIT(it->pool);
    Py_VISIT(it->held);
    Py_VISIT(it->end.time);
    return 0;
}

static void
iterator_tp_dealloc(PyObject *self)
{
    MapIteratorObject *it = (MapIteratorObject *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    PyObject *raised = PyErr_Occurred() ? fc_exception_take() : NULL;
    if (it->map != NULL) {
        iterator_close(it);
    }
    if (raised != NULL) {
        fc_exception_restore(raised);
    }
    Py_XDECREF(it->map);
    Py_XDECREF(it->inputs);
    Py_XDECREF(it->pool);
    Py_XDECREF(it->end.time);
    if (it->group != NULL) {
        fc_group_unref(it->group);
    }
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static int
iterator_tp_clear(PyObject *self)
{
    MapIteratorObject *it = (MapIteratorObject *)self;
    if (it->map != NULL) {
        iterator_close(it);
    }
    Py_CLEAR(it->pool);
    Py_CLEAR(it->end.time);
    return 0;
}

static PyMethodDef iterator_methods[] = {
    {"close", iterator_close_method, METH_NOARGS,
     "close($self, /)\n--\n\n"
     "Stop iterating; cancel the calls that have not begun, unless nobody\n"
     "has advanced the iterator."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot iterator_slots[] = {
    {Py_tp_dealloc, iterator_tp_dealloc},
    {Py_tp_traverse, iterator_tp_traverse},
    {Py_tp_clear, iterator_tp_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, iterator_tp_iternext},
    {Py_tp_methods, iterator_methods},
    {0, NULL},
};

static PyType_Spec iterator_spec = {
    .name = "futures_c._native.map_iterator",
    .basicsize = sizeof(MapIteratorObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = iterator_slots,
};

/* An iterator over the inputs: of the one iterable, or zip() of many. */
static PyObject *
make_inputs(PyObject *const *iterables, Py_ssize_t count)
{
    if (count == 1) {
        return PyObject_GetIter(iterables[0]);
    }
    return PyObject_Vectorcall((PyObject *)&PyZip_Type, iterables,
                               (size_t)count, NULL);
}

PyObject *
fc_map_start(fc_state *st, PyObject *pool, PyObject *fn,
             PyObject *const *iterables, Py_ssize_t count, PyObject *timeout,
             Py_ssize_t buffersize)
{
    MapIteratorObject *it =
        PyObject_GC_New(MapIteratorObject, st->map_iterator_type);
    if (it == NULL) {
        return NULL;
    }
    memset((char *)it + sizeof(PyObject), 0,
           sizeof(MapIteratorObject) - sizeof(PyObject));
    if (fc_end_time(timeout, &it->end) < 0) {
        goto fail;
    }
    it->inputs = make_inputs(iterables, count);
    it->pool = it->inputs != NULL ? PyWeakref_NewRef(pool, NULL) : NULL;
    it->map = it->pool != NULL ? fc_map_descriptor_new(st, fn, count != 1)
                               : NULL;
    if (it->map == NULL) {
        goto fail;
    }
    it->group = fc_group_new(1);
    if (it->group == NULL) {
        PyErr_NoMemory();
        goto fail;
    }
    int drawn = 1;
    for (Py_ssize_t i = 0; drawn > 0 && (buffersize == 0 || i < buffersize);
         i++) {
        drawn = draw(st, it, (PoolObject *)pool);
    }
    if (drawn < 0) {
        goto fail;
    }
    if (buffersize == 0) {
        Py_CLEAR(it->inputs);
    }
    /* Only now can others find it, among all that is tracked. */
    PyObject_GC_Track((PyObject *)it);
    return (PyObject *)it;
fail:
    Py_DECREF(it);
    return NULL;
}

int
fc_map_iterator_init(PyObject *module, fc_state *st)
{
    st->map_iterator_type = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &iterator_spec, NULL);
    return st->map_iterator_type != NULL ? 0 : -1;
}
