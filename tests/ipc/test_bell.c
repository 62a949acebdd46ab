/* test_bell.c - the bell that is rung a little later; and descriptors that a
 * task has closed, whose numbers are files of its own by now.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "ipc/idle.h"
#include "ipc/requester.h"
#include "ipc/responder.h"
#include "ipc/results.h"

static const struct fc_geometry small = {
    .seats = 2, .slots = 8, .stream = 4096, .arena = 65536};

static struct fc_requester parent;
static struct fc_responder worker;
static struct fc_bell bell;

static void
open_ends(void)
{
    CHECK(fc_bell_create(&bell) == 0);
    CHECK(fc_requester_create(&parent, &small, 1 << 20) == 0);
    CHECK(fc_requester_open(&parent, 0) == 0);
    CHECK(fc_responder_attach(&worker, dup(parent.segment.fd), 0, bell.ring,
                              1 << 20)
          == 0);
    fc_responder_ready(&worker);
}

static void
close_ends(void)
{
    fc_responder_detach(&worker);
    fc_requester_destroy(&parent);
    fc_bell_close(&bell);
}

static bool
rings(void)
{
    return fc_process_ended(bell.listen); /* readable? */
}

static void
listen_by(uint32_t listener)
{
    (void)fc_results_listen(&parent.segment, listener);
}

static void
send_one(void)
{
    uint32_t index;
    struct fc_part part = {"q", 1};
    CHECK(fc_requester_send(&parent, &part, 1, 0, 0, NULL, &index) == 0);
}

static void
answer_one(bool last)
{
    struct fc_job job;
    struct fc_part part = {"r", 1};
    CHECK(fc_responder_take(&worker, &job) == 0);
    CHECK(fc_responder_reply(&worker, &job, 0, &part, 1, last) == 0);
}

static void
fetch_one(void)
{
    struct fc_reply reply;
    CHECK(fc_requester_next(&parent, 0, &reply) == 0);
    fc_reply_clear(&reply);
    fc_requester_release(&parent, 0);
}

/* Sleep for a moment, as a worker with nothing to do. */
static int
idle_shortly(void)
{
    fc_idle_close(&parent.segment); /* it does not sleep at all then */
    int error = fc_responder_idle(&worker);
    parent.segment.header->closing = 0;
    return error;
}

/* --- the deferred bell */

static void
the_bell_is_rung_by_who_goes_to_sleep(void)
{
    open_ends();
    listen_by(FC_LISTENER_BELL);
    send_one();
    answer_one(true);
    CHECK(!rings() && worker.unrung);
    CHECK(fc_requester_ready(&parent, 0)); /* who looks finds it */
    CHECK(!fc_responder_linger(&worker));
    CHECK(!rings());
    CHECK(idle_shortly() == ESHUTDOWN);
    CHECK(rings() && !worker.unrung);
    fc_bell_silence(bell.listen);
    CHECK(idle_shortly() == ESHUTDOWN);
    CHECK(!rings()); /* once */
    close_ends();
}

static void
the_bell_is_rung_by_who_takes_the_next(void)
{
    struct fc_job job;
    open_ends();
    listen_by(FC_LISTENER_BELL);
    send_one();
    answer_one(true);
    CHECK(fc_responder_take(&worker, &job) == EAGAIN);
    CHECK(worker.unrung); /* it has not forgotten */
    send_one();
    CHECK(!rings());
    CHECK(fc_responder_take(&worker, &job) == 0);
    CHECK(rings() && !worker.unrung);
    close_ends();
}

/* The parent has come by himself meanwhile. */
static void
the_bell_is_not_rung_for_what_was_read(void)
{
    struct fc_job job;
    open_ends();
    for (int takes = 0; takes < 2; takes++) {
        listen_by(FC_LISTENER_BELL);
        send_one();
        answer_one(true);
        CHECK(worker.unrung);
        fetch_one();
        if (takes) {
            send_one();
            CHECK(fc_responder_take(&worker, &job) == 0);
        }
        else {
            CHECK(idle_shortly() == ESHUTDOWN);
        }
        CHECK(!rings() && !worker.unrung);
    }
    close_ends();
}

/* Two replies, of which the parent has read one: the other is unread. */
static void
the_bell_is_rung_for_the_last_of_several(void)
{
    open_ends();
    listen_by(FC_LISTENER_BELL);
    send_one();
    answer_one(true);
    fetch_one();
    send_one();
    answer_one(true);
    CHECK(!rings());
    CHECK(idle_shortly() == ESHUTDOWN);
    CHECK(rings());
    close_ends();
}

static void
without_a_next_one_it_is_rung_at_once(void)
{
    open_ends();
    listen_by(FC_LISTENER_BELL);
    send_one();
    answer_one(false);
    CHECK(rings() && !worker.unrung);
    close_ends();
}

