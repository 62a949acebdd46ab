/* bench_dispatch.c - src/core/dispatch.h, with workers that sleep. */
#include <stdlib.h>

#include "bench.h"
#include "core/dispatch.h"

static void *
create(void)
{
    return fc_dispatch_new();
}

static void
put(void *self, void *item)
{
    struct fc_counts counts;
    if (fc_dispatch_submit(self, item, &counts) < 0) {
        abort();
    }
}

static void *
take(void *self)
{
    return fc_dispatch_drain(self);
}

static uint64_t
serve(void *self)
{
    uint64_t count = 0;
    struct fc_worker *worker = fc_worker_new(self);
    fc_worker_arrive(worker);
    while (fc_worker_wait(worker) != NULL) {
        do {
            count++;
        } while (fc_worker_next(worker) != NULL);
    }
    return count;
}

static void
close_dispatch(void *self)
{
    fc_dispatch_close(self);
}

static void
destroy(void *self)
{
    fc_dispatch_free(self);
}

const struct bench_subject bench_dispatch = {
    "dispatch", create, put, take, serve, close_dispatch, destroy,
};
