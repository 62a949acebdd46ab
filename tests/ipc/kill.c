/* kill.c - see kill.h. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "kill.h"

#include <signal.h>
#include <stdatomic.h>

#include "points.h"

static atomic_long fuse;

#define SELDOM 30000000000
long long look_ns = SELDOM;

void
look_often(bool often)
{
    look_ns = often ? 1000000000 : SELDOM;
}

void
kill_fuse(long n)
{
    fuse = n;
}

void
kill_point(const char *file, int line)
{
    /* For the eye of a debugger. */
    (void)file;
    (void)line;
    if (fuse > 0 && atomic_fetch_sub(&fuse, 1) == 1) {
        raise(SIGKILL);
    }
}
