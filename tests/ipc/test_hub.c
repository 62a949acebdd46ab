/* test_hub.c - src/ipc/hub.h: several threads of the parent, one of which
 * leads.  Workers in the first half are the test itself.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "hub_kit.h"
#include "ipc/idle.h"
#include "ipc/responder.h"
#include "kill.h"

static struct fc_hub *hub;
static struct fc_responder workers[KIT_WORKERS];
static unsigned count;

static void
open_hub(unsigned seats)
{
    int error = 0;
    hub = fc_hub_new(&kit_geometry, 1 << 20, &error);
    CHECK(hub != NULL);
    for (count = 0; count < seats; count++) {
        CHECK(fc_hub_open_seat(hub, &error) == (int)count);
        CHECK(fc_responder_attach(&workers[count],
                                  dup(hub->requester.segment.fd), count,
                                  hub->bell.ring, 1 << 20)
              == 0);
        fc_responder_ready(&workers[count]);
    }
}

static void
close_hub(void)
{
    for (unsigned i = 0; i < count; i++) {
        fc_responder_detach(&workers[i]);
    }
    fc_hub_unref(hub);
}

static void
send_one(void)
{
    uint32_t index;
    struct fc_part part = {"q", 1};
    CHECK(fc_requester_send(&hub->requester, &part, 1, 0, 0, hub, &index)
          == 0);
}

/* Take a request and answer it. */
static void
serve_one(unsigned seat, bool last)
{
    struct fc_job job;
    struct fc_part part = {"r", 1};
    CHECK(fc_responder_take(&workers[seat], &job) == 0);
    CHECK(fc_responder_reply(&workers[seat], &job, 0, &part, 1, last) == 0);
}

static void
fetch_one(uint32_t seat)
{
    struct fc_reply reply;
    CHECK(fc_requester_next(&hub->requester, seat, &reply) == 0);
    CHECK(reply.user == hub);
    fc_reply_clear(&reply);
    fc_requester_release(&hub->requester, seat);
}

static bool
rings(void)
{
    return fc_process_ended(hub->bell.listen); /* readable? */
}

static uint32_t
listeners(void)
{
    return atomic_load(&hub->requester.segment.header->listeners)
           & (FC_LISTENER_BELL | FC_LISTENER_CALLER);
}

/* --- its life */

static void
making_one_without_memory(void)
{
    int64_t before = shim_live;
    for (uint64_t every = 1; every <= 12; every++) {
        int error = 0;
        shim_fail_every = every;
        struct fc_hub *made = fc_hub_new(&kit_geometry, 0, &error);
        shim_fail_every = 0;
        CHECK((made == NULL) == (error == ENOMEM));
        if (made != NULL) {
            fc_hub_unref(made);
        }
    }
    int error = 0;
    struct fc_geometry wrong = kit_geometry;
    wrong.slots = 3;
    CHECK(fc_hub_new(&wrong, 0, &error) == NULL && error == EINVAL);
    CHECK(shim_live == before);
}

static void
the_last_reference_frees_it(void)
{
    int64_t before = shim_live;
    open_hub(0);
    CHECK(fc_hub_ref(hub) == hub);
    int fd = hub->requester.segment.fd, bell = hub->bell.listen;
    /* What has come back and was not collected goes, too. */
    struct fc_block block;
    CHECK(fc_requester_begin_block(&hub->requester, 100000, &block) == 0);
    fc_blocks_unpin(&hub->requester.blocks, block.offset);
    struct fc_return *one = malloc(sizeof(*one));
    one->offset = block.offset;
    one->size = block.size;
    fc_returns_push(&hub->returns, one);
    fc_hub_unref(hub);
    CHECK(fc_bell_ring(hub->bell.ring) == 0 && rings());
    fc_hub_unref(hub);
    char byte;
    CHECK(pread(fd, &byte, 1, 0) < 0 && errno == EBADF);
    CHECK(read(bell, &byte, 1) < 0 && errno == EBADF);
    CHECK(shim_live == before);
}

static void
drop_inherited(void *unused)
{
    (void)unused;
    fc_hub_unref(hub);
}

static void
a_forked_child_drops_its_copy(void)
{
    open_hub(1);
    (void)fc_fork_watch();
    send_one();
    CHECK(check_wait(check_fork(drop_inherited, NULL)) == 0);
    serve_one(0, false);
    fetch_one(0);
    close_hub();
}

