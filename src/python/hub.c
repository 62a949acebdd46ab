/* hub.c - the type Hub: what futures_c/process.py asks of it; see hub.h. */
#include "python/batch.h"
#include "python/hub.h"
#include "python/task.h"

#include "ipc/idle.h"
#include "port/port.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

/* Requests under way at the same time; what is beyond waits as objects. */
#define SLOTS 4096
/* Bytes of a stream: so much may be said before somebody listens. */
#define STREAM 65536
/* Bytes for requests that a slot has no room for.  Reserved as they are
 * used. */
#define ARENA (UINT32_C(1) << 25)
/* Bytes of free blocks that either side keeps for the next large messages. */
#define KEEP (UINT64_C(1) << 28)

PyObject *
fc_process_helper(fc_state *st, const char *name, const char *format, ...)
{
    (void)st;
    PyObject *module = PyImport_ImportModule("futures_c.process");
    /* Interned: a type's cache of attributes goes by a name's address. */
    PyObject *interned =
        module != NULL ? PyUnicode_InternFromString(name) : NULL;
    PyObject *function =
        interned != NULL ? PyObject_GetAttr(module, interned) : NULL;
    Py_XDECREF(interned);
    PyObject *result = NULL;
    if (function != NULL) {
        va_list values;
        va_start(values, format);
        PyObject *args = Py_VaBuildValue(format, values);
        va_end(values);
        if (args != NULL && !PyTuple_Check(args)) {
            Py_SETREF(args, PyTuple_Pack(1, args));
        }
        result = args != NULL ? PyObject_Call(function, args, NULL) : NULL;
        Py_XDECREF(args);
    }
    Py_XDECREF(function);
    Py_XDECREF(module);
    return result;
}

/* --- its life ----------------------------------------------------------------- */

static PyObject *
hub_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"seats", NULL};
    unsigned int seats;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "I", names, &seats)) {
        return NULL;
    }
    HubObject *hub = (HubObject *)type->tp_alloc(type, 0);
    if (hub == NULL) {
        return NULL;
    }
    struct fc_geometry geometry = {
        .seats = seats < FC_SEATS_MAX ? seats : FC_SEATS_MAX,
        .slots = SLOTS,
        .stream = STREAM,
        .arena = ARENA,
    };
    int error = 0;
    hub->generation = fc_fork_generation();
    hub->hub = fc_hub_new(&geometry, KEEP, &error);
    if (hub->hub == NULL) {
        Py_DECREF(hub);
        errno = error;
        PyErr_SetFromErrno(PyExc_OSError);
        return NULL;
    }
    return (PyObject *)hub;
}

