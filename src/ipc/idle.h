/* idle.h - workers that have nothing to do, and how they are woken.
 *
 * A worker that finds no request parks in its seat and sets its bit; whoever
 * publishes a request afterwards clears the bit of one parked worker and wakes
 * it.  The one that takes a request while there are more wakes the next one,
 * so that all of them come, one after the other, as long as requests are left.
 * The lowest seats are woken first: those whose caches are warm.
 *
 * No wake-up is lost.  A worker sets its bit and then looks at the ring; the
 * parent publishes in the ring and then looks at the bits.  The four accesses
 * are sequentially consistent (I1, R2): in the one order in which all of them
 * happen, either the worker's look comes after the publication, and it does
 * not sleep, or the parent's look comes after the bit, and he wakes it.
 * Whoever clears a bit is alone in having done so, and has to see to a
 * wake-up.
 *
 * Counting.  A worker that has nothing to do says so by a second bit.  It says
 * it before its last result becomes visible: who has the result and submits
 * the next request finds an idle worker and starts no other.
 */
#ifndef FC_IDLE_H
#define FC_IDLE_H

#include "ipc/segment.h"

/* Worker: count this seat as idle, or no longer.  Idempotent. */
void fc_idle_enter(struct fc_segment *s, uint32_t seat);
void fc_idle_leave(struct fc_segment *s, uint32_t seat);

/* Whether this seat counts as idle. */
bool fc_idle_is(const struct fc_segment *s, uint32_t seat);

/* How many workers are idle.  A number for decisions: it may have changed. */
uint32_t fc_idle_count(const struct fc_segment *s);

/* Worker: sleep until there may be a request, or the segment closes, or the
 * deadline, or a signal.  FC_PARK_WOKEN at once where there is a request to
 * look at or the segment is closing. */
enum fc_park_result fc_idle_park(struct fc_segment *s, uint32_t seat,
                                 int64_t deadline_ns);

/* Worker: the word that fc_idle_nudge() changes, and sleep until it does. */
uint32_t fc_idle_signal(const struct fc_segment *s, uint32_t seat);
enum fc_park_result fc_idle_wait(struct fc_segment *s, uint32_t seat,
                                 uint32_t signal, int64_t deadline_ns);

/* Parent: wake the worker of a seat, whatever it waits for. */
void fc_idle_nudge(struct fc_segment *s, uint32_t seat);

/* Anybody, after a request was published or when one is left: wake a parked
 * worker, if there is one. */
void fc_idle_wake(struct fc_segment *s);

/* Parent: workers are to leave when no request is left; wakes all of them. */
void fc_idle_close(struct fc_segment *s);
bool fc_idle_closing(const struct fc_segment *s);

/* Parent: the worker of this seat is dead.  It is not idle, nor parked; and as
 * it may have been woken for a request, or have been about to wake another,
 * whose bit is gone already, all others are told to look. */
void fc_idle_forget(struct fc_segment *s, uint32_t seat);

#endif /* FC_IDLE_H */
