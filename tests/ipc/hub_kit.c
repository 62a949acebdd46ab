/* hub_kit.c - see hub_kit.h. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "hub_kit.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "ipc/idle.h"
#include "ipc/responder.h"

const struct fc_geometry kit_geometry = {
    .seats = KIT_WORKERS, .slots = 16, .stream = 4096, .arena = 65536};

/* --- the worker ----------------------------------------------------------- */

static int
answer(struct fc_responder *w, struct fc_job *job)
{
    uint64_t number = 0;
    CHECK(job->size == sizeof(number));
    memcpy(&number, job->bytes, sizeof(number));
    number++;
    if (job->kind == KIT_PAUSE) {
        check_sleep_us(50);
    }
    fc_responder_done(w, job);
    bool last = job->kind == KIT_LEAVE;
    if (last) {
        fc_responder_leave(w);
    }
    struct fc_part part = {&number, sizeof(number)};
    return fc_responder_reply(w, job, job->kind, &part, 1, !last);
}

static int
serve(struct fc_responder *w)
{
    for (;;) {
        struct fc_job job;
        int error = fc_responder_take(w, &job);
        if (error == EAGAIN) {
            error = fc_responder_linger(w) ? 0 : fc_responder_idle(w);
        }
        else if (error == 0) {
            error = answer(w, &job);
            if (error == 0 && job.kind == KIT_LEAVE) {
                return ESHUTDOWN;
            }
        }
        if (error != 0 && error != EINTR) {
            return error;
        }
    }
}

struct seat {
    struct fc_hub *hub;
    uint32_t seat;
};

static void
work(void *arg)
{
    struct seat *seat = arg;
    struct fc_responder w;
    CHECK(fc_responder_attach(&w, dup(seat->hub->requester.segment.fd),
                              seat->seat, seat->hub->bell.ring, 1 << 20)
          == 0);
    fc_responder_ready(&w);
    CHECK(serve(&w) == ESHUTDOWN);
    fc_responder_detach(&w);
}

/* --- its life ------------------------------------------------------------- */

uint32_t
kit_start_worker(struct kit *k)
{
    int error = 0;
    fc_lock_take(&k->hub->lock);
    int seat = fc_hub_open_seat(k->hub, &error);
    fc_lock_give(&k->hub->lock);
    CHECK(seat >= 0 && error == 0);
    struct seat arg = {k->hub, (uint32_t)seat};
    k->pids[seat] = check_fork(work, &arg);
    return (uint32_t)seat;
}

void
kit_open(struct kit *k, unsigned workers)
{
    int error = 0;
    memset(k, 0, sizeof(*k));
    k->hub = fc_hub_new(&kit_geometry, 1 << 20, &error);
    CHECK(k->hub != NULL);
    for (unsigned i = 0; i < workers; i++) {
        (void)kit_start_worker(k);
    }
}

void
kit_bury(struct kit *k, uint32_t seat)
{
    CHECK(check_wait(k->pids[seat]) == 0);
    k->pids[seat] = 0;
    fc_lock_take(&k->hub->lock);
    fc_hub_close_seat(k->hub, seat);
    fc_lock_give(&k->hub->lock);
}

void
kit_close(struct kit *k)
{
    CHECK(k->unfinished == 0);
    fc_idle_close(&k->hub->requester.segment);
    for (uint32_t i = 0; i < KIT_WORKERS; i++) {
        if (k->pids[i] != 0) {
            kit_bury(k, i);
        }
    }
    fc_hub_unref(k->hub);
}

/* --- calls ---------------------------------------------------------------- */

static int
try_to_send(struct kit *k, struct call *call, uint16_t kind)
{
    struct fc_part part = {&call->number, sizeof(call->number)};
    uint32_t index;
    fc_lock_take(&k->hub->lock);
    int error = fc_requester_send(&k->hub->requester, &part, 1, 0, kind, call,
                                  &index);
    /* Somebody has to hear of the reply, which may be there by now. */
    if (error == 0 && !k->hub->led && !k->hub->listening
        && !fc_hub_listen(k->hub)) {
        fc_hub_ring(k->hub);
    }
    fc_lock_give(&k->hub->lock);
    return error;
}

void
kit_send(struct kit *k, struct call *call, uint16_t kind)
{
    int error;
    call->answer = 0;
    if (call->group != NULL) {
        fc_group_ref(call->group); /* whoever completes it lets go */
    }
    atomic_fetch_add(&k->unfinished, 1);
    while ((error = try_to_send(k, call, kind)) == EAGAIN) {
        if (kit_fetch(k) == 0) {
            check_sleep_us(20);
        }
    }
    CHECK(error == 0);
}

