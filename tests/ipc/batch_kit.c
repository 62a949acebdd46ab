/* batch_kit.c - see batch_kit.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "batch_kit.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/idle.h"
#include "ipc/results.h"
#include "kill.h"

const struct fc_geometry batch_geometry = {.seats = BATCH_WORKERS,
                                           .slots = BATCH_SLOTS,
                                           .stream = 4096,
                                           .arena = 65536};

/* An item; some are longer, so that they end where they like. */
struct item {
    uint16_t what, note;
    uint32_t number, index;
    uint32_t padding[3];
};

static uint32_t
item_size(uint32_t i)
{
    return (uint32_t)(sizeof(struct item) - i % 4 * sizeof(uint32_t));
}

/* What is said of an item by the stream. */
struct said {
    uint32_t index, number;
    unsigned char rest[BATCH_LONG];
};

/* --- a worker -------------------------------------------------------------- */

static void
wait_for(const _Atomic(uint32_t) *word, uint32_t least)
{
    while (*word < least) {
        check_sleep_us(20);
    }
}

/* Say the result by the stream, after the cell says that it comes so. */
static int
say(struct fc_responder *w, const struct fc_job *job,
    const struct fc_batch_view *v, const struct item *item)
{
    struct said said = {.index = item->index, .number = item->number + 1};
    memset(said.rest, (int)(item->number % 251), sizeof(said.rest));
    struct fc_part part = {&said, item->what == ITEM_LONG
                                      ? sizeof(said)
                                      : offsetof(struct said, rest)};
    fc_batch_store(v, item->index, FC_CELL_MESSAGE, 0);
    return fc_responder_say(w, job, BATCH_SAID, &part, 1);
}

static int
do_item(struct batch_kit *k, struct fc_responder *w, const struct fc_job *job,
        const struct fc_batch_view *v, uint32_t i)
{
    uint64_t size;
    struct item item = {0};
    const unsigned char *bytes = fc_batch_item(v, i, &size);
    if (!CHECK(bytes != NULL && size == item_size(i))) {
        return EBADMSG;
    }
    memcpy(&item, bytes, (size_t)size);
    CHECK(item.index == i);
    atomic_fetch_add(&k->notes->ran[item.note][i], 1);
    if (item.what == ITEM_MEET) {
        atomic_fetch_add(&k->notes->met, 1);
        wait_for(&k->notes->met, k->notes->expected);
    }
    if (item.what == ITEM_GATE) {
        wait_for(&k->notes->gate, 1);
    }
    if (item.what == ITEM_SAY || item.what == ITEM_LONG) {
        return say(w, job, v, &item);
    }
    fc_batch_store(v, i, FC_CELL_INT, item.number + 1);
    fc_responder_stored(w);
    return 0;
}

static int
do_items(struct batch_kit *k, struct fc_responder *w,
         const struct fc_job *job, const struct fc_batch_view *v, int item,
         struct check_random *r)
{
    uint32_t mine = 0;
    while (item >= 0) {
        int error = do_item(k, w, job, v, (uint32_t)item);
        if (error != 0) {
            return error;
        }
        mine++;
        check_random_delay(r);
        item = fc_responder_claim(w, job, v);
    }
    return fc_batch_leave(v, mine)
               ? fc_responder_say(w, job, BATCH_DONE, NULL, 0)
               : 0;
}

static int
serve(struct batch_kit *k, struct fc_responder *w, struct check_random *r)
{
    for (;;) {
        struct fc_job job;
        struct fc_batch_view v;
        int item = -1;
        int error = fc_responder_take(w, &job);
        check_random_delay(r);
        if (error == 0) {
            error = fc_responder_open(w, &job, &v);
            if (error == 0) {
                item = fc_responder_claim(w, &job, &v);
                error = do_items(k, w, &job, &v, item, r);
            }
        }
        else if (error == EAGAIN) {
            error = fc_responder_join(w, &job, &v, &item);
            if (error == 0) {
                error = do_items(k, w, &job, &v, item, r);
            }
            else if (error == EAGAIN) {
                error = fc_responder_linger(w) ? 0 : fc_responder_idle(w);
            }
        }
        if (error != 0 && error != EINTR) {
            return error;
        }
    }
}

void
batch_sit_down(struct fc_responder *w, const struct batch_kit *k,
               uint32_t seat)
{
    const struct fc_segment *s = &k->requester.segment;
    CHECK(fc_responder_attach(w, dup(s->fd), seat, k->bell.ring, 1 << 20)
          == 0);
    fc_segment_detach(&w->segment);
    w->segment = *s;
    fc_producer_init(&w->replies, &w->segment, seat, FC_TO_PARENT);
    fc_consumer_init(&w->pieces, &w->segment, seat, FC_TO_WORKER);
}

