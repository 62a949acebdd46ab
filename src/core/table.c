/* table.c - see table.h.
 *
 * Edges (each label stands at both ends in the code):
 *
 *     T1  chunks: publication of a chunk (release) -> its use (acquire).
 *         Its records are zero.
 *     T2  used: counting a record as handed out (release) -> handing out the
 *         next one (acquire).  Together with T1: whoever gets a number in
 *         a chunk knows the chunk.
 *     T3  free: putting a record on the list (release) -> taking it off
 *         (acquire).  What its last user did to it comes first.
 */
#include "core/table.h"

#include <stdlib.h>
#include <string.h>

void
fc_table_init(struct fc_table *t)
{
    for (int chunk = 0; chunk < FC_CHUNKS; chunk++) {
        atomic_init(&t->chunks[chunk], NULL);
    }
    atomic_init(&t->used, 0);
    atomic_init(&t->free, 0);
}

void
fc_table_destroy(struct fc_table *t)
{
    for (int chunk = 0; chunk < FC_CHUNKS; chunk++) {
        free(atomic_load(&t->chunks[chunk]));
    }
}

static struct fc_node *
acquire_free(struct fc_table *t)
{
    uint64_t head =
        atomic_load_explicit(&t->free, memory_order_acquire); /* T3 */
    while ((uint32_t)head != 0) {
        struct fc_node *node = fc_table_at(t, (uint32_t)head - 1);
        /* Relaxed: if it is stale, then the exchange fails. */
        uint32_t next =
            atomic_load_explicit(&node->next, memory_order_relaxed);
        if (atomic_compare_exchange_weak_explicit(
                &t->free, &head, (head >> 32) << 32 | next,
                memory_order_acquire, memory_order_acquire)) { /* T3 */
            return node;
        }
    }
    return NULL;
}

/* Make sure that the chunk is there. */
static int
provide_chunk(struct fc_table *t, int chunk)
{
    if (atomic_load_explicit(&t->chunks[chunk],
                             memory_order_acquire) != NULL) { /* T1 */
        return 0;
    }
    size_t bytes = ((size_t)FC_FIRST_CHUNK << chunk) * FC_RECORD_SIZE;
    unsigned char *fresh = aligned_alloc(FC_RECORD_SIZE, bytes);
    if (fresh == NULL) {
        return -1;
    }
    memset(fresh, 0, bytes);
    unsigned char *expected = NULL;
    if (!atomic_compare_exchange_strong_explicit(
            &t->chunks[chunk], &expected, fresh, memory_order_acq_rel,
            memory_order_acquire)) { /* T1 */
        free(fresh);
    }
    return 0;
}

struct fc_node *
fc_table_acquire(struct fc_table *t)
{
    struct fc_node *node = acquire_free(t);
    if (node != NULL) {
        return node;
    }
    uint32_t number =
        atomic_load_explicit(&t->used, memory_order_acquire); /* T2 */
    do {
        if (number >= FC_RECORDS_MAX) {
            return NULL;
        }
        int chunk = 31 - __builtin_clz(number + FC_FIRST_CHUNK) - 3;
        if (provide_chunk(t, chunk) < 0) {
            return NULL;
        }
    } while (!atomic_compare_exchange_weak_explicit(
        &t->used, &number, number + 1, memory_order_acq_rel,
        memory_order_acquire)); /* T2 */
    node = fc_table_at(t, number);
    node->number = number;
    return node;
}

void
fc_table_release(struct fc_table *t, struct fc_node *node)
{
    uint64_t head = atomic_load_explicit(&t->free, memory_order_relaxed);
    do {
        /* Relaxed: T3 publishes it. */
        atomic_store_explicit(&node->next, (uint32_t)head,
                              memory_order_relaxed);
    } while (!atomic_compare_exchange_weak_explicit(
        &t->free, &head, fc_head_pushed(head, node->number),
        memory_order_release, memory_order_relaxed)); /* T3 */
}
