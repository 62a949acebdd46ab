/* awaiter.c - see awaiter.h. */
#include "python/awaiter.h"
#include "python/loop.h"
#include "python/parse.h"

/* What is to be called at the end: one task, as a rule. */
typedef struct {
    PyObject *callback; /* NULL: nobody */
    PyObject *context;
} listener;

enum phase {
    FRESH,     /* nobody has asked yet */
    WAITING,   /* our future has the awaiter among its callbacks */
    ENDED,     /* our future has ended, and the listeners were told */
    CANCELLED, /* by its task */
};

typedef struct {
    PyObject_HEAD
    PyObject *future;
    PyObject *loop;    /* NULL before it waits */
    PyObject *message; /* of the cancellation, or NULL */
    listener first;
    PyObject *others;  /* list of (callback, context), or NULL */
    enum phase phase;
    bool blocking;     /* _asyncio_future_blocking */
} AwaiterObject;

/* --- the outcome --------------------------------------------------------- */

/* The current exception as asyncio has it. */
static void
convert_exception(fc_state *st)
{
    if (!PyErr_ExceptionMatches(st->base_error)
        && !PyErr_ExceptionMatches(PyExc_StopIteration)) {
        return;
    }
    PyObject *raised = fc_exception_take();
    PyObject *other = fc_asyncio_helper("convert", raised, Py_None);
    Py_DECREF(raised);
    if (other != NULL) {
        fc_exception_restore(other);
    }
}

static PyObject *
raise_cancelled(AwaiterObject *self)
{
    PyObject *exceptions = PyImport_ImportModule("asyncio.exceptions");
    PyObject *type = exceptions != NULL
                         ? PyObject_GetAttrString(exceptions, "CancelledError")
                         : NULL;
    Py_XDECREF(exceptions);
    if (type == NULL) {
        return NULL;
    }
    PyObject *error = self->message != NULL
                          ? PyObject_CallOneArg(type, self->message)
                          : PyObject_CallNoArgs(type);
    if (error != NULL) {
        PyErr_SetObject(type, error);
        Py_DECREF(error);
    }
    Py_DECREF(type);
    return NULL;
}

static PyObject *
raise_invalid_state(const char *text)
{
    PyObject *exceptions = PyImport_ImportModule("asyncio.exceptions");
    PyObject *type =
        exceptions != NULL
            ? PyObject_GetAttrString(exceptions, "InvalidStateError") : NULL;
    Py_XDECREF(exceptions);
    if (type != NULL) {
        PyErr_SetString(type, text);
        Py_DECREF(type);
    }
    return NULL;
}

static PyObject *
outcome_of(fc_state *st, AwaiterObject *self)
{
    if (self->phase == CANCELLED) {
        return raise_cancelled(self);
    }
    PyObject *result = fc_future_result(self->future, NULL, 0, NULL);
    if (result == NULL) {
        convert_exception(st);
    }
    return result;
}

/* --- telling ------------------------------------------------------------- */

static int
call_soon(fc_state *st, AwaiterObject *self, PyObject *callback,
          PyObject *context)
{
    PyObject *stack[] = {self->loop, callback, (PyObject *)self, context};
    PyObject *names = context != Py_None ? st->names_context : NULL;
    PyObject *handle = PyObject_VectorcallMethod(
        st->str_call_soon, stack, 3, names);
    Py_XDECREF(handle);
    return handle != NULL ? 0 : -1;
}

/* Call a listener as the loop's handle would. */
static int
call_now(fc_state *st, AwaiterObject *self, PyObject *callback,
         PyObject *context)
{
    if (!PyContext_CheckExact(context)) {
        return call_soon(st, self, callback, context);
    }
    if (PyContext_Enter(context) < 0) {
        /* Somebody is in it, below us on the stack. */
        PyErr_Clear();
        return call_soon(st, self, callback, context);
    }
    PyObject *none = PyObject_CallOneArg(callback, (PyObject *)self);
    PyObject *raised = none == NULL ? fc_exception_take() : NULL;
    Py_XDECREF(none);
    if (PyContext_Exit(context) < 0) {
        PyErr_WriteUnraisable(context);
    }
    if (raised != NULL) {
        fc_exception_restore(raised);
        return -1;
    }
    return 0;
}

