/* process_posix.c - process.h on any POSIX system.
 *
 * The memory is an object of shm_open(), or a file in the directory for
 * temporary ones, unlinked at once.  POSIX's own means of waiting between
 * processes (mutexes and condition variables in shared memory) do not survive
 * the death of whoever holds them, so sleepers look at the word from time to
 * time instead.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "port/process.h"

#if !defined(__linux__) || defined(FC_PORT_POSIX)

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Names tried before giving up: each is taken only by a process of the same
 * number that died between making and unlinking it. */
#define FC_NAMES 16

static int
create_object(void)
{
    for (unsigned i = 0; i < FC_NAMES; i++) {
        char name[48];
        (void)snprintf(name, sizeof(name), "/futures_c.%ld.%u",
                       (long)getpid(), i);
        int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd >= 0) {
            (void)shm_unlink(name);
            return fd; /* POSIX has it close-on-exec */
        }
        if (errno != EEXIST) {
            break;
        }
    }
    return -errno;
}

static int
create_file(void)
{
    const char *directory = getenv("TMPDIR");
    char path[512];
    int length = snprintf(path, sizeof(path), "%s/futures_c.XXXXXX",
                          directory != NULL ? directory : "/tmp");
    if (length < 0 || (size_t)length >= sizeof(path)) {
        return -ENAMETOOLONG;
    }
    int fd = mkstemp(path);
    if (fd < 0) {
        return -errno;
    }
    (void)unlink(path);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}

int
fc_memory_create(void)
{
    int fd = create_object();
    return fd >= 0 ? fd : create_file();
}

int
fc_memory_reserve(int fd, uint64_t offset, uint64_t size)
{
    int error;
    do {
        error = posix_fallocate(fd, (off_t)offset, (off_t)size);
    } while (error == EINTR);
    return error;
}

void
fc_memory_discard(int fd, uint64_t offset, uint64_t size)
{
    /* No portable way but to shorten the file, which others use. */
    (void)fd;
    (void)offset;
    (void)size;
}

enum fc_park_result
fc_park_shared(_Atomic(uint32_t) *word, uint32_t expected,
               int64_t deadline_ns)
{
    while (atomic_load_explicit(word, memory_order_acquire) == expected) {
        int64_t left = FC_POLL_NS;
        if (deadline_ns != FC_FOREVER) {
            int64_t until = deadline_ns - fc_now_ns();
            if (until <= 0) {
                return FC_PARK_TIMED_OUT;
            }
            left = until < left ? until : left;
        }
        struct timespec nap = {.tv_sec = 0, .tv_nsec = (long)left};
        if (nanosleep(&nap, NULL) != 0) {
            return FC_PARK_INTERRUPTED;
        }
    }
    return FC_PARK_WOKEN;
}

void
fc_unpark_shared(_Atomic(uint32_t) *word, uint32_t count)
{
    /* Those who sleep look for themselves. */
    (void)word;
    (void)count;
}

static int
set_flags(int fd)
{
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        return errno;
    }
    return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? errno : 0;
}

int
fc_bell_create(struct fc_bell *bell)
{
    int ends[2];
    bell->listen = bell->ring = -1;
    if (pipe(ends) != 0) {
        return errno;
    }
    bell->listen = ends[0];
    bell->ring = ends[1];
    int error = set_flags(ends[0]);
    if (error == 0) {
        error = set_flags(ends[1]);
    }
    if (error != 0) {
        fc_bell_close(bell);
    }
    return error;
}

int
fc_bell_ring(int ring)
{
    struct stat file;
    if (fstat(ring, &file) != 0 || !S_ISFIFO(file.st_mode)) {
        return EBADF;
    }
    char once = 1;
    ssize_t written;
    do { /* EINTR means something else to who rings: see fc_responder_idle(). */
        written = write(ring, &once, 1);
    } while (written < 0 && errno == EINTR);
    /* EAGAIN: the pipe is full, so it rings already. */
    return written < 0 && errno != EAGAIN ? errno : 0;
}

void
fc_bell_close(struct fc_bell *bell)
{
    if (bell->listen >= 0) {
        (void)close(bell->listen);
        (void)close(bell->ring);
    }
    bell->listen = bell->ring = -1;
}

int
fc_process_watch(pid_t pid)
{
    (void)pid;
    return -ENOSYS;
}

#endif /* !__linux__ || FC_PORT_POSIX */
