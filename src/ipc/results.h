/* results.h - how the parent learns that there are results.
 *
 * Results come in by one stream per worker (FC_TO_PARENT).  Nobody is told of
 * them as long as nobody asks: who wants to sleep until one comes says first
 * how he sleeps, then looks at the streams, then sleeps.  A worker publishes
 * its result, then looks who sleeps.  By the argument of idle.h none is
 * missed.
 *
 *     a caller that waits    parks on fc_header.results
 *     a thread that polls    the bell, among other descriptors
 *
 * While a lot of results come, a caller does better not to say anything, to
 * nap for a moment and then to fetch all of them at once: no worker makes a
 * system call for him then.
 */
#ifndef FC_RESULTS_H
#define FC_RESULTS_H

#include "ipc/segment.h"

/* Worker: a result was published.  `ring` is the bell's descriptor, which is
 * used only when somebody polls it.  0, or an errno where the bell cannot be
 * rung: a task may have closed its descriptor, and somebody waits for it. */
int fc_results_announce(struct fc_segment *s, int ring);

/* The same in two steps: wake a caller that is parked, and return whether
 * somebody polls the bell; and ring it for him. */
bool fc_results_tell_caller(struct fc_segment *s);
int fc_results_ring(struct fc_segment *s, int ring);

/* Parent: somebody (FC_LISTENER_CALLER or _BELL; one of each at a time) is
 * going to sleep, unless he finds something when he looks now.  Returns what
 * fc_results_park() wants. */
uint32_t fc_results_listen(struct fc_segment *s, uint32_t listener);

/* Parent: he is awake. */
void fc_results_unlisten(struct fc_segment *s, uint32_t listener);

/* Parent: sleep until a worker announces something after fc_results_listen()
 * has returned `seen`, or somebody calls fc_results_nudge(). */
enum fc_park_result fc_results_park(struct fc_segment *s, uint32_t seen,
                                    int64_t deadline_ns);

/* Parent: wake the caller that is parked, whatever for. */
void fc_results_nudge(struct fc_segment *s);

#endif /* FC_RESULTS_H */
