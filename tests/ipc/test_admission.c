/* test_admission.c - a worker sits down when its starter knows of it, and not
 * in a seat that was given to another one.
 */
#include <errno.h>
#include <unistd.h>

#include "check.h"
#include "hub_kit.h"
#include "ipc/admission.h"
#include "ipc/responder.h"

#define SEAT 1

static struct fc_hub *hub;

static void
open_hub(void)
{
    int error = 0;
    hub = fc_hub_new(&kit_geometry, 1 << 20, &error);
    CHECK(hub != NULL);
    for (int i = 0; i <= SEAT; i++) {
        CHECK(fc_hub_open_seat(hub, &error) == i);
    }
}

static uint32_t
start(void)
{
    return hub->requester.workers[SEAT].start;
}

/* What a worker of this start hears when it does not wait. */
static int
asked(uint32_t number)
{
    return fc_admission_await(&hub->requester.segment, SEAT, number,
                              fc_now_ns());
}

static void
each_start_has_a_number(void)
{
    open_hub();
    CHECK(start() != 0);
    CHECK(start() != hub->requester.workers[0].start);
    /* The numbers begin anew after the last one, and 0 is none. */
    hub->requester.starts = INT32_MAX - 1;
    fc_hub_close_seat(hub, SEAT);
    int error;
    CHECK(fc_hub_open_seat(hub, &error) == SEAT && start() == INT32_MAX);
    fc_hub_admit_seat(hub, SEAT);
    CHECK(asked(INT32_MAX) == 0);
    fc_hub_close_seat(hub, SEAT);
    CHECK(fc_hub_open_seat(hub, &error) == SEAT && start() == 1);
    CHECK(asked(INT32_MAX) == ECANCELED);
    CHECK(asked(1) == ETIMEDOUT);
    fc_hub_unref(hub);
}

static void
one_that_is_admitted_sits_down(void)
{
    open_hub();
    CHECK(asked(start()) == ETIMEDOUT);
    CHECK(fc_hub_starting(hub) == SEAT + 1);
    fc_hub_admit_seat(hub, SEAT);
    CHECK(asked(start()) == 0);
    CHECK(fc_hub_starting(hub) == SEAT + 1); /* until it is ready */
    CHECK(!fc_hub_withdraw_seat(hub, SEAT));
    CHECK(asked(start()) == 0);
    fc_hub_unref(hub);
}

static void
one_that_nobody_knows_of_does_not(void)
{
    int error;
    open_hub();
    uint32_t first = start();
    CHECK(fc_hub_withdraw_seat(hub, SEAT));
    CHECK(fc_hub_starting(hub) == SEAT);
    CHECK(asked(first) == ECANCELED);
    CHECK(fc_hub_open_seat(hub, &error) == SEAT);
    CHECK(asked(first) == ECANCELED);
    CHECK(asked(start()) == ETIMEDOUT);
    fc_hub_admit_seat(hub, SEAT);
    CHECK(asked(first) == ECANCELED);
    CHECK(asked(start()) == 0);
    fc_hub_unref(hub);
}

/* --- those that wait */

struct comer {
    uint32_t start;
    int outcome;
};

static void
come(void *arg)
{
    struct comer *comer = arg;
    struct fc_responder w;
    CHECK(fc_responder_attach(&w, dup(hub->requester.segment.fd), SEAT,
                              hub->bell.ring, 1 << 20)
          == 0);
    comer->outcome = fc_responder_await_admission(&w, comer->start);
    fc_responder_detach(&w);
}

/* Each start has two workers, of which one is late: its seat is closed, opened
 * again for the next start, admitted, and closed. */
static void
stress_comers(void)
{
    struct check_random r = check_random_new(64);
    struct check_thread threads[2];
    struct comer comers[2];
    int error;
    open_hub();
    for (uint64_t i = check_size(2000); i > 0; i--) {
        comers[0].start = start();
        check_spawn(&threads[0], come, &comers[0]);
        check_random_delay(&r);
        CHECK(fc_hub_withdraw_seat(hub, SEAT));
        CHECK(fc_hub_open_seat(hub, &error) == SEAT);
        comers[1].start = start();
        check_spawn(&threads[1], come, &comers[1]);
        check_random_delay(&r);
        fc_hub_admit_seat(hub, SEAT);
        check_join(&threads[0]);
        check_join(&threads[1]);
        CHECK(comers[0].outcome == ECANCELED && comers[1].outcome == 0);
        fc_hub_close_seat(hub, SEAT);
        CHECK(fc_hub_open_seat(hub, &error) == SEAT);
    }
    fc_hub_unref(hub);
}

/* --- a pool that is gone */

static void
one_that_nobody_knows_of_leaves_with_the_pool(void)
{
    struct fc_responder w;
    open_hub();
    fc_hub_admit_seat(hub, SEAT);
    CHECK(fc_responder_attach(&w, dup(hub->requester.segment.fd), SEAT,
                              hub->bell.ring, 1 << 20)
          == 0);
    CHECK(fc_responder_await_admission(&w, start()) == 0);
    fc_responder_ready(&w);
    fc_hub_unref(hub);
    CHECK(fc_responder_idle(&w) == ESHUTDOWN);
    fc_responder_detach(&w);
}

static void
one_that_comes_after_the_pool_leaves(void)
{
    struct fc_responder w;
    open_hub();
    uint32_t number = start();
    fc_hub_admit_seat(hub, SEAT);
    int fd = dup(hub->requester.segment.fd);
    fc_hub_unref(hub);
    CHECK(fc_responder_attach(&w, fd, SEAT, -1, 1 << 20) == 0);
    /* The portable half keeps the memory as it is: then it may sit down, and
     * finds that the pool closes. */
    int error = fc_responder_await_admission(&w, number);
    CHECK(error == ECANCELED
          || (error == 0 && fc_responder_idle(&w) == ESHUTDOWN));
    fc_responder_detach(&w);
}

void
test_admission(void)
{
    RUN(each_start_has_a_number);
    RUN(one_that_is_admitted_sits_down);
    RUN(one_that_nobody_knows_of_does_not);
    RUN(stress_comers);
    RUN(one_that_nobody_knows_of_leaves_with_the_pool);
    RUN(one_that_comes_after_the_pool_leaves);
}
