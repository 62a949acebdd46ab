/* test_batches.c - many small calls in one request. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <errno.h>
#include <string.h>

#include "batch_kit.h"
#include "check.h"
#include "ipc/idle.h"

/* --- one batch in memory of our own ---------------------------------------- */

static _Alignas(64) unsigned char memory[65536];
static struct fc_batch *const batch = (struct fc_batch *)memory;

/* Items of one byte each: their numbers. */
static uint64_t
write_batch(uint64_t position, uint32_t count)
{
    static unsigned char bytes[FC_BATCH_MOST];
    static uint32_t ends[FC_BATCH_MOST];
    for (uint32_t i = 0; i < count; i++) {
        bytes[i] = (unsigned char)i;
        ends[i] = i + 1;
    }
    fc_batch_write(batch, position, count, ends, bytes, count);
    return fc_batch_head(count) + count;
}

static void
a_batch_is_read_as_written(void)
{
    const uint32_t counts[] = {1, 2, 3, 255, 256, FC_BATCH_MOST};
    for (unsigned n = 0; n < sizeof(counts) / sizeof(*counts); n++) {
        struct fc_batch_view v;
        uint64_t length = write_batch(n, counts[n]), size;
        CHECK(fc_batch_view(&v, memory, length, n));
        CHECK(v.count == counts[n] && v.size == counts[n]);
        for (uint32_t i = 0; i < counts[n]; i++) {
            CHECK(fc_batch_left(batch) == counts[n] - i);
            CHECK(fc_batch_claim(&v) == (int)i);
            const unsigned char *item = fc_batch_item(&v, i, &size);
            CHECK(item != NULL && size == 1 && *item == (unsigned char)i);
        }
        CHECK(fc_batch_claim(&v) == -1 && fc_batch_left(batch) == 0);
        CHECK(!fc_batch_leave(&v, 0));
    }
}

static void
empty_items_of_a_batch(void)
{
    const uint32_t ends[] = {0, 3, 3};
    struct fc_batch_view v;
    uint64_t size;
    fc_batch_write(batch, 0, 3, ends, "abc", 3);
    CHECK(fc_batch_view(&v, memory, fc_batch_head(3) + 3, 0));
    CHECK(fc_batch_item(&v, 0, &size) != NULL && size == 0);
    const unsigned char *item = fc_batch_item(&v, 1, &size);
    CHECK(item != NULL && size == 3 && memcmp(item, "abc", 3) == 0);
    CHECK(fc_batch_item(&v, 2, &size) != NULL && size == 0);
}

static void
a_damaged_batch_is_rejected(void)
{
    struct fc_batch_view v;
    uint64_t length = write_batch(7, 4);
    CHECK(fc_batch_view(&v, memory, length, 7));
    CHECK(!fc_batch_view(&v, NULL, length, 7)); /* in a block, it says */
    CHECK(!fc_batch_view(&v, memory, 0, 7));
    CHECK(!fc_batch_view(&v, memory, sizeof(*batch) - 1, 7));
    CHECK(!fc_batch_view(&v, memory, fc_batch_head(4) - 1, 7));
    CHECK(fc_batch_view(&v, memory, fc_batch_head(4), 7)); /* no items */
    uint64_t size;
    CHECK(fc_batch_item(&v, 0, &size) == NULL);
    CHECK(!fc_batch_view(&v, memory + 8, length, 7));
    const uint32_t counts[] = {0, FC_BATCH_MOST + 1, UINT32_MAX, 0x80000000};
    for (unsigned i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        batch->count = counts[i];
        CHECK(!fc_batch_view(&v, memory, sizeof(memory), 7));
    }
}

static void
damaged_ends_of_a_batch_are_rejected(void)
{
    const uint32_t ends[][3] = {
        {5, 6, 8}, {9, 9, 9}, {3, 2, 8}, {UINT32_MAX, 1, 2}, {8, 0, 8}};
    const int bad[] = {-1, 0, 1, 0, 1};
    for (unsigned n = 0; n < sizeof(bad) / sizeof(*bad); n++) {
        struct fc_batch_view v;
        uint64_t size;
        fc_batch_write(batch, n, 3, ends[n], "12345678", 8);
        CHECK(fc_batch_view(&v, memory, fc_batch_head(3) + 8, n));
        for (uint32_t i = 0; (int)i < bad[n]; i++) {
            CHECK(fc_batch_item(&v, i, &size) != NULL);
        }
        if (bad[n] >= 0) {
            CHECK(fc_batch_item(&v, (uint32_t)bad[n], &size) == NULL);
        }
    }
}

