/* failing_calls.c - the system calls that can be made to fail: see failing.c. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "failing.h"

/* The C library's function of this name, as `real`. */
#define REAL(type, name, ...)                                                  \
    static type (*_Atomic found)(__VA_ARGS__);                                 \
    type (*real)(__VA_ARGS__) = atomic_load(&found);                           \
    if (real == NULL) {                                                        \
        *(void **)&real = dlsym(RTLD_NEXT, #name);                             \
        atomic_store(&found, real);                                            \
    }

/* A function that fails without having done anything. */
#define REFUSED(kind, type, failure, name, parameters, ...)                    \
    API type name parameters                                                   \
    {                                                                          \
        REAL(type, name, __VA_ARGS__)                                          \
        return fails(kind, CALLER) ? (failure) : real ARGUMENTS;               \
    }

long
real_syscall(long number, ...)
{
    REAL(long, syscall, long, ...)
    va_list list;
    va_start(list, number);
    long a[6];
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(list, long);
    }
    va_end(list);
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

API long
syscall(long number, ...)
{
    const void *caller = CALLER;
    va_list list;
    va_start(list, number);
    long a[6];
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(list, long);
    }
    va_end(list);
    bool woke = false;
    if (number == SYS_futex) {
        int operation = (int)a[1] & FUTEX_CMD_MASK;
        bool sleeps = operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET;
        if (sleeps && fails(FUTEX_SLEEP, caller)) {
            return -1;
        }
        woke = operation == FUTEX_WAKE;
    }
    else if (number == SYS_pidfd_open && fails(PIDFD_OPEN, caller)) {
        return -1;
    }
    long result = real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    return woke && fails(FUTEX_CALL_UP, caller) ? -1 : result;
}

API int
pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
               void *(*start)(void *), void *arg)
{
    REAL(int, pthread_create, pthread_t *, const pthread_attr_t *,
         void *(*)(void *), void *)
    return fails(PTHREAD_CREATE, CALLER) ? planned_error()
                                         : real(thread, attributes, start, arg);
}

#define ARGUMENTS ()
REFUSED(FORK, pid_t, -1, fork, (void), void)
#undef ARGUMENTS

#define ARGUMENTS (name, flags)
REFUSED(MEMFD_CREATE, int, -1, memfd_create, (const char *name, unsigned flags),
        const char *, unsigned)
#undef ARGUMENTS

#define ARGUMENTS (fd, length)
REFUSED(FTRUNCATE, int, -1, ftruncate, (int fd, off_t length), int, off_t)
#undef ARGUMENTS

#define ARGUMENTS (fd, mode, offset, length)
REFUSED(FALLOCATE, int, -1, fallocate,
        (int fd, int mode, off_t offset, off_t length), int, int, off_t, off_t)
#undef ARGUMENTS

#define ARGUMENTS (start, flags)
REFUSED(EVENTFD, int, -1, eventfd, (unsigned start, int flags), unsigned, int)
#undef ARGUMENTS

#define ARGUMENTS (fds, flags)
REFUSED(PIPE, int, -1, pipe2, (int fds[2], int flags), int *, int)
#undef ARGUMENTS

#define ARGUMENTS (domain, type, protocol, fds)
REFUSED(SOCKETPAIR, int, -1, socketpair,
        (int domain, int type, int protocol, int fds[2]), int, int, int, int *)
#undef ARGUMENTS

#define ARGUMENTS (address, length, protection, flags, fd, offset)
REFUSED(MMAP, void *, MAP_FAILED, mmap,
        (void *address, size_t length, int protection, int flags, int fd,
         off_t offset),
        void *, size_t, int, int, int, off_t)
#undef ARGUMENTS

#define ARGUMENTS (fds, count, timeout)
REFUSED(POLL, int, -1, poll, (struct pollfd *fds, nfds_t count, int timeout),
        struct pollfd *, nfds_t, int)
#undef ARGUMENTS

#define ARGUMENTS (fd, buffer, size)
REFUSED(READ, ssize_t, -1, read, (int fd, void *buffer, size_t size), int,
        void *, size_t)
REFUSED(WRITE, ssize_t, -1, write, (int fd, const void *buffer, size_t size),
        int, const void *, size_t)
#undef ARGUMENTS

#define ARGUMENTS (fd, buffer, size, offset)
REFUSED(PREAD, ssize_t, -1, pread,
        (int fd, void *buffer, size_t size, off_t offset), int, void *, size_t,
        off_t)
REFUSED(PREAD, ssize_t, -1, pread64,
        (int fd, void *buffer, size_t size, off64_t offset), int, void *,
        size_t, off64_t)
#undef ARGUMENTS

#define ARGUMENTS (fd, result)
REFUSED(FSTAT, int, -1, fstat, (int fd, struct stat *result), int,
        struct stat *)
#undef ARGUMENTS

#define ARGUMENTS (flags)
REFUSED(EPOLL_CREATE, int, -1, epoll_create1, (int flags), int)
#undef ARGUMENTS

#define ARGUMENTS (set, operation, fd, event)
REFUSED(EPOLL_CTL, int, -1, epoll_ctl,
        (int set, int operation, int fd, struct epoll_event *event), int, int,
        int, struct epoll_event *)
#undef ARGUMENTS

#define ARGUMENTS (set, events, most, timeout)
REFUSED(EPOLL_WAIT, int, -1, epoll_wait,
        (int set, struct epoll_event *events, int most, int timeout), int,
        struct epoll_event *, int, int)
#undef ARGUMENTS

/* What is done all the same. */

API int
close(int fd)
{
    REAL(int, close, int)
    int result = real(fd);
    return fails(CLOSE, CALLER) ? -1 : result;
}

API int
munmap(void *address, size_t length)
{
    REAL(int, munmap, void *, size_t)
    int result = real(address, length);
    return fails(MUNMAP, CALLER) ? -1 : result;
}
