/* responder.c - see responder.h. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "ipc/responder.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/spin.h"
#include "ipc/admission.h"
#include "ipc/arena.h"
#include "ipc/idle.h"
#include "ipc/once.h"
#include "ipc/results.h"

/* --- the parent --------------------------------------------------------- */

bool
fc_responder_orphaned(const struct fc_responder *w)
{
    /* Whoever forked us is gone when we have another parent now.  Where that
     * was the pool's process nothing else has to be asked, which counts: an
     * idle worker asks once a second, and comes with cold caches. */
    if (getppid() != w->first_parent) {
        return true;
    }
    if (w->first_parent == w->parent_pid) {
        return false;
    }
    /* It was a fork server.  The number is for the case that a task has closed
     * every descriptor. */
    return (w->parent >= 0 && fc_process_ended(w->parent))
           || !fc_process_exists(w->parent_pid);
}

bool
fc_responder_deserted(struct fc_responder *w)
{
    int64_t now = fc_now_roughly_ns();
    if (now - w->looked < FC_GLANCE_NS) {
        return false;
    }
    w->looked = now;
    return fc_responder_orphaned(w);
}

static int64_t
next_look(void)
{
    return fc_now_ns() + FC_LOOK_NS;
}

/* --- announcing --------------------------------------------------------- */

/* Tell whoever listens for results. */
static int
announce(struct fc_responder *w)
{
    w->unrung = false;
    return fc_results_announce(&w->segment, w->ring);
}

/* The same for the parent alone who polls the bell, if he has not read the
 * last reply meanwhile. */
static int
ring_if_unread(struct fc_responder *w)
{
    w->unrung = false;
    return fc_producer_is_read(&w->replies) ? 0 : announce(w);
}

/* --- sitting down and leaving ------------------------------------------- */

int
fc_responder_attach(struct fc_responder *w, int fd, uint32_t seat, int ring,
                    uint64_t keep)
{
    memset(w, 0, sizeof(*w));
    int error = fc_segment_attach(&w->segment, fd);
    if (error != 0) {
        return error;
    }
    if (seat >= w->segment.geometry.seats) {
        fc_segment_detach(&w->segment);
        return EINVAL;
    }
    w->seat = seat;
    w->ring = ring;
    w->parent_pid = (pid_t)w->segment.header->owner;
    w->first_parent = getppid();
    w->parent = fc_process_watch(w->parent_pid);
    fc_blocks_init(&w->blocks, &w->segment, seat, keep);
    fc_producer_init(&w->replies, &w->segment, seat, FC_TO_PARENT);
    fc_consumer_init(&w->pieces, &w->segment, seat, FC_TO_WORKER);
    return 0;
}

int
fc_responder_await_admission(struct fc_responder *w, uint32_t start)
{
    for (;;) {
        int error = fc_admission_await(&w->segment, w->seat, start,
                                       next_look());
        if (error != ETIMEDOUT) {
            return error;
        }
        if (fc_responder_orphaned(w)) {
            return ESRCH;
        }
    }
}

void
fc_responder_detach(struct fc_responder *w)
{
    fc_message_clear(&w->message);
    fc_blocks_destroy(&w->blocks, true);
    if (w->parent >= 0) {
        (void)close(w->parent);
    }
    fc_segment_detach(&w->segment);
}

/* --- requests ----------------------------------------------------------- */

/* Bring the bytes of a STREAM request over. */
int
fc_responder_fetch(struct fc_responder *w, struct fc_job *job)
{
    for (;;) {
        uint32_t signal = fc_idle_signal(&w->segment, w->seat);
        struct fc_frame frame;
        int error = fc_consumer_next(&w->pieces, &frame);
        if (error == EAGAIN) {
            if (fc_responder_orphaned(w)) {
                return ESRCH;
            }
            if (fc_idle_wait(&w->segment, w->seat, signal, next_look())
                == FC_PARK_INTERRUPTED) {
                return EINTR;
            }
            continue;
        }
        if (error == 0 && frame.tag != job->tag) {
            error = EBADMSG;
        }
        if (error != 0) {
            return error;
        }
        bool more = frame.rest > 0;
        if (!w->losing) {
            error = fc_message_add(&w->message, &frame);
            w->losing = error == ENOMEM;
        }
        fc_consumer_release(&w->pieces);
        if (error == EBADMSG) {
            return error;
        }
        error = announce(w);
        if (error != 0) {
            return error;
        }
        if (!more) {
            job->bytes = w->message.bytes;
            return w->losing                       ? ENOMEM
                   : w->message.size == job->size ? 0
                                                  : EBADMSG;
        }
    }
}

