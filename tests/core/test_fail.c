/* test_fail.c - every call of the system in turn fails: a pool of threads and
 * who waits for it come through, or say so and go on.
 */
#include <errno.h>
#include <stddef.h>

#include "check.h"
#include "core/dispatch.h"
#include "core/group.h"
#include "core/hazard.h"
#include "core/lock.h"
#include "core/queue.h"
#include "fail.h"
#include "port/port.h"

#define CREW 2
#define TASKS 40 /* several segments of the queue in the second program */

static struct fc_dispatch *d;
static struct fc_worker *crew[CREW];
static struct check_thread threads[CREW];
static struct fc_group *group;
static atomic_int served;

static void
serve(void *arg)
{
    struct fc_worker *w = *(struct fc_worker **)arg;
    fc_worker_arrive(w);
    while (fc_worker_wait(w) != NULL) {
        do {
            atomic_fetch_add(&served, 1);
            if (fc_group_complete(group)) {
                fc_group_wake(group);
            }
        } while (fc_worker_next(w) != NULL);
    }
}

/* As the pool does: without a thread the worker is abandoned. */
static int
start(int i)
{
    crew[i] = fc_worker_new(d);
    if (crew[i] == NULL) {
        return ENOMEM;
    }
    int error = check_try_spawn(&threads[i], serve, &crew[i]);
    if (error != 0) {
        fc_worker_abandon(crew[i]);
    }
    return error;
}

static int
submit(void)
{
    struct fc_counts counts;
    return fc_dispatch_submit(d, &served, &counts) == 0 ? 0 : ENOMEM;
}

static int
make_group(uint64_t target)
{
    group = fc_group_new(target);
    return group != NULL ? 0 : ENOMEM;
}

static int
make_dispatch(void)
{
    d = fc_dispatch_new();
    return d != NULL ? 0 : ENOMEM;
}

/* Until it fires, with a deadline far away or none.  No deadline has passed,
 * unless the system says so. */
static void
wait_for_group(bool has_deadline)
{
    int64_t deadline =
        has_deadline ? fc_now_ns() + INT64_C(60000000000) : FC_FOREVER;
    enum fc_group_result result;
    do {
        result = fc_group_wait(group, deadline, -1);
        CHECK(result != FC_GROUP_TIMED_OUT || fail_was(ETIMEDOUT));
    } while (result != FC_GROUP_FIRED);
}

static void
a_pool(void)
{
    served = 0;
    FAIL_STEP(make_dispatch());
    FAIL_STEP(make_group(TASKS));
    FAIL_STEP(start(0));
    for (int i = 0; i < TASKS / 2; i++) {
        FAIL_STEP(submit());
    }
    FAIL_STEP(start(1));
    for (int i = 0; i < TASKS / 2; i++) {
        FAIL_STEP(submit());
    }
    wait_for_group(true);
    CHECK(served == TASKS);
    /* They sleep by now, or are about to. */
    CHECK_SOON(fc_dispatch_counts(d).parked == CREW);
    CHECK(fc_dispatch_counts(d).starting == 0);
    fc_group_rearm(group, 1);
    FAIL_STEP(submit());
    wait_for_group(false);
    CHECK(served == TASKS + 1);
    fc_dispatch_close(d);
    for (int i = 0; i < CREW; i++) {
        check_join(&threads[i]);
    }
    CHECK(fc_dispatch_drain(d) == NULL);
    fc_queue_quiesce();
    fc_dispatch_free(d);
    fc_group_unref(group);
}

/* Records of hazard.h are kept for ever, as many as threads ever had one at the
 * same time: have all that are going to be needed. */
static atomic_int with_record;

static void
take_record(void *unused)
{
    (void)unused;
    CHECK(fc_hazard_mine() != NULL);
    atomic_fetch_add(&with_record, 1);
    CHECK_SOON(with_record >= CREW);
}

static void
every_call_of_a_pool_fails_once(void)
{
    CHECK(fc_hazard_mine() != NULL);
    with_record = 0;
    for (int i = 0; i < CREW; i++) {
        check_spawn(&threads[i], take_record, NULL);
    }
    for (int i = 0; i < CREW; i++) {
        check_join(&threads[i]);
    }
    fail_in_turn(a_pool, FAIL_ANY,
                 FAIL_SET(FAIL_MEMORY) | FAIL_SET(FAIL_THREAD)
                     | FAIL_SET(FAIL_AT_EXIT) | FAIL_SET(FAIL_SLEEP));
}

/* --- a lock that somebody sleeps for */

static struct fc_lock lock;
static int guarded; /* by it */

static void
hold(void *unused)
{
    (void)unused;
    for (int i = 0; i < 10; i++) {
        fc_lock_take(&lock);
        int before = guarded;
        check_sleep_us(20);
        guarded = before + 1;
        fc_lock_give(&lock);
    }
}

static void
a_lock(void)
{
    struct check_thread one;
    fc_lock_init(&lock);
    guarded = 0;
    FAIL_STEP(check_try_spawn(&one, hold, NULL));
    hold(NULL);
    check_join(&one);
    CHECK(guarded == 20);
}

static void
every_sleep_for_a_lock_fails_once(void)
{
    fail_in_turn(a_lock, FAIL_SET(FAIL_SLEEP) | FAIL_SET(FAIL_THREAD), 0);
}

/* --- a group with nobody who completes it: deadlines and signals */

static void
a_deadline(void)
{
    FAIL_STEP(make_group(1));
    int64_t deadline = fc_now_ns() + 300000;
    enum fc_group_result result;
    do {
        result = fc_group_wait(group, deadline, -1);
        CHECK(result != FC_GROUP_FIRED);
        CHECK(result == FC_GROUP_TIMED_OUT || result == FC_GROUP_INTERRUPTED);
    } while (result != FC_GROUP_TIMED_OUT);
    CHECK(fc_now_ns() >= deadline || fail_was(ETIMEDOUT));
    fc_group_unref(group);
}

static void
every_sleep_until_a_deadline_fails_once(void)
{
    fail_in_turn(a_deadline, FAIL_SET(FAIL_SLEEP) | FAIL_SET(FAIL_MEMORY),
                 FAIL_SET(FAIL_SLEEP) | FAIL_SET(FAIL_MEMORY));
}

void
test_fail(void)
{
    RUN(every_call_of_a_pool_fails_once);
    RUN(every_sleep_for_a_lock_fails_once);
    RUN(every_sleep_until_a_deadline_fails_once);
}
