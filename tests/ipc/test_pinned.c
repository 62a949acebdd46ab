/* test_pinned.c - blocks that are filled without the lock, and messages in
 * them: fc_requester_begin_block(), _send_block(), _drop_block().
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "ipc/requester.h"
#include "ipc/responder.h"

#define MB (UINT64_C(1) << 20)

static const struct fc_geometry small = {
    .seats = 2, .slots = 4, .stream = 4096, .arena = 65536};

static struct fc_requester parent;
static struct fc_responder worker;
static struct fc_bell bell;

static void
open_ends(uint64_t keep)
{
    CHECK(fc_bell_create(&bell) == 0);
    CHECK(fc_requester_create(&parent, &small, keep) == 0);
    CHECK(fc_requester_open(&parent, 0) == 0);
    CHECK(fc_responder_attach(&worker, dup(parent.segment.fd), 0, bell.ring,
                              keep)
          == 0);
}

static void
close_ends(void)
{
    fc_responder_detach(&worker);
    fc_requester_destroy(&parent);
    fc_bell_close(&bell);
}

static uint64_t
used(void)
{
    struct stat file;
    fstat(parent.segment.fd, &file);
    return (uint64_t)file.st_blocks * 512;
}

/* Answer the next request with its own block's first byte. */
static int
serve_one(uint64_t size, unsigned char first)
{
    struct fc_job job;
    struct fc_part part = {"r", 1};
    int error = fc_responder_take(&worker, &job);
    if (error != 0) {
        return error;
    }
    CHECK(job.size == size && job.block.size >= size);
    unsigned char *bytes =
        fc_memory_map(worker.segment.fd, job.block.offset, job.block.size,
                      FC_MAP_PRIVATE);
    CHECK(bytes != NULL && bytes[0] == first && bytes[size - 1] == first);
    fc_memory_unmap(bytes, job.block.size);
    fc_responder_done(&worker, &job);
    return fc_responder_reply(&worker, &job, 0, &part, 1, true);
}

static void
fetch_one(void *user)
{
    struct fc_reply reply;
    CHECK(fc_requester_next(&parent, 0, &reply) == 0);
    CHECK(reply.user == user);
    fc_reply_clear(&reply);
    fc_requester_release(&parent, 0);
}

static void
one_is_filled_and_sent(void)
{
    struct fc_block block;
    uint32_t index;
    open_ends(64 * MB);
    CHECK(fc_requester_begin_block(&parent, 100000, &block) == 0);
    CHECK(block.size >= 100000);
    memset(block.bytes, 7, 100000);
    CHECK(fc_requester_send_block(&parent, &block, 100000, 5, 3, &block,
                                  &index)
          == 0);
    CHECK(parent.balance == -1);
    CHECK(serve_one(100000, 7) == 0);
    fetch_one(&block);
    /* The worker has given it back with its reply. */
    CHECK(parent.balance == 0 && worker.balance == 0);
    CHECK(worker.blocks.spare == 0);
    uint64_t offset, size;
    CHECK(fc_blocks_spare(&parent.blocks, &offset, &size));
    CHECK(offset == block.offset && size == block.size);
    close_ends();
}

/* Without a free slot the block is the caller's still. */
static void
one_that_finds_no_room(void)
{
    struct fc_block block;
    struct fc_part part = {"q", 1};
    uint32_t index;
    open_ends(64 * MB);
    for (uint32_t i = 0; i < small.slots; i++) {
        CHECK(fc_requester_send(&parent, &part, 1, 0, 0, NULL, &index) == 0);
    }
    CHECK(fc_requester_begin_block(&parent, MB, &block) == 0);
    memset(block.bytes, 9, MB);
    CHECK(fc_requester_send_block(&parent, &block, MB, 0, 0, NULL, &index)
          == EAGAIN);
    CHECK(parent.balance == 0);
    /* Neither free nor unmapped: it can be tried again. */
    uint64_t offset, size;
    CHECK(!fc_blocks_spare(&parent.blocks, &offset, &size));
    CHECK(block.bytes[MB - 1] == 9);
    for (uint32_t i = 0; i < small.slots; i++) {
        struct fc_job job;
        CHECK(fc_responder_take(&worker, &job) == 0);
        CHECK(fc_responder_reply(&worker, &job, 0, &part, 1, true) == 0);
        fetch_one(NULL);
        if (i == 0) {
            CHECK(fc_requester_send_block(&parent, &block, MB, 0, 0, &block,
                                          &index)
                  == 0);
        }
    }
    CHECK(serve_one(MB, 9) == 0);
    fetch_one(&block);
    close_ends();
}

