/* forked.c - no look for leaks in the child of a fork().
 *
 * What other threads held when it was forked is lost there: their stacks are
 * gone, and with them, for example, the reference to a group that a thread was
 * about to wake (24 bytes).  LeakSanitizer asks this function at exit.
 * tools/sanitized preloads it before the sanitizer's own. */
#include <pthread.h>

static int forked;

static void
after_in_child(void)
{
    forked = 1;
}

__attribute__((constructor)) static void
prepare(void)
{
    (void)pthread_atfork(NULL, NULL, after_in_child);
}

int
__lsan_is_turned_off(void)
{
    return forked;
}
