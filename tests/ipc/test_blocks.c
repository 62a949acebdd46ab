/* test_blocks.c - blocks that change hands, are kept and given back. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "ipc/returns.h"

#define MB (UINT64_C(1) << 20)

static const struct fc_geometry small = {
    .seats = 2, .slots = 16, .stream = 4096, .arena = 65536};

static struct fc_segment segment;
static struct fc_blocks parent, worker;

static void
open_blocks(uint64_t keep)
{
    CHECK(fc_segment_create(&segment, &small) == 0);
    fc_blocks_init(&parent, &segment, FC_WINDOW_OF_PARENT, keep);
    fc_blocks_init(&worker, &segment, 1, keep);
}

static void
close_blocks(void)
{
    fc_blocks_destroy(&parent, true);
    fc_blocks_destroy(&worker, true);
    fc_segment_detach(&segment);
}

/* Bytes of memory that the segment takes up. */
static uint64_t
used(void)
{
    struct stat file;
    fstat(segment.fd, &file);
    return (uint64_t)file.st_blocks * 512;
}

static void
one_is_used_again(void)
{
    open_blocks(64 * MB);
    struct fc_block a, b;
    CHECK(fc_blocks_take(&parent, 3 * MB + 5, &a) == 0);
    CHECK(a.size >= 3 * MB + 5 && a.size < 4 * MB);
    memset(a.bytes, 7, a.size);
    uint64_t full = used();
    CHECK(fc_blocks_put(&parent, a.offset, a.size) == 0);
    CHECK(fc_blocks_take(&parent, 3 * MB, &b) == 0);
    CHECK(b.offset == a.offset && b.bytes == a.bytes);
    CHECK(used() == full);
    /* Not where the half would be wasted. */
    CHECK(fc_blocks_put(&parent, b.offset, b.size) == 0);
    CHECK(fc_blocks_take(&parent, MB, &b) == 0);
    CHECK(b.offset != a.offset);
    close_blocks();
}

static void
one_goes_to_and_fro(void)
{
    open_blocks(64 * MB);
    struct fc_block a, b;
    CHECK(fc_blocks_take(&parent, MB, &a) == 0);
    memset(a.bytes, 9, MB);
    /* The worker reads it, and fills it with its reply. */
    CHECK(fc_block_possible(&segment, a.offset, a.size));
    CHECK(fc_blocks_put(&worker, a.offset, a.size) == 0);
    CHECK(fc_blocks_put(&worker, a.offset, a.size) == EBADMSG);
    CHECK(fc_blocks_take(&worker, MB, &b) == 0);
    CHECK(b.offset == a.offset && b.bytes != a.bytes && b.bytes[5] == 9);
    b.bytes[5] = 10;
    CHECK(fc_blocks_put(&parent, b.offset, b.size) == 0);
    uint64_t offset, size;
    CHECK(fc_blocks_spare(&parent, &offset, &size));
    CHECK(offset == a.offset && size == a.size);
    CHECK(!fc_blocks_spare(&parent, &offset, &size));
    CHECK(a.bytes[5] == 10);
    close_blocks();
}

static void
windows_are_apart(void)
{
    open_blocks(64 * MB);
    struct fc_blocks other;
    fc_blocks_init(&other, &segment, 0, 0);
    struct fc_block a, b, c;
    CHECK(fc_blocks_take(&parent, 1, &a) == 0);
    CHECK(fc_blocks_take(&worker, 1, &b) == 0);
    CHECK(fc_blocks_take(&other, 1, &c) == 0);
    CHECK(a.offset != b.offset && b.offset != c.offset
          && c.offset != a.offset);
    /* The worker's successor goes on behind it. */
    struct fc_blocks successor;
    fc_blocks_init(&successor, &segment, 1, 0);
    CHECK(fc_blocks_take(&successor, 1, &c) == 0);
    CHECK(c.offset == b.offset + b.size);
    fc_blocks_destroy(&other, true);
    fc_blocks_destroy(&successor, true);
    close_blocks();
}

static void
no_more_is_kept_than_said(void)
{
    open_blocks(4 * MB);
    uint64_t before = used();
    struct fc_block blocks[10];
    for (int i = 0; i < 10; i++) {
        CHECK(fc_blocks_take(&parent, MB, &blocks[i]) == 0);
        memset(blocks[i].bytes, 1, MB);
    }
    CHECK(used() >= before + 10 * MB);
    for (int i = 0; i < 10; i++) {
        CHECK(fc_blocks_put(&parent, blocks[i].offset, blocks[i].size) == 0);
    }
    CHECK(parent.spare == 4 * MB);
#ifndef FC_PORT_POSIX
    CHECK(used() == before + 4 * MB);
#endif
    fc_blocks_trim(&parent, MB);
    CHECK(parent.spare == MB);
    /* Those of the end are the ones that were used last. */
    struct fc_block last;
    CHECK(fc_blocks_take(&parent, MB, &last) == 0);
    CHECK(last.offset == blocks[9].offset);
    close_blocks();
}