static int
tell(fc_state *st, AwaiterObject *self, bool soon)
{
    int (*call)(fc_state *, AwaiterObject *, PyObject *, PyObject *) =
        soon ? call_soon : call_now;
    listener first = self->first;
    PyObject *others = self->others;
    self->first = (listener){NULL, NULL};
    self->others = NULL;
    int status = 0;
    if (first.callback != NULL) {
        status = call(st, self, first.callback, first.context);
        Py_DECREF(first.callback);
        Py_DECREF(first.context);
    }
    /* Not by whoever the first one has let go on. */
    for (Py_ssize_t i = 0; others != NULL && i < PyList_GET_SIZE(others);
         i++) {
        PyObject *raised = status < 0 ? fc_exception_take() : NULL;
        PyObject *pair = PyList_GET_ITEM(others, i);
        if (call_soon(st, self, PyTuple_GET_ITEM(pair, 0),
                      PyTuple_GET_ITEM(pair, 1))
            < 0) {
            status = -1;
        }
        if (raised != NULL) {
            PyErr_Clear();
            fc_exception_restore(raised);
        }
    }
    Py_XDECREF(others);
    return status;
}

int
fc_awaiter_deliver(fc_state *st, PyObject *op, bool soon)
{
    AwaiterObject *self = (AwaiterObject *)op;
    if (self->phase != WAITING) {
        return 0;
    }
    self->phase = ENDED;
    return tell(st, self, soon);
}

PyObject *
fc_awaiter_loop(PyObject *op)
{
    return Py_XNewRef(((AwaiterObject *)op)->loop);
}

/* --- the iterator -------------------------------------------------------- */

/* Go and wait: PYGEN_NEXT with itself, which is what a task is to wait for. */
static PySendResult
begin_to_wait(fc_state *st, AwaiterObject *self, PyObject **result)
{
    *result = NULL;
    self->loop = fc_running_loop(st);
    if (self->loop == Py_None) {
        PyErr_SetString(PyExc_RuntimeError, "no running event loop");
        Py_CLEAR(self->loop);
    }
    if (self->loop == NULL) {
        return PYGEN_ERROR;
    }
    self->phase = WAITING;
    int added = fc_future_add_callback(st, (FutureObject *)self->future,
                                       (PyObject *)self);
    if (added == 0) {
        /* It has just ended. */
        (void)fc_loop_post(st, (PyObject *)self, self->future);
    }
    if (added < 0) {
        return PYGEN_ERROR;
    }
    self->blocking = true;
    *result = Py_NewRef(self);
    return PYGEN_NEXT;
}

static PySendResult
awaiter_am_send(PyObject *op, PyObject *Py_UNUSED(value), PyObject **result)
{
    AwaiterObject *self = (AwaiterObject *)op;
    fc_state *st = fc_state_of_exact(Py_TYPE(op));
    *result = NULL;
    if (st == NULL || self->future == NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        "cannot reuse already awaited future");
        return PYGEN_ERROR;
    }
    if (self->phase == FRESH) {
        if (!fc_state_is_done(
                fc_future_state(st, (FutureObject *)self->future))) {
            return begin_to_wait(st, self, result);
        }
        self->phase = ENDED;
    }
    if (self->phase == WAITING) {
        PyErr_SetString(PyExc_RuntimeError, "await wasn't used with future");
        return PYGEN_ERROR;
    }
    *result = outcome_of(st, self);
    Py_CLEAR(self->future);
    return *result != NULL ? PYGEN_RETURN : PYGEN_ERROR;
}

/* An iterator's way to say what am_send returns. */
static PyObject *
as_iterator(PySendResult status, PyObject *result)
{
    if (status == PYGEN_RETURN) {
        /* Made here: a tuple would be taken for its arguments. */
        PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, result);
        Py_DECREF(result);
        if (stop != NULL) {
            PyErr_SetObject(PyExc_StopIteration, stop);
            Py_DECREF(stop);
        }
        return NULL;
    }
    return result;
}

static PyObject *
awaiter_tp_iternext(PyObject *self)
{
    PyObject *result;
    PySendResult status = awaiter_am_send(self, Py_None, &result);
    return as_iterator(status, result);
}

