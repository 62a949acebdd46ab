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
    size_t first, count, capacity; /* letters[first] to letters[count - 1] */
    bool asked;                    /* the loop is going to empty it */
} MailboxObject;

static void
drop_letter(letter *l)
{
    Py_DECREF(l->callback);
    Py_DECREF(l->future);
}

/* Take the oldest letter out. */
static bool
take_letter(MailboxObject *box, letter *l)
{
    bool is_there;
    FC_LOCK(box);
    is_there = box->first < box->count;
    if (is_there) {
        *l = box->letters[box->first++];
    }
    if (box->first == box->count) {
        PyMem_Free(box->letters);
        box->letters = NULL;
        box->first = box->count = box->capacity = 0;
    }
    FC_UNLOCK();
    return is_there;
}

/* The loop has come, or never will: it has to be asked for the next letter.
 * Returns how many there are. */
static size_t
begin_to_empty(MailboxObject *box)
{
    size_t count;
    FC_LOCK(box);
    count = box->count - box->first;
    box->asked = false;
    FC_UNLOCK();
    return count;
}

static void
drop_letters(MailboxObject *box)
{
    letter l;
    (void)begin_to_empty(box);
    while (take_letter(box, &l)) {
        drop_letter(&l);
    }
}

/* Make room for a letter, under the lock. */
static bool
make_room(MailboxObject *box)
{
    if (box->count < box->capacity) {
        return true;
    }
    if (box->first > box->count / 2) {
        box->count -= box->first;
        memmove(box->letters, box->letters + box->first,
                box->count * sizeof(letter));
        box->first = 0;
        return true;
    }
    size_t capacity = box->capacity == 0 ? 16 : box->capacity * 2;
    letter *grown = PyMem_Realloc(box->letters, capacity * sizeof(*grown));
    if (grown != NULL) {
        box->letters = grown;
        box->capacity = capacity;
    }
    return grown != NULL;
}

/* -1: no memory.  1: the loop has to be asked to empty it.  0: it was. */
static int
put_letter(MailboxObject *box, PyObject *callback, PyObject *future)
{
    int status;
    FC_LOCK(box);
    status = !make_room(box) ? -1 : box->asked ? 0 : 1;
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
    drop_letters(box);
}

/* A loop that was closed with letters under way lives by them: the futures'
 * callbacks know it.  Found whenever there is a new loop. */
static void
close_mailboxes_of_closed_loops(fc_state *st)
{
    PyObject *boxes = PyDict_Values(st->mailboxes);
    for (Py_ssize_t i = 0; boxes != NULL && i < PyList_GET_SIZE(boxes); i++) {
        MailboxObject *box = (MailboxObject *)PyList_GET_ITEM(boxes, i);
        PyObject *loop = owner_of(box);
        PyObject *answer =
            loop != NULL ? PyObject_CallMethod(loop, "is_closed", NULL) : NULL;
        if (answer == Py_True) {
            close_mailbox(st, box);
        }
        Py_XDECREF(answer);
        Py_XDECREF(loop);
        PyErr_Clear();
    }
    Py_XDECREF(boxes);
    PyErr_Clear();
}

/* A loop's new mailbox, or NULL: a loop may refuse weak references. */
static PyObject *
make_mailbox(fc_state *st, PyObject *key, PyObject *loop)
{
    close_mailboxes_of_closed_loops(st);
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
    letter l;
    for (size_t left = begin_to_empty(box); left > 0 && take_letter(box, &l);
         left--) {
        /* The one that could not be posted, by our caller. */
        if (l.callback != callback || l.future != f) {
            PyObject *none = PyObject_CallOneArg(l.callback, l.future);
            if (none == NULL) {
                fc_log_exception(st, "exception",
                                 "exception calling callback for %r", l.future);
            }
            Py_XDECREF(none);
        }
        drop_letter(&l);
    }
}

/* Ask the loop to empty its mailbox.  A signal's handler may raise in the middle
 * of it, where the main thread is who ends a future: it does so again later, and
 * the loop, which may have been asked or not, is asked again. */
static PyObject *
ask(fc_state *st, PyObject *loop, PyObject *box)
{
    PyObject *handle =
        PyObject_CallMethodOneArg(loop, st->str_call_soon_threadsafe, box);
    if (handle == NULL && PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
        PyErr_Clear();
        handle =
            PyObject_CallMethodOneArg(loop, st->str_call_soon_threadsafe, box);
        PyObject *raised = handle == NULL ? fc_exception_take() : NULL;
        PyErr_SetInterrupt();
        if (raised != NULL) {
            fc_exception_restore(raised);
        }
    }
    return handle;
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
        PyObject *handle = ask(st, loop, (PyObject *)box);
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

/* Have the loop come again.  What one letter lets go on may run the loop itself,
 * as nest_asyncio has it, and wait there for a later letter; or raise what goes
 * through, and leave the others to the loop's next turn. */
static void
ask_again(fc_state *st, MailboxObject *box, PyObject *loop)
{
    FC_LOCK(box);
    box->asked = true;
    FC_UNLOCK();
    PyObject *handle =
        PyObject_CallMethodOneArg(loop, st->str_call_soon, (PyObject *)box);
    if (handle == NULL) {
        PyErr_Clear();
        (void)begin_to_empty(box);
    }
    Py_XDECREF(handle);
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

static int
deliver(fc_state *st, const letter *l, bool debugging)
{
    if (Py_TYPE(l->callback) == st->awaiter_type) {
        return fc_awaiter_deliver(st, l->callback, debugging);
    }
    if (Py_TYPE(l->callback) == st->link_type) {
        return fc_link_deliver(st, (LinkObject *)l->callback, l->future);
    }
    return chain_deliver(st, l->callback, l->future);
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
    /* What comes meanwhile waits for the loop's next turn. */
    size_t left = begin_to_empty(box);
    if (left > 1) {
        ask_again(st, box, loop);
    }
    /* Then each task is to have a handle, with its name, of its own. */
    bool debugging = left > 0 && is_debugging(loop);
    letter l;
    int status = 0;
    for (; status == 0 && left > 0 && take_letter(box, &l); left--) {
        status = deliver(st, &l, debugging);
        if (status < 0) {
            status = report(loop, &l);
        }
        drop_letter(&l);
    }
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
    for (size_t i = box->first; i < box->count; i++) {
        Py_VISIT(box->letters[i].callback);
        Py_VISIT(box->letters[i].future);
    }
    return 0;
}

static int
mailbox_tp_clear(PyObject *self)
{
    drop_letters((MailboxObject *)self);
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
