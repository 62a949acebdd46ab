/* wire.c - copying messages together. */
#include "ipc/wire.h"

#include <string.h>

void
fc_parts_gather(const struct fc_part *parts, unsigned count,
                unsigned char *to)
{
    for (unsigned i = 0; i < count; i++) {
        if (parts[i].size > 0) {
            memcpy(to, parts[i].bytes, (size_t)parts[i].size);
            to += parts[i].size;
        }
    }
}

void
fc_parts_read(struct fc_parts_reader *r, unsigned char *to, uint64_t size)
{
    while (size > 0) {
        uint64_t left = r->parts->size - r->at;
        uint64_t now = left < size ? left : size;
        if (now > 0) {
            memcpy(to, (const unsigned char *)r->parts->bytes + r->at,
                   (size_t)now);
        }
        to += now;
        size -= now;
        r->at += now;
        if (r->at == r->parts->size && r->count > 1) {
            r->parts++;
            r->count--;
            r->at = 0;
        }
    }
}