/* Room for a frame, sooner or later.  0; ESRCH: the parent is gone; an errno
 * where he cannot be told that he has to make some. */
static int
room_for(struct fc_responder *w, uint32_t size, unsigned char **room)
{
    while ((*room = fc_producer_begin(&w->replies, size)) == NULL) {
        /* What is there has not been announced yet if nobody listened. */
        int error = announce(w);
        if (error != 0) {
            return error;
        }
        if (fc_responder_orphaned(w)) {
            return ESRCH;
        }
        (void)fc_producer_park(&w->replies, size, next_look());
    }
    return 0;
}

/* Ask for the bytes of a request, which no shared memory was to be had for. */
static int
want(struct fc_responder *w, struct fc_job *job)
{
    unsigned char *room;
    int error = room_for(w, 0, &room);
    if (error != 0) {
        return error;
    }
    fc_producer_publish(&w->replies, 0, FC_FRAME_WANT, job->tag, 0);
    w->losing = false;
    error = announce(w);
    return error == 0 ? fc_responder_fetch(w, job) : error;
}

static int
read_block(struct fc_responder *w, const struct fc_taken *taken,
           struct fc_job *job)
{
    fc_read_once(&job->block, taken->data, sizeof(job->block));
    job->size = job->block.length;
    w->balance++;
    return fc_block_possible(&w->segment, job->block.offset, job->block.size)
                   && job->block.length <= job->block.size
               ? 0
               : EBADMSG;
}

static int
read_arena(struct fc_responder *w, const struct fc_taken *taken,
           struct fc_job *job)
{
    fc_read_once(&job->size, taken->data, sizeof(job->size));
    if (!fc_arena_holds(&w->segment, taken->place, job->size)) {
        return EBADMSG;
    }
    job->bytes = w->segment.arena + taken->place;
    return 0;
}

/* Keep the block that came along. */
static int
read_gift(struct fc_responder *w, const struct fc_taken *taken)
{
    uint64_t gift[2];
    fc_read_once(gift, taken->data + FC_GIFT_AT, sizeof(gift));
    w->balance++;
    return fc_blocks_put(&w->blocks, gift[0], gift[1]);
}

/* Written only where it changes: others read it all the time. */
static void
say_cpu(_Atomic(int32_t) *word)
{
    int32_t cpu = fc_cpu();
    if (atomic_load_explicit(word, memory_order_relaxed) != cpu) {
        atomic_store_explicit(word, cpu, memory_order_relaxed);
    }
}

int
fc_responder_take(struct fc_responder *w, struct fc_job *job)
{
    struct fc_taken taken;
    memset(job, 0, sizeof(*job));
    /* Not idle any more, and only then not waiting: who counts the requests
     * that wait and then the idle workers never finds one idle that has taken
     * what he does not find waiting. */
    if (w->idle) {
        /* And idle as long as there is nothing: who has the last reply and
         * submits again meanwhile needs no other worker. */
        if (!fc_requests_waiting(&w->segment)) {
            return EAGAIN;
        }
        w->idle = false;
        fc_idle_leave(&w->segment, w->seat);
    }
    int error = fc_requests_take(&w->segment, w->seat, &taken);
    if (error != 0) {
        return error;
    }
    FC_KILL_POINT();
    if (!w->served) {
        w->served = true;
        atomic_store_explicit(&w->segment.seats[w->seat].served, 1,
                              memory_order_relaxed); /* a number to know */
    }
    if (w->unrung) {
        error = ring_if_unread(w);
        if (error != 0) {
            return error;
        }
    }
    if (fc_requests_waiting(&w->segment)) {
        fc_idle_wake(&w->segment);
    }
    say_cpu(&w->segment.header->worker_cpu);
    job->seat = w->seat;
    job->tag = fc_wire_tag(taken.position, taken.index);
    job->function = taken.function;
    job->kind = (uint16_t)(taken.kind >> FC_KIND_SHIFT);
    if (taken.kind & FC_KIND_GIFT) {
        error = read_gift(w, &taken);
        if (error != 0) {
            return error;
        }
    }
    switch (taken.kind & FC_KIND_HOW) {
    case FC_HOW_INLINE:
        job->bytes = taken.data;
        job->size = taken.length;
        return 0;
    case FC_HOW_ARENA:
        return read_arena(w, &taken, job);
    case FC_HOW_BLOCK:
        return read_block(w, &taken, job);
    default:
        fc_read_once(&job->size, taken.data, sizeof(job->size));
        return want(w, job);
    }
}

