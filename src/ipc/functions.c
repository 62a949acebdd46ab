/* functions.c - the table of functions; see functions.h. */
#include "ipc/functions.h"

#include <string.h>

#include "ipc/once.h"

uint32_t
fc_functions_add(struct fc_functions *f, struct fc_arena *arena,
                 const void *bytes, uint32_t size)
{
    uint32_t place;
    if (f->count == FC_FUNCTIONS_MAX
        || fc_arena_take(arena, size, &place) != 0) {
        return 0;
    }
    memcpy(f->segment->arena + place, bytes, size);
    f->segment->functions[f->count] =
        (struct fc_function_entry){.place = place, .size = size};
    return ++f->count;
}

const unsigned char *
fc_function_bytes(const struct fc_segment *s, uint32_t number, uint64_t *size)
{
    if (number == 0 || number > FC_FUNCTIONS_MAX) {
        return NULL;
    }
    struct fc_function_entry entry;
    fc_read_once(&entry, &s->functions[number - 1], sizeof(entry));
    if (entry.size == 0 || !fc_arena_holds(s, entry.place, entry.size)) {
        return NULL;
    }
    *size = entry.size;
    return s->arena + entry.place;
}
