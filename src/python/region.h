/* region.h - a large message as a Python object: the memory of a block that has
 * come to this process, with the buffer protocol.
 *
 * It is a private mapping, so whoever writes to it, or forks, changes nothing
 * for anybody else.  When nobody uses it any more the block goes back to
 * where blocks are kept (ipc/returns.h), from any thread.
 */
#ifndef FC_REGION_H
#define FC_REGION_H

#include "python/state.h"

#include "ipc/returns.h"
#include "ipc/wire.h"

/* Where blocks go back to.  Counted by whoever it is part of. */
typedef struct {
    struct fc_returns *returns;
    void (*drop)(void *owner);
    void *owner; /* a reference of the region's */
} fc_region_home;

/* The first `length` bytes of a block of the segment `s`.  Without memory or
 * mappings for it, NULL with MemoryError; the block and the reference of
 * `home` are the region's in any case. */
PyObject *fc_region_new(fc_state *st, const struct fc_segment *s,
                        const struct fc_wire_block *block,
                        fc_region_home home);

/* Its bytes. */
const unsigned char *fc_region_bytes(PyObject *region, uint64_t *length);

#endif /* FC_REGION_H */
