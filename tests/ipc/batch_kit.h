/* batch_kit.h - a parent and workers that share batches, for tests.
 *
 * Workers do with a batch what src/python/worker_end.c does: whoever takes it
 * opens it, whoever finds no request joins one, each claims item by item and
 * says so when it was the last to leave.  An item says what is to be done and
 * has a number; its result is that number plus 1, in its cell or by the stream.
 *
 * Workers are forked, or threads on the parent's own mapping: at the same
 * addresses ThreadSanitizer sees both ends.
 */
#ifndef BATCH_KIT_H
#define BATCH_KIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "check.h"
#include "ipc/requester.h"
#include "ipc/responder.h"

#define BATCH_WORKERS 3
#define BATCH_SLOTS 16
#define BATCH_ITEMS 64 /* of one batch, at most */
#define BATCH_LONG 3000 /* bytes of a long message: several frames */

/* What a worker does with an item. */
enum {
    ITEM_CELL, /* the result is in the cell */
    ITEM_SAY,  /* by the stream */
    ITEM_LONG, /* likewise, in several frames */
    ITEM_MEET, /* as CELL when `expected` have begun */
    ITEM_GATE, /* as CELL when the gate is open */
};

/* Kinds of requests and replies. */
enum { BATCH_REQUEST = 1, BATCH_SAID, BATCH_DONE };

/* What workers write down, wherever they are. */
struct batch_notes {
    _Atomic(uint32_t) ran[BATCH_SLOTS][BATCH_ITEMS]; /* by batch.note */
    _Atomic(uint32_t) met, expected, gate;
};

struct batch {
    uint32_t index; /* its slot */
    uint32_t count, first_number, note;
    uint32_t begun; /* items from this one on were cancelled */
    bool under_way, done;
    uint16_t what[BATCH_ITEMS];
    bool said[BATCH_ITEMS];
};

struct batch_kit {
    struct fc_requester requester;
    struct fc_bell bell;
    struct batch_notes *notes;
    bool threads;
    unsigned workers;
    long fuse; /* the kill point at which the next worker dies; 0: none */
    pid_t pids[BATCH_WORKERS];
    struct check_thread thread[BATCH_WORKERS];
    struct batch batches[BATCH_SLOTS];
    uint32_t numbers; /* that were given to items */
    uint64_t dones;
};

extern const struct fc_geometry batch_geometry;

/* Make all but the workers; `threads` stays as it is. */
void batch_kit_open(struct batch_kit *k);
void batch_kit_start(struct batch_kit *k, unsigned seat);

/* Close, and check that all workers end well. */
void batch_kit_close(struct batch_kit *k);

/* Sit down on the parent's own mapping, and get up. */
void batch_sit_down(struct fc_responder *w, const struct batch_kit *k,
                    uint32_t seat);
void batch_get_up(struct fc_responder *w);

/* Send a batch whose items do `what`.  NULL: no room now. */
struct batch *batch_send(struct batch_kit *k, uint32_t count,
                         const uint16_t *what);

/* The state of an item's cell. */
uint32_t batch_state(const struct batch_kit *k, const struct batch *b,
                     uint32_t i);

/* Begin nothing more of it, as src/python/batch.c does. */
void batch_stop(struct batch_kit *k, struct batch *b);

/* Fetch what was said, and check it. */
void batch_drain(struct batch_kit *k);

/* The same, and sleep until there is something or item `i` has a result, at
 * most `ns`; `b` NULL: no item is waited for. */
void batch_wait(struct batch_kit *k, const struct batch *b, uint32_t i,
                int64_t ns);

/* Whether nothing more comes of it: all is there that was begun. */
bool batch_is_over(const struct batch_kit *k, const struct batch *b);

/* Check that each item that was begun was done once and no other, and give
 * its slot back. */
void batch_end(struct batch_kit *k, struct batch *b);

/* Wait for the end of it, or of all, without a limit. */
void batch_finish(struct batch_kit *k, struct batch *b);
void batch_finish_all(struct batch_kit *k);

#endif /* BATCH_KIT_H */
