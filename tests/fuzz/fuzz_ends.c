/* fuzz_ends.c - a hub and two workers, in one process and one thread, which
 * work properly while somebody writes into their segment, and one of which now
 * and then says whatever comes to its mind.
 *
 * Whatever happens, calls fail only with what their headers name, each request
 * is answered once at most, and its answer is somewhere where it can be read.
 *
 *     input   | operations ... |
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "ipc/hub.h"
#include "ipc/responder.h"
#include "kit.h"

#define SEATS 2
#define SLOTS 16

static const struct fc_geometry geometry = {
    .seats = SEATS, .slots = SLOTS, .stream = 4096, .arena = 65536};

/* Bytes of free blocks that each keeps: one of the least, none of others. */
#define KEEP 200000

static struct fc_hub hub;
static struct fc_requester *const parent = &hub.requester;
static struct fc_responder workers[SEATS];
static bool sane[SEATS];   /* nobody has found nonsense in its stream */
static bool working[SEATS]; /* it has taken a request and not answered */
static struct fc_job jobs[SEATS];

static struct {
    bool sent, batch;
} requests[SLOTS];

static struct fc_block filling; /* pinned; size 0: none */
static uint64_t filled;         /* bytes of a message that are put there */
static unsigned patience;
static unsigned char bytes[200000];

static bool
known(int error)
{
    return error == 0 || error == EAGAIN || error == EBADMSG
           || error == ENOMEM || error == EFBIG || error == ENOSPC
           || error == E2BIG || error == ESRCH;
}

/* Mostly short; some long enough for the arena, a few for a block. */
static uint64_t
some_size(struct fuzz_input *in)
{
    uint8_t kind = fuzz_byte(in);
    return kind < 160 ? kind : kind < 230 ? kind * 20 : kind * 600;
}

/* --- the parent ---------------------------------------------------------------- */

static void
sent(uint32_t index, bool batch)
{
    MUST(index < SLOTS && !requests[index].sent);
    requests[index].sent = true;
    requests[index].batch = batch;
}

static void
ask(struct fuzz_input *in)
{
    uint8_t how = fuzz_byte(in);
    struct fc_part part = {bytes, some_size(in)};
    uint32_t index = UINT32_MAX;
    fuzz_call();
    fuzz_no_memory = how & 1;
    int error = fc_requester_send(parent, &part, 1, how >> 1 & 3,
                                  how >> 3 & 3, &requests, &index);
    fuzz_no_memory = false;
    MUST(known(error));
    if (error == 0) {
        sent(index, false);
    }
}

static void
ask_batch(struct fuzz_input *in)
{
    static const uint32_t ends[] = {1, 5, 5, 9};
    uint32_t index = UINT32_MAX;
    fuzz_call();
    int error = fc_requester_send_batch(parent, 1 + fuzz_byte(in) % 4, ends,
                                        bytes, 9, 1, 1, &requests, &index);
    MUST(known(error));
    if (error == 0) {
        sent(index, true);
    }
}

/* A block is filled first, and then sent or dropped. */
static void
ask_in_block(struct fuzz_input *in)
{
    uint32_t index = UINT32_MAX;
    fuzz_call();
    if (filling.size == 0) {
        filled = fuzz_byte(in) % 2 == 0 ? 70000 : 400000;
        int error = fc_requester_begin_block(parent, filled, &filling);
        MUST(known(error));
        if (error != 0) {
            filling.size = 0;
        }
        return;
    }
    memset(filling.bytes, 3, filling.size);
    int error = fuzz_byte(in) % 2 == 0
                    ? EAGAIN
                    : fc_requester_send_block(parent, &filling, filled, 0, 2,
                                              &requests, &index);
    MUST(known(error));
    if (error == 0) {
        sent(index, false);
    }
    else {
        fc_requester_drop_block(parent, &filling);
    }
    filling.size = 0;
}

static void
take_back(struct fuzz_input *in)
{
    uint32_t index = fuzz_byte(in) % SLOTS;
    if (!requests[index].sent) {
        return;
    }
    fuzz_call();
    if (requests[index].batch) {
        bool all_done;
        struct fc_batch *b = fc_requester_batch(parent, index);
        (void)fc_batch_left(b);
        (void)fc_batch_cancel(b, &all_done);
        fc_requester_close_batch(parent, index);
    }
    if (fc_requester_cancel(parent, index)) {
        requests[index].sent = false;
    }
}

static void
look_into(const struct fc_wire_block *block)
{
    MUST(block->length <= block->size);
    unsigned char *mapped = fc_memory_map(fuzz_segment->fd, block->offset,
                                          block->size, FC_MAP_PRIVATE);
    /* Not all of one that claims terabytes. */
    if (mapped != NULL) {
        uint64_t most = block->length < 4096 ? block->length : 4096;
        fuzz_look_at(mapped, most);
        fuzz_look_at(mapped + block->length - most, most);
        fc_memory_unmap(mapped, block->size);
    }
}

