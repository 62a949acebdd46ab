/* bench_queue.c - src/core/queue.h by itself; who finds nothing yields. */
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "bench.h"
#include "core/queue.h"

struct queue {
    struct fc_queue queue;
    atomic_int closed;
};

static void *
create(void)
{
    struct queue *self = aligned_alloc(FC_CACHE_LINE, sizeof(*self));
    atomic_init(&self->closed, 0);
    return self != NULL && fc_queue_init(&self->queue) == 0 ? self : NULL;
}

static void
put(void *self, void *item)
{
    if (fc_queue_push(&((struct queue *)self)->queue, item) < 0) {
        abort();
    }
}

static void *
take(void *self)
{
    return fc_queue_pop(&((struct queue *)self)->queue);
}

static uint64_t
serve(void *arg)
{
    struct queue *self = arg;
    uint64_t count = 0;
    for (;;) {
        /* Before looking: what was put before the close is found. */
        int closed = atomic_load(&self->closed);
        while (fc_queue_pop(&self->queue) != NULL) {
            count++;
        }
        if (closed) {
            return count;
        }
        sched_yield();
    }
}

static void
close_queue(void *self)
{
    atomic_store(&((struct queue *)self)->closed, 1);
}

static void
destroy(void *self)
{
    fc_queue_destroy(&((struct queue *)self)->queue);
    free(self);
}

const struct bench_subject bench_queue = {
    "queue", create, put, take, serve, close_queue, destroy,
};
