/* calls.h - a call on its way to a worker process, and what comes back.
 *
 *     request   | 'c' | number of arguments | arguments      |  plain ones
 *               | 'k' | pickle of (args, kwargs)             |
 *               | 'f' | pickle of (function, args, kwargs)   |
 *     reply     an object, as fc_object_put() has it
 *
 * The first two go with the number of a function (ipc/functions.h).
 */
#ifndef FC_CALLS_H
#define FC_CALLS_H

#include "python/pickling.h"

/* What a reply is: the low bits of its kind. */
enum fc_reply_kind {
    FC_REPLY_RESULT = 0,
    FC_REPLY_EXCEPTION = 1,  /* what the call, or pickling its result, raised */
    FC_REPLY_UNREADABLE = 2, /* what unpickling the call raised */
    FC_REPLY_DONE = 3, /* of a batch: nothing more comes */
};
#define FC_REPLY_KIND 3

/* What a request is. */
enum fc_request_kind {
    FC_REQUEST_CALL = 0,
    FC_REQUEST_BATCH = 1, /* see ipc/batches.h; each item as a plain request */
};

/* A call as submit() gets it, whose references are somebody else's. */
typedef struct {
    PyObject *fn;
    PyObject *const *args; /* nargs positional values, then those of names */
    Py_ssize_t nargs;
    PyObject *kwnames; /* NULL or a tuple */
} fc_call;

/* Add a call to a message, with `number` for its function, or 0.  1: done.  0:
 * it is not plain, and nothing was added (`only_plain`: nobody's code is to
 * run).  -1 with what its reducers raised. */
int fc_call_put(fc_state *st, fc_outgoing *o, const fc_call *call,
                uint32_t number, bool only_plain);

/* Add a plain call of one value for each of the `nargs` arguments, as
 * fc_call_put() does.  1; 0: not plain; -1. */
int fc_call_put_plain(fc_outgoing *o, PyObject *const *args,
                      Py_ssize_t nargs);

/* Read a plain call: how many values there are (new references, at most `most`
 * of them); -1 with an exception.  Where there are more, minus their number,
 * and none is read yet (`most` is not 0). */
int fc_call_get_plain(fc_incoming *in, PyObject **args, int most);

/* And these: a tuple.  The message ends with them. */
PyObject *fc_call_get_values(fc_incoming *in, int count);

/* Read a call: new references to function (NULL where it goes by its number),
 * arguments and keyword arguments (NULL: none).  0, or -1 with an
 * exception. */
int fc_call_get(fc_state *st, fc_incoming *in, PyObject *owner,
                PyObject **fn, PyObject **args, PyObject **kwargs);

#endif /* FC_CALLS_H */
