/* test_pool.c - requests and replies of every length between processes. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "ipc/idle.h"
#include "kill.h"
#include "pool.h"

static struct pool pool;

static const uint64_t lengths[] = {
    0,    1,    87,    88,    89,    103,   104,    105,    256,     257,
    4071, 4072, 4073,  16384, 65535, 65536, 65537,  65538,  100000,  1000000,
};
#define LENGTHS (sizeof(lengths) / sizeof(*lengths))

static void
send_and_wait(int kind, uint64_t size)
{
    uint32_t index;
    CHECK(pool_send(&pool, kind, size, &index));
    pool_finish(&pool);
}

static void
requests_of_every_length(void)
{
    pool_open(&pool, 1);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < LENGTHS; i++) {
            send_and_wait(POOL_ECHO, lengths[i]);
        }
    }
    pool_close(&pool);
}

static void
replies_of_every_length(void)
{
    pool_open(&pool, 1);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < LENGTHS; i++) {
            send_and_wait(POOL_MAKE, lengths[i]);
        }
    }
    pool_close(&pool);
}

static uint64_t
segment_blocks(void)
{
    struct stat file;
    fstat(pool.requester.segment.fd, &file);
    return (uint64_t)file.st_blocks * 512;
}

/* Large messages in both directions and in one alone, with a small one in
 * between: blocks find their way back, and few of them are enough. */
static void
blocks_come_back(void)
{
    const int kinds[] = {POOL_ECHO, POOL_MAKE, POOL_SHORT};
    for (int i = 0; i < 3; i++) {
        pool_open(&pool, 2);
        for (int n = 0; n < 100; n++) {
            send_and_wait(kinds[i], 500000);
            send_and_wait(POOL_ECHO, 10);
        }
        CHECK(segment_blocks() < UINT64_C(4) << 20);
        pool_close(&pool);
    }
}

/* A request that is taken back brings its block along. */
static void
cancelled_blocks_come_back(void)
{
    uint32_t index;
    pool_open(&pool, 0);
    for (int i = 0; i < 100; i++) {
        CHECK(pool_send(&pool, POOL_ECHO, 500000, &index));
        CHECK(fc_requester_cancel(&pool.requester, index));
        pool.pending[index] = false;
    }
    CHECK(segment_blocks() < UINT64_C(2) << 20);
    CHECK(pool.requester.balance == 0);
    pool_close(&pool);
}

/* As many as there is room for, of all lengths, from all workers. */
static void
many_at_once(void)
{
    struct check_random r = check_random_new(70);
    pool_open(&pool, POOL_WORKERS);
    uint64_t many = check_size(20000);
    for (uint64_t i = 0; i < many; i++) {
        uint64_t limit = UINT64_C(1) << check_random_below(&r, 18);
        uint64_t size = check_random_below(&r, limit);
        int kind = check_random_below(&r, 2) ? POOL_MAKE : POOL_ECHO;
        uint32_t index;
        while (!pool_send(&pool, kind, size, &index)) {
            CHECK(pool_wait(&pool, 1000000000));
        }
        if (check_random_below(&r, 8) == 0
            && fc_requester_cancel(&pool.requester, index)) {
            pool.pending[index] = false;
            pool.cancelled++;
        }
    }
    pool_finish(&pool);
    CHECK(pool.lost == 0);
    pool_close(&pool);
}

/* Without blocks, messages of any length go through the streams. */
static void
no_memory_for_blocks(void)
{
    pool_open(&pool, 2);
    struct rlimit before, none;
    getrlimit(RLIMIT_FSIZE, &before);
    none = before;
    none.rlim_cur = 1 << 20;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &none);
    pool_start(&pool, 2); /* with the limit; the other two have none */
    pool.workers = 3;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < LENGTHS; i++) {
            send_and_wait(POOL_ECHO, lengths[i]);
            send_and_wait(POOL_MAKE, lengths[i]);
        }
    }
    for (uint32_t i = 0, index; i < 40; i++) {
        while (!pool_send(&pool, i % 2, 200000 + i, &index)) {
            CHECK(pool_wait(&pool, 1000000000));
        }
    }
    pool_finish(&pool);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_DFL);
    pool_close(&pool);
}

