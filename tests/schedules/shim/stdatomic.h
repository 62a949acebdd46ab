/* stdatomic.h - found before the compiler's own: each atomic operation of the
 * sources under test is handed to the scheduler, which may let another thread
 * go first and then does it.  There is one real thread, so that it needs no
 * atomicity.  What is not defined here is not used by src/core; a new operation
 * would go past the scheduler, and tests/schedules/run refuses that.
 */
#ifndef SCHEDULE_STDATOMIC_H
#define SCHEDULE_STDATOMIC_H

#include_next <stdatomic.h>

#include "points.h"

#define SCHEDULE_SITE_ __FILE__, __LINE__
#define SCHEDULE_WORD_(value) ((uint64_t)(uintptr_t)(value))
/* The type of what is at `p`, without _Atomic. */
#define SCHEDULE_TYPE_(p) __typeof__((void)0, *(p))
#define SCHEDULE_ADDRESS_(p) ((volatile void *)(uintptr_t)(p))

#undef atomic_init
#define atomic_init(p, v) \
    schedule_init(SCHEDULE_ADDRESS_(p), sizeof(*(p)), SCHEDULE_WORD_(v))

#undef atomic_load_explicit
#define atomic_load_explicit(p, order) \
    ((SCHEDULE_TYPE_(p))schedule_load(SCHEDULE_ADDRESS_(p), sizeof(*(p)), \
                                      order, SCHEDULE_SITE_))
#undef atomic_load
#define atomic_load(p) atomic_load_explicit(p, memory_order_seq_cst)

#undef atomic_store_explicit
#define atomic_store_explicit(p, v, order) \
    schedule_store(SCHEDULE_ADDRESS_(p), sizeof(*(p)), SCHEDULE_WORD_(v), \
                   order, SCHEDULE_SITE_)
#undef atomic_store
#define atomic_store(p, v) atomic_store_explicit(p, v, memory_order_seq_cst)

#define SCHEDULE_CHANGE_(p, change, v) \
    ((SCHEDULE_TYPE_(p))schedule_change(SCHEDULE_ADDRESS_(p), sizeof(*(p)), \
                                        change, SCHEDULE_WORD_(v), \
                                        SCHEDULE_SITE_))
#undef atomic_exchange_explicit
#define atomic_exchange_explicit(p, v, order) \
    ((void)(order), SCHEDULE_CHANGE_(p, SCHEDULE_EXCHANGE, v))
#undef atomic_exchange
#define atomic_exchange(p, v) SCHEDULE_CHANGE_(p, SCHEDULE_EXCHANGE, v)
#undef atomic_fetch_add_explicit
#define atomic_fetch_add_explicit(p, v, order) \
    ((void)(order), SCHEDULE_CHANGE_(p, SCHEDULE_ADD, v))
#undef atomic_fetch_add
#define atomic_fetch_add(p, v) SCHEDULE_CHANGE_(p, SCHEDULE_ADD, v)
#undef atomic_fetch_sub_explicit
#define atomic_fetch_sub_explicit(p, v, order) \
    ((void)(order), SCHEDULE_CHANGE_(p, SCHEDULE_SUB, v))
#undef atomic_fetch_sub
#define atomic_fetch_sub(p, v) SCHEDULE_CHANGE_(p, SCHEDULE_SUB, v)
#undef atomic_fetch_or_explicit
#define atomic_fetch_or_explicit(p, v, order) \
    ((void)(order), SCHEDULE_CHANGE_(p, SCHEDULE_OR, v))
#undef atomic_fetch_and_explicit
#define atomic_fetch_and_explicit(p, v, order) \
    ((void)(order), SCHEDULE_CHANGE_(p, SCHEDULE_AND, v))

/* A weak exchange fails only where a strong one does: failing for nothing repeats
 * a loop and changes nothing. */
#undef atomic_compare_exchange_strong_explicit
#define atomic_compare_exchange_strong_explicit(p, seen, v, order, failed) \
    ((void)(order), (void)(failed), \
     schedule_compare_exchange(SCHEDULE_ADDRESS_(p), sizeof(*(p)), (seen), \
                               SCHEDULE_WORD_(v), SCHEDULE_SITE_))
#undef atomic_compare_exchange_weak_explicit
#define atomic_compare_exchange_weak_explicit \
    atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_strong
#define atomic_compare_exchange_strong(p, seen, v) \
    schedule_compare_exchange(SCHEDULE_ADDRESS_(p), sizeof(*(p)), (seen), \
                              SCHEDULE_WORD_(v), SCHEDULE_SITE_)
#undef atomic_compare_exchange_weak
#define atomic_compare_exchange_weak atomic_compare_exchange_strong

#undef atomic_flag_test_and_set_explicit
#define atomic_flag_test_and_set_explicit(p, order) \
    ((void)(order), \
     schedule_change(SCHEDULE_ADDRESS_(p), sizeof(*(p)), SCHEDULE_EXCHANGE, \
                     1, SCHEDULE_SITE_) != 0)
#undef atomic_flag_clear_explicit
#define atomic_flag_clear_explicit(p, order) \
    schedule_store(SCHEDULE_ADDRESS_(p), sizeof(*(p)), 0, order, \
                   SCHEDULE_SITE_)
#undef atomic_flag_clear
#define atomic_flag_clear(p) \
    atomic_flag_clear_explicit(p, memory_order_seq_cst)

#undef atomic_thread_fence
#define atomic_thread_fence(order) schedule_fence(order, SCHEDULE_SITE_)

#endif /* SCHEDULE_STDATOMIC_H */
