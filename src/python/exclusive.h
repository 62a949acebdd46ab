/* exclusive.h - iterators that one thread at a time may advance, as it is
 * with generators. */
#ifndef FC_EXCLUSIVE_H
#define FC_EXCLUSIVE_H

#include "python/compat.h"

/* Enter `self`, whose flag is *executing (guarded by self's lock).  False,
 * with a generator's ValueError: some thread, or this one, is in there. */
static inline bool
fc_exclusive_enter(PyObject *self, bool *executing)
{
    bool entered;
    FC_LOCK(self);
    entered = !*executing;
    *executing = true;
    FC_UNLOCK();
    if (!entered) {
        PyErr_SetString(PyExc_ValueError, "generator already executing");
    }
    return entered;
}

static inline void
fc_exclusive_leave(PyObject *self, bool *executing)
{
    FC_LOCK(self);
    *executing = false;
    FC_UNLOCK();
}

/* An exception that is set goes out of it: a StopIteration, which would end the
 * iteration in silence, becomes what a generator makes of it. */
static inline void
fc_exclusive_raise(void)
{
    if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_StopIteration)) {
        PyObject *raised = fc_exception_take();
        PyErr_SetString(PyExc_RuntimeError, "generator raised StopIteration");
        PyObject *error = fc_exception_take();
        PyException_SetContext(error, Py_NewRef(raised));
        PyException_SetCause(error, raised);
        fc_exception_restore(error);
    }
}

#endif /* FC_EXCLUSIVE_H */
