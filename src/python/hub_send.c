/* hub_send.c - calls on their way to the workers: numbers of functions,
 * sending, the backlog, and taking back; see hub.h. */
#include "python/batch.h"
#include "python/hub.h"
#include "python/task.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Longer messages are copied without the GIL: it is given back in time for
 * other threads, and taken again for less than the copy costs. */
#define DETACH_FROM ((uint64_t)1 << 18)

/* What fetches replies now and then, so that workers never wait for room:
 * this many calls. */
#define FETCH_EVERY 256

/* Longer ones are not worth a place in the table of functions. */
#define FUNCTION_MOST 2048

/* --- numbers of functions -------------------------------------------------- */

/* Whether pickle writes nothing but a name for it.  Nothing that has a state:
 * it may be another one with the next call. */
static bool
goes_by_name(PyObject *fn)
{
    if (PyFunction_Check(fn)) {
        return true;
    }
    if (Py_TYPE(fn) == &PyCFunction_Type) {
        PyObject *self = PyCFunction_GET_SELF(fn);
        return self == NULL || PyModule_Check(self);
    }
    return Py_TYPE(fn) == &PyType_Type;
}

/* Forget the numbers: other reducers are registered now. */
static void
forget_numbers(HubObject *hub, const fc_reducers *now)
{
    PyObject *numbers, *last;
    FC_LOCK(hub);
    numbers = hub->numbers;
    last = hub->last;
    hub->numbers = hub->last = NULL;
    hub->reducers = *now;
    FC_UNLOCK();
    Py_XDECREF(numbers);
    Py_XDECREF(last);
}

static void
remember_number(HubObject *hub, PyObject *fn, uint32_t number)
{
    PyObject *old;
    FC_LOCK(hub);
    old = hub->last;
    hub->last = Py_NewRef(fn);
    hub->last_number = number;
    FC_UNLOCK();
    Py_XDECREF(old);
}

/* Enter a function in the table: its number; 0: it has to go along; -1 with
 * what pickling it raised. */
static int64_t
define(fc_state *st, HubObject *hub, PyObject *fn)
{
    fc_reducers now;
    int special = fc_reducers_now(st, &now, Py_TYPE(fn));
    if (special != 0) {
        return special < 0 ? -1 : 0;
    }
    fc_outgoing o;
    fc_outgoing_init(&o);
    int64_t number = fc_pickle_put(st, &o, fn);
    if (number == 0 && o.count == 0 && o.size <= FUNCTION_MOST) {
        fc_hub_enter(hub);
        number = fc_requester_define(&hub->hub->requester, o.bytes,
                                     (uint32_t)o.size);
        fc_hub_exit(hub);
    }
    fc_outgoing_clear(&o);
    return number;
}

/* As define(), which is done once for each function. */
int64_t
fc_hub_number(fc_state *st, HubObject *hub, PyObject *fn)
{
    if (!goes_by_name(fn)) {
        return 0;
    }
    fc_reducers now;
    uint32_t number = 0;
    PyObject *numbers = NULL;
    bool same;
    if (fc_reducers_now(st, &now, NULL) < 0) {
        return -1;
    }
    FC_LOCK(hub);
    same = now.pickler == hub->reducers.pickler
           && now.all == hub->reducers.all
           && now.extra == hub->reducers.extra;
    if (same && hub->last == fn) {
        number = hub->last_number;
    }
    else if (same) {
        numbers = Py_XNewRef(hub->numbers);
    }
    FC_UNLOCK();
    if (number > 0) {
        return number;
    }
    if (!same) {
        forget_numbers(hub, &now);
    }
    int64_t found = 0;
    if (numbers != NULL) {
        PyObject *known = PyDict_GetItemWithError(numbers, fn);
        found = known != NULL      ? PyLong_AsLongLong(known)
                : PyErr_Occurred() ? -1
                                   : 0;
        Py_DECREF(numbers);
    }
    if (found == 0) {
        found = define(st, hub, fn);
        PyObject *boxed = found > 0 ? PyLong_FromLongLong(found) : NULL;
        PyObject *fresh = boxed != NULL ? PyDict_New() : NULL;
        if (fresh != NULL) {
            FC_LOCK(hub);
            if (hub->numbers == NULL) {
                hub->numbers = fresh;
                fresh = NULL;
            }
            numbers = Py_NewRef(hub->numbers);
            FC_UNLOCK();
            if (PyDict_SetItem(numbers, fn, boxed) < 0) {
                found = -1;
            }
            Py_DECREF(numbers);
        }
        Py_XDECREF(fresh);
        Py_XDECREF(boxed);
    }
    if (found > 0) {
        remember_number(hub, fn, (uint32_t)found);
    }
    return found;
}

