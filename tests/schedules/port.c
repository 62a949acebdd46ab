/* port.c - src/port/port.h and the sleeping part of process.h on the scheduler.
 * A deadline is a thing that may come at any moment; each thread has a clock
 * that moves when it looks.
 */
#include "port/port.h"

#include "park.h"
#include "port/process.h"
#include "scheduler.h"

static struct {
    void (*on_exit)(void *);
    void *value;
    int64_t clock;
} own[SCHEDULE_THREADS];

static bool have_cpus;

_Atomic(uint32_t) fc_fork_count = 1;
_Atomic(uint32_t) fc_fork_calls = 0;

void
port_begin_run(bool cpus)
{
    have_cpus = cpus;
    for (int i = 0; i < SCHEDULE_THREADS; i++) {
        own[i].on_exit = NULL;
        own[i].clock = 1000000;
    }
}

enum fc_park_result
fc_park(_Atomic(uint32_t) *word, uint32_t expected, int64_t deadline_ns)
{
    return park_on(word, expected, deadline_ns != FC_FOREVER);
}

void
fc_park_deaf(_Atomic(uint32_t) *word, uint32_t expected)
{
    (void)park_on(word, expected, false);
}

void
fc_unpark(_Atomic(uint32_t) *word, uint32_t count)
{
    unpark_on(word, count);
}

enum fc_park_result
fc_park_shared(_Atomic(uint32_t) *word, uint32_t expected,
               int64_t deadline_ns)
{
    return park_on(word, expected, deadline_ns != FC_FOREVER);
}

void
fc_unpark_shared(_Atomic(uint32_t) *word, uint32_t count)
{
    unpark_on(word, count);
}

/* Two looks, and spinning is over. */
int64_t
fc_now_ns(void)
{
    return own[scheduler_thread()].clock += 6000;
}

int64_t
fc_now_roughly_ns(void)
{
    return fc_now_ns();
}

int
fc_cpu(void)
{
    return have_cpus ? scheduler_thread() : -1;
}

void
fc_yield(void)
{
    schedule_yield(__FILE__, __LINE__);
}

int
fc_at_thread_exit(void (*on_exit)(void *), void *value)
{
    own[scheduler_thread()].on_exit = on_exit;
    own[scheduler_thread()].value = value;
    return 0;
}

void
park_thread_ends(void)
{
    void (*on_exit)(void *) = own[scheduler_thread()].on_exit;
    if (on_exit != NULL) {
        own[scheduler_thread()].on_exit = NULL;
        on_exit(own[scheduler_thread()].value);
    }
}
