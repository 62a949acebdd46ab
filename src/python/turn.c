/* turn.c - see turn.h. */
#include "python/turn.h"

void
fc_turn_begin(fc_state *st, fc_turn *turn)
{
    double interval = 0.005;
    PyObject *seconds = PyObject_CallNoArgs(st->getswitchinterval);
    if (seconds != NULL) {
        interval = PyFloat_AsDouble(seconds);
        Py_DECREF(seconds);
    }
    PyErr_Clear();
    turn->part = (int64_t)(interval * 1e9 / FC_TURN_PARTS) + 1;
    turn->began = fc_now_ns();
    turn->batch = turn->tasks = 1;
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
