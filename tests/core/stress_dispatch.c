/* stress_dispatch.c - see stress_dispatch.h. */
#include "stress_dispatch.h"

#include <stdlib.h>

#include "check.h"
#include "core/dispatch.h"
#include "core/group.h"
#include "port/port.h"

#define SUBMITTERS_MAX 8
#define STARTS_MAX 100000

/* How long a submitter waits for a task of its own before it calls the
 * wake-up lost. */
#define LOST_AFTER_NS INT64_C(20000000000)

struct task {
    atomic_int done; /* times run or drained */
    bool accepted;   /* it was counted before the close */
    struct fc_group *group;
};

struct pool {
    const struct stress_dispatch *config;
    struct fc_dispatch *dispatch;
    struct task *tasks; /* of all submitters */
    _Atomic(uint64_t) done;
    _Atomic(uint64_t) submitted;
    atomic_bool stop; /* for the bystander */
    /* Guards what follows, as the executor's lock does. */
    pthread_mutex_t mutex;
    unsigned alive;
    unsigned started;
    struct starting {
        struct check_thread thread;
        struct pool *pool;
        struct fc_worker *worker;
        unsigned id;
    } *starts;
};

struct actor {
    struct pool *pool;
    unsigned id;
};

static void start_if_wanted(struct pool *pool, struct fc_counts counts);

static void
finish(struct pool *pool, struct task *task)
{
    atomic_fetch_add(&task->done, 1);
    atomic_fetch_add(&pool->done, 1);
    if (task->group != NULL && fc_group_complete(task->group)) {
        fc_group_wake(task->group);
    }
}

/* --- workers */

/* Run what comes until there is nothing: NULL when the worker searches, the
 * worker left when `false`. */
static bool
run_tasks(struct starting *self, struct task *task,
          struct check_random *random)
{
    struct pool *pool = self->pool;
    const struct stress_dispatch *config = pool->config;
    do {
        finish(pool, task);
        if (config->delays) {
            check_random_delay(random);
        }
        if (config->leave_odds > 0 &&
            check_random_below(random, config->leave_odds) == 0) {
            fc_worker_leave(self->worker);
            return false;
        }
        task = fc_worker_next(self->worker);
    } while (task != NULL);
    return true;
}

static void
work(void *arg)
{
    struct starting *self = arg;
    struct pool *pool = self->pool;
    struct check_random random = check_random_new(self->id + 3000);
    bool attached = true;
    if (pool->config->leave_odds > 0 &&
        check_random_below(&random, 50) == 0) {
        fc_worker_leave(self->worker); /* before it has arrived */
        attached = false;
    }
    else {
        fc_worker_arrive(self->worker);
    }
    while (attached) {
        struct task *task = NULL;
        if (check_random_below(&random, 2)) {
            task = fc_worker_poll(self->worker);
        }
        if (task == NULL && check_random_below(&random, 8) == 0) {
            fc_worker_resume(self->worker);
            check_random_delay(&random);
            task = fc_worker_next(self->worker);
        }
        if (task == NULL) {
            task = fc_worker_wait(self->worker);
        }
        attached = task != NULL && run_tasks(self, task, &random);
    }
    pthread_mutex_lock(&pool->mutex);
    pool->alive--;
    pthread_mutex_unlock(&pool->mutex);
    if (pool->config->leave_odds > 0) {
        /* Who leaves early sees to it that somebody serves what is queued. */
        start_if_wanted(pool, fc_dispatch_counts(pool->dispatch));
    }
}

