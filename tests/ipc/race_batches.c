/* race_batches.c - batches between a parent and workers at both ends of a
 * segment: step by step in one thread, and with workers that run, as processes
 * and as threads.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <errno.h>
#include <string.h>

#include "batch_kit.h"
#include "check.h"
#include "ipc/idle.h"

static struct batch_kit kit;
static struct fc_responder workers[2];
static const uint16_t plain[BATCH_ITEMS]; /* all of them CELL */

/* --- step by step ------------------------------------------------------------ */

static void
sit_down(void)
{
    kit.threads = true;
    batch_kit_open(&kit);
    for (uint32_t i = 0; i < 2; i++) {
        CHECK(fc_requester_open(&kit.requester, i) == 0);
        batch_sit_down(&workers[i], &kit, i);
        fc_responder_ready(&workers[i]);
    }
}

static void
get_up(void)
{
    batch_get_up(&workers[0]);
    batch_get_up(&workers[1]);
    batch_kit_close(&kit);
}

static uint64_t
word_of(uint32_t seat)
{
    return kit.requester.segment.seats[seat].batch;
}

static void
take(struct fc_responder *w, struct fc_job *job, struct fc_batch_view *v)
{
    CHECK(fc_responder_take(w, job) == 0);
    CHECK(job->kind == BATCH_REQUEST && job->seat == w->seat);
    CHECK(fc_responder_open(w, job, v) == 0);
}

/* Whoever claims the last item: nobody looks at the seat any more. */
static void
an_open_batch_is_closed_with_its_last_item(void)
{
    struct fc_job job, other;
    struct fc_batch_view v, its;
    int item;
    sit_down();
    struct batch *b = batch_send(&kit, 3, plain);
    take(&workers[0], &job, &v);
    CHECK(word_of(0) == job.tag + 1 && word_of(1) == 0);
    CHECK(fc_batches_open(&kit.requester.segment));
    CHECK(fc_responder_claim(&workers[0], &job, &v) == 0);
    CHECK(fc_responder_join(&workers[1], &other, &its, &item) == 0);
    CHECK(item == 1 && other.tag == job.tag && other.seat == 0);
    CHECK(other.kind == BATCH_REQUEST);
    CHECK(word_of(0) == job.tag + 1);
    CHECK(fc_responder_claim(&workers[1], &other, &its) == 2);
    CHECK(word_of(0) == 0 && !fc_batches_open(&kit.requester.segment));
    CHECK(fc_responder_join(&workers[1], &other, &its, &item) == EAGAIN);
    CHECK(fc_responder_claim(&workers[0], &job, &v) == -1);
    CHECK(!fc_batch_leave(&v, 1) && fc_batch_leave(&its, 2));
    CHECK(fc_requester_forget(&kit.requester, b->index) == b);
    get_up();
}

/* A batch of one item is for whoever has taken it. */
static void
a_batch_of_one_is_not_opened(void)
{
    struct fc_job job;
    struct fc_batch_view v;
    sit_down();
    CHECK(batch_send(&kit, 1, plain) != NULL);
    take(&workers[0], &job, &v);
    CHECK(word_of(0) == 0);
    CHECK(fc_responder_claim(&workers[0], &job, &v) == 0);
    CHECK(fc_batch_leave(&v, 1));
    get_up();
}

/* Its items are cancelled between taking and opening it: it is not over before
 * its taker knows, who would look at what stands there since; and it does not
 * stay open, or idle workers would look at it for ever. */
static void
a_batch_is_cancelled_before_it_is_opened(void)
{
    struct fc_job job;
    struct fc_batch_view v;
    bool all_done = true;
    sit_down();
    struct batch *b = batch_send(&kit, 3, plain);
    CHECK(fc_responder_take(&workers[0], &job) == 0);
    CHECK(!fc_requester_cancel(&kit.requester, b->index));
    CHECK(fc_batch_cancel(fc_requester_batch(&kit.requester, b->index),
                          &all_done)
          == 0);
    CHECK(!all_done);
    fc_requester_close_batch(&kit.requester, b->index);
    CHECK(fc_responder_open(&workers[0], &job, &v) == 0);
    CHECK(word_of(0) == 0);
    CHECK(fc_responder_claim(&workers[0], &job, &v) == -1);
    CHECK(fc_batch_leave(&v, 0));
    get_up();
}

