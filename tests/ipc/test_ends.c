/* test_ends.c - the two ends when something is wrong: no memory, no
 * descriptors, and a peer that talks nonsense.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"
#include "ipc/idle.h"
#include "ipc/requester.h"
#include "ipc/responder.h"
#include "ipc/results.h"

static const struct fc_geometry small = {
    .seats = 2, .slots = 8, .stream = 4096, .arena = 65536};

static struct fc_requester parent;
static struct fc_responder workers[2];
static struct fc_bell bell;
static struct rlimit file_size;

static void
open_ends(void)
{
    CHECK(fc_bell_create(&bell) == 0);
    CHECK(fc_requester_create(&parent, &small, 1 << 23) == 0);
    for (uint32_t i = 0; i < 2; i++) {
        CHECK(fc_requester_open(&parent, i) == 0);
        CHECK(fc_responder_attach(&workers[i], dup(parent.segment.fd), i,
                                  bell.ring, 1 << 23)
              == 0);
    }
}

static void
close_ends(void)
{
    for (int i = 0; i < 2; i++) {
        fc_responder_detach(&workers[i]);
    }
    fc_requester_destroy(&parent);
    fc_bell_close(&bell);
}

/* No more shared memory than there is. */
static void
refuse_memory(void)
{
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &file_size);
    struct rlimit limit = file_size;
    limit.rlim_cur = parent.segment.layout.size;
    setrlimit(RLIMIT_FSIZE, &limit);
}

static void
allow_memory(void)
{
    setrlimit(RLIMIT_FSIZE, &file_size);
    signal(SIGXFSZ, SIG_DFL);
}

static uint32_t
send_bytes(size_t size)
{
    uint32_t index = UINT32_MAX;
    unsigned char *bytes = calloc(size + 1, 1);
    struct fc_part part = {bytes, size};
    CHECK(fc_requester_send(&parent, &part, 1, 0, 1, &parent, &index) == 0);
    free(bytes);
    return index;
}

/* What a worker of this seat might say. */
static void
say(int seat, uint64_t tag, uint16_t kind, const void *bytes, uint32_t size)
{
    unsigned char *room = fc_producer_begin(&workers[seat].replies, size);
    CHECK(room != NULL);
    if (size > 0) {
        memcpy(room, bytes, size);
    }
    fc_producer_publish(&workers[seat].replies, size, kind, tag, 0);
}

static int
hear(uint32_t seat)
{
    struct fc_reply reply;
    int error = fc_requester_next(&parent, seat, &reply);
    fc_reply_clear(&reply);
    return error;
}

static void
creation_without_memory(void)
{
    /* Every allocation in turn. */
    for (uint64_t every = 1; every <= 12; every++) {
        struct fc_requester r;
        shim_fail_every = every;
        int error = fc_requester_create(&r, &small, 0);
        shim_fail_every = 0;
        CHECK(error == ENOMEM || error == 0);
        if (error == 0) {
            fc_requester_destroy(&r);
        }
    }
}

/* Between its reply and its sleep it looks for the next request. */
static void
a_worker_that_finds_nothing_stays_idle(void)
{
    struct fc_job job;
    struct fc_part part = {"r", 1};
    open_ends();
    send_bytes(10);
    CHECK(fc_responder_take(&workers[0], &job) == 0);
    CHECK(!fc_idle_is(&parent.segment, 0));
    CHECK(fc_responder_reply(&workers[0], &job, 5, &part, 1, true) == 0);
    CHECK(fc_idle_is(&parent.segment, 0));
    CHECK(fc_responder_take(&workers[0], &job) == EAGAIN);
    CHECK(fc_idle_is(&parent.segment, 0));
    CHECK(hear(0) == 0);
    send_bytes(10);
    CHECK(fc_responder_take(&workers[0], &job) == 0);
    CHECK(!fc_idle_is(&parent.segment, 0));
    close_ends();
}

static void
a_reply_without_memory_is_lost_as_a_whole(void)
{
    struct fc_job job;
    struct fc_reply reply;
    unsigned char bytes[3000] = {1};
    struct fc_part part = {bytes, 2500};
    open_ends();
    send_bytes(10);
    CHECK(fc_responder_take(&workers[0], &job) == 0);
    CHECK(fc_responder_reply(&workers[0], &job, 5, &part, 1, true) == 0);
    shim_fail_every = 1;
    CHECK(fc_requester_next(&parent, 0, &reply) == ENOMEM);
    shim_fail_every = 0;
    CHECK(reply.user == &parent);
    fc_requester_release(&parent, 0);
    /* The next one arrives in full. */
    send_bytes(10);
    CHECK(fc_responder_take(&workers[0], &job) == 0);
    part.size = sizeof(bytes);
    CHECK(fc_responder_reply(&workers[0], &job, 5, &part, 1, true) == 0);
    CHECK(fc_requester_next(&parent, 0, &reply) == 0);
    CHECK(reply.size == sizeof(bytes));
    fc_reply_clear(&reply);
    close_ends();
}

