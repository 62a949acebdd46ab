/* blocks.c - making, keeping and giving away blocks; see blocks.h. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "ipc/blocks.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* Blocks are a multiple of this: no smaller message is worth one. */
#define LEAST 65536


void
fc_blocks_init(struct fc_blocks *b, struct fc_segment *s, uint32_t window,
               uint64_t keep)
{
    memset(b, 0, sizeof(*b));
    b->segment = s;
    b->window = window;
    b->keep = keep;
}

/* --- what is known ------------------------------------------------------ */

static void
unmap(struct fc_known_block *k)
{
    if (k->bytes != NULL) {
        fc_memory_unmap(k->bytes, k->size);
        k->bytes = NULL;
    }
}

/* Forget one; the memory of a free one is given back. */
static void
forget(struct fc_blocks *b, uint32_t i)
{
    struct fc_known_block *k = &b->known[i];
    unmap(k);
    uint64_t length;
    if (k->free) {
        b->spare -= k->size;
    }
    if (k->free && fc_segment_is_there(b->segment, &length)) {
        fc_memory_discard(b->segment->fd, k->offset, k->size);
    }
    *k = b->known[--b->count];
}

static struct fc_known_block *
find(struct fc_blocks *b, uint64_t offset)
{
    for (uint32_t i = 0; i < b->count; i++) {
        if (b->known[i].offset == offset) {
            return &b->known[i];
        }
    }
    return NULL;
}

/* The one unused for longest among those that are free, or are not. */
static uint32_t
oldest(const struct fc_blocks *b, bool is_free)
{
    uint32_t found = b->count;
    for (uint32_t i = 0; i < b->count; i++) {
        if (b->known[i].free == is_free && !b->known[i].pinned
            && (found == b->count
                || b->known[i].used < b->known[found].used)) {
            found = i;
        }
    }
    return found;
}

static struct fc_known_block *
add(struct fc_blocks *b, uint64_t offset, uint64_t size)
{
    if (b->count == FC_BLOCKS_KNOWN) {
        uint32_t i = oldest(b, false);
        i = i < b->count ? i : oldest(b, true);
        if (i == b->count) {
            return NULL; /* all are pinned */
        }
        forget(b, i);
    }
    struct fc_known_block *k = &b->known[b->count++];
    memset(k, 0, sizeof(*k));
    k->offset = offset;
    k->size = size;
    return k;
}

/* --- making ------------------------------------------------------------- */

/* Rounded up by an eighth at most, so that blocks for messages of about the
 * same length serve each other. */
static uint64_t
rounded(uint64_t size)
{
    uint64_t step = LEAST;
    while (step < size / 16) {
        step *= 2;
    }
    return (size + step - 1) / step * step;
}

static uint64_t
window_start(uint32_t window)
{
    uint64_t number = window == FC_WINDOW_OF_PARENT ? 0 : window + UINT64_C(1);
    return FC_WINDOW + number * FC_WINDOW;
}

/* The next `size` bytes of this process's window. */
static int
advance(struct fc_blocks *b, uint64_t size, uint64_t *offset)
{
    uint64_t used = b->bump;
    if (b->window != FC_WINDOW_OF_PARENT) {
        /* Relaxed: this process alone uses it; its successor is started
         * after its end. */
        used = atomic_load_explicit(&b->segment->seats[b->window].window,
                                    memory_order_relaxed);
    }
    if (size > FC_WINDOW || used > FC_WINDOW - size
        || used % LEAST != 0) {
        return EFBIG;
    }
    *offset = window_start(b->window) + used;
    used += size;
    if (b->window != FC_WINDOW_OF_PARENT) {
        atomic_store_explicit(&b->segment->seats[b->window].window, used,
                              memory_order_relaxed);
    }
    b->bump = used;
    return 0;
}

static int
make(struct fc_blocks *b, uint64_t size, struct fc_known_block **made)
{
    uint64_t offset, length;
    if (!fc_segment_is_there(b->segment, &length)) {
        return EBADF;
    }
    int error = advance(b, size, &offset);
    if (error != 0) {
        return error;
    }
    FC_KILL_POINT();
    error = fc_memory_reserve(b->segment->fd, offset, size);
    if (error != 0) {
        /* Some of it may have been reserved. */
        fc_memory_discard(b->segment->fd, offset, size);
        return error;
    }
    *made = add(b, offset, size);
    if (*made == NULL) {
        fc_memory_discard(b->segment->fd, offset, size);
        return EAGAIN;
    }
    return 0;
}

