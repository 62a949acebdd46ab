/* pickling.c - see pickling.h. */
#include "python/pickling.h"

#include <string.h>

#include "ipc/once.h"

/* --- what a pickler writes to -------------------------------------------- */

typedef struct {
    PyObject_HEAD
    fc_outgoing *o;    /* NULL: not now */
    PyObject *buffers; /* a list of what was given out of band */
} SinkObject;

static int
sink_is_open(const SinkObject *sink)
{
    if (sink->o == NULL) {
        PyErr_SetString(PyExc_ValueError, "the pickle is finished");
        return 0;
    }
    return 1;
}

/* What pickle hands over as bytes stays as it is; of anything else a reducer
 * that is called later might change the contents. */
static PyObject *
sink_write(PyObject *self, PyObject *piece)
{
    SinkObject *sink = (SinkObject *)self;
    Py_buffer buffer;
    if (!sink_is_open(sink)
        || PyObject_GetBuffer(piece, &buffer, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    Py_ssize_t size = buffer.len;
    int status;
    if (size >= FC_REFER_FROM && PyBytes_CheckExact(piece)) {
        status = fc_outgoing_refer(sink->o, &buffer);
    }
    else {
        status = fc_outgoing_put(sink->o, buffer.buf, (size_t)size);
        PyBuffer_Release(&buffer);
    }
    return status < 0 ? NULL : PyLong_FromSsize_t(size);
}

/* The buffer_callback: false takes the buffer out of the pickle. */
static PyObject *
sink_take(PyObject *self, PyObject *piece)
{
    SinkObject *sink = (SinkObject *)self;
    if (!sink_is_open(sink)) {
        return NULL;
    }
    const Py_buffer *buffer = PyPickleBuffer_GetBuffer(piece);
    if (buffer == NULL) {
        return NULL;
    }
    if (buffer->len < FC_BUFFER_FROM
        || !PyBuffer_IsContiguous(buffer, 'A')) {
        Py_RETURN_TRUE;
    }
    if (PyList_Append(sink->buffers, piece) < 0) {
        return NULL;
    }
    Py_RETURN_FALSE;
}

static int
sink_tp_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((SinkObject *)self)->buffers);
    return 0;
}

static int
sink_tp_clear(PyObject *self)
{
    Py_CLEAR(((SinkObject *)self)->buffers);
    return 0;
}

