/* interpreter.c - a call in another interpreter, and its result.
 *
 * One Interpreter belongs to one worker thread, which makes it and runs every
 * call in it, and has a thread state on either side.  A call goes
 *
 *     here   write the call: a number for a function that went over
 *            before, plain values as they are, the rest pickled
 *     there  read it, call, write the result
 *     here   read that
 *
 * and the thread has one GIL at a time: while it is there, others run here.
 * No object is ever seen from both sides, but bytes are: what a side has
 * pickled is read by the other one where it is, and let go of by the side
 * that has made it.
 *
 * The order of events is that of the standard pool: what is submitted is
 * looked at when its turn comes.
 */
#include "python/crossing.h"
#include "python/remembered.h"
#include "python/gil.h"

#include "port/port.h"

#include <string.h>

/* A result of more bytes than this is let go of at once, which takes another
 * change of sides; else with the next call. */
#define KEEP_MAX 65536

typedef struct {
    PyObject_HEAD
    PyThreadState *inside;   /* NULL before enter() and after leave() */
    unsigned long thread;    /* whose that is */
    uint32_t generation;     /* of the process that it is in */
    bool busy;               /* a call runs, or it begins or ends; see claim() */
    PyObject *home;          /* bytes; there.home is in it */
    fc_crossing_tools here;
    fc_sent_functions sent;
    /* Objects of the other side. */
    fc_crossing_tools there;
    fc_known_functions known;
    bool learnt;             /* the call's function has got a number there */
    PyObject *caller;        /* do_call() */
    fc_crossing reply;       /* the last one: read here, cleared there */
} InterpreterObject;

/* --- here: the call ------------------------------------------------------ */

/* *whole: what is pickled, (args, kwargs) or the task; NULL: nothing is.
 * *fresh: the function, if it gets a number with this call. */
static int
put_call(InterpreterObject *self, fc_crossing *call, PyObject *task,
         PyObject **whole, fc_sent_function *fresh)
{
    *whole = NULL;
    *fresh = (fc_sent_function){NULL, NULL};
    if (!PyTuple_Check(task) || PyTuple_GET_SIZE(task) != 3
        || !PyTuple_CheckExact(PyTuple_GET_ITEM(task, 1))
        || !PyDict_CheckExact(PyTuple_GET_ITEM(task, 2))) {
        PyErr_SetString(PyExc_TypeError,
                        "a task is a tuple (fn, args, kwargs)");
        return -1;
    }
    PyObject *fn = PyTuple_GET_ITEM(task, 0);
    PyObject *args = PyTuple_GET_ITEM(task, 1);
    PyObject *kwargs = PyTuple_GET_ITEM(task, 2);
    int64_t number = fc_sent_number(&self->sent, fn);
    if (number < 0) {
        return -1;
    }
    call->number = (uint32_t)number;
    if (number > 0 && PyDict_GET_SIZE(kwargs) == 0) {
        int put = fc_crossing_put_plain(call, args);
        if (put != 0) {
            return put;
        }
    }
    call->with_function = number == 0;
    if (number == 0) {
        call->number = fc_sent_next(&self->sent, fn, fresh);
    }
    *whole = number == 0 ? Py_NewRef(task) : PyTuple_Pack(2, args, kwargs);
    return *whole == NULL
               ? -1
               : fc_crossing_put_object(call, &self->here,
                                        number == 0 ? "pack_call" : "pack",
                                        *whole);
}

/* What could not be read there, with the code of functions in place of their
 * names: their module may be one that cannot be imported there.  1; 0: that
 * makes no difference; -1 with an exception. */
static int
put_call_again(InterpreterObject *self, fc_crossing *call, PyObject *whole)
{
    int status = fc_crossing_put_packed(call, &self->here, "pack_code", whole);
    return status < 0 ? -1 : call->size > 0;
}

/* --- there --------------------------------------------------------------- */

static int
take_call(InterpreterObject *self, const fc_crossing *call, PyObject **fn,
          PyObject **args, PyObject **kwargs)
{
    *fn = *args = *kwargs = NULL;
    PyObject *read = fc_crossing_get_object(call, &self->there);
    if (read == NULL) {
        return -1;
    }
    if (call->kind == FC_CROSSING_PLAIN) {
        *fn = fc_known_get(&self->known, call->number);
        *args = read;
        return 0;
    }
    Py_ssize_t count = call->with_function ? 3 : 2;
    if (!PyTuple_CheckExact(read) || PyTuple_GET_SIZE(read) != count
        || !PyTuple_CheckExact(PyTuple_GET_ITEM(read, count - 2))
        || !PyDict_CheckExact(PyTuple_GET_ITEM(read, count - 1))) {
        Py_DECREF(read);
        PyErr_SetString(PyExc_TypeError, "this is no call");
        return -1;
    }
    *fn = call->with_function ? Py_NewRef(PyTuple_GET_ITEM(read, 0))
                              : fc_known_get(&self->known, call->number);
    *args = Py_NewRef(PyTuple_GET_ITEM(read, count - 2));
    *kwargs = Py_NewRef(PyTuple_GET_ITEM(read, count - 1));
    Py_DECREF(read);
    if (call->with_function && call->number > 0) {
        fc_known_set(&self->known, call->number, *fn);
        self->learnt = true;
    }
    return 0;
}

