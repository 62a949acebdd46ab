/* test_segment.c - making a segment, and looking at damaged ones. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "ipc/segment.h"

static const struct fc_geometry small = {
    .seats = 3, .slots = 16, .stream = 4096, .arena = 65536};

static void
a_geometry_has_limits(void)
{
    CHECK(fc_geometry_valid(&small));
    const struct fc_geometry wrong[] = {
        {0, 16, 4096, 65536},        {FC_SEATS_MAX + 1, 16, 4096, 65536},
        {3, 0, 4096, 65536},         {3, 17, 4096, 65536},
        {3, 65536, 4096, 65536},     {3, 16, 2048, 65536},
        {3, 16, 5000, 65536},        {3, 16, UINT32_C(1) << 25, 65536},
        {3, 16, 4096, 0},            {3, 16, 4096, 65537},
        {3, 16, 4096, 4096},
    };
    struct fc_segment s;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        CHECK(!fc_geometry_valid(&wrong[i]));
        CHECK(fc_segment_create(&s, &wrong[i]) == EINVAL);
    }
}

static void
parts_do_not_overlap(void)
{
    struct fc_geometry g = small;
    for (g.seats = 1; g.seats <= FC_SEATS_MAX; g.seats = g.seats * 3 + 1) {
        struct fc_layout l = fc_geometry_layout(&g);
        CHECK(l.seats >= sizeof(struct fc_header));
        CHECK(l.slots >= l.seats + g.seats * sizeof(struct fc_seat));
        CHECK(l.ring >= l.slots + g.slots * sizeof(struct fc_slot));
        CHECK(l.streams >= l.ring + g.slots * sizeof(uint64_t));
        CHECK(l.arena >= l.streams + (uint64_t)g.seats * 2 * g.stream);
        CHECK(l.size == l.arena + g.arena);
        CHECK(l.seats % FC_LINE == 0 && l.slots % FC_LINE == 0);
        CHECK(l.streams % fc_memory_page() == 0);
        CHECK(l.arena % fc_memory_page() == 0);
    }
}

static void
two_see_the_same(void)
{
    struct fc_segment a, b;
    CHECK(fc_segment_create(&a, &small) == 0);
    CHECK(fc_segment_attach(&b, dup(a.fd)) == 0);
    CHECK(memcmp(&b.geometry, &small, sizeof(small)) == 0);
    CHECK(b.header->owner == (int64_t)getpid());
    CHECK(fc_segment_prepare_seat(&a, 2) == 0);
    CHECK(fc_segment_prepare_seat(&a, 3) == EINVAL);
    atomic_store(&a.seats[2].signal, 5);
    CHECK(atomic_load(&b.seats[2].signal) == 5);
    unsigned char *end = fc_segment_stream(&a, 2, FC_TO_PARENT) + 4095;
    *end = 9;
    CHECK(fc_segment_stream(&b, 2, FC_TO_PARENT)[4095] == 9);
    a.slots[15].data[FC_INLINE - 1] = 3;
    CHECK(b.slots[15].data[FC_INLINE - 1] == 3);
    fc_segment_detach(&a);
    CHECK(b.slots[15].data[FC_INLINE - 1] == 3);
    fc_segment_detach(&b);
}

/* Whatever the fixed part says: attaching succeeds, or fails with EBADMSG. */
static void
a_damaged_header_is_rejected(void)
{
    struct check_random r = check_random_new(1);
    struct fc_segment a, b;
    CHECK(fc_segment_create(&a, &small) == 0);
    struct fc_header good = *a.header;
    size_t fixed = offsetof(struct fc_header, head);
    for (uint64_t i = check_size(2000); i > 0; i--) {
        unsigned char *bytes = (unsigned char *)a.header;
        memcpy(bytes, &good, fixed);
        for (uint64_t n = check_random_below(&r, 4) + 1; n > 0; n--) {
            bytes[check_random_below(&r, fixed)] =
                (unsigned char)check_random_below(&r, 256);
        }
        int fd = dup(a.fd);
        int error = fc_segment_attach(&b, fd);
        CHECK(error == 0 || error == EBADMSG);
        if (error == 0) {
            CHECK(b.layout.size <= a.layout.size);
            fc_segment_detach(&b);
        }
        CHECK(fcntl(fd, F_GETFD) < 0);
    }
    fc_segment_detach(&a);
}

static void
what_is_no_segment_is_rejected(void)
{
    struct fc_segment s;
    CHECK(fc_segment_attach(&s, -1) == EBADF);
    int fd = fc_memory_create();
    CHECK(fc_segment_attach(&s, dup(fd)) == EBADMSG);
    CHECK(fc_memory_reserve(fd, 0, 65536) == 0);
    CHECK(fc_segment_attach(&s, fd) == EBADMSG);
    /* One that is shorter than it says. */
    struct fc_segment a;
    CHECK(fc_segment_create(&a, &small) == 0);
    fd = fc_memory_create();
    CHECK(fc_memory_reserve(fd, 0, a.layout.arena) == 0);
    CHECK(pwrite(fd, a.header, sizeof(*a.header), 0)
          == (ssize_t)sizeof(*a.header));
    CHECK(fc_segment_attach(&s, dup(fd)) == EBADMSG);
    CHECK(fc_memory_reserve(fd, a.layout.arena, a.geometry.arena) == 0);
    CHECK(fc_segment_attach(&s, fd) == 0);
    fc_segment_detach(&s);
    fc_segment_detach(&a);
}

void
test_segment(void)
{
    RUN(a_geometry_has_limits);
    RUN(parts_do_not_overlap);
    RUN(two_see_the_same);
    RUN(a_damaged_header_is_rejected);
    RUN(what_is_no_segment_is_rejected);
}