static PyObject *
awaiter_send(PyObject *self, PyObject *value)
{
    PyObject *result;
    PySendResult status = awaiter_am_send(self, value, &result);
    return as_iterator(status, result);
}

/* As a generator's: throw(value), or throw(type[, value[, traceback]]). */
static PyObject *
awaiter_throw(PyObject *Py_UNUSED(self), PyObject *args)
{
    PyObject *type, *value = NULL, *traceback = NULL;
    if (!PyArg_UnpackTuple(args, "throw", 1, 3, &type, &value, &traceback)) {
        return NULL;
    }
    if (PyExceptionInstance_Check(type)
        && (value == NULL || value == Py_None)) {
        value = Py_NewRef(type);
    }
    else if (PyExceptionClass_Check(type)) {
        if (value != NULL && PyExceptionInstance_Check(value)) {
            Py_INCREF(value);
        }
        else {
            value = value == NULL || value == Py_None
                        ? PyObject_CallNoArgs(type)
                        : PyObject_CallOneArg(type, value);
        }
    }
    else {
        PyErr_SetString(PyExc_TypeError,
                        "exceptions must be classes or instances deriving "
                        "from BaseException");
        return NULL;
    }
    if (value == NULL) {
        return NULL;
    }
    if (traceback != NULL && traceback != Py_None
        && PyException_SetTraceback(value, traceback) < 0) {
        Py_DECREF(value);
        return NULL;
    }
    fc_exception_restore(value);
    return NULL;
}

static PyObject *
awaiter_close(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored))
{
    Py_RETURN_NONE;
}

/* --- the future of a task ------------------------------------------------ */

static PyObject *
awaiter_get_loop(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    PyObject *loop = ((AwaiterObject *)op)->loop;
    return Py_NewRef(loop != NULL ? loop : Py_None);
}

static PyObject *
awaiter_done(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(((AwaiterObject *)op)->phase >= ENDED);
}

static PyObject *
awaiter_cancelled(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    AwaiterObject *self = (AwaiterObject *)op;
    if (self->phase == ENDED && self->future != NULL) {
        return PyObject_CallMethod(self->future, "cancelled", NULL);
    }
    return PyBool_FromLong(self->phase == CANCELLED);
}

/* Whether the outcome can be told; else an exception. */
static bool
is_done(AwaiterObject *self)
{
    if (self->phase < ENDED) {
        raise_invalid_state("Result is not ready.");
    }
    else if (self->future == NULL) {
        raise_invalid_state("Result was taken already.");
    }
    return self->phase >= ENDED && self->future != NULL;
}

static PyObject *
awaiter_result(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    AwaiterObject *self = (AwaiterObject *)op;
    fc_state *st = fc_state_of_exact(Py_TYPE(op));
    return st != NULL && is_done(self) ? outcome_of(st, self) : NULL;
}

static PyObject *
awaiter_exception(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    AwaiterObject *self = (AwaiterObject *)op;
    fc_state *st = fc_state_of_exact(Py_TYPE(op));
    if (st == NULL || !is_done(self)) {
        return NULL;
    }
    PyObject *result = outcome_of(st, self);
    if (result != NULL) {
        Py_DECREF(result);
        Py_RETURN_NONE;
    }
    PyObject *cancelled = awaiter_cancelled(op, NULL);
    if (cancelled == Py_True) {
        Py_DECREF(cancelled);
        return NULL;
    }
    Py_XDECREF(cancelled);
    return fc_exception_take();
}

static PyObject *
awaiter_add_done_callback(PyObject *op, PyObject *const *args,
                          Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"fn", "context"};
    AwaiterObject *self = (AwaiterObject *)op;
    fc_state *st = fc_state_of_exact(Py_TYPE(op));
    PyObject *values[] = {NULL, Py_None};
    if (st == NULL
        || fc_parse("add_done_callback", names, 2, 1, args, nargs, kwnames,
                    values)
               < 0) {
        return NULL;
    }
    PyObject *context = values[1] != Py_None ? Py_NewRef(values[1])
                                             : PyContext_CopyCurrent();
    if (context == NULL) {
        return NULL;
    }
    int status = 0;
    if (self->phase >= ENDED && self->loop != NULL) {
        status = call_soon(st, self, values[0], context);
    }
    else if (self->first.callback == NULL && self->others == NULL) {
        self->first.callback = Py_NewRef(values[0]);
        self->first.context = Py_NewRef(context);
    }
    else {
        PyObject *pair = PyTuple_Pack(2, values[0], context);
        if (self->others == NULL) {
            self->others = PyList_New(0);
        }
        status = pair != NULL && self->others != NULL
                     ? PyList_Append(self->others, pair) : -1;
        Py_XDECREF(pair);
    }
    Py_DECREF(context);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
