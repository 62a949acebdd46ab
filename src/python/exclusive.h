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

#endif /* FC_EXCLUSIVE_H */
