/* hub_arrivals.c - replies: fetching them, ending their futures, and waiting
 * for them; see hub.h.
 *
 * A catch is fetched under the lock by copying, and then gone through without
 * it: making objects may run the collector, and so anybody's code. */
#include "python/batch.h"
#include "python/hub.h"
#include "python/region.h"
#include "python/sealed.h"
#include "python/signals.h"
#include "python/task.h"
#include "python/waiter.h"

#include "ipc/once.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MOST 256
#define MOST_BYTES 32768

/* A reply as it was fetched. */
typedef struct {
    FutureObject *future; /* a reference; unless `part`, the slot's */
    unsigned kind;
    bool part; /* of a batch */
    bool lost; /* there was no memory for its bytes */
    uint64_t size;
    const unsigned char *bytes; /* in the catch's room, or `own` */
    unsigned char *own;         /* from malloc(), or NULL */
    struct fc_wire_block block; /* size 0: none */
    uint32_t *item; /* the bytes end with the number of an item: here */
} fetched;

typedef struct {
    unsigned count;
    size_t used;
    fetched items[MOST];
    unsigned char room[MOST_BYTES];
} catch;

/* --- fetching ----------------------------------------------------------------- */

/* Keep the bytes of a reply, which stand in the stream. */
static void
keep_bytes(catch *b, fetched *to, struct fc_reply *reply)
{
    to->size = reply->size;
    to->block = reply->block;
    if (reply->block.size > 0 || to->lost) {
        return;
    }
    if (reply->own != NULL) {
        to->bytes = to->own = reply->own;
        reply->own = NULL;
        return;
    }
    unsigned char *room;
    if (reply->size <= MOST_BYTES - b->used) {
        room = b->room + b->used;
        b->used += (size_t)reply->size;
    }
    else {
        room = to->own = malloc((size_t)reply->size);
    }
    if (room == NULL) {
        to->lost = true;
        return;
    }
    memcpy(room, reply->bytes, (size_t)reply->size);
    to->bytes = room;
}

/* Under the lock: what one worker has said. */
static void
fetch_seat(HubObject *hub, uint32_t seat, catch *b)
{
    struct fc_requester *r = &hub->hub->requester;
    while (b->count < MOST) {
        struct fc_reply reply;
        int error = fc_requester_next(r, seat, &reply);
        if (error == EAGAIN) {
            break;
        }
        if (error == EBADMSG) {
            hub->insane = true;
            hub->insane_seat = seat;
            r->workers[seat].open = false; /* nobody listens to it */
            fc_hub_ring(hub->hub);
            break;
        }
        fetched *to = &b->items[b->count++];
        memset(to, 0, sizeof(*to));
        to->future = reply.user;
        to->part = reply.part;
        if (reply.part) {
            Py_INCREF(to->future);
        }
        to->kind = reply.kind & FC_REPLY_KIND;
        to->lost = error == ENOMEM;
        keep_bytes(b, to, &reply);
        fc_reply_clear(&reply);
    }
    fc_requester_release(r, seat);
}

static void
fetch(HubObject *hub, catch *b)
{
    b->count = 0;
    b->used = 0;
    fc_hub_enter(hub);
    fc_returns_collect(&hub->hub->returns, &hub->hub->requester.blocks);
    for (uint32_t seat = 0; seat < hub->hub->seats_used; seat++) {
        if (fc_requester_ready(&hub->hub->requester, seat)) {
            fetch_seat(hub, seat, b);
        }
    }
    fc_hub_exit(hub);
}

/* --- ending futures ------------------------------------------------------------- */

void
fc_hub_count_down(HubObject *hub)
{
    /* Acquire and release: who sees none left sees all of them ended. */
    if (atomic_fetch_sub_explicit(&hub->unfinished, 1, memory_order_acq_rel)
        == 1) {
        bool closed;
        fc_hub_enter(hub);
        closed = hub->closed;
        fc_hub_exit(hub);
        if (closed) {
            fc_hub_ring(hub->hub);
        }
    }
}

static void
drop_hub(void *owner)
{
    fc_hub_unref(owner);
}

