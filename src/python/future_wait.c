/* future_wait.c - waiting for one future: result() and exception(). */
#include "python/foreign.h"
#include "python/future.h"
#include "python/hub.h"
#include "python/sealed.h"
#include "python/waiter.h"

#include "port/port.h"

/* --- a waiter in a future's slot ---------------------------------------------- */

int
fc_future_add_waiter(fc_state *st, FutureObject *f, PyObject *waiter,
                     bool settled)
{
    int added = 0;
    bool retry = false;
    bool in_condition_mode = false;
    PyObject *spare = NULL;
    /* Which ends it, where nobody else is going to. */
    (void)fc_future_state(st, f);
    do {
        if (retry && (spare = PyList_New(0)) == NULL) {
            return -1;
        }
        FC_LOCK(f);
        retry = false;
        int state = fc_future_load_state(f);
        if ((settled ? fc_state_is_settled(state) : fc_state_is_done(state))
            || (!settled && (f->holds & FC_HOLDS_CONDITION))) {
            /* Nothing to wait for; or in condition mode since the caller
             * looked: result() is told by the condition alone. */
        }
        else if (f->waiters == NULL) {
            f->waiters = Py_NewRef(waiter);
            added = 1;
        }
        else if (f->holds & FC_HOLDS_CONDITION) {
            in_condition_mode = true;
        }
        else if (spare == NULL && !PyList_CheckExact(f->waiters)) {
            retry = true;
        }
        else {
            added = fc_slot_make_list(&f->waiters, &spare) < 0
                            || PyList_Append(f->waiters, waiter) < 0
                        ? -1 : 1;
        }
        if (added > 0 && (fc_future_flags(f) & FC_FUTURE_SENT)) {
            fc_waiter_may_lead((WaiterObject *)waiter, f->fn);
        }
        FC_UNLOCK();
    } while (retry);
    Py_XDECREF(spare);
    if (in_condition_mode) {
        return fc_foreign_add_waiter(st, (PyObject *)f, waiter);
    }
    return added;
}

int
fc_future_remove_waiter(fc_state *st, FutureObject *f, PyObject *waiter)
{
    int status = 0;
    bool in_condition_mode = false;
    PyObject *old = NULL;
    FC_LOCK(f);
    if (f->waiters == waiter) {
        old = waiter;
        f->waiters = NULL;
    }
    else if (f->holds & FC_HOLDS_CONDITION) {
        in_condition_mode = true;
    }
    else if (f->waiters != NULL && PyList_CheckExact(f->waiters)) {
        status = fc_list_discard(f->waiters, waiter);
    }
    FC_UNLOCK();
    Py_XDECREF(old);
    if (in_condition_mode) {
        /* The standard class may be walking the list, under the condition. */
        return fc_foreign_remove_waiter(st, (PyObject *)f, waiter);
    }
    return status;
}

/* --- sleeping ------------------------------------------------------------------- */

/* In condition mode: one wait on the condition, as the standard result()
 * does; its caller looks at the state afterwards. */
static int
await_condition(fc_state *st, FutureObject *f, PyObject *condition,
                PyObject *timeout)
{
    PyObject *done = PyObject_CallMethodNoArgs(condition, st->str_acquire);
    if (done == NULL) {
        return -1;
    }
    Py_DECREF(done);
    int status = 0;
    if (!fc_state_is_done(fc_future_load_state(f))) {
        done = PyObject_CallMethod(condition, "wait", "O", timeout);
        status = done != NULL ? 0 : -1;
        Py_XDECREF(done);
    }
    PyObject *raised = status < 0 ? fc_exception_take() : NULL;
    done = PyObject_CallMethodNoArgs(condition, st->str_release);
    if (raised != NULL) {
        Py_XDECREF(done);
        fc_exception_restore(raised);
        return -1;
    }
    Py_XDECREF(done);
    if (done == NULL) {
        return -1;
    }
    return fc_state_is_done(fc_future_load_state(f));
}

/* What is left of a timeout after waiting natively. */
static PyObject *
seconds_until(int64_t deadline)
{
    if (deadline == FC_FOREVER) {
        return Py_NewRef(Py_None);
    }
    int64_t left = deadline - fc_now_ns();
    return PyFloat_FromDouble(left > 0 ? (double)left * 1e-9 : 0.0);
}

