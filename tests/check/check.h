/* check.h - what the tests in C share: checks, threads, processes, random
 * numbers, failing allocations and a watchdog.
 *
 * A test is a function that calls CHECK(); main() runs them in order.  All
 * threads of a test are started by check_spawn(), so that the watchdog can
 * print where each of them stands when a test does not end.
 */
#ifndef CHECK_H
#define CHECK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Which sanitizer is built in, in gcc's words and in clang's. */
#if defined(__has_feature)
#define CHECK_TSAN __has_feature(thread_sanitizer)
#define CHECK_ASAN __has_feature(address_sanitizer)
#else
#if defined(__SANITIZE_THREAD__)
#define CHECK_TSAN 1
#else
#define CHECK_TSAN 0
#endif
#if defined(__SANITIZE_ADDRESS__)
#define CHECK_ASAN 1
#else
#define CHECK_ASAN 0
#endif
#endif

/* Count a check; when it fails say so and go on. */
#define CHECK(condition) \
    check_report((condition), #condition, __FILE__, __LINE__)
bool check_report(bool passed, const char *what, const char *file, int line);

/* Run a test under its name, within CHECK_SECONDS. */
#define RUN(test) check_run(#test, test)
void check_run(const char *name, void (*test)(void));
#define CHECK_SECONDS 60

/* One entry per file of tests, each of which runs the tests of that file, and
 * NULL.  Every program of tests has its own, in its main.c. */
extern void (*const check_tests[])(void);

/* How much work a stress test does: `full` in a plain build, less under a
 * sanitizer, times the --scale option. */
uint64_t check_size(uint64_t full);

/* --- threads */

struct check_thread {
    pthread_t thread;
    void (*body)(void *);
    void *arg;
    struct check_thread *next;
};
void check_spawn(struct check_thread *t, void (*body)(void *), void *arg);
int check_try_spawn(struct check_thread *t, void (*body)(void *), void *arg);
void check_join(struct check_thread *t);
void check_sleep_us(unsigned microseconds);

/* Wait until `condition` holds; fails the test after some seconds. */
#define CHECK_SOON(condition)                          \
    do {                                               \
        int patience_ = 100000;                        \
        while (!(condition) && patience_-- > 0) {      \
            check_sleep_us(100);                       \
        }                                              \
        CHECK(condition);                              \
    } while (0)

/* --- processes */

/* Run `body` in a forked child, which ends afterwards: with 0 when no check
 * has failed in it; and as a test does when it hangs. */
pid_t check_fork(void (*body)(void *), void *arg);

/* Wait for its end: the exit status, or minus the signal that ended it. */
int check_wait(pid_t child);

/* --- random numbers: a stream per seed and name */

struct check_random {
    uint64_t state;
};
struct check_random check_random_new(uint64_t stream);
uint64_t check_random_below(struct check_random *r, uint64_t limit);

/* Mostly nothing, now and then a pause, a yield or a short sleep. */
void check_random_delay(struct check_random *r);

/* Sleep a little, one time in 128. */
void check_dawdle(void);

/* --- memory: malloc, aligned_alloc, calloc and free come through here (ld
 * --- --wrap).  calloc, which the tests use, fails only by fail.h. */

extern _Atomic(uint64_t) shim_fail_every; /* every k-th fails; 0: none */
extern _Atomic(int64_t) shim_live;        /* allocated and not freed */
extern _Atomic(uint64_t) shim_failures;

#endif /* CHECK_H */