static void
enter_idle(struct fc_responder *w)
{
    if (!w->idle) {
        w->idle = true;
        fc_idle_enter(&w->segment, w->seat);
    }
}

void
fc_responder_ready(struct fc_responder *w)
{
    /* In this order: nobody counts it twice, see hub.h.  Release, and the
     * parent's look acquires: what comes after is seen after it. */
    atomic_store_explicit(&w->segment.seats[w->seat].state, FC_SEAT_TAKEN,
                          memory_order_release);
}

void
fc_responder_leave(struct fc_responder *w)
{
    atomic_store_explicit(&w->segment.seats[w->seat].state, FC_SEAT_LEAVING,
                          memory_order_release);
}

bool
fc_responder_linger(struct fc_responder *w)
{
    enter_idle(w);
    int cpu = atomic_load_explicit(&w->segment.header->sender_cpu,
                                   memory_order_relaxed);
    struct fc_spin spin = fc_spin_begin(cpu, FC_FOREVER);
    do {
        if (fc_requests_waiting(&w->segment)
            || fc_batches_open(&w->segment)) {
            return true;
        }
        if (fc_idle_closing(&w->segment)) {
            return false;
        }
    } while (fc_spin_turn(&spin));
    return false;
}

int
fc_responder_idle(struct fc_responder *w)
{
    enter_idle(w);
    if (w->unrung) {
        int error = ring_if_unread(w);
        if (error != 0) {
            return error;
        }
    }
    enum fc_park_result parked =
        fc_idle_park(&w->segment, w->seat, next_look());
    if (parked == FC_PARK_INTERRUPTED) {
        return EINTR;
    }
    if (parked == FC_PARK_TIMED_OUT && fc_responder_orphaned(w)) {
        return ESRCH;
    }
    return fc_idle_closing(&w->segment) && !fc_requests_waiting(&w->segment)
                   && !fc_batches_open(&w->segment)
               ? ESHUTDOWN
               : 0;
}

void
fc_responder_done(struct fc_responder *w, struct fc_job *job)
{
    fc_message_clear(&w->message);
    job->bytes = NULL;
    if (job->block.size > 0) {
        (void)fc_blocks_put(&w->blocks, job->block.offset, job->block.size);
        memset(&job->block, 0, sizeof(job->block));
    }
}

/* --- replies ------------------------------------------------------------ */

static int
reply_in_frames(struct fc_responder *w, uint64_t tag, uint16_t kind,
                const struct fc_part *parts, unsigned count)
{
    struct fc_parts_reader reader = {.parts = parts, .count = count};
    uint64_t left = fc_parts_size(parts, count);
    uint32_t most = fc_frame_most(&w->segment);
    do {
        uint32_t now = left < most ? (uint32_t)left : most;
        unsigned char *room;
        int error = room_for(w, now, &room);
        if (error != 0) {
            return error;
        }
        fc_parts_read(&reader, room, now);
        left -= now;
        fc_producer_publish(&w->replies, now, kind, tag, left);
    } while (left > 0);
    return 0;
}

static int
say_block(struct fc_responder *w, uint64_t tag, uint16_t kind,
          const struct fc_wire_block *block)
{
    unsigned char *room;
    int error = room_for(w, sizeof(*block), &room);
    if (error != 0) {
        return error;
    }
    memcpy(room, block, sizeof(*block));
    fc_producer_publish(&w->replies, sizeof(*block), kind, tag, 0);
    return 0;
}

/* EAGAIN: no block is to be had. */
static int
reply_in_block(struct fc_responder *w, uint64_t tag, uint16_t kind,
               const struct fc_part *parts, unsigned count)
{
    struct fc_block block;
    uint64_t size = fc_parts_size(parts, count);
    if (fc_blocks_take(&w->blocks, size, &block) != 0) {
        return EAGAIN;
    }
    fc_parts_gather(parts, count, block.bytes);
    w->balance--;
    struct fc_wire_block said = {
        .offset = block.offset, .size = block.size, .length = size};
    return say_block(w, tag, (uint16_t)(kind | FC_FRAME_BLOCK), &said);
}

