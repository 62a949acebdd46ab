/* park.h - between scheduler.c and port.c. */
#ifndef SCHEDULE_PARK_H
#define SCHEDULE_PARK_H

#include <stdbool.h>
#include <stdint.h>

#include "port/port.h"

enum fc_park_result park_on(volatile void *word, uint32_t expected,
                            bool has_deadline);
void unpark_on(volatile void *word, uint32_t count);

/* Run what the running thread has registered for its end. */
void park_thread_ends(void);

/* In hazards.c: free the records, none of which is in use any more. */
void memory_forget_hazards(void);

#endif /* SCHEDULE_PARK_H */