/* --- one message -------------------------------------------------------------- */

/* A message that is ready, and where it goes. */
typedef struct {
    const struct fc_part *parts;
    unsigned count;
    uint64_t size;
    uint32_t function;
    struct fc_block block; /* filled; size 0: none */
    BatchObject *batch;    /* NULL, or all that counts */
} ready_call;

static int
send_message(struct fc_requester *r, FutureObject *f, const ready_call *call,
             uint32_t *index)
{
    const BatchObject *b = call->batch;
    if (b != NULL) {
        return fc_requester_send_batch(r, b->count, b->ends, b->bytes,
                                       b->size, b->number, FC_REQUEST_BATCH,
                                       f, index);
    }
    if (call->block.size > 0) {
        return fc_requester_send_block(r, &call->block, call->size,
                                       call->function, FC_REQUEST_CALL, f,
                                       index);
    }
    return fc_requester_send(r, call->parts, call->count, call->function,
                             FC_REQUEST_CALL, f, index);
}

/* Under the hub's lock: send it for `f`, if that is still pending, and move
 * its task to `old`.  0; EAGAIN: no room; ECANCELED; or another errno. */
static int
send_locked(HubObject *hub, FutureObject *f, const ready_call *call,
            fc_task *old)
{
    struct fc_requester *r = &hub->hub->requester;
    uint32_t index;
    int error = ECANCELED;
    FC_LOCK(f);
    if (fc_future_load_state(f) == FC_PENDING) {
        error = send_message(r, f, call, &index);
    }
    if (error == 0) {
        fc_ref_give((PyObject *)f); /* the slot's */
        fc_task_take(f, old);
        f->fn = fc_ref_give((PyObject *)hub);
        f->generation = index;
        unsigned flags = FC_FUTURE_QUEUED | FC_FUTURE_SENT;
        if (call->batch != NULL) {
            flags |= FC_FUTURE_BATCH;
            f->args[0] = old->args[0];
            old->args[0] = NULL;
        }
        fc_future_set_flags(f, flags);
    }
    FC_UNLOCK();
    if (error == 0 && call->batch != NULL) {
        fc_batch_sent(call->batch, index);
    }
    return error;
}

/* Whether a message of `size` bytes has to wait for others, as an object. */
static bool
must_wait(HubObject *hub, uint64_t size)
{
    fc_hub_enter(hub);
    bool laden = fc_requester_is_laden(&hub->hub->requester, size);
    fc_hub_exit(hub);
    return laden;
}

/* Memory was refused.  Whether some will be given back. */
static bool
memory_will_come(HubObject *hub)
{
    fc_hub_enter(hub);
    bool will = fc_requester_under_way(&hub->hub->requester) > 0;
    fc_hub_exit(hub);
    return will;
}

/* Fill a block with a long message, without the lock and without the GIL. */
static void
fill_block(HubObject *hub, ready_call *call)
{
    struct fc_hub *h = hub->hub;
    fc_hub_enter(hub);
    fc_returns_collect(&h->returns, &h->requester.blocks);
    int error = fc_requester_has_room(&h->requester)
                    ? fc_requester_begin_block(&h->requester, call->size,
                                               &call->block)
                    : EAGAIN;
    fc_hub_exit(hub);
    if (error != 0) {
        call->block.size = 0;
        return;
    }
    PyThreadState *ts =
        call->size >= DETACH_FROM ? PyEval_SaveThread() : NULL;
    fc_parts_gather(call->parts, call->count, call->block.bytes);
    if (ts != NULL) {
        PyEval_RestoreThread(ts);
    }
}

