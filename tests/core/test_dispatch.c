/* test_dispatch.c - src/core/dispatch.h. */
#include "core/dispatch.h"

#include <stdlib.h>

#include "check.h"
#include "core/queue.h"
#include "stress_dispatch.h"

static struct fc_dispatch *d;
static int items[200000];

static bool
counts_are(uint32_t tasks, uint32_t searching, uint32_t parked,
           uint32_t starting)
{
    struct fc_counts c = fc_dispatch_counts(d);
    return c.tasks == tasks && c.searching == searching &&
           c.parked == parked && c.starting == starting;
}

static struct fc_counts
submit(int *item)
{
    struct fc_counts counts;
    CHECK(fc_dispatch_submit(d, item, &counts) == 0);
    return counts;
}

/* --- one thread plays all parts */

static void
a_workers_life_is_counted(void)
{
    d = fc_dispatch_new();
    CHECK(counts_are(0, 0, 0, 0));
    struct fc_worker *w = fc_worker_new(d);
    CHECK(counts_are(0, 0, 0, 1));
    fc_worker_arrive(w);
    CHECK(counts_are(0, 1, 0, 0));
    CHECK(fc_worker_poll(w) == NULL);
    CHECK(counts_are(0, 1, 0, 0));
    submit(&items[0]);
    submit(&items[1]);
    CHECK(counts_are(2, 1, 0, 0));
    CHECK(fc_worker_poll(w) == &items[0]);
    CHECK(counts_are(1, 0, 0, 0));
    CHECK(fc_worker_next(w) == &items[1]);
    CHECK(counts_are(0, 0, 0, 0));
    CHECK(fc_worker_next(w) == NULL);
    CHECK(counts_are(0, 1, 0, 0));
    submit(&items[2]);
    CHECK(fc_worker_wait(w) == &items[2]);
    CHECK(counts_are(0, 0, 0, 0));
    fc_worker_leave(w);
    CHECK(counts_are(0, 0, 0, 0));
    fc_dispatch_free(d);
}

static void
a_searching_worker_can_run_again(void)
{
    d = fc_dispatch_new();
    struct fc_worker *w = fc_worker_new(d);
    fc_worker_arrive(w);
    CHECK(counts_are(0, 1, 0, 0));
    fc_worker_resume(w);
    CHECK(counts_are(0, 0, 0, 0));
    struct fc_counts c = submit(&items[0]);
    CHECK(fc_counts_want_worker(&c)); /* it is not idle */
    CHECK(fc_worker_next(w) == &items[0]);
    CHECK(fc_worker_next(w) == NULL);
    fc_worker_resume(w);
    fc_worker_leave(w);
    CHECK(counts_are(0, 0, 0, 0));
    fc_dispatch_free(d);
}

static void
who_does_not_arrive_is_taken_back(void)
{
    d = fc_dispatch_new();
    struct fc_worker *first = fc_worker_new(d);
    struct fc_worker *second = fc_worker_new(d);
    CHECK(counts_are(0, 0, 0, 2));
    fc_worker_abandon(first);
    CHECK(counts_are(0, 0, 0, 1));
    fc_worker_leave(second); /* its thread ran, and ended before arriving */
    CHECK(counts_are(0, 0, 0, 0));
    fc_dispatch_free(d);
}

static void
workers_are_wanted_when_tasks_outnumber_them(void)
{
    d = fc_dispatch_new();
    struct fc_counts c = submit(&items[0]);
    CHECK(c.tasks == 1 && fc_counts_want_worker(&c));
    struct fc_worker *w = fc_worker_new(d);
    c = fc_dispatch_counts(d);
    CHECK(!fc_counts_want_worker(&c));
    fc_worker_arrive(w);
    c = fc_dispatch_counts(d);
    CHECK(!fc_counts_want_worker(&c));
    c = submit(&items[1]);
    CHECK(fc_counts_want_worker(&c));
    CHECK(fc_worker_poll(w) == &items[0]);
    CHECK(fc_worker_next(w) == &items[1]);
    CHECK(fc_worker_next(w) == NULL);
    /* One idle worker serves task after task. */
    for (int i = 0; i < 10; i++) {
        c = submit(&items[i]);
        CHECK(!fc_counts_want_worker(&c));
        CHECK(fc_worker_poll(w) == &items[i]);
        CHECK(fc_worker_next(w) == NULL);
    }
    fc_dispatch_close(d);
    CHECK(fc_worker_wait(w) == NULL);
    fc_dispatch_free(d);
}

static void
a_closed_dispatch_still_serves(void)
{
    d = fc_dispatch_new();
    struct fc_worker *w = fc_worker_new(d);
    fc_worker_arrive(w);
    submit(&items[0]);
    fc_dispatch_close(d);
    fc_dispatch_close(d);
    CHECK(fc_dispatch_counts(d).closing);
    struct fc_counts c = submit(&items[1]);
    CHECK(c.closing && c.tasks == 2);
    CHECK(fc_worker_wait(w) == &items[0]);
    CHECK(fc_worker_next(w) == &items[1]);
    CHECK(fc_worker_next(w) == NULL);
    CHECK(fc_worker_wait(w) == NULL);
    CHECK(counts_are(0, 0, 0, 0));
    submit(&items[2]);
    CHECK(fc_dispatch_drain(d) == &items[2]);
    CHECK(fc_dispatch_drain(d) == NULL);
    fc_dispatch_free(d);
}