static void
nothing_of_a_cancelled_batch_is_claimed(void)
{
    struct fc_batch_view v;
    bool all_done = true;
    uint64_t length = write_batch(1, 5);
    CHECK(fc_batch_view(&v, memory, length, 1));
    CHECK(fc_batch_claim(&v) == 0 && fc_batch_claim(&v) == 1);
    CHECK(fc_batch_cancel(batch, &all_done) == 2 && !all_done);
    CHECK(fc_batch_claim(&v) == -1 && fc_batch_left(batch) == 0);
    /* Again: it has been done. */
    all_done = true;
    CHECK(fc_batch_cancel(batch, &all_done) == 5 && !all_done);
    CHECK(fc_batch_leave(&v, 2));
}

static void
the_last_to_leave_a_batch_says_so(void)
{
    struct fc_batch_view one, other;
    bool all_done = true;
    uint64_t length = write_batch(1, 5);
    CHECK(fc_batch_view(&one, memory, length, 1));
    CHECK(fc_batch_view(&other, memory, length, 1));
    for (int i = 0; i < 5; i++) {
        CHECK(fc_batch_claim(i % 2 == 0 ? &one : &other) == i);
    }
    CHECK(!fc_batch_leave(&other, 2));
    CHECK(fc_batch_cancel(batch, &all_done) == 5 && !all_done);
    CHECK(fc_batch_leave(&one, 3));

    /* All have left before the end of it: whoever cancels the rest does. */
    length = write_batch(2, 5);
    CHECK(fc_batch_view(&one, memory, length, 2));
    CHECK(fc_batch_claim(&one) == 0);
    CHECK(!fc_batch_leave(&one, 1));
    CHECK(fc_batch_cancel(batch, &all_done) == 1 && all_done);
}

/* Its taker may not even have looked at it yet: it is not over before he has,
 * or he would look at what stands there then. */
static void
a_batch_that_is_cancelled_unseen_waits_for_its_taker(void)
{
    for (uint32_t count = 1; count <= FC_BATCH_MOST; count *= 2) {
        struct fc_batch_view v;
        bool all_done = true;
        uint64_t length = write_batch(1, count);
        CHECK(fc_batch_cancel(batch, &all_done) == 0 && !all_done);
        CHECK(fc_batch_left(batch) == 0);
        all_done = true;
        CHECK(fc_batch_cancel(batch, &all_done) == count && !all_done);
        CHECK(fc_batch_view(&v, memory, length, 1) && v.count == count);
        CHECK(fc_batch_claim(&v) == -1);
        CHECK(fc_batch_leave(&v, 0));
        CHECK(!fc_batch_leave(&v, 0));
        CHECK(fc_batch_claim(&v) == -1 && fc_batch_left(batch) == 0);
    }
}

static void
who_comes_late_claims_nothing_of_another_batch(void)
{
    struct fc_batch_view late;
    uint64_t length = write_batch(3, 4);
    CHECK(fc_batch_view(&late, memory, length, 3));
    for (int i = 0; i < 4; i++) {
        CHECK(fc_batch_claim(&late) == i);
    }
    (void)write_batch(4, 8);
    CHECK(fc_batch_claim(&late) == -1);
    CHECK(fc_batch_left(batch) == 8);
    /* He sees the new count, with the position of the old request. */
    CHECK(fc_batch_view(&late, memory, sizeof(memory), 3));
    CHECK(late.count == 8 && fc_batch_claim(&late) == -1);
    CHECK(fc_batch_left(batch) == 8);
    /* Positions count modulo FC_POSITIONS, and are no shorter. */
    CHECK(fc_batch_view(&late, memory, sizeof(memory), FC_POSITIONS + 4));
    CHECK(fc_batch_claim(&late) == 0);
    CHECK(fc_batch_view(&late, memory, sizeof(memory), FC_POSITIONS / 2 + 4));
    CHECK(fc_batch_claim(&late) == -1);
}

/* --- many threads at one place --------------------------------------------- */

/* Batch after batch is written to the same place, of which each is done before
 * the next one is written (A5).  Some threads come with what they knew before. */
