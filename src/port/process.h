/* process.h - what futures_c asks of the operating system between processes:
 * memory that several of them see, sleep and wake on a word in it, and news
 * of a process's death.
 *
 * As with port.h this header is the whole contract; process_linux.c and
 * process_posix.c are its two implementations (process_unix.c holds what they
 * share).  Nothing here knows what the memory is used for.
 *
 * Functions that can fail return 0 or a positive errno, unless they say
 * otherwise.
 */
#ifndef FC_PROCESS_H
#define FC_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "port/port.h"

/* --- memory ------------------------------------------------------------- */

/* A file that has no name in any file system: whoever has the descriptor sees
 * the memory, nobody else can, and the last one to let go of it frees it,
 * however he ends.  Empty at first; close-on-exec; its mode is 0600.  Where the
 * system can see to that, nobody makes it shorter, which would kill whoever
 * touches what is gone, and nobody runs it.  The descriptor, or a negative
 * errno. */
int fc_memory_create(void);

/* Make the bytes [offset, offset + size) usable: from then on touching them
 * does not fail, which without this would be a SIGBUS where memory runs out.
 * They read as zeros until something is written.  Reserving again what is
 * reserved changes nothing. */
int fc_memory_reserve(int fd, uint64_t offset, uint64_t size);

/* Give the memory of these bytes, whole pages, back to the system.  Nobody may
 * touch them until they are reserved again. */
void fc_memory_discard(int fd, uint64_t offset, uint64_t size);

/* Bytes in a page. */
uint64_t fc_memory_page(void);

/* How a mapping takes what is written to it. */
enum fc_mapping {
    FC_MAP_SHARED,  /* everybody sees it */
    FC_MAP_PRIVATE, /* it stays with this process; forked children copy it */
};

/* Map `size` bytes from `offset` on, a multiple of fc_memory_page(), for
 * reading and writing.  They must be reserved.  NULL with errno where the
 * system refuses. */
void *fc_memory_map(int fd, uint64_t offset, uint64_t size,
                    enum fc_mapping kind);
void fc_memory_unmap(void *address, uint64_t size);

/* --- sleeping ----------------------------------------------------------- */

/* fc_park() and fc_unpark() for a word in shared memory.  The sleeper may die
 * asleep, the waker at any moment: neither leaves anything behind.  The
 * portable half has nothing to build this on and looks at the word every
 * FC_POLL_NS. */
enum fc_park_result fc_park_shared(_Atomic(uint32_t) *word, uint32_t expected,
                                   int64_t deadline_ns);
void fc_unpark_shared(_Atomic(uint32_t) *word, uint32_t count);

/* Nanoseconds: late enough to cost little (0.1 % of a CPU), early enough for
 * a result to be there before a person notices. */
#define FC_POLL_NS 1000000

/* --- a bell ------------------------------------------------------------- */

/* What a process that polls descriptors is woken by.  One descriptor is for
 * listening, one for ringing; they may be the same.  Close-on-exec, and
 * neither ever blocks. */
struct fc_bell {
    int listen;
    int ring;
};

int fc_bell_create(struct fc_bell *bell);

/* Make `listen` readable until the next fc_bell_silence().  Never fails while
 * somebody listens: a bell that rings already goes on ringing.  The ringing
 * descriptor of a process may have been closed by somebody else, who may have
 * opened a file of its number since: an errno then, and nothing is written. */
int fc_bell_ring(int ring);
void fc_bell_silence(int listen);
void fc_bell_close(struct fc_bell *bell);

/* --- death -------------------------------------------------------------- */

/* A descriptor that becomes readable when the process `pid` ends, or a
 * negative errno where there is no such process or no such descriptor.  The
 * caller knows the process alive or not waited for, else the number may be
 * somebody else's. */
int fc_process_watch(pid_t pid);

/* Whether a descriptor of fc_process_watch() says that it has ended.  A
 * descriptor that somebody closed says no. */
bool fc_process_ended(int watch);

/* Whether there is a process of that number, which may be a dead one that
 * nobody has waited for. */
bool fc_process_exists(pid_t pid);

#endif /* FC_PROCESS_H */
