/* loop.c - see loop.h. */
#include "python/loop.h"
#include "python/awaiter.h"

/* --- what is recognized ------------------------------------------------------- */

/* The free variables of asyncio's callback, sorted, as the compiler has them.  It
 * sets the outcome at once where the loop of the destination is that of the
 * source (up to 3.11, and never with ours) or runs in this very thread. */
enum { SET_STATE, DEST_LOOP, DESTINATION, SOURCE_LOOP, VARIABLES };

static const char *const variables[VARIABLES] = {
    "_set_state", "dest_loop", "destination", "source_loop"};

static bool
has_our_variables(PyCodeObject *code)
{
    PyObject *names = PyCode_GetFreevars(code);
    if (names == NULL) {
        PyErr_Clear();
        return false;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(names);
    bool same = count == VARIABLES || count == SOURCE_LOOP;
    for (Py_ssize_t i = 0; same && i < count; i++) {
        same = PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, i),
                                                variables[i])
               == 0;
    }
    Py_DECREF(names);
    return same;
}

/* Whether it is the callback that _chain_future() adds.  Its code is the same
 * object each time, and is kept. */
static bool
is_chain(fc_state *st, PyObject *callback)
{
    if (!PyFunction_Check(callback)) {
        return false;
    }
    PyObject *code = PyFunction_GET_CODE(callback);
    if (code == st->chain_code) {
        return true;
    }
    PyCodeObject *found = (PyCodeObject *)code;
    PyObject *module = PyFunction_GET_MODULE(callback);
    if (st->chain_code != NULL || found->co_name != st->str__call_set_state
        || module == NULL || !PyUnicode_Check(module)
        || PyUnicode_CompareWithASCIIString(module, "asyncio.futures") != 0
        || PyUnicode_CompareWithASCIIString(
               found->co_qualname, "_chain_future.<locals>._call_set_state")
               != 0
        || !has_our_variables(found)) {
        return false;
    }
    st->chain_code = Py_NewRef(code);
    return true;
}

/* One of its variables: a new reference, or NULL. */
static PyObject *
variable_of(PyObject *callback, int which)
{
    PyObject *closure = PyFunction_GET_CLOSURE(callback);
    return PyCell_Get(PyTuple_GET_ITEM(closure, which));
}

/* The loop that a callback tells: a new reference, or NULL. */
static PyObject *
loop_of(fc_state *st, PyObject *callback)
{
    if (Py_TYPE(callback) == st->link_type) {
        return Py_NewRef(((LinkObject *)callback)->loop);
    }
    if (Py_TYPE(callback) == st->awaiter_type) {
        return fc_awaiter_loop(callback);
    }
    if (!is_chain(st, callback)) {
        return NULL;
    }
    PyObject *loop = variable_of(callback, DEST_LOOP);
    PyObject *other =
        PyTuple_GET_SIZE(PyFunction_GET_CLOSURE(callback)) == VARIABLES
            ? variable_of(callback, SOURCE_LOOP)
            : fc_running_loop(st);
    if (other == NULL) {
        PyErr_Clear();
    }
    if (loop == Py_None || other == NULL || other == loop) {
        Py_CLEAR(loop);
    }
    Py_XDECREF(other);
    return loop;
}

/* --- mailboxes ---------------------------------------------------------------- */

typedef struct {
    PyObject *callback;
    PyObject *future;
} letter;

typedef struct {
    PyObject_HEAD
    PyObject *key;  /* of the dictionary: the loop's address */
    /* guarded by the object's lock */
    PyObject *loop; /* a weak reference, which calls us when it ends, or NULL */
    letter *letters;
    size_t count, capacity;
    bool asked; /* the loop is going to empty it */
} MailboxObject;

static void
drop_letters(letter *letters, size_t from, size_t count)
{
    for (size_t i = from; i < count; i++) {
        Py_DECREF(letters[i].callback);
        Py_DECREF(letters[i].future);
    }
    PyMem_Free(letters);
}

/* Take all letters out; the loop has to be asked for the next one. */
static letter *
take_letters(MailboxObject *box, size_t *count)
{
    letter *letters;
    FC_LOCK(box);
    letters = box->letters;
    *count = box->count;
    box->letters = NULL;
    box->count = box->capacity = 0;
    box->asked = false;
    FC_UNLOCK();
    return letters;
}

