/* segment.c - making a segment, and looking at one with suspicion. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "ipc/segment.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static_assert(sizeof(struct fc_slot) == 2 * (size_t)FC_LINE, "a slot is two lines");
static_assert(sizeof(struct fc_seat) % FC_LINE == 0, "seats are whole lines");
static_assert(offsetof(struct fc_header, head) == FC_LINE,
              "what is fixed stands in the first line");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
              "atomics that need a lock of one process cannot be shared");

static bool
is_power_of_two(uint32_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

bool
fc_geometry_valid(const struct fc_geometry *g)
{
    return g->seats >= 1 && g->seats <= FC_SEATS_MAX
           && is_power_of_two(g->slots) && g->slots <= FC_SLOTS_MAX
           && is_power_of_two(g->stream) && g->stream >= FC_STREAM_MIN
           && g->stream <= FC_STREAM_MAX && is_power_of_two(g->arena)
           && g->arena >= FC_ARENA_MIN && g->arena >= fc_memory_page();
}

static uint64_t
up_to(uint64_t size, uint64_t unit)
{
    return (size + unit - 1) / unit * unit;
}

struct fc_layout
fc_geometry_layout(const struct fc_geometry *g)
{
    struct fc_layout l;
    uint64_t page = fc_memory_page();
    l.seats = up_to(sizeof(struct fc_header), FC_LINE);
    l.functions = l.seats + g->seats * sizeof(struct fc_seat);
    l.slots = up_to(l.functions
                        + FC_FUNCTIONS_MAX * sizeof(struct fc_function_entry),
                    FC_LINE);
    l.ring = l.slots + g->slots * sizeof(struct fc_slot);
    l.streams = up_to(l.ring + g->slots * sizeof(uint64_t), page);
    l.arena = l.streams + up_to((uint64_t)g->seats * 2 * g->stream, page);
    l.size = l.arena + g->arena;
    return l;
}

/* Fill in where everything is, of what is mapped at `base`. */
static void
locate(struct fc_segment *s, unsigned char *base)
{
    s->header = (struct fc_header *)base;
    s->seats = (struct fc_seat *)(base + s->layout.seats);
    s->functions =
        (struct fc_function_entry *)(base + s->layout.functions);
    s->slots = (struct fc_slot *)(base + s->layout.slots);
    s->ring = (_Atomic(uint64_t) *)(base + s->layout.ring);
    s->streams = base + s->layout.streams;
    s->arena = base + s->layout.arena;
}

static int
map_whole(struct fc_segment *s, int fd)
{
    void *base = fc_memory_map(fd, 0, s->layout.size, FC_MAP_SHARED);
    if (base == NULL) {
        return errno;
    }
    s->fd = fd;
    locate(s, base);
    return 0;
}

/* Know the file again. */
static int
remember(struct fc_segment *s, int fd)
{
    struct stat file;
    if (fstat(fd, &file) != 0) {
        return errno;
    }
    s->device = (uint64_t)file.st_dev;
    s->inode = (uint64_t)file.st_ino;
    return 0;
}

bool
fc_segment_is_there(const struct fc_segment *s, uint64_t *length)
{
    struct stat file;
    if (fstat(s->fd, &file) != 0 || file.st_size < 0
        || (uint64_t)file.st_dev != s->device
        || (uint64_t)file.st_ino != s->inode) {
        return false;
    }
    *length = (uint64_t)file.st_size;
    return true;
}

