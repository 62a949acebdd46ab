/* future_callbacks.c - add_done_callback(), and calling what it added.
 *
 * A single callback is kept as it is, more of them in a list.  Whoever reads or
 * assigns `_done_callbacks` sees that list, and from then on the future is in
 * condition mode until it has ended.
 */
#include "python/foreign.h"
#include "python/future.h"
#include "python/loop.h"
#include "python/waiter.h"

/* In condition mode, where others may have the list and hold its lock
 * for long: as in the standard class it changes under the condition.  Returns
 * as fc_future_add_callback(). */
static int
add_callback_under_condition(fc_state *st, FutureObject *f,
                             PyObject *condition, PyObject *fn)
{
    PyObject *spare = PyList_New(0);
    if (spare == NULL || !fc_condition_acquire(st, condition)) {
        Py_XDECREF(spare);
        return -1;
    }
    PyObject *raised = NULL;
    PyObject *list = NULL;
    int added = 0;
    FC_LOCK(f);
    if (!fc_state_is_done(fc_future_load_state(f))) {
        added = fc_slot_make_list(&f->callbacks, &spare) < 0 ? -1 : 1;
        list = added > 0 ? Py_NewRef(f->callbacks) : NULL;
    }
    FC_UNLOCK();
    if (added < 0 || (added > 0 && PyList_Append(list, fn) < 0)) {
        fc_exception_keep(&raised);
    }
    fc_condition_release(st, condition, &raised);
    Py_XDECREF(list);
    Py_XDECREF(spare);
    if (raised != NULL) {
        fc_exception_restore(raised);
        return -1;
    }
    return added;
}

int
fc_future_add_callback(fc_state *st, FutureObject *f, PyObject *fn)
{
    PyObject *spare = NULL;
    PyObject *condition;
    int added;
    bool retry = false;
    if (fc_state_is_done(fc_future_state(st, f))) {
        return 0;
    }
    fc_future_track(f);
    do {
        if (retry && (spare = PyList_New(0)) == NULL) {
            return -1;
        }
        FC_LOCK(f);
        retry = false;
        added = !fc_state_is_done(fc_future_load_state(f));
        condition = added ? Py_XNewRef(fc_future_condition(f)) : NULL;
        if (!added || condition != NULL) {
            /* It ended meanwhile; or see above. */
        }
        else if (f->callbacks == NULL && !PyList_CheckExact(fn)) {
            f->callbacks = Py_NewRef(fn);
        }
        else if (spare == NULL
                 && (f->callbacks == NULL
                     || !PyList_CheckExact(f->callbacks))) {
            retry = true;
        }
        else if (fc_slot_make_list(&f->callbacks, &spare) < 0
                 || PyList_Append(f->callbacks, fn) < 0) {
            added = -1;
        }
        FC_UNLOCK();
    } while (retry);
    Py_XDECREF(spare);
    if (condition != NULL) {
        added = add_callback_under_condition(st, f, condition, fn);
        Py_DECREF(condition);
    }
    return added;
}

/* With `done` only those of a future that is. */
static PyObject *
take_callbacks(FutureObject *f, bool done)
{
    PyObject *callbacks = NULL;
    FC_LOCK(f);
    if (!done || fc_state_is_done(fc_future_load_state(f))) {
        callbacks = f->callbacks;
        f->callbacks = NULL;
    }
    FC_UNLOCK();
    return callbacks;
}

static int
call_callbacks(fc_state *st, FutureObject *f, PyObject *callbacks)
{
    int status = 0;
    bool many = PyList_CheckExact(callbacks);
    /* The size is read again each time: as with the standard class, a
     * callback that was appended to `_done_callbacks` meanwhile is called. */
    for (Py_ssize_t i = 0;
         status == 0 && i < (many ? PyList_GET_SIZE(callbacks) : 1); i++) {
        PyObject *callback =
            many ? fc_list_get(callbacks, i) : Py_NewRef(callbacks);
        PyObject *ignored = NULL;
        if (callback != NULL) {
            ignored = fc_loop_post(st, callback, (PyObject *)f)
                          ? Py_NewRef(Py_None)
                          : PyObject_CallOneArg(callback, (PyObject *)f);
        }
        if (ignored == NULL) {
            if (PyErr_ExceptionMatches(PyExc_Exception)) {
                fc_log_exception(st, "exception",
                                 "exception calling callback for %r",
                                 (PyObject *)f);
            }
            else {
                status = -1;
            }
        }
        Py_XDECREF(ignored);
        Py_XDECREF(callback);
    }
    return status;
}

int
fc_future_run_callbacks(fc_state *st, FutureObject *f)
{
    int status = 0;
    PyObject *callbacks = take_callbacks(f, false);
    while (callbacks != NULL) {
        status = call_callbacks(st, f, callbacks);
        Py_DECREF(callbacks);
        /* One of them may have put another into a list that is new. */
        callbacks = status == 0 ? take_callbacks(f, true) : NULL;
    }
    return status;
}

int
fc_future_invoke_callbacks(fc_state *st, FutureObject *f)
{
    if (Py_TYPE(f) == st->future_type) {
        return fc_future_run_callbacks(st, f);
    }
    PyObject *none =
        PyObject_CallMethodNoArgs((PyObject *)f, st->str__invoke_callbacks);
    Py_XDECREF(none);
    return none != NULL ? 0 : -1;
}
