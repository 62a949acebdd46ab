/* batch.h - many plain calls of one function under way as one request.
 *
 * For map(): ipc/batches.h says how workers share it.  Its future, which nobody
 * else sees, is done when all of its items are, or when the pool has broken;
 * the future refers to the batch (args[0]) until then.
 *
 * Fields are guarded by the hub's lock, except where it says otherwise.
 */
#ifndef FC_BATCH_H
#define FC_BATCH_H

#include "python/hub.h"

typedef struct {
    PyObject_HEAD
    HubObject *hub;       /* these three never change */
    FutureObject *future;
    uint32_t count;
    uint32_t number;      /* of the function */

    /* The items, until they are sent: number i ends at ends[i]. */
    uint32_t *ends;
    unsigned char *bytes;
    size_t size;

    int64_t index;         /* its slot, or -1 */
    uint32_t begun;        /* items from this one on were cancelled */
    bool ended;            /* nothing more comes of it */
    uint32_t lost;         /* messages of it that there was no memory for */
    struct fc_cell *cells; /* when it has no slot any more: a copy */
    PyObject **messages;   /* NULL, or by item: NULL or a sealed result */
} BatchObject;

/* A batch of the items in `o`, with a pending future of its own. */
BatchObject *fc_batch_new(fc_state *st, HubObject *hub, uint32_t number,
                          uint32_t count, const uint32_t *ends,
                          const fc_outgoing *o);

/* The batch of a future that is BATCH and not done: a new reference, or
 * NULL. */
BatchObject *fc_batch_of(FutureObject *f);

/* Under the lock, after sending it into a slot: its items stand there now. */
void fc_batch_sent(BatchObject *b, uint32_t index);

/* Under the lock: begin nothing more of it.  True: it is done now. */
bool fc_batch_stop(BatchObject *b);

/* A message of item `i` has come (stolen; NULL: it is lost), or `done`:
 * nothing more will come.  When that was all, its future ends. */
void fc_batch_told(fc_state *st, BatchObject *b, uint32_t i, PyObject *sealed,
                   bool done, fc_due *due);

/* Under the lock, before its slot is given up: keep the results. */
void fc_batch_keep(BatchObject *b);

/* What item `i` is. */
enum fc_item_state {
    FC_ITEM_PENDING,
    FC_ITEM_INLINE,  /* *cell */
    FC_ITEM_SEALED,  /* *sealed, a new reference */
    FC_ITEM_GONE,    /* never; its future says why */
};

/* The state of item i, and with INLINE up to `most` cells from there on in
 * *cells and their number in *many.  `sealed` NULL: a message stays where it
 * is.  PENDING: *word is its cell's state, where
 * it has one. */
enum fc_item_state fc_batch_look(BatchObject *b, uint32_t i,
                                 struct fc_cell *cells, uint32_t most,
                                 uint32_t *many, PyObject **sealed,
                                 const _Atomic(uint32_t) **word);

/* The value of a cell: a new reference. */
PyObject *fc_cell_value(const struct fc_cell *cell);

int fc_batch_init(PyObject *module, fc_state *st);

#endif /* FC_BATCH_H */