/* The function that calls all others: of builtins some ask whoever calls them for
 * his global names, and who traces wants to see a caller.  As in the standard
 * module, but of the interpreter's __main__. */
static PyObject *
make_caller(void)
{
    PyObject *function = NULL;
    PyObject *main = PyImport_AddModule("__main__"); /* borrowed */
    PyObject *names = main != NULL ? PyDict_New() : NULL;
    PyObject *code =
        names != NULL ? Py_CompileString(
                            "def do_call(func, args, kwargs={}):\n"
                            "    return func(*args, **kwargs)\n",
                            "<futures_c.interpreter>", Py_file_input)
                      : NULL;
    PyObject *none =
        code != NULL ? PyEval_EvalCode(code, PyModule_GetDict(main), names)
                     : NULL;
    if (none != NULL) {
        function = PyMapping_GetItemString(names, "do_call");
    }
    Py_XDECREF(none);
    Py_XDECREF(code);
    Py_XDECREF(names);
    return function;
}

/* In a context of its own: each call of the standard pool has a thread state of
 * its own, so what one sets the next one does not see. */
static PyObject *
call_afresh(InterpreterObject *self, PyObject *fn, PyObject *args,
            PyObject *kwargs)
{
    if (self->caller == NULL && (self->caller = make_caller()) == NULL) {
        return NULL;
    }
    PyObject *context = PyContext_New();
    if (context == NULL || PyContext_Enter(context) < 0) {
        Py_XDECREF(context);
        return NULL;
    }
    PyObject *result = PyObject_CallFunctionObjArgs(self->caller, fn, args,
                                                    kwargs, NULL);
    PyObject *raised = result == NULL ? fc_exception_take() : NULL;
    if (PyContext_Exit(context) < 0) {
        PyErr_WriteUnraisable(context);
    }
    Py_DECREF(context);
    if (raised != NULL) {
        fc_exception_restore(raised);
    }
    return result;
}

static void
put_result(InterpreterObject *self, fc_crossing *reply, PyObject *result)
{
    int put = fc_crossing_put_plain(reply, result);
    if (put == 0) {
        put = fc_crossing_put_object(reply, &self->there, "pack_result",
                                     result);
    }
    if (put < 0) {
        fc_crossing_put_error(reply, FC_CROSSING_UNSENDABLE, NULL);
    }
}

static void
put_exception(InterpreterObject *self, fc_crossing *reply)
{
    PyObject *exception = fc_exception_take();
    PyObject *described =
        fc_crossing_call(&self->there, "describe", exception);
    if (described == NULL
        || fc_crossing_put_bytes(reply, FC_CROSSING_RAISED, described) < 0) {
        fc_crossing_put_error(reply, FC_CROSSING_UNSENDABLE, exception);
    }
    Py_XDECREF(described);
    Py_DECREF(exception);
}

static void
answer(InterpreterObject *self, const fc_crossing *call)
{
    fc_crossing *reply = &self->reply;
    PyObject *fn, *args, *kwargs;
    fc_crossing_clear(reply);
    if (take_call(self, call, &fn, &args, &kwargs) < 0) {
        fc_crossing_put_error(reply, FC_CROSSING_UNREADABLE, NULL);
        return;
    }
    PyObject *result = call_afresh(self, fn, args, kwargs);
    Py_DECREF(fn);
    Py_DECREF(args);
    Py_XDECREF(kwargs);
    if (result != NULL) {
        put_result(self, reply, result);
        Py_DECREF(result);
    }
    else {
        put_exception(self, reply);
    }
}

/* --- from here to there and back ----------------------------------------- */

static PyThreadState *
go_there(fc_state *st, InterpreterObject *self)
{
    PyThreadState *outside = fc_gil_release(st);
    PyEval_RestoreThread(self->inside);
    return outside;
}

static void
come_back(PyThreadState *outside)
{
    (void)PyEval_SaveThread();
    PyEval_RestoreThread(outside);
}

