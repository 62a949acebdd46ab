/* hooks.h - what instrumented code reads from memory that is being watched. */
#ifndef HOOKS_H
#define HOOKS_H

#include <stddef.h>
#include <stdint.h>

/* Watch `size` bytes from `base` on: one more mapping of the segment. */
void hooks_watch(const void *base, size_t size);
void hooks_forget(void);

/* Begin to count: each byte may be read once from now on, other than by an
 * atomic load. */
void hooks_begin(const char *call);

/* How many reads there were.  Whoever has read a byte twice was reported. */
unsigned hooks_end(void);

/* Bytes that were read twice, in all. */
extern unsigned hooks_twice;

/* Whether they are reported. */
extern int hooks_quiet;

#endif /* HOOKS_H */