/* A completer who comes after the pool has gone: group and bed are there. */
static void
it_outlives_a_late_completer(void)
{
    int64_t before = shim_live;
    open_hub(0);
    int fd = hub->requester.segment.fd;
    struct fc_group *group = fc_group_new(1);
    fc_group_ref(group); /* the completer's */
    CHECK(fc_group_lie_down(group, &hub->bed));
    bool owes = fc_group_complete(group);
    CHECK(owes);
    CHECK(!fc_group_get_up(group));
    fc_group_unref(group); /* the leader's */
    uint32_t nudges = hub->requester.segment.header->results;
    close_hub();           /* the pool's */
    char byte;
    CHECK(pread(fd, &byte, 1, 0) == 1);
    fc_group_wake(group);
    CHECK(hub->requester.segment.header->results == nudges + 1);
    fc_group_unref(group);
    CHECK(pread(fd, &byte, 1, 0) < 0 && errno == EBADF);
    CHECK(shim_live == before);
}

/* --- seats */

static void
seats_are_opened_and_closed(void)
{
    int error = 0;
    open_hub(0);
    for (int i = 0; i < KIT_WORKERS; i++) {
        CHECK(hub->seats_used == (uint32_t)i);
        CHECK(fc_hub_open_seat(hub, &error) == i);
        CHECK(fc_hub_starting(hub) == (uint32_t)i + 1);
    }
    CHECK(fc_hub_open_seat(hub, &error) == -1 && error == EAGAIN);
    fc_hub_close_seat(hub, 1);
    CHECK(fc_hub_starting(hub) == 2);
    CHECK(hub->seats_used == KIT_WORKERS);
    CHECK(fc_hub_open_seat(hub, &error) == 1);
    CHECK(fc_hub_open_seat(hub, &error) == -1 && error == EAGAIN);
    close_hub();
}

static void
a_closed_seat_says_nothing(void)
{
    open_hub(2);
    send_one();
    serve_one(1, true);
    CHECK(fc_hub_ready(hub));
    CHECK(fc_idle_is(&hub->requester.segment, 1));
    fc_hub_close_seat(hub, 1);
    CHECK(!fc_hub_ready(hub));
    CHECK(!fc_idle_is(&hub->requester.segment, 1));
    /* The next one there begins anew. */
    int error;
    fc_responder_detach(&workers[1]);
    CHECK(fc_hub_open_seat(hub, &error) == 1);
    CHECK(!fc_hub_ready(hub));
    CHECK(fc_responder_attach(&workers[1], dup(hub->requester.segment.fd), 1,
                              hub->bell.ring, 1 << 20)
          == 0);
    send_one();
    serve_one(1, false);
    fetch_one(1);
    close_hub();
}

/* --- how many workers */

static void
one_is_wanted_for_each_call_beyond_the_idle(void)
{
    int error;
    struct fc_job job;
    open_hub(0);
    CHECK(fc_hub_wants_worker(hub, 1)); /* there is none */
    CHECK(fc_hub_open_seat(hub, &error) == 0);
    CHECK(!fc_hub_wants_worker(hub, 1)); /* one is being started */
    CHECK(fc_hub_wants_worker(hub, 2));  /* which others wait for */
    send_one();
    CHECK(fc_hub_wants_worker(hub, 1));
    CHECK(fc_responder_attach(&workers[0], dup(hub->requester.segment.fd), 0,
                              hub->bell.ring, 1 << 20)
          == 0);
    count = 1;
    CHECK(fc_hub_starting(hub) == 1); /* until it says that it is ready */
    fc_responder_ready(&workers[0]);
    CHECK(fc_hub_starting(hub) == 0);
    CHECK(fc_responder_take(&workers[0], &job) == 0);
    CHECK(fc_hub_wants_worker(hub, 1)); /* it is busy */
    struct fc_part part = {"r", 1};
    CHECK(fc_responder_reply(&workers[0], &job, 0, &part, 1, true) == 0);
    CHECK(!fc_hub_wants_worker(hub, 1)); /* idle, before it is asked */
    CHECK(fc_hub_wants_worker(hub, 2));
    fetch_one(0);
    send_one();
    CHECK(fc_hub_wants_worker(hub, 1)); /* that one is taken into account */
    CHECK(fc_responder_linger(&workers[0])); /* idle all the same */
    CHECK(fc_hub_wants_worker(hub, 1));
    serve_one(0, false);
    fetch_one(0);
    CHECK(fc_hub_wants_worker(hub, 1)); /* it leaves, and is not idle */
    close_hub();
}