int
fc_future_await(fc_state *st, FutureObject *f, PyObject *timeout)
{
    if (fc_state_is_done(fc_future_state(st, f))) {
        return 1;
    }
    int64_t deadline;
    int positive = fc_deadline_from(st, timeout, &deadline);
    if (positive <= 0) {
        return positive;
    }
    PyObject *condition;
    FC_LOCK(f);
    condition = Py_XNewRef(fc_future_condition(f));
    FC_UNLOCK();
    if (condition == NULL) {
        WaiterObject *w = fc_waiter_new(st, FC_WAITER_RESULT);
        if (w == NULL) {
            return -1;
        }
        int woken = fc_future_add_waiter(st, f, (PyObject *)w, false);
        if (woken > 0) {
            woken = fc_waiter_sleep(st, w, deadline);
            PyObject *raised = woken < 0 ? fc_exception_take() : NULL;
            if (fc_future_remove_waiter(st, f, (PyObject *)w) < 0) {
                fc_exception_keep(&raised);
            }
            if (raised != NULL) {
                fc_exception_restore(raised);
                woken = -1;
            }
        }
        Py_DECREF(w);
        if (woken < 0) {
            return -1;
        }
        if (fc_state_is_done(fc_future_state(st, f))) {
            return 1;
        }
        FC_LOCK(f);
        condition = Py_XNewRef(fc_future_condition(f));
        FC_UNLOCK();
        if (condition == NULL) {
            return 0;
        }
    }
    /* Condition mode, from the beginning or since we fell asleep. */
    PyObject *left = seconds_until(deadline);
    int done = left != NULL ? await_condition(st, f, condition, left) : -1;
    Py_XDECREF(left);
    Py_DECREF(condition);
    return done;
}

/* --- result() and exception() ----------------------------------------------------- */

static int
parse_timeout(const char *method, PyObject *const *args, Py_ssize_t nargs,
              PyObject *kwnames, PyObject **timeout)
{
    Py_ssize_t named = kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0;
    *timeout = Py_None;
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        if (PyUnicode_CompareWithASCIIString(name, "timeout") != 0) {
            PyErr_Format(PyExc_TypeError,
                         "Future.%s() got an unexpected keyword argument "
                         "'%U'",
                         method, name);
            return -1;
        }
        if (nargs > 0) {
            PyErr_Format(PyExc_TypeError,
                         "Future.%s() got multiple values for argument "
                         "'timeout'",
                         method);
            return -1;
        }
    }
    if (nargs > 1) {
        PyErr_Format(PyExc_TypeError,
                     "Future.%s() takes from 1 to 2 positional arguments but "
                     "%zd were given",
                     method, nargs + 1);
        return -1;
    }
    if (nargs + named > 0) {
        *timeout = args[0];
    }
    return 0;
}

/* Wait; then 0 with the outcome in *result or *exception (new references,
 * one of them NULL), or -1 with CancelledError, TimeoutError or another
 * exception. */
static int
await_outcome(PyObject *self, PyObject *timeout, PyObject **result,
              PyObject **exception)
{
    fc_state *st = fc_state_of(self);
    FutureObject *f = (FutureObject *)self;
    int done = fc_future_await(st, f, timeout);
    if (done < 0) {
        return -1;
    }
    int state = fc_future_load_state(f);
    if (state == FC_FINISHED) {
        if (fc_future_open(st, f) < 0) {
            return -1;
        }
        FC_LOCK(f);
        *exception = Py_XNewRef(fc_future_peek_exception(f));
        *result =
            *exception == NULL ? Py_XNewRef(fc_future_peek_result(f)) : NULL;
        FC_UNLOCK();
        return 0;
    }
    PyErr_SetNone(fc_state_is_done(state) ? st->cancelled_error
                                          : PyExc_TimeoutError);
    return -1;
}

PyObject *
fc_future_result(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                 PyObject *kwnames)
{
    PyObject *timeout, *result, *exception;
    if (parse_timeout("result", args, nargs, kwnames, &timeout) < 0
        || await_outcome(self, timeout, &result, &exception) < 0) {
        return NULL;
    }
    if (exception == NULL) {
        return result != NULL ? result : Py_NewRef(Py_None);
    }
    if (PyExceptionInstance_Check(exception)) {
        /* As `raise` does: in the context of what is being handled. */
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    }
    else if (PyExceptionClass_Check(exception)) {
        PyErr_SetNone(exception);
    }
    else {
        PyErr_SetString(PyExc_TypeError,
                        "exceptions must derive from BaseException");
    }
    Py_DECREF(exception);
    return NULL;
}

PyObject *
fc_future_exception(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames)
{
    PyObject *timeout, *result, *exception;
    if (parse_timeout("exception", args, nargs, kwnames, &timeout) < 0
        || await_outcome(self, timeout, &result, &exception) < 0) {
        return NULL;
    }
    Py_XDECREF(result);
    return exception != NULL ? exception : Py_NewRef(Py_None);
}