static void
one_that_is_dropped_serves_again(void)
{
    struct fc_block block, again;
    open_ends(64 * MB);
    CHECK(fc_requester_begin_block(&parent, MB, &block) == 0);
    fc_requester_drop_block(&parent, &block);
    CHECK(parent.balance == 0 && parent.blocks.spare == block.size);
    CHECK(fc_requester_begin_block(&parent, MB, &again) == 0);
    CHECK(again.offset == block.offset && parent.blocks.spare == 0);
    fc_requester_drop_block(&parent, &again);
    close_ends();
    /* Or its memory goes, where none is kept. */
    open_ends(0);
    uint64_t before = used();
    CHECK(fc_requester_begin_block(&parent, MB, &block) == 0);
    CHECK(used() > before);
    fc_requester_drop_block(&parent, &block);
#ifndef FC_PORT_POSIX
    CHECK(used() == before);
#endif
    CHECK(parent.blocks.spare == 0 && parent.blocks.count == 0);
    close_ends();
}

/* As many as can be known, all being filled: they stay mapped whatever comes
 * and goes beside them. */
static void
more_than_can_be_known(void)
{
    static struct fc_block blocks[FC_BLOCKS_KNOWN];
    struct fc_block one_more;
    struct fc_blocks other;
    uint32_t index;
    open_ends(1000 * MB);
    fc_blocks_init(&other, &parent.segment, 0, 1000 * MB);
    for (int i = 0; i < FC_BLOCKS_KNOWN; i++) {
        CHECK(fc_requester_begin_block(&parent, 65536, &blocks[i]) == 0);
        memset(blocks[i].bytes, i + 1, 65536);
    }
    uint64_t full = used();
    CHECK(fc_requester_begin_block(&parent, 65536, &one_more) == EAGAIN);
#ifndef FC_PORT_POSIX
    CHECK(used() == full); /* it was made, and given back */
#endif
    (void)full;
    /* Foreign ones that come meanwhile find no place, and are not kept. */
    for (int i = 0; i < 3; i++) {
        CHECK(fc_blocks_take(&other, 1, &one_more) == 0);
        CHECK(fc_blocks_put(&parent.blocks, one_more.offset, one_more.size)
              == 0);
        CHECK(parent.blocks.spare == 0);
    }
    CHECK(parent.blocks.count == FC_BLOCKS_KNOWN);
    for (int i = 0; i < FC_BLOCKS_KNOWN; i++) {
        CHECK(blocks[i].bytes[0] == i + 1 && blocks[i].bytes[65535] == i + 1);
    }
    /* One is sent: its place is another's, and the others stay. */
    CHECK(fc_requester_send_block(&parent, &blocks[5], 65536, 0, 0, NULL,
                                  &index)
          == 0);
    CHECK(fc_requester_begin_block(&parent, 65536, &one_more) == 0);
    CHECK(one_more.offset != blocks[5].offset);
    CHECK(serve_one(65536, 6) == 0);
    fetch_one(NULL);
    fc_requester_drop_block(&parent, &one_more);
    for (int i = 0; i < FC_BLOCKS_KNOWN; i++) {
        if (i != 5) {
            CHECK(blocks[i].bytes[4711] == i + 1);
            fc_requester_drop_block(&parent, &blocks[i]);
        }
    }
    CHECK(fc_requester_begin_block(&parent, 65536, &one_more) == 0);
    fc_requester_drop_block(&parent, &one_more);
    fc_blocks_destroy(&other, false);
    close_ends();
}

