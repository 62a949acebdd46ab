/* failing.h - what the two halves of the preloaded library share: see failing.c. */
#ifndef FAILING_H
#define FAILING_H

#include <stdbool.h>

#define API __attribute__((visibility("default")))
#define CALLER __builtin_return_address(0)

/* In the order of KINDS in shim.py. */
enum kind {
    NOTHING,
    ALLOCATION,
    FUTEX_SLEEP,
    FUTEX_CALL_UP,
    PIDFD_OPEN,
    PTHREAD_CREATE,
    FORK,
    MMAP,
    MUNMAP,
    MEMFD_CREATE,
    FTRUNCATE,
    FALLOCATE,
    EVENTFD,
    PIPE,
    SOCKETPAIR,
    POLL,
    READ,
    WRITE,
    PREAD,
    CLOSE,
    FSTAT,
    EPOLL_CREATE,
    EPOLL_CTL,
    EPOLL_WAIT,
};

/* Whether this call is to fail; then errno is set.  *caller* is the address that
 * it returns to; NULL: look outwards from here. */
bool fails(enum kind kind, const void *caller);

/* The errno of what fails now. */
int planned_error(void);

/* syscall() itself, which never fails by plan. */
long real_syscall(long number, ...);

#endif /* FAILING_H */
