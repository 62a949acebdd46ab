/* worker_end.c - the type WorkerEnd: a worker process's loop, from a request to
 * its reply.  What surrounds it is Python: futures_c/process.py. */
#include "python/calls.h"
#include "python/hub.h"
#include "python/region.h"

#include "ipc/responder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of free blocks that a worker keeps for its next large replies. */
#define KEEP (UINT64_C(1) << 28)

/* Longer replies are copied without the GIL. */
#define DETACH_FROM 4096

typedef struct {
    PyObject_HEAD
    struct fc_responder responder;
    struct fc_returns returns; /* blocks that tasks have let go of */
    PyObject **functions;      /* by number; NULL: not met yet */
    uint32_t generation;       /* fc_fork_generation() of the worker */
    uint32_t start;            /* see ipc/admission.h */
    bool attached;
    _Atomic(bool) interrupted;
} WorkerEndObject;

/* Whether a task has forked, and this is the child: what is to be answered is
 * the worker's to answer. */
static bool
has_forked(const WorkerEndObject *end)
{
    return end->generation != fc_fork_generation();
}

static PyObject *
end_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"fd", "seat", "start", "ring_fd", NULL};
    int fd, ring;
    unsigned int seat, start;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iIIi", names, &fd, &seat,
                                     &start, &ring)) {
        return NULL;
    }
    WorkerEndObject *end = (WorkerEndObject *)type->tp_alloc(type, 0);
    if (end == NULL) {
        return NULL;
    }
    fc_returns_init(&end->returns);
    end->generation = fc_fork_generation();
    end->start = start;
    atomic_init(&end->interrupted, false);
    end->functions =
        PyMem_Calloc(FC_FUNCTIONS_MAX + 1, sizeof(PyObject *));
    if (end->functions == NULL) {
        Py_DECREF(end);
        return PyErr_NoMemory();
    }
    int error = fc_responder_attach(&end->responder, fd, seat, ring, KEEP);
    if (error != 0) {
        Py_DECREF(end);
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    end->attached = true;
    return (PyObject *)end;
}

static int
end_tp_traverse(PyObject *self, visitproc visit, void *arg)
{
    WorkerEndObject *end = (WorkerEndObject *)self;
    Py_VISIT(Py_TYPE(self));
    for (int i = 0; end->functions && i <= FC_FUNCTIONS_MAX; i++) {
        Py_VISIT(end->functions[i]);
    }
    return 0;
}

static int
end_tp_clear(PyObject *self)
{
    WorkerEndObject *end = (WorkerEndObject *)self;
    for (int i = 0; end->functions && i <= FC_FUNCTIONS_MAX; i++) {
        Py_CLEAR(end->functions[i]);
    }
    return 0;
}

