/* future_attributes.c - what foreign code sees of a future's inside:
 * `_state`, `_condition` and the like, readable, and assignable as the
 * standard module's own tests and other libraries do; and `__dict__`. */
#include "python/future.h"
#include "python/sealed.h"
#include "python/waiter.h"

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

static int
cannot_delete(void)
{
    PyErr_SetString(PyExc_AttributeError,
                    "cannot delete an attribute of a Future");
    return -1;
}

/* --- `_waiters`, `_done_callbacks` and `_condition` --------------------------- */

/* Whether `value` can be assigned to the attribute `name`. */
static bool
is_list(PyObject *value, const char *name)
{
    if (value == NULL) {
        (void)cannot_delete();
        return false;
    }
    if (!PyList_CheckExact(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be a list, not %.200s", name,
                     Py_TYPE(value)->tp_name);
        return false;
    }
    return true;
}

/* From now on in condition mode: with `condition`, unless it has one already
 * and that is not to be replaced.  Returns its condition. */
static PyObject *
enter_condition_mode(FutureObject *f, PyObject *condition, bool replace)
{
    fc_state *st = fc_state_of((PyObject *)f);
    fc_due due = {0};
    PyObject *old = NULL;
    PyObject *now = NULL;
    PyObject *spare = PyList_New(0);
    PyObject *pair = spare != NULL ? PyTuple_New(2) : NULL;
    if (pair == NULL) {
        Py_XDECREF(spare);
        return NULL;
    }
    fc_future_track(f);
    FC_LOCK(f);
    bool inside = (f->holds & FC_HOLDS_CONDITION) != 0;
    if (inside && !replace) {
        now = Py_NewRef(fc_future_condition(f));
    }
    else if (inside || fc_slot_make_list(&f->waiters, &spare) == 0) {
        PyObject *list = fc_future_waiters(f);
        old = f->waiters;
        PyTuple_SET_ITEM(pair, 0, Py_NewRef(condition));
        PyTuple_SET_ITEM(pair, 1, Py_NewRef(list));
        f->waiters = pair;
        f->holds |= FC_HOLDS_CONDITION;
        pair = NULL;
        now = Py_NewRef(condition);
        if (!inside) {
            /* Those parked in result() wait again, on the condition.  The
             * list is still ours alone. */
            fc_waiters_release_sleepers(st, list, &due);
        }
    }
    FC_UNLOCK();
    fc_due_fire(&due);
    Py_XDECREF(old);
    Py_XDECREF(pair);
    Py_XDECREF(spare);
    return now;
}

static PyObject *
future_get_condition(PyObject *self, void *Py_UNUSED(closure))
{
    FutureObject *f = (FutureObject *)self;
    fc_state *st = fc_state_of(self);
    PyObject *condition;
    (void)fc_future_state(st, f);
    FC_LOCK(f);
    condition = Py_XNewRef(fc_future_condition(f));
    FC_UNLOCK();
    if (condition != NULL) {
        return condition;
    }
    PyObject *fresh = PyObject_CallNoArgs(st->condition_factory);
    if (fresh != NULL) {
        condition = enter_condition_mode(f, fresh, false);
        Py_DECREF(fresh);
    }
    return condition;
}

static int
future_set_condition(PyObject *self, PyObject *value,
                     void *Py_UNUSED(closure))
{
    if (value == NULL) {
        return cannot_delete();
    }
    PyObject *now = enter_condition_mode((FutureObject *)self, value, true);
    Py_XDECREF(now);
    return now != NULL ? 0 : -1;
}

/* Enter condition mode if it is not in it yet. */
static int
ensure_condition_mode(PyObject *self)
{
    PyObject *condition = future_get_condition(self, NULL);
    Py_XDECREF(condition);
    return condition != NULL ? 0 : -1;
}

static bool
is_done(PyObject *self)
{
    return fc_state_is_done(
        fc_future_state(fc_state_of(self), (FutureObject *)self));
}

/* Whoever has the list may change it, as the standard class does: under the
 * condition. */
static PyObject *
future_get_callbacks(PyObject *self, void *Py_UNUSED(closure))
{
    FutureObject *f = (FutureObject *)self;
    PyObject *list = NULL;
    if (!is_done(self) && ensure_condition_mode(self) < 0) {
        return NULL;
    }
    PyObject *spare = PyList_New(0);
    if (spare == NULL) {
        return NULL;
    }
    fc_future_track(f);
    FC_LOCK(f);
    if (fc_slot_make_list(&f->callbacks, &spare) == 0) {
        list = Py_NewRef(f->callbacks);
    }
    FC_UNLOCK();
    Py_XDECREF(spare);
    return list;
}

static int
future_set_callbacks(PyObject *self, PyObject *value,
                     void *Py_UNUSED(closure))
{
    FutureObject *f = (FutureObject *)self;
    PyObject *old;
    if (!is_list(value, "_done_callbacks")
        || (!is_done(self) && ensure_condition_mode(self) < 0)) {
        return -1;
    }
    fc_future_track(f);
    FC_LOCK(f);
    old = f->callbacks;
    f->callbacks = Py_NewRef(value);
    FC_UNLOCK();
    Py_XDECREF(old);
    return 0;
}

