/* stress_hub.c - many threads of the parent over one hub, and real workers: no
 * result is lost, and nobody sleeps beside one.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "hub_kit.h"
#include "ipc/idle.h"
#include "ipc/responder.h"

#define THREADS 4
#define CALLS 8 /* of a thread at a time */

static struct kit kit;

/* What a thread of the parent does. */
struct user {
    unsigned id;
    uint64_t rounds;
    bool impatient; /* gives up waiting now and then */
    bool forgetful; /* does not wait for some */
    bool pauses;
};

static bool
all_answered(const struct call *calls, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (calls[i].answer == 0) {
            return false;
        }
    }
    return true;
}

/* Send some calls with one group, and wait for all of them. */
static void
use_it(void *arg)
{
    struct user *self = arg;
    struct check_random r = check_random_new(self->id + 900);
    struct call calls[CALLS];
    for (uint64_t round = 0; round < self->rounds; round++) {
        unsigned count = 1 + (unsigned)check_random_below(&r, CALLS);
        bool waits = !self->forgetful || check_random_below(&r, 2);
        struct fc_group *group = waits ? fc_group_new(count) : NULL;
        for (unsigned i = 0; i < count; i++) {
            calls[i] = (struct call){group, round * CALLS + i, 0};
            kit_send(&kit, &calls[i],
                     self->pauses && check_random_below(&r, 4) == 0
                         ? KIT_PAUSE
                         : KIT_ECHO);
        }
        if (waits) {
            int64_t hurry = (int64_t)check_random_below(&r, 100000);
            while (!kit_wait(&kit, group,
                             self->impatient ? fc_now_ns() + hurry
                                             : FC_FOREVER)) {
                check_random_delay(&r);
            }
            CHECK(all_answered(calls, count));
            fc_group_unref(group);
        }
        while (!all_answered(calls, count)) {
            check_sleep_us(20); /* the poller sees to it, or a leader */
        }
    }
}

static void
stress(unsigned workers, const struct user *model, bool polls)
{
    struct check_thread threads[THREADS];
    struct user users[THREADS];
    int64_t before = shim_live;
    kit_open(&kit, workers);
    if (polls) {
        kit_start_poller(&kit);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        users[i] = *model;
        users[i].id = i;
        check_spawn(&threads[i], use_it, &users[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        check_join(&threads[i]);
    }
    if (polls) {
        kit_stop_poller(&kit);
    }
    CHECK(kit.unfinished == 0);
    kit_close(&kit);
    CHECK(shim_live == before);
}

static void
stress_leaders(void)
{
    struct user model = {.rounds = check_size(3000)};
    stress(KIT_WORKERS, &model, true);
}

static void
stress_leaders_of_slow_workers(void)
{
    struct user model = {.rounds = check_size(500), .pauses = true};
    stress(KIT_WORKERS, &model, true);
}

static void
stress_leaders_who_give_up(void)
{
    struct user model = {
        .rounds = check_size(1000), .impatient = true, .pauses = true};
    stress(2, &model, true);
}

static void
stress_calls_that_nobody_waits_for(void)
{
    struct user model = {
        .rounds = check_size(1000), .forgetful = true, .pauses = true};
    stress(2, &model, true);
}

/* --- one call at a time: nothing that comes later heals a lost wake-up */

static void
stress_a_lone_leader(void)
{
    kit_open(&kit, 1);
    struct fc_group *group = fc_group_new(1);
    for (uint64_t i = check_size(20000); i > 0; i--) {
        struct call call = {group, i, 0};
        kit_send(&kit, &call, KIT_ECHO);
        CHECK(kit_wait(&kit, group, FC_FOREVER));
        CHECK(call.answer == i + 1);
        fc_group_rearm(group, 1);
    }
    fc_group_unref(group);
    kit_close(&kit);
}

/* A leader comes and goes, then a call that only the poller hears of. */
static void
stress_a_lone_poller(void)
{
    struct check_random r = check_random_new(950);
    kit_open(&kit, 1);
    kit_start_poller(&kit);
    for (uint64_t i = check_size(5000); i > 0; i--) {
        struct fc_group *group = fc_group_new(1);
        struct call waited = {group, i, 0}, forgotten = {NULL, i, 0};
        bool both = check_random_below(&r, 2) == 0;
        if (both) {
            kit_send(&kit, &forgotten, KIT_ECHO);
        }
        kit_send(&kit, &waited, KIT_ECHO);
        CHECK(kit_wait(&kit, group, FC_FOREVER));
        fc_group_unref(group);
        if (!both) {
            kit_send(&kit, &forgotten, KIT_ECHO);
        }
        CHECK_SOON(forgotten.answer == i + 1);
        check_random_delay(&r);
    }
    CHECK(kit.polled > 0);
    kit_stop_poller(&kit);
    kit_close(&kit);
}

/* A leader who waits for something that somebody else completes. */
static void
complete_later(void *arg)
{
    struct fc_group *group = arg;
    if (fc_group_complete(group)) {
        fc_group_wake(group);
    }
    fc_group_unref(group);
}

static void
stress_completers_beside_workers(void)
{
    kit_open(&kit, 1);
    for (uint64_t i = check_size(1000); i > 0; i--) {
        struct check_thread thread;
        struct fc_group *group = fc_group_new(2);
        struct call call = {group, i, 0};
        check_spawn(&thread, complete_later, fc_group_ref(group));
        kit_send(&kit, &call, i % 2 ? KIT_ECHO : KIT_PAUSE);
        CHECK(kit_wait(&kit, group, FC_FOREVER));
        fc_group_unref(group);
        check_join(&thread);
    }
    kit_close(&kit);
}

/* --- workers that leave and are followed by others, while calls go on */

static void
stress_seats_that_change_hands(void)
{
    struct check_thread threads[THREADS];
    struct user users[THREADS];
    kit_open(&kit, 2);
    kit_start_poller(&kit);
    for (unsigned i = 0; i < THREADS; i++) {
        users[i] = (struct user){.id = i, .rounds = check_size(600)};
        check_spawn(&threads[i], use_it, &users[i]);
    }
    for (uint64_t i = check_size(100); i > 0; i--) {
        uint32_t fresh = kit_start_worker(&kit); /* beside the other two */
        struct fc_group *group = fc_group_new(1);
        struct call call = {group, i, 0};
        kit_send(&kit, &call, KIT_LEAVE);
        CHECK(kit_wait(&kit, group, FC_FOREVER));
        fc_group_unref(group);
        /* Which of them took it is seen by its state. */
        uint32_t left = KIT_WORKERS;
        for (uint32_t seat = 0; seat < KIT_WORKERS; seat++) {
            if (kit.hub->requester.segment.seats[seat].state
                == FC_SEAT_LEAVING) {
                left = seat;
            }
        }
        CHECK(left < KIT_WORKERS && fresh < KIT_WORKERS);
        kit_bury(&kit, left);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        check_join(&threads[i]);
    }
    kit_stop_poller(&kit);
    kit_close(&kit);
}

void
test_stress_hub(void)
{
    RUN(stress_leaders);
    RUN(stress_leaders_of_slow_workers);
    RUN(stress_leaders_who_give_up);
    RUN(stress_calls_that_nobody_waits_for);
    RUN(stress_a_lone_leader);
    RUN(stress_a_lone_poller);
    RUN(stress_completers_beside_workers);
    RUN(stress_seats_that_change_hands);
}
