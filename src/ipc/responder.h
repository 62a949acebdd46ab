/* responder.h - a worker's end: takes requests, sends replies.
 *
 * One thread of the worker's process uses it.  Every function that waits looks
 * at least once a second whether the parent is still there.
 */
#ifndef FC_RESPONDER_H
#define FC_RESPONDER_H

#include "ipc/batches.h"
#include "ipc/blocks.h"
#include "ipc/requests.h"
#include "ipc/stream.h"
#include "ipc/wire.h"

/* Nanoseconds between two looks at the parent, of a worker that waits. */
#ifndef FC_LOOK_NS
#define FC_LOOK_NS INT64_C(1000000000)
#endif

/* And how old the answer may be that a busy one goes by. */
#define FC_GLANCE_NS INT64_C(10000000)

struct fc_responder {
    struct fc_segment segment;
    struct fc_blocks blocks;
    struct fc_producer replies;
    struct fc_consumer pieces;
    struct fc_message message; /* of the request that is being served */
    uint32_t seat;
    bool losing;     /* there was no memory for the pieces of the request */
    int64_t balance; /* blocks that have come, less those that have gone */
    int ring;        /* of the bell */
    bool idle;       /* counted as idle */
    bool served;     /* has taken a request */
    bool unrung;     /* a reply was published, and the bell not rung for it */
    int parent;      /* fc_process_watch() of the parent, or -1 */
    pid_t parent_pid, first_parent;
    int64_t looked; /* when it was last asked whether the parent is gone */
};

/* A request that this worker has taken. */
struct fc_job {
    uint64_t tag;
    uint64_t size;
    const unsigned char *bytes; /* NULL when it is in a block */
    struct fc_wire_block block; /* size 0: none; it is ours from now on */
    uint32_t function;
    uint16_t kind;
    uint32_t seat; /* of the worker that has taken it */
};

/* Sit down.  `fd` is the segment's descriptor and is ours from then on, `ring`
 * the bell's, which stays the caller's.  0 or an errno. */
int fc_responder_attach(struct fc_responder *w, int fd, uint32_t seat,
                        int ring, uint64_t keep);

/* Wait until whoever has started this worker says that it may sit down; `start`
 * is the number of that start.  0; ECANCELED: it may not; ESRCH: the parent is
 * gone; EINTR. */
int fc_responder_await_admission(struct fc_responder *w, uint32_t start);

/* Give back the memory of what nobody else will, and let go. */
void fc_responder_detach(struct fc_responder *w);

/* Whether the parent is gone. */
bool fc_responder_orphaned(const struct fc_responder *w);

/* The same for a worker that is busy, between two tasks: the answer is some
 * milliseconds old, and costs next to nothing. */
bool fc_responder_deserted(struct fc_responder *w);

/* Take the next request.  0; EAGAIN: there is none now; ENOMEM: *job says
 * which it is, but its bytes are lost; EBADMSG: the segment is damaged; ESRCH:
 * the parent is gone; EINTR: a signal came while its bytes were being fetched,
 * and *job is to be handed to fc_responder_fetch() again. */
int fc_responder_take(struct fc_responder *w, struct fc_job *job);
int fc_responder_fetch(struct fc_responder *w, struct fc_job *job);

/* The worker is ready: whatever it had to do before its first request is
 * done. */
void fc_responder_ready(struct fc_responder *w);

/* The worker takes no more requests.  Said before its last reply. */
void fc_responder_leave(struct fc_responder *w);

/* Look for the next request without sleeping, for as long as that is cheaper
 * than to be woken.  True: there may be one. */
bool fc_responder_linger(struct fc_responder *w);

/* A batch that this worker has taken: others may join it.  EBADMSG: it is
 * none. */
int fc_responder_open(struct fc_responder *w, const struct fc_job *job,
                      struct fc_batch_view *v);

/* Join a batch of another worker's: 0 with the job, the view and the first
 * item that was claimed; EAGAIN: there is none. */
int fc_responder_join(struct fc_responder *w, struct fc_job *job,
                      struct fc_batch_view *v, int *item);

/* Claim another item: its number, or -1. */
int fc_responder_claim(struct fc_responder *w, const struct fc_job *job,
                       const struct fc_batch_view *v);

/* The result of an item is in its cell: tell a caller who waits for it. */
void fc_responder_stored(struct fc_responder *w);

/* Say something of a batch by the stream: as fc_responder_reply(), and the
 * request is not answered by it. */
int fc_responder_say(struct fc_responder *w, const struct fc_job *job,
                     uint16_t kind, const struct fc_part *parts,
                     unsigned count);

/* Sleep until there may be a request, at most until the next look at the
 * parent.  0; ESHUTDOWN: there is none and none will come; ESRCH; EINTR; an
 * errno as for fc_responder_reply(). */
int fc_responder_idle(struct fc_responder *w);

/* Reply to a request; the parts are copied.  With `last` the worker is going
 * to look for the next request at once, and counts as idle before anybody can
 * see this reply, unless there is a request waiting; the bell is rung a little
 * later then, by fc_responder_take() or _idle(), if the parent has not come
 * by himself.  0; ESRCH; an errno where
 * somebody listens who cannot be told: the reply is there, or what there was
 * room for, but the worker had better end, which is noticed.  Not
 * interruptible: a reply cannot be half a one. */
int fc_responder_reply(struct fc_responder *w, const struct fc_job *job,
                       uint16_t kind, const struct fc_part *parts,
                       unsigned count, bool last);

/* The bytes of the request are not needed any more: its block may serve for a
 * reply.  After this nothing points into it. */
void fc_responder_done(struct fc_responder *w, struct fc_job *job);

#endif /* FC_RESPONDER_H */
