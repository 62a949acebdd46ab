/* segment_kit.c - see segment_kit.h. */
#include "segment_kit.h"

#include <stdlib.h>
#include <string.h>

struct fc_segment segment;
struct fc_sender sender;

/* In place of that of segment.c: all are there. */
int
fc_segment_reserve_slots(struct fc_segment *s, uint32_t first, uint32_t end)
{
    (void)s;
    (void)first;
    (void)end;
    return 0;
}

void
segment_begin(uint32_t slots)
{
    memset(&segment, 0, sizeof(segment));
    segment.geometry = (struct fc_geometry){
        .seats = SEATS, .slots = slots, .stream = 64, .arena = ARENA};
    segment.header = calloc(1, sizeof(*segment.header));
    segment.seats = calloc(SEATS, sizeof(*segment.seats));
    segment.slots = calloc(SLOTS, sizeof(*segment.slots));
    segment.ring = calloc(SLOTS, sizeof(*segment.ring));
    segment.arena = calloc(1, ARENA);
    DEMAND(fc_sender_init(&sender, &segment) == 0);
}

void
segment_end(void)
{
    fc_sender_destroy(&sender);
    free(segment.header);
    free(segment.seats);
    free(segment.slots);
    free(segment.ring);
    free(segment.arena);
}
