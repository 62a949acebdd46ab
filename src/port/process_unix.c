/* process_unix.c - the part of process.h that all POSIX systems do alike. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "port/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

uint64_t
fc_memory_page(void)
{
    long size = sysconf(_SC_PAGESIZE);
    return size > 0 ? (uint64_t)size : 4096;
}

void *
fc_memory_map(int fd, uint64_t offset, uint64_t size, enum fc_mapping kind)
{
    if (size > SIZE_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    void *address =
        mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE,
             kind == FC_MAP_SHARED ? MAP_SHARED : MAP_PRIVATE, fd,
             (off_t)offset);
    return address != MAP_FAILED ? address : NULL;
}

void
fc_memory_unmap(void *address, uint64_t size)
{
    (void)munmap(address, (size_t)size);
}

void
fc_bell_silence(int listen)
{
    /* An eventfd gives 8 bytes and is empty, a pipe as many as it has. */
    char drain[64];
    while (read(listen, drain, sizeof(drain)) == (ssize_t)sizeof(drain)) {
    }
}

bool
fc_process_ended(int watch)
{
    struct pollfd poll_for = {.fd = watch, .events = POLLIN};
    return poll(&poll_for, 1, 0) > 0 && (poll_for.revents & POLLIN) != 0;
}

bool
fc_process_exists(pid_t pid)
{
    return kill(pid, 0) == 0 || errno == EPERM;
}
