/* test_stream.c - frames and messages, the ends of the ring, and a producer
 * that waits for room.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "ipc/stream.h"

static const struct fc_geometry small = {
    .seats = 2, .slots = 16, .stream = 4096, .arena = 65536};

static struct fc_segment segment;
static struct fc_producer producer;
static struct fc_consumer consumer;

static void
open_stream(void)
{
    CHECK(fc_segment_create(&segment, &small) == 0);
    CHECK(fc_segment_prepare_seat(&segment, 1) == 0);
    fc_producer_init(&producer, &segment, 1, FC_TO_PARENT);
    fc_consumer_init(&consumer, &segment, 1, FC_TO_PARENT);
}

static void
close_stream(void)
{
    fc_segment_detach(&segment);
}

static unsigned char
byte_of(uint64_t tag, uint64_t i)
{
    return (unsigned char)(tag * 7 + i * 13 + i / 256);
}

static bool
put_frame(uint32_t size, uint64_t tag)
{
    unsigned char *room = fc_producer_begin(&producer, size);
    if (room == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < size; i++) {
        room[i] = byte_of(tag, i);
    }
    fc_producer_publish(&producer, size, (uint16_t)(tag % 100), tag, 0);
    return true;
}

static bool
same_bytes(const unsigned char *bytes, uint64_t size, uint64_t tag)
{
    for (uint64_t i = 0; i < size; i++) {
        if (bytes[i] != byte_of(tag, i)) {
            return false;
        }
    }
    return true;
}

static void
get_frame(uint32_t size, uint64_t tag)
{
    struct fc_frame frame;
    CHECK(fc_consumer_ready(&consumer));
    CHECK(fc_consumer_next(&consumer, &frame) == 0);
    CHECK(frame.size == size && frame.tag == tag && frame.rest == 0);
    CHECK(frame.kind == tag % 100);
    CHECK(same_bytes(frame.bytes, size, tag));
}

/* Every size, so that frames end everywhere in the ring. */
static void
frames_of_every_size(void)
{
    open_stream();
    uint32_t most = fc_frame_most(&segment);
    uint64_t tag = 0;
    for (uint32_t size = 0; size <= most; size++) {
        CHECK(put_frame(size, ++tag));
        get_frame(size, tag);
        struct fc_frame none;
        CHECK(fc_consumer_next(&consumer, &none) == EAGAIN);
        CHECK(!fc_consumer_ready(&consumer));
        fc_consumer_release(&consumer);
    }
    close_stream();
}

static void
what_is_not_released_stays(void)
{
    open_stream();
    uint64_t put = 0, got = 0;
    for (int round = 0; round < 200; round++) {
        uint64_t first = put;
        while (put_frame((uint32_t)(put * 37 % 900), put)) {
            put++;
        }
        CHECK(put > first);
        while (got < put) {
            get_frame((uint32_t)(got * 37 % 900), got);
            got++;
        }
        CHECK(!put_frame(900, 0));
        fc_consumer_release(&consumer);
    }
    close_stream();
}

static void
a_shorter_frame_than_begun(void)
{
    open_stream();
    unsigned char *room = fc_producer_begin(&producer, 500);
    room[0] = byte_of(3, 0);
    fc_producer_publish(&producer, 1, 3, 3, 0);
    get_frame(1, 3);
    close_stream();
}

static void
a_message_in_pieces(void)
{
    open_stream();
    struct fc_message message = {0};
    for (uint64_t size = 1; size < 100000; size = size * 3 + 1) {
        uint64_t sent = 0;
        int error = EAGAIN;
        while (error == EAGAIN) {
            uint64_t left = size - sent;
            uint32_t now = left < 700 ? (uint32_t)left : 700;
            unsigned char *room;
            while (sent < size
                   && (room = fc_producer_begin(&producer, now)) != NULL) {
                for (uint32_t i = 0; i < now; i++) {
                    room[i] = byte_of(size, sent + i);
                }
                sent += now;
                fc_producer_publish(&producer, now, 4, size, size - sent);
                left = size - sent;
                now = left < 700 ? (uint32_t)left : 700;
            }
            struct fc_frame frame;
            while (error == EAGAIN
                   && fc_consumer_next(&consumer, &frame) == 0) {
                error = fc_message_add(&message, &frame);
            }
            fc_consumer_release(&consumer);
        }
        CHECK(error == 0 && message.size == size && message.tag == size);
        CHECK(same_bytes(message.bytes, size, size));
        fc_message_clear(&message);
    }
    close_stream();
}

