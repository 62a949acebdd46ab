/* kill.c - see kill.h. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "kill.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

#ifdef FC_KILL_POINT
#define HAS_POINTS true
#else
#define HAS_POINTS false
#endif
#include "points.h"

const bool kill_points = HAS_POINTS;

static atomic_long fuse;
static _Thread_local long stop_at;
static _Thread_local void (*stop_here)(void);

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
kill_stop_at(long n, void (*stop)(void))
{
    stop_at = n;
    stop_here = stop;
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
    if (stop_at > 0 && --stop_at == 0) {
        stop_here();
    }
}
