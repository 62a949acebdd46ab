/* bench.h - what is measured, and what the measuring needs of it. */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>

/* Something that items go through. */
struct bench_subject {
    const char *name;
    void *(*create)(void);
    void (*put)(void *self, void *item);
    /* An item, or NULL when there is none; never waits. */
    void *(*take)(void *self);
    /* Take items until the subject is closed and empty; how many. */
    uint64_t (*serve)(void *self);
    /* No put() comes any more. */
    void (*close)(void *self);
    void (*destroy)(void *self);
};

extern const struct bench_subject bench_queue;        /* bench_queue.c */
extern const struct bench_subject bench_list;         /* bench_list.c */
extern const struct bench_subject bench_dispatch;     /* bench_dispatch.c */
extern const struct bench_subject bench_waiting_list; /* bench_list.c */

#endif /* BENCH_H */
