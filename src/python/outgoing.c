/* outgoing.c - see outgoing.h. */
#include "python/outgoing.h"

#include <string.h>

void
fc_outgoing_init(fc_outgoing *o)
{
    o->bytes = o->room;
    o->size = 0;
    o->capacity = sizeof(o->room);
    o->referred = NULL;
    o->parts = NULL;
    o->count = o->most = 0;
}

void
fc_outgoing_cut(fc_outgoing *o, size_t size, unsigned count)
{
    while (o->count > count) {
        PyBuffer_Release(&o->referred[--o->count].buffer);
    }
    o->size = size;
}

void
fc_outgoing_clear(fc_outgoing *o)
{
    fc_outgoing_cut(o, 0, 0);
    PyMem_RawFree(o->referred);
    PyMem_RawFree(o->parts);
    if (o->bytes != o->room) {
        PyMem_RawFree(o->bytes);
    }
    fc_outgoing_init(o);
}

int
fc_outgoing_grow(fc_outgoing *o, size_t size)
{
    size_t capacity = o->capacity;
    if (size > (size_t)PY_SSIZE_T_MAX / 2 - o->size) {
        PyErr_NoMemory();
        return -1;
    }
    while (capacity < o->size + size) {
        capacity *= 2;
    }
    unsigned char *old = o->bytes != o->room ? o->bytes : NULL;
    unsigned char *bytes = PyMem_RawRealloc(old, capacity);
    if (bytes == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (old == NULL) {
        memcpy(bytes, o->room, o->size);
    }
    o->bytes = bytes;
    o->capacity = capacity;
    return 0;
}

int
fc_outgoing_put(fc_outgoing *o, const void *bytes, size_t size)
{
    unsigned char *room = fc_outgoing_room(o, size);
    if (room == NULL) {
        return -1;
    }
    memcpy(room, bytes, size);
    o->size += size;
    return 0;
}

int
fc_outgoing_refer(fc_outgoing *o, Py_buffer *buffer)
{
    if (o->count == o->most) {
        unsigned most = o->most > 0 ? 2 * o->most : 4;
        fc_referred *referred =
            PyMem_RawRealloc(o->referred, most * sizeof(*referred));
        if (referred == NULL) {
            PyBuffer_Release(buffer);
            PyErr_NoMemory();
            return -1;
        }
        o->referred = referred;
        o->most = most;
    }
    o->referred[o->count].at = o->size;
    o->referred[o->count].buffer = *buffer;
    o->count++;
    return 0;
}

int
fc_outgoing_add(fc_outgoing *o, PyObject *owner, const void *bytes,
                Py_ssize_t size)
{
    if (size < FC_REFER_FROM) {
        return fc_outgoing_put(o, bytes, (size_t)size);
    }
    Py_buffer buffer;
    if (PyBuffer_FillInfo(&buffer, owner, (void *)(uintptr_t)bytes, size, 1,
                          PyBUF_SIMPLE) < 0) {
        return -1;
    }
    return fc_outgoing_refer(o, &buffer);
}

const struct fc_part *
fc_outgoing_parts(fc_outgoing *o, unsigned *count)
{
    unsigned most = 2 * o->count + 1;
    struct fc_part *parts =
        PyMem_RawRealloc(o->parts, most * sizeof(*parts));
    if (parts == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    o->parts = parts;
    size_t at = 0;
    unsigned n = 0;
    for (unsigned i = 0; i < o->count; i++) {
        const fc_referred *r = &o->referred[i];
        if (r->at > at) {
            parts[n++] = (struct fc_part){o->bytes + at, r->at - at};
            at = r->at;
        }
        parts[n++] =
            (struct fc_part){r->buffer.buf, (uint64_t)r->buffer.len};
    }
    if (o->size > at || n == 0) {
        parts[n++] = (struct fc_part){o->bytes + at, o->size - at};
    }
    *count = n;
    return parts;
}

size_t
fc_outgoing_size(const fc_outgoing *o)
{
    size_t size = o->size;
    for (unsigned i = 0; i < o->count; i++) {
        size += (size_t)o->referred[i].buffer.len;
    }
    return size;
}