/* More than are remembered: what is forgotten is unmapped, nothing else. */
static void
more_than_are_known(void)
{
    open_blocks(1000 * MB);
    struct fc_block block;
    for (int i = 0; i < 3 * FC_BLOCKS_KNOWN; i++) {
        CHECK(fc_blocks_take(&parent, 1, &block) == 0);
        block.bytes[0] = 1;
        CHECK(fc_blocks_put(&worker, block.offset, block.size) == 0);
    }
    CHECK(parent.count <= FC_BLOCKS_KNOWN);
    CHECK(worker.count <= FC_BLOCKS_KNOWN);
    uint64_t offset, size;
    int spare = 0;
    while (fc_blocks_spare(&worker, &offset, &size)) {
        spare++;
    }
    CHECK(spare == FC_BLOCKS_KNOWN);
    close_blocks();
}

static void
nonsense_is_no_block(void)
{
    open_blocks(64 * MB);
    struct fc_block a;
    CHECK(fc_blocks_take(&parent, MB, &a) == 0);
    const uint64_t wrong[][2] = {
        {0, MB},
        {a.offset + 1, MB},
        {a.offset, MB + 1},
        {a.offset, 0},
        {a.offset, UINT64_MAX},
        {UINT64_MAX - 65535, MB},
        {FC_WINDOW * 5, MB},
        {FC_WINDOW * 2 - 65536, 2 * MB},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        CHECK(!fc_block_possible(&segment, wrong[i][0], wrong[i][1]));
        CHECK(fc_blocks_put(&worker, wrong[i][0], wrong[i][1]) == EBADMSG);
    }
    /* Known with another size. */
    CHECK(fc_blocks_put(&parent, a.offset, 2 * a.size) == EBADMSG);
    close_blocks();
}

static void
memory_that_is_refused(void)
{
    open_blocks(64 * MB);
    struct fc_block a;
    CHECK(fc_blocks_take(&parent, UINT64_MAX, &a) == EFBIG);
    CHECK(fc_blocks_take(&parent, FC_WINDOW + 1, &a) == EFBIG);
    struct rlimit before, none;
    getrlimit(RLIMIT_FSIZE, &before);
    none = before;
    none.rlim_cur = 1 << 20;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &none);
    CHECK(fc_blocks_take(&parent, MB, &a) == EFBIG);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_DFL);
    CHECK(fc_blocks_take(&parent, MB, &a) == 0);
    /* A window that somebody has scribbled over. */
    segment.seats[1].window = UINT64_MAX - 5;
    CHECK(fc_blocks_take(&worker, MB, &a) == EFBIG);
    close_blocks();
}

/* --- blocks that come back from any thread */

#define RETURNERS 3

static struct fc_returns returns;
static _Atomic(uint64_t) handed_out[64]; /* offsets; 0: nothing */
static atomic_bool stop_returning;

static void
keep_returning(void *arg)
{
    struct check_random r = check_random_new((uintptr_t)arg + 90);
    while (!stop_returning) {
        uint64_t i = check_random_below(&r, 64);
        uint64_t offset = atomic_exchange(&handed_out[i], 0);
        if (offset != 0) {
            struct fc_return *one = malloc(sizeof(*one));
            one->offset = offset;
            one->size = 65536;
            fc_returns_push(&returns, one);
        }
        check_random_delay(&r);
    }
}

static void
stress_returns(void)
{
    struct check_random r = check_random_new(89);
    struct check_thread threads[RETURNERS];
    open_blocks(1000 * MB);
    fc_returns_init(&returns);
    stop_returning = false;
    for (uintptr_t i = 0; i < RETURNERS; i++) {
        check_spawn(&threads[i], keep_returning, (void *)i);
    }
    for (uint64_t n = check_size(20000); n > 0; n--) {
        uint64_t nothing = 0;
        struct fc_block block;
        fc_returns_collect(&returns, &parent);
        CHECK(fc_blocks_take(&parent, 1, &block) == 0);
        CHECK(block.bytes[0] == 0);
        block.bytes[0] = 1; /* nobody else has it */
        block.bytes[0] = 0;
        if (!atomic_compare_exchange_strong(
                &handed_out[check_random_below(&r, 64)], &nothing,
                block.offset)) {
            CHECK(fc_blocks_put(&parent, block.offset, block.size) == 0);
        }
    }
    stop_returning = true;
    for (int i = 0; i < RETURNERS; i++) {
        check_join(&threads[i]);
    }
    fc_returns_collect(&returns, &parent);
    for (int i = 0; i < 64; i++) {
        if (handed_out[i] != 0) {
            CHECK(fc_blocks_put(&parent, handed_out[i], 65536) == 0);
        }
        handed_out[i] = 0;
    }
    close_blocks();
}

void
test_blocks(void)
{
    RUN(one_is_used_again);
    RUN(one_goes_to_and_fro);
    RUN(windows_are_apart);
    RUN(no_more_is_kept_than_said);
    RUN(more_than_are_known);
    RUN(nonsense_is_no_block);
    RUN(memory_that_is_refused);
    RUN(stress_returns);
}
