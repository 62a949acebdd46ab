/* test_arena.c - the buddy system: random use, and its limits. */
#include <errno.h>
#include <string.h>

#include "check.h"
#include "ipc/arena.h"

#define MOST 400

static struct fc_segment segment;
static struct fc_arena arena;

static void
open_arena(uint32_t size)
{
    const struct fc_geometry g = {
        .seats = 1, .slots = 16, .stream = 4096, .arena = size};
    CHECK(fc_segment_create(&segment, &g) == 0);
    CHECK(fc_arena_init(&arena, &segment) == 0);
}

static void
close_arena(void)
{
    fc_arena_destroy(&arena);
    fc_segment_detach(&segment);
}

/* Every block is filled with a byte of its own, and has it when it goes. */
static void
blocks_do_not_overlap(void)
{
    struct check_random r = check_random_new(60);
    uint32_t offsets[MOST], sizes[MOST];
    unsigned count = 0;
    open_arena(UINT32_C(1) << 20);
    for (uint64_t i = check_size(20000); i > 0; i--) {
        bool wants = check_random_below(&r, 100) < 52;
        if (wants && count < MOST) {
            uint32_t size = 1 + (uint32_t)check_random_below(
                                    &r, UINT64_C(1)
                                            << check_random_below(&r, 17));
            int error = fc_arena_take(&arena, size, &offsets[count]);
            CHECK(error == 0 || error == EAGAIN);
            if (error == 0) {
                CHECK(fc_arena_holds(&segment, offsets[count], size));
                sizes[count] = size;
                memset(segment.arena + offsets[count], (int)(count % 251),
                       size);
                count++;
            }
        }
        else if (count > 0) {
            unsigned victim = (unsigned)check_random_below(&r, count);
            const unsigned char *bytes = segment.arena + offsets[victim];
            CHECK(bytes[0] == victim % 251
                  && bytes[sizes[victim] - 1] == victim % 251);
            fc_arena_give(&arena, offsets[victim]);
            count--;
            offsets[victim] = offsets[count];
            sizes[victim] = sizes[count];
            memset(segment.arena + offsets[victim], (int)(victim % 251),
                   sizes[victim]);
        }
    }
    while (count > 0) {
        fc_arena_give(&arena, offsets[--count]);
    }
    /* All halves are together again: every block of the largest size is. */
    for (uint32_t i = 0; i < (UINT32_C(1) << 20) / FC_ARENA_MOST; i++) {
        CHECK(fc_arena_take(&arena, FC_ARENA_MOST, &offsets[i]) == 0);
    }
    CHECK(fc_arena_take(&arena, 1, &offsets[0]) == EAGAIN);
    close_arena();
}

static void
it_has_limits(void)
{
    uint32_t offset;
    open_arena(FC_ARENA_MIN);
    CHECK(fc_arena_take(&arena, FC_ARENA_MOST + 1, &offset) == E2BIG);
    for (unsigned i = 0; i < FC_ARENA_MIN / FC_ARENA_LEAST; i++) {
        CHECK(fc_arena_take(&arena, 1, &offset) == 0);
    }
    CHECK(fc_arena_take(&arena, 1, &offset) == EAGAIN);
    fc_arena_give(&arena, offset);
    CHECK(fc_arena_take(&arena, FC_ARENA_LEAST, &offset) == 0);
    CHECK(!fc_arena_holds(&segment, FC_ARENA_MIN, 1));
    CHECK(!fc_arena_holds(&segment, UINT64_MAX, 2));
    CHECK(!fc_arena_holds(&segment, 0, UINT64_MAX));
    CHECK(fc_arena_holds(&segment, 0, FC_ARENA_MIN));
    close_arena();
    const struct fc_geometry g = {
        .seats = 1, .slots = 16, .stream = 4096, .arena = FC_ARENA_MIN};
    CHECK(fc_segment_create(&segment, &g) == 0);
    for (uint64_t every = 1; every <= 2; every++) {
        shim_fail_every = every;
        int error = fc_arena_init(&arena, &segment);
        shim_fail_every = 0;
        CHECK(error == ENOMEM);
    }
    fc_segment_detach(&segment);
}

void
test_arena(void)
{
    RUN(blocks_do_not_overlap);
    RUN(it_has_limits);
}
