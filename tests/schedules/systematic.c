/* systematic.c - depth first, up to a bound; see strategies.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "strategies.h"

#define DEPTH_MAX 5000
#define STATES_FIRST (UINT64_C(1) << 12) /* powers of two */
#define STATES_MOST (UINT64_C(1) << 24)  /* 256 MB */

/* A choice of the run before that stands. */
struct node {
    struct option options[OPTIONS_MAX];
    uint8_t count, taken;
    uint8_t spent; /* of the bound, before it */
};

/* The least that was spent when a state was met. */
struct met {
    uint64_t state; /* 0: none */
    uint64_t spent;
};

static struct node *nodes;
static int depth, at, bound;
static bool cut, forgets;
static uint64_t ends;
static struct met *met; /* a hash table, at most three quarters full */
static uint64_t met_size, met_count;

/* malloc() is that of the cases. */
static void *
map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    return memory;
}

void
systematic_begin(int the_bound)
{
    bound = the_bound;
    depth = at = 0;
    cut = false;
    if (nodes == NULL) {
        nodes = map(DEPTH_MAX * sizeof(*nodes));
    }
    if (met != NULL) {
        munmap(met, met_size * sizeof(*met));
    }
    met_size = STATES_FIRST;
    met_count = ends = 0;
    met = map(met_size * sizeof(*met));
}

/* The place of a state in the table, or a free one for it. */
static struct met *
find(uint64_t state)
{
    uint64_t i = state & (met_size - 1);
    while (met[i].state != 0 && met[i].state != state) {
        i = (i + 1) & (met_size - 1);
    }
    return &met[i];
}

static bool
is_full(void)
{
    return met_count >= met_size / 4 * 3;
}

static void
grow(void)
{
    struct met *old = met;
    uint64_t old_size = met_size;
    met = map(old_size * 2 * sizeof(*met));
    met_size = old_size * 2;
    for (uint64_t i = 0; i < old_size; i++) {
        if (old[i].state != 0) {
            *find(old[i].state) = old[i];
        }
    }
    munmap(old, old_size * sizeof(*old));
}

/* Whether the state was met before with no more spent; now it is, anyway. */
static bool
was_met(uint64_t state, uint64_t spent)
{
    state += state == 0;
    if (is_full() && met_size < STATES_MOST) {
        grow();
    }
    struct met *place = find(state);
    if (place->state == state) {
        if (place->spent <= spent) {
            return true;
        }
        place->spent = spent;
    }
    else if (!is_full()) {
        *place = (struct met){state, spent};
        met_count++;
    }
    return false;
}

void
systematic_forget(void)
{
    forgets = true;
}

void
systematic_note_end(uint64_t state)
{
    ends += !was_met(state * 31 + 99, 0);
}

uint64_t
systematic_ends(void)
{
    return ends;
}

/* The next one from `first` on that the bound allows; count: none. */
static uint8_t
allowed(const struct node *node, uint8_t first)
{
    for (uint8_t i = first; i < node->count; i++) {
        if (node->spent + node->options[i].cost <= bound) {
            return i;
        }
        cut = true;
    }
    return node->count;
}

int
systematic_pick(const struct option *options, int count, uint64_t state)
{
    struct node *node = &nodes[at];
    if (at < depth) {
        if (node->count != count
            || memcmp(node->options, options,
                      (size_t)count * sizeof(*options))
                   != 0) {
            scheduler_fail("not the same twice: the case depends on something "
                           "that is not scheduled");
        }
        at++;
        return node->taken;
    }
    uint8_t spent = 0;
    if (at > 0) {
        const struct node *last = &nodes[at - 1];
        spent = (uint8_t)(last->spent + last->options[last->taken].cost);
    }
    /* Options are not known from the state alone: who pauses has seen the same
     * before and after it, and so has who stores. */
    uint64_t key = state;
    for (int i = 0; i < count; i++) {
        uint64_t option = (uint64_t)options[i].thread << 16
                          | (uint64_t)options[i].kind << 8 | options[i].cost;
        key = (key ^ option) * UINT64_C(0x100000001b3);
        key ^= key >> 31;
    }
    if (!forgets && was_met(key, spent)) {
        return -1;
    }
    if (at == DEPTH_MAX) {
        scheduler_fail("too many choices");
    }
    memcpy(node->options, options, (size_t)count * sizeof(*options));
    node->count = (uint8_t)count;
    node->spent = spent;
    node->taken = allowed(node, 0);
    at = ++depth;
    return node->taken;
}

bool
systematic_next(void)
{
    at = 0;
    while (depth > 0) {
        struct node *node = &nodes[depth - 1];
        node->taken = allowed(node, (uint8_t)(node->taken + 1));
        if (node->taken < node->count) {
            return true;
        }
        depth--;
    }
    return false;
}

bool
systematic_was_cut(void)
{
    return cut;
}

bool
systematic_remembered_all(void)
{
    return met_size < STATES_MOST || !is_full();
}
