/* planted.c - one fault of each kind that the sanitizers are to find.
 *
 * tools/sanitized builds this like the extension, loads it with ctypes and
 * makes each fault happen before it believes that there is none in the tests:
 * a preloaded library that was not loaded reports nothing either. */
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

/* Volatile: the compiler sees no fault, and keeps the accesses. */
static volatile int one = 1;

int
use_after_free(void)
{
    volatile int *word = malloc(sizeof(int));
    *word = one;
    free((void *)word);
    return *word;
}

int
overflow(void)
{
    return INT_MAX + one;
}

/* Several: registers and dead frames may still hold the last ones. */
int
leak(void)
{
    void *volatile block;
    for (int count = 0; count < 10; count++) {
        block = malloc(100 + (size_t)count);
    }
    block = NULL;
    return block != NULL;
}

static int counter;

static void *
count(void *arg)
{
    counter += one;
    return arg;
}

int
race(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, count, NULL) != 0) {
        return -1;
    }
    (void)count(NULL);
    return pthread_join(thread, NULL);
}