static int
hub_tp_traverse(PyObject *self, visitproc visit, void *arg)
{
    HubObject *hub = (HubObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(hub->numbers);
    Py_VISIT(hub->last);
    for (size_t i = 0; i < hub->count; i++) {
        Py_VISIT((PyObject *)
                     hub->backlog[(hub->first + i) & (hub->capacity - 1)]);
    }
    for (size_t i = 0; i < hub->deferred_count; i++) {
        Py_VISIT((PyObject *)hub->deferred[i].future);
        Py_VISIT(hub->deferred[i].outcome);
    }
    if (hub->hub != NULL) {
        const struct fc_requester *r = &hub->hub->requester;
        for (uint32_t i = 0; i < r->sender.opened; i++) {
            Py_VISIT((PyObject *)r->requested[i].user);
        }
    }
    return 0;
}

/* In a forked child: let go of the futures without a look at the shared memory
 * or the lock, which are the parent's. */
static void
forget_inherited(HubObject *hub)
{
    struct fc_requester *r = &hub->hub->requester;
    for (uint32_t i = 0; i < r->sender.opened; i++) {
        FutureObject *f = r->requested[i].user;
        r->requested[i].user = NULL;
        Py_XDECREF((PyObject *)f);
    }
    while (hub->count > 0) {
        FutureObject *f = hub->backlog[hub->first];
        hub->first = (hub->first + 1) & (hub->capacity - 1);
        hub->count--;
        Py_DECREF(f);
    }
}

static int
hub_tp_clear(PyObject *self)
{
    HubObject *hub = (HubObject *)self;
    Py_CLEAR(hub->numbers);
    Py_CLEAR(hub->last);
    FutureObject *f;
    bool inherited = hub->generation != fc_fork_generation();
    while (hub->hub != NULL && !inherited
           && (f = fc_hub_take_any(hub)) != NULL) {
        Py_DECREF(f);
    }
    if (hub->hub != NULL && inherited) {
        forget_inherited(hub);
    }
    while (hub->deferred_count > 0) {
        fc_arrival a = hub->deferred[--hub->deferred_count];
        Py_DECREF(a.future);
        Py_XDECREF(a.outcome);
    }
    return 0;
}

static void
hub_tp_dealloc(PyObject *self)
{
    HubObject *hub = (HubObject *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)hub_tp_clear(self);
    free(hub->backlog);
    free(hub->deferred);
    fc_hub_free_spare(hub);
    if (hub->hub != NULL) {
        fc_hub_unref(hub->hub);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

/* --- workers ------------------------------------------------------------------ */

/* Open a seat, and put into the list its number and that of the start of its
 * worker: what was returned would be lost to a KeyboardInterrupt. */
static PyObject *
hub_open_seat(PyObject *self, PyObject *place)
{
    HubObject *hub = (HubObject *)self;
    if (!PyList_CheckExact(place)) {
        PyErr_SetString(PyExc_TypeError, "place must be a list");
        return NULL;
    }
    int error = 0;
    fc_hub_enter(hub);
    int seat = fc_hub_open_seat(hub->hub, &error);
    uint32_t start = seat < 0 ? 0 : hub->hub->requester.workers[seat].start;
    fc_hub_exit(hub);
    if (seat < 0) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    PyObject *numbers = Py_BuildValue("(iI)", seat, start);
    if (numbers == NULL || PyList_Append(place, numbers) < 0) {
        fc_hub_enter(hub);
        fc_hub_close_seat(hub->hub, (uint32_t)seat);
        fc_hub_exit(hub);
        Py_XDECREF(numbers);
        return NULL;
    }
    Py_DECREF(numbers);
    Py_RETURN_NONE;
}

/* The number of a seat, or -1 with an exception. */
static int64_t
seat_from(HubObject *hub, PyObject *arg)
{
    long seat = PyLong_AsLong(arg);
    if (seat == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (seat < 0
        || (uint64_t)seat >= hub->hub->requester.segment.geometry.seats) {
        PyErr_SetString(PyExc_ValueError, "there is no such seat");
        return -1;
    }
    return seat;
}

/* Do this with a seat, under the hub's lock. */
static PyObject *
at_seat(PyObject *self, PyObject *arg, bool (*act)(struct fc_hub *, uint32_t))
{
    HubObject *hub = (HubObject *)self;
    int64_t seat = seat_from(hub, arg);
    if (seat < 0) {
        return NULL;
    }
    fc_hub_enter(hub);
    bool done = act(hub->hub, (uint32_t)seat);
    fc_hub_exit(hub);
    return PyBool_FromLong(done);
}

static bool
close_seat(struct fc_hub *hub, uint32_t seat)
{
    fc_hub_close_seat(hub, seat);
    return true;
}

static bool
admit_seat(struct fc_hub *hub, uint32_t seat)
{
    fc_hub_admit_seat(hub, seat);
    return true;
}

static PyObject *
hub_close_seat(PyObject *self, PyObject *arg)
{
    return at_seat(self, arg, close_seat);
}

static PyObject *
hub_admit_seat(PyObject *self, PyObject *arg)
{
    return at_seat(self, arg, admit_seat);
}

/* Whether the seat was closed: see fc_hub_withdraw_seat(). */
static PyObject *
hub_withdraw_seat(PyObject *self, PyObject *arg)
{
    return at_seat(self, arg, fc_hub_withdraw_seat);
}

/* Whether the worker of a seat has left as it should: it has said so, and owes
 * nobody a reply. */
static PyObject *
hub_has_left(PyObject *self, PyObject *arg)
{
    HubObject *hub = (HubObject *)self;
    int64_t seat = seat_from(hub, arg);
    if (seat < 0) {
        return NULL;
    }
    struct fc_requester *r = &hub->hub->requester;
    fc_hub_enter(hub);
    bool left = atomic_load_explicit(&r->segment.seats[seat].state,
                                     memory_order_acquire)
                == FC_SEAT_LEAVING;
    for (uint32_t i = 0; left && i < r->sender.opened; i++) {
        left = !fc_requester_has(r, (uint32_t)seat, i);
    }
    fc_hub_exit(hub);
    return PyBool_FromLong(left);
}

/* wants_worker(): whether those that are coming need one more. */
static PyObject *
hub_wants_worker(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    HubObject *hub = (HubObject *)self;
    uint64_t calls =
        atomic_load_explicit(&hub->coming, memory_order_relaxed);
    return PyBool_FromLong(fc_hub_needs_worker(hub, calls));
}

static PyObject *
hub_expected(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    HubObject *hub = (HubObject *)self;
    fc_hub_enter(hub);
    uint32_t expected = fc_hub_expected(hub->hub);
    fc_hub_exit(hub);
    return PyLong_FromUnsignedLong(expected);
}

/* Under the lock: calls of batches that nobody has begun. */
static uint64_t
left_in_batches(const HubObject *hub)
{
    const struct fc_requester *r = &hub->hub->requester;
    uint64_t left = 0;
    uint32_t found = 0;
    for (uint32_t i = 0;
         found < hub->batches && i < r->sender.opened; i++) {
        FutureObject *f = r->requested[i].user;
        if (f != NULL && (fc_future_flags(f) & FC_FUTURE_BATCH)) {
            left += fc_batch_left(fc_requester_batch(r, i));
            found++;
        }
    }
    return left;
}

bool
fc_hub_needs_worker(HubObject *hub, uint64_t calls)
{
    uint64_t others = (uint64_t)atomic_load_explicit(&hub->waiting,
                                                     memory_order_relaxed)
                      + atomic_load_explicit(&hub->phantoms,
                                             memory_order_relaxed)
                      + calls;
    fc_hub_enter(hub);
    others += left_in_batches(hub);
    bool wants = fc_hub_wants_worker(hub->hub, others);
    fc_hub_exit(hub);
    return wants;
}

/* --- the pool's thread ------------------------------------------------------------ */

static PyObject *
hub_attend(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    HubObject *hub = (HubObject *)self;
    fc_state *st = fc_state_of_exact(Py_TYPE(self));
    int ended = fc_hub_fetch(st, hub, true);
    (void)fc_hub_feed(st, hub, false);
    return PyLong_FromLong(ended);
}

static PyObject *
hub_listen(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    HubObject *hub = (HubObject *)self;
    fc_hub_enter(hub);
    bool nothing = fc_hub_listen(hub->hub) && hub->deferred_count == 0;
    fc_hub_exit(hub);
    return PyBool_FromLong(nothing);
}

static PyObject *
hub_silence(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    fc_bell_silence(((HubObject *)self)->hub->bell.listen);
    Py_RETURN_NONE;
}

static PyObject *
hub_ring(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    fc_hub_ring(((HubObject *)self)->hub);
    Py_RETURN_NONE;
}

static PyObject *
hub_rouse(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    fc_hub_rouse(((HubObject *)self)->hub);
    Py_RETURN_NONE;
}

/* close(): nothing more is sent.  Who does it rings for the pool's thread, if he
 * is not that thread, which does it each time that it has been rung for. */
static PyObject *
hub_close(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    HubObject *hub = (HubObject *)self;
    fc_hub_enter(hub);
    hub->closed = true;
    fc_hub_exit(hub);
    Py_RETURN_NONE;
}

/* dismiss(): the workers are to leave when no request is left. */
static PyObject *
hub_dismiss(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    fc_idle_close(&((HubObject *)self)->hub->requester.segment);
    Py_RETURN_NONE;
}

/* take_all(): the futures that nobody will answer any more. */
static PyObject *
hub_take_all(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    HubObject *hub = (HubObject *)self;
    PyObject *all = PyList_New(0);
    FutureObject *f;
    fc_due due = {0};
    fc_hub_enter(hub);
    hub->closed = hub->dead = true;
    fc_hub_exit(hub);
    /* What somebody has fetched since this thread has looked last. */
    (void)fc_hub_end_deferred(fc_state_of_exact(Py_TYPE(self)), hub, &due);
    fc_due_fire(&due);
    while (all != NULL && (f = fc_hub_take_any(hub)) != NULL) {
        int status = PyList_Append(all, (PyObject *)f);
        fc_hub_count_down(hub);
        Py_DECREF(f);
        if (status < 0) {
            Py_CLEAR(all);
        }
    }
    return all;
}

typedef struct {
    uint64_t position;
    FutureObject *future;
} placed;

static int
by_position(const void *a, const void *b)
{
    uint64_t left = ((const placed *)a)->position;
    uint64_t right = ((const placed *)b)->position;
    return (left > right) - (left < right);
}

/* Of a batch some calls may not have begun. */
static bool
is_begun_batch(FutureObject *f)
{
    return (fc_future_flags(f) & FC_FUTURE_BATCH) != 0;
}

/* pending(begun): the futures that are under way, the oldest first; only those
 * that no worker has taken, unless `begun`. */
static PyObject *
hub_pending(PyObject *self, PyObject *arg)
{
    HubObject *hub = (HubObject *)self;
    struct fc_requester *r = &hub->hub->requester;
    int begun = PyObject_IsTrue(arg);
    size_t count = 0;
    if (begun < 0) {
        return NULL;
    }
    fc_hub_enter(hub);
    size_t most = r->sender.opened + hub->count;
    placed *all = malloc(most * sizeof(*all));
    for (uint32_t i = 0; all && i < r->sender.opened; i++) {
        FutureObject *f = r->requested[i].user;
        if (f != NULL && (begun || !fc_requester_taken(r, i)
                          || is_begun_batch(f))) {
            Py_INCREF(f);
            all[count++] = (placed){r->sender.positions[i], f};
        }
    }
    for (size_t i = 0; all && i < hub->count; i++) {
        FutureObject *f =
            hub->backlog[(hub->first + i) & (hub->capacity - 1)];
        Py_INCREF(f);
        all[count++] = (placed){FC_NO_REQUEST - hub->count + i, f};
    }
    fc_hub_exit(hub);
    if (all == NULL) {
        return PyErr_NoMemory();
    }
    qsort(all, count, sizeof(*all), by_position);
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; i < count; i++) {
        if (list != NULL) {
            PyList_SET_ITEM(list, (Py_ssize_t)i, (PyObject *)all[i].future);
        }
        else {
            Py_DECREF(all[i].future);
        }
    }
    free(all);
    return list;
}

/* is_batch(future): whether it is one of map()'s. */
static PyObject *
hub_is_batch(PyObject *self, PyObject *future)
{
    fc_state *st = fc_state_of_exact(Py_TYPE(self));
    return PyBool_FromLong(
        fc_is_future(st, future)
        && (fc_future_flags((FutureObject *)future) & FC_FUTURE_BATCH));
}

/* --- attributes ------------------------------------------------------------------- */

static PyObject *
hub_get_number(PyObject *self, void *closure)
{
    HubObject *hub = (HubObject *)self;
    const char *name = closure;
    switch (name[0]) {
    case 'f': /* the segment's descriptor */
        return PyLong_FromLong(hub->hub->requester.segment.fd);
    case 'r': /* the one that rings */
        return PyLong_FromLong(hub->hub->bell.ring);
    case 'b': /* the one that is polled */
        return PyLong_FromLong(hub->hub->bell.listen);
    case 'u':
        return PyLong_FromLongLong(atomic_load_explicit(
            &hub->unfinished, memory_order_acquire));
    case 'w':
        return PyLong_FromLongLong(
            atomic_load_explicit(&hub->waiting, memory_order_relaxed));
    case 't': { /* stuck */
        fc_hub_enter(hub);
        bool stuck = fc_hub_is_stuck(hub->hub);
        fc_hub_exit(hub);
        return PyBool_FromLong(stuck);
    }
    case 'd': /* dismissed */
        return PyBool_FromLong(
            fc_idle_closing(&hub->hub->requester.segment));
    case 'i':
        if (!hub->insane) {
            Py_RETURN_NONE;
        }
        return PyLong_FromUnsignedLong(hub->insane_seat);
    default: /* seats */
        return PyLong_FromUnsignedLong(
            hub->hub->requester.segment.geometry.seats);
    }
}

static PyObject *
hub_is_inherited(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((HubObject *)self)->generation
                           != fc_fork_generation());
}

static PyGetSetDef hub_getset[] = {
    {"fd", hub_get_number, NULL, NULL, "f"},
    {"ring_fd", hub_get_number, NULL, NULL, "r"},
    {"bell_fd", hub_get_number, NULL, NULL, "b"},
    {"unfinished", hub_get_number, NULL, NULL, "u"},
    {"waiting", hub_get_number, NULL, NULL, "w"},
    {"stuck", hub_get_number, NULL, NULL, "t"},
    {"insane", hub_get_number, NULL, NULL, "i"},
    {"seats", hub_get_number, NULL, NULL, "s"},
    {"dismissed", hub_get_number, NULL, NULL, "d"},
    {"inherited", hub_is_inherited, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef hub_methods[] = {
    {"open_seat", hub_open_seat, METH_O, NULL},
    {"admit_seat", hub_admit_seat, METH_O, NULL},
    {"withdraw_seat", hub_withdraw_seat, METH_O, NULL},
    {"close_seat", hub_close_seat, METH_O, NULL},
    {"has_left", hub_has_left, METH_O, NULL},
    {"wants_worker", hub_wants_worker, METH_NOARGS, NULL},
    {"expected", hub_expected, METH_NOARGS, NULL},
    {"attend", hub_attend, METH_NOARGS, NULL},
    {"listen", hub_listen, METH_NOARGS, NULL},
    {"silence", hub_silence, METH_NOARGS, NULL},
    {"ring", hub_ring, METH_NOARGS, NULL},
    {"rouse", hub_rouse, METH_NOARGS, NULL},
    {"close", hub_close, METH_NOARGS, NULL},
    {"dismiss", hub_dismiss, METH_NOARGS, NULL},
    {"take_all", hub_take_all, METH_NOARGS, NULL},
    {"pending", hub_pending, METH_O, NULL},
    {"is_batch", hub_is_batch, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(hub_doc,
"Hub(seats)\n--\n\n"
"The parent's end of a process pool with at most `seats` workers at a time.");

static PyType_Slot hub_slots[] = {
    {Py_tp_doc, (void *)hub_doc},
    {Py_tp_new, hub_tp_new},
    {Py_tp_dealloc, hub_tp_dealloc},
    {Py_tp_traverse, hub_tp_traverse},
    {Py_tp_clear, hub_tp_clear},
    {Py_tp_methods, hub_methods},
    {Py_tp_getset, hub_getset},
    {0, NULL},
};

static PyType_Spec hub_spec = {
    .name = "futures_c._native.Hub",
    .basicsize = sizeof(HubObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
             | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = hub_slots,
};

int
fc_hub_init(PyObject *module, fc_state *st)
{
    st->hub_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &hub_spec,
                                                            NULL);
    return st->hub_type == NULL
               ? -1
               : PyModule_AddObjectRef(module, "Hub",
                                       (PyObject *)st->hub_type);
}
