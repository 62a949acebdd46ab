/* test_port.c - src/port/port.h, whichever half of it is built. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <signal.h>
#include <unistd.h>

#include "check.h"
#include "port/port.h"

static _Atomic(uint32_t) word;
static atomic_int woken;

static void
park_returns_when_the_word_differs(void)
{
    word = 1;
    CHECK(fc_park(&word, 0, FC_FOREVER) == FC_PARK_WOKEN);
    fc_park_deaf(&word, 0);
}

/* Park until the deadline; the number of returns for other reasons is not
 * limited by the contract. */
static void
park_until(int64_t deadline)
{
    word = 0;
    while (fc_park(&word, 0, deadline) != FC_PARK_TIMED_OUT) {
    }
}

static void
park_ends_at_the_deadline(void)
{
    const int64_t delays[] = {0, 1, 1000000, 20000000, 120000000};
    for (int i = 0; i < 5; i++) {
        int64_t start = fc_now_ns();
        park_until(start + delays[i]);
        int64_t taken = fc_now_ns() - start;
        CHECK(taken >= delays[i]);
        CHECK(taken < delays[i] + 5000000000);
    }
    park_until(-5); /* long past */
    park_until(0);
}

static void
sleeper(void *unused)
{
    (void)unused;
    fc_park_deaf(&word, 0);
    atomic_fetch_add(&woken, 1);
}

/* Nothing tells from outside whether a thread sleeps already, so the waker
 * repeats itself; each call may let no more than `count` go. */
static void
unpark_wakes_as_many_as_asked(void)
{
    struct check_thread threads[4];
    word = 0;
    woken = 0;
    for (int i = 0; i < 4; i++) {
        check_spawn(&threads[i], sleeper, NULL);
    }
    check_sleep_us(100000);
    CHECK(woken == 0);
    fc_unpark(&word, 1);
    check_sleep_us(50000);
    CHECK(woken <= 1);
    word = 1; /* who comes late does not sleep */
    fc_unpark(&word, UINT32_MAX);
    for (int i = 0; i < 4; i++) {
        check_join(&threads[i]);
    }
    CHECK(woken == 4);
}

static void
unpark_of_memory_that_is_gone(void)
{
    fc_unpark((_Atomic(uint32_t) *)(uintptr_t)64, 1);
    fc_unpark((_Atomic(uint32_t) *)(uintptr_t)64, UINT32_MAX);
    CHECK(true);
}

/* A chain of hand-overs between two threads that really sleep: hangs when
 * one wake-up is lost. */
#define HANDS 2000

static void
hand_over(void *arg)
{
    uint32_t mine = arg != NULL;
    for (int i = 0; i < HANDS; i++) {
        while ((word & 1) != mine) {
            fc_park_deaf(&word, !mine);
        }
        word = !mine;
        fc_unpark(&word, 1);
    }
}

static void
no_wakeup_is_lost(void)
{
    struct check_thread other;
    word = 0;
    check_spawn(&other, hand_over, &other);
    hand_over(NULL);
    check_join(&other);
    CHECK(word == 0);
}

/* --- signals */

static atomic_int handled;
static atomic_int interrupted;

static void
handler(int number)
{
    (void)number;
    atomic_fetch_add(&handled, 1);
}

static void
interruptible_sleeper(void *unused)
{
    (void)unused;
    while (word == 0) {
        if (fc_park(&word, 0, FC_FOREVER) == FC_PARK_INTERRUPTED &&
            handled > 0) {
            atomic_fetch_add(&interrupted, 1);
            return;
        }
    }
}

static void
signals_interrupt(void)
{
    struct sigaction action = {.sa_handler = handler}, before;
    sigaction(SIGUSR1, &action, &before);
    struct check_thread thread;
    word = 0;
    handled = interrupted = 0;
    check_spawn(&thread, interruptible_sleeper, NULL);
    /* Again until it is seen: the first may come before the sleep. */
    for (int i = 0; i < 100 && interrupted == 0; i++) {
        check_sleep_us(20000);
        pthread_kill(thread.thread, SIGUSR1);
        check_sleep_us(80000);
    }
    CHECK(interrupted == 1);
    word = 1;
    fc_unpark(&word, 1);
    check_join(&thread);
    sigaction(SIGUSR1, &before, NULL);
}

#if !CHECK_TSAN
static void
deaf_threads_sleep_on(void)
{
    struct sigaction action = {.sa_handler = handler}, before;
    sigaction(SIGUSR1, &action, &before);
    struct check_thread thread;
    word = 0;
    woken = handled = 0;
    check_spawn(&thread, sleeper, NULL);
    check_sleep_us(50000);
    pthread_kill(thread.thread, SIGUSR1);
    CHECK_SOON(handled == 1);
    check_sleep_us(150000);
    CHECK(woken == 0);
    word = 1;
    fc_unpark(&word, 1);
    check_join(&thread);
    CHECK(woken == 1);
    sigaction(SIGUSR1, &before, NULL);
}

#endif

/* --- clock, CPU, thread exit */

static void
clock_and_cpu(void)
{
    int64_t start = fc_now_ns();
    check_sleep_us(2000);
    int64_t taken = fc_now_ns() - start;
    CHECK(taken >= 2000000 && taken < 5000000000);
    int cpu = fc_cpu();
#if defined(__linux__) && !defined(FC_PORT_POSIX)
    CHECK(cpu >= 0 && cpu < 65536);
#else
    CHECK(cpu == -1);
#endif
}

static atomic_int exits, wrong_exits;

static void
at_exit_right(void *value)
{
    atomic_fetch_add(value == &exits ? &exits : &wrong_exits, 1);
}

static void
at_exit_wrong(void *value)
{
    (void)value;
    atomic_fetch_add(&wrong_exits, 1);
}

static void
at_exit_again(void *value)
{
    (void)fc_at_thread_exit(at_exit_right, value);
}

static void
exiting(void *kind)
{
    CHECK(fc_at_thread_exit(at_exit_wrong, NULL) == 0);
    CHECK(fc_at_thread_exit(kind != NULL ? at_exit_again : at_exit_right,
                            &exits) == 0);
}

static void
thread_exit_runs_what_was_registered_last(void)
{
    struct check_thread thread;
    exits = wrong_exits = 0;
    check_spawn(&thread, exiting, NULL);
    check_join(&thread);
    CHECK(exits == 1);
    check_spawn(&thread, exiting, &exits);
    check_join(&thread);
    CHECK(exits == 2);
    CHECK(wrong_exits == 0);
}

void
test_port(void)
{
    RUN(park_returns_when_the_word_differs);
    RUN(park_ends_at_the_deadline);
    RUN(unpark_wakes_as_many_as_asked);
    RUN(unpark_of_memory_that_is_gone);
    RUN(no_wakeup_is_lost);
    RUN(signals_interrupt);
#if !CHECK_TSAN
    /* ThreadSanitizer holds a signal back until the thread makes a call that
     * it knows of, and a deaf thread makes none. */
    RUN(deaf_threads_sleep_on);
#endif
    RUN(clock_and_cpu);
    RUN(thread_exit_runs_what_was_registered_last);
}
