/* points.h - what is put before every source of the second program. */
#ifndef POINTS_H
#define POINTS_H

void kill_point(const char *file, int line);
#define FC_KILL_POINT() kill_point(__FILE__, __LINE__)

#endif /* POINTS_H */