void
batch_get_up(struct fc_responder *w)
{
    memset(&w->segment, 0, sizeof(w->segment)); /* the parent's */
    fc_responder_detach(w);
}

struct seat {
    struct batch_kit *kit;
    uint32_t seat;
};

static void
work(void *arg)
{
    struct seat seat = *(struct seat *)arg;
    struct batch_kit *k = seat.kit;
    struct check_random r = check_random_new(700 + seat.seat);
    struct fc_responder w;
    if (k->threads) {
        batch_sit_down(&w, k, seat.seat);
    }
    else {
        kill_fuse(k->fuse);
        CHECK(fc_responder_attach(&w, dup(k->requester.segment.fd), seat.seat,
                                  k->bell.ring, 1 << 20)
              == 0);
    }
    fc_responder_ready(&w);
    CHECK(serve(k, &w, &r) == ESHUTDOWN);
    if (k->threads) {
        batch_get_up(&w);
    }
    else {
        fc_responder_detach(&w);
    }
}

/* --- the kit's life ---------------------------------------------------------- */

void
batch_kit_open(struct batch_kit *k)
{
    bool threads = k->threads;
    memset(k, 0, sizeof(*k));
    k->threads = threads;
    CHECK(fc_requester_create(&k->requester, &batch_geometry, 1 << 20) == 0);
    CHECK(fc_bell_create(&k->bell) == 0);
    k->notes = mmap(NULL, sizeof(*k->notes), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(k->notes != MAP_FAILED);
}

void
batch_kit_start(struct batch_kit *k, unsigned seat)
{
    static struct seat args[BATCH_WORKERS];
    args[seat] = (struct seat){k, seat};
    CHECK(fc_requester_open(&k->requester, seat) == 0);
    if (seat >= k->workers) {
        k->workers = seat + 1;
    }
    if (k->threads) {
        check_spawn(&k->thread[seat], work, &args[seat]);
    }
    else {
        k->pids[seat] = check_fork(work, &args[seat]);
    }
}

void
batch_kit_close(struct batch_kit *k)
{
    fc_idle_close(&k->requester.segment);
    for (unsigned i = 0; i < k->workers; i++) {
        if (k->threads) {
            check_join(&k->thread[i]);
        }
        else if (k->pids[i] != 0) {
            CHECK(check_wait(k->pids[i]) == 0);
        }
    }
    CHECK(munmap(k->notes, sizeof(*k->notes)) == 0);
    fc_bell_close(&k->bell);
    fc_requester_destroy(&k->requester);
}

/* --- the parent ---------------------------------------------------------------- */

static struct batch *
unused_batch(struct batch_kit *k)
{
    for (uint32_t i = 0; i < BATCH_SLOTS; i++) {
        if (!k->batches[i].under_way) {
            memset(&k->batches[i], 0, sizeof(k->batches[i]));
            k->batches[i].note = i;
            return &k->batches[i];
        }
    }
    return NULL;
}

struct batch *
batch_send(struct batch_kit *k, uint32_t count, const uint16_t *what)
{
    unsigned char bytes[BATCH_ITEMS * sizeof(struct item)];
    uint32_t ends[BATCH_ITEMS];
    uint32_t size = 0;
    struct batch *b = unused_batch(k);
    if (b == NULL) {
        return NULL;
    }
    b->count = b->begun = count;
    b->first_number = k->numbers;
    for (uint32_t i = 0; i < count; i++) {
        struct item item = {.what = what[i],
                            .note = (uint16_t)b->note,
                            .number = b->first_number + i,
                            .index = i};
        memcpy(bytes + size, &item, item_size(i));
        size += item_size(i);
        ends[i] = size;
        b->what[i] = what[i];
        k->notes->ran[b->note][i] = 0;
    }
    int error = fc_requester_send_batch(&k->requester, count, ends, bytes,
                                        size, 0, BATCH_REQUEST, b, &b->index);
    CHECK(error == 0 || error == EAGAIN);
    if (error != 0) {
        return NULL;
    }
    b->under_way = true;
    k->numbers += count;
    return b;
}

static struct fc_cell *
cell_of(const struct batch_kit *k, const struct batch *b, uint32_t i)
{
    return &fc_requester_batch(&k->requester, b->index)->cells[i];
}

uint32_t
batch_state(const struct batch_kit *k, const struct batch *b, uint32_t i)
{
    return atomic_load_explicit(&cell_of(k, b, i)->state,
                                memory_order_acquire); /* A2 */
}

static void
hear_done(struct batch_kit *k, struct batch *b)
{
    CHECK(!b->done); /* once, whoever leaves last */
    b->done = true;
    k->dones++;
}

void
batch_stop(struct batch_kit *k, struct batch *b)
{
    if (fc_requester_cancel(&k->requester, b->index)) {
        b->begun = 0;
        b->under_way = false;
        for (uint32_t i = 0; i < b->count; i++) {
            CHECK(k->notes->ran[b->note][i] == 0);
        }
        return;
    }
    bool all_done;
    struct fc_batch *there = fc_requester_batch(&k->requester, b->index);
    uint32_t first = fc_batch_cancel(there, &all_done);
    fc_requester_close_batch(&k->requester, b->index);
    CHECK(first <= b->count && fc_batch_left(there) == 0);
    if (first < b->begun) {
        b->begun = first;
    }
    if (all_done) {
        hear_done(k, b);
    }
}

static void
hear(struct batch_kit *k, const struct fc_reply *reply)
{
    struct batch *b = reply->user;
    CHECK(reply->part && b->under_way && b->index == reply->index);
    if (reply->kind == BATCH_DONE) {
        CHECK(reply->size == 0);
        hear_done(k, b);
        return;
    }
    struct said said;
    CHECK(reply->kind == BATCH_SAID && reply->size <= sizeof(said));
    memcpy(&said, reply->bytes, (size_t)reply->size);
    if (!CHECK(said.index < b->count)) {
        return;
    }
    CHECK(said.number == b->first_number + said.index + 1);
    CHECK(!b->said[said.index]);
    if (b->what[said.index] == ITEM_LONG) {
        CHECK(reply->size == sizeof(said));
        CHECK(said.rest[0] == (said.number - 1) % 251
              && memcmp(said.rest, said.rest + 1, BATCH_LONG - 1) == 0);
    }
    b->said[said.index] = true;
}

void
batch_drain(struct batch_kit *k)
{
    for (uint32_t seat = 0; seat < k->workers; seat++) {
        struct fc_reply reply;
        int error = EAGAIN;
        if (!fc_requester_ready(&k->requester, seat)) {
            continue;
        }
        while ((error = fc_requester_next(&k->requester, seat, &reply)) == 0) {
            hear(k, &reply);
            fc_reply_clear(&reply);
        }
        CHECK(error == EAGAIN);
        fc_requester_release(&k->requester, seat);
    }
}

static bool
is_ready(struct batch_kit *k, const struct batch *b, uint32_t i)
{
    for (uint32_t seat = 0; seat < k->workers; seat++) {
        if (fc_requester_ready(&k->requester, seat)) {
            return true;
        }
    }
    /* A2 */
    return b != NULL
           && atomic_load_explicit(&cell_of(k, b, i)->state,
                                   memory_order_seq_cst)
                  != FC_CELL_EMPTY;
}

void
batch_wait(struct batch_kit *k, const struct batch *b, uint32_t i, int64_t ns)
{
    struct fc_segment *s = &k->requester.segment;
    int64_t deadline = ns == FC_FOREVER ? FC_FOREVER : fc_now_ns() + ns;
    uint32_t seen = fc_results_listen(s, FC_LISTENER_CALLER);
    if (!is_ready(k, b, i)) {
        (void)fc_results_park(s, seen, deadline);
    }
    fc_results_unlisten(s, FC_LISTENER_CALLER);
    batch_drain(k);
}

bool
batch_is_over(const struct batch_kit *k, const struct batch *b)
{
    if (!b->done) {
        return false;
    }
    for (uint32_t i = 0; i < b->begun; i++) {
        if (batch_state(k, b, i) == FC_CELL_MESSAGE && !b->said[i]) {
            return false;
        }
    }
    return true;
}

void
batch_end(struct batch_kit *k, struct batch *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        bool begun = i < b->begun;
        bool says = b->what[i] == ITEM_SAY || b->what[i] == ITEM_LONG;
        struct fc_cell *cell = cell_of(k, b, i);
        CHECK(k->notes->ran[b->note][i] == begun);
        CHECK(batch_state(k, b, i)
              == (uint32_t)(!begun ? FC_CELL_EMPTY
                            : says ? FC_CELL_MESSAGE
                                   : FC_CELL_INT));
        CHECK(b->said[i] == (begun && says));
        if (begun && !says) {
            CHECK(cell->value == b->first_number + i + 1);
        }
    }
    CHECK(fc_requester_forget(&k->requester, b->index) == b);
    b->under_way = false;
}

void
batch_finish(struct batch_kit *k, struct batch *b)
{
    while (!batch_is_over(k, b)) {
        batch_wait(k, NULL, 0, FC_FOREVER);
    }
    batch_end(k, b);
}

void
batch_finish_all(struct batch_kit *k)
{
    for (uint32_t i = 0; i < BATCH_SLOTS; i++) {
        if (k->batches[i].under_way) {
            batch_finish(k, &k->batches[i]);
        }
    }
}
