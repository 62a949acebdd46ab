/* foreign.c - see foreign.h. */
#include "python/foreign.h"
#include "python/sealed.h"

int
fc_list_discard(PyObject *list, PyObject *item)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        if (PyList_GET_ITEM(list, i) == item) {
            return PyList_SetSlice(list, i, i + 1, NULL);
        }
    }
    return 0;
}

/* --- under the future's own condition ------------------------------------------ */

bool
fc_condition_acquire(fc_state *st, PyObject *condition)
{
    PyObject *done = PyObject_CallMethodNoArgs(condition, st->str_acquire);
    Py_XDECREF(done);
    return done != NULL;
}

void
fc_condition_release(fc_state *st, PyObject *condition, PyObject **raised)
{
    PyObject *done = PyObject_CallMethodNoArgs(condition, st->str_release);
    if (done == NULL) {
        fc_exception_keep(raised);
    }
    Py_XDECREF(done);
}

static PyObject *
foreign_lock(fc_state *st, PyObject *future)
{
    PyObject *condition = PyObject_GetAttr(future, st->str__condition);
    if (condition == NULL) {
        return NULL;
    }
    if (!fc_condition_acquire(st, condition)) {
        Py_CLEAR(condition);
    }
    return condition;
}

/* Release and forget the condition.  Returns `status`, or -1. */
static int
foreign_unlock(fc_state *st, PyObject *condition, int status)
{
    PyObject *raised = status < 0 ? fc_exception_take() : NULL;
    fc_condition_release(st, condition, &raised);
    Py_DECREF(condition);
    if (raised != NULL) {
        fc_exception_restore(raised);
        status = -1;
    }
    return status;
}

static int
foreign_settled_locked(fc_state *st, PyObject *future)
{
    PyObject *state = PyObject_GetAttr(future, st->str__state);
    if (state == NULL) {
        return -1;
    }
    int settled = PyObject_RichCompareBool(
        state, st->state_names[FC_FINISHED], Py_EQ);
    if (settled == 0) {
        settled = PyObject_RichCompareBool(
            state, st->state_names[FC_NOTIFIED], Py_EQ);
    }
    Py_DECREF(state);
    return settled;
}

static int
foreign_settled(fc_state *st, PyObject *future)
{
    PyObject *condition = foreign_lock(st, future);
    if (condition == NULL) {
        return -1;
    }
    return foreign_unlock(st, condition, foreign_settled_locked(st, future));
}

int
fc_foreign_add_waiter(fc_state *st, PyObject *future, PyObject *waiter)
{
    PyObject *condition = foreign_lock(st, future);
    if (condition == NULL) {
        return -1;
    }
    int added = foreign_settled_locked(st, future);
    if (added == 0) {
        PyObject *waiters = PyObject_GetAttr(future, st->str__waiters);
        PyObject *done =
            waiters != NULL
                ? PyObject_CallMethodOneArg(waiters, st->str_append, waiter)
                : NULL;
        added = done != NULL ? 1 : -1;
        Py_XDECREF(done);
        Py_XDECREF(waiters);
    }
    else if (added > 0) {
        added = 0;
    }
    return foreign_unlock(st, condition, added);
}

int
fc_foreign_remove_waiter(fc_state *st, PyObject *future, PyObject *waiter)
{
    PyObject *condition = foreign_lock(st, future);
    if (condition == NULL) {
        return -1;
    }
    int status = 0;
    PyObject *waiters = PyObject_GetAttr(future, st->str__waiters);
    if (waiters == NULL) {
        status = -1;
    }
    else {
        /* By its own method: without a GIL others may change it, too. */
        PyObject *done =
            PyObject_CallMethodOneArg(waiters, st->str_remove, waiter);
        status = done != NULL ? 0 : -1;
        if (done == NULL && PyErr_ExceptionMatches(PyExc_ValueError)) {
            PyErr_Clear();
            status = 0;
        }
        Py_XDECREF(done);
    }
    Py_XDECREF(waiters);
    return foreign_unlock(st, condition, status);
}

/* --- either kind ------------------------------------------------------------------ */

int
fc_any_settled(fc_state *st, PyObject *future)
{
    if (fc_is_future(st, future)) {
        return fc_state_is_settled(
            fc_future_state(st, (FutureObject *)future));
    }
    return foreign_settled(st, future);
}

int
fc_any_add_waiter(fc_state *st, PyObject *future, PyObject *waiter)
{
    if (fc_is_future(st, future)) {
        return fc_future_add_waiter(st, (FutureObject *)future, waiter, true);
    }
    return fc_foreign_add_waiter(st, future, waiter);
}

int
fc_any_remove_waiter(fc_state *st, PyObject *future, PyObject *waiter)
{
    if (fc_is_future(st, future)) {
        return fc_future_remove_waiter(st, (FutureObject *)future, waiter);
    }
    return fc_foreign_remove_waiter(st, future, waiter);
}

int
fc_any_raised(fc_state *st, PyObject *future)
{
    if (Py_TYPE(future) == st->future_type) {
        FutureObject *f = (FutureObject *)future;
        bool has_exception;
        if (fc_future_open(st, f) < 0) {
            return -1; /* what cannot be unpickled is an exception, too */
        }
        FC_LOCK(f);
        has_exception = fc_future_peek_exception(f) != NULL;
        FC_UNLOCK();
        return has_exception && fc_future_load_state(f) == FC_FINISHED;
    }
    PyObject *cancelled =
        PyObject_CallMethodNoArgs(future, st->str_cancelled);
    int is_cancelled = cancelled != NULL ? PyObject_IsTrue(cancelled) : -1;
    Py_XDECREF(cancelled);
    if (is_cancelled != 0) {
        return is_cancelled < 0 ? -1 : 0;
    }
    PyObject *exception =
        PyObject_CallMethodNoArgs(future, st->str_exception);
    if (exception == NULL) {
        return -1;
    }
    int raised = exception != Py_None;
    Py_DECREF(exception);
    return raised;
}
