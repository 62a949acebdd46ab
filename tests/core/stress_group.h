/* stress_group.h - the one way in which groups are stressed. */
#ifndef STRESS_GROUP_H
#define STRESS_GROUP_H

#include <stdbool.h>
#include <stdint.h>

struct stress_group {
    unsigned completers;
    uint64_t rounds;
    uint64_t target;    /* completions until the group fires, per round */
    bool short_waits;   /* the owner gives up and comes back all the time */
    bool early_fire;    /* somebody fires before the target is reached */
    bool owner_leaves;  /* the owner drops the group without waiting */
    bool delays;
};

/* Checks that the owner always wakes up, sees all that was written before
 * the completions that were counted, and is owed one wake at most. */
void stress_group(const struct stress_group *config);

#endif /* STRESS_GROUP_H */