/* Whoever has got more blocks than he has sent gives one back. */
static int
give_back(struct fc_responder *w, uint64_t tag)
{
    struct fc_wire_block back = {0};
    if (w->balance <= 0
        || !fc_blocks_spare(&w->blocks, &back.offset, &back.size)) {
        return 0;
    }
    w->balance--;
    return say_block(w, tag, FC_FRAME_BACK, &back);
}

int
fc_responder_reply(struct fc_responder *w, const struct fc_job *job,
                   uint16_t kind, const struct fc_part *parts, unsigned count,
                   bool last)
{
    uint64_t size = fc_parts_size(parts, count);
    uint16_t frame = (uint16_t)(kind << 2);
    int error = EAGAIN;
    if (last && !fc_requests_waiting(&w->segment)) {
        enter_idle(w);
    }
    FC_KILL_POINT();
    if (size >= FC_BLOCK_FROM) {
        error = reply_in_block(w, job->tag, frame, parts, count);
    }
    else {
        error = give_back(w, job->tag);
        error = error == 0 ? EAGAIN : error;
    }
    if (error == EAGAIN) {
        error = reply_in_frames(w, job->tag, frame, parts, count);
    }
    FC_KILL_POINT();
    if (error == 0 && last) {
        w->unrung = fc_results_tell_caller(&w->segment);
        return 0;
    }
    int bell = announce(w);
    return error != 0 ? error : bell;
}

/* --- batches ------------------------------------------------------------ */

int
fc_responder_open(struct fc_responder *w, const struct fc_job *job,
                  struct fc_batch_view *v)
{
    if (!fc_batch_view(v, job->bytes, job->size, job->tag >> 16)) {
        return EBADMSG;
    }
    if (v->count > 1) {
        fc_batch_open(&w->segment, w->seat, job->tag);
        fc_idle_wake(&w->segment);
    }
    return 0;
}

int
fc_responder_claim(struct fc_responder *w, const struct fc_job *job,
                   const struct fc_batch_view *v)
{
    int item = fc_batch_claim(v);
    /* Also where nothing was left: whoever took the last one, the parent perhaps,
     * may have died before he could. */
    if (item < 0 || item == (int)v->count - 1) {
        fc_batch_close(&w->segment, job->seat, job->tag);
    }
    return item;
}

/* The batch of a request that another worker has taken. */
static bool
view_other(struct fc_responder *w, uint32_t seat, uint64_t tag,
           struct fc_job *job, struct fc_batch_view *v)
{
    struct fc_taken taken;
    memset(job, 0, sizeof(*job));
    if (!fc_requests_look(&w->segment, (uint32_t)(tag & 0xffff), tag >> 16,
                          &taken)
        || (taken.kind & FC_KIND_HOW) != FC_HOW_ARENA
        || read_arena(w, &taken, job) != 0) {
        return false;
    }
    job->tag = tag;
    job->seat = seat;
    job->function = taken.function;
    job->kind = (uint16_t)(taken.kind >> FC_KIND_SHIFT);
    return fc_batch_view(v, job->bytes, job->size, tag >> 16);
}

int
fc_responder_join(struct fc_responder *w, struct fc_job *job,
                  struct fc_batch_view *v, int *item)
{
    uint64_t tag;
    for (uint32_t seat = 0; fc_batch_find(&w->segment, &seat, &tag);
         seat++) {
        if (!view_other(w, seat, tag, job, v)) {
            fc_batch_close(&w->segment, seat, tag);
            continue;
        }
        /* As in fc_responder_take(). */
        if (w->idle) {
            w->idle = false;
            fc_idle_leave(&w->segment, w->seat);
        }
        *item = fc_responder_claim(w, job, v);
        if (*item >= 0) {
            if (fc_batches_open(&w->segment)) {
                fc_idle_wake(&w->segment);
            }
            return 0;
        }
    }
    return EAGAIN;
}

void
fc_responder_stored(struct fc_responder *w)
{
    (void)fc_results_tell_caller(&w->segment);
}

int
fc_responder_say(struct fc_responder *w, const struct fc_job *job,
                 uint16_t kind, const struct fc_part *parts, unsigned count)
{
    return fc_responder_reply(w, job, (uint16_t)(kind | FC_KIND_PART), parts,
                              count, false);
}
