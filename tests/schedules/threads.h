/* threads.h - between scheduler.c, which switches threads, and points.c, which does
 * what they want done.
 */
#ifndef SCHEDULE_THREADS_H
#define SCHEDULE_THREADS_H

#include "coroutine.h"
#include "park.h"
#include "scheduler.h"

#define DELAYED_MAX 8

enum thread_state { UNUSED, READY, PARKED, ENDED };

struct delayed {
    volatile void *address;
    size_t size;
    uint64_t value;
};

struct thread {
    enum thread_state state;
    bool yielded; /* nothing has been written since it looked */
    volatile void *word;
    bool has_deadline;
    enum fc_park_result woken_by;
    uint64_t seen; /* seen.h */
    struct delayed delayed[DELAYED_MAX]; /* stores that others do not see */
    int delayed_count;
    struct fc_hazard *own; /* its copy of the thread-local variable */
    struct coroutine coroutine;
};

extern struct thread threads[SCHEDULE_THREADS];
extern int current; /* 0: the case itself */

/* Let somebody go on; returns when it is the caller's turn again. */
void take_turns(void);

/* Have the strategy pick one, and remember it. */
struct option choose(const struct option *options, int count);

/* A parked thread can go on. */
void wake(int t, enum fc_park_result why);

/* Something was written: who pauses has something to look at. */
void note_write(void);

/* The running thread's delayed stores take effect; others may go first. */
void settle_in_turn(void);

#endif /* SCHEDULE_THREADS_H */
