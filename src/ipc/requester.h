/* requester.h - the parent's end: sends requests, receives replies.
 *
 * All of requests.h, stream.h, arena.h and blocks.h in one place, for a pool.
 * A request is sent when there is room for it; replies are fetched seat by
 * seat.  Nothing here waits: who wants to uses results.h.
 *
 * The functions may not run at the same time, except where they say so: the
 * caller has a lock for it, under which no code of the user's runs.
 */
#ifndef FC_REQUESTER_H
#define FC_REQUESTER_H

#include "ipc/arena.h"
#include "ipc/batches.h"
#include "ipc/blocks.h"
#include "ipc/functions.h"
#include "ipc/requests.h"
#include "ipc/stream.h"
#include "ipc/wire.h"

/* What is known of a request under way, by slot. */
struct fc_requested {
    void *user;           /* the caller's own */
    unsigned char *bytes; /* STREAM: what the worker will ask for */
    uint64_t size;
    struct fc_wire_block block;
    uint32_t arena;
    uint32_t asked_by; /* STREAM: a seat, or FC_ASKED_BY_NOBODY */
    uint8_t how;
    bool batch; /* answered in parts, and by nothing else */
};

#define FC_ASKED_BY_NOBODY UINT32_MAX

/* What is known of a worker, by seat. */
struct fc_correspondent {
    struct fc_consumer replies;
    struct fc_producer pieces;
    struct fc_message message; /* a reply that has come in part */
    /* A request that it has asked for: how much of it was sent. */
    uint64_t sent;
    uint32_t asked; /* its slot, or FC_ASKED_NOTHING */
    /* There was no memory for a reply: its other pieces are passed over. */
    bool losing;
    bool open;
    bool admitted;  /* open, and its worker may sit down */
    uint32_t start; /* number of the last start of a worker here */
};

#define FC_ASKED_NOTHING UINT32_MAX

struct fc_requester {
    struct fc_segment segment;
    struct fc_sender sender;
    struct fc_arena arena;
    struct fc_blocks blocks;
    struct fc_functions functions;
    struct fc_requested *requested; /* by slot, of those that are opened */
    struct fc_correspondent *workers;
    int64_t balance; /* blocks that have come, less those that have gone */
    unsigned gifts;  /* how many may still be made; see requester.c */
    uint64_t load;   /* bytes of long messages under way */
    uint32_t open;   /* seats with a worker */
    uint32_t starts; /* of workers, so far: a number each */
};

/* A reply, or what is to be known instead of one. */
struct fc_reply {
    void *user;      /* of the request */
    uint32_t index;  /* the slot it had; free again */
    uint16_t kind;   /* as the worker said */
    bool part;       /* of a batch: the request still has its slot */
    uint64_t size;
    const unsigned char *bytes;  /* NULL when it is in a block */
    unsigned char *own;          /* bytes that fc_reply_clear() will free */
    struct fc_wire_block block;  /* size 0: none; it is ours from now on */
};

/* `keep`: bytes of free blocks that are kept for the next messages. */
int fc_requester_create(struct fc_requester *r, const struct fc_geometry *g,
                        uint64_t keep);

/* Frees everything.  What was under way is the caller's to know of. */
void fc_requester_destroy(struct fc_requester *r);

/* Whether so many bytes are under way that a message of `size` more should wait
 * outside: every worker has something, and they are many. */
bool fc_requester_is_laden(const struct fc_requester *r, uint64_t size);

/* How many requests are under way. */
static inline uint32_t
fc_requester_under_way(const struct fc_requester *r)
{
    return r->sender.opened - r->sender.free_count;
}

/* Whether there is a slot for one more request; see fc_sender_has_room(). */
bool fc_requester_has_room(struct fc_requester *r);

/* A number for a function, or 0; see functions.h. */
static inline uint32_t
fc_requester_define(struct fc_requester *r, const void *bytes, uint32_t size)
{
    return fc_functions_add(&r->functions, &r->arena, bytes, size);
}

