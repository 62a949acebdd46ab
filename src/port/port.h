/* port.h - what futures_c asks of the operating system.
 *
 * This header is the whole contract; port_linux.c and port_posix.c are its
 * two implementations (port_pthread.c holds what they share) and the only
 * files that name a system call.  Nothing
 * here knows Python, queues or futures.  The Linux half is built by default
 * on Linux; compiling with -DFC_PORT_POSIX selects the portable half, which
 * needs POSIX threads and C11 atomics alone.
 */
#ifndef FC_PORT_H
#define FC_PORT_H

#include <stdatomic.h>
#include <stdint.h>

/* The three ways in which fc_park() returns. */
enum fc_park_result {
    FC_PARK_WOKEN = 0,       /* by fc_unpark(), because *word had changed
                                already, or spuriously: look again */
    FC_PARK_TIMED_OUT = 1,   /* the deadline has passed */
    FC_PARK_INTERRUPTED = 2, /* a signal handler ran in this thread */
};

/* A deadline that never comes. */
#define FC_FOREVER INT64_MAX

/* Sleep while *word == expected, until fc_unpark(word), a signal or the
 * deadline (nanoseconds of fc_now_ns()'s clock, or FC_FOREVER).  The
 * comparison and falling asleep are atomic with respect to fc_unpark():
 * a caller that changes *word and then calls fc_unpark() wakes every thread
 * that saw the old value.  Async-signal-safe on Linux. */
enum fc_park_result fc_park(_Atomic(uint32_t) *word, uint32_t expected,
                            int64_t deadline_ns);

/* The same without a deadline and deaf to signals: for threads that have
 * nothing to do when one arrives.  Returns when woken or spuriously. */
void fc_park_deaf(_Atomic(uint32_t) *word, uint32_t expected);

/* Wake at most `count` threads parked on `word` (UINT32_MAX: all).  Never
 * dereferences `word`: it may be the address of memory freed since. */
void fc_unpark(_Atomic(uint32_t) *word, uint32_t count);

/* Nanoseconds of a monotonic clock with an arbitrary start. */
int64_t fc_now_ns(void);

/* About the same, some milliseconds late where that is cheaper. */
int64_t fc_now_roughly_ns(void);

/* The number of the CPU that the calling thread runs on, or -1 where the
 * system does not tell.  A hint: it may be stale when it is returned. */
int fc_cpu(void);

/* Let another thread that is ready run on this CPU before this one goes on.  It
 * may keep the CPU for a whole time slice of the scheduler. */
void fc_yield(void);

/* Tell the CPU that this is a spin loop.  Never yields to the scheduler. */
static inline void
fc_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ __volatile__("yield");
#endif
}

/* A variable that each thread has its own of.  Where the C library reserves
 * room for libraries loaded late, it is reached without a function call
 * (2 ns per access otherwise): keep such variables to a few words. */
#if defined(__GLIBC__)
#define FC_THREAD_LOCAL \
    _Thread_local __attribute__((tls_model("initial-exec")))
#else
#define FC_THREAD_LOCAL _Thread_local
#endif

/* Arrange that `on_exit(value)` runs in the calling thread when it ends.
 * Replaces what the thread registered before, so there is one user in the
 * process: core/hazard.c.  The function may itself use fc_at_thread_exit().
 * Returns 0, or -1 where the system has no room (nothing is registered
 * then). */
int fc_at_thread_exit(void (*on_exit)(void *), void *value);

/* Begin to count forks.  Idempotent; 0, or -1 where the system has no room
 * for a handler. */
int fc_fork_watch(void);

/* Written by the handler alone. */
extern _Atomic(uint32_t) fc_fork_count;

/* Written by the handler alone. */
extern _Atomic(uint32_t) fc_fork_calls;

/* How often this process, or one that it descends from, has called fork().
 * Grows before the child is there. */
static inline uint32_t
fc_forks(void)
{
    return atomic_load_explicit(&fc_fork_calls, memory_order_relaxed);
}

/* A number that grows by one in every child of fork(), so that what remembers
 * it knows in O(1) whether this process inherited it.  Never 0.  Relaxed: it
 * changes only while the process has a single thread. */
static inline uint32_t
fc_fork_generation(void)
{
    return atomic_load_explicit(&fc_fork_count, memory_order_relaxed);
}

#endif /* FC_PORT_H */
