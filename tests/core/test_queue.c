/* test_queue.c - src/core/queue.h and src/core/hazard.h. */
#include <stdlib.h>

#include "check.h"
#include "core/hazard.h"
#include "core/queue.h"
#include "stress_queue.h"

static void *
number(uintptr_t i)
{
    return (void *)(i + 1);
}

static void
fifo_in_one_thread(void)
{
    struct fc_queue q;
    CHECK(fc_queue_init(&q) == 0);
    CHECK(fc_queue_pop(&q) == NULL);
    uintptr_t pushed = 0, popped = 0, wrong = 0;
    /* Depths around the borders of segments of every size. */
    for (uintptr_t depth = 1; depth < 3000; depth += depth / 3 + 1) {
        for (uintptr_t i = 0; i < depth; i++) {
            wrong += fc_queue_push(&q, number(pushed++)) != 0;
        }
        for (uintptr_t i = 0; i < depth; i++) {
            wrong += fc_queue_pop(&q) != number(popped++);
        }
        wrong += fc_queue_pop(&q) != NULL;
    }
    CHECK(wrong == 0);
    fc_queue_destroy(&q);
}

static void
alternating_for_long(void)
{
    struct fc_queue q;
    CHECK(fc_queue_init(&q) == 0);
    uintptr_t wrong = 0;
    for (uintptr_t i = 0; i < 5000; i++) {
        wrong += fc_queue_push(&q, number(i)) != 0;
        wrong += fc_queue_pop(&q) != number(i);
        wrong += fc_queue_pop(&q) != NULL;
    }
    CHECK(wrong == 0);
    fc_queue_destroy(&q);
}

/* Segments do not pile up while items pass through, and none is left. */
static void
memory_is_given_back(void)
{
    struct fc_queue q;
    CHECK(fc_queue_init(&q) == 0);
    fc_queue_push(&q, number(0)); /* this thread has its record now */
    int64_t before = shim_live;
    int64_t most = 0;
    for (uintptr_t i = 1; i < 50000; i++) {
        fc_queue_push(&q, number(i));
        fc_queue_pop(&q);
        int64_t live = shim_live - before;
        most = live > most ? live : most;
    }
    CHECK(most <= 3);
    CHECK(fc_queue_pop(&q) != NULL);
    fc_queue_destroy(&q);
    CHECK(shim_live == before - 1);
}

static void
a_full_queue_is_destroyed(void)
{
    struct fc_queue q;
    CHECK(fc_hazard_mine() != NULL);
    int64_t before = shim_live;
    CHECK(fc_queue_init(&q) == 0);
    for (uintptr_t i = 0; i < 10000; i++) {
        fc_queue_push(&q, number(i));
    }
    for (uintptr_t i = 0; i < 3000; i++) {
        fc_queue_pop(&q);
    }
    fc_queue_destroy(&q);
    CHECK(shim_live == before);
}

/* --- sticky hazards: one thread holds on to a segment, another goes on */

static struct fc_queue shared;
static atomic_int step;

static void
push_and_stay(void *unused)
{
    (void)unused;
    fc_queue_push(&shared, number(0));
    step = 1;
    CHECK_SOON(step == 2);
    fc_queue_quiesce();
    step = 3;
    CHECK_SOON(step == 4);
}

static void
run_items_through(uintptr_t count)
{
    for (uintptr_t i = 0; i < count; i++) {
        fc_queue_push(&shared, number(i));
        fc_queue_pop(&shared);
    }
}

static void
a_published_segment_is_kept(void)
{
    struct check_thread thread;
    step = 0;
    CHECK(fc_queue_init(&shared) == 0);
    void *first_segment = atomic_load(&shared.head);
    check_spawn(&thread, push_and_stay, NULL);
    CHECK_SOON(step == 1);
    CHECK(fc_hazard_holds(first_segment));
    run_items_through(5000);
    CHECK(fc_hazard_holds(first_segment));
    CHECK(atomic_load(&shared.retired) == first_segment);
    step = 2;
    CHECK_SOON(step == 3);
    CHECK(!fc_hazard_holds(first_segment));
    run_items_through(5000);
    CHECK(atomic_load(&shared.retired) == NULL);
    step = 4;
    check_join(&thread);
    fc_queue_pop(&shared);
    fc_queue_destroy(&shared);
}

static void
push_one(void *unused)
{
    (void)unused;
    CHECK(fc_queue_push(&shared, number(1)) == 0);
}

