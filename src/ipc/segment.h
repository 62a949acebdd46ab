/* segment.h - the memory that the processes of a pool share, and its layout.
 *
 *     offset 0
 *     +--------+---------+------------+-------------+--------------+---------+
 *     | header | seats   | functions  | slots, ring | streams      | arena   |
 *     +--------+---------+------------+-------------+--------------+---------+
 *              one per   functions.h  requests.h    two per seat,  arena.h
 *              worker                               stream.h
 *     from FC_WINDOW on: a window per process for large blocks (blocks.{h,c}),
 *     mapped block by block
 *
 * It is an anonymous file: nothing is left of it when the last process has
 * gone.  Inside there are no pointers, only numbers of fixed width, counted
 * from its start.  The layout follows from the geometry alone, so a process
 * that attaches computes it for itself and believes the file nothing else.
 *
 * Trust.  All these processes run the same user's code, and any of them may
 * write anything anywhere, by mistake.  Whoever reads a number from the
 * segment that he is going to use as a size, a place or an index therefore
 * reads it once and checks what he has read: nonsense makes a call fail with
 * EBADMSG, never a process.
 *
 * Death.  Any of them may be killed between any two instructions.  So nothing
 * here is a lock, and each structure is changed by one store or exchange that
 * makes what was prepared before visible at once.  What a dead worker had
 * taken is found by fc_sender_taken_by().
 */
#ifndef FC_SEGMENT_H
#define FC_SEGMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "port/process.h"

/* "futuresC", and what must change with the layout. */
#define FC_SEGMENT_MAGIC UINT64_C(0x4373657275747566)
#define FC_SEGMENT_VERSION 2

/* Bytes that two CPUs pass to and fro as a whole. */
#define FC_LINE 64

/* Limits of the geometry; a seat's number and a slot's have 16 bits. */
#define FC_SEATS_MAX 4096
#define FC_SLOTS_MAX 32768
#define FC_STREAM_MIN 4096
#define FC_STREAM_MAX (UINT32_C(1) << 24)
#define FC_ARENA_MIN 65536

/* Where the windows for large blocks begin, and how far apart they are: so far
 * that none is ever used up by blocks that are not given back (16 TB). */
#define FC_WINDOW (UINT64_C(1) << 44)

/* What whoever creates a segment decides. */
struct fc_geometry {
    uint32_t seats;      /* workers at the same time */
    uint32_t slots;      /* requests under way; a power of two */
    uint32_t stream;     /* bytes of each stream; a power of two */
    uint32_t arena;      /* bytes for what a slot has no room for; likewise */
};

/* Who listens for results: the lowest bits of fc_header.listeners.  The others
 * count how often anybody began to listen. */
enum {
    FC_LISTENER_CALLER = 1, /* somebody is parked on fc_header.results */
    FC_LISTENER_BELL = 2,   /* somebody polls the bell */
    FC_LISTENING = 4,
};

struct fc_header {
    uint64_t magic;
    uint32_t version;
    uint32_t reserved;
    struct fc_geometry geometry;
    int64_t owner; /* the parent's process number */

    /* requests.c: no position before this one has anything to take.  In a line
     * of its own, for workers write it all the time. */
    _Alignas(FC_LINE) _Atomic(uint64_t) head;

    /* The CPU that last sent a request, or -1: a hint for workers that spin. */
    _Alignas(FC_LINE) _Atomic(int32_t) sender_cpu;

    /* And the one that last took one: a hint for who waits for replies. */
    _Alignas(FC_LINE) _Atomic(int32_t) worker_cpu;

    /* results.c */
    _Alignas(FC_LINE) _Atomic(uint32_t) results; /* callers park on it */
    _Atomic(uint32_t) listeners;

    /* idle.c */
    _Alignas(FC_LINE) _Atomic(uint32_t) closing;
    _Atomic(uint64_t) parked[FC_SEATS_MAX / 64]; /* a bit per seat */
    _Alignas(FC_LINE) _Atomic(uint64_t) idle[FC_SEATS_MAX / 64]; /* likewise */
};

/* The two directions of a seat's streams. */
enum fc_direction {
    FC_TO_WORKER, /* requests that no block could be had for, piece by piece */
    FC_TO_PARENT, /* results */
};

/* Where a stream stands; see stream.h.  The counters only grow. */
struct fc_stream_state {
    _Alignas(FC_LINE) _Atomic(uint64_t) written; /* by the producer alone */
    _Atomic(uint32_t) space; /* the producer parks here when it is full */
    _Alignas(FC_LINE) _Atomic(uint64_t) read; /* by the consumer alone */
    _Atomic(uint32_t) blocked; /* the producer is parked, or about to be */
};

