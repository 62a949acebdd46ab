/* exits.c - what a process that ends by _exit() has counted is written too.
 *
 * gcov writes its counts by a destructor, which _exit() passes over; and by it
 * end the forked workers of a pool, and children of tests.  Two parts of one
 * file, for tools/coverage:
 *
 * With EXITS_PRELOAD: a library to be preloaded whose _exit() asks all that have
 * registered to write.  Without: the half that is linked to what is measured
 * (each has counters and a __gcov_dump() of its own) and registers it.
 *
 * Whom a signal ends, or the system call alone, writes nothing.  Nor does
 * a child of vfork(): it has its parent's memory, which is not to believe that
 * the counts have been written. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef void dump(void);

#ifdef EXITS_PRELOAD

#define DUMPS_MAX 8

static dump *dumps[DUMPS_MAX];
static int count;
static pid_t owner;

static void
own(void)
{
    owner = getpid();
}

__attribute__((constructor)) static void
begin(void)
{
    own();
    pthread_atfork(NULL, NULL, own);
}

void
exits_register(dump *one)
{
    if (count < DUMPS_MAX) {
        dumps[count++] = one;
    }
}

void
_exit(int status)
{
    if (getpid() == owner) {
        for (int i = 0; i < count; i++) {
            dumps[i]();
        }
    }
    for (;;) {
        syscall(SYS_exit_group, status);
    }
}

#else

extern dump __gcov_dump;

__attribute__((constructor)) static void
begin(void)
{
    void (*enroll)(dump *) =
        (void (*)(dump *))dlsym(RTLD_DEFAULT, "exits_register");
    if (enroll != NULL) {
        enroll(__gcov_dump);
    }
}

#endif
