/* queue.h - the lock-free unbounded queue between submitters and workers.
 *
 * Multi-producer, multi-consumer, linearizable FIFO (so FIFO per producer),
 * in linked segments that are claimed by fetch-and-add and reclaimed under
 * hazard pointers.  queue.c holds the design and the memory-order argument.
 *
 * A thread that runs out of memory can still pop: see hazard.h.
 *
 *                 | push | pop | destroy
 *     push        | yes  | yes | no
 *     pop         | yes  | yes | no
 *     destroy     | no   | no  | no
 */
#ifndef FC_QUEUE_H
#define FC_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define FC_CACHE_LINE 64 /* bytes; also right for most aarch64 parts */

struct fc_segment; /* private to queue.c */

struct fc_queue {
    _Alignas(FC_CACHE_LINE) _Atomic(struct fc_segment *) head;
    _Alignas(FC_CACHE_LINE) _Atomic(struct fc_segment *) tail;
    _Alignas(FC_CACHE_LINE) _Atomic(struct fc_segment *) retired;
    atomic_flag reclaiming;
};

/* Make *q empty.  Returns 0, or -1 without memory. */
int fc_queue_init(struct fc_queue *q);

/* Free what *q owns.  Items still in it are forgotten, not freed: pop them
 * first where that matters.  Nothing may run beside it. */
void fc_queue_destroy(struct fc_queue *q);

/* Append `item`, which is not NULL.  Returns 0, or -1 without memory, and
 * then the queue is as it was.  Lock-free; allocates once per segment. */
int fc_queue_push(struct fc_queue *q, void *item);

/* Take the oldest item, or NULL when the queue was empty at some moment
 * during the call.  Lock-free; never allocates. */
void *fc_queue_pop(struct fc_queue *q);

/* True when the queue was empty at some moment during the call, but for pushes
 * that had not returned.  Never allocates. */
bool fc_queue_is_empty(struct fc_queue *q);

/* Let go of the segments that the calling thread keeps from being reclaimed
 * (see queue.c on sticky hazards).  Called before a thread sleeps long. */
void fc_queue_quiesce(void);

/* In the child of a fork(), before it starts threads; optional.  Releases
 * what threads that exist only in the parent kept from being reclaimed: up
 * to two segments and 64 bytes each, for the whole process, not per queue.
 * Queues that were in use at the fork can be destroyed in the child, not
 * used: an operation may have been cut off in the middle. */
void fc_queue_after_fork(void);

#endif /* FC_QUEUE_H */