/* One frame of two says so, and the memory is there again for the other. */
static void
what_is_lost_stays_lost(void)
{
    struct fc_taken taken;
    struct fc_reply reply;
    open_ends();
    send_bytes(10);
    CHECK(fc_requests_take(&workers[0].segment, 0, &taken) == 0);
    uint64_t tag = fc_wire_tag(taken.position, taken.index);
    for (uint64_t rest = 3; rest > 0; rest--) {
        CHECK(fc_producer_begin(&workers[0].replies, 1) != NULL);
        fc_producer_publish(&workers[0].replies, 1, FC_FRAME_REPLY, tag,
                            rest - 1);
        shim_fail_every = rest == 3; /* the first one finds no memory */
        int error = fc_requester_next(&parent, 0, &reply);
        shim_fail_every = 0;
        CHECK(error == (rest > 1 ? EAGAIN : ENOMEM));
    }
    CHECK(reply.user == &parent && reply.bytes == NULL);
    fc_requester_release(&parent, 0);
    close_ends();
}

/* A worker dies in the middle of such a reply: its successor's arrives. */
static void
a_successor_loses_nothing(void)
{
    struct fc_taken taken;
    struct fc_reply reply;
    open_ends();
    uint32_t index = send_bytes(10);
    CHECK(fc_requests_take(&workers[0].segment, 0, &taken) == 0);
    uint64_t tag = fc_wire_tag(taken.position, taken.index);
    CHECK(fc_producer_begin(&workers[0].replies, 1) != NULL);
    fc_producer_publish(&workers[0].replies, 1, FC_FRAME_REPLY, tag, 1);
    shim_fail_every = 1;
    CHECK(fc_requester_next(&parent, 0, &reply) == EAGAIN);
    shim_fail_every = 0;
    CHECK(fc_requester_forget(&parent, index) == &parent);
    fc_requester_close(&parent, 0);
    CHECK(fc_requester_open(&parent, 0) == 0);
    fc_producer_init(&workers[0].replies, &workers[0].segment, 0,
                     FC_TO_PARENT);
    send_bytes(10);
    CHECK(fc_requests_take(&workers[0].segment, 0, &taken) == 0);
    say(0, fc_wire_tag(taken.position, taken.index), FC_FRAME_REPLY, "x", 1);
    CHECK(hear(0) == 0);
    close_ends();
}

/* --- a worker without memory for a request that comes in pieces */

static struct fc_job fetched;
static int fetch_result;

static void
take_in_pieces(void *unused)
{
    (void)unused;
    fetch_result = fc_responder_take(&workers[0], &fetched);
    while (fetch_result == EINTR) {
        fetch_result = fc_responder_fetch(&workers[0], &fetched);
    }
}

/* Feed the worker until it has everything; there is no memory at first. */
static void
feed_all(uint32_t index, bool short_of_memory)
{
    struct check_thread thread;
    struct fc_reply reply;
    const struct fc_stream_state *pieces =
        &parent.segment.seats[0].streams[FC_TO_WORKER];
    uint64_t before = pieces->written;
    shim_fail_every = short_of_memory;
    check_spawn(&thread, take_in_pieces, NULL);
    while (parent.requested[index].bytes != NULL) {
        if (pieces->written > before && pieces->read == pieces->written) {
            shim_fail_every = 0; /* some has arrived, and was lost */
        }
        if (fc_requester_ready(&parent, 0)) {
            CHECK(fc_requester_next(&parent, 0, &reply) == EAGAIN);
            fc_requester_release(&parent, 0);
        }
    }
    check_join(&thread);
    shim_fail_every = 0;
}

