/* replay.c - a schedule that was printed; see strategies.h. */
#include <stdlib.h>
#include <string.h>

#include "strategies.h"

static const char *rest;
static unsigned same; /* so often the last thread once more */
static uint8_t thread;

static const char marks[] = {
    [OPTION_TIMEOUT] = '!',
    [OPTION_SPURIOUS] = '?',
    [OPTION_WAKE] = '^',
    [OPTION_DELAY] = '~',
};

bool
replay_begin(const char *schedule)
{
    rest = schedule;
    same = 0;
    return strspn(schedule, "ABCDEFG0123456789!?^~ ") == strlen(schedule);
}

/* The next one that was taken. */
static struct option
read_option(void)
{
    struct option option = {thread, OPTION_RUN, 0};
    if (same > 0) {
        same--;
        return option;
    }
    rest += strspn(rest, " ");
    if (*rest == '\0') {
        option.thread = 0;
        return option;
    }
    option.thread = thread = (uint8_t)(*rest++ - 'A' + 1);
    char *end;
    unsigned long count = strtoul(rest, &end, 10);
    if (end != rest) {
        same = (unsigned)count - 1;
        rest = end;
    }
    for (uint8_t kind = OPTION_TIMEOUT; kind <= OPTION_DELAY; kind++) {
        if (*rest == marks[kind]) {
            option.kind = kind;
            rest++;
            break;
        }
    }
    return option;
}

int
replay_pick(const struct option *options, int count, uint64_t state)
{
    (void)state;
    struct option wanted = read_option();
    if (wanted.thread == 0) {
        return 0; /* as it goes */
    }
    for (int i = 0; i < count; i++) {
        if (options[i].thread == wanted.thread
            && options[i].kind == wanted.kind) {
            return i;
        }
    }
    scheduler_fail("the schedule is not one of this case");
}