/* Send what is ready for `f`.  0, or an errno as send_locked(); ESHUTDOWN: the
 * hub is closed, and this is a `fresh` call. */
static int
send_ready(HubObject *hub, FutureObject *f, const ready_call *call, bool fresh)
{
    fc_task old = {0};
    fc_hub_enter(hub);
    fc_returns_collect(&hub->hub->returns, &hub->hub->requester.blocks);
    int error = fresh && hub->closed ? ESHUTDOWN
                : hub->dead          ? ECANCELED
                                     : send_locked(hub, f, call, &old);
    if (error != 0 && call->block.size > 0) {
        fc_requester_drop_block(&hub->hub->requester, &call->block);
    }
    if (error == 0 && !hub->hub->led && !hub->hub->listening
        && !fc_hub_listen(hub->hub)) {
        /* It has been answered already, when nobody listened. */
        fc_hub_ring(hub->hub);
    }
    fc_hub_exit(hub);
    fc_task_drop(&old);
    return error;
}

static int
send(HubObject *hub, FutureObject *f, fc_outgoing *o, uint32_t number,
     bool fresh)
{
    ready_call call = {.function = number};
    call.parts = fc_outgoing_parts(o, &call.count);
    if (call.parts == NULL) {
        PyErr_Clear();
        return ENOMEM;
    }
    call.size = fc_parts_size(call.parts, call.count);
    if (call.size >= FC_BLOCK_FROM) {
        if (must_wait(hub, call.size)) {
            return EAGAIN;
        }
        fill_block(hub, &call);
    }
    int error = send_ready(hub, f, &call, fresh);
    return error == ENOMEM && memory_will_come(hub) ? EAGAIN : error;
}

/* A call could not be pickled: its future ends with what is raised now. */
static int
fail_pickling(fc_state *st, HubObject *hub, FutureObject *f)
{
    atomic_fetch_add_explicit(&hub->phantoms, 1, memory_order_relaxed);
    PyObject *error = fc_exception_take();
    PyObject *told = fc_process_helper(st, "_pickling_failed", "O", error);
    if (told == NULL) {
        PyErr_Clear();
    }
    Py_XDECREF(told);
    fc_due due = {0};
    int status = fc_future_surely_finish(st, f, NULL, error, &due, NULL, NULL);
    Py_DECREF(error);
    fc_due_fire(&due);
    if (status < 0) {
        /* It has ended meanwhile; or here, without memory to tell everybody. */
        status = PyErr_ExceptionMatches(st->invalid_state_error) ? -1 : 0;
        PyErr_Clear();
    }
    if (status == 0 && fc_future_run_callbacks(st, f) < 0) {
        fc_log_exception(st, "critical", "Exception in worker", NULL);
    }
    return 0;
}

/* --- the backlog ----------------------------------------------------------------- */

/* Under the lock.  The reference is the backlog's. */
static int
backlog_push(HubObject *hub, FutureObject *f)
{
    if (hub->count == hub->capacity) {
        size_t capacity = hub->capacity > 0 ? 2 * hub->capacity : 256;
        FutureObject **ring = malloc(capacity * sizeof(FutureObject *));
        if (ring == NULL) {
            return ENOMEM;
        }
        for (size_t i = 0; i < hub->count; i++) {
            ring[i] = hub->backlog[(hub->first + i) & (hub->capacity - 1)];
        }
        free(hub->backlog);
        hub->backlog = ring;
        hub->capacity = capacity;
        hub->first = 0;
    }
    hub->backlog[(hub->first + hub->count) & (hub->capacity - 1)] = f;
    hub->count++;
    /* Relaxed: a hint for those without the lock. */
    atomic_store_explicit(&hub->waiting, (int64_t)hub->count,
                          memory_order_relaxed);
    return 0;
}

