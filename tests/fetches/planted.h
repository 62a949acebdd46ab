/* planted.h - readers that read twice. */
#ifndef PLANTED_H
#define PLANTED_H

#include <string.h>

#include "ipc/segment.h"

int planted_length(const struct fc_slot *slot, unsigned char *to);
uint32_t planted_copy(const struct fc_slot *slot);

#endif /* PLANTED_H */