int
fc_segment_create(struct fc_segment *s, const struct fc_geometry *g)
{
    if (!fc_geometry_valid(g)) {
        return EINVAL;
    }
    memset(s, 0, sizeof(*s));
    s->geometry = *g;
    s->layout = fc_geometry_layout(g);
    int fd = fc_memory_create();
    if (fd < 0) {
        return -fd;
    }
    /* The file gets its whole length, of which only what everybody uses is
     * there: the rest is reserved before it is touched. */
    int error = fc_memory_reserve(fd, 0, s->layout.slots);
    if (error == 0) {
        error = fc_memory_reserve(fd, s->layout.ring,
                                  s->layout.streams - s->layout.ring);
    }
    if (error == 0 && ftruncate(fd, (off_t)s->layout.size) != 0) {
        error = errno;
    }
    if (error == 0) {
        error = remember(s, fd);
    }
    if (error == 0) {
        error = map_whole(s, fd);
    }
    if (error != 0) {
        (void)close(fd);
        return error;
    }
    /* Everything else begins as zeros, which is what an empty segment is. */
    struct fc_header *h = s->header;
    h->version = FC_SEGMENT_VERSION;
    h->geometry = *g;
    h->owner = (int64_t)getpid();
    atomic_store_explicit(&h->sender_cpu, -1, memory_order_relaxed);
    atomic_store_explicit(&h->worker_cpu, -1, memory_order_relaxed);
    h->magic = FC_SEGMENT_MAGIC;
    return 0;
}

/* Read the first bytes of the file without mapping it: a file that is shorter
 * than it says would kill whoever touches the rest. */
static int
read_start(int fd, struct fc_header *start, uint64_t *length)
{
    struct stat file;
    if (fstat(fd, &file) != 0) {
        return errno;
    }
    *length = file.st_size > 0 ? (uint64_t)file.st_size : 0;
    ssize_t got = pread(fd, start, offsetof(struct fc_header, head), 0);
    if (got < 0) {
        return errno;
    }
    return got == (ssize_t)offsetof(struct fc_header, head) ? 0 : EBADMSG;
}

static int
attach(struct fc_segment *s, int fd)
{
    struct fc_header start = {0};
    uint64_t length = 0;
    int error = read_start(fd, &start, &length);
    if (error != 0) {
        return error;
    }
    if (start.magic != FC_SEGMENT_MAGIC
        || start.version != FC_SEGMENT_VERSION
        || !fc_geometry_valid(&start.geometry)) {
        return EBADMSG;
    }
    s->geometry = start.geometry;
    s->layout = fc_geometry_layout(&s->geometry);
    if (length < s->layout.size) {
        return EBADMSG;
    }
    error = remember(s, fd);
    return error == 0 ? map_whole(s, fd) : error;
}

int
fc_segment_attach(struct fc_segment *s, int fd)
{
    memset(s, 0, sizeof(*s));
    int error = attach(s, fd);
    if (error != 0) {
        (void)close(fd);
    }
    return error;
}

int
fc_segment_reserve_slots(struct fc_segment *s, uint32_t first, uint32_t end)
{
    return fc_memory_reserve(s->fd,
                             s->layout.slots + first * sizeof(struct fc_slot),
                             (end - first) * sizeof(struct fc_slot));
}

int
fc_segment_prepare_seat(struct fc_segment *s, uint32_t seat)
{
    if (seat >= s->geometry.seats) {
        return EINVAL;
    }
    uint64_t size = (uint64_t)s->geometry.stream * 2;
    int error =
        fc_memory_reserve(s->fd, s->layout.streams + seat * size, size);
    if (error != 0) {
        return error;
    }
    struct fc_seat *at = &s->seats[seat];
    atomic_store_explicit(&at->state, FC_SEAT_STARTING, memory_order_relaxed);
    atomic_store_explicit(&at->served, 0, memory_order_relaxed);
    atomic_store_explicit(&at->batch, 0, memory_order_relaxed);
    for (int i = 0; i < 2; i++) {
        /* Relaxed: the worker that reads them is started afterwards. */
        struct fc_stream_state *stream = &at->streams[i];
        atomic_store_explicit(&stream->written, 0, memory_order_relaxed);
        atomic_store_explicit(&stream->read, 0, memory_order_relaxed);
        atomic_store_explicit(&stream->blocked, 0, memory_order_relaxed);
    }
    return 0;
}

void
fc_segment_detach(struct fc_segment *s)
{
    if (s->header != NULL) {
        uint64_t length;
        bool ours = fc_segment_is_there(s, &length);
        fc_memory_unmap(s->header, s->layout.size);
        if (ours) {
            (void)close(s->fd);
        }
    }
    memset(s, 0, sizeof(*s));
    s->fd = -1;
}
