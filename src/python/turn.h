/* turn.h - when a worker that goes from task to task lets others have the GIL.
 *
 * Calling a Python function that does nothing is passing the interpreter's own
 * switch point: there the GIL is handed over if, and only if, another thread
 * has waited for it for one switch interval, and a thread that must stop for
 * the collector stops.  Releasing the GIL by ourselves does not do: a thread
 * that waits is woken by each release, finds it taken again, and its interval
 * begins anew.  (Measured with a CPU for each thread: the main thread never
 * got it while builtins were queued; by the switch point its worst stall was
 * 1.04 intervals.)
 *
 * The clock is read after so many tasks that they take about one part of the
 * interval, as the last ones did, and the switch point is passed once per
 * part.  The interval is asked for when the clock is read for the first time:
 * a worker that finds one task and sleeps again never asks.
 */
#ifndef FC_TURN_H
#define FC_TURN_H

#include "python/state.h"

#include "port/port.h"

#define FC_TURN_TASKS_MAX 64 /* reading the clock costs 20 ns */
#define FC_TURN_PARTS 16     /* of a switch interval */

typedef struct {
    int64_t began; /* the GIL was taken, or the switch point passed */
    int64_t part;  /* of the switch interval, nanoseconds; 0: not asked yet */
    int tasks;     /* to run before the clock is read again */
    int batch;     /* what `tasks` starts from */
} fc_turn;

/* The worker has just taken the GIL. */
static inline void
fc_turn_begin(fc_turn *turn)
{
    turn->began = fc_now_ns();
    turn->part = 0;
    turn->batch = turn->tasks = 1;
}

/* Read the clock: is it time to pass the switch point? */
bool fc_turn_look(fc_state *st, fc_turn *turn);

/* Pass the switch point.  Any Python code may run in here. */
void fc_turn_pass(fc_state *st, fc_turn *turn);

#endif /* FC_TURN_H */
