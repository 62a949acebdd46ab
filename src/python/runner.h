/* runner.h - running what a worker has taken from the queue. */
#ifndef FC_RUNNER_H
#define FC_RUNNER_H

#include "python/future.h"
#include "python/turn.h"
#include "python/work_queue.h"

#include "port/port.h"

/* A worker's loop, or the bystander that runs one item by its run(). */
typedef struct {
    fc_state *st;
    PyObject *context;        /* worker context of 3.14+, or NULL */
    struct fc_worker *worker; /* NULL for a bystander */
    uint32_t generation;      /* of the process that the worker is of */
    fc_turn turn;             /* at the GIL */
    fc_due due;               /* completions nobody was told of yet */
} fc_runner;

/* Run one item and take the next one.  NULL: there is none, and the worker
 * is a searching one (or there is no worker); what is in runner->due is to
 * be fired after the GIL has been released. */
void *fc_runner_run(fc_runner *runner, void *item);

/* Is this the child of a process that forked in the task just run? */
static inline bool
fc_runner_has_forked(const fc_runner *runner)
{
    return runner->worker != NULL
           && runner->generation != fc_fork_generation();
}

/* After a task: is it time to let others have the GIL?  Where nothing is queued
 * the worker is going to release it anyway. */
static inline bool
fc_runner_turn_is_due(fc_runner *runner)
{
    if (runner->worker == NULL || --runner->turn.tasks > 0) {
        return false;
    }
    if (!fc_worker_sees_task(runner->worker)) {
        runner->turn.tasks = 1;
        return false;
    }
    return fc_turn_look(runner->st, &runner->turn);
}

/* Reserve the next task, or be counted as idle.  Lock-free, and runs no
 * Python code: done before the result of the last task becomes visible, so
 * that whoever sees that result also sees this worker as idle. */
static inline void *
fc_runner_next(fc_runner *runner)
{
    return runner->worker != NULL ? fc_worker_next(runner->worker) : NULL;
}

/* The same where nothing is left to be made visible: with the turn at the GIL
 * passed first, if it is over, while no task is reserved that would wait. */
static inline void *
fc_runner_next_turn(fc_runner *runner, bool turn_is_due)
{
    if (turn_is_due) {
        fc_turn_pass(runner->st, &runner->turn);
    }
    return fc_runner_next(runner);
}

#endif /* FC_RUNNER_H */
