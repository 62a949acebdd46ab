/* requests.h - requests on their way from the parent to whichever worker takes
 * them first.
 *
 * The parent writes a request into a slot and puts the slot's number into the
 * ring; a worker takes the oldest one that nobody has taken or cancelled.
 * Slots become free in any order, with the result; the places of the ring in
 * its own order, as soon as their request has been taken: one that runs for
 * hours keeps its slot and nothing else.
 *
 * Taking and cancelling a request race by one exchange of the slot's word:
 *
 *     63                          24 23          8 7       0
 *     +-----------------------------+-------------+---------+
 *     | position                    | seat        | state   |
 *     +-----------------------------+-------------+---------+
 *
 *     EMPTY --publish--> READY --take--> TAKEN (by `seat`)
 *                          '---cancel--> CANCELLED
 *
 * The position counts all requests there ever were, modulo 2^40.  So who has
 * read a place of the ring, slept for an hour and then exchanges the word of a
 * slot that has been used again since, fails.
 *
 *                 | parent's functions | fc_requests_take, _waiting
 *     parent's    | no                 | yes
 *     take        | yes                | yes, each worker with its own seat
 *
 * Nobody waits for anybody: a worker that dies or stops at any place keeps at
 * most the one request that it has taken.
 */
#ifndef FC_REQUESTS_H
#define FC_REQUESTS_H

#include "ipc/segment.h"

/* Positions are counted modulo this. */
#define FC_POSITIONS (UINT64_C(1) << 40)

/* --- the parent's side -------------------------------------------------- */

/* What the parent knows of its requests.  In its own memory, where no worker
 * can damage it. */
struct fc_sender {
    struct fc_segment *segment;
    uint64_t tail; /* the next position */

    /* The free slots, a ring: the one that was freed first is used first, so
     * that a number means another request for as long as possible. */
    uint16_t *free;
    uint32_t free_first, free_count;

    /* So many slots are in use at all; the memory of the others is not there
     * yet, in the segment and here. */
    uint32_t opened;

    uint64_t *positions; /* by slot: of its request, or FC_NO_REQUEST */
};

#define FC_NO_REQUEST UINT64_MAX

/* 0, or what the system says where it refuses memory. */
int fc_sender_init(struct fc_sender *p, struct fc_segment *segment);
void fc_sender_destroy(struct fc_sender *p);

/* Whether a slot is free; opens some more where none is, as long as there are
 * any and the system gives memory. */
bool fc_sender_has_room(struct fc_sender *p);

/* A slot to fill in `function`, `kind`, `length`, `data` and `place` of, with
 * its number in *index.  NULL with *error = EAGAIN when there is no room now,
 * or EBADMSG when the segment is damaged.  Nobody sees it until it is
 * published. */
struct fc_slot *fc_sender_begin(struct fc_sender *p, uint32_t *index,
                                int *error);

/* Let workers take it; whom to wake is for fc_idle_wake(). */
void fc_sender_publish(struct fc_sender *p, uint32_t index);

/* Give back a slot that was begun and is not to be published. */
void fc_sender_abandon(struct fc_sender *p, uint32_t index);

/* Take a published request back: true when no worker has taken it and none
 * will; the slot is free again then. */
bool fc_sender_cancel(struct fc_sender *p, uint32_t index);

/* Whether a worker has taken a published request.  Any thread. */
bool fc_sender_taken(const struct fc_sender *p, uint32_t index);

/* Whether `seat` has taken the request `position` in slot `index`, and it is
 * not finished: what somebody who says so has to be asked. */
bool fc_sender_taken_by(const struct fc_sender *p, uint32_t index,
                        uint64_t position, uint32_t seat);

/* Whether the request `position` is in slot `index`, taken by anybody and not
 * finished. */
bool fc_sender_is_at(const struct fc_sender *p, uint32_t index,
                     uint64_t position);

/* Its result is there: the slot is free again. */
void fc_sender_finish(struct fc_sender *p, uint32_t index);

/* How many requests are published and neither taken nor cancelled, at most;
 * exact while nobody takes one. */
uint64_t fc_sender_waiting(const struct fc_sender *p);

/* --- the worker's side -------------------------------------------------- */

/* A request that has been taken: what stood in the slot, read once.  `data`
 * points into the slot, which stays as it is until the result is there. */
struct fc_taken {
    uint64_t position;
    uint64_t place;
    const unsigned char *data;
    uint32_t index;
    uint32_t function;
    uint16_t kind;
    uint16_t length; /* at most FC_INLINE */
};

/* Take the oldest request.  0; EAGAIN: there is none; EBADMSG: the segment is
 * damaged. */
int fc_requests_take(struct fc_segment *s, uint32_t seat,
                     struct fc_taken *taken);

/* Look at a request that another worker has taken.  False: it is not that one
 * any more.  The slot may be used again at any time. */
bool fc_requests_look(const struct fc_segment *s, uint32_t index,
                      uint64_t position, struct fc_taken *taken);

/* Whether there is one to take, or to look at again. */
bool fc_requests_waiting(const struct fc_segment *s);

#endif /* FC_REQUESTS_H */
