/* dispatch.c - see dispatch.h for the purpose and README.md for the protocol.
 *
 * The word:
 *
 *      63      62                   32 31           16 15            0
 *     +-------+-----------------------+---------------+---------------+
 *     |closing| tasks                 | searching     | parked        |
 *     +-------+-----------------------+---------------+---------------+
 *
 * Each transition is one compare-and-swap of it, made of the steps below.
 * Invariant, which each transition keeps:
 *
 *     (I)  tasks > 0 and parked > 0  implies  searching > 0.
 *
 * A pop after a reservation finds an item.  Submitters push before they count
 * a task, and each taker counts one off before it pops one.  Let S be the
 * number of tasks ever counted and R that of reservations: S >= R at every
 * moment, tasks being their difference.  When a taker looks into the queue,
 * at least S items have been pushed, and at most R - 1 have been or are
 * going to be taken by others, since each other pop has its own
 * reservation.  So one item at least is left for it at that moment, and a
 * linearizable queue does not answer "empty".  It follows that nobody may
 * pop from a dispatch's queue without a reservation.
 *
 * Edges (each label stands at both ends in the code):
 *
 *     D1  word: counting a task (release) -> reserving it (acquire).  The
 *         push comes before the pop.
 *     D2  word: `closing` (release) -> seeing it (acquire).  What came before
 *         fc_dispatch_close() is visible to a worker that leaves.
 *
 * Every change of the word is a read-modify-write, so that each one stands in
 * the release sequence of all before it.  `starting` orders nothing: the
 * thread's creation orders its announcement before its arrival.  The CPU
 * number is a hint, relaxed.
 */
#include "core/dispatch.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "core/lifosem.h"
#include "core/queue.h"
#include "core/spin.h"
#include "core/table.h"
#include "port/port.h"

#define PARKED_ONE UINT64_C(1)
#define SEARCHING_ONE (UINT64_C(1) << 16)
#define TASK_ONE (UINT64_C(1) << 32)
#define CLOSING (UINT64_C(1) << 63)

#define PARKED(word) ((uint32_t)(word) & 0xffff)
#define SEARCHING(word) ((uint32_t)((word) >> 16) & 0xffff)
#define TASKS(word) ((uint32_t)((word) >> 32) & 0x7fffffff)

_Static_assert(FC_RECORDS_MAX <= 0xffff, "all workers fit into one field");

/* Tasks that a submitter may find before it is refused: the field's width
 * less a margin for those that count theirs between our look and our swap
 * (there are fewer threads than that).  Tests lower it to reach it. */
#ifndef FC_TASKS_MAX
#define FC_TASKS_MAX (0x7fffffffu - (1u << 20))
#endif

/* Tests let time pass between pushing a task and counting it. */
#ifdef FC_AFTER_PUSH
void FC_AFTER_PUSH(void);
#else
#define FC_AFTER_PUSH() ((void)0)
#endif

/* How many workers search at the same time before a submitter stops waking
 * more.  One is the wake chain: who takes a task from a queue that is still
 * not empty wakes the next worker.  More of them only fight for the GIL. */
#define FC_WAKE_AHEAD 1

/* How often to look, a pause apart, before the CPU is yielded. */
#define FC_LOOKS_PER_YIELD 64

struct fc_dispatch {
    struct fc_queue queue;
    _Alignas(FC_CACHE_LINE) _Atomic(uint64_t) word;
    struct fc_lifosem sem;
    _Atomic(uint32_t) starting;
    _Atomic(int) submit_cpu; /* where the last submitter ran */
    struct fc_table workers;
};

/* A record of the table; each field guarded by being its thread's own. */
struct fc_worker {
    struct fc_sleeper sleeper;
    bool arrived;
    struct fc_dispatch *dispatch;
};
_Static_assert(sizeof(struct fc_worker) <= FC_RECORD_SIZE, "one record");

/* --- the word ------------------------------------------------------------ */

static struct fc_counts
counts_of(const struct fc_dispatch *d, uint64_t word)
{
    struct fc_counts counts = {
        .tasks = TASKS(word),
        .searching = SEARCHING(word),
        .parked = PARKED(word),
        /* After the word: an arriving worker leaves `starting` before it is
         * counted there, so that it is never counted twice. */
        .starting = atomic_load_explicit(&d->starting, memory_order_relaxed),
        .closing = (word & CLOSING) != 0,
    };
    return counts;
}

/* The step that keeps (I): when the searching workers are too few for the
 * tasks, let one of the parked ones count as searching from now on.  The
 * caller posts the semaphore once for it. */
