/* cases_sleep.c - src/core/lifosem.h with its table, and src/core/lock.h. */
#include "cases.h"

#include <stdlib.h>

#include "core/lifosem.h"
#include "core/lock.h"
#include "core/table.h"

/* --- the semaphore: as many waits as posts, so that all come home ---------- */

static struct fc_table table;
static struct fc_lifosem sem;
static struct fc_sleeper *sleepers[SCHEDULE_THREADS];
static int posted, returned;

static void
sem_begin(void)
{
    fc_table_init(&table);
    fc_lifosem_init(&sem);
    for (int i = 1; i < SCHEDULE_THREADS; i++) {
        sleepers[i] = (struct fc_sleeper *)fc_table_acquire(&table);
        DEMAND(sleepers[i] != NULL);
    }
    posted = returned = 0;
}

static void
sem_end(void)
{
    /* Neither permits nor sleepers are left. */
    DEMAND((atomic_load(&sem.word) & 0x7fffffff) == 0);
    fc_table_destroy(&table);
}

static void
post(void)
{
    fc_lifosem_post(&sem, &table);
}

static void
post_2(void)
{
    post();
    post();
}

static void
wait_once(void)
{
    fc_lifosem_wait(&sem, sleepers[schedule_me()]);
}

/* The same, with a count: nobody comes back before his post. */
static void
post_counted(void)
{
    schedule_note();
    posted++;
    post();
}

static void
wait_counted(void)
{
    wait_once();
    schedule_note();
    DEMAND(++returned <= posted);
}

static void
wait_2(void)
{
    wait_once();
    wait_once();
}

/* Takes what it has posted, or another's. */
static void
post_wait(void)
{
    post();
    wait_once();
}

/* --- the table: a record belongs to one at a time ------------------------------- */

struct record {
    struct fc_node node;
    int owner;
};

static void
table_begin(void)
{
    fc_table_init(&table);
}

static void
table_end(void)
{
    /* No more were made than there were owners, and all are free. */
    uint32_t used = atomic_load(&table.used), count = 0;
    DEMAND(used <= 4);
    uint32_t next = (uint32_t)atomic_load(&table.free);
    while (next != 0) {
        DEMAND(++count <= used);
        next = atomic_load(&fc_table_at(&table, next - 1)->next);
    }
    DEMAND(count == used);
    fc_table_destroy(&table);
}

static struct record *
acquire(void)
{
    struct record *r = (struct record *)fc_table_acquire(&table);
    DEMAND(r != NULL);
    DEMAND(r->owner == 0);
    r->owner = schedule_me();
    return r;
}

static void
release(struct record *r)
{
    DEMAND(r->owner == schedule_me());
    r->owner = 0;
    fc_table_release(&table, &r->node);
}

static void
acquire_release_2(void)
{
    release(acquire());
    release(acquire());
}

/* What acquire() must not mistake for an unchanged list: its first record goes
 * and comes back while the second one is taken. */
static void
acquire_2_release_1(void)
{
    struct record *first = acquire();
    struct record *second = acquire();
    release(first);
    schedule_note();
    DEMAND(second->owner == schedule_me());
    release(second);
}

static void
acquire_2(void)
{
    struct record *first = acquire();
    struct record *second = acquire();
    release(second);
    release(first);
}

static void
table_begin_with_2(void)
{
    table_begin();
    struct fc_node *first = fc_table_acquire(&table);
    struct fc_node *second = fc_table_acquire(&table);
    fc_table_release(&table, first);
    fc_table_release(&table, second);
}

/* --- the lock ------------------------------------------------------------------- */

static struct fc_lock lock;
static int inside, entered;

static void
lock_begin(void)
{
    fc_lock_init(&lock);
    inside = entered = 0;
}

static void
lock_end(void)
{
    DEMAND(atomic_load(&lock.word) == FC_LOCK_FREE);
    DEMAND(inside == 0);
}

static void
be_inside(void)
{
    DEMAND(inside == 0);
    inside = schedule_me();
    schedule_note();
    DEMAND(inside == schedule_me());
    inside = 0;
}

static void
take_give(void)
{
    fc_lock_take(&lock);
    be_inside();
    fc_lock_give(&lock);
}

static void
take_give_2(void)
{
    take_give();
    take_give();
}

static void
try_give(void)
{
    if (fc_lock_try(&lock)) {
        be_inside();
        fc_lock_give(&lock);
    }
}

static void
take_give_3(void)
{
    take_give();
    take_give_2();
}

const struct schedule_case sleep_cases[] = {
    {"lifosem/one-each", sem_begin, {post, wait_once}, sem_end, 0, 6},
    {"lifosem/post-ahead", sem_begin, {post_2, wait_2}, sem_end, 0, 4},
    {"lifosem/two-each", sem_begin, {post, post, wait_once, wait_once},
     sem_end, 0, 2},
    {"lifosem/one-posts-two", sem_begin, {post_2, wait_once, wait_once},
     sem_end, 0, 3},
    {"lifosem/comes-back", sem_begin, {wait_2, wait_once, post_2, post},
     sem_end, 0, 2},
    {"lifosem/in-turn", sem_begin, {post_wait, post_wait, wait_once,
     post}, sem_end, 0, 2},
    {"lifosem/for-nothing", sem_begin, {post_counted, wait_counted}, sem_end,
     CASE_SPURIOUS, 4},
    {"lifosem/two-for-nothing", sem_begin, {post_counted, wait_counted,
     wait_counted, post_counted}, sem_end, CASE_SPURIOUS, 1},
    {"lifosem/large", sem_begin, {post_2, post_2, post_wait, wait_2, wait_2},
     sem_end, CASE_LARGE | CASE_SPURIOUS, 0},
    {"table/two", table_begin, {acquire_release_2, acquire_release_2},
     table_end, 0, 4},
    {"table/comes-back", table_begin_with_2,
     {acquire_2_release_1, acquire_2}, table_end, 0, 3},
    {"table/three", table_begin, {acquire_release_2, acquire_release_2,
     acquire_2_release_1}, table_end, 0, 2},
    {"lock/two", lock_begin, {take_give_2, take_give_2}, lock_end, 0, 4},
    {"lock/three", lock_begin, {take_give, take_give, take_give}, lock_end, 0,
     3},
    {"lock/tries", lock_begin, {take_give, try_give, take_give}, lock_end,
     CASE_SPURIOUS, 3},
    {"lock/large", lock_begin, {take_give_3, take_give_3, take_give_3,
     take_give_3, take_give_3}, lock_end, CASE_LARGE | CASE_SPURIOUS, 0},
    {0},
};
