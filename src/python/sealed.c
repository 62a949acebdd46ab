/* sealed.c - see sealed.h. */
#include "python/sealed.h"

#include "core/lock.h"
#include "python/hub.h"
#include "python/region.h"

#include "port/port.h"

#include <stdlib.h>

typedef struct {
    PyObject_HEAD
    struct fc_lock opening;        /* held by the thread that unpickles */
    _Atomic(unsigned long) opener; /* its number; 0: nobody */
    unsigned kind;
    PyObject *region;
    unsigned char *bytes;
    uint64_t size;
} SealedObject;

PyObject *
fc_sealed_new(fc_state *st, unsigned kind, PyObject *region,
              unsigned char *bytes, uint64_t size)
{
    SealedObject *sealed = PyObject_New(SealedObject, st->sealed_type);
    if (sealed == NULL) {
        Py_XDECREF(region);
        free(bytes);
        return NULL;
    }
    fc_lock_init(&sealed->opening);
    atomic_init(&sealed->opener, 0);
    sealed->kind = kind;
    sealed->region = region;
    sealed->bytes = bytes;
    sealed->size = size;
    return (PyObject *)sealed;
}

static void
sealed_tp_dealloc(PyObject *self)
{
    SealedObject *sealed = (SealedObject *)self;
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(sealed->region);
    free(sealed->bytes);
    type->tp_free(self);
    Py_DECREF(type);
}

/* --- reading ---------------------------------------------------------------- */

/* The BrokenProcessPool of a call whose message could not be read: `cause`
 * (stolen) is what reading it raised. */
static PyObject *
unreadable(fc_state *st, PyObject *cause, const char *what)
{
    PyObject *error =
        fc_process_helper(st, "_unreadable", "sO", what, cause);
    Py_DECREF(cause);
    return error;
}

/* Where signals are handled. */
static bool
is_main_thread(fc_state *st)
{
    PyObject *raised = fc_exception_take();
    PyObject *is = fc_process_helper(st, "_is_main_thread", "()");
    bool main = is == Py_True;
    Py_XDECREF(is);
    PyErr_Clear();
    fc_exception_restore(raised);
    return main;
}

int
fc_reply_get(fc_state *st, unsigned kind, const unsigned char *bytes,
             uint64_t size, PyObject *region, PyObject **result,
             PyObject **exception)
{
    *result = *exception = NULL;
    fc_incoming in = fc_incoming_of(bytes, size);
    PyObject *object = fc_object_get(st, &in, region);
    int interrupted = 0;
    if (object == NULL && PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)
        && is_main_thread(st)) {
        /* The user's, or the object's own?  Once more will tell. */
        PyObject *raised = fc_exception_take();
        in = fc_incoming_of(bytes, size);
        object = fc_object_get(st, &in, region);
        interrupted = object != NULL;
        Py_DECREF(raised);
    }
    if (object == NULL) {
        *exception = unreadable(st, fc_exception_take(), "result");
    }
    else if (kind == FC_REPLY_RESULT) {
        *result = object;
    }
    else if (!PyExceptionInstance_Check(object)) {
        Py_DECREF(object);
        (void)fc_incoming_complain();
        *exception = unreadable(st, fc_exception_take(), "result");
    }
    else if (kind == FC_REPLY_EXCEPTION) {
        *exception = object;
    }
    else {
        *exception = unreadable(st, object, "call");
    }
    return *result != NULL || *exception != NULL ? interrupted : -1;
}

int
fc_sealed_get(fc_state *st, PyObject *self, PyObject **result,
              PyObject **exception)
{
    SealedObject *sealed = (SealedObject *)self;
    uint64_t whole;
    const unsigned char *bytes =
        sealed->region != NULL ? fc_region_bytes(sealed->region, &whole)
                               : sealed->bytes;
    return fc_reply_get(st, sealed->kind, bytes, sealed->size, sealed->region,
                        result, exception);
}

/* --- opening ---------------------------------------------------------------- */

/* Put what was sealed in its place, unless somebody has replaced it. */
static void
store(FutureObject *f, SealedObject *sealed, PyObject *result,
      PyObject *exception)
{
    PyObject *old = NULL;
    PyObject *outcome = result != NULL ? result : exception;
    if (PyObject_IS_GC(outcome)) {
        fc_future_track(f);
    }
    FC_LOCK(f);
    if ((f->holds & FC_HOLDS_SEALED) && f->outcome == (PyObject *)sealed) {
        old = f->outcome;
        f->outcome = Py_NewRef(outcome);
        f->holds &= (uint8_t)~(FC_HOLDS_SEALED | FC_HOLDS_EXCEPTION);
        f->holds |= exception != NULL ? FC_HOLDS_EXCEPTION : 0;
    }
    FC_UNLOCK();
    Py_XDECREF(old);
}

/* Nanoseconds between two looks at signals and at the lock: unpickling takes
 * long where anybody notices this. */
#define LOOK_NS 2000000

/* Take the lock, interruptibly: who has it runs other people's code. */
static int
wait_for_opener(SealedObject *sealed)
{
    while (!fc_lock_try(&sealed->opening)) {
        _Atomic(uint32_t) nobody = 0;
        PyThreadState *ts = PyEval_SaveThread();
        (void)fc_park(&nobody, 0, fc_now_ns() + LOOK_NS);
        PyEval_RestoreThread(ts);
        if (PyErr_CheckSignals() < 0) {
            return -1;
        }
    }
    return 0;
}

int
fc_future_open_slow(fc_state *st, FutureObject *f)
{
    SealedObject *sealed = NULL;
    FC_LOCK(f);
    if (f->holds & FC_HOLDS_SEALED) {
        sealed = (SealedObject *)Py_NewRef(f->outcome);
    }
    FC_UNLOCK();
    if (sealed == NULL) {
        return 0;
    }
    unsigned long me = PyThread_get_thread_ident();
    if (atomic_load_explicit(&sealed->opener, memory_order_relaxed) == me) {
        Py_DECREF(sealed);
        PyErr_SetString(PyExc_RuntimeError,
                        "the result of this future is being unpickled by "
                        "the code that asks for it");
        return -1;
    }
    if (wait_for_opener(sealed) < 0) {
        Py_DECREF(sealed);
        return -1;
    }
    int status = 0;
    bool mine;
    FC_LOCK(f);
    mine = (f->holds & FC_HOLDS_SEALED)
           && f->outcome == (PyObject *)sealed;
    FC_UNLOCK();
    if (mine) {
        PyObject *result, *exception;
        atomic_store_explicit(&sealed->opener, me, memory_order_relaxed);
        status =
            fc_sealed_get(st, (PyObject *)sealed, &result, &exception);
        atomic_store_explicit(&sealed->opener, 0, memory_order_relaxed);
        if (status >= 0) {
            store(f, sealed, result, exception);
            Py_XDECREF(result);
            Py_XDECREF(exception);
        }
        if (status > 0) {
            PyErr_SetNone(PyExc_KeyboardInterrupt);
            status = -1;
        }
    }
    fc_lock_give(&sealed->opening);
    Py_DECREF(sealed);
    return status;
}

/* --- the type --------------------------------------------------------------- */

static PyType_Slot sealed_slots[] = {
    {Py_tp_dealloc, sealed_tp_dealloc},
    {0, NULL},
};

static PyType_Spec sealed_spec = {
    .name = "futures_c._native._Sealed",
    .basicsize = sizeof(SealedObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = sealed_slots,
};

int
fc_sealed_init(PyObject *module, fc_state *st)
{
    st->sealed_type = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &sealed_spec, NULL);
    return st->sealed_type != NULL ? 0 : -1;
}
