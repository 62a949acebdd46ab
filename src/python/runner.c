/* runner.c - one task, from the queue to its result. */
#include "python/runner.h"
#include "python/map.h"
#include "python/task.h"

/* Call what the future carries. */
static PyObject *
call_task(fc_runner *runner, fc_task *task)
{
    if (!fc_task_is_there(task)) {
        /* Let go of when the future was cancelled or ended by hand; then it
         * was made pending again. */
        PyErr_SetNone(runner->st->cancelled_error);
        return NULL;
    }
    if ((task->flags & FC_FUTURE_CONTEXT) == 0) {
        return fc_task_call(task);
    }
    if (runner->context == NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        "this task needs a worker context to run in");
        return NULL;
    }
    return PyObject_CallMethodOneArg(runner->context, runner->st->str_run,
                                     task->args[0]);
}

/* The next task, if it was reserved together with the end of the last. */
typedef struct {
    fc_runner *runner;
    void *next;
    bool defer;    /* not yet: code may run afterwards */
    bool reserved; /* it was; `next` NULL: the worker counts as idle */
} reservation;

/* What fc_future_finish() does right before the result becomes visible, when
 * nobody's code is going to run afterwards. */
static void
reserve_next(void *arg, bool alone)
{
    reservation *r = arg;
    if (alone && !r->defer) {
        r->reserved = true;
        r->next = fc_runner_next(r->runner);
    }
}

static void *
run_future(fc_runner *runner, FutureObject *f)
{
    fc_state *st = runner->st;
    fc_task task;
    int claimed = fc_future_claim(st, f, &task);
    if (claimed <= 0) {
        if (claimed < 0) {
            fc_log_exception(st, "critical", "Exception in worker", NULL);
        }
        Py_DECREF(f);
        return fc_runner_next_turn(runner, fc_runner_turn_is_due(runner));
    }
    PyObject *result = call_task(runner, &task);
    PyObject *exception = result == NULL ? fc_exception_take() : NULL;
    fc_task_drop(&task);
    if (fc_runner_has_forked(runner)) {
        /* The future is the parent's to end. */
        Py_XDECREF(result);
        Py_XDECREF(exception);
        Py_DECREF(f);
        return NULL;
    }

    bool turn_is_due = fc_runner_turn_is_due(runner);
    reservation r = {
        .runner = runner,
        /* Where ours is the last reference, dropping it may run code, too. */
        .defer = turn_is_due || Py_REFCNT(f) == 1,
    };
    int status = fc_future_surely_finish(st, f, result, exception, &runner->due,
                                  reserve_next, &r);
    Py_XDECREF(result);
    Py_XDECREF(exception);
    if (status < 0) {
        fc_log_exception(st, "critical", "Exception in worker", NULL);
    }
    if (r.reserved) {
        if (r.next != NULL) {
            fc_due_fire(&runner->due);
        }
        Py_DECREF(f);
        return r.next;
    }
    fc_due_fire(&runner->due);
    /* Also where it has ended but a foreign waiter has raised.  Not of one that
     * is pending again by now, or was not ended. */
    if (status <= 0 && fc_state_is_done(fc_future_load_state(f))
        && fc_future_run_callbacks(st, f) < 0) {
        fc_log_exception(st, "critical", "Exception in worker", NULL);
    }
    Py_DECREF(f);
    return fc_runner_next_turn(runner, turn_is_due);
}

/* What foreign code put into the queue: something with run(), or None, which
 * only wakes a worker up. */
static void *
run_object(fc_runner *runner, PyObject *object)
{
    if (object != Py_None) {
        PyObject *done =
            runner->context != NULL
                ? PyObject_CallMethodOneArg(object, runner->st->str_run,
                                            runner->context)
                : PyObject_CallMethodNoArgs(object, runner->st->str_run);
        if (done == NULL) {
            fc_log_exception(runner->st, "critical", "Exception in worker",
                             NULL);
        }
        Py_XDECREF(done);
    }
    Py_DECREF(object);
    return fc_runner_next_turn(runner, fc_runner_turn_is_due(runner));
}

void *
fc_runner_run(fc_runner *runner, void *item)
{
    PyObject *object = fc_item_object(item);
    switch (fc_item_kind_of(item)) {
    case FC_ITEM_FUTURE:
        return run_future(runner, (FutureObject *)object);
    case FC_ITEM_MAP:
        return fc_map_run(runner, (MapObject *)object);
    default:
        return run_object(runner, object);
    }
}