/* What the result is: a new reference, or NULL with the call's exception. */
static PyObject *
read_reply(InterpreterObject *self, const fc_crossing *reply)
{
    PyObject *text = NULL, *exception = NULL;
    if (reply->kind <= FC_CROSSING_PACKED) {
        PyObject *result = fc_crossing_get_object(reply, &self->here);
        if (result != NULL) {
            return result;
        }
        PyObject *why = fc_exception_take();
        exception = fc_crossing_call(&self->here, "spoiled", why);
        Py_DECREF(why);
    }
    else if (reply->kind == FC_CROSSING_RAISED) {
        exception =
            fc_crossing_call_with_bytes(reply, &self->here, NULL, "revive");
    }
    else if ((text = PyUnicode_DecodeUTF8((const char *)reply->bytes,
                                          (Py_ssize_t)reply->size,
                                          "replace")) != NULL) {
        exception = fc_crossing_call(
            &self->here,
            reply->kind == FC_CROSSING_UNREADABLE ? "unreadable" : "unsendable",
            text);
        Py_DECREF(text);
    }
    if (exception != NULL && !PyExceptionInstance_Check(exception)) {
        Py_CLEAR(exception);
        PyErr_SetString(PyExc_TypeError, "this is no exception");
    }
    if (exception != NULL) {
        fc_exception_restore(exception);
    }
    return NULL;
}

static int
check_usable(InterpreterObject *self)
{
    if (self->inside == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "there is no interpreter");
    }
    else if (self->generation != fc_fork_generation()) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the interpreter belongs to the parent process");
    }
    else if (self->thread != PyThread_get_thread_ident()) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the interpreter belongs to another thread");
    }
    else {
        return 0;
    }
    return -1;
}

/* Nobody else calls in it, begins or ends it until unclaim(), also while this
 * thread is without a GIL or has that of the other side.  0, or -1 with an exception:
 * somebody does, maybe this thread itself. */
static int
claim(InterpreterObject *self)
{
    bool busy;
    FC_LOCK(self);
    busy = self->busy;
    self->busy = true;
    FC_UNLOCK();
    if (busy) {
        PyErr_SetString(PyExc_RuntimeError, "the interpreter is running");
        return -1;
    }
    return 0;
}

static void
unclaim(InterpreterObject *self)
{
    FC_LOCK(self);
    self->busy = false;
    FC_UNLOCK();
}

static PyObject *
interpreter_run(PyObject *op, PyObject *task)
{
    InterpreterObject *self = (InterpreterObject *)op;
    fc_state *st = fc_state_of(op);
    /* Reducers may run, but they are not to come back here.  Looked at again: it
     * may have been ended meanwhile. */
    if (check_usable(self) < 0 || claim(self) < 0) {
        return NULL;
    }
    if (check_usable(self) < 0) {
        unclaim(self);
        return NULL;
    }
    fc_crossing call;
    fc_crossing_init(&call);
    PyObject *result = NULL, *whole;
    fc_sent_function fresh;
    PyThreadState *outside;
    self->learnt = false;
    if (put_call(self, &call, task, &whole, &fresh) < 0) {
        PyObject *why = fc_exception_take();
        PyObject *pair = PyTuple_Pack(2, task, why);
        PyObject *refusal =
            pair != NULL ? fc_crossing_call(&self->here, "refuse", pair) : NULL;
        Py_XDECREF(pair);
        Py_DECREF(why);
        if (refusal != NULL) {
            fc_exception_restore(refusal);
        }
        goto done;
    }
    outside = go_there(st, self);
    answer(self, &call);
    come_back(outside);
    if (self->reply.kind == FC_CROSSING_UNREADABLE && whole != NULL) {
        int again = put_call_again(self, &call, whole);
        if (again < 0) {
            goto done;
        }
        if (again > 0) {
            outside = go_there(st, self);
            answer(self, &call);
            come_back(outside);
        }
    }
    if (self->learnt && fc_sent_note(&self->sent, &fresh) < 0) {
        /* Then it is sent anew the next time. */
        PyErr_Clear();
    }
    result = read_reply(self, &self->reply);
    if (fc_crossing_weight(&self->reply) > KEEP_MAX) {
        PyObject *raised = result == NULL ? fc_exception_take() : NULL;
        outside = go_there(st, self);
        fc_crossing_clear(&self->reply);
        come_back(outside);
        if (raised != NULL) {
            fc_exception_restore(raised);
        }
    }
done:
    unclaim(self);
    Py_XDECREF(whole);
    fc_sent_function_clear(&fresh);
    fc_crossing_clear(&call);
    return result;
}

/* --- its beginning and its end ------------------------------------------- */

