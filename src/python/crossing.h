/* crossing.h - a message from one interpreter to another, within one thread.
 *
 * Plain values and pickles are written here, in C.  What they cannot do goes
 * through futures_c/_crossing.py, on both sides: what is defined in the main
 * script, functions without a name, what only the interpreter knows to share,
 * and exceptions.
 *
 * One side puts an object into a message, the other one gets it, and the first
 * one clears the message, for the objects in it are its own.
 */
#ifndef FC_CROSSING_H
#define FC_CROSSING_H

#include "python/outgoing.h"
#include "python/values.h"

/* What a message is. */
enum fc_crossing_kind {
    FC_CROSSING_PLAIN,      /* a value */
    FC_CROSSING_PICKLE,     /* a pickle that the standard functions read */
    FC_CROSSING_PACKED,     /* one that _crossing.unpack() reads */
    /* and, of replies: */
    FC_CROSSING_RAISED,     /* what _crossing.revive() makes an exception of */
    FC_CROSSING_UNREADABLE, /* the call; a text says why */
    FC_CROSSING_UNSENDABLE, /* the result; likewise */
};

typedef struct {
    enum fc_crossing_kind kind;
    uint32_t number;         /* of the function; 0: it has none */
    bool with_function;      /* the pickle is (fn, args, kwargs) */
    const unsigned char *bytes;
    size_t size;
    /* Of the side that has made it: */
    fc_outgoing plain; /* with the long values that it refers to */
    PyObject *pickle;  /* or NULL */
    PyObject *kept;    /* what has to live until it is read, or NULL */
} fc_crossing;

/* What is used of pickle and of _crossing on one side; looked up on first use.
 * Of the other side alone: `home`, the directory that the package is in, in case
 * that what the program has done to sys.path is not done there; and how modules
 * were found at first, in case that calls change it. */
typedef struct {
    PyObject *dumps, *loads, *protocol, *crossing;
    const char *home;
    PyObject *path, *meta_path; /* copies of those of sys, or NULL */
} fc_crossing_tools;

/* In a new interpreter. */
void fc_crossing_tools_begin(fc_crossing_tools *side, const char *home);
void fc_crossing_tools_clear(fc_crossing_tools *side);

/* Call a function of _crossing: a new reference, or NULL with an exception. */
PyObject *fc_crossing_call(fc_crossing_tools *side, const char *name,
                           PyObject *object);

void fc_crossing_init(fc_crossing *m);
void fc_crossing_clear(fc_crossing *m);

/* Bytes that it keeps from being freed. */
size_t fc_crossing_weight(const fc_crossing *m);

/* Put a plain value.  1; 0: it is not plain; -1 with an exception. */
int fc_crossing_put_plain(fc_crossing *m, PyObject *value);

/* Put any object by pickle, or else by `pack` of _crossing. */
int fc_crossing_put_object(fc_crossing *m, fc_crossing_tools *side,
                           const char *pack, PyObject *object);

/* Put what `pack` of _crossing makes of an object: a pickle, and what has to
 * live until it is read. */
int fc_crossing_put_packed(fc_crossing *m, fc_crossing_tools *side,
                           const char *pack, PyObject *object);

int fc_crossing_put_bytes(fc_crossing *m, enum fc_crossing_kind kind,
                          PyObject *bytes);

/* Put the current exception as a text: what a traceback ends with.  `raised`, or
 * NULL: what the call has raised, if that could not be described because of it. */
void fc_crossing_put_error(fc_crossing *m, enum fc_crossing_kind kind,
                           PyObject *raised);

/* Get a plain value, a pickle or a pack: a new reference, or NULL with an
 * exception. */
PyObject *fc_crossing_get_object(const fc_crossing *m,
                                 fc_crossing_tools *side);

/* Call a function, `callable` or else that of _crossing, with the bytes as a
 * memoryview, which is of no use to anybody afterwards: they are let go of. */
PyObject *fc_crossing_call_with_bytes(const fc_crossing *m,
                                      fc_crossing_tools *side,
                                      PyObject *callable, const char *name);

#endif /* FC_CROSSING_H */
