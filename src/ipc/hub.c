/* hub.c - see hub.h.
 *
 * Edges:
 *
 *     H1  references: dropping one (release) -> dropping the last (acquire).
 *
 * A leader goes to bed in its group (G4), listens, looks whether there is
 * something or the group has fired, and sleeps on fc_header.results.  A worker
 * wakes it by L1, a completer by the bed: he fires first and then changes that
 * word, so either the leader finds the group fired or the word changed.
 */
#include "ipc/hub.h"

#include <errno.h>
#include <stdlib.h>

#include "core/spin.h"
#include "ipc/idle.h"

/* --- its life -------------------------------------------------------------- */

static void
bed_wake(struct fc_bed *bed)
{
    fc_results_nudge(&((struct fc_hub *)bed)->requester.segment);
}

static void
bed_hold(struct fc_bed *bed)
{
    (void)fc_hub_ref((struct fc_hub *)bed);
}

static void
bed_drop(struct fc_bed *bed)
{
    fc_hub_unref((struct fc_hub *)bed);
}

struct fc_hub *
fc_hub_new(const struct fc_geometry *g, uint64_t keep, int *error)
{
    struct fc_hub *hub = malloc(sizeof(*hub));
    if (hub == NULL) {
        *error = ENOMEM;
        return NULL;
    }
    hub->bed = (struct fc_bed){bed_wake, bed_hold, bed_drop};
    atomic_init(&hub->references, 1);
    fc_lock_init(&hub->lock);
    hub->seats_used = 0;
    hub->generation = fc_fork_generation();
    hub->led = hub->listening = false;
    fc_returns_init(&hub->returns);
    *error = fc_bell_create(&hub->bell);
    if (*error != 0) {
        goto bell_failed;
    }
    *error = fc_requester_create(&hub->requester, g, keep);
    if (*error != 0) {
        goto requester_failed;
    }
    return hub;
requester_failed:
    fc_bell_close(&hub->bell);
bell_failed:
    free(hub);
    return NULL;
}

void
fc_hub_unref(struct fc_hub *hub)
{
    if (atomic_fetch_sub_explicit(&hub->references, 1, memory_order_acq_rel)
        != 1) { /* H1 */
        return;
    }
    if (hub->generation == fc_fork_generation()) {
        /* A forked child may hold the file: it keeps its descriptor, and not
         * the memory. */
        struct fc_segment *s = &hub->requester.segment;
        fc_returns_collect(&hub->returns, &hub->requester.blocks);
        fc_blocks_destroy(&hub->requester.blocks, true);
        /* Should a worker be left that nobody knows of, it leaves; so what says
         * that the pool closes is kept. */
        fc_idle_close(s);
        fc_memory_discard(s->fd, s->layout.seats,
                          s->layout.size - s->layout.seats);
    }
    fc_requester_destroy(&hub->requester);
    fc_bell_close(&hub->bell);
    free(hub);
}

/* --- workers ----------------------------------------------------------------- */

int
fc_hub_open_seat(struct fc_hub *hub, int *error)
{
    uint32_t seats = hub->requester.segment.geometry.seats;
    for (uint32_t seat = 0; seat < seats; seat++) {
        if (hub->requester.workers[seat].open) {
            continue;
        }
        *error = fc_requester_open(&hub->requester, seat);
        if (*error != 0) {
            return -1;
        }
        if (seat >= hub->seats_used) {
            hub->seats_used = seat + 1;
        }
        return (int)seat;
    }
    *error = EAGAIN;
    return -1;
}

void
fc_hub_close_seat(struct fc_hub *hub, uint32_t seat)
{
    fc_requester_close(&hub->requester, seat);
}

void
fc_hub_admit_seat(struct fc_hub *hub, uint32_t seat)
{
    fc_requester_admit(&hub->requester, seat);
}

bool
fc_hub_withdraw_seat(struct fc_hub *hub, uint32_t seat)
{
    bool known = hub->requester.workers[seat].admitted;
    if (!known) {
        fc_hub_close_seat(hub, seat);
    }
    return !known;
}

uint32_t
fc_hub_starting(struct fc_hub *hub)
{
    uint32_t count = 0;
    for (uint32_t seat = 0; seat < hub->seats_used; seat++) {
        count += hub->requester.workers[seat].open
                 && atomic_load_explicit(
                        &hub->requester.segment.seats[seat].state,
                        memory_order_acquire)
                        == FC_SEAT_STARTING;
    }
    return count;
}

