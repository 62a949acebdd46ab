/* test_fork.c - the core in the child of a fork(), while threads of the
 * parent are in the middle of everything.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "core/dispatch.h"
#include "core/group.h"
#include "core/hazard.h"
#include "core/queue.h"
#include "port/port.h"

#if !CHECK_TSAN
static struct fc_queue busy;
static atomic_bool stop;
static _Atomic(uint32_t) word;

static void
keep_busy(void *unused)
{
    (void)unused;
    while (!stop) {
        /* AddressSanitizer's allocator hangs in a child that was forked while
         * another thread allocated; the C library's does not. */
        if (!CHECK_ASAN) {
            fc_queue_push(&busy, &busy);
            fc_queue_pop(&busy);
        }
        fc_unpark(&word, 1);
        fc_park(&word, 0, fc_now_ns() + 1000);
    }
}

/* What an executor that starts afresh does.  0 when all is well. */
static int
use_the_core(void)
{
    int item;
    struct fc_counts counts;
    fc_queue_after_fork();
    struct fc_dispatch *d = fc_dispatch_new();
    struct fc_group *g = fc_group_new(1);
    struct fc_worker *w = fc_worker_new(d);
    if (d == NULL || g == NULL || w == NULL) {
        return 1;
    }
    fc_worker_arrive(w);
    for (int i = 0; i < 5000; i++) {
        if (fc_dispatch_submit(d, &item, &counts) < 0 ||
            fc_worker_wait(w) != &item || fc_worker_next(w) != NULL) {
            return 2;
        }
    }
    fc_dispatch_close(d);
    if (fc_worker_wait(w) != NULL) {
        return 3;
    }
    if (fc_group_wait(g, fc_now_ns() + 1000, -1) == FC_GROUP_FIRED) {
        return 4;
    }
    fc_unpark(&word, 1);
    fc_dispatch_free(d);
    fc_group_unref(g);
    fc_queue_destroy(&busy);
    return 0;
}

static void
a_child_starts_afresh(void)
{
    enum { BUSY = 3 };
    struct check_thread threads[BUSY];
    uint64_t rounds = check_size(100);
    CHECK(fc_fork_watch() == 0);
    CHECK(fc_fork_watch() == 0);
    uint32_t generation = fc_fork_generation();
    CHECK(fc_queue_init(&busy) == 0);
    stop = false;
    for (int i = 0; i < BUSY; i++) {
        check_spawn(&threads[i], keep_busy, NULL);
    }
    int wrong = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        pid_t child = fork();
        if (child == 0) {
            signal(SIGALRM, SIG_DFL);
            alarm(20);
            _exit(fc_fork_generation() != generation + 1 ? 9
                                                         : use_the_core());
        }
        int status = 0;
        waitpid(child, &status, 0);
        wrong += status != 0;
        check_sleep_us(100);
    }
    CHECK(wrong == 0);
    CHECK(fc_fork_generation() == generation);
    stop = true;
    for (int i = 0; i < BUSY; i++) {
        check_join(&threads[i]);
    }
    fc_queue_destroy(&busy);
}

#endif

/* The records of threads that are not there are free for others. */
static void
records_of_lost_threads_are_free_again(void)
{
    static int segment; /* any address that nothing else publishes */
    struct fc_hazard *lost = fc_hazard_borrow();
    atomic_store(&lost->slots[FC_HAZARD_POP], &segment);
    CHECK(fc_hazard_holds(&segment));
    pid_t child = fork();
    if (child == 0) {
        fc_queue_after_fork();
        _exit(fc_hazard_holds(&segment) || lost->claimed);
    }
    int status = 1;
    waitpid(child, &status, 0);
    CHECK(status == 0);
    CHECK(fc_hazard_holds(&segment));
    fc_hazard_return(lost);
    CHECK(!fc_hazard_holds(&segment));
}

void
test_fork(void)
{
#if !CHECK_TSAN
    /* ThreadSanitizer's own locks do not survive a fork beside threads that
     * use atomics: its child hangs in them. */
    RUN(a_child_starts_afresh);
#endif
    RUN(records_of_lost_threads_are_free_again);
}
