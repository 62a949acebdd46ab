/* crossing.c - see crossing.h. */
#include "python/crossing.h"

#include <stddef.h>
#include <string.h>

/* Pickle's protocol, as in pickling.c. */
#define PROTOCOL 5

/* --- messages ------------------------------------------------------------ */

void
fc_crossing_init(fc_crossing *m)
{
    memset(m, 0, offsetof(fc_crossing, plain));
    fc_outgoing_init(&m->plain);
    m->pickle = m->kept = NULL;
}

void
fc_crossing_clear(fc_crossing *m)
{
    fc_outgoing_clear(&m->plain);
    Py_CLEAR(m->pickle);
    Py_CLEAR(m->kept);
}

int
fc_crossing_put_plain(fc_crossing *m, PyObject *value)
{
    int put = fc_value_put(&m->plain, value);
    if (put > 0) {
        m->kind = FC_CROSSING_PLAIN;
        m->bytes = m->plain.bytes;
        m->size = m->plain.size;
    }
    return put;
}

size_t
fc_crossing_weight(const fc_crossing *m)
{
    return m->kind == FC_CROSSING_PLAIN ? fc_outgoing_size(&m->plain)
                                        : m->size;
}

/* A text, which is its characters in UTF-8; what cannot be is left empty. */
static void
put_text(fc_crossing *m, enum fc_crossing_kind kind, PyObject *text)
{
    Py_ssize_t size = 0;
    const char *bytes =
        text != NULL ? PyUnicode_AsUTF8AndSize(text, &size) : NULL;
    if (bytes == NULL) {
        PyErr_Clear();
        size = 0;
    }
    m->kind = kind;
    Py_XSETREF(m->pickle, Py_XNewRef(text));
    m->bytes = (const unsigned char *)bytes;
    m->size = (size_t)size;
}

/* What a traceback of an exception ends with: NULL, without an exception, where
 * there is no memory. */
static PyObject *
text_of(PyObject *exception)
{
    PyObject *text = PyUnicode_FromFormat(
        "%s: %S", Py_TYPE(exception)->tp_name, exception);
    if (text == NULL) {
        PyErr_Clear();
        text = PyUnicode_FromString(Py_TYPE(exception)->tp_name);
    }
    PyErr_Clear();
    return text;
}

void
fc_crossing_put_error(fc_crossing *m, enum fc_crossing_kind kind,
                      PyObject *raised)
{
    PyObject *exception = fc_exception_take();
    PyObject *text = text_of(exception);
    if (raised != NULL) {
        PyObject *first = text_of(raised);
        PyObject *both = first != NULL && text != NULL
                             ? PyUnicode_FromFormat("%U (not described: %U)",
                                                    first, text)
                             : NULL;
        if (both != NULL) {
            Py_XSETREF(text, both);
        }
        Py_XDECREF(first);
        PyErr_Clear();
    }
    put_text(m, kind, text);
    PyErr_Clear();
    Py_XDECREF(text);
    Py_DECREF(exception);
}

/* --- pickles ------------------------------------------------------------- */

static PyObject *
copy_of(const char *name)
{
    PyObject *list = PySys_GetObject(name); /* borrowed */
    PyObject *copy =
        list != NULL && PyList_Check(list) ? PySequence_List(list) : NULL;
    PyErr_Clear(); /* then there is none */
    return copy;
}

void
fc_crossing_tools_begin(fc_crossing_tools *side, const char *home)
{
    side->home = home;
    side->path = copy_of("path");
    side->meta_path = copy_of("meta_path");
}

void
fc_crossing_tools_clear(fc_crossing_tools *side)
{
    Py_CLEAR(side->path);
    Py_CLEAR(side->meta_path);
    Py_CLEAR(side->dumps);
    Py_CLEAR(side->loads);
    Py_CLEAR(side->protocol);
    Py_CLEAR(side->crossing);
}

static int
prepare(fc_crossing_tools *side)
{
    if (side->loads != NULL) {
        return 0;
    }
    /* Not "pickle", which takes as long to import as all else together. */
    PyObject *module = PyImport_ImportModule("_pickle");
    if (module == NULL) {
        return -1;
    }
    Py_XSETREF(side->protocol, PyLong_FromLong(PROTOCOL));
    Py_XSETREF(side->dumps, PyObject_GetAttrString(module, "dumps"));
    if (side->protocol != NULL && side->dumps != NULL) {
        /* Last: the others are there when this is. */
        side->loads = PyObject_GetAttrString(module, "loads");
    }
    Py_DECREF(module);
    return side->loads != NULL ? 0 : -1;
}

/* Set one of sys, and return what it was: a new reference, or NULL. */
static PyObject *
exchange(const char *name, PyObject *value)
{
    PyObject *old = Py_XNewRef(PySys_GetObject(name));
    if (PySys_SetObject(name, value) < 0) {
        PyErr_Clear();
    }
    return old;
}

/* Import _crossing, as modules were found before any call could change it, and
 * from where the package is. */
static PyObject *
import_as_at_first(fc_crossing_tools *side)
{
    PyObject *home = PyUnicode_DecodeFSDefault(side->home);
    if (home == NULL || side->path == NULL || side->meta_path == NULL
        || PyList_Append(side->path, home) < 0) {
        Py_XDECREF(home);
        return !PyErr_Occurred() ? PyErr_NoMemory() : NULL;
    }
    Py_DECREF(home);
    PyObject *path = exchange("path", side->path);
    PyObject *meta_path = exchange("meta_path", side->meta_path);
    PyObject *module = PyImport_ImportModule("futures_c._crossing");
    PyObject *raised = module == NULL ? fc_exception_take() : NULL;
    Py_XDECREF(exchange("meta_path", meta_path));
    Py_XDECREF(exchange("path", path));
    Py_XDECREF(meta_path);
    Py_XDECREF(path);
    if (raised != NULL) {
        fc_exception_restore(raised);
    }
    return module;
}

