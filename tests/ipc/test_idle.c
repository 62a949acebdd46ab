/* test_idle.c - workers that park and are woken: none sleeps while there is a
 * request; and whoever listens for results hears of them.
 */
#include <errno.h>
#include <string.h>

#include "check.h"
#include "ipc/idle.h"
#include "ipc/requests.h"
#include "ipc/results.h"
#include "ipc/stream.h"

#define WORKERS 3

static const struct fc_geometry small = {
    .seats = 70, .slots = 16, .stream = 4096, .arena = 65536};

static struct fc_segment segment;
static struct fc_sender sender;

static void
open_all(void)
{
    CHECK(fc_segment_create(&segment, &small) == 0);
    CHECK(fc_sender_init(&sender, &segment) == 0);
}

static void
close_all(void)
{
    fc_sender_destroy(&sender);
    fc_segment_detach(&segment);
}

static bool
is_parked(uint32_t seat)
{
    return (segment.header->parked[seat / 64] >> (seat % 64) & 1) != 0;
}

static void
idle_workers_are_counted_once(void)
{
    open_all();
    fc_idle_enter(&segment, 3);
    fc_idle_enter(&segment, 3);
    fc_idle_enter(&segment, 69);
    CHECK(fc_idle_count(&segment) == 2);
    fc_idle_leave(&segment, 3);
    fc_idle_leave(&segment, 3);
    CHECK(fc_idle_count(&segment) == 1);
    fc_idle_forget(&segment, 69);
    CHECK(fc_idle_count(&segment) == 0);
    close_all();
}

static atomic_int awake;

static void
park_once(void *arg)
{
    uint32_t seat = *(uint32_t *)arg;
    while (fc_idle_park(&segment, seat, FC_FOREVER) != FC_PARK_WOKEN) {
    }
    atomic_fetch_add(&awake, 1);
}

/* Seat 69 is in the second word of bits. */
static uint32_t seats[] = {69, 5, 0};

static void
park_three(struct check_thread threads[3])
{
    awake = 0;
    for (int i = 0; i < 3; i++) {
        check_spawn(&threads[i], park_once, &seats[i]);
        CHECK_SOON(is_parked(seats[i]));
    }
}

static void
one_is_woken_at_a_time(void)
{
    struct check_thread threads[3];
    open_all();
    park_three(threads);
    for (int i = 1; i <= 3; i++) {
        fc_idle_wake(&segment);
        CHECK_SOON(awake == i);
        check_sleep_us(1000);
        CHECK(awake == i);
    }
    for (int i = 0; i < 3; i++) {
        check_join(&threads[i]);
        CHECK(!is_parked(seats[i]));
    }
    fc_idle_wake(&segment); /* nobody is there */
    close_all();
}

static void
closing_wakes_all(void)
{
    struct check_thread threads[3];
    open_all();
    park_three(threads);
    CHECK(!fc_idle_closing(&segment));
    fc_idle_close(&segment);
    for (int i = 0; i < 3; i++) {
        check_join(&threads[i]);
    }
    CHECK(fc_idle_closing(&segment));
    CHECK(fc_idle_park(&segment, 1, FC_FOREVER) == FC_PARK_WOKEN);
    close_all();
}

static void
a_bit_of_no_seat_does_no_harm(void)
{
    open_all();
    segment.header->parked[0] = UINT64_MAX;
    segment.header->parked[1] = UINT64_MAX;
    for (int i = 0; i < 80; i++) {
        fc_idle_wake(&segment);
    }
    CHECK(segment.header->parked[0] == 0 && segment.header->parked[1] == 0);
    close_all();
}

static void
parking_ends_at_the_deadline(void)
{
    open_all();
    while (fc_idle_park(&segment, 0, fc_now_ns() + 1000000)
           != FC_PARK_TIMED_OUT) {
    }
    CHECK(!is_parked(0));
    close_all();
}

/* --- stress: requests come one by one, each has to be taken without another
 * --- one coming after it; a lost wake-up hangs */

static _Atomic(uint64_t) taken_count;
static _Atomic(uint32_t) taken_index;

static void
serve(void *arg)
{
    uint32_t seat = *(uint32_t *)arg;
    struct check_random r = check_random_new(30 + seat);
    for (;;) {
        struct fc_taken taken;
        int error = fc_requests_take(&segment, seat, &taken);
        if (error == 0) {
            fc_idle_leave(&segment, seat);
            if (fc_requests_waiting(&segment)) {
                fc_idle_wake(&segment);
            }
            atomic_store(&taken_index, taken.index);
            atomic_fetch_add(&taken_count, 1);
            check_random_delay(&r);
            continue;
        }
        CHECK(error == EAGAIN);
        fc_idle_enter(&segment, seat);
        check_random_delay(&r);
        if (fc_idle_closing(&segment)) {
            return;
        }
        (void)fc_idle_park(&segment, seat, FC_FOREVER);
    }
}

