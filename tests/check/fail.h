/* fail.h - calls of the system that fail, one after the other.
 *
 * The linker leads what the sources call (malloc(), mmap(), futexes, ...) to
 * fail.c and check.c, which count the calls of each kind and let one of them
 * fail.  A scenario is run with the first call failing, then with the second,
 * until it has come through without a failure: so each of its calls has failed
 * once, in each way that the system knows.
 *
 * A step of a scenario that reports the failure is done once more, and has to
 * succeed then, on the same objects.
 */
#ifndef FAIL_H
#define FAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "check.h"

/* Which calls. */
enum fail_kind {
    FAIL_MEMORY,  /* malloc(), calloc(), aligned_alloc() */
    FAIL_MAP,     /* mmap() */
    FAIL_FILE,    /* memfd_create(); shm_open(), mkstemp() */
    FAIL_LENGTH,  /* ftruncate() */
    FAIL_RESERVE, /* fallocate(), posix_fallocate() */
    FAIL_STAT,    /* fstat() */
    FAIL_BELL,    /* eventfd(); pipe() */
    FAIL_READ,    /* read(), pread() */
    FAIL_WRITE,   /* write() */
    FAIL_POLL,    /* poll() */
    FAIL_SLEEP,   /* to wait for a futex or a condition; nanosleep() */
    FAIL_WATCH,   /* pidfd_open() */
    FAIL_THREAD,  /* pthread_create() */
    FAIL_AT_EXIT, /* pthread_setspecific() */
    FAIL_KINDS,
};

/* A set of kinds. */
#define FAIL_SET(kind) (1u << (kind))
#define FAIL_ANY (FAIL_SET(FAIL_KINDS) - 1)

/* Run `scenario` as above with each kind of `kinds`; and check each time that
 * it leaves no memory, descriptor or mapping behind.  Those of `must` are
 * called by it at least once where the system has them. */
void fail_in_turn(void (*scenario)(void), unsigned kinds, unsigned must);

/* Whether the one that was to fail has failed, in this run. */
bool fail_has_happened(void);

/* Whether it has done so in this way. */
bool fail_was(int error);

/* `step` gives 0 or an errno. */
#define FAIL_STEP(step)                  \
    do {                                 \
        if ((step) != 0) {               \
            CHECK(fail_has_happened());  \
            CHECK((step) == 0);          \
        }                                \
    } while (0)

/* For check.c and the scenarios' own calls: whether this one is to fail. */
bool fail_now(enum fail_kind kind);

#endif /* FAIL_H */
