/* batches.h - many small calls in one request, of which each is taken by
 * itself.
 *
 * A request costs a slot, a place in the ring and a frame of the stream; a
 * call of one number to one number costs less than these together.  A batch is
 * one request with room for the result of each of its items in it:
 *
 *     +------+-------------------+----------------+-----------------+
 *     | head | a cell for each   | where each     | the items       |
 *     |      |                   | ends, 4 bytes  |                 |
 *     +------+-------------------+----------------+-----------------+
 *
 * It is transport and nothing else.  Workers claim item by item by one exchange
 * of `next`, so that no item waits behind one that runs while another worker
 * is idle: whoever finds no request in the ring joins a batch of somebody
 * else's.  A result is in its cell before the next item begins; one that has no
 * room there goes by the worker's stream.
 *
 *     63                          16 15          0
 *     +-----------------------------+-------------+
 *     | position of the request     | next item   |   next
 *     +-----------------------------+-------------+
 *
 * The position guards against a late comer: he who has read `next`, slept
 * and then exchanges that of a batch which stands in the same place since,
 * fails.  A batch lies in the arena, of which all of it stays mapped.
 *
 * Edges:
 *
 *     A1  next: opening a batch (with R1) and claiming (acq_rel) -> claiming.
 *     A2  cell: storing a result (seq_cst) -> the parent (acquire).  Sequentially
 *         consistent for the announcement after it, as S1.
 *     A3  done: each worker that leaves (release) -> the last one (acquire), who
 *         says so: what any of them has sent before is there.
 *     A4  fc_seat.batch: opening (seq_cst) and then looking who is parked;
 *         parking (I1) and then looking for open batches (seq_cst).
 *     A5  Writing a batch stores a `next` of which nothing can be claimed and
 *         then the count (with a fence between them); a worker reads the count
 *         and then `next` (likewise): with a new count it finds no old
 *         `next`, and its exchange fails.
 *     A6  next and fc_seat.batch: cancelling and then closing; opening and then
 *         looking whether anything is left.  All four are sequentially
 *         consistent: no batch stays open that has nothing to claim.
 *
 * Whoever has taken a request may not have looked at it yet.  As long as
 * nobody has claimed anything, a batch that is cancelled is not done before
 * its taker leaves it: what he is going to look at stays there.
 */
#ifndef FC_BATCHES_H
#define FC_BATCHES_H

#include "ipc/segment.h"

#define FC_BATCH_MOST 1024 /* items; a number has 16 bits */

/* What a cell says. */
enum fc_cell_state {
    FC_CELL_EMPTY = 0,
    FC_CELL_NONE,
    FC_CELL_FALSE,
    FC_CELL_TRUE,
    FC_CELL_INT,     /* `value`, signed */
    FC_CELL_FLOAT,   /* its bits */
    FC_CELL_MESSAGE, /* by the stream */
};

struct fc_cell {
    _Atomic(uint32_t) state;
    uint32_t zero;
    uint64_t value; /* written before the state, read after it */
};

struct fc_batch {
    _Atomic(uint64_t) next;
    _Atomic(uint32_t) done; /* items that nobody works on any more */
    _Atomic(uint32_t) count;
    struct fc_cell cells[];
};

/* Bytes before the items. */
static inline uint64_t
fc_batch_head(uint32_t count)
{
    return sizeof(struct fc_batch)
           + count * (sizeof(struct fc_cell) + sizeof(uint32_t));
}

/* --- the parent ------------------------------------------------------------ */

/* Lay out a batch at `b`: the items are `bytes`, of which number i ends at
 * ends[i].  It is published with the request of that position. */
void fc_batch_write(struct fc_batch *b, uint64_t position, uint32_t count,
                    const uint32_t *ends, const void *bytes, uint64_t size);

/* How many items nobody has claimed. */
uint32_t fc_batch_left(const struct fc_batch *b);

/* Claim all that is left of a batch that was taken, so that nobody begins any
 * of it.  Returns the first of them.  With *all_done nobody works on the batch
 * any more; otherwise somebody will leave it as the last one. */
uint32_t fc_batch_cancel(struct fc_batch *b, bool *all_done);

/* --- a worker -------------------------------------------------------------- */

/* A batch as a worker sees it: what was read once and checked. */
struct fc_batch_view {
    struct fc_batch *batch;
    uint64_t position; /* modulo FC_POSITIONS */
    uint32_t count;
    const unsigned char *ends, *items;
    uint64_t size; /* of the items */
};

/* Look at a request of `size` bytes.  False: it is no batch. */
bool fc_batch_view(struct fc_batch_view *v, const unsigned char *bytes,
                   uint64_t size, uint64_t position);

/* Claim the next item: its number, or -1: there is none. */
int fc_batch_claim(const struct fc_batch_view *v);

/* Where a claimed item is; NULL: nonsense. */
const unsigned char *fc_batch_item(const struct fc_batch_view *v, uint32_t i,
                                   uint64_t *size);

/* Store the result of a claimed item. */
static inline void
fc_batch_store(const struct fc_batch_view *v, uint32_t i, uint32_t state,
               uint64_t value)
{
    struct fc_cell *cell = &v->batch->cells[i];
    cell->value = value;
    atomic_store_explicit(&cell->state, state, memory_order_seq_cst); /* A2 */
}

/* A worker has ended `mine` items and claims no more.  True: it is the last
 * one.  Also said by a taker who has found none. */
bool fc_batch_leave(const struct fc_batch_view *v, uint32_t mine);

/* --- finding one ------------------------------------------------------------- */

/* Worker: let others join the batch of a request, from this seat. */
void fc_batch_open(struct fc_segment *s, uint32_t seat, uint64_t tag);

/* Whoever has claimed the last item: nobody has to look at it any more.  Does
 * nothing where that seat has another one by now. */
void fc_batch_close(struct fc_segment *s, uint32_t seat, uint64_t tag);

/* Whether there is a batch to join. */
bool fc_batches_open(const struct fc_segment *s);

/* The open batch of the seat *seat or the next one that has one: true, with
 * the request's tag. */
bool fc_batch_find(const struct fc_segment *s, uint32_t *seat, uint64_t *tag);

#endif /* FC_BATCHES_H */
