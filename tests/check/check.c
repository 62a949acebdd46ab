/* check.c - see check.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* backtrace() */
#endif
#include "check.h"
#include "fail.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if __has_include(<execinfo.h>) /* not in every C library: musl lacks it */
#include <execinfo.h>
#else
static int
backtrace(void **frames, int size)
{
    (void)frames, (void)size;
    return 0;
}

static void
backtrace_symbols_fd(void **frames, int count, int fd)
{
    (void)frames, (void)count;
    (void)!write(fd, "(no stacks here)", 16);
}
#endif

#include "port/port.h"

/* Sanitizers make everything several times slower. */
#if CHECK_TSAN || CHECK_ASAN
#define SHRINK 4
#else
#define SHRINK 1
#endif

static uint64_t seed;
static double scale = 1.0;
static const char *filter = "";
static const char *running = "";
static atomic_int passed, failed;

static pthread_mutex_t threads_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct check_thread *threads; /* guarded by threads_mutex */

bool
check_report(bool ok, const char *what, const char *file, int line)
{
    atomic_fetch_add(ok ? &passed : &failed, 1);
    if (!ok) {
        fprintf(stderr, "%s:%d: %s: failed: %s (seed %llu)\n", file, line,
                running, what, (unsigned long long)seed);
    }
    return ok;
}

uint64_t
check_size(uint64_t full)
{
    uint64_t size = (uint64_t)((double)full * scale) / SHRINK;
    return size > 0 ? size : 1;
}

/* --- the watchdog -------------------------------------------------------- */

static void
dump_own_stack(int number)
{
    (void)number;
    void *frames[64];
    int depth = backtrace(frames, 64);
    backtrace_symbols_fd(frames, depth, STDERR_FILENO);
    (void)!write(STDERR_FILENO, "\n", 1);
}

/* Runs in the thread that SIGALRM found, usually the main one. */
static void
give_up(int number)
{
    fprintf(stderr, "%s: hangs (seed %llu); stacks of all threads follow\n",
            running, (unsigned long long)seed);
    dump_own_stack(number);
    for (struct check_thread *t = threads; t != NULL; t = t->next) {
        pthread_kill(t->thread, SIGUSR2);
        usleep(50000); /* one after the other */
    }
    _exit(3);
}

void
check_run(const char *name, void (*test)(void))
{
    if (strstr(name, filter) == NULL) {
        return;
    }
    running = name;
    int failed_before = failed;
    int64_t start = fc_now_ns();
    alarm(CHECK_SECONDS);
    test();
    alarm(0);
    printf("%-44s %7.1f ms  %s\n", name,
           (double)(fc_now_ns() - start) / 1e6,
           failed == failed_before ? "ok" : "FAILED");
    fflush(stdout);
}

/* --- threads ------------------------------------------------------------- */

static void *
run_thread(void *arg)
{
    struct check_thread *t = arg;
    t->body(t->arg);
    return NULL;
}

int
check_try_spawn(struct check_thread *t, void (*body)(void *), void *arg)
{
    t->body = body;
    t->arg = arg;
    pthread_mutex_lock(&threads_mutex);
    int error = pthread_create(&t->thread, NULL, run_thread, t);
    if (error == 0) {
        t->next = threads;
        threads = t;
    }
    pthread_mutex_unlock(&threads_mutex);
    return error;
}

void
check_spawn(struct check_thread *t, void (*body)(void *), void *arg)
{
    errno = check_try_spawn(t, body, arg);
    if (errno != 0) {
        perror("pthread_create");
        exit(2);
    }
}

void
check_join(struct check_thread *t)
{
    pthread_join(t->thread, NULL);
    pthread_mutex_lock(&threads_mutex);
    struct check_thread **at = &threads;
    while (*at != t) {
        at = &(*at)->next;
    }
    *at = t->next;
    pthread_mutex_unlock(&threads_mutex);
}

/* --- processes ----------------------------------------------------------- */

