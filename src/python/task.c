/* task.c - storing and calling tasks; see task.h. */
#include "python/task.h"

int
fc_task_store(FutureObject *f, PyObject *fn, PyObject *const *args,
              Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t named = kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0;
    Py_ssize_t total = nargs + named;
    if (total + (named > 0) <= FC_INLINE_ARGS) {
        for (Py_ssize_t i = 0; i < total; i++) {
            f->args[i] = fc_ref_give(args[i]);
        }
        f->nargs = (uint8_t)total;
    }
    else {
        PyObject *values = PyTuple_New(total);
        if (values == NULL) {
            return -1;
        }
        for (Py_ssize_t i = 0; i < total; i++) {
            PyTuple_SET_ITEM(values, i, fc_ref_give(args[i]));
        }
        f->args[0] = fc_ref_hand_over(values);
        f->nargs = FC_ARGS_IN_TUPLE;
    }
    f->fn = fc_ref_give(fn);
    if (named > 0) {
        f->args[FC_INLINE_ARGS - 1] = fc_ref_give(kwnames);
        fc_future_set_flags(f, fc_future_flags(f) | FC_FUTURE_NAMED);
    }
    return 0;
}

PyObject *
fc_task_call(fc_task *task)
{
    PyObject *kwnames = task->flags & FC_FUTURE_NAMED
                            ? task->args[FC_INLINE_ARGS - 1] : NULL;
    size_t named = kwnames != NULL ? (size_t)PyTuple_GET_SIZE(kwnames) : 0;
    if (task->nargs == FC_ARGS_IN_TUPLE) {
        PyObject *values = task->args[0];
        size_t total = (size_t)PyTuple_GET_SIZE(values);
        return PyObject_Vectorcall(task->fn,
                                   ((PyTupleObject *)values)->ob_item,
                                   total - named, kwnames);
    }
    /* The free slot in front lets a bound method put its self there. */
    PyObject *stack[1 + FC_INLINE_ARGS];
    stack[0] = NULL;
    for (int i = 0; i < task->nargs; i++) {
        stack[1 + i] = task->args[i];
    }
    return PyObject_Vectorcall(
        task->fn, stack + 1,
        ((size_t)task->nargs - named) | PY_VECTORCALL_ARGUMENTS_OFFSET,
        kwnames);
}