static void
end_tp_dealloc(PyObject *self)
{
    WorkerEndObject *end = (WorkerEndObject *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)end_tp_clear(self);
    PyMem_Free(end->functions);
    if (end->attached && !has_forked(end)) {
        fc_returns_collect(&end->returns, &end->responder.blocks);
        fc_responder_detach(&end->responder);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

/* --- reading a request ---------------------------------------------------------- */

/* The function of a number: a borrowed reference, or NULL with whatever
 * unpickling it raised. */
static PyObject *
function_of(fc_state *st, WorkerEndObject *end, uint32_t number)
{
    if (number <= FC_FUNCTIONS_MAX && end->functions[number] != NULL) {
        return end->functions[number];
    }
    uint64_t size;
    const unsigned char *bytes =
        fc_function_bytes(&end->responder.segment, number, &size);
    if (bytes == NULL) {
        (void)fc_incoming_complain();
        return NULL;
    }
    fc_incoming in = fc_incoming_of(bytes, size);
    return end->functions[number] = fc_pickle_get(st, &in, NULL);
}

static void
drop_end(void *owner)
{
    Py_DECREF((PyObject *)owner);
}

/* Function and arguments of a request: new references.  0, or -1. */
static int
read_call(fc_state *st, WorkerEndObject *end, struct fc_job *job,
          PyObject **fn, PyObject **args, PyObject **kwargs)
{
    PyObject *region = NULL;
    const unsigned char *bytes = job->bytes;
    uint64_t size = job->size;
    *fn = *args = *kwargs = NULL;
    if (job->block.size > 0) {
        fc_region_home home = {&end->returns, drop_end, Py_NewRef(end)};
        region = fc_region_new(st, &end->responder.segment, &job->block, home);
        job->block.size = 0; /* the region's */
        if (region == NULL) {
            return -1;
        }
        bytes = fc_region_bytes(region, &size);
    }
    fc_incoming in = fc_incoming_of(bytes, size);
    int status = fc_call_get(st, &in, region, fn, args, kwargs);
    Py_XDECREF(region);
    if (status == 0 && *fn == NULL) {
        *fn = Py_XNewRef(function_of(st, end, job->function));
        status = *fn != NULL ? 0 : -1;
    }
    if (status < 0) {
        Py_CLEAR(*fn);
        Py_CLEAR(*args);
        Py_CLEAR(*kwargs);
    }
    return status;
}

/* --- writing a reply -------------------------------------------------------------- */

/* The exception that is set as a message, with its traceback as text.  Where
 * it cannot be pickled, what that raises takes its place, twice at most. */
static int
put_exception(fc_state *st, fc_outgoing *o)
{
    for (int i = 0; i < 3; i++) {
        PyObject *exception = fc_exception_take();
        PyObject *wrapped = fc_process_helper(
            st, i < 2 ? "_wrap_exception" : "_wrap_text", "O", exception);
        Py_DECREF(exception);
        int status = wrapped != NULL ? fc_object_put(st, o, wrapped) : -1;
        Py_XDECREF(wrapped);
        if (status == 0) {
            return 0;
        }
        fc_outgoing_cut(o, 0, 0);
    }
    return -1;
}

static int
send_reply(WorkerEndObject *end, struct fc_job *job, unsigned kind,
           fc_outgoing *o, bool last)
{
    unsigned count;
    const struct fc_part *parts = fc_outgoing_parts(o, &count);
    if (parts == NULL) {
        return -1;
    }
    struct fc_responder *w = &end->responder;
    uint64_t size = fc_parts_size(parts, count);
    fc_returns_collect(&end->returns, &w->blocks);
    if (last) {
        fc_responder_leave(w);
    }
    PyThreadState *ts = NULL;
    if (size >= DETACH_FROM
        || !fc_producer_fits(&w->replies, (uint32_t)size)) {
        ts = PyEval_SaveThread();
    }
    int error =
        fc_responder_reply(w, job, (uint16_t)kind, parts, count, !last);
    if (ts != NULL) {
        PyEval_RestoreThread(ts);
    }
    if (error != 0 && error != ESRCH) {
        errno = error;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return 0;
}

/* --- a task --------------------------------------------------------------------------- */

/* Answer a request.  0; 1: this is a child that the call has forked, and has
 * nothing to answer; or -1 where the worker has to end. */
static int
answer(fc_state *st, WorkerEndObject *end, struct fc_job *job, bool lost,
       bool last)
{
    PyObject *fn = NULL, *args = NULL, *kwargs = NULL;
    PyObject *result = NULL;
    unsigned kind = FC_REPLY_RESULT;
    int status;
    if (lost) {
        PyErr_NoMemory();
        status = -1;
    }
    else {
        status = read_call(st, end, job, &fn, &args, &kwargs);
    }
    fc_responder_done(&end->responder, job);
    if (status < 0) {
        kind = FC_REPLY_UNREADABLE;
    }
    else {
        result = PyObject_Call(fn, args, kwargs);
        if (result == NULL) {
            kind = FC_REPLY_EXCEPTION;
        }
        PyObject *raised = result == NULL ? fc_exception_take() : NULL;
        Py_DECREF(fn);
        Py_DECREF(args);
        Py_XDECREF(kwargs);
        if (has_forked(end)) {
            Py_XDECREF(result);
            Py_XDECREF(raised);
            return 1;
        }
        if (raised != NULL) {
            fc_exception_restore(raised);
        }
    }
    fc_outgoing o;
    fc_outgoing_init(&o);
    status = 0;
    if (kind == FC_REPLY_RESULT && fc_object_put(st, &o, result) < 0) {
        fc_outgoing_cut(&o, 0, 0);
        kind = FC_REPLY_EXCEPTION;
    }
    if (kind != FC_REPLY_RESULT) {
        status = put_exception(st, &o);
    }
    if (status == 0) {
        status = send_reply(end, job, kind, &o, last);
    }
    fc_outgoing_clear(&o);
    Py_XDECREF(result);
    return status;
}

/* --- a batch --------------------------------------------------------------------------- */

/* Arguments that are kept out of a tuple. */
#define FEW_ARGS 8

/* Call the function of a batch with one of its items. */
static PyObject *
call_item(PyObject *fn, const unsigned char *bytes, uint64_t size,
          bool *readable)
{
    PyObject *stack[1 + FEW_ARGS];
    fc_incoming in = fc_incoming_of(bytes, size);
    stack[0] = NULL;
    int count = fc_call_get_plain(&in, stack + 1, FEW_ARGS);
    PyObject *result = NULL;
    *readable = true;
    if (count >= 0) {
        result = PyObject_Vectorcall(
            fn, stack + 1,
            (size_t)count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        for (int i = 1; i <= count; i++) {
            Py_DECREF(stack[i]);
        }
        return result;
    }
    PyObject *args = count < -1 ? fc_call_get_values(&in, -count) : NULL;
    if (args == NULL) {
        *readable = false;
        return NULL;
    }
    result = PyObject_CallObject(fn, args);
    Py_DECREF(args);
    return result;
}

/* Store a result in its cell, if it has room there. */
static bool
store_inline(const struct fc_batch_view *v, uint32_t item, PyObject *result)
{
    uint64_t bits = 0;
    uint32_t state;
    int overflow = 0;
    if (result == Py_None) {
        state = FC_CELL_NONE;
    }
    else if (PyBool_Check(result)) {
        state = result == Py_True ? FC_CELL_TRUE : FC_CELL_FALSE;
    }
    else if (PyLong_CheckExact(result)) {
        state = FC_CELL_INT;
        bits = (uint64_t)PyLong_AsLongLongAndOverflow(result, &overflow);
    }
    else if (PyFloat_CheckExact(result)) {
        double number = PyFloat_AS_DOUBLE(result);
        state = FC_CELL_FLOAT;
        memcpy(&bits, &number, sizeof(bits));
    }
    else {
        return false;
    }
    if (overflow != 0) {
        return false;
    }
    fc_batch_store(v, item, state, bits);
    return true;
}

/* Send what a call has returned, or raised (`result` NULL), as a message. */
static int
say_item(fc_state *st, WorkerEndObject *end, const struct fc_job *job,
         const struct fc_batch_view *v, uint32_t item, PyObject *result,
         unsigned kind)
{
    fc_outgoing o;
    fc_outgoing_init(&o);
    int status = 0;
    unsigned count;
    if (result != NULL && fc_object_put(st, &o, result) < 0) {
        fc_outgoing_cut(&o, 0, 0);
        kind = FC_REPLY_EXCEPTION;
        result = NULL;
    }
    if (result == NULL) {
        status = put_exception(st, &o);
    }
    if (status == 0) {
        status = fc_outgoing_put(&o, &item, sizeof(item));
    }
    const struct fc_part *parts =
        status == 0 ? fc_outgoing_parts(&o, &count) : NULL;
    if (parts != NULL) {
        /* Who sees the cell does not see the message yet, and looks for it. */
        fc_batch_store(v, item, FC_CELL_MESSAGE, 0);
        int error = fc_responder_say(&end->responder, job, (uint16_t)kind,
                                     parts, count);
        if (error != 0 && error != ESRCH) {
            errno = error;
            PyErr_SetFromErrno(PyExc_OSError);
            parts = NULL;
        }
    }
    fc_outgoing_clear(&o);
    return parts != NULL ? 0 : -1;
}

static int
answer_item(fc_state *st, WorkerEndObject *end, const struct fc_job *job,
            const struct fc_batch_view *v, uint32_t item, PyObject *fn)
{
    uint64_t size = 0;
    bool readable = false;
    const unsigned char *bytes = fc_batch_item(v, item, &size);
    PyObject *result = NULL;
    if (bytes != NULL) {
        result = call_item(fn, bytes, size, &readable);
    }
    else {
        (void)fc_incoming_complain();
    }
    int status = 0;
    if (has_forked(end)) {
        Py_XDECREF(result);
        PyErr_Clear();
        return 1;
    }
    if (result != NULL && store_inline(v, item, result)) {
        fc_responder_stored(&end->responder);
    }
    else {
        status = say_item(st, end, job, v, item, result,
                          result != NULL ? FC_REPLY_RESULT
                          : readable     ? FC_REPLY_EXCEPTION
                                         : FC_REPLY_UNREADABLE);
    }
    Py_XDECREF(result);
    return status;
}

/* Answer items of a batch, from `item` on, until none is left.  As answer(). */
static int
answer_batch(fc_state *st, WorkerEndObject *end, const struct fc_job *job,
             const struct fc_batch_view *v, int item)
{
    uint32_t mine = 0;
    int status = 0;
    PyObject *fn = Py_XNewRef(function_of(st, end, job->function));
    PyObject *unreadable = fn == NULL ? fc_exception_take() : NULL;
    while (status == 0 && item >= 0) {
        if (fn != NULL) {
            status = answer_item(st, end, job, v, (uint32_t)item, fn);
        }
        else {
            fc_exception_restore(Py_NewRef(unreadable));
            status = say_item(st, end, job, v, (uint32_t)item, NULL,
                              FC_REPLY_UNREADABLE);
        }
        mine++;
        if (status == 0) {
            status = PyErr_CheckSignals();
        }
        if (status == 0
            && atomic_load_explicit(&end->interrupted,
                                    memory_order_relaxed)) {
            break;
        }
        if (status == 0 && fc_responder_deserted(&end->responder)) {
            status = 1;
        }
        if (status == 0) {
            item = fc_responder_claim(&end->responder, job, v);
        }
    }
    Py_XDECREF(fn);
    Py_XDECREF(unreadable);
    if (status == 0 && fc_batch_leave(v, mine)) {
        int error = fc_responder_say(&end->responder, job, FC_REPLY_DONE, NULL,
                                     0);
        if (error != 0 && error != ESRCH) {
            errno = error;
            PyErr_SetFromErrno(PyExc_OSError);
            status = -1;
        }
    }
    return status;
}

/* A batch that this worker has taken. */
static int
take_batch(fc_state *st, WorkerEndObject *end, const struct fc_job *job)
{
    struct fc_batch_view v;
    int error = fc_responder_open(&end->responder, job, &v);
    if (error != 0) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the shared memory of the process pool is damaged");
        return -1;
    }
    return answer_batch(st, end, job, &v,
                        fc_responder_claim(&end->responder, job, &v));
}

/* Join a batch of another worker's, as answer().  *joined: there was one. */
static int
join_batch(fc_state *st, WorkerEndObject *end, bool *joined)
{
    struct fc_job job;
    struct fc_batch_view v;
    int item;
    *joined = fc_responder_join(&end->responder, &job, &v, &item) == 0;
    return *joined ? answer_batch(st, end, &job, &v, item) : 0;
}

/* --- the loop ---------------------------------------------------------------------------- */

/* Wait for a request.  As fc_responder_idle(). */
static int
wait_for_request(WorkerEndObject *end)
{
    struct fc_responder *w = &end->responder;
    fc_returns_collect(&end->returns, &w->blocks);
    PyThreadState *ts = PyEval_SaveThread();
    int error = fc_responder_linger(w) ? 0 : fc_responder_idle(w);
    PyEval_RestoreThread(ts);
    return error;
}

static PyObject *
raise_errno(int error)
{
    if (error == EBADMSG) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the shared memory of the process pool is damaged");
        return NULL;
    }
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* await_admission(): whether this worker may sit down; False: nobody knows of it. */
static PyObject *
end_await_admission(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    WorkerEndObject *end = (WorkerEndObject *)self;
    int error;
    do {
        PyThreadState *ts = PyEval_SaveThread();
        error = fc_responder_await_admission(&end->responder, end->start);
        PyEval_RestoreThread(ts);
        if (PyErr_CheckSignals() < 0) {
            return NULL;
        }
    } while (error == EINTR);
    return PyBool_FromLong(error == 0);
}

/* serve(tasks): answer requests until the pool closes, its process is gone or
 * so many have been answered (0: no limit). */
static PyObject *
end_serve(PyObject *self, PyObject *arg)
{
    WorkerEndObject *end = (WorkerEndObject *)self;
    fc_state *st = fc_state_of_exact(Py_TYPE(self));
    unsigned long tasks = PyLong_AsUnsignedLong(arg);
    if (tasks == (unsigned long)-1 && PyErr_Occurred()) {
        return NULL;
    }
    struct fc_responder *w = &end->responder;
    fc_responder_ready(w);
    for (;;) {
        struct fc_job job;
        if (PyErr_CheckSignals() < 0) {
            return NULL;
        }
        if (atomic_load_explicit(&end->interrupted, memory_order_relaxed)) {
            Py_RETURN_NONE;
        }
        if (fc_responder_deserted(w)) {
            Py_RETURN_NONE;
        }
        int error = fc_responder_take(w, &job);
        while (error == EINTR) {
            if (PyErr_CheckSignals() < 0) {
                return NULL;
            }
            error = fc_responder_fetch(w, &job);
        }
        switch (error) {
        case EAGAIN: {
            bool joined = false;
            int status = tasks == 0 ? join_batch(st, end, &joined) : 0;
            if (status != 0) {
                return status < 0 ? NULL : Py_NewRef(Py_None);
            }
            if (joined) {
                error = 0;
                break;
            }
            error = wait_for_request(end);
            if (error == ESHUTDOWN) {
                fc_responder_leave(w);
                Py_RETURN_NONE;
            }
            break;
        }
        case 0:
        case ENOMEM: {
            if (job.kind == FC_REQUEST_BATCH) {
                if (error != 0) { /* none is sent in pieces */
                    return raise_errno(EBADMSG);
                }
                int status = take_batch(st, end, &job);
                if (status != 0) {
                    return status < 0 ? NULL : Py_NewRef(Py_None);
                }
                break;
            }
            bool last = tasks == 1;
            tasks -= tasks > 0;
            int status = answer(st, end, &job, error == ENOMEM, last);
            if (status < 0) {
                return NULL;
            }
            if (last || status > 0) {
                Py_RETURN_NONE;
            }
            error = 0;
            break;
        }
        default:
            break;
        }
        if (error == ESRCH) {
            Py_RETURN_NONE;
        }
        if (error != 0 && error != EINTR) {
            return raise_errno(error);
        }
    }
}

/* interrupt(): leave after the task that runs. */
static PyObject *
end_interrupt(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    atomic_store_explicit(&((WorkerEndObject *)self)->interrupted, true,
                          memory_order_relaxed);
    Py_RETURN_NONE;
}

/* --- the type ------------------------------------------------------------------------------ */

static PyMethodDef end_methods[] = {
    {"await_admission", end_await_admission, METH_NOARGS, NULL},
    {"serve", end_serve, METH_O, NULL},
    {"interrupt", end_interrupt, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(end_doc,
"WorkerEnd(fd, seat, start, ring_fd)\n--\n\n"
"A worker's end of a process pool: segment, seat and bell.");

static PyType_Slot end_slots[] = {
    {Py_tp_doc, (void *)end_doc},
    {Py_tp_new, end_tp_new},
    {Py_tp_dealloc, end_tp_dealloc},
    {Py_tp_traverse, end_tp_traverse},
    {Py_tp_clear, end_tp_clear},
    {Py_tp_methods, end_methods},
    {0, NULL},
};

static PyType_Spec end_spec = {
    .name = "futures_c._native.WorkerEnd",
    .basicsize = sizeof(WorkerEndObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
             | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = end_slots,
};

int
fc_worker_end_init(PyObject *module, fc_state *st)
{
    st->worker_end_type = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &end_spec, NULL);
    return st->worker_end_type == NULL
               ? -1
               : PyModule_AddObjectRef(module, "WorkerEnd",
                                       (PyObject *)st->worker_end_type);
}
