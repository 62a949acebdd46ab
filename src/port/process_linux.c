/* process_linux.c - process.h on Linux: memfd, futex, eventfd, pidfd. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "port/process.h"

#if defined(__linux__) && !defined(FC_PORT_POSIX)

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "port/futex.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434 /* the same on every architecture; Linux 5.3 */
#endif

/* Bytes that are reserved at a time: some 2 ms (2026-11-21). */
#define STEP (UINT64_C(8) << 20)

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

int
fc_memory_create(void)
{
    int fd = memfd_create("futures_c", MFD_CLOEXEC | MFD_ALLOW_SEALING
                                           | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) {
        fd = memfd_create("futures_c", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    }
    if (fd < 0) {
        return -errno;
    }
    /* No seal against growing, which blocks do (blocks.h), nor against writing.
     * A system that refuses these has a file that is as good otherwise. */
    (void)fchmod(fd, S_IRUSR | S_IWUSR);
    (void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL);
    return fd;
}

int
fc_memory_reserve(int fd, uint64_t offset, uint64_t size)
{
    int error = 0;
    /* In steps, for a signal undoes the step that it comes in: a timer that
     * is faster than one of them would keep it from ever being done. */
    while (size > 0 && (error == 0 || error == EINTR)) {
        uint64_t step = size < STEP ? size : STEP;
        error = fallocate(fd, 0, (off_t)offset, (off_t)step) == 0 ? 0 : errno;
        if (error == 0) {
            offset += step;
            size -= step;
        }
    }
    return error;
}

void
fc_memory_discard(int fd, uint64_t offset, uint64_t size)
{
    /* A system that refuses keeps the memory until the file goes. */
    (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    (off_t)offset, (off_t)size);
}

enum fc_park_result
fc_park_shared(_Atomic(uint32_t) *word, uint32_t expected,
               int64_t deadline_ns)
{
    return fc_futex_wait(word, expected, deadline_ns, FC_FUTEX_SHARED);
}

void
fc_unpark_shared(_Atomic(uint32_t) *word, uint32_t count)
{
    fc_futex_wake(word, count, FC_FUTEX_SHARED);
}

int
fc_bell_create(struct fc_bell *bell)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bell->listen = bell->ring = fd;
    return fd >= 0 ? 0 : errno;
}

/* An eventfd is of no type of file at all. */
static bool
is_bell(int fd)
{
    struct stat file;
    return fstat(fd, &file) == 0 && !S_ISREG(file.st_mode)
           && !S_ISFIFO(file.st_mode) && !S_ISSOCK(file.st_mode)
           && !S_ISCHR(file.st_mode) && !S_ISBLK(file.st_mode)
           && !S_ISDIR(file.st_mode);
}

int
fc_bell_ring(int ring)
{
    if (!is_bell(ring)) {
        return EBADF;
    }
    uint64_t once = 1;
    ssize_t written;
    do { /* EINTR means something else to who rings: see fc_responder_idle(). */
        written = write(ring, &once, sizeof(once));
    } while (written < 0 && errno == EINTR);
    /* EAGAIN: the counter is full, so it rings already. */
    return written < 0 && errno != EAGAIN ? errno : 0;
}

void
fc_bell_close(struct fc_bell *bell)
{
    if (bell->listen >= 0) {
        (void)close(bell->listen);
    }
    bell->listen = bell->ring = -1;
}

int
fc_process_watch(pid_t pid)
{
    /* The descriptor is close-on-exec by itself. */
    long fd = syscall(SYS_pidfd_open, pid, 0);
    return fd >= 0 ? (int)fd : -errno;
}

#endif /* __linux__ && !FC_PORT_POSIX */
