/* fuzz_segment.c - a worker attaches to whatever a descriptor leads to.
 *
 *     input   | length of the file, 6 bytes | its first bytes |
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kit.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input_of(data, size);
    off_t length = (off_t)fuzz_number(&in, 6);
    int fd = memfd_create("fuzz", MFD_CLOEXEC); /* shorter, too: no seals */
    MUST(fd >= 0);
    size_t there = (size_t)(in.end - in.at);
    MUST(write(fd, in.at, there) == (ssize_t)there);
    MUST(ftruncate(fd, length) == 0);
    struct fc_segment s;
    int error = fc_segment_attach(&s, fd);
    if (error != 0) {
        MUST(error == EBADMSG || error == ENOMEM);
        return 0;
    }
    MUST(fc_geometry_valid(&s.geometry));
    MUST(s.layout.size <= (uint64_t)length);
    /* Whatever begins or ends a part can be read: there would be a SIGBUS
     * behind the end of the file. */
    uint32_t last = s.geometry.seats - 1;
    const unsigned char *ends[] = {
        (unsigned char *)s.header,
        (unsigned char *)&s.seats[last + 1] - 1,
        (unsigned char *)&s.functions[FC_FUNCTIONS_MAX] - 1,
        (unsigned char *)&s.slots[s.geometry.slots] - 1,
        (unsigned char *)&s.ring[s.geometry.slots] - 1,
        fc_segment_stream(&s, last, FC_TO_PARENT) + s.geometry.stream - 1,
        s.arena + s.geometry.arena - 1,
    };
    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        MUST(i == 0 || ends[i] > ends[i - 1]);
        fuzz_look_at(ends[i], 1);
    }
    fc_segment_detach(&s);
    return 0;
}
