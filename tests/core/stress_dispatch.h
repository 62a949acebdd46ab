/* stress_dispatch.h - the one way in which the dispatch is stressed: a small
 * thread pool over it, as the executor is one.
 */
#ifndef STRESS_DISPATCH_H
#define STRESS_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

struct stress_dispatch {
    unsigned submitters;
    unsigned workers_max;
    uint64_t tasks;      /* by each submitter */
    uint64_t fail_every; /* every k-th allocation fails; 0: none */
    unsigned leave_odds; /* a running worker ends after a task with 1/odds
                            chance; 0: never */
    bool bystander;      /* somebody drains tasks now and then */
    bool delays;         /* so that workers park */
    bool round_trips;    /* submitters wait for each task */
    bool early_close;    /* close at a random moment while they submit */
};

/* Checks that each task runs once or is drained once, that those accepted
 * before the close have been when all workers have left, that nobody sleeps
 * while a task is queued, that no more threads than allowed are started and
 * that all workers leave after the close. */
void stress_dispatch(const struct stress_dispatch *config);

#endif /* STRESS_DISPATCH_H */