/* The records of threads that have ended serve new ones, and hold nothing. */
static void
records_are_reused(void)
{
    struct check_thread thread;
    CHECK(fc_queue_init(&shared) == 0);
    void *segment = atomic_load(&shared.tail);
    check_spawn(&thread, push_one, NULL);
    check_join(&thread);
    CHECK(!fc_hazard_holds(segment));
    CHECK(fc_queue_pop(&shared) != NULL);
    /* All other threads are gone: from now on nothing new is needed. */
    int64_t before = shim_live;
    for (int i = 0; i < 50; i++) {
        check_spawn(&thread, push_one, NULL);
        check_join(&thread);
        CHECK(fc_queue_pop(&shared) != NULL);
    }
    CHECK(shim_live <= before + 2); /* segments, at most */
    fc_queue_destroy(&shared);
}

/* --- without memory */

static void
failing_push_changes_nothing(void)
{
    struct fc_queue q;
    shim_fail_every = 1;
    CHECK(fc_queue_init(&q) == -1);
    shim_fail_every = 0;
    CHECK(fc_queue_init(&q) == 0);
    fc_queue_push(&q, number(0)); /* this thread has its record now */
    shim_fail_every = 1;
    uintptr_t held = 1;
    while (fc_queue_push(&q, number(held)) == 0) {
        held++;
    }
    for (int i = 0; i < 10; i++) {
        CHECK(fc_queue_push(&q, number(1)) == -1);
    }
    shim_fail_every = 0;
    for (uintptr_t i = 0; i < 100; i++) {
        CHECK(fc_queue_push(&q, number(held + i)) == 0);
    }
    uintptr_t wrong = 0;
    for (uintptr_t i = 0; i < held + 100; i++) {
        wrong += fc_queue_pop(&q) != number(i);
    }
    CHECK(wrong == 0);
    CHECK(fc_queue_pop(&q) == NULL);
    fc_queue_destroy(&q);
}

static atomic_int holders;

static void
hold_a_record(void *unused)
{
    (void)unused;
    CHECK(fc_hazard_mine() != NULL);
    atomic_fetch_add(&holders, 1);
    CHECK_SOON(step == 1);
}

static void
pop_without_record(void *unused)
{
    (void)unused;
    CHECK(fc_queue_push(&shared, number(9)) == -1);
    CHECK(fc_queue_pop(&shared) == number(0));
    CHECK(fc_queue_pop(&shared) == number(1));
    CHECK(fc_hazard_own == NULL);
}

/* Enough threads to use up all records there are, then one without. */
static void
a_thread_without_record_can_pop(void)
{
    enum { HOLDERS = 24, POPPERS = 6 };
    struct check_thread threads[HOLDERS], poppers[POPPERS];
    CHECK(fc_queue_init(&shared) == 0);
    step = holders = 0;
    for (int i = 0; i < HOLDERS; i++) {
        check_spawn(&threads[i], hold_a_record, NULL);
    }
    CHECK_SOON(holders == HOLDERS);
    fc_queue_push(&shared, number(0));
    fc_queue_push(&shared, number(1));
    shim_fail_every = 1;
    check_spawn(&poppers[0], pop_without_record, NULL);
    check_join(&poppers[0]);
    shim_fail_every = 0;
    step = 1;
    for (int i = 0; i < HOLDERS; i++) {
        check_join(&threads[i]);
    }
    fc_queue_destroy(&shared);
}

/* --- stress */

static void
stress(unsigned producers, unsigned consumers, uint64_t items,
       uint64_t fail_every, unsigned lives, bool delays)
{
    struct stress_queue config = {
        .producers = producers,
        .consumers = consumers,
        .items = check_size(items),
        .fail_every = fail_every,
        .lives = lives,
        .delays = delays,
        .quiesce = delays,
    };
    stress_queue(&config);
}

static void stress_1_1(void) { stress(1, 1, 500000, 0, 1, false); }
static void stress_1_4(void) { stress(1, 4, 300000, 0, 1, false); }
static void stress_4_1(void) { stress(4, 1, 75000, 0, 1, false); }
static void stress_4_4(void) { stress(4, 4, 75000, 0, 1, false); }
static void stress_8_8_delays(void) { stress(8, 8, 10000, 0, 1, true); }
static void stress_2_2_delays(void) { stress(2, 2, 40000, 0, 1, true); }
static void stress_short_lives(void) { stress(3, 3, 20000, 0, 100, false); }
static void stress_failing(void) { stress(3, 3, 60000, 3, 20, true); }

void
test_queue(void)
{
    RUN(fifo_in_one_thread);
    RUN(alternating_for_long);
    RUN(memory_is_given_back);
    RUN(a_full_queue_is_destroyed);
    RUN(a_published_segment_is_kept);
    RUN(records_are_reused);
    RUN(failing_push_changes_nothing);
    RUN(a_thread_without_record_can_pop);
    RUN(stress_1_1);
    RUN(stress_1_4);
    RUN(stress_4_1);
    RUN(stress_4_4);
    RUN(stress_8_8_delays);
    RUN(stress_2_2_delays);
    RUN(stress_short_lives);
    RUN(stress_failing);
}
