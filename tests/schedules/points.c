/* points.c - what threads do at their points; see points.h and scheduler.h. */
#include "points.h"

#include <string.h>

#include "seen.h"
#include "threads.h"
#include "trace.h"

/* --- points ------------------------------------------------------------------ */

static void
demand_usable(volatile void *address, size_t size)
{
    if (!memory_usable((uintptr_t)address, size)) {
        scheduler_fail("touches freed memory: %s",
                       memory_story((uintptr_t)address));
    }
}

static void
point(const char *what, volatile void *address, size_t size,
      const char *file, int line)
{
    if (current > 0) {
        take_turns();
        trace_step(what, address, file, line);
    }
    if (size > 0) {
        demand_usable(address, size);
    }
}

static uint64_t
read_word(volatile void *address, size_t size)
{
    uint64_t value = 0;
    memcpy(&value, (void *)(uintptr_t)address, size);
    return value;
}

static void
write_word(volatile void *address, size_t size, uint64_t value)
{
    memcpy((void *)(uintptr_t)address, &value, size);
    if (current == 0) {
        return;
    }
    seen_write(&threads[current].seen, (uintptr_t)address);
    note_write();
}

/* What the thread has stored takes effect for all. */
static void
settle(void)
{
    struct thread *t = &threads[current];
    int count = t->delayed_count;
    t->delayed_count = 0;
    for (int i = 0; i < count; i++) {
        struct delayed *d = &t->delayed[i];
        demand_usable(d->address, d->size);
        write_word(d->address, d->size, d->value);
    }
}

/* The same where there is no other point. */
void
settle_in_turn(void)
{
    if (threads[current].delayed_count > 0) {
        take_turns();
        trace_step("takes effect", NULL, "", 0);
        settle();
    }
}

static bool
is_delayed(size_t size, uint64_t *value, volatile void *address)
{
    const struct thread *t = &threads[current];
    for (int i = t->delayed_count - 1; i >= 0; i--) {
        if (t->delayed[i].address == address && t->delayed[i].size == size) {
            *value = t->delayed[i].value;
            return true;
        }
    }
    return false;
}

static void
note_value(uint64_t value)
{
    if (current > 0) {
        trace_value(value);
    }
}

/* Between the reading half and the writing half of a torn operation. */
static void
tear(volatile void *address, size_t size, const char *file, int line)
{
    seen_read(&threads[current].seen, (uintptr_t)address);
    point("second half", address, size, file, line);
}

void
schedule_init(volatile void *address, size_t size, uint64_t value)
{
    demand_usable(address, size);
    memcpy((void *)(uintptr_t)address, &value, size);
}

uint64_t
schedule_load(volatile void *address, size_t size, int order,
              const char *file, int line)
{
    (void)order;
    point("load", address, size, file, line);
    uint64_t value;
    if (is_delayed(size, &value, address)) {
        /* Nothing new, but the thread has got on. */
        threads[current].seen = seen_mix(threads[current].seen, 8);
    }
    else {
        value = read_word(address, size);
        if (current > 0) {
            seen_read(&threads[current].seen, (uintptr_t)address);
        }
    }
    note_value(value);
    return value;
}

/* Whether a store is to take effect later. */
static bool
delays(int order)
{
    struct thread *t = &threads[current];
    if (current == 0 || order == memory_order_seq_cst) {
        return false;
    }
    if (t->delayed_count == DELAYED_MAX) {
        settle();
    }
    if (t->delayed_count > 0) {
        return true; /* in their order */
    }
    const struct option options[] = {
        {(uint8_t)current, OPTION_RUN, 0},
        {(uint8_t)current, OPTION_DELAY, 1},
    };
    return choose(options, 2).kind == OPTION_DELAY;
}

void
schedule_store(volatile void *address, size_t size, uint64_t value,
               int order, const char *file, int line)
{
    point("store", address, size, file, line);
    note_value(value);
    if (order == memory_order_seq_cst && trace_is_torn(file, line, "store")) {
        order = memory_order_release;
    }
    if (delays(order)) {
        struct thread *t = &threads[current];
        t->delayed[t->delayed_count++] =
            (struct delayed){address, size, value};
        t->seen = seen_mix(t->seen, (uintptr_t)address + 5);
        trace_rename("store, delayed");
        return;
    }
    settle();
    write_word(address, size, value);
}