/* -1: no memory.  1: the loop has to be asked to empty it.  0: it was. */
static int
put_letter(MailboxObject *box, PyObject *callback, PyObject *future)
{
    int status;
    FC_LOCK(box);
    status = box->asked ? 0 : 1;
    if (box->count == box->capacity) {
        size_t capacity = box->capacity == 0 ? 16 : box->capacity * 2;
        letter *grown =
            PyMem_Realloc(box->letters, capacity * sizeof(*grown));
        if (grown == NULL) {
            status = -1;
        }
        else {
            box->letters = grown;
            box->capacity = capacity;
        }
    }
    if (status >= 0) {
        box->letters[box->count].callback = fc_ref_give(callback);
        box->letters[box->count].future = fc_ref_give(future);
        box->count++;
        box->asked = true;
    }
    FC_UNLOCK();
    return status;
}

/* The loop that it is for: a new reference, or NULL when it has gone. */
static PyObject *
owner_of(MailboxObject *box)
{
    PyObject *ref;
    FC_LOCK(box);
    ref = Py_XNewRef(box->loop);
    FC_UNLOCK();
    PyObject *loop = ref != NULL ? fc_weakref_get(ref) : NULL;
    Py_XDECREF(ref);
    return loop;
}

/* The loop has gone: forget what nobody will take out.  And the reference: it
 * may keep its callback, which is the box, and only the collector's next turn
 * would find the two of them. */
static void
close_mailbox(fc_state *st, MailboxObject *box)
{
    PyObject *there = fc_dict_get(st->mailboxes, box->key);
    if (there == (PyObject *)box
        && PyDict_DelItem(st->mailboxes, box->key) < 0) {
        PyErr_Clear();
    }
    Py_XDECREF(there);
    PyObject *ref;
    FC_LOCK(box);
    ref = box->loop;
    box->loop = NULL;
    FC_UNLOCK();
    Py_XDECREF(ref);
    size_t count;
    letter *letters = take_letters(box, &count);
    drop_letters(letters, 0, count);
}

/* A loop's new mailbox, or NULL: a loop may refuse weak references. */
static PyObject *
make_mailbox(fc_state *st, PyObject *key, PyObject *loop)
{
    MailboxObject *box = PyObject_GC_New(MailboxObject, st->mailbox_type);
    if (box == NULL) {
        return NULL;
    }
    memset((char *)box + sizeof(PyObject), 0, sizeof(*box) - sizeof(PyObject));
    box->key = Py_NewRef(key);
    box->loop = PyWeakref_NewRef(loop, (PyObject *)box);
    PyObject_GC_Track((PyObject *)box);
    if (box->loop == NULL
        || PyDict_SetItem(st->mailboxes, key, (PyObject *)box) < 0) {
        Py_DECREF(box);
        return NULL;
    }
    return (PyObject *)box;
}

static MailboxObject *
mailbox_of(fc_state *st, PyObject *loop)
{
    PyObject *key = PyLong_FromVoidPtr(loop);
    PyObject *box = key != NULL ? fc_dict_get(st->mailboxes, key) : NULL;
    if (box != NULL) {
        /* Another loop may have been there. */
        PyObject *owner = owner_of((MailboxObject *)box);
        if (owner != loop) {
            Py_CLEAR(box);
        }
        Py_XDECREF(owner);
    }
    if (box == NULL && key != NULL && !PyErr_Occurred()) {
        box = make_mailbox(st, key, loop);
    }
    Py_XDECREF(key);
    if (box == NULL) {
        PyErr_Clear();
    }
    return (MailboxObject *)box;
}

/* --- putting in ----------------------------------------------------------------- */

/* The loop could not be asked, as where it is closed.  Other threads may have
 * put letters in meanwhile: their callbacks are called after all. */
static void
call_instead(fc_state *st, MailboxObject *box, PyObject *callback, PyObject *f)
{
    size_t count;
    letter *letters = take_letters(box, &count);
    for (size_t i = 0; i < count; i++) {
        if (letters[i].callback == callback && letters[i].future == f) {
            continue; /* by our caller */
        }
        PyObject *none =
            PyObject_CallOneArg(letters[i].callback, letters[i].future);
        if (none == NULL) {
            fc_log_exception(st, "exception",
                             "exception calling callback for %r",
                             letters[i].future);
        }
        Py_XDECREF(none);
    }
    drop_letters(letters, 0, count);
}

