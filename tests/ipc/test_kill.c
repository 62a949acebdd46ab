/* test_kill.c - a process dies at every step of every operation.
 *
 * Only in the program that is compiled with kill points; the other one runs
 * each test once, with nobody dying.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "ipc/idle.h"
#include "kill.h"
#include "pool.h"

static struct pool pool;

/* Messages that travel in every way there is. */
static const struct {
    int kind;
    uint64_t size;
} mixture[] = {
    {POOL_ECHO, 10},    {POOL_ECHO, 3000},  {POOL_MAKE, 20000},
    {POOL_ECHO, 70000}, {POOL_MAKE, 70000}, {POOL_ECHO, 0},
    {POOL_WAIT, 5},     {POOL_MAKE, 4000},
};
#define MIXTURE (sizeof(mixture) / sizeof(*mixture))

/* The worker of seat 0: 1 killed, 0 not dead, -1 ended otherwise. */
static int
look_after(void)
{
    int status;
    if (pool.pids[0] == 0
        || waitpid(pool.pids[0], &status, WNOHANG) != pool.pids[0]) {
        return 0;
    }
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 1 : -1;
}

/* Two workers, of which one dies at its `n`-th point.  All that it had not
 * taken is answered by the other one.  False when it lived. */
static bool
one_of_two_dies(long n)
{
    bool died = false;
    uint64_t sent = 0;
    pool_open(&pool, 0);
    pool.workers = 2;
    pool.fuse = n;
    pool_start(&pool, 0);
    pool.fuse = 0;
    pool_start(&pool, 1);
    while (sent < 4 * MIXTURE
           || pool.answered + pool.cancelled + pool.lost < pool.sent) {
        uint32_t index;
        if (sent < 4 * MIXTURE
            && pool_send(&pool, mixture[sent % MIXTURE].kind,
                         mixture[sent % MIXTURE].size, &index)) {
            sent++;
        }
        CHECK(pool_wait(&pool, 200000));
        int dead = look_after();
        CHECK(dead >= 0);
        if (dead > 0) {
            CHECK(pool_bury(&pool, 0) <= 1);
            died = true;
        }
    }
    CHECK(pool.lost <= 1);
    if (!died) {
        /* Or on its way out. */
        fc_idle_close(&pool.requester.segment);
        int status = check_wait(pool.pids[0]);
        CHECK(status == 0 || status == -SIGKILL);
        died = status == -SIGKILL;
        pool.pids[0] = 0;
    }
    pool_close(&pool);
    return died;
}

static void
walk_the_points_of_a_worker(void)
{
    long n = 1;
    int lived = 0;
    /* How many points a run has depends on who takes what: it takes several
     * that end well to say that there are no more. */
    while (lived < 3 && n < 2000) {
        lived = one_of_two_dies(n) ? 0 : lived + 1;
        n++;
    }
    CHECK(n < 2000);
}

static void
a_worker_dies_at_every_point(void)
{
    pool.polls = false;
    walk_the_points_of_a_worker();
}

/* The same where the bell has to be rung: at once, or a little later. */
static void
a_worker_dies_at_every_point_beside_the_bell(void)
{
    pool.polls = true;
    walk_the_points_of_a_worker();
    pool.polls = false;
}

/* The parent dies at every point of its own: nobody is left behind. */
static long parents_fuse;

static void
be_a_parent(void *unused)
{
    (void)unused;
    look_often(true);
    pool.polls = parents_fuse % 2 == 0;
    pool_open(&pool, 2);
    kill_fuse(parents_fuse);
    for (uint64_t sent = 0; sent < 2 * MIXTURE;) {
        uint32_t index;
        if (pool_send(&pool, mixture[sent % MIXTURE].kind,
                      mixture[sent % MIXTURE].size, &index)) {
            sent++;
        }
        CHECK(pool_wait(&pool, 200000));
    }
    pool_finish(&pool);
    kill_fuse(0);
    pool_close(&pool);
}

static void
the_parent_dies_at_every_point(void)
{
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L);
    long n = 1;
    int status = -SIGKILL;
    while (status == -SIGKILL && n < 500) {
        parents_fuse = n;
        status = check_wait(check_fork(be_a_parent, NULL));
        CHECK(status == 0 || status == -SIGKILL);
        /* The workers, which have become our children. */
        int how;
        pid_t orphan;
        while ((orphan = wait(&how)) > 0 || errno == EINTR) {
            CHECK(WIFEXITED(how) && WEXITSTATUS(how) == 0);
        }
        /* Not all of hundreds: each run takes up to a second. */
        n += n < 8 ? 1 : n / 4;
    }
    CHECK(status == 0);
}

void
test_kill(void)
{
    RUN(a_worker_dies_at_every_point);
    RUN(a_worker_dies_at_every_point_beside_the_bell);
    RUN(the_parent_dies_at_every_point);
}
