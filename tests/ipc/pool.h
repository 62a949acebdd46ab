/* pool.h - the smallest pool there can be: a parent, and workers that answer.
 *
 * For the tests of requester.h and responder.h between real processes.  A
 * worker answers a request of kind ECHO with its bytes, each plus 1, and one
 * of kind MAKE with as many bytes as the request says.  WAIT is an ECHO that
 * takes a while, and SHORT one of a single byte.
 */
#ifndef POOL_H
#define POOL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc/requester.h"
#include "ipc/results.h"

#define POOL_WORKERS 4
#define POOL_SLOTS 64

enum { POOL_ECHO, POOL_MAKE, POOL_WAIT, POOL_SHORT };

struct pool {
    struct fc_requester requester;
    struct fc_bell bell;
    unsigned workers;
    pid_t pids[POOL_WORKERS];
    long fuse;      /* the kill point at which the next worker dies; 0: none */
    bool polls;     /* the parent polls the bell, as a pool's thread does */
    uint64_t keep;
    uint64_t sizes[POOL_SLOTS]; /* of the replies that are expected */
    unsigned char first[POOL_SLOTS];
    bool pending[POOL_SLOTS];
    uint64_t sent, answered, cancelled, lost;
};

extern const struct fc_geometry pool_geometry;

/* `polls` stays as it is. */
void pool_open(struct pool *p, unsigned workers);

/* Start a worker in an empty seat. */
void pool_start(struct pool *p, unsigned seat);

/* Send a request of `size` bytes.  False: no room now. */
bool pool_send(struct pool *p, int kind, uint64_t size, uint32_t *index);

/* Fetch and check what has been answered.  False when a worker talks
 * nonsense. */
bool pool_drain(struct pool *p);

/* Drain, and sleep until there is something, at most `ns`. */
bool pool_wait(struct pool *p, int64_t ns);

/* Wait until everything that was sent has been answered or cancelled. */
void pool_finish(struct pool *p);

/* A worker has died: what it had is lost, and so are requests that nobody
 * will take.  How many it had. */
unsigned pool_bury(struct pool *p, unsigned seat);

/* Close, wait for the workers and check that they end well. */
void pool_close(struct pool *p);

#endif /* POOL_H */
