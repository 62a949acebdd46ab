/* hub.h - futures on their way to worker processes and back: the Python object
 * over ipc/hub.h.
 *
 * A future of a process pool is in one of three places:
 *
 *     the backlog   there was no room for its request: it carries function and
 *                   arguments, as a future of a thread pool does
 *     a slot        its request was sent (FC_FUTURE_SENT): `fn` is the hub and
 *                   `generation` the slot's number
 *     arrived       its reply was fetched, and its end is a matter of moments
 *
 * Who does what:
 *
 *                          | submitter | leader, who waits | pool's thread
 *     sends its own call   | yes       |                   |
 *     feeds the backlog    | plain     | plain             | everything
 *     fetches replies      | for room  | yes               | yes
 *     ends plain futures   | yes       | yes               | yes
 *     unpickles            |           | its own           | for callbacks
 *     runs callbacks       |           |                   | yes
 *
 * Plain is what needs no pickle, so nobody's code runs.  What a submitter or
 * a leader may not do it leaves to the pool's thread, and rings.
 *
 * Locks.  `hub->lock` is the innermost but for FC_LOCK(future); no Python
 * code runs, nothing is allocated by Python and nothing dies under it.
 */
#ifndef FC_PYHUB_H
#define FC_PYHUB_H

#include "python/calls.h"
#include "python/future.h"

#include "ipc/hub.h"

/* A future whose reply was fetched, and what is to be its outcome: as in
 * fc_future_deliver().  References. */
typedef struct {
    FutureObject *future;
    PyObject *outcome;
    unsigned holds;
} fc_arrival;

typedef struct {
    PyObject_HEAD
    struct fc_hub *hub;
    uint32_t generation; /* fc_fork_generation() of the process that made it */

    /* Futures that are not done, also those that have just arrived.  Written
     * under the lock or by whoever ends one. */
    _Atomic(int64_t) unfinished;
    /* How many calls somebody is about to submit: a hint. */
    _Atomic(uint64_t) coming;
    /* Of these, in the backlog.  Written under the lock. */
    _Atomic(int64_t) waiting;

    /* Under the lock. */
    FutureObject **backlog; /* a ring; see hub_backlog.c */
    size_t first, count, capacity;
    fc_arrival *deferred; /* for the pool's thread */
    size_t deferred_count, deferred_capacity;
    bool closed;          /* takes no more calls */
    bool dead;            /* and sends none of those that wait */
    bool feeding;         /* somebody feeds the backlog */
    bool insane;          /* a worker has said nonsense */
    uint32_t insane_seat;
    uint32_t batches;     /* that were sent and are not done */

    /* The number of the thread that leads, or 0. */
    _Atomic(unsigned long) leader;

    /* Calls that could not be pickled.  The standard module starts a worker
     * for each of them all the same. */
    _Atomic(uint32_t) phantoms;

    /* Under the object's lock. */
    PyObject *numbers;  /* dict: function -> its number */
    PyObject *last;     /* the function sent last */
    uint32_t last_number;
    fc_reducers reducers; /* those that were registered then */
    void *spare;        /* a batch for reuse; hub_arrivals.c */
} HubObject;

/* Take a C lock as a thread that is attached to the interpreter: who has to
 * wait for it detaches meanwhile. */
static inline void
fc_lock_attached(struct fc_lock *lock)
{
    if (!fc_lock_try(lock)) {
        PyThreadState *ts = PyEval_SaveThread();
        fc_lock_slow(lock);
        PyEval_RestoreThread(ts);
    }
}

static inline void
fc_hub_enter(HubObject *hub)
{
    fc_lock_attached(&hub->hub->lock);
}

static inline void
fc_hub_exit(HubObject *hub)
{
    fc_lock_give(&hub->hub->lock);
}

/* Call a function of futures_c.process. */
PyObject *fc_process_helper(fc_state *st, const char *name,
                            const char *format, ...);

/* Whether `calls` more calls would need one more worker. */
bool fc_hub_needs_worker(HubObject *hub, uint64_t calls);

/* --- hub_send.c ------------------------------------------------------------ */

/* Send the call for the new future `f`, or put both into the backlog.  0, or -1
 * with MemoryError, or RuntimeError where the hub is closed.  A call that
 * cannot be pickled is sent in a way, too: `f` has ended with the error. */
int fc_hub_submit(fc_state *st, HubObject *hub, FutureObject *f,
                  const fc_call *call);

/* The number by which workers know a function: 0, it has to go along; -1 with
 * what pickling it raised. */
int64_t fc_hub_number(fc_state *st, HubObject *hub, PyObject *fn);

/* Send a batch (batch.h) for its new future, or put both into the backlog: as
 * fc_hub_submit(). */
int fc_hub_submit_batch(fc_state *st, HubObject *hub, FutureObject *f);

/* Send what is in the backlog as long as there is room; `plain`: only what
 * needs no pickle.  True: there is something left that could be sent by
 * someone who may pickle. */
bool fc_hub_feed(fc_state *st, HubObject *hub, bool plain);

/* Take back the request of a future that is SENT and pending.  True: nobody
 * will run it, it is not SENT any more, and it is the caller's to end.  False:
 * a worker has it, it has arrived, or it is not SENT. */
bool fc_hub_withdraw(FutureObject *f);

/* The state of a future that is SENT and was pending: RUNNING, from then on,
 * when a worker has it. */
int fc_hub_look(FutureObject *f);

/* --- hub_arrivals.c --------------------------------------------------------- */

/* Fetch what has come and end these futures, or leave them to the pool's
 * thread (`thread`: that is who calls; callbacks run).  How many there were. */
int fc_hub_fetch(fc_state *st, HubObject *hub, bool thread);

/* End what others have left to the pool's thread, which calls this.  How many. */
int fc_hub_end_deferred(fc_state *st, HubObject *hub, fc_due *due);

/* Wait for `group`, leading where nobody else does.  1 fired, 0 timed out, -1
 * exception. */
int fc_hub_wait(fc_state *st, HubObject *hub, struct fc_group *group,
                int64_t deadline);

/* The same until `is_there(arg)` says so, or the cell `word` is not 0 any
 * more.  Where somebody else leads it looks every FC_LOOK_AGAIN_NS. */
typedef struct {
    bool (*is_there)(void *arg);
    void *arg;
    const _Atomic(uint32_t) *word; /* or NULL */
} fc_watch;
#define FC_LOOK_AGAIN_NS 1000000
int fc_hub_watch(fc_state *st, HubObject *hub, struct fc_group *group,
                 const fc_watch *watch, int64_t deadline);

/* One future of the hub's is done. */
void fc_hub_count_down(HubObject *hub);

/* How long a batch of arrivals is. */
void fc_hub_free_spare(HubObject *hub);

/* Take a future out of its slot, whose request nobody will answer, or out of
 * the backlog: a reference, or NULL when none is left.  It still counts as
 * unfinished. */
FutureObject *fc_hub_take_any(HubObject *hub);

#endif /* FC_PYHUB_H */
