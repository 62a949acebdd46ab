/* admission.h - is the worker that comes the one that is meant?
 *
 * Whoever starts a worker may find himself with an exception and no process,
 * while the process is there: Ctrl-C may come, or a warning be raised, just
 * after fork().  The seat is given to another one then, and there would be two
 * in it.  So each start has a number, and a worker sits down when its starter
 * has said that he knows of it.
 *
 * One word per seat says all, and the parent alone writes it:
 *
 *     offered (n) --admit--> admitted (n)
 *          \                     \
 *           `-------- close ------`--> 0 --open--> offered (n + 1)
 *
 * Whatever a worker has to read was written before its process was started, so
 * the word orders nothing, and its accesses are relaxed.
 */
#ifndef FC_ADMISSION_H
#define FC_ADMISSION_H

#include "ipc/segment.h"

/* Parent: a worker is being started in this seat; its start has this number,
 * which is not 0. */
void fc_admission_offer(struct fc_segment *s, uint32_t seat, uint32_t start);

/* Parent: it may sit down.  Or: it may not, nor any other one. */
void fc_admission_admit(struct fc_segment *s, uint32_t seat, uint32_t start);
void fc_admission_close(struct fc_segment *s, uint32_t seat);

/* Worker: sleep until it is decided, or until `deadline_ns`.  0: sit down;
 * ECANCELED: nobody knows of this worker; ETIMEDOUT; EINTR. */
int fc_admission_await(struct fc_segment *s, uint32_t seat, uint32_t start,
                       int64_t deadline_ns);

#endif /* FC_ADMISSION_H */
