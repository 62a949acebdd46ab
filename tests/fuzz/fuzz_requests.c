/* fuzz_requests.c - the ring of requests and the table of functions, of which
 * anybody may have written anything; and batches, in memory of just their
 * size.
 *
 *     input   | operations ... |
 */
#include <errno.h>
#include <string.h>

#include "ipc/batches.h"
#include "ipc/functions.h"
#include "ipc/idle.h"
#include "ipc/requests.h"
#include "kit.h"

#define SLOTS 8

static const struct fc_geometry geometry = {
    .seats = 3, .slots = SLOTS, .stream = 4096, .arena = 65536};

static struct fc_segment segment;
static struct fc_sender sender;
static bool begun[SLOTS]; /* requests that the sender has under way */

static void
send_one(struct fuzz_input *in)
{
    uint32_t index = UINT32_MAX;
    int error;
    fuzz_call();
    struct fc_slot *slot = fc_sender_begin(&sender, &index, &error);
    MUST(slot != NULL || error == EAGAIN || error == EBADMSG);
    if (slot == NULL) {
        return;
    }
    MUST(index < SLOTS && slot == &segment.slots[index] && !begun[index]);
    slot->length = fuzz_byte(in);
    slot->function = fuzz_byte(in);
    if (fuzz_byte(in) % 8 == 0) {
        fc_sender_abandon(&sender, index);
        return;
    }
    fc_sender_publish(&sender, index);
    begun[index] = true;
}

static void
end_one(struct fuzz_input *in)
{
    uint32_t index = fuzz_byte(in) % SLOTS;
    if (!begun[index]) {
        return;
    }
    fuzz_call();
    if (fc_sender_cancel(&sender, index)) {
        begun[index] = false;
    }
    else if (fuzz_byte(in) % 2 == 0) {
        fc_sender_finish(&sender, index);
        begun[index] = false;
    }
}

static void
look_at_taken(const struct fc_taken *taken)
{
    MUST(taken->index < SLOTS && taken->length <= FC_INLINE);
    MUST(taken->position < FC_POSITIONS);
    MUST(taken->data == segment.slots[taken->index].data);
    fuzz_look_at(taken->data, taken->length);
    uint64_t size = 0;
    fuzz_call();
    const unsigned char *bytes =
        fc_function_bytes(&segment, taken->function, &size);
    if (bytes != NULL) {
        MUST(bytes >= segment.arena && size <= geometry.arena
             && bytes + size <= segment.arena + geometry.arena);
        fuzz_look_at(bytes, size);
    }
}

static void
take_one(struct fuzz_input *in)
{
    struct fc_taken taken;
    fuzz_call();
    int error = fc_requests_take(&segment, fuzz_byte(in) % 3, &taken);
    MUST(error == 0 || error == EAGAIN || error == EBADMSG);
    if (error == 0) {
        look_at_taken(&taken);
    }
}

static void
look_at_one(struct fuzz_input *in)
{
    struct fc_taken taken;
    uint32_t index = fuzz_byte(in);
    uint64_t position = fuzz_number(in, index & 1 ? 5 : 1);
    fuzz_call();
    if (fc_requests_look(&segment, index >> 1, position, &taken)) {
        look_at_taken(&taken);
    }
    uint64_t where = fuzz_byte(in);
    (void)fc_sender_taken_by(&sender, (uint32_t)where, position, 1);
    (void)fc_sender_is_at(&sender, (uint32_t)where, position);
}

static void
decide(void)
{
    fuzz_call();
    (void)fc_requests_waiting(&segment);
    MUST(fc_sender_waiting(&sender) <= SLOTS);
    (void)fc_idle_count(&segment);
    (void)fc_batches_open(&segment);
    fc_idle_wake(&segment);
}

/* --- batches ----------------------------------------------------------------- */

#define BATCH_MOST 2048

