/* trace.c - what happened in a run, for people and for replays; see trace.h. */
#include "trace.h"

#include <stdio.h>
#include <string.h>

#define STEPS_MAX 5000
#define PICKS_MAX STEPS_MAX
#define SHOWN_MAX 200

struct step {
    const char *what, *file;
    int line;
    int thread;
    volatile void *address;
    uint64_t value;
};

static struct step steps[STEPS_MAX];
static unsigned step_count;
static struct option picks[PICKS_MAX];
static unsigned pick_count;

void
trace_begin(void)
{
    step_count = pick_count = 0;
}

void
trace_step(const char *what, volatile void *address, const char *file,
           int line)
{
    if (step_count == STEPS_MAX) {
        scheduler_fail("does not come to an end");
    }
    steps[step_count++] =
        (struct step){what, file, line, scheduler_thread(), address, 0};
}

void
trace_value(uint64_t value)
{
    steps[step_count - 1].value = value;
}

void
trace_rename(const char *what)
{
    steps[step_count - 1].what = what;
}

void
trace_pick(struct option option)
{
    if (pick_count == PICKS_MAX) {
        scheduler_fail("too many choices");
    }
    picks[pick_count++] = option;
}

unsigned
scheduler_steps(void)
{
    return step_count;
}

/* --- torn operations: a fault that can be had at each site without compiling ------ */

#define SITES_MAX 256

static struct site {
    const char *file;
    int line;
    const char *what;
} sites[SITES_MAX];
static unsigned site_count;
static const char *torn_file;
static int torn_line;

void
scheduler_tear(const char *file, int line)
{
    torn_file = file;
    torn_line = line;
}

static const char *
base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Whether this operation is to be torn; all that could be are remembered. */
bool
trace_is_torn(const char *file, int line, const char *what)
{
    unsigned i = 0;
    while (i < site_count
           && (sites[i].line != line || strcmp(sites[i].file, file) != 0)) {
        i++;
    }
    if (i == site_count && site_count < SITES_MAX && scheduler_thread() > 0) {
        sites[site_count++] = (struct site){file, line, what};
    }
    return line == torn_line && scheduler_thread() > 0
           && strcmp(base_name(file), torn_file) == 0;
}

void
scheduler_print_sites(void)
{
    for (unsigned i = 0; i < site_count; i++) {
        printf("site %s:%d %s\n", sites[i].file, sites[i].line,
               sites[i].what);
    }
}

/* --- telling ------------------------------------------------------------------ */

void
scheduler_print_schedule(void)
{
    static const char marks[] = {
        [OPTION_RUN] = ' ',      [OPTION_TIMEOUT] = '!',
        [OPTION_SPURIOUS] = '?', [OPTION_WAKE] = '^',
        [OPTION_DELAY] = '~',
    };
    for (unsigned i = 0, same; i < pick_count; i += same) {
        same = 1;
        while (i + same < pick_count && picks[i].kind == OPTION_RUN
               && picks[i + same].kind == OPTION_RUN
               && picks[i + same].thread == picks[i].thread) {
            same++;
        }
        printf("%s%c", i > 0 ? " " : "", 'A' + picks[i].thread - 1);
        if (picks[i].kind != OPTION_RUN) {
            putchar(marks[picks[i].kind]);
        }
        else if (same > 1) {
            printf("%u", same);
        }
    }
}

void
scheduler_print_trace(void)
{
    unsigned first = step_count > SHOWN_MAX ? step_count - SHOWN_MAX : 0;
    for (unsigned i = first; i < step_count; i++) {
        const struct step *s = &steps[i];
        printf("%5u  %c  %-22s %14p = %-18llx %s:%d\n", i, 'A' + s->thread - 1,
               s->what, (void *)(uintptr_t)s->address,
               (unsigned long long)s->value, base_name(s->file), s->line);
    }
}