struct batch {
    unsigned count;
    struct {
        struct call *call;
        uint64_t answer;
    } items[8]; /* few, so that batches are often full */
};

static void
fetch_seat(struct kit *k, uint32_t seat, struct batch *b)
{
    struct fc_requester *r = &k->hub->requester;
    while (b->count < 8) {
        struct fc_reply reply;
        int error = fc_requester_next(r, seat, &reply);
        if (error != 0) {
            CHECK(error == EAGAIN);
            break;
        }
        CHECK(reply.size == sizeof(uint64_t));
        b->items[b->count].call = reply.user;
        memcpy(&b->items[b->count].answer, reply.bytes, sizeof(uint64_t));
        b->count++;
        fc_reply_clear(&reply);
    }
    fc_requester_release(r, seat);
}

static void
end_call(struct kit *k, struct call *call, uint64_t answered)
{
    struct fc_group *group = call->group;
    CHECK(answered == call->number + 1);
    /* Once. */
    CHECK(atomic_exchange(&call->answer, answered) == 0);
    atomic_fetch_add(&k->answered, 1);
    atomic_fetch_sub(&k->unfinished, 1);
    if (group != NULL) {
        /* The call is its owner's from here on. */
        if (fc_group_complete(group)) {
            fc_group_wake(group);
        }
        fc_group_unref(group);
    }
}

unsigned
kit_fetch(struct kit *k)
{
    unsigned total = 0;
    struct batch b;
    do {
        b.count = 0;
        fc_lock_take(&k->hub->lock);
        for (uint32_t seat = 0; seat < k->hub->seats_used; seat++) {
            if (fc_requester_ready(&k->hub->requester, seat)) {
                fetch_seat(k, seat, &b);
            }
        }
        fc_lock_give(&k->hub->lock);
        for (unsigned i = 0; i < b.count; i++) {
            end_call(k, b.items[i].call, b.items[i].answer);
        }
        total += b.count;
    } while (b.count == 8);
    return total;
}

/* --- waiting -------------------------------------------------------------- */

enum fc_park_result
kit_sleep(struct fc_hub *hub, struct fc_group *group, int64_t deadline_ns,
          int peer_cpu)
{
    return fc_hub_sleep(hub, group, NULL, deadline_ns, peer_cpu);
}

static bool
lead(struct kit *k, struct fc_group *group, int64_t deadline_ns)
{
    for (;;) {
        (void)kit_fetch(k);
        if (fc_group_fired(group)) {
            return true;
        }
        if (deadline_ns != FC_FOREVER && fc_now_ns() >= deadline_ns) {
            return false;
        }
        int cpu = atomic_load_explicit(
            &k->hub->requester.segment.header->worker_cpu,
            memory_order_relaxed);
        (void)kit_sleep(k->hub, group, deadline_ns, cpu);
    }
}

bool
kit_wait(struct kit *k, struct fc_group *group, int64_t deadline_ns)
{
    fc_lock_take(&k->hub->lock);
    bool leads = fc_hub_lead(k->hub);
    fc_lock_give(&k->hub->lock);
    if (!leads) {
        enum fc_group_result result;
        do {
            result = fc_group_wait(group, deadline_ns, -1);
        } while (result == FC_GROUP_INTERRUPTED);
        return result == FC_GROUP_FIRED;
    }
    bool fired = lead(k, group, deadline_ns);
    fc_lock_take(&k->hub->lock);
    fc_hub_leave(k->hub, k->unfinished > 0);
    fc_lock_give(&k->hub->lock);
    return fired;
}

/* --- the pool's thread ---------------------------------------------------- */

static void
poll_the_bell(void *arg)
{
    struct kit *k = arg;
    struct pollfd bell = {.fd = k->hub->bell.listen, .events = POLLIN};
    while (!k->stop) {
        k->polled += kit_fetch(k);
        fc_lock_take(&k->hub->lock);
        bool nothing = fc_hub_listen(k->hub);
        fc_lock_give(&k->hub->lock);
        if (nothing && !k->stop) {
            while (poll(&bell, 1, -1) < 0 && errno == EINTR) {
            }
            fc_bell_silence(bell.fd);
        }
    }
}

void
kit_start_poller(struct kit *k)
{
    k->stop = false;
    check_spawn(&k->thread, poll_the_bell, k);
}

void
kit_stop_poller(struct kit *k)
{
    k->stop = true;
    fc_hub_ring(k->hub);
    check_join(&k->thread);
}