static void
hear_reply(struct fc_reply *reply)
{
    MUST(reply->user == &requests && reply->index < SLOTS);
    MUST(requests[reply->index].sent);
    if (!reply->part) {
        MUST(!requests[reply->index].batch);
        requests[reply->index].sent = false;
    }
    else if (reply->kind == 3) {
        MUST(fc_requester_forget(parent, reply->index) == &requests);
        requests[reply->index].sent = false;
    }
    if (reply->bytes != NULL) {
        fuzz_look_at(reply->bytes, reply->size);
    }
    if (reply->block.size > 0) {
        look_into(&reply->block);
    }
    fc_reply_clear(reply);
    fc_requester_recycle(parent, &reply->block);
}

static void
hear(uint32_t seat)
{
    struct fc_reply reply;
    int error = EAGAIN;
    if (!parent->workers[seat].open || !sane[seat]) {
        return;
    }
    fuzz_call();
    (void)fc_requester_ready(parent, seat);
    for (int i = 0; i < 50; i++) {
        error = fc_requester_next(parent, seat, &reply);
        MUST(known(error));
        if (error != 0 && error != ENOMEM) {
            break;
        }
        hear_reply(&reply);
    }
    sane[seat] = error != EBADMSG;
    fc_requester_release(parent, seat);
}

static void
decide(void)
{
    fuzz_call();
    (void)fc_hub_wants_worker(&hub, 1);
    MUST(fc_hub_starting(&hub) <= SEATS);
    MUST(fc_hub_expected(&hub) <= SEATS);
    (void)fc_hub_is_stuck(&hub);
    (void)fc_hub_listen(&hub);
    (void)fc_hub_ready(&hub);
}

/* --- the workers ----------------------------------------------------------------- */

/* As fc_responder_attach(), but to what is there. */
static void
sit_down(uint32_t seat)
{
    struct fc_responder *w = &workers[seat];
    memset(w, 0, sizeof(*w));
    w->segment = *fuzz_segment;
    w->seat = seat;
    w->ring = -1;
    w->parent = -1;
    w->parent_pid = w->first_parent = getppid();
    fc_blocks_init(&w->blocks, &w->segment, seat, KEEP);
    fc_producer_init(&w->replies, &w->segment, seat, FC_TO_PARENT);
    fc_consumer_init(&w->pieces, &w->segment, seat, FC_TO_WORKER);
    fc_responder_ready(w);
    sane[seat] = true;
    working[seat] = false;
}

static void
get_up(uint32_t seat)
{
    fc_message_clear(&workers[seat].message);
    fc_blocks_destroy(&workers[seat].blocks, true);
}

/* Who would sleep waits for the parent, who comes now; some times, and then he
 * is gone. */
static void
somebody_waits(void)
{
    for (uint32_t seat = 0; seat < SEATS; seat++) {
        hear(seat);
        if (patience == 0) {
            workers[seat].first_parent = -1;
        }
    }
    patience -= patience > 0;
}

static void
wait_a_while(void)
{
    patience = 4;
    for (uint32_t seat = 0; seat < SEATS; seat++) {
        workers[seat].first_parent = workers[seat].parent_pid;
    }
    fuzz_call();
}

static void
claim_some(struct fc_responder *w, struct fc_job *job,
           const struct fc_batch_view *v, int item)
{
    uint32_t mine = 0;
    for (; item >= 0 && mine < 10; mine++) {
        uint64_t size = 0;
        const unsigned char *at = fc_batch_item(v, (uint32_t)item, &size);
        MUST((uint32_t)item < v->count);
        if (at != NULL) {
            fuzz_look_at(at, size);
        }
        fc_batch_store(v, (uint32_t)item, FC_CELL_INT, 1);
        item = fc_responder_claim(w, job, v);
    }
    if (fc_batch_leave(v, mine)) {
        (void)fc_responder_say(w, job, 3, NULL, 0);
    }
}

/* What a worker does with a job. */
static void
read_job(uint32_t seat)
{
    struct fc_responder *w = &workers[seat];
    struct fc_job *job = &jobs[seat];
    uint64_t length;
    const unsigned char *function =
        fc_function_bytes(&w->segment, job->function, &length);
    if (function != NULL) {
        fuzz_look_at(function, length);
    }
    if (job->block.size > 0) {
        look_into(&job->block);
    }
    else {
        fuzz_look_at(job->bytes, job->size);
    }
    struct fc_batch_view v;
    if (job->kind == 1 && fc_responder_open(w, job, &v) == 0) {
        claim_some(w, job, &v, fc_responder_claim(w, job, &v));
        return;
    }
    working[seat] = true;
}