/* The smallest free one that is large enough and not too large. */
static struct fc_known_block *
fitting(struct fc_blocks *b, uint64_t size)
{
    struct fc_known_block *best = NULL;
    for (uint32_t i = 0; i < b->count; i++) {
        struct fc_known_block *k = &b->known[i];
        if (k->free && k->size >= size && k->size / 2 <= size
            && (best == NULL || k->size < best->size)) {
            best = k;
        }
    }
    return best;
}

int
fc_blocks_take(struct fc_blocks *b, uint64_t size, struct fc_block *block)
{
    if (size > FC_WINDOW) {
        return EFBIG;
    }
    size = rounded(size > 0 ? size : 1);
    struct fc_known_block *k = fitting(b, size);
    if (k != NULL) {
        k->free = false;
        b->spare -= k->size;
    }
    else {
        int error = make(b, size, &k);
        if (error != 0) {
            return error;
        }
    }
    if (k->bytes == NULL) {
        k->bytes = fc_memory_map(b->segment->fd, k->offset, k->size,
                                 FC_MAP_SHARED);
        if (k->bytes == NULL) {
            int error = errno;
            k->free = true; /* whose memory forget() gives back */
            b->spare += k->size;
            forget(b, (uint32_t)(k - b->known));
            return error;
        }
    }
    k->used = ++b->clock;
    block->offset = k->offset;
    block->size = k->size;
    block->bytes = k->bytes;
    return 0;
}

static void
set_pinned(struct fc_blocks *b, uint64_t offset, bool pinned)
{
    struct fc_known_block *k = find(b, offset);
    assert(k != NULL); /* just taken, or pinned since */
    k->pinned = pinned;
}

void
fc_blocks_pin(struct fc_blocks *b, uint64_t offset)
{
    set_pinned(b, offset, true);
}

void
fc_blocks_unpin(struct fc_blocks *b, uint64_t offset)
{
    set_pinned(b, offset, false);
}

/* --- keeping and giving ------------------------------------------------- */

bool
fc_block_possible(const struct fc_segment *s, uint64_t offset, uint64_t size)
{
    uint64_t end = window_start(s->geometry.seats);
    if (offset < FC_WINDOW || offset >= end || offset % LEAST != 0
        || size == 0 || size % LEAST != 0
        || size > FC_WINDOW - offset % FC_WINDOW) {
        return false;
    }
    /* Touching what is behind the end of the file would be a SIGBUS. */
    uint64_t length;
    return fc_segment_is_there(s, &length) && offset + size <= length;
}

int
fc_blocks_put(struct fc_blocks *b, uint64_t offset, uint64_t size)
{
    struct fc_known_block *k = find(b, offset);
    if (!fc_block_possible(b->segment, offset, size)
        || (k != NULL && (k->free || k->pinned || k->size != size))) {
        return EBADMSG;
    }
    if (k == NULL) {
        k = add(b, offset, size);
        if (k == NULL) {
            fc_memory_discard(b->segment->fd, offset, size);
            return 0;
        }
    }
    k->free = true;
    k->used = ++b->clock;
    b->spare += size;
    fc_blocks_trim(b, b->keep);
    return 0;
}

bool
fc_blocks_spare(struct fc_blocks *b, uint64_t *offset, uint64_t *size)
{
    struct fc_known_block *best = NULL;
    for (uint32_t i = 0; i < b->count; i++) {
        struct fc_known_block *k = &b->known[i];
        if (k->free && (best == NULL || k->size > best->size)) {
            best = k;
        }
    }
    if (best == NULL) {
        return false;
    }
    best->free = false;
    b->spare -= best->size;
    *offset = best->offset;
    *size = best->size;
    return true;
}

void
fc_blocks_trim(struct fc_blocks *b, uint64_t keep)
{
    while (b->spare > keep) {
        forget(b, oldest(b, true));
    }
}

void
fc_blocks_destroy(struct fc_blocks *b, bool discard)
{
    if (discard) {
        fc_blocks_trim(b, 0);
    }
    for (uint32_t i = 0; i < b->count; i++) {
        unmap(&b->known[i]);
    }
    b->count = 0;
}