static void
sink_tp_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)sink_tp_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef sink_methods[] = {
    {"write", sink_write, METH_O, NULL},
    {"take", sink_take, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot sink_slots[] = {
    {Py_tp_traverse, sink_tp_traverse},
    {Py_tp_clear, sink_tp_clear},
    {Py_tp_dealloc, sink_tp_dealloc},
    {Py_tp_methods, sink_methods},
    {0, NULL},
};

static PyType_Spec sink_spec = {
    .name = "futures_c._native._Sink",
    .basicsize = sizeof(SinkObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
             | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = sink_slots,
};

int
fc_pickling_init(PyObject *module, fc_state *st)
{
    st->sink_type = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &sink_spec, NULL);
    return st->sink_type != NULL ? 0 : -1;
}

static SinkObject *
sink_new(fc_state *st)
{
    SinkObject *sink = PyObject_GC_New(SinkObject, st->sink_type);
    if (sink == NULL) {
        return NULL;
    }
    sink->o = NULL;
    sink->buffers = PyList_New(0);
    PyObject_GC_Track((PyObject *)sink);
    if (sink->buffers == NULL) {
        Py_CLEAR(sink);
    }
    return sink;
}

/* --- picklers ------------------------------------------------------------ */

/* An object that is looked up once: a new reference. */
static PyObject *
look_up(fc_state *st, PyObject **slot, const char *module, const char *name)
{
    PyObject *object;
    FC_LOCK(st->sink_type);
    object = Py_XNewRef(*slot);
    FC_UNLOCK();
    if (object != NULL) {
        return object;
    }
    object = PyImport_ImportModule(module);
    if (object != NULL && name != NULL) {
        Py_SETREF(object, PyObject_GetAttrString(object, name));
    }
    if (object == NULL) {
        return NULL;
    }
    FC_LOCK(st->sink_type);
    if (*slot == NULL) {
        *slot = Py_NewRef(object);
    }
    FC_UNLOCK();
    return object;
}

/* multiprocessing.reduction.ForkingPickler, as it is now: a new reference. */
static PyObject *
forking_pickler(fc_state *st)
{
    PyObject *reduction =
        look_up(st, &st->reduction, "multiprocessing.reduction", NULL);
    PyObject *class =
        reduction != NULL
            ? PyObject_GetAttr(reduction, st->str_forking_pickler) : NULL;
    Py_XDECREF(reduction);
    return class;
}

/* A pickler that is kept is a tuple: itself, its sink, and copies of the two
 * dictionaries of reducers as they were when it got its own of them. */
enum { PICKLER, SINK, COPYREG, EXTRA };

/* One of these dictionaries of a class as it is now: a new reference, or NULL
 * without an exception where the class is of another kind. */
static PyObject *
reducers_of(PyObject *class, PyObject *name)
{
    PyObject *reducers = PyObject_GetAttr(class, name);
    if (reducers == NULL) {
        PyErr_Clear();
    }
    else if (!PyDict_Check(reducers)) {
        Py_CLEAR(reducers);
    }
    return reducers;
}

/* Whether a dictionary has the same items as its copy had. */
static bool
is_unchanged(PyObject *now, PyObject *copy)
{
    bool same = true;
    Py_ssize_t i = 0, k = 0;
    PyObject *key, *value, *old_key, *old_value;
    FC_LOCK(now);
    while (same && PyDict_Next(now, &i, &key, &value)) {
        same = PyDict_Next(copy, &k, &old_key, &old_value)
               && key == old_key && value == old_value;
    }
    same = same && !PyDict_Next(copy, &k, &old_key, &old_value);
    FC_UNLOCK();
    return same;
}

/* Whether a pickler that was kept is what a new one would be. */
static bool
is_fresh(fc_state *st, PyObject *kept, PyObject *class)
{
    if ((PyObject *)Py_TYPE(PyTuple_GET_ITEM(kept, PICKLER)) != class) {
        return false;
    }
    PyObject *all = reducers_of(class, st->str__copyreg_dispatch_table);
    PyObject *extra = reducers_of(class, st->str__extra_reducers);
    bool fresh = all != NULL && extra != NULL
                 && is_unchanged(all, PyTuple_GET_ITEM(kept, COPYREG))
                 && is_unchanged(extra, PyTuple_GET_ITEM(kept, EXTRA));
    Py_XDECREF(all);
    Py_XDECREF(extra);
    return fresh;
}

int
fc_reducers_now(fc_state *st, fc_reducers *now, PyTypeObject *type)
{
    PyObject *class = forking_pickler(st);
    if (class == NULL) {
        return -1;
    }
    PyObject *all = reducers_of(class, st->str__copyreg_dispatch_table);
    PyObject *extra = reducers_of(class, st->str__extra_reducers);
    int known = 1;
    now->pickler = class;
    now->all = now->extra = 0;
    if (all != NULL && extra != NULL) {
        now->all = PyDict_Size(all);
        now->extra = PyDict_Size(extra);
        known = type != NULL ? PyDict_Contains(all, (PyObject *)type) : 0;
        if (known == 0 && type != NULL) {
            known = PyDict_Contains(extra, (PyObject *)type);
        }
        if (known == 0 && type != NULL) {
            known = PyObject_HasAttrString(class, "reducer_override");
        }
    }
    Py_XDECREF(all);
    Py_XDECREF(extra);
    Py_DECREF(class); /* the module has it, or the numbers change */
    return known;
}

/* A copy of such a dictionary, empty where there is none. */
static PyObject *
copy_reducers(PyObject *class, PyObject *name)
{
    PyObject *reducers = reducers_of(class, name);
    PyObject *copy =
        reducers != NULL ? PyDict_Copy(reducers) : PyDict_New();
    Py_XDECREF(reducers);
    return copy;
}

static PyObject *
new_pickler(fc_state *st, PyObject *class)
{
    /* Before the pickler takes its own: what is registered in between is a
     * change. */
    PyObject *all = copy_reducers(class, st->str__copyreg_dispatch_table);
    PyObject *extra =
        all != NULL ? copy_reducers(class, st->str__extra_reducers) : NULL;
    SinkObject *sink = extra != NULL ? sink_new(st) : NULL;
    PyObject *take =
        sink != NULL ? PyObject_GetAttr((PyObject *)sink, st->str_take)
                     : NULL;
    PyObject *pickler =
        take != NULL ? PyObject_CallFunction(class, "OiOO", (PyObject *)sink,
                                             5, Py_True, take)
                     : NULL;
    PyObject *kept = NULL;
    if (pickler != NULL) {
        kept = PyTuple_Pack(4, pickler, (PyObject *)sink, all, extra);
    }
    Py_XDECREF(pickler);
    Py_XDECREF(take);
    Py_XDECREF((PyObject *)sink);
    Py_XDECREF(extra);
    Py_XDECREF(all);
    return kept;
}

/* One that is kept, or a new one where that one is in use (a reducer may
 * submit tasks) or another reducer has been registered. */
static PyObject *
take_pickler(fc_state *st)
{
    PyObject *class = forking_pickler(st);
    if (class == NULL) {
        return NULL;
    }
    PyObject *kept;
    FC_LOCK(st->sink_type);
    kept = st->pickler;
    st->pickler = NULL;
    FC_UNLOCK();
    if (kept == NULL || !is_fresh(st, kept, class)) {
        Py_XDECREF(kept);
        kept = new_pickler(st, class);
    }
    Py_DECREF(class);
    return kept;
}

/* Keep it for the next one, without what it remembers. */
static int
give_pickler(fc_state *st, PyObject *kept)
{
    SinkObject *sink = (SinkObject *)PyTuple_GET_ITEM(kept, SINK);
    PyObject *none = PyObject_CallMethodNoArgs(
        PyTuple_GET_ITEM(kept, PICKLER), st->str_clear_memo);
    Py_XDECREF(none);
    if (none == NULL
        || PyList_SetSlice(sink->buffers, 0, PY_SSIZE_T_MAX, NULL) < 0) {
        Py_DECREF(kept);
        return -1;
    }
    PyObject *other;
    FC_LOCK(st->sink_type);
    other = st->pickler;
    st->pickler = kept;
    FC_UNLOCK();
    Py_XDECREF(other);
    return 0;
}

/* --- writing ------------------------------------------------------------- */

static const unsigned char zeros[FC_BUFFER_ALIGN];

/* The buffers, each behind a gap that aligns it, and the table at the end. */
static int
put_buffers(fc_outgoing *o, PyObject *buffers, uint64_t pickle_size)
{
    uint32_t count = (uint32_t)PyList_GET_SIZE(buffers);
    for (uint32_t i = 0; i < count; i++) {
        Py_buffer buffer;
        size_t gap = -fc_outgoing_size(o) % FC_BUFFER_ALIGN;
        if (fc_outgoing_put(o, zeros, gap) < 0
            || PyObject_GetBuffer(PyList_GET_ITEM(buffers, i), &buffer,
                                  PyBUF_ANY_CONTIGUOUS) < 0
            || fc_outgoing_refer(o, &buffer) < 0) {
            return -1;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t size =
            (uint64_t)o->referred[o->count - count + i].buffer.len;
        if (fc_outgoing_put(o, &size, sizeof(size)) < 0) {
            return -1;
        }
    }
    return fc_outgoing_put(o, &pickle_size, sizeof(pickle_size)) < 0
                   || fc_outgoing_put(o, &count, sizeof(count)) < 0
               ? -1
               : 0;
}

int
fc_pickle_put(fc_state *st, fc_outgoing *o, PyObject *object)
{
    size_t size = o->size;
    unsigned count = o->count;
    size_t before = fc_outgoing_size(o);
    PyObject *kept = take_pickler(st);
    if (kept == NULL) {
        return -1;
    }
    SinkObject *sink = (SinkObject *)PyTuple_GET_ITEM(kept, SINK);
    sink->o = o;
    PyObject *none = PyObject_CallMethodOneArg(
        PyTuple_GET_ITEM(kept, PICKLER), st->str_dump, object);
    sink->o = NULL;
    int status = -1;
    if (none != NULL) {
        status = put_buffers(o, sink->buffers,
                             fc_outgoing_size(o) - before);
    }
    Py_XDECREF(none);
    if (status < 0) {
        PyObject *raised = fc_exception_take();
        fc_outgoing_cut(o, size, count);
        Py_DECREF(kept); /* in what state it is, nobody knows */
        fc_exception_restore(raised);
        return -1;
    }
    return give_pickler(st, kept);
}

/* --- reading ------------------------------------------------------------- */

/* A buffer of the message: `size` bytes at `at`. */
static PyObject *
get_buffer(const fc_incoming *in, PyObject *owner, const unsigned char *at,
           uint64_t size)
{
    if (owner == NULL) {
        return PyByteArray_FromStringAndSize((const char *)at,
                                             (Py_ssize_t)size);
    }
    PyObject *whole = PyMemoryView_FromObject(owner);
    if (whole == NULL) {
        return NULL;
    }
    Py_ssize_t from = at - in->begin;
    PyObject *part =
        PySequence_GetSlice(whole, from, from + (Py_ssize_t)size);
    Py_DECREF(whole);
    return part;
}

/* The table at the end of the message: how many buffers there are, and where
 * their sizes stand. */
static int
get_table(const fc_incoming *in, uint64_t *pickle_size, uint32_t *count,
          const unsigned char **sizes)
{
    size_t left = (size_t)(in->end - in->at);
    size_t fixed = sizeof(*pickle_size) + sizeof(*count);
    if (left < fixed) {
        return fc_incoming_complain();
    }
    fc_read_once(count, in->end - sizeof(*count), sizeof(*count));
    fc_read_once(pickle_size, in->end - fixed, sizeof(*pickle_size));
    left -= fixed;
    if (*count > left / sizeof(uint64_t)) {
        return fc_incoming_complain();
    }
    left -= *count * sizeof(uint64_t);
    if (*pickle_size > left) {
        return fc_incoming_complain();
    }
    *sizes = in->end - fixed - *count * sizeof(uint64_t);
    return 0;
}

static PyObject *
get_buffers(const fc_incoming *in, PyObject *owner, uint64_t pickle_size,
            uint32_t count, const unsigned char *sizes)
{
    const unsigned char *at = in->at + pickle_size;
    PyObject *list = PyList_New(0);
    for (uint32_t i = 0; list != NULL && i < count; i++) {
        uint64_t size;
        fc_read_once(&size, sizes + i * sizeof(size), sizeof(size));
        size_t gap = -(size_t)(at - in->begin) % FC_BUFFER_ALIGN;
        PyObject *buffer = NULL;
        if (gap > (size_t)(sizes - at)
            || size > (size_t)(sizes - at) - gap) {
            (void)fc_incoming_complain();
        }
        else {
            buffer = get_buffer(in, owner, at + gap, size);
            at += gap + size;
        }
        if (buffer == NULL || PyList_Append(list, buffer) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(buffer);
    }
    return list;
}

/* pickle.loads(), with a view of memory that is not ours for long. */
static PyObject *
load(fc_state *st, const unsigned char *bytes, uint64_t size,
     PyObject *buffers)
{
    PyObject *loads = look_up(st, &st->pickle_loads, "pickle", "loads");
    if (loads == NULL) {
        return NULL;
    }
    PyObject *view = PyMemoryView_FromMemory(
        (char *)(uintptr_t)bytes, (Py_ssize_t)size, PyBUF_READ);
    PyObject *names = view != NULL ? PyTuple_Pack(1, st->str_buffers) : NULL;
    PyObject *stack[] = {view, buffers};
    PyObject *object =
        names != NULL ? PyObject_Vectorcall(loads, stack, 1, names) : NULL;
    Py_DECREF(loads);
    Py_XDECREF(names);
    if (view != NULL) {
        /* Nobody looks there any more, whoever has got hold of it. */
        PyObject *raised = object == NULL ? fc_exception_take() : NULL;
        PyObject *none = PyObject_CallMethodNoArgs(view, st->str_release);
        Py_XDECREF(none);
        if (none == NULL) {
            PyErr_WriteUnraisable(view);
        }
        if (raised != NULL) {
            fc_exception_restore(raised);
        }
        Py_DECREF(view);
    }
    return object;
}

PyObject *
fc_pickle_get(fc_state *st, fc_incoming *in, PyObject *owner)
{
    uint64_t pickle_size = 0;
    uint32_t count = 0;
    const unsigned char *sizes = NULL;
    if (get_table(in, &pickle_size, &count, &sizes) < 0) {
        return NULL;
    }
    PyObject *buffers = get_buffers(in, owner, pickle_size, count, sizes);
    PyObject *object =
        buffers != NULL ? load(st, in->at, pickle_size, buffers) : NULL;
    Py_XDECREF(buffers);
    in->at = in->end;
    return object;
}

/* --- whole messages ------------------------------------------------------ */

/* The first byte. */
enum { PLAIN = 'v', PICKLED = 'p' };

bool
fc_object_is_plain(const unsigned char *bytes, uint64_t size)
{
    return size > 0 && bytes[0] == PLAIN;
}

int
fc_object_put(fc_state *st, fc_outgoing *o, PyObject *object)
{
    unsigned char first = PLAIN;
    if (fc_outgoing_put(o, &first, 1) < 0) {
        return -1;
    }
    int put = fc_value_put(o, object);
    if (put != 0) {
        return put < 0 ? -1 : 0;
    }
    o->bytes[o->size - 1] = PICKLED;
    return fc_pickle_put(st, o, object);
}

PyObject *
fc_object_get(fc_state *st, fc_incoming *in, PyObject *owner)
{
    unsigned char first;
    if (fc_incoming_read(in, &first, 1) < 0) {
        return NULL;
    }
    if (first == PICKLED) {
        return fc_pickle_get(st, in, owner);
    }
    PyObject *object = NULL;
    if (first == PLAIN) {
        object = fc_value_get(in);
    }
    else {
        (void)fc_incoming_complain();
    }
    if (object != NULL && in->at != in->end) {
        Py_CLEAR(object);
        (void)fc_incoming_complain();
    }
    return object;
}

/* _encode(object): the bytes of a message, for tests. */
PyObject *
fc_encode(PyObject *module, PyObject *object)
{
    fc_outgoing o;
    fc_outgoing_init(&o);
    PyObject *bytes = NULL;
    unsigned count;
    const struct fc_part *parts = NULL;
    if (fc_object_put(fc_state_of_module(module), &o, object) == 0) {
        parts = fc_outgoing_parts(&o, &count);
    }
    if (parts != NULL) {
        bytes = PyBytes_FromStringAndSize(
            NULL, (Py_ssize_t)fc_outgoing_size(&o));
    }
    if (bytes != NULL) {
        fc_parts_gather(parts, count,
                        (unsigned char *)PyBytes_AS_STRING(bytes));
    }
    fc_outgoing_clear(&o);
    return bytes;
}

/* _decode(bytes, owner=None): the object of a message; with an owner, whose
 * memory the message is, buffers go on using that. */
PyObject *
fc_decode(PyObject *module, PyObject *args)
{
    Py_buffer buffer;
    PyObject *owner = NULL;
    if (!PyArg_ParseTuple(args, "y*|O:_decode", &buffer, &owner)) {
        return NULL;
    }
    const unsigned char *begin = buffer.buf;
    fc_incoming in = fc_incoming_of(begin, (size_t)buffer.len);
    PyObject *object =
        fc_object_get(fc_state_of_module(module), &in, owner);
    PyBuffer_Release(&buffer);
    return object;
}
