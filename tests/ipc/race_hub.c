/* race_hub.c - are enough workers started?  Threads stand for the workers, and
 * use the parent's own mapping: at the same addresses ThreadSanitizer sees both
 * ends.
 *
 * Each round has a fresh hub.  Short calls come first, so that workers become
 * idle and busy while it is decided whether one more is needed; then as many
 * calls as there may be workers, each of which ends only when all have begun:
 * where one waits although fewer workers run than may, the round hangs.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "hub_kit.h"
#include "ipc/idle.h"
#include "ipc/responder.h"
#include "kill.h"

#define SUBMITTERS 2
#define SHORT_CALLS 6 /* of a submitter */

static struct fc_hub *hub;
static struct check_thread threads[KIT_WORKERS];
static _Atomic(uint32_t) running;  /* workers; written under the lock */
static _Atomic(uint32_t) together; /* calls that wait for each other */
static _Atomic(uint64_t) replies;

/* What a worker has done before its request was taken off the ring; the parent
 * who finds the ring empty sees it (R4). */
static uint64_t notes[KIT_WORKERS];

enum { SHORT, TOGETHER };

/* --- a worker ------------------------------------------------------------- */

static void
sit_down(struct fc_responder *w, uint32_t seat)
{
    CHECK(fc_responder_attach(w, dup(hub->requester.segment.fd), seat,
                              hub->bell.ring, 1 << 20)
          == 0);
    fc_segment_detach(&w->segment);
    w->segment = hub->requester.segment;
    fc_producer_init(&w->replies, &w->segment, seat, FC_TO_PARENT);
    fc_consumer_init(&w->pieces, &w->segment, seat, FC_TO_WORKER);
}

static void
get_up(struct fc_responder *w)
{
    memset(&w->segment, 0, sizeof(w->segment)); /* the parent's */
    fc_responder_detach(w);
}

static int
answer(struct fc_responder *w, struct fc_job *job)
{
    if (job->kind == TOGETHER) {
        atomic_fetch_add(&together, 1);
        while (together < KIT_WORKERS) {
            check_sleep_us(10);
        }
    }
    fc_responder_done(w, job);
    struct fc_part part = {"r", 1};
    return fc_responder_reply(w, job, 0, &part, 1, true);
}

static void
work(void *arg)
{
    uint32_t seat = (uint32_t)(uintptr_t)arg;
    struct check_random r = check_random_new(seat + 970);
    struct fc_responder w;
    int error = 0;
    sit_down(&w, seat);
    check_random_delay(&r);
    fc_responder_ready(&w);
    while (error == 0 || error == EINTR) {
        struct fc_job job;
        check_random_delay(&r);
        error = fc_responder_take(&w, &job);
        if (error == 0) {
            error = answer(&w, &job);
        }
        else if (error == EAGAIN) {
            error = fc_responder_linger(&w) ? 0 : fc_responder_idle(&w);
        }
    }
    CHECK(error == ESHUTDOWN);
    get_up(&w);
}

/* --- the parent ----------------------------------------------------------- */

static void
fetch(void)
{
    uint32_t seats = hub->seats_used;
    for (uint32_t seat = 0; seat < seats; seat++) {
        struct fc_reply reply;
        while (hub->requester.workers[seat].open
               && fc_requester_next(&hub->requester, seat, &reply) == 0) {
            fc_reply_clear(&reply);
            atomic_fetch_add(&replies, 1);
        }
        fc_requester_release(&hub->requester, seat);
    }
}

/* Decide, then send: both under the lock, or two callers count the same idle
 * worker. */
static void
submit(uint16_t kind)
{
    uint32_t index;
    int error;
    struct fc_part part = {"q", 1};
    fc_lock_take(&hub->lock);
    if (running < KIT_WORKERS && fc_hub_wants_worker(hub, 1)) {
        int seat = fc_hub_open_seat(hub, &error);
        CHECK(seat == (int)running);
        running++;
        check_spawn(&threads[seat], work, (void *)(uintptr_t)seat);
    }
    while ((error = fc_requester_send(&hub->requester, &part, 1, 0, kind, hub,
                                      &index))
           == EAGAIN) {
        fetch();
    }
    CHECK(error == 0);
    fetch();
    fc_lock_give(&hub->lock);
}

static void
submit_short_ones(void *arg)
{
    struct check_random r = check_random_new((uintptr_t)arg);
    for (uint64_t n = check_random_below(&r, SHORT_CALLS + 1); n > 0; n--) {
        submit(SHORT);
        check_random_delay(&r);
    }
}

static void
await_replies(uint64_t expected)
{
    while (replies < expected) {
        fc_lock_take(&hub->lock);
        fetch();
        fc_lock_give(&hub->lock);
        check_sleep_us(10);
    }
}

static uint64_t
waiting(void)
{
    fc_lock_take(&hub->lock);
    uint64_t count = fc_sender_waiting(&hub->requester.sender);
    fc_lock_give(&hub->lock);
    return count;
}

