/* test_lock.c - src/core/lock.h. */
#include "check.h"
#include "core/lock.h"

#define LOCKERS 6

static struct fc_lock lock;
static _Atomic(unsigned) arrived;

/* Not atomic: the lock alone keeps it whole, and ThreadSanitizer looks. */
static struct {
    uint64_t counter;
    unsigned inside;
    unsigned most;
} guarded;

static void
begin(void)
{
    fc_lock_init(&lock);
    arrived = 0;
    guarded.counter = 0;
    guarded.inside = guarded.most = 0;
}

static uint32_t
word(void)
{
    return atomic_load(&lock.word);
}

/* --- one thread, or two that take turns */

static void
it_is_taken_and_given_back(void)
{
    begin();
    CHECK(word() == FC_LOCK_FREE);
    fc_lock_take(&lock);
    CHECK(word() == FC_LOCK_HELD); /* nobody waits: no system call to come */
    fc_lock_give(&lock);
    CHECK(word() == FC_LOCK_FREE);
    fc_lock_slow(&lock); /* also where it is free */
    CHECK(word() != FC_LOCK_FREE);
    fc_lock_give(&lock);
    CHECK(word() == FC_LOCK_FREE);
}

static atomic_int tried;

static void
try_once(void *unused)
{
    (void)unused;
    tried = fc_lock_try(&lock) ? 1 : 2;
    if (tried == 1) {
        fc_lock_give(&lock);
    }
}

static int
another_tries(void)
{
    struct check_thread thread;
    check_spawn(&thread, try_once, NULL);
    check_join(&thread);
    return tried;
}

static void
trying_never_waits(void)
{
    begin();
    CHECK(another_tries() == 1);
    fc_lock_take(&lock);
    CHECK(!fc_lock_try(&lock));
    CHECK(another_tries() == 2);
    CHECK(word() == FC_LOCK_HELD); /* who only tries does not wait */
    fc_lock_give(&lock);
    CHECK(another_tries() == 1);
}

static void
take_and_say_so(void *unused)
{
    (void)unused;
    fc_lock_take(&lock);
    atomic_fetch_add(&arrived, 1);
    guarded.counter++;
    fc_lock_give(&lock);
}

/* A thread that waits gets it when it is given back, and not before. */
static void
it_is_handed_to_one_who_sleeps(void)
{
    begin();
    for (uint64_t round = check_size(40); round > 0; round--) {
        struct check_thread thread;
        unsigned before = arrived;
        fc_lock_take(&lock);
        check_spawn(&thread, take_and_say_so, NULL);
        CHECK_SOON(word() == FC_LOCK_CONTENDED);
        check_sleep_us(500); /* asleep by now, mostly */
        CHECK(arrived == before);
        guarded.counter++;
        fc_lock_give(&lock);
        check_join(&thread);
        CHECK(arrived == before + 1);
        CHECK(word() == FC_LOCK_FREE);
    }
    CHECK(guarded.counter == 2 * check_size(40));
}

/* Several sleep: each that gives it back wakes the next one. */
static void
all_who_sleep_get_it(void)
{
    begin();
    for (uint64_t round = check_size(40); round > 0; round--) {
        struct check_thread threads[LOCKERS];
        arrived = 0;
        fc_lock_take(&lock);
        for (int i = 0; i < LOCKERS; i++) {
            check_spawn(&threads[i], take_and_say_so, NULL);
        }
        CHECK_SOON(word() == FC_LOCK_CONTENDED);
        check_sleep_us(1000);
        fc_lock_give(&lock);
        for (int i = 0; i < LOCKERS; i++) {
            check_join(&threads[i]);
        }
        CHECK(arrived == LOCKERS);
        CHECK(word() == FC_LOCK_FREE);
    }
}

/* --- stress */

struct locker {
    uint64_t stream;
    uint64_t rounds;
    bool tries; /* first, as a thread with the GIL does */
    bool delays;
};

static void
keep_locking(void *arg)
{
    struct locker *self = arg;
    struct check_random r = check_random_new(self->stream + 600);
    for (uint64_t i = 0; i < self->rounds; i++) {
        if (!self->tries) {
            fc_lock_take(&lock);
        }
        else if (!fc_lock_try(&lock)) {
            fc_lock_slow(&lock);
        }
        guarded.inside++;
        if (guarded.inside > guarded.most) {
            guarded.most = guarded.inside;
        }
        guarded.counter++;
        if (self->delays) {
            check_random_delay(&r);
        }
        guarded.inside--;
        fc_lock_give(&lock);
        if (self->delays) {
            check_random_delay(&r);
        }
    }
}

static void
stress(unsigned threads, uint64_t rounds, bool delays)
{
    struct check_thread spawned[LOCKERS];
    struct locker lockers[LOCKERS];
    begin();
    for (unsigned i = 0; i < threads; i++) {
        lockers[i] = (struct locker){i, rounds, i % 2 == 0, delays};
        check_spawn(&spawned[i], keep_locking, &lockers[i]);
    }
    for (unsigned i = 0; i < threads; i++) {
        check_join(&spawned[i]);
    }
    CHECK(guarded.counter == threads * rounds);
    CHECK(guarded.most == 1);
    CHECK(word() == FC_LOCK_FREE);
}

static void
stress_two(void)
{
    stress(2, check_size(200000), false);
}

static void
stress_many(void)
{
    stress(LOCKERS, check_size(50000), false);
}

static void
stress_with_delays(void)
{
    stress(LOCKERS, check_size(5000), true);
}

void
test_lock(void)
{
    RUN(it_is_taken_and_given_back);
    RUN(trying_never_waits);
    RUN(it_is_handed_to_one_who_sleeps);
    RUN(all_who_sleep_get_it);
    RUN(stress_two);
    RUN(stress_many);
    RUN(stress_with_delays);
}
