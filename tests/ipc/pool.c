/* pool.c - see pool.h. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "pool.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "ipc/idle.h"
#include "ipc/responder.h"
#include "kill.h"

const struct fc_geometry pool_geometry = {
    .seats = POOL_WORKERS, .slots = POOL_SLOTS, .stream = 16384,
    .arena = 4 * 65536};

/* --- the worker --------------------------------------------------------- */

static unsigned char
pattern(uint64_t i)
{
    return (unsigned char)(i * 31 + i / 256);
}

static const unsigned char *
bytes_of(struct fc_responder *w, const struct fc_job *job, void **mapped)
{
    *mapped = NULL;
    if (job->block.size == 0) {
        return job->bytes;
    }
    *mapped = fc_memory_map(w->segment.fd, job->block.offset,
                            job->block.size, FC_MAP_PRIVATE);
    CHECK(*mapped != NULL);
    return *mapped;
}

static int
answer(struct fc_responder *w, struct fc_job *job)
{
    void *mapped;
    const unsigned char *bytes = bytes_of(w, job, &mapped);
    uint64_t size = job->size;
    if (job->kind == POOL_MAKE) {
        memcpy(&size, bytes, sizeof(size));
    }
    if (job->kind == POOL_SHORT) {
        size = 1;
    }
    unsigned char *reply = malloc(size > 0 ? (size_t)size : 1);
    for (uint64_t i = 0; i < size; i++) {
        reply[i] = job->kind == POOL_MAKE ? pattern(i)
                                          : (unsigned char)(bytes[i] + 1);
    }
    if (mapped != NULL) {
        fc_memory_unmap(mapped, job->block.size);
    }
    if (job->kind == POOL_WAIT) {
        check_sleep_us(2000);
    }
    fc_responder_done(w, job);
    /* In two parts, so that both ways of copying meet a border. */
    struct fc_part parts[] = {{reply, size / 3},
                              {reply + size / 3, size - size / 3}};
    int error = fc_responder_reply(w, job, job->kind, parts, 2, true);
    free(reply);
    return error;
}

static int
serve(struct fc_responder *w)
{
    for (;;) {
        struct fc_job job;
        int error = fc_responder_take(w, &job);
        while (error == EINTR) {
            error = fc_responder_fetch(w, &job);
        }
        if (error == EAGAIN) {
            error = fc_responder_linger(w) ? 0 : fc_responder_idle(w);
        }
        else if (error == 0) {
            error = answer(w, &job);
        }
        if (error != 0 && error != EINTR) {
            return error;
        }
    }
}

struct seat {
    struct pool *pool;
    unsigned seat;
};

static void
work(void *arg)
{
    struct seat *seat = arg;
    struct pool *p = seat->pool;
    struct fc_responder w;
    kill_fuse(p->fuse);
    CHECK(fc_responder_attach(&w, dup(p->requester.segment.fd), seat->seat,
                              p->bell.ring, p->keep)
          == 0);
    fc_responder_ready(&w);
    int error = serve(&w);
    CHECK(error == ESHUTDOWN || error == ESRCH || error == EBADMSG);
    fc_responder_detach(&w);
}

void
pool_start(struct pool *p, unsigned seat)
{
    struct seat arg = {p, seat};
    CHECK(fc_requester_open(&p->requester, seat) == 0);
    p->pids[seat] = check_fork(work, &arg);
}

/* --- the parent --------------------------------------------------------- */

void
pool_open(struct pool *p, unsigned workers)
{
    bool polls = p->polls;
    memset(p, 0, sizeof(*p));
    p->polls = polls;
    p->workers = workers;
    p->keep = UINT64_C(8) << 20;
    CHECK(fc_requester_create(&p->requester, &pool_geometry, p->keep) == 0);
    CHECK(fc_bell_create(&p->bell) == 0);
    for (unsigned i = 0; i < workers; i++) {
        pool_start(p, i);
    }
}

bool
pool_send(struct pool *p, int kind, uint64_t size, uint32_t *index)
{
    uint64_t length = kind == POOL_MAKE ? sizeof(size) : size;
    unsigned char *bytes = malloc(length > 0 ? (size_t)length : 1);
    if (kind == POOL_MAKE) {
        memcpy(bytes, &size, sizeof(size));
    }
    else {
        memset(bytes, (int)(p->sent % 256), (size_t)length);
    }
    struct fc_part parts[] = {{bytes, length / 2},
                              {bytes + length / 2, length - length / 2}};
    int error = fc_requester_send(&p->requester, parts, 2, 0,
                                  (uint16_t)kind, p, index);
    free(bytes);
    CHECK(error == 0 || error == EAGAIN);
    if (error != 0) {
        return false;
    }
    CHECK(!p->pending[*index]);
    p->pending[*index] = true;
    p->sizes[*index] = kind == POOL_SHORT ? 1 : size;
    p->first[*index] = (unsigned char)(p->sent % 256);
    p->sent++;
    return true;
}

