/* stress_group.c - see stress_group.h. */
#include "stress_group.h"

#include <sched.h>
#include <stdlib.h>

#include "check.h"
#include "core/group.h"
#include "port/port.h"

#define COMPLETERS_MAX 6

/* One round: a group and what its completers write, not atomically, before
 * they complete. */
struct round {
    struct fc_group *group;
    _Atomic(uint64_t) drawn; /* completions somebody has begun */
    atomic_int wakes;
    uint64_t data[];
};

struct stage {
    const struct stress_group *config;
    _Atomic(struct round *) current;
    _Atomic(uint64_t) number;   /* of the current round */
    _Atomic(uint64_t) finished; /* completers that are through with it */
};

struct completer {
    struct stage *stage;
    unsigned id;
};

static void
complete_round(struct stage *stage, struct round *round,
               struct check_random *random)
{
    struct fc_group *group = round->group;
    uint64_t mine;
    /* Relaxed, so that nothing but the group orders one completer's data
     * before the owner's look at it. */
    while ((mine = atomic_fetch_add_explicit(
                &round->drawn, 1, memory_order_relaxed)) <
           stage->config->target) {
        if (stage->config->delays) {
            check_random_delay(random);
        }
        round->data[mine] = mine + 1;
        bool wake = stage->config->early_fire && mine == 0
                        ? fc_group_fire(group)
                        : fc_group_complete(group);
        if (wake) {
            atomic_fetch_add(&round->wakes, 1);
            if (stage->config->delays) {
                check_random_delay(random);
            }
            fc_group_wake(group);
        }
    }
    fc_group_unref(group);
}

static void
complete_all(void *arg)
{
    struct completer *self = arg;
    struct stage *stage = self->stage;
    struct check_random random = check_random_new(self->id + 7000);
    for (uint64_t n = 1; n <= stage->config->rounds; n++) {
        while (stage->number < n) {
            sched_yield();
        }
        complete_round(stage, stage->current, &random);
        atomic_fetch_add(&stage->finished, 1);
    }
}

static void
wait_patiently(const struct stress_group *config, struct round *round)
{
    int64_t give_up = fc_now_ns() + INT64_C(20000000000);
    for (;;) {
        int64_t deadline =
            config->short_waits ? fc_now_ns() + 3000 : give_up;
        switch (fc_group_wait(round->group, deadline, -1)) {
        case FC_GROUP_FIRED:
            CHECK(fc_group_fired(round->group));
            return;
        case FC_GROUP_TIMED_OUT:
            if (fc_now_ns() >= give_up) {
                CHECK(fc_now_ns() < give_up); /* a wake-up was lost */
                abort();
            }
            break;
        case FC_GROUP_INTERRUPTED:
            break;
        }
    }
}

static void
own_round(struct stage *stage, uint64_t number)
{
    const struct stress_group *config = stage->config;
    struct round *round =
        calloc(1, sizeof(*round) + config->target * sizeof(uint64_t));
    round->group = fc_group_new(config->target);
    /* A reference for each completer: the last one frees the group. */
    for (unsigned i = 0; i < config->completers; i++) {
        fc_group_ref(round->group);
    }
    stage->current = round;
    stage->number = number;
    if (!config->owner_leaves) {
        wait_patiently(config, round);
        uint64_t unseen = 0;
        /* Who fires early vouches for what it wrote itself. */
        uint64_t counted = config->early_fire ? 1 : config->target;
        for (uint64_t i = 0; i < counted; i++) {
            unseen += round->data[i] != i + 1;
        }
        CHECK(unseen == 0);
    }
    fc_group_unref(round->group);
    while (stage->finished < number * config->completers) {
        sched_yield();
    }
    CHECK(round->wakes <= 1);
    free(round);
}

void
stress_group(const struct stress_group *config)
{
    struct stage stage = {.config = config};
    struct completer completers[COMPLETERS_MAX];
    struct check_thread threads[COMPLETERS_MAX];
    int64_t before = shim_live;
    for (unsigned i = 0; i < config->completers; i++) {
        completers[i] = (struct completer){&stage, i};
        check_spawn(&threads[i], complete_all, &completers[i]);
    }
    for (uint64_t n = 1; n <= config->rounds; n++) {
        own_round(&stage, n);
    }
    for (unsigned i = 0; i < config->completers; i++) {
        check_join(&threads[i]);
    }
    CHECK(shim_live == before);
}
