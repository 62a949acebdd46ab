/* test_noise.c - random bytes in the segment: whoever reads them rejects them,
 * and comes to no harm.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "batch_kit.h"
#include "check.h"
#include "ipc/idle.h"
#include "ipc/requester.h"
#include "ipc/hub.h"
#include "ipc/responder.h"
#include "pool.h"

static struct fc_requester requester;
static struct fc_responder responder;
static struct fc_bell bell;

static void
end_at_once(void *unused)
{
    (void)unused;
}

static void
open_both(pid_t nobody)
{
    CHECK(fc_bell_create(&bell) == 0);
    CHECK(fc_requester_create(&requester, &pool_geometry, 1 << 20) == 0);
    CHECK(fc_requester_open(&requester, 0) == 0);
    CHECK(fc_responder_attach(&responder, dup(requester.segment.fd), 0,
                              bell.ring, 1 << 20)
          == 0);
    /* Who is told to wait for bytes that nobody sends gives up, for there is
     * no parent. */
    responder.parent_pid = nobody;
    /* Some functions to ask for. */
    CHECK(fc_requester_define(&requester, "first", 5) == 1);
    CHECK(fc_requester_define(&requester, "second", 6) == 2);
    fc_responder_ready(&responder);
}

static void
close_both(void)
{
    fc_responder_detach(&responder);
    fc_requester_destroy(&requester);
    fc_bell_close(&bell);
}

/* Where something is that is worth writing over. */
static void
choose_place(struct check_random *r, uint64_t *from, uint64_t *to)
{
    const struct fc_layout *l = &requester.segment.layout;
    switch (check_random_below(r, 6)) {
    case 0: /* anything behind the fixed part */
        *from = offsetof(struct fc_header, head);
        *to = l->streams;
        break;
    case 1: /* the seat: how its streams and its worker stand */
        *from = l->seats;
        *to = l->seats + sizeof(struct fc_seat);
        break;
    case 2:
        *from = l->functions;
        *to = l->functions + 3 * sizeof(struct fc_function_entry);
        break;
    case 3:
        *from = l->slots;
        *to = l->slots + 4 * sizeof(struct fc_slot);
        break;
    default:
        *from = l->streams;
        *to = l->streams + 2 * requester.segment.geometry.stream;
    }
}

static void
scribble(struct check_random *r)
{
    unsigned char *base = (unsigned char *)requester.segment.header;
    uint64_t from, to;
    choose_place(r, &from, &to);
    for (uint64_t n = check_random_below(r, 20) + 1; n > 0; n--) {
        uint64_t at = from + check_random_below(r, to - from);
        base[at] = (unsigned char)check_random_below(r, 256);
    }
}

/* The sum of all bytes, so that all of them are looked at. */
static unsigned
look_at(const unsigned char *bytes, uint64_t size)
{
    unsigned sum = 0;
    for (uint64_t i = 0; i < size; i++) {
        sum += bytes[i];
    }
    return sum;
}

static unsigned sums;

/* The same for what is in a block. */
static void
look_into(int fd, const struct fc_wire_block *block)
{
    if (block->size > 0) {
        unsigned char *mapped = fc_memory_map(fd, block->offset, block->size,
                                              FC_MAP_PRIVATE);
        if (mapped == NULL) {
            return; /* as large as the file, which is mostly holes: refused */
        }
        sums += look_at(mapped, block->length);
        fc_memory_unmap(mapped, block->size);
    }
}

/* Mostly short, now and then so long that it takes a block. */
static uint64_t
some_size(struct check_random *r, uint64_t most)
{
    bool is_long = check_random_below(r, 8) == 0;
    return check_random_below(r, is_long ? 100000 : most);
}

static unsigned char bytes[100000] = {1, 2, 3};

/* Whether the error is one that the headers name. */
static bool
known(int error)
{
    return error == 0 || error == EAGAIN || error == EBADMSG
           || error == ENOMEM || error == EFBIG || error == ESRCH;
}

