/* random.c - random priorities; see strategies.h. */
#include "strategies.h"

#define CHANGES_MAX 6

static uint64_t random_state;
static int priorities[SCHEDULE_THREADS]; /* the highest runs */
static int lowest;
static unsigned changes[CHANGES_MAX];
static int change_count;
static unsigned now; /* picks in this run */
static int last; /* thread that was picked */
static int dice; /* one in so many of the rarer options is taken; 0: none */

static uint64_t
draw(uint64_t limit)
{
    random_state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = random_state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % limit;
}

void
random_begin(uint64_t seed)
{
    random_state = seed;
    now = 0;
    lowest = 0;
    for (int i = 0; i < SCHEDULE_THREADS; i++) {
        priorities[i] = i + 1;
        int j = (int)draw((uint64_t)i + 1);
        int other = priorities[j];
        priorities[j] = priorities[i];
        priorities[i] = other;
    }
    change_count = (int)draw(CHANGES_MAX + 1);
    for (int i = 0; i < change_count; i++) {
        /* How long the run is going to be, nobody knows. */
        changes[i] = (unsigned)draw(UINT64_C(16) << draw(8));
    }
    static const int dices[] = {0, 4, 16, 64};
    dice = dices[draw(4)];
    last = 0;
}

static void
make_lowest(int thread)
{
    priorities[thread] = --lowest;
}

int
random_pick(const struct option *options, int count, uint64_t state)
{
    (void)state;
    int chosen = -1;
    now++;
    if (options[0].kind == OPTION_WAKE) {
        return (int)draw((uint64_t)count);
    }
    for (int i = 1; i < count; i++) {
        bool rare = options[i].kind != OPTION_RUN;
        if (rare && dice > 0 && draw((uint64_t)dice) == 0) {
            return i;
        }
    }
    if (options[0].kind == OPTION_RUN) {
        for (int i = 0; i < change_count; i++) {
            if (changes[i] == now) {
                make_lowest(options[0].thread);
            }
        }
        if (options[0].thread != last && options[0].cost == 0) {
            /* The last one pauses, sleeps or has ended. */
            make_lowest(last);
        }
    }
    for (int i = 0; i < count; i++) {
        if (options[i].kind == OPTION_RUN
            && (chosen < 0
                || priorities[options[i].thread]
                       > priorities[options[chosen].thread])) {
            chosen = i;
        }
    }
    if (chosen < 0) {
        chosen = (int)draw((uint64_t)count); /* timeouts alone */
    }
    last = options[chosen].thread;
    return chosen;
}
