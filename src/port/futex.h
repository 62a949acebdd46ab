/* futex.h - the system call behind fc_park() and fc_park_shared() on Linux.
 *
 * For port_linux.c and process_linux.c alone.  `flags` is FC_FUTEX_PRIVATE
 * or, for a word in memory of several processes, FC_FUTEX_SHARED.
 */
#ifndef FC_FUTEX_H
#define FC_FUTEX_H

#include "port/port.h"

#if defined(__linux__) && !defined(FC_PORT_POSIX)

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What <linux/futex.h> says, which not every system with a compiler and a C
 * library has: on some the kernel's headers are a package of their own.  The
 * numbers are the kernel's interface, the same on every architecture. */
enum {
    FC_FUTEX_SHARED = 0,
    FC_FUTEX_WAKE = 1,
    FC_FUTEX_WAIT_BITSET = 9,
    FC_FUTEX_PRIVATE = 128,
};
#define FC_FUTEX_ANY_BIT UINT32_MAX

/* The kernel's own idea of a timespec for SYS_futex, which on 32-bit systems
 * is not that of a C library with 64-bit times. */
struct fc_futex_time {
    long seconds;
    long nanoseconds;
};

/* FUTEX_WAIT_BITSET rather than FUTEX_WAIT because its timeout is a point on
 * CLOCK_MONOTONIC: a wait that is resumed after a signal needs no arithmetic
 * and does not drift. */
static inline enum fc_park_result
fc_futex_wait(_Atomic(uint32_t) *word, uint32_t expected, int64_t deadline_ns,
              int flags)
{
    struct fc_futex_time until;
    struct fc_futex_time *timeout = NULL;
    if (deadline_ns != FC_FOREVER) {
        /* The kernel refuses negative times; the past is the past. */
        int64_t at = deadline_ns > 0 ? deadline_ns : 0;
        until.seconds = (long)(at / 1000000000);
        until.nanoseconds = (long)(at % 1000000000);
        timeout = &until;
    }
    int saved_errno = errno;
    enum fc_park_result result = FC_PARK_WOKEN;
    if (syscall(SYS_futex, word, FC_FUTEX_WAIT_BITSET | flags, expected,
                timeout, NULL, FC_FUTEX_ANY_BIT) != 0) {
        if (errno == ETIMEDOUT) {
            result = FC_PARK_TIMED_OUT;
        }
        else if (errno == EINTR) {
            result = FC_PARK_INTERRUPTED;
        }
    }
    errno = saved_errno;
    return result;
}

static inline void
fc_futex_wake(_Atomic(uint32_t) *word, uint32_t count, int flags)
{
    int saved_errno = errno;
    int limit = count > INT_MAX ? INT_MAX : (int)count;
    /* Fails with EFAULT where the memory has been unmapped since, which
     * means that nobody sleeps there. */
    (void)syscall(SYS_futex, word, FC_FUTEX_WAKE | flags, limit, NULL, NULL, 0);
    errno = saved_errno;
}

#endif /* __linux__ && !FC_PORT_POSIX */
#endif /* FC_FUTEX_H */
