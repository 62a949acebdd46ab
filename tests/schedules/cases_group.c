/* cases_group.c - src/core/group.h: completers, an owner who sleeps in the group
 * or in a bed, gives up, goes away.
 */
#include "cases.h"

#include <stdlib.h>

#include "core/group.h"
#include "port/port.h"

static struct fc_group *group;
static int data[SCHEDULE_THREADS]; /* written before completing */
static int completers;
static bool owner_saw_all;

static void
begin_for(int count)
{
    completers = count;
    owner_saw_all = false;
    group = fc_group_new((uint64_t)count);
    DEMAND(group != NULL);
    for (int i = 0; i < SCHEDULE_THREADS; i++) {
        data[i] = 0;
    }
    for (int i = 0; i < count; i++) {
        fc_group_ref(group);
    }
}

static void
begin_1(void)
{
    begin_for(1);
}

static void
begin_2(void)
{
    begin_for(2);
}

static void
begin_3(void)
{
    begin_for(3);
}

static void
begin_5(void)
{
    begin_for(5);
}

/* Threads 1 to `completers` complete once each. */
static void
complete(void)
{
    data[schedule_me()] = 1;
    if (fc_group_complete(group)) {
        fc_group_wake(group);
    }
    fc_group_unref(group);
}

/* Somebody takes a reference of his own for a while. */
static void
hold_and_complete(void)
{
    fc_group_ref(group);
    fc_group_unref(group);
    complete();
}

static void
see_all(void)
{
    DEMAND(fc_group_fired(group));
    for (int i = 1; i <= completers; i++) {
        DEMAND(data[i] == 1);
    }
    owner_saw_all = true;
}

static void
wait_for_all(void)
{
    while (fc_group_wait(group, FC_FOREVER, 0) != FC_GROUP_FIRED) {
    }
    see_all();
    fc_group_unref(group);
}

static void
end_seen(void)
{
    DEMAND(owner_saw_all);
}

static void
end_any(void)
{
}

/* The owner has a deadline, and goes when it has passed. */
static void
wait_a_while(void)
{
    enum fc_group_result result = fc_group_wait(group, 1, -1);
    if (result == FC_GROUP_FIRED) {
        see_all();
    }
    fc_group_unref(group);
}

/* It comes once more before it goes. */
static void
wait_twice(void)
{
    if (fc_group_wait(group, 1, -1) != FC_GROUP_FIRED
        && fc_group_wait(group, 1, -1) != FC_GROUP_FIRED) {
        fc_group_unref(group);
        return;
    }
    see_all();
    fc_group_unref(group);
}

/* Who is in a hurry fires, whatever is missing. */
static void
fire(void)
{
    if (fc_group_fire(group)) {
        fc_group_wake(group);
    }
    fc_group_unref(group);
}

static void
begin_fired(void)
{
    begin_for(1);
    fc_group_ref(group);
}

static void
wait_for_any(void)
{
    while (fc_group_wait(group, FC_FOREVER, -1) != FC_GROUP_FIRED) {
    }
    owner_saw_all = true;
    fc_group_unref(group);
}

/* --- as_completed(): one at a time; the owner looks at what there is after
 * --- rearming and after it has fired */

static _Atomic(uint32_t) arrived;

static void
begin_rearmed(void)
{
    begin_for(2);
    fc_group_rearm(group, 1);
    atomic_init(&arrived, 0);
}

static void
arrive_and_complete(void)
{
    atomic_fetch_add(&arrived, 1);
    complete();
}

static void
take_one_by_one(void)
{
    uint32_t seen = 0;
    for (;;) {
        fc_group_rearm(group, 1);
        uint32_t now = atomic_load(&arrived);
        if (now > seen) {
            seen = now;
            if (seen == 2) {
                break;
            }
            continue;
        }
        while (fc_group_wait(group, FC_FOREVER, -1) != FC_GROUP_FIRED) {
        }
    }
    owner_saw_all = true;
    fc_group_unref(group);
}

/* --- beds ------------------------------------------------------------------------- */

struct bed {
    struct fc_bed bed; /* first */
    _Atomic(uint32_t) word, references;
};

