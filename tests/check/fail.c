/* fail.c - see fail.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* In place of an errno: the call does nothing and says that all is well. */
#define NOTHING (-1)

/* The ways in which each fails; 0 ends them. */
static const int ways[FAIL_KINDS][6] = {
    [FAIL_MEMORY] = {ENOMEM},
    [FAIL_MAP] = {ENOMEM, EAGAIN},
    [FAIL_FILE] = {EMFILE, ENFILE, ENOMEM, ENOSYS},
    [FAIL_LENGTH] = {ENOSPC, EFBIG, EINTR},
    [FAIL_RESERVE] = {ENOSPC, ENOMEM, EFBIG, EINTR},
    [FAIL_STAT] = {ENOMEM, EBADF},
    [FAIL_BELL] = {EMFILE, ENFILE, ENOMEM},
    [FAIL_READ] = {EINTR, EIO, NOTHING},
    [FAIL_WRITE] = {EINTR, EBADF},
    [FAIL_POLL] = {EINTR, ENOMEM, NOTHING},
    [FAIL_SLEEP] = {EINTR, EAGAIN, ETIMEDOUT, NOTHING},
    [FAIL_WATCH] = {EMFILE, ENFILE, ENOSYS, ESRCH},
    [FAIL_THREAD] = {EAGAIN},
    [FAIL_AT_EXIT] = {ENOMEM},
};

static const char *const names[FAIL_KINDS] = {
    "memory", "map",   "file",  "length", "reserve", "stat",   "bell",
    "read",   "write", "poll",  "sleep",  "watch",   "thread", "at exit",
};

/* How often threads sleep differs from run to run: no run is the one without a
 * failure for certain. */
#define MOST_CALLS 60

static struct {
    _Atomic(int) kind; /* FAIL_KINDS: none is to fail */
    int way;
    _Atomic(uint64_t) left; /* calls until then */
    atomic_bool happened;
} armed = {.kind = FAIL_KINDS};

bool
fail_has_happened(void)
{
    return armed.happened;
}

bool
fail_was(int error)
{
    return armed.happened && armed.way == error;
}

bool
fail_now(enum fail_kind kind)
{
    if (atomic_load_explicit(&armed.kind, memory_order_acquire) != (int)kind
        || atomic_fetch_sub(&armed.left, 1) != 1) {
        return false;
    }
    armed.happened = true;
    if (armed.way != NOTHING) {
        errno = armed.way;
    }
    return true;
}

/* --- what is left behind ------------------------------------------------------ */

static int
count_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

/* Of files that have no name, as ours. */
static int
count_mappings(void)
{
    static char line[4096];
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
        count += strstr(line, "(deleted)") != NULL;
    }
    if (maps != NULL) {
        (void)fclose(maps);
    }
    return count;
}

/* One run; whether the call was reached. */
static bool
run_once(void (*scenario)(void), enum fail_kind kind, int way, uint64_t n)
{
    int64_t live = shim_live;
    int descriptors = count_descriptors(), mappings = count_mappings();
    armed.happened = false;
    armed.way = way;
    armed.left = n;
    atomic_store_explicit(&armed.kind, (int)kind, memory_order_release);
    scenario();
    armed.kind = FAIL_KINDS;
    bool clean = CHECK(shim_live == live);
    clean = CHECK(count_mappings() == mappings) && clean;
    /* Where fstat() does not say whose a descriptor is, it is left alone. */
    int more = count_descriptors() - descriptors;
    clean = CHECK(more == 0 || (kind == FAIL_STAT && more == 1)) && clean;
    if (!clean) {
        fprintf(stderr, "after %s, call %llu, error %d\n", names[kind],
                (unsigned long long)n, way);
    }
    return armed.happened;
}

void
fail_in_turn(void (*scenario)(void), unsigned kinds, unsigned must)
{
    /* What is made once and kept is there afterwards. */
    scenario();
    for (int kind = 0; kind < FAIL_KINDS; kind++) {
        uint64_t failures = 0;
        for (const int *way = ways[kind];
             (kinds & FAIL_SET(kind)) != 0 && *way != 0; way++) {
            uint64_t n = 1;
            while (n <= MOST_CALLS
                   && run_once(scenario, (enum fail_kind)kind, *way, n)) {
                n++;
                failures++;
            }
        }
        if (must & FAIL_SET(kind)) {
            CHECK(failures > 0);
        }
    }
}

/* --- the calls ---------------------------------------------------------------- */

#define REAL(type, name, ...)     \
    type __real_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__)

REAL(void *, mmap, void *at, size_t size, int protection, int flags, int fd,
     off_t offset)
{
    return fail_now(FAIL_MAP)
               ? MAP_FAILED
               : __real_mmap(at, size, protection, flags, fd, offset);
}

