/* test_group.c - src/core/group.h. */
#include <pthread.h>
#include <signal.h>

#include "check.h"
#include "core/group.h"
#include "port/port.h"
#include "stress_group.h"

static void
fires_at_the_target(void)
{
    struct fc_group *g = fc_group_new(3);
    CHECK(!fc_group_fired(g));
    CHECK(!fc_group_complete(g)); /* nobody sleeps: no wake is owed */
    CHECK(!fc_group_complete(g));
    CHECK(fc_group_wait(g, 0, -1) == FC_GROUP_TIMED_OUT);
    CHECK(!fc_group_complete(g));
    CHECK(fc_group_fired(g));
    CHECK(fc_group_wait(g, 0, -1) == FC_GROUP_FIRED);
    CHECK(fc_group_wait(g, FC_FOREVER, 0) == FC_GROUP_FIRED);
    CHECK(!fc_group_complete(g)); /* more than asked for does no harm */
    CHECK(fc_group_fired(g));
    fc_group_unref(g);
}

static void
fires_when_told(void)
{
    struct fc_group *g = fc_group_new(1000);
    CHECK(!fc_group_fire(g));
    CHECK(fc_group_wait(g, FC_FOREVER, -1) == FC_GROUP_FIRED);
    CHECK(!fc_group_fire(g));
    fc_group_unref(g);
}

static void
rearms(void)
{
    struct fc_group *g = fc_group_new(1);
    for (uint64_t target = 1; target < 5; target++) {
        fc_group_rearm(g, target);
        for (uint64_t i = 0; i < target; i++) {
            CHECK(!fc_group_fired(g));
            fc_group_complete(g);
        }
        CHECK(fc_group_fired(g));
        fc_group_complete(g); /* leftovers do not count for the next */
    }
    fc_group_unref(g);
}

static void
waits_until_the_deadline(void)
{
    struct fc_group *g = fc_group_new(1);
    for (int peer = -1; peer < 8; peer += 4) {
        int64_t start = fc_now_ns();
        enum fc_group_result result;
        do {
            result = fc_group_wait(g, start + 30000000, peer);
        } while (result == FC_GROUP_INTERRUPTED);
        CHECK(result == FC_GROUP_TIMED_OUT);
        int64_t taken = fc_now_ns() - start;
        CHECK(taken >= 30000000 && taken < 5000000000);
    }
    fc_group_complete(g);
    CHECK(fc_group_wait(g, 0, -1) == FC_GROUP_FIRED);
    fc_group_unref(g);
}

static void
references_keep_it(void)
{
    int64_t before = shim_live;
    struct fc_group *g = fc_group_new(1);
    CHECK(fc_group_ref(g) == g);
    fc_group_unref(g);
    CHECK(shim_live == before + 1);
    fc_group_wake(g); /* nobody there */
    fc_group_unref(g);
    CHECK(shim_live == before);
    shim_fail_every = 1;
    CHECK(fc_group_new(1) == NULL);
    shim_fail_every = 0;
}

/* --- a sleeping owner */

static struct fc_group *shared;
static atomic_int outcome, signals;

static void
own(void *unused)
{
    (void)unused;
    enum fc_group_result result;
    do {
        result = fc_group_wait(shared, FC_FOREVER, -1);
    } while (result == FC_GROUP_INTERRUPTED && signals == 0);
    outcome = 10 + (int)result;
}

static void
one_wake_is_owed_to_a_sleeper(void)
{
    struct check_thread thread;
    shared = fc_group_new(2);
    outcome = signals = 0;
    check_spawn(&thread, own, NULL);
    CHECK(!fc_group_complete(shared));
    check_sleep_us(100000); /* sleeps now, and still after this */
    CHECK(outcome == 0);
#if defined(__linux__) && !defined(FC_PORT_POSIX)
    CHECK(fc_group_complete(shared));
    CHECK(!fc_group_fire(shared));
#else
    /* This owner looks around every 50 ms: it may be awake just now. */
    fc_group_complete(shared);
#endif
    fc_group_wake(shared);
    check_join(&thread);
    CHECK(outcome == 10 + FC_GROUP_FIRED);
    fc_group_unref(shared);
}

