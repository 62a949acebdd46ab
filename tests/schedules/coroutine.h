/* coroutine.h - stacks to switch between, with AddressSanitizer's consent. */
#ifndef SCHEDULE_COROUTINE_H
#define SCHEDULE_COROUTINE_H

struct coroutine {
    void *stack_pointer;
};

/* A coroutine on the stack of that number (from 1 on), whatever it was used
 * for, that begins in `body`, which never returns. */
void coroutine_make(struct coroutine *c, int number, void (*body)(void));

/* Save where we are in `from` and go on in `to`. */
void coroutine_switch(struct coroutine *from, struct coroutine *to);

#endif /* SCHEDULE_COROUTINE_H */