awaiter_remove_done_callback(PyObject *op, PyObject *fn)
{
    AwaiterObject *self = (AwaiterObject *)op;
    long removed = 0;
    if (self->first.callback != NULL) {
        int same = PyObject_RichCompareBool(self->first.callback, fn, Py_EQ);
        if (same < 0) {
            return NULL;
        }
        if (same > 0 && self->first.callback != NULL) {
            Py_CLEAR(self->first.callback);
            Py_CLEAR(self->first.context);
            removed++;
        }
    }
    PyObject *others = self->others != NULL
                           ? PyList_GetSlice(self->others, 0, PY_SSIZE_T_MAX)
                           : NULL;
    PyObject *kept = others != NULL ? PyList_New(0) : NULL;
    for (Py_ssize_t i = 0; kept != NULL && i < PyList_GET_SIZE(others); i++) {
        PyObject *pair = PyList_GET_ITEM(others, i);
        int same =
            PyObject_RichCompareBool(PyTuple_GET_ITEM(pair, 0), fn, Py_EQ);
        if (same < 0 || (same == 0 && PyList_Append(kept, pair) < 0)) {
            Py_CLEAR(kept);
        }
        else {
            removed += same;
        }
    }
    Py_XDECREF(others);
    if (kept != NULL) {
        Py_XSETREF(self->others, kept);
    }
    return PyErr_Occurred() ? NULL : PyLong_FromLong(removed);
}

/* The task's own cancellation.  The call is cancelled, unless it runs; the task
 * is told in any case. */
static PyObject *
awaiter_cancel(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
               PyObject *kwnames)
{
    static const char *const names[] = {"msg"};
    AwaiterObject *self = (AwaiterObject *)op;
    fc_state *st = fc_state_of_exact(Py_TYPE(op));
    PyObject *message = Py_None;
    if (st == NULL
        || fc_parse("cancel", names, 1, 0, args, nargs, kwnames, &message)
               < 0) {
        return NULL;
    }
    if (self->phase != WAITING) {
        Py_RETURN_FALSE;
    }
    self->phase = CANCELLED;
    Py_XSETREF(self->message, message != Py_None ? Py_NewRef(message) : NULL);
    int status = tell(st, self, true);
    PyObject *raised = status < 0 ? fc_exception_take() : NULL;
    PyObject *answer =
        PyObject_CallMethodNoArgs(self->future, st->str_cancel);
    if (raised != NULL) {
        Py_CLEAR(answer);
        PyErr_Clear();
        fc_exception_restore(raised);
    }
    Py_XDECREF(answer);
    return answer != NULL ? Py_NewRef(Py_True) : NULL;
}

static PyObject *
awaiter_get_blocking(PyObject *op, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((AwaiterObject *)op)->blocking);
}

static int
awaiter_set_blocking(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    int is_true = value != NULL ? PyObject_IsTrue(value) : 0;
    if (is_true < 0) {
        return -1;
    }
    ((AwaiterObject *)op)->blocking = is_true;
    return 0;
}

static PyObject *
awaiter_get_loop_attribute(PyObject *op, void *Py_UNUSED(closure))
{
    return awaiter_get_loop(op, NULL);
}

static PyObject *
awaiter_tp_repr(PyObject *op)
{
    AwaiterObject *self = (AwaiterObject *)op;
    if (self->future == NULL) {
        return PyUnicode_FromString("<await of a future that has ended>");
    }
    return PyUnicode_FromFormat(
        self->phase == CANCELLED ? "<cancelled await of %R>"
                                 : "<await of %R>",
        self->future);
}

/* As a callback of our future it is called only where its loop could not be
 * asked: there was no memory for it, and the loop is asked once more, to call it
 * with None; one that is closed wants to know nothing. */