static struct bed *bed;

static void
wake_bed(struct fc_bed *b)
{
    _Atomic(uint32_t) *word = &((struct bed *)b)->word;
    atomic_fetch_add(word, 1);
    fc_unpark(word, UINT32_MAX);
}

static void
hold_bed(struct fc_bed *b)
{
    atomic_fetch_add(&((struct bed *)b)->references, 1);
}

static void
drop_bed(struct fc_bed *b)
{
    if (atomic_fetch_sub(&((struct bed *)b)->references, 1) == 1) {
        free(b);
    }
}

static void
begin_in_bed(int count)
{
    begin_for(count);
    bed = malloc(sizeof(*bed));
    bed->bed = (struct fc_bed){wake_bed, hold_bed, drop_bed};
    atomic_init(&bed->word, 0);
    atomic_init(&bed->references, 1);
}

static void
begin_in_bed_1(void)
{
    begin_in_bed(1);
}

static void
begin_in_bed_2(void)
{
    begin_in_bed(2);
}

/* As fc_hub_sleep(), with what else it waits for left out. */
static void
sleep_in_bed(void)
{
    while (fc_group_lie_down(group, &bed->bed)) {
        uint32_t seen = atomic_load(&bed->word);
        if (!fc_group_fired(group)) {
            (void)fc_park(&bed->word, seen, FC_FOREVER);
        }
        if (!fc_group_get_up(group)) {
            break;
        }
    }
    see_all();
    fc_group_unref(group);
    drop_bed(&bed->bed);
}

/* Once, with a deadline; then it goes, and who made the bed too. */
static void
nap_in_bed(void)
{
    if (fc_group_lie_down(group, &bed->bed)) {
        uint32_t seen = atomic_load(&bed->word);
        if (!fc_group_fired(group)) {
            (void)fc_park(&bed->word, seen, 1);
        }
        (void)fc_group_get_up(group);
    }
    fc_group_unref(group);
    drop_bed(&bed->bed);
}

/* In bed first, in the group then. */
static void
change_beds(void)
{
    if (fc_group_lie_down(group, &bed->bed)) {
        (void)fc_group_get_up(group);
    }
    drop_bed(&bed->bed);
    wait_for_all();
}

const struct schedule_case group_cases[] = {
    {"group/one", begin_1, {complete, wait_for_all}, end_seen, 0, 6},
    {"group/two", begin_2, {complete, complete, wait_for_all}, end_seen, 0,
     4},
    {"group/three", begin_3, {complete, complete, complete, wait_for_all},
     end_seen, 0, 2},
    {"group/spins", begin_2, {complete, complete, wait_for_all}, end_seen,
     CASE_SPINS, 2},
    {"group/deadline", begin_2, {complete, complete, wait_a_while}, end_any,
     0, 4},
    {"group/comes-twice", begin_1, {complete, wait_twice}, end_any,
     CASE_SPURIOUS, 6},
    {"group/signals", begin_2, {complete, complete, wait_for_all}, end_seen,
     CASE_SPURIOUS, 3},
    {"group/fired", begin_fired, {complete, fire, wait_for_any}, end_seen, 0,
     4},
    {"group/references", begin_2, {hold_and_complete, hold_and_complete,
     wait_for_all}, end_seen, 0, 2},
    {"group/one-by-one", begin_rearmed, {arrive_and_complete,
     arrive_and_complete, take_one_by_one}, end_seen, 0, 3},
    {"bed/one", begin_in_bed_1, {complete, sleep_in_bed}, end_seen, 0, 6},
    {"bed/two", begin_in_bed_2, {complete, complete, sleep_in_bed}, end_seen,
     0, 3},
    {"bed/nap", begin_in_bed_1, {complete, nap_in_bed}, end_any, 0, 6},
    {"bed/changed", begin_in_bed_1, {complete, change_beds}, end_seen,
     CASE_SPURIOUS, 4},
    {"group/large", begin_5, {complete, complete, complete, complete,
     complete, wait_for_all}, end_seen, CASE_LARGE | CASE_SPURIOUS, 0},
    {0},
};
