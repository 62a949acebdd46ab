/* cases_dispatch.c - src/core/dispatch.h: submitters, workers that park, those
 * who close, drain and look.
 */
#include "cases.h"

#include <stddef.h>

#include "core/dispatch.h"
#include "core/group.h"
#include "port/port.h"

#define ITEMS 4 /* of each submitter */

static struct fc_dispatch *d;
static struct fc_worker *workers[SCHEDULE_THREADS];
static char items[SCHEDULE_THREADS][ITEMS];
static uint8_t taken[SCHEDULE_THREADS][ITEMS];
static uint8_t by_worker[SCHEDULE_THREADS][ITEMS];
static int submitted[SCHEDULE_THREADS];
static unsigned worker_count;
static struct fc_group *all_done;
static _Atomic(uint32_t) at_barrier;

/* --- the parts ------------------------------------------------------------- */

static void
begin(void)
{
    for (int i = 0; i < SCHEDULE_THREADS; i++) {
        submitted[i] = 0;
        workers[i] = NULL;
        for (int k = 0; k < ITEMS; k++) {
            taken[i][k] = by_worker[i][k] = 0;
        }
    }
    worker_count = 0;
    all_done = NULL;
    atomic_init(&at_barrier, 0);
    d = fc_dispatch_new();
    DEMAND(d != NULL);
}

/* Threads 1 to `count` are workers. */
static void
begin_with(unsigned count)
{
    begin();
    worker_count = count;
    for (unsigned i = 1; i <= count; i++) {
        workers[i] = fc_worker_new(d);
    }
}

static void
begin_with_1(void)
{
    begin_with(1);
}

static void
begin_with_2(void)
{
    begin_with(2);
}

static void
begin_with_3(void)
{
    begin_with(3);
}

static void
note_taken(char *item, bool worker)
{
    size_t at = (size_t)(item - &items[0][0]);
    DEMAND(++taken[at / ITEMS][at % ITEMS] == 1);
    by_worker[at / ITEMS][at % ITEMS] = worker;
}

/* (I), and the bounds of all counters. */
static void
look_at(struct fc_counts c)
{
    DEMAND(c.tasks == 0 || c.parked == 0 || c.searching > 0);
    DEMAND(c.tasks <= SCHEDULE_THREADS * ITEMS);
    DEMAND(c.searching + c.parked <= worker_count);
    /* An arriving worker is never counted twice. */
    DEMAND(c.searching + c.parked + c.starting <= worker_count);
}

static void
submit(int count)
{
    int me = schedule_me();
    for (int i = 0; i < count; i++) {
        struct fc_counts after;
        int number = submitted[me]++;
        DEMAND(fc_dispatch_submit(d, &items[me][number], &after) == 0);
        DEMAND(after.tasks > 0);
        look_at(after);
    }
}

static void
drain_all(void)
{
    char *item;
    while ((item = fc_dispatch_drain(d)) != NULL) {
        note_taken(item, false);
    }
}

static void
end(void)
{
    look_at(fc_dispatch_counts(d));
    drain_all();
    struct fc_counts c = fc_dispatch_counts(d);
    DEMAND(c.tasks == 0);
    for (int i = 0; i < SCHEDULE_THREADS; i++) {
        for (int k = 0; k < submitted[i]; k++) {
            DEMAND(taken[i][k] == 1);
        }
    }
    /* All workers have left. */
    DEMAND(c.searching == 0 && c.parked == 0 && c.starting == 0);
    fc_dispatch_free(d);
}

/* Workers have served all of it. */
static void
end_all_served(void)
{
    for (int i = 0; i < SCHEDULE_THREADS; i++) {
        for (int k = 0; k < submitted[i]; k++) {
            DEMAND(by_worker[i][k]);
        }
    }
    end();
}