/* Each is answered by the worker that is free, not queued behind one. */
static void
nobody_waits_behind_another(void)
{
    uint32_t index;
    pool_open(&pool, 2);
    for (int i = 0; i < 200; i++) {
        CHECK(pool_send(&pool, POOL_WAIT, 8, &index));
        while (!fc_requester_taken(&pool.requester, index)) {
            check_sleep_us(20);
        }
        uint32_t second;
        uint64_t answered = pool.answered;
        CHECK(pool_send(&pool, POOL_ECHO, 8, &second));
        while (pool.pending[second]) {
            CHECK(pool_wait(&pool, 1000000000));
        }
        CHECK(pool.answered > answered);
        pool_finish(&pool);
    }
    pool_close(&pool);
}

/* What is queued when the pool closes is answered all the same. */
static void
closing_serves_what_is_queued(void)
{
    uint32_t index;
    pool_open(&pool, 2);
    for (int i = 0; i < POOL_SLOTS; i++) {
        CHECK(pool_send(&pool, POOL_ECHO, 50, &index));
    }
    fc_idle_close(&pool.requester.segment);
    pool_finish(&pool);
    pool_close(&pool);
}

/* The parent is killed: idle workers go by themselves. */
static pid_t *orphans;

static void
be_a_parent(void *unused)
{
    (void)unused;
    look_often(true);
    pool_open(&pool, 2);
    orphans[0] = pool.pids[0];
    orphans[1] = pool.pids[1];
    check_sleep_us(20000);
    raise(SIGKILL);
}

static void
orphans_leave(void)
{
    /* Emulators of processors may not have it: then nobody hears of them. */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L) != 0) {
        printf("orphans_leave: skipped: orphans cannot be adopted here\n");
        return;
    }
    int fd = fc_memory_create();
    CHECK(fc_memory_reserve(fd, 0, fc_memory_page()) == 0);
    orphans = fc_memory_map(fd, 0, fc_memory_page(), FC_MAP_SHARED);
    CHECK(check_wait(check_fork(be_a_parent, NULL)) == -SIGKILL);
    CHECK(orphans[0] > 0 && orphans[1] > 0);
    CHECK(check_wait(orphans[0]) == 0);
    CHECK(check_wait(orphans[1]) == 0);
    fc_memory_unmap(orphans, fc_memory_page());
    close(fd);
}

/* A worker that is stopped holds up nothing but what it has taken. */
static void
a_stopped_worker(void)
{
    struct check_random r = check_random_new(71);
    uint32_t index;
    pool_open(&pool, 2);
    for (uint64_t i = check_size(40); i > 0; i--) {
        kill(pool.pids[0], SIGSTOP);
        for (int n = 0; n < 50; n++) {
            while (!pool_send(&pool, POOL_ECHO,
                              check_random_below(&r, 20000), &index)) {
                CHECK(pool_wait(&pool, 1000000));
            }
        }
        int64_t until = fc_now_ns() + 5000000;
        while (fc_now_ns() < until) {
            CHECK(pool_wait(&pool, 1000000));
        }
        kill(pool.pids[0], SIGCONT);
        pool_finish(&pool);
    }
    pool_close(&pool);
}

void
test_pool(void)
{
    RUN(requests_of_every_length);
    RUN(replies_of_every_length);
    RUN(blocks_come_back);
    RUN(cancelled_blocks_come_back);
    RUN(many_at_once);
    RUN(no_memory_for_blocks);
    RUN(nobody_waits_behind_another);
    RUN(closing_serves_what_is_queued);
    RUN(orphans_leave);
    RUN(a_stopped_worker);
}