static void
a_seat_with_another_batch_is_left_alone(void)
{
    struct fc_segment *s;
    sit_down();
    s = &kit.requester.segment;
    struct batch *b = batch_send(&kit, 3, plain);
    struct batch *c = batch_send(&kit, 3, plain);
    struct fc_job first, second;
    struct fc_batch_view v;
    take(&workers[0], &first, &v);
    take(&workers[0], &second, &v);
    CHECK(word_of(0) == second.tag + 1);
    fc_batch_close(s, 0, first.tag);
    fc_requester_close_batch(&kit.requester, b->index);
    CHECK(word_of(0) == second.tag + 1);
    fc_requester_close_batch(&kit.requester, c->index);
    CHECK(word_of(0) == 0);
    get_up();
}

/* What a seat says is looked up, and nothing is believed. */
static void
nonsense_in_a_seat_is_no_batch(void)
{
    struct fc_job job, other;
    struct fc_batch_view v;
    int item;
    uint32_t index;
    sit_down();
    unsigned char bytes[300] = {1};
    struct fc_part part = {bytes, sizeof(bytes)};
    CHECK(fc_requester_send(&kit.requester, &part, 1, 0, 0, &kit, &index)
          == 0);
    CHECK(fc_responder_take(&workers[0], &job) == 0);
    uint64_t arena = job.tag;
    part.size = 10;
    CHECK(fc_requester_send(&kit.requester, &part, 1, 0, 0, &kit, &index)
          == 0);
    CHECK(fc_responder_take(&workers[0], &job) == 0);
    uint64_t in_slot = job.tag;
    struct batch *b = batch_send(&kit, 2, plain);
    CHECK(b != NULL);
    const uint64_t ready = fc_wire_tag(2, b->index);
    const uint64_t nonsense[] = {arena,          in_slot, ready,
                                 ready + 65536,  0xffff,  UINT64_MAX - 1,
                                 UINT64_C(1) << 63};
    for (unsigned i = 0; i < sizeof(nonsense) / sizeof(*nonsense); i++) {
        kit.requester.segment.seats[0].batch = nonsense[i] + 1;
        CHECK(fc_responder_join(&workers[1], &other, &v, &item) == EAGAIN);
        CHECK(word_of(0) == 0);
    }
    /* One that is open is found behind it. */
    take(&workers[1], &job, &v);
    CHECK(job.tag == ready && word_of(1) == ready + 1);
    kit.requester.segment.seats[0].batch = arena + 1;
    CHECK(fc_responder_join(&workers[0], &other, &v, &item) == 0);
    CHECK(item == 0 && other.seat == 1 && word_of(0) == 0);
    get_up();
}

static void
a_request_that_is_no_batch_is_not_opened(void)
{
    struct fc_job job;
    struct fc_batch_view v;
    uint32_t index;
    unsigned char bytes[300] = {0};
    struct fc_part part = {bytes, sizeof(bytes)};
    sit_down();
    CHECK(fc_requester_send(&kit.requester, &part, 1, 0, 0, &kit, &index)
          == 0);
    CHECK(fc_responder_take(&workers[0], &job) == 0);
    CHECK(fc_responder_open(&workers[0], &job, &v) == EBADMSG);
    CHECK(word_of(0) == 0);
    get_up();
}

