/* points.h - what the sources under test call in place of atomic operations:
 * the points at which the scheduler picks the thread that goes on.
 *
 * A point comes before its operation, and everything up to the thread's next
 * point belongs to it.  Values travel as words; `size` is that of the memory.
 */
#ifndef SCHEDULE_POINTS_H
#define SCHEDULE_POINTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum schedule_change {
    SCHEDULE_EXCHANGE,
    SCHEDULE_ADD,
    SCHEDULE_SUB,
    SCHEDULE_OR,
    SCHEDULE_AND,
};

/* No point: nobody else knows the memory yet. */
void schedule_init(volatile void *address, size_t size, uint64_t value);

uint64_t schedule_load(volatile void *address, size_t size, int order,
                       const char *file, int line);

/* A store that is weaker than seq_cst may take effect later. */
void schedule_store(volatile void *address, size_t size, uint64_t value,
                    int order, const char *file, int line);

/* Returns the value before. */
uint64_t schedule_change(volatile void *address, size_t size,
                         enum schedule_change change, uint64_t operand,
                         const char *file, int line);

bool schedule_compare_exchange(volatile void *address, size_t size,
                               void *seen, uint64_t wanted, const char *file,
                               int line);

void schedule_fence(int order, const char *file, int line);

/* Others go on, as long as there are any that can. */
void schedule_yield(const char *file, int line);

#endif /* SCHEDULE_POINTS_H */
