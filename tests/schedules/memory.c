/* memory.c - malloc() and free() of what is under test (ld --wrap).
 *
 * Each thread takes from a part of its own, so that addresses are the same in
 * each run in which it has done the same.  What is freed is poisoned and stays
 * so until the run is over; or, in cases that ask for it, is the first to be
 * allocated again, which is what tags and hazards are for.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sanitizer/asan_interface.h>

#include "scheduler.h"

#define PART (256 * 1024)
#define ALIGNMENT 64
#define GAP 64 /* stays poisoned between two blocks */
#define BLOCKS 4096

struct block {
    uintptr_t address;
    size_t size;
    bool live;
    int freed_by;
};

static _Alignas(4096) unsigned char parts[SCHEDULE_THREADS][PART];
static size_t used[SCHEDULE_THREADS];
static struct block blocks[BLOCKS];
static unsigned block_count;
static unsigned live_count;
static bool reuses;
static bool refuses;
static bool in_run;

void *__real_malloc(size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__real_calloc(size_t count, size_t size);
void __real_free(void *address);
void *__wrap_malloc(size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void __wrap_free(void *address);

void
memory_begin_run(bool reuse)
{
    if (!in_run) {
        in_run = true;
        __asan_poison_memory_region(parts, sizeof(parts));
    }
    for (int i = 0; i < SCHEDULE_THREADS; i++) {
        __asan_poison_memory_region(parts[i], used[i]);
        used[i] = 0;
    }
    block_count = live_count = 0;
    reuses = reuse;
    refuses = false;
}

void
memory_refuse(bool refuse)
{
    refuses = refuse;
}

unsigned
memory_live(void)
{
    return live_count;
}

static bool
is_ours(uintptr_t address)
{
    return address >= (uintptr_t)parts
           && address < (uintptr_t)parts + sizeof(parts);
}

bool
memory_usable(uintptr_t address, size_t size)
{
    return __asan_region_is_poisoned((void *)address, size) == NULL;
}

const char *
memory_story(uintptr_t address)
{
    static char story[100];
    for (unsigned i = block_count; i-- > 0;) {
        const struct block *b = &blocks[i];
        if (address >= b->address && address < b->address + b->size) {
            snprintf(story, sizeof(story), "byte %zu of %zu, freed by %c",
                     (size_t)(address - b->address), b->size,
                     b->freed_by > 0 ? 'A' + b->freed_by - 1 : '-');
            return story;
        }
    }
    return "in no block";
}

static void *
use(struct block *b)
{
    b->live = true;
    live_count++;
    __asan_unpoison_memory_region((void *)b->address, b->size);
    return (void *)b->address;
}

static void *
allocate(size_t size)
{
    int me = scheduler_thread();
    if (reuses && me > 0) {
        scheduler_saw((uintptr_t)&reuses, true);
    }
    for (unsigned i = block_count; reuses && i-- > 0;) {
        if (!blocks[i].live && blocks[i].size == size) {
            return use(&blocks[i]);
        }
    }
    size_t rounded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + GAP;
    if (used[me] + rounded > PART || block_count == BLOCKS) {
        scheduler_fail("too much memory");
    }
    struct block *b = &blocks[block_count++];
    *b = (struct block){(uintptr_t)&parts[me][used[me]], size, true, 0};
    used[me] += rounded;
    return use(b);
}

void *
__wrap_malloc(size_t size)
{
    if (!in_run) {
        return __real_malloc(size);
    }
    void *memory = refuses ? NULL : allocate(size);
    if (memory != NULL) {
        memset(memory, 0xa5, size); /* the same in each run */
    }
    return memory;
}

void *
__wrap_aligned_alloc(size_t alignment, size_t size)
{
    if (!in_run) {
        return __real_aligned_alloc(alignment, size);
    }
    return refuses ? NULL : allocate(size);
}

void *
__wrap_calloc(size_t count, size_t size)
{
    if (!in_run) {
        return __real_calloc(count, size);
    }
    void *memory = allocate(count * size);
    memset(memory, 0, count * size);
    return memory;
}

void
__wrap_free(void *address)
{
    if (!is_ours((uintptr_t)address)) {
        __real_free(address);
        return;
    }
    for (unsigned i = block_count; i-- > 0;) {
        struct block *b = &blocks[i];
        if (b->address != (uintptr_t)address) {
            continue;
        }
        if (!b->live) {
            scheduler_fail("freed twice: %s", memory_story(b->address));
        }
        scheduler_saw_block(b->address, b->size);
        if (reuses && scheduler_thread() > 0) {
            scheduler_saw((uintptr_t)&reuses, true);
        }
        b->live = false;
        b->freed_by = scheduler_thread();
        live_count--;
        __asan_poison_memory_region(address, b->size);
        return;
    }
    scheduler_fail("frees what is no block");
}
