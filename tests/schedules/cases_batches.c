/* cases_batches.c - the part of src/ipc by which results are heard of, and batches:
 * results.h and batches.h.
 */
#include "segment_kit.h"

#include <string.h>

/* --- results: whoever listens is told -------------------------------------------- */

static _Atomic(uint64_t) written;
static bool result_seen;

static void
begin_results(void)
{
    segment_begin(SLOTS);
    atomic_init(&written, 0);
    result_seen = false;
}

static void
publish(void)
{
    atomic_store(&written, 1); /* as the stream does (S1) */
    (void)fc_results_tell_caller(&segment);
}

static void
listen(void)
{
    while (atomic_load(&written) == 0) {
        uint32_t seen = fc_results_listen(&segment, FC_LISTENER_CALLER);
        if (atomic_load(&written) == 0) {
            (void)fc_results_park(&segment, seen, FC_FOREVER);
        }
        fc_results_unlisten(&segment, FC_LISTENER_CALLER);
    }
    result_seen = true;
}

static void
nudge(void)
{
    fc_results_nudge(&segment);
}

static void
end_results(void)
{
    DEMAND(result_seen);
    segment_end();
}

/* Polls the bell, which rings until somebody has heard it. */
static _Atomic(uint32_t) ringing;

int
fc_bell_ring(int ring)
{
    (void)ring;
    atomic_store(&ringing, 1);
    fc_unpark(&ringing, 1);
    return 0;
}

static void
listen_for_the_bell(void)
{
    while (atomic_load(&written) == 0) {
        (void)fc_results_listen(&segment, FC_LISTENER_BELL);
        if (atomic_load(&written) == 0) {
            while (atomic_load(&ringing) == 0) {
                (void)fc_park(&ringing, 0, FC_FOREVER);
            }
            atomic_store(&ringing, 0);
        }
        fc_results_unlisten(&segment, FC_LISTENER_BELL);
    }
}

static void
announce(void)
{
    atomic_store(&written, 1);
    (void)fc_results_announce(&segment, 0);
}

/* The bell's listener comes and goes once more. */
static void
listen_in_passing(void)
{
    (void)fc_results_listen(&segment, FC_LISTENER_BELL);
    fc_results_unlisten(&segment, FC_LISTENER_BELL);
}

/* Two announce, and both are heard of. */
static void
announce_one(void)
{
    atomic_fetch_add(&written, 1);
    (void)fc_results_announce(&segment, 0);
}

static void
listen_for_two(void)
{
    uint64_t seen = 0;
    while (seen < 2) {
        (void)fc_results_listen(&segment, FC_LISTENER_BELL);
        uint64_t now = atomic_load(&written);
        if (now == seen) {
            while (atomic_load(&ringing) == 0) {
                (void)fc_park(&ringing, 0, FC_FOREVER);
            }
            atomic_store(&ringing, 0);
        }
        seen = now;
        fc_results_unlisten(&segment, FC_LISTENER_BELL);
    }
    result_seen = true;
}

static void
begin_bell(void)
{
    begin_results();
    atomic_init(&ringing, 0);
}

/* --- a batch: each item is claimed once, and one says that all is done -------------- */

#define BATCH_ITEMS 2

static struct fc_batch *batch;
static uint8_t claimed[BATCH_ITEMS];
static int last_ones;

static void
begin_batch(void)
{
    segment_begin(SLOTS);
    static const uint32_t ends[BATCH_ITEMS] = {1, 2};
    batch = (struct fc_batch *)(void *)segment.arena;
    fc_batch_write(batch, 7, BATCH_ITEMS, ends, "xy", 2);
    memset(claimed, 0, sizeof(claimed));
    last_ones = 0;
}

static void
note_all_done(bool all)
{
    last_ones += all;
    DEMAND(last_ones <= 1);
}

static void
join(void)
{
    struct fc_batch_view view;
    DEMAND(fc_batch_view(&view, segment.arena, ARENA, 7));
    uint32_t mine = 0;
    for (;;) {
        int i = fc_batch_claim(&view);
        if (i < 0) {
            break;
        }
        DEMAND(++claimed[i] == 1);
        fc_batch_store(&view, (uint32_t)i, FC_CELL_NONE, 0);
        mine++;
    }
    note_all_done(fc_batch_leave(&view, mine));
}

/* Not its taker, who alone answers for a batch in which nothing was claimed. */
static void
join_late(void)
{
    struct fc_batch_view view;
    DEMAND(fc_batch_view(&view, segment.arena, ARENA, 7));
    uint32_t mine = 0;
    for (int i; (i = fc_batch_claim(&view)) >= 0; mine++) {
        DEMAND(++claimed[i] == 1);
    }
    if (mine > 0) {
        note_all_done(fc_batch_leave(&view, mine));
    }
}