/* With a request in sight nobody says that he is idle. */
static void
who_has_something_to_do_is_not_idle(void)
{
    open_hub(1);
    send_one();
    send_one();
    serve_one(0, true);
    CHECK(fc_idle_count(&hub->requester.segment) == 0);
    CHECK(fc_hub_wants_worker(hub, 1));
    serve_one(0, true);
    CHECK(fc_idle_count(&hub->requester.segment) == 1);
    fetch_one(0);
    fetch_one(0);
    close_hub();
}

static void
the_first_request_of_a_worker_is_expected(void)
{
    open_hub(2);
    CHECK(fc_hub_expected(hub) == 2);
    CHECK(!fc_responder_linger(&workers[0])); /* found nothing: it is idle */
    CHECK(fc_hub_expected(hub) == 2);
    send_one();
    serve_one(0, false);
    CHECK(fc_hub_expected(hub) == 1);
    send_one();
    serve_one(1, false);
    CHECK(fc_hub_expected(hub) == 0);
    fetch_one(0);
    fetch_one(1);
    /* Its successor is another worker. */
    int error;
    fc_hub_close_seat(hub, 1);
    CHECK(fc_hub_expected(hub) == 0);
    CHECK(fc_hub_open_seat(hub, &error) == 1);
    CHECK(fc_hub_expected(hub) == 1);
    close_hub();
}

/* --- who listens */

static void
one_leads_at_a_time(void)
{
    open_hub(1);
    CHECK(fc_hub_listen(hub));
    CHECK(listeners() == FC_LISTENER_BELL);
    CHECK(fc_hub_lead(hub));
    CHECK(listeners() == 0); /* the bell is not for him */
    CHECK(!fc_hub_lead(hub));
    CHECK(fc_hub_listen(hub)); /* the pool's thread has nothing to do */
    CHECK(listeners() == 0 && !hub->listening);
    send_one();
    serve_one(0, false);
    CHECK(fc_hub_listen(hub)); /* not even now */
    CHECK(!rings());
    fetch_one(0);
    fc_hub_leave(hub, false); /* nothing more will come: nobody listens */
    CHECK(listeners() == 0 && !rings());
    CHECK(fc_hub_lead(hub));
    fc_hub_leave(hub, true);
    CHECK(listeners() == FC_LISTENER_BELL && !rings());
    send_one();
    serve_one(0, false);
    CHECK(rings());
    fetch_one(0);
    close_hub();
}

/* What came while he was on his way out is somebody else's to fetch. */
static void
leaving_beside_a_result_rings(void)
{
    open_hub(1);
    CHECK(fc_hub_lead(hub));
    send_one();
    serve_one(0, false);
    CHECK(!rings());
    fc_hub_leave(hub, true);
    CHECK(rings());
    CHECK(!fc_hub_listen(hub)); /* there is something already */
    fetch_one(0);
    fc_bell_silence(hub->bell.listen);
    CHECK(fc_hub_listen(hub));
    close_hub();
}

/* --- sleeping */

static enum fc_park_result slept;
static struct fc_group *group;
static atomic_bool asleep, awake;

static void
sleep_as_leader(void *arg)
{
    asleep = true;
    slept = kit_sleep(hub, group, *(int64_t *)arg, -1);
    awake = true;
}

static int64_t forever = FC_FOREVER;

static void
begin_to_sleep(struct check_thread *thread)
{
    asleep = awake = false;
    CHECK(fc_hub_lead(hub));
    check_spawn(thread, sleep_as_leader, &forever);
    CHECK_SOON(asleep && (listeners() & FC_LISTENER_CALLER));
    check_sleep_us(2000);
    CHECK(!awake);
}

static void
a_leader_does_not_sleep_beside_a_result(void)
{
    open_hub(1);
    group = fc_group_new(1);
    CHECK(fc_hub_lead(hub));
    send_one();
    serve_one(0, false);
    CHECK(kit_sleep(hub, group, FC_FOREVER, -1) == FC_PARK_WOKEN);
    fetch_one(0);
    /* Nor when what it waits for has happened. */
    CHECK(!fc_group_complete(group));
    CHECK(kit_sleep(hub, group, FC_FOREVER, -1) == FC_PARK_WOKEN);
    CHECK(listeners() == 0);
    fc_group_unref(group);
    close_hub();
}

/* Called as he goes to bed, after he has looked and before he listens. */
static void
answer_in_between(struct fc_bed *bed)
{
    (void)fc_hub_ref((struct fc_hub *)bed);
    serve_one(0, true);
}

static void
complete_in_between(void)
{
    CHECK(fc_group_complete(group)); /* he is in bed */
    fc_group_wake(group);
}

