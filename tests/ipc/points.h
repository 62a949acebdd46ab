/* points.h - what is put before every source of the second program: points at
 * which it can be made to die, and looks at the parent that are so rare that
 * no lost wake-up is healed by one.
 */
#ifndef POINTS_H
#define POINTS_H

/* No header is included here: sources say first what they want of them. */
void kill_point(const char *file, int line);
#define FC_KILL_POINT() kill_point(__FILE__, __LINE__)

extern long long look_ns;
#define FC_LOOK_NS look_ns

#endif /* POINTS_H */