pid_t
check_fork(void (*body)(void *), void *arg)
{
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) {
        perror("fork");
        exit(2);
    }
    if (child == 0) {
        int failed_before = failed;
        alarm(CHECK_SECONDS);
        body(arg);
        _exit(failed != failed_before);
    }
    return child;
}

int
check_wait(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            perror("waitpid");
            exit(2);
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void
check_sleep_us(unsigned microseconds)
{
    struct timespec delay = {0, (long)microseconds * 1000};
    nanosleep(&delay, NULL);
}

/* --- random numbers: SplitMix64 (Steele, Lea, Flood 2014) ---------------- */

static uint64_t
mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

struct check_random
check_random_new(uint64_t stream)
{
    struct check_random r = {mix(seed) ^ mix(stream + 1)};
    return r;
}

uint64_t
check_random_below(struct check_random *r, uint64_t limit)
{
    r->state += UINT64_C(0x9e3779b97f4a7c15);
    return mix(r->state) % limit;
}

void
check_dawdle(void)
{
    static _Atomic(uint64_t) calls;
    if (atomic_fetch_add(&calls, 1) % 128 == 0) {
        check_sleep_us(20);
    }
}

void
check_random_delay(struct check_random *r)
{
    uint64_t kind = check_random_below(r, 256);
    if (kind == 0) {
        check_sleep_us(1 + (unsigned)check_random_below(r, 60));
    }
    else if (kind < 4) {
        sched_yield();
    }
    else if (kind < 24) {
        for (uint64_t i = check_random_below(r, 20); i > 0; i--) {
            fc_pause();
        }
    }
}

/* --- failing allocations ------------------------------------------------- */

_Atomic(uint64_t) shim_fail_every;
_Atomic(int64_t) shim_live;
_Atomic(uint64_t) shim_failures;
static _Atomic(uint64_t) shim_calls;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *memory);

static bool
shim_fails(void)
{
    uint64_t every = shim_fail_every;
    if (fail_now(FAIL_MEMORY)) {
        return true;
    }
    if (every == 0 || atomic_fetch_add(&shim_calls, 1) % every != 0) {
        return false;
    }
    atomic_fetch_add(&shim_failures, 1);
    return true;
}

static void *
shim_count(void *memory)
{
    if (memory != NULL) {
        atomic_fetch_add(&shim_live, 1);
    }
    return memory;
}

void *
__wrap_malloc(size_t size)
{
    return shim_fails() ? NULL : shim_count(__real_malloc(size));
}

/* The tests use it, too, and do without failures every now and then. */
void *
__wrap_calloc(size_t count, size_t size)
{
    return fail_now(FAIL_MEMORY) ? NULL
                                 : shim_count(__real_calloc(count, size));
}

void *
__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return shim_fails() ? NULL
                        : shim_count(__real_aligned_alloc(alignment, size));
}

void
__wrap_free(void *memory)
{
    if (memory != NULL) {
        atomic_fetch_sub(&shim_live, 1);
    }
    __real_free(memory);
}

/* --- main ---------------------------------------------------------------- */

int
main(int argc, char **argv)
{
    seed = (uint64_t)fc_now_ns() % 1000000007;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[i + 1], NULL, 10);
        }
        else if (strcmp(argv[i], "--scale") == 0) {
            scale = atof(argv[i + 1]);
        }
        else if (strcmp(argv[i], "--only") == 0) {
            filter = argv[i + 1];
        }
        else {
            fprintf(stderr, "usage: %s [--seed N] [--scale X] "
                            "[--only PART_OF_A_TEST_NAME]\n", argv[0]);
            return 2;
        }
    }
    void *frame;
    (void)backtrace(&frame, 1); /* loads what it needs, outside a handler */
    struct sigaction action = {.sa_handler = give_up};
    sigaction(SIGALRM, &action, NULL);
    action.sa_handler = dump_own_stack;
    sigaction(SIGUSR2, &action, NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; check_tests[i] != NULL; i++) {
        check_tests[i]();
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