static void
check_reply(struct pool *p, const struct fc_reply *reply,
            const unsigned char *bytes)
{
    CHECK(reply->user == p);
    CHECK(p->pending[reply->index]);
    CHECK(reply->size == p->sizes[reply->index]);
    bool same = true;
    for (uint64_t i = 0; same && i < reply->size; i++) {
        same = bytes[i]
               == (reply->kind == POOL_MAKE
                       ? pattern(i)
                       : (unsigned char)(p->first[reply->index] + 1));
    }
    CHECK(same);
    p->pending[reply->index] = false;
    p->answered++;
}

static void
take_reply(struct pool *p, struct fc_reply *reply)
{
    if (reply->block.size == 0) {
        check_reply(p, reply, reply->bytes);
        fc_reply_clear(reply);
        return;
    }
    void *mapped =
        fc_memory_map(p->requester.segment.fd, reply->block.offset,
                      reply->block.size, FC_MAP_PRIVATE);
    CHECK(mapped != NULL);
    check_reply(p, reply, mapped);
    fc_memory_unmap(mapped, reply->block.size);
    fc_requester_recycle(&p->requester, &reply->block);
}

bool
pool_drain(struct pool *p)
{
    bool sane = true;
    for (unsigned seat = 0; seat < p->workers; seat++) {
        while (sane && fc_requester_ready(&p->requester, seat)) {
            struct fc_reply reply;
            int error;
            while ((error = fc_requester_next(&p->requester, seat, &reply))
                   == 0) {
                take_reply(p, &reply);
            }
            CHECK(error == EAGAIN || error == EBADMSG);
            sane = error == EAGAIN;
            fc_requester_release(&p->requester, seat);
        }
    }
    return sane;
}

static bool
is_ready(struct pool *p)
{
    for (unsigned seat = 0; seat < p->workers; seat++) {
        if (fc_requester_ready(&p->requester, seat)) {
            return true;
        }
    }
    return false;
}

/* The bell, until it rings. */
static void
poll_bell(struct pool *p, int64_t ns)
{
    struct pollfd bell = {.fd = p->bell.listen, .events = POLLIN};
    (void)fc_results_listen(&p->requester.segment, FC_LISTENER_BELL);
    if (!is_ready(p)) {
        (void)poll(&bell, 1, (int)((ns + 999999) / 1000000));
    }
    fc_bell_silence(p->bell.listen);
}

bool
pool_wait(struct pool *p, int64_t ns)
{
    struct fc_segment *s = &p->requester.segment;
    if (p->polls) {
        poll_bell(p, ns);
        return pool_drain(p);
    }
    uint32_t seen = fc_results_listen(s, FC_LISTENER_CALLER);
    if (!is_ready(p)) {
        (void)fc_results_park(s, seen, fc_now_ns() + ns);
    }
    fc_results_unlisten(s, FC_LISTENER_CALLER);
    return pool_drain(p);
}

void
pool_finish(struct pool *p)
{
    while (p->answered + p->cancelled + p->lost < p->sent) {
        if (!CHECK(pool_wait(p, 1000000000))) {
            return;
        }
    }
}

unsigned
pool_bury(struct pool *p, unsigned seat)
{
    unsigned had = 0;
    (void)pool_drain(p);
    for (uint32_t i = 0; i < POOL_SLOTS; i++) {
        if (p->pending[i] && fc_requester_has(&p->requester, seat, i)) {
            CHECK(fc_requester_forget(&p->requester, i) == p);
            p->pending[i] = false;
            p->lost++;
            had++;
        }
    }
    fc_requester_close(&p->requester, seat);
    p->pids[seat] = 0;
    return had;
}

void
pool_close(struct pool *p)
{
    fc_idle_close(&p->requester.segment);
    for (unsigned i = 0; i < p->workers; i++) {
        if (p->pids[i] != 0) {
            CHECK(check_wait(p->pids[i]) == 0);
        }
    }
    fc_bell_close(&p->bell);
    fc_requester_destroy(&p->requester);
}
