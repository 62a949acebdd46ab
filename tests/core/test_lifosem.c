/* test_lifosem.c - src/core/lifosem.h and src/core/table.h. */
#include <stdlib.h>

#include "check.h"
#include "core/lifosem.h"

static struct fc_table table;
static struct fc_lifosem sem;
static atomic_int returned;
static atomic_int order[8];

/* --- the table */

static void
records_have_their_numbers(void)
{
    enum { COUNT = 3000 };
    static struct fc_node *nodes[COUNT];
    fc_table_init(&table);
    int wrong = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        nodes[i] = fc_table_acquire(&table);
        wrong += nodes[i] == NULL || nodes[i]->number != i;
        wrong += (uintptr_t)nodes[i] % FC_RECORD_SIZE != 0;
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        wrong += fc_table_at(&table, i) != nodes[i];
    }
    for (uint32_t i = 0; i < COUNT; i += 2) {
        fc_table_release(&table, nodes[i]);
    }
    /* Last released, first reused; no new one while there are free ones. */
    for (uint32_t i = COUNT; i > 0; i -= 2) {
        wrong += fc_table_acquire(&table) != nodes[i - 2];
    }
    wrong += fc_table_acquire(&table)->number != COUNT;
    CHECK(wrong == 0);
    fc_table_destroy(&table);
}

static void
table_without_memory(void)
{
    fc_table_init(&table);
    shim_fail_every = 1;
    CHECK(fc_table_acquire(&table) == NULL);
    shim_fail_every = 0;
    for (uint32_t i = 0; i < FC_FIRST_CHUNK; i++) {
        CHECK(fc_table_acquire(&table) != NULL);
    }
    shim_fail_every = 1;
    CHECK(fc_table_acquire(&table) == NULL);
    shim_fail_every = 0;
    CHECK(fc_table_acquire(&table)->number == FC_FIRST_CHUNK);
    fc_table_destroy(&table);
}

struct owner {
    unsigned id;
    uint64_t rounds;
    atomic_int *owned; /* per number */
};

static void
acquire_and_release(void *arg)
{
    struct owner *self = arg;
    struct check_random random = check_random_new(self->id + 500);
    struct fc_node *held[6] = {NULL};
    int wrong = 0;
    for (uint64_t round = 0; round < self->rounds; round++) {
        struct fc_node **slot = &held[check_random_below(&random, 6)];
        if (*slot == NULL) {
            *slot = fc_table_acquire(&table);
            wrong += *slot == NULL ||
                     atomic_fetch_add(&self->owned[(*slot)->number], 1) != 0;
        }
        else {
            atomic_fetch_sub(&self->owned[(*slot)->number], 1);
            fc_table_release(&table, *slot);
            *slot = NULL;
        }
    }
    CHECK(wrong == 0);
}

/* Nobody gets a record that another one has. */
static void
table_stress(void)
{
    enum { OWNERS = 4 };
    struct check_thread threads[OWNERS];
    struct owner owners[OWNERS];
    static atomic_int owned[64];
    fc_table_init(&table);
    for (int i = 0; i < 64; i++) {
        owned[i] = 0;
    }
    for (unsigned i = 0; i < OWNERS; i++) {
        owners[i] = (struct owner){i, check_size(200000), owned};
        check_spawn(&threads[i], acquire_and_release, &owners[i]);
    }
    for (int i = 0; i < OWNERS; i++) {
        check_join(&threads[i]);
    }
    CHECK(atomic_load(&table.used) <= OWNERS * 6);
    fc_table_destroy(&table);
}

/* --- the semaphore */

static void
permits_come_first(void)
{
    fc_table_init(&table);
    fc_lifosem_init(&sem);
    struct fc_sleeper *self = (struct fc_sleeper *)fc_table_acquire(&table);
    for (int i = 0; i < 3; i++) {
        fc_lifosem_post(&sem, &table);
    }
    for (int i = 0; i < 3; i++) {
        fc_lifosem_wait(&sem, self); /* would hang without a permit */
    }
    CHECK((uint32_t)atomic_load(&sem.word) == 0);
    fc_table_destroy(&table);
}

static void
wait_in_turn(void *arg)
{
    int place = *(int *)arg;
    struct fc_sleeper *self = (struct fc_sleeper *)fc_table_acquire(&table);
    uint32_t number = self->node.number;
    CHECK(number == (uint32_t)place);
    fc_lifosem_wait(&sem, self);
    order[atomic_fetch_add(&returned, 1)] = place;
}

/* The number plus one of the sleeper on top. */
static uint32_t
top(void)
{
    return (uint32_t)atomic_load(&sem.word);
}

static void
last_in_first_out(void)
{
    struct check_thread threads[4];
    int places[4] = {0, 1, 2, 3};
    fc_table_init(&table);
    fc_lifosem_init(&sem);
    returned = 0;
    for (int i = 0; i < 4; i++) {
        check_spawn(&threads[i], wait_in_turn, &places[i]);
        CHECK_SOON(top() == (uint32_t)i + 1);
    }
    for (int i = 0; i < 4; i++) {
        fc_lifosem_post(&sem, &table);
        CHECK_SOON(returned == i + 1);
        CHECK(order[i] == 3 - i);
    }
    for (int i = 0; i < 4; i++) {
        check_join(&threads[i]);
    }
    CHECK(top() == 0);
    fc_table_destroy(&table);
}

/* --- stress: as many posts as waits, so that everybody comes home */

#define POSTERS 3
#define WAITERS 3

struct party {
    unsigned id;
    uint64_t times;
};

static void
post_often(void *arg)
{
    struct party *self = arg;
    struct check_random random = check_random_new(self->id + 900);
    for (uint64_t i = 0; i < self->times; i++) {
        fc_lifosem_post(&sem, &table);
        if (i % 16 == 0) {
            check_random_delay(&random);
        }
    }
}

static void
wait_often(void *arg)
{
    struct party *self = arg;
    struct check_random random = check_random_new(self->id + 950);
    struct fc_sleeper *sleeper = NULL;
    for (uint64_t i = 0; i < self->times; i++) {
        if (sleeper == NULL) {
            sleeper = (struct fc_sleeper *)fc_table_acquire(&table);
        }
        fc_lifosem_wait(&sem, sleeper);
        if (check_random_below(&random, 8) == 0) {
            fc_table_release(&table, &sleeper->node);
            sleeper = NULL;
        }
    }
}

static void
lifosem_stress(void)
{
    struct check_thread threads[POSTERS + WAITERS];
    struct party parties[POSTERS + WAITERS];
    uint64_t total = check_size(200000) * POSTERS * WAITERS;
    fc_table_init(&table);
    fc_lifosem_init(&sem);
    for (unsigned i = 0; i < POSTERS + WAITERS; i++) {
        bool posts = i < POSTERS;
        parties[i] =
            (struct party){i, total / 6 / (posts ? POSTERS : WAITERS)};
        check_spawn(&threads[i], posts ? post_often : wait_often,
                    &parties[i]);
    }
    for (int i = 0; i < POSTERS + WAITERS; i++) {
        check_join(&threads[i]);
    }
    CHECK(top() == 0);
    fc_table_destroy(&table);
}

void
test_lifosem(void)
{
    RUN(records_have_their_numbers);
    RUN(table_without_memory);
    RUN(table_stress);
    RUN(permits_come_first);
    RUN(last_in_first_out);
    RUN(lifosem_stress);
}
