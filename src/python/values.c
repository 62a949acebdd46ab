/* values.c - see values.h.
 *
 * A value is a byte that says what it is, and what that needs: numbers as they
 * stand in memory, lengths as 4 bytes, characters as str keeps them (1, 2
 * or 4 bytes each).
 */
#include "python/values.h"

#include "ipc/once.h"

#include <string.h>

enum tag {
    TAG_NONE = 'N',
    TAG_FALSE = 'F',
    TAG_TRUE = 'T',
    TAG_SMALL = 'i', /* 1 byte */
    TAG_INT = 'I',   /* 8 bytes */
    TAG_FLOAT = 'd',
    TAG_ASCII = 'a',
    TAG_STR = 's', /* bytes per character, number of characters, characters */
    TAG_BYTES = 'b',
    TAG_TUPLE = 't',
};

/* --- writing ------------------------------------------------------------- */

static int
put_tag(fc_outgoing *o, enum tag tag)
{
    unsigned char byte = (unsigned char)tag;
    return fc_outgoing_put(o, &byte, 1) < 0 ? -1 : 1;
}

/* A tag and what follows it.  Inline: `size` is known where it is called. */
static inline int
put_fixed(fc_outgoing *o, enum tag tag, const void *bytes, size_t size)
{
    unsigned char *room = fc_outgoing_room(o, 1 + size);
    if (room == NULL) {
        return -1;
    }
    room[0] = (unsigned char)tag;
    memcpy(room + 1, bytes, size);
    o->size += 1 + size;
    return 1;
}

static int
put_length(fc_outgoing *o, enum tag tag, Py_ssize_t length)
{
    uint32_t number = (uint32_t)length;
    return put_fixed(o, tag, &number, sizeof(number));
}

/* Whether a length has room in 4 bytes.  Longer ones are pickle's. */
static bool
is_short(Py_ssize_t length)
{
    return length <= INT32_MAX;
}

static int
put_int(fc_outgoing *o, PyObject *value)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow != 0) {
        return 0;
    }
    if (number == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (number >= INT8_MIN && number <= INT8_MAX) {
        int8_t small = (int8_t)number;
        return put_fixed(o, TAG_SMALL, &small, 1);
    }
    int64_t wide = number;
    return put_fixed(o, TAG_INT, &wide, sizeof(wide));
}

static int
put_str(fc_outgoing *o, PyObject *value)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(value);
    if (!is_short(length)) {
        return 0;
    }
    Py_ssize_t size = length;
    if (PyUnicode_IS_ASCII(value)) {
        if (put_length(o, TAG_ASCII, length) < 0) {
            return -1;
        }
    }
    else {
        unsigned char kind = (unsigned char)PyUnicode_KIND(value);
        size *= kind;
        if (put_length(o, TAG_STR, length) < 0
            || fc_outgoing_put(o, &kind, 1) < 0) {
            return -1;
        }
    }
    return fc_outgoing_add(o, value, PyUnicode_DATA(value), size) < 0 ? -1 : 1;
}

static int
put_bytes(fc_outgoing *o, PyObject *value)
{
    Py_ssize_t size = PyBytes_GET_SIZE(value);
    if (!is_short(size)) {
        return 0;
    }
    if (put_length(o, TAG_BYTES, size) < 0
        || fc_outgoing_add(o, value, PyBytes_AS_STRING(value), size) < 0) {
        return -1;
    }
    return 1;
}

/* NOLINTBEGIN(misc-no-recursion): as deep as `depth` at most. */
static int put_value(fc_outgoing *o, PyObject *value, int depth);

static int
put_tuple(fc_outgoing *o, PyObject *value, int depth)
{
    Py_ssize_t length = PyTuple_GET_SIZE(value);
    if (depth == 0 || !is_short(length)) {
        return 0;
    }
    int put = put_length(o, TAG_TUPLE, length);
    for (Py_ssize_t i = 0; put > 0 && i < length; i++) {
        put = put_value(o, PyTuple_GET_ITEM(value, i), depth - 1);
    }
    return put;
}

static int
put_value(fc_outgoing *o, PyObject *value, int depth)
{
    if (value == Py_None) {
        return put_tag(o, TAG_NONE);
    }
    if (PyLong_CheckExact(value)) {
        return put_int(o, value);
    }
    if (PyUnicode_CheckExact(value)) {
        return put_str(o, value);
    }
    if (PyBool_Check(value)) {
        return put_tag(o, value == Py_True ? TAG_TRUE : TAG_FALSE);
    }
    if (PyFloat_CheckExact(value)) {
        double number = PyFloat_AS_DOUBLE(value);
        return put_fixed(o, TAG_FLOAT, &number, sizeof(number));
    }
    if (PyBytes_CheckExact(value)) {
        return put_bytes(o, value);
    }
    if (PyTuple_CheckExact(value)) {
        return put_tuple(o, value, depth);
    }
    return 0;
}
/* NOLINTEND(misc-no-recursion) */

int
fc_value_put(fc_outgoing *o, PyObject *value)
{
    size_t size = o->size;
    unsigned count = o->count;
    int put = put_value(o, value, FC_VALUES_DEPTH);
    if (put <= 0) {
        fc_outgoing_cut(o, size, count);
    }
    return put;
}

/* --- reading ------------------------------------------------------------- */

