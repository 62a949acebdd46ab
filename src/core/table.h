/* table.h - records with small numbers that stay where they are.
 *
 * The LIFO semaphore names its sleepers by number, because a number and a
 * tag fit into one word while a pointer and a tag do not, and it may read the
 * record of a sleeper that has just been woken.  Both need records that keep
 * their address and their type while the table lives: they stand in chunks
 * that are never moved or freed before, and free ones are reused.
 *
 *             | acquire | release | at  | destroy
 *     acquire |  yes    |  yes    | yes |  no
 *     release |  yes    |  yes (another record) | yes | no
 */
#ifndef FC_TABLE_H
#define FC_TABLE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* What each record begins with. */
struct fc_node {
    /* The next one in the list that the record stands in (the free ones, or
     * a semaphore's sleepers): its number plus one, 0 at the end.  Readers
     * may get a stale value; they find out by the tag of the list's head. */
    _Atomic(uint32_t) next;
    uint32_t number; /* constant */
};

/* A record's size: a cache line each, since each has its own thread. */
#define FC_RECORD_SIZE 64

/* Chunk k has FC_FIRST_CHUNK << k records. */
#define FC_FIRST_CHUNK 8u
#define FC_CHUNKS 13
#define FC_RECORDS_MAX ((FC_FIRST_CHUNK << FC_CHUNKS) - FC_FIRST_CHUNK)

/* The head of a list of records in one word:
 *
 *      63                  32 31                    0
 *     +----------------------+-----------------------+
 *     | tag                  | number + 1, 0: empty  |
 *     +----------------------+-----------------------+
 *
 * The tag grows by one with each record that is put on the list, so that a
 * list whose first record was taken off and put back looks different.  (A
 * thread would have to sleep through exactly 2^32 of them to be misled.) */
static inline uint64_t
fc_head_pushed(uint64_t head, uint32_t number)
{
    return ((head >> 32) + 1) << 32 | (number + 1);
}

struct fc_table {
    _Atomic(unsigned char *) chunks[FC_CHUNKS];
    _Atomic(uint32_t) used; /* records ever handed out */
    _Atomic(uint64_t) free; /* head of the list of free records */
};

void fc_table_init(struct fc_table *t);

/* Nothing may run beside it. */
void fc_table_destroy(struct fc_table *t);

/* A record nobody else has, or NULL without memory or when FC_RECORDS_MAX are
 * in use.  Only its fc_node is initialized, and only on first use is the
 * rest of it zero. */
struct fc_node *fc_table_acquire(struct fc_table *t);

void fc_table_release(struct fc_table *t, struct fc_node *node);

/* The record of that number, which has been handed out at some time. */
static inline struct fc_node *
fc_table_at(struct fc_table *t, uint32_t number)
{
    /* The number plus 8 has its top bit where the chunk's size has its own. */
    uint32_t shifted = number + FC_FIRST_CHUNK;
    int chunk = 31 - __builtin_clz(shifted) - 3;
    uint32_t offset = shifted - (FC_FIRST_CHUNK << chunk);
    /* Relaxed: whoever has the number got it from one who saw the chunk. */
    unsigned char *base =
        atomic_load_explicit(&t->chunks[chunk], memory_order_relaxed);
    return (struct fc_node *)(void *)(base + (size_t)offset * FC_RECORD_SIZE);
}
_Static_assert(FC_FIRST_CHUNK == 1u << 3, "fc_table_at() knows the 3");

#endif /* FC_TABLE_H */