/* A request in a block that is taken back before anybody takes it. */
static void
a_cancelled_one_comes_back(void)
{
    struct fc_block block;
    uint32_t index;
    uint64_t offset, size;
    open_ends(64 * MB);
    for (int i = 0; i < 100; i++) {
        CHECK(fc_requester_begin_block(&parent, MB, &block) == 0);
        CHECK(fc_requester_send_block(&parent, &block, MB, 0, 0, NULL, &index)
              == 0);
        CHECK(parent.balance == -1);
        CHECK(parent.blocks.spare == 0);
        CHECK(fc_requester_cancel(&parent, index));
        CHECK(!fc_requester_cancel(&parent, index)); /* once */
        CHECK(parent.balance == 0);
        CHECK(parent.blocks.spare == block.size);
        CHECK(parent.blocks.count == 1); /* the same again and again */
    }
    CHECK(fc_blocks_spare(&parent.blocks, &offset, &size));
    CHECK(offset == block.offset && size == block.size);
    close_ends();
}

/* A gift comes back with the request that it was sent along with. */
static void
a_cancelled_gift_comes_back(void)
{
    static unsigned char large[100000];
    struct fc_part request = {"q", 1}, answer = {large, sizeof(large)};
    struct fc_job job;
    struct fc_reply reply;
    uint32_t index;
    open_ends(64 * MB);
    CHECK(fc_requester_send(&parent, &request, 1, 0, 0, NULL, &index) == 0);
    CHECK(fc_responder_take(&worker, &job) == 0);
    CHECK(fc_responder_reply(&worker, &job, 0, &answer, 1, true) == 0);
    CHECK(fc_requester_next(&parent, 0, &reply) == 0);
    CHECK(reply.block.size > 0 && parent.balance == 1);
    fc_requester_recycle(&parent, &reply.block);
    fc_reply_clear(&reply);
    fc_requester_release(&parent, 0);
    uint64_t spare = parent.blocks.spare;
    CHECK(spare == reply.block.size);
    unsigned gifts = parent.gifts;
    CHECK(fc_requester_send(&parent, &request, 1, 0, 0, NULL, &index) == 0);
    CHECK(parent.balance == 0 && parent.blocks.spare == 0);
    CHECK(parent.gifts == gifts - 1);
    CHECK(fc_requester_cancel(&parent, index));
    CHECK(parent.balance == 1 && parent.blocks.spare == spare);
    /* And goes along with the next one, who uses it. */
    CHECK(fc_requester_send(&parent, &request, 1, 0, 0, NULL, &index) == 0);
    CHECK(fc_responder_take(&worker, &job) == 0);
    CHECK(job.size == 1 && job.bytes[0] == 'q');
    CHECK(worker.balance == 0 && worker.blocks.spare == spare);
    CHECK(fc_responder_reply(&worker, &job, 0, &answer, 1, true) == 0);
    CHECK(fc_requester_next(&parent, 0, &reply) == 0);
    CHECK(parent.balance == 1);
    fc_reply_clear(&reply);
    close_ends();
}

/* So many gifts for a reply in a block, and no more: a block does not go to and
 * fro for ever where only small messages follow.  One worker makes it, the
 * other one, who has no use for it, sends it back again and again. */
static void
gifts_have_an_end(void)
{
    static unsigned char large[100000];
    struct fc_part request = {"q", 1}, answer = {large, sizeof(large)};
    struct fc_responder other;
    struct fc_job job;
    struct fc_reply reply;
    uint32_t index;
    unsigned given = 0;
    open_ends(64 * MB);
    CHECK(fc_requester_open(&parent, 1) == 0);
    CHECK(fc_responder_attach(&other, dup(parent.segment.fd), 1, bell.ring,
                              64 * MB)
          == 0);
    bool sound = true;
    for (int i = 0; sound && i < 200; i++) {
        struct fc_responder *w = i % 100 == 0 ? &worker : &other;
        sound = fc_requester_send(&parent, &request, 1, 0, 0, NULL, &index)
                    == 0
                && fc_responder_take(w, &job) == 0;
        given += w == &other && w->balance == 1;
        sound = sound
                && fc_responder_reply(w, &job, 0,
                                      w == &worker ? &answer : &request, 1,
                                      true)
                       == 0
                /* What came as a gift goes back with a small reply. */
                && other.balance == 0 && other.blocks.spare == 0
                && fc_requester_next(&parent, w->seat, &reply) == 0;
        fc_requester_recycle(&parent, &reply.block);
        sound = sound && parent.blocks.spare > 0;
        fc_reply_clear(&reply);
        fc_requester_release(&parent, w->seat);
    }
    CHECK(sound);
    CHECK(given == 2 * 16); /* for each reply in a block */
    fc_responder_detach(&other);
    close_ends();
}