static void
a_request_without_memory_is_lost_as_a_whole(void)
{
    open_ends();
    refuse_memory();
    struct fc_part part = {"r", 1};
    for (int round = 0; round < 4; round++) {
        uint32_t index = send_bytes(70000);
        CHECK(parent.requested[index].how == FC_HOW_STREAM);
        feed_all(index, round % 2 == 0);
        CHECK(fetch_result == (round % 2 == 0 ? ENOMEM : 0));
        CHECK(fetched.size == 70000);
        CHECK((fetched.bytes == NULL) == (round % 2 == 0));
        /* It is answered all the same. */
        fc_responder_done(&workers[0], &fetched);
        CHECK(fc_responder_reply(&workers[0], &fetched, 1, &part, 1, true)
              == 0);
        CHECK(hear(0) == 0);
        fc_requester_release(&parent, 0);
    }
    allow_memory();
    close_ends();
}

static void
what_was_kept_for_a_worker_is_freed(void)
{
    struct fc_taken taken;
    open_ends();
    refuse_memory();
    int64_t before = shim_live;
    for (int taken_first = 0; taken_first < 2; taken_first++) {
        uint32_t index = send_bytes(70000);
        CHECK(shim_live == before + 1);
        if (taken_first) {
            CHECK(fc_requests_take(&workers[0].segment, 0, &taken) == 0);
            CHECK(fc_requester_forget(&parent, index) == &parent);
        }
        else {
            CHECK(fc_requester_cancel(&parent, index));
        }
        CHECK(shim_live == before);
    }
    allow_memory();
    close_ends();
}

/* --- who is woken */

static uint32_t
signal_of(uint32_t seat)
{
    return parent.segment.seats[seat].signal;
}

/* Whoever takes a request while there are more wakes the next worker. */
static void
the_next_worker_is_woken(void)
{
    struct fc_job job;
    open_ends();
    for (int more = 0; more < 2; more++) {
        for (int i = 0; i <= more; i++) {
            send_bytes(1); /* nobody is parked, and nobody is woken */
        }
        uint32_t before = signal_of(1);
        parent.segment.header->parked[0] = 2; /* seat 1, just now */
        CHECK(fc_responder_take(&workers[0], &job) == 0);
        CHECK(signal_of(1) == before + (more ? 1 : 0));
        CHECK(parent.segment.header->parked[0] == (more ? 0 : 2));
        parent.segment.header->parked[0] = 0;
    }
    close_ends();
}

/* A worker that has died may have been woken for a request, or have been about
 * to wake another one. */
static void
a_death_makes_all_others_look(void)
{
    open_ends();
    uint32_t other = signal_of(1);
    parent.segment.header->parked[0] = 3;
    fc_idle_enter(&parent.segment, 0);
    fc_requester_close(&parent, 0);
    CHECK(signal_of(1) == other + 1);
    CHECK(parent.segment.header->parked[0] == 2); /* it sleeps no more */
    CHECK(fc_idle_count(&parent.segment) == 0);
    close_ends();
}

/* --- a worker that talks nonsense */

static void
replies_to_what_it_does_not_have(void)
{
    struct fc_taken taken;
    open_ends();
    send_bytes(5);
    say(0, fc_wire_tag(0, 0), FC_FRAME_REPLY, "x", 1);
    CHECK(hear(0) == EBADMSG); /* nobody has taken it */
    CHECK(fc_requests_take(&workers[1].segment, 1, &taken) == 0);
    close_ends();
    open_ends();
    send_bytes(5);
    CHECK(fc_requests_take(&workers[1].segment, 1, &taken) == 0);
    say(0, fc_wire_tag(taken.position, taken.index), FC_FRAME_REPLY, "x", 1);
    CHECK(hear(0) == EBADMSG); /* another has */
    say(1, fc_wire_tag(taken.position + 1, taken.index), FC_FRAME_REPLY, "x",
        1);
    CHECK(hear(1) == EBADMSG); /* one of another time */
    close_ends();
}

/* A batch is answered in parts, everything else as a whole: else its slot would
 * be free without its owner's knowledge. */
static void
answers_of_the_wrong_kind(void)
{
    static const uint32_t ends[] = {1, 2};
    const uint16_t part = FC_KIND_PART << 2;
    for (unsigned batch = 0; batch < 2; batch++) {
        struct fc_taken taken;
        uint32_t index = UINT32_MAX;
        open_ends();
        if (batch) {
            CHECK(fc_requester_send_batch(&parent, 2, ends, "ab", 2, 0, 1,
                                          &parent, &index)
                  == 0);
        }
        else {
            index = send_bytes(10);
        }
        CHECK(fc_requests_take(&workers[0].segment, 0, &taken) == 0);
        uint64_t tag = fc_wire_tag(taken.position, taken.index);
        say(0, tag, batch ? FC_FRAME_REPLY : part, "x", 1);
        CHECK(hear(0) == EBADMSG);
        CHECK(fc_requester_forget(&parent, index) == &parent);
        close_ends();
    }
}

