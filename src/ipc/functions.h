/* functions.h - functions that are sent once and then named by a number.
 *
 * The parent puts what says which function it is into the arena and enters it
 * in a table of the segment; a request then carries its number, from 1 on.  A
 * worker that meets a number for the first time reads the entry.  Entries are
 * written once and stay as long as the segment.
 *
 * An entry is written before a request that names it is published, so it
 * travels by R1 of requests.c.
 */
#ifndef FC_FUNCTIONS_H
#define FC_FUNCTIONS_H

#include "ipc/arena.h"

struct fc_functions {
    struct fc_segment *segment;
    uint32_t count;
};

/* Parent: enter a function and return its number, or 0 where there is no room
 * for it now. */
uint32_t fc_functions_add(struct fc_functions *f, struct fc_arena *arena,
                          const void *bytes, uint32_t size);

/* Worker: what was entered under a number, a whole one of `size` bytes.  NULL:
 * there is no such number. */
const unsigned char *fc_function_bytes(const struct fc_segment *s,
                                       uint32_t number, uint64_t *size);

#endif /* FC_FUNCTIONS_H */