#define THREADS 3
#define ROUNDS 4096

static _Atomic(uint64_t) written;  /* the position that may be claimed */
static _Atomic(uint64_t) finished; /* the one that somebody said is done */
static _Atomic(uint32_t) dones;
static _Atomic(uint8_t) claims[FC_BATCH_MOST];
static uint32_t notes[THREADS + 1]; /* plain: of those who leave (A3) */

static uint32_t
count_at(uint64_t position)
{
    /* Usually larger than the one before. */
    return position % 16 == 0 ? 1 : (uint32_t)(position % 16 * 4);
}

static void
say_finished(uint64_t position)
{
    for (unsigned i = 0; i < THREADS; i++) {
        notes[i]++; /* all others have left */
    }
    atomic_fetch_add(&dones, 1);
    finished = position;
}

static void
claim_all(uint64_t position, unsigned self, bool takes)
{
    struct fc_batch_view v;
    uint32_t mine = 0;
    int item;
    if (!CHECK(fc_batch_view(&v, memory, sizeof(memory), position))) {
        return;
    }
    while ((item = fc_batch_claim(&v)) >= 0) {
        uint64_t size;
        const unsigned char *byte = fc_batch_item(&v, (uint32_t)item, &size);
        CHECK(item < (int)count_at(position));
        CHECK(byte != NULL && *byte == (unsigned char)item);
        atomic_fetch_add(&claims[item], 1);
        fc_batch_store(&v, (uint32_t)item, FC_CELL_INT, position);
        notes[self]++;
        mine++;
    }
    /* Whoever has joined it has at least one, or leaves nothing. */
    if ((takes || mine > 0) && fc_batch_leave(&v, mine)) {
        say_finished(position);
    }
}

/* Each batch is taken by the first thread, the others join it; now and then
 * one of them looks at what he has seen before. */
static void
claim_batches(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg;
    struct check_random r = check_random_new(730 + self);
    uint64_t last = 0, position;
    while ((position = written) != UINT64_MAX) {
        if (position != last) {
            claim_all(position, self, self == 0);
            last = position;
        }
        else if (position > 0 && self != 0) {
            claim_all(position - check_random_below(&r, 2), self, false);
        }
        if (check_random_below(&r, 64) == 0) {
            check_random_delay(&r);
        }
    }
}

static void
batch_items_are_claimed_once_whatever_was_there(void)
{
    static struct check_thread threads[THREADS];
    struct check_random r = check_random_new(735);
    uint64_t rounds = check_size(ROUNDS);
    written = finished = 0;
    dones = 0;
    (void)write_batch(0, 1);
    for (uintptr_t i = 0; i < THREADS; i++) {
        check_spawn(&threads[i], claim_batches, (void *)i);
    }
    for (uint64_t position = 1; position <= rounds; position++) {
        uint32_t count = count_at(position), begun = count;
        memset((void *)claims, 0, sizeof(claims));
        (void)write_batch(position, count);
        written = position;
        if (check_random_below(&r, 2) == 0) {
            bool all_done;
            check_random_delay(&r);
            begun = fc_batch_cancel(batch, &all_done);
            if (all_done) {
                say_finished(position);
            }
        }
        while (finished != position) {
            fc_pause();
        }
        CHECK(dones == position);
        uint32_t wrong = 0;
        for (uint32_t i = 0; i < FC_BATCH_MOST; i++) {
            wrong += claims[i] != (i < begun);
            wrong += i < count
                     && batch->cells[i].state
                            != (uint32_t)(i < begun ? FC_CELL_INT
                                                    : FC_CELL_EMPTY);
        }
        CHECK(wrong == 0);
    }
    written = UINT64_MAX;
    for (unsigned i = 0; i < THREADS; i++) {
        check_join(&threads[i]);
    }
}

void
test_batches(void)
{
    RUN(a_batch_is_read_as_written);
    RUN(empty_items_of_a_batch);
    RUN(a_damaged_batch_is_rejected);
    RUN(damaged_ends_of_a_batch_are_rejected);
    RUN(nothing_of_a_cancelled_batch_is_claimed);
    RUN(the_last_to_leave_a_batch_says_so);
    RUN(a_batch_that_is_cancelled_unseen_waits_for_its_taker);
    RUN(who_comes_late_claims_nothing_of_another_batch);
    RUN(batch_items_are_claimed_once_whatever_was_there);
}
