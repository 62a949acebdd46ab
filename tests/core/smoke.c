/* smoke.c - the shortest program in which every part of the core works:
 * two submitters, three workers, one owner that waits for all of it.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/dispatch.h"
#include "core/group.h"
#include "port/port.h"

#define TASKS 20000
#define SUBMITTERS 2
#define WORKERS 3

static struct fc_dispatch *dispatch;
static struct fc_group *group;
static _Atomic(int) runs[SUBMITTERS * TASKS];

static void *
submit(void *first)
{
    struct fc_counts counts;
    for (int i = 0; i < TASKS; i++) {
        if (fc_dispatch_submit(dispatch, (_Atomic(int) *)first + i,
                               &counts) < 0) {
            abort();
        }
    }
    return NULL;
}

static void *
work(void *arg)
{
    struct fc_worker *w = arg;
    fc_worker_arrive(w);
    for (;;) {
        _Atomic(int) *item = fc_worker_wait(w);
        if (item == NULL) {
            return NULL;
        }
        do {
            atomic_fetch_add(item, 1);
            if (fc_group_complete(group)) {
                fc_group_wake(group);
            }
        } while ((item = fc_worker_next(w)) != NULL);
    }
}

int
main(void)
{
    pthread_t submitters[SUBMITTERS], workers[WORKERS];
    dispatch = fc_dispatch_new();
    group = fc_group_new(SUBMITTERS * TASKS);
    for (int i = 0; i < WORKERS; i++) {
        pthread_create(&workers[i], NULL, work, fc_worker_new(dispatch));
    }
    for (int i = 0; i < SUBMITTERS; i++) {
        pthread_create(&submitters[i], NULL, submit, &runs[i * TASKS]);
    }
    while (fc_group_wait(group, fc_now_ns() + 20000000000, -1) ==
           FC_GROUP_INTERRUPTED) {
    }
    int wrong = 0;
    for (int i = 0; i < SUBMITTERS * TASKS; i++) {
        wrong += runs[i] != 1;
    }
    for (int i = 0; i < SUBMITTERS; i++) {
        pthread_join(submitters[i], NULL);
    }
    fc_dispatch_close(dispatch);
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(workers[i], NULL);
    }
    fc_dispatch_free(dispatch);
    fc_group_unref(group);
    printf("%d passed, %d failed\n", SUBMITTERS * TASKS - wrong, wrong);
    return wrong != 0;
}