/* A worker's life: wait, run, next, until it is told to leave. */
static void
work(void)
{
    struct fc_worker *w = workers[schedule_me()];
    fc_worker_arrive(w);
    char *item;
    while ((item = fc_worker_wait(w)) != NULL) {
        do {
            note_taken(item, true);
        } while ((item = fc_worker_next(w)) != NULL);
    }
}

/* One that is announced while others are at work. */
static void
start_and_work(void)
{
    workers[schedule_me()] = fc_worker_new(d);
    work();
}

static void
begin_with_1_of_2(void)
{
    begin_with(1);
    worker_count = 2;
}

/* --- submit, park, close ------------------------------------------------------ */

static void
submit_close(void)
{
    submit(1);
    fc_dispatch_close(d);
}

static void
submit_2_close(void)
{
    submit(2);
    fc_dispatch_close(d);
}

static void
submit_1(void)
{
    submit(1);
}

static void
submit_2(void)
{
    submit(2);
}

static void
close_it(void)
{
    fc_dispatch_close(d);
}

static void
watch(void)
{
    look_at(fc_dispatch_counts(d));
    look_at(fc_dispatch_counts(d));
}

/* What thread 2 had submitted when it closed was served, whoever else was
 * between pushing and counting. */
static void
end_closer_served(void)
{
    DEMAND(by_worker[2][0]);
    end();
}

/* Thread 1 submits and drains: what it has submitted is out then. */
static bool own_one_was_out;

static void
submit_drain(void)
{
    submit(1);
    drain_all();
    own_one_was_out = taken[schedule_me()][0] > 0;
}

static void
end_own_one_was_out(void)
{
    DEMAND(own_one_was_out);
    end();
}

static void
drain_close(void)
{
    drain_all();
    fc_dispatch_close(d);
}

/* A worker whose thread ends before it has come, or in the middle. */
static void
never_come(void)
{
    fc_worker_leave(workers[schedule_me()]);
}

static void
leave_while_running(void)
{
    struct fc_worker *w = workers[schedule_me()];
    fc_worker_arrive(w);
    char *item = fc_worker_wait(w);
    if (item != NULL) {
        note_taken(item, true);
        fc_worker_leave(w);
    }
}

/* --- round trips: whoever submits waits for the end, and closes then ----------- */

static void
begin_trip(unsigned count, uint64_t tasks)
{
    begin_with(count);
    all_done = fc_group_new(tasks);
    DEMAND(all_done != NULL);
}

static void
begin_trip_1(void)
{
    begin_trip(1, 1);
}

static void
begin_trip_2(void)
{
    begin_trip(2, 2);
}

static void
begin_trip_resume(void)
{
    begin_trip(2, 1);
}

static void
finish(char *item)
{
    note_taken(item, true);
    fc_group_ref(all_done);
    if (fc_group_complete(all_done)) {
        fc_group_wake(all_done);
    }
    fc_group_unref(all_done);
}

static void
work_trips(void)
{
    struct fc_worker *w = workers[schedule_me()];
    fc_worker_arrive(w);
    char *item;
    while ((item = fc_worker_wait(w)) != NULL) {
        do {
            finish(item);
        } while ((item = fc_worker_next(w)) != NULL);
    }
}

/* Each task waits for the other: both workers have to come. */
static void
work_barrier(void)
{
    struct fc_worker *w = workers[schedule_me()];
    fc_worker_arrive(w);
    char *item;
    while ((item = fc_worker_wait(w)) != NULL) {
        do {
            atomic_fetch_add(&at_barrier, 1);
            while (atomic_load(&at_barrier) < 2) {
                fc_yield();
            }
            finish(item);
        } while ((item = fc_worker_next(w)) != NULL);
    }
}

static void
await_all(void)
{
    while (fc_group_wait(all_done, FC_FOREVER, -1) != FC_GROUP_FIRED) {
    }
    fc_dispatch_close(d);
}

static void
trip_1(void)
{
    submit(1);
    await_all();
}

static void
trip_2(void)
{
    submit(2);
    await_all();
}

