/* main.c - explores the cases; tests/schedules/run builds and calls it.
 *
 *   schedules [OPTION...]
 *     --only NAME         cases whose name begins so
 *     --bound N           instead of each case's own; --more N: beyond it
 *     --runs N            runs with random priorities for each case
 *     --seed N            of the first of them
 *     --replay SCHEDULE   one run of the one case, with a trace
 *     --tear FILE:LINE    as if the operation there were not atomic
 *     --sites             print which operations have been passed
 *     --forget            do not give up runs that meet a known state
 *     --list              names of the cases
 *
 * Exits with 1 at the first run that fails.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "strategies.h"

const char *__asan_default_options(void);
void __asan_on_error(void);

static struct {
    const char *only, *replay;
    int bound, more;
    uint64_t seed, runs;
    bool list, sites;
} settings = {.bound = -1, .seed = 1, .runs = 300};

static const struct schedule_case *exploring;
static const char *exploring_how;
static uint64_t exploring_run, total_runs;

static void
report(const char *what)
{
    printf("FAILED %s: %s\n", exploring->name, what);
    printf("in run %llu, %s, after %u steps\n",
           (unsigned long long)exploring_run, exploring_how,
           scheduler_steps());
    scheduler_print_trace();
    printf("schedule of %s: ", exploring->name);
    scheduler_print_schedule();
    printf("\nagain: tests/schedules/run --only %s --replay '",
           exploring->name);
    scheduler_print_schedule();
    printf("'\n");
    fflush(stdout);
}

/* Plain accesses to freed memory: nobody else sees them. */
void
__asan_on_error(void)
{
    report("touches freed memory (below, AddressSanitizer's report)");
}

const char *
__asan_default_options(void)
{
    return "detect_leaks=0:exitcode=1:detect_stack_use_after_return=0";
}

static void
run_once(strategy_pick *pick, uint64_t *abandoned)
{
    exploring_run++;
    total_runs++;
    enum outcome outcome = scheduler_run(exploring, pick);
    *abandoned += outcome == RUN_ABANDONED;
    if (outcome == RUN_PASSED && pick == systematic_pick) {
        systematic_note_end(scheduler_state());
    }
    if (outcome == RUN_FAILED) {
        report(scheduler_message());
        exit(1);
    }
}

static double
seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Bound by bound, so that what fails does so with as little as can be. */
static void
explore_systematically(void)
{
    int most = settings.bound >= 0 ? settings.bound : exploring->bound;
    most += settings.more;
    double began = seconds();
    bool all = false;
    static char how[40];
    exploring_how = how;
    for (int bound = 0; bound <= most && !all; bound++) {
        uint64_t abandoned = 0;
        exploring_run = 0;
        snprintf(how, sizeof(how), "bound %d", bound);
        systematic_begin(bound);
        do {
            run_once(systematic_pick, &abandoned);
        } while (systematic_next());
        all = !systematic_was_cut();
        if (all || bound == most) {
            printf("%-30s bound %d%s: %8llu schedules, %8llu of them up to a "
                   "known state, %7llu ends, %5.1f s%s\n",
                   exploring->name, bound, all ? " (all)" : "      ",
                   (unsigned long long)exploring_run,
                   (unsigned long long)abandoned,
                   (unsigned long long)systematic_ends(), seconds() - began,
                   systematic_remembered_all() ? "" : ", states forgotten");
        }
    }
    fflush(stdout);
}

static void
explore_randomly(void)
{
    uint64_t abandoned = 0;
    exploring_run = 0;
    static char how[60];
    exploring_how = how;
    for (uint64_t i = 0; i < settings.runs; i++) {
        snprintf(how, sizeof(how), "random priorities, --seed %llu --runs 1",
                 (unsigned long long)(settings.seed + i));
        random_begin(settings.seed + i);
        run_once(random_pick, &abandoned);
    }
    printf("%-30s random priorities: %llu schedules from seed %llu on\n",
           exploring->name, (unsigned long long)settings.runs,
           (unsigned long long)settings.seed);
}

static void
replay(void)
{
    uint64_t abandoned = 0;
    exploring_how = "replayed";
    if (!replay_begin(settings.replay)) {
        printf("not a schedule: %s\n", settings.replay);
        exit(2);
    }
    run_once(replay_pick, &abandoned);
    scheduler_print_trace();
    printf("%s: passes in this schedule\n", exploring->name);
    exit(0);
}

static void
explore(const struct schedule_case *the_case)
{
    exploring = the_case;
    if (settings.only != NULL
        && strncmp(the_case->name, settings.only, strlen(settings.only))
               != 0) {
        return;
    }
    if (settings.list) {
        printf("%s\n", the_case->name);
        return;
    }
    if (settings.replay != NULL) {
        if (strcmp(the_case->name, settings.only) == 0) {
            replay();
        }
        return;
    }
    if (!(the_case->flags & CASE_LARGE)) {
        explore_systematically();
    }
    if (exploring->flags & CASE_LARGE) {
        settings.runs *= 10; /* there is nothing else for it */
        explore_randomly();
        settings.runs /= 10;
    }
    else if (settings.runs > 0) {
        explore_randomly();
    }
}

static bool
read_arguments(int count, char **arguments)
{
    for (int i = 1; i < count; i++) {
        const char *name = arguments[i];
        if (strcmp(name, "--list") == 0) {
            settings.list = true;
            continue;
        }
        if (strcmp(name, "--forget") == 0) {
            systematic_forget();
            continue;
        }
        if (strcmp(name, "--sites") == 0) {
            settings.sites = true;
            continue;
        }
        if (++i == count) {
            return false;
        }
        const char *value = arguments[i];
        if (strcmp(name, "--only") == 0) {
            settings.only = value;
        }
        else if (strcmp(name, "--replay") == 0) {
            settings.replay = value;
        }
        else if (strcmp(name, "--bound") == 0) {
            settings.bound = atoi(value);
        }
        else if (strcmp(name, "--more") == 0) {
            settings.more = atoi(value);
        }
        else if (strcmp(name, "--tear") == 0) {
            char *colon = strrchr(arguments[i], ':');
            if (colon == NULL) {
                return false;
            }
            *colon = '\0';
            scheduler_tear(value, atoi(colon + 1));
        }
        else if (strcmp(name, "--seed") == 0) {
            settings.seed = strtoull(value, NULL, 10);
        }
        else if (strcmp(name, "--runs") == 0) {
            settings.runs = strtoull(value, NULL, 10);
        }
        else {
            return false;
        }
    }
    return settings.replay == NULL || settings.only != NULL;
}

int
main(int count, char **arguments)
{
    static const struct schedule_case *const lists[] = {
        queue_cases, dispatch_cases, sleep_cases, group_cases, idle_cases,
        batch_cases,
    };
    if (!read_arguments(count, arguments)) {
        fprintf(stderr, "schedules: see the head of main.c\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        for (const struct schedule_case *c = lists[i]; c->name != NULL; c++) {
            explore(c);
        }
    }
    if (settings.sites) {
        scheduler_print_sites();
    }
    if (!settings.list) {
        printf("all pass: %llu schedules\n", (unsigned long long)total_runs);
    }
    return total_runs == 0 && !settings.list;
}
