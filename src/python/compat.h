/* compat.h - the differences between the CPython versions, and no others.
 *
 * Everything that is spelled differently on 3.11 ... 3.15, on builds with and
 * without the GIL, is given one name here; no other file tests a version.
 */
#ifndef FC_COMPAT_H
#define FC_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h> /* T_PYSSIZET, READONLY: gone from it in 3.12+ only by name */

#include <stdbool.h>

/* --- locks -------------------------------------------------------------
 *
 * With a GIL, holding it is the lock of every object and the two macros are
 * braces.  Without one they are CPython's per-object critical sections.  A
 * section may be suspended when a nested one blocks, so nothing between the
 * two may run Python code or take another lock, and nothing may jump out. */
#ifdef Py_GIL_DISABLED
#  define FC_LOCK(op) Py_BEGIN_CRITICAL_SECTION(op)
#  define FC_UNLOCK() Py_END_CRITICAL_SECTION()
#else
#  define FC_LOCK(op) { (void)(op);
#  define FC_UNLOCK() }
#endif

/* --- the instance dictionary that the base classes, plain Python classes,
 * --- give their instances ------------------------------------------------ */
static inline int
fc_managed_dict_visit(PyObject *self, visitproc visit, void *arg)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyObject_VisitManagedDict(self, visit, arg);
#elif PY_VERSION_HEX >= 0x030C0000
    return _PyObject_VisitManagedDict(self, visit, arg);
#else
    /* Our tp_new never makes the inlined values of 3.11, so there is only a
     * dictionary, or nothing, behind this pointer. */
    PyObject **dict = _PyObject_GetDictPtr(self);
    if (dict != NULL) {
        Py_VISIT(*dict);
    }
    return 0;
#endif
}

static inline void
fc_managed_dict_clear(PyObject *self)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyObject_ClearManagedDict(self);
#elif PY_VERSION_HEX >= 0x030C0000
    _PyObject_ClearManagedDict(self);
#else
    PyObject **dict = _PyObject_GetDictPtr(self);
    if (dict != NULL) {
        Py_CLEAR(*dict);
    }
#endif
}

/* Where the weak references of an instance of a plain Python class are: in
 * the object on 3.11, in front of it from 3.12 on. */
#if PY_VERSION_HEX < 0x030C0000
#  define FC_WEAKLIST_FIELD PyObject *weaklist;
#  define FC_WEAKLIST_INIT(object) ((object)->weaklist = NULL)
#else
#  define FC_WEAKLIST_FIELD
#  define FC_WEAKLIST_INIT(object) ((void)0)
#endif

/* --- exceptions: one normalized object, as 3.12 has them ---------------- */
static inline PyObject *
fc_exception_take(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
        Py_DECREF(traceback);
    }
    Py_XDECREF(type);
    return value;
#endif
}

/* Raise `exc` (stolen). */
static inline void
fc_exception_restore(PyObject *exc)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(exc);
#else
    PyErr_Restore(Py_NewRef(Py_TYPE(exc)), exc, PyException_GetTraceback(exc));
#endif
}

/* Where several things are done whatever raises: take the current exception
 * into *first, or drop it when there is one. */
static inline void
fc_exception_keep(PyObject **first)
{
    PyObject *exception = fc_exception_take();
    if (*first == NULL) {
        *first = exception;
    }
    else {
        Py_XDECREF(exception);
    }
}

/* --- weak references: a strong reference, or NULL where it is gone ------- */
static inline PyObject *
fc_weakref_get(PyObject *ref)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *object;
    return PyWeakref_GetRef(ref, &object) > 0 ? object : NULL;
#else
    PyObject *object = PyWeakref_GetObject(ref);
    return object == Py_None ? NULL : Py_XNewRef(object);
#endif
}

/* --- an item of a dictionary: a new reference, or NULL, with an exception only
 * --- where looking it up raised ---------------------------------------------- */
static inline PyObject *
fc_dict_get(PyObject *dict, PyObject *key)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *value;
    return PyDict_GetItemRef(dict, key, &value) > 0 ? value : NULL;
#else
    return Py_XNewRef(PyDict_GetItemWithError(dict, key));
#endif
}

/* --- how threading.Condition.wait() compares its timeout with 0: what it
 * --- says of a timeout that cannot be compared depends on it ---------------- */
#if PY_VERSION_HEX >= 0x030E0000
#  define FC_TIMEOUT_COMPARISON Py_LE
#else
#  define FC_TIMEOUT_COMPARISON Py_GT
#endif

/* --- an item of a list that others may be changing: a new reference, or NULL
 * --- with IndexError -------------------------------------------------------- */
static inline PyObject *
fc_list_get(PyObject *list, Py_ssize_t index)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyList_GetItemRef(list, index);
#else
    return Py_XNewRef(PyList_GetItem(list, index));
#endif
}

/* --- references that change threads -------------------------------------------
 *
 * Without a GIL an object counts the references of the thread that made it
 * apart from those of all others (biased reference counting, PEP 703).  One
 * that the maker counted and another thread drops makes the second count
 * negative, and the object is sent back through a queue with a lock: a
 * microsecond, and all workers meet at that lock.  A reference that is made
 * for another thread is therefore counted with the others from the start. */

/* A new reference that another thread is going to drop. */
static inline PyObject *
fc_ref_give(PyObject *op)
{
#if defined(Py_GIL_DISABLED) && !defined(Py_REF_DEBUG)
    if (!_Py_IsImmortal(op)) {
        _Py_atomic_add_ssize(&op->ob_ref_shared,
                             (Py_ssize_t)1 << _Py_REF_SHARED_SHIFT);
    }
    return op;
#else
    return Py_NewRef(op);
#endif
}

/* Turn a reference of ours into one that another thread is going to drop. */
static inline PyObject *
fc_ref_hand_over(PyObject *op)
{
#ifdef Py_GIL_DISABLED
    fc_ref_give(op);
    Py_DECREF(op);
#endif
    return op;
}

/* --- an interpreter with a GIL of its own, as concurrent.interpreters makes
 * --- them, entered with a new thread state of this thread: NULL, or what was
 * --- not possible ------------------------------------------------------------ */
static inline const char *
fc_interpreter_new(PyThreadState **inside)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyInterpreterConfig config = {
        .allow_threads = 1,
        .check_multi_interp_extensions = 1,
        .gil = PyInterpreterConfig_OWN_GIL,
    };
    PyStatus status = Py_NewInterpreterFromConfig(inside, &config);
    if (!PyStatus_Exception(status)) {
        return NULL;
    }
    return status.err_msg != NULL ? status.err_msg
                                  : "interpreter creation failed";
#else
    *inside = NULL;
    return "interpreters with a GIL of their own came with Python 3.12";
#endif
}

/* --- whether the main interpreter is being finalized ---------------------- */
static inline bool
fc_is_finalizing(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    return Py_IsFinalizing();
#else
    return _Py_IsFinalizing();
#endif
}

#ifdef Py_GIL_DISABLED
#  define FC_HAS_GIL 0
#else
#  define FC_HAS_GIL 1
#endif

#endif /* FC_COMPAT_H */