static inline bool
wants_wake(uint64_t word)
{
    uint32_t ahead =
        TASKS(word) < FC_WAKE_AHEAD ? TASKS(word) : FC_WAKE_AHEAD;
    return PARKED(word) > 0 && SEARCHING(word) < ahead;
}

static inline bool
swap_word(struct fc_dispatch *d, uint64_t *seen, uint64_t wanted)
{
    return atomic_compare_exchange_weak_explicit(
        &d->word, seen, wanted, memory_order_acq_rel,
        memory_order_acquire); /* D1 D2 */
}

static inline uint64_t
load_word(const struct fc_dispatch *d)
{
    return atomic_load_explicit(&d->word, memory_order_acquire); /* D1 D2 */
}

/* Swap in `wanted`, or that with one parked worker counted as searching, and
 * wake that one.  False: *seen has changed. */
static inline bool
swap_and_wake(struct fc_dispatch *d, uint64_t *seen, uint64_t *wanted)
{
    bool wake = wants_wake(*wanted);
    if (wake) {
        *wanted += SEARCHING_ONE - PARKED_ONE;
    }
    if (!swap_word(d, seen, *wanted)) {
        return false;
    }
    if (wake) {
        fc_lifosem_post(&d->sem, &d->workers);
    }
    return true;
}

static inline void
note_cpu(_Atomic(int) *where)
{
    int cpu = fc_cpu();
    /* Written only when it changes: the line stays shared. */
    if (atomic_load_explicit(where, memory_order_relaxed) != cpu) {
        atomic_store_explicit(where, cpu, memory_order_relaxed);
    }
}

/* --- the dispatch -------------------------------------------------------- */

struct fc_dispatch *
fc_dispatch_new(void)
{
    struct fc_dispatch *d = aligned_alloc(FC_CACHE_LINE, sizeof(*d));
    if (d == NULL) {
        return NULL;
    }
    if (fc_queue_init(&d->queue) < 0) {
        free(d);
        return NULL;
    }
    atomic_init(&d->word, 0);
    fc_lifosem_init(&d->sem);
    atomic_init(&d->starting, 0);
    atomic_init(&d->submit_cpu, -1);
    fc_table_init(&d->workers);
    return d;
}

void
fc_dispatch_free(struct fc_dispatch *d)
{
    fc_queue_destroy(&d->queue);
    fc_table_destroy(&d->workers);
    free(d);
}

int
fc_dispatch_submit(struct fc_dispatch *d, void *item,
                   struct fc_counts *after)
{
    uint64_t word = load_word(d);
    if (TASKS(word) >= FC_TASKS_MAX || fc_queue_push(&d->queue, item) < 0) {
        return -1;
    }
    FC_AFTER_PUSH();
    note_cpu(&d->submit_cpu);
    uint64_t wanted;
    do {
        wanted = word + TASK_ONE;
    } while (!swap_and_wake(d, &word, &wanted)); /* D1 */
    *after = counts_of(d, wanted);
    return 0;
}

struct fc_counts
fc_dispatch_counts(const struct fc_dispatch *d)
{
    return counts_of(d, load_word(d));
}

/* No task is counted, but is one queued?  Somebody may be between pushing his
 * and counting it, and a taker may have been given that one in the place of
 * another, counted long ago, which is still there.  (Or a taker is between
 * reserving and popping.)  Wait for him: it is a matter of nanoseconds, unless
 * he has lost his CPU, and then ours may be the one he is waiting for. */
static bool
has_uncounted(struct fc_dispatch *d, unsigned *looks)
{
    if (fc_queue_is_empty(&d->queue)) {
        return false;
    }
    if (++*looks % FC_LOOKS_PER_YIELD == 0) {
        fc_yield();
    }
    else {
        fc_pause();
    }
    return true;
}

void *
fc_dispatch_drain(struct fc_dispatch *d)
{
    unsigned looks = 0;
    uint64_t word = load_word(d);
    for (;;) {
        if (TASKS(word) == 0) {
            if (!has_uncounted(d, &looks)) {
                return NULL;
            }
            word = load_word(d);
        }
        else if (swap_word(d, &word, word - TASK_ONE)) { /* D1 */
            return fc_queue_pop(&d->queue);
        }
    }
}

void
fc_dispatch_close(struct fc_dispatch *d)
{
    uint64_t word = load_word(d);
    uint64_t wanted;
    do {
        wanted = (word | CLOSING) +
                 PARKED(word) * (SEARCHING_ONE - PARKED_ONE);
    } while (!swap_word(d, &word, wanted)); /* D2 */
    for (uint32_t left = PARKED(word); left > 0; left--) {
        fc_lifosem_post(&d->sem, &d->workers);
    }
}

