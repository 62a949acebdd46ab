/* future_steps.c - the transitions of a future's state.
 *
 * Each follows the same order: move what is needed out of the object under
 * its lock, make the new state visible, leave the lock, and only then tell
 * waiters, let objects die and run callbacks, all of which may run other
 * people's code. */
#include "python/foreign.h"
#include "python/future.h"
#include "python/hub.h"
#include "python/task.h"
#include "python/waiter.h"

#include "port/port.h"

/* --- condition mode: the standard class does it, under the condition -------- */

static PyObject *
std_method(fc_state *st, FutureObject *f, const char *name, PyObject *arg)
{
    /* The function of the standard class, not ours which calls it. */
    return PyObject_CallMethod((PyObject *)st->std_future, name,
                               arg != NULL ? "OO" : "O", (PyObject *)f, arg);
}

/* Tell the waiters of a future that cancel() has ended.  With the standard
 * module a worker does it and logs what a waiter raises; cancel() goes on.
 * Returns what no `except Exception` catches, to be raised at the end. */
static PyObject *
tell_cancelled(fc_state *st, PyObject *waiters, FutureObject *f, fc_due *due)
{
    if (fc_notify_waiters(st, waiters, f, st->str_add_cancelled, due) == 0) {
        return NULL;
    }
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return fc_exception_take();
    }
    fc_log_exception(st, "critical", "Exception in worker", NULL);
    return NULL;
}

/* Run the callbacks and raise `raised` (NULL: nothing), or return 1. */
static int
end_cancel(fc_state *st, FutureObject *f, PyObject *raised)
{
    if (fc_future_invoke_callbacks(st, f) < 0) {
        fc_exception_keep(&raised);
    }
    if (raised != NULL) {
        fc_exception_restore(raised);
        return -1;
    }
    return 1;
}

/* Wake who sleeps under the condition, which the caller has acquired. */
static void
notify_all(fc_state *st, PyObject *condition, PyObject **raised)
{
    PyObject *done = PyObject_CallMethodNoArgs(condition, st->str_notify_all);
    if (done == NULL) {
        fc_exception_keep(raised);
    }
    Py_XDECREF(done);
}

/* cancel() of a queued future in condition mode: one step where the
 * standard class takes two. */
static int
cancel_under_condition(fc_state *st, FutureObject *f, PyObject *condition)
{
    fc_due due = {0};
    fc_task task = {0};
    int state;
    PyObject *raised = NULL;
    PyObject *waiters = NULL;
    if (!fc_condition_acquire(st, condition)) {
        return -1;
    }
    FC_LOCK(f);
    state = fc_future_load_state(f);
    if (state == FC_PENDING) {
        fc_task_take(f, &task);
        atomic_store_explicit(&f->state, FC_NOTIFIED, memory_order_release);
        waiters = Py_XNewRef(fc_future_waiters(f));
    }
    FC_UNLOCK();
    if (state == FC_PENDING) {
        raised = tell_cancelled(st, waiters, f, &due);
        Py_XDECREF(waiters);
        notify_all(st, condition, &raised);
    }
    fc_condition_release(st, condition, &raised);
    fc_due_fire(&due);
    fc_task_drop(&task);
    if (state == FC_PENDING) {
        return end_cancel(st, f, raised);
    }
    if (raised != NULL) {
        fc_exception_restore(raised);
        return -1;
    }
    return fc_state_is_done(state) && state != FC_FINISHED;
}

/* --- claim ------------------------------------------------------------------- */

/* Under the lock, and in condition mode under the condition: RUNNING, or the
 * second step of a cancel() that has done the first.  Returns the state that
 * it was in; the task of a future that is RUNNING already is left alone. */
static int
claim_step(FutureObject *f, fc_task *task, PyObject **waiters)
{
    int state = fc_future_load_state(f);
    if (state == FC_PENDING) {
        atomic_store_explicit(&f->state, FC_RUNNING, memory_order_release);
    }
    else if (state == FC_CANCELLED) {
        atomic_store_explicit(&f->state, FC_NOTIFIED, memory_order_release);
        *waiters = Py_XNewRef(fc_future_waiters(f));
    }
    if (state != FC_RUNNING) {
        fc_task_take(f, task);
    }
    return state;
}

