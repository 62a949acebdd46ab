/* arena.c - a buddy system over the arena; see arena.h. */
#include "ipc/arena.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static_assert(FC_ARENA_LEAST << (FC_ARENA_ORDERS - 1) == FC_ARENA_MOST,
              "the orders go from the least block to the most");

/* The arena grows by this many bytes, a multiple of FC_ARENA_MOST: reserving
 * costs about as much as touching (0.3 us a page, 2026-11-21), so no more than
 * is going to be used, and not in steps that are felt. */
#define STEP ((uint64_t)4 * FC_ARENA_MOST)

#define TOP (FC_ARENA_ORDERS - 1)

static void
link_free(struct fc_arena *a, uint32_t unit, int order)
{
    uint32_t first = a->first[order];
    a->orders[unit] = (int8_t)-(order + 1);
    a->next[unit] = first;
    a->previous[unit] = FC_ARENA_NONE;
    if (first != FC_ARENA_NONE) {
        a->previous[first] = unit;
    }
    a->first[order] = unit;
}

static void
unlink_free(struct fc_arena *a, uint32_t unit, int order)
{
    uint32_t next = a->next[unit], previous = a->previous[unit];
    if (previous == FC_ARENA_NONE) {
        a->first[order] = next;
    }
    else {
        a->next[previous] = next;
    }
    if (next != FC_ARENA_NONE) {
        a->previous[next] = previous;
    }
    a->orders[unit] = 0;
}

int
fc_arena_init(struct fc_arena *a, struct fc_segment *segment)
{
    memset(a, 0, sizeof(*a));
    a->segment = segment;
    a->units = segment->geometry.arena / FC_ARENA_LEAST;
    a->orders = malloc(a->units * sizeof(*a->orders));
    a->next = malloc(a->units * sizeof(*a->next));
    a->previous = malloc(a->units * sizeof(*a->previous));
    for (int i = 0; i < FC_ARENA_ORDERS; i++) {
        a->first[i] = FC_ARENA_NONE;
    }
    if (a->orders == NULL || a->next == NULL || a->previous == NULL) {
        fc_arena_destroy(a);
        return ENOMEM;
    }
    return 0;
}

void
fc_arena_destroy(struct fc_arena *a)
{
    free(a->orders);
    free(a->next);
    free(a->previous);
    a->orders = NULL;
    a->next = a->previous = NULL;
}

/* Reserve some more of it. */
static int
grow(struct fc_arena *a)
{
    uint64_t left = a->segment->geometry.arena - a->reserved;
    /* At first by the least, which is enough for a pool of few calls. */
    uint64_t step = a->reserved == 0 ? FC_ARENA_MOST : STEP;
    step = left < step ? left : step;
    /* What is left over is less than a block of the highest order only where
     * the whole arena is. */
    step -= step % FC_ARENA_MOST;
    if (step == 0) {
        return EAGAIN;
    }
    int error =
        fc_memory_reserve(a->segment->fd,
                          a->segment->layout.arena + a->reserved, step);
    if (error != 0) {
        return error;
    }
    memset(a->orders + a->reserved / FC_ARENA_LEAST, 0,
           step / FC_ARENA_LEAST * sizeof(*a->orders));
    for (uint64_t i = 0; i < step; i += FC_ARENA_MOST) {
        link_free(a, (uint32_t)((a->reserved + i) / FC_ARENA_LEAST), TOP);
    }
    a->reserved += step;
    return 0;
}

static int
order_of(uint32_t size)
{
    int order = 0;
    while ((uint32_t)FC_ARENA_LEAST << order < size) {
        order++;
    }
    return order;
}

int
fc_arena_take(struct fc_arena *a, uint32_t size, uint32_t *offset)
{
    if (size > FC_ARENA_MOST) {
        return E2BIG;
    }
    int wanted = order_of(size);
    int order = wanted;
    while (order <= TOP && a->first[order] == FC_ARENA_NONE) {
        order++;
    }
    if (order > TOP) {
        int error = grow(a);
        if (error != 0) {
            return error;
        }
        order = TOP;
    }
    uint32_t unit = a->first[order];
    unlink_free(a, unit, order);
    while (order > wanted) {
        order--;
        link_free(a, unit + (UINT32_C(1) << order), order);
    }
    a->orders[unit] = (int8_t)(wanted + 1);
    *offset = unit * FC_ARENA_LEAST;
    return 0;
}

void
fc_arena_give(struct fc_arena *a, uint32_t offset)
{
    uint32_t unit = offset / FC_ARENA_LEAST;
    int order = a->orders[unit] - 1;
    assert(order >= 0 && order <= TOP);
    a->orders[unit] = 0;
    while (order < TOP) {
        uint32_t buddy = unit ^ (UINT32_C(1) << order);
        if (a->orders[buddy] != -(order + 1)) {
            break;
        }
        unlink_free(a, buddy, order);
        unit &= ~(UINT32_C(1) << order);
        order++;
    }
    link_free(a, unit, order);
}
