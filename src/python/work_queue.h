/* work_queue.h - an executor's `_work_queue`: the dispatch of src/core with
 * Python objects in it.
 *
 * The executor and each of its workers hold a reference; the dispatch is
 * freed with the last one.  What is queued is one pointer per task, its two
 * low bits telling what it points to; each owns a reference.
 */
#ifndef FC_WORK_QUEUE_H
#define FC_WORK_QUEUE_H

#include "python/starters.h"
#include "python/state.h"

#include "core/dispatch.h"

enum fc_item_kind {
    FC_ITEM_FUTURE = 0, /* a FutureObject with a task */
    FC_ITEM_MAP = 1,    /* a map descriptor: its next input */
    FC_ITEM_OBJECT = 2, /* something that foreign code put there */
    FC_ITEM_MASK = 3,
};

typedef struct {
    PyObject_HEAD
    struct fc_dispatch *dispatch;
    uint32_t generation;      /* of the process that made it */
    _Atomic(int32_t) workers; /* threads started for it, or being started */
    struct fc_starters starters;
    PyObject *inherited;      /* the queue that this one replaced, or NULL */
    PyObject *weakrefs;
} WorkQueueObject;

static inline void *
fc_item_pack(PyObject *object, enum fc_item_kind kind)
{
    return (void *)((uintptr_t)object | (uintptr_t)kind);
}

static inline enum fc_item_kind
fc_item_kind_of(void *item)
{
    return (enum fc_item_kind)((uintptr_t)item & FC_ITEM_MASK);
}

static inline PyObject *
fc_item_object(void *item)
{
    return (PyObject *)((uintptr_t)item & ~(uintptr_t)FC_ITEM_MASK);
}

WorkQueueObject *fc_work_queue_new(fc_state *st);

/* A worker for the queue, announced to its dispatch; the target of a thread.
 * It takes over the caller's count in queue->workers; see worker.c. */
PyObject *fc_worker_object_new(fc_state *st, WorkQueueObject *queue);

/* Take it back: true when its thread has not begun, and then never will. */
bool fc_worker_object_abandon(PyObject *worker);

/* What another thread takes out by get(): an object with `future` and
 * `run()`, or what put() brought.  Steals the reference in `item`. */
PyObject *fc_item_unpack(fc_state *st, void *item);

#endif /* FC_WORK_QUEUE_H */