static void
asks_for_what_is_not_to_be_had(void)
{
    struct fc_taken taken;
    struct fc_frame frame;
    open_ends();
    refuse_memory();
    send_bytes(5); /* not a stream */
    CHECK(fc_requests_take(&workers[0].segment, 0, &taken) == 0);
    say(0, fc_wire_tag(taken.position, taken.index), FC_FRAME_WANT, NULL, 0);
    CHECK(hear(0) == EBADMSG);
    /* A stream, twice. */
    send_bytes(70000);
    CHECK(fc_requests_take(&workers[1].segment, 1, &taken) == 0);
    uint64_t tag = fc_wire_tag(taken.position, taken.index), got = 0;
    say(1, tag, FC_FRAME_WANT, NULL, 0);
    while (got < 70000) {
        CHECK(hear(1) == EAGAIN);
        fc_requester_release(&parent, 1);
        while (fc_consumer_next(&workers[1].pieces, &frame) == 0) {
            got += frame.size;
        }
        fc_consumer_release(&workers[1].pieces);
    }
    say(1, tag, FC_FRAME_WANT, NULL, 0);
    CHECK(hear(1) == EBADMSG);
    fc_requester_release(&parent, 1);
    allow_memory();
    close_ends();
}

static void
asks_and_replies_before_it_has_got_it(void)
{
    struct fc_taken taken;
    open_ends();
    refuse_memory();
    send_bytes(70000);
    CHECK(fc_requests_take(&workers[0].segment, 0, &taken) == 0);
    uint64_t tag = fc_wire_tag(taken.position, taken.index);
    say(0, tag, FC_FRAME_WANT, NULL, 0);
    CHECK(hear(0) == EAGAIN);
    fc_requester_release(&parent, 0);
    say(0, tag, FC_FRAME_REPLY, "x", 1);
    CHECK(hear(0) == EBADMSG);
    allow_memory();
    close_ends();
}

static void
a_request_goes_while_it_is_being_asked_for(void)
{
    struct fc_taken taken;
    struct fc_frame frame;
    open_ends();
    refuse_memory();
    uint32_t index = send_bytes(70000);
    CHECK(fc_requests_take(&workers[0].segment, 0, &taken) == 0);
    say(0, fc_wire_tag(taken.position, taken.index), FC_FRAME_WANT, NULL, 0);
    CHECK(hear(0) == EAGAIN);
    fc_requester_release(&parent, 0);
    CHECK(fc_requester_forget(&parent, index) == &parent);
    while (fc_consumer_next(&workers[0].pieces, &frame) == 0) {
    }
    fc_consumer_release(&workers[0].pieces);
    CHECK(!fc_requester_ready(&parent, 0));
    fc_requester_release(&parent, 0);
    allow_memory();
    close_ends();
}

static void
names_a_block_that_does_not_exist(void)
{
    open_ends();
    const struct fc_wire_block nowhere = {
        .offset = 3 * FC_WINDOW, .size = 131072, .length = 5};
    say(0, 0, FC_FRAME_BACK, &nowhere, sizeof(nowhere));
    CHECK(hear(0) == EBADMSG);
    close_ends();
    /* And a request whose block is elsewhere. */
    open_ends();
    struct fc_job job;
    uint32_t index = send_bytes(100000);
    parent.segment.slots[index].data[5] ^= 0x20;
    CHECK(fc_responder_take(&workers[0], &job) == EBADMSG);
    close_ends();
}

static void
names_half_a_block(void)
{
    open_ends();
    struct fc_wire_block block;
    uint32_t index = send_bytes(100000);
    memcpy(&block, parent.segment.slots[index].data, sizeof(block));
    say(0, 0, FC_FRAME_BACK, &block, sizeof(block) - 1);
    CHECK(hear(0) == EBADMSG);
    close_ends();
}

static void
lie_about_the_length(void *unused)
{
    (void)unused;
    struct fc_job job;
    workers[0].first_parent = getppid(); /* it was made before the fork */
    CHECK(fc_responder_take(&workers[0], &job) == EBADMSG);
}