static void
draining_takes_in_order(void)
{
    d = fc_dispatch_new();
    for (int i = 0; i < 100; i++) {
        submit(&items[i]);
    }
    for (int i = 0; i < 100; i++) {
        CHECK(fc_dispatch_drain(d) == &items[i]);
    }
    CHECK(fc_dispatch_drain(d) == NULL);
    CHECK(counts_are(0, 0, 0, 0));
    fc_dispatch_free(d);
}

/* --- limits and failures */

static void
more_workers_than_the_field_holds(void)
{
    enum { ENOUGH = 70000 };
    struct fc_worker **workers = calloc(ENOUGH, sizeof(*workers));
    d = fc_dispatch_new();
    uint32_t count = 0;
    while (count < ENOUGH && (workers[count] = fc_worker_new(d)) != NULL) {
        fc_worker_arrive(workers[count]);
        count++;
    }
    CHECK(count > 65000 && count <= 65535);
    CHECK(counts_are(0, count, 0, 0));
    CHECK(fc_worker_new(d) == NULL);
    fc_dispatch_close(d);
    for (uint32_t i = 0; i < count; i++) {
        if (fc_worker_wait(workers[i]) != NULL) {
            CHECK(false);
        }
    }
    CHECK(counts_are(0, 0, 0, 0));
    fc_dispatch_free(d);
    free(workers);
}

#ifdef FC_TASKS_MAX
static void
more_tasks_than_the_field_holds(void)
{
    struct fc_counts counts;
    d = fc_dispatch_new();
    for (uint32_t i = 0; i < FC_TASKS_MAX; i++) {
        submit(&items[i]);
    }
    CHECK(fc_dispatch_submit(d, &items[0], &counts) == -1);
    CHECK(counts_are(FC_TASKS_MAX, 0, 0, 0));
    CHECK(fc_dispatch_drain(d) == &items[0]);
    submit(&items[0]);
    CHECK(fc_dispatch_submit(d, &items[0], &counts) == -1);
    fc_dispatch_free(d);
}
#endif

static void
without_memory(void)
{
    struct fc_counts counts;
    fc_queue_quiesce();
    int64_t before = shim_live;
    for (uint64_t nth = 1; nth <= 2; nth++) {
        /* First the dispatch, then its queue: none of them leaks. */
        shim_fail_every = nth;
        while (shim_fail_every > 0) {
            d = fc_dispatch_new();
            if (d == NULL) {
                shim_fail_every = 0;
            }
            else {
                fc_dispatch_free(d);
            }
        }
        CHECK(shim_live == before);
    }
    d = fc_dispatch_new();
    submit(&items[0]);
    shim_fail_every = 1;
    CHECK(fc_worker_new(d) == NULL);
    CHECK(counts_are(1, 0, 0, 0));
    uint32_t held = 1;
    while (fc_dispatch_submit(d, &items[held], &counts) == 0) {
        held++;
    }
    CHECK(counts_are(held, 0, 0, 0));
    shim_fail_every = 0;
    for (uint32_t i = 0; i < held; i++) {
        CHECK(fc_dispatch_drain(d) == &items[i]);
    }
    CHECK(fc_dispatch_drain(d) == NULL);
    fc_dispatch_free(d);
}

/* --- real workers */

#define CREW 6

static struct check_thread threads[CREW];
static struct fc_worker *crew[CREW];
static atomic_int served[CREW];
static atomic_int running, peak;
static atomic_bool open_gate;

/* Serve until closed; each task waits for the gate. */
static void
serve(void *arg)
{
    int id = (int)((struct fc_worker **)arg - crew);
    struct fc_worker *w = crew[id];
    fc_worker_arrive(w);
    while (fc_worker_wait(w) != NULL) {
        do {
            atomic_fetch_add(&served[id], 1);
            int now = atomic_fetch_add(&running, 1) + 1;
            int seen = peak;
            while (seen < now &&
                   !atomic_compare_exchange_weak(&peak, &seen, now)) {
            }
            while (!open_gate) {
                check_sleep_us(50);
            }
            atomic_fetch_sub(&running, 1);
        } while (fc_worker_next(w) != NULL);
    }
}

static void
start_crew(int count)
{
    d = fc_dispatch_new();
    running = peak = 0;
    for (int i = 0; i < count; i++) {
        served[i] = 0;
        crew[i] = fc_worker_new(d);
        check_spawn(&threads[i], serve, &crew[i]);
        CHECK_SOON(counts_are(0, 0, (uint32_t)i + 1, 0));
    }
}

static void
end_crew(int count)
{
    open_gate = true;
    fc_dispatch_close(d);
    for (int i = 0; i < count; i++) {
        check_join(&threads[i]);
    }
    CHECK(counts_are(0, 0, 0, 0));
    fc_dispatch_free(d);
}

