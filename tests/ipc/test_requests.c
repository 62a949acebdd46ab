/* test_requests.c - the ring of requests: order, cancellation, reuse, and many
 * takers at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "ipc/requests.h"

#define SLOTS 16

static const struct fc_geometry small = {
    .seats = 8, .slots = SLOTS, .stream = 4096, .arena = 65536};

static struct fc_segment segment;
static struct fc_sender sender;

static void
open_ring(const struct fc_geometry *g)
{
    CHECK(fc_segment_create(&segment, g) == 0);
    CHECK(fc_sender_init(&sender, &segment) == 0);
}

static void
close_ring(void)
{
    fc_sender_destroy(&sender);
    fc_segment_detach(&segment);
}

/* Publish a request that carries `value`; its slot, or UINT32_MAX. */
static uint32_t
publish(uint32_t value)
{
    uint32_t index;
    int error;
    struct fc_slot *slot = fc_sender_begin(&sender, &index, &error);
    if (slot == NULL) {
        CHECK(error == EAGAIN);
        return UINT32_MAX;
    }
    slot->function = value;
    slot->kind = 1;
    slot->length = sizeof(value);
    memcpy(slot->data, &value, sizeof(value));
    fc_sender_publish(&sender, index);
    return index;
}

static uint32_t
take(uint32_t seat)
{
    struct fc_taken taken;
    int error = fc_requests_take(&segment, seat, &taken);
    if (error != 0) {
        CHECK(error == EAGAIN);
        return UINT32_MAX;
    }
    uint32_t value;
    memcpy(&value, taken.data, sizeof(value));
    CHECK(value == taken.function && taken.length == sizeof(value));
    CHECK(fc_sender_taken(&sender, taken.index));
    CHECK(fc_sender_taken_by(&sender, taken.index, taken.position, seat));
    CHECK(!fc_sender_taken_by(&sender, taken.index, taken.position,
                              seat + 1));
    CHECK(!fc_sender_taken_by(&sender, taken.index, taken.position + 1,
                              seat));
    return value;
}

static void
they_come_out_in_order(void)
{
    open_ring(&small);
    uint32_t next = 0, expected = 0;
    for (int round = 0; round < 50; round++) {
        uint32_t slots[SLOTS];
        int many = 1 + round % SLOTS;
        for (int i = 0; i < many; i++) {
            slots[i] = publish(next++);
            CHECK(!fc_sender_taken(&sender, slots[i]));
        }
        CHECK(fc_sender_waiting(&sender) == (uint64_t)many);
        CHECK(fc_requests_waiting(&segment));
        for (int i = 0; i < many; i++) {
            CHECK(take((uint32_t)i % 8) == expected++);
        }
        CHECK(!fc_requests_waiting(&segment));
        CHECK(take(0) == UINT32_MAX);
        for (int i = 0; i < many; i++) {
            fc_sender_finish(&sender, slots[i]);
        }
    }
    close_ring();
}

static void
a_full_ring_takes_no_more(void)
{
    open_ring(&small);
    uint32_t slots[SLOTS];
    for (uint32_t i = 0; i < SLOTS; i++) {
        slots[i] = publish(i);
        CHECK(slots[i] != UINT32_MAX);
    }
    CHECK(publish(99) == UINT32_MAX);
    CHECK(take(0) == 0);
    /* Taken: its place is free, its slot is not before the result is there. */
    CHECK(publish(99) == UINT32_MAX);
    fc_sender_finish(&sender, slots[0]);
    CHECK(publish(99) != UINT32_MAX);
    close_ring();
}

/* The sender looks at the head of a full ring for one that was cancelled. */
static void
a_full_ring_that_somebody_has_scribbled_over(void)
{
    open_ring(&small);
    for (uint32_t i = 0; i < SLOTS; i++) {
        CHECK(publish(i) == i);
    }
    CHECK(fc_sender_cancel(&sender, 0));
    segment.ring[0] ^= UINT64_C(1) << 20;
    uint32_t index;
    int error = 0;
    CHECK(fc_sender_begin(&sender, &index, &error) == NULL);
    CHECK(error == EBADMSG);
    close_ring();
}

