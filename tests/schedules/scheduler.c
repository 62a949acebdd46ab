/* scheduler.c - turns and runs; see scheduler.h. */
#include "scheduler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/hazard.h"
#include "seen.h"
#include "threads.h"
#include "trace.h"

#define ROUNDS_MAX 50

struct thread threads[SCHEDULE_THREADS];
int current;

static const struct schedule_case *running;
static strategy_pick *pick_option;
static unsigned idle_rounds; /* all that could look have, and nobody wrote */
static enum outcome outcome;
static uint64_t state_at_end;
static char message[500];
static jmp_buf at_end;

static uint64_t
state_now(void)
{
    uint64_t sum = (uint64_t)current;
    for (int i = 1; i < SCHEDULE_THREADS && threads[i].state != UNUSED; i++) {
        uint64_t how = (uint64_t)threads[i].state * 2 + threads[i].yielded;
        sum = seen_mix(sum, seen_mix(threads[i].seen, how));
    }
    return sum;
}

/* --- turns ------------------------------------------------------------------ */

static void
switch_to(int next)
{
    struct thread *from = &threads[current], *to = &threads[next];
    if (from == to) {
        return;
    }
    from->own = fc_hazard_own;
    fc_hazard_own = to->own;
    current = next;
    coroutine_switch(&from->coroutine, &to->coroutine);
}

/* Back to scheduler_run(); the threads are left where they are. */
static _Noreturn void
end_run(enum outcome how)
{
    outcome = how;
    if (current == 0) {
        longjmp(at_end, 1);
    }
    switch_to(0);
    __builtin_unreachable();
}

void
scheduler_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    end_run(RUN_FAILED);
}

void
schedule_demand_failed(const char *what, const char *file, int line)
{
    scheduler_fail("%s does not hold (%s:%d)", what, file, line);
}

struct option
choose(const struct option *options, int count)
{
    int picked = 0;
    if (count > 1) {
        picked = pick_option(options, count, state_now());
        if (picked < 0) {
            end_run(RUN_ABANDONED);
        }
        trace_pick(options[picked]);
    }
    return options[picked];
}

static _Noreturn void
fail_stuck(const char *how)
{
    char who[100] = "";
    size_t length = 0;
    for (int i = 1; i < SCHEDULE_THREADS; i++) {
        if (threads[i].state == PARKED) {
            length += (size_t)snprintf(who + length, sizeof(who) - length,
                                       " %c", 'A' + i - 1);
        }
    }
    scheduler_fail("%s; asleep:%s", how, who);
}

/* All that can happen next, free options first. */
static int
list_options(struct option *options)
{
    int count = 0;
    bool goes_on = current > 0 && threads[current].state == READY
                   && !threads[current].yielded;
    if (goes_on) {
        options[count++] = (struct option){(uint8_t)current, OPTION_RUN, 0};
    }
    for (int pass = 0; pass < 2 && count == goes_on; pass++) {
        for (int i = 1; i <= SCHEDULE_THREADS; i++) {
            int t = (current + i) % SCHEDULE_THREADS;
            bool same = t == current && goes_on;
            if (t > 0 && !same && threads[t].state == READY
                && !threads[t].yielded) {
                options[count++] =
                    (struct option){(uint8_t)t, OPTION_RUN, goes_on};
            }
        }
        if (count > 0) {
            break;
        }
        /* Nobody else: those who spin look again. */
        if (++idle_rounds > ROUNDS_MAX) {
            fail_stuck("spinning for what does not come");
        }
        for (int t = 1; t < SCHEDULE_THREADS; t++) {
            threads[t].yielded = false;
        }
    }
    bool somebody = count > 0;
    for (int t = 1; t < SCHEDULE_THREADS; t++) {
        if (threads[t].state == PARKED && threads[t].has_deadline) {
            options[count++] =
                (struct option){(uint8_t)t, OPTION_TIMEOUT, somebody};
        }
    }
    for (int t = 1; t < SCHEDULE_THREADS && somebody; t++) {
        if (threads[t].state == PARKED && running->flags & CASE_SPURIOUS) {
            options[count++] = (struct option){(uint8_t)t, OPTION_SPURIOUS, 1};
        }
    }
    return count;
}

void
wake(int t, enum fc_park_result why)
{
    threads[t].state = READY;
    threads[t].woken_by = why;
    threads[t].seen = seen_mix(threads[t].seen, 10 + (uint64_t)why);
}

void
take_turns(void)
{
    struct option options[OPTIONS_MAX];
    int count = list_options(options);
    if (count == 0) {
        for (int t = 1; t < SCHEDULE_THREADS; t++) {
            if (threads[t].state == PARKED) {
                fail_stuck("nobody is left to wake those who sleep");
            }
        }
        end_run(RUN_PASSED);
    }
    struct option picked = choose(options, count);
    if (picked.kind == OPTION_TIMEOUT) {
        wake(picked.thread, FC_PARK_TIMED_OUT);
    }
    else if (picked.kind == OPTION_SPURIOUS) {
        wake(picked.thread, FC_PARK_INTERRUPTED);
    }
    switch_to(picked.thread);
}

void
note_write(void)
{
    idle_rounds = 0;
    for (int t = 1; t < SCHEDULE_THREADS; t++) {
        threads[t].yielded = false;
    }
}

/* --- runs --------------------------------------------------------------------- */

static void
live(void)
{
    running->threads[current - 1]();
    park_thread_ends();
    settle_in_turn();
    threads[current].state = ENDED;
    take_turns();
    __builtin_unreachable();
}

int
scheduler_thread(void)
{
    return current;
}

int
schedule_me(void)
{
    return current;
}

enum outcome
scheduler_run(const struct schedule_case *the_case, strategy_pick *pick)
{
    running = the_case;
    pick_option = pick;
    seen_begin();
    idle_rounds = 0;
    trace_begin();
    current = 0;
    outcome = RUN_PASSED;
    message[0] = '\0';
    for (int t = 0; t < SCHEDULE_THREADS; t++) {
        threads[t].state = UNUSED;
        threads[t].yielded = false;
        threads[t].delayed_count = 0;
        threads[t].seen = (uint64_t)t;
        threads[t].own = NULL;
    }
    fc_hazard_own = NULL;
    memory_begin_run((the_case->flags & CASE_REUSES) != 0);
    port_begin_run((the_case->flags & CASE_SPINS) != 0);
    if (setjmp(at_end) == 0) {
        the_case->begin();
        park_thread_ends();
        for (int t = 1; t < SCHEDULE_THREADS; t++) {
            if (the_case->threads[t - 1] == NULL) {
                break;
            }
            threads[t].state = READY;
            coroutine_make(&threads[t].coroutine, t, live);
        }
        take_turns();
        if (outcome == RUN_PASSED) {
            state_at_end = state_now();
            the_case->end();
            park_thread_ends();
            memory_forget_hazards();
            if (!(the_case->flags & CASE_LEAVES) && memory_live() > 0) {
                scheduler_fail("%u blocks are not freed", memory_live());
            }
        }
    }
    memory_forget_hazards();
    return outcome;
}

uint64_t
scheduler_state(void)
{
    return state_at_end;
}

const char *
scheduler_message(void)
{
    return message;
}