static FutureObject *
backlog_pop(HubObject *hub)
{
    if (hub->count == 0) {
        return NULL;
    }
    FutureObject *f = hub->backlog[hub->first];
    hub->first = (hub->first + 1) & (hub->capacity - 1);
    hub->count--;
    atomic_store_explicit(&hub->waiting, (int64_t)hub->count,
                          memory_order_relaxed);
    return f;
}

/* The task of a future in the backlog, with references of our own. */
static bool
peek_task(FutureObject *f, fc_task *task)
{
    bool pending;
    FC_LOCK(f);
    pending = fc_future_load_state(f) == FC_PENDING && f->fn != NULL;
    if (pending) {
        task->fn = Py_NewRef(f->fn);
        task->nargs = f->nargs;
        task->flags = (uint8_t)fc_future_flags(f);
        for (int i = 0; i < FC_INLINE_ARGS; i++) {
            task->args[i] = Py_XNewRef(f->args[i]);
        }
    }
    FC_UNLOCK();
    return pending;
}

/* Send one of the backlog.  1: done; 2: it has ended; 0: no room; -1: it needs
 * pickling, which the caller must not do. */
static int
feed_one(fc_state *st, HubObject *hub, FutureObject *f, bool plain)
{
    fc_task task = {0};
    if (!peek_task(f, &task)) {
        return 2; /* cancelled, or ended by hand */
    }
    if (task.flags & FC_FUTURE_BATCH) {
        ready_call ready = {.batch = (BatchObject *)task.args[0]};
        int sent = send_ready(hub, f, &ready, false);
        if (sent != 0 && sent != EAGAIN && sent != ECANCELED) {
            PyErr_NoMemory();
            (void)fail_pickling(st, hub, f);
        }
        fc_task_drop(&task);
        return sent == 0 ? 1 : sent == EAGAIN ? 0 : 2;
    }
    fc_call call = {.fn = task.fn, .args = task.args, .nargs = task.nargs};
    if (task.flags & FC_FUTURE_NAMED) {
        call.kwnames = task.args[FC_INLINE_ARGS - 1];
    }
    if (task.nargs == FC_ARGS_IN_TUPLE) {
        call.args = ((PyTupleObject *)task.args[0])->ob_item;
        call.nargs = PyTuple_GET_SIZE(task.args[0]);
    }
    call.nargs -= call.kwnames != NULL ? PyTuple_GET_SIZE(call.kwnames) : 0;
    fc_outgoing o;
    fc_outgoing_init(&o);
    int64_t number = 0;
    int put = 0;
    bool known = false;
    FC_LOCK(hub);
    known = hub->last == call.fn;
    number = known ? hub->last_number : 0;
    FC_UNLOCK();
    if (!plain) {
        number = fc_hub_number(st, hub, call.fn);
    }
    put = number < 0 ? -1 : fc_call_put(st, &o, &call, (uint32_t)number, plain);
    int result = -1;
    if (put > 0) {
        int error = send(hub, f, &o, (uint32_t)number, false);
        result = error == EAGAIN ? 0 : error == ECANCELED ? 2 : 1;
        if (error == ENOMEM || error == EBADMSG) {
            PyErr_NoMemory();
            put = -1;
        }
    }
    if (put < 0) {
        (void)fail_pickling(st, hub, f);
        result = 2;
    }
    fc_outgoing_clear(&o);
    fc_task_drop(&task);
    return result;
}

