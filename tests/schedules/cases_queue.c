/* cases_queue.c - src/core/queue.h in segments of one cell each, or of two
 * (tests/schedules/run builds both), and src/core/hazard.h beneath it.
 *
 * In all of them: each item comes out once, those of one producer in their
 * order, and memory is freed once and touched no more.
 */
#include "cases.h"
#include "core/hazard.h"
#include "core/queue.h"
#include "scheduler.h" /* memory_refuse() */

#define ITEMS 8 /* of each producer */

static struct fc_queue queue;
static char items[SCHEDULE_THREADS][ITEMS];
static int last_seen[SCHEDULE_THREADS][SCHEDULE_THREADS]; /* by consumer */
static uint8_t taken[SCHEDULE_THREADS][ITEMS];
static int pushed[SCHEDULE_THREADS];
static int empty_handed[SCHEDULE_THREADS];

static void
begin(void)
{
    for (int i = 0; i < SCHEDULE_THREADS; i++) {
        pushed[i] = 0;
        empty_handed[i] = 0;
        for (int k = 0; k < ITEMS; k++) {
            taken[i][k] = 0;
        }
        for (int k = 0; k < SCHEDULE_THREADS; k++) {
            last_seen[i][k] = -1;
        }
    }
    DEMAND(fc_queue_init(&queue) == 0);
}

static void
push(int count)
{
    int me = schedule_me();
    for (int i = 0; i < count; i++) {
        DEMAND(fc_queue_push(&queue, &items[me][pushed[me]]) == 0);
        pushed[me]++;
    }
}

static bool
pop(void)
{
    int me = schedule_me();
    char *item = fc_queue_pop(&queue);
    if (item == NULL) {
        empty_handed[me]++;
        return false;
    }
    int producer = (int)((item - &items[0][0]) / ITEMS);
    int number = (int)((item - &items[0][0]) % ITEMS);
    DEMAND(number > last_seen[me][producer]); /* first in, first out */
    last_seen[me][producer] = number;
    DEMAND(++taken[producer][number] == 1);
    return true;
}

static void
end(void)
{
    /* In here all are in their order: nobody else takes any. */
    while (pop()) {
    }
    DEMAND(fc_queue_is_empty(&queue));
    for (int i = 0; i < SCHEDULE_THREADS; i++) {
        for (int k = 0; k < pushed[i]; k++) {
            DEMAND(taken[i][k] == 1);
        }
    }
    fc_queue_destroy(&queue);
}

/* --- what threads do */

static void
push_1(void)
{
    push(1);
}

static void
push_2(void)
{
    push(2);
}

static void
push_3(void)
{
    push(3);
}

static void
pop_1(void)
{
    (void)pop();
}

static void
pop_2(void)
{
    (void)pop();
    (void)pop();
}

static void
pop_3(void)
{
    (void)pop();
    pop_2();
}

static void
push_pop(void)
{
    push(1);
    (void)pop();
}

static void
push_pop_push_pop(void)
{
    push_pop();
    push_pop();
}

static void
push_2_pop_2(void)
{
    push(2);
    pop_2();
}

static void
push_2_pop_4(void)
{
    push_2_pop_2();
    pop_2();
}

/* As a worker before it sleeps, and after. */
static void
pop_quiesce_pop(void)
{
    (void)pop();
    fc_queue_quiesce();
    (void)pop();
}

static void
push_6(void)
{
    push(6);
}

static void
pop_until_6(void)
{
    for (int found = 0, tries = 0; found < 6 && tries < 12; tries++) {
        found += pop();
    }
}

/* --- with items in it from the beginning */

