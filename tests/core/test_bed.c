/* test_bed.c - the beds of src/core/group.h: owners who wait for something else
 * besides their group.
 */
#include <stdlib.h>

#include "check.h"
#include "core/group.h"
#include "port/port.h"

/* A bed as a pool's hub is one: counted, and a word to sleep on. */
struct bed {
    struct fc_bed bed; /* first */
    _Atomic(uint32_t) word;
    atomic_int references, wakes;
    _Atomic(bool) *freed;
};

static void
wake_bed(struct fc_bed *bed)
{
    struct bed *self = (struct bed *)bed;
    atomic_fetch_add(&self->wakes, 1);
    atomic_fetch_add_explicit(&self->word, 1, memory_order_release);
    fc_unpark(&self->word, UINT32_MAX);
}

static void
hold_bed(struct fc_bed *bed)
{
    atomic_fetch_add(&((struct bed *)bed)->references, 1);
}

static void
drop_bed(struct fc_bed *bed)
{
    struct bed *self = (struct bed *)bed;
    if (atomic_fetch_sub(&self->references, 1) == 1) {
        if (self->freed != NULL) {
            *self->freed = true;
        }
        free(self);
    }
}

/* With one reference. */
static struct bed *
new_bed(_Atomic(bool) *freed)
{
    struct bed *b = calloc(1, sizeof(*b));
    b->bed = (struct fc_bed){wake_bed, hold_bed, drop_bed};
    b->references = 1;
    b->freed = freed;
    if (freed != NULL) {
        *freed = false;
    }
    return b;
}

/* --- one thread */

static void
one_that_has_fired_needs_no_bed(void)
{
    struct fc_group *g = fc_group_new(1);
    struct bed *b = new_bed(NULL);
    CHECK(!fc_group_complete(g)); /* nobody sleeps: no wake is owed */
    CHECK(!fc_group_lie_down(g, &b->bed));
    CHECK(fc_group_fired(g));
    CHECK(!fc_group_get_up(g)); /* it is not in bed */
    fc_group_unref(g);
    CHECK(b->references == 1 && b->wakes == 0);
    drop_bed(&b->bed);
}

static void
one_that_fires_asleep_owes_a_wake(void)
{
    for (int how = 0; how < 2; how++) {
        struct fc_group *g = fc_group_new(1);
        struct bed *b = new_bed(NULL);
        CHECK(fc_group_lie_down(g, &b->bed));
        CHECK(b->references == 2); /* the group's */
        CHECK(how == 0 ? fc_group_complete(g) : fc_group_fire(g));
        CHECK(b->wakes == 0); /* firing and waking are two calls */
        fc_group_wake(g);
        CHECK(b->wakes == 1);
        CHECK(!fc_group_get_up(g));
        CHECK(fc_group_fired(g));
        fc_group_unref(g);
        CHECK(b->references == 1);
        drop_bed(&b->bed);
    }
}

static void
one_that_gets_up_is_not_woken(void)
{
    struct fc_group *g = fc_group_new(2);
    struct bed *b = new_bed(NULL);
    CHECK(fc_group_lie_down(g, &b->bed));
    CHECK(!fc_group_complete(g));
    CHECK(fc_group_get_up(g));
    CHECK(!fc_group_fired(g));
    /* To bed again, as often as it likes: it is held once. */
    for (int i = 0; i < 3; i++) {
        CHECK(fc_group_lie_down(g, &b->bed));
        CHECK(b->references == 2);
        CHECK(fc_group_get_up(g));
    }
    CHECK(!fc_group_complete(g)); /* fires, and nobody sleeps */
    CHECK(fc_group_fired(g));
    CHECK(!fc_group_lie_down(g, &b->bed));
    fc_group_unref(g);
    CHECK(b->references == 1 && b->wakes == 0);
    drop_bed(&b->bed);
}

static void
a_group_keeps_its_first_bed(void)
{
    struct fc_group *g = fc_group_new(1);
    struct bed *first = new_bed(NULL), *second = new_bed(NULL);
    CHECK(fc_group_lie_down(g, &first->bed));
    CHECK(fc_group_get_up(g));
    CHECK(!fc_group_lie_down(g, &second->bed));
    CHECK(!fc_group_fired(g));
    CHECK(second->references == 1);
    CHECK(fc_group_lie_down(g, &first->bed));
    CHECK(fc_group_fire(g));
    fc_group_wake(g);
    CHECK(first->wakes == 1 && second->wakes == 0);
    fc_group_unref(g);
    CHECK(first->references == 1);
    drop_bed(&first->bed);
    drop_bed(&second->bed);
}

static void
a_rearmed_group_goes_to_bed_again(void)
{
    struct fc_group *g = fc_group_new(1);
    struct bed *b = new_bed(NULL);
    for (int i = 1; i <= 3; i++) {
        CHECK(fc_group_lie_down(g, &b->bed));
        CHECK(fc_group_complete(g));
        fc_group_wake(g);
        CHECK(b->wakes == i && !fc_group_get_up(g));
        fc_group_rearm(g, 1);
        CHECK(b->references == 2);
    }
    fc_group_unref(g);
    CHECK(b->references == 1);
    drop_bed(&b->bed);
}

/* The owner gives up and goes, and so does who made the bed; the completer who
 * fires too late finds both. */
