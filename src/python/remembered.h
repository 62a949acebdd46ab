/* remembered.h - functions that go to another interpreter once, and then by a
 * number.
 *
 * One side keeps what it has sent, the other one what it has got, both by
 * number.  Numbers begin with 1, and are given anew after the last one.
 */
#ifndef FC_REMEMBERED_H
#define FC_REMEMBERED_H

#include "python/compat.h"

/* Functions that are remembered: after so many others one has to be sent
 * anew. */
#define FC_REMEMBERED_MAX 256

/* --- of the side that sends ---------------------------------------------- */

/* What a function is found by, and the code that it had; or NULL. */
typedef struct {
    PyObject *key, *code;
} fc_sent_function;

typedef struct {
    PyObject *numbers; /* by key */
    uint32_t next;     /* the number that is given next, less 1 */
    fc_sent_function at[FC_REMEMBERED_MAX];
} fc_sent_functions;

int fc_sent_begin(fc_sent_functions *self);
int fc_sent_traverse(fc_sent_functions *self, visitproc visit, void *arg);
void fc_sent_clear(fc_sent_functions *self);

/* The number of a function that went over before and has not been given other
 * code since; or 0; -1 with an exception. */
int64_t fc_sent_number(fc_sent_functions *self, PyObject *fn);

/* The number that a function is to get.  0: it has to go anew each time. */
uint32_t fc_sent_next(const fc_sent_functions *self, PyObject *fn,
                      fc_sent_function *fresh);

/* It has got that number.  0, or -1 with an exception: it has not. */
int fc_sent_note(fc_sent_functions *self, const fc_sent_function *fresh);

void fc_sent_function_clear(fc_sent_function *fresh);

/* --- of the side that receives ------------------------------------------- */

/* A function; where it was found by its name, that name and the module's. */
typedef struct {
    PyObject *function, *name, *module;
} fc_known_function;

typedef struct {
    fc_known_function at[FC_REMEMBERED_MAX];
} fc_known_functions;

void fc_known_clear(fc_known_functions *self);

/* Keep a function by the number that the other side has given it. */
void fc_known_set(fc_known_functions *self, uint32_t number, PyObject *fn);

/* The function of a number: a new reference.  Of one that goes by its name,
 * what has that name now: its module may have been reloaded, or
 * thrown away and imported again. */
PyObject *fc_known_get(fc_known_functions *self, uint32_t number);

#endif /* FC_REMEMBERED_H */