/* One that runs for ever does not keep the ring from going round. */
static void
a_long_request_keeps_its_slot_alone(void)
{
    open_ring(&small);
    uint32_t first = publish(7);
    CHECK(take(0) == 7);
    for (uint32_t i = 0; i < 10 * SLOTS; i++) {
        uint32_t index = publish(i);
        CHECK(index != UINT32_MAX && index != first);
        CHECK(take(1) == i);
        fc_sender_finish(&sender, index);
    }
    CHECK(fc_sender_taken_by(&sender, first, 0, 0));
    close_ring();
}

static void
a_cancelled_one_is_passed_over(void)
{
    open_ring(&small);
    uint32_t slots[4];
    for (uint32_t i = 0; i < 4; i++) {
        slots[i] = publish(i);
    }
    CHECK(take(0) == 0);
    CHECK(!fc_sender_cancel(&sender, slots[0]));
    CHECK(fc_sender_cancel(&sender, slots[1]));
    CHECK(!fc_sender_cancel(&sender, slots[1]));
    CHECK(fc_sender_cancel(&sender, slots[3]));
    CHECK(take(0) == 2);
    CHECK(take(0) == UINT32_MAX);
    CHECK(!fc_requests_waiting(&segment));
    close_ring();
}

/* Nobody takes anything, and all are cancelled: there is room again. */
static void
cancelling_makes_room(void)
{
    open_ring(&small);
    for (uint32_t i = 0; i < 10 * SLOTS; i++) {
        uint32_t index = publish(i);
        CHECK(index != UINT32_MAX);
        CHECK(fc_sender_cancel(&sender, index));
    }
    CHECK(publish(5) != UINT32_MAX);
    CHECK(take(0) == 5);
    close_ring();
}

static void
one_that_is_abandoned_never_was(void)
{
    open_ring(&small);
    for (uint32_t i = 0; i < 3 * SLOTS; i++) {
        uint32_t index;
        int error;
        CHECK(fc_sender_begin(&sender, &index, &error) != NULL);
        fc_sender_abandon(&sender, index);
    }
    CHECK(take(0) == UINT32_MAX);
    CHECK(publish(1) != UINT32_MAX);
    CHECK(take(0) == 1);
    close_ring();
}

static const struct fc_geometry large = {
    .seats = 8, .slots = 1024, .stream = 4096, .arena = 65536};

static void
slots_are_opened_when_none_is_free(void)
{
    open_ring(&large);
    uint32_t first = sender.opened;
    CHECK(first < 1024);
    for (uint32_t i = 0; i < 4 * first; i++) {
        uint32_t index = publish(i);
        CHECK(take(0) == i);
        fc_sender_finish(&sender, index);
    }
    CHECK(sender.opened == first);
    for (uint32_t i = 0; i < 1024; i++) {
        CHECK(publish(i) != UINT32_MAX);
        CHECK(sender.opened > i && sender.opened <= 1024);
    }
    CHECK(publish(1024) == UINT32_MAX);
    for (uint32_t i = 0; i < 1024; i++) {
        CHECK(take(0) == i);
    }
    close_ring();
}

/* Then the pool goes on with those that it has. */
static void
slots_that_memory_is_refused_for(void)
{
    open_ring(&large);
    uint32_t first = sender.opened, index = 0;
    int fd = segment.fd;
    segment.fd = -1;
    for (uint32_t i = 0; i < first; i++) {
        index = publish(i);
        CHECK(index != UINT32_MAX);
    }
    CHECK(!fc_sender_has_room(&sender));
    CHECK(publish(first) == UINT32_MAX);
    CHECK(!fc_sender_is_at(&sender, first, 0));
    CHECK(!fc_sender_taken_by(&sender, first, 0, 0));
    for (uint32_t i = 0; i < first; i++) {
        CHECK(take(0) == i);
    }
    fc_sender_finish(&sender, index);
    CHECK(publish(first) == index);
    CHECK(publish(first + 1) == UINT32_MAX);
    segment.fd = fd;
    CHECK(publish(first + 1) != UINT32_MAX);
    CHECK(take(0) == first);
    CHECK(take(0) == first + 1);
    close_ring();
}

static void
no_memory_is_an_error(void)
{
    CHECK(fc_segment_create(&segment, &small) == 0);
    shim_fail_every = 1;
    CHECK(fc_sender_init(&sender, &segment) == ENOMEM);
    shim_fail_every = 0;
    fc_segment_detach(&segment);
}

/* --- stress: one sender, several takers, some of what is sent is cancelled */

#define TAKERS 4