static void
there_is_no_room_for_a_batch(void)
{
    static unsigned char bytes[FC_ARENA_MOST];
    const uint32_t end = FC_ARENA_MOST - (uint32_t)fc_batch_head(1);
    const uint32_t longer = end + 1;
    uint32_t index, other;
    struct fc_requester *r = &kit.requester;
    sit_down();
    CHECK(fc_requester_send_batch(r, 1, &longer, bytes, longer, 0, 1, &kit,
                                  &index)
          == E2BIG);
    for (unsigned i = 0; i < 2 * BATCH_SLOTS; i++) {
        CHECK(fc_requester_send_batch(r, 1, &end, bytes, end, 0, 1, &kit,
                                      &index)
              == 0);
        CHECK(fc_requester_batch(r, index)->count == 1);
        /* Neither in the arena, nor may that have cost a slot. */
        CHECK(fc_requester_send_batch(r, 1, &end, bytes, end, 0, 1, &kit,
                                      &other)
              == EAGAIN);
        CHECK(fc_requester_cancel(r, index));
    }
    unsigned sent = 0;
    while (batch_send(&kit, 2, plain) != NULL) {
        sent++;
    }
    CHECK(sent == BATCH_SLOTS);
    get_up();
}

/* Several say something of one batch, and its request stays where it is. */
static void
several_say_something_of_a_batch(void)
{
    struct fc_job job, other;
    struct fc_batch_view v, its;
    struct fc_reply reply;
    struct fc_part part = {"words", 5};
    int item;
    sit_down();
    struct batch *b = batch_send(&kit, 3, plain);
    take(&workers[0], &job, &v);
    CHECK(fc_responder_join(&workers[1], &other, &its, &item) == 0);
    CHECK(fc_responder_say(&workers[1], &other, 7, &part, 1) == 0);
    CHECK(fc_responder_say(&workers[0], &job, 8, &part, 1) == 0);
    for (uint32_t seat = 0; seat < 2; seat++) {
        CHECK(fc_requester_next(&kit.requester, seat, &reply) == 0);
        CHECK(reply.part && reply.user == b && reply.index == b->index);
        CHECK(reply.kind == 8 - seat && reply.size == 5);
        fc_reply_clear(&reply);
        fc_requester_release(&kit.requester, seat);
    }
    CHECK(fc_requester_has(&kit.requester, 0, b->index));
    /* A joiner may not answer the request, nor anybody one that is gone. */
    CHECK(fc_responder_reply(&workers[1], &other, 7, &part, 1, false) == 0);
    CHECK(fc_requester_next(&kit.requester, 1, &reply) == EBADMSG);
    CHECK(fc_requester_forget(&kit.requester, b->index) == b);
    CHECK(fc_responder_say(&workers[0], &job, 7, &part, 1) == 0);
    CHECK(fc_requester_next(&kit.requester, 0, &reply) == EBADMSG);
    get_up();
}

/* --- with workers that run ---------------------------------------------------- */

static void
in_both_ways(void (*body)(void))
{
    for (int threads = 0; threads < 2; threads++) {
        kit.threads = threads != 0;
        batch_kit_open(&kit);
        for (unsigned i = 0; i < BATCH_WORKERS; i++) {
            batch_kit_start(&kit, i);
        }
        body();
        CHECK(!fc_batches_open(&kit.requester.segment));
        batch_kit_close(&kit);
    }
}

/* Who joins late reads plain words of a slot that is being written again, and
 * believes nothing of it.  ThreadSanitizer cannot know, and gets many short runs
 * in which no slot is used twice. */
#define ENOUGH (CHECK_TSAN ? BATCH_SLOTS : check_size(3000))
#define RUNS (CHECK_TSAN ? 20 : 1)

static uint64_t run;

/* Workers claim, some items are said, some batches are cancelled. */
static void
send_all_sorts(void)
{
    struct check_random r = check_random_new(740 + 1000 * run);
    uint64_t sent = 0, rounds = ENOUGH;
    while (sent < rounds) {
        uint16_t what[BATCH_ITEMS];
        uint32_t count = 1 + (uint32_t)check_random_below(&r, BATCH_ITEMS);
        bool says = check_random_below(&r, 4) == 0;
        for (uint32_t i = 0; i < count; i++) {
            what[i] = says ? (uint16_t)check_random_below(&r, 3) : ITEM_CELL;
        }
        struct batch *b = batch_send(&kit, count, what);
        if (b == NULL) {
            batch_drain(&kit);
            b = &kit.batches[check_random_below(&r, BATCH_SLOTS)];
            if (b->under_way) {
                batch_finish(&kit, b);
            }
            continue;
        }
        sent++;
        if (check_random_below(&r, 4) == 0) {
            check_random_delay(&r);
            batch_stop(&kit, b);
        }
    }
    batch_finish_all(&kit);
}

