/* waiter.h - what stands in a future's `_waiters` for a thread that sleeps.
 *
 * A Waiter follows the protocol of the standard module's waiters
 * (add_result, add_exception, add_cancelled), so that any future, native,
 * standard or foreign, can tell it that it has ended; a native future tells
 * it without a Python call.
 *
 * Its fields are guarded by its own lock.  The owner is the one thread that
 * sleeps on its group.
 */
#ifndef FC_WAITER_H
#define FC_WAITER_H

#include "python/future.h"

#include "port/port.h"

enum fc_waiter_kind {
    FC_WAITER_RESULT, /* result(), exception(): the first notice fires */
    FC_WAITER_FIRST,  /* wait(FIRST_COMPLETED): the same, and collects */
    FC_WAITER_ALL,    /* wait(ALL_COMPLETED) */
    FC_WAITER_ALL_OR_EXCEPTION, /* wait(FIRST_EXCEPTION) */
    FC_WAITER_STREAM, /* as_completed(): fires whenever it has something */
};

typedef struct {
    PyObject_HEAD
    struct fc_group *group; /* fires once per arm */
    enum fc_waiter_kind kind;
    Py_ssize_t pending;     /* notices that an ALL kind still waits for */
    PyObject *finished;     /* list of futures in order; NULL for RESULT */
    bool failed;            /* there was no memory to note one in it */
    PyObject *hub;          /* NULL, or where its owner may lead; see hub.h */
} WaiterObject;

/* It waits for a future of this hub.  The first one is kept. */
static inline void
fc_waiter_may_lead(WaiterObject *w, PyObject *hub)
{
    if (w->hub == NULL) {
        w->hub = Py_NewRef(hub);
    }
}

WaiterObject *fc_waiter_new(fc_state *st, enum fc_waiter_kind kind);

static inline bool
fc_is_waiter(fc_state *st, PyObject *object)
{
    return Py_TYPE(object) == st->waiter_type;
}

/* `future` has ended, with an exception or otherwise.  Where there is no
 * memory to note it, the owner is woken to raise MemoryError. */
void fc_waiter_notify(WaiterObject *w, PyObject *future, bool raised,
                     fc_due *due);

/* Put one more group into *due, taking over the reference; fires the oldest
 * where there is no room. */
void fc_due_add(fc_due *due, struct fc_group *group);

/* Wake every RESULT waiter in the list `waiters`, to look again. */
void fc_waiters_release_sleepers(fc_state *st, PyObject *waiters,
                                 fc_due *due);

/* Sleep, without the GIL, until the waiter fires, `deadline` (nanoseconds,
 * FC_FOREVER) passes or a signal handler raises.  1 fired, 0 timed out,
 * -1 exception. */
int fc_waiter_sleep(fc_state *st, WaiterObject *w, int64_t deadline);

/* The same for a group, whoever fires it. */
int fc_group_sleep(fc_state *st, struct fc_group *group, int64_t deadline);

/* When as_completed() and map() end at the latest. */
typedef struct {
    PyObject *time;   /* timeout + time.monotonic(); NULL: never */
    int64_t deadline; /* the same in nanoseconds, where it is a plain float
                       * that fits; otherwise FC_FOREVER */
} fc_end;

/* Is all that there is to know in `deadline`? */
static inline bool
fc_end_is_plain(const fc_end *end)
{
    return end->time == NULL || end->deadline != FC_FOREVER;
}

/* `timeout + time.monotonic()`: 0, or -1 with the exception that the addition
 * raises.  None: never.  end->time is the caller's to visit and to let go. */
int fc_end_time(PyObject *timeout, fc_end *end);

/* What is left, as the standard module computes it: `time - time.monotonic()`,
 * None, or NULL with the exception that the subtraction raises. */
PyObject *fc_end_left(const fc_end *end);

/* Before sleeping until then: fc_deadline_from() of what is left. */
int fc_end_check(fc_state *st, const fc_end *end, int64_t *deadline);

/* Convert seconds into a deadline.  1: *deadline is set.  0: the timeout is
 * not positive, so there is nothing to wait for.  -1: exception, of the type
 * and with the text that threading.Condition.wait() gives. */
int fc_deadline_from(fc_state *st, PyObject *timeout, int64_t *deadline);

/* Make a slot (nothing, one object, or already a list) hold a list, under the
 * object's lock: *spare, an empty list that was made before, because making
 * one may run the collector and so any code.  Takes *spare over if it is
 * used.  -1: MemoryError. */
int fc_slot_make_list(PyObject **slot, PyObject **spare);

#endif /* FC_WAITER_H */