static void
on_signal(int number)
{
    (void)number;
    atomic_fetch_add(&signals, 1);
}

static void
a_signal_interrupts_the_owner(void)
{
    struct sigaction action = {.sa_handler = on_signal}, before;
    struct check_thread thread;
    sigaction(SIGUSR1, &action, &before);
    shared = fc_group_new(1);
    outcome = signals = 0;
    check_spawn(&thread, own, NULL);
    for (int i = 0; i < 100 && outcome == 0; i++) {
        check_sleep_us(20000);
        pthread_kill(thread.thread, SIGUSR1);
        check_sleep_us(80000);
    }
    CHECK(outcome == 10 + FC_GROUP_INTERRUPTED);
    CHECK(!fc_group_complete(shared)); /* nobody sleeps any more */
    check_join(&thread);
    fc_group_unref(shared);
    sigaction(SIGUSR1, &before, NULL);
}

/* --- rearming while completers go on: as_completed()'s pattern */

#define ITEMS 20000

static atomic_bool finished[ITEMS];

static void
finish_items(void *unused)
{
    (void)unused;
    struct check_random random = check_random_new(8000);
    uint64_t items = check_size(ITEMS);
    for (uint64_t i = 0; i < items; i++) {
        check_random_delay(&random);
        finished[i] = true;
        if (fc_group_complete(shared)) {
            fc_group_wake(shared);
        }
    }
}

static void
rearming_beside_completers_loses_nothing(void)
{
    struct check_thread thread;
    uint64_t items = check_size(ITEMS), seen = 0;
    for (uint64_t i = 0; i < items; i++) {
        finished[i] = false;
    }
    shared = fc_group_new(1);
    check_spawn(&thread, finish_items, NULL);
    while (seen < items) {
        fc_group_rearm(shared, 1);
        if (finished[seen]) { /* look again after rearming */
            seen++;
            continue;
        }
        while (fc_group_wait(shared, FC_FOREVER, -1) ==
               FC_GROUP_INTERRUPTED) {
        }
    }
    check_join(&thread);
    CHECK(seen == items);
    fc_group_unref(shared);
}

/* --- stress */

#define STRESS(name, ...)                           \
    static void name(void)                          \
    {                                               \
        struct stress_group config = {__VA_ARGS__}; \
        config.rounds = check_size(config.rounds);  \
        stress_group(&config);                      \
    }

STRESS(stress_one, .completers = 1, .rounds = 10000, .target = 1)
STRESS(stress_several, .completers = 3, .rounds = 2000, .target = 40)
STRESS(stress_delays, .completers = 3, .rounds = 300, .target = 30,
       .delays = true)
STRESS(stress_short_waits, .completers = 2, .rounds = 1000, .target = 30,
       .short_waits = true, .delays = true)
STRESS(stress_early_fire, .completers = 3, .rounds = 1000, .target = 10,
       .early_fire = true, .delays = true)
STRESS(stress_owner_leaves, .completers = 3, .rounds = 1000, .target = 10,
       .owner_leaves = true)

void
test_group(void)
{
    RUN(fires_at_the_target);
    RUN(fires_when_told);
    RUN(rearms);
    RUN(waits_until_the_deadline);
    RUN(references_keep_it);
    RUN(one_wake_is_owed_to_a_sleeper);
    RUN(a_signal_interrupts_the_owner);
    RUN(rearming_beside_completers_loses_nothing);
    RUN(stress_one);
    RUN(stress_several);
    RUN(stress_delays);
    RUN(stress_short_waits);
    RUN(stress_early_fire);
    RUN(stress_owner_leaves);
}
