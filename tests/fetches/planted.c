/* planted.c - readers that read twice, for the hooks to find. */
#include "planted.h"

/* A length is checked where it stands and used again. */
int
planted_length(const struct fc_slot *slot, unsigned char *to)
{
    const volatile uint16_t *length = &slot->length;
    if (*length > FC_INLINE) {
        return -1;
    }
    int used = *length;
    memcpy(to, slot->data, (size_t)used);
    return used;
}

/* A head is copied as a whole, after one part of it was looked at. */
uint32_t
planted_copy(const struct fc_slot *slot)
{
    struct fc_slot copy;
    const volatile uint16_t *kind = &slot->kind;
    if (*kind == 0) {
        return 0;
    }
    memcpy(&copy, slot, sizeof(copy));
    return copy.function;
}
