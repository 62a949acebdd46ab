/* main.c - no byte of shared memory is read twice by a call of src/ipc.
 *
 * A number that is checked where it stands and read again may be another one by
 * then.  Each call that reads from the segment is made here on messages of all
 * kinds, with every plain read of the two mappings (the parent's, the worker's)
 * counted by byte; atomic loads are not, whose loops are argued in the sources.
 * Readers that were written wrongly on purpose are found first.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hooks.h"
#include "ipc/requester.h"
#include "ipc/responder.h"
#include "planted.h"

#define CHECK(condition)                                                      \
    do {                                                                      \
        if (!(condition)) {                                                   \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);   \
            exit(1);                                                          \
        }                                                                     \
    } while (0)

/* Count what `call` reads, and make it. */
#define COUNTED(call)                                                         \
    do {                                                                      \
        hooks_begin(#call);                                                   \
        int status_ = (call);                                                 \
        total += hooks_end();                                                 \
        calls++;                                                              \
        CHECK(status_ == 0);                                                  \
    } while (0)

static const struct fc_geometry geometry = {
    .seats = 2, .slots = 16, .stream = 1 << 18, .arena = 1 << 20};

static struct fc_requester parent;
static struct fc_responder worker;
static struct fc_bell bell;
static unsigned total, calls;

static void
open_ends(void)
{
    CHECK(fc_bell_create(&bell) == 0);
    CHECK(fc_requester_create(&parent, &geometry, 1 << 23) == 0);
    CHECK(fc_requester_open(&parent, 0) == 0);
    CHECK(fc_responder_attach(&worker, dup(parent.segment.fd), 0, bell.ring,
                              1 << 23)
          == 0);
    fc_responder_ready(&worker);
    hooks_watch(parent.segment.header, parent.segment.layout.size);
    hooks_watch(worker.segment.header, worker.segment.layout.size);
}

static void
close_ends(void)
{
    hooks_forget();
    fc_responder_detach(&worker);
    fc_requester_destroy(&parent);
    fc_bell_close(&bell);
}

/* A request of so many bytes, and a reply of so many. */
static void
there_and_back(size_t there, size_t back)
{
    size_t most = there > back ? there : back;
    unsigned char *bytes = calloc(most + 1, 1);
    struct fc_part part = {bytes, there};
    struct fc_job job;
    struct fc_reply reply;
    uint32_t index;
    CHECK(bytes != NULL);
    COUNTED(fc_requester_send(&parent, &part, 1, 0, 1, bytes, &index));
    COUNTED(fc_responder_take(&worker, &job));
    CHECK(job.size == there || job.block.length == there);
    hooks_begin("fc_responder_done");
    fc_responder_done(&worker, &job);
    total += hooks_end();
    part.size = back;
    COUNTED(fc_responder_reply(&worker, &job, 1, &part, 1, true));
    COUNTED(fc_requester_next(&parent, 0, &reply));
    CHECK(reply.user == bytes && reply.size == back);
    fc_requester_recycle(&parent, &reply.block);
    fc_reply_clear(&reply);
    fc_requester_release(&parent, 0);
    free(bytes);
}

static void
a_batch(uint32_t count)
{
    uint32_t *ends = calloc(count, sizeof(*ends));
    unsigned char *bytes = calloc(count, 3);
    struct fc_job job;
    struct fc_batch_view view;
    struct fc_reply reply;
    uint32_t index;
    CHECK(ends != NULL && bytes != NULL);
    for (uint32_t i = 0; i < count; i++) {
        ends[i] = 3 * (i + 1);
    }
    COUNTED(fc_requester_send_batch(&parent, count, ends, bytes, 3 * count, 0,
                                    2, bytes, &index));
    COUNTED(fc_responder_take(&worker, &job));
    COUNTED(fc_responder_open(&worker, &job, &view));
    for (uint32_t i = 0; i < count; i++) {
        uint64_t size;
        hooks_begin("fc_responder_claim");
        CHECK(fc_responder_claim(&worker, &job, &view) == (int)i);
        total += hooks_end();
        hooks_begin("fc_batch_item");
        CHECK(fc_batch_item(&view, i, &size) != NULL && size == 3);
        total += hooks_end();
        fc_batch_store(&view, i, FC_CELL_NONE, 0);
    }
    CHECK(fc_batch_leave(&view, count));
    COUNTED(fc_responder_say(&worker, &job, 3, NULL, 0));
    COUNTED(fc_requester_next(&parent, 0, &reply));
    CHECK(reply.part && reply.kind == 3);
    CHECK(fc_requester_forget(&parent, index) == bytes);
    fc_requester_release(&parent, 0);
    free(ends);
    free(bytes);
}

static void
functions(void)
{
    uint64_t size;
    CHECK(fc_requester_define(&parent, "function", 8) == 1);
    hooks_begin("fc_function_bytes");
    CHECK(fc_function_bytes(&worker.segment, 1, &size) != NULL && size == 8);
    total += hooks_end();
    hooks_begin("fc_segment_attach");
    struct fc_segment other;
    CHECK(fc_segment_attach(&other, dup(parent.segment.fd)) == 0);
    total += hooks_end();
    fc_segment_detach(&other);
}

/* What is written wrongly is found, or nothing here means anything. */
static void
planted(void)
{
    struct fc_slot *slot = &parent.segment.slots[3];
    unsigned char bytes[FC_INLINE];
    slot->length = 5;
    slot->kind = 1;
    hooks_quiet = 1;
    hooks_begin("planted_length");
    CHECK(planted_length(slot, bytes) == 5);
    CHECK(hooks_end() == 3 && hooks_twice == sizeof(slot->length));
    hooks_twice = 0;
    hooks_begin("planted_copy");
    CHECK(planted_copy(slot) == 0);
    CHECK(hooks_end() == 2 && hooks_twice == sizeof(slot->kind));
    hooks_twice = 0;
    hooks_quiet = 0;
}

int
main(void)
{
    static const size_t sizes[] = {0,     1,     88,    104,    105,
                                   5000,  65535, 65536, 65537,  200000,
                                   1 << 20};
    open_ends();
    planted();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        for (size_t j = 0; j < sizeof(sizes) / sizeof(*sizes); j++) {
            there_and_back(sizes[i], sizes[j]);
        }
    }
    a_batch(1);
    a_batch(2);
    a_batch(1000);
    functions();
    close_ends();
    if (hooks_twice > 0) {
        printf("%u bytes were read twice\n", hooks_twice);
        return 1;
    }
    CHECK(total > 500);
    printf("proved: none of %u calls reads a byte of shared memory twice "
           "(%u reads)\n", calls, total);
    return 0;
}