static void
cancel_batch(void)
{
    bool all_done;
    uint32_t first = fc_batch_cancel(batch, &all_done);
    for (uint32_t i = first; i < BATCH_ITEMS; i++) {
        DEMAND(++claimed[i] == 1);
    }
    note_all_done(all_done);
}

static void
end_batch(void)
{
    for (int i = 0; i < BATCH_ITEMS; i++) {
        DEMAND(claimed[i] == 1);
    }
    DEMAND(last_ones == 1);
    segment_end();
}

/* Thread 1 opens the batch for others; thread 2 joins one if it sees it, or
 * parks; whoever claims the last item closes it. */
static void
open_and_join(void)
{
    segment.slots[0].place = 0;
    fc_batch_open(&segment, 0, 0);
    fc_idle_wake(&segment);
    join();
    fc_batch_close(&segment, 0, 0);
}

static void
join_or_park(void)
{
    uint32_t seat = 0;
    uint64_t tag;
    while (!fc_batch_find(&segment, &seat, &tag)) {
        seat = 0;
        if (fc_idle_park(&segment, 1, 1) == FC_PARK_TIMED_OUT) {
            return;
        }
    }
    join_late();
    fc_batch_close(&segment, 0, tag);
}

/* Sleeps until there is something to join. */
static void
join_when_woken(void)
{
    uint32_t seat = 0;
    uint64_t tag;
    if (!fc_batch_find(&segment, &seat, &tag)) {
        while (fc_idle_park(&segment, 1, FC_FOREVER) != FC_PARK_WOKEN) {
        }
    }
    join_late();
}

/* With nobody to help, it would stay open. */
static void
open_alone(void)
{
    segment.slots[0].place = 0;
    fc_batch_open(&segment, 0, 0);
    fc_idle_wake(&segment);
}

/* Whoever comes late with the first one leaves the second one open. */
#define SECOND_TAG ((uint64_t)5 << 16)

static void
open_close_open(void)
{
    segment.slots[0].place = 0;
    fc_batch_open(&segment, 0, 0);
    fc_batch_close(&segment, 0, 0);
    fc_batch_open(&segment, 0, SECOND_TAG);
}

static void
close_first(void)
{
    fc_batch_close(&segment, 0, 0);
}

static void
end_still_open(void)
{
    DEMAND(atomic_load(&segment.seats[0].batch) == SECOND_TAG + 1);
    segment_end();
}

static void
open_cancelled(void)
{
    segment.slots[0].place = 0;
    fc_batch_open(&segment, 0, 0);
    join();
}

static void
cancel_and_close(void)
{
    cancel_batch();
    fc_batch_close(&segment, 0, 0);
}

/* No batch stays open that has nothing to claim. */
static void
end_batch_closed(void)
{
    DEMAND(!fc_batches_open(&segment));
    end_batch();
}

const struct schedule_case batch_cases[] = {
    {"results/listener", begin_results, {publish, listen}, end_results, 0, 6},
    {"results/nudged", begin_results, {publish, listen, nudge}, end_results,
     CASE_SPURIOUS, 4},
    {"results/bell-and-listener", begin_bell, {announce, listen,
     listen_for_the_bell}, end_results, 0, 3},
    {"results/rung-twice", begin_bell, {announce_one, announce_one,
     listen_for_two}, end_results, 0, 3},
    {"results/in-passing", begin_bell, {announce, listen, listen_in_passing},
     end_results, 0, 3},
    {"batches/asked-twice", begin_batch, {join, join, cancel_batch}, end_batch,
     0, 4},
    {"batches/closed-late", begin_batch, {open_close_open, close_first},
     end_still_open, 0, 4},
    {"batches/two-workers", begin_batch, {join, join}, end_batch, 0, 6},
    {"batches/cancelled", begin_batch, {join, cancel_batch}, end_batch, 0, 6},
    {"batches/cancelled-beside-two", begin_batch, {join_late, join,
     cancel_batch}, end_batch, 0, 4},
    {"batches/opened", begin_batch, {open_and_join, join_or_park},
     end_batch_closed, 0, 3},
    {"batches/joined", begin_batch, {open_alone, join_when_woken}, end_batch,
     0, 6},
    {"batches/opened-cancelled", begin_batch, {open_cancelled,
     cancel_and_close}, end_batch_closed, 0, 6},
    {0},
};