uint32_t
fc_hub_expected(struct fc_hub *hub)
{
    struct fc_segment *s = &hub->requester.segment;
    uint32_t count = 0;
    for (uint32_t seat = 0; seat < hub->seats_used; seat++) {
        count += hub->requester.workers[seat].open
                 && (fc_idle_is(s, seat)
                     || atomic_load_explicit(&s->seats[seat].served,
                                             memory_order_relaxed)
                            == 0);
    }
    return count;
}

bool
fc_hub_wants_worker(struct fc_hub *hub, uint64_t others)
{
    uint64_t waiting = fc_sender_waiting(&hub->requester.sender) + others;
    uint64_t idle = fc_idle_count(&hub->requester.segment);
    return waiting > idle + fc_hub_starting(hub);
}

bool
fc_hub_is_stuck(struct fc_hub *hub)
{
    return fc_sender_waiting(&hub->requester.sender) > 0
           && fc_idle_count(&hub->requester.segment) > 0;
}

/* --- results ------------------------------------------------------------------- */

static bool
is_ready(struct fc_hub *hub)
{
    for (uint32_t seat = 0; seat < hub->seats_used; seat++) {
        if (fc_requester_ready(&hub->requester, seat)) {
            return true;
        }
    }
    return false;
}

bool
fc_hub_ready(struct fc_hub *hub)
{
    fc_lock_take(&hub->lock);
    bool ready = is_ready(hub);
    fc_lock_give(&hub->lock);
    return ready;
}

bool
fc_hub_lead(struct fc_hub *hub)
{
    if (hub->led) {
        return false;
    }
    hub->led = true;
    if (hub->listening) {
        hub->listening = false;
        fc_results_unlisten(&hub->requester.segment, FC_LISTENER_BELL);
    }
    return true;
}

void
fc_hub_leave(struct fc_hub *hub, bool more)
{
    hub->led = false;
    if (more && !fc_hub_listen(hub)) {
        fc_hub_ring(hub);
    }
}

bool
fc_hub_listen(struct fc_hub *hub)
{
    if (hub->led) {
        return true;
    }
    hub->listening = true;
    (void)fc_results_listen(&hub->requester.segment, FC_LISTENER_BELL);
    return !is_ready(hub);
}

/* A2.  What it stands for may be gone by now: it lies in the segment. */
static bool
is_set(const _Atomic(uint32_t) *word)
{
    return word != NULL
           && atomic_load_explicit(word, memory_order_seq_cst) != 0;
}

void
fc_hub_nudge(struct fc_hub *hub)
{
    fc_results_nudge(&hub->requester.segment);
}

/* As fc_results_park(), and see to requests that nobody comes for. */
static enum fc_park_result
sleep_on(struct fc_hub *hub, uint32_t seen, int64_t deadline_ns)
{
    struct fc_segment *s = &hub->requester.segment;
    fc_lock_take(&hub->lock);
    bool stuck = fc_hub_is_stuck(hub);
    fc_lock_give(&hub->lock);
    int64_t soon = stuck ? fc_now_ns() + FC_STUCK_NS : FC_FOREVER;
    if (soon >= deadline_ns) {
        return fc_results_park(s, seen, deadline_ns);
    }
    enum fc_park_result result = fc_results_park(s, seen, soon);
    if (result == FC_PARK_TIMED_OUT) {
        fc_hub_rouse(hub);
        result = FC_PARK_WOKEN; /* and look again */
    }
    return result;
}

enum fc_park_result
fc_hub_sleep(struct fc_hub *hub, struct fc_group *group,
             const _Atomic(uint32_t) *word, int64_t deadline_ns, int peer_cpu)
{
    struct fc_segment *s = &hub->requester.segment;
    struct fc_spin spin = fc_spin_begin(peer_cpu, deadline_ns);
    do {
        if (is_set(word) || fc_hub_ready(hub) || fc_group_fired(group)) {
            return FC_PARK_WOKEN;
        }
    } while (fc_spin_turn(&spin));
    if (!fc_group_lie_down(group, &hub->bed)) {
        return FC_PARK_WOKEN;
    }
    FC_KILL_POINT();
    enum fc_park_result result = FC_PARK_WOKEN;
    uint32_t seen = fc_results_listen(s, FC_LISTENER_CALLER);
    if (!is_set(word) && !fc_hub_ready(hub) && !fc_group_fired(group)) {
        result = sleep_on(hub, seen, deadline_ns);
    }
    fc_results_unlisten(s, FC_LISTENER_CALLER);
    return fc_group_get_up(group) ? result : FC_PARK_WOKEN;
}