static void
stress_parking(void)
{
    struct check_random r = check_random_new(40);
    uint32_t places[WORKERS] = {0, 1, 2};
    struct check_thread threads[WORKERS];
    open_all();
    taken_count = 0;
    for (int i = 0; i < WORKERS; i++) {
        check_spawn(&threads[i], serve, &places[i]);
    }
    uint64_t rounds = check_size(20000);
    for (uint64_t i = 0; i < rounds; i++) {
        uint32_t index;
        int error;
        CHECK(fc_sender_begin(&sender, &index, &error) != NULL);
        fc_sender_publish(&sender, index);
        fc_idle_wake(&segment);
        while (taken_count == i) {
            fc_pause();
        }
        fc_sender_finish(&sender, taken_index);
        check_random_delay(&r);
    }
    CHECK(taken_count == rounds);
    fc_idle_close(&segment);
    for (int i = 0; i < WORKERS; i++) {
        check_join(&threads[i]);
    }
    close_all();
}

/* --- results */

static uint64_t results_count;
static struct fc_bell bell;
static _Atomic(uint64_t) seen_results;

/* Publishes the next one when the last has been seen. */
static void
announce(void *unused)
{
    (void)unused;
    struct check_random r = check_random_new(50);
    struct fc_producer p;
    fc_producer_init(&p, &segment, 0, FC_TO_PARENT);
    for (uint64_t i = 0; i < results_count; i++) {
        while (seen_results != i) {
            fc_pause();
        }
        check_random_delay(&r);
        CHECK(fc_producer_begin(&p, 0) != NULL);
        fc_producer_publish(&p, 0, 0, i, 0);
        fc_results_announce(&segment, bell.ring);
    }
}

static void
listen_for_results(bool polls)
{
    struct check_random r = check_random_new(51);
    struct check_thread thread;
    struct fc_consumer c;
    open_all();
    CHECK(fc_bell_create(&bell) == 0);
    CHECK(fc_segment_prepare_seat(&segment, 0) == 0);
    fc_consumer_init(&c, &segment, 0, FC_TO_PARENT);
    seen_results = 0;
    results_count = check_size(20000);
    check_spawn(&thread, announce, NULL);
    while (seen_results < results_count) {
        uint32_t seen = fc_results_listen(
            &segment, polls ? FC_LISTENER_BELL : FC_LISTENER_CALLER);
        if (!fc_consumer_ready(&c)) {
            if (!polls) {
                (void)fc_results_park(&segment, seen, FC_FOREVER);
            }
            while (polls && !fc_process_ended(bell.listen)) {
            }
        }
        fc_results_unlisten(&segment,
                            polls ? FC_LISTENER_BELL : FC_LISTENER_CALLER);
        fc_bell_silence(bell.listen);
        struct fc_frame frame;
        while (fc_consumer_next(&c, &frame) == 0) {
            CHECK(frame.tag == seen_results);
            fc_consumer_release(&c);
            atomic_fetch_add(&seen_results, 1);
        }
        check_random_delay(&r);
    }
    check_join(&thread);
    fc_bell_close(&bell);
    close_all();
}

static void
stress_a_caller_that_listens(void)
{
    listen_for_results(false);
}

static void
stress_a_thread_that_polls(void)
{
    listen_for_results(true);
}

static void
nobody_rings_for_nobody(void)
{
    open_all();
    CHECK(fc_bell_create(&bell) == 0);
    fc_results_announce(&segment, bell.ring);
    CHECK(!fc_process_ended(bell.listen));
    (void)fc_results_listen(&segment, FC_LISTENER_BELL);
    fc_results_announce(&segment, bell.ring);
    fc_bell_silence(bell.listen);
    fc_results_announce(&segment, bell.ring); /* one ring per listening */
    CHECK(!fc_process_ended(bell.listen));
    uint32_t seen = fc_results_listen(&segment, FC_LISTENER_CALLER);
    fc_results_nudge(&segment);
    CHECK(fc_results_park(&segment, seen, FC_FOREVER) == FC_PARK_WOKEN);
    fc_bell_close(&bell);
    close_all();
}

void
test_idle(void)
{
    RUN(idle_workers_are_counted_once);
    RUN(one_is_woken_at_a_time);
    RUN(closing_wakes_all);
    RUN(a_bit_of_no_seat_does_no_harm);
    RUN(parking_ends_at_the_deadline);
    RUN(stress_parking);
    RUN(nobody_rings_for_nobody);
    RUN(stress_a_caller_that_listens);
    RUN(stress_a_thread_that_polls);
}