/* --- a worker's life ----------------------------------------------------- */

static void
release_worker(struct fc_worker *w)
{
    fc_table_release(&w->dispatch->workers, &w->sleeper.node);
}

struct fc_worker *
fc_worker_new(struct fc_dispatch *d)
{
    struct fc_worker *w = (struct fc_worker *)fc_table_acquire(&d->workers);
    if (w == NULL) {
        return NULL;
    }
    w->dispatch = d;
    w->arrived = false;
    atomic_fetch_add_explicit(&d->starting, 1, memory_order_relaxed);
    return w;
}

void
fc_worker_abandon(struct fc_worker *w)
{
    atomic_fetch_sub_explicit(&w->dispatch->starting, 1,
                              memory_order_relaxed);
    release_worker(w);
}

void
fc_worker_arrive(struct fc_worker *w)
{
    struct fc_dispatch *d = w->dispatch;
    w->arrived = true;
    /* In this order, so that nobody sees more workers than there are; the
     * release of the second keeps the first before it. */
    atomic_fetch_sub_explicit(&d->starting, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&d->word, SEARCHING_ONE, memory_order_acq_rel);
}

void
fc_worker_leave(struct fc_worker *w)
{
    if (!w->arrived) {
        fc_worker_abandon(w);
        return;
    }
    fc_queue_quiesce();
    release_worker(w);
}

/* Reserve a task, leaving `role` (0 or SEARCHING_ONE), and pop it.  Without
 * tasks: add `idle` to the word (0: nothing) and return NULL. */
static inline void *
take(struct fc_dispatch *d, uint64_t role, uint64_t idle)
{
    uint64_t word = load_word(d);
    for (;;) {
        if (TASKS(word) == 0) {
            if (idle == 0 || swap_word(d, &word, word + idle)) {
                return NULL;
            }
            continue;
        }
        uint64_t wanted = word - TASK_ONE - role;
        if (swap_and_wake(d, &word, &wanted)) { /* D1 */
            return fc_queue_pop(&d->queue);
        }
    }
}

void *
fc_worker_next(struct fc_worker *w)
{
    return take(w->dispatch, 0, SEARCHING_ONE);
}

bool
fc_worker_sees_task(const struct fc_worker *w)
{
    return TASKS(load_word(w->dispatch)) > 0;
}

void *
fc_worker_poll(struct fc_worker *w)
{
    return take(w->dispatch, SEARCHING_ONE, 0);
}

void
fc_worker_resume(struct fc_worker *w)
{
    struct fc_dispatch *d = w->dispatch;
    uint64_t word = load_word(d);
    uint64_t wanted;
    do {
        wanted = word - SEARCHING_ONE;
    } while (!swap_and_wake(d, &word, &wanted)); /* D1 */
}

/* Spin for a task while the submitter runs on another CPU. */
static void
spin_for_task(struct fc_dispatch *d)
{
    struct fc_spin spin = fc_spin_begin(
        atomic_load_explicit(&d->submit_cpu, memory_order_relaxed),
        FC_FOREVER);
    while (fc_spin_turn(&spin)) {
        uint64_t word = load_word(d);
        if (TASKS(word) > 0 || (word & CLOSING)) {
            return;
        }
    }
}

enum parking { HAS_TASKS, HAS_LEFT, HAS_PARKED };

/* With no task there: be counted as parked, or no more when closing. */
static enum parking
count_as_parked(struct fc_dispatch *d)
{
    unsigned looks = 0;
    uint64_t word = load_word(d); /* D2 */
    for (;;) {
        if (TASKS(word) > 0) {
            return HAS_TASKS;
        }
        if (word & CLOSING) {
            if (has_uncounted(d, &looks)) {
                word = load_word(d);
            }
            else if (swap_word(d, &word, word - SEARCHING_ONE)) {
                return HAS_LEFT;
            }
        }
        else if (swap_word(d, &word, word - SEARCHING_ONE + PARKED_ONE)) {
            return HAS_PARKED;
        }
    }
}

void *
fc_worker_wait(struct fc_worker *w)
{
    struct fc_dispatch *d = w->dispatch;
    for (;;) {
        void *item = fc_worker_poll(w);
        if (item != NULL) {
            return item;
        }
        spin_for_task(d);
        switch (count_as_parked(d)) {
        case HAS_TASKS:
            break;
        case HAS_LEFT:
            fc_queue_quiesce();
            release_worker(w);
            return NULL;
        case HAS_PARKED:
            fc_queue_quiesce();
            fc_lifosem_wait(&d->sem, &w->sleeper);
            break;
        }
    }
}
