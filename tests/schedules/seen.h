/* seen.h - what a thread has seen, as a number: a hash over its operations, each
 * with the hash of the last write to the same memory, and a write with those of
 * the reads since.
 *
 * Runs in which these are the same for all threads are the same but for the
 * order of operations that do not touch each other, and have led to the same
 * memory.  That takes for granted that there is no data race, which
 * ThreadSanitizer watches.
 */
#ifndef SCHEDULE_SEEN_H
#define SCHEDULE_SEEN_H

#include <stddef.h>
#include <stdint.h>

/* Forget what was done to memory. */
void seen_begin(void);

uint64_t seen_mix(uint64_t a, uint64_t b);

/* The thread whose hash is *seen reads or writes what is at `address`, or has to
 * do with all that was done to a block. */
void seen_read(uint64_t *seen, uintptr_t address);
void seen_write(uint64_t *seen, uintptr_t address);
void seen_block(uint64_t *seen, uintptr_t address, size_t size);

#endif /* SCHEDULE_SEEN_H */
