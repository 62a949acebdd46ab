/* port_posix.c - port.h on any system with POSIX threads.
 *
 * Sleepers stand in a table of lists, hashed by the address they sleep on;
 * each list has a mutex, each sleeper a condition variable on its own stack.
 * fc_park() compares the word under the list's mutex and fc_unpark() takes
 * the same mutex after the word has changed, so that either the sleeper sees
 * the new value or the waker sees the sleeper.
 *
 * Condition variables do not tell of signals.  fc_park() therefore sleeps
 * for FC_SLICE_NS at most and reports FC_PARK_INTERRUPTED after that, which
 * asks the caller to look for signals and to come back.  fc_park_deaf() has
 * no use for that and sleeps on.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "port/port.h"

#if !defined(__linux__) || defined(FC_PORT_POSIX)

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

/* How late a signal may be noticed: short beside a person's patience with
 * Ctrl-C, long beside the cost of waking up (about 10 us). */
#define FC_SLICE_NS 50000000

/* Lists in the table, a power of two: more than threads that usually sleep,
 * so that they seldom share one. */
#define FC_LISTS 64

struct sleeper {
    _Atomic(uint32_t) *word;
    pthread_cond_t wake;
    struct sleeper *next;
    bool woken;
};

/* Both fields guarded by `mutex`, which is never held while sleeping. */
struct list {
    pthread_mutex_t mutex;
    struct sleeper *first;
};

static struct list lists[FC_LISTS];
static pthread_condattr_t wake_attr;
static clockid_t wake_clock = CLOCK_REALTIME;
static pthread_once_t lists_once = PTHREAD_ONCE_INIT;

/* Also the child's half of fork(): whoever held a mutex or slept in the
 * parent does not exist here. */
static void
reset_lists(void)
{
    for (size_t i = 0; i < FC_LISTS; i++) {
        pthread_mutex_init(&lists[i].mutex, NULL);
        lists[i].first = NULL;
    }
}

static void
prepare(void)
{
    reset_lists();
    pthread_condattr_init(&wake_attr);
#if defined(_POSIX_CLOCK_SELECTION) && _POSIX_CLOCK_SELECTION > 0
    if (pthread_condattr_setclock(&wake_attr, CLOCK_MONOTONIC) == 0) {
        wake_clock = CLOCK_MONOTONIC;
    }
#endif
    pthread_atfork(NULL, NULL, reset_lists);
}

static struct list *
list_of(_Atomic(uint32_t) *word)
{
    pthread_once(&lists_once, prepare);
    uintptr_t hash = (uintptr_t)word >> 4;
    hash ^= hash >> 8;
    hash ^= hash >> 16;
    return &lists[hash % FC_LISTS];
}

/* The point `delay_ns` from now on the clock that condition variables use
 * here (systems without a choice offer only the wall clock). */
static struct timespec
wake_time(int64_t delay_ns)
{
    struct timespec at;
    clock_gettime(wake_clock, &at);
    int64_t ns = at.tv_nsec + delay_ns;
    at.tv_sec += (time_t)(ns / 1000000000);
    at.tv_nsec = (long)(ns % 1000000000);
    return at;
}

static void
append_locked(struct list *list, struct sleeper *self)
{
    struct sleeper **end = &list->first;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = self;
}

static void
remove_locked(struct list *list, struct sleeper *self)
{
    struct sleeper **at = &list->first;
    while (*at != self) {
        at = &(*at)->next;
    }
    *at = self->next;
}

/* Sleep until woken (true) or for `delay_ns`, negative: without end. */
static bool
sleep_in_list(_Atomic(uint32_t) *word, uint32_t expected, int64_t delay_ns)
{
    struct list *list = list_of(word);
    struct sleeper self = {.word = word};
    pthread_mutex_lock(&list->mutex);
    if (atomic_load_explicit(word, memory_order_relaxed) != expected) {
        /* Relaxed: the mutex orders it after the waker's change. */
        pthread_mutex_unlock(&list->mutex);
        return true;
    }
    pthread_cond_init(&self.wake, &wake_attr);
    append_locked(list, &self);
    if (delay_ns < 0) {
        while (!self.woken) {
            pthread_cond_wait(&self.wake, &list->mutex);
        }
    }
    else {
        struct timespec until = wake_time(delay_ns);
        int error = 0;
        while (!self.woken && error == 0) {
            error = pthread_cond_timedwait(&self.wake, &list->mutex, &until);
        }
    }
    if (!self.woken) {
        remove_locked(list, &self);
    }
    pthread_mutex_unlock(&list->mutex);
    pthread_cond_destroy(&self.wake);
    return self.woken;
}

enum fc_park_result
fc_park(_Atomic(uint32_t) *word, uint32_t expected, int64_t deadline_ns)
{
    int64_t left = FC_FOREVER;
    if (deadline_ns != FC_FOREVER) {
        left = deadline_ns - fc_now_ns();
        if (left < 0) {
            left = 0;
        }
    }
    bool last = left <= FC_SLICE_NS;
    if (sleep_in_list(word, expected, last ? left : FC_SLICE_NS)) {
        return FC_PARK_WOKEN;
    }
    return last ? FC_PARK_TIMED_OUT : FC_PARK_INTERRUPTED;
}

void
fc_park_deaf(_Atomic(uint32_t) *word, uint32_t expected)
{
    (void)sleep_in_list(word, expected, -1);
}

void
fc_unpark(_Atomic(uint32_t) *word, uint32_t count)
{
    struct list *list = list_of(word);
    pthread_mutex_lock(&list->mutex);
    struct sleeper **at = &list->first;
    while (*at != NULL && count > 0) {
        struct sleeper *sleeper = *at;
        if (sleeper->word != word) {
            at = &sleeper->next;
            continue;
        }
        *at = sleeper->next;
        sleeper->woken = true;
        count--;
        /* Under the mutex: the sleeper's stack is gone once it has it. */
        pthread_cond_signal(&sleeper->wake);
    }
    pthread_mutex_unlock(&list->mutex);
}

int
fc_cpu(void)
{
    return -1; /* no portable way */
}

void
fc_yield(void)
{
    (void)sched_yield();
}

#endif /* !__linux__ || FC_PORT_POSIX */