static PyObject *
import_crossing(fc_crossing_tools *side)
{
    PyObject *module = PyImport_ImportModule("futures_c._crossing");
    if (module != NULL || side->home == NULL
        || !PyErr_ExceptionMatches(PyExc_ImportError)) {
        return module;
    }
    PyErr_Clear();
    return import_as_at_first(side);
}

static int
load_crossing(fc_crossing_tools *side)
{
    if (side->crossing != NULL) {
        return 0;
    }
    PyObject *module = import_crossing(side);
    if (module != NULL && side->home != NULL) {
        PyObject *settled = PyObject_CallMethod(
            module, "settle", "OO", side->path != NULL ? side->path : Py_None,
            side->meta_path != NULL ? side->meta_path : Py_None);
        if (settled == NULL) {
            Py_CLEAR(module);
        }
        Py_XDECREF(settled);
    }
    side->crossing = module;
    return module != NULL ? 0 : -1;
}

PyObject *
fc_crossing_call(fc_crossing_tools *side, const char *name, PyObject *object)
{
    if (load_crossing(side) < 0) {
        return NULL;
    }
    PyObject *function = PyObject_GetAttrString(side->crossing, name);
    PyObject *result =
        function != NULL ? PyObject_CallOneArg(function, object) : NULL;
    Py_XDECREF(function);
    return result;
}

/* Whether a pickle may refer to the main script, which has another name
 * there. */
static bool
mentions_main(PyObject *pickle)
{
    static const char name[] = "__main__";
    size_t length = sizeof(name) - 1;
    const char *at = PyBytes_AS_STRING(pickle);
    const char *end = at + PyBytes_GET_SIZE(pickle);
    while ((size_t)(end - at) >= length) {
        at = memchr(at, '_', (size_t)(end - at) - (length - 1));
        if (at == NULL) {
            return false;
        }
        if (memcmp(at, name, length) == 0) {
            return true;
        }
        at++;
    }
    return false;
}

int
fc_crossing_put_bytes(fc_crossing *m, enum fc_crossing_kind kind,
                      PyObject *bytes)
{
    if (!PyBytes_CheckExact(bytes)) {
        PyErr_SetString(PyExc_TypeError, "a pickle is bytes");
        return -1;
    }
    m->kind = kind;
    Py_XSETREF(m->pickle, Py_NewRef(bytes));
    m->bytes = (const unsigned char *)PyBytes_AS_STRING(bytes);
    m->size = (size_t)PyBytes_GET_SIZE(bytes);
    return 0;
}

int
fc_crossing_put_packed(fc_crossing *m, fc_crossing_tools *side,
                       const char *pack, PyObject *object)
{
    PyObject *packed = fc_crossing_call(side, pack, object);
    int status = -1;
    if (packed != NULL && PyTuple_CheckExact(packed)
        && PyTuple_GET_SIZE(packed) == 2) {
        status = fc_crossing_put_bytes(m, FC_CROSSING_PACKED,
                                   PyTuple_GET_ITEM(packed, 0));
        Py_XSETREF(m->kept, Py_NewRef(PyTuple_GET_ITEM(packed, 1)));
    }
    else if (packed != NULL) {
        PyErr_SetString(PyExc_TypeError, "this is no pack");
    }
    Py_XDECREF(packed);
    return status;
}

int
fc_crossing_put_object(fc_crossing *m, fc_crossing_tools *side,
                       const char *pack, PyObject *object)
{
    if (prepare(side) < 0) {
        return -1;
    }
    PyObject *pickle = PyObject_CallFunctionObjArgs(
        side->dumps, object, side->protocol, NULL);
    if (pickle != NULL && !mentions_main(pickle)) {
        int status = fc_crossing_put_bytes(m, FC_CROSSING_PICKLE, pickle);
        Py_DECREF(pickle);
        return status;
    }
    if (pickle == NULL && !PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1;
    }
    Py_XDECREF(pickle);
    PyErr_Clear();
    return fc_crossing_put_packed(m, side, pack, object);
}

PyObject *
fc_crossing_call_with_bytes(const fc_crossing *m, fc_crossing_tools *side,
                            PyObject *callable, const char *name)
{
    PyObject *view = PyMemoryView_FromMemory((char *)(uintptr_t)m->bytes,
                                             (Py_ssize_t)m->size, PyBUF_READ);
    if (view == NULL) {
        return NULL;
    }
    PyObject *object = callable != NULL ? PyObject_CallOneArg(callable, view)
                                        : fc_crossing_call(side, name, view);
    PyObject *raised = object == NULL ? fc_exception_take() : NULL;
    /* Nobody looks there any more, whoever has got hold of it: a traceback has,
     * with the frames of what has failed. */
    PyObject *none = PyObject_CallMethod(view, "release", NULL);
    if (none == NULL) {
        PyErr_Clear();
    }
    Py_XDECREF(none);
    Py_DECREF(view);
    if (raised != NULL) {
        fc_exception_restore(raised);
    }
    return object;
}

PyObject *
fc_crossing_get_object(const fc_crossing *m, fc_crossing_tools *side)
{
    if (m->kind == FC_CROSSING_PLAIN) {
        fc_incoming in = fc_incoming_of(m->bytes, m->size);
        in.referred = m->plain.referred;
        in.count = m->plain.count;
        return fc_value_get(&in);
    }
    if (prepare(side) < 0) {
        return NULL;
    }
    return fc_crossing_call_with_bytes(
        m, side, m->kind == FC_CROSSING_PICKLE ? side->loads : NULL, "unpack");
}
