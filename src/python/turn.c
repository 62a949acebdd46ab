/* turn.c - see turn.h. */
#include "python/turn.h"

/* One part of the switch interval, in nanoseconds. */
static int64_t
ask_for_part(fc_state *st)
{
    double interval = 0.005;
    PyObject *seconds = PyObject_CallNoArgs(st->getswitchinterval);
    if (seconds != NULL) {
        interval = PyFloat_AsDouble(seconds);
        Py_DECREF(seconds);
    }
    PyErr_Clear();
    return (int64_t)(interval * 1e9 / FC_TURN_PARTS) + 1;
}

bool
fc_turn_look(fc_state *st, fc_turn *turn)
{
    if (turn->part == 0) {
        turn->part = ask_for_part(st);
    }
    bool is_due = fc_now_ns() - turn->began >= turn->part;
    if (is_due) {
        turn->batch = turn->batch > 1 ? turn->batch / 2 : 1;
    }
    else if (turn->batch < FC_TURN_TASKS_MAX) {
        turn->batch *= 2;
    }
    turn->tasks = turn->batch;
    return is_due;
}

void
fc_turn_pass(fc_state *st, fc_turn *turn)
{
    PyObject *none = PyObject_CallNoArgs(st->switch_point);
    if (none == NULL) {
        /* An asynchronous exception that was meant for a task. */
        fc_log_exception(st, "critical", "Exception in worker", NULL);
    }
    Py_XDECREF(none);
    turn->began = fc_now_ns();
}
