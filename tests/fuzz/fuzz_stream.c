/* fuzz_stream.c - both ends of one stream whose other end is mad.
 *
 * The consumer reads frames that the input has written into the ring, with
 * counters of its own choice; the producer writes into a ring whose consumer
 * says nonsense about what he has read.
 *
 *     input   | start | operations ... |
 */
#include <errno.h>
#include <string.h>

#include "ipc/stream.h"
#include "kit.h"

static const struct fc_geometry geometry = {
    .seats = 1, .slots = 2, .stream = 4096, .arena = 65536};

static struct fc_segment segment;
static struct fc_producer producer;
static struct fc_consumer consumer;
static struct fc_message message;

/* Write a frame where the next one is looked for, or elsewhere. */
static void
put_frame(struct fuzz_input *in)
{
    unsigned char *ring = fc_segment_stream(&segment, 0, FC_TO_PARENT);
    uint8_t how = fuzz_byte(in);
    struct fc_frame_head head = {
        .size = fuzz_short(in), .tag = fuzz_byte(in)};
    head.kind = how & 1 ? FC_FRAME_SKIP : fuzz_byte(in);
    head.rest = fuzz_number(in, how & 2 ? 8 : 2);
    if (how & 4) {
        head.size *= 0x10001;
    }
    struct fc_stream_state *state = &segment.seats[0].streams[FC_TO_PARENT];
    uint64_t at = state->written & (geometry.stream - 1);
    uint64_t room = geometry.stream - at;
    memcpy(ring + at, &head, room < sizeof(head) ? room : sizeof(head));
    uint64_t whole = (sizeof(head) + head.size + 7) / 8 * 8;
    if (how & 8) {
        whole = fuzz_short(in);
    }
    else if (how & 1) {
        whole = head.size;
    }
    state->written += whole;
}

static void
consume(void)
{
    const unsigned char *ring = fc_segment_stream(&segment, 0, FC_TO_PARENT);
    struct fc_frame frame;
    fuzz_call();
    (void)fc_consumer_ready(&consumer);
    int error = fc_consumer_next(&consumer, &frame);
    MUST(error == 0 || error == EAGAIN || error == EBADMSG);
    if (error != 0) {
        return;
    }
    MUST(frame.size <= fc_frame_most(&segment));
    MUST(frame.bytes >= ring + sizeof(struct fc_frame_head)
         && frame.bytes + frame.size <= ring + geometry.stream);
    MUST(frame.kind != FC_FRAME_SKIP);
    fuzz_look_at(frame.bytes, frame.size);
    uint64_t had = message.have;
    fuzz_call();
    error = fc_message_add(&message, &frame);
    MUST(error == 0 || error == EAGAIN || error == EBADMSG
         || error == ENOMEM);
    MUST((error == 0 || error == EAGAIN) == (message.bytes != NULL));
    if (message.bytes != NULL) {
        MUST(message.have >= had && message.have <= message.size);
        MUST(error == EAGAIN || message.have == message.size);
        fuzz_look_at(message.bytes, message.have);
    }
    if (error == 0) {
        fc_message_clear(&message);
    }
}

static void
produce(struct fuzz_input *in)
{
    uint32_t most = fc_frame_most(&segment);
    uint32_t size = fuzz_short(in) % (most + 1);
    fuzz_call();
    unsigned char *room = fc_producer_begin(&producer, size);
    if (room != NULL) {
        /* What the consumer has not read, as far as he has said, stays. */
        MUST(producer.written - producer.read + size < producer.size);
        memset(room, 1, size);
        fc_producer_publish(&producer, size, 1, 2, fuzz_byte(in));
    }
    (void)fc_producer_is_read(&producer);
    (void)fc_producer_park(&producer, size, FC_FOREVER);
}

static void
do_next(struct fuzz_input *in)
{
    switch (fuzz_byte(in) % 8) {
    case 0:
    case 1:
        put_frame(in);
        break;
    case 2:
        fuzz_scribble(in);
        break;
    case 3:
        fuzz_intrude(in);
        break;
    case 4:
        produce(in);
        break;
    case 5:
        fc_consumer_release(&consumer);
        break;
    default:
        consume();
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input_of(data, size);
    MUST(fc_segment_create(&segment, &geometry) == 0);
    /* Whose seat this was before may have left anything. */
    for (int i = 0; i < 2; i++) {
        struct fc_stream_state *state = &segment.seats[0].streams[i];
        state->read = fuzz_number(&in, 3);
        state->written = state->read + fuzz_number(&in, 2);
    }
    fc_consumer_init(&consumer, &segment, 0, FC_TO_PARENT);
    fc_producer_init(&producer, &segment, 0, FC_TO_WORKER);
    for (int i = 0; i < 200 && in.at < in.end; i++) {
        do_next(&in);
    }
    fc_message_clear(&message);
    fc_segment_detach(&segment);
    return 0;
}