/* Before a worker starts in a seat where none is, and after it has gone.
 * Between them, if it waits for that (admission.h): it was started, and may sit
 * down. */
int fc_requester_open(struct fc_requester *r, uint32_t seat);
void fc_requester_admit(struct fc_requester *r, uint32_t seat);
void fc_requester_close(struct fc_requester *r, uint32_t seat);

/* Send a request: its parts are copied.  0 and the slot in *index; EAGAIN:
 * there is no room now, some reply has to come first; EBADMSG: the segment is
 * damaged; ENOMEM.  A worker is woken if one is parked. */
int fc_requester_send(struct fc_requester *r, const struct fc_part *parts,
                      unsigned count, uint32_t function, uint16_t kind,
                      void *user, uint32_t *index);

/* The same for a request that is too long to be copied under the caller's lock:
 * it gets a block first, pinned, into which the caller gathers the parts
 * without the lock.  fc_requester_send_block() publishes it, or fails as
 * fc_requester_send() does and leaves the block as it is;
 * fc_requester_drop_block() gives it back. */
int fc_requester_begin_block(struct fc_requester *r, uint64_t size,
                             struct fc_block *block);
int fc_requester_send_block(struct fc_requester *r,
                            const struct fc_block *block, uint64_t size,
                            uint32_t function, uint16_t kind, void *user,
                            uint32_t *index);
void fc_requester_drop_block(struct fc_requester *r,
                             const struct fc_block *block);

/* Send a batch (batches.h).  As fc_requester_send(); E2BIG: it has no room in
 * the arena. */
int fc_requester_send_batch(struct fc_requester *r, uint32_t count,
                            const uint32_t *ends, const void *bytes,
                            uint64_t size, uint32_t function, uint16_t kind,
                            void *user, uint32_t *index);

/* Where the batch of a slot is, until its request is forgotten. */
static inline struct fc_batch *
fc_requester_batch(const struct fc_requester *r, uint32_t index)
{
    return (struct fc_batch *)(r->segment.arena + r->requested[index].arena);
}

/* Nobody is to join the batch of a slot any more. */
void fc_requester_close_batch(struct fc_requester *r, uint32_t index);

/* Take it back: true when no worker has it or ever will. */
bool fc_requester_cancel(struct fc_requester *r, uint32_t index);

/* Whether a worker has it.  At any time. */
static inline bool
fc_requester_taken(const struct fc_requester *r, uint32_t index)
{
    return fc_sender_taken(&r->sender, index);
}

/* The next reply of this seat's worker.  0; EAGAIN: none; EBADMSG: it talks
 * nonsense, and nothing more comes of it; ENOMEM: the reply is lost, and
 * *reply says whose it was. */
int fc_requester_next(struct fc_requester *r, uint32_t seat,
                      struct fc_reply *reply);

/* The bytes of the last reply are not needed any more. */
void fc_reply_clear(struct fc_reply *reply);

/* No more replies are wanted for the moment: give the worker its room back,
 * and send it what it has asked for. */
void fc_requester_release(struct fc_requester *r, uint32_t seat);

/* Whether this seat's worker has said something, or can be sent more of what
 * it has asked for: fc_requester_next() and _release() have work to do. */
bool fc_requester_ready(struct fc_requester *r, uint32_t seat);

/* Whether this request was taken by the worker of this seat. */
bool fc_requester_has(const struct fc_requester *r, uint32_t seat,
                      uint32_t index);

/* A request that nobody will answer any more: its slot is free again.  Returns
 * what the caller has said of it. */
void *fc_requester_forget(struct fc_requester *r, uint32_t index);

/* A block that came with a reply is not needed any more. */
void fc_requester_recycle(struct fc_requester *r,
                          const struct fc_wire_block *block);

#endif /* FC_REQUESTER_H */