static void
start_if_wanted(struct pool *pool, struct fc_counts counts)
{
    if (!fc_counts_want_worker(&counts)) {
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    while (pool->alive < pool->config->workers_max &&
           pool->started < STARTS_MAX) {
        struct starting *start = &pool->starts[pool->started];
        start->worker = fc_worker_new(pool->dispatch);
        if (start->worker == NULL) {
            if (pool->alive > 0) {
                break; /* others are there to serve the task */
            }
            continue; /* the next allocation succeeds */
        }
        if (pool->started % 16 == 7) {
            /* As if the system had refused the thread. */
            fc_worker_abandon(start->worker);
            start->worker = fc_worker_new(pool->dispatch);
            if (start->worker == NULL) {
                continue;
            }
        }
        start->pool = pool;
        start->id = pool->started++;
        pool->alive++;
        check_spawn(&start->thread, work, start);
        break;
    }
    pthread_mutex_unlock(&pool->mutex);
}

/* --- submitters */

static void
wait_for(struct task *task)
{
    int64_t deadline = fc_now_ns() + LOST_AFTER_NS;
    enum fc_group_result result;
    do {
        /* As if the worker ran on another CPU: spin first, then sleep. */
        result = fc_group_wait(task->group, deadline, fc_cpu() + 1);
    } while (result == FC_GROUP_INTERRUPTED);
    if (!CHECK(result == FC_GROUP_FIRED)) {
        abort(); /* nothing after a lost wake-up means anything */
    }
}

static void
submit_tasks(void *arg)
{
    struct actor *self = arg;
    struct pool *pool = self->pool;
    const struct stress_dispatch *config = pool->config;
    struct check_random random = check_random_new(self->id + 2000);
    for (uint64_t i = 0; i < config->tasks; i++) {
        struct task *task = &pool->tasks[self->id * config->tasks + i];
        struct fc_counts counts;
        while (fc_dispatch_submit(pool->dispatch, task, &counts) < 0) {
            check_random_delay(&random); /* no memory, or too many */
        }
        atomic_fetch_add(&pool->submitted, 1);
        /* After the close nobody promises that the task will run. */
        task->accepted = !counts.closing;
        if (task->accepted) {
            start_if_wanted(pool, counts);
        }
        if (config->round_trips && task->accepted) {
            wait_for(task);
        }
        if (config->delays) {
            check_random_delay(&random);
        }
    }
}

static void
drain_now_and_then(void *arg)
{
    struct pool *pool = arg;
    while (!pool->stop) {
        struct task *task = fc_dispatch_drain(pool->dispatch);
        if (task != NULL) {
            finish(pool, task);
        }
        check_sleep_us(50);
    }
}

static void
wait_until_served(struct pool *pool, uint64_t total)
{
    int64_t deadline = fc_now_ns() + LOST_AFTER_NS;
    while (pool->done < total && fc_now_ns() < deadline) {
        check_sleep_us(50);
    }
    CHECK(pool->done == total);
}

static void
close_early(void *arg)
{
    struct pool *pool = arg;
    uint64_t total = pool->config->submitters * pool->config->tasks;
    struct check_random random = check_random_new(total + 4000);
    uint64_t moment = check_random_below(&random, total);
    while (pool->submitted < moment) {
        check_sleep_us(10);
    }
    fc_dispatch_close(pool->dispatch);
}

/* --- the whole */

static void
set_up(struct pool *pool, const struct stress_dispatch *config)
{
    uint64_t total = config->submitters * config->tasks;
    pool->config = config;
    pthread_mutex_init(&pool->mutex, NULL);
    pool->dispatch = fc_dispatch_new();
    pool->tasks = calloc(total, sizeof(struct task));
    pool->starts = calloc(STARTS_MAX, sizeof(struct starting));
    for (uint64_t i = 0; config->round_trips && i < total; i++) {
        pool->tasks[i].group = fc_group_new(1);
    }
}

static void
join_workers(struct pool *pool)
{
    /* A worker that leaves may start another one. */
    for (unsigned joined = 0;; joined++) {
        pthread_mutex_lock(&pool->mutex);
        bool all = joined == pool->started;
        pthread_mutex_unlock(&pool->mutex);
        if (all) {
            return;
        }
        check_join(&pool->starts[joined].thread);
    }
}

static void
check_and_tear_down(struct pool *pool)
{
    const struct stress_dispatch *config = pool->config;
    uint64_t total = config->submitters * config->tasks;
    struct task *task;
    uint64_t left_behind = 0;
    for (uint64_t i = 0; i < total; i++) {
        left_behind += pool->tasks[i].accepted && !pool->tasks[i].done;
    }
    CHECK(left_behind == 0);
    while ((task = fc_dispatch_drain(pool->dispatch)) != NULL) {
        finish(pool, task);
    }
    struct fc_counts counts = fc_dispatch_counts(pool->dispatch);
    CHECK(counts.tasks == 0 && counts.searching == 0);
    CHECK(counts.parked == 0 && counts.starting == 0);
    CHECK(pool->alive == 0);
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < total; i++) {
        wrong += pool->tasks[i].done != 1;
        if (config->round_trips) {
            fc_group_unref(pool->tasks[i].group);
        }
    }
    CHECK(wrong == 0);
    fc_dispatch_free(pool->dispatch);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->tasks);
    free(pool->starts);
}

void
stress_dispatch(const struct stress_dispatch *config)
{
    struct pool pool = {.config = config};
    struct actor actors[SUBMITTERS_MAX];
    struct check_thread threads[SUBMITTERS_MAX], bystander, closer;
    uint64_t total = config->submitters * config->tasks;
    set_up(&pool, config);
    shim_fail_every = config->fail_every;
    for (unsigned i = 0; i < config->submitters; i++) {
        actors[i] = (struct actor){&pool, i};
        check_spawn(&threads[i], submit_tasks, &actors[i]);
    }
    if (config->bystander) {
        check_spawn(&bystander, drain_now_and_then, &pool);
    }
    if (config->early_close) {
        check_spawn(&closer, close_early, &pool);
    }
    for (unsigned i = 0; i < config->submitters; i++) {
        check_join(&threads[i]);
    }
    if (config->early_close) {
        check_join(&closer);
    }
    else {
        wait_until_served(&pool, total);
        fc_dispatch_close(pool.dispatch);
    }
    fc_dispatch_close(pool.dispatch); /* twice is as good as once */
    pool.stop = true;
    if (config->bystander) {
        check_join(&bystander);
    }
    join_workers(&pool);
    shim_fail_every = 0;
    check_and_tear_down(&pool);
}