int
fc_future_claim(fc_state *st, FutureObject *f, fc_task *task)
{
    fc_due due = {0};
    PyObject *raised = NULL;
    PyObject *waiters = NULL;
    PyObject *condition;
    int state;
    *task = (fc_task){0};
    FC_LOCK(f);
    state = fc_future_load_state(f);
    condition = Py_XNewRef(fc_future_condition(f));
    if (condition == NULL || fc_state_is_settled(state)) {
        state = claim_step(f, task, &waiters);
    }
    FC_UNLOCK();
    bool under_condition = condition != NULL && !fc_state_is_settled(state);
    if (under_condition) {
        if (!fc_condition_acquire(st, condition)) {
            if (!PyErr_ExceptionMatches(PyExc_MemoryError)) {
                Py_DECREF(condition);
                return -1;
            }
            /* Without it, then: nobody else would ever run the task. */
            PyErr_Clear();
            under_condition = false;
        }
        FC_LOCK(f);
        state = claim_step(f, task, &waiters);
        FC_UNLOCK();
    }
    if (state == FC_CANCELLED
        && fc_notify_waiters(st, waiters, f, st->str_add_cancelled, &due)
               < 0) {
        fc_exception_keep(&raised);
    }
    if (under_condition) {
        fc_condition_release(st, condition, &raised);
    }
    Py_XDECREF(waiters);
    Py_XDECREF(condition);
    fc_due_fire(&due);
    if (state != FC_PENDING) {
        fc_task_drop(task);
    }
    if (raised != NULL) {
        fc_exception_restore(raised);
        if (state != FC_PENDING) {
            return -1;
        }
        /* By the condition.  It runs all the same: nobody else would. */
        fc_log_exception(st, "critical", "Exception in worker", NULL);
    }
    return state == FC_PENDING;
}

/* --- telling ------------------------------------------------------------------ */

static int
notify_one(fc_state *st, PyObject *waiter, FutureObject *f,
           PyObject *outcome, fc_due *due)
{
    if (fc_is_waiter(st, waiter)) {
        fc_waiter_notify((WaiterObject *)waiter, (PyObject *)f,
                         outcome == st->str_add_exception, due);
        return 0;
    }
    PyObject *told =
        PyObject_CallMethodOneArg(waiter, outcome, (PyObject *)f);
    Py_XDECREF(told);
    return told != NULL ? 0 : -1;
}

int
fc_notify_waiters(fc_state *st, PyObject *waiters, FutureObject *f,
                  PyObject *outcome, fc_due *due)
{
    if (waiters == NULL) {
        return 0;
    }
    if (!PyList_Check(waiters)) {
        return notify_one(st, waiters, f, outcome, due);
    }
    /* Those who are told take themselves off the list: a copy is walked.  Not
     * in the order of the list but all the same: without memory for one, the
     * list itself from its end, where a removal makes nobody be passed over. */
    PyObject *copy = PyList_GetSlice(waiters, 0, PY_SSIZE_T_MAX);
    if (copy == NULL) {
        PyErr_Clear();
    }
    PyObject *list = copy != NULL ? copy : waiters;
    Py_ssize_t count = PyList_GET_SIZE(list);
    PyObject *raised = NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *waiter = fc_list_get(list, copy != NULL ? i : count - 1 - i);
        if (waiter == NULL) {
            PyErr_Clear(); /* the list has become shorter */
            continue;
        }
        if (notify_one(st, waiter, f, outcome, due) < 0) {
            /* The others are told all the same. */
            fc_exception_keep(&raised);
        }
        Py_DECREF(waiter);
    }
    Py_XDECREF(copy);
    if (raised != NULL) {
        fc_exception_restore(raised);
        return -1;
    }
    return 0;
}

/* Take the waiters off a future that has ended.  Not in condition mode. */
static PyObject *
take_waiters(FutureObject *f)
{
    PyObject *waiters = f->waiters;
    f->waiters = NULL;
    return waiters;
}

/* --- finish -------------------------------------------------------------------- */

static int
raise_invalid_state(fc_state *st, FutureObject *f, int state)
{
    PyErr_Format(st->invalid_state_error, "%U: %R", st->state_names[state],
                 (PyObject *)f);
    return -1;
}

