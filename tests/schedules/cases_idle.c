/* cases_idle.c - the part of src/ipc by which workers take requests, sleep and are
 * woken: requests.h and idle.h.
 */
#include "segment_kit.h"

#include <errno.h>
#include <string.h>

static uint8_t served[SLOTS * 2], cancelled[SLOTS * 2];
static _Atomic(uint32_t) served_words[SLOTS * 2]; /* the same, to wait for */
static int sent;

static void
begin_slots(uint32_t slots)
{
    segment_begin(slots);
    memset(served, 0, sizeof(served));
    memset(cancelled, 0, sizeof(cancelled));
    for (int i = 0; i < SLOTS * 2; i++) {
        atomic_init(&served_words[i], 0);
    }
    sent = 0;
}

static void
begin(void)
{
    begin_slots(SLOTS);
}

static void
begin_1_slot(void)
{
    begin_slots(1);
}

static void
end(void)
{
    for (int i = 0; i < sent; i++) {
        DEMAND(served[i] + cancelled[i] == 1);
    }
    segment_end();
}

/* --- requests and workers that park ------------------------------------------ */

/* The parent: publish, then see who sleeps. */
static uint32_t
send(void)
{
    uint32_t index;
    int error;
    struct fc_slot *slot = fc_sender_begin(&sender, &index, &error);
    DEMAND(slot != NULL);
    slot->function = (uint32_t)sent++;
    slot->length = 0;
    fc_sender_publish(&sender, index);
    fc_idle_wake(&segment);
    return index;
}

static void
send_1(void)
{
    (void)send();
}

static void
send_1_close(void)
{
    (void)send();
    fc_idle_close(&segment);
}

static void
send_2_close(void)
{
    (void)send();
    (void)send();
    fc_idle_close(&segment);
}

static void
serve(const struct fc_taken *taken)
{
    DEMAND(++served[taken->function] == 1);
    atomic_store(&served_words[taken->function], 1);
}

/* As fc_responder_take(): whoever takes one while there are more wakes the
 * next worker. */
static bool
take_and_serve(uint32_t seat)
{
    struct fc_taken taken;
    int error = fc_requests_take(&segment, seat, &taken);
    DEMAND(error == 0 || error == EAGAIN);
    if (error != 0) {
        return false;
    }
    if (fc_requests_waiting(&segment)) {
        fc_idle_wake(&segment);
    }
    serve(&taken);
    return true;
}

static uint32_t
my_seat(void)
{
    return (uint32_t)schedule_me() - 1;
}

static void
work_until_closed(void)
{
    for (;;) {
        if (take_and_serve(my_seat())) {
            continue;
        }
        if (fc_idle_closing(&segment)) {
            while (take_and_serve(my_seat())) {
            }
            return;
        }
        (void)fc_idle_park(&segment, my_seat(), FC_FOREVER);
    }
}

/* Nobody closes: it has to be woken for its request. */
static void
work_one(void)
{
    while (!take_and_serve(my_seat())) {
        (void)fc_idle_park(&segment, my_seat(), FC_FOREVER);
    }
}

/* With a deadline the first time: he who is woken as it passes has been told. */
static void
work_one_after_a_nap(void)
{
    if (take_and_serve(my_seat())) {
        return;
    }
    if (fc_idle_park(&segment, my_seat(), 1) == FC_PARK_WOKEN) {
        DEMAND(fc_requests_waiting(&segment));
    }
    work_one();
}

/* Naps, and goes when nobody has woken it; one who was woken looks first. */
static void
nap_and_go(void)
{
    for (;;) {
        if (take_and_serve(my_seat()) || fc_idle_closing(&segment)
            || fc_idle_park(&segment, my_seat(), 1) == FC_PARK_TIMED_OUT) {
            return;
        }
    }
}

/* Until it has been served, by whomever. */
static void
await_served(int number)
{
    while (atomic_load(&served_words[number]) == 0) {
        fc_pause();
    }
}

static void
send_1_await_close(void)
{
    (void)send();
    await_served(0);
    fc_idle_close(&segment);
}

static void
send_2_await_close(void)
{
    (void)send();
    (void)send();
    await_served(0);
    await_served(1);
    fc_idle_close(&segment);
}