uint64_t
schedule_change(volatile void *address, size_t size,
                enum schedule_change change, uint64_t operand,
                const char *file, int line)
{
    static const char *const names[] = {"exchange", "add", "sub", "or",
                                        "and"};
    point(names[change], address, size, file, line);
    settle();
    uint64_t before = read_word(address, size);
    uint64_t after[] = {operand, before + operand, before - operand,
                        before | operand, before & operand};
    if (trace_is_torn(file, line, names[change])) {
        tear(address, size, file, line);
    }
    write_word(address, size, after[change]);
    note_value(after[change]);
    return before;
}

bool
schedule_compare_exchange(volatile void *address, size_t size, void *seen,
                          uint64_t wanted, const char *file, int line)
{
    point("compare-exchange", address, size, file, line);
    settle();
    uint64_t before = read_word(address, size), expected = 0;
    memcpy(&expected, seen, size);
    note_value(before);
    if (before == expected) {
        if (trace_is_torn(file, line, "compare-exchange")) {
            tear(address, size, file, line);
        }
        write_word(address, size, wanted);
        note_value(wanted);
        return true;
    }
    if (current > 0) {
        seen_read(&threads[current].seen, (uintptr_t)address);
        trace_rename("compare-exchange fails");
    }
    memcpy(seen, &before, size);
    return false;
}

void
schedule_fence(int order, const char *file, int line)
{
    if (order == memory_order_seq_cst) {
        point("fence", NULL, 0, file, line);
        settle();
    }
}

void
schedule_yield(const char *file, int line)
{
    if (current > 0) {
        settle_in_turn();
        threads[current].yielded = true;
        threads[current].seen = seen_mix(threads[current].seen, 6);
        take_turns();
        threads[current].seen = seen_mix(threads[current].seen, 7);
        trace_step("pause", NULL, file, line);
    }
}

void
schedule_note(void)
{
    static uint32_t order;
    point("note", &order, sizeof(order), "", 0);
    if (current > 0) {
        seen_write(&threads[current].seen, (uintptr_t)&order);
    }
}

/* --- sleeping ---------------------------------------------------------------- */

enum fc_park_result
park_on(volatile void *word, uint32_t expected, bool has_deadline)
{
    struct thread *t = &threads[current];
    if (current == 0) {
        scheduler_fail("the case itself would sleep");
    }
    point("park", word, sizeof(expected), "", 0);
    settle();
    seen_read(&t->seen, (uintptr_t)word);
    uint32_t value = (uint32_t)read_word(word, sizeof(expected));
    note_value(value);
    if (value != expected) {
        return FC_PARK_WOKEN;
    }
    /* Sleepers and wakers of one word come in an order: word + 1 stands for
     * the list of them. */
    seen_write(&t->seen, (uintptr_t)word + 1);
    t->state = PARKED;
    t->word = word;
    t->has_deadline = has_deadline;
    take_turns();
    trace_step(t->woken_by == FC_PARK_WOKEN       ? "woken"
              : t->woken_by == FC_PARK_TIMED_OUT ? "times out"
                                                 : "wakes for nothing",
              word, "", 0);
    return t->woken_by;
}

void
unpark_on(volatile void *word, uint32_t count)
{
    if (current == 0) {
        scheduler_fail("the case itself would wake somebody");
    }
    point("unpark", word, 0, "", 0); /* it may be freed */
    settle();
    seen_write(&threads[current].seen, (uintptr_t)word + 1);
    for (; count > 0; count--) {
        struct option sleepers[SCHEDULE_THREADS];
        int found = 0;
        for (int t = 1; t < SCHEDULE_THREADS; t++) {
            if (threads[t].state == PARKED && threads[t].word == word) {
                sleepers[found++] =
                    (struct option){(uint8_t)t, OPTION_WAKE, 0};
            }
        }
        if (found == 0) {
            return;
        }
        if (count >= (uint32_t)found) {
            found = 1; /* all of them: in any order */
        }
        int t = choose(sleepers, found).thread;
        wake(t, FC_PARK_WOKEN);
        threads[t].seen = seen_mix(threads[t].seen, threads[current].seen);
    }
}

/* --- what is no memory under our eyes ------------------------------------------ */

void
scheduler_saw(uintptr_t what, bool changed)
{
    if (changed) {
        seen_write(&threads[current].seen, what);
    }
    else {
        seen_read(&threads[current].seen, what);
    }
}

void
scheduler_saw_block(uintptr_t address, size_t size)
{
    if (current > 0) {
        seen_block(&threads[current].seen, address, size);
    }
}