static uint64_t many;
static _Atomic(uint8_t) *fates; /* 1 taken, 2 cancelled */
static _Atomic(uint64_t) *done; /* by slot: 1 + the value that is done */
static atomic_bool stop;
static bool delays;

struct taker {
    struct check_thread thread;
    uint32_t seat;
    uint64_t count;
};

static void
keep_taking(void *arg)
{
    struct taker *t = arg;
    struct check_random r = check_random_new(t->seat + 10);
    uint64_t last = 0;
    for (;;) {
        struct fc_taken taken;
        int error = fc_requests_take(&segment, t->seat, &taken);
        if (error == EAGAIN) {
            if (atomic_load(&stop)) {
                return;
            }
            check_random_delay(&r);
            continue;
        }
        CHECK(error == 0);
        uint64_t value;
        memcpy(&value, taken.data, sizeof(value));
        /* In order, as far as one taker sees. */
        CHECK(value >= last);
        last = value;
        CHECK(atomic_fetch_add(&fates[value], 1) == 0);
        t->count++;
        if (delays) {
            check_random_delay(&r);
        }
        atomic_store_explicit(&done[taken.index], value + 1,
                              memory_order_release);
    }
}

static void
stress(bool with_delays)
{
    const struct fc_geometry g = {
        .seats = TAKERS, .slots = 64, .stream = 4096, .arena = 65536};
    struct check_random r = check_random_new(with_delays);
    struct taker takers[TAKERS];
    uint64_t values[64];
    uint64_t cancelled = 0, finished = 0;
    many = check_size(with_delays ? 20000 : 200000);
    delays = with_delays;
    stop = false;
    fates = calloc(many, sizeof(*fates));
    done = calloc(64, sizeof(*done));
    open_ring(&g);
    for (uint32_t i = 0; i < 64; i++) {
        values[i] = UINT64_MAX;
    }
    for (uint32_t i = 0; i < TAKERS; i++) {
        takers[i] = (struct taker){.seat = i};
        check_spawn(&takers[i].thread, keep_taking, &takers[i]);
    }
    uint64_t sent = 0;
    while (sent < many || finished + cancelled < many) {
        uint32_t index;
        int error;
        struct fc_slot *slot =
            sent < many ? fc_sender_begin(&sender, &index, &error) : NULL;
        if (slot != NULL) {
            slot->length = sizeof(sent);
            memcpy(slot->data, &sent, sizeof(sent));
            values[index] = sent++;
            fc_sender_publish(&sender, index);
        }
        if (check_random_below(&r, 8) == 0) {
            uint32_t victim = (uint32_t)check_random_below(&r, 64);
            if (fc_sender_cancel(&sender, victim)) {
                CHECK(atomic_fetch_add(&fates[values[victim]], 2) == 0);
                values[victim] = UINT64_MAX;
                cancelled++;
            }
        }
        for (uint32_t i = 0; i < 64; i++) {
            if (values[i] != UINT64_MAX
                && atomic_load_explicit(&done[i], memory_order_acquire)
                       == values[i] + 1) {
                values[i] = UINT64_MAX;
                fc_sender_finish(&sender, i);
                finished++;
            }
        }
    }
    stop = true;
    uint64_t taken = 0;
    for (uint32_t i = 0; i < TAKERS; i++) {
        check_join(&takers[i].thread);
        taken += takers[i].count;
    }
    CHECK(taken == finished && taken + cancelled == many);
    for (uint64_t i = 0; i < many; i++) {
        CHECK(fates[i] == 1 || fates[i] == 2);
    }
    close_ring();
    free((void *)fates);
    free((void *)done);
}

static void
stress_takers(void)
{
    stress(false);
}

static void
stress_takers_with_delays(void)
{
    stress(true);
}

void
test_requests(void)
{
    RUN(they_come_out_in_order);
    RUN(a_full_ring_takes_no_more);
    RUN(a_full_ring_that_somebody_has_scribbled_over);
    RUN(a_long_request_keeps_its_slot_alone);
    RUN(a_cancelled_one_is_passed_over);
    RUN(cancelling_makes_room);
    RUN(one_that_is_abandoned_never_was);
    RUN(slots_are_opened_when_none_is_free);
    RUN(slots_that_memory_is_refused_for);
    RUN(no_memory_is_an_error);
    RUN(stress_takers);
    RUN(stress_takers_with_delays);
}
