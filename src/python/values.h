/* values.h - plain values as bytes, without pickle and without anybody's code.
 *
 * Plain are None, bool, int up to 64 bits, float, str, bytes and tuples of
 * these, by exact type: pickle knows no way to change how they travel, so
 * nobody can tell.  Everything else is left to pickle (pickling.h).
 *
 * The bytes are read by a process of the same machine and the same program,
 * and yet not believed: what does not fit raises ValueError.
 */
#ifndef FC_VALUES_H
#define FC_VALUES_H

#include "python/outgoing.h"

/* Tuples within tuples, at most. */
#define FC_VALUES_DEPTH 8

/* Add a plain value.  1; 0: it is not plain, and nothing was added; -1 with
 * an exception. */
int fc_value_put(fc_outgoing *o, PyObject *value);

/* A message from another process, and where its reader stands.  Within one
 * process the pieces that the message refers to are read where they are:
 * `referred`, those of the fc_outgoing. */
typedef struct {
    const unsigned char *begin;
    const unsigned char *at;
    const unsigned char *end;
    const fc_referred *referred;
    unsigned count, next; /* of these */
} fc_incoming;

static inline fc_incoming
fc_incoming_of(const unsigned char *bytes, size_t size)
{
    return (fc_incoming){.begin = bytes, .at = bytes, .end = bytes + size};
}

/* Read the next value: a new reference, or NULL with an exception. */
PyObject *fc_value_get(fc_incoming *in);

/* Copy the next `size` bytes.  0, or -1 with ValueError. */
int fc_incoming_read(fc_incoming *in, void *to, size_t size);

/* Raise ValueError: the message makes no sense.  Returns -1; here, for those who
 * follow the ways through its callers. */
static inline int
fc_incoming_complain(void)
{
    PyErr_SetString(PyExc_ValueError, "a message from another process is "
                                      "damaged");
    return -1;
}

#endif /* FC_VALUES_H */