/* Nobody polls: there is nothing to ring for, nor later. */
static void
no_bell_for_nobody(void)
{
    open_ends();
    send_one();
    answer_one(true);
    CHECK(!worker.unrung);
    listen_by(FC_LISTENER_BELL); /* looks, and finds it */
    CHECK(fc_requester_ready(&parent, 0));
    CHECK(idle_shortly() == ESHUTDOWN);
    CHECK(!rings());
    close_ends();
}

/* A caller who is parked is told at once. */
static void
a_caller_is_told_before_the_bell(void)
{
    open_ends();
    listen_by(FC_LISTENER_BELL);
    uint32_t seen =
        fc_results_listen(&parent.segment, FC_LISTENER_CALLER);
    send_one();
    answer_one(true);
    CHECK(parent.segment.header->results != seen);
    CHECK(fc_results_park(&parent.segment, seen, FC_FOREVER)
          == FC_PARK_WOKEN);
    close_ends();
}

static void
answer_and_die(void *unused)
{
    (void)unused;
    worker.first_parent = getppid(); /* it was made before the fork */
    answer_one(true);
    raise(SIGKILL);
}

static void
killed_between_reply_and_bell(void)
{
    open_ends();
    listen_by(FC_LISTENER_BELL);
    send_one();
    CHECK(check_wait(check_fork(answer_and_die, NULL)) == -SIGKILL);
    CHECK(!rings());
    /* Its death is seen by who polls, and he looks. */
    CHECK(fc_requester_ready(&parent, 0));
    fetch_one();
    CHECK(!fc_requester_has(&parent, 0, 0));
    close_ends();
}

/* --- ready, lingering, leaving */

static uint32_t
state(void)
{
    return parent.segment.seats[0].state;
}

static void
a_seat_says_how_far_its_worker_is(void)
{
    open_ends();
    CHECK(state() == FC_SEAT_TAKEN);
    CHECK(!parent.segment.seats[0].served);
    send_one();
    answer_one(true);
    CHECK(parent.segment.seats[0].served);
    CHECK(fc_idle_is(&parent.segment, 0));
    send_one();
    struct fc_job job;
    struct fc_part part = {"r", 1};
    CHECK(fc_responder_take(&worker, &job) == 0);
    CHECK(!fc_idle_is(&parent.segment, 0));
    fc_responder_leave(&worker);
    CHECK(state() == FC_SEAT_LEAVING);
    CHECK(fc_responder_reply(&worker, &job, 0, &part, 1, false) == 0);
    CHECK(!fc_idle_is(&parent.segment, 0)); /* it will take no more */
    fc_requester_close(&parent, 0);
    CHECK(state() == FC_SEAT_EMPTY);
    CHECK(fc_requester_open(&parent, 0) == 0);
    CHECK(state() == FC_SEAT_STARTING);
    CHECK(!parent.segment.seats[0].served);
    close_ends();
}

static void
lingering_finds_what_comes(void)
{
    open_ends();
    CHECK(!fc_responder_linger(&worker));
    CHECK(fc_idle_is(&parent.segment, 0));
    send_one();
    CHECK(fc_responder_linger(&worker));
    CHECK(fc_idle_is(&parent.segment, 0)); /* it has not taken it */
    answer_one(true);
    fc_idle_close(&parent.segment);
    CHECK(!fc_responder_linger(&worker));
    CHECK(fc_responder_idle(&worker) == ESHUTDOWN);
    send_one(); /* what is queued is served all the same */
    CHECK(fc_responder_linger(&worker));
    CHECK(fc_responder_idle(&worker) == 0);
    close_ends();
}

/* --- descriptors that are somebody else's by now */

/* Put another file at the number of `fd`. */
static void
replace(int fd, int by)
{
    CHECK(by >= 0);
    if (by != fd) {
        CHECK(dup2(by, fd) == fd);
        close(by);
    }
}

static int
new_file(void)
{
    char name[] = "/tmp/fc_test_bell_XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    return fd;
}

