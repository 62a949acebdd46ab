/* queue.c - the queue: an array of cells per segment, claimed by tickets.
 *
 * The design is the FAAArrayQueue of Pedro Ramalhete and Andreia Correia
 * ("FAAArrayQueue - MPMC lock-free queue", Concurrency Freaks, 2016), with
 * hazard pointers made sticky, with first segments that are small, and with
 * the tail helped off a segment before the head leaves it.
 *
 *     head --> segment --next--> segment --next--> segment <-- tail
 *              pops: next ticket to take                pushes: next to fill
 *              [taken|taken|item |item ]  ...  [item |item |NULL |NULL ]
 *
 * push: draw a ticket from the tail segment's `pushes`; swap the item into
 * that cell if it is still NULL.  A cell that is TAKEN was given up by a
 * popper that came too early: draw another ticket.  Tickets beyond the size:
 * append a segment that holds the item already.
 *
 * pop: draw a ticket from the head segment's `pops`; take what is in the
 * cell.  Only an empty cell is written to (TAKEN), so that its pusher learns
 * that nobody will look there again.  Before drawing, look whether there is
 * anything: pops first, pushes second, next third.
 *
 * Linearization.  A push: its swap into the cell (or of `next`, which
 * publishes cell 0).  A pop with an item: its draw, or the push if that
 * comes later.  A pop without: the load of `pushes`, for at that moment each
 * ticket that had been drawn for pushing in this segment had been drawn for
 * popping too, and no later segment existed, since none does afterwards.
 *
 * Who frees a segment.  Whoever swings `head` off it retires it: pushes it
 * on `retired`.  Whoever then gets the `reclaiming` flag takes the whole list,
 * frees the segments that no thread has published and puts the others back.
 * Who does not get the flag leaves the work to the next retirement, so
 * nobody waits.  What can stay behind is bounded: two segments per thread
 * that has run an operation and neither ended nor quiesced since.
 *
 * Why sticky hazards are safe.  A thread T uses segment P only after
 *     (a) storing P in its slot, seq_cst, at any time in the past, the slot
 *         being unchanged since, and
 *     (b) later loading q->head (or q->tail), seq_cst, and finding P.
 * P is retired only after both head and tail have been swung off it, by
 * seq_cst exchanges (c), and it is freed only by a scan of seq_cst loads (d)
 * after that.  Pointers never return to P while P is not freed.  So (b),
 * which saw P, precedes (c) in the single order of seq_cst operations: (a)
 * precedes (d), and the scan sees P published.  It does not matter how old
 * (a) is, nor which segment lived at that address at the time of (a):
 * from (a) on, nothing that lives there and is retired after (b) is freed.
 *
 * Edges (each label stands at both ends in the code):
 *
 *     Q1  cell: swap of the item (release) -> load or exchange (acquire).
 *         What the pusher wrote to the item is visible to the popper.
 *     Q2  next/tail/head: a new segment's publication (seq_cst) -> loading
 *         its address (seq_cst).  The segment is initialized.
 *     Q3  head/tail against hazard slots: (a) to (d) above, all seq_cst.
 *     Q4  retired: push (release) -> exchange (acquire).  The link is set,
 *         and the retirer's last access precedes the free.
 *     Q5  reclaiming: clear (release) -> test-and-set (acquire).  Only for
 *         handing on, the list itself is atomic.
 *     Q6  pops/pushes/next: seq_cst, because the verdict "empty" compares
 *         three variables; with weaker loads a popper might combine an old
 *         `pushes` with a new `pops` and miss an item that is there.
 */
#include "core/queue.h"

#include <stdbool.h>
#include <stdlib.h>

#include "core/hazard.h"

/* Cells of a full-grown segment: 8 KiB with the header, which amortizes
 * allocating, retiring and scanning to under a nanosecond per item. */
#ifndef FC_CELLS_MAX
#define FC_CELLS_MAX 1006
#endif

/* Cells of the first segment: an executor that never has much to do stays
 * small.  Each further segment has twice as many, up to FC_CELLS_MAX.  (Tests
 * set both to a few cells, so that segments come and go all the time.) */
#ifndef FC_CELLS_FIRST
#define FC_CELLS_FIRST 30
#endif

struct fc_segment {
    _Atomic(struct fc_segment *) next;
    struct fc_segment *retired_next; /* owner: who retires or reclaims */
    uint64_t size;                   /* constant */
    char pad0[FC_CACHE_LINE - 2 * sizeof(void *) - sizeof(uint64_t)];
    _Atomic(uint64_t) pushes; /* tickets drawn, may exceed size */
    char pad1[FC_CACHE_LINE - sizeof(uint64_t)];
    _Atomic(uint64_t) pops; /* the same */
    _Atomic(void *) cells[];
};