static void
work_once(struct check_random *r)
{
    struct fc_job job;
    int error = fc_responder_take(&responder, &job);
    CHECK(known(error));
    if (error != 0) {
        return;
    }
    uint64_t length;
    const unsigned char *function =
        fc_function_bytes(&responder.segment, job.function, &length);
    if (function != NULL) {
        sums += look_at(function, length);
    }
    if (job.bytes != NULL) {
        sums += look_at(job.bytes, job.size);
    }
    look_into(responder.segment.fd, &job.block);
    fc_responder_done(&responder, &job);
    struct fc_part part = {bytes, some_size(r, 300)};
    if (part.size > 300 && part.size < FC_BLOCK_FROM) {
        part.size = 300; /* it would wait for room that nobody makes */
    }
    if (fc_producer_fits(&responder.replies, 400)) {
        (void)fc_responder_reply(&responder, &job, 1, &part, 1, true);
    }
}

static void
ask_once(struct check_random *r)
{
    struct fc_part part = {bytes, some_size(r, 2000)};
    uint32_t index, function = (uint32_t)check_random_below(r, 4);
    if (check_random_below(r, 8) > 0) {
        CHECK(known(fc_requester_send(&requester, &part, 1, function, 1,
                                      &requester, &index)));
        return;
    }
    /* One that is filled first, and then sent, taken back or dropped. */
    struct fc_block block;
    int error = fc_requester_begin_block(&requester, 70000, &block);
    CHECK(known(error));
    if (error != 0) {
        return;
    }
    memset(block.bytes, 3, 70000);
    error = check_random_below(r, 4) == 0
                ? EAGAIN
                : fc_requester_send_block(&requester, &block, 70000, function,
                                          1, &requester, &index);
    CHECK(known(error));
    if (error != 0) {
        fc_requester_drop_block(&requester, &block);
    }
    else if (check_random_below(r, 3) == 0) {
        (void)fc_requester_cancel(&requester, index);
    }
}

/* What is decided by words that anybody may have written. */
static void
decide_once(struct fc_hub *hub)
{
    hub->requester = requester;
    hub->seats_used = 1;
    sums += fc_hub_wants_worker(hub, 1) + fc_hub_wants_worker(hub, 1);
    CHECK(fc_hub_starting(hub) <= 1);
    CHECK(fc_hub_expected(hub) <= 1);
    (void)fc_hub_listen(hub);
}

static bool
drain_once(void)
{
    struct fc_reply reply;
    int error;
    while ((error = fc_requester_next(&requester, 0, &reply)) == 0) {
        CHECK(reply.user == &requester);
        if (reply.bytes != NULL) {
            sums += look_at(reply.bytes, reply.size);
        }
        look_into(requester.segment.fd, &reply.block);
        fc_reply_clear(&reply);
        fc_requester_recycle(&requester, &reply.block);
    }
    CHECK(known(error));
    fc_requester_release(&requester, 0);
    return error != EBADMSG;
}

static void
random_bytes_are_rejected(void)
{
    static struct fc_hub hub;
    struct check_random r = check_random_new(80);
    uint64_t nonsense = 0;
    pid_t nobody = check_fork(end_at_once, NULL);
    CHECK(check_wait(nobody) == 0);
    for (uint64_t round = check_size(400); round > 0; round--) {
        bool sane = true;
        open_both(nobody);
        for (int i = 0; sane && i < 60; i++) {
            ask_once(&r);
            if (check_random_below(&r, 3) == 0) {
                scribble(&r);
            }
            work_once(&r);
            if (check_random_below(&r, 3) == 0) {
                scribble(&r);
            }
            decide_once(&hub);
            sane = drain_once();
        }
        nonsense += !sane;
        close_both();
    }
    /* It is looked for where it can be found. */
    CHECK(nonsense > 0);
}

/* --- batches ------------------------------------------------------------- */

static struct batch_kit kit;
static struct fc_responder workers[2];
static uint64_t claimed, rejected;

static void
open_batches(pid_t nobody)
{
    kit.threads = true;
    batch_kit_open(&kit);
    for (uint32_t i = 0; i < 2; i++) {
        CHECK(fc_requester_open(&kit.requester, i) == 0);
        batch_sit_down(&workers[i], &kit, i);
        workers[i].parent_pid = nobody;
        fc_responder_ready(&workers[i]);
    }
}

static void
close_batches(void)
{
    batch_get_up(&workers[0]);
    batch_get_up(&workers[1]);
    batch_kit_close(&kit);
}