/* What a reply is to the future: 0 with a new reference, or -1. */
static int
make_outcome(fc_state *st, HubObject *hub, fetched *a, PyObject **outcome,
             unsigned *holds)
{
    PyObject *exception = NULL;
    PyObject *region = NULL;
    *outcome = NULL;
    *holds = 0;
    if (a->lost) {
        PyErr_NoMemory();
        PyObject *cause = fc_exception_take();
        *outcome = fc_process_helper(st, "_unreadable", "sO", "result", cause);
        Py_XDECREF(cause);
        *holds = FC_HOLDS_EXCEPTION;
        return *outcome != NULL ? 0 : -1;
    }
    if (a->block.size > 0) {
        fc_region_home home = {&hub->hub->returns, drop_hub,
                               fc_hub_ref(hub->hub)};
        region = fc_region_new(st, &hub->hub->requester.segment, &a->block,
                               home);
        if (region == NULL) {
            return -1;
        }
        a->bytes = fc_region_bytes(region, &a->size);
    }
    else if (a->item == NULL && a->kind == FC_REPLY_RESULT
             && fc_object_is_plain(a->bytes, a->size)) {
        int status = fc_reply_get(st, a->kind, a->bytes, a->size, NULL,
                                  outcome, &exception);
        if (exception != NULL) {
            *outcome = exception;
            *holds = FC_HOLDS_EXCEPTION;
        }
        return status;
    }
    if (a->item != NULL) {
        if (a->size < sizeof(*a->item)) {
            Py_XDECREF(region);
            return fc_incoming_complain();
        }
        a->size -= sizeof(*a->item);
        fc_read_once(a->item, a->bytes + a->size, sizeof(*a->item));
    }
    unsigned char *own = a->own;
    a->own = NULL;
    if (own == NULL && region == NULL) {
        own = malloc((size_t)a->size + 1);
        if (own == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        memcpy(own, a->bytes, (size_t)a->size);
    }
    *outcome = fc_sealed_new(st, a->kind, region, own, a->size);
    *holds = FC_HOLDS_SEALED;
    if (a->kind != FC_REPLY_RESULT) {
        *holds |= FC_HOLDS_EXCEPTION;
    }
    return *outcome != NULL ? 0 : -1;
}

/* A future that the standard class has ended, under its condition, still refers
 * to the hub, which has descriptors. */
static void
let_go_of_hub(FutureObject *f)
{
    fc_task task = {0};
    FC_LOCK(f);
    if ((fc_future_flags(f) & FC_FUTURE_SENT)
        && fc_state_is_done(fc_future_load_state(f))) {
        fc_task_take(f, &task);
    }
    FC_UNLOCK();
    fc_task_drop(&task);
}

/* The pool's thread ends a future that has callbacks, or whose waiters have to
 * know what is in it. */
static void
end_in_thread(fc_state *st, fc_arrival *a, fc_due *due)
{
    FutureObject *f = a->future;
    PyObject *result = NULL;
    PyObject *exception = NULL;
    int status = 0;
    if (a->holds & FC_HOLDS_SEALED) {
        status = fc_sealed_get(st, a->outcome, &result, &exception);
        if (status > 0) {
            status = 0; /* not in the main thread, but for lack of memory */
        }
        else if (status < 0) {
            /* Not even an exception could be made of it: what there is. */
            exception = fc_exception_take();
            status = 0;
        }
    }
    else if (a->holds & FC_HOLDS_EXCEPTION) {
        exception = Py_NewRef(a->outcome);
    }
    else {
        result = Py_NewRef(a->outcome);
    }
    if (status == 0) {
        status = fc_future_surely_finish(st, f, result, exception, due, NULL, NULL);
    }
    Py_XDECREF(result);
    Py_XDECREF(exception);
    let_go_of_hub(f);
    bool is_done = fc_state_is_done(fc_future_load_state(f));
    if (status < 0 && is_done
        && PyErr_ExceptionMatches(st->invalid_state_error)) {
        PyErr_Clear(); /* cancelled, or ended by hand */
        return;
    }
    if (status < 0) {
        fc_log_exception(st, "critical", "Exception in worker", NULL);
    }
    fc_due_fire(due);
    if (status <= 0 && is_done && fc_future_run_callbacks(st, f) < 0) {
        fc_log_exception(st, "critical", "Exception in worker", NULL);
    }
}

/* Leave it to the pool's thread: true when it has been told. */
static bool
defer(HubObject *hub, const fc_arrival *a)
{
    fc_hub_enter(hub);
    bool room = !hub->dead; /* then that thread looks no more */
    if (room && hub->deferred_count == hub->deferred_capacity) {
        size_t capacity =
            hub->deferred_capacity > 0 ? 2 * hub->deferred_capacity : 64;
        fc_arrival *more =
            realloc(hub->deferred, capacity * sizeof(*more));
        room = more != NULL;
        if (room) {
            hub->deferred = more;
            hub->deferred_capacity = capacity;
        }
    }
    if (room) {
        hub->deferred[hub->deferred_count++] = *a;
    }
    bool first = room && hub->deferred_count == 1;
    fc_hub_exit(hub);
    if (first) {
        fc_hub_ring(hub->hub);
    }
    return room;
}

static void
drop_arrival(HubObject *hub, fc_arrival *a)
{
    Py_XDECREF(a->outcome);
    Py_DECREF(a->future);
    fc_hub_count_down(hub);
}

/* A worker has said something of a batch. */
static void
end_part(fc_state *st, HubObject *hub, fetched *reply, fc_due *due)
{
    BatchObject *b = fc_batch_of(reply->future);
    PyObject *sealed = NULL;
    uint32_t item = 0;
    bool done = reply->kind == FC_REPLY_DONE;
    if (b != NULL && !done) {
        unsigned holds;
        reply->item = &item;
        if (make_outcome(st, hub, reply, &sealed, &holds) < 0) {
            PyErr_Clear(); /* an item is lost */
        }
    }
    if (b != NULL) {
        fc_batch_told(st, b, item, sealed, done, due);
    }
    free(reply->own);
    Py_XDECREF((PyObject *)b);
    Py_DECREF(reply->future);
}

static void
end_one(fc_state *st, HubObject *hub, fetched *reply, bool thread,
        fc_due *due)
{
    if (reply->part) {
        end_part(st, hub, reply, due);
        return;
    }
    fc_arrival a = {.future = reply->future};
    if (make_outcome(st, hub, reply, &a.outcome, &a.holds) < 0) {
        /* Not even the exception could be made: what there is instead. */
        a.outcome = fc_exception_take();
        a.holds = FC_HOLDS_EXCEPTION;
    }
    free(reply->own);
    int status = fc_future_deliver(st, a.future, a.outcome, a.holds, due);
    if (status == 1) {
        if (!thread && defer(hub, &a)) {
            return;
        }
        /* Also where nobody looks any more, or there is no memory to leave it
         * to somebody else. */
        end_in_thread(st, &a, due);
    }
    drop_arrival(hub, &a);
}

int
fc_hub_end_deferred(fc_state *st, HubObject *hub, fc_due *due)
{
    fc_hub_enter(hub);
    fc_arrival *all = hub->deferred;
    size_t count = hub->deferred_count;
    hub->deferred = NULL;
    hub->deferred_count = hub->deferred_capacity = 0;
    fc_hub_exit(hub);
    for (size_t i = 0; i < count; i++) {
        end_in_thread(st, &all[i], due);
        drop_arrival(hub, &all[i]);
    }
    free(all);
    return (int)count;
}

/* --- catches ---------------------------------------------------------------------- */

static catch *
take_catch(HubObject *hub)
{
    void *spare;
    FC_LOCK(hub);
    spare = hub->spare;
    hub->spare = NULL;
    FC_UNLOCK();
    return spare != NULL ? spare : malloc(sizeof(catch));
}

static void
give_catch(HubObject *hub, catch *b)
{
    void *other;
    FC_LOCK(hub);
    other = hub->spare;
    hub->spare = b;
    FC_UNLOCK();
    free(other);
}

void
fc_hub_free_spare(HubObject *hub)
{
    free(hub->spare);
    hub->spare = NULL;
}

int
fc_hub_fetch(fc_state *st, HubObject *hub, bool thread)
{
    int total = 0;
    catch *b = take_catch(hub);
    if (b == NULL) {
        return 0; /* another time */
    }
    fc_due due = {0};
    if (thread) {
        total += fc_hub_end_deferred(st, hub, &due);
    }
    do {
        fetch(hub, b);
        for (unsigned i = 0; i < b->count; i++) {
            end_one(st, hub, &b->items[i], thread, &due);
        }
        total += (int)b->count;
    } while (b->count == MOST);
    give_catch(hub, b);
    fc_due_fire(&due);
    return total;
}

/* --- waiting ------------------------------------------------------------------------ */

static bool
is_over(struct fc_group *group, const fc_watch *watch)
{
    return fc_group_fired(group)
           || (watch != NULL && watch->is_there(watch->arg));
}

/* Whether this thread leads already: a finalizer, say, waits while it fetches
 * results for what it waits for itself. */
static bool
leads_already(HubObject *hub)
{
    /* Relaxed: a thread's own number is there only if it wrote it. */
    return atomic_load_explicit(&hub->leader, memory_order_relaxed)
           == PyThread_get_thread_ident();
}

static bool
begin_to_lead(HubObject *hub)
{
    fc_hub_enter(hub);
    bool leads = fc_hub_lead(hub->hub);
    if (leads) {
        atomic_store_explicit(&hub->leader, PyThread_get_thread_ident(),
                              memory_order_relaxed);
    }
    fc_hub_exit(hub);
    return leads;
}

static void
end_to_lead(HubObject *hub)
{
    fc_hub_enter(hub);
    atomic_store_explicit(&hub->leader, 0, memory_order_relaxed);
    fc_hub_leave(hub->hub,
                 atomic_load_explicit(&hub->unfinished, memory_order_relaxed)
                     > 0);
    fc_hub_exit(hub);
}

/* A signal has come.  Its handler may take its time, or wait for results
 * itself: nobody leads meanwhile.  1: and somebody else does by now; 0; -1. */
static int
handle_signals(HubObject *hub)
{
    end_to_lead(hub);
    if (PyErr_CheckSignals() < 0) {
        return -1;
    }
    return !begin_to_lead(hub);
}

/* 2: it leads no longer, and has to wait otherwise.  After -1, too, it leads
 * no longer where a signal has come. */
static int
lead(fc_state *st, HubObject *hub, struct fc_group *group,
     const fc_watch *watch, int64_t deadline)
{
    fc_slices slices;
    fc_slices_begin(st, &slices);
    for (;;) {
        (void)fc_hub_fetch(st, hub, false);
        if (atomic_load_explicit(&hub->waiting, memory_order_relaxed) > 0
            && fc_hub_feed(st, hub, true)) {
            fc_hub_ring(hub->hub);
        }
        if (is_over(group, watch)) {
            return 1;
        }
        if (deadline != FC_FOREVER && fc_now_ns() >= deadline) {
            return 0;
        }
        int cpu = atomic_load_explicit(
            &hub->hub->requester.segment.header->worker_cpu,
            memory_order_relaxed);
        PyThreadState *ts = PyEval_SaveThread();
        enum fc_park_result woken = fc_hub_sleep(
            hub->hub, group, watch != NULL ? watch->word : NULL,
            fc_slices_until(&slices, deadline), cpu);
        PyEval_RestoreThread(ts);
        if (woken == FC_PARK_INTERRUPTED || fc_slices_is_over(&slices)) {
            int handled = handle_signals(hub);
            if (handled != 0) {
                return handled < 0 ? -1 : 2;
            }
        }
    }
}

/* Where somebody else leads, who does not know what we watch. */
static int
follow(fc_state *st, struct fc_group *group, const fc_watch *watch,
       int64_t deadline)
{
    if (watch == NULL) {
        return fc_group_sleep(st, group, deadline);
    }
    int64_t soon = fc_now_ns() + FC_LOOK_AGAIN_NS;
    int status = fc_group_sleep(st, group, soon < deadline ? soon : deadline);
    if (status != 0) {
        return status;
    }
    return deadline > soon || watch->is_there(watch->arg);
}

int
fc_hub_watch(fc_state *st, HubObject *hub, struct fc_group *group,
             const fc_watch *watch, int64_t deadline)
{
    if (hub->generation != fc_fork_generation()) {
        return follow(st, group, watch, deadline);
    }
    if (leads_already(hub)) {
        int status = lead(st, hub, group, watch, deadline);
        return status == 2 ? follow(st, group, watch, deadline) : status;
    }
    if (!begin_to_lead(hub)) {
        return follow(st, group, watch, deadline);
    }
    int status = lead(st, hub, group, watch, deadline);
    if (leads_already(hub)) {
        end_to_lead(hub);
    }
    if (status == 1 && PyErr_CheckSignals() < 0) {
        return -1; /* as in fc_group_sleep() */
    }
    return status == 2 ? follow(st, group, watch, deadline) : status;
}

int
fc_hub_wait(fc_state *st, HubObject *hub, struct fc_group *group,
            int64_t deadline)
{
    return fc_hub_watch(st, hub, group, NULL, deadline);
}

/* --- when nobody answers any more ------------------------------------------------------- */

/* Under the lock: what has been done of a batch stays. */
static void
give_up_batch(FutureObject *f)
{
    FC_LOCK(f);
    if (fc_future_flags(f) & FC_FUTURE_BATCH && f->args[0] != NULL) {
        fc_batch_keep((BatchObject *)f->args[0]);
    }
    FC_UNLOCK();
}

FutureObject *
fc_hub_take_any(HubObject *hub)
{
    FutureObject *f = NULL;
    struct fc_requester *r = &hub->hub->requester;
    fc_hub_enter(hub);
    for (uint32_t i = 0; f == NULL && i < r->sender.opened; i++) {
        if (r->requested[i].user != NULL) {
            if (!fc_sender_taken(&r->sender, i)) {
                f = r->requested[i].user;
                give_up_batch(f);
                if (fc_requester_cancel(r, i)) {
                    break;
                }
            }
            give_up_batch(r->requested[i].user);
            f = fc_requester_forget(r, i);
        }
    }
    if (f == NULL && hub->count > 0) {
        f = hub->backlog[hub->first];
        hub->first = (hub->first + 1) & (hub->capacity - 1);
        hub->count--;
        atomic_store_explicit(&hub->waiting, (int64_t)hub->count,
                              memory_order_relaxed);
    }
    fc_hub_exit(hub);
    return f;
}
