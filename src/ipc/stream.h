/* stream.h - frames from one process to one other, in order.
 *
 * A stream is a ring of bytes in the segment.  The producer puts a frame in as
 * a whole and then makes it visible by one store, so whoever is killed while
 * he writes has written nothing.  A frame never wraps around: its bytes are
 * read where they are.
 *
 * A message longer than FC_FRAME_MOST of the stream is cut into frames, each
 * of which says how much is still to come; fc_message_add() puts them together
 * again.  So messages may have any length, whatever the stream's is.
 *
 *     +------+------+------+-----+------+---------+--------+
 *     | size | kind | zero | tag | rest | bytes   | to 8   |   a frame
 *     | 4    | 2    | 2    | 8   | 8    | `size`  |        |
 *     +------+------+------+-----+------+---------+--------+
 *
 *                 | producer's functions | consumer's functions
 *     producer's  | no                   | yes
 *     consumer's  | yes                  | no
 */
#ifndef FC_STREAM_H
#define FC_STREAM_H

#include "ipc/segment.h"

/* As it stands in the stream. */
struct fc_frame_head {
    uint32_t size;
    uint16_t kind; /* the user's own, below FC_FRAME_SKIP */
    uint16_t zero;
    uint64_t tag;  /* the user's own */
    uint64_t rest; /* bytes of the message that come in later frames */
};

#define FC_FRAME_SKIP UINT16_MAX

/* The most bytes in one frame.  A quarter: what is skipped at the end of the
 * ring so that a frame need not wrap is less than a frame, and half the ring
 * is there while the other half is read. */
static inline uint32_t
fc_frame_most(const struct fc_segment *s)
{
    return s->geometry.stream / 4 - (uint32_t)sizeof(struct fc_frame_head);
}

/* --- the producer ------------------------------------------------------- */

struct fc_producer {
    struct fc_stream_state *state;
    unsigned char *bytes;
    uint64_t written; /* as published, or further: skipped */
    uint64_t read;    /* as last seen */
    uint32_t size;
};

/* Begin where the stream stands: nobody has written to it since it was
 * prepared, or the same process has. */
void fc_producer_init(struct fc_producer *p, const struct fc_segment *s,
                      uint32_t seat, enum fc_direction direction);

/* Room for a frame of `size` bytes, at most fc_frame_most(): write them there,
 * then publish.  NULL: not now (or the consumer's counter is nonsense, which
 * comes to the same: there is no room). */
unsigned char *fc_producer_begin(struct fc_producer *p, uint32_t size);

/* Whether fc_producer_begin() would find room now. */
bool fc_producer_fits(struct fc_producer *p, uint32_t size);

/* Publish the frame begun last, or the first `size` bytes of it. */
void fc_producer_publish(struct fc_producer *p, uint32_t size, uint16_t kind,
                         uint64_t tag, uint64_t rest);

/* Whether the consumer has read everything that was published. */
bool fc_producer_is_read(const struct fc_producer *p);

/* Sleep until there may be room for `size` bytes.  The consumer looks whether
 * somebody sleeps here after he has read: fc_consumer_release(). */
enum fc_park_result fc_producer_park(struct fc_producer *p, uint32_t size,
                                     int64_t deadline_ns);

/* --- the consumer ------------------------------------------------------- */

struct fc_consumer {
    struct fc_stream_state *state;
    const unsigned char *bytes;
    uint64_t read;    /* up to the frame that is being looked at */
    uint64_t next;    /* behind it */
    uint32_t size;
    uint32_t most;
};

struct fc_frame {
    const unsigned char *bytes;
    uint64_t tag;
    uint64_t rest;
    uint32_t size;
    uint16_t kind;
};

void fc_consumer_init(struct fc_consumer *c, const struct fc_segment *s,
                      uint32_t seat, enum fc_direction direction);

/* The next frame, which stays where it is until the next call or
 * fc_consumer_release().  0; EAGAIN: nothing there; EBADMSG: nonsense, and
 * nothing more comes of this stream. */
int fc_consumer_next(struct fc_consumer *c, struct fc_frame *frame);

/* Whether fc_consumer_next() would find something.  Any thread. */
bool fc_consumer_ready(const struct fc_consumer *c);

/* Give the room of everything read so far back to the producer, and wake him
 * if he sleeps for want of it. */
void fc_consumer_release(struct fc_consumer *c);

/* --- messages ----------------------------------------------------------- */

/* A message that has arrived in part, in memory of its own. */
struct fc_message {
    unsigned char *bytes;
    uint64_t have, size;
    uint64_t tag;
    uint16_t kind;
};

/* Add a frame that is not a whole message.  0: the message is complete;
 * EAGAIN: more is to come; EBADMSG: it does not fit what came before; ENOMEM.
 * After an error there is no message. */
int fc_message_add(struct fc_message *m, const struct fc_frame *frame);

/* Free what has arrived; an empty message has nothing. */
void fc_message_clear(struct fc_message *m);

#endif /* FC_STREAM_H */