static void
work(uint32_t seat)
{
    struct fc_responder *w = &workers[seat];
    struct fc_job *job = &jobs[seat];
    if (working[seat] || !parent->workers[seat].open) {
        return;
    }
    wait_a_while();
    int error = fc_responder_take(w, job);
    MUST(known(error) || error == EINTR);
    if (error == 0) {
        read_job(seat);
    }
    else {
        fc_responder_done(w, job);
    }
}

static void
join(uint32_t seat)
{
    struct fc_job job;
    struct fc_batch_view v;
    int item;
    wait_a_while();
    int error = fc_responder_join(&workers[seat], &job, &v, &item);
    MUST(error == 0 || error == EAGAIN);
    if (error == 0) {
        MUST((uint32_t)item < v.count);
        claim_some(&workers[seat], &job, &v, item);
    }
}

static void
answer(uint32_t seat, struct fuzz_input *in)
{
    struct fc_responder *w = &workers[seat];
    struct fc_part part = {bytes, some_size(in)};
    if (!working[seat]) {
        return;
    }
    wait_a_while();
    fc_responder_done(w, &jobs[seat]);
    int error = fc_responder_reply(w, &jobs[seat], 0, &part, 1, true);
    MUST(known(error));
    working[seat] = false;
}

/* Anything at all, in a frame that is one. */
static void
talk(uint32_t seat, struct fuzz_input *in)
{
    struct fc_producer *p = &workers[seat].replies;
    uint8_t how = fuzz_byte(in);
    uint8_t size = how & 3 ? sizeof(struct fc_wire_block) : fuzz_byte(in);
    uint16_t kind = (uint16_t)(how >> 2 & 3);
    if (how & 16) {
        kind |= FC_KIND_PART << 2;
    }
    if (how & 32) {
        kind |= 3 << 2;
    }
    uint64_t tag = how & 64 ? fuzz_number(in, 8) : jobs[seat].tag;
    uint64_t rest = how & 128 ? fuzz_short(in) : 0;
    unsigned char *room = fc_producer_begin(p, size);
    if (room == NULL) {
        return;
    }
    struct fc_wire_block block = {
        .offset = FC_WINDOW + fuzz_byte(in) * UINT64_C(65536),
        .size = fuzz_byte(in) * UINT64_C(65536),
        .length = fuzz_number(in, 3)};
    memset(room, 0, size);
    memcpy(room, &block, size < sizeof(block) ? size : sizeof(block));
    fc_producer_publish(p, size, kind, tag, rest);
}

/* It dies, and another one comes. */
static void
replace(uint32_t seat)
{
    fuzz_calm();
    get_up(seat);
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (requests[i].sent && fc_requester_has(parent, seat, i)) {
            MUST(fc_requester_forget(parent, i) == &requests);
            requests[i].sent = false;
        }
    }
    fc_requester_close(parent, seat);
    MUST(fc_requester_open(parent, seat) == 0);
    sit_down(seat);
}

/* --- the program -------------------------------------------------------------------- */

static void
do_next(struct fuzz_input *in)
{
    uint8_t what = fuzz_byte(in);
    uint32_t seat = what / 16 % SEATS;
    switch (what % 16) {
    case 0:
        ask(in);
        break;
    case 1:
        ask_batch(in);
        break;
    case 2:
        ask_in_block(in);
        break;
    case 3:
        take_back(in);
        break;
    case 4:
    case 5:
        hear(seat);
        break;
    case 6:
    case 7:
        work(seat);
        break;
    case 8:
        answer(seat, in);
        break;
    case 9:
        join(seat);
        break;
    case 10:
        talk(seat, in);
        break;
    case 11:
        replace(seat);
        break;
    case 12:
        decide();
        break;
    case 13:
        fuzz_intrude(in);
        break;
    default:
        fuzz_scribble(in);
    }
}

static void
open_hub(void)
{
    memset(&hub, 0, sizeof(hub));
    atomic_init(&hub.references, 1);
    fc_lock_init(&hub.lock);
    fc_returns_init(&hub.returns);
    hub.seats_used = SEATS;
    hub.bell.ring = hub.bell.listen = -1;
    MUST(fc_requester_create(parent, &geometry, KEEP) == 0);
    MUST(fc_requester_define(parent, "first", 5) == 1);
    MUST(fc_requester_define(parent, "second", 6) == 2);
    memset(requests, 0, sizeof(requests));
    memset(jobs, 0, sizeof(jobs));
    memset(&filling, 0, sizeof(filling));
    for (uint32_t seat = 0; seat < SEATS; seat++) {
        MUST(fc_requester_open(parent, seat) == 0);
        sit_down(seat);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input_of(data, size);
    fuzz_would_sleep = somebody_waits;
    open_hub();
    for (int i = 0; i < 200 && in.at < in.end; i++) {
        do_next(&in);
    }
    fuzz_calm();
    if (filling.size > 0) {
        fc_requester_drop_block(parent, &filling);
    }
    for (uint32_t seat = 0; seat < SEATS; seat++) {
        get_up(seat);
    }
    fc_requester_destroy(parent);
    return 0;
}