/* End the interpreter, with everything in it.  Any thread may. */
static void
interpreter_end(InterpreterObject *self)
{
    PyThreadState *inside = self->inside;
    if (inside == NULL) {
        return;
    }
    self->inside = NULL;
    if (self->generation != fc_fork_generation() || fc_is_finalizing()) {
        /* It stayed in the parent, or has been ended. */
        memset(&self->there, 0, sizeof(self->there));
        fc_crossing_init(&self->reply);
        self->caller = NULL;
        return;
    }
    PyThreadState *outside = PyEval_SaveThread();
    if (self->thread != PyThread_get_thread_ident()) {
        PyThreadState *other = inside;
        inside = PyThreadState_New(PyThreadState_GetInterpreter(other));
        if (inside == NULL) {
            /* There is no memory to end it with. */
            PyEval_RestoreThread(outside);
            return;
        }
        PyEval_RestoreThread(inside);
        PyThreadState_Clear(other);
        PyThreadState_Delete(other);
    }
    else {
        PyEval_RestoreThread(inside);
    }
    fc_crossing_clear(&self->reply);
    Py_CLEAR(self->caller);
    fc_known_clear(&self->known);
    fc_crossing_tools_clear(&self->there);
    Py_EndInterpreter(inside);
    PyEval_RestoreThread(outside);
}

/* Make one.  0, or -1 with an exception. */
static int
interpreter_begin(InterpreterObject *self, PyObject *home)
{
    if (self->inside != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "there is an interpreter already");
        return -1;
    }
    PyObject *path;
    if (!PyUnicode_FSConverter(home, &path)) {
        return -1;
    }
    Py_XSETREF(self->home, path);
    if (fc_sent_begin(&self->sent) < 0) {
        return -1;
    }
    PyThreadState *outside = PyThreadState_Get();
    PyThreadState *inside = NULL;
    const char *trouble = fc_interpreter_new(&inside);
    if (trouble != NULL) {
        PyErr_SetString(PyExc_RuntimeError, trouble);
        return -1;
    }
    self->inside = inside;
    self->thread = PyThread_get_thread_ident();
    self->generation = fc_fork_generation();
    fc_crossing_tools_begin(&self->there, PyBytes_AS_STRING(path));
    fc_crossing_init(&self->reply);
    come_back(outside);
    return 0;
}

static PyObject *
interpreter_enter(PyObject *op, PyObject *home)
{
    InterpreterObject *self = (InterpreterObject *)op;
    if (claim(self) < 0) {
        return NULL;
    }
    int status = interpreter_begin(self, home);
    unclaim(self);
    return status == 0 ? Py_NewRef(Py_None) : NULL;
}

static PyObject *
interpreter_leave(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    InterpreterObject *self = (InterpreterObject *)op;
    if (claim(self) < 0) {
        return NULL;
    }
    interpreter_end(self);
    fc_sent_clear(&self->sent);
    unclaim(self);
    Py_RETURN_NONE;
}

/* --- the type ------------------------------------------------------------ */

static int
interpreter_tp_traverse(PyObject *op, visitproc visit, void *arg)
{
    InterpreterObject *self = (InterpreterObject *)op;
    Py_VISIT(Py_TYPE(op));
    int status = fc_sent_traverse(&self->sent, visit, arg);
    if (status != 0) {
        return status;
    }
    Py_VISIT(self->here.crossing);
    return 0;
}

static int
interpreter_tp_clear(PyObject *op)
{
    fc_sent_clear(&((InterpreterObject *)op)->sent);
    return 0;
}

static void
interpreter_tp_dealloc(PyObject *op)
{
    InterpreterObject *self = (InterpreterObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    /* A context of somebody's own that he has not finalized. */
    interpreter_end(self);
    fc_sent_clear(&self->sent);
    Py_CLEAR(self->home);
    fc_crossing_tools_clear(&self->here);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef interpreter_methods[] = {
    {"_enter", interpreter_enter, METH_O,
     "_enter($self, home, /)\n--\n\n"
     "Make an interpreter with a GIL of its own, for this thread.  home is\n"
     "the directory that the package futures_c is in."},
    {"run", interpreter_run, METH_O,
     "run($self, task, /)\n--\n\n"
     "Call a task, (fn, args, kwargs), in the interpreter; return or raise\n"
     "what it returns or raises.  In the thread that has entered."},
    {"_leave", interpreter_leave, METH_NOARGS,
     "_leave($self, /)\n--\n\n"
     "End the interpreter, if there is one."},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(interpreter_doc,
"The native half of futures_c.interpreter.WorkerContext; not for direct use.");

static PyType_Slot interpreter_slots[] = {
    {Py_tp_doc, (void *)interpreter_doc},
    {Py_tp_dealloc, interpreter_tp_dealloc},
    {Py_tp_traverse, interpreter_tp_traverse},
    {Py_tp_clear, interpreter_tp_clear},
    {Py_tp_methods, interpreter_methods},
    {0, NULL},
};

static PyType_Spec interpreter_spec = {
    .name = "futures_c._native.Interpreter",
    .basicsize = sizeof(InterpreterObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = interpreter_slots,
};

int
fc_interpreter_init(PyObject *module, fc_state *st)
{
    st->interpreter_type = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &interpreter_spec, NULL);
    return st->interpreter_type == NULL
           ? -1 : PyModule_AddType(module, st->interpreter_type);
}
