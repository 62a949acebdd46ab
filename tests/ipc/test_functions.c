/* test_functions.c - functions that are named by a number. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "ipc/functions.h"

static const struct fc_geometry small = {
    .seats = 1, .slots = 8, .stream = 4096, .arena = 65536};

static struct fc_segment segment;
static struct fc_arena arena;
static struct fc_functions functions;

static void
open_table(void)
{
    CHECK(fc_segment_create(&segment, &small) == 0);
    CHECK(fc_arena_init(&arena, &segment) == 0);
    functions = (struct fc_functions){.segment = &segment};
}

static void
close_table(void)
{
    fc_arena_destroy(&arena);
    fc_segment_detach(&segment);
}

static uint32_t
add(const char *name)
{
    return fc_functions_add(&functions, &arena, name,
                            (uint32_t)strlen(name));
}

static bool
is(uint32_t number, const char *name)
{
    uint64_t size = 0;
    const unsigned char *bytes = fc_function_bytes(&segment, number, &size);
    return bytes != NULL && size == strlen(name)
           && memcmp(bytes, name, (size_t)size) == 0;
}

static bool
is_nothing(uint32_t number)
{
    uint64_t size = 12345;
    return fc_function_bytes(&segment, number, &size) == NULL
           && size == 12345; /* untouched */
}

static void
they_get_numbers_from_1_on(void)
{
    open_table();
    CHECK(is_nothing(0) && is_nothing(1));
    CHECK(add("first") == 1);
    CHECK(add("the second one") == 2);
    CHECK(is(1, "first") && is(2, "the second one"));
    CHECK(is_nothing(0) && is_nothing(3));
    /* The same again is another one: nobody compares. */
    CHECK(add("first") == 3);
    CHECK(is(3, "first") && is(1, "first"));
    close_table();
}

static void
numbers_that_cannot_be(void)
{
    open_table();
    CHECK(add("f") == 1);
    CHECK(is_nothing(FC_FUNCTIONS_MAX)); /* may be, and is not */
    CHECK(is_nothing(FC_FUNCTIONS_MAX + 1));
    CHECK(is_nothing(UINT32_MAX));
    close_table();
}

static void
the_table_is_full_at_some_time(void)
{
    char name[32];
    open_table();
    for (uint32_t i = 1; i <= 256; i++) { /* as many as the arena has */
        snprintf(name, sizeof(name), "function %u", i);
        CHECK(add(name) == i);
    }
    CHECK(add("one more") == 0);
    CHECK(functions.count == 256);
    close_table();
    /* With an arena that has room for all of them. */
    struct fc_geometry large = small;
    large.arena = 8 * 65536;
    CHECK(fc_segment_create(&segment, &large) == 0);
    CHECK(fc_arena_init(&arena, &segment) == 0);
    functions = (struct fc_functions){.segment = &segment};
    for (uint32_t i = 1; i <= FC_FUNCTIONS_MAX; i++) {
        snprintf(name, sizeof(name), "function %u", i);
        CHECK(add(name) == i);
    }
    uint32_t place;
    CHECK(add("one more") == 0);
    CHECK(fc_arena_take(&arena, 1, &place) == 0); /* nor is room lost to it */
    for (uint32_t i = 1; i <= FC_FUNCTIONS_MAX; i++) {
        snprintf(name, sizeof(name), "function %u", i);
        CHECK(is(i, name));
    }
    close_table();
}

/* Where the arena has no room now, there is some later. */
static void
a_full_arena(void)
{
    uint32_t place, other;
    open_table();
    CHECK(add("before") == 1);
    CHECK(fc_arena_take(&arena, 32768, &place) == 0);
    while (fc_arena_take(&arena, 256, &other) == 0) {
    }
    CHECK(add("while it is full") == 0);
    CHECK(functions.count == 1 && is_nothing(2));
    fc_arena_give(&arena, place);
    CHECK(add("afterwards") == 2);
    CHECK(is(1, "before") && is(2, "afterwards"));
    close_table();
    open_table();
    static const unsigned char long_one[FC_ARENA_MOST + 1];
    CHECK(fc_functions_add(&functions, &arena, long_one, sizeof(long_one))
          == 0); /* none is so long */
    CHECK(fc_functions_add(&functions, &arena, long_one, FC_ARENA_MOST)
          == 1);
    close_table();
}

static void
damaged_entries_are_rejected(void)
{
    open_table();
    CHECK(add("sound") == 1);
    const struct fc_function_entry sound = segment.functions[0];
    const struct fc_function_entry damaged[] = {
        {sound.place, 0},
        {sound.place, small.arena + 1},
        {sound.place, UINT64_MAX},
        {small.arena, 1},
        {small.arena - 4, 5},
        {UINT64_MAX, 1},
        {UINT64_MAX - 2, 5}, /* together they wrap around */
    };
    for (size_t i = 0; i < sizeof(damaged) / sizeof(*damaged); i++) {
        segment.functions[0] = damaged[i];
        CHECK(is_nothing(1));
    }
    /* What lies in the arena is looked at, whatever it says. */
    segment.functions[0] =
        (struct fc_function_entry){small.arena - 4, 4};
    uint64_t size;
    CHECK(fc_function_bytes(&segment, 1, &size)
          == segment.arena + small.arena - 4);
    CHECK(size == 4);
    segment.functions[0] = sound;
    CHECK(is(1, "sound"));
    close_table();
}

void
test_functions(void)
{
    RUN(they_get_numbers_from_1_on);
    RUN(numbers_that_cannot_be);
    RUN(the_table_is_full_at_some_time);
    RUN(a_full_arena);
    RUN(damaged_entries_are_rejected);
}