static void
close_sends_parked_workers_home(void)
{
    start_crew(CREW);
    end_crew(CREW);
}

/* All workers must come, one waking the next, though only the first task
 * found all of them parked: each task waits for the gate. */
static void
the_wake_chain_reaches_everybody(void)
{
    open_gate = false;
    start_crew(CREW);
    for (int i = 0; i < CREW; i++) {
        submit(&items[i]);
    }
    CHECK_SOON(running == CREW);
    CHECK(counts_are(0, 0, 0, 0));
    end_crew(CREW);
    CHECK(peak == CREW);
}

static void
one_task_wakes_one_worker(void)
{
    open_gate = false;
    start_crew(CREW);
    submit(&items[0]);
    CHECK_SOON(running == 1);
    CHECK(counts_are(0, 0, CREW - 1, 0));
    int total = 0;
    for (int i = 0; i < CREW; i++) {
        total += served[i];
    }
    CHECK(total == 1);
    end_crew(CREW);
}

/* A searching worker that turns to something else sees to it that the task it
 * was woken for is served. */
static void
resuming_wakes_another(void)
{
    open_gate = true;
    start_crew(1);
    struct fc_worker *w = fc_worker_new(d);
    fc_worker_arrive(w);
    submit(&items[0]); /* wakes nobody: we are searching */
    CHECK(counts_are(1, 1, 1, 0));
    fc_worker_resume(w);
    CHECK_SOON(counts_are(0, 0, 1, 0));
    CHECK(served[0] == 1);
    fc_worker_leave(w);
    end_crew(1);
}

/* The same worker serves task after task: nearly always, since a worker that
 * counts as parked may not have reached the semaphore yet. */
static void
the_last_to_sleep_is_the_first_to_wake(void)
{
    open_gate = true;
    start_crew(3);
    for (int i = 0; i < 200; i++) {
        submit(&items[i]);
        CHECK_SOON(counts_are(0, 0, 3, 0));
        check_sleep_us(200);
    }
    CHECK(served[0] + served[1] + served[2] == 200);
    CHECK(served[2] > 100);
    end_crew(3);
}

/* --- stress */

#define STRESS(name, ...)                              \
    static void name(void)                             \
    {                                                  \
        struct stress_dispatch config = {__VA_ARGS__}; \
        config.tasks = check_size(config.tasks);       \
        stress_dispatch(&config);                      \
    }

STRESS(stress_bulk, .submitters = 2, .workers_max = 2, .tasks = 200000)
STRESS(stress_many, .submitters = 4, .workers_max = 8, .tasks = 40000,
       .bystander = true)
STRESS(stress_round_trips, .submitters = 2, .workers_max = 3, .tasks = 20000,
       .round_trips = true)
STRESS(stress_round_trips_delays, .submitters = 4, .workers_max = 4,
       .tasks = 5000, .round_trips = true, .delays = true)
STRESS(stress_leaving, .submitters = 3, .workers_max = 4, .tasks = 10000,
       .leave_odds = 20, .delays = true)
STRESS(stress_leaving_round_trips, .submitters = 3, .workers_max = 3,
       .tasks = 5000, .leave_odds = 5, .round_trips = true)
STRESS(stress_no_memory, .submitters = 3, .workers_max = 4, .tasks = 20000,
       .fail_every = 3, .leave_odds = 100, .delays = true)

static void
stress_closing(void)
{
    uint64_t rounds = check_size(300);
    struct check_random random = check_random_new(11);
    for (uint64_t i = 0; i < rounds; i++) {
        struct stress_dispatch config = {
            .submitters = 1 + (unsigned)check_random_below(&random, 3),
            .workers_max = 1 + (unsigned)check_random_below(&random, 4),
            .tasks = 1 + check_random_below(&random, 150),
            .bystander = check_random_below(&random, 4) == 0,
            .delays = check_random_below(&random, 2) == 0,
            .early_close = true,
        };
        stress_dispatch(&config);
    }
}

void
test_dispatch(void)
{
    RUN(a_workers_life_is_counted);
    RUN(a_searching_worker_can_run_again);
    RUN(who_does_not_arrive_is_taken_back);
    RUN(resuming_wakes_another);
    RUN(workers_are_wanted_when_tasks_outnumber_them);
    RUN(a_closed_dispatch_still_serves);
    RUN(draining_takes_in_order);
    RUN(more_workers_than_the_field_holds);
#ifdef FC_TASKS_MAX
    RUN(more_tasks_than_the_field_holds);
#endif
    RUN(without_memory);
    RUN(close_sends_parked_workers_home);
    RUN(the_wake_chain_reaches_everybody);
    RUN(one_task_wakes_one_worker);
    RUN(the_last_to_sleep_is_the_first_to_wake);
    RUN(stress_bulk);
    RUN(stress_many);
    RUN(stress_round_trips);
    RUN(stress_round_trips_delays);
    RUN(stress_leaving);
    RUN(stress_leaving_round_trips);
    RUN(stress_no_memory);
    RUN(stress_closing);
}
