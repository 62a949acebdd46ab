/* trace.h - between scheduler.c and trace.c. */
#ifndef SCHEDULE_TRACE_H
#define SCHEDULE_TRACE_H

#include "scheduler.h"

void trace_begin(void);

/* The running thread does something; its value may come later, and a better
 * word for it. */
void trace_step(const char *what, volatile void *address, const char *file,
                int line);
void trace_value(uint64_t value);
void trace_rename(const char *what);

void trace_pick(struct option option);

/* Whether this operation is to be torn; all that could be are remembered. */
bool trace_is_torn(const char *file, int line, const char *what);

#endif /* SCHEDULE_TRACE_H */
