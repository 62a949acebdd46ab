/* strategies.h - who picks among the options of scheduler.h. */
#ifndef SCHEDULE_STRATEGIES_H
#define SCHEDULE_STRATEGIES_H

#include "scheduler.h"

/* --- systematic.c: every schedule in which at most `bound` things disturb.
 *
 * Iterative context bounding is of Madanlal Musuvathi and Shaz Qadeer
 * ("Iterative Context Bounding for Systematic Testing of Multithreaded
 * Programs", PLDI 2007).  Depth first; a run is given up where it meets a state
 * that was met before with no less left of the bound. */

void systematic_begin(int bound);

/* Do without: every run is run to its end.  To compare with. */
void systematic_forget(void);

/* Is there another one?  Call it after each run. */
bool systematic_next(void);

/* A run has ended so; how many different ends there are.  Both are the same with
 * and without giving up. */
void systematic_note_end(uint64_t state);
uint64_t systematic_ends(void);

/* Whether the bound has ruled anything out.  If not, there is nothing beyond
 * it. */
bool systematic_was_cut(void);

/* Whether the memory for states was enough (more of them are only slow). */
bool systematic_remembered_all(void);

int systematic_pick(const struct option *options, int count, uint64_t state);

/* --- random.c: random priorities.
 *
 * Of Sebastian Burckhardt, Pravesh Kothari, Madanlal Musuvathi and Santosh
 * Nagarakatte ("A Randomized Scheduler with Probabilistic Guarantees of Finding
 * Bugs", ASPLOS 2010): the thread with the highest priority runs, and at a few
 * places drawn before it becomes the lowest.  Who pauses does too. */

void random_begin(uint64_t seed);
int random_pick(const struct option *options, int count, uint64_t state);

/* --- replay.c: what scheduler_print_schedule() has printed. */

/* False: it cannot be read. */
bool replay_begin(const char *schedule);
int replay_pick(const struct option *options, int count, uint64_t state);

#endif /* SCHEDULE_STRATEGIES_H */