/* Marks a cell whose popper has given up. */
static char taken_mark;
#define TAKEN ((void *)&taken_mark)

static struct fc_segment *
segment_new(uint64_t size)
{
    size_t bytes = sizeof(struct fc_segment) + size * sizeof(void *);
    struct fc_segment *seg = malloc(bytes);
    if (seg == NULL) {
        return NULL;
    }
    atomic_init(&seg->next, NULL);
    seg->retired_next = NULL;
    seg->size = size;
    atomic_init(&seg->pushes, 0);
    atomic_init(&seg->pops, 0);
    for (uint64_t i = 0; i < size; i++) {
        atomic_init(&seg->cells[i], NULL);
    }
    return seg;
}

int
fc_queue_init(struct fc_queue *q)
{
    struct fc_segment *seg = segment_new(FC_CELLS_FIRST);
    if (seg == NULL) {
        return -1;
    }
    atomic_init(&q->head, seg);
    atomic_init(&q->tail, seg);
    atomic_init(&q->retired, NULL);
    atomic_flag_clear(&q->reclaiming);
    return 0;
}

void
fc_queue_destroy(struct fc_queue *q)
{
    struct fc_segment *seg = atomic_load(&q->head);
    while (seg != NULL) {
        struct fc_segment *next = atomic_load(&seg->next);
        free(seg);
        seg = next;
    }
    seg = atomic_load(&q->retired);
    while (seg != NULL) {
        struct fc_segment *next = seg->retired_next;
        free(seg);
        seg = next;
    }
}

/* The segment that *source names, published in `role` so that it is not
 * freed until the slot changes. */
static inline struct fc_segment *
protect(struct fc_hazard *hazard, enum fc_hazard_role role,
        _Atomic(struct fc_segment *) *source)
{
    struct fc_segment *seg = atomic_load(source); /* Q2 Q3(b) */
    /* Relaxed: the slot is the caller's own. */
    while (atomic_load_explicit(&hazard->slots[role],
                                memory_order_relaxed) != seg) {
        atomic_store(&hazard->slots[role], seg); /* Q3(a) */
        seg = atomic_load(source);               /* Q2 Q3(b) */
    }
    return seg;
}

/* --- push --------------------------------------------------------------- */

/* Swing the tail from `seg`, which is full, to its successor.  Failing
 * means that somebody else has done it. */
static void
advance_tail(struct fc_queue *q, struct fc_segment *seg,
             struct fc_segment *next)
{
    atomic_compare_exchange_strong(&q->tail, &seg, next); /* Q2 Q3(c) */
}

/* The tail segment `seg` is full.  Returns 1 when `item` went into a new
 * segment, 0 when there is a successor to be tried, -1 without memory. */
static int
push_slow(struct fc_queue *q, struct fc_segment *seg, void *item)
{
    struct fc_segment *next = atomic_load(&seg->next); /* Q2 */
    int result = 0;
    if (next == NULL) {
        uint64_t size = 2 * seg->size;
        struct fc_segment *fresh =
            segment_new(size < FC_CELLS_MAX ? size : FC_CELLS_MAX);
        if (fresh == NULL) {
            return -1;
        }
        atomic_init(&fresh->cells[0], item);
        atomic_init(&fresh->pushes, 1);
        if (atomic_compare_exchange_strong(&seg->next, &next,
                                           fresh)) { /* Q2 Q6 */
            next = fresh;
            result = 1;
        }
        else {
            free(fresh);
        }
    }
    advance_tail(q, seg, next);
    return result;
}

int
fc_queue_push(struct fc_queue *q, void *item)
{
    struct fc_hazard *hazard = fc_hazard_mine();
    if (hazard == NULL) {
        return -1;
    }
    for (;;) {
        struct fc_segment *seg = protect(hazard, FC_HAZARD_PUSH, &q->tail);
        uint64_t ticket = atomic_fetch_add(&seg->pushes, 1); /* Q6 */
        if (ticket < seg->size) {
            void *empty = NULL;
            /* Relaxed on failure: TAKEN says all there is to say. */
            if (atomic_compare_exchange_strong_explicit(
                    &seg->cells[ticket], &empty, item, memory_order_release,
                    memory_order_relaxed)) { /* Q1 */
                return 0;
            }
            continue;
        }
        int result = push_slow(q, seg, item);
        if (result != 0) {
            return result > 0 ? 0 : -1;
        }
    }
}

/* --- pop ---------------------------------------------------------------- */

static void
push_retired(struct fc_queue *q, struct fc_segment *first,
             struct fc_segment *last)
{
    last->retired_next =
        atomic_load_explicit(&q->retired, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(
        &q->retired, &last->retired_next, first, memory_order_release,
        memory_order_relaxed)) { /* Q4 */
    }
}