int
fc_future_finish(fc_state *st, FutureObject *f, PyObject *result,
                 PyObject *exception, fc_due *due,
                 fc_before_visible *before, void *arg)
{
    PyObject *outcome = result != NULL ? result : exception;
    PyObject *waiters = NULL;
    PyObject *old_outcome = NULL;
    fc_task task = {0};
    bool in_condition_mode = false;
    int state;
    /* Which ends it, where nobody else is going to. */
    (void)fc_future_state(st, f);
    if (PyObject_IS_GC(outcome)) {
        /* Of a type that can be part of a cycle, now or later. */
        fc_future_track(f);
    }
    FC_LOCK(f);
    state = fc_future_load_state(f);
    if (fc_state_is_done(state)) {
        /* Without the condition, which in a forked child nobody may ever give
         * back. */
    }
    else if (f->holds & FC_HOLDS_CONDITION) {
        in_condition_mode = true;
    }
    else {
        old_outcome = f->outcome;
        if (result != NULL) {
            f->outcome = fc_ref_give(result);
            f->holds = 0;
        }
        else {
            /* None stands for no exception in the standard class too. */
            bool none = exception == Py_None;
            f->outcome = none ? NULL : fc_ref_give(exception);
            f->holds = none ? 0 : FC_HOLDS_EXCEPTION;
        }
        waiters = take_waiters(f);
        if (state == FC_PENDING || (fc_future_flags(f) & FC_FUTURE_SENT)) {
            /* By somebody else, before a worker came to it; or of a process
             * pool. */
            fc_task_take(f, &task);
        }
        if (before != NULL) {
            before(arg, f->callbacks == NULL
                            && (waiters == NULL || fc_is_waiter(st, waiters)));
        }
        atomic_store_explicit(&f->state, FC_FINISHED, memory_order_release);
    }
    FC_UNLOCK();
    if (in_condition_mode) {
        PyObject *none = std_method(
            st, f, result != NULL ? "set_result" : "set_exception", outcome);
        Py_XDECREF(none);
        return none != NULL ? 1 : -1;
    }
    if (fc_state_is_done(state)) {
        return raise_invalid_state(st, f, state);
    }
    Py_XDECREF(old_outcome);
    fc_task_drop(&task);
    int status = 0;
    if (waiters != NULL) {
        status = fc_notify_waiters(
            st, waiters, f,
            result != NULL ? st->str_add_result : st->str_add_exception, due);
        Py_DECREF(waiters);
    }
    return status;
}

/* End a future in condition mode of which the standard class has not, for lack of
 * memory.  Its waiters are told, and who sleeps under the condition if there is
 * memory for that.  Raises what is raised, and returns -1. */
static int
finish_without_memory(fc_state *st, FutureObject *f, PyObject *result,
                      PyObject *exception, fc_due *due)
{
    PyObject *raised = fc_exception_take();
    PyObject *old_outcome = NULL, *condition = NULL, *waiters = NULL;
    fc_task task = {0};
    FC_LOCK(f);
    if (!fc_state_is_done(fc_future_load_state(f))) {
        old_outcome = f->outcome;
        f->outcome = fc_ref_give(result != NULL ? result : exception);
        f->holds &= FC_HOLDS_CONDITION;
        f->holds |= result != NULL ? 0 : FC_HOLDS_EXCEPTION;
        condition = Py_XNewRef(fc_future_condition(f));
        waiters = Py_XNewRef(fc_future_waiters(f));
        fc_task_take(f, &task);
        atomic_store_explicit(&f->state, FC_FINISHED, memory_order_release);
    }
    FC_UNLOCK();
    Py_XDECREF(old_outcome);
    fc_task_drop(&task);
    if (fc_notify_waiters(
            st, waiters, f,
            result != NULL ? st->str_add_result : st->str_add_exception, due)
        < 0) {
        fc_exception_keep(&raised);
    }
    Py_XDECREF(waiters);
    if (condition != NULL && fc_condition_acquire(st, condition)) {
        notify_all(st, condition, &raised);
        fc_condition_release(st, condition, &raised);
    }
    else if (condition != NULL) {
        fc_exception_keep(&raised);
    }
    Py_XDECREF(condition);
    fc_exception_restore(raised);
    return -1;
}

int
fc_future_surely_finish(fc_state *st, FutureObject *f, PyObject *result,
                        PyObject *exception, fc_due *due,
                        fc_before_visible *before, void *arg)
{
    int status = fc_future_finish(st, f, result, exception, due, before, arg);
    if (status < 0 && PyErr_ExceptionMatches(PyExc_MemoryError)) {
        status = finish_without_memory(st, f, result, exception, due);
    }
    return status;
}

static bool
asks(PyObject *waiter)
{
    return ((WaiterObject *)waiter)->kind == FC_WAITER_ALL_OR_EXCEPTION;
}

/* Whether somebody waits who has to know whether it has raised. */
static bool
asks_for_exceptions(PyObject *waiters)
{
    if (waiters == NULL) {
        return false;
    }
    if (!PyList_Check(waiters)) {
        return asks(waiters);
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(waiters); i++) {
        if (asks(PyList_GET_ITEM(waiters, i))) {
            return true;
        }
    }
    return false;
}

