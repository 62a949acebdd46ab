/* scheduler.h - threads that take turns, and who decides about the turns.
 *
 * The threads of a case are coroutines of one real thread.  At each point
 * (points.h) the scheduler lists what can happen next, the OPTIONS, and a
 * strategy picks one:
 *
 *     RUN        a thread goes on
 *     TIMEOUT    the deadline of a parked thread passes
 *     SPURIOUS   a parked thread wakes for nothing (cases that ask for it)
 *     WAKE       fc_unpark() wakes this one of several sleepers
 *     DELAY      a store takes effect later: the thread goes on, others still
 *                see the old value.  Not for seq_cst ones.  It takes effect
 *                at the thread's next operation that is a read-modify-write,
 *                a seq_cst store or fence, at a park, unpark, pause or its
 *                end; stores keep their order.
 *
 * An option COSTS 1 when it disturbs: a thread is left that could have gone on
 * (a preemption), a deadline passes while somebody can go on, a store is
 * delayed.  Otherwise it is free.  There is always one that is free.
 *
 * A run ends when all threads have ended, or fails: nobody can go on, freed
 * memory is touched, a check of the case fails, the steps are too many.
 */
#ifndef SCHEDULE_SCHEDULER_H
#define SCHEDULE_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cases.h"

enum option_kind {
    OPTION_RUN,
    OPTION_TIMEOUT,
    OPTION_SPURIOUS,
    OPTION_WAKE,
    OPTION_DELAY,
};

struct option {
    uint8_t thread;
    uint8_t kind; /* enum option_kind */
    uint8_t cost;
};

#define OPTIONS_MAX (4 * SCHEDULE_THREADS)

/* Called wherever there are at least two options; the first one is free, and
 * is the running thread where that can go on.  `state` is the same where the
 * threads have seen the same: equal states have equal futures.  Returns the
 * number of an option, or -1: give up this run. */
typedef int strategy_pick(const struct option *options, int count,
                          uint64_t state);

/* What became of a run. */
enum outcome { RUN_PASSED, RUN_FAILED, RUN_ABANDONED };

enum outcome scheduler_run(const struct schedule_case *the_case,
                           strategy_pick *pick);

/* Of the last run. */
unsigned scheduler_steps(void);
uint64_t scheduler_state(void);
const char *scheduler_message(void);

/* The options taken, as text that a replay understands: "A12 B3 A~ B!". */
void scheduler_print_schedule(void);

/* Each operation in its order, the last ones where there are too many. */
void scheduler_print_trace(void);

/* End the run, from a thread of it or from the case's end. */
_Noreturn void scheduler_fail(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* From now on the operation at that place comes apart: between the reading and the
 * writing of a read-modify-write others may come in, and a seq_cst store may be
 * delayed.  And all such places that have been passed. */
void scheduler_tear(const char *file, int line);
void scheduler_print_sites(void);

/* For memory.c and port.c: which thread runs; 0 outside of runs' threads. */
int scheduler_thread(void);

/* The running thread has read or changed something that is not memory under
 * the scheduler's eyes, named by `what`: part of what it has seen. */
void scheduler_saw(uintptr_t what, bool changed);

/* The same for all that was done to [address, address + size). */
void scheduler_saw_block(uintptr_t address, size_t size);

/* --- memory.c */

void memory_begin_run(bool reuse);
/* From now on malloc() has nothing, or has something again. */
void memory_refuse(bool refuse);
/* What is allocated and not freed; 0 when all is. */
unsigned memory_live(void);
/* Whether [address, address + size) may be touched; if not, who freed it. */
bool memory_usable(uintptr_t address, size_t size);
const char *memory_story(uintptr_t address);

/* --- port.c */

void port_begin_run(bool cpus);

#endif /* SCHEDULE_SCHEDULER_H */