bool
fc_hub_feed(fc_state *st, HubObject *hub, bool plain)
{
    fc_hub_enter(hub);
    bool mine = !hub->feeding && hub->count > 0;
    if (mine) {
        hub->feeding = true;
    }
    fc_hub_exit(hub);
    if (!mine) {
        return false;
    }
    int fed = 1;
    while (fed > 0) {
        FutureObject *f = NULL;
        fc_hub_enter(hub);
        if (hub->count > 0 && fc_requester_has_room(&hub->hub->requester)
            && !fc_requester_is_laden(&hub->hub->requester, 0)) {
            f = hub->backlog[hub->first];
            Py_INCREF(f);
        }
        fc_hub_exit(hub);
        if (f == NULL) {
            break;
        }
        fed = feed_one(st, hub, f, plain);
        if (fed <= 0) {
            Py_DECREF(f);
        }
        else {
            fc_hub_enter(hub);
            /* It is, unless the pool has broken meanwhile. */
            bool is_front = hub->count > 0 && hub->backlog[hub->first] == f;
            if (is_front) {
                (void)backlog_pop(hub);
            }
            fc_hub_exit(hub);
            if (is_front && fed == 2) {
                fc_hub_count_down(hub);
            }
            if (is_front) {
                Py_DECREF(f); /* the backlog's */
            }
            Py_DECREF(f);
        }
    }
    fc_hub_enter(hub);
    hub->feeding = false;
    fc_hub_exit(hub);
    return fed < 0;
}

/* --- submitting ------------------------------------------------------------------ */

/* Into the backlog, with its task (NULL: it has one). */
static int
wait_in_backlog(HubObject *hub, FutureObject *f, const fc_call *call)
{
    if (call != NULL
        && fc_task_store(f, call->fn, call->args, call->nargs, call->kwnames)
               < 0) {
        return -1;
    }
    fc_ref_give((PyObject *)f);
    fc_hub_enter(hub);
    int error = hub->closed ? ESHUTDOWN : backlog_push(hub, f);
    fc_hub_exit(hub);
    if (error == 0) {
        return 0;
    }
    Py_DECREF(f);
    if (error == ENOMEM) {
        PyErr_NoMemory();
    }
    else {
        PyErr_SetString(PyExc_RuntimeError,
                        "cannot schedule new futures after shutdown");
    }
    return -1;
}

/* What sending a fresh call has come to.  1: done; 0: no room; -1 with an
 * exception. */
static int
report(int error)
{
    switch (error) {
    case 0:
    case ECANCELED:
        return 1;
    case EAGAIN:
        return 0;
    case ESHUTDOWN:
        PyErr_SetString(PyExc_RuntimeError,
                        "cannot schedule new futures after shutdown");
        return -1;
    case EBADMSG:
        PyErr_SetString(PyExc_RuntimeError,
                        "the shared memory of the process pool is damaged");
        return -1;
    default:
        PyErr_NoMemory();
        return -1;
    }
}

/* 1: sent, or it has ended with an error of its own; 0: no room; -1. */
static int
send_call(fc_state *st, HubObject *hub, FutureObject *f, const fc_call *call)
{
    fc_outgoing o;
    fc_outgoing_init(&o);
    int64_t number = fc_hub_number(st, hub, call->fn);
    int put = number < 0
                  ? -1
                  : fc_call_put(st, &o, call, (uint32_t)number, false);
    if (put < 0) {
        fc_outgoing_clear(&o);
        (void)fail_pickling(st, hub, f);
        fc_hub_count_down(hub);
        return 1;
    }
    int error = send(hub, f, &o, (uint32_t)number, true);
    if (error == EAGAIN && fc_hub_fetch(st, hub, false) > 0) {
        error = send(hub, f, &o, (uint32_t)number, true);
    }
    fc_outgoing_clear(&o);
    if (error == ENOMEM) {
        PyErr_NoMemory();
        (void)fail_pickling(st, hub, f);
        fc_hub_count_down(hub);
        return 1;
    }
    return report(error);
}

static int
send_batch(fc_state *st, HubObject *hub, FutureObject *f)
{
    BatchObject *b = fc_batch_of(f);
    ready_call ready = {.batch = b};
    int error = send_ready(hub, f, &ready, true);
    if (error == EAGAIN && fc_hub_fetch(st, hub, false) > 0) {
        error = send_ready(hub, f, &ready, true);
    }
    Py_DECREF(b);
    return report(error);
}