/* Who sits in a seat: fc_seat.state. */
enum fc_seat_state {
    FC_SEAT_EMPTY = 0,
    FC_SEAT_STARTING = 1, /* a worker was started and has not come yet */
    FC_SEAT_TAKEN = 2,    /* it takes requests */
    FC_SEAT_LEAVING = 3,  /* it takes no more, and is about to end */
};

/* What belongs to one worker at a time. */
struct fc_seat {
    struct fc_stream_state streams[2]; /* by enum fc_direction */
    _Alignas(FC_LINE) _Atomic(uint32_t) signal; /* idle.c: parked on */
    _Atomic(uint32_t) state;  /* enum fc_seat_state */
    _Atomic(uint32_t) served; /* it has taken a request */
    _Atomic(uint32_t) start;  /* admission.c: whose seat it is */
    _Atomic(uint64_t) batch;  /* batches.c: one that others may join */
    _Atomic(uint64_t) window; /* blocks.c: bytes of its window in use */
};

/* Functions that are known by a number; see functions.h. */
#define FC_FUNCTIONS_MAX 1024

struct fc_function_entry {
    uint64_t place; /* of its bytes, in the arena */
    uint64_t size;
};

/* What a slot has room for itself. */
#define FC_INLINE 104

/* One request under way; see requests.h. */
struct fc_slot {
    _Alignas(FC_LINE) _Atomic(uint64_t) word;
    uint32_t function; /* number of the function; 0: with the arguments */
    uint16_t kind;     /* the user's own */
    uint16_t length;   /* bytes of `data` that are used */
    unsigned char data[FC_INLINE];
    uint64_t place; /* where the rest is: enum fc_place and an offset */
};

/* Where each part begins. */
struct fc_layout {
    uint64_t seats, functions, slots, ring, streams, arena;
    uint64_t size; /* of all of it, whole pages */
};

/* A segment as one process sees it. */
struct fc_segment {
    struct fc_header *header;
    struct fc_seat *seats;
    struct fc_function_entry *functions;
    struct fc_slot *slots;
    _Atomic(uint64_t) *ring;
    unsigned char *streams;
    unsigned char *arena;
    struct fc_geometry geometry; /* as checked, not as it stands there now */
    struct fc_layout layout;
    int fd;
    uint64_t device, inode; /* of the file, to tell it from another one */
};

/* Whether such a segment can be made. */
bool fc_geometry_valid(const struct fc_geometry *g);

/* Where everything is in it. */
struct fc_layout fc_geometry_layout(const struct fc_geometry *g);

/* Make a new one; slots, streams and arena are still to be reserved.  0 or an
 * errno: EINVAL for a geometry that is not valid, and what the system says
 * where it refuses memory or a descriptor. */
int fc_segment_create(struct fc_segment *s, const struct fc_geometry *g);

/* Look at the segment behind a descriptor, which is the segment's from then
 * on, and closed where this fails.  EBADMSG: it is none, or of another
 * version, or damaged. */
int fc_segment_attach(struct fc_segment *s, int fd);

/* Reserve the slots from `first` up to `end`, before anybody uses them. */
int fc_segment_reserve_slots(struct fc_segment *s, uint32_t first,
                             uint32_t end);

/* Reserve the two streams of a seat, before its worker starts, and set them
 * back to the beginning.  Nobody uses them meanwhile. */
int fc_segment_prepare_seat(struct fc_segment *s, uint32_t seat);

/* Whether the descriptor is still the segment's, and how long the file is.  A
 * task may have closed all descriptors of its process and opened files of its
 * own, which then have their numbers. */
bool fc_segment_is_there(const struct fc_segment *s, uint64_t *length);

/* Unmap it and close the descriptor. */
void fc_segment_detach(struct fc_segment *s);

/* The bytes of a stream. */
static inline unsigned char *
fc_segment_stream(const struct fc_segment *s, uint32_t seat,
                  enum fc_direction direction)
{
    uint64_t index = (uint64_t)seat * 2 + (uint64_t)direction;
    return s->streams + index * s->geometry.stream;
}

/* A place in the code at which a process may be killed: the tests stop there.
 * The number of the point is its line. */
#ifndef FC_KILL_POINT
#define FC_KILL_POINT() ((void)0)
#endif

#endif /* FC_SEGMENT_H */