static void
batch_items_are_done_once(void)
{
    for (run = 0; run < RUNS; run++) {
        in_both_ways(send_all_sorts);
    }
}

/* As many items as there are workers, of which each waits for all others: if
 * anybody sleeps beside one, it hangs (A4).  Sometimes they sleep when it is
 * sent, and sometimes they are about to. */
static void
meet(void)
{
    const uint16_t what[BATCH_WORKERS] = {ITEM_MEET, ITEM_MEET, ITEM_MEET};
    struct check_random r = check_random_new(741);
    for (uint64_t n = check_size(1000); n > 0; n--) {
        kit.notes->met = 0;
        kit.notes->expected = BATCH_WORKERS;
        struct batch *b = batch_send(&kit, BATCH_WORKERS, what);
        batch_finish(&kit, b);
        check_random_delay(&r);
        if (n % 128 == 0) {
            check_sleep_us(500);
        }
    }
}

static void
no_worker_sleeps_beside_a_batch(void)
{
    in_both_ways(meet);
}

/* The same with two batches and less to do in each. */
static void
meet_in_two(void)
{
    const uint16_t what[2] = {ITEM_MEET, ITEM_MEET};
    struct check_random r = check_random_new(742);
    for (uint64_t n = check_size(1000); n > 0; n--) {
        kit.notes->met = 0;
        kit.notes->expected = BATCH_WORKERS;
        struct batch *b = batch_send(&kit, 2, what);
        check_random_delay(&r);
        struct batch *c = batch_send(&kit, 2, what);
        batch_finish(&kit, b);
        batch_finish(&kit, c);
    }
}

static void
no_worker_sleeps_beside_two_batches(void)
{
    in_both_ways(meet_in_two);
}

/* Who waits for an item is woken when its cell has the result; and an item that
 * takes long does not keep those behind it. */
static void
wait_behind_a_gate(void)
{
    const uint16_t what[BATCH_ITEMS] = {ITEM_GATE, 0, 0, ITEM_GATE};
    for (uint64_t n = check_size(200); n > 0; n--) {
        kit.notes->gate = 0;
        struct batch *b = batch_send(&kit, BATCH_ITEMS, what);
        for (uint32_t i = BATCH_ITEMS; i > 0; i--) {
            while (what[i - 1] != ITEM_GATE
                   && batch_state(&kit, b, i - 1) == FC_CELL_EMPTY) {
                batch_wait(&kit, b, i - 1, FC_FOREVER);
            }
        }
        CHECK(batch_state(&kit, b, 0) == FC_CELL_EMPTY);
        CHECK(batch_state(&kit, b, 3) == FC_CELL_EMPTY);
        CHECK(!b->done);
        kit.notes->gate = 1;
        batch_finish(&kit, b);
    }
}

static void
an_item_does_not_hold_up_its_batch(void)
{
    in_both_ways(wait_behind_a_gate);
}

void
test_race_batches(void)
{
    RUN(an_open_batch_is_closed_with_its_last_item);
    RUN(a_batch_of_one_is_not_opened);
    RUN(a_batch_is_cancelled_before_it_is_opened);
    RUN(a_seat_with_another_batch_is_left_alone);
    RUN(nonsense_in_a_seat_is_no_batch);
    RUN(a_request_that_is_no_batch_is_not_opened);
    RUN(there_is_no_room_for_a_batch);
    RUN(several_say_something_of_a_batch);
    RUN(batch_items_are_done_once);
    RUN(no_worker_sleeps_beside_a_batch);
    RUN(no_worker_sleeps_beside_two_batches);
    RUN(an_item_does_not_hold_up_its_batch);
}