static int
submit(fc_state *st, HubObject *hub, FutureObject *f, const fc_call *call)
{
    int64_t before = atomic_fetch_add_explicit(&hub->unfinished, 1,
                                               memory_order_relaxed);
    bool full =
        atomic_load_explicit(&hub->waiting, memory_order_relaxed) > 0;
    if (full || before % FETCH_EVERY == FETCH_EVERY - 1) {
        (void)fc_hub_fetch(st, hub, false);
    }
    if (full && fc_hub_feed(st, hub, true)) {
        fc_hub_ring(hub->hub);
    }
    int sent = 0;
    if (atomic_load_explicit(&hub->waiting, memory_order_relaxed) == 0) {
        sent = call != NULL ? send_call(st, hub, f, call)
                            : send_batch(st, hub, f);
    }
    if (sent == 0) {
        sent = wait_in_backlog(hub, f, call) < 0 ? -1 : 1;
    }
    if (sent < 0) {
        fc_hub_count_down(hub);
    }
    return sent < 0 ? -1 : 0;
}

int
fc_hub_submit(fc_state *st, HubObject *hub, FutureObject *f,
              const fc_call *call)
{
    return submit(st, hub, f, call);
}

int
fc_hub_submit_batch(fc_state *st, HubObject *hub, FutureObject *f)
{
    return submit(st, hub, f, NULL);
}

/* --- taking back ----------------------------------------------------------------- */

/* The hub of a future that is SENT: a new reference, or NULL. */
static HubObject *
hub_of(FutureObject *f)
{
    HubObject *hub = NULL;
    FC_LOCK(f);
    if (fc_future_flags(f) & FC_FUTURE_SENT) {
        hub = (HubObject *)Py_NewRef(f->fn);
    }
    FC_UNLOCK();
    return hub;
}

/* Under the lock: whether the slot that the future names is still its own. */
static bool
is_in_slot(HubObject *hub, FutureObject *f)
{
    bool is;
    FC_LOCK(f);
    is = (fc_future_flags(f) & FC_FUTURE_SENT) && f->fn == (PyObject *)hub
         && hub->hub->requester.requested[f->generation].user == f;
    FC_UNLOCK();
    return is;
}

bool
fc_hub_withdraw(FutureObject *f)
{
    HubObject *hub = hub_of(f);
    if (hub == NULL) {
        return false;
    }
    fc_task task = {0};
    bool withdrawn = false;
    bool stopped = false;
    BatchObject *b = fc_batch_of(f);
    fc_hub_enter(hub);
    if (is_in_slot(hub, f)) {
        withdrawn =
            fc_requester_cancel(&hub->hub->requester, f->generation);
        if (b != NULL && withdrawn) {
            b->index = -1;
            b->begun = 0;
            hub->batches--;
        }
        else if (b != NULL) {
            stopped = fc_batch_stop(b);
        }
    }
    if (withdrawn) {
        FC_LOCK(f);
        fc_task_take(f, &task);
        FC_UNLOCK();
    }
    fc_hub_exit(hub);
    if (withdrawn) {
        fc_task_drop(&task);
        if (atomic_load_explicit(&hub->waiting, memory_order_relaxed) > 0) {
            fc_hub_ring(hub->hub); /* there is room */
        }
        fc_hub_count_down(hub);
        Py_DECREF(f); /* the slot's */
    }
    if (stopped) {
        fc_due due = {0};
        fc_batch_told(fc_state_of_exact(Py_TYPE(hub)), b, 0, NULL, true, &due);
        fc_due_fire(&due);
    }
    Py_XDECREF((PyObject *)b);
    Py_DECREF(hub);
    return withdrawn;
}

int
fc_hub_look(FutureObject *f)
{
    HubObject *hub = hub_of(f);
    if (hub != NULL) {
        bool taken = false;
        fc_hub_enter(hub);
        if (is_in_slot(hub, f)) {
            taken = fc_requester_taken(&hub->hub->requester, f->generation);
        }
        if (taken) {
            FC_LOCK(f);
            if (fc_future_load_state(f) == FC_PENDING) {
                atomic_store_explicit(&f->state, FC_RUNNING,
                                      memory_order_release);
            }
            FC_UNLOCK();
        }
        fc_hub_exit(hub);
        Py_DECREF(hub);
    }
    return fc_future_load_state(f);
}
