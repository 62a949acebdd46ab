/* port_pthread.c - the part of port.h that every POSIX system does alike:
 * the clock and the hook at a thread's end.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "port/port.h"

#include <pthread.h>
#include <stddef.h>
#include <time.h>

int64_t
fc_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t
fc_now_roughly_ns(void)
{
#ifdef CLOCK_MONOTONIC_COARSE
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC_COARSE, &now) == 0) {
        return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    }
#endif
    return fc_now_ns();
}

/* What the calling thread has registered.  It lives in the thread itself, so
 * that registering needs no memory of ours; keys are destroyed before it. */
static FC_THREAD_LOCAL struct {
    void (*on_exit)(void *);
    void *value;
} registered;

static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static int exit_key_error;

static void
run_registered(void *unused)
{
    (void)unused;
    void (*on_exit)(void *) = registered.on_exit;
    if (on_exit != NULL) {
        registered.on_exit = NULL;
        on_exit(registered.value);
    }
}

static void
make_exit_key(void)
{
    exit_key_error = pthread_key_create(&exit_key, run_registered);
}

int
fc_at_thread_exit(void (*on_exit)(void *), void *value)
{
    pthread_once(&exit_once, make_exit_key);
    if (exit_key_error != 0 ||
        pthread_setspecific(exit_key, &registered) != 0) {
        return -1;
    }
    registered.on_exit = on_exit;
    registered.value = value;
    return 0;
}