bool
fc_loop_post(fc_state *st, PyObject *callback, PyObject *f)
{
    PyObject *loop = loop_of(st, callback);
    if (loop == NULL) {
        return false;
    }
    MailboxObject *box = mailbox_of(st, loop);
    int put = box != NULL ? put_letter(box, callback, f) : -1;
    if (put == 1) {
        PyObject *handle = PyObject_CallMethodOneArg(
            loop, st->str_call_soon_threadsafe, (PyObject *)box);
        if (handle == NULL) {
            PyErr_Clear();
            call_instead(st, box, callback, f);
            put = -1;
        }
        Py_XDECREF(handle);
    }
    Py_XDECREF(box);
    Py_DECREF(loop);
    return put >= 0;
}

/* --- taking out, in the loop's thread ----------------------------------------------- */

/* Give `destination`, an asyncio future, the result of `f`.  1: done.  0: it is
 * no plain result, or not of our exact class.  -1. */
static int
set_plain_result(fc_state *st, PyObject *destination, PyObject *f)
{
    if (Py_TYPE(f) != st->future_type
        || fc_future_load_state((FutureObject *)f) != FC_FINISHED) {
        return 0;
    }
    bool failed;
    FC_LOCK(f);
    failed = fc_future_peek_exception((FutureObject *)f) != NULL;
    FC_UNLOCK();
    if (failed) {
        return 0;
    }
    PyObject *result = fc_future_result(f, NULL, 0, NULL);
    if (result == NULL) {
        /* It cannot be unpickled, and now has an exception. */
        PyErr_Clear();
        return 0;
    }
    PyObject *none = PyObject_CallMethodOneArg(destination, st->str_set_result,
                                               result);
    Py_DECREF(result);
    Py_XDECREF(none);
    return none != NULL ? 1 : -1;
}

static int
is_cancelled(fc_state *st, PyObject *destination)
{
    PyObject *answer =
        PyObject_CallMethodNoArgs(destination, st->str_cancelled);
    int cancelled = answer != NULL ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    return cancelled;
}

int
fc_link_deliver(fc_state *st, LinkObject *link, PyObject *f)
{
    PyObject *destination = link->destination;
    if (destination == NULL) {
        PyObject *none = PyObject_CallNoArgs(link->source);
        Py_XDECREF(none);
        return none != NULL ? 0 : -1;
    }
    int status = is_cancelled(st, destination);
    if (status == 0) {
        /* It was there for a cancellation, and would be called by a handle of
         * its own. */
        PyObject *removed = PyObject_CallMethodOneArg(
            destination, st->str_remove_done_callback, (PyObject *)link);
        status = removed != NULL ? set_plain_result(st, destination, f) : -1;
        Py_XDECREF(removed);
    }
    if (status == 0) {
        PyObject *none = fc_asyncio_helper("copy_state", destination, f);
        status = none != NULL ? 0 : -1;
        Py_XDECREF(none);
    }
    return status < 0 ? -1 : 0;
}

static int
chain_deliver(fc_state *st, PyObject *callback, PyObject *f)
{
    PyObject *destination = variable_of(callback, DESTINATION);
    int status = destination != NULL ? is_cancelled(st, destination) : -1;
    if (status == 0) {
        status = set_plain_result(st, destination, f);
    }
    if (status == 0) {
        PyObject *set_state = variable_of(callback, SET_STATE);
        PyObject *none = NULL;
        if (set_state != NULL) {
            none = PyObject_CallFunctionObjArgs(set_state, destination, f,
                                                NULL);
            Py_DECREF(set_state);
        }
        status = none != NULL ? 0 : -1;
        Py_XDECREF(none);
    }
    Py_XDECREF(destination);
    return status < 0 ? -1 : 0;
}

/* Tell the loop of what one letter has raised, as its handles do.  -1: that has
 * failed, or it is no Exception, and goes through. */
static int
report(PyObject *loop, const letter *l)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1;
    }
    PyObject *raised = fc_exception_take();
    PyObject *none = NULL;
    PyObject *context = Py_BuildValue("{s:s,s:O,s:O}", "message",
                                      "Exception in callback of a future",
                                      "exception", raised, "future", l->future);
    if (context != NULL) {
        none = PyObject_CallMethod(loop, "call_exception_handler", "O",
                                   context);
        Py_DECREF(context);
    }
    Py_DECREF(raised);
    Py_XDECREF(none);
    return none != NULL ? 0 : -1;
}