static void
a_file_is_no_bell(void)
{
    struct fc_bell b;
    CHECK(fc_bell_create(&b) == 0);
    int ring = dup(b.ring), pair[2], ends[2];
    replace(ring, new_file());
    CHECK(fc_bell_ring(ring) == EBADF);
    CHECK(lseek(ring, 0, SEEK_END) == 0); /* nothing was written */
    replace(ring, open("/dev/null", O_WRONLY));
    CHECK(fc_bell_ring(ring) == EBADF);
    replace(ring, open("/", O_RDONLY));
    CHECK(fc_bell_ring(ring) == EBADF);
    char byte;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    replace(ring, pair[0]);
    CHECK(fc_bell_ring(ring) == EBADF);
    CHECK(recv(pair[1], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
    close(pair[1]);
#ifndef FC_PORT_POSIX
    /* The portable bell is a pipe itself. */
    CHECK(pipe2(ends, O_NONBLOCK) == 0);
    replace(ring, ends[1]);
    CHECK(fc_bell_ring(ring) == EBADF);
    CHECK(read(ends[0], &byte, 1) < 0 && errno == EAGAIN);
    close(ends[0]);
#else
    (void)ends;
#endif
    replace(ring, dup(b.ring));
    CHECK(fc_bell_ring(ring) == 0);
    CHECK(fc_process_ended(b.listen));
    close(ring);
    fc_bell_close(&b);
}

/* A worker whose bell is a file: it says so, and writes nothing. */
static void
a_worker_rings_no_file(void)
{
    struct fc_job job;
    struct fc_part part = {"r", 1};
    for (int last = 0; last < 2; last++) {
        open_ends();
        worker.ring = dup(bell.ring);
        replace(worker.ring, new_file());
        listen_by(FC_LISTENER_BELL);
        send_one();
        CHECK(fc_responder_take(&worker, &job) == 0);
        int error =
            fc_responder_reply(&worker, &job, 0, &part, 1, last != 0);
        if (last) {
            CHECK(error == 0);
            error = fc_responder_idle(&worker);
        }
        CHECK(error == EBADF);
        CHECK(lseek(worker.ring, 0, SEEK_END) == 0);
        CHECK(fc_requester_ready(&parent, 0)); /* the reply is there */
        close(worker.ring);
        close_ends();
    }
    /* Before the next request is begun, too. */
    open_ends();
    worker.ring = dup(bell.ring);
    replace(worker.ring, new_file());
    listen_by(FC_LISTENER_BELL);
    send_one();
    answer_one(true);
    send_one();
    CHECK(fc_responder_take(&worker, &job) == EBADF);
    close(worker.ring);
    close_ends();
}

static void
a_segment_knows_its_file(void)
{
    struct fc_segment s;
    uint64_t length = 0;
    CHECK(fc_segment_create(&s, &small) == 0);
    CHECK(fc_segment_is_there(&s, &length));
    CHECK(length >= s.layout.size);
    int fd = s.fd;
    int kept = dup(fd);
    close(fd);
    CHECK(!fc_segment_is_there(&s, &length));
    replace(fd, new_file());
    CHECK(!fc_segment_is_there(&s, &length));
    replace(fd, fc_memory_create()); /* of the same kind even */
    CHECK(!fc_segment_is_there(&s, &length));
    /* What is somebody else's stays open. */
    fc_segment_detach(&s);
    CHECK(fcntl(fd, F_GETFD) >= 0);
    /* The file itself under its old number is the segment's. */
    CHECK(fc_segment_attach(&s, dup(kept)) == 0);
    close(s.fd);
    replace(s.fd, kept);
    CHECK(fc_segment_is_there(&s, &length));
    fd = s.fd;
    fc_segment_detach(&s);
    CHECK(fcntl(fd, F_GETFD) < 0);
}

/* Neither blocks nor anything else touch a file of the task's. */
static void
blocks_touch_no_other_file(void)
{
    struct fc_block block;
    open_ends();
    CHECK(fc_blocks_take(&worker.blocks, 100000, &block) == 0);
    block.bytes[0] = 1;
    CHECK(fc_blocks_put(&worker.blocks, block.offset, block.size) == 0);
    int file = new_file();
    CHECK(ftruncate(file, 1 << 20) == 0);
    CHECK(pwrite(file, "contents", 8, 0) == 8);
    struct stat before, after;
    int fd = worker.segment.fd;
    replace(fd, file);
    CHECK(fstat(fd, &before) == 0);
    /* One that is mapped serves; a new one is not to be had. */
    struct fc_block second;
    CHECK(fc_blocks_take(&worker.blocks, 100000, &block) == 0);
    CHECK(fc_blocks_take(&worker.blocks, 100000, &second) == EBADF);
    CHECK(fc_blocks_put(&worker.blocks, block.offset, block.size) != 0);
    fc_blocks_trim(&worker.blocks, 0);
    close_ends();
    char contents[8];
    CHECK(fstat(fd, &after) == 0); /* open still */
    CHECK(after.st_size == before.st_size
          && after.st_blocks == before.st_blocks);
    CHECK(pread(fd, contents, 8, 0) == 8
          && memcmp(contents, "contents", 8) == 0);
    close(fd);
}

void
test_bell(void)
{
    RUN(the_bell_is_rung_by_who_goes_to_sleep);
    RUN(the_bell_is_rung_by_who_takes_the_next);
    RUN(the_bell_is_not_rung_for_what_was_read);
    RUN(the_bell_is_rung_for_the_last_of_several);
    RUN(without_a_next_one_it_is_rung_at_once);
    RUN(no_bell_for_nobody);
    RUN(a_caller_is_told_before_the_bell);
    RUN(killed_between_reply_and_bell);
    RUN(a_seat_says_how_far_its_worker_is);
    RUN(lingering_finds_what_comes);
    RUN(a_file_is_no_bell);
    RUN(a_worker_rings_no_file);
    RUN(a_segment_knows_its_file);
    RUN(blocks_touch_no_other_file);
}
