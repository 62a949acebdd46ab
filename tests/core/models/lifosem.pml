/* lifosem.pml - the LIFO semaphore by itself.
 *
 * Two posters post three times in all, two sleepers wait three times in all.
 * Every sleeper must come home, and nothing must be left behind.  (Within the
 * dispatch posts seldom overlap, so that some faults stay hidden there.)
 * The mutations are those of lifosem.inc.
 */
#define SLEEPERS 2

#include "lifosem.inc"

proctype poster(byte times) {
    byte h, n, v;
    do
    :: times > 0 -> post(); times--
    :: else -> break
    od
}

proctype sleeper(byte me; byte times) {
    byte h, v;
    do
    :: times > 0 -> sleep(); times--
    :: else -> break
    od
}

init {
    atomic {
        run poster(1);
        run poster(2);
        run sleeper(0, 2);
        run sleeper(1, 1)
    }
    _nr_pr == 1;
    assert(permits == 0 && top == NOBODY)
}