static PyObject *
awaiter_tp_call(PyObject *op, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    fc_state *st = fc_state_of_exact(Py_TYPE(op));
    AwaiterObject *self = (AwaiterObject *)op;
    if (PyTuple_GET_SIZE(args) == 1 && PyTuple_GET_ITEM(args, 0) == Py_None) {
        return fc_awaiter_deliver(st, op, false) < 0 ? NULL : Py_NewRef(Py_None);
    }
    PyObject *stack[] = {self->loop, op, Py_None};
    PyObject *handle = self->loop != NULL
                           ? PyObject_VectorcallMethod(
                                 st->str_call_soon_threadsafe, stack, 3, NULL)
                           : Py_NewRef(Py_None);
    if (handle == NULL && PyErr_ExceptionMatches(PyExc_MemoryError)) {
        return NULL;
    }
    PyErr_Clear();
    Py_XDECREF(handle);
    Py_RETURN_NONE;
}

/* --- the type ------------------------------------------------------------ */

static int
awaiter_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    AwaiterObject *self = (AwaiterObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->future);
    Py_VISIT(self->loop);
    Py_VISIT(self->message);
    Py_VISIT(self->first.callback);
    Py_VISIT(self->first.context);
    Py_VISIT(self->others);
    return 0;
}

static int
awaiter_tp_clear(PyObject *op)
{
    AwaiterObject *self = (AwaiterObject *)op;
    Py_CLEAR(self->future);
    Py_CLEAR(self->loop);
    Py_CLEAR(self->message);
    Py_CLEAR(self->first.callback);
    Py_CLEAR(self->first.context);
    Py_CLEAR(self->others);
    return 0;
}

static void
awaiter_tp_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    (void)awaiter_tp_clear(op);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

PyObject *
fc_awaiter_new(fc_state *st, PyObject *future)
{
    AwaiterObject *self = PyObject_GC_New(AwaiterObject, st->awaiter_type);
    if (self == NULL) {
        return NULL;
    }
    memset((char *)self + sizeof(PyObject), 0,
           sizeof(AwaiterObject) - sizeof(PyObject));
    self->future = Py_NewRef(future);
    PyObject_GC_Track((PyObject *)self);
    return (PyObject *)self;
}

#define FAST(function) \
    (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS

static PyMethodDef awaiter_methods[] = {
    {"send", awaiter_send, METH_O, NULL},
    {"throw", awaiter_throw, METH_VARARGS, NULL},
    {"close", awaiter_close, METH_NOARGS, NULL},
    {"get_loop", awaiter_get_loop, METH_NOARGS, NULL},
    {"done", awaiter_done, METH_NOARGS, NULL},
    {"cancelled", awaiter_cancelled, METH_NOARGS, NULL},
    {"result", awaiter_result, METH_NOARGS, NULL},
    {"exception", awaiter_exception, METH_NOARGS, NULL},
    {"add_done_callback", FAST(awaiter_add_done_callback), NULL},
    {"remove_done_callback", awaiter_remove_done_callback, METH_O, NULL},
    {"cancel", FAST(awaiter_cancel), NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef awaiter_getset[] = {
    {"_asyncio_future_blocking", awaiter_get_blocking, awaiter_set_blocking,
     NULL, NULL},
    {"_loop", awaiter_get_loop_attribute, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot awaiter_slots[] = {
    {Py_tp_dealloc, awaiter_tp_dealloc},
    {Py_tp_traverse, awaiter_tp_traverse},
    {Py_tp_clear, awaiter_tp_clear},
    {Py_tp_repr, awaiter_tp_repr},
    {Py_tp_call, awaiter_tp_call},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, awaiter_tp_iternext},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, awaiter_am_send},
    {Py_tp_methods, awaiter_methods},
    {Py_tp_getset, awaiter_getset},
    {0, NULL},
};

static PyType_Spec awaiter_spec = {
    .name = "futures_c._native.awaiter",
    .basicsize = sizeof(AwaiterObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = awaiter_slots,
};

int
fc_awaiter_init(PyObject *module, fc_state *st)
{
    st->awaiter_type = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &awaiter_spec, NULL);
    st->names_context = Py_BuildValue("(s)", "context");
    return st->awaiter_type != NULL && st->names_context != NULL ? 0 : -1;
}
