/* cases.h - what a case is: a few threads on one structure.
 *
 * A case is run thousands of times, each time in another order, so it keeps to
 * these rules: what threads share besides the structure is written by one
 * of them and read in end(), or is atomic; nothing depends on time or addresses;
 * begin() sets everything anew.
 */
#ifndef SCHEDULE_CASES_H
#define SCHEDULE_CASES_H

#include <stdbool.h>
#include <stdint.h>

/* Threads of a case, at most; number 0 is the case itself, before and after. */
#define SCHEDULE_THREADS 8

enum {
    CASE_SPURIOUS = 1, /* sleepers wake for nothing, too */
    CASE_SPINS = 2,    /* each thread has a CPU of its own: they spin */
    CASE_REUSES = 4,   /* what was freed last is allocated next */
    CASE_LEAVES = 8,   /* memory may be left at the end */
    CASE_LARGE = 16,   /* too large to be exhausted: random priorities alone */
};

struct schedule_case {
    const char *name;
    void (*begin)(void);
    void (*threads[SCHEDULE_THREADS])(void); /* from the first on, then NULL */
    void (*end)(void);                       /* all threads have ended */
    unsigned flags;
    int bound; /* what disturbs a schedule, at most, in the quick form */
};

/* NULL at the end; one list per file. */
extern const struct schedule_case queue_cases[], dispatch_cases[],
    sleep_cases[], group_cases[], idle_cases[], batch_cases[];

/* The run fails unless `condition` holds. */
#define DEMAND(condition)                                             \
    do {                                                              \
        if (!(condition)) {                                           \
            schedule_demand_failed(#condition, __FILE__, __LINE__);   \
        }                                                             \
    } while (0)
_Noreturn void schedule_demand_failed(const char *what, const char *file,
                                      int line);

/* The running thread's number, from 1 on. */
int schedule_me(void);

/* Something that the case has to know the real order of. */
void schedule_note(void);

#endif /* SCHEDULE_CASES_H */
