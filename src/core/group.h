/* group.h - completion groups: what result(), wait(), as_completed() and
 * map() sleep on.
 *
 * A group holds a target, the number of completions still missing, and
 * one sleeper at most (its owner).  Completers count down; the one that
 * reaches the target fires the group, and only if the owner really sleeps
 * has it to be woken.  Firing and waking are two calls, so that a completer
 * can release the GIL (or any lock) between them: the owner then finds it
 * free.  Reference counted, because a completer may still have to wake a
 * group whose owner has timed out and gone.
 *
 *                 | complete | fire | wake | wait    | rearm
 *     complete    |  yes     | yes  | yes  | yes     | yes
 *     wait/rearm  |  (owner: one thread at a time)
 */
#ifndef FC_GROUP_H
#define FC_GROUP_H

#include <stdbool.h>
#include <stdint.h>

struct fc_group;

enum fc_group_result {
    FC_GROUP_FIRED = 0,
    FC_GROUP_TIMED_OUT = 1,
    FC_GROUP_INTERRUPTED = 2, /* a signal handler ran: look, wait again */
};

/* A group that fires after `target` completions (>= 1), with one reference;
 * NULL without memory. */
struct fc_group *fc_group_new(uint64_t target);
struct fc_group *fc_group_ref(struct fc_group *g);
void fc_group_unref(struct fc_group *g);

/* Count one completion.  Returns true when this one fired the group and its
 * owner sleeps: the caller then owes it one fc_group_wake(), before it does
 * anything that may block, and holds a reference until then. */
bool fc_group_complete(struct fc_group *g);

/* Fire at once, whatever is missing.  Returns as fc_group_complete(). */
bool fc_group_fire(struct fc_group *g);

/* Wake the owner. */
void fc_group_wake(struct fc_group *g);

/* True once fired. */
bool fc_group_fired(const struct fc_group *g);

/* Where an owner sleeps that waits for something else besides its group: not
 * in fc_group_wait(), but wherever wake() reaches it.  Counted by whoever makes
 * it: drop() takes one reference back. */
struct fc_bed {
    void (*wake)(struct fc_bed *bed);
    void (*hold)(struct fc_bed *bed);
    void (*drop)(struct fc_bed *bed);
};

/* Owner: go to bed.  True: whoever fires the group from now on calls
 * bed->wake().  False: it has fired already, or has another bed: a group keeps
 * its first one, for a completer may be on his way to it. */
bool fc_group_lie_down(struct fc_group *g, struct fc_bed *bed);

/* Owner: out of it again.  False: the group has fired. */
bool fc_group_get_up(struct fc_group *g);

/* Owner: make a fired (or fresh) group wait for `target` more.  What completes
 * while this runs may or may not be counted, and may fire the group early:
 * where completers are still about, the owner looks at what it waits for
 * after rearming and again after FC_GROUP_FIRED. */
void fc_group_rearm(struct fc_group *g, uint64_t target);

/* Owner: wait until the group fires, the deadline (fc_now_ns()'s clock, or
 * FC_FOREVER) passes or a signal arrives.  Spins a little first when
 * `peer_cpu`, the CPU that the completer was last seen on, is another one
 * than ours; -1: unknown, do not spin. */
enum fc_group_result fc_group_wait(struct fc_group *g, int64_t deadline_ns,
                                   int peer_cpu);

#endif /* FC_GROUP_H */
