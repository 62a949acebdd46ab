/* outgoing.h - a message to another process while it is being made.
 *
 * Small pieces are copied into a buffer of the message's own, large ones are
 * referred to where they are, so that sending copies them once.  Nothing in
 * shared memory is touched while objects are turned into bytes: what other
 * people's code does then, it does to nobody else.
 */
#ifndef FC_OUTGOING_H
#define FC_OUTGOING_H

#include "python/compat.h"

#include "ipc/wire.h"

/* Pieces from so many bytes on are referred to: a copy costs about as much as
 * the bookkeeping there (2026-11-21). */
#define FC_REFER_FROM 2048

/* A piece that is not copied. */
typedef struct {
    size_t at;        /* bytes of the buffer that come before it */
    Py_buffer buffer; /* what it is, and holds on to */
} fc_referred;

typedef struct {
    unsigned char *bytes; /* `room`, or allocated */
    size_t size, capacity;
    fc_referred *referred;
    struct fc_part *parts;
    unsigned count, most; /* of `referred` */
    unsigned char room[256];
} fc_outgoing;

void fc_outgoing_init(fc_outgoing *o);

/* Let go of everything; finalizers may run. */
void fc_outgoing_clear(fc_outgoing *o);

/* Forget everything behind a place that was `size` and `count` once. */
void fc_outgoing_cut(fc_outgoing *o, size_t size, unsigned count);

/* Make room for `size` more bytes.  0, or -1 with MemoryError. */
int fc_outgoing_grow(fc_outgoing *o, size_t size);

/* Add bytes by copying them.  0, or -1 with MemoryError. */
int fc_outgoing_put(fc_outgoing *o, const void *bytes, size_t size);

/* Room for `size` bytes at the end, to be written before o->size grows; NULL
 * with MemoryError. */
static inline unsigned char *
fc_outgoing_room(fc_outgoing *o, size_t size)
{
    if (size > o->capacity - o->size && fc_outgoing_grow(o, size) < 0) {
        return NULL;
    }
    return o->bytes + o->size;
}

/* Add the bytes of a buffer, which is the message's from then on, also after
 * an error. */
int fc_outgoing_refer(fc_outgoing *o, Py_buffer *buffer);

/* Add `size` bytes that belong to `owner`, the one way or the other. */
int fc_outgoing_add(fc_outgoing *o, PyObject *owner, const void *bytes,
                    Py_ssize_t size);

/* All of it in order; NULL with MemoryError.  Until something is added. */
const struct fc_part *fc_outgoing_parts(fc_outgoing *o, unsigned *count);

/* Bytes of all of it. */
size_t fc_outgoing_size(const fc_outgoing *o);

#endif /* FC_OUTGOING_H */
