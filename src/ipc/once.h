/* once.h - a number that another process may change is read once.
 *
 * Sizes, places and indices in shared memory are copied into memory of this
 * process and then checked, so that what is used is what was checked.  A
 * compiler that runs out of registers may as well load a value anew from where
 * it came, as long as nothing says that it may have changed there: the fence
 * says so.  It is one for the compiler alone, and makes no instruction.
 *
 * Words that are atomic are loaded once by themselves.
 */
#ifndef FC_ONCE_H
#define FC_ONCE_H

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

static inline void
fc_read_once(void *to, const void *from, size_t size)
{
    memcpy(to, from, size);
    atomic_signal_fence(memory_order_acq_rel);
}

#endif /* FC_ONCE_H */
