/* port.h - the contract of src/port with one change: a turn of a spin loop
 * is a point at which the scheduler lets others go on. */
#ifndef SCHEDULE_PORT_H
#define SCHEDULE_PORT_H

#define fc_pause fc_pause_of_the_cpu
#include_next "port/port.h"
#undef fc_pause

static inline void
fc_pause(void)
{
    schedule_yield(__FILE__, __LINE__);
}

#endif /* SCHEDULE_PORT_H */