int
fc_future_deliver(fc_state *st, FutureObject *f, PyObject *outcome,
                  unsigned holds, fc_due *due)
{
    int status = 0;
    PyObject *waiters = NULL;
    PyObject *old = NULL;
    fc_task task = {0};
    if (PyObject_IS_GC(outcome)) {
        fc_future_track(f);
    }
    FC_LOCK(f);
    if (fc_state_is_done(fc_future_load_state(f))) {
        status = 2;
    }
    else if (f->callbacks != NULL || (f->holds & FC_HOLDS_CONDITION)
             || ((holds & FC_HOLDS_SEALED)
                 && asks_for_exceptions(f->waiters))) {
        status = 1;
    }
    else {
        old = f->outcome;
        f->outcome = fc_ref_give(outcome);
        f->holds = (uint8_t)holds;
        waiters = take_waiters(f);
        fc_task_take(f, &task);
        atomic_store_explicit(&f->state, FC_FINISHED, memory_order_release);
    }
    FC_UNLOCK();
    Py_XDECREF(old);
    fc_task_drop(&task);
    if (waiters != NULL) {
        /* All of them are ours: nothing is raised. */
        (void)fc_notify_waiters(st, waiters, f,
                                holds & FC_HOLDS_EXCEPTION
                                    ? st->str_add_exception
                                    : st->str_add_result,
                                due);
        Py_DECREF(waiters);
    }
    return status;
}

/* --- cancel -------------------------------------------------------------------- */

int
fc_future_cancel(fc_state *st, FutureObject *f)
{
    fc_task task = {0};
    fc_due due = {0};
    PyObject *condition = NULL;
    PyObject *waiters = NULL;
    bool queued;
    int state = fc_future_state(st, f);
    if (fc_state_is_done(state)) {
        /* Also in a forked child, where nobody may ever give the condition
         * back. */
        return state != FC_FINISHED;
    }
    unsigned flags = fc_future_flags(f);
    if ((flags & FC_FUTURE_SENT)
        && (state == FC_PENDING || (flags & FC_FUTURE_BATCH))
        && !fc_hub_withdraw(f)) {
        /* A worker has it; or it has ended, or somebody else has withdrawn
         * it, meanwhile. */
        state = fc_future_load_state(f);
        if ((fc_future_flags(f) & FC_FUTURE_SENT)
            || fc_state_is_done(state)) {
            return state == FC_CANCELLED || state == FC_NOTIFIED;
        }
    }
    FC_LOCK(f);
    state = fc_future_load_state(f);
    queued = (fc_future_flags(f) & FC_FUTURE_QUEUED) != 0;
    condition = Py_XNewRef(fc_future_condition(f));
    if (condition != NULL) {
        /* Under the condition. */
    }
    else if (state == FC_PENDING && queued) {
        fc_task_take(f, &task);
        waiters = take_waiters(f);
        atomic_store_explicit(&f->state, FC_NOTIFIED, memory_order_release);
    }
    else if (state == FC_PENDING) {
        /* wait() and as_completed() are told by
         * set_running_or_notify_cancel(); result() and exception() now. */
        if (f->waiters != NULL && !PyList_CheckExact(f->waiters)) {
            if (((WaiterObject *)f->waiters)->kind == FC_WAITER_RESULT) {
                fc_due_add(&due, fc_group_ref(
                                     ((WaiterObject *)f->waiters)->group));
            }
        }
        else if (f->waiters != NULL) {
            fc_waiters_release_sleepers(st, f->waiters, &due);
        }
        atomic_store_explicit(&f->state, FC_CANCELLED, memory_order_release);
    }
    FC_UNLOCK();
    if (condition != NULL) {
        int status;
        if (queued) {
            status = cancel_under_condition(st, f, condition);
        }
        else {
            PyObject *cancelled = std_method(st, f, "cancel", NULL);
            status = cancelled == NULL ? -1 : cancelled == Py_True;
            Py_XDECREF(cancelled);
        }
        Py_DECREF(condition);
        return status;
    }
    if (state != FC_PENDING) {
        return state == FC_CANCELLED || state == FC_NOTIFIED;
    }
    PyObject *raised = tell_cancelled(st, waiters, f, &due);
    Py_XDECREF(waiters);
    fc_due_fire(&due);
    fc_task_drop(&task);
    return end_cancel(st, f, raised);
}