/* What comes between his look and his sleep is found by the second look. */
static void
a_leader_looks_again_before_he_sleeps(void)
{
    open_hub(1);
    group = fc_group_new(1);
    CHECK(fc_hub_lead(hub));
    send_one();
    hub->bed.hold = answer_in_between;
    CHECK(kit_sleep(hub, group, FC_FOREVER, -1) == FC_PARK_WOKEN);
    CHECK(!fc_group_fired(group));
    fetch_one(0);
    if (kill_points) {
        kill_stop_at(1, complete_in_between);
        CHECK(kit_sleep(hub, group, FC_FOREVER, -1) == FC_PARK_WOKEN);
        kill_stop_at(0, NULL);
        CHECK(fc_group_fired(group));
    }
    CHECK(listeners() == 0);
    fc_group_unref(group);
    close_hub();
}

static void
a_leader_sleeps_until_the_deadline(void)
{
    open_hub(1);
    group = fc_group_new(1);
    CHECK(fc_hub_lead(hub));
    for (int cpu = -1; cpu < 8; cpu += 4) {
        int64_t until = fc_now_ns() + 3000000;
        enum fc_park_result result;
        do {
            result = kit_sleep(hub, group, until, cpu);
        } while (result != FC_PARK_TIMED_OUT);
        CHECK(fc_now_ns() >= until);
        CHECK(listeners() == 0);
    }
    CHECK(!fc_group_complete(group)); /* he is up */
    fc_group_unref(group);
    close_hub();
}

static void
a_worker_wakes_the_leader(void)
{
    struct check_thread thread;
    open_hub(1);
    group = fc_group_new(1);
    send_one();
    begin_to_sleep(&thread);
    serve_one(0, true);
    check_join(&thread);
    CHECK(slept == FC_PARK_WOKEN);
    CHECK(listeners() == 0 && !rings());
    fetch_one(0);
    fc_group_unref(group);
    close_hub();
}

static void
a_completer_wakes_the_leader(void)
{
    struct check_thread thread;
    open_hub(1);
    group = fc_group_new(1);
    begin_to_sleep(&thread);
    CHECK(fc_group_complete(group));
    fc_group_wake(group);
    check_join(&thread);
    CHECK(slept == FC_PARK_WOKEN);
    CHECK(listeners() == 0);
    fc_group_unref(group);
    close_hub();
}

static void
on_signal(int number)
{
    (void)number;
}

static void
a_signal_wakes_the_leader(void)
{
    struct sigaction action = {.sa_handler = on_signal}, before;
    struct check_thread thread;
    sigaction(SIGUSR1, &action, &before);
    open_hub(1);
    group = fc_group_new(1);
    begin_to_sleep(&thread);
    for (int i = 0; i < 100 && !awake; i++) {
        pthread_kill(thread.thread, SIGUSR1);
        check_sleep_us(20000);
    }
    check_join(&thread);
    CHECK(slept == FC_PARK_INTERRUPTED);
    CHECK(!fc_group_complete(group));
    fc_group_unref(group);
    close_hub();
    sigaction(SIGUSR1, &before, NULL);
}

/* A group that has its bed elsewhere cannot sleep here. */
static void
a_bed_of_another_hub(void)
{
    open_hub(0);
    struct fc_hub *first = hub;
    group = fc_group_new(1);
    CHECK(fc_group_lie_down(group, &first->bed));
    CHECK(fc_group_get_up(group));
    open_hub(0);
    CHECK(kit_sleep(hub, group, FC_FOREVER, -1) == FC_PARK_WOKEN);
    CHECK(listeners() == 0);
    CHECK(!fc_group_fired(group));
    fc_group_unref(group);
    close_hub();
    fc_hub_unref(first);
}

void
test_hub(void)
{
    RUN(making_one_without_memory);
    RUN(the_last_reference_frees_it);
    RUN(a_forked_child_drops_its_copy);
    RUN(it_outlives_a_late_completer);
    RUN(seats_are_opened_and_closed);
    RUN(a_closed_seat_says_nothing);
    RUN(one_is_wanted_for_each_call_beyond_the_idle);
    RUN(who_has_something_to_do_is_not_idle);
    RUN(the_first_request_of_a_worker_is_expected);
    RUN(one_leads_at_a_time);
    RUN(leaving_beside_a_result_rings);
    RUN(a_leader_does_not_sleep_beside_a_result);
    RUN(a_leader_looks_again_before_he_sleeps);
    RUN(a_leader_sleeps_until_the_deadline);
    RUN(a_worker_wakes_the_leader);
    RUN(a_completer_wakes_the_leader);
    RUN(a_signal_wakes_the_leader);
    RUN(a_bed_of_another_hub);
}