REAL(int, memfd_create, const char *name, unsigned flags)
{
    return fail_now(FAIL_FILE) ? -1 : __real_memfd_create(name, flags);
}

REAL(int, shm_open, const char *name, int flags, mode_t mode)
{
    return fail_now(FAIL_FILE) ? -1 : __real_shm_open(name, flags, mode);
}

REAL(int, mkstemp, char *path)
{
    return fail_now(FAIL_FILE) ? -1 : __real_mkstemp(path);
}

REAL(int, ftruncate, int fd, off_t length)
{
    return fail_now(FAIL_LENGTH) ? -1 : __real_ftruncate(fd, length);
}

REAL(int, fallocate, int fd, int mode, off_t offset, off_t size)
{
    return fail_now(FAIL_RESERVE) ? -1
                                  : __real_fallocate(fd, mode, offset, size);
}

REAL(int, posix_fallocate, int fd, off_t offset, off_t size)
{
    return fail_now(FAIL_RESERVE) ? errno
                                  : __real_posix_fallocate(fd, offset, size);
}

REAL(int, fstat, int fd, struct stat *file)
{
    return fail_now(FAIL_STAT) ? -1 : __real_fstat(fd, file);
}

REAL(int, eventfd, unsigned start, int flags)
{
    return fail_now(FAIL_BELL) ? -1 : __real_eventfd(start, flags);
}

REAL(int, pipe, int *ends)
{
    return fail_now(FAIL_BELL) ? -1 : __real_pipe(ends);
}

/* -1, or for NOTHING what a call says that had nothing to do. */
static int
failed(void)
{
    return armed.way == NOTHING ? 0 : -1;
}

REAL(ssize_t, read, int fd, void *to, size_t size)
{
    return fail_now(FAIL_READ) ? failed() : __real_read(fd, to, size);
}

REAL(ssize_t, pread, int fd, void *to, size_t size, off_t offset)
{
    return fail_now(FAIL_READ) ? failed()
                               : __real_pread(fd, to, size, offset);
}

REAL(ssize_t, write, int fd, const void *from, size_t size)
{
    return fail_now(FAIL_WRITE) ? -1 : __real_write(fd, from, size);
}

REAL(int, poll, struct pollfd *of, nfds_t count, int timeout)
{
    return fail_now(FAIL_POLL) ? failed() : __real_poll(of, count, timeout);
}

REAL(int, pthread_create, pthread_t *thread, const pthread_attr_t *attributes,
     void *(*body)(void *), void *arg)
{
    return fail_now(FAIL_THREAD)
               ? errno
               : __real_pthread_create(thread, attributes, body, arg);
}

REAL(int, pthread_setspecific, pthread_key_t key, const void *value)
{
    return fail_now(FAIL_AT_EXIT) ? errno
                                  : __real_pthread_setspecific(key, value);
}

/* --- sleeping: only what the system may do ------------------------------------- */

/* No deadline passes that there is not. */
static bool
sleep_fails(bool has_deadline)
{
    return (armed.way != ETIMEDOUT || has_deadline) && fail_now(FAIL_SLEEP);
}

#ifdef SYS_futex
#define FUTEX SYS_futex
#else
#define FUTEX SYS_futex_time64
#endif
#define FUTEX_COMMAND 127 /* without FUTEX_PRIVATE_FLAG and such */
#define FUTEX_WAIT_BITSET_ 9
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long
__wrap_syscall(long number, ...)
{
    long a[6];
    va_list rest;
    va_start(rest, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(rest, long);
    }
    va_end(rest);
    if (number == FUTEX && (a[1] & FUTEX_COMMAND) == FUTEX_WAIT_BITSET_
        && sleep_fails(a[3] != 0)) {
        return failed();
    }
    if (number == SYS_pidfd_open && fail_now(FAIL_WATCH)) {
        return -1;
    }
    return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

REAL(int, pthread_cond_wait, pthread_cond_t *condition,
     pthread_mutex_t *mutex)
{
    return sleep_fails(false) ? 0
                              : __real_pthread_cond_wait(condition, mutex);
}

REAL(int, pthread_cond_timedwait, pthread_cond_t *condition,
     pthread_mutex_t *mutex, const struct timespec *until)
{
    if (sleep_fails(true)) {
        return armed.way == ETIMEDOUT ? ETIMEDOUT : 0;
    }
    return __real_pthread_cond_timedwait(condition, mutex, until);
}

REAL(int, nanosleep, const struct timespec *time, struct timespec *left)
{
    return sleep_fails(false) ? failed() : __real_nanosleep(time, left);
}
