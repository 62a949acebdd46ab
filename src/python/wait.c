/* wait.c - the function wait(): many futures, one sleep. */
#include "python/foreign.h"
#include "python/parse.h"
#include "python/waiter.h"

#include "port/port.h"

/* DoneAndNotDoneFutures(done, fs - done); steals `done`. */
static PyObject *
wait_outcome(fc_state *st, PyObject *fs, PyObject *done)
{
    PyObject *not_done = PyNumber_Subtract(fs, done);
    PyObject *outcome = NULL;
    if (not_done != NULL) {
        outcome = PyObject_CallFunctionObjArgs(st->done_and_not_done, done,
                                               not_done, NULL);
        Py_DECREF(not_done);
    }
    Py_DECREF(done);
    return outcome;
}

/* Sort `all`, a list, into settled ones, added to `done`, and the others,
 * of which a new list is returned. */
static PyObject *
wait_sort(fc_state *st, PyObject *all, PyObject *done)
{
    PyObject *pending = PyList_New(0);
    for (Py_ssize_t i = 0; pending != NULL && i < PyList_GET_SIZE(all); i++) {
        PyObject *future = PyList_GET_ITEM(all, i);
        int settled = fc_any_settled(st, future);
        int status = settled < 0   ? -1
                     : settled > 0 ? PySet_Add(done, future)
                                   : PyList_Append(pending, future);
        if (status < 0) {
            Py_CLEAR(pending);
        }
    }
    return pending;
}

/* Is what is done already enough?  1, 0, or -1. */
static int
wait_satisfied(fc_state *st, PyObject *all, PyObject *done,
               Py_ssize_t pending, PyObject *return_when)
{
    if (pending == 0) {
        return 1;
    }
    if (PySet_GET_SIZE(done) == 0) {
        return 0;
    }
    int first = PyObject_RichCompareBool(return_when, st->first_completed,
                                         Py_EQ);
    if (first != 0) {
        return first;
    }
    int exception = PyObject_RichCompareBool(return_when, st->first_exception,
                                             Py_EQ);
    if (exception <= 0) {
        return exception;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(all); i++) {
        PyObject *future = PyList_GET_ITEM(all, i);
        int is_done = PySet_Contains(done, future);
        int raised = is_done > 0 ? fc_any_raised(st, future) : is_done;
        if (raised != 0) {
            return raised;
        }
    }
    return 0;
}

static WaiterObject *
wait_make_waiter(fc_state *st, PyObject *return_when, Py_ssize_t pending)
{
    static const enum fc_waiter_kind kinds[] = {
        FC_WAITER_FIRST, FC_WAITER_ALL_OR_EXCEPTION, FC_WAITER_ALL,
    };
    PyObject *const conditions[] = {
        st->first_completed, st->first_exception, st->all_completed,
    };
    for (int i = 0; i < 3; i++) {
        int equal =
            PyObject_RichCompareBool(return_when, conditions[i], Py_EQ);
        if (equal < 0) {
            return NULL;
        }
        if (equal) {
            WaiterObject *w = fc_waiter_new(st, kinds[i]);
            if (w != NULL) {
                w->pending = pending;
            }
            return w;
        }
    }
    PyErr_Format(PyExc_ValueError, "Invalid return condition: %R",
                 return_when);
    return NULL;
}

/* Register with all of `pending`, sleep, take the waiter off again.  0, or
 * -1 with an exception; what ended is in w->finished. */
static int
wait_for(fc_state *st, WaiterObject *w, PyObject *pending, PyObject *timeout)
{
    int status = 0;
    Py_ssize_t count = PyList_GET_SIZE(pending);
    Py_ssize_t registered = 0;
    for (; status == 0 && registered < count; registered++) {
        PyObject *future = PyList_GET_ITEM(pending, registered);
        int added = fc_any_add_waiter(st, future, (PyObject *)w);
        if (added == 0) {
            /* It ended since we looked: as if it had told us. */
            fc_due due = {0};
            int raised = fc_any_raised(st, future);
            fc_waiter_notify(w, future, raised > 0, &due);
            fc_due_fire(&due);
            status = raised < 0 ? -1 : 0;
        }
        else if (added < 0) {
            status = -1;
        }
    }
    int64_t deadline;
    if (status == 0) {
        status = fc_deadline_from(st, timeout, &deadline);
        if (status > 0) {
            status = fc_waiter_sleep(st, w, deadline);
        }
    }
    PyObject *raised = status < 0 ? fc_exception_take() : NULL;
    for (Py_ssize_t i = 0; i < registered; i++) {
        PyObject *future = PyList_GET_ITEM(pending, i);
        if (fc_any_remove_waiter(st, future, (PyObject *)w) < 0) {
            /* The next ones are locked by Python code, which must not find
             * an exception set. */
            fc_exception_keep(&raised);
        }
    }
    if (raised != NULL) {
        fc_exception_restore(raised);
        return -1;
    }
    return 0;
}

static PyObject *
wait_in_set(fc_state *st, PyObject *fs, PyObject *timeout,
            PyObject *return_when)
{
    PyObject *outcome = NULL;
    PyObject *pending = NULL;
    WaiterObject *w = NULL;
    PyObject *done = PySet_New(NULL);
    PyObject *all = done != NULL ? PySequence_List(fs) : NULL;
    if (all == NULL) {
        goto done;
    }
    pending = wait_sort(st, all, done);
    if (pending == NULL) {
        goto done;
    }
    Py_ssize_t count = PyList_GET_SIZE(pending);
    int satisfied = wait_satisfied(st, all, done, count, return_when);
    if (satisfied == 0) {
        w = wait_make_waiter(st, return_when, count);
        if (w == NULL || wait_for(st, w, pending, timeout) < 0) {
            goto done;
        }
        PyObject *finished;
        FC_LOCK(w);
        finished = w->finished;
        w->finished = NULL;
        FC_UNLOCK();
        PyObject *more =
            PyObject_CallMethodOneArg(done, st->str_update, finished);
        Py_DECREF(finished);
        if (more == NULL) {
            goto done;
        }
        Py_DECREF(more);
    }
    if (satisfied >= 0) {
        outcome = wait_outcome(st, fs, Py_NewRef(done));
    }
done:
    Py_XDECREF(w);
    Py_XDECREF(pending);
    Py_XDECREF(all);
    Py_XDECREF(done);
    return outcome;
}

PyObject *
fc_wait(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
        PyObject *kwnames)
{
    static const char *const names[] = {"fs", "timeout", "return_when"};
    fc_state *st = fc_state_of_module(module);
    PyObject *values[3] = {NULL, Py_None, st->all_completed};
    if (fc_parse("wait", names, 3, 1, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    PyObject *fs = PySet_New(values[0]);
    if (fs == NULL) {
        return NULL;
    }
    PyObject *outcome = wait_in_set(st, fs, values[1], values[2]);
    Py_DECREF(fs);
    return outcome;
}