/* Both keep what is their own: only what has come more often than it has gone
 * is given away. */
static void
nobody_gives_what_is_his_own(void)
{
    static unsigned char large[100000];
    struct fc_part request = {"q", 1}, answer = {large, sizeof(large)};
    struct fc_block block;
    struct fc_job job;
    struct fc_reply reply;
    uint32_t index;
    open_ends(64 * MB);
    CHECK(fc_blocks_take(&worker.blocks, MB, &block) == 0);
    CHECK(fc_blocks_put(&worker.blocks, block.offset, block.size) == 0);
    uint64_t own = worker.blocks.spare;
    CHECK(fc_requester_begin_block(&parent, MB, &block) == 0);
    fc_requester_drop_block(&parent, &block);
    for (int i = 0; i < 6; i++) {
        bool in_block = i == 2;
        CHECK(fc_requester_send(&parent, &request, 1, 0, 0, NULL, &index)
              == 0);
        CHECK(parent.balance == 0); /* the one that came has gone */
        CHECK(fc_responder_take(&worker, &job) == 0);
        CHECK(worker.balance <= 0);
        CHECK(fc_responder_reply(&worker, &job, 0,
                                 in_block ? &answer : &request, 1, true)
              == 0);
        CHECK(fc_requester_next(&parent, 0, &reply) == 0);
        CHECK((reply.block.size > 0) == in_block);
        fc_requester_recycle(&parent, &reply.block);
        fc_reply_clear(&reply);
        fc_requester_release(&parent, 0);
        /* The one that the worker made goes back once. */
        CHECK(parent.balance == (in_block ? 1 : 0));
        CHECK(worker.balance == (in_block ? -1 : 0));
        CHECK(worker.blocks.spare >= own);
    }
    close_ends();
}

static void
the_largest_is_given(void)
{
    struct fc_block blocks[3];
    uint64_t offset, size;
    open_ends(64 * MB);
    const uint64_t sizes[] = {MB, 3 * MB, 2 * MB};
    for (int i = 0; i < 3; i++) {
        CHECK(fc_blocks_take(&parent.blocks, sizes[i], &blocks[i]) == 0);
    }
    for (int i = 0; i < 3; i++) {
        CHECK(fc_blocks_put(&parent.blocks, blocks[i].offset, blocks[i].size)
              == 0);
    }
    const int order[] = {1, 2, 0};
    for (int i = 0; i < 3; i++) {
        CHECK(fc_blocks_spare(&parent.blocks, &offset, &size));
        CHECK(offset == blocks[order[i]].offset);
    }
    CHECK(!fc_blocks_spare(&parent.blocks, &offset, &size));
    close_ends();
}

/* A worker that has never had it gives back what is being filled. */
static void
a_pinned_one_comes_from_nobody(void)
{
    struct fc_block block;
    struct fc_reply reply;
    open_ends(MB);
    CHECK(fc_requester_begin_block(&parent, 5 * MB, &block) == 0);
    struct fc_wire_block back = {.offset = block.offset, .size = block.size};
    unsigned char *room =
        fc_producer_begin(&worker.replies, sizeof(back));
    memcpy(room, &back, sizeof(back));
    fc_producer_publish(&worker.replies, sizeof(back), FC_FRAME_BACK, 0, 0);
    CHECK(fc_requester_next(&parent, 0, &reply) == EBADMSG);
    CHECK(parent.blocks.count == 1 && parent.blocks.spare == 0);
    memset(block.bytes, 1, block.size);
    fc_requester_drop_block(&parent, &block);
    close_ends();
}

void
test_pinned(void)
{
    RUN(one_is_filled_and_sent);
    RUN(one_that_finds_no_room);
    RUN(one_that_is_dropped_serves_again);
    RUN(more_than_can_be_known);
    RUN(a_cancelled_one_comes_back);
    RUN(a_cancelled_gift_comes_back);
    RUN(gifts_have_an_end);
    RUN(nobody_gives_what_is_his_own);
    RUN(the_largest_is_given);
    RUN(a_pinned_one_comes_from_nobody);
}
