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

#include "batch_kit.h"
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

/* --- batches ------------------------------------------------------------- */

static struct batch_kit kit;

static int
look_after_batches(int options)
{
    int status;
    pid_t pid = kit.pids[0];
    if (pid == 0 || waitpid(pid, &status, options) != pid) {
        return 0;
    }
    kit.pids[0] = 0;
    if (WIFEXITED(status)) {
        CHECK(WEXITSTATUS(status) == 0);
        return 0;
    }
    return CHECK(WTERMSIG(status) == SIGKILL) ? 1 : -1;
}

/* Some of it was begun, and one of those who have is dead: what he had ended
 * is there, one item at most is not, and nothing else was begun. */
static void
check_torn_batch(struct batch *b)
{
    uint32_t missing = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        uint32_t ran = kit.notes->ran[b->note][i];
        uint32_t state = batch_state(&kit, b, i);
        bool here = state == FC_CELL_INT
                    || (state == FC_CELL_MESSAGE && b->said[i]);
        CHECK(ran <= (i < b->begun));
        CHECK(state == FC_CELL_EMPTY || ran == 1);
        missing += i < b->begun && !here;
    }
    CHECK(missing <= 1);
    CHECK(fc_requester_forget(&kit.requester, b->index) == b);
    b->under_way = false;
}

/* Whether the worker of seat 1 has done all that there is for it: nothing waits,
 * then no batch that is open has an item left, and then it is idle. */
static bool
has_done_all(void)
{
    struct fc_segment *s = &kit.requester.segment;
    if (fc_sender_waiting(&kit.requester.sender) > 0) {
        return false;
    }
    for (uint32_t i = 0; i < BATCH_SLOTS; i++) {
        struct batch *b = &kit.batches[i];
        if (b->under_way && fc_requester_has(&kit.requester, 1, b->index)
            && fc_batch_left(fc_requester_batch(&kit.requester, b->index))
                   > 0) {
            return false;
        }
    }
    return fc_idle_is(s, 1);
}

/* The worker of seat 0 is dead: all that it had not begun is done by the other
 * one, except what only the dead one's seat had told of. */
static void
bury_in_batches(void)
{
    unsigned torn = 0;
    batch_drain(&kit);
    fc_requester_close(&kit.requester, 0);
    while (!has_done_all()) {
        batch_wait(&kit, NULL, 0, 200000);
    }
    batch_drain(&kit);
    for (uint32_t i = 0; i < BATCH_SLOTS; i++) {
        struct batch *b = &kit.batches[i];
        if (b->under_way && batch_is_over(&kit, b)) {
            batch_end(&kit, b);
        }
        else if (b->under_way) {
            torn++;
            batch_stop(&kit, b);
            CHECK(b->under_way && !b->done);
            check_torn_batch(b);
        }
    }
    CHECK(torn <= 1);
}

/* Two workers share batches; one dies at its `n`-th point.  False when it
 * lived. */
static bool
one_of_two_dies_in_a_batch(long n)
{
    struct check_random r = check_random_new((uint64_t)n);
    bool died = false;
    kit.threads = false;
    batch_kit_open(&kit);
    kit.fuse = n;
    batch_kit_start(&kit, 0);
    kit.fuse = 0;
    batch_kit_start(&kit, 1);
    for (int sent = 0; sent < 12 && !died; sent++) {
        uint16_t what[8];
        for (uint32_t i = 0; i < 8; i++) {
            what[i] = (uint16_t)check_random_below(&r, 3);
        }
        CHECK(batch_send(&kit, 1 + (uint32_t)check_random_below(&r, 8), what)
              != NULL);
        batch_wait(&kit, NULL, 0, 200000);
        died = look_after_batches(WNOHANG) != 0;
    }
    for (uint32_t i = 0; i < BATCH_SLOTS && !died; i++) {
        struct batch *b = &kit.batches[i];
        while (!died && b->under_way && !batch_is_over(&kit, b)) {
            batch_wait(&kit, NULL, 0, 200000);
            died = look_after_batches(WNOHANG) != 0;
        }
        if (!died && b->under_way) {
            batch_end(&kit, b);
        }
    }
    if (died) {
        bury_in_batches();
    }
    else {
        /* Or on its way out. */
        fc_idle_close(&kit.requester.segment);
        died = look_after_batches(0) != 0;
    }
    batch_kit_close(&kit);
    return died;
}

static void
a_worker_dies_at_every_point_of_a_batch(void)
{
    /* How many points it comes to depends on how much the other one does. */
    int died = 0;
    for (long n = 1; n <= 150; n++) {
        died += one_of_two_dies_in_a_batch(n);
    }
    /* Those before its first request it passes in any case. */
    CHECK(died >= 3 || !kill_points);
}

/* --- the parent ---------------------------------------------------------- */

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
    RUN(a_worker_dies_at_every_point_of_a_batch);
    RUN(the_parent_dies_at_every_point);
}
