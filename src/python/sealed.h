/* sealed.h - a reply that has arrived and has not been unpickled yet.
 *
 * Whoever fetches results for others must not run other people's code, and
 * unpickling is that: a future then ends with a sealed outcome
 * (FC_HOLDS_SEALED), and whoever first asks for it unpickles it.  Once: a
 * descriptor that travels along can be taken over only once, so others who ask
 * meanwhile wait.
 */
#ifndef FC_SEALED_H
#define FC_SEALED_H

#include "python/calls.h"
#include "python/future.h"

/* A reply of `kind` (FC_REPLY_KIND).  Its bytes are in `region`, or in `bytes`
 * from malloc(); both are the object's from then on, also on failure. */
PyObject *fc_sealed_new(fc_state *st, unsigned kind, PyObject *region,
                        unsigned char *bytes, uint64_t size);

/* What is in one: as fc_reply_get(). */
int fc_sealed_get(fc_state *st, PyObject *sealed, PyObject **result,
                  PyObject **exception);

/* What is in a reply.  1: as 0, and Ctrl-C has come while it was unpickled (it
 * was unpickled once more then).  0 with *result or *exception (new references, the other
 * one NULL).  What cannot be read gives a BrokenProcessPool in *exception.
 * -1 where not even that can be made. */
int fc_reply_get(fc_state *st, unsigned kind, const unsigned char *bytes,
                 uint64_t size, PyObject *region, PyObject **result,
                 PyObject **exception);

/* Open what `f` holds, if it is sealed.  0, or -1 with an exception where that
 * cannot be done now: by a thread that is opening it already, or without
 * memory. */
int fc_future_open_slow(fc_state *st, FutureObject *f);

static inline int
fc_future_open(fc_state *st, FutureObject *f)
{
    bool sealed;
    FC_LOCK(f);
    sealed = (f->holds & FC_HOLDS_SEALED) != 0;
    FC_UNLOCK();
    return sealed ? fc_future_open_slow(st, f) : 0;
}

#endif /* FC_SEALED_H */