/* Free the retired segments that no thread has published. */
static void
reclaim(struct fc_queue *q)
{
    if (atomic_flag_test_and_set_explicit(&q->reclaiming,
                                          memory_order_acquire)) { /* Q5 */
        return;
    }
    struct fc_segment *seg = atomic_exchange_explicit(
        &q->retired, NULL, memory_order_acquire); /* Q4 */
    struct fc_segment *first_kept = NULL;
    struct fc_segment *last_kept = NULL;
    while (seg != NULL) {
        struct fc_segment *next = seg->retired_next;
        if (!fc_hazard_holds(seg)) { /* Q3(d) */
            free(seg);
        }
        else {
            seg->retired_next = first_kept;
            first_kept = seg;
            if (last_kept == NULL) {
                last_kept = seg;
            }
        }
        seg = next;
    }
    if (first_kept != NULL) {
        push_retired(q, first_kept, last_kept);
    }
    atomic_flag_clear_explicit(&q->reclaiming, memory_order_release); /* Q5 */
}

/* The head segment `seg` is used up and has the successor `next`: swing the
 * head there.  The tail goes first, so that it never names a segment that is
 * retired.  (It could: who appended `next` keeps `seg` published until it has
 * swung the tail.  But so the argument needs no such knowledge.) */
static void
advance_head(struct fc_queue *q, struct fc_hazard *hazard,
             struct fc_segment *seg, struct fc_segment *next)
{
    if (atomic_load(&q->tail) == seg) {
        advance_tail(q, seg, next);
    }
    struct fc_segment *expected = seg;
    if (!atomic_compare_exchange_strong(&q->head, &expected,
                                        next)) { /* Q2 Q3(c) */
        return;
    }
    /* Our own publication must not keep it: we touch it no more. */
    atomic_store_explicit(&hazard->slots[FC_HAZARD_POP], NULL,
                          memory_order_release);
    push_retired(q, seg, seg);
    reclaim(q);
}

/* Take what belongs to `ticket`, or give the cell up. */
static inline void *
take_cell(_Atomic(void *) *cell)
{
    void *item = atomic_load_explicit(cell, memory_order_acquire); /* Q1 */
    if (item == NULL) {
        /* Relaxed would do where NULL comes back; acquire is for an item
         * that has come in between. */
        item = atomic_exchange_explicit(cell, TAKEN,
                                        memory_order_acquire); /* Q1 */
    }
    return item;
}

static void *
pop_with(struct fc_queue *q, struct fc_hazard *hazard)
{
    for (;;) {
        struct fc_segment *seg = protect(hazard, FC_HAZARD_POP, &q->head);
        uint64_t pops = atomic_load(&seg->pops);              /* Q6 */
        if (pops >= atomic_load(&seg->pushes) &&              /* Q6 */
            atomic_load(&seg->next) == NULL) {                /* Q6 */
            return NULL;
        }
        if (pops < seg->size) {
            uint64_t ticket = atomic_fetch_add(&seg->pops, 1); /* Q6 */
            if (ticket < seg->size) {
                void *item = take_cell(&seg->cells[ticket]);
                if (item != NULL) {
                    return item;
                }
                continue;
            }
        }
        struct fc_segment *next = atomic_load(&seg->next); /* Q2 Q6 */
        if (next == NULL) {
            return NULL;
        }
        advance_head(q, hazard, seg, next);
    }
}

void *
fc_queue_pop(struct fc_queue *q)
{
    struct fc_hazard *hazard = fc_hazard_mine();
    if (hazard != NULL) {
        return pop_with(q, hazard);
    }
    hazard = fc_hazard_borrow();
    void *item = pop_with(q, hazard);
    fc_hazard_return(hazard);
    return item;
}

static bool
is_empty_with(struct fc_queue *q, struct fc_hazard *hazard)
{
    struct fc_segment *seg = protect(hazard, FC_HAZARD_POP, &q->head);
    uint64_t pops = atomic_load(&seg->pops);     /* Q6 */
    uint64_t pushes = atomic_load(&seg->pushes); /* Q6 */
    /* Tickets beyond the size stand for nothing: who drew them has gone on to
     * the next segment, or had no memory for one. */
    uint64_t filled = pushes < seg->size ? pushes : seg->size;
    return pops >= filled && atomic_load(&seg->next) == NULL; /* Q6 */
}

bool
fc_queue_is_empty(struct fc_queue *q)
{
    struct fc_hazard *hazard = fc_hazard_mine();
    if (hazard != NULL) {
        return is_empty_with(q, hazard);
    }
    hazard = fc_hazard_borrow();
    bool empty = is_empty_with(q, hazard);
    fc_hazard_return(hazard);
    return empty;
}

void
fc_queue_quiesce(void)
{
    fc_hazard_quiesce();
}

void
fc_queue_after_fork(void)
{
    fc_hazard_after_fork();
}