static void
one_round(uint64_t round)
{
    struct check_thread submitters[SUBMITTERS];
    int error;
    hub = fc_hub_new(&kit_geometry, 1 << 20, &error);
    CHECK(hub != NULL);
    running = together = 0;
    replies = 0;
    for (uintptr_t i = 0; i < SUBMITTERS; i++) {
        check_spawn(&submitters[i], submit_short_ones,
                    (void *)(uintptr_t)(round * SUBMITTERS + i));
    }
    if (round % 2 == 0) {
        /* Beside the short ones, or after them. */
        for (int i = 0; i < SUBMITTERS; i++) {
            check_join(&submitters[i]);
        }
    }
    for (int i = 0; i < KIT_WORKERS; i++) {
        submit(TOGETHER);
    }
    for (int i = 0; round % 2 != 0 && i < SUBMITTERS; i++) {
        check_join(&submitters[i]);
    }
    await_replies(hub->requester.sender.tail);
    CHECK(together == KIT_WORKERS);
    CHECK(running == KIT_WORKERS);
    CHECK(waiting() == 0);
    fc_idle_close(&hub->requester.segment);
    for (uint32_t i = 0; i < running; i++) {
        check_join(&threads[i]);
    }
    fc_hub_unref(hub);
}

static void
race_enough_workers_are_started(void)
{
    int64_t before = shim_live;
    for (uint64_t round = check_size(1500); round > 0; round--) {
        one_round(round);
    }
    CHECK(shim_live == before);
}

/* One call after another: the worker that has answered is idle, and no other
 * is started. */
static void
race_one_worker_is_enough_for_one_caller(void)
{
    int error;
    for (uint64_t round = check_size(50); round > 0; round--) {
        struct check_random r = check_random_new(round + 990);
        hub = fc_hub_new(&kit_geometry, 1 << 20, &error);
        CHECK(hub != NULL);
        running = 0;
        replies = 0;
        for (uint64_t i = 1; i <= 100; i++) {
            submit(SHORT);
            await_replies(i);
            check_random_delay(&r);
        }
        CHECK(running == 1);
        fc_idle_close(&hub->requester.segment);
        check_join(&threads[0]);
        fc_hub_unref(hub);
    }
}

/* --- R4 ------------------------------------------------------------------- */

static atomic_bool stopped, go_on;

static void
stop_there(void)
{
    /* Relaxed: it is not this that shows what was written before. */
    atomic_store_explicit(&stopped, true, memory_order_relaxed);
    while (!go_on) {
        check_sleep_us(10);
    }
}

/* Takes a request, and stops before it moves the head. */
static void
take_and_stop(void *arg)
{
    struct fc_responder *w = arg;
    struct fc_taken taken;
    notes[w->seat] = 1; /* as it stops being idle */
    fc_idle_leave(&w->segment, w->seat);
    kill_stop_at(2, stop_there);
    CHECK(fc_requests_take(&w->segment, w->seat, &taken) == 0);
    kill_stop_at(0, NULL);
}

/* Somebody else moves the head for it: who then finds nothing waiting sees what
 * the first one has done before he took it. */
static void
the_head_is_moved_by_another(void)
{
    struct fc_responder w[2];
    struct check_thread thread;
    struct fc_taken taken;
    struct fc_part part = {"q", 1};
    uint32_t index;
    int error;
    if (!kill_points) {
        return;
    }
    for (int parent_moves = 0; parent_moves < 2; parent_moves++) {
        hub = fc_hub_new(&kit_geometry, 1 << 20, &error);
        for (uint32_t i = 0; i < 2; i++) {
            CHECK(fc_hub_open_seat(hub, &error) == (int)i);
            sit_down(&w[i], i);
            notes[i] = 0;
        }
        for (uint32_t i = 0; i < kit_geometry.slots; i++) {
            CHECK(fc_requester_send(&hub->requester, &part, 1, 0, 0, hub,
                                    &index)
                  == 0);
        }
        stopped = go_on = false;
        check_spawn(&thread, take_and_stop, &w[0]);
        while (!atomic_load_explicit(&stopped, memory_order_relaxed)) {
            check_sleep_us(10);
        }
        if (parent_moves == 0) {
            CHECK(fc_requests_take(&w[1].segment, 1, &taken) == 0);
            CHECK(taken.index == 1);
            CHECK(fc_sender_waiting(&hub->requester.sender)
                  == kit_geometry.slots - 2);
        }
        else {
            /* The parent himself, who has a slot and no place in the ring. */
            fc_sender_finish(&hub->requester.sender, 0);
            CHECK(fc_sender_begin(&hub->requester.sender, &index, &error)
                  != NULL);
            CHECK(fc_sender_waiting(&hub->requester.sender)
                  == kit_geometry.slots - 1);
        }
        CHECK(notes[0] == 1);
        go_on = true;
        check_join(&thread);
        for (int i = 0; i < 2; i++) {
            get_up(&w[i]);
        }
        fc_hub_unref(hub);
    }
}

void
test_race_hub(void)
{
    RUN(race_enough_workers_are_started);
    RUN(race_one_worker_is_enough_for_one_caller);
    RUN(the_head_is_moved_by_another);
}
