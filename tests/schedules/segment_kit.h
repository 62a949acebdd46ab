/* segment_kit.h - a small segment of src/ipc in ordinary memory, laid out by hand.
 * Threads stand for processes.
 */
#ifndef SCHEDULE_SEGMENT_KIT_H
#define SCHEDULE_SEGMENT_KIT_H

#include "cases.h"
#include "ipc/batches.h"
#include "ipc/idle.h"
#include "ipc/requests.h"
#include "ipc/results.h"

#define SLOTS 4
#define ARENA 512
#define SEATS 3

extern struct fc_segment segment;
extern struct fc_sender sender;

void segment_begin(uint32_t slots);
void segment_end(void);

#endif /* SCHEDULE_SEGMENT_KIT_H */