static void
a_length_that_is_not_that_of_the_pieces(void)
{
    open_ends();
    refuse_memory();
    uint32_t index = send_bytes(70000);
    uint64_t lie = UINT64_C(1) << 28;
    memcpy(parent.segment.slots[index].data, &lie, sizeof(lie));
    pid_t child = check_fork(lie_about_the_length, NULL);
    int64_t until = fc_now_ns() + 10000000000;
    while (fc_process_exists(child) && fc_now_ns() < until
           && parent.requested[index].bytes != NULL) {
        CHECK(hear(0) == EAGAIN);
        fc_requester_release(&parent, 0);
    }
    CHECK(check_wait(child) == 0);
    allow_memory();
    close_ends();
}

static void
a_slot_that_somebody_has_scribbled_over(void)
{
    struct fc_taken taken;
    open_ends();
    uint32_t index = send_bytes(5);
    parent.segment.slots[index].word ^= 0x40;
    CHECK(fc_requests_take(&workers[0].segment, 0, &taken) == EBADMSG);
    close_ends();
}

/* --- the bell */

static void
reply_without_descriptors(void *arg)
{
    struct fc_responder *w = arg;
    struct fc_job job;
    struct fc_part part = {"r", 1};
    CHECK(fc_responder_take(w, &job) == 0);
    if (w->seat == 0) {
        for (int fd = 3; fd < 1000; fd++) {
            close(fd);
        }
    }
    int error = fc_responder_reply(w, &job, 1, &part, 1, false);
    CHECK(error == (w->seat == 0 ? EBADF : 0));
}

/* Its reply is there and it says that it cannot tell; the next one rings. */
static void
a_worker_that_has_closed_its_descriptors(void)
{
    open_ends();
    (void)fc_results_listen(&parent.segment, FC_LISTENER_BELL);
    for (int i = 0; i < 2; i++) {
        CHECK(!fc_process_ended(bell.listen));
        send_bytes(1);
        CHECK(check_wait(check_fork(reply_without_descriptors, &workers[i]))
              == 0);
        CHECK(fc_requester_ready(&parent, (uint32_t)i));
    }
    CHECK(fc_process_ended(bell.listen)); /* it is readable */
    close_ends();
}

/* A reply that has no room as a whole: nobody can be told to make some. */
static void
say_much_without_descriptors(void *arg)
{
    static unsigned char much[2 * 4096];
    struct fc_responder *w = arg;
    struct fc_job job;
    struct fc_part part = {much, sizeof(much)};
    CHECK(fc_responder_take(w, &job) == 0);
    w->ring = -1;
    CHECK(fc_responder_reply(w, &job, 0, &part, 1, true) == EBADF);
}

static void
a_worker_that_cannot_ask_for_room(void)
{
    open_ends();
    (void)fc_results_listen(&parent.segment, FC_LISTENER_BELL);
    send_bytes(1);
    CHECK(check_wait(check_fork(say_much_without_descriptors, &workers[0]))
          == 0);
    close_ends();
}

static void
attaching_closes_what_it_cannot_use(void)
{
    struct fc_responder w;
    int fd = fc_memory_create();
    CHECK(fc_responder_attach(&w, fd, 0, -1, 0) == EBADMSG);
    CHECK(fcntl(fd, F_GETFD) < 0);
    open_ends();
    fd = dup(parent.segment.fd);
    CHECK(fc_responder_attach(&w, fd, 99, -1, 0) == EINVAL);
    CHECK(fcntl(fd, F_GETFD) < 0);
    close_ends();
}

void
test_ends(void)
{
    RUN(creation_without_memory);
    RUN(a_worker_that_finds_nothing_stays_idle);
    RUN(a_reply_without_memory_is_lost_as_a_whole);
    RUN(what_is_lost_stays_lost);
    RUN(a_successor_loses_nothing);
    RUN(a_request_without_memory_is_lost_as_a_whole);
    RUN(what_was_kept_for_a_worker_is_freed);
    RUN(the_next_worker_is_woken);
    RUN(a_death_makes_all_others_look);
    RUN(replies_to_what_it_does_not_have);
    RUN(answers_of_the_wrong_kind);
    RUN(asks_for_what_is_not_to_be_had);
    RUN(asks_and_replies_before_it_has_got_it);
    RUN(a_request_goes_while_it_is_being_asked_for);
    RUN(names_a_block_that_does_not_exist);
    RUN(names_half_a_block);
    RUN(a_length_that_is_not_that_of_the_pieces);
    RUN(a_slot_that_somebody_has_scribbled_over);
    RUN(a_worker_that_has_closed_its_descriptors);
    RUN(a_worker_that_cannot_ask_for_room);
    RUN(attaching_closes_what_it_cannot_use);
}