/* Whoever reaches for the waiters may change them as the standard module does,
 * under the condition: so they are his only in condition mode, where result()
 * does without them. */
static PyObject *
future_get_waiters(PyObject *self, void *Py_UNUSED(closure))
{
    if (ensure_condition_mode(self) < 0) {
        return NULL;
    }
    FutureObject *f = (FutureObject *)self;
    PyObject *list;
    FC_LOCK(f);
    list = Py_XNewRef(fc_future_waiters(f));
    FC_UNLOCK();
    /* NULL: by __init__() in another thread, a moment ago. */
    return list != NULL ? list : PyList_New(0);
}

static int
future_set_waiters(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (!is_list(value, "_waiters")) {
        return -1;
    }
    PyObject *pair = PyTuple_New(2);
    PyObject *condition =
        pair != NULL ? future_get_condition(self, NULL) : NULL;
    if (condition == NULL) {
        Py_XDECREF(pair);
        return -1;
    }
    FutureObject *f = (FutureObject *)self;
    PyObject *old = pair;
    PyTuple_SET_ITEM(pair, 0, condition);
    PyTuple_SET_ITEM(pair, 1, Py_NewRef(value));
    FC_LOCK(f);
    if (f->holds & FC_HOLDS_CONDITION) {
        old = f->waiters;
        f->waiters = pair;
    }
    FC_UNLOCK();
    Py_DECREF(old);
    return 0;
}

/* --- `_state`, `_result` and `_exception` --------------------------------------- */

/* A future that is to end although it has an outcome already does so in
 * condition mode, by the standard methods: they replace one attribute and
 * leave the other, where the native end finds none. */

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
    if (value == NULL) {
        return cannot_delete();
    }
    for (int state = FC_PENDING; state <= FC_FINISHED; state++) {
        int equal =
            PyObject_RichCompareBool(value, st->state_names[state], Py_EQ);
        if (equal < 0) {
            return -1;
        }
        if (equal) {
            bool has_outcome;
            FC_LOCK(f);
            has_outcome = f->outcome != NULL;
            FC_UNLOCK();
            if (has_outcome && !fc_state_is_done(state)
                && ensure_condition_mode(self) < 0) {
                return -1;
            }
            FC_LOCK(f);
            atomic_store_explicit(&f->state, (uint8_t)state,
                                  memory_order_release);
            FC_UNLOCK();
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError,
                 "_state must be one of the states of a future, not %R",
                 value);
    return -1;
}

/* `_result` and, with a closure, `_exception`; None where nothing is there. */
static PyObject *
future_get_outcome(PyObject *self, void *closure)
{
    FutureObject *f = (FutureObject *)self;
    PyObject *value;
    if (fc_future_open(fc_state_of(self), f) < 0) {
        return NULL;
    }
    FC_LOCK(f);
    value = Py_XNewRef(closure != NULL ? fc_future_peek_exception(f)
                                       : fc_future_peek_result(f));
    FC_UNLOCK();
    return value != NULL ? value : Py_NewRef(Py_None);
}

/* Assign one of the two and leave the other as it is. */
static int
future_set_outcome(PyObject *self, PyObject *value, void *closure)
{
    FutureObject *f = (FutureObject *)self;
    bool is_exception = closure != NULL;
    if (value == NULL) {
        return cannot_delete();
    }
    if ((!is_done(self) && ensure_condition_mode(self) < 0)
        || fc_future_open(fc_state_of(self), f) < 0) {
        return -1;
    }
    PyObject *pair = PyTuple_New(2);
    if (pair == NULL) {
        return -1;
    }
    if (value == Py_None) {
        value = NULL; /* as it reads where nothing is there */
    }
    PyObject *result, *exception, *old;
    fc_future_track(f);
    FC_LOCK(f);
    result = is_exception ? fc_future_peek_result(f) : value;
    exception = is_exception ? value : fc_future_peek_exception(f);
    Py_XINCREF(result);
    Py_XINCREF(exception);
    old = f->outcome;
    f->holds &= FC_HOLDS_CONDITION;
    if (result != NULL && exception != NULL) {
        PyTuple_SET_ITEM(pair, 0, result);
        PyTuple_SET_ITEM(pair, 1, exception);
        f->outcome = pair;
        f->holds |= FC_HOLDS_BOTH;
        pair = NULL;
    }
    else {
        f->outcome = result != NULL ? result : exception;
        f->holds |= exception != NULL ? FC_HOLDS_EXCEPTION : 0;
    }
    FC_UNLOCK();
    Py_XDECREF(old);
    Py_XDECREF(pair);
    return 0;
}

/* --- `__dict__` ------------------------------------------------------------------ */

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
    {"_result", future_get_outcome, future_set_outcome, NULL, NULL},
    {"_exception", future_get_outcome, future_set_outcome, NULL,
     "exception"},
    {"_condition", future_get_condition, future_set_condition, NULL, NULL},
    {"_waiters", future_get_waiters, future_set_waiters, NULL, NULL},
    {"_done_callbacks", future_get_callbacks, future_set_callbacks, NULL,
     NULL},
    {"__dict__", future_get_dict, future_set_dict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
