/* hub.h - the parent's end of a pool, for several threads.
 *
 * A requester (requester.h) with what threads need that use it together: a
 * lock, a bell for the one that polls, a bed for the one that leads, and a
 * list of the blocks that come back.
 *
 * Who fetches results.  A thread that waits for some leads: it sleeps where
 * workers wake it directly and fetches what comes, its own and that of
 * others.  There is one leader at a time.  While there is none, the pool's own
 * thread is told by the bell.
 *
 * Whether one more worker is needed is decided before a request is sent, and
 * once more afterwards, since others may have counted on the same workers:
 *
 *     requests waiting + those to be sent > idle workers + workers being started
 *
 * read in this order.  A worker stops being idle before it takes a request
 * (fc_responder_take()), so who no longer sees the request waiting sees the
 * worker busy; it has come (FC_SEAT_TAKEN) before it is idle for the first
 * time, so it is not counted twice.  At worst a worker is started that would
 * not have been needed.
 *
 * Counted, since a completer may be on his way to a leader's bed when the pool
 * is gone already.
 */
#ifndef FC_HUB_H
#define FC_HUB_H

#include "core/group.h"
#include "core/lock.h"
#include "ipc/idle.h"
#include "ipc/requester.h"
#include "ipc/results.h"
#include "ipc/returns.h"

struct fc_hub {
    struct fc_bed bed; /* of the leader; first, for it stands for the hub */
    _Atomic(uint32_t) references;
    struct fc_lock lock;           /* of what follows */
    struct fc_requester requester;
    uint32_t seats_used; /* no seat from this one on has ever been open */
    bool led;            /* somebody leads */
    bool listening;      /* the pool's thread polls, or is going to */
    /* Without the lock. */
    uint32_t generation; /* fc_fork_generation() of the process it belongs to */
    struct fc_returns returns;
    struct fc_bell bell;
};

/* A new hub with one reference.  NULL with *error. */
struct fc_hub *fc_hub_new(const struct fc_geometry *g, uint64_t keep,
                          int *error);

static inline struct fc_hub *
fc_hub_ref(struct fc_hub *hub)
{
    /* Relaxed: the caller's own reference keeps it alive. */
    atomic_fetch_add_explicit(&hub->references, 1, memory_order_relaxed);
    return hub;
}

/* In a forked child this gives back nothing but the child's own memory. */
void fc_hub_unref(struct fc_hub *hub);

/* --- workers; under the lock ----------------------------------------------- */

/* Open an empty seat: its number, or -1 with *error (EAGAIN: none is
 * empty). */
int fc_hub_open_seat(struct fc_hub *hub, int *error);
void fc_hub_admit_seat(struct fc_hub *hub, uint32_t seat);
void fc_hub_close_seat(struct fc_hub *hub, uint32_t seat);

/* Nobody knows of a worker here, should there be one: close the seat, unless its
 * worker has been admitted.  Whether it was closed. */
bool fc_hub_withdraw_seat(struct fc_hub *hub, uint32_t seat);

/* Whether there are more requests than workers for them: those that wait, and
 * `others` that wait elsewhere or are going to be sent. */
bool fc_hub_wants_worker(struct fc_hub *hub, uint64_t others);

/* How many workers were started and have not come yet. */
uint32_t fc_hub_starting(struct fc_hub *hub);

/* How many workers are about to take a request, if there are so many: they are
 * idle, or have taken none yet. */
uint32_t fc_hub_expected(struct fc_hub *hub);

/* Whether requests wait although workers are idle.  Usually one of these is on
 * its way; but it may have been stopped (SIGSTOP), and nobody else was woken.
 * Who goes to sleep then sleeps FC_STUCK_NS first, and if nothing has moved
 * meanwhile wakes another one. */
#define FC_STUCK_NS 5000000
bool fc_hub_is_stuck(struct fc_hub *hub);
static inline void
fc_hub_rouse(struct fc_hub *hub)
{
    fc_idle_wake(&hub->requester.segment);
}

/* --- results ------------------------------------------------------------------ */

/* Whether any worker has said something.  Without the lock, which it takes. */
bool fc_hub_ready(struct fc_hub *hub);

/* Under the lock: begin to lead, unless somebody does. */
bool fc_hub_lead(struct fc_hub *hub);

/* Under the lock: lead no longer.  With `more` results to come, the pool's
 * thread is told to see to them. */
void fc_hub_leave(struct fc_hub *hub, bool more);

/* Leader: sleep until a worker says something, `group` fires, `word` (NULL:
 * none), the state of a cell, is no longer 0, the deadline or a signal.  FC_PARK_WOKEN also where there is something already. */
enum fc_park_result fc_hub_sleep(struct fc_hub *hub, struct fc_group *group,
                                 const _Atomic(uint32_t) *word,
                                 int64_t deadline_ns, int peer_cpu);

/* Wake the leader, if there is one, to look at what it waits for. */
void fc_hub_nudge(struct fc_hub *hub);

/* Under the lock: have the bell rung for the next result, unless somebody
 * leads.  False: there is something already. */
bool fc_hub_listen(struct fc_hub *hub);

/* Wake the pool's thread, whatever for. */
static inline void
fc_hub_ring(struct fc_hub *hub)
{
    (void)fc_bell_ring(hub->bell.ring);
}

#endif /* FC_HUB_H */
