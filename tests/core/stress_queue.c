/* stress_queue.c - see stress_queue.h. */
#include <stdlib.h>

#include "check.h"
#include "core/queue.h"
#include "port/port.h"
#include "stress_queue.h"

#define PRODUCERS_MAX 8
#define CONSUMERS_MAX 8

struct run {
    const struct stress_queue *config;
    struct fc_queue queue;
    _Atomic(uint64_t) popped;
    _Atomic(uint64_t) refused;
    _Atomic(unsigned char) *seen; /* one per item */
    uint32_t *payload; /* one per item, written before the push, plainly */
};

struct actor {
    struct run *run;
    unsigned id;
    uint64_t first, end; /* of a producer's items */
};

/* An item names its producer and its place; never NULL. */
static void *
item_of(unsigned producer, uint64_t place)
{
    return (void *)(uintptr_t)((place << 8) | (producer + 1));
}

static void
produce_part(void *arg)
{
    struct actor *self = arg;
    struct run *run = self->run;
    struct check_random random =
        check_random_new(self->id * 1000003 + self->first);
    for (uint64_t place = self->first; place < self->end; place++) {
        run->payload[self->id * run->config->items + place] =
            (uint32_t)place + 1;
        while (fc_queue_push(&run->queue, item_of(self->id, place)) < 0) {
            atomic_fetch_add(&run->refused, 1);
        }
        if (run->config->delays) {
            check_random_delay(&random);
        }
    }
}

static void
produce(void *arg)
{
    struct actor *self = arg;
    const struct stress_queue *config = self->run->config;
    for (unsigned life = 0; life < config->lives; life++) {
        struct actor part = *self;
        part.first = config->items * life / config->lives;
        part.end = config->items * (life + 1) / config->lives;
        struct check_thread thread;
        check_spawn(&thread, produce_part, &part);
        check_join(&thread);
    }
}

static void
consume(void *arg)
{
    struct actor *self = arg;
    struct run *run = self->run;
    const struct stress_queue *config = run->config;
    struct check_random random = check_random_new(self->id + 77);
    uint64_t last[PRODUCERS_MAX] = {0}; /* place + 1 */
    uint64_t total = config->producers * config->items;
    uint64_t out_of_order = 0, doubled = 0, foreign = 0, unseen = 0;
    while (atomic_load(&run->popped) < total) {
        void *item = fc_queue_pop(&run->queue);
        if (item == NULL) {
            fc_pause();
            if (config->quiesce) {
                fc_queue_quiesce();
            }
        }
        else {
            uint64_t producer = ((uintptr_t)item & 0xff) - 1;
            uint64_t place = (uintptr_t)item >> 8;
            atomic_fetch_add(&run->popped, 1);
            if (producer >= config->producers || place >= config->items) {
                foreign++;
                continue;
            }
            out_of_order += place + 1 <= last[producer];
            last[producer] = place + 1;
            uint64_t index = producer * config->items + place;
            doubled += atomic_fetch_add(&run->seen[index], 1);
            unseen += run->payload[index] != (uint32_t)place + 1;
        }
        if (config->delays) {
            check_random_delay(&random);
        }
    }
    CHECK(out_of_order == 0);
    CHECK(doubled == 0);
    CHECK(foreign == 0);
    CHECK(unseen == 0);
}

void
stress_queue(const struct stress_queue *config)
{
    struct run run = {.config = config};
    struct actor actors[PRODUCERS_MAX + CONSUMERS_MAX];
    struct check_thread threads[PRODUCERS_MAX + CONSUMERS_MAX];
    uint64_t total = config->producers * config->items;
    uint64_t failures_before = shim_failures;
    run.seen = calloc(total, 1);
    run.payload = calloc(total, sizeof(uint32_t));
    CHECK(fc_queue_init(&run.queue) == 0);
    shim_fail_every = config->fail_every;
    unsigned count = config->producers + config->consumers;
    for (unsigned i = 0; i < count; i++) {
        actors[i] = (struct actor){.run = &run, .id = i};
        check_spawn(&threads[i], i < config->producers ? produce : consume,
                    &actors[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        check_join(&threads[i]);
    }
    shim_fail_every = 0;
    uint64_t lost = 0;
    for (uint64_t i = 0; i < total; i++) {
        lost += run.seen[i] == 0;
    }
    CHECK(lost == 0);
    CHECK(run.popped == total);
    CHECK(fc_queue_pop(&run.queue) == NULL);
    if (config->fail_every > 0) {
        CHECK(shim_failures > failures_before);
    }
    fc_queue_destroy(&run.queue);
    free((void *)run.seen);
    free(run.payload);
}
