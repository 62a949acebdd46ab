/* dispatch.h - tasks meet workers: the queue and who is awake to serve it.
 *
 * A dispatch is one fc_queue, one packed word that counts tasks and idle
 * workers together, and a last-in-first-out semaphore on which idle workers
 * park.  Because tasks and idle workers are counted in the same word, every
 * decision (does somebody have to be woken? is another thread needed? may I
 * sleep?) is taken from one consistent snapshot by one compare-and-swap.
 * README.md in this folder tells the protocol in prose, with the argument
 * that no wake-up is lost; tests/core/models checks it.
 *
 * States of a worker, as the word counts them:
 *
 *     starting --arrive--> searching --take--> running
 *                           ^    |  ^            |
 *                       wake|    |park  (queue empty)
 *                           |    v  +------------+
 *                           parked
 *
 * (fc_worker_resume() leads from searching to running without a task.)
 *
 *                  | submit | take/next/wait (own worker) | close | destroy
 *     submit       |  yes   |  yes                        |  yes  |  no
 *     take/wait    |  yes   |  yes (another worker)       |  yes  |  no
 *     close        |  yes   |  yes                        |  yes  |  no
 */
#ifndef FC_DISPATCH_H
#define FC_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One consistent snapshot of the packed word, plus `starting`. */
struct fc_counts {
    uint32_t tasks;     /* in the queue and reserved by nobody */
    uint32_t searching; /* workers awake and looking for a task */
    uint32_t parked;    /* workers asleep */
    uint32_t starting;  /* workers announced that have not arrived yet; read
                           beside the word: may be too low for a moment,
                           never too high */
    bool closing;
};

/* True when the tasks outnumber the workers that are free to take them, so
 * that one more worker should be started if the limit allows it. */
static inline bool
fc_counts_want_worker(const struct fc_counts *c)
{
    return c->tasks > (uint64_t)c->searching + c->parked + c->starting;
}

struct fc_dispatch;
struct fc_worker;

/* A new dispatch with no workers, or NULL without memory. */
struct fc_dispatch *fc_dispatch_new(void);

/* Free a dispatch.  No worker is attached, nobody submits.  Items that are
 * still queued are forgotten: drain them with fc_dispatch_drain() first. */
void fc_dispatch_free(struct fc_dispatch *d);

/* Queue `item` (not NULL) and wake a parked worker if no searching one will
 * see it.  Works on a closing dispatch too.  Returns 0 and, in *after, the
 * counts right after the item was added; or -1 without memory. */
int fc_dispatch_submit(struct fc_dispatch *d, void *item,
                       struct fc_counts *after);

/* The counts now. */
struct fc_counts fc_dispatch_counts(const struct fc_dispatch *d);

/* Take an item as a bystander (shutdown(cancel_futures=True), a broken pool,
 * SimpleQueue.get_nowait).  NULL when no unreserved task is queued; a submit
 * or a take under way in another thread is waited for. */
void *fc_dispatch_drain(struct fc_dispatch *d);

/* --- a worker's life; each call by the worker's own thread, except
 * --- fc_worker_new() and fc_worker_abandon(), which its starter calls. */

/* Announce a worker, before its thread is started: from now on it counts as
 * starting.  NULL without memory. */
struct fc_worker *fc_worker_new(struct fc_dispatch *d);

/* Its thread could not be started: take the announcement back, free it. */
void fc_worker_abandon(struct fc_worker *w);

/* First call of the worker's own thread, when it is ready for its first
 * task: starting -> searching. */
void fc_worker_arrive(struct fc_worker *w);

/* The thread ends without having arrived, or while running: free it. */
void fc_worker_leave(struct fc_worker *w);

/* Is a task queued that nobody has reserved?  By the next moment there may be
 * one, or none. */
bool fc_worker_sees_task(const struct fc_worker *w);

/* Running worker: reserve the next task and pop it, staying a running
 * worker.  Or, when none is queued, become a searching one (counted as idle
 * from now on) and return NULL. */
void *fc_worker_next(struct fc_worker *w);

/* Searching worker: the same without waiting.  NULL: still searching. */
void *fc_worker_poll(struct fc_worker *w);

/* Searching worker: be a running one again without a task, because there is
 * something else to do first.  Wakes another if tasks are queued. */
void fc_worker_resume(struct fc_worker *w);

/* Searching worker: spin, then park, until a task comes; it is returned and
 * the worker is a running one.  NULL: the dispatch is closing and no task is
 * queued; the worker counts no longer and has been freed. */
void *fc_worker_wait(struct fc_worker *w);

/* From now on workers that find no task leave instead of parking, and those
 * parked are woken to do so.  Idempotent.  Tasks queued before or after are
 * still served, as long as a worker is there. */
void fc_dispatch_close(struct fc_dispatch *d);

#endif /* FC_DISPATCH_H */