/* An exception goes through: the letters after it wait for the loop's next
 * turn, before those that have come meanwhile. */
static void
put_back(fc_state *st, MailboxObject *box, PyObject *loop, letter *letters,
         size_t from, size_t count)
{
    PyObject *raised = fc_exception_take();
    size_t later_count;
    letter *later = take_letters(box, &later_count);
    bool ask = false;
    for (size_t i = from; i < count; i++) {
        ask |= put_letter(box, letters[i].callback, letters[i].future) == 1;
    }
    for (size_t i = 0; i < later_count; i++) {
        ask |= put_letter(box, later[i].callback, later[i].future) == 1;
    }
    if (ask) {
        PyObject *handle = PyObject_CallMethodOneArg(
            loop, st->str_call_soon_threadsafe, (PyObject *)box);
        if (handle == NULL) {
            PyErr_Clear();
        }
        Py_XDECREF(handle);
    }
    drop_letters(later, 0, later_count);
    fc_exception_restore(raised);
}

static bool
is_debugging(PyObject *loop)
{
    PyObject *answer = PyObject_CallMethod(loop, "get_debug", NULL);
    int debugging = answer != NULL ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    if (debugging < 0) {
        PyErr_Clear();
    }
    return debugging > 0;
}

/* Called by the loop, and by the weak reference when the loop has gone. */
static PyObject *
mailbox_tp_call(PyObject *self, PyObject *Py_UNUSED(args),
                PyObject *Py_UNUSED(kwargs))
{
    MailboxObject *box = (MailboxObject *)self;
    fc_state *st = fc_state_of_exact(Py_TYPE(self));
    if (st == NULL) {
        Py_RETURN_NONE;
    }
    PyObject *loop = owner_of(box);
    if (loop == NULL) {
        close_mailbox(st, box);
        Py_RETURN_NONE;
    }
    /* Then each task is to have a handle, with its name, of its own. */
    bool debugging = is_debugging(loop);
    size_t count, at = 0;
    letter *letters = take_letters(box, &count);
    int status = 0;
    while (status == 0 && at < count) {
        letter *l = &letters[at++];
        if (Py_TYPE(l->callback) == st->awaiter_type) {
            status = fc_awaiter_deliver(st, l->callback, debugging);
        }
        else if (Py_TYPE(l->callback) == st->link_type) {
            status =
                fc_link_deliver(st, (LinkObject *)l->callback, l->future);
        }
        else {
            status = chain_deliver(st, l->callback, l->future);
        }
        if (status < 0) {
            status = report(loop, l);
        }
        if (status < 0) {
            put_back(st, box, loop, letters, at, count);
        }
    }
    drop_letters(letters, 0, count);
    Py_DECREF(loop);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

/* --- the type ------------------------------------------------------------------------ */

static int
mailbox_tp_traverse(PyObject *self, visitproc visit, void *arg)
{
    MailboxObject *box = (MailboxObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(box->key);
    Py_VISIT(box->loop);
    for (size_t i = 0; i < box->count; i++) {
        Py_VISIT(box->letters[i].callback);
        Py_VISIT(box->letters[i].future);
    }
    return 0;
}

static int
mailbox_tp_clear(PyObject *self)
{
    MailboxObject *box = (MailboxObject *)self;
    size_t count;
    letter *letters = take_letters(box, &count);
    drop_letters(letters, 0, count);
    return 0;
}

static void
mailbox_tp_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)mailbox_tp_clear(self);
    Py_CLEAR(((MailboxObject *)self)->key);
    Py_CLEAR(((MailboxObject *)self)->loop);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyType_Slot mailbox_slots[] = {
    {Py_tp_dealloc, mailbox_tp_dealloc},
    {Py_tp_traverse, mailbox_tp_traverse},
    {Py_tp_clear, mailbox_tp_clear},
    {Py_tp_call, mailbox_tp_call},
    {0, NULL},
};

static PyType_Spec mailbox_spec = {
    .name = "futures_c._native.mailbox",
    .basicsize = sizeof(MailboxObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = mailbox_slots,
};

int
fc_loop_init(PyObject *module, fc_state *st)
{
    st->mailboxes = PyDict_New();
    st->mailbox_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &mailbox_spec, NULL);
    return st->mailboxes != NULL && st->mailbox_type != NULL ? 0 : -1;
}
