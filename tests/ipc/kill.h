/* kill.h - points at which a process kills itself.
 *
 * The second program of these tests has every source compiled with points.h:
 * each FC_KILL_POINT() that a process comes to counts, and it dies at the one
 * that kill_fuse() has named.
 */
#ifndef KILL_H
#define KILL_H

#include <stdbool.h>

/* Whether workers that are started now look for their parent once a second, as
 * usual, or hardly ever: in the second program, unless somebody says so. */
void look_often(bool often);

/* Die at the `n`-th point from now on; 0: never. */
void kill_fuse(long n);

/* Whether this program has such points at all. */
extern const bool kill_points;

/* Call `stop` at the `n`-th point that this thread comes to from now on;
 * 0: never. */
void kill_stop_at(long n, void (*stop)(void));

#endif /* KILL_H */