/* A worker goes through a batch that the input has written, or the parent has
 * and the input has damaged. */
static void
go_through_batch(struct fuzz_input *in)
{
    static unsigned char copy[BATCH_MOST];
    static const uint32_t ends[] = {1, 4, 4, 9};
    struct fc_batch_view v;
    uint8_t how = fuzz_byte(in);
    uint64_t size = fuzz_short(in) % BATCH_MOST;
    unsigned char *bytes = aligned_alloc(16, BATCH_MOST);
    MUST(bytes != NULL);
    memset(bytes, 0, BATCH_MOST);
    if (how & 1) {
        size = fc_batch_head(4) + 9;
        fc_batch_write((struct fc_batch *)bytes, 5, 4, ends, "abcdefghi", 9);
    }
    for (unsigned i = how >> 1 & 31; i > 0 && size > 0; i--) {
        bytes[fuzz_short(in) % size] = fuzz_byte(in);
    }
    /* Exactly so large, for the sanitizer; from malloc(), so aligned. */
    memcpy(copy, bytes, size);
    free(bytes);
    bytes = malloc(size > 0 ? size : 1);
    MUST(bytes != NULL);
    memcpy(bytes, copy, size);
    fuzz_share(bytes, size);
    if (how & 64) {
        fuzz_intrude(in);
    }
    fuzz_call();
    if (fc_batch_view(&v, bytes, size, 5)) {
        MUST(v.count > 0 && v.count <= FC_BATCH_MOST);
        uint32_t mine = 0;
        int item;
        while (mine < 50 && (item = fc_batch_claim(&v)) >= 0) {
            MUST((uint32_t)item < v.count);
            uint64_t length = 0;
            fuzz_call();
            const unsigned char *at =
                fc_batch_item(&v, (uint32_t)item, &length);
            MUST(at == NULL
                 || (at >= bytes && at + length <= bytes + size));
            if (at != NULL) {
                fuzz_look_at(at, length);
            }
            fc_batch_store(&v, (uint32_t)item, FC_CELL_INT, 1);
            mine++;
        }
        (void)fc_batch_leave(&v, mine);
    }
    fuzz_share(NULL, 0);
    free(bytes);
}

/* A worker looks for batches by what the seats say. */
static void
find_batches(struct fuzz_input *in)
{
    uint64_t tag;
    fuzz_call();
    for (uint32_t seat = 0; fc_batch_find(&segment, &seat, &tag); seat++) {
        struct fc_taken taken;
        MUST(seat < geometry.seats);
        if (fc_requests_look(&segment, (uint32_t)(tag & 0xffff), tag >> 16,
                             &taken)) {
            look_at_taken(&taken);
        }
        fc_batch_close(&segment, seat, tag);
    }
    fc_batch_open(&segment, 0,
                  (uint64_t)fuzz_byte(in) << 16 | fuzz_byte(in) % SLOTS);
}

static void
do_next(struct fuzz_input *in)
{
    switch (fuzz_byte(in) % 10) {
    case 0:
    case 1:
        send_one(in);
        break;
    case 2:
        end_one(in);
        break;
    case 3:
        fuzz_scribble(in);
        break;
    case 4:
        fuzz_intrude(in);
        break;
    case 5:
        look_at_one(in);
        break;
    case 6:
        decide();
        break;
    case 7:
        go_through_batch(in);
        break;
    case 8:
        find_batches(in);
        break;
    default:
        take_one(in);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = fuzz_input_of(data, size);
    MUST(fc_segment_create(&segment, &geometry) == 0);
    MUST(fc_sender_init(&sender, &segment) == 0);
    memset(begun, 0, sizeof(begun));
    segment.functions[1] = (struct fc_function_entry){256, 10};
    for (int i = 0; i < 200 && in.at < in.end; i++) {
        do_next(&in);
    }
    fc_sender_destroy(&sender);
    fc_segment_detach(&segment);
    return 0;
}
