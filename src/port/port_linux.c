/* port_linux.c - port.h on Linux: futexes and sched_getcpu(). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "port/port.h"

#if defined(__linux__) && !defined(FC_PORT_POSIX)

#include <sched.h>

#include "port/futex.h"

enum fc_park_result
fc_park(_Atomic(uint32_t) *word, uint32_t expected, int64_t deadline_ns)
{
    return fc_futex_wait(word, expected, deadline_ns, FC_FUTEX_PRIVATE);
}

void
fc_park_deaf(_Atomic(uint32_t) *word, uint32_t expected)
{
    while (fc_park(word, expected, FC_FOREVER) == FC_PARK_INTERRUPTED) {
    }
}

void
fc_unpark(_Atomic(uint32_t) *word, uint32_t count)
{
    fc_futex_wake(word, count, FC_FUTEX_PRIVATE);
}

int
fc_cpu(void)
{
    return sched_getcpu();
}

void
fc_yield(void)
{
    (void)sched_yield();
}

#endif /* __linux__ && !FC_PORT_POSIX */