/* The words of the seats, the slots, and the batches themselves. */
static void
scribble_on_batches(struct check_random *r)
{
    const struct fc_layout *l = &kit.requester.segment.layout;
    unsigned char *base = (unsigned char *)kit.requester.segment.header;
    uint64_t seat = l->seats + check_random_below(r, 2) * sizeof(struct fc_seat)
                    + offsetof(struct fc_seat, batch);
    const uint64_t from[] = {seat, l->slots, l->arena, l->arena};
    const uint64_t size[] = {8, 4 * sizeof(struct fc_slot), 4096, 16};
    uint64_t where = check_random_below(r, 4);
    for (uint64_t n = check_random_below(r, 8) + 1; n > 0; n--) {
        base[from[where] + check_random_below(r, size[where])] =
            (unsigned char)check_random_below(r, n % 2 == 0 ? 256 : 4);
    }
}

/* Claim a few items, look at all that they say they have, and answer. */
static void
claim_some(struct fc_responder *w, const struct fc_job *job,
           const struct fc_batch_view *v, int item)
{
    uint32_t mine = 0;
    for (; item >= 0 && mine < 10; mine++) {
        uint64_t size;
        const unsigned char *there = fc_batch_item(v, (uint32_t)item, &size);
        CHECK((uint32_t)item < v->count);
        if (there != NULL) {
            const unsigned char *end =
                w->segment.arena + w->segment.geometry.arena;
            CHECK(there >= w->segment.arena
                  && size <= (uint64_t)(end - there));
            sums += look_at(there, size);
        }
        rejected += there == NULL;
        fc_batch_store(v, (uint32_t)item, FC_CELL_INT, 1);
        item = fc_responder_claim(w, job, v);
    }
    claimed += mine;
    if (fc_batch_leave(v, mine)) {
        (void)fc_responder_say(w, job, BATCH_DONE, NULL, 0);
    }
}

static void
share_once(struct fc_responder *w)
{
    struct fc_job job;
    struct fc_batch_view v;
    int item;
    int error = fc_responder_take(w, &job);
    CHECK(known(error));
    if (error == 0 && job.bytes != NULL) {
        error = fc_responder_open(w, &job, &v);
        CHECK(error == 0 || error == EBADMSG);
        rejected += error != 0;
        if (error == 0) {
            claim_some(w, &job, &v, fc_responder_claim(w, &job, &v));
        }
    }
    fc_responder_done(w, &job);
    error = fc_responder_join(w, &job, &v, &item);
    CHECK(error == 0 || error == EAGAIN);
    if (error == 0) {
        claim_some(w, &job, &v, item);
    }
}

static void
send_or_cancel(struct check_random *r)
{
    static const uint32_t ends[] = {1, 5, 5, 9};
    uint32_t index;
    bool all_done;
    if (fc_requester_send_batch(&kit.requester, 4, ends, bytes, 9, 0,
                                BATCH_REQUEST, &kit, &index)
            == 0
        && check_random_below(r, 4) == 0) {
        struct fc_batch *b = fc_requester_batch(&kit.requester, index);
        sums += fc_batch_left(b) + fc_batch_cancel(b, &all_done);
        fc_requester_close_batch(&kit.requester, index);
        (void)fc_requester_cancel(&kit.requester, index);
    }
}

static bool
drain_batches(void)
{
    int error = 0;
    for (uint32_t seat = 0; seat < 2 && error != EBADMSG; seat++) {
        struct fc_reply reply;
        while ((error = fc_requester_next(&kit.requester, seat, &reply))
               == 0) {
            CHECK(reply.user == &kit);
            fc_reply_clear(&reply);
            if (reply.part && reply.kind == BATCH_DONE) {
                (void)fc_requester_forget(&kit.requester, reply.index);
            }
        }
        CHECK(known(error));
        fc_requester_release(&kit.requester, seat);
    }
    return error != EBADMSG;
}

static void
random_bytes_in_batches_are_rejected(void)
{
    struct check_random r = check_random_new(81);
    pid_t nobody = check_fork(end_at_once, NULL);
    CHECK(check_wait(nobody) == 0);
    claimed = rejected = 0;
    for (uint64_t round = check_size(400); round > 0; round--) {
        bool sane = true;
        open_batches(nobody);
        for (int i = 0; sane && i < 60; i++) {
            send_or_cancel(&r);
            if (check_random_below(&r, 2) == 0) {
                scribble_on_batches(&r);
            }
            share_once(&workers[check_random_below(&r, 2)]);
            sane = drain_batches();
        }
        close_batches();
    }
    CHECK(claimed > 0);
    CHECK(rejected > 0);
}

void
test_noise(void)
{
    RUN(random_bytes_are_rejected);
    RUN(random_bytes_in_batches_are_rejected);
}