int
fc_incoming_read(fc_incoming *in, void *to, size_t size)
{
    if (size > (size_t)(in->end - in->at)) {
        return fc_incoming_complain();
    }
    /* The message may stand in shared memory. */
    fc_read_once(to, in->at, size);
    in->at += size;
    return 0;
}

/* Where the next `length` units of `unit` bytes are: in the message, or where
 * it refers to. */
static const unsigned char *
get_run(fc_incoming *in, size_t unit, uint32_t length)
{
    size_t size = unit * length;
    if (in->count > 0 && size >= FC_REFER_FROM) {
        const fc_referred *r = &in->referred[in->next];
        if (in->next < in->count && (size_t)r->buffer.len == size) {
            in->next++;
            return r->buffer.buf;
        }
    }
    else if (size <= (size_t)(in->end - in->at)) {
        const unsigned char *begin = in->at;
        in->at += size;
        return begin;
    }
    (void)fc_incoming_complain();
    return NULL;
}

static PyObject *
get_ascii(fc_incoming *in)
{
    uint32_t length;
    if (fc_incoming_read(in, &length, sizeof(length)) < 0) {
        return NULL;
    }
    const unsigned char *run = get_run(in, 1, length);
    if (run == NULL) {
        return NULL;
    }
    /* Checks that it is ASCII. */
    return PyUnicode_DecodeASCII((const char *)run, (Py_ssize_t)length, NULL);
}

static PyObject *
get_str(fc_incoming *in)
{
    uint32_t length;
    unsigned char kind;
    if (fc_incoming_read(in, &length, sizeof(length)) < 0
        || fc_incoming_read(in, &kind, 1) < 0) {
        return NULL;
    }
    if (kind != 1 && kind != 2 && kind != 4) {
        (void)fc_incoming_complain();
        return NULL;
    }
    const unsigned char *run = get_run(in, kind, length);
    if (run == NULL) {
        return NULL;
    }
    size_t size = (size_t)length * kind;
    if ((uintptr_t)run % kind == 0) {
        return PyUnicode_FromKindAndData(kind, run, (Py_ssize_t)length);
    }
    void *aligned = PyMem_Malloc(size);
    if (aligned == NULL) {
        return PyErr_NoMemory();
    }
    memcpy(aligned, run, size);
    PyObject *value =
        PyUnicode_FromKindAndData(kind, aligned, (Py_ssize_t)length);
    PyMem_Free(aligned);
    return value;
}

static PyObject *get_value(fc_incoming *in, int depth);

/* NOLINTBEGIN(misc-no-recursion): as deep as `depth` at most. */
static PyObject *
get_tuple(fc_incoming *in, int depth)
{
    uint32_t length;
    if (fc_incoming_read(in, &length, sizeof(length)) < 0) {
        return NULL;
    }
    /* Each value takes a byte at least. */
    if (depth == 0 || length > (size_t)(in->end - in->at)) {
        (void)fc_incoming_complain();
        return NULL;
    }
    PyObject *tuple = PyTuple_New((Py_ssize_t)length);
    for (uint32_t i = 0; tuple != NULL && i < length; i++) {
        PyObject *value = get_value(in, depth - 1);
        if (value == NULL) {
            Py_CLEAR(tuple);
            break;
        }
        PyTuple_SET_ITEM(tuple, i, value);
    }
    return tuple;
}
/* NOLINTEND(misc-no-recursion) */

static PyObject *
get_number(fc_incoming *in, enum tag tag)
{
    int8_t small;
    int64_t wide;
    double real;
    switch (tag) {
    case TAG_SMALL:
        return fc_incoming_read(in, &small, sizeof(small)) < 0
                   ? NULL : PyLong_FromLong(small);
    case TAG_INT:
        return fc_incoming_read(in, &wide, sizeof(wide)) < 0
                   ? NULL : PyLong_FromLongLong(wide);
    default:
        return fc_incoming_read(in, &real, sizeof(real)) < 0
                   ? NULL : PyFloat_FromDouble(real);
    }
}

/* NOLINTBEGIN(misc-no-recursion): as above. */
static PyObject *
get_value(fc_incoming *in, int depth)
{
    unsigned char tag;
    uint32_t length;
    const unsigned char *run;
    if (fc_incoming_read(in, &tag, 1) < 0) {
        return NULL;
    }
    switch (tag) {
    case TAG_NONE:
        Py_RETURN_NONE;
    case TAG_FALSE:
        Py_RETURN_FALSE;
    case TAG_TRUE:
        Py_RETURN_TRUE;
    case TAG_SMALL:
    case TAG_INT:
    case TAG_FLOAT:
        return get_number(in, tag);
    case TAG_ASCII:
        return get_ascii(in);
    case TAG_STR:
        return get_str(in);
    case TAG_BYTES:
        if (fc_incoming_read(in, &length, sizeof(length)) < 0) {
            return NULL;
        }
        run = get_run(in, 1, length);
        return run != NULL ? PyBytes_FromStringAndSize((const char *)run,
                                                       (Py_ssize_t)length)
                           : NULL;
    case TAG_TUPLE:
        return get_tuple(in, depth);
    default:
        (void)fc_incoming_complain();
        return NULL;
    }
}
/* NOLINTEND(misc-no-recursion) */

PyObject *
fc_value_get(fc_incoming *in)
{
    return get_value(in, FC_VALUES_DEPTH);
}