static void
end_trip(void)
{
    fc_group_unref(all_done);
    end_all_served();
}

/* A worker that looks for a task and turns to something else. */
static void
turn_away(void)
{
    struct fc_worker *w = workers[schedule_me()];
    fc_worker_arrive(w);
    char *item = fc_worker_poll(w);
    if (item != NULL) {
        finish(item);
    }
    else {
        fc_worker_resume(w);
    }
    fc_worker_leave(w);
}

/* A worker that is there from the beginning, and asleep: one submit wakes. */
static void
submit_twice_waiting(void)
{
    submit(1);
    while (fc_group_wait(all_done, FC_FOREVER, -1) != FC_GROUP_FIRED) {
    }
    fc_group_rearm(all_done, 1);
    submit(1);
    await_all();
}

static void
begin_large(void)
{
    begin_trip(3, 9);
}

static void
submit_3(void)
{
    submit(3);
}

static void
submit_3_await(void)
{
    submit(3);
    await_all();
}

const struct schedule_case dispatch_cases[] = {
    {"dispatch/one-each", begin_with_1, {work, submit_close}, end_all_served,
     0, 4},
    {"dispatch/two-tasks", begin_with_1, {work, submit_2_close},
     end_all_served, 0, 3},
    {"dispatch/two-workers", begin_with_2, {work, work, submit_2_close},
     end_all_served, 0, 2},
    {"dispatch/two-submitters", begin_with_1, {work, submit_1, submit_2,
     close_it}, end, 0, 1},
    {"dispatch/close-at-any-time", begin_with_2, {work, work, submit_1,
     close_it}, end, 0, 1},
    {"dispatch/closed-twice", begin_with_2, {work, work, close_it, close_it},
     end, 0, 1},
    {"dispatch/leaves-nothing", begin_with_1, {work, submit_close, submit_1},
     end_closer_served, 0, 2},
    {"dispatch/drain", begin, {submit_drain, submit_1},
     end_own_one_was_out, 0, 4},
    {"dispatch/drain-beside-worker", begin_with_1, {work, submit_2,
     drain_close}, end, 0, 2},
    {"dispatch/never-come", begin_with_2, {work, never_come, submit_close},
     end_all_served, 0, 2},
    {"dispatch/one-comes", begin_with_1_of_2, {work, start_and_work,
     submit_2_close}, end_all_served, 0, 1},
    {"dispatch/leaves-running", begin_with_2, {work, leave_while_running,
     submit_2_close}, end_all_served, 0, 1},
    {"dispatch/watched", begin_with_2, {work, work, submit_close, watch},
     end_all_served, 0, 1},
    {"dispatch/for-nothing", begin_with_1, {work, submit_close},
     end_all_served, CASE_SPURIOUS, 3},
    {"dispatch/spinning", begin_with_2, {work, work, submit_2_close},
     end_all_served, CASE_SPINS, 1},
    {"dispatch/round-trip", begin_trip_1, {work_trips, trip_1}, end_trip, 0,
     3},
    {"dispatch/two-round-trips", begin_trip_1, {work_trips,
     submit_twice_waiting}, end_trip, 0, 2},
    {"dispatch/two-workers-trip", begin_trip_2, {work_trips, work_trips,
     trip_2}, end_trip, 0, 1},
    {"dispatch/barrier", begin_trip_2, {work_barrier, work_barrier, trip_2},
     end_trip, 0, 1},
    {"dispatch/turns-away", begin_trip_resume, {work_trips, turn_away,
     trip_1}, end_trip, 0, 2},
    {"dispatch/large", begin_large, {work_trips, work_trips, work_trips,
     submit_3, submit_3, submit_3_await, watch}, end_trip,
     CASE_LARGE | CASE_SPURIOUS, 0},
    {"dispatch/large-closing", begin_with_3, {work, work, work,
     submit_3, submit_3, drain_close, close_it}, end,
     CASE_LARGE | CASE_SPINS, 0},
    {0},
};