static void
begin_with(int count)
{
    begin();
    push(count);
    fc_queue_quiesce();
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

/* There are enough for all: nobody goes away empty-handed. */
static void
end_nobody_without(void)
{
    for (int i = 1; i < SCHEDULE_THREADS; i++) {
        DEMAND(empty_handed[i] == 0);
    }
    end();
}

/* Who pops what it has pushed itself, or another one in its place. */
static void
end_second_not_without(void)
{
    for (int i = 2; i < SCHEDULE_THREADS; i++) {
        DEMAND(empty_handed[i] == 0);
    }
    end();
}

static bool was_empty;

static void
ask_empty(void)
{
    was_empty = fc_queue_is_empty(&queue);
}

/* At each moment there is one in it. */
static void
end_never_empty(void)
{
    DEMAND(!was_empty);
    end_nobody_without();
}

static void
begin_with_1(void)
{
    was_empty = false;
    begin_with(1);
}

/* --- without memory: segments cannot be had, nor records ------------------------ */

static void
begin_without_memory(void)
{
    begin_with(2); /* its record is there for the first one who comes */
    memory_refuse(true);
}

static void
push_in_vain(void)
{
    int me = schedule_me();
    while (pushed[me] < 2
           && fc_queue_push(&queue, &items[me][pushed[me]]) == 0) {
        pushed[me]++;
    }
}

static void
end_with_memory(void)
{
    memory_refuse(false);
    end();
}

/* --- records of hazards: each belongs to one thread at a time ------------------ */

static struct fc_hazard *owners[SCHEDULE_THREADS];
static char things[SCHEDULE_THREADS];

static void
forget_owners(void)
{
    for (int i = 0; i < SCHEDULE_THREADS; i++) {
        owners[i] = NULL;
    }
}

/* With a record that nobody has any more. */
static void
begin_with_record(void)
{
    forget_owners();
    DEMAND(fc_hazard_mine() != NULL);
}

static void
use_record(struct fc_hazard *record)
{
    int me = schedule_me();
    schedule_note();
    for (int i = 0; i < SCHEDULE_THREADS; i++) {
        DEMAND(owners[i] != record);
    }
    owners[me] = record;
    atomic_store(&record->slots[me % FC_HAZARD_ROLES], &things[me]);
    DEMAND(fc_hazard_holds(&things[me]));
    schedule_note();
    owners[me] = NULL;
}

/* The thread's end gives it back. */
static void
own_record(void)
{
    use_record(fc_hazard_mine());
}

static void
borrow_record(void)
{
    struct fc_hazard *record = fc_hazard_borrow();
    use_record(record);
    fc_hazard_return(record);
}

static void
end_unpublished(void)
{
    for (int i = 0; i < SCHEDULE_THREADS; i++) {
        DEMAND(!fc_hazard_holds(&things[i]));
    }
}

const struct schedule_case queue_cases[] = {
    {"queue/one-each", begin, {push_2, pop_3}, end, 0, 4},
    {"queue/two-producers", begin, {push_2, push_2, pop_2}, end, 0, 2},
    {"queue/two-consumers", begin, {push_3, pop_2, pop_2}, end, 0, 2},
    {"queue/both", begin, {push_pop, push_pop, push_pop}, end, 0, 2},
    {"queue/tail", begin, {push_3, push_2_pop_4}, end, 0, 2},
    {"queue/own-one", begin, {push_1, push_pop}, end_second_not_without, 0,
     4},
    {"queue/own-two", begin, {push_1, push_2_pop_2}, end_second_not_without,
     0, 3},
    {"queue/own-one-of-two", begin, {push_1, push_pop, push_pop},
     end_second_not_without, 0, 2},
    {"queue/one-left", begin_with_1, {push_pop, pop_1}, end_nobody_without, 0,
     4},
    {"queue/without-memory", begin_without_memory, {push_in_vain, pop_1,
     pop_2}, end_with_memory, 0, 2},
    {"queue/reserved", begin_with_3, {pop_1, pop_2}, end_nobody_without, 0, 3},
    {"queue/reserved-beside-pushes", begin_with_2, {push_2, pop_1, pop_1},
     end_nobody_without, 0, 2},
    {"queue/never-empty", begin_with_1, {push_pop, ask_empty},
     end_never_empty, 0, 4},
    {"queue/never-empty-twice", begin_with_1,
     {push_pop_push_pop, ask_empty}, end_never_empty, 0, 3},
    {"queue/reuse", begin, {push_pop_push_pop, push_pop_push_pop}, end,
     CASE_REUSES, 2},
    {"queue/reuse-beside-a-reader", begin_with_3, {pop_3, push_3, pop_1}, end,
     CASE_REUSES, 2},
    {"queue/quiesce", begin_with_2, {pop_quiesce_pop, push_pop, pop_1}, end,
     CASE_REUSES, 2},
    {"queue/records-change-hands", begin_with_3, {pop_1, pop_1, push_1, pop_1},
     end, CASE_REUSES, 1},
    {"hazard/new", forget_owners, {own_record, own_record}, end_unpublished, 0,
     3},
    {"hazard/used", begin_with_record, {own_record, own_record, own_record},
     end_unpublished, 0, 2},
    {"hazard/borrowed", forget_owners, {borrow_record, borrow_record},
     end_unpublished, 0, 3},
    {"hazard/large", begin_with_record, {borrow_record, borrow_record,
     borrow_record, borrow_record, borrow_record, own_record, own_record},
     end_unpublished, CASE_LARGE, 0},
    {"queue/large", begin, {push_6, push_6, push_6, pop_until_6, pop_until_6,
     pop_until_6}, end, CASE_LARGE, 0},
    {"queue/large-reuse", begin, {push_6, push_pop_push_pop, push_6,
     pop_until_6, pop_until_6}, end, CASE_LARGE | CASE_REUSES, 0},
    {0},
};
