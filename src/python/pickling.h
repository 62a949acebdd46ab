/* pickling.h - everything that is no plain value, by pickle.
 *
 * Protocol 5, with the reducers that are registered with copyreg and with
 * multiprocessing's ForkingPickler, which knows sockets, locks and what others
 * have taught it.  Buffers that are given out of band (PEP 574) follow
 * the pickle, each at a multiple of FC_BUFFER_ALIGN of the message, so that an
 * array is copied once on its way, and not at all where its reader can keep
 * the memory that it came in.
 *
 *     | pickle | gap | buffer | gap | buffer | sizes | pickle's size | count |
 */
#ifndef FC_PICKLING_H
#define FC_PICKLING_H

#include "python/state.h"
#include "python/values.h"

#define FC_BUFFER_ALIGN 64

/* Buffers below this many bytes are copied into the pickle. */
#define FC_BUFFER_FROM 4096

/* Which reducers are registered: what changes when another one is. */
typedef struct {
    const void *pickler;
    Py_ssize_t all, extra;
} fc_reducers;

/* Those of this moment.  `type`: whether one of them is for that type, or the
 * pickler is of a kind that cannot be told.  1, 0, or -1 with an exception. */
int fc_reducers_now(fc_state *st, fc_reducers *now, PyTypeObject *type);

/* Add an object to the end of a message.  0, or -1 with whatever its reducers
 * raised; nothing was added then. */
int fc_pickle_put(fc_state *st, fc_outgoing *o, PyObject *object);

/* Read the rest of a message, which is a pickle: a new reference, or NULL with
 * an exception.  `owner`: an object with the buffer protocol whose memory the
 * whole message is, and which buffers may go on using; NULL: they are
 * copied. */
PyObject *fc_pickle_get(fc_state *st, fc_incoming *in, PyObject *owner);

/* Whether a whole message needs no pickle to be read. */
bool fc_object_is_plain(const unsigned char *bytes, uint64_t size);

/* Any object as a whole message: plain where it is, else pickled. */
int fc_object_put(fc_state *st, fc_outgoing *o, PyObject *object);
PyObject *fc_object_get(fc_state *st, fc_incoming *in, PyObject *owner);

#endif /* FC_PICKLING_H */