static void
pieces_that_do_not_fit_together(void)
{
    unsigned char bytes[8] = {0};
    const struct fc_frame good = {
        .bytes = bytes, .size = 8, .rest = 16, .tag = 1, .kind = 2};
    const struct fc_frame bad[] = {
        {.bytes = bytes, .size = 8, .rest = 16, .tag = 1, .kind = 2},
        {.bytes = bytes, .size = 8, .rest = 8, .tag = 2, .kind = 2},
        {.bytes = bytes, .size = 8, .rest = 8, .tag = 1, .kind = 3},
        {.bytes = bytes, .size = 8, .rest = 0, .tag = 1, .kind = 2},
    };
    struct fc_message message = {0};
    for (int i = 0; i < 4; i++) {
        CHECK(fc_message_add(&message, &good) == EAGAIN);
        CHECK(fc_message_add(&message, &bad[i]) == EBADMSG);
        CHECK(message.bytes == NULL);
    }
    const struct fc_frame endless = {
        .bytes = bytes, .size = 8, .rest = UINT64_MAX - 3};
    CHECK(fc_message_add(&message, &endless) == EBADMSG);
    shim_fail_every = 1;
    CHECK(fc_message_add(&message, &good) == ENOMEM);
    shim_fail_every = 0;
    CHECK(message.bytes == NULL);
}

/* What is left before the end of the ring is skipped, by a producer that lies
 * about how much that is. */
static void
a_gap_that_ends_elsewhere(void)
{
    struct fc_frame frame;
    open_stream();
    for (uint64_t tag = 0; tag < 4; tag++) {
        CHECK(put_frame(900, tag));
        get_frame(900, tag);
        fc_consumer_release(&consumer);
    }
    uint64_t at = producer.written;
    CHECK(put_frame(900, 4));
    struct fc_frame_head gap = {0};
    memcpy(&gap, producer.bytes + at, 8);
    CHECK(gap.kind == FC_FRAME_SKIP && gap.size == producer.size - at);
    gap.size -= 8;
    memcpy(producer.bytes + at, &gap, 8);
    CHECK(fc_consumer_next(&consumer, &frame) == EBADMSG);
    close_stream();
}

/* --- stress: both ends, the producer often waits */

static uint64_t frames;
static _Atomic(uint64_t) parked;

static void
produce(void *unused)
{
    (void)unused;
    struct check_random r = check_random_new(20);
    for (uint64_t i = 0; i < frames; i++) {
        uint32_t size = (uint32_t)(i * 31 % 990);
        while (!put_frame(size, i)) {
            atomic_fetch_add(&parked, 1);
            (void)fc_producer_park(&producer, size, FC_FOREVER);
        }
        check_random_delay(&r);
    }
}

/* Whoever begins reads once more where he is to begin: anybody may have written
 * there.  No head reaches over the end of the ring. */
static void
counters_that_somebody_has_written_over(void)
{
    struct fc_stream_state *state;
    struct fc_frame frame;
    open_stream();
    state = &segment.seats[1].streams[FC_TO_PARENT];
    state->read = small.stream - 3;
    state->written = small.stream - 5;
    fc_consumer_init(&consumer, &segment, 1, FC_TO_PARENT);
    fc_producer_init(&producer, &segment, 1, FC_TO_PARENT);
    CHECK(consumer.next == small.stream - 8);
    CHECK(producer.written == small.stream - 8);
    CHECK(fc_consumer_next(&consumer, &frame) == EBADMSG);
    close_stream();
}

static void
stress_stream(void)
{
    struct check_thread thread;
    struct check_random r = check_random_new(21);
    frames = check_size(200000);
    open_stream();
    check_spawn(&thread, produce, NULL);
    for (uint64_t i = 0; i < frames; i++) {
        while (!fc_consumer_ready(&consumer)) {
            fc_consumer_release(&consumer);
            fc_pause();
        }
        get_frame((uint32_t)(i * 31 % 990), i);
        if (check_random_below(&r, 50) == 0) {
            fc_consumer_release(&consumer);
        }
        check_random_delay(&r);
    }
    check_join(&thread);
    CHECK(parked > 0);
    close_stream();
}

void
test_stream(void)
{
    RUN(frames_of_every_size);
    RUN(what_is_not_released_stays);
    RUN(a_shorter_frame_than_begun);
    RUN(a_message_in_pieces);
    RUN(pieces_that_do_not_fit_together);
    RUN(counters_that_somebody_has_written_over);
    RUN(a_gap_that_ends_elsewhere);
    RUN(stress_stream);
}