static void
a_late_completer_finds_the_bed(void)
{
    int64_t before = shim_live;
    _Atomic(bool) freed;
    struct bed *b = new_bed(&freed);
    struct fc_group *g = fc_group_new(1);
    fc_group_ref(g); /* the completer's */
    CHECK(fc_group_lie_down(g, &b->bed));
    CHECK(fc_group_complete(g)); /* a wake is owed */
    CHECK(!fc_group_get_up(g));
    fc_group_unref(g);
    drop_bed(&b->bed);
    CHECK(!freed);
    fc_group_wake(g);
    CHECK(!freed && b->wakes == 1);
    fc_group_unref(g); /* the last one: the bed's last reference goes */
    CHECK(freed);
    CHECK(shim_live == before);
}

/* --- both ways of sleeping */

static struct fc_group *shared;
static atomic_int outcome;

static void
sleep_in_the_group(void *unused)
{
    (void)unused;
    enum fc_group_result result;
    do {
        result = fc_group_wait(shared, FC_FOREVER, -1);
    } while (result == FC_GROUP_INTERRUPTED);
    outcome = (int)result + 1;
}

/* An owner that has a bed, and sleeps in the group this time. */
static void
a_wake_reaches_one_who_is_not_in_his_bed(void)
{
    for (uint64_t round = check_size(100); round > 0; round--) {
        struct check_thread thread;
        struct bed *b = new_bed(NULL);
        shared = fc_group_new(1);
        outcome = 0;
        CHECK(fc_group_lie_down(shared, &b->bed));
        CHECK(fc_group_get_up(shared));
        check_spawn(&thread, sleep_in_the_group, NULL);
        check_sleep_us(200);
        if (fc_group_complete(shared)) {
            fc_group_wake(shared);
        }
        check_join(&thread);
        CHECK(outcome == FC_GROUP_FIRED + 1);
        fc_group_unref(shared);
        CHECK(b->references == 1);
        drop_bed(&b->bed);
    }
}

/* --- stress: an owner sleeps in beds, is woken for nothing now and then, goes
 * --- away early now and then; completers fire and wake late */

#define COMPLETERS 3

struct round {
    struct fc_group *group;
    struct bed *bed;
    uint64_t data[COMPLETERS];
};

static struct {
    _Atomic(struct round *) current;
    _Atomic(uint64_t) number, finished;
    uint64_t rounds;
} stage;

static void
complete_all(void *arg)
{
    uintptr_t me = (uintptr_t)arg;
    struct check_random r = check_random_new(me + 7100);
    for (uint64_t n = 1; n <= stage.rounds; n++) {
        while (stage.number < n) {
            check_random_delay(&r);
        }
        struct round *round = stage.current;
        struct fc_group *group = round->group;
        check_random_delay(&r);
        if (check_random_below(&r, 4) == 0) {
            wake_bed(&round->bed->bed); /* for nothing */
        }
        /* Ours until we have completed; then the group alone. */
        round->data[me] = n;
        if (fc_group_complete(group)) {
            check_random_delay(&r);
            fc_group_wake(group);
        }
        fc_group_unref(group);
        atomic_fetch_add(&stage.finished, 1);
    }
}

/* As fc_hub_sleep() does, with what it waits for left out. */
static void
sleep_in_bed(struct round *round, struct check_random *r)
{
    struct bed *b = round->bed;
    while (fc_group_lie_down(round->group, &b->bed)) {
        uint32_t seen =
            atomic_load_explicit(&b->word, memory_order_acquire);
        if (!fc_group_fired(round->group)) {
            (void)fc_park(&b->word, seen, FC_FOREVER);
        }
        if (!fc_group_get_up(round->group)) {
            break;
        }
        check_random_delay(r);
    }
    CHECK(fc_group_fired(round->group));
    bool complete = true;
    for (int i = 0; i < COMPLETERS; i++) {
        complete = complete && round->data[i] == stage.number;
    }
    CHECK(complete);
}

static void
stress_beds(void)
{
    struct check_random r = check_random_new(7200);
    struct check_thread threads[COMPLETERS];
    int64_t before = shim_live;
    stage.rounds = check_size(10000);
    stage.number = stage.finished = 0;
    for (uintptr_t i = 0; i < COMPLETERS; i++) {
        check_spawn(&threads[i], complete_all, (void *)i);
    }
    for (uint64_t n = 1; n <= stage.rounds; n++) {
        _Atomic(bool) freed;
        struct round round = {fc_group_new(COMPLETERS), new_bed(&freed), {0}};
        struct bed *b = round.bed;
        hold_bed(&b->bed); /* for the completers that wake for nothing */
        for (int i = 0; i < COMPLETERS; i++) {
            fc_group_ref(round.group);
        }
        stage.current = &round;
        stage.number = n;
        if (check_random_below(&r, 4) > 0) {
            sleep_in_bed(&round, &r);
        }
        else if (fc_group_lie_down(round.group, &b->bed)) {
            (void)fc_group_get_up(round.group); /* a timeout at once */
        }
        fc_group_unref(round.group);
        drop_bed(&b->bed);
        while (stage.finished < n * COMPLETERS) {
            check_random_delay(&r);
        }
        CHECK(!freed && b->references == 1);
        drop_bed(&b->bed);
        CHECK(freed);
    }
    for (int i = 0; i < COMPLETERS; i++) {
        check_join(&threads[i]);
    }
    CHECK(shim_live == before);
}

void
test_bed(void)
{
    RUN(one_that_has_fired_needs_no_bed);
    RUN(one_that_fires_asleep_owes_a_wake);
    RUN(one_that_gets_up_is_not_woken);
    RUN(a_group_keeps_its_first_bed);
    RUN(a_rearmed_group_goes_to_bed_again);
    RUN(a_late_completer_finds_the_bed);
    RUN(a_wake_reaches_one_who_is_not_in_his_bed);
    RUN(stress_beds);
}
