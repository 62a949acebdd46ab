/* future_attributes.c - what foreign code sees of a future's inside:
 * `_state`, `_condition` and the like, readable, and assignable as the
 * standard module's own tests and other libraries do; and `__dict__`. */
#include "python/future.h"
#include "python/waiter.h"

#include <stddef.h>

int
fc_slot_make_list(PyObject **slot, PyObject **spare)
{
    if (*slot != NULL && PyList_CheckExact(*slot)) {
        return 0;
    }
    if (*slot != NULL) {
        if (PyList_Append(*spare, *slot) < 0) {
            return -1;
        }
        Py_DECREF(*slot); /* the list has it now: nothing dies */
    }
    *slot = *spare;
    *spare = NULL;
    return 0;
}

/* Replace what a slot holds.  The old value dies outside of the lock. */
static int
future_set_slot(PyObject *self, PyObject *value, size_t offset)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError,
                        "cannot delete an attribute of a Future");
        return -1;
    }
    PyObject **slot = (PyObject **)((char *)self + offset);
    PyObject *old;
    fc_future_track((FutureObject *)self);
    FC_LOCK(self);
    old = *slot;
    *slot = Py_NewRef(value);
    FC_UNLOCK();
    Py_XDECREF(old);
    return 0;
}

static PyObject *
future_get_list(PyObject *self, size_t offset)
{
    PyObject **slot = (PyObject **)((char *)self + offset);
    PyObject *list = NULL;
    PyObject *spare = PyList_New(0);
    if (spare == NULL) {
        return NULL;
    }
    fc_future_track((FutureObject *)self);
    FC_LOCK(self);
    if (fc_slot_make_list(slot, &spare) == 0) {
        list = Py_NewRef(*slot);
    }
    FC_UNLOCK();
    Py_XDECREF(spare);
    return list;
}

static PyObject *
future_get_condition(PyObject *self, void *Py_UNUSED(closure))
{
    FutureObject *f = (FutureObject *)self;
    fc_state *st = fc_state_of(self);
    PyObject *condition;
    (void)fc_future_state(st, f);
    FC_LOCK(f);
    condition = Py_XNewRef(f->condition);
    FC_UNLOCK();
    if (condition != NULL) {
        return condition;
    }
    PyObject *spare = PyList_New(0);
    PyObject *fresh =
        spare != NULL ? PyObject_CallNoArgs(st->condition_factory) : NULL;
    if (fresh == NULL) {
        Py_XDECREF(spare);
        return NULL;
    }
    fc_due due = {0};
    int status = 0;
    fc_future_track(f);
    FC_LOCK(f);
    if (f->condition == NULL) {
        status = fc_slot_make_list(&f->waiters, &spare);
        if (status == 0) {
            f->condition = Py_NewRef(fresh);
            /* Those parked in result() wait again, on the condition. */
            fc_waiters_release_sleepers(st, f->waiters, &due);
        }
    }
    condition = Py_XNewRef(f->condition);
    FC_UNLOCK();
    fc_due_fire(&due);
    Py_DECREF(fresh);
    Py_XDECREF(spare);
    if (status < 0) {
        Py_XDECREF(condition);
        return NULL;
    }
    return condition;
}

static int
future_set_condition(PyObject *self, PyObject *value,
                     void *Py_UNUSED(closure))
{
    FutureObject *f = (FutureObject *)self;
    fc_state *st = fc_state_of(self);
    fc_due due = {0};
    PyObject *spare = PyList_New(0);
    if (spare == NULL
        || future_set_slot(self, value, offsetof(FutureObject, condition))
               < 0) {
        Py_XDECREF(spare);
        return -1;
    }
    int status;
    FC_LOCK(f);
    status = fc_slot_make_list(&f->waiters, &spare);
    if (status == 0) {
        fc_waiters_release_sleepers(st, f->waiters, &due);
    }
    FC_UNLOCK();
    fc_due_fire(&due);
    Py_XDECREF(spare);
    return status;
}

static PyObject *
future_get_state(PyObject *self, void *Py_UNUSED(closure))
{
    fc_state *st = fc_state_of(self);
    return Py_NewRef(
        st->state_names[fc_future_state(st, (FutureObject *)self)]);
}

static int
future_set_state(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    fc_state *st = fc_state_of(self);
    FutureObject *f = (FutureObject *)self;
    for (int state = FC_PENDING; value != NULL && state <= FC_FINISHED;
         state++) {
        int equal =
            PyObject_RichCompareBool(value, st->state_names[state], Py_EQ);
        if (equal < 0) {
            return -1;
        }
        if (equal) {
            FC_LOCK(f);
            atomic_store_explicit(&f->state, (uint8_t)state,
                                  memory_order_release);
            FC_UNLOCK();
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError,
                 "_state must be one of the states of a future, not %R",
                 value != NULL ? value : Py_None);
    return -1;
}

/* `_result` and `_exception`, None where nothing is there. */
static PyObject *
future_get_outcome(PyObject *self, void *closure)
{
    PyObject **slot = (PyObject **)((char *)self + (size_t)closure);
    PyObject *value;
    FC_LOCK(self);
    value = Py_XNewRef(*slot);
    FC_UNLOCK();
    return value != NULL ? value : Py_NewRef(Py_None);
}

static int
future_set_outcome(PyObject *self, PyObject *value, void *closure)
{
    if (future_set_slot(self, value, (size_t)closure) < 0) {
        return -1;
    }
    if (value == Py_None
        && (size_t)closure == offsetof(FutureObject, exception)) {
        FutureObject *f = (FutureObject *)self;
        PyObject *old;
        FC_LOCK(f);
        old = f->exception;
        f->exception = NULL;
        FC_UNLOCK();
        Py_XDECREF(old);
    }
    return 0;
}

static PyObject *
future_get_list_slot(PyObject *self, void *closure)
{
    return future_get_list(self, (size_t)closure);
}

static int
future_set_list_slot(PyObject *self, PyObject *value, void *closure)
{
    if (value != NULL && !PyList_CheckExact(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be a list, not %.200s",
                     (size_t)closure == offsetof(FutureObject, waiters)
                         ? "_waiters" : "_done_callbacks",
                     Py_TYPE(value)->tp_name);
        return -1;
    }
    return future_set_slot(self, value, (size_t)closure);
}

/* Whoever reaches for the dictionary may put the future into it. */
static PyObject *
future_get_dict(PyObject *self, void *closure)
{
    fc_future_track((FutureObject *)self);
    return PyObject_GenericGetDict(self, closure);
}

static int
future_set_dict(PyObject *self, PyObject *value, void *closure)
{
    fc_future_track((FutureObject *)self);
    return PyObject_GenericSetDict(self, value, closure);
}

int
fc_future_setattro(PyObject *self, PyObject *name, PyObject *value)
{
    fc_future_track((FutureObject *)self);
    return PyObject_GenericSetAttr(self, name, value);
}

PyGetSetDef fc_future_getset[] = {
    {"_state", future_get_state, future_set_state, NULL, NULL},
    {"_result", future_get_outcome, future_set_outcome, NULL,
     (void *)offsetof(FutureObject, result)},
    {"_exception", future_get_outcome, future_set_outcome, NULL,
     (void *)offsetof(FutureObject, exception)},
    {"_condition", future_get_condition, future_set_condition, NULL, NULL},
    {"_waiters", future_get_list_slot, future_set_list_slot, NULL,
     (void *)offsetof(FutureObject, waiters)},
    {"_done_callbacks", future_get_list_slot, future_set_list_slot, NULL,
     (void *)offsetof(FutureObject, callbacks)},
    {"__dict__", future_get_dict, future_set_dict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