static void
send_4_await_close(void)
{
    for (int i = 0; i < 4; i++) {
        (void)send();
    }
    for (int i = 0; i < 4; i++) {
        await_served(i);
    }
    fc_idle_close(&segment);
}

/* One slot for all of them, one after the other. */
static void
send_3_in_turn_close(void)
{
    for (int i = 0; i < 3; i++) {
        uint32_t index = send();
        await_served(i);
        fc_sender_finish(&sender, index);
    }
    fc_idle_close(&segment);
}

static void
send_2(void)
{
    (void)send();
    (void)send();
}

/* Cancels the first one, unless somebody has taken it. */
static void
send_2_cancel_close(void)
{
    uint32_t first = send();
    (void)send();
    if (fc_sender_cancel(&sender, first)) {
        cancelled[0] = 1;
    }
    fc_idle_close(&segment);
}

/* More than there are slots: places of the ring are used again.  `taken` ones
 * are finished here, for there is no stream. */
static void
send_many_close(void)
{
    uint32_t last = send();
    for (int i = 0; i < 4; i++) {
        if (fc_sender_cancel(&sender, last)) {
            cancelled[sent - 1] = 1;
        }
        if (!fc_sender_has_room(&sender)) {
            break;
        }
        uint32_t index;
        int error;
        struct fc_slot *slot = fc_sender_begin(&sender, &index, &error);
        if (slot == NULL) {
            DEMAND(error == EAGAIN);
            break;
        }
        slot->function = (uint32_t)sent++;
        slot->length = 0;
        fc_sender_publish(&sender, index);
        fc_idle_wake(&segment);
        last = index;
    }
    fc_idle_close(&segment);
}

/* A worker that was woken and is dead: the others look. */
static void
die_parking(void)
{
    (void)fc_idle_park(&segment, my_seat(), 1);
    fc_idle_forget(&segment, my_seat());
}

static void
take_1(void)
{
    (void)take_and_serve(my_seat());
}

/* --- workers that count as idle -------------------------------------------------- */

static void
enter_leave(void)
{
    fc_idle_enter(&segment, my_seat());
    fc_idle_leave(&segment, my_seat());
}

static void
enter_leave_enter(void)
{
    enter_leave();
    fc_idle_enter(&segment, my_seat());
}

static void
end_counted(void)
{
    DEMAND(fc_idle_count(&segment) == 1 && fc_idle_is(&segment, 0));
    end();
}

const struct schedule_case idle_cases[] = {
    {"idle/one-each", begin, {work_one, send_1}, end, 0, 5},
    {"idle/closing", begin, {work_until_closed, send_1_close}, end, 0, 4},
    {"idle/two-workers", begin, {work_one, work_one, send_2}, end, 0, 2},
    {"idle/two-closing", begin, {work_until_closed, work_until_closed,
     send_2_close}, end, 0, 1},
    {"idle/nap", begin, {work_one_after_a_nap, send_1}, end, 0, 5},
    {"idle/one-goes", begin, {nap_and_go, work_until_closed,
     send_1_await_close}, end, 0, 2},
    {"idle/chain", begin, {work_until_closed, work_until_closed,
     send_2_await_close}, end, 0, 1},
    {"requests/one-slot", begin_1_slot, {work_until_closed,
     send_3_in_turn_close}, end, 0, 2},
    {"requests/one-slot-two-workers", begin_1_slot, {work_until_closed,
     work_until_closed, send_3_in_turn_close}, end, 0, 1},
    {"idle/large", begin, {nap_and_go, work_until_closed, work_until_closed,
     send_4_await_close}, end, CASE_LARGE | CASE_SPURIOUS, 0},
    {"idle/one-dies", begin, {die_parking, work_one, send_1}, end, 0, 2},
    {"requests/cancelled", begin, {work_until_closed, work_until_closed,
     send_2_cancel_close}, end, 0, 1},
    {"requests/used-again", begin, {work_until_closed, work_until_closed,
     send_many_close}, end, 0, 1},
    {"idle/counted", begin, {enter_leave_enter, enter_leave, enter_leave},
     end_counted, 0, 3},
    {"requests/one-slot-and-a-passer", begin_1_slot, {take_1,
     work_until_closed, send_3_in_turn_close}, end, 0, 2},
    {0},
};
