/* hub_kit.h - a pool of the parent's threads over ipc/hub.h, for tests.
 *
 * What src/python does with futures is done here with calls: a call is sent,
 * some thread fetches its reply, and whoever has fetched it completes the
 * call's group.  Workers are forked; they answer with the number that they
 * were sent, plus 1.
 *
 * No sleep of these has a time limit: whoever is not woken hangs, and is shown
 * by the watchdog.
 */
#ifndef HUB_KIT_H
#define HUB_KIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "check.h"
#include "ipc/hub.h"

#define KIT_WORKERS 3

/* What a worker does with a request, by its kind. */
enum {
    KIT_ECHO,  /* answers */
    KIT_PAUSE, /* the same after a moment */
    KIT_LEAVE, /* answers, as its last reply */
};

struct call {
    struct fc_group *group; /* completed when it is done; NULL: nobody waits */
    uint64_t number;
    _Atomic(uint64_t) answer; /* 0: none yet */
};

struct kit {
    struct fc_hub *hub;
    pid_t pids[KIT_WORKERS];
    _Atomic(uint64_t) unfinished; /* calls that were sent and are not done */
    _Atomic(uint64_t) answered;
    /* Of the poller. */
    struct check_thread thread;
    atomic_bool stop;
    _Atomic(uint64_t) polled; /* replies that it has fetched */
};

extern const struct fc_geometry kit_geometry;

void kit_open(struct kit *k, unsigned workers);

/* Dismiss the workers, check that all end well, and let go of the hub. */
void kit_close(struct kit *k);

/* Open a seat and fork a worker for it: its seat.  Waits for nothing. */
uint32_t kit_start_worker(struct kit *k);

/* Wait for the end of a seat's worker, and close the seat. */
void kit_bury(struct kit *k, uint32_t seat);

/* Send a call; where there is no room, fetch until there is. */
void kit_send(struct kit *k, struct call *call, uint16_t kind);

/* Fetch what has come and end these calls.  How many. */
unsigned kit_fetch(struct kit *k);

/* Wait for a group as a waiting thread of the pool does: lead, where nobody
 * does.  False: the deadline has passed. */
bool kit_wait(struct kit *k, struct fc_group *group, int64_t deadline_ns);

/* Sleep as a leader does. */
enum fc_park_result kit_sleep(struct fc_hub *hub, struct fc_group *group,
                              int64_t deadline_ns, int peer_cpu);

/* The pool's own thread: polls the bell, and fetches. */
void kit_start_poller(struct kit *k);
void kit_stop_poller(struct kit *k);

#endif /* HUB_KIT_H */
