/* fork.c - counting forks, the same on every POSIX system. */
#include "port/port.h"

#include <pthread.h>

_Atomic(uint32_t) fc_fork_count = 1;
_Atomic(uint32_t) fc_fork_calls = 0;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int watching = -1;

/* Runs in the child, right after fork(), in the only thread there is: an
 * atomic increment is all that it may and need do. */
static void
count_fork(void)
{
    /* Relaxed: no other thread exists yet, and those started later are
     * ordered after this by their creation. */
    atomic_fetch_add_explicit(&fc_fork_count, 1, memory_order_relaxed);
}

/* Before fork(), and in the parent after it: what another thread makes in
 * between is in the child, too, and remembers a number that has passed. */
static void
count_call(void)
{
    atomic_fetch_add_explicit(&fc_fork_calls, 1, memory_order_relaxed);
}

static void
install(void)
{
    watching =
        pthread_atfork(count_call, count_call, count_fork) == 0 ? 0 : -1;
}

int
fc_fork_watch(void)
{
    (void)pthread_once(&once, install);
    return watching;
}
