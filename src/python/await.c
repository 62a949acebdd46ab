/* await.c - `await future`, and asyncio futures that end with one of ours. */
#include "python/awaiter.h"
#include "python/loop.h"

/* --- links ----------------------------------------------------------------------- */

/* A link is a callback of both futures: of ours, which it is called for only
 * where the class has been derived from; and of asyncio's, whose cancellation
 * it passes on. */
static PyObject *
link_tp_call(PyObject *self, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    LinkObject *link = (LinkObject *)self;
    fc_state *st = fc_state_of_exact(Py_TYPE(self));
    if (st == NULL || link->source == NULL || PyTuple_GET_SIZE(args) != 1) {
        Py_RETURN_NONE;
    }
    PyObject *ended = PyTuple_GET_ITEM(args, 0);
    if (ended == link->source || link->destination == NULL) {
        /* A loop that is closed wants to know nothing. */
        (void)fc_loop_post(st, self, ended);
        Py_RETURN_NONE;
    }
    PyObject *cancelled =
        PyObject_CallMethodNoArgs(link->destination, st->str_cancelled);
    int was = cancelled != NULL ? PyObject_IsTrue(cancelled) : -1;
    Py_XDECREF(cancelled);
    if (was <= 0) {
        return was < 0 ? NULL : Py_NewRef(Py_None);
    }
    return PyObject_CallMethodNoArgs(link->source, st->str_cancel);
}

static int
link_tp_traverse(PyObject *self, visitproc visit, void *arg)
{
    LinkObject *link = (LinkObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(link->loop);
    Py_VISIT(link->source);
    Py_VISIT(link->destination);
    return 0;
}

static int
link_tp_clear(PyObject *self)
{
    LinkObject *link = (LinkObject *)self;
    Py_CLEAR(link->loop);
    Py_CLEAR(link->source);
    Py_CLEAR(link->destination);
    return 0;
}

static void
link_tp_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)link_tp_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* Add `link` to what our future calls. */
static int
add_to_source(fc_state *st, LinkObject *link)
{
    if (Py_TYPE(link->source) != st->future_type) {
        PyObject *none = PyObject_CallMethodOneArg(
            link->source, st->str_add_done_callback, (PyObject *)link);
        Py_XDECREF(none);
        return none != NULL ? 0 : -1;
    }
    int added = fc_future_add_callback(st, (FutureObject *)link->source,
                                       (PyObject *)link);
    if (added == 0) {
        (void)fc_loop_post(st, (PyObject *)link, link->source);
    }
    return added < 0 ? -1 : 0;
}

static LinkObject *
make_link(fc_state *st, PyObject *loop, PyObject *source,
          PyObject *destination)
{
    LinkObject *link = PyObject_GC_New(LinkObject, st->link_type);
    if (link != NULL) {
        link->loop = Py_NewRef(loop);
        link->source = Py_NewRef(source);
        link->destination = Py_XNewRef(destination);
        PyObject_GC_Track((PyObject *)link);
    }
    return link;
}

/* A new asyncio future of `loop` that ends as `source` does. */
static PyObject *
wrap(fc_state *st, PyObject *source, PyObject *loop)
{
    PyObject *destination =
        PyObject_CallMethodNoArgs(loop, st->str_create_future);
    LinkObject *link = destination != NULL
                           ? make_link(st, loop, source, destination)
                           : NULL;
    if (link == NULL) {
        Py_XDECREF(destination);
        return NULL;
    }
    PyObject *none = PyObject_CallMethodOneArg(
        destination, st->str_add_done_callback, (PyObject *)link);
    if (none == NULL || add_to_source(st, link) < 0) {
        Py_CLEAR(destination);
    }
    Py_XDECREF(none);
    Py_DECREF(link);
    return destination;
}

PyObject *
fc_wrap_future(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    fc_state *st = fc_state_of_module(module);
    if (nargs != 2 || !fc_is_future(st, args[0])) {
        PyErr_SetString(PyExc_TypeError,
                        "_wrap() takes one of our futures and a loop");
        return NULL;
    }
    return wrap(st, args[0], args[1]);
}

PyObject *
fc_make_bell(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "_bell() takes a loop and a function");
        return NULL;
    }
    return (PyObject *)make_link(fc_state_of_module(module), args[0], args[1],
                                 NULL);
}

/* --- awaiting ---------------------------------------------------------------------- */

PyObject *
fc_running_loop(fc_state *st)
{
    if (st->get_running_loop == NULL) {
        PyObject *events = PyImport_ImportModule("asyncio.events");
        if (events == NULL) {
            return NULL;
        }
        PyObject *function =
            PyObject_GetAttrString(events, "_get_running_loop");
        Py_DECREF(events);
        if (function == NULL) {
            return NULL;
        }
        FC_LOCK(st->zero);
        if (st->get_running_loop == NULL) {
            st->get_running_loop = Py_NewRef(function);
        }
        FC_UNLOCK();
        Py_DECREF(function);
    }
    return PyObject_CallNoArgs(st->get_running_loop);
}

PyObject *
fc_future_am_await(PyObject *self)
{
    fc_state *st = fc_state_of(self);
    if (Py_TYPE(self) == st->future_type) {
        return fc_awaiter_new(st, self);
    }
    /* A derived class may have methods of its own: asyncio's future asks
     * them. */
    PyObject *loop = fc_running_loop(st);
    if (loop == Py_None) {
        PyErr_SetString(PyExc_RuntimeError, "no running event loop");
        Py_CLEAR(loop);
    }
    PyObject *wrapped = loop != NULL ? wrap(st, self, loop) : NULL;
    PyObject *awaited = NULL;
    if (wrapped != NULL) {
        awaited = PyObject_CallMethodNoArgs(wrapped, st->str___await__);
        Py_DECREF(wrapped);
    }
    Py_XDECREF(loop);
    return awaited;
}

/* --- the types ---------------------------------------------------------------------- */

static PyType_Slot link_slots[] = {
    {Py_tp_dealloc, link_tp_dealloc},
    {Py_tp_traverse, link_tp_traverse},
    {Py_tp_clear, link_tp_clear},
    {Py_tp_call, link_tp_call},
    {0, NULL},
};

static PyType_Spec link_spec = {
    .name = "futures_c._native.link",
    .basicsize = sizeof(LinkObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = link_slots,
};

int
fc_await_init(PyObject *module, fc_state *st)
{
    st->link_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &link_spec, NULL);
    return st->link_type != NULL ? 0 : -1;
}

PyObject *
fc_asyncio_helper(const char *name, PyObject *first, PyObject *second)
{
    PyObject *module = PyImport_ImportModule("futures_c._asyncio");
    PyObject *result = NULL;
    if (module != NULL) {
        result = PyObject_CallMethod(module, name, "OO", first, second);
        Py_DECREF(module);
    }
    return result;
}
